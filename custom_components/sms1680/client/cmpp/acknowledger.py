"""Hands on what comes in, once each, and acknowledges it when it is safe (cmpp2.md, trap 3).

By default it is safe in the queue of the async iterator; with a callback, when the callback has returned.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from .events import DeliverReceived
from .incoming import DeliverProcessor, InboundDeliver, Incoming, PendingItem
from .protocol import CMPPProtocol
from .wire.errors import CodecError

__all__ = ["Acknowledger", "OnIncoming"]

OnIncoming = Callable[[Incoming], Awaitable[object] | object]

_LOGGER: Final = logging.getLogger(__name__)
_MAX_QUEUED: Final = 10_000
_UNREADABLE: Final = 1


class Acknowledger:
    """From the link to the application."""

    def __init__(self, processor: DeliverProcessor, on_incoming: OnIncoming | None, hold: float) -> None:
        """Take the application's callback, and the seconds that it may take."""
        self._processor = processor
        self._on_incoming = on_incoming
        self._hold = hold
        self._queue: asyncio.Queue[Incoming | None] = asyncio.Queue()
        self._pending: asyncio.Queue[tuple[PendingItem, float]] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None
        self._retries: dict[PendingItem, asyncio.TimerHandle] = {}
        self._closing = False
        self._full = False
        self._ended = False

    def on_deliver(self, link: CMPPProtocol, event: DeliverReceived, now: float, *, in_flight: bool) -> None:
        """Take a DELIVER of a link."""
        if self._closing and self._on_incoming is not None:
            return  # it could not be acknowledged any more, and comes again
        delivery = InboundDeliver(event.pdu, link)
        try:
            handed = self._processor.process(delivery, now, in_flight=in_flight)
        except CodecError as error:
            _LOGGER.warning("A delivery report can't be read and is refused: %s", error)
            link.session.acknowledge(event.pdu, _UNREADABLE)
            return
        self.dispatch(handed)
        if self._on_incoming is None and not handed:
            self._acknowledge([delivery])  # it waits in memory: no safer than in the queue

    def dispatch(self, handed: list[PendingItem]) -> None:
        """Hand on what is new, and acknowledge what is not."""
        for one in handed:
            if one.value is None:
                self._acknowledge(self._processor.settle(one, accepted=True))
            elif self._on_incoming is None:
                self._acknowledge(self._processor.settle(one, accepted=self._enqueue(one.value)))
            else:
                self._pending.put_nowait((one, asyncio.get_running_loop().time() + self._hold))
                if self._worker is None:
                    self._worker = asyncio.create_task(self._run_callback())

    @property
    def deadline(self) -> float | None:
        """When `tick` is due, None where nothing waits."""
        return self._processor.deadline

    def tick(self, now: float) -> None:
        """Hand on what has waited long enough."""
        handed, due = self._processor.tick(now)
        self.dispatch(handed)
        self._acknowledge(due)

    async def drain(self) -> None:
        """Return when all that was taken is with the application, while the link can still acknowledge it.

        Of what waits for its other half only that is handed on which the gateway will not send again.
        """
        self._closing = True
        left = list(self._retries)
        for handle in self._retries.values():
            handle.cancel()
        self._retries.clear()
        self.dispatch(left + self._processor.flush(include_unacknowledged=self._on_incoming is None))
        if self._worker is not None:
            await asyncio.wait({self._worker})

    def finish(self) -> None:
        """End the iterator behind all that is left."""
        if self._on_incoming is None:
            self.dispatch(self._processor.flush())
        self._ended = True
        self._queue.put_nowait(None)

    async def get(self) -> Incoming | None:
        """Return the next reply or report; None at the end."""
        if self._ended and self._queue.empty():
            return None
        value = await self._queue.get()
        self._full = False
        if value is None:
            self._queue.put_nowait(None)  # for whoever else waits
        return value

    def _enqueue(self, value: Incoming) -> bool:
        """Put a value into the iterator's queue; a full one takes nothing, and the gateway keeps it for later."""
        if self._queue.qsize() < _MAX_QUEUED:
            self._queue.put_nowait(value)
            return True
        if not self._full:
            self._full = True
            _LOGGER.warning("%d replies and reports wait to be read; no more are acknowledged until then", _MAX_QUEUED)
        return False

    async def _run_callback(self) -> None:
        """Ask the application about one thing after the other."""
        try:
            while not self._pending.empty():
                handed, until = self._pending.get_nowait()
                if handed.value is not None:
                    self._on_result(handed, handed.value, await self._call_application(handed.value, until))
        finally:
            self._worker = None

    async def _call_application(self, value: Incoming, until: float) -> str | None:
        """Ask the application; return what kept it from taking a value, None where it is safe.

        until: on the loop's clock; what had no turn by then is not taken, and the gateway sends it again.
        """
        assert self._on_incoming is not None  # noqa: S101 - only then it is asked
        if asyncio.get_running_loop().time() >= until:
            return TimeoutError.__name__
        try:
            async with asyncio.timeout_at(until):
                answer = self._on_incoming(value)
                if inspect.isawaitable(answer):
                    await answer
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return type(error).__name__  # something that the application waited for was cancelled
        except Exception as error:  # noqa: BLE001 - whatever it is, the message must not be lost by it
            return type(error).__name__  # no more of it: a traceback could quote the text
        return None

    def _on_result(self, handed: PendingItem, value: Incoming, refusal: str | None) -> None:
        """Take the application's word, and acknowledge what it has."""
        if refusal is not None and handed.acknowledged:
            self._schedule_retry(handed, refusal)
            return
        if refusal is None:
            if self._queue.qsize() >= _MAX_QUEUED:
                self._queue.get_nowait()  # the application has it already
            self._queue.put_nowait(value)
        else:
            _LOGGER.error("What came in was not taken (%s); it is not acknowledged, so it comes again", refusal)
        self._acknowledge(self._processor.settle(handed, accepted=refusal is None))

    def _schedule_retry(self, handed: PendingItem, refusal: str) -> None:
        """Keep what only we have: the gateway will not send all of it again."""
        if self._closing:
            _LOGGER.error(
                "What came in was not taken (%s) before the end, and will not come again: it is lost", refusal
            )
            return
        _LOGGER.error("What came in was not taken (%s); it is offered again in %.0f s", refusal, self._hold)
        self._retries[handed] = asyncio.get_running_loop().call_later(self._hold, self._retry, handed)

    def _retry(self, handed: PendingItem) -> None:
        del self._retries[handed]
        self.dispatch([handed])

    def _acknowledge(self, deliveries: list[InboundDeliver]) -> None:
        for delivery in deliveries:
            if not delivery.acknowledged and isinstance(delivery.via, CMPPProtocol):
                delivery.acknowledged = delivery.via.session.acknowledge(delivery.pdu)
        for link in {delivery.via for delivery in deliveries if isinstance(delivery.via, CMPPProtocol)}:
            link.flush()
