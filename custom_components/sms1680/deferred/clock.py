"""Notice that the clock was set, and move the times of queued messages with it.

A Raspberry Pi has no clock of its own: after a power cut it boots with the time of its last shutdown, or with 1970, and
is set right once the network is up. A message that is tried for 30 minutes must be tried that long in either case.
Times that a person chose, and quiet hours, remain times of the clock.

Until the machine starts again, the monotonic clock says how much time has passed, also across restarts of Home
Assistant. Across starts of the machine nothing does: a clock that is impossible counts as wrong, and the message is
sent.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.util import dt as dt_util

from .models import CLOCK_TOLERANCE, EARLIEST_TIME, QueuedMessage, StoredMessage
from .schedule import Schedule

_LOGGER = logging.getLogger(__name__)

_CHECK_INTERVAL: Final = timedelta(seconds=30)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def monotonic() -> float:
    """Return the seconds of the clock that nobody sets."""
    return time.monotonic()


@cache
def boot_id() -> str | None:
    """Return the name of the machine's present start, None on a system that has none. The monotonic clock counts it."""
    with suppress(OSError):
        return _BOOT_ID.read_text("ascii").strip()
    return None


class ClockWatch:
    """Compares the clock with the one that nobody sets, and moves the waiting messages when it was set.

    on_set: called after they were moved. total: the seconds by which the clock was set forward, or back if negative,
    since this object was created.
    """

    def __init__(self, schedules: Sequence[Schedule], on_set: Callable[[], None]) -> None:
        self.total = 0.0
        self._schedules = schedules
        self._on_set = on_set
        self._offset = _offset()

    @callback
    def start(self, hass: HomeAssistant) -> CALLBACK_TYPE:
        """Check the clock regularly; return a function that ends this."""
        return async_track_time_interval(hass, self.check, _CHECK_INTERVAL, cancel_on_shutdown=True)

    @callback
    def check(self, _: datetime | None = None) -> None:
        """Move the times of the waiting messages if the clock was set since the last check."""
        offset = _offset()
        jump = offset - self._offset
        if abs(jump) < CLOCK_TOLERANCE:
            return
        self._offset = offset
        self.total += jump
        _LOGGER.warning("The clock was set by %d seconds; queued messages are adjusted to it", jump)
        for schedule in self._schedules:
            schedule.put([moved(stored, jump) for stored in schedule.messages.values()])
            schedule.set_timer()
        self._on_set()

    @callback
    def stamp(self, message: QueuedMessage) -> QueuedMessage:
        """Return a new message with the clock that its times follow."""
        self.check()
        return replace(message, boot=boot_id(), offset=self._offset)

    @callback
    def adjust(self, stored: StoredMessage, before: float) -> StoredMessage:
        """Return a message that does not wait, moved if the clock was set. before: the total when it was read."""
        self.check()
        return moved(stored, self.total - before) if self.total != before else stored


def _offset() -> float:
    return dt_util.utcnow().timestamp() - monotonic()


def moved(stored: StoredMessage, seconds: float) -> StoredMessage:
    """Return a message after the clock was set by so many seconds.

    A message that quiet hours hold back becomes due immediately, which checks the quiet hours again.
    """
    message, shift = stored.message, timedelta(seconds=seconds)
    if message.at is not None:
        return stored
    since = message.since + seconds
    message = replace(message, offset=None if message.offset is None else message.offset + seconds)
    if message.until is None and not message.watched:
        return replace(stored, due=dt_util.utcnow(), message=replace(message, since=since))
    until = None if message.until is None else message.until + seconds
    return replace(stored, due=stored.due + shift, message=replace(message, since=since, until=until))


def corrected(stored: StoredMessage) -> StoredMessage:
    """Return a message of an earlier run by the present clock.

    If the machine was not started since, it is moved as far as the clock was set. Otherwise, it is moved to now if the
    clock was wrong when it was queued, or is wrong now: it was queued in the future, at a time before this program
    existed, or too recently for an earlier start of the machine.
    """
    message, now, boot, offset = stored.message, dt_util.utcnow().timestamp(), boot_id(), _offset()
    if message.boot is not None and message.boot == boot:
        jump = offset - (message.offset or 0.0)
        return moved(stored, jump) if abs(jump) >= CLOCK_TOLERANCE else stored
    message = replace(message, noted=message.since if message.noted is None else message.noted)
    was_never_set = message.since < EARLIEST_TIME <= now
    uptime = monotonic() if message.boot is not None and boot is not None else 0.0
    stored = replace(stored, message=replace(message, boot=boot, offset=offset))
    if was_never_set or now - message.since < uptime - CLOCK_TOLERANCE:
        stored = moved(stored, now - message.since)
        stored = replace(stored, message=replace(stored.message, offset=offset))
    return stored
