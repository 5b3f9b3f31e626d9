"""Waiting until what was just sent is settled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any, Self

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect

from ..account.delivery_state import state_response
from ..account.journal import Recording, collecting
from ..client import Outcome
from ..const import signal_delivery
from ..deferred.models import DeliveryResult
from ..store.db import DeliveryUpdate, StoreError, comparable_number


class Reports:
    """Follows what is sent inside it, by the message store's word. changed: called when it has said something."""

    def __init__(
        self, hass: HomeAssistant, entry_ids: Iterable[str], changed: Callable[[], None] = lambda: None
    ) -> None:
        self._hass = hass
        self._changed = changed
        self._entry_ids = set(entry_ids)
        self._changes: dict[int, DeliveryUpdate] = {}
        self._rows: dict[tuple[str, str], int] = {}
        self._recordings: list[Recording] = []
        self._heard = asyncio.Event()
        self._inside = ExitStack()

    def __enter__(self) -> Self:
        collector: AbstractContextManager[list[Recording]] = collecting()
        self._recordings = self._inside.enter_context(collector)
        for entry_id in self._entry_ids:
            stop: Callable[[], None] = async_dispatcher_connect(self._hass, signal_delivery(entry_id), self._hear)
            self._inside.callback(stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._inside.close()

    def of(self, sent: DeliveryResult) -> dict[str, Any]:
        """Return where a message stands; as the platform answered, where the store could not keep it."""
        change = self.change(sent.addressee.entry.entry_id, sent.receipt.number)
        if change is not None:
            return state_response(self._hass, change)
        outcome = sent.receipt.outcome
        return {"state": outcome.value, "settled": outcome.is_failure, "reason": None, "matched": None}

    async def wait(self, sent: Iterable[DeliveryResult], seconds: float) -> None:
        """Wait until each message is settled, or the time is up."""
        listed = list(sent)
        try:
            async with asyncio.timeout(seconds):
                await self.look_up()
                while not all(self.of(one)["settled"] for one in listed):
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            return

    def change(self, entry_id: str, number: str) -> DeliveryUpdate | None:
        """Return where the last message to a number stands, None where the store has not told yet."""
        row = self._rows.get((entry_id, number))
        return self._changes.get(row) if row is not None else None

    async def outcome(self, entry_id: str, number: str, seconds: float) -> Outcome:
        """Return what became of the last message to a number whose send was cut off; wait at most so long for that."""
        sent_to = comparable_number(number)
        recordings = [
            recording
            for recording in self._recordings
            if any((one.entry, one.number) == (entry_id, sent_to) for one in recording.dispatch.messages)
        ]
        if not recordings or not recordings[-1].begun:
            return Outcome.NOT_SENT
        try:
            async with asyncio.timeout(seconds):
                await recordings[-1].told.wait()
        except TimeoutError:
            pass
        return recordings[-1].outcomes.get(sent_to, Outcome.UNKNOWN)

    async def look_up(self) -> None:
        """Take up where the messages stand already, and their rows."""
        for recording in self._recordings:
            messages, rows = recording.dispatch.messages, recording.dispatch.rows
            for message, row in zip(messages, rows, strict=True):
                if row is not None:
                    self._rows[message.entry, message.number] = row
            try:
                known = [row for row in rows if row is not None]
                for change in await asyncio.wrap_future(recording.shelf.store.current(known)):
                    self._changes.setdefault(change.row, change)
            except StoreError:
                continue

    @callback
    def _hear(self, change: DeliveryUpdate) -> None:
        self._changes[change.row] = change
        self._heard.set()
        self._changed()
