"""Each way in which a message ends: the event of each send, and what happens when a message is not delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.components import persistent_notification
from homeassistant.core import Context, Event, HomeAssistant, ServiceCall
from homeassistant.exceptions import HomeAssistantError
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_time_changed,
)

from custom_components.sms1680 import const, trigger
from custom_components.sms1680.client import Outcome
from custom_components.sms1680.deferred.failure import FailureCause
from custom_components.sms1680.store.db import Dispatch, Outgoing, RecordedOutcome
from custom_components.sms1680.store.manager import DATA_STORE
from sms1680.sandbox import Call, Fault, Sandbox
from sms1680.sandbox.faults import PRESETS
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    STRANGER,
    MakeEntry,
    SetUp,
    critical_repairs,
    fail_next,
    in_store,
    later,
    push_report,
    send_to_number,
    sent,
)

ENDS = {
    "no_balance": ("refused", "balance"),
    "drop_after": ("unknown", "lost"),
    "review": ("held", "review"),
}


@pytest.fixture(autouse=True)
def _no_patience(no_patience: None) -> None:
    """Make messages that were not sent fail at once."""


def notifications(hass: HomeAssistant) -> list[str]:
    return [one["message"] for one in persistent_notification._async_get_or_create_notifications(hass).values()]


@pytest.fixture
async def doors(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
) -> dict[str, Callable[..., Any]]:
    """Return a function for each door that sends one text to Alice with a context."""
    lines = [
        {"platform": "sms1680", "name": "by entry", "account": "Home", "recipients": ["Alice"]},
        {
            "platform": "sms1680",
            "name": "by own",
            "username": "homeuser",
            "password": "s3cret-Passw0rd",
            "product_id": 61341,
            "gateway": sandbox.url,
            "recipients": [ALICE],
        },
    ]
    assert await async_setup_component(hass, "notify", {"notify": lines})
    await hass.async_block_till_done()
    await set_up(make_entry())

    def door(domain: str, name: str, **target: Any) -> Callable[[Context], Any]:
        data = {"message": "门开了", **target}
        return lambda context: hass.services.async_call(domain, name, data, blocking=True, context=context)

    return {
        "action": door("sms1680", "send_message", number=ALICE),
        "notify entity": door("notify", "send_message", entity_id="notify.alice"),
        "YAML": door("notify", "by_entry"),
        "YAML account": door("notify", "by_own"),
    }


@pytest.mark.parametrize("door", ["action", "notify entity", "YAML", "YAML account"])
async def test_every_door_fires_the_event_of_a_send(
    hass: HomeAssistant,
    doors: dict[str, Callable[..., Any]],
    fired: dict[str, list[Event]],
    door: str,
) -> None:
    context = Context()
    await doors[door](context)
    (event,) = fired["sent"]
    (entry,) = hass.config_entries.async_entries(const.DOMAIN)
    own = door == "YAML account"
    assert event.data == {
        "config_entry_id": None if own else entry.entry_id,
        "subentry_id": None if own else "alice",
        "number": ALICE,
        "recipient": None if own else "Alice",
        "outcome": "accepted",
        "reason": None,
        "message_id": event.data["message_id"],
        "parts": 1,
        "priority": "normal",
        "repeatable": False,
        "automatic": False,
        "digest": None,
        "long_text": None,
        **({} if own else {"safe_text": False, "repeated": False, "delayed_until": None}),
    }
    assert event.context.parent_id == context.id
    assert fired["failed"] == []


@pytest.mark.parametrize("door", ["action", "notify entity", "YAML", "YAML account"])
@pytest.mark.parametrize("preset", ENDS)
async def test_every_failure_fires_one_event(
    doors: dict[str, Callable[..., Any]],
    fired: dict[str, list[Event]],
    sandbox: Sandbox,
    door: str,
    preset: str,
) -> None:
    fail_next(sandbox, preset)
    context = Context()
    if preset == "review":
        await doors[door](context)
    else:
        with pytest.raises(HomeAssistantError):
            await doors[door](context)
    cause, reason = ENDS[preset]
    assert [(one.data["outcome"], one.data["reason"]) for one in fired["sent"]] == [(cause, reason)]
    (event,) = fired["failed"]
    assert (event.data["cause"], event.data["outcome"], event.data["reason"]) == (cause, cause, reason)
    assert event.context.parent_id == context.id
    assert event.data["problem"]


async def test_failed_report_fires_one_event(
    hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]]
) -> None:
    await send_to_number(hass)
    message_id = fired["sent"][0].data["message_id"]
    for status in ("KX:1000", "KX:1000", "UNDELIV"):
        await push_report(hass, entry, message_id, status)
    (event,) = fired["failed"]
    assert (event.data["cause"], event.data["outcome"]) == ("failed", "accepted")
    assert (event.data["status"], event.data["repeatable"]) == ("KX:1000", True)
    assert (event.data["recipient"], event.data["subentry_id"]) == ("Alice", "alice")
    assert event.data["message_id"] == message_id


@pytest.mark.parametrize("reports_arrive", [False, True])
async def test_missing_report_is_a_failure_where_reports_arrive(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    fired: dict[str, list[Event]],
    freezer: FrozenDateTimeFactory,
    reports_arrive: bool,
) -> None:
    await send_to_number(hass)
    await send_to_number(hass, BOB)
    if reports_arrive:
        await push_report(hass, entry, fired["sent"][1].data["message_id"], "DELIVRD", BOB)
    freezer.tick(49 * 3600)
    await hass.data[DATA_STORE].async_prune()
    await hass.async_block_till_done(wait_background_tasks=True)
    failed = [(one.data["number"], one.data["cause"]) for one in fired["failed"]]
    assert failed == ([(ALICE, "no_report")] if reports_arrive else [])


async def test_message_that_is_still_tried_has_not_failed(
    hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]], freezer: FrozenDateTimeFactory
) -> None:
    gateway = entry.data["http"]["gateway"]
    data = {**entry.data, "http": {**entry.data["http"], "gateway": "http://127.0.0.1:9"}}
    hass.config_entries.async_update_entry(entry, data=data)
    await hass.async_block_till_done(wait_background_tasks=True)
    await send_to_number(hass, keep_trying="00:02:00")
    assert [one.data["outcome"] for one in fired["sent"]] == ["not_sent"]
    assert fired["failed"] == []
    for _ in range(4):
        await later(hass, freezer, seconds=60)
    assert [(one.data["cause"], one.data["number"]) for one in fired["failed"]] == [("not_sent", ALICE)]
    assert {one.data["outcome"] for one in fired["sent"]} == {"not_sent"}
    data = {**entry.data, "http": {**entry.data["http"], "gateway": gateway}}
    hass.config_entries.async_update_entry(entry, data=data)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert len(fired["failed"]) == 1  # the restart reports nothing twice


async def test_message_that_a_fallback_handled_has_not_failed(
    hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]], sandbox: Sandbox
) -> None:
    handled = []
    hass.services.async_register("test", "act", handled.append)
    fail_next(sandbox, "no_balance")
    await send_to_number(hass, fallback_actions=[{"action": "test.act"}])
    assert len(handled) == 1
    assert fired["failed"] == []
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert fired["failed"] == []


async def test_held_back_message_fires_an_event_and_has_not_failed(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    fired: dict[str, list[Event]],
    freezer: FrozenDateTimeFactory,
    sandbox: Sandbox,
) -> None:
    freezer.move_to("2026-05-01 23:00:00+00:00")
    entry = make_entry()
    alice = entry.subentries["alice"]
    quiet = {"quiet_from": "22:00:00", "quiet_to": "07:00:00", "time_zone": "UTC"}
    hass.config_entries.async_update_subentry(entry, alice, data={**alice.data, **quiet})
    await set_up(entry)
    await send_to_number(hass)
    (event,) = fired["sent"]
    assert (event.data["outcome"], event.data["reason"]) == ("not_sent", "quiet_hours")
    await later(hass, freezer, hours=9)
    assert [one.data["outcome"] for one in fired["sent"]] == ["not_sent", "accepted"]
    assert fired["failed"] == []
    assert len(sent(sandbox)) == 1


class TestCritical:
    @pytest.mark.parametrize(
        ("preset", "words"), [("no_balance", "balance"), ("review", "review"), ("drop_after", "may have")]
    )
    async def test_critical_failure_has_a_repair_and_a_notification(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, preset: str, words: str
    ) -> None:
        fail_next(sandbox, preset)
        if preset == "drop_after":
            fail_next(sandbox, preset)  # the message is repeated
        await send_to_number(hass, priority="critical")
        (repair,) = critical_repairs(hass)
        placeholders = repair.translation_placeholders or {}
        assert (placeholders["account"], placeholders["who"]) == (entry.title, "Alice")
        (text,) = notifications(hass)
        for shown in (placeholders["problem"], text):
            assert words in shown
            assert "门开了" not in shown
            assert ALICE not in shown

    @pytest.mark.usefixtures("entry")
    async def test_normal_failure_has_neither(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        fail_next(sandbox, "no_balance")
        await send_to_number(hass)
        assert (critical_repairs(hass), notifications(hass)) == ([], [])

    async def test_later_delivery_removes_both(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, fired: dict[str, list[Event]]
    ) -> None:
        await send_to_number(hass, message="first")
        sandbox.platform.accounts["homeuser"].balances["61341"] = 0
        await send_to_number(hass, priority="critical")
        await push_report(hass, entry, fired["sent"][0].data["message_id"], "DELIVRD")  # an earlier message
        assert (len(critical_repairs(hass)), len(notifications(hass))) == (1, 1)
        sandbox.platform.accounts["homeuser"].balances["61341"] = 100
        await send_to_number(hass, message="third")
        await push_report(hass, entry, fired["sent"][-1].data["message_id"], "DELIVRD")
        assert (critical_repairs(hass), notifications(hass)) == ([], [])

    async def test_closing_the_repair_removes_the_notification(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        fail_next(sandbox, "no_balance")
        await send_to_number(hass, priority="critical")
        (repair,) = critical_repairs(hass)
        assert entry.entry_id in repair.issue_id
        assert await async_setup_component(hass, "repairs", {})
        manager = hass.data["repairs"]["flow_manager"]
        flow = await manager.async_init(const.DOMAIN, data={"issue_id": repair.issue_id})
        assert (flow["type"], len(notifications(hass))) == ("form", 1)
        assert (await manager.async_configure(flow["flow_id"], {}))["type"] == "create_entry"
        assert (critical_repairs(hass), notifications(hass)) == ([], [])

    async def test_failed_report_of_a_critical_message(
        self, hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]]
    ) -> None:
        await send_to_number(hass, priority="critical")
        await push_report(hass, entry, fired["sent"][0].data["message_id"], "UNDELIV")
        assert [one.data["priority"] for one in fired["failed"]] == ["critical"]
        assert len(critical_repairs(hass)) == 1

    @pytest.mark.usefixtures("entry")
    async def test_notification_in_chinese(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        hass.config.language = "zh-Hans"
        fail_next(sandbox, "no_balance")
        await send_to_number(hass, priority="critical")
        assert notifications(hass)[0].startswith("发给Alice的紧急短信未送达。")

    async def test_account_of_a_yaml_entry(
        self, hass: HomeAssistant, doors: dict[str, Callable[..., Any]], sandbox: Sandbox
    ) -> None:
        assert doors
        fail_next(sandbox, "no_balance")
        data = {"message": "门开了", "data": {"priority": "critical"}}
        with pytest.raises(HomeAssistantError):
            await hass.services.async_call("notify", "by_own", data, blocking=True)
        (repair,) = critical_repairs(hass)
        assert (repair.translation_placeholders or {})["who"] == "138****0001"
        assert len(notifications(hass)) == 1


class TestRestart:
    @pytest.mark.parametrize("outcome", [None, Outcome.REFUSED, Outcome.NOT_SENT, Outcome.ACCEPTED])
    async def test_end_that_an_earlier_run_did_not_report(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        fired: dict[str, list[Event]],
        freezer: FrozenDateTimeFactory,
        outcome: Outcome | None,
    ) -> None:
        now = freezer().astimezone()
        store = hass.data[DATA_STORE].durable.store
        dispatch = Dispatch((Outgoing(entry.entry_id, ALICE, "http", now, None, "alice", priority="critical"),))
        await asyncio.wrap_future(store.begin(dispatch))
        if outcome is not None:
            await asyncio.wrap_future(store.settle(dispatch, [(0, RecordedOutcome(outcome, now))]))
        else:  # as after a kill
            await asyncio.wrap_future(
                store._writer.submit(lambda database: database.execute("UPDATE outgoing SET state = 'unknown'"))
            )
        for _ in range(2):
            await hass.config_entries.async_reload(entry.entry_id)
            await hass.async_block_till_done(wait_background_tasks=True)
        expected = [] if outcome is Outcome.ACCEPTED else [(outcome or Outcome.UNKNOWN).value]
        assert [one.data["cause"] for one in fired["failed"]] == expected
        assert [one.data["recipient"] for one in fired["failed"]] == ["Alice"] * len(expected)
        assert len(critical_repairs(hass)) == len(expected)

    @pytest.mark.usefixtures("entry")
    async def test_cancelled_call_is_reported_once_the_platform_has_answered(
        self, hass: HomeAssistant, fired: dict[str, list[Event]], sandbox: Sandbox
    ) -> None:
        asked = asyncio.Event()

        def choose(call: Call) -> Fault | None:
            if call is Call.SEND:
                asked.set()
                return PRESETS["drop_after"]
            return None

        sandbox.platform.faults.choose = choose
        call = hass.async_create_task(
            hass.services.async_call("sms1680", "send_message", {"number": ALICE, "message": "门开了"}, blocking=True)
        )
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(10):
            while in_store(hass, "SELECT state FROM outgoing") != [("unknown",)]:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.1)
        assert fired["failed"] == []
        async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=61))
        await hass.async_block_till_done(wait_background_tasks=True)
        assert [one.data["cause"] for one in fired["failed"]] == ["unknown"]

    async def test_call_that_is_cancelled_during_its_fallback_is_reported(
        self, hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]], sandbox: Sandbox
    ) -> None:
        started, go_on = asyncio.Event(), asyncio.Event()

        async def act(_: ServiceCall) -> None:
            started.set()
            await go_on.wait()

        hass.services.async_register("test", "act", act)
        fail_next(sandbox, "no_balance")
        data = {"number": ALICE, "message": "门开了", "fallback_actions": [{"action": "test.act"}]}
        call = hass.async_create_task(hass.services.async_call("sms1680", "send_message", data, blocking=True))
        await started.wait()
        await hass.config_entries.async_reload(entry.entry_id)
        assert fired["failed"] == []  # the fallback may still handle it
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        go_on.set()
        await hass.async_block_till_done(wait_background_tasks=True)
        async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=61))
        await hass.async_block_till_done(wait_background_tasks=True)
        assert [one.data["cause"] for one in fired["failed"]] == ["refused"]


class TestTrigger:
    pytestmark = pytest.mark.skipif(not trigger.SUPPORTS_TRIGGERS, reason="Needs Home Assistant 2025.12 or later")

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({}, 3),
            ({"priority": "critical"}, 1),
            ({"recipient": "Alice"}, 2),
            ({"recipient": ["Bob"]}, 0),
            ({"number": "+86 139 0000 0009"}, 1),
            ({"cause": ["refused"]}, 3),
            ({"cause": ["unknown", "held"]}, 0),
        ],
    )
    @pytest.mark.usefixtures("entry")
    async def test_filters(
        self,
        hass: HomeAssistant,
        sandbox: Sandbox,
        options: dict[str, Any],
        expected: int,
    ) -> None:
        calls: list[Any] = []
        hass.services.async_register("test", "act", lambda call: calls.append(call.data))
        action = {"action": "test.act", "data": {"who": "{{ trigger.recipient }}", "why": "{{ trigger.cause }}"}}
        automation = {"triggers": {"trigger": "sms1680.message_failed", **options}, "actions": action, "mode": "queued"}
        assert await async_setup_component(hass, "automation", {"automation": automation})
        fail_next(sandbox, "no_balance")
        await send_to_number(hass)
        await send_to_number(hass, priority="critical")
        await send_to_number(hass, STRANGER)
        assert [call["why"] for call in calls] == ["refused"] * expected

    @pytest.mark.usefixtures("entry")
    async def test_message_about_a_failure_starts_no_chain(
        self,
        hass: HomeAssistant,
        sandbox: Sandbox,
        fired: dict[str, list[Event]],
    ) -> None:
        action = {"action": "notify.send_message", "target": {"entity_id": "notify.bob"}, "data": {"message": "x"}}
        automation = {"triggers": {"trigger": "sms1680.message_failed"}, "actions": action, "mode": "queued"}
        assert await async_setup_component(hass, "automation", {"automation": automation})
        fail_next(sandbox, "no_balance")
        await send_to_number(hass)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert [(one.data["number"], one.data["automatic"]) for one in fired["failed"]] == [(ALICE, False), (BOB, True)]


@pytest.mark.usefixtures("entry")
async def test_event_entities_show_undelivered_messages(
    hass: HomeAssistant,
    sandbox: Sandbox,
) -> None:
    fail_next(sandbox, "no_balance")
    await send_to_number(hass)
    for entity_id in ("event.alice_messages", "event.home_inbox"):
        state = hass.states.get(entity_id)
        assert state is not None
        assert state.attributes["event_type"] == "undelivered"
        assert state.attributes["cause"] == "refused"
    assert hass.states.get("event.bob_messages").state == "unknown"  # type: ignore[union-attr]


async def test_refused_words_with_a_safe_text_are_no_failure(
    hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]]
) -> None:
    await send_to_number(hass, message="客厅在赌博", safe_text="家中有警报，请查看")
    assert [(one.data["outcome"], one.data["safe_text"]) for one in fired["sent"]] == [("accepted", True)]
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert fired["failed"] == []


def test_every_outcome_but_accepted_is_a_cause() -> None:
    assert {outcome.value for outcome in Outcome} - {"accepted"} < {cause.value for cause in FailureCause}
