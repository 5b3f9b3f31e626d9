"""Fallbacks of scheduled messages, of uncertain outcomes, and while delivery reports are awaited."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_mock_service,
)

from sms1680.sandbox import Config, Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    ALICE_NOW,
    BOB,
    MakeEntry,
    SetUp,
    cut_off,
    ends,
    in_store,
    later,
    recipient,
    repairs,
    send,
    send_to_alice,
    sent,
    use_gateway,
)


@pytest.fixture(autouse=True)
def _fails_at_once(fails_at_once: None) -> None:
    """Fail at once in each test here, before the account is set up."""


@pytest.fixture
def sandbox_config(sandbox_config: Config) -> Config:
    return replace(sandbox_config, report_delay=3600.0)


class TestSchedule:
    """A scheduled message is sent at its time, also after retries."""

    @pytest.mark.usefixtures("gateway_off")
    async def test_retry_keeps_the_scheduled_time(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        at = dt_util.utcnow().replace(microsecond=0) + timedelta(hours=10)
        alice = await send_to_alice(hass, keep_trying="06:00:00", at=at.isoformat())
        assert alice["trying_until"] == (at + timedelta(hours=6)).isoformat()
        await use_gateway(hass, entry, sandbox.url)
        await later(hass, freezer, minutes=1)
        stored = in_store(hass, "SELECT due / 1000000 FROM outgoing WHERE outcome = 'accepted'")
        assert stored == [(int(at.timestamp()),)]

    @pytest.mark.usefixtures("gateway_off")
    async def test_retry_after_the_scheduled_time_is_sent_at_once(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        at = dt_util.utcnow() + timedelta(minutes=10)
        await send_to_alice(hass, keep_trying="06:00:00", at=at.isoformat())
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
        alice = await send_to_alice(hass, fallback_account=second.entry_id, at=at.isoformat(), **insisting)
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
        await send_to_alice(hass, fallback_account=second.entry_id, keep_trying="01:00:00", at=at.isoformat())
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
        alice = await send_to_alice(hass, fallback_account=second.entry_id, at=at.isoformat())
        assert (alice["outcome"], alice["fallback"]) == ("refused", [])
        await later(hass, freezer, hours=9)
        assert sent(sandbox) == []
        await later(hass, freezer, hours=1, seconds=1)
        assert sent(sandbox) == [(ALICE, "门开了")]  # refused for certain, so not marked as a repeat


class TestAddressee:
    """The addressee is looked up when the message is sent."""

    async def test_corrected_number_is_used(
        self, hass: HomeAssistant, quiet_entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        await send_to_alice(hass)
        alice = quiet_entry.subentries["alice"]
        hass.config_entries.async_update_subentry(
            quiet_entry, alice, data={**alice.data, "number": ALICE_NOW}, unique_id=ALICE_NOW
        )
        await hass.async_block_till_done()
        await later(hass, freezer, hours=8)
        assert sent(sandbox) == [(ALICE_NOW, "门开了")]

    async def test_removed_recipient_gets_nothing(
        self,
        hass: HomeAssistant,
        quiet_entry: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        outcomes: list[Event],
    ) -> None:
        await send_to_alice(hass)
        hass.config_entries.async_remove_subentry(quiet_entry, "alice")
        await hass.async_block_till_done()
        await later(hass, freezer, hours=8)
        assert sent(sandbox) == []
        assert ends(outcomes) == [("not_sent", "recipient_removed")]
        assert repairs(hass) == ["Alice"]

    @pytest.mark.usefixtures("gateway_off")
    async def test_each_recipient_has_a_repair(
        self, hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory
    ) -> None:
        for more in ({}, {"entity_id": "notify.bob"}):
            await send_to_alice(hass, keep_trying="00:01:00", **more)
        await send(hass, number=[ALICE_NOW], keep_trying="00:01:00")
        for _ in range(3):
            await later(hass, freezer, minutes=1)
        assert sorted(repairs(hass)) == ["139****0099", "Alice", "Bob"]
        assert ALICE_NOW not in str(list(ir.async_get(hass).issues))
        assert await hass.config_entries.async_remove(entry.entry_id)
        assert repairs(hass) == []


class TestUncertainSteps:
    """A fallback step has an unknown outcome."""

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
    async def test_unknown_outcome_ends_the_fallback(
        self, hass: HomeAssistant, second: MockConfigEntry, sandbox: Sandbox, phone: list[str]
    ) -> None:
        cut_off(sandbox)
        alice = await send_to_alice(
            hass, fallback_account=second.entry_id, fallback="notify.phone", keep_trying="01:00:00"
        )
        assert alice["fallback"] == [{"to": second.entry_id, "outcome": "unknown"}]
        assert (phone, alice["trying_until"]) == ([], None)

    @pytest.mark.usefixtures("gateway_off")
    async def test_error_says_that_the_message_may_have_arrived(
        self, hass: HomeAssistant, second: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        cut_off(sandbox)
        given = {"entity_id": "notify.alice", "message": "门开了", "fallback_account": second.entry_id}
        with pytest.raises(HomeAssistantError) as raised:
            await hass.services.async_call("sms1680", "send_message", given, blocking=True)
        assert raised.value.translation_key == "outcome_unknown"

    @pytest.mark.usefixtures("gateway_off")
    async def test_critical_fallback_continues_and_marks_the_repeat(
        self, hass: HomeAssistant, second: MockConfigEntry, sandbox: Sandbox, phone: list[str]
    ) -> None:
        cut_off(sandbox)
        alice = await send_to_alice(
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
    async def test_held_message_runs_fallback_and_is_not_retried(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        second: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        phone: list[str],
    ) -> None:
        sandbox.platform.review_words = ["门开了"]
        alice = await send_to_alice(
            hass, fallback_account=second.entry_id, fallback="notify.phone", keep_trying="01:00:00"
        )
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
        alice = await send_to_alice(
            hass, message="客厅在赌博", safe_text="家中有警报，请查看", fallback_account=second.entry_id
        )
        assert alice["fallback"] == [{"to": second.entry_id, "outcome": "accepted"}]
        assert sent(sandbox) == [(ALICE, "家中有警报，请查看")]

    async def test_report_time_of_the_call_applies_to_the_recipient_fallback(
        self, hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
    ) -> None:
        await set_up(make_entry(recipients=[recipient("Alice", ALICE, fallback=["notify.bob"]), recipient("Bob", BOB)]))
        cut_off(sandbox)
        alice = await send_to_alice(hass, priority="critical", report_within="00:02:00", repeat=False)
        assert alice["fallback"] == [{"to": "notify.bob", "outcome": "accepted"}]
        cut_off(sandbox)
        alice = await send_to_alice(hass, priority="critical", repeat=False)
        assert alice["fallback"] == []

    @pytest.mark.usefixtures("gateway_off")
    async def test_unstorable_actions_are_rejected_before_sending(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        async_mock_service(hass, "script", "siren")
        actions = [{"action": "script.siren", "data": {"day": dt_util.utcnow().date()}}]
        with pytest.raises(Exception, match="put dates and times in quotes"):
            await send_to_alice(hass, keep_trying="01:00:00", fallback_actions=actions)
        assert sent(sandbox) == []


class TestWaitForDelivery:
    """Waiting for the report of a message that is handled otherwise is no failure."""

    async def test_waiting_in_quiet_hours_is_no_failure(
        self, hass: HomeAssistant, quiet_entry: MockConfigEntry
    ) -> None:
        given = {"entity_id": "notify.alice", "message": "门开了", "wait_for_delivery": 30}
        await hass.services.async_call("sms1680", "send_message", given, blocking=True)
        alice = await send_to_alice(hass, wait_for_delivery=30)
        assert alice["delivery"]["settled"] is False
        assert quiet_entry.runtime_data.deferred.waiting == 2

    @pytest.mark.usefixtures("gateway_off")
    async def test_waiting_for_a_retried_or_handled_message_is_no_failure(
        self, hass: HomeAssistant, second: MockConfigEntry
    ) -> None:
        given = {"entity_id": "notify.alice", "message": "门开了", "wait_for_delivery": 30}
        for more in ({"fallback_account": second.entry_id}, {"keep_trying": "01:00:00"}):
            await hass.services.async_call("sms1680", "send_message", {**given, **more}, blocking=True)
        alice = await send_to_alice(hass, wait_for_delivery=30, keep_trying="01:00:00")
        assert (alice["delivery"]["state"], alice["delivery"]["settled"]) == ("not_sent", False)
        with pytest.raises(HomeAssistantError):
            await hass.services.async_call("sms1680", "send_message", given, blocking=True)
