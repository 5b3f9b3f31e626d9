"""The deferred messages of one account in the message store."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from homeassistant.util import dt as dt_util

from ..store.db import DeferredRow, MessageStore, StartState, StoreError
from ..store.turns import to_the_end
from .models import QueuedMessage, StoredMessage

_LOGGER = logging.getLogger(__name__)

WOULD_BE_LOST: Final = "A queued message could not be saved and would be lost on restart (%s)"


class QueueStorage:
    """Writes the deferred messages of an account to the store, so that a restart loses none of them."""

    def __init__(self, entry_id: str, store: MessageStore) -> None:
        self._entry_id = entry_id
        self._store = store

    async def async_load(self, journal: MessageStore) -> tuple[list[DeferredRow], StartState | None]:
        """Return the messages that an earlier run has left, and what the journal has if it is the same store.

        Raises StoreError.
        """
        if self._store is not journal:
            return await asyncio.wrap_future(self._store.load_deferred(self._entry_id)), None
        state = await asyncio.wrap_future(journal.load_start(self._entry_id, dt_util.utcnow()))
        return state.deferred, state

    async def async_insert(self, message: QueuedMessage, due: datetime, *, going: bool = False) -> StoredMessage:
        """Store a new message. going: it is being sent. Raises StoreError."""
        saving = self._store.save_deferred(self._entry_id, message.number, due, message.as_json(), going=going)
        row = await to_the_end(asyncio.wrap_future(saving))  # nobody would know of a row whose caller is cancelled
        return StoredMessage(row, due, message)

    async def async_update(self, stored: StoredMessage, *, going: bool = False) -> None:
        """Store the present form of a message. going: it is being acted on from now on. Raises StoreError."""
        message = stored.message
        saving = self._store.save_deferred(
            self._entry_id, message.number, stored.due, message.as_json(), row=stored.row, going=going
        )
        await asyncio.wrap_future(saving)

    async def async_update_together(self, stored: Iterable[StoredMessage], *, going: bool = False) -> None:
        """Store the present form of several messages, all of them or none. going: as above. Raises StoreError."""
        rows = _rows(stored, going=going)
        await asyncio.wrap_future(self._store.save_deferred_together(self._entry_id, rows))

    def update_soon(self, stored: Iterable[StoredMessage]) -> None:
        """Store the present form of several messages without waiting for it."""
        self._store.save_deferred_together(self._entry_id, _rows(stored, going=False))

    def delete_soon(self, rows: Sequence[int]) -> None:
        """Delete messages that are done without waiting for it."""
        self._store.delete_deferred_rows(rows)

    def delete_inserted(self, inserting: asyncio.Task[StoredMessage]) -> None:
        """Delete a new message that was stored too late, as a callback of its task."""
        if not inserting.cancelled() and inserting.exception() is None:
            self.delete_soon([inserting.result().row])

    async def async_delete_together(self, rows: Sequence[int]) -> None:
        """Delete messages that are done."""
        try:
            await asyncio.wrap_future(self._store.delete_deferred_rows(rows))
        except StoreError as error:
            _LOGGER.warning("Queued messages that are done could not be deleted (%s)", error)

    async def async_delete(self, row: int) -> None:
        """Delete a message that is done."""
        try:
            await self.async_remove(row)
        except StoreError as error:
            _LOGGER.warning("A queued message that is done could not be deleted (%s)", error)

    async def async_remove(self, row: int) -> None:
        """Delete a message that must not be sent. Raises StoreError."""
        await asyncio.wrap_future(self._store.delete_deferred_row(row))

    async def async_save_again(self, stored: StoredMessage, waiting: Mapping[int, StoredMessage]) -> None:
        """Store a message in the new file of a damaged store, if it still waits unchanged."""
        try:
            if waiting.get(stored.row) is stored:
                await self.async_update(stored)
        except StoreError as error:
            _LOGGER.warning(WOULD_BE_LOST, error)


def _rows(stored: Iterable[StoredMessage], *, going: bool) -> list[DeferredRow]:
    return [DeferredRow(one.row, one.due, going, one.message.number, one.message.as_json()) for one in stored]
