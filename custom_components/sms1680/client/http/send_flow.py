"""A call over HTTP, from its first packet to its last receipt, without a socket, a sleep or a clock of its own.

`SendFlow.steps` is a generator: it yields commands (a `Request`, or the seconds to sleep), receives the results, and
returns the receipts. The blocking and the asyncio client execute the same commands.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

from ..account import Account
from ..limits.rate import Clock, DeadlineError, RateLimiter, Slot
from ..options import CallOptions
from ..outcomes import Outcome, Reason
from ..plan import SendPlan
from ..receipts import OnReceipt, Receipt, call_hook
from ..verdict import RetryMode, Verdict
from .announcement import Announcement
from .requests import build_send, is_single, single
from .responses import read_response
from .transport import Request, Response, TransportError

if TYPE_CHECKING:
    from ..limits.budget import SpendingGuard

_LOGGER = logging.getLogger(__name__)
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0
_TOGETHER = 250  # receipts at once, of numbers that are not sent to; so many take a few milliseconds
_NO_RESPONSE = TransportError(begun=True, detail="no answer")
_CANCELLED = Verdict(Outcome.NOT_SENT, Reason.CANCELLED, goes_on=False)


_Result = TypeVar("_Result")
Command = Request | float
"""A request to send, which must be allowed to end once it has begun, or the seconds to sleep."""
Steps = Generator[Command, Response | TransportError | None, _Result]


@dataclass(eq=False, repr=False)
class SendFlow:
    """One call of `send`, `send_template` or `send_batch`. packet_size: flow items per request, 1 to 1000.

    A row that cannot share a request (see `is_single`) is sent by itself, after the other rows. announcement: of the
    request that was yielded last, None without a request hook.
    """

    plan: SendPlan
    options: CallOptions
    packet_size: int
    gateway: str
    account: Account
    limiter: RateLimiter
    clock: Clock
    on_receipt: OnReceipt | None
    guard: SpendingGuard | None = None
    announcement: Announcement | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._texts = self.plan.private_texts()
        self._abandoned = False

    def abandon(self) -> None:
        """Begin nothing more: the caller has gone. The request in flight ends and its result is recorded."""
        self._abandoned = True

    def steps(self) -> Steps[tuple[Receipt, ...]]:
        """Send packet after packet; return a receipt for each place of the caller's list."""
        places = self.plan.places
        order: list[int] | None = None
        if self.plan.kind != "send":
            order = sorted(range(len(self.plan.numbers)), key=self._is_single)
            self.plan = self.plan.only(order)
        receipts = yield from self._packets() if self.guard is None else self._guarded(self.guard)
        if order is not None:
            receipts = [receipt for _, receipt in sorted(zip(order, receipts, strict=True), key=itemgetter(0))]
        return tuple([receipts[place] for place in places])

    def _guarded(self, guard: SpendingGuard) -> Steps[list[Receipt]]:
        """Send the items that the spending guard admits."""
        options = self.options
        reservation = yield from guard.reserve(
            self.plan.billing(), critical=options.priority == "critical", automatic=options.automatic
        )
        refused = [
            self._receipt(item, Verdict(Outcome.REFUSED, reason)) for item, reason in reservation.refused.items()
        ]
        if refused:
            self.plan = self.plan.only(reservation.admitted)
        sent = yield from self._packets()
        yield from guard.refund(reservation, sent)
        return reservation.merge(refused, sent)

    def _packets(self) -> Steps[list[Receipt]]:
        plan = self.plan
        receipts: list[Receipt] = []
        while (start := len(receipts)) < len(plan.numbers):
            end = self._packet_end(start)
            verdict = yield from self._packet(start, end)
            if verdict.retry is RetryMode.SMALLER and end - start > 1:
                # The platform refused this size: use half of it for the rest of the call.
                self.packet_size = max(1, plan.flow_of(start, end) // 2)
                continue
            receipts += self._receipts(start, end, verdict)
            if not verdict.goes_on:
                rest = Verdict(Outcome.NOT_SENT, verdict.reason)
                for start in range(end, len(plan.numbers), _TOGETHER):
                    if start > end:
                        yield 0.0
                    receipts += self._receipts(start, min(start + _TOGETHER, len(plan.numbers)), rest)
                break
        return receipts

    def _packet(self, start: int, end: int) -> Steps[Verdict]:
        """Send one packet until its verdict is final or its patience ends."""
        began = self.clock()
        pause = _FIRST_PAUSE
        flow = self.plan.flow_of(start, end)
        while True:
            if self._abandoned:
                return _CANCELLED
            try:
                verdict, wait = yield from self._attempt(start, end, flow)
            except DeadlineError:
                return Verdict(Outcome.NOT_SENT, Reason.DEADLINE, goes_on=False)
            if verdict.retry is RetryMode.RECONNECT:
                wait, pause = pause, min(pause * 2, _LONGEST_PAUSE)
            elif verdict.retry is not RetryMode.SLOWER:
                return verdict
            if not self._can_wait(began, wait):
                return verdict
            if verdict.retry is RetryMode.RECONNECT:
                yield wait

    def _can_wait(self, began: float, wait: float) -> bool:
        end = self.clock() + wait
        in_time = self.options.deadline is None or end <= self.options.deadline
        return not self._abandoned and in_time and end - began <= self.options.patience

    def _attempt(self, start: int, end: int, flow: int) -> Steps[tuple[Verdict, float]]:
        """Wait for a slot and submit once; return the verdict and the seconds until the next slot."""
        slot = yield from self._acquire(flow)
        if slot is None:
            return _CANCELLED, 0.0
        verdict: Verdict | None = None
        try:
            alone = self._is_single(start)
            packet, first, last = (single(self.plan, start), 0, 1) if alone else (self.plan, start, end)
            self.announcement = announcement = self._announcement(start, end)
            response = yield build_send(self.gateway, self.account, packet, first, last)
            private = (*self.account.secrets(), *packet.numbers[first:last])
            verdict = read_response(packet.kind, response or _NO_RESPONSE, private, self._texts, own_texts=alone)
            if announcement is not None:
                verdict = _announced(announcement, verdict)
        finally:
            if verdict is None:
                # Ctrl-C interrupted the call. The platform may have the request, so record it.
                begun = self.announcement is None or self.announcement.made
                self._receipts(start, end, Verdict(Outcome.UNKNOWN, Reason.LOST) if begun else _CANCELLED)
            wait = self.limiter.release(
                slot,
                submitted=verdict is None or _is_submitted(verdict),
                too_fast=verdict is not None and verdict.retry is RetryMode.SLOWER,
            )
        _LOGGER.debug(
            "%s of %d items: %s%s",
            self.plan.kind,
            flow,
            verdict.outcome.value,
            f", {verdict.reason.value}" if verdict.reason else "",
        )
        return verdict, wait

    def _announcement(self, start: int, end: int) -> Announcement | None:
        hook = self.options.request_hook
        if hook is None:
            return None
        indexes = tuple([self.plan.index_of(item) for item in range(start, end)])
        return Announcement(hook, indexes, lambda: self._abandoned)

    def _acquire(self, flow: int) -> Steps[Slot | None]:
        """Wait for a slot of the account; return None if the call was abandoned."""
        turn = self.limiter.acquire(flow, self.options.priority, self.options.deadline)
        try:
            while not self._abandoned:
                yield next(turn)
        except StopIteration as stop:
            slot: Slot = stop.value
            return slot
        finally:
            turn.close()
        return None

    def _packet_end(self, start: int) -> int:
        """Return the end of the packet that begins at `start`: as many items as its flow allows, at least one."""
        plan = self.plan
        if plan.kind == "send":
            return min(len(plan.numbers), start + max(1, self.packet_size // plan.flow[0]))
        end, flow = start + 1, plan.flow[start]
        if self._is_single(start):
            return end
        while end < len(plan.numbers) and not self._is_single(end) and flow + plan.flow[end] <= self.packet_size:
            flow += plan.flow[end]
            end += 1
        return end

    def _is_single(self, item: int) -> bool:
        return is_single(self.plan, item)

    def _receipts(self, start: int, end: int, verdict: Verdict) -> list[Receipt]:
        return [self._receipt(item, verdict) for item in range(start, end)]

    def _receipt(self, item: int, verdict: Verdict) -> Receipt:
        receipt = Receipt(
            self.plan.numbers[item],
            verdict.outcome,
            verdict.message_id,
            verdict.reason,
            self.plan.parts_of(item),
            verdict.detail,
            (verdict.message_id,) if verdict.message_id else (),
            context=self.options.context,
            index=self.plan.index_of(item),
        )
        if self.on_receipt is not None:
            call_hook(self.on_receipt, receipt)
        return receipt


def _announced(announcement: Announcement, verdict: Verdict) -> Verdict:
    """Return the verdict on an announced request. Undo the announcement of one that is tried again."""
    if announcement.failure is not None:
        return replace(_CANCELLED, detail=announcement.failure)
    if verdict.retry is not RetryMode.NO:
        announcement.undo()
    return verdict


def _is_submitted(verdict: Verdict) -> bool:
    return verdict.retry is not RetryMode.RECONNECT and verdict.reason is not Reason.CANCELLED
