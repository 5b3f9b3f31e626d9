"""Turns DELIVERs into replies and delivery reports, each reported once, and decides when to acknowledge them.

Without a socket and without a clock. `process` returns the items for the application, and `settle` the DELIVERs to
acknowledge after its decision. `tick` handles what waits too long: segments of an incomplete message, and reports that
arrived before the SUBMIT_RESP or before the receipts of their message.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from itertools import groupby
from typing import Final, TypeAlias, TypeVar

from ..bounded import BoundedDict
from ..decoding import Label, decode_text, without_invisible
from ..push import DeliveryReport, Reply
from .tracking import ReportTracker, plain_number
from .wire.longsms import AssembledMessage, SegmentAssembler, split_header
from .wire.pdus import Deliver
from .wire.reports import ReportContent
from .wire.texts import label_of

Incoming: TypeAlias = Reply | DeliveryReport
_Body: TypeAlias = tuple[Label, bytes]
_Key = TypeVar("_Key")

_UDHI: Final = 0x41
_MAX_SEEN: Final = 20_000
_REPEATED_WITHIN: Final = 10
"""Multiples of T/2: later than this, an equal message on the same connection is a new one."""
_GAP: Final = "…"
_MAX_REPEATS: Final = 8
_MAX_SEGMENTS: Final = 2000
"""Segments of incomplete messages. A segment has at most 255 octets."""
_MAX_EARLY: Final = 2000


@dataclass(slots=True, eq=False)
class InboundDeliver:
    """A DELIVER and the connection that it arrived on, which its acknowledgement needs."""

    pdu: Deliver
    connection: object
    acknowledged: bool = False


class _Stage(Enum):
    WAITING = 0
    DISPATCHED = 1
    REJECTED = 2
    ACCEPTED = 3


@dataclass(slots=True, eq=False)
class PendingItem:
    """A reply or report for the application, or None if it has it already, with its DELIVERs."""

    value: Incoming | None
    keys: list[object] = field(default_factory=list)
    delivers: list[InboundDeliver] = field(default_factory=list)
    stage: _Stage = _Stage.DISPATCHED
    seen_at: float = 0.0

    @property
    def acknowledged(self) -> bool:
        """Whether the gateway will not repeat all of it. A result without a DELIVER of its own is not repeated."""
        return not self.delivers or any(deliver.acknowledged for deliver in self.delivers)


@dataclass(slots=True)
class _EarlyReport:
    """A report for a message without receipts so far, or for an unknown one."""

    report: ReportContent
    item: PendingItem


class DeliverProcessor:
    """Detects repeated DELIVERs, assembles segments, and matches reports with sent messages."""

    def __init__(self, tracker: ReportTracker, source_number: str, *, assembly_time: float, ack_timeout: float) -> None:
        """Use `tracker` for reports, and `source_number` to find the extension in a reply's Dest_Id.

        assembly_time: maximum seconds between the first and the last segment of an uplink. ack_timeout: maximum
        seconds until a DELIVER is acknowledged, T/2. A report for an unknown message waits for T: by then each SUBMIT
        in flight has its response or has timed out.
        """
        self._tracker = tracker
        self._source_number = source_number
        self._assembler: SegmentAssembler[_Body, PendingItem] = SegmentAssembler(assembly_time)
        self._ack_timeout = ack_timeout
        self._seen: BoundedDict[object, PendingItem] = BoundedDict(_MAX_SEEN)
        self._open_ids: set[int] = set()
        self._segments = 0
        # Ordered dictionaries find their first item at once, however many were removed before it.
        self._early: OrderedDict[int, list[_EarlyReport]] = OrderedDict()
        self._early_count = 0
        # When to report on their own the early reports of a message without a SUBMIT_RESP so far, the next one first.
        self._early_deadlines: OrderedDict[int, float] = OrderedDict()
        self._ack_deadlines: OrderedDict[InboundDeliver, float] = OrderedDict()
        self._connection: object = None
        self._connections = 0
        self._connected_at = 0.0

    def process(self, deliver: InboundDeliver, now: float, *, in_flight: bool) -> list[PendingItem]:
        """Return the items that a DELIVER completes. in_flight: a SUBMIT waits for its response.

        Raises CodecError for a report that cannot be decoded.
        """
        pdu = deliver.pdu
        report = ReportContent.of(pdu) if pdu.registered_delivery == 1 else None
        if deliver.connection is not self._connection:
            self._connection, self._connected_at = deliver.connection, now
            self._connections += 1
        key = self._key(pdu, report)
        known = self._seen.get(key)
        if known is not None and (report is not None or not self._is_new_message(known, now)):
            return self._on_duplicate(known, deliver, now)
        item = PendingItem(None, [key], [deliver], seen_at=now)
        self._seen[key] = item
        if report is not None:
            return self._on_report(report, item, now, in_flight=in_flight)
        return self._on_message(pdu, item, now)

    def settle(self, item: PendingItem, *, accepted: bool) -> list[InboundDeliver]:
        """Record the application's decision and return the DELIVERs to acknowledge now.

        A rejected item is not acknowledged; it is dispatched again when the gateway repeats it.
        """
        if not accepted:
            item.stage = _Stage.REJECTED
            return []
        item.stage, item.value = _Stage.ACCEPTED, None
        due = [deliver for deliver in item.delivers if not deliver.acknowledged]
        item.delivers.clear()
        return due

    def on_segment_accepted(self, msg_id: int) -> None:
        """Hold back the reports of an accepted segment until `on_message_accepted`."""
        self._open_ids.add(msg_id)
        self._early_deadlines.pop(msg_id, None)

    def on_message_accepted(self, ids: tuple[int, ...], total: int, now: float) -> list[PendingItem]:
        """Track the accepted segments of a message and return the items of the reports that waited for them."""
        self._tracker.add(ids, total, now)
        self._open_ids.difference_update(ids)
        if not self._early:
            return []
        return [self._resolve(early, now) for msg_id in ids for early in self._pop_early(msg_id)]

    @property
    def deadline(self) -> float | None:
        """The time of the next `tick`, or None."""
        dues = [next(iter(some.values())) for some in (self._early_deadlines, self._ack_deadlines) if some]
        dues += [due for part in (self._tracker, self._assembler) if (due := part.deadline) is not None]
        return min(dues, default=None)

    def tick(self, now: float) -> tuple[list[PendingItem], list[InboundDeliver]]:
        """Return the items whose waiting time is over, and the waiting DELIVERs to acknowledge now."""
        items = [self._combine(assembled) for assembled in self._assembler.expire(now)]
        items += [PendingItem(report) for report in self._tracker.settle_partial(now)]
        while (msg_id := _first_due(self._early_deadlines, now)) is not None:
            items += [self._resolve(early) for early in self._pop_early(msg_id)]
        due = []
        while (deliver := _first_due(self._ack_deadlines, now)) is not None:
            del self._ack_deadlines[deliver]
            if not deliver.acknowledged:
                due.append(deliver)
        return items, due

    def flush(self, *, include_unacknowledged: bool = True) -> list[PendingItem]:
        """Return everything that still waits, complete or not.

        include_unacknowledged: also the items that the gateway will repeat.
        """
        reports = [early for msg_id in list(self._early) for early in self._pop_early(msg_id)]
        items = [self._combine(one) for one in self._assembler.flush()] + [self._resolve(early) for early in reports]
        return [item for item in items if include_unacknowledged or item.acknowledged]

    def _is_new_message(self, known: PendingItem, now: float) -> bool:
        """Return whether a message equal to a known one was sent by a person again, rather than by the gateway.

        Some gateways give every message the same Msg_Id. A gateway repeats an unacknowledged DELIVER soon, or soon
        after the next login.
        """
        since = max(known.seen_at, self._connected_at)
        return known.stage is _Stage.ACCEPTED and now - since > _REPEATED_WITHIN * self._ack_timeout

    def _on_duplicate(self, known: PendingItem, deliver: InboundDeliver, now: float) -> list[PendingItem]:
        if known.stage is _Stage.ACCEPTED:
            return [PendingItem(None, [], [deliver])]
        known.delivers.append(deliver)
        if len(known.delivers) > _MAX_REPEATS + len(known.keys):
            # The gateway needs the answer to the newest ones, if to any.
            oldest = next((one for one in known.delivers if not one.acknowledged), known.delivers[1])
            known.delivers.remove(oldest)
            self._ack_deadlines.pop(oldest, None)
        known.seen_at = now
        if known.stage is _Stage.REJECTED:
            known.stage = _Stage.DISPATCHED
            return [known]
        if known.stage is _Stage.WAITING:
            self._ack_deadlines[deliver] = now + self._ack_timeout
        return []

    def _on_report(self, report: ReportContent, item: PendingItem, now: float, *, in_flight: bool) -> list[PendingItem]:
        early = _EarlyReport(report, item)
        if report.msg_id not in self._open_ids:
            if not in_flight or self._tracker.is_known(report.msg_id):
                return [self._resolve(early, now)]
            self._early_deadlines.setdefault(report.msg_id, now + 2 * self._ack_timeout)
        self._early.setdefault(report.msg_id, []).append(early)
        self._early_count += 1
        self._wait(item, now)
        if self._early_count <= _MAX_EARLY:
            return []
        # The oldest goes out, but rather none that the next SUBMIT_RESP settles.
        late = next(iter(self._early_deadlines or self._early))
        return [self._resolve(early) for early in self._pop_early(late)]

    def _pop_early(self, msg_id: int) -> list[_EarlyReport]:
        early = self._early.pop(msg_id, [])
        self._early_deadlines.pop(msg_id, None)
        self._early_count -= len(early)
        return early

    def _resolve(self, early: _EarlyReport, now: float = 0.0) -> PendingItem:
        self._mark_dispatched(early.item, self._tracker.resolve(early.report, now))
        return early.item

    def _on_message(self, pdu: Deliver, item: PendingItem, now: float) -> list[PendingItem]:
        segment, octets = split_header(pdu.msg_content, flagged=bool(pdu.tp_udhi & _UDHI))
        body = label_of(pdu.msg_fmt), octets
        if segment is None or segment.total == 1:
            item.value = self._reply(pdu, _text_of([body]))
            return [item]
        self._wait(item, now)
        key = (plain_number(pdu.src_terminal_id), pdu.dest_id)
        self._segments += 1
        assembled = self._assembler.add(key, segment, body, item, now, msg_id=pdu.msg_id)
        items = [self._combine(message) for message in assembled]
        while self._segments > _MAX_SEGMENTS:
            items.append(self._combine(self._assembler.pop_oldest()))
        return items

    def _wait(self, item: PendingItem, now: float) -> None:
        """Acknowledge an item that waits for another PDU after T/2 at the latest."""
        item.stage = _Stage.WAITING
        self._ack_deadlines[item.delivers[0]] = now + self._ack_timeout

    def _mark_dispatched(self, item: PendingItem, value: Incoming | None) -> None:
        """Leave the acknowledgement to the application's decision."""
        item.stage, item.value = _Stage.DISPATCHED, value
        for deliver in item.delivers:
            self._ack_deadlines.pop(deliver, None)

    def _combine(self, assembled: AssembledMessage[_Body, PendingItem]) -> PendingItem:
        """Return the item of an uplink with several segments; `…` marks a missing one in its text."""
        segments, parts = assembled.tokens, assembled.parts
        self._segments -= len(segments)
        pdu = segments[0].delivers[0].pdu
        text = ""
        for received, numbers in groupby(range(1, assembled.total + 1), parts.__contains__):
            if received:
                text += _text_of([parts[number] for number in numbers])
            else:
                text += _GAP * len(list(numbers))
        whole = PendingItem(None, seen_at=max(segment.seen_at for segment in segments))
        for segment in segments:
            whole.keys += segment.keys
            whole.delivers += segment.delivers
        self._seen.update(dict.fromkeys(whole.keys, whole))
        self._mark_dispatched(whole, self._reply(pdu, text, incomplete=assembled.incomplete))
        if len(whole.delivers) > assembled.total + _MAX_REPEATS:
            _drop_repeats(whole)
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
        """Return the key that identifies a repeated DELIVER, even with a new Sequence_Id (docs/cmpp.md, trap 3).

        Without a Msg_Id the key is the Sequence_Id, which starts again on each connection.
        """
        if report is not None:
            return (report.msg_id, report.dest_terminal_id, report.stat)
        name: object = pdu.msg_id or (self._connections, pdu.sequence_id)
        return (name, pdu.src_terminal_id, hash(pdu.msg_content))


def _drop_repeats(item: PendingItem) -> None:
    """Forget most DELIVERs of an item whose segments came again and again under new ids, which would fill the memory.

    The gateway needs the answer to the newest ones, if to any. What is forgotten is acknowledged when it comes again.
    """
    kept = {deliver.pdu.msg_content: deliver for deliver in item.delivers}.values()
    answered = [deliver for deliver in item.delivers if deliver.acknowledged]
    wanted = {*kept, *answered[-1:], *item.delivers[-_MAX_REPEATS:]}
    item.delivers = [deliver for deliver in item.delivers if deliver in wanted]
    item.keys = item.keys[-len(wanted) :]


def _first_due(deadlines: OrderedDict[_Key, float], now: float) -> _Key | None:
    """Return the key with the first deadline if it has come."""
    for key, deadline in deadlines.items():
        return key if deadline <= now else None
    return None


def _text_of(bodies: list[_Body]) -> str:
    """Return the text of consecutive segments, which can differ in Msg_Fmt."""
    runs = groupby(bodies, lambda body: body[0])
    text = "".join([decode_text([octets for _, octets in run], label) for label, run in runs])
    return without_invisible(text)
