"""The slots and the record of an account on a server: the same as the files of one machine, for several machines.

A slot is a lease. It is renewed while its request is under way, longer than any answer takes, and it expires after the
machine has died. A process that died on a living machine has left the lock of its slot, so the next process of this
machine takes its lease over.
"""

import os
import secrets
import threading
import weakref
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from ..shared_state import state_name
from .scripts import ACQUIRE, ANNOUNCE, LOOK, RELEASE, RENEW
from .server import Answer, SharedServer

# Longer than the longest answer: 30 seconds, and 5 to connect.
LEASE = 40.0
RENEWED_EVERY = 10.0
URGENT = 3.0
# A lease is given so many seconds before its wait ends, so that the way to the server costs no time.
EARLY = 0.008


@dataclass(frozen=True, slots=True)
class RemoteRecord:
    """The last answer of the platform to any machine. age: seconds since then. The rest: see `Record`."""

    age: float
    cost: float
    rate: float
    slowness: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The server's decision on a packet. lease: None if the packet must wait. record: None if there is none."""

    lease: str | None
    record: RemoteRecord | None


@dataclass(frozen=True, slots=True)
class Release:
    """What the platform's answer changes. rate: our own, None if unknown."""

    items: int
    rate: float | None
    submitted: bool
    too_fast: bool
    step: float
    recovery: float
    slowest: float


@dataclass(slots=True)
class _Leases:
    """The leases of this process. ended: stops the thread that renews them, None if there is none."""

    process: int = field(default_factory=os.getpid)
    held: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event | None = None


class RemotePace:
    """The slots, the record and the urgent packets of one account on a server.

    machine: the name of this machine's slots, None if they belong to this process only.
    """

    def __init__(self, server: SharedServer, key: str, machine: str | None) -> None:
        self._server = server
        self._machine = machine or secrets.token_hex(8)
        prefix = f"sms1680:{{{state_name(key)}}}:"
        self._record, self._slots, self._urgent = (f"{prefix}{name}" for name in ("record", "slots", "urgent"))
        self._leases = _Leases()

    def acquire(self, index: int, rate: float | None, urgent: str) -> Generator[float, None, Decision | None]:
        """Acquire a lease for a slot that this machine has locked. Yield seconds to sleep.

        urgent: the name of an urgent packet, which is announced if it must wait, or "". Return None if the server
        cannot be used.
        """
        place, lease = f"{self._machine}:{index}:", secrets.token_hex(8)

        def give_back(answer: Answer) -> None:
            if answer[0]:
                self._server.later(ANNOUNCE, [self._slots], [place + lease, "0"])

        values = (place, lease, rate or 0, LEASE * 1000, urgent, URGENT * 1000, EARLY * 1000)
        answer = yield from self._server.call(
            ACQUIRE, [self._record, self._slots, self._urgent], values, undo=give_back
        )
        if answer is None:
            return None
        granted = place + lease if answer[0] else None
        if granted:
            self._hold(granted)
        return Decision(granted, _record(answer))

    def release(self, lease: str | None, change: Release) -> None:
        """Give a lease back and record the answer, in the background."""
        if lease is not None:
            with self._leases.lock:
                self._leases.held.discard(lease)
                if not self._leases.held and self._leases.ended is not None:
                    self._leases.ended.set()
                    self._leases.ended = None
        values = (
            lease or "",
            int(change.submitted),
            int(change.too_fast),
            change.items,
            change.rate or 0,
            change.step,
            change.recovery,
            change.slowest,
        )
        self._server.later(RELEASE, [self._record, self._slots], values, timed=True)

    def announce(self, urgent: str) -> None:
        """Announce an urgent packet for three seconds, in the background."""
        self._server.later(ANNOUNCE, [self._urgent], [urgent, URGENT * 1000])

    def withdraw(self, urgent: str) -> None:
        """Withdraw an urgent packet, in the background."""
        self._server.later(ANNOUNCE, [self._urgent], [urgent, "0"])

    def look(self, then: Callable[[RemoteRecord], None]) -> None:
        """Read the record in the background. then: called with it, in another thread."""

        def read(answer: Answer) -> None:
            if (record := _record(answer)) is not None:
                then(record)

        self._server.later(LOOK, [self._record], then=read)

    def _hold(self, lease: str) -> None:
        leases = self._leases
        with leases.lock:
            if leases.process != os.getpid():  # a fork copies the leases of its parent, but not the thread
                leases.process, leases.ended = os.getpid(), None
                leases.held.clear()
            leases.held.add(lease)
            if leases.ended is None:
                leases.ended = threading.Event()
                arguments = (weakref.ref(self), leases.ended)
                threading.Thread(target=_renew, args=arguments, name="sms1680-redis-leases", daemon=True).start()

    def renew(self) -> None:
        """Renew the leases of this process, in the background."""
        with self._leases.lock:  # no lease is given back before its renewal
            if held := list(self._leases.held):
                self._server.later(RENEW, [self._slots], [LEASE * 1000, *held])


def _renew(reference: "weakref.ref[RemotePace]", ended: threading.Event) -> None:
    """Renew leases until none is held or their owner has gone."""
    while not ended.wait(RENEWED_EVERY):
        pace = reference()
        if pace is None:
            return
        pace.renew()
        del pace


def _record(answer: Answer) -> RemoteRecord | None:
    age, cost, rate, slowness = map(float, answer[1:5])
    return RemoteRecord(age / 1000, cost, rate, slowness) if age >= 0 else None
