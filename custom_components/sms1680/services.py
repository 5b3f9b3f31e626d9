"""The actions of the integration."""

from __future__ import annotations

from typing import Final

import voluptuous as vol
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.helpers import config_validation as cv

from .const import ATTR_CONFIG_ENTRY_ID, DOMAIN
from .delivery import Options, Sent, async_send
from .failures import failed
from .targets import ATTR_NUMBER, TARGET_FIELDS, async_receivers

ATTR_MESSAGE: Final = "message"
ATTR_AT: Final = "at"
ATTR_EXTENSION: Final = "extension"
ATTR_PRIORITY: Final = "priority"

SEND_MESSAGE: Final = vol.Schema(
    {
        **TARGET_FIELDS,
        vol.Optional(ATTR_NUMBER): vol.All(cv.ensure_list, [cv.string]),
        vol.Required(ATTR_MESSAGE): cv.string,
        vol.Optional(ATTR_CONFIG_ENTRY_ID): cv.string,
    }
)


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register the actions, once, for all accounts."""
    hass.services.async_register(
        DOMAIN, "send_message", _async_send_message, SEND_MESSAGE, supports_response=SupportsResponse.OPTIONAL
    )


async def _async_send_message(call: ServiceCall) -> ServiceResponse:
    receivers = await async_receivers(call)
    sent = await async_send(call.hass, receivers, call.data[ATTR_MESSAGE], Options())
    return _answer(call, sent)


def _answer(call: ServiceCall, sent: list[Sent]) -> ServiceResponse:
    """Tell what became of each number where an answer was asked for, else raise an error where one failed."""
    if call.return_response:
        return {"messages": [one.as_response() for one in sent]}
    if error := failed(call.hass, [(one.receiver.name, one.receipt) for one in sent]):
        raise error
    return None
