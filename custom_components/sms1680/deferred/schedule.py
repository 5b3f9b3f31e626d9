"""Stored messages by the time they are due."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers.event import async_track_point_in_utc_time
from homeassistant.util import dt as dt_util

from .models import StoredMessage
from .wait_reason import WaitReason, wait_reason

_NOTHING: Final[Mapping[int, StoredMessage]] = {}


class Schedule:
    """The messages that wait, by row, with one timer for the earliest of them.

    They are also counted by reason, and found by the recipient's subentry, or by the number of a message without one,
    so that the cost of a change does not depend on how many wait.

    on_due: called with the messages whose time has come, the earliest first; they no longer wait. on_change: called
    when messages were added or removed.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        on_due: Callable[[list[StoredMessage]], None],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.counts: Counter[WaitReason] = Counter()
        self._messages: dict[int, StoredMessage] = {}
        self._by_recipient: dict[str, dict[int, StoredMessage]] = {}
        self._by_outgoing: dict[int, int] = {}
        self._hass = hass
        self._on_due = on_due
        self._on_change = on_change
        self._is_closed = False
        self._first: datetime | None = None
        self._cancel: CALLBACK_TYPE | None = None
        self._job = HassJob(self._due, "sms1680 deferred messages", cancel_on_shutdown=True)

    @property
    def messages(self) -> Mapping[int, StoredMessage]:
        """The messages by their row."""
        return self._messages

    def of(self, recipient: str) -> Iterable[StoredMessage]:
        """Return the messages to a recipient's subentry, or those to a number without one."""
        return self._by_recipient.get(recipient, _NOTHING).values()

    def sent_as(self, outgoing: int) -> StoredMessage | None:
        """Return the message that was sent as this row of the journal."""
        return self._messages.get(self._by_outgoing.get(outgoing, -1))

    @callback
    def add(self, stored: StoredMessage) -> None:
        """Let a message wait."""
        self.put([stored])
        if self._first is None or stored.due < self._first:
            self._wake_up_at(stored.due)
        self._on_change()

    def put(self, messages: Iterable[StoredMessage]) -> None:
        """Let messages wait, or replace them. The caller sets the timer."""
        for stored in messages:
            self.take(stored.row)
            self._messages[stored.row] = stored
            self._by_recipient.setdefault(_recipient(stored), {})[stored.row] = stored
            self.counts[wait_reason(stored.message)] += 1
            if stored.message.outgoing is not None:
                self._by_outgoing[stored.message.outgoing] = stored.row

    def take(self, row: int) -> StoredMessage | None:
        """Remove a message and return it. The caller sets the timer."""
        if (stored := self._messages.pop(row, None)) is None:
            return None
        recipient = _recipient(stored)
        del self._by_recipient[recipient][row]
        if not self._by_recipient[recipient]:
            del self._by_recipient[recipient]
        self.counts[wait_reason(stored.message)] -= 1
        if self._by_outgoing.get(stored.message.outgoing or -1) == row:
            del self._by_outgoing[stored.message.outgoing or -1]
        return stored

    @callback
    def remove(self, row: int) -> bool:
        """Remove a message; return whether it was there."""
        if self.take(row) is None:
            return False
        if not self._messages:
            self._wake_up_at(None)
        self._on_change()  # the timer stays: there may be nothing to do when it wakes up
        return True

    @callback
    def close(self) -> None:
        """Remove all messages. Messages that are added later do not start."""
        self._is_closed = True
        self._messages.clear()
        self._by_recipient.clear()
        self._by_outgoing.clear()
        self.counts.clear()
        self.set_timer()

    def set_timer(self) -> None:
        """Wake up when the earliest message is due."""
        self._wake_up_at(min((stored.due for stored in self._messages.values()), default=None))
        self._on_change()

    def _wake_up_at(self, first: datetime | None) -> None:
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
        self._first = None if self._is_closed else first
        if self._first is not None:
            self._cancel = async_track_point_in_utc_time(self._hass, self._job, self._first)

    @callback
    def _due(self, _: datetime) -> None:
        self._cancel = self._first = None
        now = dt_util.utcnow()
        due = [stored for stored in self._messages.values() if stored.due <= now]
        for stored in due:
            self.take(stored.row)
        if due:
            self._on_due(sorted(due, key=lambda stored: (stored.due, stored.row)))
        self.set_timer()


def _recipient(stored: StoredMessage) -> str:
    return stored.message.recipient or stored.message.number
