"""Home Assistant's contexts of our events: which sends they led to, and which state changes belong to them.

A send that one of our own events led to is automatic. Two machines that answer each other would
send forever, so automatic sends have a lower limit (loop protection).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from homeassistant.core import Context, Event, HomeAssistant, callback
from homeassistant.util.hass_dict import HassKey

from ..client.bounded import RecentSet
from ..const import DOMAIN

_MAX_CONTEXTS: Final = 1000
_AUTOMATION_TRIGGERED: Final = "automation_triggered"
_OWN_CONTEXTS: HassKey[RecentSet[str]] = HassKey(f"{DOMAIN}_own_contexts")
# That entities use for the state changes caused by an event of ours, while it is dispatched.
EVENT_CONTEXT: ContextVar[Context | None] = ContextVar(f"{DOMAIN}_event_context", default=None)


@callback
def async_setup_context(hass: HomeAssistant) -> None:
    """Follow the automations that our events trigger, those that these trigger, and so on."""
    own = hass.data.setdefault(_OWN_CONTEXTS, RecentSet(_MAX_CONTEXTS))

    @callback
    def follow(event: Event[Any]) -> None:
        if event.context.parent_id in own:
            own.add(event.context.id)

    hass.bus.async_listen(_AUTOMATION_TRIGGERED, follow)


@callback
def async_fire(
    hass: HomeAssistant, event: str, data: dict[str, Any], parent: Context | None = None, *, ulid: str | None = None
) -> Context:
    """Fire one of our events and return its context. A send with this context is automatic.

    parent: the context of the call that the event is about. ulid: a new id that no other context has, None to make one.
    """
    context = Context(parent_id=parent.id if parent else None, id=ulid)
    own = hass.data.get(_OWN_CONTEXTS)
    if own is None:
        own = hass.data[_OWN_CONTEXTS] = RecentSet(_MAX_CONTEXTS)
    own.add(context.id)
    hass.bus.async_fire(event, data, context=context)
    return context


@callback
def is_automatic(hass: HomeAssistant, context: Context | None) -> bool:
    """Return whether one of our own events led to the call that has this context."""
    own = hass.data.get(_OWN_CONTEXTS)
    return own is not None and context is not None and (context.id in own or context.parent_id in own)


@contextmanager
def event_context(context: Context) -> Iterator[None]:
    """Set `EVENT_CONTEXT`."""
    token = EVENT_CONTEXT.set(context)
    try:
        yield
    finally:
        EVENT_CONTEXT.reset(token)
