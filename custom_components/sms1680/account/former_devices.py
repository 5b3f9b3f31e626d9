"""Gives an account, recipient or group that is added again the device and the entities of the removed one.

Home Assistant keeps what is removed for 30 days, and restores it by its identifier and unique id. These contain the ids
of the entry and the subentry, which are random. So this module remembers to which account, name and number they
belonged. What is not added again is named in a repair issue if automations or scripts still use it.
"""

import hashlib
import hmac
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, TypedDict

from homeassistant.components import automation, script
from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import CALLBACK_TYPE, CoreState, Event, HassJob, HomeAssistant, callback, split_entity_id
from homeassistant.helpers import device_registry as dr, entity_registry as er, instance_id
from homeassistant.helpers.event import (
    async_call_later,
    async_track_state_added_domain,
    async_track_state_removed_domain,
)
from homeassistant.helpers.start import async_at_started
from homeassistant.helpers.storage import Store
from homeassistant.util.hass_dict import HassKey

from ..const import CONF_NUMBER, DOMAIN
from ..issues import MISSING_TARGETS

_VERSION: Final = 1
_KEPT: Final = 30 * 24 * 3600  # seconds, as Home Assistant does
# The entities that are disabled by default. Older versions of Home Assistant do not remember that of a removed one.
_DISABLED_AT_FIRST: Final = {"notify_critical", "last_push", "last_delivery", "spent"}
_USERS: Final = ("automation", "script")
_BURST: Final = 1  # second: a reload removes and adds every automation
_ID_LENGTH: Final = 26  # of entries and subentries; those of devices are longer


class _Former(TypedDict):
    """What is remembered of a device.

    same: equal for the same account, name and number, empty if it was given back. removed: when, in seconds since 1970.
    """

    same: str
    name: str
    device_id: str
    removed: float | None


class FormerDevices:
    """The devices of all accounts, and those that were removed within the last 30 days."""

    def __init__(self, hass: HomeAssistant, key: str, records: dict[str, _Former]) -> None:
        self._hass = hass
        self._key = key.encode()
        self._records = records
        self._burst: CALLBACK_TYPE | None = None
        self._changed_again = False
        self._end_burst_job = HassJob(self._end_burst, "sms1680 former devices", cancel_on_shutdown=True)

    @callback
    def async_restore(self, entry: ConfigEntry[Any]) -> None:
        """Give removed devices back to what was added again. Called before the entities of new devices are added."""
        present = _device_ids(self._hass, entry)
        live = _bases(self._hass.config_entries.async_entries(DOMAIN))
        for base, subentry in _bases([entry]).items():
            if base in present:
                continue
            same = self._fingerprint(entry, subentry)
            found = [old for old, former in self._records.items() if old not in live and former["same"] == same]
            if not found:
                continue
            old = max(found, key=lambda one: self._records[one]["removed"] or 0)
            self._give_back(old, entry, subentry.subentry_id if subentry else None, base)
            # What names the id of the old entry or subentry is still broken.
            self._records[old] |= {"same": "", "device_id": ""}

    async def async_remember(self) -> None:
        """Remember the devices that exist now, and when the others were removed; update the repair issue."""
        before = {base: former.copy() for base, former in self._records.items()}
        live: set[str] = set()
        for entry in self._hass.config_entries.async_entries(DOMAIN):
            device_ids = _device_ids(self._hass, entry)
            for base, subentry in _bases([entry]).items():
                live.add(base)
                name = (subentry or entry).title
                known = self._records.get(base)
                device_id = device_ids.get(base) or (known["device_id"] if known else "")
                same = self._fingerprint(entry, subentry)
                self._records[base] = _Former(same=same, name=name, device_id=device_id, removed=None)
        now = time.time()
        for base in self._records.keys() - live:
            removed = self._records[base]["removed"] or now
            self._records[base]["removed"] = removed
            if now - removed > _KEPT:
                del self._records[base]
        self.async_check()
        if self._records != before:
            await _store(self._hass).async_save(self._records)

    @callback
    def async_on_change(self) -> None:
        """Check now because an automation or script changed, and once more at the end of a burst of changes."""
        if not any(former["removed"] for former in self._records.values()):
            return
        self._changed_again = self._burst is not None
        if self._burst is None:
            self._burst = async_call_later(self._hass, _BURST, self._end_burst_job)
            self.async_check()

    @callback
    def _end_burst(self, _: datetime) -> None:
        self._burst = None
        if self._changed_again:
            self.async_on_change()

    @callback
    def async_check(self) -> None:
        """Create the repair issue if automations or scripts use what was removed, otherwise delete it."""
        users: dict[str, str] = {}
        names: list[str] = []
        for base, former in self._records.items():
            if former["removed"] and (found := self._users_of(base, former["device_id"])):
                users |= found
                names.append(former["name"])
        if not users:
            MISSING_TARGETS.async_delete(self._hass, None)
            return
        listed = "\n".join(f"- {name} ({entity_id})" for entity_id, name in sorted(users.items()))
        MISSING_TARGETS.async_create(self._hass, None, names=", ".join(dict.fromkeys(names)), users=listed)

    def _fingerprint(self, entry: ConfigEntry[Any], subentry: ConfigSubentry | None) -> str:
        """Return what is equal for the same account, name and number, and reveals none of them."""
        parts = [entry.unique_id or entry.entry_id]
        if subentry is not None:
            parts += [subentry.subentry_type, subentry.title, subentry.data.get(CONF_NUMBER, "")]
        return hmac.new(self._key, "\n".join(parts).encode(), hashlib.sha256).hexdigest()[:32]

    def _give_back(self, old: str, entry: ConfigEntry[Any], subentry_id: str | None, new: str) -> None:
        """Restore the device and the entities with their old ids, then give them those of what was added."""
        devices, entities = dr.async_get(self._hass), er.async_get(self._hass)
        device = devices.async_get_or_create(
            config_entry_id=entry.entry_id, config_subentry_id=subentry_id, identifiers={(DOMAIN, old)}
        )
        devices.async_update_device(device.id, new_identifiers={(DOMAIN, new)})
        for deleted in [one for one in entities.deleted_entities.values() if self._is_of(one, old)]:
            domain, object_id = split_entity_id(deleted.entity_id)
            key = deleted.unique_id.removeprefix(f"{old}_")
            # Newer versions restore the entity id by themselves.
            named: Any = {} if hasattr(deleted, "disabled_by") else {"suggested_object_id": object_id}
            entity = entities.async_get_or_create(
                domain,
                DOMAIN,
                deleted.unique_id,
                config_entry=entry,
                config_subentry_id=subentry_id,
                device_id=device.id,
                disabled_by=er.RegistryEntryDisabler.INTEGRATION if key in _DISABLED_AT_FIRST else None,
                **named,
            )
            entities.async_update_entity(entity.entity_id, new_unique_id=f"{new}_{key}")

    def _is_of(self, entity: er.RegistryEntry | er.DeletedRegistryEntry, base: str) -> bool:
        """Return whether an entity belongs to a device. The unique ids of recipients start with that of the account."""
        key = entity.unique_id.removeprefix(f"{base}_")
        if entity.platform != DOMAIN or key == entity.unique_id or not key.islower():
            return False
        return not any(other.startswith(f"{base}_") and entity.unique_id.startswith(other) for other in self._records)

    def _users_of(self, base: str, device_id: str) -> dict[str, str]:
        """Return the names of the automations and scripts that use what was removed, by their entity ids.

        The triggers and actions of this integration also name devices, entries and subentries in their data.
        """
        registry = er.async_get(self._hass)
        gone = {one.entity_id for one in registry.deleted_entities.values() if self._is_of(one, base)}
        gone -= registry.entities.keys()  # another entity has the id now
        gone |= {one.entity_id for one in registry.entities.values() if self._is_of(one, base)}  # about to be removed
        found: set[str] = set()
        for entity_id in gone:
            found |= {*automation.automations_with_entity(self._hass, entity_id)}
            found |= {*script.scripts_with_entity(self._hass, entity_id)}
        wanted = [one for one in (device_id, base.rsplit("_", 1)[-1]) if len(one) >= _ID_LENGTH]
        for domain in _USERS:
            component = self._hass.data.get(domain)
            for entity in component.entities if component else ():
                if _mentions(entity.raw_config, wanted):
                    found.add(entity.entity_id)
        return {entity_id: _name(self._hass, entity_id) for entity_id in found}


DATA_FORMER: HassKey[FormerDevices] = HassKey(f"{DOMAIN}_former_devices")


async def async_setup_former_devices(hass: HomeAssistant) -> None:
    """Load what is remembered, and check the automations and scripts whenever one of them changes."""
    records = await _store(hass).async_load() or {}
    former = hass.data[DATA_FORMER] = FormerDevices(hass, await instance_id.async_get(hass), records)

    @callback
    def on_change(_: Event[Any]) -> None:
        if hass.state is CoreState.running:
            former.async_on_change()

    async_track_state_added_domain(hass, _USERS, on_change)
    async_track_state_removed_domain(hass, _USERS, on_change)

    @callback
    def on_start(_: HomeAssistant) -> None:
        former.async_check()

    async_at_started(hass, on_start)


def _store(hass: HomeAssistant) -> Store[dict[str, _Former]]:
    return Store(hass, _VERSION, f"{DOMAIN}.devices")


def _bases(entries: Iterable[ConfigEntry[Any]]) -> dict[str, ConfigSubentry | None]:
    """Return the accounts with their recipients and groups by what the identifiers and unique ids start with."""
    found: dict[str, ConfigSubentry | None] = {}
    for entry in entries:
        found[entry.entry_id] = None
        found |= {f"{entry.entry_id}_{subentry.subentry_id}": subentry for subentry in entry.subentries.values()}
    return found


def _device_ids(hass: HomeAssistant, entry: ConfigEntry[Any]) -> dict[str, str]:
    """Return the ids of an account's devices by their identifiers."""
    return {
        identifier[1]: device.id
        for device in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
        for identifier in device.identifiers
        if identifier[0] == DOMAIN
    }


def _name(hass: HomeAssistant, entity_id: str) -> str:
    state = hass.states.get(entity_id)
    return state.name if state else entity_id


def _mentions(config: object, wanted: list[str]) -> bool:
    """Return whether one of the ids occurs in a configuration."""
    if isinstance(config, dict):
        return any(_mentions(value, wanted) for value in config.values())
    if isinstance(config, list):
        return any(_mentions(value, wanted) for value in config)
    return isinstance(config, str) and any(one in config for one in wanted)
