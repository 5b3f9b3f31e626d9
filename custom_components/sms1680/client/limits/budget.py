"""The spending guard: limits on parts per hour and day, on messages per number, and on automatic messages.

Like the rate limiter, it belongs to the account and is shared by the processes of a machine. A message above a limit
is refused with its own reason and costs nothing. Nothing here sleeps or reads its own clock.
"""

import contextlib
import hashlib
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Generator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from ..outcomes import Reason
from ..receipts import Receipt
from .ledger import DAY, HOUR, Ledger, LedgerBusyError, LedgerEntry, LedgerError, LedgerView, open_ledger
from .redis.ledger import RemoteLedger, SharedEntry, Snapshot
from .redis.server import open_server
from .server_address import ServerAddress
from .settings import Spending, SpendingLimits
from .shared_state import warn_unshared

_LOGGER = logging.getLogger(__name__)

NUMBER_WINDOW = 600.0

_TOGETHER = 500  # messages that are counted at once; so many take a few milliseconds
_BUSY_PAUSE = 0.005
_BUSY_TRIES = 400


_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Reservation:
    """The guard's decision on the items of a call. entries: the entry in `ledger` of each admitted item, if counted."""

    entries: dict[int, int | None]
    refused: dict[int, Reason]
    ledger: LedgerView | None = None

    @property
    def admitted(self) -> list[int]:
        """The admitted items."""
        return list(self.entries)

    def merge(self, refused: Sequence[Receipt], sent: Sequence[Receipt]) -> list[Receipt]:
        """Return the receipts of all items in their order."""
        receipts = dict(zip(self.refused, refused, strict=True)) | dict(zip(self.entries, sent, strict=True))
        return [receipts[item] for item in range(len(receipts))]


class Count:
    """The spending so far, and of the messages that are added to it."""

    def __init__(
        self, ledger: LedgerView, limits: SpendingLimits, now: float, *, critical: bool = False, automatic: bool = False
    ) -> None:
        totals = ledger.totals(now)
        self._hour, self._day, self._automatic = totals.hour, totals.day, totals.automatic
        self._messages: dict[bytes, int] = {}
        self._messages_before = partial(ledger.messages, now - NUMBER_WINDOW)
        self._limits = limits
        self._is_critical, self._is_automatic = critical, automatic

    def limit(self, parts: int, number_hash: bytes | None = None) -> Reason | None:
        """Return the limit that so many more parts exceed, as a message to a number if it is given, or None."""
        limits = self._limits
        if self._is_automatic and limits.automatic is not None and self._automatic + parts > limits.automatic:
            return Reason.AUTOMATIC_LIMIT
        if limits.day is not None and self._day + parts > limits.day + self._reserve(number_hash):
            return Reason.DAILY_LIMIT
        if self._is_critical:
            return None
        if limits.hour is not None and self._hour + parts > limits.hour:
            return Reason.HOURLY_LIMIT
        if limits.number is None or number_hash is None:
            return None
        return Reason.NUMBER_LIMIT if self._messages_to(number_hash) >= limits.number else None

    def _reserve(self, number_hash: bytes | None) -> int:
        """Return the parts per day beyond the limit: for the first message to a number in ten minutes, more of them."""
        if not self._is_critical:
            return 0
        is_first = number_hash is not None and not self._messages_to(number_hash)
        return self._limits.reserve * (2 if is_first else 1)

    def parts_above(self, parts: int) -> int:
        """Return the parts that a message above a limit may have to announce it: up to so many, 0 for none.

        Such messages use at most half of the reserve; the other half remains for critical messages.
        """
        spare = self._limits.reserve // 2
        spent = ((self._hour, self._limits.hour), (self._day, self._limits.day))
        return max(0, min([parts, *(limit + spare - used for used, limit in spent if limit is not None)]))

    def add(self, number_hash: bytes, parts: int) -> None:
        """Count a message."""
        self._messages[number_hash] = self._messages_to(number_hash) + 1
        self.spend(parts)

    def spend(self, parts: int) -> None:
        """Count parts."""
        self._hour += parts
        self._day += parts
        self._automatic += parts

    def copy(self) -> "Count":
        """Return a count that goes on by itself."""
        other = copy(self)
        self._messages = dict(self._messages)
        return other

    def _messages_to(self, number_hash: bytes) -> int:
        if number_hash not in self._messages:
            self._messages[number_hash] = self._messages_before(number_hash)
        return self._messages[number_hash]


class SpendingGuard:
    """The spending guard of one account.

    key: see `account_key`. now: seconds since 1970, because the count survives a restart. state_dir, server: see
    `RateLimiter`. What is counted on the server is counted in the files of this machine too, for times without it.
    """

    def __init__(
        self,
        key: str,
        limits: SpendingLimits,
        now: Callable[[], float],
        state_dir: str | None = None,
        server: ServerAddress | None = None,
    ) -> None:
        self.limits = limits
        self._key = key
        self._now = now
        self._state_dir = state_dir
        self._ledger = open_ledger(key, state_dir)
        self._remote = None if server is None else RemoteLedger(open_server(server), key)

    def reserve(
        self, messages: Sequence[tuple[str, int]], *, critical: bool, automatic: bool
    ) -> Generator[float, None, Reservation]:
        """Count messages (number and parts) before they are sent, in their order, as far as the limits allow.

        Yield seconds to sleep while another process locks the ledger, and 0 between one part of many messages and the
        next.
        If nothing can be counted, all messages are admitted: an alarm must not fail because of its accounting.
        """
        if self._remote is not None or len(messages) <= _TOGETHER:
            return (yield from self._reserve_together(messages, critical=critical, automatic=automatic))
        entries: dict[int, int | None] = {}
        refused: dict[int, Reason] = {}
        try:
            for start in range(0, len(messages), _TOGETHER):
                if start:
                    yield 0.0
                before, some = self._ledger, messages[start : start + _TOGETHER]
                part = yield from self._reserve_together(some, critical=critical, automatic=automatic)
                if self._ledger is not before:  # it was replaced: the entries of the earlier one cannot be refunded
                    entries = dict.fromkeys(entries)
                entries.update((start + item, entry) for item, entry in part.entries.items())
                refused.update((start + item, reason) for item, reason in part.refused.items())
        except GeneratorExit:  # the call was cancelled, and nothing of it will be sent
            counted = [entry for entry in entries.values() if entry is not None]
            with contextlib.suppress(LedgerBusyError, LedgerError), self._ledger.writing():
                self._ledger.remove(counted)
            raise
        return Reservation(entries, refused, self._ledger)

    def _reserve_together(
        self, messages: Sequence[tuple[str, int]], *, critical: bool, automatic: bool
    ) -> Generator[float, None, Reservation]:
        reservations = [Reservation(dict.fromkeys(range(len(messages))), {})]

        def reserve(ledger: LedgerView) -> None:
            reservations.append(self._reserve(ledger, messages, critical=critical, automatic=automatic))

        yield from self._deciding(reserve, [number for number, _ in messages])
        return reservations[-1]

    def refund(self, reservation: Reservation, receipts: Sequence[Receipt]) -> Generator[float, None, None]:
        """Remove the messages that certainly cost nothing from the count. Yield as `reserve` does.

        receipts: of the admitted items.
        """
        pairs = zip(reservation.entries.values(), receipts, strict=True)
        entries = [entry for entry, receipt in pairs if entry is not None and receipt.outcome.is_failure]
        if isinstance(reservation.ledger, Snapshot) and self._remote is not None:
            shared, copies = reservation.ledger.added, reservation.ledger.copies
            self._remote.remove([shared[entry] for entry in entries])
            entries = [copies[entry] for entry in entries if entry in copies]
            yield from self._writing(lambda ledger: ledger.remove(entries))
        elif entries and reservation.ledger is self._ledger:
            yield from self._writing(lambda ledger: ledger.remove(entries))

    def spending(self) -> Spending | None:
        """Return the amount spent, None if it cannot be read."""
        if self._remote is not None and (totals := self._remote.totals()) is not None:
            return Spending(totals.hour, totals.day)
        try:
            totals = self._ledger.spent(self._now())
        except sqlite3.Error:
            return None
        return Spending(totals.hour, totals.day)

    def room_at(self, number: str, parts: int, *, messages: int = 1, automatic: bool = False) -> float:
        """Return when the limits allow so many more parts in so many messages to a number, if nothing else is sent.

        The result is in seconds since 1970: now if there is room already, or if the count cannot be read. For more
        than a limit ever allows, it is the time at which the limit is unused.
        """
        now, limits, number_hash = self._now(), self.limits, self._number_hash(number)
        windows = [(limits.hour, HOUR, False), (limits.day, DAY, False)]
        if automatic:
            windows.append((limits.automatic, HOUR, True))
        if self._remote is not None and (entries := self._remote.entries(now)) is not None:
            to_number = [(entry.at, 1) for entry in entries if entry.number_hash == number_hash]
            rooms = [
                _room_at([(e.at, e.parts) for e in entries if e.automatic >= is_automatic], limit, parts, window, now)
                for limit, window, is_automatic in windows
            ]
        else:
            try:
                to_number = [(at, 1) for at in self._ledger.times(now - NUMBER_WINDOW, now, number_hash)]
                rooms = [self._ledger.room_at(now, limit, parts, window, auto) for limit, window, auto in windows]
            except sqlite3.Error:
                return now
        return max(_room_at(to_number, limits.number, messages, NUMBER_WINDOW, now), *rooms)

    def most_parts(self, *, automatic: bool = False) -> int | None:
        """Return the parts of the longest normal message that the limits ever allow, None for no limit."""
        limits = self.limits
        given = (limits.hour, limits.day, limits.automatic if automatic else None)
        return min((limit for limit in given if limit is not None), default=None)

    def _deciding(self, decide: Callable[[LedgerView], None], numbers: Sequence[str]) -> Generator[float, None, None]:
        """Decide on the messages to some numbers, on the server if it can be used, otherwise on this machine's files.

        decide: called again after another machine changed the count.
        """
        if self._remote is None:
            yield from self._writing(decide)
            return
        snapshot = yield from self._remote.write(decide, [self._number_hash(number) for number in numbers])
        if snapshot is None:
            yield from self._writing(decide, unshared=True)
            return
        unshared: dict[int, LedgerEntry] = {}

        def copy_decision(ledger: Ledger) -> None:
            now = self._now()
            unshared.update(ledger.unshared())
            snapshot.copies.update(
                (entry, ledger.add(now, each.parts, each.number_hash, automatic=each.automatic))
                for entry, each in snapshot.added.items()
            )
            for number_hash, messages in snapshot.more_held.items():
                ledger.hold_back(number_hash, messages)
            for number_hash, announced in snapshot.announced.items():
                ledger.set_announced(number_hash, now, announced=announced)

        yield from self._writing(copy_decision)
        if unshared:
            yield from self._share(self._remote, unshared)

    def _share(self, remote: RemoteLedger, unshared: dict[int, LedgerEntry]) -> Generator[float, None, None]:
        """Give the server the entries that it missed."""
        now = self._now()
        entries = [
            SharedEntry(
                f"{each.number_hash.hex()}:{entry:x}-{int(each.at * 1000):x}",
                each.parts,
                each.automatic,
                max(0.0, now - each.at),
            )
            for entry, each in unshared.items()
        ]
        if (yield from remote.add(entries)):
            yield from self._writing(lambda ledger: ledger.share(list(unshared)))

    def _writing(self, write: Callable[[Ledger], None], *, unshared: bool = False) -> Generator[float, None, None]:
        """Write to the ledger. One that fails is opened again, then replaced by a copy in this process."""
        repairs = iter((lambda: open_ledger(self._key, self._state_dir), self._ledger.copy))
        for _ in range(_BUSY_TRIES):
            ledger = self._ledger
            try:
                with ledger.writing(unshared=unshared):
                    write(ledger)
            except LedgerBusyError:
                yield _BUSY_PAUSE
            except LedgerError:
                if (repair := next(repairs, None)) is None:
                    break
                self._ledger = repair()
                warn_unshared()
            else:
                return
        _LOGGER.warning("Spending cannot be counted; messages are sent without a limit")

    def _reserve(
        self, ledger: LedgerView, messages: Sequence[tuple[str, int]], *, critical: bool, automatic: bool
    ) -> Reservation:
        now = self._now()
        count = Count(ledger, self.limits, now, critical=critical, automatic=automatic)
        reservation = Reservation({}, {}, ledger)
        for item, (number, parts) in enumerate(messages):
            number_hash = self._number_hash(number)
            reason = count.limit(parts, number_hash)
            if reason is not None:
                reservation.refused[item] = reason
                continue
            count.add(number_hash, parts)
            reservation.entries[item] = ledger.add(now, parts, number_hash, automatic=automatic)
        return reservation

    def _number_hash(self, number: str) -> bytes:
        return hashlib.sha256(f"{self._key}\n{number}".encode()).digest()[:8]


async def run_steps(steps: Generator[float, None, _Result], sleep: Callable[[float], Awaitable[object]]) -> _Result:
    """Sleep as the steps of a guard request, and return their result."""
    while True:
        try:
            pause = next(steps)
        except StopIteration as stop:
            result: _Result = stop.value
            return result
        await sleep(pause)


def _room_at(spent: Sequence[tuple[float, int]], limit: int | None, more: int, window: float, now: float) -> float:
    """Return when a limit has room for so many more. spent: time and amount, the oldest first."""
    if limit is None:
        return now
    recent = [(at, amount) for at, amount in spent if at > now - window]
    excess = sum(amount for _, amount in recent) + more - limit
    for at, amount in recent:
        if excess <= 0:
            return now
        excess -= amount
        if excess <= 0:
            return at + window
    return now if excess <= 0 or not recent else recent[-1][0] + window
