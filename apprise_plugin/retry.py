"""State shared by the attempts that Apprise makes for one notification (`?retry=`).

A number is never sent to again once its outcome is final.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from .core import OWN_LIMITS, Reason, Receipt, Repeat

# Apprise retries a failed service after its `wait`. A call that arrives this many seconds later is a new notification.
_GRACE = 5.0
_CAPACITY = 64


@dataclass(slots=True)
class RetryState:
    """The state that the attempts at one notification share.

    started_at: the monotonic time of the first attempt. text: the text to send, the same in each attempt.
    limit: seconds from the first attempt within which all end. receipts: the last receipt of each number. logged:
    numbers whose success is already in the log. ended_at: when the last attempt ended; None while one is running.
    is_late: the last attempt had no time for a request, and each number has the reason of an earlier attempt.
    """

    started_at: float
    text: str
    limit: float = 0.0
    receipts: dict[str, Receipt] = field(default_factory=dict, repr=False)
    logged: set[str] = field(default_factory=set, repr=False)
    ended_at: float | None = None
    is_late: bool = False

    def record(self, receipt: Receipt) -> None:
        """Store a receipt, unless it only reports that no time was left for another attempt."""
        self.is_late = receipt.reason is Reason.DEADLINE and receipt.number in self.receipts
        if not self.is_late:
            self.receipts[receipt.number] = receipt

    def remaining(self, numbers: Iterable[str]) -> list[str]:
        """Return the numbers that this attempt may send to."""
        return [number for number in numbers if number not in self.receipts or is_retryable(self.receipts[number])]


def is_retryable(receipt: Receipt) -> bool:
    """Return True if the message was certainly not sent and a later attempt can succeed.

    A message that our own limit held back is counted, and the phone learns about it later.
    """
    return receipt.outcome.is_failure and receipt.repeat is Repeat.YES and receipt.reason not in OWN_LIMITS


class RetryMemory:
    """Stores retry states for the Apprise versions that retry but store nothing themselves (1.11 to 1.13)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._states: dict[str, RetryState] = {}

    def recall(self, key: str, wait: float) -> RetryState | None:
        """Return the state of a notification whose last attempt failed not much more than `wait` seconds ago."""
        state = self._states.get(key)
        if state is None or state.ended_at is None or self._clock() - state.ended_at > wait + _GRACE:
            return None
        state.ended_at = None
        return state

    def remember(self, key: str, state: RetryState) -> None:
        """Store a state until its notification succeeds. The oldest is dropped when 64 are stored."""
        while len(self._states) >= _CAPACITY:
            self._states.pop(next(iter(self._states)), None)
        self._states[key] = state

    def finish(self, key: str, state: RetryState, *, succeeded: bool) -> None:
        """Record the end of an attempt. After a success, the same text is a new notification."""
        state.ended_at = self._clock()
        if succeeded:
            self._states.pop(key, None)
