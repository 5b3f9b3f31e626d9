"""System health: whether the platform is reachable, and when it last pushed something."""

from typing import Any

from homeassistant.components import system_health
from homeassistant.core import HomeAssistant, callback

from .client import DEFAULT_GATEWAY
from .const import CONF_GATEWAY, CONF_HTTP, DOMAIN
from .coordinator import Sms1680ConfigEntry


@callback
def async_register(hass: HomeAssistant, register: system_health.SystemHealthRegistration) -> None:  # noqa: ARG001
    """Register the system health callback."""
    register.async_register_info(_async_info)


async def _async_info(hass: HomeAssistant) -> dict[str, Any]:
    entries = hass.config_entries.async_entries(DOMAIN, include_disabled=False)
    loaded: list[Sms1680ConfigEntry] = hass.config_entries.async_loaded_entries(DOMAIN)
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
    """Return whether all gateways respond, or else the problem of one that does not."""
    result: str | dict[str, str] = "ok"
    for gateway in sorted(gateways):
        result = await system_health.async_check_can_reach_url(hass, gateway)
        if result != "ok":
            break
    return result
