"""What is on its way out: calls, their messages, the segments that wait their turn, and what became of each number.

No socket, no clock and no sleep: a client takes segments with `next`, hands back what the gateway said, and is told
when a call is settled (protocol.md, section 6).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ..http.responses import Again, Verdict, verdict_of
from ..options import Priority
from ..outcomes import Outcome, Reason, Receipt
from .compose import Draft, Letter, Times
from .wire.layout import mutable_twin
from .wire.pdus import SubmitResp
from .wire.results import SUBMIT, ResultTable

__all__ = ["Call", "Limits", "Message", "Outbox", "Segment"]

_LANES: Final[tuple[Priority, ...]] = ("critical", "normal")
_FIRST: Final = (Outcome.UNKNOWN, Outcome.REFUSED, Outcome.NOT_SENT, Outcome.HELD, Outcome.ACCEPTED)
_ACCEPTED: Final = Verdict(Outcome.ACCEPTED)
_draft_receipt: Any = mutable_twin(Receipt)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call may take, in seconds on the client's clock.

    patience: of trying again while surely nothing was sent. deadline: no SUBMIT begins behind it, None for no bound.
    began: when the call was made. context: of the call's receipts.
    """

    priority: Priority
    patience: float
    deadline: float | None
    began: float
    context: object = None


class Segment(NamedTuple):
    """One SUBMIT: a message's content for all of its destinations. number: from 0."""

    message: Message
    number: int

    @property
    def items(self) -> int:
        """What the flow rule counts for it."""
        return self.message.letter.items * len(self.message.numbers)


@dataclass(slots=True, eq=False, repr=False)
class Message:
    """A letter on its way. ids: what the gateway called its segments, None where it accepted none so far.

    tried_at: when its first segment went, on the client's clock.
    """

    call: Call
    letter: Letter
    numbers: tuple[str, ...]
    ids: list[int | None] = field(init=False)
    open: int = field(init=False)
    verdict: Verdict = _ACCEPTED
    stopped: Verdict | None = None
    tried_at: float | None = None

    def __post_init__(self) -> None:
        """Wait for an answer to each segment."""
        self.open = len(self.letter.contents)
        self.ids = [None] * self.open

    @property
    def accepted(self) -> tuple[int, ...]:
        """The ids of the segments that were accepted."""
        return tuple([number for number in self.ids if number is not None])

    def segments(self) -> list[Segment]:
        """Return all of its segments, in their order."""
        return [Segment(self, number) for number in range(len(self.ids))]


class Call:
    """One `send`, `send_template` or `send_batch`, until each of its receivers has a receipt.

    caller: the contextvars context of the caller, in which `on_receipt` runs. indexes: see `Draft`.
    """

    def __init__(self, draft: Draft, limits: Limits, done: Callable[[tuple[Receipt, ...]], object]) -> None:
        """Take what `done` is to be told when all is settled: a receipt for each place of the caller's list."""
        self.limits = limits
        self.times: Times = draft.times
        self.own_texts = draft.own_texts
        self.caller = copy_context()
        self.indexes = draft.indexes
        self.stopped: Verdict | None = None
        self._numbers = draft.numbers
        self._places = draft.places
        self._done = done
        self._receipts: list[Receipt | None] = [None] * len(draft.numbers)
        self._left = len(draft.numbers)
        self._letters = draft.letters

    def messages(self) -> list[Message]:
        """Return the messages that carry the call."""
        return [self.message(letter) for letter in self._letters]

    def message(self, letter: Letter) -> Message:
        """Return the message that carries a letter."""
        return Message(self, letter, tuple([self._numbers[index] for index in letter.receivers]))

    def settle(self, letter: Letter, receipts: list[Receipt]) -> None:
        """Take the receipts of a letter's receivers; the last ones settle the call."""
        for index, receipt in zip(letter.receivers, receipts, strict=True):
            self._receipts[index] = receipt
        self._left -= len(receipts)
        if not self._left:
            told = [self._receipts[place] for place in self._places]
            self._done(tuple([receipt for receipt in told if receipt is not None]))

    def __repr__(self) -> str:
        return f"Call({len(self._numbers)} receivers, {self._left} open)"


class Outbox:
    """The segments that wait, urgent ones first, and the verdicts on those that went."""

    def __init__(
        self,
        dialect: ResultTable,
        on_receipt: Callable[[Receipt], object] | None,
        on_accepted: Callable[[tuple[int, ...], int], object],
        on_opened: Callable[[int], object],
    ) -> None:
        """Take which table of results holds, and whom to tell of each receipt and of accepted segments' ids.

        on_accepted: of a settled message, with the number of its segments. on_opened: while others are still open.
        """
        self._table = SUBMIT[dialect]
        self._on_receipt = on_receipt
        self._on_accepted = on_accepted
        self._on_opened = on_opened
        self._lanes: dict[Priority, deque[Segment]] = {lane: deque() for lane in _LANES}

    def add(self, call: Call) -> None:
        """Let a call's segments wait their turn."""
        lane = self._lanes[call.limits.priority]
        for message in call.messages():
            lane.extend(message.segments())

    def next(self, lane: Priority | None = None) -> Segment | None:
        """Take the next segment, of one lane or of the most urgent one; None where none waits."""
        for name in (lane,) if lane else _LANES:
            waiting = self._lanes[name]
            while waiting:
                segment = waiting.popleft()
                if not self.drop_if_stopped(segment):
                    return segment
        return None

    def put_back(self, segment: Segment) -> None:
        """Let a segment that surely did not go be the next of its lane again."""
        self._lanes[segment.message.call.limits.priority].appendleft(segment)

    def drop_if_stopped(self, segment: Segment) -> bool:
        """Settle a segment that must not go any more; returns whether it was one."""
        message = segment.message
        stopped = message.stopped or message.call.stopped
        if stopped is not None:
            self._settle(message, stopped)
        return stopped is not None

    def stop(self, call: Call, verdict: Verdict) -> None:
        """Let nothing more of a call go; what of it waits is settled with this verdict at its turn or by `sweep`."""
        call.stopped = call.stopped or verdict

    def sweep(self, expired: Callable[[Call], Verdict | None]) -> None:
        """Settle what waits of the calls that are stopped, and of those for which `expired` returns a verdict."""
        for lane in self._lanes.values():
            for _ in range(len(lane)):
                segment = lane.popleft()
                call = segment.message.call
                call.stopped = call.stopped or expired(call)
                if not self.drop_if_stopped(segment):
                    lane.append(segment)

    def waiting_lanes(self) -> list[Priority]:
        """Return the lanes in which a segment waits."""
        return [name for name, lane in self._lanes.items() if lane]

    def waiting_calls(self) -> set[Call]:
        """Return the calls that have a segment waiting."""
        return {segment.message.call for lane in self._lanes.values() for segment in lane}

    # --- what became of those that went ---

    def answered(self, segment: Segment, pdu: SubmitResp) -> Verdict:
        """Take the gateway's answer. One that says "again" leaves the segment open: the client decides."""
        verdict = self._read(segment, pdu)
        if verdict.outcome is Outcome.ACCEPTED:
            message = segment.message
            message.ids[segment.number] = pdu.msg_id
            if message.open > 1:
                self._on_opened(pdu.msg_id)
            self._settle(message, verdict)
        elif verdict.again is Again.NO:
            self.settle(segment, verdict)
        return verdict

    def answered_late(self, segment: Segment, pdu: SubmitResp) -> None:
        """Take an answer to what was told as unknown: who records receipts hears the truth after all."""
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
        """Take what is sure of a segment; what surely did not go stops its message, and some reasons its call."""
        message = segment.message
        if verdict.outcome is not Outcome.UNKNOWN:
            rest = Verdict(Outcome.NOT_SENT, verdict.reason, goes_on=False)
            message.stopped = message.stopped or rest
            if not verdict.goes_on:
                self.stop(message.call, rest)
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
        return verdict_of(reason, detail, batch=segment.message.call.own_texts)

    def _settle(self, message: Message, verdict: Verdict) -> None:
        if verdict is not _ACCEPTED:
            message.verdict = min(message.verdict, verdict, key=lambda one: _FIRST.index(one.outcome))
        message.open -= 1
        if message.open:
            return
        if message.verdict.reason is Reason.NUMBER and len(message.numbers) > 1 and set(message.ids) == {None}:
            self._halve(message)
        else:
            message.call.settle(message.letter, self._receipts(message))

    def _halve(self, message: Message) -> None:
        """Send a refused message to each half of its receivers: one wrong number must not cost the others theirs."""
        middle = len(message.numbers) // 2
        receivers = message.letter.receivers
        for half in (receivers[middle:], receivers[:middle]):
            for segment in reversed(message.call.message(message.letter._replace(receivers=half)).segments()):
                self.put_back(segment)

    def _receipts(self, message: Message) -> list[Receipt]:
        accepted = message.accepted
        verdict, total = message.verdict, len(message.ids)
        if accepted:
            self._on_accepted(accepted, total)
            verdict = _ACCEPTED if len(accepted) == total else _partly(verdict, len(accepted), total)
        ids = tuple([str(number) for number in accepted])
        first, parts = ids[0] if ids else None, message.letter.parts
        call, indexes = message.call, message.letter.receivers
        if call.indexes is not None:
            indexes = tuple([call.indexes[index] for index in indexes])
        context = call.limits.context
        receipts = []
        for number, index in zip(message.numbers, indexes, strict=True):
            receipt = _draft_receipt(
                number, verdict.outcome, first, verdict.reason, parts, verdict.detail, ids, total, context, index
            )
            receipt.__class__ = Receipt
            receipts.append(receipt)
        if self._on_receipt is not None:
            for receipt in receipts:
                call.caller.run(self._on_receipt, receipt)
        return receipts


def _partly(verdict: Verdict, accepted: int, total: int) -> Verdict:
    """Return what a message is of which only some segments were accepted: never safe to send again by itself.

    Its detail says what became of the others.
    """
    detail = f"{accepted} of {total} segments were accepted"
    if verdict.outcome is Outcome.UNKNOWN:
        return Verdict(Outcome.UNKNOWN, verdict.reason, detail=detail)
    others = ", ".join(filter(None, (verdict.reason, verdict.detail)))
    return Verdict(Outcome.UNKNOWN, Reason.PARTLY, detail=f"{detail}, the others not: {others}")
