"""Base entities and devices of accounts, recipients and duty groups."""

from collections.abc import Callable, Iterable
from typing import Final

from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant, async_get_hass, callback
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity import Entity
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .client.masking import mask_number
from .const import CONF_CMPP, CONF_HTTP, CONF_NUMBER, DOMAIN, SUBENTRY_GROUP, signal_group_added, signal_recipient_added
from .coordinator import BalanceCoordinator, Sms1680ConfigEntry
from .recipients import groups, recipients

# Entities that exist only for accounts with this transport, by platform and key.
_BY_TRANSPORT: Final = {
    CONF_HTTP: ((Platform.SENSOR, "balance"), (Platform.BINARY_SENSOR, "low_balance")),
    CONF_CMPP: ((Platform.BINARY_SENSOR, "connected"),),
}
# The model of the device of a group, by which the actions offer groups only.
_GROUP_MODEL_ID: Final = "group"
# Home Assistant 2026.8 and later take the device of an entity instead of its info, so that the registry compares the
# info once and not for each entity. They also use via_device_id, older versions via_device.
_TAKES_DEVICES: Final = hasattr(dr, "async_get_device_id_by_identifier")


def _device_info(hass: HomeAssistant, entry: Sms1680ConfigEntry, subentry: ConfigSubentry | None) -> DeviceInfo:
    """Return the info of the device of an account, or of a recipient or group, which is connected via the account's."""
    account = (DOMAIN, entry.entry_id)
    if subentry is None:
        return DeviceInfo(
            identifiers={account}, entry_type=DeviceEntryType.SERVICE, name=entry.title, manufacturer="1680"
        )
    info = DeviceInfo(
        identifiers={(DOMAIN, f"{entry.entry_id}_{subentry.subentry_id}")},
        entry_type=DeviceEntryType.SERVICE,
        name=subentry.title,
        model=mask_number(subentry.data[CONF_NUMBER]) if CONF_NUMBER in subentry.data else None,
    )
    if subentry.subentry_type == SUBENTRY_GROUP:
        info["model_id"] = _GROUP_MODEL_ID
    if _TAKES_DEVICES:
        info["via_device_id"] = dr.async_get_device_id_by_identifier(hass, account, config_entry_id=entry.entry_id)
    else:
        info["via_device"] = account  # type: ignore[typeddict-unknown-key]
    return info


@callback
def async_register_device(
    hass: HomeAssistant, entry: Sms1680ConfigEntry, subentry: ConfigSubentry | None = None
) -> dr.DeviceEntry:
    """Return the device of an account, recipient or group. The first call of a setup registers or updates it."""
    registry, known = dr.async_get(hass), entry.runtime_data.devices
    subentry_id = subentry.subentry_id if subentry else None
    if subentry_id in known and isinstance(device := registry.async_get(known[subentry_id]), dr.DeviceEntry):
        return device
    device = registry.async_get_or_create(
        config_entry_id=entry.entry_id, config_subentry_id=subentry_id, **_device_info(hass, entry, subentry)
    )
    known[subentry_id] = device.id
    return device


@callback
def async_add_recipient_entities(
    hass: HomeAssistant,
    entry: Sms1680ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
    make: Callable[[ConfigSubentry], Iterable[Entity]],
) -> None:
    """Add the entities of each recipient, including recipients that are added later without a reload."""

    @callback
    def add(subentry: ConfigSubentry) -> None:
        async_add_entities(make(subentry), config_subentry_id=subentry.subentry_id)

    for subentry in recipients(entry):
        add(subentry)
    entry.async_on_unload(async_dispatcher_connect(hass, signal_recipient_added(entry.entry_id), add))


@callback
def async_add_group_entities(
    hass: HomeAssistant,
    entry: Sms1680ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
    make: Callable[[ConfigSubentry], Entity],
) -> None:
    """Add the entity of each group, including groups that are added later without a reload."""

    @callback
    def add(subentry: ConfigSubentry) -> None:
        async_add_entities([make(subentry)], config_subentry_id=subentry.subentry_id)

    for subentry in groups(entry):
        add(subentry)
    entry.async_on_unload(async_dispatcher_connect(hass, signal_group_added(entry.entry_id), add))


@callback
def async_remove_stale_entities(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Remove the entities of transports that the account no longer has."""
    registry = er.async_get(hass)
    for transport, keys in _BY_TRANSPORT.items():
        for domain, key in keys if transport not in entry.data else ():
            if entity_id := registry.async_get_entity_id(domain, DOMAIN, f"{entry.entry_id}_{key}"):
                registry.async_remove(entity_id)


def _set_device(
    entity: Entity, hass: HomeAssistant, entry: Sms1680ConfigEntry, subentry: ConfigSubentry | None = None
) -> None:
    if _TAKES_DEVICES:
        entity.device_entry = async_register_device(hass, entry, subentry)
    else:
        entity._attr_device_info = _device_info(hass, entry, subentry)  # noqa: SLF001 - of our own entities


class AccountEntity(Entity):
    """Base of the entities of an account."""

    _attr_has_entity_name = True
    _attr_should_poll = False

    def __init__(self, entry: Sms1680ConfigEntry, key: str) -> None:
        self.entry = entry
        self._attr_translation_key = key
        self._attr_unique_id = f"{entry.entry_id}_{key}"
        _set_device(self, async_get_hass(), entry)


class BalanceEntity(AccountEntity, CoordinatorEntity[BalanceCoordinator]):
    """Base of the entities that need the balance of an account."""

    def __init__(self, entry: Sms1680ConfigEntry, key: str, coordinator: BalanceCoordinator) -> None:
        AccountEntity.__init__(self, entry, key)
        CoordinatorEntity.__init__(self, coordinator)


class RecipientEntity(Entity):
    """Base of the entities of a recipient."""

    _attr_has_entity_name = True
    _attr_should_poll = False

    def __init__(self, hass: HomeAssistant, entry: Sms1680ConfigEntry, subentry: ConfigSubentry, key: str) -> None:
        self.entry = entry
        self._subentry = subentry
        self._attr_unique_id = f"{entry.entry_id}_{subentry.subentry_id}_{key}"
        _set_device(self, hass, entry, subentry)

    @property
    def subentry(self) -> ConfigSubentry:
        """The current subentry: name and number can change while the entity exists."""
        return self.entry.subentries.get(self._subentry.subentry_id, self._subentry)


class GroupEntity(RecipientEntity):
    """Base of the entities of a group. They are available whether the account can send or not."""

    def __init__(self, hass: HomeAssistant, entry: Sms1680ConfigEntry, subentry: ConfigSubentry, key: str) -> None:
        super().__init__(hass, entry, subentry, key)
        self._attr_translation_key = key

    @property
    def group_id(self) -> str:
        """The subentry of the group."""
        return self._subentry.subentry_id
