"""Follows the delivery of messages that are being sent."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect

from ..account.delivery_state import state_response
from ..account.journal import JournalBatch
from ..client import Outcome
from ..const import signal_delivery
from ..deferred.models import DeliveryResult
from ..store.db import DeliveryUpdate, StoreError, comparable_number


class DeliveryTracker:
    """Follows the states of messages that are sent with `batches` in their context, while the tracker is entered.

    on_change: called when a state has changed.
    """

    def __init__(
        self, hass: HomeAssistant, entry_ids: Iterable[str], on_change: Callable[[], None] = lambda: None
    ) -> None:
        self.batches: list[JournalBatch] = []
        self._hass = hass
        self._on_change = on_change
        self._entry_ids = set(entry_ids)
        self._changes: dict[int, DeliveryUpdate] = {}
        self._changed = asyncio.Event()
        self._unsubscribe: list[CALLBACK_TYPE] = []

    def __enter__(self) -> Self:
        self._unsubscribe = [
            async_dispatcher_connect(self._hass, signal_delivery(entry_id), self._add) for entry_id in self._entry_ids
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for unsubscribe in self._unsubscribe:
            unsubscribe()

    def change(self, result: DeliveryResult) -> DeliveryUpdate | None:
        """Return the journal's state of a message, None if it is not known."""
        return self._changes.get(result.outgoing) if result.outgoing is not None else None

    def state(self, result: DeliveryResult) -> dict[str, Any]:
        """Return the state of a message as an action answers it: the platform's answer if the journal has none."""
        update = self.change(result)
        if update is not None:
            return state_response(self._hass, update)
        outcome = result.receipt.outcome
        return {"state": outcome.value, "settled": outcome.is_failure, "reason": None, "matched": None}

    async def async_wait(self, results: Iterable[DeliveryResult], seconds: float) -> None:
        """Wait until each message is settled, at most this long."""
        results = list(results)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.async_refresh()
                while not all(self.state(result)["settled"] for result in results):
                    self._changed.clear()
                    await self._changed.wait()

    async def async_outcome(self, entry_id: str, number: str, seconds: float) -> Outcome:
        """Return the outcome of the last message to a number after its send was cancelled; wait at most this long."""
        comparable = comparable_number(number)
        found = [
            (batch, index)
            for batch in self.batches
            for index, item in enumerate(batch.dispatch.messages)
            if (item.entry, item.number) == (entry_id, comparable)
        ]
        if not found or not found[-1][0].started:
            return Outcome.NOT_SENT
        batch, index = found[-1]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await batch.complete.wait()
        return batch.outcomes.get(index, Outcome.UNKNOWN)

    async def async_refresh(self) -> None:
        """Load the states that were reached before they were followed."""
        for batch in self.batches:
            rows = [row for row in batch.dispatch.rows if row is not None]
            with suppress(StoreError):
                for change in await asyncio.wrap_future(batch.intake.store.current(rows)):
                    self._changes.setdefault(change.row, change)

    @callback
    def _add(self, change: DeliveryUpdate) -> None:
        self._changes[change.row] = change
        self._changed.set()
        self._on_change()
