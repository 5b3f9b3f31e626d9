"""The addresses that the platform pushes to. They are there from Home Assistant's start until an entry is removed."""

from __future__ import annotations

from homeassistant.core import HomeAssistant, callback

from .coordinator import Sms1680ConfigEntry


async def async_setup_push(hass: HomeAssistant) -> None:
    """Register the addresses of every entry, whether it is set up or not. Called once, from `async_setup`."""


@callback
def async_register_push(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Register an entry's addresses, again where its secrets have changed. Called before the entry's entities exist."""


@callback
def async_unregister_push(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Give up the addresses of an entry that was removed."""


async def async_start_receiving(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Hand on what came in before the entry was up, and open its listener. Called once its entities exist."""
