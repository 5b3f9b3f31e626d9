"""Passes replies and delivery reports to the application, and acknowledges each once it is safe (docs/cmpp.md, trap 3).

With `on_incoming` an item is safe when the callback has returned; without it, in the queue of the async iterator.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from .events import DeliverReceived
from .incoming import DeliverProcessor, InboundDeliver, Incoming, PendingItem
from .protocol import CMPPProtocol
from .wire.errors import CodecError

OnIncoming = Callable[[Incoming], Awaitable[object] | object]

_LOGGER: Final = logging.getLogger(__name__)
_MAX_QUEUED: Final = 10_000
_MAX_PENDING: Final = 1000  # items that wait for the application, beyond which the connection is not read
_CLOSING: Final = 1.5  # seconds for the items that arrived before `drain`
_UNREADABLE: Final = 1


class Acknowledger:
    """Connects the protocol's DELIVERs with the application's callback or iterator."""

    def __init__(self, processor: DeliverProcessor, on_incoming: OnIncoming | None, ack_timeout: float) -> None:
        """Call `on_incoming` with each item, for `ack_timeout` seconds at most."""
        self._processor = processor
        self._on_incoming = on_incoming
        self._ack_timeout = ack_timeout
        self._queue: asyncio.Queue[Incoming | None] = asyncio.Queue()
        self._pending: asyncio.Queue[tuple[PendingItem, float]] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None
        self._held: CMPPProtocol | None = None
        self._retries: dict[PendingItem, asyncio.TimerHandle] = {}
        self._closing = False
        self._full = False
        self._finished = False

    def on_deliver(self, protocol: CMPPProtocol, event: DeliverReceived, now: float) -> None:
        """Process a DELIVER."""
        if self._closing and self._on_incoming is not None:
            return  # the gateway repeats it on the next connection
        deliver = InboundDeliver(event.pdu, protocol)
        try:
            items = self._processor.process(deliver, now, in_flight=event.in_flight)
        except CodecError as error:
            _LOGGER.warning("CMPP: refused a delivery report that can't be read: %s", error)
            protocol.session.acknowledge(event.pdu, _UNREADABLE)
            return
        self.dispatch(items)
        if self._held is not protocol and self._pending.qsize() > _MAX_PENDING:
            self._release()
            self._held = protocol
            protocol.hold("application")
        if self._on_incoming is None and not items:
            self._acknowledge([deliver])  # it waits in memory, as safe as in the queue

    def dispatch(self, items: list[PendingItem]) -> None:
        """Pass new items to the application and acknowledge the known ones."""
        for item in items:
            if item.value is None:
                self._acknowledge(self._processor.settle(item, accepted=True))
            elif self._on_incoming is None:
                self._acknowledge(self._processor.settle(item, accepted=self._enqueue(item.value)))
            else:
                self._pending.put_nowait((item, asyncio.get_running_loop().time() + self._ack_timeout))
                if self._worker is None:
                    self._worker = asyncio.create_task(self._process_pending(self._on_incoming))

    @property
    def deadline(self) -> float | None:
        """The time of the next `tick`, or None."""
        return self._processor.deadline

    def tick(self, now: float) -> None:
        """Dispatch or acknowledge the items whose waiting time is over."""
        items, due = self._processor.tick(now)
        self.dispatch(items)
        self._acknowledge(due)

    async def drain(self) -> None:
        """Wait until the application has every received item, while the protocol can still acknowledge it.

        Incomplete items that the gateway will repeat are left out, and so are items that the application does not take
        within 1.5 seconds.
        """
        self._closing = True
        self._release()
        retries = list(self._retries)
        for handle in self._retries.values():
            handle.cancel()
        self._retries.clear()
        self.dispatch(retries + self._processor.flush(include_unacknowledged=self._on_incoming is None))
        if self._worker is not None:
            self._put_acknowledged_first()
            _, late = await asyncio.wait({self._worker}, timeout=_CLOSING)
            for worker in late:
                worker.cancel()
                await asyncio.wait({worker})
            lost = sum(item.acknowledged for item in self._take_pending())
            if lost:
                _LOGGER.error("CMPP: on_incoming took too long while closing; %d acknowledged items are lost", lost)

    def _take_pending(self) -> list[PendingItem]:
        """Remove all items that wait for the application, and return them."""
        return [self._pending.get_nowait()[0] for _ in range(self._pending.qsize())]

    def _put_acknowledged_first(self) -> None:
        """Put those first that the gateway will not repeat."""
        waiting = [self._pending.get_nowait() for _ in range(self._pending.qsize())]
        for entry in sorted(waiting, key=lambda entry: not entry[0].acknowledged):
            self._pending.put_nowait(entry)

    def _release(self) -> None:
        """Read from the connection again."""
        if self._held is not None:
            self._held.release("application")
            self._held = None

    def finish(self) -> None:
        """End the iterator after the remaining items."""
        if self._on_incoming is None:
            self.dispatch(self._processor.flush())
        self._finished = True
        self._queue.put_nowait(None)

    async def get(self) -> Incoming | None:
        """Return the next reply or report, or None at the end."""
        if self._finished and self._queue.empty():
            return None
        value = await self._queue.get()
        self._full = False
        if value is None:
            self._queue.put_nowait(None)  # for the other iterators
        return value

    def _enqueue(self, value: Incoming) -> bool:
        """Add a value to the iterator's queue. Return False if the queue is full: the gateway repeats it later."""
        if self._queue.qsize() < _MAX_QUEUED:
            self._queue.put_nowait(value)
            return True
        if not self._full:
            self._full = True
            _LOGGER.warning("CMPP: %d unread replies and reports; new ones are not acknowledged", _MAX_QUEUED)
        return False

    async def _process_pending(self, on_incoming: OnIncoming) -> None:
        try:
            while not self._pending.empty():
                item, until = self._pending.get_nowait()
                if self._pending.qsize() <= _MAX_PENDING // 2:
                    self._release()
                if item.value is not None:
                    self._on_result(item, item.value, await _call(on_incoming, item.value, until))
        finally:
            self._worker = None

    def _on_result(self, item: PendingItem, value: Incoming, error: str | None) -> None:
        """Settle an item after the application's callback. error: the name of the callback's exception."""
        if error is not None and item.acknowledged:
            self._schedule_retry(item, error)
            return
        if error is None:
            if self._queue.qsize() >= _MAX_QUEUED:
                self._queue.get_nowait()  # the callback has processed it already
            self._queue.put_nowait(value)
        else:
            _LOGGER.error("CMPP: on_incoming failed with %s; the gateway will send the item again", error)
        self._acknowledge(self._processor.settle(item, accepted=error is None))

    def _schedule_retry(self, item: PendingItem, error: str) -> None:
        """Call the application again later, since the gateway will not repeat all of the item."""
        if self._closing:
            _LOGGER.error("CMPP: on_incoming failed with %s while closing; an acknowledged item is lost", error)
            return
        _LOGGER.error("CMPP: on_incoming failed with %s; retrying in %.0f s", error, self._ack_timeout)
        self._retries[item] = asyncio.get_running_loop().call_later(self._ack_timeout, self._retry, item)

    def _retry(self, item: PendingItem) -> None:
        del self._retries[item]
        self.dispatch([item])

    def _acknowledge(self, delivers: list[InboundDeliver]) -> None:
        protocols: set[CMPPProtocol] = set()
        for deliver in delivers:
            if isinstance(deliver.connection, CMPPProtocol):
                protocols.add(deliver.connection)
                if not deliver.acknowledged:
                    deliver.acknowledged = deliver.connection.session.acknowledge(deliver.pdu)
        for protocol in protocols:
            protocol.flush()


async def _call(on_incoming: OnIncoming, value: Incoming, until: float) -> str | None:
    """Call the application. Return the name of its exception, or None on success.

    until: the deadline on the loop's clock; after it the callback is not called, and the gateway repeats the DELIVER.
    """
    if asyncio.get_running_loop().time() >= until:
        return TimeoutError.__name__
    try:
        async with asyncio.timeout_at(until):
            result = on_incoming(value)
            if inspect.isawaitable(result):
                await result
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return type(error).__name__  # the callback awaited something that was cancelled
    except Exception as error:  # noqa: BLE001 - no exception of the callback can lose the message
        return type(error).__name__  # the name only: a traceback could quote the text
    return None
