"""Detects notify.send_message calls that reached no entity because the account was not loaded.

Home Assistant lets such a call succeed, and the entities of this integration do not learn of it.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

import voluptuous as vol
from homeassistant.components.notify import DOMAIN as NOTIFY_DOMAIN, SERVICE_SEND_MESSAGE
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import (
    ATTR_DOMAIN,
    ATTR_ENTITY_ID,
    ATTR_SERVICE,
    ATTR_SERVICE_DATA,
    ENTITY_MATCH_ALL,
    EVENT_CALL_SERVICE,
    STATE_UNAVAILABLE,
)
from homeassistant.core import Event, HomeAssistant, ServiceCall, callback
from homeassistant.helpers import config_validation as cv, entity_registry as er

from ..const import DOMAIN
from ..issues import UNAVAILABLE_NOTIFY
from ..recipients import recipients
from .recipients import TARGET_FIELDS, select

_LOGGER = logging.getLogger(__name__)

_TARGET: Final = vol.Schema({**TARGET_FIELDS, vol.Optional(ATTR_ENTITY_ID): cv.comp_entity_ids}, extra=vol.REMOVE_EXTRA)


@callback
def async_watch_unavailable(hass: HomeAssistant) -> None:
    """Check each call of `notify.send_message` for entities of ours that are not available."""

    @callback
    def is_send_message(data: Mapping[str, Any]) -> bool:
        return bool(data[ATTR_DOMAIN] == NOTIFY_DOMAIN and data[ATTR_SERVICE] == SERVICE_SEND_MESSAGE)

    @callback
    def on_call(event: Event[Any]) -> None:
        missed: dict[str, list[er.RegistryEntry]] = {}
        for entity in _targeted(hass, event.data[ATTR_SERVICE_DATA]):
            state = hass.states.get(entity.entity_id)
            # An entity of a loaded account is always available.
            if state is None or state.state == STATE_UNAVAILABLE:
                missed.setdefault(entity.config_entry_id or "", []).append(entity)
        for entry_id, entities in missed.items():
            if (entry := hass.config_entries.async_get_entry(entry_id)) is not None:
                _report(hass, entry, entities)

    hass.bus.async_listen(EVENT_CALL_SERVICE, on_call, event_filter=is_send_message)


def _targeted(hass: HomeAssistant, data: Mapping[str, Any]) -> list[er.RegistryEntry]:
    """Return the notify entities of this integration that a call targets; none if the call is invalid."""
    try:
        target = _TARGET(dict(data))
    except vol.Invalid:
        return []
    ours = {
        entity.entity_id: entity
        for entity in er.async_get(hass).entities.values()
        if entity.platform == DOMAIN and entity.domain == NOTIFY_DOMAIN and not entity.disabled
    }
    if target.get(ATTR_ENTITY_ID) == ENTITY_MATCH_ALL:
        return list(ours.values())
    selected = select(hass, ServiceCall(hass, NOTIFY_DOMAIN, SERVICE_SEND_MESSAGE, target))
    return [ours[entity_id] for entity_id in ours if entity_id in selected.referenced | selected.indirectly_referenced]


def _report(hass: HomeAssistant, entry: ConfigEntry[Any], entities: list[er.RegistryEntry]) -> None:
    """Create one repair for an account, which names all recipients since it was last closed."""
    _LOGGER.error(
        "A message to %s was not sent, because the account was not loaded. Home Assistant does not report that to the "
        "sender. Send it again if it is still needed",
        ", ".join(entity.entity_id for entity in entities),
    )
    shown = UNAVAILABLE_NOTIFY.async_get(hass, entry)
    already = (shown.translation_placeholders or {}).get("who", "").split(", ") if shown else []
    ids = [entity.config_subentry_id for entity in entities]
    names = [subentry.title for subentry in recipients(entry) if subentry.subentry_id in ids]
    UNAVAILABLE_NOTIFY.async_create(hass, entry, who=", ".join(dict.fromkeys([*already, *names])))
