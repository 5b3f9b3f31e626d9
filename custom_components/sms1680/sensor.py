"""Sensors for the balance, statistics and last push of an account, and for the last message to each recipient."""

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import EntityCategory, Platform, UnitOfTime
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .account.statistics import Statistics
from .const import CONF_PRICE, DOMAIN, signal_delivery, signal_duty, signal_statistics
from .coordinator import Sms1680ConfigEntry
from .deferred.waiting import WaitingCounter
from .duty.groups import member_names
from .duty.manager import alarm_manager
from .entity import (
    AccountEntity,
    BalanceEntity,
    GroupEntity,
    RecipientEntity,
    async_add_group_entities,
    async_add_recipient_entities,
)
from .events.context import EVENT_CONTEXT
from .store.db import DeliveryState, DeliveryUpdate, MessageStore, StoreError
from .store.manager import DATA_STORE

PARALLEL_UPDATES = 0

type _Query = Callable[[str, Collection[str]], Future[list[DeliveryUpdate]]]

_MAX_STATE: Final = 255  # characters
_SPENT: Final = "spent"
# Home Assistant shows a state `unknown` as "no state". In actions and events, these states keep their names.
_STATE_KEYS: Final = {DeliveryState.UNKNOWN: "uncertain", DeliveryState.EXPIRED: "no_report"}


@dataclass(frozen=True, kw_only=True)
class StatisticDescription(SensorEntityDescription):
    """Describes a sensor of the account's statistics. is_daily: it starts again at midnight."""

    value: Callable[[Statistics], float | datetime | None]
    is_daily: bool = False


_TODAY: Final[dict[str, Callable[[Statistics], int]]] = {
    "sent": lambda statistics: statistics.today.sent,
    "parts": lambda statistics: statistics.today.parts,
    "delivered": lambda statistics: statistics.today.delivered,
    "failed": lambda statistics: statistics.today.failed,
}
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
    *(
        StatisticDescription(key=f"{name}_today", state_class=SensorStateClass.TOTAL, value=value, is_daily=True)
        for name, value in _TODAY.items()
    ),
    StatisticDescription(
        key="delivery_time",
        device_class=SensorDeviceClass.DURATION,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=UnitOfTime.SECONDS,
        suggested_display_precision=0,
        value=lambda statistics: statistics.delivery_time,
    ),
    # Disabled by default: each push would leave a row in the logbook. Diagnostics and system health show it too.
    StatisticDescription(
        key="last_push",
        device_class=SensorDeviceClass.TIMESTAMP,
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value=lambda statistics: statistics.last_push,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: Sms1680ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the sensors of an account, of its recipients and of its groups."""
    async_add_recipient_entities(
        hass,
        entry,
        async_add_entities,
        lambda subentry: [
            LastDeliveryState(hass, entry, subentry, "last_delivery_state"),
            LastDeliveryTime(hass, entry, subentry, "last_delivery"),
        ],
    )
    async_add_group_entities(
        hass, entry, async_add_entities, lambda subentry: OnDutySensor(hass, entry, subentry, "on_duty")
    )
    own: list[SensorEntity] = [StatisticSensor(entry, description) for description in STATISTICS]
    own.append(WaitingMessagesSensor(hass, entry))
    if (coordinator := entry.runtime_data.coordinator) is not None:
        own.append(BalanceSensor(entry, "balance", coordinator))
    async_add_entities(own)


@callback
def async_enable_spent_sensor(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Enable the sensor of the costs if a price was set after it had been created disabled."""
    registry = er.async_get(hass)
    entity_id = registry.async_get_entity_id(Platform.SENSOR, DOMAIN, f"{entry.entry_id}_{_SPENT}")
    if entity_id is None or not entry.options.get(CONF_PRICE):
        return
    if registry.entities[entity_id].disabled_by is er.RegistryEntryDisabler.INTEGRATION:
        registry.async_update_entity(entity_id, disabled_by=None)


class BalanceSensor(BalanceEntity, SensorEntity):
    """The balance in parts: unavailable while the query fails, unknown if the account has no permission to query it."""

    _attr_state_class = SensorStateClass.MEASUREMENT

    @property
    @override
    def native_value(self) -> int | None:
        return self.coordinator.data


class StatisticSensor(AccountEntity, SensorEntity):
    """A sensor of the account's statistics. It is always available."""

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

    @property
    @override
    def last_reset(self) -> datetime | None:
        return self.entry.runtime_data.statistics.today.start if self.entity_description.is_daily else None

    @override
    async def async_added_to_hass(self) -> None:
        self._written = self._current
        signal = signal_statistics(self.entry.entry_id)
        self.async_on_remove(async_dispatcher_connect(self.hass, signal, self._on_change))

    @property
    def _current(self) -> tuple[float | datetime | None, datetime | None]:
        return self.native_value, self.last_reset

    @callback
    def _on_change(self) -> None:
        if (current := self._current) != self._written:
            self._written = current
            self.async_write_ha_state()


class WaitingMessagesSensor(AccountEntity, SensorEntity):
    """How many messages wait to be sent: by this integration, or by the platform at their time.

    The attributes count them by what they wait for. The sensor is unknown until the messages are counted.
    """

    _attr_entity_category = EntityCategory.DIAGNOSTIC
    _attr_state_class = SensorStateClass.MEASUREMENT

    def __init__(self, hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
        super().__init__(entry, "waiting_messages")
        self._counter = WaitingCounter(hass, entry.runtime_data.deferred, self.async_write_ha_state)

    @property
    @override
    def native_value(self) -> int | None:
        counts = self._counter.counts
        return None if counts is None else sum(counts.values())

    @property
    @override
    def extra_state_attributes(self) -> dict[str, int]:
        return {reason.value: count for reason, count in (self._counter.counts or {}).items()}

    @override
    async def async_added_to_hass(self) -> None:
        self._counter.async_start()
        self.async_on_remove(self._counter.async_stop)


class _LastDelivery(RecipientEntity, SensorEntity):
    """Base of the sensors for the last message to a recipient. They are unknown until there is one."""

    _attr_entity_category = EntityCategory.DIAGNOSTIC
    _latest: DeliveryUpdate | None = None

    @override
    async def async_added_to_hass(self) -> None:
        signal = signal_delivery(self.entry.entry_id, self.subentry.subentry_id)
        self.async_on_remove(async_dispatcher_connect(self.hass, signal, self._on_delivery))
        await self._async_start()

    async def _async_start(self) -> None:
        """Find the message to show."""
        await self._async_load()

    async def _async_load(self) -> None:
        """Apply what the store has."""
        store = self.hass.data[DATA_STORE].for_entry(self.entry).store
        with contextlib.suppress(StoreError):
            for update in await asyncio.wrap_future(
                self._query(store)(self.entry.entry_id, [self.subentry.subentry_id])
            ):
                self._apply(update)

    @abstractmethod
    def _query(self, store: MessageStore) -> _Query:
        """Return the store's method that finds the message to show."""

    @abstractmethod
    def _apply(self, update: DeliveryUpdate) -> bool:
        """Apply an update unless it changes nothing; return whether it was applied."""

    @callback
    def _on_delivery(self, update: DeliveryUpdate) -> None:
        if self._apply(update):
            self.async_set_context(EVENT_CONTEXT.get() or Context())
            self.async_write_ha_state()


class LastDeliveryState(_LastDelivery):
    """The delivery state of the last message."""

    _attr_translation_key = "last_delivery_state"
    _attr_device_class = SensorDeviceClass.ENUM
    _attr_options = [_STATE_KEYS.get(state, state.value) for state in DeliveryState]  # noqa: RUF012 - the base class's own type

    @override
    async def _async_start(self) -> None:
        known, update = self.entry.runtime_data.latest.of(self.subentry.subentry_id)
        if not known:  # the recipient was added later, or the store could not be read
            await self._async_load()
        elif update is not None:
            self._apply(update)

    @override
    def _query(self, store: MessageStore) -> _Query:
        return store.latest

    @override
    def _apply(self, update: DeliveryUpdate) -> bool:
        latest = self._latest
        is_newer = latest is None or (update.row, update.order) > (latest.row, latest.order)
        if is_newer:
            self._latest = update
        return is_newer

    @property
    @override
    def native_value(self) -> str | None:
        return _STATE_KEYS.get(self._latest.state, self._latest.state.value) if self._latest else None


class LastDeliveryTime(_LastDelivery):
    """When a message was last delivered. Disabled by default: each delivery would leave a row in the logbook."""

    _attr_entity_registry_enabled_default = False
    _attr_translation_key = "last_delivery"
    _attr_device_class = SensorDeviceClass.TIMESTAMP

    @override
    def _query(self, store: MessageStore) -> _Query:
        return store.last_delivered

    @override
    def _apply(self, update: DeliveryUpdate) -> bool:
        latest = self._latest
        if update.state is not DeliveryState.DELIVERED:
            if latest is not None and update.row == latest.row:  # a later report says that it failed
                self.hass.async_create_task(self._async_correct())
            return False
        if latest is not None and update.at < latest.at:
            return False
        self._latest = update
        return True

    async def _async_correct(self) -> None:
        self._latest = None
        await self._async_load()
        self.async_write_ha_state()

    @property
    @override
    def native_value(self) -> datetime | None:
        return self._latest.at if self._latest else None


class OnDutySensor(GroupEntity, SensorEntity):
    """The names of those who are on duty now; unknown if nobody is, or if that cannot be found out."""

    @override
    async def async_added_to_hass(self) -> None:
        signal = signal_duty(self.entry.entry_id)
        self.async_on_remove(async_dispatcher_connect(self.hass, signal, self._on_duty))

    @callback
    def _on_duty(self, group_id: str) -> None:
        if group_id == self.group_id:
            self.async_write_ha_state()

    @property
    def _names(self) -> list[str]:
        rota = alarm_manager(self.hass, self.entry).rotas.get(self.group_id)
        names = member_names(self.entry, self.subentry)
        return [names[member] for member in rota.on_duty if member in names] if rota else []

    @property
    @override
    def native_value(self) -> str | None:
        return ", ".join(self._names)[:_MAX_STATE] or None

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any]:
        return {"members": self._names}
