"""An account's connection over CMPP: it lives with the entry, tells how it stands, and hands on what comes in."""

from __future__ import annotations

from typing import Final

from homeassistant.const import EVENT_HOMEASSISTANT_FINAL_WRITE
from homeassistant.core import Event, HomeAssistant, callback

from ..client import DeliveryReport, Reply
from ..client.cmpp import CMPPClient
from ..coordinator import Sms1680ConfigEntry
from .receiver import Way, async_get_receivers

# Seconds; the core itself waits for half a minute before it leaves the platform without an answer.
_PATIENCE: Final = 25.0


async def async_take(hass: HomeAssistant, entry: Sms1680ConfigEntry, item: Reply | DeliveryReport) -> None:
    """Take what came in over CMPP, and return once it is safe: then the platform is answered.

    Raises NotTakenError: the platform is not answered, and sends it again.
    """
    incoming = await async_get_receivers(hass).async_get(entry).async_receive(item, Way.CMPP, _PATIENCE)
    incoming.answered()


@callback
def async_keep_connected(hass: HomeAssistant, entry: Sms1680ConfigEntry, client: CMPPClient) -> None:
    """Connect in the background, and stay connected until the client is closed, at the latest with Home Assistant.

    What automations send while Home Assistant stops still goes out; the message store closes later.
    """
    client.start()

    async def close(_: Event) -> None:
        await client.aclose()

    entry.async_on_unload(hass.bus.async_listen_once(EVENT_HOMEASSISTANT_FINAL_WRITE, close))
