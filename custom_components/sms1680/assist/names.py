"""Find recipients by the names that people use."""

import re
from collections.abc import Iterator
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigEntryState, ConfigSubentry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er

from ..const import CONF_PERSON, DOMAIN
from ..conversation.engine import plain
from ..recipients import Addressee, recipients

_LEAST_DIGITS: Final = 5
_NUMBER_SIGNS: Final = re.compile(r"[\s().+-]+")


def notify_entity(hass: HomeAssistant, addressee: Addressee) -> str | None:
    """Return the id of a recipient's notify entity, None if it does not exist."""
    unique_id = f"{addressee.entry.entry_id}_{addressee.subentry_id}_notify"
    return er.async_get(hass).async_get_entity_id(Platform.NOTIFY, DOMAIN, unique_id)


def find_by_name(hass: HomeAssistant, name: str) -> list[Addressee]:
    """Return the recipients with a name or alias, each number once; an account that is loaded comes first."""
    wanted = plain(name)
    entries = sorted(_entries(hass), key=lambda entry: entry.state is not ConfigEntryState.LOADED)
    found: dict[str, Addressee] = {}
    for entry in entries:
        for subentry in recipients(entry):
            if wanted and wanted in map(plain, names_of(hass, entry, subentry)):
                addressee = Addressee.from_subentry(entry, subentry)
                found.setdefault(addressee.number, addressee)
    return list(found.values())


def recipient_names(hass: HomeAssistant) -> list[str]:
    """Return the names of all recipients, each once."""
    return list(dict.fromkeys(one.title for entry in _entries(hass) for one in recipients(entry)))


def is_number(name: str) -> bool:
    """Return whether somebody gave a number instead of a name."""
    digits = _NUMBER_SIGNS.sub("", plain(name))
    return digits.isdigit() and len(digits) >= _LEAST_DIGITS


def names_of(hass: HomeAssistant, entry: ConfigEntry[Any], subentry: ConfigSubentry) -> Iterator[str]:
    """Yield the names of a recipient: its own, those of its device, its notify entity and its person, and aliases."""
    yield subentry.title
    identifier = (DOMAIN, f"{entry.entry_id}_{subentry.subentry_id}")
    for device in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id):
        if identifier in device.identifiers and device.name_by_user:
            yield device.name_by_user
    entity_id = notify_entity(hass, Addressee.from_subentry(entry, subentry))
    entity = er.async_get(hass).async_get(entity_id) if entity_id else None
    if entity is not None:
        if entity.name:
            yield entity.name
        yield from (alias for alias in entity.aliases if isinstance(alias, str))
    person = hass.states.get(subentry.data.get(CONF_PERSON, ""))
    if person is not None:
        yield person.name


def _entries(hass: HomeAssistant) -> list[ConfigEntry[Any]]:
    return [entry for entry in hass.config_entries.async_entries(DOMAIN) if entry.disabled_by is None]
