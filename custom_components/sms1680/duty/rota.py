"""Who is on duty now: by a calendar, by schedules, or always all members of a group."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.const import ATTR_ENTITY_ID, ATTR_FRIENDLY_NAME, STATE_ON, STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, State, callback
from homeassistant.helpers.event import (
    async_track_point_in_utc_time,
    async_track_state_change_event,
    async_track_time_interval,
)
from homeassistant.util import dt as dt_util

from ..const import CONF_CALENDAR, CONF_ROTA, CONF_SCHEDULES, DOMAIN, ROTA_ALWAYS, ROTA_CALENDAR
from .engine import DutyPeriod, named_members
from .groups import member_names

_LOGGER = logging.getLogger(__name__)

_AHEAD: Final = timedelta(hours=25)
_REFRESH_INTERVAL: Final = timedelta(minutes=15)
# Seconds. A calendar on the internet that hangs must not hold an alarm back.
_TIMEOUT: Final = 5.0
_NO_DATA: Final = {ATTR_FRIENDLY_NAME, "icon", "editable", "next_event"}
_UNUSABLE: Final = (STATE_UNAVAILABLE, STATE_UNKNOWN)


class DutyRota:
    """Follows who is on duty in one group.

    on_change: called when somebody else is on duty. on_duty: the members in their order; empty if nobody is, or if that
    cannot be found out.
    """

    def __init__(
        self, hass: HomeAssistant, entry: ConfigEntry[Any], group: ConfigSubentry, on_change: Callable[[], None]
    ) -> None:
        self.on_duty: list[str] = []
        self.group = group
        self._hass = hass
        self._entry = entry
        self._on_change = on_change
        self._periods: list[DutyPeriod] = []
        self._unsubscribe: list[CALLBACK_TYPE] = []
        self._next_change: CALLBACK_TYPE | None = None
        self._update_job = HassJob(self.update, f"{DOMAIN} shift change", cancel_on_shutdown=True)

    @property
    def _sources(self) -> list[str]:
        """The entities that say who is on duty."""
        rota, data = self.group.data[CONF_ROTA], self.group.data
        if rota == ROTA_ALWAYS:
            return []
        return [data[CONF_CALENDAR]] if rota == ROTA_CALENDAR else list(data[CONF_SCHEDULES])

    @callback
    def async_start(self) -> None:
        """Follow the calendar or the schedules."""
        if sources := self._sources:
            self._unsubscribe = [async_track_state_change_event(self._hass, sources, self._refresh)]
        if self.group.data[CONF_ROTA] == ROTA_CALENDAR:
            interval = async_track_time_interval(self._hass, self._refresh, _REFRESH_INTERVAL, cancel_on_shutdown=True)
            self._unsubscribe.append(interval)
        self._refresh()

    @callback
    def async_stop(self) -> None:
        """Stop following."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = []
        if self._next_change is not None:
            self._next_change()
            self._next_change = None

    async def async_refresh(self) -> None:
        """Find out who is on duty now. If the calendar cannot be read, its last known events count."""
        if self.group.data[CONF_ROTA] == ROTA_CALENDAR:
            state = self._hass.states.get(self.group.data[CONF_CALENDAR])
            if state is not None and state.state not in _UNUSABLE:
                await self._async_read_calendar(state)
        self.update()

    @callback
    def update(self, _: datetime | None = None) -> None:
        """Apply who is on duty now, and plan the next change."""
        on_duty = self._current()
        changed, self.on_duty = on_duty != self.on_duty, on_duty
        if self._next_change is not None:
            self._next_change()
            self._next_change = None
        now = dt_util.utcnow().timestamp()
        times = {time for period in self._periods for time in (period.start, period.end) if time > now}
        if times and self._unsubscribe:
            when = dt_util.utc_from_timestamp(min(times))
            self._next_change = async_track_point_in_utc_time(self._hass, self._update_job, when)
        if changed:
            self._on_change()

    @callback
    def _refresh(self, _: object = None) -> None:
        self._hass.async_create_task(self.async_refresh(), f"{DOMAIN} duty rota")

    def _current(self) -> list[str]:
        names = member_names(self._entry, self.group)
        rota = self.group.data[CONF_ROTA]
        if rota == ROTA_ALWAYS:
            return list(names)
        if rota == ROTA_CALENDAR:
            now = dt_util.utcnow().timestamp()
            return named_members(names, (period.title for period in self._periods if period.contains(now)))
        found: set[str] = set()
        for entity_id in self.group.data[CONF_SCHEDULES]:
            state = self._hass.states.get(entity_id)
            if state is not None and state.state == STATE_ON:
                found.update(_named_by_schedule(names, state))
        return [member for member in names if member in found]

    async def _async_read_calendar(self, state: State) -> None:
        """Read the coming events; if that fails, add the event in the calendar's state to the last known ones."""
        now = dt_util.utcnow()
        data = {
            ATTR_ENTITY_ID: state.entity_id,
            "start_date_time": now.isoformat(),
            "end_date_time": (now + _AHEAD).isoformat(),
        }
        try:
            async with asyncio.timeout(_TIMEOUT):
                response: Any = await self._hass.services.async_call(
                    "calendar", "get_events", data, blocking=True, return_response=True
                )
            events = response[state.entity_id]["events"]
            self._periods = [_period(event["start"], event["end"], event.get("summary")) for event in events]
        except Exception as error:  # noqa: BLE001 - calendars are other integrations, which raise anything
            _LOGGER.warning("%s of a duty group could not be read (%s)", state.entity_id, type(error).__name__)
            if "message" in (given := state.attributes):
                period = _period(given["start_time"], given["end_time"], given["message"])
                self._periods = [*(one for one in self._periods if one != period), period]


def _named_by_schedule(names: Mapping[str, str], state: State) -> Iterable[str]:
    """Return the members that the data of a schedule's block names, else those in its name, else all."""
    data = [str(value) for name, value in state.attributes.items() if name not in _NO_DATA]
    return named_members(names, data) or named_members(names, [state.name]) or names


def _period(start: str, end: str, title: str | None) -> DutyPeriod:
    """Return an event of a calendar; its times are dates, or have a zone or Home Assistant's."""
    times = []
    for text in (start, end):
        moment = datetime.fromisoformat(text)
        times.append(moment if moment.tzinfo else moment.replace(tzinfo=dt_util.get_default_time_zone()))
    return DutyPeriod(times[0].timestamp(), times[1].timestamp(), title or "")
