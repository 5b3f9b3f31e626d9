"""The spending limits of an account, and one event and one repair whenever a limit is reached.

The core's spending guard holds the messages back. At four fifths of a limit a repair of severity warning appears.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers.event import async_call_later
from homeassistant.util import dt as dt_util

from ..client import Outcome, Reason, Receipt, Spending, SpendingLimits
from ..client.limits.budget import NUMBER_WINDOW
from ..client.limits.ledger import HOUR
from ..const import (
    ATTR_CONFIG_ENTRY_ID,
    CONF_AUTOMATIC_LIMIT,
    CONF_CRITICAL_RESERVE,
    CONF_DAILY_LIMIT,
    CONF_HOURLY_LIMIT,
    CONF_NUMBER_LIMIT,
    EVENT_SPENDING_LIMIT,
)
from ..errors import language
from ..events.context import async_fire
from ..issues import SPENDING_CLOSE, SPENDING_LIMIT

DEFAULT_LIMITS: Final = SpendingLimits()
# The options of an account, and the field of each.
LIMITS: Final = {
    CONF_HOURLY_LIMIT: "hour",
    CONF_DAILY_LIMIT: "day",
    CONF_CRITICAL_RESERVE: "reserve",
    CONF_NUMBER_LIMIT: "number",
    CONF_AUTOMATIC_LIMIT: "automatic",
}
# By reason: the limit, and how many seconds after the last refused message it still counts as reached.
_LIMITS: Final[dict[Reason, tuple[str, float]]] = {
    Reason.HOURLY_LIMIT: ("hour", NUMBER_WINDOW),
    Reason.DAILY_LIMIT: ("day", NUMBER_WINDOW),
    Reason.NUMBER_LIMIT: ("number", NUMBER_WINDOW),
    Reason.AUTOMATIC_LIMIT: ("automatic", HOUR),
}
_CHECK_INTERVAL: Final = 60.0  # seconds, while a repair is shown


def spending_limits(options: Mapping[str, Any]) -> SpendingLimits:
    """Return the limits in the options of an account; 0 disables a limit."""
    given = {field: options.get(name, getattr(DEFAULT_LIMITS, field)) for name, field in LIMITS.items()}
    limits: dict[str, Any] = {field: limit if field == "reserve" else limit or None for field, limit in given.items()}
    return SpendingLimits(**limits)


class BudgetMonitor:
    """Reports when an account reaches a spending limit, and clears the repair when the limit has room again.

    spent: returns what was spent, None if that cannot be read; called in the executor because it reads a file. Call
    `record` with each receipt.
    """

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any], spent: Callable[[], Spending | None]) -> None:
        self._hass = hass
        self._entry = entry
        self._spent = spent
        self._limits = spending_limits(entry.options)
        self._last_refused: dict[Reason, datetime] = {}
        self._reached: set[Reason] = set()
        self._checking = False
        self._check_again = False
        self._timer: CALLBACK_TYPE | None = None
        self._job = HassJob(self._on_timer, "sms1680 spending", cancel_on_shutdown=True)

    @property
    def reached_limits(self) -> list[Reason]:
        """The limits that are reached, as the reasons with which further messages are refused."""
        return [reason for reason in _LIMITS if reason in self._reached]

    @callback
    def async_stop(self) -> None:
        """Stop checking and delete the repairs; the next start creates them again if they still apply."""
        self._cancel_timer()
        for repair in (SPENDING_LIMIT, SPENDING_CLOSE):
            repair.async_delete(self._hass, self._entry)

    @callback
    def record(self, receipt: Receipt) -> None:
        """Process the outcome of one number."""
        if receipt.outcome is Outcome.REFUSED and receipt.reason in _LIMITS:
            self._last_refused[receipt.reason] = dt_util.utcnow()
            self.async_check()
        elif receipt.outcome.may_arrive:
            self.async_check()

    @callback
    def _on_timer(self, _: datetime) -> None:
        self._timer = None
        self.async_check()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer()
            self._timer = None

    @callback
    def async_check(self) -> None:
        """Check in the background what this and other programs have spent, once for calls in quick succession."""
        if self._checking:
            self._check_again = True
            return
        self._checking = True
        self._entry.async_create_background_task(self._hass, self._async_check(), "sms1680 spending")

    async def _async_check(self) -> None:
        try:
            while True:
                self._check_again = False
                self._update(await self._hass.async_add_executor_job(self._spent))
                if not self._check_again:
                    return
        finally:
            self._checking = False

    def _update(self, spending: Spending | None) -> None:
        """Fire the event of newly reached limits, and update the repairs. spending: None if it is not known now."""
        if spending is None:
            self._cancel_timer()
            self._timer = async_call_later(self._hass, _CHECK_INTERVAL, self._job)
            return
        reached = {reason for reason in self._last_refused if self._is_reached(reason, spending)}
        for reason in _LIMITS:
            if reason in reached - self._reached:
                self._fire(reason, spending)
        if reached != self._reached:
            self._reached = reached
            self._update_limit_issue()
        close = spending.is_close(self._limits)
        self._update_close_issue(spending if close and not reached else None)
        self._cancel_timer()
        if reached or close:
            self._timer = async_call_later(self._hass, _CHECK_INTERVAL, self._job)

    def _is_reached(self, reason: Reason, spending: Spending) -> bool:
        """Return whether a limit still counts as reached, even if there is room for a moment between two messages."""
        if dt_util.utcnow() - self._last_refused[reason] < timedelta(seconds=_LIMITS[reason][1]):
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

    def _update_limit_issue(self) -> None:
        if not self._reached:
            SPENDING_LIMIT.async_delete(self._hass, self._entry)
            return
        lang = language(self._hass)
        reasons = "\n".join(f"- {reason.sentence(lang)}" for reason in _LIMITS if reason in self._reached)
        SPENDING_LIMIT.async_create(self._hass, self._entry, reasons=reasons)

    def _update_close_issue(self, spending: Spending | None) -> None:
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
