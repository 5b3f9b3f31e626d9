"""Delivery reports matched with what was sent: by the Msg_Id of the SUBMIT_RESP, for each destination.

A report of a single segment is the report of its message. Those of a long one make one result: delivered when every
segment is, failed as soon as one is. ACCEPTD is not final. Reports come up to 48 hours later, says the standard: what
was sent is remembered for two days at least (or the last million segments), in a few words a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from ..errors import InvalidMessageError
from ..numbers import normalise_number
from ..push import DeliveryReport, ReportState
from .reports import ReportContent

__all__ = ["Tracker", "plain_number"]

_GENERATION: Final = 24 * 3600.0
_GENERATIONS: Final = 3
_MOST: Final = 500_000


@dataclass(slots=True)
class _Progress:
    """What one destination's reports said so far: which segments are delivered, and what was handed on."""

    delivered: set[int]
    pending: bool = False
    final: bool = False


@dataclass(slots=True)
class _Long:
    """A message of several segments. whole: all of them were accepted. progress: by destination, once one reports."""

    ids: tuple[int, ...]
    whole: bool
    progress: dict[str, _Progress] | None = None

    def of(self, number: str) -> _Progress:
        if self.progress is None:
            self.progress = {}
        return self.progress.setdefault(number, _Progress(set()))


_Known: TypeAlias = dict[int, _Long | None]


def plain_number(number: str) -> str:
    """Return a mainland mobile number without its 86 (trap 22), and anything else as it came."""
    try:
        return normalise_number(number)
    except InvalidMessageError:
        return number


class Tracker:
    """What was sent and waits for its reports."""

    def __init__(self, now: float, *, join: bool = True) -> None:
        """Begin empty. join: make one result of a long message's reports, else each segment's report is its own."""
        self._join = join
        self._generations: list[_Known] = [{} for _ in range(_GENERATIONS)]
        self._turned_at = now

    def __len__(self) -> int:
        """Return how many segments are remembered."""
        return sum(map(len, self._generations))

    def sent(self, ids: tuple[int, ...], total: int, now: float) -> None:
        """Remember a message's accepted segments. total: how many it has; of fewer ids it can't become delivered."""
        if now - self._turned_at >= _GENERATION or len(self._generations[0]) >= _MOST:
            self._turned_at = now
            self._generations = [{}, *self._generations[: _GENERATIONS - 1]]
        newest = self._generations[0]
        if total == 1:
            newest[ids[0]] = None
        elif not self._join:
            newest.update(dict.fromkeys(ids))
        else:
            newest.update(dict.fromkeys(ids, _Long(ids, whole=len(ids) == total)))

    def knows(self, msg_id: int) -> bool:
        """Tell whether a report's Msg_Id is of something that was sent."""
        return any(msg_id in known for known in self._generations)

    def result(self, report: ReportContent) -> DeliveryReport | None:
        """Return what a report says of its message at its destination; None where it says nothing new of the whole.

        A report for nothing that is known is handed on as it is, and changes nothing.
        """
        number = plain_number(report.dest_terminal_id)
        status = report.stat
        known = next((known for known in self._generations if report.msg_id in known), {})
        message = known.get(report.msg_id)
        if message is None:
            return DeliveryReport(str(report.msg_id), number, status)
        told = DeliveryReport(str(message.ids[0]), number, status)
        progress = message.of(number)
        if progress.final or (progress.pending and told.state is ReportState.PENDING):
            return None
        if told.state is ReportState.PENDING:
            progress.pending = True
            return told
        if told.state is ReportState.DELIVERED:
            progress.delivered.add(report.msg_id)
            if not message.whole or len(progress.delivered) < len(message.ids):
                return None
        progress.final = True
        progress.delivered.clear()
        return told
