"""Faults over CMPP on demand, for the next SUBMIT, DELIVER or delivery report."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum


class CMPPFault(StrEnum):
    """One fault. The first ten affect a SUBMIT, the next two a DELIVER, the last two a delivery report."""

    LOST_SUBMIT = "lost_submit"
    """The platform never receives it."""
    LOST_ANSWER = "lost_answer"
    """It is accepted, and no response is sent."""
    LATE_ANSWER = "late_answer"
    """The response comes after its delivery report, and after the responses to later SUBMITs."""
    ANSWERED_TWICE = "answered_twice"
    TOO_FAST = "too_fast"
    DROP_BEFORE = "drop_before"
    """The connection breaks before the platform receives it."""
    DROP_AFTER = "drop_after"
    """The connection breaks after it is accepted and before the response."""
    HALF_OPEN = "half_open"
    """From now on the connection stays open, but nothing is received or sent."""
    TERMINATE = "terminate"
    """The response is sent, and the platform ends the session."""
    RESTART = "restart"
    """It is accepted, and the platform's CMPP side restarts before the response."""

    DELIVERED_TWICE = "delivered_twice"
    REDELIVERED = "redelivered"
    """Its response is ignored, and it is sent again with a new Sequence_Id."""

    ACCEPTED_FIRST = "accepted_first"
    """A report with ACCEPTD, which is not final, precedes it."""
    SEGMENT_FAILED = "segment_failed"
    """It reports UNDELIV, regardless of the message's other segments."""


SUBMIT_FAULTS = tuple(CMPPFault)[:10]
DELIVER_FAULTS = tuple(CMPPFault)[10:12]
REPORT_FAULTS = tuple(CMPPFault)[12:]


class CMPPFaults:
    """Selects the faults: `choose_submit`, `choose_deliver` and `choose_report` first, then the queue of `next`."""

    def __init__(self) -> None:
        """Start without faults."""
        self.choose_submit: Callable[[], CMPPFault | None] | None = None
        self.choose_deliver: Callable[[], CMPPFault | None] | None = None
        self.choose_report: Callable[[], CMPPFault | None] | None = None
        self._queue: deque[CMPPFault] = deque()
        self.happened: dict[CMPPFault, int] = {}

    def next(self, fault: CMPPFault | str, times: int = 1) -> None:
        """Apply a fault to the next SUBMITs, DELIVERs or reports, so many times.

        Raises:
            ValueError: the name is unknown.
        """
        self._queue.extend([CMPPFault(fault)] * times)

    def clear(self) -> None:
        """Remove all faults."""
        self.choose_submit = self.choose_deliver = self.choose_report = None
        self._queue.clear()

    def as_json(self) -> dict[str, object]:
        """Return the available, queued and past faults for the control API."""
        return {"names": list(CMPPFault), "queue": list(self._queue), "happened": dict(self.happened)}

    def next_for_submit(self) -> CMPPFault | None:
        """Return the fault of this SUBMIT, if any, and remove it from the queue."""
        return self._next(self.choose_submit, SUBMIT_FAULTS)

    def next_for_deliver(self) -> CMPPFault | None:
        """Return the fault of this DELIVER, if any, and remove it from the queue."""
        return self._next(self.choose_deliver, DELIVER_FAULTS)

    def next_for_report(self) -> CMPPFault | None:
        """Return the fault of this delivery report, if any, and remove it from the queue."""
        return self._next(self.choose_report, REPORT_FAULTS)

    def _next(self, choose: Callable[[], CMPPFault | None] | None, kinds: tuple[CMPPFault, ...]) -> CMPPFault | None:
        fault = choose() if choose else None
        if fault is None and self._queue and self._queue[0] in kinds:
            fault = self._queue.popleft()
        if fault is not None:
            self.happened[fault] = self.happened.get(fault, 0) + 1
        return fault
