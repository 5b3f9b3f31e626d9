"""The sensors of an account: its balance, what it has sent and spent, and when the platform last pushed something."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import EntityCategory, Platform
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .account.statistics import Statistics
from .const import CONF_PRICE, DOMAIN, signal_delivery, signal_statistics
from .context import told_of
from .coordinator import BalanceCoordinator, Sms1680ConfigEntry
from .entity import AccountEntity, RecipientEntity, async_add_recipient_entities
from .store.db import DeliveryState, DeliveryUpdate, StoreError
from .store.manager import DATA_STORE

PARALLEL_UPDATES = 0

_SPENT: Final = "spent"


@dataclass(frozen=True, kw_only=True)
class StatisticDescription(SensorEntityDescription):
    """A sensor of what was counted."""

    value: Callable[[Statistics], float | datetime | None]


STATISTICS = (
    StatisticDescription(
        key="messages_sent", state_class=SensorStateClass.TOTAL_INCREASING, value=lambda statistics: statistics.messages
    ),
    StatisticDescription(
        key="parts_sent", state_class=SensorStateClass.TOTAL_INCREASING, value=lambda statistics: statistics.parts
    ),
    StatisticDescription(
        key=_SPENT,
        state_class=SensorStateClass.TOTAL_INCREASING,
        native_unit_of_measurement="CNY",
        suggested_display_precision=2,
        value=lambda statistics: round(statistics.spent, 4),
    ),
    # On by default though it changes often: it is how one sees whether the platform reaches this place at all.
    StatisticDescription(
        key="last_push",
        device_class=SensorDeviceClass.TIMESTAMP,
        entity_category=EntityCategory.DIAGNOSTIC,
        value=lambda statistics: statistics.last_push,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: Sms1680ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the sensors of an account, and those of each recipient."""
    async_add_recipient_entities(
        hass,
        entry,
        async_add_entities,
        lambda subentry: [LastDeliveryState(hass, entry, subentry), LastDeliveryTime(hass, entry, subentry)],
    )
    async_add_entities(StatisticSensor(entry, description) for description in STATISTICS)
    if (coordinator := entry.runtime_data.coordinator) is not None:
        async_add_entities([BalanceSensor(entry, coordinator)])


@callback
def async_enable_spent_sensor(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Switch the sensor of what was spent on that is off for want of a price, now that there is one."""
    registry = er.async_get(hass)
    entity_id = registry.async_get_entity_id(Platform.SENSOR, DOMAIN, f"{entry.entry_id}_{_SPENT}")
    if entity_id is None or not entry.options.get(CONF_PRICE):
        return
    if registry.entities[entity_id].disabled_by is er.RegistryEntryDisabler.INTEGRATION:
        registry.async_update_entity(entity_id, disabled_by=None)


class BalanceSensor(AccountEntity, CoordinatorEntity[BalanceCoordinator], SensorEntity):
    """The messages left, in parts. Unavailable while the platform does not tell it, unknown where it never will."""

    _attr_state_class = SensorStateClass.MEASUREMENT

    def __init__(self, entry: Sms1680ConfigEntry, coordinator: BalanceCoordinator) -> None:
        AccountEntity.__init__(self, entry, "balance")
        CoordinatorEntity.__init__(self, coordinator)

    @property
    @override
    def native_value(self) -> int | None:
        return self.coordinator.data


class StatisticSensor(AccountEntity, SensorEntity):
    """Something that was counted; always available."""

    entity_description: StatisticDescription

    def __init__(self, entry: Sms1680ConfigEntry, description: StatisticDescription) -> None:
        super().__init__(entry, description.key)
        self.entity_description = description
        if description.key == _SPENT:
            self._attr_entity_registry_enabled_default = bool(entry.options.get(CONF_PRICE))

    @property
    @override
    def native_value(self) -> float | datetime | None:
        return self.entity_description.value(self.entry.runtime_data.statistics)

    @override
    async def async_added_to_hass(self) -> None:
        signal = signal_statistics(self.entry.entry_id)
        self.async_on_remove(async_dispatcher_connect(self.hass, signal, self.async_write_ha_state))


class _LastDelivery(RecipientEntity, SensorEntity):
    """Something of the last message to a recipient; unknown until one is sent."""

    _attr_entity_category = EntityCategory.DIAGNOSTIC
    _last: DeliveryUpdate | None = None

    def __init__(self, hass: HomeAssistant, entry: Sms1680ConfigEntry, subentry: ConfigSubentry, key: str) -> None:
        super().__init__(hass, entry, subentry, key)
        self._attr_translation_key = key

    @override
    async def async_added_to_hass(self) -> None:
        signal = signal_delivery(self.entry.entry_id)
        self.async_on_remove(async_dispatcher_connect(self.hass, signal, self._hear))
        store = self.hass.data[DATA_STORE].for_entry(self.entry).store
        with contextlib.suppress(StoreError):
            recipient = self.subentry.subentry_id
            for change in await asyncio.wrap_future(store.latest(self.entry.entry_id, [recipient])):
                self._take(change)

    @callback
    def _hear(self, change: DeliveryUpdate) -> None:
        if change.recipient == self.subentry.subentry_id and self._take(change):
            self.async_set_context(told_of() or Context())
            self.async_write_ha_state()

    def _take(self, change: DeliveryUpdate) -> bool:
        """Take up a message that is none before the last; tell whether it is."""
        newest = self._last is None or (change.row, change.order) > (self._last.row, self._last.order)
        if newest:
            self._last = change
        return newest


class LastDeliveryState(_LastDelivery):
    """Where the last message stands."""

    _attr_device_class = SensorDeviceClass.ENUM
    _attr_options = [state.value for state in DeliveryState]  # noqa: RUF012 - the base class's own type

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
