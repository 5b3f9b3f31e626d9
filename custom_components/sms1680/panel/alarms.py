"""Collect the alarms of duty groups for the page, as a user may see them."""

from collections.abc import Iterator
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import HomeAssistant

from ..const import ATTR_CONFIG_ENTRY_ID, DOMAIN
from ..duty.engine import DutyAlarm
from ..duty.manager import alarm_manager
from ..duty.report import iso_time, logged_data, names_of
from ..store.manager import stores_texts
from .access import Viewer

_LEVELS: Final = ("on_duty", "next", "all")


def alarms(hass: HomeAssistant, viewer: Viewer, limit: int) -> list[dict[str, Any]]:
    """Return the open alarms of loaded accounts, and the newest closed ones, newest first.

    limit: of the closed ones.
    """
    found = sorted(_readable(hass, viewer), key=lambda one: one[2].raised_at, reverse=True)
    opened = [one for one in found if one[2].is_open]
    closed = [one for one in found if not one[2].is_open]
    return [_alarm(viewer, *one) for one in (*opened, *closed[:limit])]


def find_alarm(hass: HomeAssistant, viewer: Viewer, alarm_id: str) -> DutyAlarm | None:
    """Return the alarm with this id, None if there is none that the user may read."""
    return next((alarm for _, _, alarm in _readable(hass, viewer) if alarm.id == alarm_id), None)


def _readable(
    hass: HomeAssistant, viewer: Viewer
) -> Iterator[tuple[ConfigEntry[Any], ConfigSubentry | None, DutyAlarm]]:
    for entry in hass.config_entries.async_loaded_entries(DOMAIN):
        for alarm in alarm_manager(hass, entry).alarms:
            if viewer.may_read_group(entry.entry_id, alarm.group):
                yield entry, entry.subentries.get(alarm.group), alarm


def _alarm(viewer: Viewer, entry: ConfigEntry[Any], group: ConfigSubentry | None, alarm: DutyAlarm) -> dict[str, Any]:
    return {
        "id": alarm.id,
        ATTR_CONFIG_ENTRY_ID: entry.entry_id,
        "group": group.title if group else None,
        "number": alarm.number,
        "key": alarm.key,
        "text": alarm.text if stores_texts(entry) else None,
        "count": alarm.count,
        "state": alarm.state.value,
        "level": _LEVELS[alarm.level],
        "raised_at": iso_time(alarm.raised_at),
        "closed_at": iso_time(alarm.closed_at) if alarm.closed_at is not None else None,
        "until": iso_time(alarm.until) if alarm.until is not None else None,
        "texted": names_of(entry, alarm.texted),
        "by": alarm.by,
        "can_control": alarm.is_open and viewer.may_control_group(entry.entry_id, alarm.group),
        "steps": [dict(logged_data(entry, step)) for step in alarm.steps],
    }
