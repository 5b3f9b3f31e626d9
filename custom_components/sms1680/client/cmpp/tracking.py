"""Matches delivery reports with sent messages, by the Msg_Id of the SUBMIT_RESP and the destination.

The reports of a long message are joined into one result: delivered once every segment is delivered, failed once one
segment fails. If the gateway accepted only some segments, each segment's report is a result of its own. ACCEPTD is not
final. Reports can arrive up to 48 hours later (docs/cmpp.md, section 2), so the tracker remembers messages for at
least two days or the last million segments.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from ..bounded import BoundedDict
from ..errors import InvalidMessageError
from ..numbers import normalise_number
from ..push import DeliveryReport
from ..report_words import ReportState
from .wire.reports import ReportContent

_GENERATION_SECONDS: Final = 24 * 3600.0
_GENERATIONS: Final = 3
_MAX_PER_GENERATION: Final = 500_000
_MAX_PARTIAL: Final = 10_000
_PARTIAL_SECONDS: Final = 90.0
_DELIVERED: Final = "DELIVRD"


@dataclass(slots=True)
class _Progress:
    """The reports of one destination so far.

    delivered: the ids of the delivered segments. failed: the status of the first failed one. pending, final: whether a
    pending or a final result was returned.
    """

    delivered: set[int]
    failed: str = ""
    pending: bool = False
    final: bool = False


@dataclass(slots=True)
class _LongMessage:
    """A message of several segments. complete: the gateway accepted all of them. progress: by destination."""

    ids: tuple[int, ...]
    complete: bool
    progress: dict[str, _Progress] | None = None

    def progress_of(self, number: str) -> _Progress:
        if self.progress is None:
            self.progress = {}
        return self.progress.setdefault(number, _Progress(set()))


def plain_number(number: str) -> str:
    """Return a mainland mobile number without its 86 (docs/cmpp.md, trap 22), and any other number unchanged."""
    try:
        return normalise_number(number)
    except InvalidMessageError:
        return number


class ReportTracker:
    """The sent messages that wait for reports."""

    def __init__(self, now: float, *, join: bool = True) -> None:
        """Begin empty. join: join the reports of a long message; otherwise each segment's report is a result."""
        self._join = join
        self._generations: deque[dict[int, _LongMessage | None]] = deque([{}], _GENERATIONS)
        self._turned_at = now
        # Messages with a delivered segment: the time of the last report, the progress and the result without others.
        self._partial: BoundedDict[tuple[int, str], tuple[float, _Progress, DeliveryReport]] = BoundedDict(_MAX_PARTIAL)

    def __len__(self) -> int:
        """Return the number of tracked segments."""
        return sum(map(len, self._generations))

    def add(self, ids: tuple[int, ...], total: int, now: float) -> None:
        """Track the accepted segments of a message with `total` segments.

        With fewer ids each segment is reported separately. A later call can add the missing ids; the earlier reports
        count for the complete message.
        """
        if now - self._turned_at >= _GENERATION_SECONDS or len(self._generations[0]) >= _MAX_PER_GENERATION:
            self._turned_at = now
            self._generations.appendleft({})
        newest = self._generations[0]
        if total == 1:
            newest[ids[0]] = None
        elif not self._join:
            newest.update(dict.fromkeys(ids))
        else:
            found = (self._find(msg_id) for msg_id in ids)
            partial = (message for message in found if message is not None and not message.complete)
            message = next(partial, None) or _LongMessage(ids, complete=False)
            message.ids, message.complete = ids, len(ids) == total
            newest.update(dict.fromkeys(ids, message))

    def settle_partial(self, now: float) -> list[DeliveryReport]:
        """Return the results of long messages with a delivered segment for which no further report is expected.

        Many gateways report the first segment only.
        """
        found = []
        while (due := self.deadline) is not None and due <= now:
            _, (_, progress, result) = self._partial.popitem(last=False)
            progress.final = True
            progress.delivered.clear()
            found.append(result)
        return found

    @property
    def deadline(self) -> float | None:
        """When `settle_partial` is due, None if it is not."""
        # The oldest is the first one: each report makes its message the last one.
        return next(iter(self._partial.values()))[0] + _PARTIAL_SECONDS if self._partial else None

    def is_known(self, msg_id: int) -> bool:
        """Return whether a Msg_Id belongs to a tracked segment."""
        return any(msg_id in generation for generation in self._generations)

    def resolve(self, report: ReportContent, now: float = 0.0) -> DeliveryReport | None:
        """Return the result of a report for its message and destination, or None if the result has not changed.

        The report of an unknown message is returned as it is.
        """
        number = plain_number(report.dest_terminal_id)
        own = DeliveryReport(str(report.msg_id), number, report.stat)
        message = self._find(report.msg_id)
        if message is None:
            return own
        progress = message.progress_of(number)
        if own.state is ReportState.DELIVERED:
            progress.delivered.add(report.msg_id)
        elif own.state is not ReportState.PENDING:
            progress.failed = progress.failed or report.stat
        if not message.complete:
            return own
        result = self._join_result(message, progress, own)
        key = (message.ids[0], number)
        if progress.final:
            self._partial.pop(key, None)
        elif progress.delivered:
            self._partial[key] = now, progress, DeliveryReport(str(message.ids[0]), number, _DELIVERED)
        return result

    def _join_result(self, message: _LongMessage, progress: _Progress, own: DeliveryReport) -> DeliveryReport | None:
        """Return the result of a complete long message after one segment's report, or None if it has not changed."""
        pending = own.state is ReportState.PENDING
        if progress.final or (pending and progress.pending):
            return None
        result = DeliveryReport(str(message.ids[0]), own.number, progress.failed or own.status)
        if pending and not progress.failed:
            progress.pending = True
            return result
        if not progress.failed and len(progress.delivered) < len(message.ids):
            return None
        progress.final = True
        progress.delivered.clear()
        return result

    def _find(self, msg_id: int) -> _LongMessage | None:
        """Return the long message of a Msg_Id, or None for a single segment and an unknown id."""
        return next((known[msg_id] for known in self._generations if msg_id in known), None)
