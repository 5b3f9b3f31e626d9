"""Begins the calls of a client, waits for their receipts, and asks the spending guard before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..limits.budget import run_steps
from ..options import CallOptions
from ..outcomes import Outcome
from ..receipts import OnReceipt, Receipt, call_hook
from .compose import Composer, EncodedTexts, SubmitFields
from .dispatcher import Dispatcher
from .outgoing import Call
from .timer import Sleep

if TYPE_CHECKING:
    from ..limits.budget import Reservation, SpendingGuard
    from ..plan import SendPlan

_Receipts = tuple[Receipt, ...]

_ONE: Final = (0,)


def _new_future() -> asyncio.Future[_Receipts]:
    return asyncio.get_running_loop().create_future()


class Sender:
    """Sends checked calls. connect: connects in the background, and returns whether the client is open."""

    def __init__(
        self,
        composer: Composer,
        dispatcher: Dispatcher,
        guard: SpendingGuard | None,
        *,
        patience: float,
        on_receipt: OnReceipt | None,
        connect: Callable[[], bool],
        sleep: Sleep,
    ) -> None:
        self._composer = composer
        self._dispatcher = dispatcher
        self._guard = guard
        self._default_options = CallOptions(0.0, patience, None, "normal", automatic=False, context=None)
        self._on_receipt = on_receipt
        self._connect = connect
        self._sleep = sleep
        self._background: set[asyncio.Task[None]] = set()

    def begin_single(self, number: str, texts: EncodedTexts, began: float, deadline: float | None) -> Call:
        """Begin the usual call: a text of one segment for one number, without options and without a guard.

        It needs no plan, and few objects: thousands of calls may wait together. number: normalised. deadline: on the
        client's clock.
        """
        fields, future = self._composer.default_fields, _new_future()
        return self._begin(Call((number,), _ONE, None, texts, fields, self._default_options, began, deadline, future))

    async def send(self, plan: SendPlan, fields: SubmitFields, options: CallOptions) -> _Receipts:
        """Send the items of a plan, with a guard those that it admits. Return a receipt for each of the plan's places.

        A cancellation settles the queued items. The background records the answers to requests that may have begun.
        """
        if self._guard is not None:
            return await self._send_guarded(self._guard, plan, fields, options)
        return await self._settled(self._begin_plan(plan, fields, options))

    async def drain(self) -> None:
        """Wait for the refunds of cancelled calls."""
        if self._background:
            await asyncio.wait(self._background)

    async def _send_guarded(
        self, guard: SpendingGuard, plan: SendPlan, fields: SubmitFields, options: CallOptions
    ) -> _Receipts:
        """Send the items that the spending guard admits."""
        reserving = guard.reserve(plan.billing(), critical=options.priority == "critical", automatic=options.automatic)
        try:
            reservation = await run_steps(reserving, self._sleep)
        except asyncio.CancelledError:
            self._dispatcher.abandon(self._begin_plan(plan, fields, options))
            raise
        context = options.context
        refused = [
            Receipt(plan.numbers[item], Outcome.REFUSED, None, reason, plan.parts_of(item), context=context, index=item)
            for item, reason in reservation.refused.items()
        ]
        if self._on_receipt is not None:
            for receipt in refused:
                call_hook(self._on_receipt, receipt)
        sent: _Receipts = ()
        if reservation.admitted:
            call = self._begin_plan(plan.only(reservation.admitted), fields, options)
            try:
                sent = await self._settled(call)
            except asyncio.CancelledError:
                self._refund_later(guard, reservation, call)
                raise
            await run_steps(guard.refund(reservation, sent), self._sleep)
        receipts = reservation.merge(refused, sent)
        return tuple([receipts[place] for place in plan.places])

    def _refund_later(self, guard: SpendingGuard, reservation: Reservation, call: Call) -> None:
        settled = call.uncancelled()

        async def refund() -> None:
            await run_steps(guard.refund(reservation, await settled), self._sleep)

        task = asyncio.create_task(refund())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _begin_plan(self, plan: SendPlan, fields: SubmitFields, options: CallOptions) -> Call:
        texts, own = self._composer.encode(plan), plan.kind != "send"
        return self._begin(
            Call(
                plan.numbers,
                plan.places,
                plan.indexes,
                texts,
                fields,
                options,
                options.began,
                options.deadline,
                _new_future(),
                own_texts=own,
            )
        )

    def _begin(self, call: Call) -> Call:
        if not self._connect():
            self._dispatcher.abandon(call)
        self._dispatcher.add(call)
        return call

    async def _settled(self, call: Call) -> _Receipts:
        """Return the receipts of a call; abandon it if its caller is cancelled."""
        try:
            return await call.settled
        except asyncio.CancelledError:
            self._dispatcher.abandon(call)
            raise
