"""Binary sensors: low balance, ability to send and CMPP connection of an account, and open alarms of a group."""

from typing import Any, override

from homeassistant.components.binary_sensor import BinarySensorDeviceClass, BinarySensorEntity
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import signal_alarm, signal_health
from .coordinator import Sms1680ConfigEntry
from .duty.manager import alarm_manager
from .duty.report import iso_time
from .entity import AccountEntity, BalanceEntity, GroupEntity, async_add_group_entities
from .events.context import EVENT_CONTEXT

PARALLEL_UPDATES = 0


async def async_setup_entry(
    hass: HomeAssistant,
    entry: Sms1680ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the binary sensors that the transports of an account support, and those of its groups."""
    sensors: list[AccountEntity] = [CanSend(entry, "can_send")]
    if (coordinator := entry.runtime_data.coordinator) is not None:
        sensors.append(LowBalance(entry, "low_balance", coordinator))
    if entry.runtime_data.health.connection is not None:
        sensors.append(Connected(entry, "connected"))
    async_add_entities(sensors)
    async_add_group_entities(
        hass, entry, async_add_entities, lambda subentry: OpenAlarmsSensor(hass, entry, subentry, "open_alarms")
    )


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


class OpenAlarmsSensor(GroupEntity, BinarySensorEntity):
    """Whether an alarm of the group is open."""

    _attr_device_class = BinarySensorDeviceClass.PROBLEM
    _unrecorded_attributes = frozenset({"alarms"})

    @override
    async def async_added_to_hass(self) -> None:
        signal = signal_alarm(self.entry.entry_id)
        self.async_on_remove(async_dispatcher_connect(self.hass, signal, self._on_step))

    @callback
    def _on_step(self, data: dict[str, Any]) -> None:
        if data["subentry_id"] == self.group_id:
            if (context := EVENT_CONTEXT.get()) is not None:
                self.async_set_context(context)
            self.async_write_ha_state()

    @property
    @override
    def is_on(self) -> bool:
        return bool(alarm_manager(self.hass, self.entry).open_alarms(self.group_id))

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any]:
        alarms = [
            {
                "alarm": alarm.id,
                "number": alarm.number,
                "key": alarm.key,
                "state": alarm.state.value,
                "by": alarm.by,
                "message": alarm.text,
                "raised_at": iso_time(alarm.raised_at),
            }
            for alarm in alarm_manager(self.hass, self.entry).open_alarms(self.group_id)
        ]
        return {"count": len(alarms), "alarms": alarms}
