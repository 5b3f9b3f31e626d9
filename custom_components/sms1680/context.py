"""What a message stems from: a person or a rule of the house, or one of our own events, which makes it automatic.

An automation that answers a reply may be answered by another machine: what is automatic is told apart.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from homeassistant.core import Context, Event, HomeAssistant, callback
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN

_REMEMBERED: Final = 1000
_AUTOMATION_TRIGGERED: Final = "automation_triggered"
_OURS: HassKey[OrderedDict[str, None]] = HassKey(f"{DOMAIN}_own_contexts")
_AUTOMATIC: ContextVar[bool] = ContextVar(f"{DOMAIN}_automatic", default=False)
_TOLD_OF: ContextVar[Context | None] = ContextVar(f"{DOMAIN}_told_of", default=None)


@callback
def async_setup_origin(hass: HomeAssistant) -> None:
    """Follow what our events lead to: an automation that they start, one that this one starts, and so on."""
    ours = hass.data.setdefault(_OURS, OrderedDict())

    @callback
    def follow(event: Event[Any]) -> None:
        if event.context.parent_id in ours:
            _remember(ours, event.context)

    hass.bus.async_listen(_AUTOMATION_TRIGGERED, follow)


@callback
def async_fire(hass: HomeAssistant, event: str, data: dict[str, Any]) -> Context:
    """Fire one of our events, and remember it: what is sent because of it is automatic. Returns its context."""
    context = Context()
    _remember(hass.data.setdefault(_OURS, OrderedDict()), context)
    hass.bus.async_fire(event, data, context=context)
    return context


def _remember(ours: OrderedDict[str, None], context: Context) -> None:
    ours[context.id] = None
    if len(ours) > _REMEMBERED:
        ours.popitem(last=False)


@contextmanager
def telling(context: Context) -> Iterator[None]:
    """Let the entities that are told of an event inside show that it is what they changed by."""
    token = _TOLD_OF.set(context)
    try:
        yield
    finally:
        _TOLD_OF.reset(token)


def told_of() -> Context | None:
    """Return the context of the event that is told of now."""
    return _TOLD_OF.get()


def is_automatic() -> bool:
    """Tell whether what is sent now stems from one of our own events."""
    return _AUTOMATIC.get()


@contextmanager
def sending_automatically() -> Iterator[None]:
    """Tell that what is sent inside stems from one of our own events."""
    token = _AUTOMATIC.set(True)
    try:
        yield
    finally:
        _AUTOMATIC.reset(token)


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
