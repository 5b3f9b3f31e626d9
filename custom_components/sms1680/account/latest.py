"""The latest message to each recipient of an account at its setup, read together instead of by each entity."""

import asyncio
import contextlib
from typing import Any

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect

from ..const import signal_delivery
from ..recipients import recipients
from ..store.db import DeliveryUpdate, MessageStore, StoreError


class LatestUpdates:
    """The latest update of each recipient, from `async_load` until `async_stop`."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any], store: MessageStore) -> None:
        self._hass = hass
        self._entry = entry
        self._store = store
        self._updates: dict[str, DeliveryUpdate | None] = {}
        self._unsubscribe: CALLBACK_TYPE | None = None

    async def async_load(self) -> None:
        """Read the updates, and follow them, because some can come before the entities exist."""
        if not (wanted := [one.subentry_id for one in recipients(self._entry)]):
            return
        signal = signal_delivery(self._entry.entry_id)
        self._unsubscribe = async_dispatcher_connect(self._hass, signal, self._on_update)
        self._entry.async_on_unload(self.async_stop)
        with contextlib.suppress(StoreError):
            found = await asyncio.wrap_future(self._store.latest(self._entry.entry_id, wanted))
            if self._unsubscribe is not None:
                self._updates = dict.fromkeys(wanted) | self._updates
                for update in found:
                    self._on_update(update)

    @callback
    def async_stop(self) -> None:
        """Forget the updates: the entities follow them now."""
        self._updates = {}
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    @callback
    def of(self, subentry_id: str) -> tuple[bool, DeliveryUpdate | None]:
        """Return whether the store was read for a recipient, and the recipient's latest update or None."""
        return subentry_id in self._updates, self._updates.get(subentry_id)

    @callback
    def _on_update(self, update: DeliveryUpdate) -> None:
        if update.recipient is None:
            return
        known = self._updates.get(update.recipient)
        if known is None or (update.row, update.order) > (known.row, known.order):
            self._updates[update.recipient] = update
