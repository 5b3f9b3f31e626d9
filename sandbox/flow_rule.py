"""The flow rule of one account (docs/protocol.md, section 4), applied strictly."""

from __future__ import annotations


class FlowRule:
    """Decides whether a submit may start now.

    With a rate (items per second), one submit is in progress at a time, and the next may start items ÷ rate seconds
    after the answer to the last accepted one. Without a rate, only `concurrency` limits the submits in progress.
    """

    def __init__(self, rate: float | None, concurrency: int) -> None:
        """Start with nothing in progress."""
        self.rate = rate
        self.concurrency = concurrency
        self.in_progress = 0
        self.free_at = 0.0

    def admit(self, now: float) -> bool:
        """Start a submit, or return False if it is too fast. Each admitted submit must `finish`."""
        limit = self.concurrency if self.rate is None else 1
        if self.in_progress >= limit or (self.rate is not None and now < self.free_at):
            return False
        self.in_progress += 1
        return True

    def finish(self, now: float, items: int) -> None:
        """End a submit when its answer is sent. `items`: its flow items; 0 if it was refused."""
        self.in_progress -= 1
        if self.rate is not None:
            self.free_at = max(self.free_at, now + items / self.rate)
