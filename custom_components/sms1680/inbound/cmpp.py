"""Receive from an account's CMPP connection, and keep it open while the entry is set up."""

from typing import Final

from homeassistant.const import EVENT_HOMEASSISTANT_FINAL_WRITE
from homeassistant.core import Event, HomeAssistant, callback

from ..client import DeliveryReport, Reply
from ..client.cmpp import CMPPClient
from ..coordinator import Sms1680ConfigEntry
from .models import InboundSource
from .registry import async_get_registry

# Seconds. The core waits 30 seconds before it leaves a deliver request without a response.
_PATIENCE: Final = 25.0


async def async_receive_cmpp(hass: HomeAssistant, entry: Sms1680ConfigEntry, item: Reply | DeliveryReport) -> None:
    """Process an item from CMPP. The core sends the response to the platform after this returns.

    Raises NotAcceptedError if the platform must send the item again.
    """
    incoming = await async_get_registry(hass).async_get(entry).async_receive(item, InboundSource.CMPP, _PATIENCE)
    incoming.mark_acknowledged()


@callback
def async_keep_connected(hass: HomeAssistant, entry: Sms1680ConfigEntry, client: CMPPClient) -> None:
    """Connect in the background, and stay connected until the client is closed or Home Assistant stops.

    The connection closes after the automations' last messages are sent, and before the message store closes.
    """
    client.start()

    async def close(_: Event) -> None:
        await client.aclose()

    entry.async_on_unload(hass.bus.async_listen_once(EVENT_HOMEASSISTANT_FINAL_WRITE, close))
