"""The actions `send_message`, `send_template` and `send_batch`."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from typing import Any, Final

import voluptuous as vol
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import ServiceCall, ServiceResponse
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import VolDictType
from homeassistant.util.json import JsonValueType

from ..account.journal import JournalBatch
from ..account.messages import BatchMessage, OutgoingMessage, TemplateMessage
from ..client import Receipt
from ..const import ATTR_CONFIG_ENTRY_ID
from ..deferred.models import DeliveryResult
from ..errors import not_delivered_error, send_error
from ..outbound.delivery_tracker import DeliveryTracker
from ..outbound.fallback import check_not_self
from ..outbound.message import text_to
from ..outbound.pipeline import async_deliver
from ..outbound.recipients import ATTR_NUMBER, WrongTarget, async_row_addressees, async_target_addressees
from ..outbound.target_fields import TARGET_FIELDS
from ..outbound.unsent import Unsent, async_report_rejected_call, async_report_wrong, reports_rejection
from ..recipients import Addressee
from ..store.turns import in_turns
from .schemas import (
    ATTR_PRIORITY,
    MESSAGE_OPTIONS,
    POLICY,
    MaskedSchema,
    async_policy_of,
    call_context,
    message_options,
)

ATTR_MESSAGE: Final = "message"
ATTR_MESSAGES: Final = "messages"
ATTR_TEMPLATE: Final = "template"
ATTR_ROWS: Final = "rows"
ATTR_VALUES: Final = "values"
ATTR_WAIT_FOR_DELIVERY: Final = "wait_for_delivery"

_SENDING: Final[VolDictType] = {vol.Optional(ATTR_CONFIG_ENTRY_ID): cv.string, **MESSAGE_OPTIONS}
_ADDRESSEE: Final[VolDictType] = {
    vol.Exclusive(ATTR_NUMBER, "recipient"): cv.string,
    vol.Exclusive(ATTR_ENTITY_ID, "recipient"): vol.All(cv.string, str.strip, str.lower),
}


def _rows(fields: VolDictType) -> Callable[[Any], Any]:
    row = vol.All(vol.Schema({**_ADDRESSEE, **fields}), cv.has_at_least_one_key(ATTR_NUMBER, ATTR_ENTITY_ID))
    return vol.All(cv.ensure_list, vol.Length(min=1), [row])


SEND_MESSAGE: Final = MaskedSchema(
    {
        **TARGET_FIELDS,
        vol.Optional(ATTR_NUMBER): vol.All(cv.ensure_list, [cv.string]),
        vol.Required(ATTR_MESSAGE): cv.string,
        **_SENDING,
        **POLICY,
        vol.Optional(ATTR_WAIT_FOR_DELIVERY): cv.positive_time_period,
    }
)
SEND_TEMPLATE: Final = MaskedSchema(
    {
        vol.Required(ATTR_TEMPLATE): cv.string,
        vol.Required(ATTR_ROWS): _rows({vol.Optional(ATTR_VALUES, default=[]): vol.All(cv.ensure_list, [cv.string])}),
        **_SENDING,
    }
)
SEND_BATCH: Final = MaskedSchema(
    {vol.Required(ATTR_MESSAGES): _rows({vol.Required(ATTR_MESSAGE): cv.string}), **_SENDING}
)


async def async_send_message(call: ServiceCall) -> ServiceResponse:
    """Send one text; wait for the delivery reports if that is asked for."""
    addressees, wrong = await _async_addressees(call, async_target_addressees(call))
    async_report_wrong(call.hass, addressees[0].entry, wrong, call.data[ATTR_PRIORITY], call_context(call))
    message = text_to(addressees, call.data[ATTR_MESSAGE])
    duration: timedelta | None = call.data.get(ATTR_WAIT_FOR_DELIVERY)
    if duration is None:
        return await _async_response(call, await _async_deliver(call, addressees, message), wrong)
    with DeliveryTracker(call.hass, (addressee.entry.entry_id for addressee in addressees)) as tracker:
        results = await _async_deliver(call, addressees, message, tracker.batches)
        await tracker.async_wait([result for result in results if not result.is_pending], duration.total_seconds())
        return _delivery_response(call, results, wrong, tracker)


async def async_send_template(call: ServiceCall) -> ServiceResponse:
    """Send a template, filled in for each row."""

    def template(addressees: Sequence[Addressee], rows: Sequence[Mapping[str, Any]]) -> OutgoingMessage:
        numbers = [addressee.number for addressee in addressees]
        return TemplateMessage(numbers, call.data[ATTR_TEMPLATE], [row[ATTR_VALUES] for row in rows])

    return await _async_send_rows(call, call.data[ATTR_ROWS], template)


async def async_send_batch(call: ServiceCall) -> ServiceResponse:
    """Send each row its own text."""

    def batch(addressees: Sequence[Addressee], rows: Sequence[Mapping[str, Any]]) -> OutgoingMessage:
        return BatchMessage([addressee.number for addressee in addressees], [row[ATTR_MESSAGE] for row in rows])

    return await _async_send_rows(call, call.data[ATTR_MESSAGES], batch)


async def _async_send_rows(
    call: ServiceCall,
    rows: Sequence[Mapping[str, Any]],
    make_message: Callable[[Sequence[Addressee], Sequence[Mapping[str, Any]]], OutgoingMessage],
) -> ServiceResponse:
    """Send the rows that have an addressee; return or raise the results of all rows, in order."""
    found = await _async_addressees(call, async_row_addressees(call, rows), rows)
    right = [(one, row) for one, row in zip(found, rows, strict=True) if isinstance(one, Addressee)]
    addressees = [addressee for addressee, _ in right]
    wrong = [one for one in found if isinstance(one, WrongTarget)]
    async_report_wrong(call.hass, addressees[0].entry, wrong, call.data[ATTR_PRIORITY], call_context(call))
    results = iter(await _async_deliver(call, addressees, make_message(addressees, [row for _, row in right])))
    return await _async_response(call, [one if isinstance(one, WrongTarget) else next(results) for one in found])


async def _async_addressees[T](call: ServiceCall, found: Awaitable[T], rows: Sequence[Mapping[str, Any]] = ()) -> T:
    """Return the addressees of a call. If it is rejected, report the messages to those that are known."""
    try:
        return await found
    except ServiceValidationError as error:
        await async_report_rejected_call(call, rows, error, call_context(call))
        raise


async def _async_deliver(
    call: ServiceCall,
    addressees: Sequence[Addressee],
    message: OutgoingMessage,
    batches: list[JournalBatch] | None = None,
) -> Sequence[DeliveryResult]:
    options = message_options(call.data, replace(call_context(call), batches=batches))
    policy = await async_policy_of(call)
    unsent = map(Unsent.from_addressee, addressees)
    with reports_rejection(call.hass, unsent, options.priority, options.context):
        check_not_self(call.hass, policy, addressees)
        return await async_deliver(call.hass, addressees, message, options, policy=policy, context=call.context)


async def _async_response(
    call: ServiceCall, results: Sequence[DeliveryResult | WrongTarget], wrong: Sequence[WrongTarget] = ()
) -> ServiceResponse:
    """Return the results if a response is asked for; otherwise raise an error if a message failed."""
    if not call.return_response:
        _check_sent(call, chain(results, wrong))
        return None
    responses: list[JsonValueType] = []
    no_fallback: list[JsonValueType] = []  # one list for thousands of messages
    async for result in in_turns(chain(results, wrong)):
        response = result.as_response()
        if response.get("fallback") == no_fallback:
            response["fallback"] = no_fallback
        responses.append(response)
    return {"messages": responses}


def _check_sent(call: ServiceCall, results: Iterable[DeliveryResult | WrongTarget]) -> None:
    """Raise an error if a message failed."""
    wrong: list[tuple[str, str]] = []
    failed: list[tuple[str | None, Receipt]] = []
    for one in results:
        if isinstance(one, WrongTarget):
            wrong.append((one.written, one.reason))
        elif not one.receipt.outcome.is_success and not one.is_handled:
            failed.append((one.addressee.name, one.final_receipt))
    if error := send_error(call.hass, failed, wrong):
        raise error


def _delivery_response(
    call: ServiceCall, results: Sequence[DeliveryResult], wrong: Sequence[WrongTarget], tracker: DeliveryTracker
) -> ServiceResponse:
    """Return the results with the delivery of each message, or raise an error if one was not delivered."""
    states = [(result, tracker.state(result)) for result in results]
    if call.return_response:
        sent = [
            {**result.as_response(), "delivery": {**state, "settled": state["settled"] and not result.is_pending}}
            for result, state in states
        ]
        return {"messages": [*sent, *({**one.as_response(), "delivery": None} for one in wrong)]}
    _check_sent(call, [*results, *wrong])
    awaited = [(result.addressee.name, result.receipt, state) for result, state in states if not result.is_handled]
    if error := not_delivered_error(call.hass, awaited):
        raise error
    return None
