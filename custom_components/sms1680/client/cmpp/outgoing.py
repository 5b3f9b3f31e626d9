"""Outgoing calls: their messages, the queue of segments, and the receipts (docs/protocol.md, section 6).

No socket, no clock and no sleep: the dispatcher takes segments and passes the gateway's answers back.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ..options import CallOptions, Priority
from ..outcomes import Outcome, Reason
from ..receipts import Receipt
from ..verdict import RetryMode, Verdict, verdict_of
from .compose import EncodedText, EncodedTexts, SubmitFields
from .wire.layout import mutable_twin
from .wire.pdus import SubmitResp
from .wire.results import SUBMIT, ResultTable

_LANES: Final[tuple[Priority, ...]] = ("critical", "normal")
_FIRST: Final = (Outcome.UNKNOWN, Outcome.REFUSED, Outcome.NOT_SENT, Outcome.HELD, Outcome.ACCEPTED)
_ACCEPTED: Final = Verdict(Outcome.ACCEPTED)
_draft_receipt: Any = mutable_twin(Receipt)


class Segment(NamedTuple):
    """One SUBMIT: one content of a message for all its destinations. number: from 0."""

    message: "PendingMessage"
    number: int

    @property
    def flow(self) -> int:
        """The flow items of this SUBMIT."""
        return self.message.encoded.flow * len(self.message.numbers)


class PendingMessage:
    """An encoded text and the answers to its segments.

    ids: the gateway's id of each accepted segment, otherwise None. tried_at: when the first segment was sent, on the
    client's clock. announced: the request hook was called, or there is none. in_flight: segments without an answer.
    """

    __slots__ = (
        "announced",
        "call",
        "encoded",
        "ids",
        "in_flight",
        "numbers",
        "open",
        "stopped",
        "tried_at",
        "verdict",
    )

    def __init__(self, call: "Call", encoded: EncodedText, numbers: tuple[str, ...]) -> None:
        self.call = call
        self.encoded = encoded
        self.numbers = numbers
        self.open = len(encoded.contents)
        self.ids: list[int | None] = [None] * self.open
        self.verdict = _ACCEPTED
        self.stopped = None if encoded.failure is None else _not_encoded(encoded.failure)
        self.tried_at: float | None = None
        self.announced = call.options.request_hook is None
        self.in_flight = 0

    @property
    def accepted(self) -> tuple[int, ...]:
        """The ids of the accepted segments."""
        return tuple([number for number in self.ids if number is not None])

    def segments(self) -> list[Segment]:
        """Return all segments in their order."""
        return [Segment(self, number) for number in range(len(self.ids))]

    @property
    def indexes(self) -> tuple[int, ...]:
        """The indexes of its receipts."""
        of_call = self.call.indexes
        return self.encoded.items if of_call is None else tuple([of_call[item] for item in self.encoded.items])

    def undo_announcement(self) -> None:
        """Call the request hook of a message that waits again, if certainly none of its segments was submitted."""
        hook = self.call.options.request_hook
        begun = self.in_flight or self.accepted or self.verdict.outcome is Outcome.UNKNOWN
        if hook is not None and self.announced and not begun:
            self.announced = False
            hook.undo(self.indexes)


@dataclass(slots=True, eq=False, repr=False)
class Call:
    """One `send`, `send_template` or `send_batch`, until every item has a receipt.

    numbers, places, indexes: those of its plan. texts: each becomes a message as it is taken, since many calls can
    wait. options: may be those of all calls without options, so the call has its own times. began, deadline: see
    `CallOptions`. settled: gets a receipt for each place of the caller's list. own_texts: each number has its own text.
    """

    numbers: Sequence[str]
    places: Sequence[int]
    indexes: Sequence[int] | None
    texts: EncodedTexts
    fields: SubmitFields
    options: CallOptions
    began: float
    deadline: float | None
    settled: asyncio.Future[tuple[Receipt, ...]]
    own_texts: bool = False
    stopped: Verdict | None = None
    _taken: int = 0
    _returned: list[Segment] | None = None
    _receipts: dict[int, Receipt] | None = None

    # --- the queued segments ---

    @property
    def is_queued(self) -> bool:
        """Whether segments wait."""
        return self._taken < len(self.texts) or bool(self._returned)

    def take(self) -> Segment:
        """Remove and return the next segment."""
        if self._returned:
            return self._returned.pop()
        encoded = self.texts[self._taken]
        self._taken += 1
        message = self.message(encoded)
        if len(message.ids) > 1:
            self._returned = message.segments()[:0:-1]
        return Segment(message, 0)

    def put_back(self, segment: Segment) -> None:
        """Return a segment to the front."""
        if self._returned is None:
            self._returned = []
        self._returned.append(segment)

    def take_returned(self) -> list[Segment]:
        """Remove and return the segments whose message has been taken, the next one last."""
        segments, self._returned = self._returned, None
        return segments or []

    def message(self, encoded: EncodedText) -> PendingMessage:
        """Return the message for an encoded text."""
        numbers, items = self.numbers, encoded.items
        if len(items) == 1:
            return PendingMessage(self, encoded, (numbers[items[0]],))
        return PendingMessage(self, encoded, tuple([numbers[item] for item in items]))

    # --- the receipts ---

    def settle(self, items: Sequence[int], receipts: Sequence[Receipt]) -> None:
        """Store the receipts of some items; the last ones settle the call."""
        if len(self.places) == 1:
            self.uncancelled().set_result(tuple(receipts))
            return
        settled = self._receipts
        if settled is None:
            settled = self._receipts = {}
        for item, receipt in zip(items, receipts, strict=True):
            settled[item] = receipt
        if len(settled) == len(self.numbers):
            self.uncancelled().set_result(tuple([settled[place] for place in self.places]))

    def uncancelled(self) -> "asyncio.Future[tuple[Receipt, ...]]":
        """Return the future of the receipts, a new one if the caller's cancellation has cancelled it."""
        if self.settled.cancelled():
            self.settled = self.settled.get_loop().create_future()
        return self.settled


class Outbox:
    """The queue of segments, urgent ones first, and the verdicts on the sent ones.

    table: the table of SUBMIT results. on_accepted: called with the ids of a settled message's accepted segments, and
    the number of all its segments. on_opened: called with the id of an accepted segment while others are open.
    """

    def __init__(
        self,
        table: ResultTable,
        on_receipt: Callable[[Receipt], object] | None,
        on_accepted: Callable[[tuple[int, ...], int], object],
        on_opened: Callable[[int], object],
    ) -> None:
        self._table = SUBMIT[table]
        self._on_receipt = on_receipt
        self._on_accepted = on_accepted
        self._on_opened = on_opened
        self._lanes: dict[Priority, OrderedDict[Call, None]] = {lane: OrderedDict() for lane in _LANES}

    def add(self, call: Call) -> None:
        """Queue the segments of a call."""
        self._lanes[call.options.priority][call] = None

    def take(self, count: int, lane: Priority | None = None) -> list[Segment]:
        """Remove and return at most `count` segments, of one lane or the urgent ones first."""
        taken: list[Segment] = []
        for name in (lane,) if lane else _LANES:
            calls = self._lanes[name]
            while calls and len(taken) < count:
                call = next(iter(calls))
                while call.is_queued and len(taken) < count:
                    segment = call.take()
                    if not self.drop_if_stopped(segment):
                        taken.append(segment)
                if not call.is_queued:
                    calls.pop(call, None)
        return taken

    def put_back(self, segment: Segment) -> None:
        """Return a segment that was certainly not sent to the front of its lane."""
        call = segment.message.call
        call.put_back(segment)
        calls = self._lanes[call.options.priority]
        calls[call] = None
        calls.move_to_end(call, last=False)

    def drop_if_stopped(self, segment: Segment) -> bool:
        """Settle a segment if its message or call was stopped; return whether it was."""
        message = segment.message
        stopped = message.stopped or message.call.stopped
        if stopped is None:
            return False
        self._settle(message, stopped)
        return True

    def drop(self, call: Call) -> None:
        """Settle the queued segments of a stopped call, without a look at the other calls."""
        calls = self._lanes[call.options.priority]
        if call in calls:
            while call.is_queued:
                self.drop_if_stopped(call.take())
            calls.pop(call, None)  # a hook that closes the client drops it too

    def sweep(self, expired: Callable[[Call], Verdict | None]) -> None:
        """Settle the queued segments of stopped messages, and of calls for which `expired` returns a verdict."""
        for calls in self._lanes.values():
            for call in list(calls):
                call.stopped = call.stopped or expired(call)
                if call.stopped is not None:
                    self.drop(call)
                else:
                    for segment in call.take_returned():
                        if not self.drop_if_stopped(segment):
                            call.put_back(segment)
                    if not call.is_queued:
                        calls.pop(call, None)

    def waiting_lanes(self) -> list[Priority]:
        """Return the lanes with queued segments."""
        return [name for name, calls in self._lanes.items() if calls]

    def waiting_calls(self) -> Iterator[Call]:
        """Return the calls with queued segments."""
        return (call for calls in self._lanes.values() for call in calls)

    # --- answers ---

    def on_response(self, segment: Segment, pdu: SubmitResp) -> Verdict:
        """Record the gateway's answer. One that allows a retry leaves the segment open for the dispatcher."""
        message = segment.message
        if not pdu.result and len(message.ids) == 1 == len(message.numbers):
            self._accept_single(message, pdu.msg_id)
            return _ACCEPTED
        verdict = self._read(segment, pdu)
        if verdict.outcome is Outcome.ACCEPTED:
            message.ids[segment.number] = pdu.msg_id
            if message.open > 1:
                self._on_opened(pdu.msg_id)
            self._settle(message, verdict)
        elif verdict.retry is RetryMode.NO:
            self.settle(segment, verdict)
        return verdict

    def on_late_response(self, segment: Segment, pdu: SubmitResp) -> None:
        """Record an answer after the outcome was reported as unknown: `on_receipt` gets a second receipt."""
        message, verdict = segment.message, self._read(segment, pdu)
        accepted = verdict.outcome is Outcome.ACCEPTED
        if accepted:
            message.ids[segment.number] = pdu.msg_id
        if message.open:
            if accepted:
                self._on_opened(pdu.msg_id)
        elif len(message.ids) == 1 or None not in message.ids:
            message.verdict = verdict
            self._receipts(message)
        elif accepted:
            self._on_accepted(message.accepted, len(message.ids))

    def settle(self, segment: Segment, verdict: Verdict) -> None:
        """Settle a segment. A certain failure stops its message, and some reasons stop the whole call."""
        message = segment.message
        if verdict.outcome is not Outcome.UNKNOWN:
            rest = Verdict(Outcome.NOT_SENT, verdict.reason, goes_on=False)
            message.stopped = message.stopped or rest
            if not verdict.goes_on:
                message.call.stopped = message.call.stopped or rest
        self._settle(message, verdict)

    def _read(self, segment: Segment, pdu: SubmitResp) -> Verdict:
        if pdu.result == 0:
            return _ACCEPTED
        reason = self._table.get(pdu.result)
        detail = f"Result {pdu.result}"
        if reason is None:
            return Verdict(Outcome.UNKNOWN, Reason.NOT_UNDERSTOOD, detail=detail)
        if reason is Reason.SUSPENDED:
            return Verdict(Outcome.NOT_SENT, reason, detail=detail, goes_on=False)
        return verdict_of(reason, detail, own_texts=segment.message.call.own_texts)

    def _settle(self, message: PendingMessage, verdict: Verdict) -> None:
        if verdict is not _ACCEPTED:
            message.verdict = min(message.verdict, verdict, key=lambda one: _FIRST.index(one.outcome))
        message.open -= 1
        if message.open:
            return
        if message.verdict.reason is Reason.NUMBER and len(message.numbers) > 1 and set(message.ids) == {None}:
            self._halve(message)
        else:
            message.call.settle(message.encoded.items, self._receipts(message))

    def _accept_single(self, message: PendingMessage, msg_id: int) -> None:
        """Settle the usual message, one segment for one number: as `_receipts` does it, without its lists."""
        message.open, message.ids[0] = 0, msg_id
        self._on_accepted((msg_id,), 1)
        name, encoded, call = str(msg_id), message.encoded, message.call
        [item] = encoded.items
        index = item if call.indexes is None else call.indexes[item]
        receipt = _draft_receipt(
            message.numbers[0],
            Outcome.ACCEPTED,
            name,
            None,
            encoded.parts,
            None,
            (name,),
            1,
            call.options.context,
            index,
        )
        receipt.__class__ = Receipt
        if self._on_receipt is not None:
            self._on_receipt(receipt)
        call.settle(encoded.items, (receipt,))

    def _halve(self, message: PendingMessage) -> None:
        """Send a refused message again to each half of its numbers: one wrong number must not stop the others."""
        message.undo_announcement()
        items = message.encoded.items
        middle = len(items) // 2
        for half in (items[middle:], items[:middle]):
            for segment in reversed(message.call.message(message.encoded._replace(items=half)).segments()):
                self.put_back(segment)

    def _receipts(self, message: PendingMessage) -> list[Receipt]:
        accepted = message.accepted
        verdict, total = message.verdict, len(message.ids)
        if accepted:
            self._on_accepted(accepted, total)
            verdict = _ACCEPTED if len(accepted) == total else _partly(verdict, len(accepted), total)
        ids = tuple([str(number) for number in accepted])
        first, parts = ids[0] if ids else None, message.encoded.parts
        context = message.call.options.context
        receipts = []
        for number, index in zip(message.numbers, message.indexes, strict=True):
            receipt = _draft_receipt(
                number, verdict.outcome, first, verdict.reason, parts, verdict.detail, ids, total, context, index
            )
            receipt.__class__ = Receipt
            receipts.append(receipt)
        if self._on_receipt is not None:
            for receipt in receipts:
                self._on_receipt(receipt)
        return receipts


def _not_encoded(failure: str) -> Verdict:
    return Verdict(Outcome.NOT_SENT, Reason.CANCELLED, detail=failure)


def _partly(verdict: Verdict, accepted: int, total: int) -> Verdict:
    """Return the verdict on a partly accepted message, which is never repeated automatically."""
    detail = f"{accepted} of {total} segments were accepted"
    if verdict.outcome is Outcome.UNKNOWN:
        return Verdict(Outcome.UNKNOWN, verdict.reason, detail=detail)
    others = ", ".join(filter(None, (verdict.reason, verdict.detail)))
    return Verdict(Outcome.UNKNOWN, Reason.PARTLY, detail=f"{detail}, the others not: {others}")
