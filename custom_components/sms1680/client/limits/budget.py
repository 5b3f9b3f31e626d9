"""A guard on spending: so many parts an hour and a day, so many messages to one number, less for what is automatic.

It belongs to the account like the pace, and is shared by the processes of a machine. What it holds back is told as
`refused` with its reason and costs nothing. Nothing here sleeps or reads a clock that was not handed in.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from ..outcomes import Reason
from .ledger import Entry, Ledger, LedgerBusyError, LedgerError, open_ledger
from .settings import Spending, SpendingLimits

_LOGGER = logging.getLogger(__name__)

HOUR = 3600.0
DAY = 24 * HOUR
NUMBER_WINDOW = 600.0

_BUSY_PAUSE = 0.005
_BUSY_TRIES = 400


@dataclass(frozen=True, slots=True)
class Admission:
    """The guard's word on one message: the entry that counts it, or the reason that holds it back."""

    entry: int | None = None
    reason: Reason | None = None


class Guard:
    """The guard of one account.

    key: as the pace has it. limits: what may be spent. now: seconds since 1970, for they outlive a restart.
    state_dir: as for the pace.
    """

    def __init__(
        self, key: str, limits: SpendingLimits, now: Callable[[], float], state_dir: str | None = None
    ) -> None:
        self.limits = limits
        self._key = key
        self._now = now
        self._ledger: Ledger = open_ledger(key, state_dir)

    def admit(
        self, messages: Sequence[tuple[str, int]], *, critical: bool, automatic: bool
    ) -> Generator[float, None, list[Admission]]:
        """Count messages (number and parts) that are about to go out, as far as the limits allow, in their order.

        Yields seconds to sleep while another process holds the ledger; returns a word on each. Where nothing can be
        counted, everything is admitted: an alarm must not die of its accounting.
        """
        admissions: list[Admission] = [Admission()] * len(messages)

        def admit() -> None:
            admissions[:] = self._admit(messages, critical=critical, automatic=automatic)

        yield from self._writing(admit)
        return admissions

    def give_back(self, admissions: Sequence[Admission]) -> Generator[float, None, None]:
        """Take messages out of the count that certainly cost nothing. Yields as `admit` does."""
        entries = [admission.entry for admission in admissions if admission.entry is not None]
        if entries:
            yield from self._writing(lambda: self._ledger.remove(entries))

    def _writing(self, write: Callable[[], None]) -> Generator[float, None, None]:
        for _ in range(_BUSY_TRIES):
            try:
                with self._ledger.writing():
                    write()
            except LedgerBusyError:
                yield _BUSY_PAUSE
            except LedgerError:
                break
            else:
                return
        _LOGGER.warning("What is spent can't be counted at the moment; messages go out all the same")

    def spending(self) -> Spending:
        """Return what was spent."""
        now = self._now()
        return Spending(self._ledger.parts(now - HOUR), self._ledger.parts(now - DAY))

    def _admit(self, messages: Sequence[tuple[str, int]], *, critical: bool, automatic: bool) -> list[Admission]:
        now = self._now()
        ledger = self._ledger
        ledger.forget(now - DAY, now)
        hour, day = ledger.parts(now - HOUR), ledger.parts(now - DAY)
        own_hour = ledger.parts(now - HOUR, automatic=True) if automatic else 0
        admissions = []
        for number, parts in messages:
            mark = self._mark(number)
            reason = self._reason(hour + parts, day + parts, own_hour + parts if automatic else 0, critical=critical)
            most = None if critical else self.limits.number
            if reason is None and most is not None and ledger.messages(now - NUMBER_WINDOW, mark) >= most:
                reason = Reason.NUMBER_LIMIT
            if reason is not None:
                admissions.append(Admission(reason=reason))
                continue
            hour, day, own_hour = hour + parts, day + parts, own_hour + parts
            admissions.append(Admission(entry=ledger.add(Entry(now, parts, automatic, mark))))
        return admissions

    def _reason(self, hour: int, day: int, own_hour: int, *, critical: bool) -> Reason | None:
        limits = self.limits
        if limits.automatic is not None and own_hour > limits.automatic:
            return Reason.AUTOMATIC_LIMIT
        if limits.day is not None and day > limits.day + (limits.reserve if critical else 0):
            return Reason.DAILY_LIMIT
        if limits.hour is not None and hour > limits.hour and not critical:
            return Reason.HOURLY_LIMIT
        return None

    def _mark(self, number: str) -> bytes:
        """Return what stands for a number in the ledger: enough to count by, and no number."""
        return hashlib.sha256(f"{self._key}\n{number}".encode()).digest()[:8]
