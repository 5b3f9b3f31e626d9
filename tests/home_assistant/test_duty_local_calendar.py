"""A shift change in Home Assistant's own calendar, while two alarms are open."""

from __future__ import annotations

from pathlib import Path

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.client import Reply
from custom_components.sms1680.duty.manager import alarm_manager
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    SIGNED,
    MakeEntry,
    SetUp,
    act,
    duty_group,
    later,
    receive,
    recipient,
)

# Imported before the time is frozen: an old version of its requirement pydantic defines subclasses of `date`.
pytest.importorskip("ical.calendar_stream", reason="the requirement of local_calendar")
CALENDAR = "calendar.duty"


@pytest.fixture
def expected_lingering_timers() -> bool:
    """A calendar's own timer ends with Home Assistant only."""
    return True


@pytest.fixture(autouse=True)
def _storage(hass: HomeAssistant) -> None:
    """The folder of the calendar's file."""
    Path(hass.config.path(".storage")).mkdir(exist_ok=True)


@pytest.fixture
async def calendar(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> str:
    """A local calendar in which Alice is on duty until noon, and Bob from then on."""
    await hass.config.async_set_time_zone("UTC")
    freezer.move_to("2026-01-05 11:50:00+00:00")
    entry = MockConfigEntry(domain="local_calendar", data={"calendar_name": "Duty", "storage_key": "duty"})
    entry.add_to_hass(hass)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    for name, begin, end in (("Duty: Alice", 8, 12), ("Duty: Bob", 12, 20)):
        event = {
            "entity_id": CALENDAR,
            "summary": name,
            "start_date_time": f"2026-01-05 {begin:02}:00:00",
            "end_date_time": f"2026-01-05 {end:02}:00:00",
        }
        await hass.services.async_call("calendar", "create_event", event, blocking=True)
    return CALENDAR


def sent_since(sandbox: Sandbox, place: int) -> list[tuple[str, str]]:
    messages = sandbox.platform.messages[place:]
    return sorted((one.number, one.text.removeprefix(SIGNED).split("\n")[0]) for one in messages)


async def test_two_open_alarms_follow_the_shift_change(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    calendar: str,
    sandbox: Sandbox,
    freezer: FrozenDateTimeFactory,
) -> None:
    group = duty_group(rota="calendar", calendar=calendar, next_after=30)
    entry = make_entry(recipients=[recipient("Alice", ALICE), recipient("Bob", BOB), group])
    await set_up(entry)
    state = hass.states.get("sensor.watch_on_duty")
    assert state is not None
    assert state.state == "Alice"
    for text in ("Smoke", "Water"):
        await act(hass, "raise_alarm", group="Watch", message=text)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert sent_since(sandbox, 0) == [(ALICE, "Smoke"), (ALICE, "Water")]
    await receive(hass, entry, Reply(ALICE, "1 1"))
    await hass.async_block_till_done(wait_background_tasks=True)
    before = len(sandbox.platform.messages)
    freezer.move_to("2026-01-05 11:59:59+00:00")
    await later(hass, freezer, seconds=2)
    state = hass.states.get("sensor.watch_on_duty")
    assert state is not None
    assert state.state == "Bob"
    assert (BOB, "Water") in sent_since(sandbox, before)
    assert (BOB, "Smoke") not in sent_since(sandbox, before), "Alice has taken it"
    await receive(hass, entry, Reply(BOB, "1"))
    await hass.async_block_till_done(wait_background_tasks=True)
    assert [alarm.by for alarm in alarm_manager(hass, entry).alarms] == ["Alice", "Bob"]
