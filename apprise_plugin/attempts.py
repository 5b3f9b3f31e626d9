"""One notification across the attempts that Apprise makes for it (`?retry=`): what is settled is never sent again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .core import Outcome, Reason, Receipt, Repeat

# Apprise calls a failed service again after its `wait`; what comes later than this besides is a new notification.
_LATEST = 5.0
_MOST = 64


@dataclass(slots=True)
class Attempts:
    """What the attempts at one notification share.

    began: the time of the first one, monotonic. text: as it goes out, the same each time. receipts: by number, the
    last of each. told: the numbers whose good news are in the log. ended: when the last attempt ended, None while one
    is under way.
    """

    began: float
    text: str
    receipts: dict[str, Receipt] = field(default_factory=dict, repr=False)
    told: set[str] = field(default_factory=set, repr=False)
    ended: float | None = None

    def take(self, receipt: Receipt) -> None:
        """Note what became of a number; that there was no time for another try says less than why the last failed."""
        earlier = self.receipts.get(receipt.number)
        if earlier is None or receipt.reason is not Reason.DEADLINE:
            self.receipts[receipt.number] = receipt

    def unsettled(self, numbers: Iterable[str]) -> list[str]:
        """Return the numbers that the message may be sent to now."""
        return [number for number in numbers if number not in self.receipts or may_go_again(self.receipts[number])]


def may_go_again(receipt: Receipt) -> bool:
    """Tell whether a retry may send to this number: it certainly was not sent to, and time alone may change that."""
    return receipt.outcome in (Outcome.NOT_SENT, Outcome.REFUSED) and receipt.repeat is Repeat.YES


class OwnMemory:
    """Remembers attempts for the versions of Apprise that retry and do not (1.11 to 1.13)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._attempts: dict[str, Attempts] = {}

    def recall(self, key: str, wait: float) -> Attempts | None:
        """Return the attempts that this one continues: the last one failed `wait` seconds and a little ago."""
        found = self._attempts.get(key)
        if found is None or found.ended is None or self._clock() - found.ended > wait + _LATEST:
            return None
        found.ended = None
        return found

    def remember(self, key: str, attempts: Attempts) -> None:
        """Keep the attempts until the notification succeeds."""
        while len(self._attempts) >= _MOST:
            self._attempts.pop(next(iter(self._attempts)), None)
        self._attempts[key] = attempts

    def end(self, key: str, attempts: Attempts, *, succeeded: bool) -> None:
        """Note that an attempt ended; after a success the same text is a new notification."""
        attempts.ended = self._clock()
        if succeeded:
            self._attempts.pop(key, None)
