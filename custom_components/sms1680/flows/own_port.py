"""The port of its own that receives the pushes of an account, also those that Home Assistant rejects."""

import socket
from contextlib import closing
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant

from ..const import CONF_LISTENER_PORT, DOMAIN
from ..inbound.endpoints import async_update_listener
from .onboarding_letter import make_letter

_PORTS: Final = range(11680, 11780)


async def async_open_own_port(hass: HomeAssistant, entry: ConfigEntry[Any]) -> dict[str, str]:
    """Give an account a port of its own unless it has one; return the placeholders of the page that shows it."""
    if not entry.options.get(CONF_LISTENER_PORT):
        taken = {other.options.get(CONF_LISTENER_PORT) for other in hass.config_entries.async_entries(DOMAIN)}
        ports = [port for port in _PORTS if port not in taken]
        port = await hass.async_add_executor_job(_first_free, ports)
        # An entry that is loaded opens the port when its options change, any other one here.
        hass.config_entries.async_update_entry(entry, options={**entry.options, CONF_LISTENER_PORT: port})
        if not entry.update_listeners:
            await async_update_listener(hass, entry)
    _, placeholders = make_letter(hass, entry.data, entry.options)
    return {**placeholders, "port": str(entry.options[CONF_LISTENER_PORT])}


def _first_free(ports: list[int]) -> int:
    """Return the first port that no program uses; the first of all if there is none, which creates its repair issue."""
    for port in ports:
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    return ports[0]
