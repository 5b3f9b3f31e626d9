"""One request for what Home Assistant asks one by one: the same text to several recipients at about the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from homeassistant.core import HomeAssistant

from ..client import Receipt, SendError
from ..context import is_automatic

WINDOW: Final = 0.05  # seconds

# Text, extension, and whether it stems from one of our own events: the task that sends takes that from its first.
type _Key = tuple[str, str | None, bool]
type Send = Callable[[list[str], str, str | None], Awaitable[tuple[Receipt, ...]]]


class _Batch:
    """A text that still gathers its numbers."""

    def __init__(self) -> None:
        self.waiting: dict[str, asyncio.Future[Receipt]] = {}


class Sharing:
    """Gathers the numbers of equal texts for 50 ms, and sends them in one call.

    send: takes numbers, text and extension; raises as the core's client does.
    """

    def __init__(self, hass: HomeAssistant, send: Send) -> None:
        self._hass = hass
        self._send = send
        self._batches: dict[_Key, _Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, number: str, text: str, extension: str | None) -> Receipt:
        """Send a text to one number, together with the others that ask for it now.

        Returns its receipt, whatever the outcome; raises InvalidMessageError. Cancelled before the request began, the
        number is left out of it.
        """
        key = (text, extension, is_automatic())
        batch = self._batches.get(key)
        if batch is None or number in batch.waiting:
            # The same number again is a second message: it must not vanish in the first.
            batch = self._batches[key] = _Batch()
            self._start(key, batch)
        future: asyncio.Future[Receipt] = self._hass.loop.create_future()
        batch.waiting[number] = future
        try:
            return await future
        finally:
            if future.cancelled() and self._batches.get(key) is batch:
                del batch.waiting[number]

    async def aclose(self) -> None:
        """Wait for what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self, key: _Key, batch: _Batch) -> None:
        task = self._hass.async_create_task(self._run(key, batch), "sms1680 shared send", eager_start=True)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, key: _Key, batch: _Batch) -> None:
        await asyncio.sleep(WINDOW)
        if self._batches.get(key) is batch:
            del self._batches[key]
        text, extension, _ = key
        waiting = batch.waiting
        try:
            receipts = await self._send(list(waiting), text, extension) if waiting else ()
        except SendError as error:
            receipts = error.receipts
        except Exception as error:  # noqa: BLE001 - whatever it is, each of those who wait must hear of it
            for future in waiting.values():
                if not future.done():
                    future.set_exception(error)
            return
        finally:
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                for future in waiting.values():
                    future.cancel()
        for future, receipt in zip(waiting.values(), receipts, strict=True):
            if not future.done():
                future.set_result(receipt)
