"""The order, time and recipients of fallback steps: unknown outcomes, scheduled messages, and delivery waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigSubentryDataWithId
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
    async_mock_service,
)

from custom_components.sms1680 import const
from custom_components.sms1680.outbound import pipeline as delivering
from custom_components.sms1680.store.db import MessageStore
from custom_components.sms1680.store.manager import DATA_STORE
from sms1680.sandbox import Account, Call, Config, Fault, Sandbox
from sms1680.sandbox.faults import PRESETS

MakeEntry = Callable[..., MockConfigEntry]
SetUp = Callable[[MockConfigEntry], Awaitable[None]]
ALICE, ALICE_NOW, BOB = "13800000001", "13900000099", "13800000002"
QUIET = {"quiet_from": "22:00:00", "quiet_to": "07:00:00", "time_zone": "UTC"}
EVENING = "2026-01-05 23:30:00+00:00"
OFF = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _no_patience(no_patience: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """Report unsent messages at once."""
    monkeypatch.setattr(delivering, "_PATIENCE", 0.0)


@pytest.fixture
def sandbox_config() -> Config:
    home = Account("homeuser", "s3cret-Passw0rd", products={"61341": 1000})
    second = Account("second", "s3cret-Passw0rd", products={"61341": 1000})
    return Config(accounts=(home, second), report_delay=3600.0)


@pytest.fixture
async def second(entry: MockConfigEntry, make_entry: MakeEntry, set_up: SetUp) -> MockConfigEntry:  # noqa: ARG001 - first
    """Another account at the platform, without recipients."""
    made = make_entry(
        title="Second", http={"username": "second"}, recipients=[], webhook_id="second", push_secret="second"
    )
    await set_up(made)
    return made


@pytest.fixture
async def gateway_off(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await use_gateway(hass, entry, OFF)


@pytest.fixture
async def quiet_entry(make_entry: MakeEntry, set_up: SetUp, freezer: FrozenDateTimeFactory) -> MockConfigEntry:
    """Set up an account during Alice's quiet hours."""
    freezer.move_to(EVENING)
    made = make_entry(recipients=[recipient("Alice", ALICE, **QUIET), recipient("Bob", BOB)])
    await set_up(made)
    return made


@pytest.fixture
def told(hass: HomeAssistant) -> list[Event]:
    """Capture the events of deferred messages."""
    return async_capture_events(hass, const.EVENT_DELAYED_MESSAGE)


def recipient(name: str, number: str, **more: Any) -> ConfigSubentryDataWithId:
    data = {"number": number, **more}
    return ConfigSubentryDataWithId(
        data=data, subentry_id=name.lower(), subentry_type="recipient", title=name, unique_id=number
    )


async def use_gateway(hass: HomeAssistant, entry: MockConfigEntry, gateway: str) -> None:
    """Change an account's gateway, which reloads it."""
    data = {**entry.data, "http": {**entry.data["http"], "gateway": gateway}}
    hass.config_entries.async_update_entry(entry, data=data)
    await hass.async_block_till_done(wait_background_tasks=True)


async def send(hass: HomeAssistant, **data: Any) -> dict[str, Any]:
    given = {"entity_id": "notify.alice", "message": "门开了", **data}
    answer = await hass.services.async_call("sms1680", "send_message", given, blocking=True, return_response=True)
    assert isinstance(answer, dict)
    (message,) = answer["messages"]
    assert isinstance(message, dict)
    return message


async def later(hass: HomeAssistant, freezer: FrozenDateTimeFactory, **how_much: float) -> None:
    freezer.tick(timedelta(**how_much))
    async_fire_time_changed(hass, dt_util.utcnow())
    await hass.async_block_till_done(wait_background_tasks=True)


def sent(sandbox: Sandbox) -> list[tuple[str, str]]:
    return [(message.number, message.text.removeprefix("【某某科技】")) for message in sandbox.platform.messages]


def ends(told: list[Event]) -> list[tuple[str, str | None]]:
    return [(event.data["outcome"], event.data["reason"]) for event in told]


def repairs(hass: HomeAssistant) -> list[str]:
    """Return the names in the repairs of lost messages."""
    issues = ir.async_get(hass).issues.values()
    return [(one.translation_placeholders or {})["who"] for one in issues if one.translation_key == "delayed_lost"]


def cut_off(sandbox: Sandbox) -> None:
    """Make the platform accept the next message and lose its answer."""

    def choose(call: Call) -> Fault | None:
        if call is not Call.SEND:
            return None
        sandbox.platform.faults.choose = None
        return PRESETS["drop_after"]

    sandbox.platform.faults.choose = choose


def store_of(hass: HomeAssistant) -> MessageStore:
    return hass.data[DATA_STORE].durable.store


def in_store(hass: HomeAssistant, sql: str = "SELECT row, going FROM later") -> list[Any]:
    return store_of(hass)._writer.submit(lambda database: database.execute(sql).fetchall()).result(10)


class TestSchedule:
    """A scheduled message is sent at its time, by retry or fallback."""

    @pytest.mark.usefixtures("gateway_off")
    async def test_retry_uses_the_scheduled_time(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        at = dt_util.utcnow().replace(microsecond=0) + timedelta(hours=10)
        alice = await send(hass, keep_trying="06:00:00", at=at.isoformat())
        assert alice["trying_until"] == (at + timedelta(hours=6)).isoformat()
        await use_gateway(hass, entry, sandbox.url)
        await later(hass, freezer, minutes=1)
        stored = in_store(hass, "SELECT due / 1000000 FROM outgoing WHERE outcome = 'accepted'")
        assert stored == [(int(at.timestamp()),)]

    @pytest.mark.usefixtures("gateway_off")
    async def test_overdue_message_is_sent_at_once(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        at = dt_util.utcnow() + timedelta(minutes=10)
        await send(hass, keep_trying="06:00:00", at=at.isoformat())
        for _ in range(4):
            await later(hass, freezer, minutes=5)
        await use_gateway(hass, entry, sandbox.url)
        await later(hass, freezer, minutes=5)
        assert in_store(hass, "SELECT due FROM outgoing WHERE outcome = 'accepted'") == [(None,)]

    @pytest.mark.usefixtures("gateway_off")
    @pytest.mark.parametrize("insisting", [{}, {"keep_trying": "01:00:00"}])
    async def test_fallback_waits_for_the_scheduled_time(
        self,
        hass: HomeAssistant,
        second: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        insisting: dict[str, str],
    ) -> None:
        at = dt_util.utcnow() + timedelta(minutes=20)
        alice = await send(hass, fallback_account=second.entry_id, at=at.isoformat(), **insisting)
        assert (alice["outcome"], alice["fallback"]) == ("not_sent", [])
        for minutes in (1, 5, 5, 5):
            await later(hass, freezer, minutes=minutes)
        assert sent(sandbox) == []
        await later(hass, freezer, minutes=5)
        assert sent(sandbox) == [(ALICE, "门开了")]
        await later(hass, freezer, hours=2)
        assert len(sent(sandbox)) == 1

    @pytest.mark.usefixtures("gateway_off")
    async def test_refused_retry_runs_fallback_at_the_scheduled_time(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        second: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
    ) -> None:
        at = dt_util.utcnow() + timedelta(hours=10)
        await send(hass, fallback_account=second.entry_id, keep_trying="01:00:00", at=at.isoformat())
        sandbox.platform.accounts["homeuser"].balances["61341"] = 0
        await use_gateway(hass, entry, sandbox.url)
        await later(hass, freezer, minutes=1)
        assert sent(sandbox) == []
        await later(hass, freezer, hours=10)
        assert sent(sandbox) == [(ALICE, "门开了")]

    async def test_refused_message_runs_fallback_at_the_scheduled_time(
        self, hass: HomeAssistant, second: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        sandbox.platform.accounts["homeuser"].balances["61341"] = 0
        at = dt_util.utcnow() + timedelta(hours=10)
        alice = await send(hass, fallback_account=second.entry_id, at=at.isoformat())
        assert (alice["outcome"], alice["fallback"]) == ("refused", [])
        await later(hass, freezer, hours=9)
        assert sent(sandbox) == []
        await later(hass, freezer, hours=1, seconds=1)
        assert sent(sandbox) == [(ALICE, "门开了")]  # refused for certain, so not marked as a repeat


class TestRecipients:
    """The recipient is resolved when the message is sent."""

    async def test_message_is_sent_to_the_corrected_number(
        self, hass: HomeAssistant, quiet_entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        await send(hass)
        alice = quiet_entry.subentries["alice"]
        hass.config_entries.async_update_subentry(
            quiet_entry, alice, data={**alice.data, "number": ALICE_NOW}, unique_id=ALICE_NOW
        )
        await hass.async_block_till_done()
        await later(hass, freezer, hours=8)
        assert sent(sandbox) == [(ALICE_NOW, "门开了")]

    async def test_message_to_a_removed_recipient_is_not_sent(
        self,
        hass: HomeAssistant,
        quiet_entry: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        told: list[Event],
    ) -> None:
        await send(hass)
        hass.config_entries.async_remove_subentry(quiet_entry, "alice")
        await hass.async_block_till_done()
        await later(hass, freezer, hours=8)
        assert sent(sandbox) == []
        assert ends(told) == [("not_sent", "recipient_removed")]
        assert repairs(hass) == ["Alice"]

    @pytest.mark.usefixtures("gateway_off")
    async def test_each_addressee_has_its_own_repair(
        self, hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory
    ) -> None:
        for more in ({}, {"entity_id": "notify.bob"}):
            await send(hass, keep_trying="00:01:00", **more)
        await hass.services.async_call(
            "sms1680",
            "send_message",
            {"number": [ALICE_NOW], "message": "门开了", "keep_trying": "00:01:00"},
            blocking=True,
            return_response=True,
        )
        for _ in range(3):
            await later(hass, freezer, minutes=1)
        assert sorted(repairs(hass)) == ["139****0099", "Alice", "Bob"]
        assert ALICE_NOW not in str(list(ir.async_get(hass).issues))
        assert await hass.config_entries.async_remove(entry.entry_id)
        assert repairs(hass) == []


class TestChain:
    """The fallback chain if a step has no certain outcome."""

    @pytest.fixture
    def phone(self, hass: HomeAssistant) -> list[str]:
        texts: list[str] = []
        hass.states.async_set("notify.phone", "unknown")
        hass.services.async_remove("notify", "send_message")

        async def take(call: Any) -> None:
            texts.append(call.data["message"])

        hass.services.async_register("notify", "send_message", take)
        return texts

    @pytest.mark.usefixtures("gateway_off")
    async def test_unknown_step_ends_the_chain(
        self, hass: HomeAssistant, second: MockConfigEntry, sandbox: Sandbox, phone: list[str]
    ) -> None:
        cut_off(sandbox)
        alice = await send(hass, fallback_account=second.entry_id, fallback="notify.phone", keep_trying="01:00:00")
        assert alice["fallback"] == [{"to": second.entry_id, "outcome": "unknown"}]
        assert (phone, alice["trying_until"]) == ([], None)

    @pytest.mark.usefixtures("gateway_off")
    async def test_error_of_an_unknown_step_is_outcome_unknown(
        self, hass: HomeAssistant, second: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        cut_off(sandbox)
        given = {"entity_id": "notify.alice", "message": "门开了", "fallback_account": second.entry_id}
        with pytest.raises(HomeAssistantError) as raised:
            await hass.services.async_call("sms1680", "send_message", given, blocking=True)
        assert raised.value.translation_key == "outcome_unknown"

    @pytest.mark.usefixtures("gateway_off")
    async def test_unknown_step_of_a_critical_message_continues_and_marks_the_repeat(
        self, hass: HomeAssistant, second: MockConfigEntry, sandbox: Sandbox, phone: list[str]
    ) -> None:
        cut_off(sandbox)
        alice = await send(
            hass,
            priority="critical",
            report_within="00:02:00",
            fallback_account=second.entry_id,
            fallback="notify.phone",
        )
        assert [step["outcome"] for step in alice["fallback"]] == ["unknown", "done"]
        assert sent(sandbox) == [(ALICE, "门开了")]
        assert phone == ["(May be a repeat) 门开了"]

    @pytest.mark.usefixtures("gateway_off")
    async def test_held_step_continues_and_is_not_retried(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        second: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        phone: list[str],
    ) -> None:
        sandbox.platform.review_words = ["门开了"]
        alice = await send(hass, fallback_account=second.entry_id, fallback="notify.phone", keep_trying="01:00:00")
        assert [step["outcome"] for step in alice["fallback"]] == ["held", "done"]
        assert (phone, alice["trying_until"]) == (["门开了"], None)
        await use_gateway(hass, entry, sandbox.url)
        await later(hass, freezer, minutes=1)
        assert len(sent(sandbox)) == 1

    @pytest.mark.usefixtures("entry")
    async def test_fallback_uses_the_safe_text_of_the_call(
        self, hass: HomeAssistant, second: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        sandbox.platform.accounts["homeuser"].balances["61341"] = 0
        alice = await send(hass, message="客厅在赌博", safe_text="家中有警报，请查看", fallback_account=second.entry_id)
        assert alice["fallback"] == [{"to": second.entry_id, "outcome": "accepted"}]
        assert sent(sandbox) == [(ALICE, "家中有警报，请查看")]

    async def test_report_within_applies_to_the_fallback_of_the_recipient(
        self, hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
    ) -> None:
        await set_up(make_entry(recipients=[recipient("Alice", ALICE, fallback=["notify.bob"]), recipient("Bob", BOB)]))
        cut_off(sandbox)
        alice = await send(hass, priority="critical", report_within="00:02:00")
        assert alice["fallback"] == [{"to": "notify.bob", "outcome": "accepted"}]
        cut_off(sandbox)
        alice = await send(hass, priority="critical")
        assert alice["fallback"] == []

    @pytest.mark.usefixtures("gateway_off")
    async def test_unstorable_actions_are_rejected_before_sending(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        async_mock_service(hass, "script", "siren")
        actions = [{"action": "script.siren", "data": {"day": dt_util.utcnow().date()}}]
        with pytest.raises(Exception, match="put dates and times in quotes"):
            await send(hass, keep_trying="01:00:00", fallback_actions=actions)
        assert sent(sandbox) == []


class TestWaitForDelivery:
    """Waiting for delivery of a deferred or replaced message is no failure."""

    async def test_message_deferred_by_quiet_hours_is_no_failure(
        self, hass: HomeAssistant, quiet_entry: MockConfigEntry
    ) -> None:
        given = {"entity_id": "notify.alice", "message": "门开了", "wait_for_delivery": 30}
        await hass.services.async_call("sms1680", "send_message", given, blocking=True)
        alice = await send(hass, wait_for_delivery=30)
        assert alice["delivery"]["settled"] is False
        assert quiet_entry.runtime_data.deferred.waiting == 2

    @pytest.mark.usefixtures("gateway_off")
    async def test_message_with_retries_or_fallback_is_no_failure(
        self, hass: HomeAssistant, second: MockConfigEntry
    ) -> None:
        given = {"entity_id": "notify.alice", "message": "门开了", "wait_for_delivery": 30}
        for more in ({"fallback_account": second.entry_id}, {"keep_trying": "01:00:00"}):
            await hass.services.async_call("sms1680", "send_message", {**given, **more}, blocking=True)
        alice = await send(hass, wait_for_delivery=30, keep_trying="01:00:00")
        assert (alice["delivery"]["state"], alice["delivery"]["settled"]) == ("not_sent", False)
        with pytest.raises(HomeAssistantError):
            await hass.services.async_call("sms1680", "send_message", given, blocking=True)
