"""Diagnostic sensors of the last message to a recipient: where it stands, and since when."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from typing import override

from homeassistant.components.sensor import SensorDeviceClass, SensorEntity
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import EntityCategory
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect

from .const import signal_delivery
from .coordinator import Sms1680ConfigEntry
from .entity import RecipientEntity
from .origin import told_of
from .store import Change, ProofState, StoreError
from .storing import DATA_STORAGE


class _LastDelivery(RecipientEntity, SensorEntity):
    """Something of the last message to a recipient; unknown until one is sent."""

    _attr_entity_category = EntityCategory.DIAGNOSTIC
    _last: Change | None = None

    def __init__(self, hass: HomeAssistant, entry: Sms1680ConfigEntry, subentry: ConfigSubentry, key: str) -> None:
        super().__init__(hass, entry, subentry, key)
        self._attr_translation_key = key

    @override
    async def async_added_to_hass(self) -> None:
        signal = signal_delivery(self.entry.entry_id)
        self.async_on_remove(async_dispatcher_connect(self.hass, signal, self._hear))
        store = self.hass.data[DATA_STORAGE].of(self.entry).store
        with contextlib.suppress(StoreError):
            recipient = self.subentry.subentry_id
            for change in await asyncio.wrap_future(store.latest(self.entry.entry_id, [recipient])):
                self._take(change)

    @callback
    def _hear(self, change: Change) -> None:
        if change.recipient == self.subentry.subentry_id and self._take(change):
            self.async_set_context(told_of() or Context())
            self.async_write_ha_state()

    def _take(self, change: Change) -> bool:
        """Take up a message that is none before the last; tell whether it is."""
        newest = self._last is None or (change.row, change.order) > (self._last.row, self._last.order)
        if newest:
            self._last = change
        return newest


class LastDeliveryState(_LastDelivery):
    """Where the last message stands."""

    _attr_device_class = SensorDeviceClass.ENUM
    _attr_options = [state.value for state in ProofState]  # noqa: RUF012 - the base class's own type

    def __init__(self, hass: HomeAssistant, entry: Sms1680ConfigEntry, subentry: ConfigSubentry) -> None:
        super().__init__(hass, entry, subentry, "last_delivery_state")

    @property
    @override
    def native_value(self) -> str | None:
        return self._last.state.value if self._last else None


class LastDeliveryTime(_LastDelivery):
    """Since when the last message stands where it does."""

    _attr_device_class = SensorDeviceClass.TIMESTAMP

    def __init__(self, hass: HomeAssistant, entry: Sms1680ConfigEntry, subentry: ConfigSubentry) -> None:
        super().__init__(hass, entry, subentry, "last_delivery")

    @property
    @override
    def native_value(self) -> datetime | None:
        return self._last.at if self._last else None
