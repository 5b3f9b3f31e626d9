"""The account's pace: who may submit next, and when (document, chapters 4.3 and 4.4; protocol.md section 5).

With a rate known, one submit of the account is under way at a time and the next may go `items / rate` seconds after
the answer to it; else five are under way at once. "Too fast" slows the pace by itself, up to ten times, and every
answer that is not brings it back. Nothing here sleeps or reads a clock that was not handed in: `acquire` yields the
seconds to wait.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count

from ..options import Priority
from .shared_state import AT_ONCE, NO_PLACE, STATE_DIR, Places, Record, open_places

Clock = Callable[[], float]

SLOWEST = 10.0
UNKNOWN_RATE_STEP = 0.5
_RECOVERY = 0.8
_RATE_IS_FRESH = 24 * 3600.0
_SHORTEST_LOOK = 0.001
_LONGEST_LOOK = 0.05
_LOOK_SHARE = 0.05
_LONGEST_SLEEP = 1.0
_LONGEST_HOLD = 180.0
_NO_TIME = 1e-6


class DeadlineError(Exception):
    """The account's pace leaves no turn before the deadline."""


class Lane(IntEnum):
    """The two lanes: what is urgent goes first."""

    CRITICAL = 0
    NORMAL = 1


@dataclass(order=True, slots=True)
class _Ticket:
    """One packet that waits for its turn."""

    lane: Lane
    turn: int
    items: int = field(compare=False)
    rate: float | None = field(compare=False)


@dataclass(slots=True)
class Place:
    """The right to submit one packet, until it is given back with `Pace.settle`."""

    index: int
    items: int


class _Turnstile:
    """What all clients of one account in this process share: the queue, and the places they share with others."""

    def __init__(self, key: str, state_dir: str | None) -> None:
        self.lock = threading.Lock()
        self.waiting: list[_Ticket] = []
        self.turns = count()
        self.places: Places = open_places(key, state_dir)
        weakref.finalize(self, self.places.close)


_turnstiles: weakref.WeakValueDictionary[tuple[str, str | None], _Turnstile] = weakref.WeakValueDictionary()
_turnstiles_lock = threading.Lock()


def pace_key(gateway: str, username: str) -> str:
    """Return the name of an account's pace, the same for every way to the platform (HTTP and CMPP)."""
    return f"{gateway}\n{username}"


class Pace:
    """The pace of one account as one client sees it.

    key: names the account (gateway and user name). rate: items a second, None where it is not known.
    state_dir: the folder shared with the machine's other processes, None for the usual one. clock: seconds, monotonic,
    the same for all processes of the machine.
    """

    def __init__(self, key: str, rate: float | None, clock: Clock, state_dir: str | None = None) -> None:
        state_dir = state_dir or os.environ.get(STATE_DIR)
        with _turnstiles_lock:
            turnstile = _turnstiles.get((key, state_dir))
            if turnstile is None:
                turnstile = _turnstiles[(key, state_dir)] = _Turnstile(key, state_dir)
        self._turnstile = turnstile
        self._rate = rate
        self._clock = clock

    def acquire(self, items: int, priority: Priority, deadline: float | None) -> Generator[float, None, Place]:
        """Wait for a turn: yields the seconds to sleep before looking again, and returns the place taken.

        items: what the flow rule counts for the packet. deadline: on the same clock; no turn begins behind it.

        Raises DeadlineError as soon as it is certain that the turn can't come in time.
        """
        turnstile = self._turnstile
        places = turnstile.places
        lane = Lane.CRITICAL if priority == "critical" else Lane.NORMAL
        ticket = _Ticket(lane, next(turnstile.turns), items, self._rate)
        wait = _Wait(self._clock)
        self._hold_to(deadline)
        with turnstile.lock:
            if not turnstile.waiting and (place := self._try(ticket, wait)) is not None:
                return place
            turnstile.waiting.append(ticket)
            turnstile.waiting.sort()
        announced = places.announce() if lane is Lane.CRITICAL else None
        try:
            while True:
                self._hold_to(deadline)
                with turnstile.lock:
                    ahead = turnstile.waiting.index(ticket)
                    if ahead == 0 and (place := self._try(ticket, wait)) is not None:
                        return place
                    queued = sum(self._cost(other.items, other.rate) for other in turnstile.waiting[:ahead])
                remaining = wait.remaining(places.read()) + queued
                if deadline is not None and self._clock() + remaining > deadline:
                    raise DeadlineError
                yield min(remaining or wait.next_look(ahead), _LONGEST_SLEEP)
        finally:
            with turnstile.lock:
                turnstile.waiting.remove(ticket)
            if announced is not None:
                announced()

    def settle(self, place: Place, *, submitted: bool = True, too_fast: bool = False) -> float:
        """Give a place back when the answer came (or will not come); return the seconds until the next turn.

        submitted: False where the packet certainly never left, which costs no time. too_fast: the platform's answer.
        """
        places = self._turnstile.places
        with self._turnstile.lock:
            cost = 0.0
            old = places.read()
            if submitted:
                slowness = min(SLOWEST, old.slowness * 2) if too_fast else max(1.0, old.slowness * _RECOVERY)
                rate = self._known_rate(old)
                cost = _cost(place.items, rate, slowness)
                if rate is not None or slowness > 1 or old.slowness > 1:
                    now = self._clock()
                    places.write(Record(now, cost, rate or 0.0, slowness))
            places.free(place.index)
        return cost

    def is_free(self) -> bool:
        """Tell whether nobody knows a rate and the platform asked nobody to slow down.

        A way to the platform that has a window of its own (CMPP) needs no place then.
        """
        record = self._turnstile.places.read()
        return record.slowness <= 1 and self._known_rate(record) is None

    def _hold_to(self, deadline: float | None) -> None:
        if deadline is not None and self._clock() > deadline:
            raise DeadlineError

    def _try(self, ticket: _Ticket, wait: _Wait) -> Place | None:
        """Take a place if it is this ticket's turn now."""
        places = self._turnstile.places
        if wait.remaining(places.read()) > 0:
            return None
        if ticket.lane is Lane.NORMAL and places.urgent():
            return None
        record = places.read()
        index = places.take(1 if self._known_rate(record) is not None else AT_ONCE)
        if index is None:
            return Place(NO_PLACE, ticket.items) if wait.is_stuck(record) else None
        if wait.remaining(places.read()) > 0:  # somebody's answer came between the look and the lock
            places.free(index)
            return None
        return Place(index, ticket.items)

    def _known_rate(self, record: Record) -> float | None:
        """Return our own rate, or that which another client of the account told."""
        if self._rate is not None:
            return self._rate
        if record.rate > 0 and 0 <= self._clock() - record.answered_at < _RATE_IS_FRESH:
            return record.rate
        return None

    def _cost(self, items: int, rate: float | None) -> float:
        record = self._turnstile.places.read()
        return _cost(items, rate if rate is not None else self._known_rate(record), record.slowness)


class _Wait:
    """How long one ticket still has to wait: never longer than the record's own cost, whatever the clocks do."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: Record | None = None
        self._seen_at = 0.0
        self._looking_since: float | None = None
        self._blocked: tuple[Record, float] | None = None

    def remaining(self, record: Record) -> float:
        """Return the seconds until the next submit may go, as the record has it."""
        if record.cost <= 0:
            return 0.0
        now = self._clock()
        if record != self._seen:
            self._seen, self._seen_at = record, now
        elapsed = now - record.answered_at
        if elapsed < 0:  # the record is from before a restart of the clock: count from when it was first seen
            elapsed = now - self._seen_at
        left = record.cost - elapsed
        if left <= _NO_TIME:
            return 0.0
        self._looking_since = None
        return left

    def is_stuck(self, record: Record) -> bool:
        """Tell whether the places are taken for so long without any answer that who holds them must be hanging.

        A stopped process keeps its locks; an alarm must not wait for it for ever.
        """
        now = self._clock()
        if self._blocked is None or self._blocked[0] != record:
            self._blocked = (record, now)
        return now - self._blocked[1] > _LONGEST_HOLD

    def next_look(self, ahead: int) -> float:
        """Return the seconds until it is worth looking again for a free place: a small share of the time of looking."""
        now = self._clock()
        if self._looking_since is None:
            self._looking_since = now
        share = (now - self._looking_since) * _LOOK_SHARE
        return min(_LONGEST_LOOK, max(_SHORTEST_LOOK, share) + ahead * _SHORTEST_LOOK)


def _cost(items: int, rate: float | None, slowness: float) -> float:
    if rate is not None:
        return items / rate * slowness
    return UNKNOWN_RATE_STEP * (slowness - 1)
