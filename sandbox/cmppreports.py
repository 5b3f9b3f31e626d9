"""The delivery reports that go over CMPP: each segment is told of by itself, when its phone has it, as gateways do.

A long message is judged with its last segment; those before it are on their way by then, and may have been reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from sms1680.cmpp.wire.reports import ReportContent

from .cmppfaults import CMPPFault, CMPPFaults
from .platform import Platform
from .records import DELIVERED, ReportReady

ACCEPTED_STAT, DELIVERED_STAT, FAILED_STAT = "ACCEPTD", "DELIVRD", "UNDELIV"
HandOver = Callable[[str, ReportContent], None]


@dataclass(slots=True)
class SegmentReports:
    """Makes reports and hands them over with the username they are for.

    `sent` maps a platform's message id to the Msg_Ids of its segments.
    """

    platform: Platform
    faults: CMPPFaults
    hand_over: HandOver = field(repr=False)
    sent: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _ahead: set[int] = field(default_factory=set)
    _told: set[tuple[int, str]] = field(default_factory=set, repr=False)

    def expect(self, username: str, msg_id: int, numbers: Iterable[str]) -> None:
        """Report a segment that goes out ahead of its message's last one."""
        self._ahead.add(msg_id)
        due = self.platform.clock() + self.platform.config.report_delay
        self.platform.later(due, partial(self._report_ahead, username, msg_id, tuple(numbers)))
        self.platform.changed()

    def hold(self, ids: Iterable[int]) -> None:
        """Report segments with their message only: it waits for its time or for a person."""
        self._ahead.difference_update(ids)

    def _report_ahead(self, username: str, msg_id: int, numbers: tuple[str, ...]) -> None:
        if msg_id not in self._ahead:
            return
        self._ahead.discard(msg_id)
        for number in numbers:
            status = self.platform.phone(number).report_status
            if status is not None:
                self._told.add((msg_id, number))
                self._report(username, msg_id, number, status)

    def settle(self, event: ReportReady) -> None:
        """Report the segments of a message that have not been reported yet."""
        for msg_id in self.sent[event.message_id]:
            if (msg_id, event.number) in self._told:
                self._told.discard((msg_id, event.number))
            else:
                self._report(event.username, msg_id, event.number, event.status)

    def _report(self, username: str, msg_id: int, number: str, status: str) -> None:
        stat = DELIVERED_STAT if status == DELIVERED else status
        fault = self.faults.take_report()
        if fault is CMPPFault.ACCEPTED_FIRST:
            self.hand_over(username, ReportContent(msg_id=msg_id, stat=ACCEPTED_STAT, dest_terminal_id=number))
        elif fault is CMPPFault.SEGMENT_FAILED:
            stat = FAILED_STAT
        self.hand_over(username, ReportContent(msg_id=msg_id, stat=stat, dest_terminal_id=number))
