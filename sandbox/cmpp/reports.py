"""The delivery reports that go over CMPP, one for each segment, as real gateways send them.

The platform judges a long message by its last segment. The earlier ones are sent, and possibly reported, before that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final

from sms1680.cmpp.wire.msgid import MsgId
from sms1680.cmpp.wire.reports import ReportContent

from ..formats import CHINA_TIME
from ..platform import Platform
from ..records import DELIVERED, ReportReady
from .faults import CMPPFault, CMPPFaults

_MINUTE: Final = "%y%m%d%H%M"
ACCEPTED_STAT, DELIVERED_STAT, FAILED_STAT, CANCELLED_STAT = "ACCEPTD", "DELIVRD", "UNDELIV", "DELETED"
Deliver = Callable[[str, ReportContent], None]


@dataclass(slots=True)
class SegmentReports:
    """Creates reports and passes them to `deliver` with the username of the account.

    `sent` maps the platform's message id to the Msg_Ids of its segments.
    """

    platform: Platform
    faults: CMPPFaults
    deliver: Deliver = field(repr=False)
    sent: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _early: set[int] = field(default_factory=set)
    _reported: set[tuple[int, str]] = field(default_factory=set, repr=False)

    def schedule(self, username: str, msg_id: int, numbers: Iterable[str]) -> None:
        """Report a segment that is sent before the last segment of its message arrives."""
        self._early.add(msg_id)
        due = self.platform.clock() + self.platform.config.report_delay
        self.platform.later(due, partial(self._report_early, username, msg_id, tuple(numbers)))
        self.platform.changed()

    def hold(self, ids: Iterable[int]) -> None:
        """Report these segments only together with their message, which is scheduled or held for review."""
        self._early.difference_update(ids)

    def _report_early(self, username: str, msg_id: int, numbers: tuple[str, ...]) -> None:
        if msg_id not in self._early:
            return
        self._early.discard(msg_id)
        for number in numbers:
            status = self.platform.phone(number).report_status
            if status is not None:
                self._reported.add((msg_id, number))
                self._report(username, msg_id, number, status)

    def report_cancelled(self, username: str, msg_id: int, numbers: Iterable[str]) -> None:
        """Report a segment that its sender cancelled, to each of its numbers that has reports."""
        numbers = [number for number in numbers if self.platform.phone(number).report_status is not None]
        due = self.platform.clock() + self.platform.config.report_delay
        for number in numbers:
            self.platform.later(due, partial(self._report, username, msg_id, number, CANCELLED_STAT))
        self.platform.changed()

    def settle(self, event: ReportReady) -> None:
        """Report the segments of a message that have not been reported yet."""
        for msg_id in self.sent[event.message_id]:
            if (msg_id, event.number) in self._reported:
                self._reported.discard((msg_id, event.number))
            else:
                self._report(event.username, msg_id, event.number, event.status)

    def _report(self, username: str, msg_id: int, number: str, status: str) -> None:
        stat = DELIVERED_STAT if status == DELIVERED else status
        done = datetime.fromtimestamp(self.platform.clock(), CHINA_TIME)
        report = ReportContent(
            msg_id=msg_id,
            stat=stat,
            submit_time=_submit_time(MsgId.of(msg_id), done),
            done_time=f"{done:{_MINUTE}}",
            dest_terminal_id=number,
        )
        fault = self.faults.next_for_report()
        if fault is CMPPFault.ACCEPTED_FIRST:
            self.deliver(username, replace(report, stat=ACCEPTED_STAT))
        elif fault is CMPPFault.SEGMENT_FAILED:
            report = replace(report, stat=FAILED_STAT)
        self.deliver(username, report)


def _submit_time(submitted: MsgId, done: datetime) -> str:
    """Return the time in a Msg_Id, which has no year."""
    year = done.year - ((submitted.month, submitted.day) > (done.month, done.day))
    return f"{year % 100:02}{submitted.month:02}{submitted.day:02}{submitted.hour:02}{submitted.minute:02}"
