"""The guard on spending in Home Assistant: its limits from the options, and what it does told once, not per message.

The core's guard holds messages back; here that becomes one event and one repair, and four fifths of a limit a warning.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers.event import async_call_later
from homeassistant.util import dt as dt_util

from ..client import Outcome, Reason, Receipt, Spending, SpendingLimits
from ..client.limits.budget import HOUR, NUMBER_WINDOW
from ..const import (
    ATTR_CONFIG_ENTRY_ID,
    CONF_AUTOMATIC_LIMIT,
    CONF_CRITICAL_RESERVE,
    CONF_DAILY_LIMIT,
    CONF_HOURLY_LIMIT,
    CONF_NUMBER_LIMIT,
    EVENT_SPENDING_LIMIT,
)
from ..context import async_fire
from ..errors import language
from ..issues import SPENDING_CLOSE, SPENDING_LIMIT, SPENDING_UNCOUNTED
from ..store.db.writer import error_kind

DEFAULT_LIMITS: Final = SpendingLimits()
LIMITS: Final = (
    CONF_HOURLY_LIMIT,
    CONF_DAILY_LIMIT,
    CONF_CRITICAL_RESERVE,
    CONF_NUMBER_LIMIT,
    CONF_AUTOMATIC_LIMIT,
)
# Which limit stands behind a reason, and how long after the last message that was held back it counts as crossed.
_LIMITS: Final[dict[Reason, tuple[str, float]]] = {
    Reason.HOURLY_LIMIT: ("hour", NUMBER_WINDOW),
    Reason.DAILY_LIMIT: ("day", NUMBER_WINDOW),
    Reason.NUMBER_LIMIT: ("number", NUMBER_WINDOW),
    Reason.AUTOMATIC_LIMIT: ("automatic", HOUR),
}
_LOOK_AGAIN: Final = 60.0  # seconds, while something is told


def spending_limits(options: Mapping[str, Any]) -> SpendingLimits:
    """Return the limits that an account's options set; 0 switches one off."""

    def limit(name: str, default: int | None) -> int | None:
        return options.get(name, default) or None

    return SpendingLimits(
        hour=limit(CONF_HOURLY_LIMIT, DEFAULT_LIMITS.hour),
        day=limit(CONF_DAILY_LIMIT, DEFAULT_LIMITS.day),
        reserve=options.get(CONF_CRITICAL_RESERVE, DEFAULT_LIMITS.reserve),
        number=limit(CONF_NUMBER_LIMIT, DEFAULT_LIMITS.number),
        automatic=limit(CONF_AUTOMATIC_LIMIT, DEFAULT_LIMITS.automatic),
    )


class BudgetMonitor:
    """Tells of one account when a limit is crossed, and takes it back when there is room again.

    spent: what was spent; asked off the loop, for it reads a file. `record` is to be called with each receipt.
    """

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any], spent: Callable[[], Spending]) -> None:
        self._hass = hass
        self._entry = entry
        self._spent = spent
        self._limits = spending_limits(entry.options)
        self._held_back: dict[Reason, datetime] = {}
        self._crossed: set[Reason] = set()
        self._looking = False
        self._again = False
        self._later: CALLBACK_TYPE | None = None
        self._job = HassJob(self._look_later, "sms1680 spending", cancel_on_shutdown=True)

    @property
    def reached_limits(self) -> list[Reason]:
        """The limits that are reached, as the reasons that what goes beyond them is refused with."""
        return [reason for reason in _LIMITS if reason in self._crossed]

    @callback
    def async_start(self) -> None:
        """Look at what earlier runs and other programs have spent."""
        self._look()

    @callback
    def async_stop(self) -> None:
        """Look no more, and take back what is told: the next start looks anew."""
        self._cancel()
        for repair in (SPENDING_LIMIT, SPENDING_CLOSE, SPENDING_UNCOUNTED):
            repair.async_delete(self._hass, self._entry)

    @callback
    def record(self, receipt: Receipt) -> None:
        """Take in what became of one number."""
        if receipt.outcome is Outcome.REFUSED and receipt.reason in _LIMITS:
            self._held_back[receipt.reason] = dt_util.utcnow()
            self._look()
        elif receipt.outcome.may_arrive:
            self._look()

    @callback
    def _look_later(self, _: datetime) -> None:
        self._later = None
        self._look()

    def _cancel(self) -> None:
        if self._later is not None:
            self._later()
            self._later = None

    def _look(self) -> None:
        """Look in the background, once for what comes together."""
        if self._looking:
            self._again = True
            return
        self._looking = True
        self._entry.async_create_background_task(self._hass, self._async_look(), "sms1680 spending")

    async def _async_look(self) -> None:
        try:
            while True:
                self._again = False
                try:
                    spending = await self._hass.async_add_executor_job(self._spent)
                except sqlite3.Error as error:
                    self._tell_uncounted(error)
                else:
                    SPENDING_UNCOUNTED.async_delete(self._hass, self._entry)
                    self._tell(spending)
                if not self._again:
                    return
        finally:
            self._looking = False

    def _tell(self, spending: Spending) -> None:
        now = dt_util.utcnow()
        crossed = {reason for reason, last in self._held_back.items() if self._is_crossed(reason, last, now, spending)}
        for reason in _LIMITS:
            if reason in crossed - self._crossed:
                self._fire(reason, spending)
        if crossed != self._crossed:
            self._crossed = crossed
            self._tell_crossed()
        close = spending.is_close(self._limits)
        self._tell_close(spending if close and not crossed else None)
        self._cancel()
        if crossed or close:
            self._later = async_call_later(self._hass, _LOOK_AGAIN, self._job)

    def _tell_uncounted(self, error: sqlite3.Error) -> None:
        """Tell that nothing is counted: messages go out all the same, and nothing holds them back."""
        SPENDING_UNCOUNTED.async_create(self._hass, self._entry, problem=error_kind(error))
        self._cancel()
        self._later = async_call_later(self._hass, _LOOK_AGAIN, self._job)

    def _is_crossed(self, reason: Reason, last: datetime, now: datetime, spending: Spending) -> bool:
        """Tell whether a limit still counts as crossed: a moment's room between two messages is no end of it."""
        if now - last < timedelta(seconds=_LIMITS[reason][1]):
            return True
        if reason is Reason.HOURLY_LIMIT:
            return spending.is_close(SpendingLimits(hour=self._limits.hour, day=None))
        if reason is Reason.DAILY_LIMIT:
            return spending.is_close(SpendingLimits(hour=None, day=self._limits.day))
        return False

    def _fire(self, reason: Reason, spending: Spending) -> None:
        limit = getattr(self._limits, _LIMITS[reason][0])
        spent = {Reason.HOURLY_LIMIT: spending.hour, Reason.DAILY_LIMIT: spending.day}.get(reason, limit)
        data = {ATTR_CONFIG_ENTRY_ID: self._entry.entry_id, "reason": reason.value, "spent": spent, "limit": limit}
        async_fire(self._hass, EVENT_SPENDING_LIMIT, data)

    def _tell_crossed(self) -> None:
        if not self._crossed:
            SPENDING_LIMIT.async_delete(self._hass, self._entry)
            return
        spoken = language(self._hass)
        reasons = "\n".join(f"- {reason.sentence(spoken)}" for reason in _LIMITS if reason in self._crossed)
        SPENDING_LIMIT.async_create(self._hass, self._entry, reasons=reasons)

    def _tell_close(self, spending: Spending | None) -> None:
        if spending is None:
            SPENDING_CLOSE.async_delete(self._hass, self._entry)
            return
        SPENDING_CLOSE.async_create(
            self._hass,
            self._entry,
            hour=str(spending.hour),
            day=str(spending.day),
            hour_limit=str(self._limits.hour or "∞"),
            day_limit=str(self._limits.day or "∞"),
        )
