"""Hands on what comes in, once each, and acknowledges it when it is safe (cmpp2.md, trap 3).

By default it is safe in the queue of the async iterator; with a callback, when the callback has returned.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from .events import Delivered
from .incoming import Delivery, Handed, Inbox, Incoming
from .link import Link
from .wire.errors import CodecError

__all__ = ["OnIncoming", "Receiver"]

OnIncoming = Callable[[Incoming], Awaitable[object] | object]

_LOGGER: Final = logging.getLogger(__name__)
_MOST_WAITING: Final = 10_000
_UNREADABLE: Final = 1


class Receiver:
    """From the link to the application."""

    def __init__(self, inbox: Inbox, on_incoming: OnIncoming | None, hold: float) -> None:
        """Take the application's callback, and the seconds that it may take."""
        self._inbox = inbox
        self._on_incoming = on_incoming
        self._hold = hold
        self._queue: asyncio.Queue[Incoming | None] = asyncio.Queue()
        self._asked: asyncio.Queue[tuple[Handed, float]] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None
        self._again: dict[Handed, asyncio.TimerHandle] = {}
        self._closing = False
        self._full = False
        self._ended = False

    def take(self, link: Link, event: Delivered, now: float, *, in_flight: bool) -> None:
        """Take a DELIVER of a link."""
        if self._closing and self._on_incoming is not None:
            return  # it could not be acknowledged any more, and comes again
        delivery = Delivery(event.pdu, link)
        try:
            handed = self._inbox.take(delivery, now, in_flight=in_flight)
        except CodecError as error:
            _LOGGER.warning("A delivery report can't be read and is refused: %s", error)
            link.session.acknowledge(event.pdu, _UNREADABLE)
            return
        self.hand(handed)
        if self._on_incoming is None and not handed:
            self._acknowledge([delivery])  # it waits in memory: no safer than in the queue

    def hand(self, handed: list[Handed]) -> None:
        """Hand on what is new, and acknowledge what is not."""
        for one in handed:
            if one.value is None:
                self._acknowledge(self._inbox.settle(one, safe=True))
            elif self._on_incoming is None:
                self._acknowledge(self._inbox.settle(one, safe=self._put(one.value)))
            else:
                self._asked.put_nowait((one, asyncio.get_running_loop().time() + self._hold))
                if self._worker is None:
                    self._worker = asyncio.create_task(self._ask())

    @property
    def deadline(self) -> float | None:
        """When `tick` is due, None where nothing waits."""
        return self._inbox.deadline

    def tick(self, now: float) -> None:
        """Hand on what has waited long enough."""
        handed, due = self._inbox.tick(now)
        self.hand(handed)
        self._acknowledge(due)

    async def drain(self) -> None:
        """Return when all that was taken is with the application, while the link can still acknowledge it.

        Of what waits for its other half only that is handed on which the gateway will not send again.
        """
        self._closing = True
        left = list(self._again)
        for handle in self._again.values():
            handle.cancel()
        self._again.clear()
        self.hand(left + self._inbox.finish(all_of_it=self._on_incoming is None))
        if self._worker is not None:
            await asyncio.wait({self._worker})

    def end(self) -> None:
        """End the iterator behind all that is left."""
        if self._on_incoming is None:
            self.hand(self._inbox.finish())
        self._ended = True
        self._queue.put_nowait(None)

    async def next(self) -> Incoming | None:
        """Return the next reply or report; None at the end."""
        if self._ended and self._queue.empty():
            return None
        value = await self._queue.get()
        self._full = False
        if value is None:
            self._queue.put_nowait(None)  # for whoever else waits
        return value

    def _put(self, value: Incoming) -> bool:
        """Put a value into the iterator's queue; a full one takes nothing, and the gateway keeps it for later."""
        if self._queue.qsize() < _MOST_WAITING:
            self._queue.put_nowait(value)
            return True
        if not self._full:
            self._full = True
            _LOGGER.warning(
                "%d replies and reports wait to be read; no more are acknowledged until then", _MOST_WAITING
            )
        return False

    async def _ask(self) -> None:
        """Ask the application about one thing after the other."""
        try:
            while not self._asked.empty():
                handed, until = self._asked.get_nowait()
                if handed.value is not None:
                    self._take_word(handed, handed.value, await self._refusal(handed.value, until))
        finally:
            self._worker = None

    async def _refusal(self, value: Incoming, until: float) -> str | None:
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

    def _take_word(self, handed: Handed, value: Incoming, refusal: str | None) -> None:
        """Take the application's word, and acknowledge what it has."""
        if refusal is not None and handed.acknowledged:
            self._keep(handed, refusal)
            return
        if refusal is None:
            if self._queue.qsize() >= _MOST_WAITING:
                self._queue.get_nowait()  # the application has it already
            self._queue.put_nowait(value)
        else:
            _LOGGER.error("What came in was not taken (%s); it is not acknowledged, so it comes again", refusal)
        self._acknowledge(self._inbox.settle(handed, safe=refusal is None))

    def _keep(self, handed: Handed, refusal: str) -> None:
        """Keep what only we have: the gateway will not send all of it again."""
        if self._closing:
            _LOGGER.error(
                "What came in was not taken (%s) before the end, and will not come again: it is lost", refusal
            )
            return
        _LOGGER.error("What came in was not taken (%s); it is offered again in %.0f s", refusal, self._hold)
        self._again[handed] = asyncio.get_running_loop().call_later(self._hold, self._offer_again, handed)

    def _offer_again(self, handed: Handed) -> None:
        del self._again[handed]
        self.hand([handed])

    def _acknowledge(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            if not delivery.acknowledged and isinstance(delivery.via, Link):
                delivery.acknowledged = delivery.via.session.acknowledge(delivery.pdu)
        for link in {delivery.via for delivery in deliveries if isinstance(delivery.via, Link)}:
            link.flush()
