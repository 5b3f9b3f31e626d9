"""Binary sensors of an account: low balance, ability to send, and CMPP connection."""

from typing import Any, override

from homeassistant.components.binary_sensor import BinarySensorDeviceClass, BinarySensorEntity
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import signal_health
from .coordinator import Sms1680ConfigEntry
from .entity import AccountEntity, BalanceEntity

PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant,  # noqa: ARG001 - Home Assistant's signature
    entry: Sms1680ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the binary sensors that the transports of an account support."""
    sensors: list[AccountEntity] = [CanSend(entry, "can_send")]
    if (coordinator := entry.runtime_data.coordinator) is not None:
        sensors.append(LowBalance(entry, "low_balance", coordinator))
    if entry.runtime_data.health.connection is not None:
        sensors.append(Connected(entry, "connected"))
    async_add_entities(sensors)


class LowBalance(BalanceEntity, BinarySensorEntity):
    """Whether the balance is below the threshold. It is unavailable or unknown when the balance is."""

    _attr_device_class = BinarySensorDeviceClass.PROBLEM

    @property
    @override
    def is_on(self) -> bool | None:
        return self.entry.runtime_data.health.low_balance


class _HealthSensor(AccountEntity, BinarySensorEntity):
    """Base of the sensors of the account's health."""

    @override
    async def async_added_to_hass(self) -> None:
        signal = signal_health(self.entry.entry_id)
        self.async_on_remove(async_dispatcher_connect(self.hass, signal, self.async_write_ha_state))


class CanSend(_HealthSensor):
    """Whether no known problem prevents sending. It is always available; `reason` is the problem."""

    @property
    @override
    def is_on(self) -> bool:
        return self.entry.runtime_data.health.can_send

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any]:
        health = self.entry.runtime_data.health
        if health.can_send:
            return {"reason": None}
        return {"reason": health.problem.value if health.problem else "balance"}


class Connected(_HealthSensor):
    """Whether the CMPP connection is up. It is always available; `reason` is null until the first attempt ended."""

    _attr_device_class = BinarySensorDeviceClass.CONNECTIVITY
    _attr_entity_category = EntityCategory.DIAGNOSTIC

    @property
    @override
    def is_on(self) -> bool:
        connection = self.entry.runtime_data.health.connection
        return connection is not None and connection.connected

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any]:
        connection = self.entry.runtime_data.health.connection
        return {"reason": connection.reason.value if connection and connection.reason else None}
