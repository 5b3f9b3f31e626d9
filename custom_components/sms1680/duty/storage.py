"""The stored alarms of an account: all open ones, and the latest closed ones for the page."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from ..const import CONF_KEEP_DAYS, DEFAULT_KEEP_DAYS, DOMAIN
from ..store.cached_store import CachedStore
from ..store.manager import stores_texts
from .engine import DutyAlarm

_LOGGER = logging.getLogger(__name__)

_VERSION: Final = 1
_MAX_CLOSED: Final = 100


class AlarmStorage:
    """Loads and saves the alarms of one account. Each save is on the disk when it ends."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
        self._entry = entry
        self._store = _store(hass, entry.entry_id)

    async def async_load(self) -> tuple[list[DutyAlarm], float]:
        """Return the alarms, oldest first, and the time of the last save."""
        stored = await self._store.async_load() or {"alarms": [], "saved_at": 0.0}
        alarms = []
        for one in stored["alarms"]:
            try:
                alarms.append(DutyAlarm.from_json(one))
            except (KeyError, TypeError, ValueError):
                _LOGGER.error("An alarm was stored by another version in a form that this version cannot read")  # noqa: TRY400
        return alarms, stored["saved_at"]

    async def async_save(self, alarms: Iterable[DutyAlarm]) -> None:
        """Save the alarms. Home Assistant logs an error of the disk."""
        kept = [alarm.as_json() for alarm in alarms if alarm.is_open or alarm.outbox or self._keeps_closed]
        await self._store.async_save({"alarms": kept, "saved_at": dt_util.utcnow().timestamp()})

    def pruned(self, alarms: Iterable[DutyAlarm], now: float) -> list[DutyAlarm]:
        """Return the alarms without closed ones that are too old or too many, and without texts that are not stored."""
        alarms = list(alarms)
        oldest = now - self._entry.options.get(CONF_KEEP_DAYS, DEFAULT_KEEP_DAYS) * 86400.0
        closed = [alarm for alarm in alarms if alarm.is_over]
        dropped = {alarm.id for alarm in closed[: max(0, len(closed) - _MAX_CLOSED)]}
        dropped |= {alarm.id for alarm in closed if (alarm.closed_at or 0.0) < oldest}
        texts = stores_texts(self._entry)
        return [
            alarm if texts or not alarm.is_over or not alarm.text else replace(alarm, text="")
            for alarm in alarms
            if alarm.id not in dropped
        ]

    @property
    def _keeps_closed(self) -> bool:
        return bool(self._entry.options.get(CONF_KEEP_DAYS, DEFAULT_KEEP_DAYS) > 0)


async def async_remove_alarms(hass: HomeAssistant, entry_id: str) -> None:
    """Delete the alarms of a removed account."""
    await _store(hass, entry_id).async_remove()


def _store(hass: HomeAssistant, entry_id: str) -> CachedStore[dict[str, Any]]:
    return CachedStore.of(hass, _VERSION, f"{DOMAIN}.alarms.{entry_id}", private=True)
