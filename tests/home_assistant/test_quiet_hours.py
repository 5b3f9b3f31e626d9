"""Quiet hours delay messages that are not critical: over midnight, clock changes and restarts. They drop none."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Event, HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.sms1680 import const
from custom_components.sms1680.outbound.quiet_hours import QuietHours
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    MakeEntry,
    SetUp,
    act,
    enter_recipient,
    notify,
    recipient,
    send,
    sent,
    start_recipient,
)

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
QUIET = {const.CONF_QUIET_FROM: "22:00:00", const.CONF_QUIET_TO: "07:00:00", const.CONF_TIME_ZONE: "Asia/Shanghai"}
EVENING = datetime(2026, 5, 1, 23, 30, tzinfo=SHANGHAI)
MORNING = datetime(2026, 5, 2, 7, 0, tzinfo=SHANGHAI)


class TestHours:
    """The hours themselves, without Home Assistant."""

    @pytest.mark.parametrize(
        ("clock", "end"),
        [("21:59:59", None), ("22:00:00", 2), ("23:59:59", 2), ("00:00:00", 1), ("06:59:59", 1), ("07:00:00", None)],
    )
    def test_hours_can_span_midnight(self, clock: str, end: int | None) -> None:
        hours = QuietHours(time(22), time(7), SHANGHAI)
        moment = datetime.combine(EVENING.date(), time.fromisoformat(clock), SHANGHAI)
        assert hours.end_of(moment) == (end and datetime(2026, 5, end, 7, tzinfo=SHANGHAI))

    def test_hours_can_be_within_a_day(self) -> None:
        hours = QuietHours(time(12, 30), time(14), SHANGHAI)
        assert hours.end_of(datetime(2026, 5, 1, 13, tzinfo=SHANGHAI)) == datetime(2026, 5, 1, 14, tzinfo=SHANGHAI)
        assert hours.end_of(datetime(2026, 5, 1, 14, tzinfo=SHANGHAI)) is None

    def test_moment_can_be_in_any_zone(self) -> None:
        hours = QuietHours(time(22), time(7), SHANGHAI)
        assert hours.end_of(datetime(2026, 5, 1, 15, 30, tzinfo=UTC)) == MORNING
        assert hours.end_of(datetime(2026, 5, 1, 13, 30, tzinfo=UTC)) is None

    def test_night_that_loses_an_hour(self) -> None:
        """2026-03-29 02:00 becomes 03:00: seven of the clock is six hours after midnight."""
        hours = QuietHours(time(22), time(7), BERLIN)
        end = hours.end_of(datetime(2026, 3, 28, 23, tzinfo=UTC))
        assert end == datetime(2026, 3, 29, 5, tzinfo=UTC)

    def test_end_that_the_clock_skips(self) -> None:
        """Half past two is then either half past one or half past three: the later."""
        hours = QuietHours(time(22), time(2, 30), BERLIN)
        assert hours.end_of(datetime(2026, 3, 29, 0, 45, tzinfo=UTC)) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)

    def test_end_that_occurs_twice_is_the_later_one(self) -> None:
        """2026-10-25 03:00 becomes 02:00: the first 02:30 is still in quiet hours."""
        hours = QuietHours(time(22), time(2, 30), BERLIN)
        assert hours.end_of(datetime(2026, 10, 25, 0, 45, tzinfo=UTC)) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)

    def test_no_quiet_hours(self) -> None:
        assert QuietHours.create(None, time(7), SHANGHAI) is None
        assert QuietHours.create(time(7), time(7), SHANGHAI) is None


@pytest.fixture
async def quiet_entry(make_entry: MakeEntry, set_up: SetUp, freezer: FrozenDateTimeFactory) -> MockConfigEntry:
    """Return an account at 23:30, whose recipient Alice has quiet hours and Bob has none."""
    freezer.move_to(EVENING)
    made = make_entry(recipients=[recipient("Alice", ALICE, **QUIET), recipient("Bob", BOB)])
    await set_up(made)
    return made


async def wait_until(hass: HomeAssistant, freezer: FrozenDateTimeFactory, moment: datetime) -> None:
    freezer.move_to(moment)
    async_fire_time_changed(hass, moment)
    await hass.async_block_till_done(wait_background_tasks=True)


@pytest.mark.usefixtures("quiet_entry")
class TestDelay:
    async def test_message_waits_for_the_morning(
        self, hass: HomeAssistant, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        events: list[Event] = async_capture_events(hass, const.EVENT_DELAYED_MESSAGE)
        alice, bob = await send(hass, entity_id=["notify.alice", "notify.bob"])
        assert (bob["outcome"], bob["delayed_until"], bob["reason"]) == ("accepted", None, None)
        assert (alice["outcome"], alice["reason"], alice["message_id"]) == ("not_sent", "quiet_hours", None)
        assert datetime.fromisoformat(alice["delayed_until"]) == MORNING
        await wait_until(hass, freezer, MORNING - timedelta(seconds=1))
        assert sent(sandbox) == [(BOB, "门开了")]
        await wait_until(hass, freezer, MORNING)
        assert sent(sandbox) == [(BOB, "门开了"), (ALICE, "门开了")]
        (event,) = events
        assert {name: event.data[name] for name in ("number", "recipient", "subentry_id", "outcome", "reason")} == {
            "number": ALICE,
            "recipient": "Alice",
            "subentry_id": "alice",
            "outcome": "accepted",
            "reason": None,
        }
        assert event.data["message_id"]
        assert datetime.fromisoformat(event.data["since"]) == EVENING
        await wait_until(hass, freezer, MORNING + timedelta(days=1))
        assert len(sent(sandbox)) == 2

    async def test_critical_message_is_not_delayed(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        (alice,) = await send(hass, entity_id="notify.alice", priority="critical")
        assert (alice["outcome"], alice["delayed_until"]) == ("accepted", None)
        assert sent(sandbox) == [(ALICE, "门开了")]

    async def test_delayed_message_of_the_entity_is_no_error(
        self, hass: HomeAssistant, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        await notify(hass, "notify.alice")
        assert sent(sandbox) == []
        await wait_until(hass, freezer, MORNING)
        assert sent(sandbox) == [(ALICE, "门开了")]

    async def test_raw_number_of_a_recipient_in_a_batch_is_delayed(
        self, hass: HomeAssistant, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        rows = [{"number": ALICE, "values": ["后门"]}, {"number": BOB, "values": ["前门"]}]
        await act(hass, "send_template", template="{A}开了", rows=rows)
        await wait_until(hass, freezer, MORNING)
        assert sent(sandbox) == [(BOB, "前门开了"), (ALICE, "后门开了")]

    async def test_delayed_messages_keep_their_order(
        self, hass: HomeAssistant, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        for text in ("一", "二", "三"):
            await send(hass, entity_id="notify.alice", message=text)
        await wait_until(hass, freezer, MORNING)
        assert sent(sandbox) == [(ALICE, "一"), (ALICE, "二"), (ALICE, "三")]

    async def test_scheduled_time_decides_about_quiet_hours(
        self, hass: HomeAssistant, freezer: FrozenDateTimeFactory
    ) -> None:
        freezer.move_to(MORNING)
        (alice,) = await send(hass, entity_id="notify.alice", at=(MORNING + timedelta(hours=16)).isoformat())
        assert datetime.fromisoformat(alice["delayed_until"]) == MORNING + timedelta(days=1)
        (alice,) = await send(hass, entity_id="notify.alice", at=(MORNING + timedelta(hours=4)).isoformat())
        assert alice["outcome"] == "accepted"


async def test_delayed_message_survives_a_restart(
    hass: HomeAssistant, quiet_entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    await send(hass, entity_id="notify.alice")
    assert await hass.config_entries.async_unload(quiet_entry.entry_id)
    freezer.move_to(MORNING + timedelta(hours=1))
    assert sent(sandbox) == []
    assert await hass.config_entries.async_setup(quiet_entry.entry_id)
    await wait_until(hass, freezer, MORNING + timedelta(hours=1, seconds=1))
    assert sent(sandbox) == [(ALICE, "门开了")]


async def test_changed_quiet_hours_apply_to_delayed_messages(
    hass: HomeAssistant, quiet_entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    await send(hass, entity_id="notify.alice")
    subentry = quiet_entry.subentries["alice"]
    hass.config_entries.async_update_subentry(
        quiet_entry, subentry, data={**subentry.data, const.CONF_QUIET_TO: "08:00:00"}
    )
    await wait_until(hass, freezer, MORNING)
    assert sent(sandbox) == []
    await wait_until(hass, freezer, MORNING + timedelta(hours=1))
    assert sent(sandbox) == [(ALICE, "门开了")]


class TestDialog:
    """Quiet hours are set in the dialog of the recipient, and are off by default."""

    async def _reconfigure(self, hass: HomeAssistant, entry: MockConfigEntry, **given: Any) -> Any:
        flow = await start_recipient(hass, entry, "alice")
        return await enter_recipient(hass, flow, {"name": "Alice", "number": ALICE, **given})

    async def test_settings_are_stored(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        assert const.CONF_QUIET_FROM not in entry.subentries["alice"].data
        result = await self._reconfigure(hass, entry, **QUIET, keep_trying={"hours": 6}, fallback=["notify.bob"])
        assert result["type"] is FlowResultType.ABORT
        assert result["reason"] == "reconfigure_successful"
        assert entry.subentries["alice"].data == {
            "number": ALICE,
            **QUIET,
            "keep_trying": {"hours": 6},
            "fallback": ["notify.bob"],
        }
        await self._reconfigure(hass, entry, keep_trying={"hours": 0, "minutes": 0, "seconds": 0})
        assert entry.subentries["alice"].data == {"number": ALICE}

    @pytest.mark.parametrize(
        ("wrong", "errors"),
        [
            ({"quiet_from": "22:00:00"}, {"quiet_hours": "both_times"}),
            ({"quiet_to": "07:00:00"}, {"quiet_hours": "both_times"}),
            ({"quiet_from": "07:00", "quiet_to": "07:00:00"}, {"quiet_hours": "same_time"}),
            ({"time_zone": "Moon/Crater"}, {"quiet_hours": "invalid_time_zone"}),
        ],
    )
    async def test_invalid_settings_show_errors(
        self, hass: HomeAssistant, entry: MockConfigEntry, wrong: dict[str, str], errors: dict[str, str]
    ) -> None:
        result = await self._reconfigure(hass, entry, **wrong)
        assert (result["type"], result["errors"]) == (FlowResultType.FORM, errors)
        result = await enter_recipient(hass, result, {"name": "Alice", "number": ALICE, **QUIET})
        assert result["type"] is FlowResultType.ABORT
