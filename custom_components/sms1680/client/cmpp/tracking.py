"""Delivery reports matched with what was sent: by the Msg_Id of the SUBMIT_RESP, for each destination.

A report of a single segment is the report of its message. Those of a long one make one result: delivered when every
segment is, failed as soon as one is. Where not all segments were accepted, each is reported by itself. ACCEPTD is not
final. Reports come up to 48 hours later, says the standard: what
was sent is remembered for two days at least (or the last million segments), in a few words a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from ..errors import InvalidMessageError
from ..numbers import normalise_number
from ..push import DeliveryReport, ReportState
from .wire.reports import ReportContent

__all__ = ["ReportTracker", "plain_number"]

_GENERATION_SECONDS: Final = 24 * 3600.0
_GENERATIONS: Final = 3
_MAX_PER_GENERATION: Final = 500_000


@dataclass(slots=True)
class _Progress:
    """What one destination's reports said so far: which segments are delivered, how one failed, what was handed on."""

    delivered: set[int]
    failed: str = ""
    pending: bool = False
    final: bool = False


@dataclass(slots=True)
class _LongMessage:
    """A message of several segments. whole: all of them were accepted. progress: by destination, once one reports."""

    ids: tuple[int, ...]
    whole: bool
    progress: dict[str, _Progress] | None = None

    def of(self, number: str) -> _Progress:
        if self.progress is None:
            self.progress = {}
        return self.progress.setdefault(number, _Progress(set()))


_Generation: TypeAlias = dict[int, _LongMessage | None]


def plain_number(number: str) -> str:
    """Return a mainland mobile number without its 86 (trap 22), and anything else as it came."""
    try:
        return normalise_number(number)
    except InvalidMessageError:
        return number


class ReportTracker:
    """What was sent and waits for its reports."""

    def __init__(self, now: float, *, join: bool = True) -> None:
        """Begin empty. join: make one result of a long message's reports, else each segment's report is its own."""
        self._join = join
        self._generations: list[_Generation] = [{} for _ in range(_GENERATIONS)]
        self._turned_at = now

    def __len__(self) -> int:
        """Return how many segments are remembered."""
        return sum(map(len, self._generations))

    def add(self, ids: tuple[int, ...], total: int, now: float) -> None:
        """Remember a message's accepted segments. total: how many it has.

        While there are fewer ids each segment is reported by itself. The rest may become known later: what was reported
        until then counts for the whole.
        """
        if now - self._turned_at >= _GENERATION_SECONDS or len(self._generations[0]) >= _MAX_PER_GENERATION:
            self._turned_at = now
            self._generations = [{}, *self._generations[: _GENERATIONS - 1]]
        newest = self._generations[0]
        if total == 1:
            newest[ids[0]] = None
        elif not self._join:
            newest.update(dict.fromkeys(ids))
        else:
            begun = (self._find(msg_id) for msg_id in ids)
            message = next((one for one in begun if one is not None and not one.whole), None) or _LongMessage(
                ids, whole=False
            )
            message.ids, message.whole = ids, len(ids) == total
            newest.update(dict.fromkeys(ids, message))

    def is_known(self, msg_id: int) -> bool:
        """Tell whether a report's Msg_Id is of something that was sent."""
        return any(msg_id in known for known in self._generations)

    def resolve(self, report: ReportContent) -> DeliveryReport | None:
        """Return what a report says of its message at its destination; None where it says nothing new of the whole.

        A report for nothing that is known is handed on as it is, and changes nothing.
        """
        number = plain_number(report.dest_terminal_id)
        own = DeliveryReport(str(report.msg_id), number, report.stat)
        message = self._find(report.msg_id)
        if message is None:
            return own
        progress = message.of(number)
        if own.state is ReportState.DELIVERED:
            progress.delivered.add(report.msg_id)
        elif own.state is not ReportState.PENDING:
            progress.failed = progress.failed or report.stat
        return self._resolve_long(message, progress, own) if message.whole else own

    def _resolve_long(self, message: _LongMessage, progress: _Progress, own: DeliveryReport) -> DeliveryReport | None:
        """Return what is new of a whole message by a report of one of its segments."""
        pending = own.state is ReportState.PENDING
        if progress.final or (pending and progress.pending):
            return None
        told = DeliveryReport(str(message.ids[0]), own.number, progress.failed or own.status)
        if pending and not progress.failed:
            progress.pending = True
            return told
        if not progress.failed and len(progress.delivered) < len(message.ids):
            return None
        progress.final = True
        progress.delivered.clear()
        return told

    def _find(self, msg_id: int) -> _LongMessage | None:
        """Return the long message that a Msg_Id belongs to, None for a single one and for what is not known."""
        return next((known[msg_id] for known in self._generations if msg_id in known), None)
