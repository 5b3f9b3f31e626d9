"""What the system's own report says of this integration: whether the platform is reachable, and when it last pushed."""

from __future__ import annotations

from typing import Any

from homeassistant.components import system_health
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback

from .client import DEFAULT_GATEWAY
from .const import CONF_GATEWAY, CONF_HTTP, DOMAIN
from .coordinator import Sms1680ConfigEntry


@callback
def async_register(hass: HomeAssistant, register: system_health.SystemHealthRegistration) -> None:  # noqa: ARG001
    """Register what there is to tell."""
    register.async_register_info(_async_info)


async def _async_info(hass: HomeAssistant) -> dict[str, Any]:
    entries: list[Sms1680ConfigEntry] = hass.config_entries.async_entries(DOMAIN, include_disabled=False)
    loaded = [entry for entry in entries if entry.state is ConfigEntryState.LOADED]
    pushes = [pushed for entry in loaded if (pushed := entry.runtime_data.statistics.last_push)]
    info: dict[str, Any] = {"accounts": f"{len(loaded)}/{len(entries)}", "last_push": max(pushes, default=None)}
    gateways = {
        entry.data[CONF_HTTP].get(CONF_GATEWAY, DEFAULT_GATEWAY) for entry in entries if CONF_HTTP in entry.data
    }
    connections = [status for entry in loaded if (status := entry.runtime_data.health.connection) is not None]
    if connections:
        info["connections"] = f"{sum(status.connected for status in connections)}/{len(connections)}"
    if gateways:
        info["gateway_reachable"] = _async_reachable(hass, gateways)
    return info


async def _async_reachable(hass: HomeAssistant, gateways: set[str]) -> str | dict[str, str]:
    """Tell whether all gateways answer; if not, what is the matter with one that doesn't."""
    answer: str | dict[str, str] = "ok"
    for gateway in sorted(gateways):
        answer = await system_health.async_check_can_reach_url(hass, gateway)
        if answer != "ok":
            break
    return answer
