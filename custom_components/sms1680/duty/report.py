"""The event of each step of an alarm."""

from collections.abc import Iterable, Mapping
from typing import Any

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.util import dt as dt_util

from ..const import ATTR_CONFIG_ENTRY_ID, EVENT_ALARM, signal_alarm
from ..events.context import async_fire, event_context
from .engine import DutyAlarm, LoggedStep


@callback
def async_fire_step(
    hass: HomeAssistant, entry: ConfigEntry[Any], alarm: DutyAlarm, step: LoggedStep, caller: Context | None
) -> None:
    """Fire the bus event of a step, and send it to the entities and the page. caller: of the action that made it."""
    data = step_data(entry, alarm, step)
    with event_context(async_fire(hass, EVENT_ALARM, data, caller)):
        async_dispatcher_send(hass, signal_alarm(entry.entry_id), data)


def step_data(entry: ConfigEntry[Any], alarm: DutyAlarm, step: LoggedStep) -> dict[str, Any]:
    """Return the data of the event of a step."""
    group = entry.subentries.get(alarm.group)
    return {
        ATTR_CONFIG_ENTRY_ID: entry.entry_id,
        "subentry_id": alarm.group,
        "group": group.title if group else None,
        "alarm": alarm.id,
        "number": alarm.number,
        "key": alarm.key,
        "message": alarm.text,
        "count": alarm.count,
        "raised_at": iso_time(alarm.raised_at),
        "state": alarm.state.value,
        **logged_data(entry, step),
    }


def logged_data(entry: ConfigEntry[Any], step: LoggedStep) -> Mapping[str, Any]:
    """Return the fields of a step itself. members: the names of those who are texted."""
    return {
        "step": step.step.value,
        "time": iso_time(step.at),
        "members": names_of(entry, step.members),
        "by": step.by,
        "until": iso_time(step.until) if step.until is not None else None,
    }


def names_of(entry: ConfigEntry[Any], members: Iterable[str]) -> list[str]:
    """Return the names of members, without those that were removed from the account."""
    return [entry.subentries[member].title for member in members if member in entry.subentries]


def iso_time(timestamp: float) -> str:
    """Return a time as ISO 8601, UTC."""
    return dt_util.utc_from_timestamp(timestamp).isoformat()
