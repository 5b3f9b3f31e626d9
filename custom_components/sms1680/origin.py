"""What a message stems from: a person or a rule of the house, or one of our own events, which makes it automatic.

An automation that answers a reply may be answered by another machine: what is automatic is told apart.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN

_REMEMBERED: Final = 1000
_OURS: HassKey[OrderedDict[str, None]] = HassKey(f"{DOMAIN}_own_contexts")
_AUTOMATIC: ContextVar[bool] = ContextVar(f"{DOMAIN}_automatic", default=False)


@callback
def async_fire(hass: HomeAssistant, event: str, data: dict[str, Any]) -> None:
    """Fire one of our events, and remember it: what is sent because of it is automatic."""
    context = Context()
    ours = hass.data.setdefault(_OURS, OrderedDict())
    ours[context.id] = None
    if len(ours) > _REMEMBERED:
        ours.popitem(last=False)
    hass.bus.async_fire(event, data, context=context)


def is_automatic() -> bool:
    """Tell whether what is sent now stems from one of our own events."""
    return _AUTOMATIC.get()


@contextmanager
def sending_for(hass: HomeAssistant, context: Context | None) -> Iterator[None]:
    """Tell by the context of an action's call what is sent inside."""
    ours = hass.data.get(_OURS, OrderedDict[str, None]())
    automatic = context is not None and (context.id in ours or context.parent_id in ours)
    token = _AUTOMATIC.set(automatic)
    try:
        yield
    finally:
        _AUTOMATIC.reset(token)
