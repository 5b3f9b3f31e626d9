"""Tells of messages to notify entities that were not there: their account was reloaded, or Home Assistant started.

Home Assistant lets such a call succeed without a word, and nothing of it ever reaches this integration's entities.
"""

from __future__ import annotations

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
def async_watch_for_missed(hass: HomeAssistant) -> None:
    """Look at each call of `notify.send_message` whether one of our entities is meant that is not there."""

    @callback
    def is_ours(data: Mapping[str, Any]) -> bool:
        return bool(data[ATTR_DOMAIN] == NOTIFY_DOMAIN and data[ATTR_SERVICE] == SERVICE_SEND_MESSAGE)

    @callback
    def look(event: Event[Any]) -> None:
        missed: dict[str, list[er.RegistryEntry]] = {}
        for entity in _meant(hass, event.data[ATTR_SERVICE_DATA]):
            state = hass.states.get(entity.entity_id)
            # One of ours that is there is always available.
            if state is None or state.state == STATE_UNAVAILABLE:
                missed.setdefault(entity.config_entry_id or "", []).append(entity)
        for entry_id, entities in missed.items():
            if (entry := hass.config_entries.async_get_entry(entry_id)) is not None:
                _tell(hass, entry, entities)

    hass.bus.async_listen(EVENT_CALL_SERVICE, look, event_filter=is_ours)


def _meant(hass: HomeAssistant, data: Mapping[str, Any]) -> list[er.RegistryEntry]:
    """Return the notify entities of this integration that a call is for; none where it is wrong in itself."""
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


def _tell(hass: HomeAssistant, entry: ConfigEntry[Any], entities: list[er.RegistryEntry]) -> None:
    """Raise one repair an account, which names all who were missed since it was last closed."""
    _LOGGER.error(
        "A message to %s was not sent: the account was not running. Home Assistant does not tell that to whoever sent "
        "it. Send it again if it still matters",
        ", ".join(entity.entity_id for entity in entities),
    )
    shown = UNAVAILABLE_NOTIFY.async_get(hass, entry)
    told = (shown.translation_placeholders or {}).get("who", "").split(", ") if shown else []
    ids = [entity.config_subentry_id for entity in entities]
    names = [subentry.title for subentry in recipients(entry) if subentry.subentry_id in ids]
    UNAVAILABLE_NOTIFY.async_create(hass, entry, who=", ".join(dict.fromkeys([*told, *names])))
