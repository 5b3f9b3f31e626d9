"""The spending guard: limits on parts per hour and day, on messages per number, and on automatic messages.

Like the rate limiter, it belongs to the account and is shared by the processes of a machine. A message above a limit
is refused with its own reason and costs nothing. Nothing here sleeps or reads its own clock.
"""

import hashlib
import logging
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from ..outcomes import Reason
from ..receipts import Receipt
from .ledger import LedgerBusyError, LedgerError, open_ledger
from .settings import Spending, SpendingLimits

_LOGGER = logging.getLogger(__name__)

HOUR = 3600.0
DAY = 24 * HOUR
NUMBER_WINDOW = 600.0

_BUSY_PAUSE = 0.005
_BUSY_TRIES = 400


@dataclass(frozen=True, slots=True)
class Reservation:
    """The guard's decision on the items of a call. entries: the ledger entry of each admitted item, if counted."""

    entries: dict[int, int | None]
    refused: dict[int, Reason]

    @property
    def admitted(self) -> list[int]:
        """The admitted items."""
        return list(self.entries)

    def merge(self, refused: Sequence[Receipt], sent: Sequence[Receipt]) -> list[Receipt]:
        """Return the receipts of all items in their order."""
        receipts = dict(zip(self.refused, refused, strict=True)) | dict(zip(self.entries, sent, strict=True))
        return [receipts[item] for item in range(len(receipts))]


class SpendingGuard:
    """The spending guard of one account.

    key: see `account_key`. now: seconds since 1970, because the count survives a restart. state_dir: see `RateLimiter`.
    """

    def __init__(
        self, key: str, limits: SpendingLimits, now: Callable[[], float], state_dir: str | None = None
    ) -> None:
        self.limits = limits
        self._key = key
        self._now = now
        self._ledger = open_ledger(key, state_dir)

    def reserve(
        self, messages: Sequence[tuple[str, int]], *, critical: bool, automatic: bool
    ) -> Generator[float, None, Reservation]:
        """Count messages (number and parts) before they are sent, in their order, as far as the limits allow.

        Yield seconds to sleep while another process locks the ledger. If nothing can be counted, all messages are
        admitted: an alarm must not fail because of its accounting.
        """
        reservations = [Reservation(dict.fromkeys(range(len(messages))), {})]

        def reserve() -> None:
            reservations.append(self._reserve(messages, critical=critical, automatic=automatic))

        yield from self._writing(reserve)
        return reservations[-1]

    def refund(self, reservation: Reservation, receipts: Sequence[Receipt]) -> Generator[float, None, None]:
        """Remove the messages that certainly cost nothing from the count. Yield as `reserve` does.

        receipts: of the admitted items.
        """
        pairs = zip(reservation.entries.values(), receipts, strict=True)
        entries = [entry for entry, receipt in pairs if entry is not None and receipt.outcome.is_failure]
        if entries:
            yield from self._writing(lambda: self._ledger.remove(entries))

    def spending(self) -> Spending:
        """Return the amount spent."""
        now = self._now()
        return Spending(self._ledger.parts(now - HOUR), self._ledger.parts(now - DAY))

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
        _LOGGER.warning("Spending cannot be counted; messages are sent without a limit")

    def _reserve(self, messages: Sequence[tuple[str, int]], *, critical: bool, automatic: bool) -> Reservation:
        now = self._now()
        ledger = self._ledger
        ledger.prune(now - DAY, now)
        hour, day = ledger.parts(now - HOUR), ledger.parts(now - DAY)
        automatic_hour = ledger.parts(now - HOUR, automatic=True) if automatic else 0
        reservation = Reservation({}, {})
        for item, (number, parts) in enumerate(messages):
            number_hash = self._number_hash(number)
            of_automatic = automatic_hour + parts if automatic else 0
            reason = self._reason(hour + parts, day + parts, of_automatic, critical=critical)
            most = None if critical else self.limits.number
            if reason is None and most is not None and ledger.messages(now - NUMBER_WINDOW, number_hash) >= most:
                reason = Reason.NUMBER_LIMIT
            if reason is not None:
                reservation.refused[item] = reason
                continue
            hour, day, automatic_hour = hour + parts, day + parts, automatic_hour + parts
            reservation.entries[item] = ledger.add(now, parts, automatic, number_hash)
        return reservation

    def _reason(self, hour: int, day: int, automatic_hour: int, *, critical: bool) -> Reason | None:
        limits = self.limits
        if limits.automatic is not None and automatic_hour > limits.automatic:
            return Reason.AUTOMATIC_LIMIT
        if limits.day is not None and day > limits.day + (limits.reserve if critical else 0):
            return Reason.DAILY_LIMIT
        if limits.hour is not None and hour > limits.hour and not critical:
            return Reason.HOURLY_LIMIT
        return None

    def _number_hash(self, number: str) -> bytes:
        return hashlib.sha256(f"{self._key}\n{number}".encode()).digest()[:8]
