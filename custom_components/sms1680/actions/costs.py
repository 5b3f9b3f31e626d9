"""The actions `get_balance` and `estimate`."""

from typing import Final

import voluptuous as vol
from homeassistant.core import ServiceCall, ServiceResponse
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import VolDictType

from ..client import InvalidMessageError, SMS1680Error
from ..const import ATTR_CONFIG_ENTRY_ID, CONF_PRICE
from ..errors import action_error, invalid_message_error, language, validation_error
from ..outbound.recipients import find_entry
from .schemas import MaskedSchema

ATTR_MESSAGE: Final = "message"

_ACCOUNT: Final[VolDictType] = {vol.Optional(ATTR_CONFIG_ENTRY_ID): cv.string}
GET_BALANCE: Final = MaskedSchema(_ACCOUNT)
ESTIMATE: Final = MaskedSchema({vol.Required(ATTR_MESSAGE): cv.string, **_ACCOUNT})


async def async_get_balance(call: ServiceCall) -> ServiceResponse:
    """Query the balance."""
    entry = find_entry(call.hass, call.data.get(ATTR_CONFIG_ENTRY_ID))
    data = entry.runtime_data
    if data.coordinator is None:
        raise validation_error("no_http", account=entry.title)
    try:
        balance = await data.client.failover.balance()
    except SMS1680Error as error:
        data.health.on_refused(error.reason)
        raise action_error("no_balance", problem=error.sentence(language(call.hass))) from None
    data.health.on_balance(balance)
    data.coordinator.async_set_updated_data(balance)
    return {"balance": balance}


async def async_estimate(call: ServiceCall) -> ServiceResponse:
    """Return the cost of a text and the warnings about it."""
    entry = find_entry(call.hass, call.data.get(ATTR_CONFIG_ENTRY_ID))
    data = entry.runtime_data
    try:
        estimate = data.client.failover.estimate(call.data[ATTR_MESSAGE], refused_words=data.refused_words.words)
    except InvalidMessageError as error:
        raise invalid_message_error(call.hass, error) from None
    price = entry.options.get(CONF_PRICE)
    return {
        "parts": estimate.parts,
        "characters": estimate.characters,
        "flow": estimate.flow,
        "cost": round(estimate.parts * price, 4) if price else None,
        "warnings": [warning.sentence(language(call.hass)) for warning in estimate.warnings],
    }
