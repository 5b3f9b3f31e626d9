"""The action `cancel_message`, which takes a waiting message back."""

import asyncio
import logging
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import voluptuous as vol
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import Context, HomeAssistant, ServiceCall, ServiceResponse
from homeassistant.helpers import config_validation as cv
from homeassistant.util import dt as dt_util

from ..client import NoAnswerError, Outcome, Reason, Receipt, mask_number
from ..client.cmpp import CancelOutcome, CMPPClient
from ..const import ATTR_CONFIG_ENTRY_ID, CONF_CMPP, DOMAIN
from ..deferred.models import DeliveryResult
from ..deferred.outcome_events import async_fire_outcome
from ..deferred.waiting import QUEUED, SCHEDULED, WaitingMessage, async_scheduled_messages, queued_messages
from ..errors import action_error, validation_error
from ..store.db import StoreError
from ..store.manager import DATA_STORE
from .history import async_authorise_admin, store_error

_LOGGER = logging.getLogger(__name__)

ATTR_ID: Final = "id"
ATTR_MESSAGE_ID: Final = "message_id"

# Seconds to wait for a CMPP connection.
_PATIENCE: Final = 10.0

CANCEL_MESSAGE: Final = vol.Schema(
    {
        vol.Optional(ATTR_CONFIG_ENTRY_ID): cv.string,
        vol.Exclusive(ATTR_ID, "message"): cv.string,
        vol.Exclusive(ATTR_MESSAGE_ID, "message"): cv.string,
    }
)


class CancelResult(StrEnum):
    """The result of cancelling a message.

    BEING_SENT: its attempt runs right now. NOT_POSSIBLE: the platform refused. PARTLY: the platform cancelled only some
    of its segments. UNKNOWN: the platform did not answer. NO_CONNECTION: CMPP is not connected.
    """

    CANCELLED = "cancelled"
    BEING_SENT = "being_sent"
    NOT_POSSIBLE = "not_possible"
    PARTLY = "partly"
    UNKNOWN = "unknown"
    NO_CONNECTION = "no_connection"


_ONE_OF_THEM: Final = cv.has_at_least_one_key(ATTR_ID, ATTR_MESSAGE_ID)
_ERRORS: Final = {
    CancelResult.BEING_SENT: "cancel_being_sent",
    CancelResult.NOT_POSSIBLE: "cancel_not_possible",
    CancelResult.PARTLY: "cancel_partly",
    CancelResult.UNKNOWN: "cancel_unknown",
    CancelResult.NO_CONNECTION: "cancel_no_connection",
}


async def async_cancel_message(call: ServiceCall) -> ServiceResponse:
    """Take back a message of the queue, or over CMPP one that the platform has scheduled.

    Without a response, a message that was not cancelled is an error.
    """
    await async_authorise_admin(call)
    _ONE_OF_THEM(dict(call.data))
    hass = call.hass
    wanted = call.data.get(ATTR_CONFIG_ENTRY_ID)
    if wanted is not None and hass.config_entries.async_get_entry(wanted) is None:
        raise validation_error("no_such_account", account=wanted)
    try:
        entries = hass.config_entries.async_loaded_entries(DOMAIN)
        found = await _async_find(call, [entry for entry in entries if wanted in (None, entry.entry_id)])
        # A cancelled call must not leave a message half cancelled.
        cancelling = hass.async_create_task(_async_cancel(hass, found, call.context), f"{DOMAIN} cancel")
        result = await asyncio.shield(cancelling)
    except StoreError as error:
        raise store_error(error) from None
    if call.return_response:
        return {"messages": [{**message.as_response(), "result": result.value} for message in found]}
    if result is not CancelResult.CANCELLED:
        who = ", ".join(message.addressee.name or mask_number(message.addressee.number) for message in found)
        raise action_error(_ERRORS[result], who=who)
    return None


async def _async_find(call: ServiceCall, entries: Sequence[ConfigEntry[Any]]) -> list[WaitingMessage]:
    """Return the message to cancel: one, or those of all numbers with the same id of the platform."""
    id_, message_id = call.data.get(ATTR_ID), call.data.get(ATTR_MESSAGE_ID)
    for entry in entries:
        queue = entry.runtime_data.deferred
        if id_ is not None and id_.startswith(f"{QUEUED}_{entry.entry_id}_"):
            found = [message for message in queued_messages(queue) if message.id == id_]
            if found:
                return found
        elif id_ is None or id_.startswith(f"{SCHEDULED}_{entry.entry_id}_"):
            messages = await async_scheduled_messages(entry, queue.journal)
            chosen = next((one for one in messages if one.id == id_ or message_id in one.message_ids), None)
            if chosen is None:
                continue
            together = [one for one in messages if one is chosen or set(one.message_ids) & set(chosen.message_ids)]
            if chosen.transport != CONF_CMPP:
                raise validation_error("cancel_over_http")
            if id_ is not None and len(together) > 1:
                raise validation_error("cancel_together", message_id=chosen.message_ids[0], count=str(len(together)))
            return together
    raise validation_error("cancel_not_found")


async def _async_cancel(hass: HomeAssistant, messages: Sequence[WaitingMessage], caller: Context) -> CancelResult:
    first = messages[0]
    entry = first.addressee.entry
    if first.id.startswith(QUEUED):
        if await entry.runtime_data.deferred.async_cancel(first.row) is None:
            return CancelResult.BEING_SENT
        _fire(hass, first, caller)
        return CancelResult.CANCELLED
    client: CMPPClient | None = entry.runtime_data.client.failover.cmpp
    if client is None:
        return CancelResult.NO_CONNECTION
    journal = entry.runtime_data.deferred.journal
    rows = [message.row for message in messages]
    marked = await asyncio.wrap_future(journal.begin_cancel(rows))
    result = await _async_cancel_segments(client, first.message_ids)
    if result is not CancelResult.UNKNOWN:
        cancelled = result is CancelResult.CANCELLED
        try:
            settled = journal.settle_cancel(rows if cancelled else marked, dt_util.utcnow(), cancelled=cancelled)
            hass.data[DATA_STORE].publish(await asyncio.wrap_future(settled))
        except StoreError as error:
            _LOGGER.warning("The result of cancelling a message could not be stored (%s)", error)
        for message in messages if cancelled else ():
            _fire(hass, message, caller)
    return result


async def _async_cancel_segments(client: CMPPClient, message_ids: Sequence[str]) -> CancelResult:
    """Cancel all segments of a message."""
    cancels = [client.cancel(message_id, patience=_PATIENCE) for message_id in message_ids]
    answers = await asyncio.gather(*cancels, return_exceptions=True)
    outcomes: set[CancelOutcome | None] = set()
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, NoAnswerError):
            raise answer
        outcomes.add(None if isinstance(answer, BaseException) else answer)
    if outcomes == {CancelOutcome.CANCELLED}:
        return CancelResult.CANCELLED
    if CancelOutcome.CANCELLED in outcomes:
        return CancelResult.PARTLY
    if CancelOutcome.UNKNOWN in outcomes:
        return CancelResult.UNKNOWN
    return CancelResult.NOT_POSSIBLE if CancelOutcome.NOT_POSSIBLE in outcomes else CancelResult.NO_CONNECTION


def _fire(hass: HomeAssistant, message: WaitingMessage, caller: Context) -> None:
    """Fire the event of a cancelled message."""
    addressee = message.addressee
    message_id = message.message_ids[0] if message.message_ids else None
    receipt = Receipt(addressee.number, Outcome.NOT_SENT, message_id, Reason.CANCELLED, message.parts)
    async_fire_outcome(hass, addressee.entry, DeliveryResult(addressee, receipt), message.since, caller)
