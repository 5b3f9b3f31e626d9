"""The write path of incoming items into one message store: group them into commits, and mark rows in batches."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from typing import Any, Final

from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers.event import async_call_later

from .db import Marks, MessageStore, PendingEvent, Received, Report, StoreError, Uplink
from .db.writer import error_kind

# Seconds until rows are marked as fired or acknowledged, many at once. If a mark is lost in a crash, the event fires
# again, as redelivered.
_MARK_DELAY: Final = 0.1
_MAX_WAITING: Final = 10_000
_MAX_GROUP: Final = 500
_CALLBACKS_PER_TURN: Final = 50  # before other tasks of the event loop run
# Seconds, the longest time that a commit waits for the senders that have just got a response. Without this wait, two
# groups of senders take turns, and each commit holds only one of them.
_MOST_GATHERING: Final = 0.002

type OnStored = Callable[[Received], None]
type _Write = tuple[Uplink | Report, OnStored, asyncio.Future[Received]]


class StoreIntake:
    """A message store, with the incoming items and row marks that are still to be written to it."""

    def __init__(self, hass: HomeAssistant, store: MessageStore) -> None:
        self.store = store
        self._hass = hass
        self._unwritten = store.unwritten
        self._may_have_pending = store.durable
        self._uplinks, self._reports = Marks(), Marks()
        self._queue: deque[_Write] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._callbacks_done: asyncio.Future[None] | None = None
        self._gathered: asyncio.Future[None] | None = None
        self._wanted = 0
        self._cancel_flush: CALLBACK_TYPE | None = None
        self._flush_job = HassJob(self._flush_now, "sms1680 mark fired events", cancel_on_shutdown=True)

    @callback
    def receive(self, item: Uplink | Report, on_stored: OnStored) -> asyncio.Future[Received]:
        """Store an item. Items that arrive during a commit share the next one.

        on_stored: called as soon as the item is stored, even if the future was cancelled, and before `async_pending`
        returns the item. The future fails with StoreError, or with the exception of `on_stored`.
        """
        future: asyncio.Future[Received] = self._hass.loop.create_future()
        self._may_have_pending = True
        if not self.store.durable:
            try:
                received = self.store.receive(item).result()  # the store in memory has finished by now
            except Exception as error:  # noqa: BLE001 - any error means that the item is not stored
                _fail(future, _as_store_error(error))
            else:
                _complete(received, on_stored, future)
            return future
        if len(self._queue) >= _MAX_WAITING:
            future.set_exception(StoreError("busy"))
            return future
        self._queue.append((item, on_stored, future))
        if self._writing is None:
            # Not eagerly, so that items of the same turn of the event loop share the commit.
            self._writing = self._hass.async_create_task(self._async_write(), "sms1680 store", eager_start=False)
        elif self._gathered is not None and len(self._queue) >= self._wanted:
            self._stop_gathering(self._gathered)
        return future

    @callback
    def receive_at_once(self, item: Uplink | Report) -> Received | None:
        """Store an item in memory. Return None if `receive` has to store it. Raises StoreError."""
        self._may_have_pending = True
        return self.store.receive_at_once(item)

    async def async_pending(self, entry_id: str, limit: int) -> list[PendingEvent]:
        """Return stored items whose event has not fired, oldest first. Raises StoreError."""
        if not self._may_have_pending:
            return []  # a store in memory that has received nothing
        await self.async_flush()
        found = await asyncio.wrap_future(self.store.pending(entry_id, limit))
        if self._callbacks_done is not None:
            # Callbacks for some of these may still be running; shield them from our cancellation.
            await asyncio.shield(self._callbacks_done)
        return found

    async def async_drain(self) -> None:
        """Wait until everything received so far is stored or has failed."""
        waiting: list[asyncio.Future[Any]] = [future for *_, future in self._queue]
        if self._callbacks_done is not None:
            waiting.append(self._callbacks_done)
        if waiting:
            await asyncio.wait(waiting)

    async def _async_write(self) -> None:
        try:
            while self._queue:
                group = [self._queue.popleft() for _ in range(min(len(self._queue), _MAX_GROUP))]
                done = self._callbacks_done = self._hass.loop.create_future()
                began = self._hass.loop.time()
                try:
                    await self._async_write_group(group)
                finally:
                    done.set_result(None)
                await self._async_gather(len(group), self._hass.loop.time() - began)
        finally:
            self._writing = None

    async def _async_gather(self, stored: int, seconds: float) -> None:
        """Wait for as many items as were just stored, besides those that came meanwhile, but no longer than that took.

        A sender that waits for each response alone is never delayed.
        """
        self._wanted = stored + len(self._queue)
        # A clock that stands still or jumps, as in tests, would not end the wait.
        if self._wanted == 1 or not 0 < seconds < 1:
            return
        loop = self._hass.loop
        self._gathered = loop.create_future()
        timer = loop.call_later(min(seconds, _MOST_GATHERING), self._stop_gathering, self._gathered)
        try:
            await self._gathered
        finally:
            self._gathered = None
            timer.cancel()

    @callback
    def _stop_gathering(self, gathered: asyncio.Future[None]) -> None:
        if not gathered.done():
            gathered.set_result(None)

    async def _async_write_group(self, group: list[_Write]) -> None:
        try:
            stored = await asyncio.wrap_future(self.store.receive_all([item for item, *_ in group]))
        except Exception as exception:  # noqa: BLE001 - any error means that the items are not stored
            error = _as_store_error(exception)
            if len(group) == 1 or error.common:
                for *_, future in group:
                    _fail(future, error)
                return
            for write in group:
                await self._async_write_group([write])
            return
        for count, ((_, on_stored, future), received) in enumerate(zip(group, stored, strict=True), 1):
            _complete(received, on_stored, future)
            if not count % _CALLBACKS_PER_TURN:
                await asyncio.sleep(0)

    @callback
    def mark_fired(self, row: int, *, report: bool, texts: bool) -> None:
        """Mark a row soon: its event has fired. texts: whether its text remains in the store."""
        if self._unwritten is not None and not report and row in self._unwritten.items:
            self._unwritten.mark_fired(row, texts=texts)
            return
        (self._reports if report else self._uplinks).fired.add(row)
        if not (texts or report):
            self._uplinks.textless.add(row)
        if self._cancel_flush is None:
            self._flush_soon()

    @callback
    def mark_acknowledged(self, row: int, *, report: bool) -> None:
        """Mark a row soon: its acknowledgement was written."""
        if self._unwritten is not None and not report and row in self._unwritten.items:
            self._unwritten.marks.acknowledged.add(row)
            return
        (self._reports if report else self._uplinks).acknowledged.add(row)
        if self._cancel_flush is None:
            self._flush_soon()

    @callback
    def flush(self) -> Future[None] | None:
        """Mark all rows now, if there are any. Later calls of the store see the marks."""
        if self._cancel_flush is not None:
            self._cancel_flush()
            self._cancel_flush = None
        uplinks, reports = self._uplinks, self._reports
        if not (uplinks or reports):
            return None
        self._uplinks, self._reports = Marks(), Marks()
        return self.store.mark_received(uplinks, reports)

    async def async_flush(self) -> None:
        """Mark all rows, and wait until that is done. Raises StoreError."""
        if (marked := self.flush()) is not None:
            await asyncio.wrap_future(marked)

    def _flush_soon(self) -> None:
        self._cancel_flush = async_call_later(self._hass, _MARK_DELAY, self._flush_job)

    @callback
    def _flush_now(self, _: datetime) -> None:
        self._cancel_flush = None
        self.flush()


def _complete(received: Received, on_stored: OnStored, future: asyncio.Future[Received]) -> None:
    try:
        on_stored(received)
    except Exception as error:  # noqa: BLE001 - the future raises it
        _fail(future, error)
    else:
        if not future.done():
            future.set_result(received)


def _as_store_error(error: BaseException) -> StoreError:
    return error if isinstance(error, StoreError) else StoreError(error_kind(error), common=False)


def _fail(future: asyncio.Future[Received], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
