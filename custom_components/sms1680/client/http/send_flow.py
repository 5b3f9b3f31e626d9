"""A send from its first packet to its last receipt, without a socket, a sleep or a clock of its own.

`Sending.steps` is a generator: it yields what it wants done (an `Exchange` with the platform, a `Sleep`), is sent what
came of it, and returns the receipts. A blocking and an asyncio client carry the same steps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ..account import Account
from ..limits.rate import Clock, DeadlineError, Pace, Place
from ..options import Priority
from ..outcomes import Outcome, Reason, Receipt
from .requests import Plan, post
from .responses import Again, Verdict, read_answer
from .transport import Answer, Failure, Request

if TYPE_CHECKING:
    from ..limits.budget import Guard

_LOGGER = logging.getLogger(__name__)
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0
_NO_ANSWER = Failure(begun=True, detail="no answer")


@dataclass(frozen=True, slots=True)
class Exchange:
    """Wish: carry this request and come back with the answer. Once begun it must be let end."""

    request: Request


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wish: come back after so many seconds."""

    seconds: float


Effect = Exchange | Sleep
Steps = Generator[Effect, Answer | Failure | None, tuple[Receipt, ...]]
OnReceipt = Callable[[Receipt], object]


@dataclass(frozen=True, slots=True)
class Limits:
    """How a send is cut and bounded.

    packet_size: items a packet, 1 to 1000. patience: seconds of trying one packet again. deadline: on the client's
    clock, no request begins behind it; None is no bound. priority: the lane. automatic: for the guard on spending.
    """

    packet_size: int
    patience: float
    deadline: float | None
    priority: Priority
    automatic: bool = False


class Sending:
    """One call on its way: `send`, `send_template` or `send_batch`."""

    def __init__(
        self,
        plan: Plan,
        limits: Limits,
        *,
        gateway: str,
        account: Account,
        pace: Pace,
        clock: Clock,
        on_receipt: OnReceipt | None,
        guard: Guard | None = None,
        context: object = None,
    ) -> None:
        self._plan = plan
        self._limits = limits
        self._gateway = gateway
        self._account = account
        self._pace = pace
        self._clock = clock
        self._on_receipt = on_receipt
        self._guard = guard
        self._context = context
        self._packet_size = limits.packet_size
        self._abandoned = False

    def abandon(self) -> None:
        """Nobody waits for the result any more: what is under way ends and is recorded, nothing else begins."""
        self._abandoned = True

    def steps(self) -> Steps:
        """Send packet after packet; returns a receipt for each place of the caller's list, in its order."""
        places = self._plan.places
        receipts = yield from self._packets() if self._guard is None else self._guarded(self._guard)
        return tuple([receipts[place] for place in places])

    def _guarded(self, guard: Guard) -> Generator[Effect, Answer | Failure | None, list[Receipt]]:
        """Send what the guard on spending admits, and tell the rest that it was held back."""
        whole = self._plan
        messages = [(number, whole.parts_of(index)) for index, number in enumerate(whole.numbers)]
        critical = self._limits.priority == "critical"
        admissions = yield from _waiting(guard.admit(messages, critical=critical, automatic=self._limits.automatic))
        held = {
            index: self._receipt(index, Verdict(Outcome.REFUSED, admission.reason))
            for index, admission in enumerate(admissions)
            if admission.reason is not None
        }
        if held:
            self._plan = whole.only([index for index in range(len(admissions)) if index not in held])
        went = iter((yield from self._packets()))
        receipts = [held[index] if index in held else next(went) for index in range(len(admissions))]
        costless = [
            admission for admission, receipt in zip(admissions, receipts, strict=True) if receipt.outcome.is_failure
        ]
        yield from _waiting(guard.give_back(costless))
        return receipts

    def _packets(self) -> Generator[Effect, Answer | Failure | None, list[Receipt]]:
        plan = self._plan
        receipts: list[Receipt] = []
        while (start := len(receipts)) < len(plan.numbers):
            end = self._packet_end(start)
            verdict = yield from self._packet(start, end)
            if verdict.again is Again.SMALLER and end - start > 1:
                # A sure no to this size: go on with half of it, for the rest of the call too.
                self._packet_size = max(1, plan.flow_of(start, end) // 2)
                continue
            receipts += self._receipts(start, end, verdict)
            if not verdict.goes_on:
                rest = Verdict(Outcome.NOT_SENT, verdict.reason)
                receipts += self._receipts(end, len(plan.numbers), rest)
                break
        return receipts

    def _packet(self, start: int, end: int) -> Generator[Effect, Answer | Failure | None, Verdict]:
        """Send one packet until its verdict is final, or its patience ends."""
        began = self._clock()
        pause = _FIRST_PAUSE
        items = self._plan.flow_of(start, end)
        while True:
            if self._abandoned:
                return Verdict(Outcome.NOT_SENT, Reason.CANCELLED, goes_on=False)
            try:
                verdict, wait = yield from self._attempt(start, end, items)
            except DeadlineError:
                return Verdict(Outcome.NOT_SENT, Reason.DEADLINE, goes_on=False)
            if verdict.again is Again.RECONNECT:
                wait, pause = pause, min(pause * 2, _LONGEST_PAUSE)
            elif verdict.again is not Again.SLOWER:
                return verdict
            if not self._may_wait(began, wait):
                return verdict
            if verdict.again is Again.RECONNECT:
                yield Sleep(wait)

    def _may_wait(self, began: float, wait: float) -> bool:
        behind = self._clock() + wait
        in_time = self._limits.deadline is None or behind <= self._limits.deadline
        return not self._abandoned and in_time and behind - began <= self._limits.patience

    def _attempt(
        self, start: int, end: int, items: int
    ) -> Generator[Effect, Answer | Failure | None, tuple[Verdict, float]]:
        """Wait for the account's turn and submit once; returns the verdict and the seconds until the next turn."""
        place = yield from self._turn(items)
        if place is None:
            return Verdict(Outcome.NOT_SENT, Reason.CANCELLED, goes_on=False), 0.0
        answer: Answer | Failure | None = None
        verdict: Verdict | None = None
        try:
            answer = yield Exchange(post(self._gateway, self._account, self._plan, start, end))
            verdict = read_answer(self._plan.path, answer or _NO_ANSWER, self._account.secrets(), self._plan.texts)
        finally:
            if verdict is None:
                # Interrupted from outside (Ctrl-C): the request may have left, and somebody must hear of it.
                self._receipts(start, end, Verdict(Outcome.UNKNOWN, Reason.LOST))
            wait = self._pace.settle(
                place,
                submitted=verdict is None or verdict.again is not Again.RECONNECT,
                too_fast=verdict is not None and verdict.again is Again.SLOWER,
            )
        _LOGGER.debug(
            "%s of %d items: %s%s",
            self._plan.path,
            items,
            verdict.outcome.value,
            f", {verdict.reason.value}" if verdict.reason else "",
        )
        return verdict, wait

    def _turn(self, items: int) -> Generator[Effect, Answer | Failure | None, Place | None]:
        """Wait for the account's turn; returns None where the call was abandoned meanwhile."""
        turn = self._pace.acquire(items, self._limits.priority, self._limits.deadline)
        try:
            while not self._abandoned:
                yield Sleep(next(turn))
        except StopIteration as taken:
            place: Place = taken.value
            return place
        finally:
            turn.close()
        return None

    def _packet_end(self, start: int) -> int:
        """Return where the packet that begins at `start` ends: as many receivers as its items allow, at least one."""
        plan = self._plan
        if len(plan.flow) == 1:
            return min(len(plan.numbers), start + max(1, self._packet_size // plan.flow[0]))
        end, items = start + 1, plan.flow[start]
        while end < len(plan.numbers) and items + plan.flow[end] <= self._packet_size:
            items += plan.flow[end]
            end += 1
        return end

    def _receipts(self, start: int, end: int, verdict: Verdict) -> list[Receipt]:
        return [self._receipt(index, verdict) for index in range(start, end)]

    def _receipt(self, index: int, verdict: Verdict) -> Receipt:
        """Make the receipt of one receiver, and hand it to who records them."""
        receipt = Receipt(
            self._plan.numbers[index],
            verdict.outcome,
            verdict.message_id,
            verdict.reason,
            self._plan.parts_of(index),
            verdict.detail,
            (verdict.message_id,) if verdict.message_id else (),
            context=self._context,
            index=self._plan.index_of(index),
        )
        if self._on_receipt is not None:
            tell(self._on_receipt, receipt)
        return receipt


_Told = TypeVar("_Told")


def _waiting(steps: Generator[float, None, _Told]) -> Generator[Effect, Answer | Failure | None, _Told]:
    """Sleep for as long as these steps say, and return what they return."""
    while True:
        try:
            seconds = next(steps)
        except StopIteration as stop:
            told: _Told = stop.value
            return told
        yield Sleep(seconds)


def tell(on_receipt: OnReceipt, receipt: Receipt) -> None:
    """Hand a receipt to the caller's recorder; an error there must not cost the other receipts."""
    try:
        on_receipt(receipt)
    except Exception as error:  # noqa: BLE001
        # Its kind only: a traceback could quote the number.
        _LOGGER.error("The recorder of receipts failed with %s; the send goes on", type(error).__name__)  # noqa: TRY400
