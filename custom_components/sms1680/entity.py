"""What the entities share: the devices of an account and of its recipients, and how recipients come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity import Entity
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import CONF_CMPP, CONF_HTTP, DOMAIN, signal_recipient_added
from .coordinator import Sms1680ConfigEntry
from .recipients import recipients

# The entities that there are only for an account with this way, by domain and key.
_OF_A_WAY: Final = {
    CONF_HTTP: ((Platform.SENSOR, "balance"), (Platform.BINARY_SENSOR, "low_balance")),
    CONF_CMPP: ((Platform.BINARY_SENSOR, "connected"),),
}
# 2026.8 and later want via_device_id; before that there is only via_device.
_HAS_VIA_DEVICE_ID = hasattr(dr, "async_get_device_id_by_identifier")


def account_device_info(entry: Sms1680ConfigEntry) -> DeviceInfo:
    """Return the device of an account."""
    return DeviceInfo(
        identifiers={(DOMAIN, entry.entry_id)},
        entry_type=DeviceEntryType.SERVICE,
        name=entry.title,
        manufacturer="1680",
    )


def recipient_device_info(hass: HomeAssistant, entry: Sms1680ConfigEntry, subentry: ConfigSubentry) -> DeviceInfo:
    """Return the device of a recipient, which hangs on its account's."""
    info = DeviceInfo(
        identifiers={(DOMAIN, f"{entry.entry_id}_{subentry.subentry_id}")},
        entry_type=DeviceEntryType.SERVICE,
        name=subentry.title,
    )
    account = (DOMAIN, entry.entry_id)
    if _HAS_VIA_DEVICE_ID:
        info["via_device_id"] = dr.async_get_device_id_by_identifier(hass, account, config_entry_id=entry.entry_id)
    else:
        info["via_device"] = account  # type: ignore[typeddict-unknown-key]
    return info


@callback
def async_add_recipient_entities(
    hass: HomeAssistant,
    entry: Sms1680ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
    make: Callable[[ConfigSubentry], Iterable[Entity]],
) -> None:
    """Add the entities of each recipient, of those who come later too, without reloading the entry."""

    @callback
    def add(subentry: ConfigSubentry) -> None:
        async_add_entities(make(subentry), config_subentry_id=subentry.subentry_id)

    for subentry in recipients(entry):
        add(subentry)
    entry.async_on_unload(async_dispatcher_connect(hass, signal_recipient_added(entry.entry_id), add))


@callback
def async_remove_stale_entities(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Let go of the entities of a way that the account has no more."""
    registry = er.async_get(hass)
    for way, keys in _OF_A_WAY.items():
        for domain, key in keys if way not in entry.data else ():
            if entity_id := registry.async_get_entity_id(domain, DOMAIN, f"{entry.entry_id}_{key}"):
                registry.async_remove(entity_id)


class AccountEntity(Entity):
    """An entity of an account's device."""

    _attr_has_entity_name = True
    _attr_should_poll = False

    def __init__(self, entry: Sms1680ConfigEntry, key: str) -> None:
        self.entry = entry
        self._attr_translation_key = key
        self._attr_unique_id = f"{entry.entry_id}_{key}"
        self._attr_device_info = account_device_info(entry)


class RecipientEntity(Entity):
    """An entity of a recipient's device."""

    _attr_has_entity_name = True
    _attr_should_poll = False

    def __init__(self, hass: HomeAssistant, entry: Sms1680ConfigEntry, subentry: ConfigSubentry, key: str) -> None:
        self.entry = entry
        self._subentry = subentry
        self._attr_unique_id = f"{entry.entry_id}_{subentry.subentry_id}_{key}"
        self._attr_device_info = recipient_device_info(hass, entry, subentry)

    @property
    def subentry(self) -> ConfigSubentry:
        """The recipient as it is now: name and number may be changed while the entity lives."""
        return self.entry.subentries.get(self._subentry.subentry_id, self._subentry)
