"""The rate limit of an account: which packet is submitted next, and when (docs/protocol.md, section 5).

With a known rate, one packet of the account is in flight at a time, and the next one follows `items / rate` seconds
after the answer; otherwise five are in flight at once. "Too fast" slows the account down automatically, at most ten
times, and every other answer speeds it up again. Nothing here sleeps or reads its own clock: `acquire` yields the
seconds to wait.
"""

import os
import secrets
import threading
import weakref
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from itertools import count

from ..options import Priority
from .redis.pace import EARLY, Release, RemotePace, RemoteRecord
from .redis.server import open_server
from .server_address import ServerAddress
from .shared_state import STATE_DIR
from .slots import NO_SLOT, SLOT_COUNT, Record, Slots, open_slots

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
_ANNOUNCED_EVERY = 1.0
_LOOKED_EVERY = 0.25
_LATER = 0.001


class DeadlineError(Exception):
    """The account's rate leaves no slot before the deadline."""


@dataclass(order=True, slots=True)
class _Ticket:
    """One packet in the queue. The urgent lane goes first."""

    is_normal: bool
    turn: int
    items: int = field(compare=False)
    rate: float | None = field(compare=False)


@dataclass(slots=True)
class Slot:
    """The right to submit one packet, until `RateLimiter.release`."""

    index: int
    items: int
    lease: str | None = None


class SharedState:
    """The queue and the slots that all clients of one account in this process share.

    remote: the slots that the account's machines share on a server, if there is one.
    """

    def __init__(self, key: str, state_dir: str | None, server: ServerAddress | None) -> None:
        self.lock = threading.Lock()
        self.queue: list[_Ticket] = []
        self.turns = count()
        self.slots: Slots = open_slots(key, state_dir)
        self.remote = None if server is None else RemotePace(open_server(server), key, self.slots.machine)
        self.looked_at: float | None = None
        weakref.finalize(self, self.slots.close)


_StateName = tuple[str, str | None, ServerAddress | None]
_states: weakref.WeakValueDictionary[_StateName, SharedState] = weakref.WeakValueDictionary()
_states_lock = threading.Lock()


class RateLimiter:
    """The rate limiter of one account for one client.

    key: see `account_key`. rate: items per second, None if unknown. clock: monotonic seconds, the same in all
    processes of the machine. state_dir: the folder shared by these processes, None for the usual one. server: the
    server that the machines share, None for one machine.
    """

    def __init__(
        self,
        key: str,
        rate: float | None,
        clock: Clock,
        state_dir: str | None = None,
        server: ServerAddress | None = None,
    ) -> None:
        name = (key, state_dir or os.environ.get(STATE_DIR), server)
        with _states_lock:
            state = _states.get(name)
            if state is None:
                state = _states[name] = SharedState(*name)
        self._state = state
        self._rate = rate
        self._clock = clock
        self._look()

    def acquire(self, items: int, priority: Priority, deadline: float | None) -> Generator[float, None, Slot]:
        """Wait for a slot: yield the seconds to sleep before the next look, and return the slot.

        items: the flow items of the packet. deadline: no slot begins after this time of the client's clock.
        Raise DeadlineError as soon as no slot can begin before the deadline.
        """
        state, slots = self._state, self._state.slots
        ticket = _Ticket(priority != "critical", next(state.turns), items, self._rate)
        wait = _Wait(self._clock)
        self._check_deadline(deadline)
        with state.lock:
            if state.remote is None and not state.queue and (slot := self._try(ticket, wait)) is not None:
                return slot
            state.queue.append(ticket)
            state.queue.sort()
        withdraw = None if ticket.is_normal else slots.announce_urgent()
        urgent = _UrgentPacket(None if ticket.is_normal else state.remote, self._clock)
        try:
            while True:
                self._check_deadline(deadline)
                with state.lock:
                    ahead = state.queue.index(ticket)
                    slot = self._try(ticket, wait) if ahead == 0 else None
                if slot is not None and (yield from self._confirm(slot, urgent.name, wait)):
                    yield from self._rest(slot, wait, deadline)
                    return slot
                with state.lock:
                    ahead = state.queue.index(ticket)
                    record = slots.read()
                    known = self._known_rate(record)
                    queued = sum(
                        _cost(other.items, other.rate or known, record.slowness) for other in state.queue[:ahead]
                    )
                remaining = wait.remaining(record) + queued
                if deadline is not None and self._clock() + remaining > deadline:
                    raise DeadlineError
                urgent.announce()
                yield min(max(0.0, remaining - self._early()) or wait.next_look(ahead), _LONGEST_SLEEP)
        finally:
            with state.lock:
                state.queue.remove(ticket)
            if withdraw is not None:
                withdraw()
            urgent.withdraw()

    def release(self, slot: Slot, *, submitted: bool = True, too_fast: bool = False) -> float:
        """Release a slot after the answer, or once none is expected; return the seconds until the next slot.

        submitted: False if the packet was certainly not sent, which costs no time. too_fast: the platform's answer.
        """
        slots = self._state.slots
        with self._state.lock:
            cost = 0.0
            old = slots.read()
            if submitted:
                slowness = min(SLOWEST, old.slowness * 2) if too_fast else max(1.0, old.slowness * _RECOVERY)
                rate = self._known_rate(old)
                cost = _cost(slot.items, rate, slowness)
                if rate is not None or slowness > 1 or old.slowness > 1:
                    slots.write(Record(self._clock(), cost, rate or 0.0, slowness))
            slots.release(slot.index)
        if (remote := self._state.remote) is not None:
            change = Release(slot.items, self._rate, submitted, too_fast, UNKNOWN_RATE_STEP, _RECOVERY, SLOWEST)
            remote.release(slot.lease, change)
        return cost

    def is_unlimited(self) -> bool:
        """Return whether no rate is known and the platform did not ask anyone to slow down.

        A transport with its own window (CMPP) needs no slot then.
        """
        now = self._look()
        record = self._state.slots.recent(now)
        return record.slowness <= 1 and self._known_rate(record) is None

    def _confirm(self, slot: Slot, urgent: str, wait: "_Wait") -> Generator[float, None, bool]:
        """Acquire the same slot among all machines. Release the slot and return False if the packet must wait."""
        state, is_confirmed = self._state, True
        if state.remote is None or slot.index == NO_SLOT:
            return True
        try:
            is_confirmed = False
            decision = yield from state.remote.acquire(slot.index, self._rate, urgent)
            if decision is not None and decision.record is not None:
                self._learn(decision.record)
            record = state.slots.read()
            if decision is None:
                is_confirmed = True  # the files of this machine decide alone
            elif decision.lease is not None:
                slot.lease, is_confirmed = decision.lease, True
            elif wait.remaining(record) <= self._early():
                is_confirmed = wait.is_stuck(record)
        finally:
            if not is_confirmed:
                with state.lock:
                    state.slots.release(slot.index)
        return is_confirmed

    def _rest(self, slot: Slot, wait: "_Wait", deadline: float | None) -> Generator[float, None, None]:
        """Wait for the rest of the time before the slot. Release the slot if that fails. Raise DeadlineError."""
        is_ready = self._state.remote is None
        try:
            while not is_ready:
                left = wait.remaining(self._state.slots.read())
                self._check_deadline(deadline)
                if left > 0:
                    yield left
                is_ready = left <= 0
        finally:
            if not is_ready:
                self.release(slot, submitted=False)

    def _early(self) -> float:
        """Return how long before the end of a wait a slot may be acquired."""
        return 0.0 if self._state.remote is None else EARLY

    def _learn(self, remote: RemoteRecord) -> None:
        """Store what another machine has learned, for this machine's processes, and for times without the server."""
        state = self._state
        with state.lock:
            answered_at = self._clock() - remote.age
            if answered_at > state.slots.read().answered_at + _LATER:
                state.slots.write(Record(answered_at, remote.cost, remote.rate, remote.slowness))

    def _look(self) -> float:
        """Learn in the background what the other machines know; return the time."""
        state, now = self._state, self._clock()
        if state.remote is not None and (state.looked_at is None or now - state.looked_at >= _LOOKED_EVERY):
            state.looked_at = now
            state.remote.look(self._learn)
        return now

    def _check_deadline(self, deadline: float | None) -> None:
        if deadline is not None and self._clock() > deadline:
            raise DeadlineError

    def _try(self, ticket: _Ticket, wait: "_Wait") -> Slot | None:
        """Acquire a slot if this ticket can go now."""
        slots = self._state.slots
        record = slots.read()
        if wait.remaining(record) > self._early():
            return None
        if ticket.is_normal and slots.has_urgent():
            return None
        index = slots.acquire(1 if self._known_rate(record) is not None else SLOT_COUNT)
        if index is None:
            return Slot(NO_SLOT, ticket.items) if wait.is_stuck(record) else None
        if wait.remaining(slots.read()) > self._early():  # another answer arrived between the look and the lock
            slots.release(index)
            return None
        return Slot(index, ticket.items)

    def _known_rate(self, record: Record) -> float | None:
        """Return our own rate, or the recent rate of another client of the account."""
        if self._rate is not None:
            return self._rate
        if record.rate > 0 and 0 <= self._clock() - record.answered_at < _RATE_IS_FRESH:
            return record.rate
        return None


class _Wait:
    """The remaining wait of one ticket: at most the record's own cost, even if a clock jumps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: Record | None = None
        self._seen_at = 0.0
        self._looking_since: float | None = None
        self._blocked: tuple[Record, float] | None = None

    def remaining(self, record: Record) -> float:
        """Return the seconds until the next submit according to the record."""
        if record.cost <= 0:
            return 0.0
        now = self._clock()
        if record != self._seen:
            self._seen, self._seen_at = record, now
        elapsed = now - record.answered_at
        if elapsed < 0:  # the clock restarted after this record: count from its first sight
            elapsed = now - self._seen_at
        left = record.cost - elapsed
        if left <= _NO_TIME:
            return 0.0
        self._looking_since = None
        return left

    def is_stuck(self, record: Record) -> bool:
        """Return whether all slots were taken for so long without an answer that their holders must be hanging.

        A stopped process keeps its locks, and an alarm must not wait for it forever.
        """
        now = self._clock()
        if self._blocked is None or self._blocked[0] != record:
            self._blocked = (record, now)
        return now - self._blocked[1] > _LONGEST_HOLD

    def next_look(self, ahead: int) -> float:
        """Return the seconds until the next look for a free slot: a small share of the time spent looking."""
        now = self._clock()
        if self._looking_since is None:
            self._looking_since = now
        share = (now - self._looking_since) * _LOOK_SHARE
        return min(_LONGEST_LOOK, max(_SHORTEST_LOOK, share) + ahead * _SHORTEST_LOOK)


class _UrgentPacket:
    """The announcement of one urgent packet to the other machines, while it waits. remote: None for a normal packet."""

    def __init__(self, remote: RemotePace | None, clock: Clock) -> None:
        self._remote = remote
        self._clock = clock
        self._announced_at: float | None = None
        self.name = "" if remote is None else secrets.token_hex(8)

    def announce(self) -> None:
        """Announce the packet, or renew its announcement."""
        now = self._clock()
        if self._remote is not None and (self._announced_at is None or now - self._announced_at >= _ANNOUNCED_EVERY):
            self._announced_at = now
            self._remote.announce(self.name)

    def withdraw(self) -> None:
        """Withdraw the announcement."""
        if self._remote is not None and self._announced_at is not None:
            self._remote.withdraw(self.name)


def _cost(items: int, rate: float | None, slowness: float) -> float:
    if rate is not None:
        return items / rate * slowness
    return UNKNOWN_RATE_STEP * (slowness - 1)
