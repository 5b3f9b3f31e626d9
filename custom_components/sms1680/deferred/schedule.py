"""Stored messages by the time they are due."""

from collections.abc import Callable
from datetime import datetime

from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers.event import async_track_point_in_utc_time
from homeassistant.util import dt as dt_util

from .models import StoredMessage


class Schedule:
    """The messages that wait, by row, with one timer for the earliest of them.

    on_due: called with the messages whose time has come, the earliest first; they no longer wait. on_change: called
    when messages were added or removed.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        on_due: Callable[[list[StoredMessage]], None],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.messages: dict[int, StoredMessage] = {}
        self._hass = hass
        self._on_due = on_due
        self._on_change = on_change
        self._is_closed = False
        self._cancel: CALLBACK_TYPE | None = None
        self._job = HassJob(self._due, "sms1680 deferred messages", cancel_on_shutdown=True)

    @callback
    def add(self, stored: StoredMessage) -> None:
        """Let a message wait."""
        self.messages[stored.row] = stored
        self.set_timer()

    @callback
    def remove(self, row: int) -> bool:
        """Remove a message; return whether it was there."""
        removed = self.messages.pop(row, None) is not None
        if removed:
            self.set_timer()
        return removed

    @callback
    def close(self) -> None:
        """Remove all messages. Messages that are added later do not start."""
        self._is_closed = True
        self.messages.clear()
        self.set_timer()

    def set_timer(self) -> None:
        """Wake up when the earliest message is due."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
        if self.messages and not self._is_closed:
            first = min(stored.due for stored in self.messages.values())
            self._cancel = async_track_point_in_utc_time(self._hass, self._job, first)
        self._on_change()

    @callback
    def _due(self, _: datetime) -> None:
        self._cancel = None
        now = dt_util.utcnow()
        due = [stored for stored in self.messages.values() if stored.due <= now]
        for stored in due:
            del self.messages[stored.row]
        self._on_due(sorted(due, key=lambda stored: (stored.due, stored.row)))
        self.set_timer()
