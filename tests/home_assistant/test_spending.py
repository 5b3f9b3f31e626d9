"""Spending limits: a reached limit fires one event and creates one repair, which is deleted when there is room."""

from __future__ import annotations

from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Context, Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
)

from custom_components.sms1680 import const
from custom_components.sms1680.account.spending import spending_limits
from custom_components.sms1680.client import SpendingLimits
from custom_components.sms1680.events.context import async_fire
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, BOB, MakeEntry, SetUp, later, notify, send


async def act_without_response(hass: HomeAssistant, entity_id: str, **data: Any) -> None:
    """Call the action `send_message` without asking for its response."""
    given = {"entity_id": entity_id, "message": "门开了", **data}
    await hass.services.async_call(const.DOMAIN, "send_message", given, blocking=True)


async def send_one(hass: HomeAssistant, number: str = ALICE, **data: Any) -> tuple[str, str | None]:
    """Send one message and return its outcome and reason."""
    [message] = await send(hass, number=number, **data)
    await hass.async_block_till_done(wait_background_tasks=True)
    return message["outcome"], message["reason"]


@pytest.fixture
def limited(make_entry: MakeEntry, set_up: SetUp) -> Any:
    """Set up an account with these limits and all others disabled."""

    async def make(**limits: int) -> MockConfigEntry:
        off = dict.fromkeys(("hourly_limit", "daily_limit", "number_limit", "automatic_limit", "critical_reserve"), 0)
        made = make_entry(options={**off, **limits})
        await set_up(made)
        return made

    return make


def issue(hass: HomeAssistant, entry: MockConfigEntry, kind: str) -> ir.IssueEntry | None:
    return ir.async_get(hass).async_get_issue(const.DOMAIN, f"{kind}_{entry.entry_id}")


class TestLimits:
    """The limits of an account."""

    def test_limits_have_defaults(self) -> None:
        assert spending_limits({}) == SpendingLimits(hour=600, day=1000, reserve=200, number=120, automatic=20)

    def test_each_limit_can_be_raised_or_disabled(self) -> None:
        options = {"hourly_limit": 0, "daily_limit": 5000, "critical_reserve": 0, "number_limit": 0}
        assert spending_limits(options) == SpendingLimits(hour=None, day=5000, reserve=0, number=None, automatic=20)
        assert spending_limits({"automatic_limit": 0}).automatic is None

    async def test_options_flow_sets_the_limits(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        flow = await hass.config_entries.options.async_init(entry.entry_id)
        flow = await hass.config_entries.options.async_configure(flow["flow_id"], {"next_step_id": "spending"})
        schema = {str(field): field.default() for field in flow["data_schema"].schema}
        assert schema == {
            "hourly_limit": 600,
            "daily_limit": 1000,
            "critical_reserve": 200,
            "number_limit": 120,
            "automatic_limit": 20,
        }
        await hass.config_entries.options.async_configure(flow["flow_id"], {**schema, "hourly_limit": 1.0})
        await hass.async_block_till_done(wait_background_tasks=True)
        assert entry.options["hourly_limit"] == 1
        assert await send_one(hass) == ("accepted", None)
        assert await send_one(hass) == ("not_sent", "hourly_limit")


class TestCrossing:
    async def test_crossing_fires_one_event_and_raises_one_repair(
        self, hass: HomeAssistant, limited: Any, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        entry = await limited(hourly_limit=2)
        events: list[Event] = async_capture_events(hass, const.EVENT_SPENDING_LIMIT)
        outcomes = [await send_one(hass) for _ in range(5)]
        assert outcomes == [("accepted", None)] * 2 + [("not_sent", "hourly_limit")] * 3
        assert len(sandbox.platform.messages) == 2
        assert [event.data for event in events] == [
            {"config_entry_id": entry.entry_id, "reason": "hourly_limit", "spent": 2, "limit": 2}
        ]
        found = issue(hass, entry, "spending_limit")
        assert found is not None
        assert found.severity is ir.IssueSeverity.ERROR
        assert issue(hass, entry, "spending_close") is None
        await later(hass, freezer, minutes=61)
        assert issue(hass, entry, "spending_limit") is None
        assert await send_one(hass) == ("accepted", None)
        assert await send_one(hass, message="长" * 150) == ("not_sent", "hourly_limit")
        assert len(events) == 2

    async def test_brief_room_does_not_end_the_crossing(
        self, hass: HomeAssistant, limited: Any, freezer: FrozenDateTimeFactory
    ) -> None:
        entry = await limited(hourly_limit=2)
        events = async_capture_events(hass, const.EVENT_SPENDING_LIMIT)
        for _ in range(4):
            assert await send_one(hass, message="长" * 200) == ("not_sent", "hourly_limit")
            await later(hass, freezer, minutes=2)
        assert len(events) == 1
        assert issue(hass, entry, "spending_limit") is not None

    async def test_number_limit_applies_to_one_number(
        self, hass: HomeAssistant, limited: Any, freezer: FrozenDateTimeFactory
    ) -> None:
        entry = await limited(number_limit=1)
        events = async_capture_events(hass, const.EVENT_SPENDING_LIMIT)
        assert [await send_one(hass) for _ in range(2)] == [("accepted", None), ("not_sent", "number_limit")]
        assert await send_one(hass, BOB) == ("accepted", None)
        assert events[0].data["reason"] == "number_limit"
        assert issue(hass, entry, "spending_limit") is not None
        await later(hass, freezer, minutes=11)
        assert issue(hass, entry, "spending_limit") is None

    async def test_refused_message_without_response_raises(self, hass: HomeAssistant, limited: Any) -> None:
        """Only a critical one is refused: others wait, which is no error."""
        await limited(daily_limit=1)
        await send_one(hass)
        await notify(hass, "notify.alice")
        with pytest.raises(HomeAssistantError) as raised:
            await act_without_response(hass, "notify.alice", priority="critical")
        assert "refused. Your own daily spending limit" in str(raised.value.translation_placeholders)


class TestWarning:
    async def test_repair_warns_at_four_fifths_of_the_limit(
        self, hass: HomeAssistant, limited: Any, freezer: FrozenDateTimeFactory
    ) -> None:
        entry = await limited(hourly_limit=5)
        for _ in range(3):
            await send_one(hass)
        assert issue(hass, entry, "spending_close") is None
        await send_one(hass)
        found = issue(hass, entry, "spending_close")
        assert found is not None
        assert found.severity is ir.IssueSeverity.WARNING
        assert found.translation_placeholders == {
            "account": "Home",
            "hour": "4",
            "hour_limit": "5",
            "day": "4",
            "day_limit": "∞",
        }
        await later(hass, freezer, minutes=61)
        assert issue(hass, entry, "spending_close") is None

    async def test_spending_of_an_earlier_run_raises_the_warning(self, hass: HomeAssistant, limited: Any) -> None:
        entry = await limited(hourly_limit=5)
        for _ in range(4):
            await send_one(hass)
        await hass.config_entries.async_reload(entry.entry_id)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert issue(hass, entry, "spending_close") is not None
        await hass.config_entries.async_remove(entry.entry_id)
        assert issue(hass, entry, "spending_close") is None


class TestCritical:
    async def test_critical_message_passes_soft_limits_and_has_a_reserve(
        self, hass: HomeAssistant, limited: Any
    ) -> None:
        await limited(hourly_limit=1, number_limit=1, daily_limit=2, critical_reserve=1)
        assert await send_one(hass) == ("accepted", None)
        assert await send_one(hass) == ("not_sent", "hourly_limit")
        assert await send_one(hass, priority="critical") == ("accepted", None)
        assert await send_one(hass, priority="critical") == ("accepted", None)
        assert await send_one(hass, priority="critical") == ("refused", "daily_limit")


class TestAutomatic:
    """Automatic messages have their own limit, so that two machines cannot reply to each other forever."""

    async def test_automatic_limit_stops_an_answering_automation(
        self, hass: HomeAssistant, limited: Any, sandbox: Sandbox
    ) -> None:
        entry = await limited(automatic_limit=2)
        automation = {
            "alias": "Answer",
            "mode": "queued",
            "triggers": {"trigger": "event", "event_type": const.EVENT_MESSAGE_RECEIVED},
            "actions": {"action": "sms1680.send_message", "data": {"number": ALICE, "message": "收到"}},
        }
        assert await async_setup_component(hass, "automation", {"automation": automation})
        await hass.async_block_till_done()
        events = async_capture_events(hass, const.EVENT_SPENDING_LIMIT)
        for _ in range(4):
            async_fire(hass, const.EVENT_MESSAGE_RECEIVED, {"content": "自动回复"})
            await hass.async_block_till_done(wait_background_tasks=True)
        assert len(sandbox.platform.messages) == 2
        assert [event.data["reason"] for event in events] == ["automatic_limit"]
        assert issue(hass, entry, "spending_limit") is not None
        assert await send_one(hass) == ("accepted", None)

    async def test_automatic_limit_applies_to_the_entity(self, hass: HomeAssistant, limited: Any) -> None:
        await limited(automatic_limit=1)
        context = Context(parent_id=async_fire(hass, const.EVENT_MESSAGE_RECEIVED, {}).id)
        message = {"entity_id": "notify.alice", "message": "收到"}
        await hass.services.async_call("notify", "send_message", message, blocking=True, context=context)
        events = async_capture_events(hass, const.EVENT_MESSAGE_SENT)
        await hass.services.async_call("notify", "send_message", message, blocking=True, context=context)
        assert [(event.data["outcome"], event.data["reason"]) for event in events] == [("not_sent", "automatic_limit")]

    async def test_service_number_is_rejected(self, hass: HomeAssistant, limited: Any, sandbox: Sandbox) -> None:
        await limited()
        for number in ("10086", "106900001680", "95588"):
            with pytest.raises(HomeAssistantError):
                await send_one(hass, number)
        assert sandbox.platform.messages == []


async def test_unknown_spending_changes_no_repair(
    hass: HomeAssistant, limited: Any, freezer: FrozenDateTimeFactory
) -> None:
    entry = await limited(hourly_limit=5)
    for _ in range(4):
        await send_one(hass)
    ledger = entry.runtime_data.client.failover.http._guard._ledger
    ledger._database.execute("ALTER TABLE spent RENAME TO elsewhere")
    await later(hass, freezer, minutes=61)
    assert issue(hass, entry, "spending_close") is not None
    ledger._database.execute("ALTER TABLE elsewhere RENAME TO spent")
    await later(hass, freezer, seconds=61)
    assert issue(hass, entry, "spending_close") is None


async def test_failing_ledger_is_replaced_and_the_limits_hold(hass: HomeAssistant, limited: Any) -> None:
    """Messages are still sent: a failing counter must not stop an alarm."""
    entry = await limited(hourly_limit=2)
    ledger = entry.runtime_data.client.failover.http._guard._ledger
    ledger._database.execute("ALTER TABLE spent RENAME TO elsewhere")
    assert await send_one(hass) == ("accepted", None)
    assert await send_one(hass) == ("accepted", None)
    assert await send_one(hass) == ("not_sent", "hourly_limit")
