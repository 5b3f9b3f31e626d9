"""Remove the event entities from the states that Home Assistant stores to restore them (`core.restore_state`).

Earlier versions let Home Assistant store these states, with number and text, whatever the account's options were.
"""

from typing import Final

from homeassistant.components.event.const import ATTR_EVENT_TYPES
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import restore_state

# The event types that the event entities of every version have.
_TYPES: Final = {"received", "delivered", "failed"}


@callback
def forget_restored_states(hass: HomeAssistant) -> bool:
    """Remove the states of event entities, also of removed ones, and return whether there were any."""
    stored = restore_state.async_get(hass).last_states
    own = [
        entity_id
        for entity_id, one in stored.items()
        if entity_id.startswith("event.") and set(one.state.attributes.get(ATTR_EVENT_TYPES) or ()) >= _TYPES
    ]
    for entity_id in own:
        del stored[entity_id]
    return bool(own)


async def async_purge_restored_states(hass: HomeAssistant) -> None:
    """Remove the states of event entities from the file, too."""
    if forget_restored_states(hass):
        await restore_state.async_get(hass).async_dump_states()
