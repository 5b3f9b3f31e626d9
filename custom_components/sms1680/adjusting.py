"""Takes changed settings into an account that is set up; only those that its clients are made with want a reload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_send

from .const import (
    CONF_BALANCE_INTERVAL,
    CONF_CMPP,
    CONF_COMMAND_WORDS,
    CONF_HTTP,
    CONF_KEEP_TEXTS,
    CONF_LISTENER_PORT,
    CONF_LOW_BALANCE,
    CONF_MOST_KEPT,
    CONF_NETWORKS,
    CONF_PRICE,
    CONF_PUSH_ANSWER,
    CONF_REPEAT_WINDOW,
    CONF_SAFE_TEXT,
    CONF_SOURCE_NUMBER,
    signal_totals,
)
from .coordinator import Sms1680ConfigEntry, balance_interval
from .push import async_adjust_listener, async_register_push
from .sensor import async_enable_spent

# Read anew whenever they are needed, or set by `async_adjust`.
_LIVE: Final = {
    CONF_BALANCE_INTERVAL,
    CONF_COMMAND_WORDS,
    CONF_KEEP_TEXTS,
    CONF_LISTENER_PORT,
    CONF_LOW_BALANCE,
    CONF_MOST_KEPT,
    CONF_NETWORKS,
    CONF_PRICE,
    CONF_PUSH_ANSWER,
    CONF_REPEAT_WINDOW,
    CONF_SAFE_TEXT,
    CONF_SOURCE_NUMBER,
}


@callback
def needs_reload(entry: Sms1680ConfigEntry, data: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """Tell whether an entry must be reloaded that was set up with other data and options than it has now."""
    changed = {name for name in {*options, *entry.options} if options.get(name) != entry.options.get(name)}
    return bool(changed - _LIVE) or any(data.get(way) != entry.data.get(way) for way in (CONF_HTTP, CONF_CMPP))


async def async_adjust(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Take in the settings that need no reload."""
    data = entry.runtime_data
    async_register_push(hass, entry)
    await async_adjust_listener(hass, entry)
    data.totals.price = entry.options.get(CONF_PRICE)
    async_enable_spent(hass, entry)
    if data.standing.balance is not None:
        data.standing.show_balance()
    if (coordinator := data.coordinator) is not None and coordinator.update_interval != balance_interval(entry):
        coordinator.update_interval = balance_interval(entry)
        await coordinator.async_request_refresh()
    async_dispatcher_send(hass, signal_totals(entry.entry_id))
