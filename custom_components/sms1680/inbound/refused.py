"""Tells of pushes that Home Assistant's own server refused before any of us saw them: they are lost."""

from __future__ import annotations

from homeassistant.core import HomeAssistant, callback

from ..issues import REFUSED_PUSH
from .receiver import Receiver


@callback
def async_tell_refused(hass: HomeAssistant, receiver: Receiver) -> None:
    """Count a push that was refused, and raise the repair that says how to have the next one."""
    receiver.warn("refused_by_home_assistant", "Home Assistant's own filter refused a push, which is lost; see repairs")
    REFUSED_PUSH.async_create(hass, receiver.entry)
