"""One request for several messages that Home Assistant asks for one by one."""

import asyncio
from dataclasses import replace
from typing import Final

from homeassistant.core import HomeAssistant

from ..store.db import comparable_number
from .journal import JournaledClient, OnRow, SendContext, SendResult
from .messages import TextMessage

WINDOW: Final = 0.05  # seconds

# Text, extension, and the context of the send.
type _Key = tuple[str, str | None, SendContext]
# The numbers of a text that still collects them, each with its result and the `on_row` of its caller.
type _Batch = dict[str, tuple[asyncio.Future[SendResult], OnRow | None]]


class SendBatcher:
    """Collects the numbers that get the same text within 50 ms, and sends it in one call."""

    def __init__(self, hass: HomeAssistant, client: JournaledClient) -> None:
        self._hass = hass
        self._client = client
        self._batches: dict[_Key, _Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, number: str, text: str, extension: str | None, context: SendContext) -> SendResult:
        """Send a text to one number, together with the others that ask for it now.

        Returns its result, whatever the outcome. Raises InvalidMessageError. If the caller is cancelled before the
        request starts, the number is left out.
        """
        key = (text, extension, context)
        batch = self._batches.get(key)
        if batch is None or number in batch:
            # The same number again is a second message: it must not vanish in the first.
            batch = self._batches[key] = {}
            task = self._hass.async_create_task(self._run(key, batch), "sms1680 batched send", eager_start=True)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        future: asyncio.Future[SendResult] = self._hass.loop.create_future()
        batch[number] = future, context.on_row
        try:
            return await future
        finally:
            if future.cancelled() and self._batches.get(key) is batch:
                del batch[number]

    async def aclose(self) -> None:
        """Wait for the sends that are running."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, key: _Key, batch: _Batch) -> None:
        await asyncio.sleep(WINDOW)
        if self._batches.get(key) is batch:
            del self._batches[key]
        if not batch:
            return
        text, extension, context = key
        futures = [future for future, _ in batch.values()]
        context = replace(context, on_row=_to_callers(batch))
        try:
            results = await self._client.send(TextMessage(list(batch), text), {"extension": extension}, context)
        except Exception as error:  # noqa: BLE001 - each of those who wait must get it, whatever it is
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            return
        finally:
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                for future in futures:
                    future.cancel()
        for future, result in zip(futures, results, strict=True):
            if not future.done():
                future.set_result(result)


def _to_callers(batch: _Batch) -> OnRow:
    """Return the `on_row` of a batch, which calls that of the number's caller."""
    callers = {comparable_number(number): on_row for number, (_, on_row) in batch.items()}

    def on_row(number: str, row: int) -> None:
        if (of_caller := callers[number]) is not None:
            of_caller(number, row)

    return on_row
