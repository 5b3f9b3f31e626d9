"""The actions of the integration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final

import voluptuous as vol
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import VolDictType

from .actions.ask_question import async_setup_ask_question
from .actions.history import async_setup_history
from .actions.schemas import INSISTENCE, MESSAGE_OPTIONS, async_asked, options_of
from .client import InvalidMessageError, SMS1680Error
from .const import ATTR_CONFIG_ENTRY_ID, CONF_PRICE, DOMAIN
from .context import sending_for
from .deferred.models import DeliveryResult
from .errors import balance_error, invalid_message_error, language, not_delivered_error, send_error, validation_error
from .outbound.delivery_tracker import Reports
from .outbound.message import Items, Way, one_template, one_text, own_texts
from .outbound.pipeline import async_deliver
from .outbound.recipients import ATTR_NUMBER, TARGET_FIELDS, async_addressees, async_addressees_of_rows, find_entry

ATTR_MESSAGE: Final = "message"
ATTR_MESSAGES: Final = "messages"
ATTR_TEMPLATE: Final = "template"
ATTR_ROWS: Final = "rows"
ATTR_VALUES: Final = "values"
ATTR_WAIT_FOR_DELIVERY: Final = "wait_for_delivery"

type Handler = Callable[[ServiceCall], Awaitable[ServiceResponse]]

_ACCOUNT: Final[VolDictType] = {vol.Optional(ATTR_CONFIG_ENTRY_ID): cv.string}
_SENDING: Final[VolDictType] = {**_ACCOUNT, **MESSAGE_OPTIONS}
_RECEIVER: Final[VolDictType] = {
    vol.Exclusive(ATTR_NUMBER, "addressee"): cv.string,
    vol.Exclusive(ATTR_ENTITY_ID, "addressee"): cv.entity_id,
}


def _row(fields: VolDictType) -> Callable[[Any], Any]:
    return vol.All(vol.Schema({**_RECEIVER, **fields}), cv.has_at_least_one_key(ATTR_NUMBER, ATTR_ENTITY_ID))


def _rows(fields: VolDictType) -> Callable[[Any], Any]:
    return vol.All(cv.ensure_list, vol.Length(min=1), [_row(fields)])


SEND_MESSAGE: Final = vol.Schema(
    {
        **TARGET_FIELDS,
        vol.Optional(ATTR_NUMBER): vol.All(cv.ensure_list, [cv.string]),
        vol.Required(ATTR_MESSAGE): cv.string,
        **_SENDING,
        **INSISTENCE,
        vol.Optional(ATTR_WAIT_FOR_DELIVERY): cv.positive_time_period,
    }
)
SEND_TEMPLATE: Final = vol.Schema(
    {
        vol.Required(ATTR_TEMPLATE): cv.string,
        vol.Required(ATTR_ROWS): _rows({vol.Optional(ATTR_VALUES, default=[]): vol.All(cv.ensure_list, [cv.string])}),
        **_SENDING,
    }
)
SEND_BATCH: Final = vol.Schema(
    {vol.Required(ATTR_MESSAGES): _rows({vol.Required(ATTR_MESSAGE): cv.string}), **_SENDING}
)
GET_BALANCE: Final = vol.Schema(_ACCOUNT)
ESTIMATE: Final = vol.Schema({vol.Required(ATTR_MESSAGE): cv.string, **_ACCOUNT})


@callback
def async_setup_services(hass: HomeAssistant) -> None:
    """Register the actions, once, for all accounts."""
    optional, only = SupportsResponse.OPTIONAL, SupportsResponse.ONLY
    for name, handler, schema, response in (
        ("send_message", _async_send_message, SEND_MESSAGE, optional),
        ("send_template", _async_send_template, SEND_TEMPLATE, optional),
        ("send_batch", _async_send_batch, SEND_BATCH, optional),
        ("get_balance", _async_get_balance, GET_BALANCE, only),
        ("estimate", _async_estimate, ESTIMATE, only),
    ):
        for_caller = partial(_async_for_caller, handler)
        hass.services.async_register(DOMAIN, name, for_caller, schema, supports_response=response)
    async_setup_history(hass)
    async_setup_ask_question(hass)


async def _async_for_caller(handler: Handler, call: ServiceCall) -> ServiceResponse:
    """Handle a call; what it sends is automatic where one of our own events led to it."""
    with sending_for(call.hass, call.context):
        return await handler(call)


async def _async_send_message(call: ServiceCall) -> ServiceResponse:
    addressees = await async_addressees(call)
    items: Items[None] = [(addressee, None) for addressee in addressees]
    way = one_text(call.data[ATTR_MESSAGE])
    patience: timedelta | None = call.data.get(ATTR_WAIT_FOR_DELIVERY)
    if patience is None:
        return _answer(call, await _async_deliver(call, items, way))
    with Reports(call.hass, (addressee.entry.entry_id for addressee in addressees)) as reports:
        sent = await _async_deliver(call, items, way)
        await reports.wait([one for one in sent if not one.is_pending], patience.total_seconds())
    return _answer_delivered(call, sent, reports)


async def _async_send_template(call: ServiceCall) -> ServiceResponse:
    way = one_template(call.data[ATTR_TEMPLATE])
    return await _async_send_rows(call, call.data[ATTR_ROWS], way, lambda row: row[ATTR_VALUES])


async def _async_send_batch(call: ServiceCall) -> ServiceResponse:
    return await _async_send_rows(call, call.data[ATTR_MESSAGES], own_texts(), lambda row: row[ATTR_MESSAGE])


async def _async_send_rows[T](
    call: ServiceCall, rows: list[Mapping[str, Any]], way: Way[T], content: Callable[[Mapping[str, Any]], T]
) -> ServiceResponse:
    addressees = await async_addressees_of_rows(call, rows)
    items = [(addressee, content(row)) for addressee, row in zip(addressees, rows, strict=True)]
    return _answer(call, await _async_deliver(call, items, way))


async def _async_deliver[T](call: ServiceCall, items: Items[T], way: Way[T]) -> list[DeliveryResult]:
    asked = await async_asked(call)
    return await async_deliver(call.hass, items, way, options_of(call.data), asked=asked, context=call.context)


async def _async_get_balance(call: ServiceCall) -> ServiceResponse:
    entry = find_entry(call.hass, call.data.get(ATTR_CONFIG_ENTRY_ID))
    data = entry.runtime_data
    if data.coordinator is None:
        raise validation_error("no_http", account=entry.title)
    try:
        balance = await data.client.balance()
    except SMS1680Error as error:
        data.health.on_refused(error.reason)
        raise balance_error(call.hass, error) from None
    data.health.on_balance(balance)
    data.coordinator.async_set_updated_data(balance)
    return {"balance": balance}


async def _async_estimate(call: ServiceCall) -> ServiceResponse:
    entry = find_entry(call.hass, call.data.get(ATTR_CONFIG_ENTRY_ID))
    try:
        words = entry.runtime_data.refused_words.words
        estimate = entry.runtime_data.client.estimate(call.data[ATTR_MESSAGE], refused_words=words)
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


def _answer(call: ServiceCall, sent: list[DeliveryResult]) -> ServiceResponse:
    """Tell what became of each number where an answer was asked for, else raise an error where one failed."""
    if call.return_response:
        return {"messages": [one.as_response() for one in sent]}
    left_alone = [(one.addressee.name, one.final_receipt) for one in sent if not one.is_handled]
    if error := send_error(call.hass, left_alone):
        raise error
    return None


def _answer_delivered(call: ServiceCall, sent: list[DeliveryResult], reports: Reports) -> ServiceResponse:
    """Tell besides where each message stands now, by its delivery reports."""
    states = [(one, reports.of(one)) for one in sent]
    if call.return_response:
        return {
            "messages": [
                {**one.as_response(), "delivery": {**report, "settled": report["settled"] and not one.is_pending}}
                for one, report in states
            ]
        }
    _answer(call, sent)
    waited_for = [(one.addressee.name, one.receipt, report) for one, report in states if not one.is_handled]
    if error := not_delivered_error(call.hass, waited_for):
        raise error
    return None
