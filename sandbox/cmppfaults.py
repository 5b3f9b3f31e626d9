"""What goes wrong over CMPP on demand: with which SUBMIT, which DELIVER, which delivery report."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import StrEnum


class CMPPFault(StrEnum):
    """One thing that goes wrong. The groups happen to a SUBMIT, to a DELIVER, and to a delivery report."""

    LOST_SUBMIT = "lost_submit"
    """The platform never sees it."""
    LOST_ANSWER = "lost_answer"
    """It is taken on, and never answered."""
    LATE_ANSWER = "late_answer"
    """It is answered after its delivery report, and after those that came behind it."""
    ANSWERED_TWICE = "answered_twice"
    TOO_FAST = "too_fast"
    DROP_BEFORE = "drop_before"
    """The connection breaks before the platform sees it."""
    DROP_AFTER = "drop_after"
    """The connection breaks after it is taken on and before it is answered."""
    HALF_OPEN = "half_open"
    """From here on the connection stands and nothing comes back, to anything."""
    TERMINATE = "terminate"
    """It is answered, and the platform ends the session."""
    RESTART = "restart"
    """It is taken on, and the whole platform's CMPP side goes away for a moment."""

    DELIVERED_TWICE = "delivered_twice"
    REDELIVERED = "redelivered"
    """Its answer is lost: it comes again, with a new Sequence_Id."""

    ACCEPTED_FIRST = "accepted_first"
    """An ACCEPTD, which is not final, goes ahead of it."""
    SEGMENT_FAILED = "segment_failed"
    """It says UNDELIV, whatever became of the other segments of its message."""


SUBMIT_FAULTS = tuple(CMPPFault)[:10]
DELIVER_FAULTS = tuple(CMPPFault)[10:12]
REPORT_FAULTS = tuple(CMPPFault)[12:]


class CMPPFaults:
    """Chooses what goes wrong: `choose_submit`, `choose_deliver` and `choose_report`, then the queue of `next`."""

    def __init__(self) -> None:
        """Begin without faults."""
        self.choose_submit: Callable[[], CMPPFault | None] | None = None
        self.choose_deliver: Callable[[], CMPPFault | None] | None = None
        self.choose_report: Callable[[], CMPPFault | None] | None = None
        self._queue: deque[CMPPFault] = deque()
        self.happened: dict[CMPPFault, int] = {}

    def next(self, fault: CMPPFault | str, times: int = 1) -> None:
        """Let the next SUBMITs, DELIVERs or reports go wrong.

        Raises:
            ValueError: there is no fault of that name.
        """
        self._queue.extend([CMPPFault(fault)] * times)

    def clear(self) -> None:
        """Let everything go well again."""
        self.choose_submit = self.choose_deliver = self.choose_report = None
        self._queue.clear()

    def as_json(self) -> dict[str, object]:
        """Return what there is, what is yet to go wrong, and what did, for the control API."""
        return {"names": list(CMPPFault), "queue": list(self._queue), "happened": dict(self.happened)}

    def take_submit(self) -> CMPPFault | None:
        """Return what goes wrong with this SUBMIT, if anything, and use it up."""
        return self._take(self.choose_submit, SUBMIT_FAULTS)

    def take_deliver(self) -> CMPPFault | None:
        """Return what goes wrong with this DELIVER, if anything, and use it up."""
        return self._take(self.choose_deliver, DELIVER_FAULTS)

    def take_report(self) -> CMPPFault | None:
        """Return what goes wrong with this delivery report, if anything, and use it up."""
        return self._take(self.choose_report, REPORT_FAULTS)

    def _take(self, choose: Callable[[], CMPPFault | None] | None, kinds: tuple[CMPPFault, ...]) -> CMPPFault | None:
        fault = choose() if choose else None
        if fault is None and self._queue and self._queue[0] in kinds:
            fault = self._queue.popleft()
        if fault is not None:
            self.happened[fault] = self.happened.get(fault, 0) + 1
        return fault
