"""Who is on duty: by a calendar and its events, by schedules, or always all; and the dialogs of a group."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.calendar import CalendarEntity, CalendarEvent
from homeassistant.config_entries import SOURCE_RECONFIGURE, SOURCE_USER, SubentryFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockEntityPlatform

from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, BOB, MakeEntry, SetUp, act, duty_group, later, numbers, recipient


@pytest.fixture
def expected_lingering_timers() -> bool:
    """A calendar's own timer ends with Home Assistant only."""
    return True


NOON = "2026-01-05 12:00:00+00:00"


def on_duty(hass: HomeAssistant) -> str:
    state = hass.states.get("sensor.watch_on_duty")
    assert state is not None
    return state.state


class Calendar(CalendarEntity):
    """A calendar with events from one hour of the day to another."""

    _attr_name = "Duty"
    entity_id = "calendar.duty"

    def __init__(self, *events: tuple[str, int, int]) -> None:
        start = datetime(2026, 1, 5, tzinfo=dt_util.UTC)
        self.events = [
            CalendarEvent(start + timedelta(hours=begin), start + timedelta(hours=end), title)
            for title, begin, end in events
        ]
        self.problem: type[Exception] | None = None
        self.reads = 0

    @property
    def event(self) -> CalendarEvent | None:
        now = dt_util.utcnow()
        return next((one for one in self.events if one.start_datetime_local <= now < one.end_datetime_local), None)

    async def async_get_events(self, _: HomeAssistant, start_date: datetime, end_date: datetime) -> list[Any]:
        self.reads += 1
        if self.problem is not None:
            raise self.problem
        return [
            one for one in self.events if one.end_datetime_local > start_date and one.start_datetime_local < end_date
        ]


async def add_calendar(hass: HomeAssistant, calendar: Calendar) -> Calendar:
    assert await async_setup_component(hass, "calendar", {})
    await MockEntityPlatform(hass, domain="calendar").async_add_entities([calendar])
    await hass.async_block_till_done()
    return calendar


async def add_group(make_entry: MakeEntry, set_up: SetUp, **group: Any) -> MockConfigEntry:
    entry = make_entry(recipients=[recipient("Alice", ALICE), recipient("Bob", BOB), duty_group(**group)])
    await set_up(entry)
    return entry


BY_CALENDAR = {"rota": "calendar", "calendar": "calendar.duty"}


async def test_event_of_a_calendar_names_who_is_on_duty(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(NOON)
    await add_calendar(hass, Calendar(("Duty: Alice", 8, 13), ("BOB (evening)", 13, 20), ("Cleaning", 8, 20)))
    await add_group(make_entry, set_up, **BY_CALENDAR)
    assert on_duty(hass) == "Alice"
    await act(hass, "raise_alarm", group="Watch", message="Smoke")
    await hass.async_block_till_done(wait_background_tasks=True)
    assert numbers(sandbox) == [ALICE]
    await later(hass, freezer, minutes=4)
    assert numbers(sandbox) == [ALICE]
    freezer.move_to("2026-01-05 12:59:59+00:00")
    await act(hass, "acknowledge", group="Watch")
    await act(hass, "raise_alarm", group="Watch", message="Water")
    await hass.async_block_till_done(wait_background_tasks=True)
    before = len(sandbox.platform.messages)
    await later(hass, freezer, seconds=2)
    assert on_duty(hass) == "Bob"
    assert [message.number for message in sandbox.platform.messages[before:]] == [BOB], "the shift changed"
    await later(hass, freezer, hours=8)
    assert on_duty(hass) == "unknown", "nobody is on duty"


async def test_new_event_counts_when_the_calendar_changes_or_an_alarm_is_raised(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(NOON)
    calendar = await add_calendar(hass, Calendar())
    await add_group(make_entry, set_up, **BY_CALENDAR)
    assert on_duty(hass) == "unknown"
    calendar.events = Calendar(("Bob", 0, 24)).events
    await act(hass, "raise_alarm", group="Watch", message="Smoke")
    await hass.async_block_till_done(wait_background_tasks=True)
    assert numbers(sandbox) == [BOB]
    assert on_duty(hass) == "Bob"
    calendar.events = Calendar(("Alice", 0, 24)).events
    calendar.async_write_ha_state()
    await hass.async_block_till_done(wait_background_tasks=True)
    assert on_duty(hass) == "Alice"


@pytest.mark.parametrize("problem", [HomeAssistantError, ConnectionError, KeyError])
async def test_calendar_that_cannot_be_read_holds_no_alarm_back(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    sandbox: Sandbox,
    freezer: FrozenDateTimeFactory,
    caplog: pytest.LogCaptureFixture,
    problem: type[Exception],
) -> None:
    freezer.move_to(NOON)
    calendar = Calendar(("Alice", 8, 13))
    calendar.problem = problem
    await add_calendar(hass, calendar)
    await add_group(make_entry, set_up, **BY_CALENDAR)
    assert on_duty(hass) == "Alice", "the state of the calendar has the event that is going on"
    assert "calendar.duty of a duty group could not be read" in caplog.text
    calendar.events = []
    calendar.async_write_ha_state()
    await act(hass, "raise_alarm", group="Watch", message="Smoke")
    await hass.async_block_till_done(wait_background_tasks=True)
    assert numbers(sandbox) == [ALICE], "the last known events count"
    await later(hass, freezer, minutes=5)
    assert numbers(sandbox) == [ALICE, BOB], "the alarm goes on"


async def test_everybody_is_texted_while_the_calendar_is_missing(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
) -> None:
    await add_group(make_entry, set_up, **BY_CALENDAR)
    await act(hass, "raise_alarm", group="Watch", message="Smoke")
    await hass.async_block_till_done(wait_background_tasks=True)
    assert numbers(sandbox) == [ALICE, BOB]


@pytest.mark.parametrize(
    ("schedules", "expected"),
    [
        ({"schedule.one": ("on", {"friendly_name": "Alice at night"})}, "Alice"),
        ({"schedule.one": ("on", {"friendly_name": "Alice", "who": "Bob"})}, "Bob"),
        ({"schedule.one": ("on", {"friendly_name": "Nights", "next_event": "Alice"})}, "Alice, Bob"),
        ({"schedule.one": ("off", {"friendly_name": "Alice"})}, "unknown"),
        (
            {
                "schedule.one": ("on", {"friendly_name": "Alice"}),
                "schedule.two": ("on", {"friendly_name": "Bob"}),
            },
            "Alice, Bob",
        ),
        ({}, "unknown"),
    ],
)
async def test_schedules_that_are_on_say_who_is_on_duty(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    schedules: dict[str, tuple[str, dict[str, str]]],
    expected: str,
) -> None:
    await add_group(make_entry, set_up, rota="schedule", schedules=["schedule.one", "schedule.two"])
    for entity_id, (state, attributes) in schedules.items():
        hass.states.async_set(entity_id, state, attributes)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert on_duty(hass) == expected


# --- the dialogs ---


async def start(hass: HomeAssistant, entry: MockConfigEntry, subentry_id: str | None = None) -> SubentryFlowResult:
    context: Any = {"source": SOURCE_USER}
    if subentry_id is not None:
        context = {"source": SOURCE_RECONFIGURE, "subentry_id": subentry_id}
    return await hass.config_entries.subentries.async_init((entry.entry_id, "group"), context=context)


async def enter(hass: HomeAssistant, result: SubentryFlowResult, **given: Any) -> SubentryFlowResult:
    data = {"name": "Watch", "members": ["bob", "alice"], "rota": "always", **given}
    times = {"next_after": 5, "all_after": 5, "repeat_every": 0, "repeat_for": 60}
    result = await hass.config_entries.subentries.async_configure(result["flow_id"], {**times, **data})
    await hass.async_block_till_done(wait_background_tasks=True)
    return result


async def test_group_is_added_changed_and_removed_without_a_reload(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, unloaded: list[str]
) -> None:
    result = await start(hass, entry)
    assert (result["type"], result["step_id"]) == (FlowResultType.FORM, "user")
    result = await enter(hass, result, name=" Watch ")
    assert (result["type"], result["title"]) == (FlowResultType.CREATE_ENTRY, "Watch")
    group = next(one for one in entry.subentries.values() if one.subentry_type == "group")
    assert dict(group.data) == {
        "members": ["bob", "alice"],
        "rota": "always",
        "next_after": 5,
        "all_after": 5,
        "repeat_every": 0,
        "repeat_for": 60,
    }
    assert on_duty(hass) == "Bob, Alice"
    entity = er.async_get(hass).async_get("notify.watch")
    assert entity is not None
    device = dr.async_get(hass).async_get(entity.device_id or "")
    assert device is not None
    assert device.model_id == "group"
    await act(hass, "raise_alarm", group=device.id, message="Smoke")
    await hass.async_block_till_done(wait_background_tasks=True)
    assert numbers(sandbox) == [ALICE, BOB]
    hass.states.async_set("schedule.bob", "on", {"friendly_name": "Bob"})
    result = await start(hass, entry, group.subentry_id)
    result = await enter(hass, result, name="Guard", rota="schedule", schedules=["schedule.bob"])
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    assert on_duty(hass) == "Bob"
    renamed = dr.async_get(hass).async_get(device.id)
    assert renamed is not None
    assert renamed.name == "Guard"
    hass.config_entries.async_remove_subentry(entry, group.subentry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert hass.states.get("sensor.watch_on_duty") is None
    assert not unloaded


@pytest.mark.parametrize(
    ("wrong", "errors"),
    [
        ({"name": " "}, {"name": "empty"}),
        ({"name": "Alice"}, {"name": "name_taken"}),
        ({"members": []}, {"members": "no_members"}),
        ({"rota": "calendar"}, {"calendar": "no_calendar"}),
        ({"rota": "schedule"}, {"schedules": "no_schedules"}),
    ],
)
async def test_wrong_input_is_reported_and_can_be_corrected(
    hass: HomeAssistant, entry: MockConfigEntry, wrong: dict[str, Any], errors: dict[str, str]
) -> None:
    result = await enter(hass, await start(hass, entry), **wrong)
    assert (result["type"], result["errors"]) == (FlowResultType.FORM, errors)
    result = await enter(hass, result)
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_group_needs_a_recipient(hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp) -> None:
    entry = make_entry(recipients=[])
    await set_up(entry)
    result = await start(hass, entry)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "no_recipient")
