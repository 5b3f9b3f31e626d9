"""The platform's flow rule (4.3, 4.4) of one account, checked to the letter."""

from __future__ import annotations


class Pace:
    """Decides whether a submit may enter now.

    With a rate (items a second) one submit is under way at a time, and the next may enter only items ÷ rate seconds
    after the answer to the last one that was taken on. Without a rate only so many may be under way at once.
    """

    def __init__(self, rate: float | None, concurrency: int) -> None:
        """Begin with nothing under way."""
        self.rate = rate
        self.concurrency = concurrency
        self.under_way = 0
        self.free_at = 0.0

    def enter(self, now: float) -> bool:
        """Let a submit in, or say that it is too fast; what was let in must `leave`."""
        limit = self.concurrency if self.rate is None else 1
        if self.under_way >= limit or (self.rate is not None and now < self.free_at):
            return False
        self.under_way += 1
        return True

    def leave(self, now: float, items: int) -> None:
        """Note that the answer to a submit goes out; `items` is 0 for one that was refused."""
        self.under_way -= 1
        if self.rate is not None:
            self.free_at = max(self.free_at, now + items / self.rate)
