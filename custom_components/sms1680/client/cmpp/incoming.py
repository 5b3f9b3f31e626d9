"""What comes in: DELIVERs become replies and delivery reports, each handed on once, and are acknowledged when safe.

No socket and no clock of its own. `take` returns what is to be handed on; the application's word (`settle`) says
which DELIVERs may be acknowledged. What waits for something else (segments, a report before its SUBMIT_RESP or before
its message is settled) is handed on or acknowledged by `tick`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from ..bounded import BoundedDict
from ..push import DeliveryReport, Reply
from .tracking import ReportTracker, plain_number
from .wire.longsms import AssembledMessage, SegmentAssembler, split_header
from .wire.pdus import Deliver
from .wire.reports import ReportContent
from .wire.texts import join_content, read_text_content

__all__ = ["DeliverProcessor", "InboundDeliver", "Incoming", "PendingItem"]

Incoming: TypeAlias = Reply | DeliveryReport

_UDHI: Final = 0x41
_MAX_SEEN: Final = 20_000
_COMES_AGAIN: Final = 10
"""Halves of T: so long after it was safe, the same message on the same connection is another one."""
_GAP: Final = "…"


@dataclass(slots=True, eq=False)
class InboundDeliver:
    """One DELIVER as it came over one connection. via: that connection, for the acknowledgement."""

    pdu: Deliver
    via: object
    acknowledged: bool = False


class _Stage(Enum):
    WAITING = 0
    DISPATCHED = 1
    REJECTED = 2
    ACCEPTED = 3


@dataclass(slots=True, eq=False)
class PendingItem:
    """One thing for the application, None where it already knows; and the DELIVERs that it came in."""

    value: Incoming | None
    keys: list[object] = field(default_factory=list)
    deliveries: list[InboundDeliver] = field(default_factory=list)
    stage: _Stage = _Stage.DISPATCHED
    seen_at: float = 0.0

    @property
    def acknowledged(self) -> bool:
        """Whether the gateway will not send all of it again."""
        return any(delivery.acknowledged for delivery in self.deliveries)


@dataclass(slots=True)
class _EarlyReport:
    """A report that came before the answer to its SUBMIT, or for nothing that is known.

    deadline: None where it waits for the rest of its message.
    """

    report: ReportContent
    handed: PendingItem
    deadline: float | None


class DeliverProcessor:
    """Recognises what came twice, puts segments together, and matches reports with what was sent."""

    def __init__(self, tracker: ReportTracker, source_number: str, *, assembly_time: float, hold: float) -> None:
        """Take what was sent, and our own number, without which a reply's Dest_Id is its extension.

        assembly_time: seconds that an uplink may take from its first segment to its last. hold: seconds that a
        DELIVER's acknowledgement may wait, T/2; a report for something that is not known yet waits for T, by when each
        SUBMIT that was in flight has its answer or none.
        """
        self._tracker = tracker
        self._source_number = source_number
        self._assembler = SegmentAssembler(assembly_time)
        self._hold = hold
        self._seen: BoundedDict[object, PendingItem] = BoundedDict(_MAX_SEEN)
        self._open: set[int] = set()
        self._early: dict[int, list[_EarlyReport]] = {}
        self._waiting: dict[InboundDeliver, float] = {}
        self._via: object = None
        self._vias = 0
        self._via_since = 0.0

    def process(self, delivery: InboundDeliver, now: float, *, in_flight: bool) -> list[PendingItem]:
        """Take a DELIVER; return what is to be handed on. in_flight: SUBMITs wait for their answer.

        Raises CodecError for a report that can't be read.
        """
        pdu = delivery.pdu
        report = ReportContent.of(pdu) if pdu.registered_delivery == 1 else None
        if delivery.via is not self._via:
            self._via, self._vias, self._via_since = delivery.via, self._vias + 1, now
        key = self._key(pdu, report)
        known = self._seen.get(key)
        if known is not None and (report is not None or not self._is_new_message(known, now)):
            return self._on_duplicate(known, delivery, now)
        handed = PendingItem(None, [key], [delivery], seen_at=now)
        self._seen[key] = handed
        if report is not None:
            return self._on_report(report, handed, now, in_flight=in_flight)
        return self._on_message(pdu, handed, now)

    def settle(self, handed: PendingItem, *, accepted: bool) -> list[InboundDeliver]:
        """Take the application's word; return the DELIVERs to acknowledge now.

        What is not safe is not acknowledged: it will come again, and is handed on again then, as it is.
        """
        if not accepted:
            handed.stage = _Stage.REJECTED
            return []
        handed.stage, handed.value = _Stage.ACCEPTED, None
        due = [delivery for delivery in handed.deliveries if not delivery.acknowledged]
        handed.deliveries.clear()
        return due

    def on_segment_accepted(self, msg_id: int) -> None:
        """Remember an accepted segment of a message that is not settled yet: until then its reports wait."""
        self._open.add(msg_id)
        for early in self._early.get(msg_id, ()):
            early.deadline = None

    def on_message_accepted(self, ids: tuple[int, ...], total: int, now: float) -> list[PendingItem]:
        """Remember what was accepted; return the results of reports that were waiting for it."""
        self._tracker.add(ids, total, now)
        if self._open:
            self._open.difference_update(ids)
        if not self._early:
            return []
        early = [one for msg_id in ids for one in self._early.pop(msg_id, ())]
        return [self._resolve(one) for one in early]

    @property
    def deadline(self) -> float | None:
        """When `tick` is due, None where nothing waits."""
        dues = [self._assembler.deadline, *(early[0].deadline for early in self._early.values())]
        dues.append(next(iter(self._waiting.values()), None))
        return min((due for due in dues if due is not None), default=None)

    def tick(self, now: float) -> tuple[list[PendingItem], list[InboundDeliver]]:
        """Return what is handed on because its time is up, and what is acknowledged although it still waits."""
        handed = [self._combine(assembled) for assembled in self._assembler.expire(now)]
        for msg_id, (first, *_) in list(self._early.items()):
            if first.deadline is not None and first.deadline <= now:
                handed += [self._resolve(one) for one in self._early.pop(msg_id)]
        due = []
        for delivery, at in list(self._waiting.items()):
            if at > now:
                break
            del self._waiting[delivery]
            if not delivery.acknowledged:
                due.append(delivery)
        return handed, due

    def flush(self, *, include_unacknowledged: bool = True) -> list[PendingItem]:
        """Return what still waits, as it is: at the end nothing is kept back.

        include_unacknowledged: also what is not acknowledged, which the gateway will send again.
        """
        early = [one for waiting in self._early.values() for one in waiting]
        self._early.clear()
        handed = [self._combine(one) for one in self._assembler.flush()] + [self._resolve(one) for one in early]
        return [one for one in handed if include_unacknowledged or one.acknowledged]

    def _is_new_message(self, known: PendingItem, now: float) -> bool:
        """Tell whether a message that is as the known one is no repetition of it, but was sent by a person again.

        Some gateways give every message the same Msg_Id. What is not acknowledged comes again soon, on a new connection
        soon after its begin.
        """
        since = max(known.seen_at, self._via_since)
        return known.stage is _Stage.ACCEPTED and now - since > _COMES_AGAIN * self._hold

    def _on_duplicate(self, known: PendingItem, delivery: InboundDeliver, now: float) -> list[PendingItem]:
        if known.stage is _Stage.ACCEPTED:
            return [PendingItem(None, [], [delivery])]
        known.deliveries.append(delivery)
        known.seen_at = now
        if known.stage is _Stage.REJECTED:
            known.stage = _Stage.DISPATCHED
            return [known]
        if known.stage is _Stage.WAITING:
            self._waiting[delivery] = now + self._hold
        return []

    def _on_report(
        self, report: ReportContent, handed: PendingItem, now: float, *, in_flight: bool
    ) -> list[PendingItem]:
        early = _EarlyReport(report, handed, now + 2 * self._hold)
        if report.msg_id in self._open:
            early.deadline = None
        elif not in_flight or self._tracker.is_known(report.msg_id):
            return [self._resolve(early)]
        self._early.setdefault(report.msg_id, []).append(early)
        self._wait(handed, now)
        return []

    def _resolve(self, early: _EarlyReport) -> PendingItem:
        self._mark_dispatched(early.handed, self._tracker.resolve(early.report))
        return early.handed

    def _on_message(self, pdu: Deliver, handed: PendingItem, now: float) -> list[PendingItem]:
        segment, body = split_header(pdu.msg_content) if pdu.tp_udhi & _UDHI else (None, pdu.msg_content)
        if segment is None or segment.total == 1:
            handed.value = self._reply(pdu, read_text_content(body, pdu.msg_fmt))
            return [handed]
        self._wait(handed, now)
        key = (plain_number(pdu.src_terminal_id), pdu.dest_id, pdu.msg_fmt)
        return [self._combine(one) for one in self._assembler.add(key, segment, body, handed, now)]

    def _wait(self, handed: PendingItem, now: float) -> None:
        """Let something wait for something else, and its acknowledgement no longer than it may."""
        handed.stage = _Stage.WAITING
        self._waiting[handed.deliveries[0]] = now + self._hold

    def _mark_dispatched(self, handed: PendingItem, value: Incoming | None) -> None:
        """Let the application decide from now on when something is acknowledged."""
        handed.stage, handed.value = _Stage.DISPATCHED, value
        for delivery in handed.deliveries:
            self._waiting.pop(delivery, None)

    def _combine(self, assembled: AssembledMessage) -> PendingItem:
        """Return an uplink of several segments; what is missing is marked in its text, too."""
        tokens = [token for token in assembled.tokens if isinstance(token, PendingItem)]
        pdu = tokens[0].deliveries[0].pdu
        pieces = [read_text_content(join_content(run, pdu.msg_fmt), pdu.msg_fmt) for run in _runs(assembled)]
        whole = PendingItem(None, seen_at=max(token.seen_at for token in tokens))
        for token in tokens:
            whole.keys += token.keys
            whole.deliveries += token.deliveries
        for key in whole.keys:
            self._seen[key] = whole
        self._mark_dispatched(whole, self._reply(pdu, _GAP.join(pieces), incomplete=assembled.incomplete))
        return whole

    def _reply(self, pdu: Deliver, text: str, *, incomplete: bool = False) -> Reply:
        return Reply(
            plain_number(pdu.src_terminal_id),
            text,
            pdu.dest_id.removeprefix(self._source_number),
            str(pdu.msg_id),
            incomplete=incomplete,
        )

    def _key(self, pdu: Deliver, report: ReportContent | None) -> object:
        """Return by what a DELIVER that comes again is known: it may have a new Sequence_Id (trap 3).

        Where the gateway gives no Msg_Id, the Sequence_Id must do, which begins anew on each connection.
        """
        if report is not None:
            return (report.msg_id, report.dest_terminal_id, report.stat)
        name: object = pdu.msg_id or (self._vias, pdu.sequence_id)
        return (name, pdu.src_terminal_id, hash(pdu.msg_content))


def _runs(assembled: AssembledMessage) -> Iterable[list[bytes]]:
    """Return the segments that follow each other without a gap; between two runs at least one is missing."""
    run: list[bytes] = []
    for number in range(1, assembled.total + 1):
        part = assembled.parts.get(number)
        if part is not None:
            run.append(part)
            continue
        yield run
        run = []
    yield run
