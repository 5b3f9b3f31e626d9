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
from homeassistant.core import Context, Event, HomeAssistant, ServiceCall, callback
from homeassistant.helpers import config_validation as cv, entity_registry as er

from ..account.journal import SendContext
from ..client.options import Priority
from ..const import DOMAIN
from ..errors import DropReason
from ..issues import UNAVAILABLE_NOTIFY
from ..recipients import recipients
from .recipients import registered_recipient, select
from .target_fields import TARGET_FIELDS
from .unsent import Unsent, async_report_unsent

_LOGGER = logging.getLogger(__name__)

# The end of the unique id of a notify entity that sends critical messages.
CRITICAL_SUFFIX: Final = "_notify_critical"
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
                _report(hass, entry, entities, event.context)

    hass.bus.async_listen(EVENT_CALL_SERVICE, on_call, event_filter=is_send_message)


def _targeted(hass: HomeAssistant, data: Mapping[str, Any]) -> list[er.RegistryEntry]:
    """Return the notify entities of this integration that a call targets; none if the call is invalid.

    A disabled entity counts only if the call names it.
    """
    try:
        target = _TARGET(dict(data))
    except vol.Invalid:
        return []
    ours = {
        entity.entity_id: entity
        for entity in er.async_get(hass).entities.values()
        if entity.platform == DOMAIN and entity.domain == NOTIFY_DOMAIN
    }
    enabled = {entity_id: entity for entity_id, entity in ours.items() if not entity.disabled}
    if target.get(ATTR_ENTITY_ID) == ENTITY_MATCH_ALL:
        return list(enabled.values())
    selected = select(hass, ServiceCall(hass, NOTIFY_DOMAIN, SERVICE_SEND_MESSAGE, target))
    return [
        entity
        for entity_id, entity in ours.items()
        if entity_id in selected.referenced or (entity_id in selected.indirectly_referenced and entity_id in enabled)
    ]


def _report(hass: HomeAssistant, entry: ConfigEntry[Any], entities: list[er.RegistryEntry], caller: Context) -> None:
    """Report each message, and create one repair for an account, which names all recipients since it was last closed.

    A critical message has a repair of its own, too.
    """
    _LOGGER.error(
        "A message to %s was not sent, because the account or the entity was disabled or not loaded. Home Assistant "
        "does not report that to the sender. Send it again if it is still needed",
        ", ".join(entity.entity_id for entity in entities),
    )
    context = SendContext.of_call(hass, caller)
    for entity in entities:
        if (addressee := registered_recipient(hass, entity.entity_id)) is None:
            continue
        cause = DropReason.ACCOUNT_NOT_LOADED
        if entry.disabled_by is not None:
            cause = DropReason.ACCOUNT_DISABLED
        elif entity.disabled:
            cause = DropReason.RECIPIENT_DISABLED
        priority: Priority = "critical" if entity.unique_id.endswith(CRITICAL_SUFFIX) else "normal"
        async_report_unsent(hass, Unsent.from_addressee(addressee), cause, priority, context)
    ids = [entity.config_subentry_id for entity in entities if entity.disabled_by is not er.RegistryEntryDisabler.USER]
    if not ids:
        return  # a user who disabled them needs no repair
    shown = UNAVAILABLE_NOTIFY.async_get(hass, entry)
    already = (shown.translation_placeholders or {}).get("who", "").split(", ") if shown else []
    names = [subentry.title for subentry in recipients(entry) if subentry.subentry_id in ids]
    UNAVAILABLE_NOTIFY.async_create(hass, entry, who=", ".join(dict.fromkeys([*already, *names])))
