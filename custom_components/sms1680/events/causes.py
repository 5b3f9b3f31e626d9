"""What caused a message: the automation or script whose run sent it, otherwise the user who did.

A cause is stored as a text: `user:` and the id of a user, or an entity as Home Assistant's entity registry resolves it,
which is its registry id if it has one. So a renamed automation is found under its new name.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from homeassistant.core import Context, Event, HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.util.hass_dict import HassKey

from ..client.bounded import BoundedDict
from ..const import DOMAIN

_MAX_RUNS: Final = 1000
_STARTS: Final = ("automation_triggered", "script_started")
_USER: Final = "user:"
# By the id of the context of a run: the entity id of its automation or script.
_RUNS: HassKey[BoundedDict[str, str]] = HassKey(f"{DOMAIN}_runs")


@callback
def async_setup_causes(hass: HomeAssistant) -> None:
    """Follow the runs of automations and scripts."""
    runs = hass.data.setdefault(_RUNS, BoundedDict(_MAX_RUNS))

    @callback
    def note(event: Event[Any]) -> None:
        # A script runs in the context of the automation that called it.
        if (entity_id := event.data.get("entity_id")) and event.context.id not in runs:
            runs[event.context.id] = entity_id

    for start in _STARTS:
        hass.bus.async_listen(start, note)


@callback
def cause_of(hass: HomeAssistant, context: Context | None) -> str | None:
    """Return what caused a call with this context, None if that is unknown."""
    if context is None:
        return None
    runs = hass.data.setdefault(_RUNS, BoundedDict(_MAX_RUNS))
    if (entity_id := runs.get(context.id) or runs.get(context.parent_id or "")) is not None:
        entity = er.async_get(hass).async_get(entity_id)
        return entity.id if entity else entity_id
    return f"{_USER}{context.user_id}" if context.user_id else None


async def async_describe_causes(
    hass: HomeAssistant, causes: Iterable[str | None], *, may_read: Callable[[str], bool], users: bool
) -> dict[str, dict[str, str]]:
    """Return for each cause that is still known its kind (`automation`, `script` or `user`) and its name now.

    may_read: returns whether an entity may be shown. users: whether the names of users may be.
    """
    found: dict[str, dict[str, str]] = {}
    for cause in {cause for cause in causes if cause}:
        if cause.startswith(_USER):
            user = await hass.auth.async_get_user(cause.removeprefix(_USER)) if users else None
            if user is not None and user.name:
                found[cause] = {"kind": "user", "name": user.name}
            continue
        entity_id = er.async_resolve_entity_id(er.async_get(hass), cause)
        if entity_id is not None and may_read(entity_id) and (name := _name(hass, entity_id)):
            found[cause] = {"kind": entity_id.partition(".")[0], "name": name, "entity_id": entity_id}
    return found


def _name(hass: HomeAssistant, entity_id: str) -> str | None:
    if (state := hass.states.get(entity_id)) is not None:
        return state.name
    entity = er.async_get(hass).async_get(entity_id)
    return (entity.name or entity.original_name) if entity else None
