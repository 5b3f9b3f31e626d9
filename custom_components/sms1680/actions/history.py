"""The actions `get_messages` and `purge_messages`, for administrators and automations."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import voluptuous as vol
from homeassistant.auth.permissions.const import POLICY_READ
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse
from homeassistant.exceptions import HomeAssistantError, Unauthorized, UnknownUser
from homeassistant.helpers import config_validation as cv, device_registry as dr
from homeassistant.helpers.typing import VolDictType
from homeassistant.util import dt as dt_util

from ..account.delivery_state import state_response
from ..const import ATTR_CONFIG_ENTRY_ID, DOMAIN
from ..deferred.waiting import WaitingMessage, async_scheduled_messages, queued_messages
from ..errors import action_error, validation_error
from ..events.causes import async_describe_causes
from ..recipients import recipients
from ..store.db import (
    DeliveryState,
    Direction,
    HistoryQuery,
    Selection,
    StoredIn,
    StoredOut,
    StoreError,
    comparable_number,
)
from ..store.manager import DATA_STORE
from ..store.restored_states import async_purge_restored_states

ATTR_RECIPIENT: Final = "recipient"
ATTR_NUMBER: Final = "number"
ATTR_SINCE: Final = "since"
ATTR_UNTIL: Final = "until"
ATTR_DIRECTION: Final = "direction"
ATTR_STATE: Final = "state"
ATTR_LIMIT: Final = "limit"

# Deletes what an account's duty groups store of the time before a given one, and returns the number.
PurgeAlarms = Callable[[HomeAssistant, ConfigEntry[Any], datetime | None], Awaitable[int]]

_DEFAULT_LIMIT: Final = 50
_MOST: Final = 1000
_TEXTS: Final = vol.All(cv.ensure_list, [cv.string])


def _time(value: Any) -> Any:  # noqa: ANN401 - as Home Assistant's validators
    """Validate a time; without a zone it is in Home Assistant's time zone."""
    when = cv.datetime(value)
    return when if when.tzinfo else when.replace(tzinfo=dt_util.get_default_time_zone())


_SELECTION: Final[VolDictType] = {
    vol.Optional(ATTR_CONFIG_ENTRY_ID): cv.string,
    vol.Optional(ATTR_RECIPIENT): _TEXTS,
    vol.Optional(ATTR_NUMBER): _TEXTS,
    vol.Optional(ATTR_UNTIL): _time,
}
GET_MESSAGES: Final = vol.Schema(
    {
        **_SELECTION,
        vol.Optional(ATTR_SINCE): _time,
        vol.Optional(ATTR_DIRECTION): vol.In([direction.value for direction in Direction]),
        vol.Optional(ATTR_STATE): vol.All(cv.ensure_list, [vol.In([state.value for state in DeliveryState])]),
        vol.Optional(ATTR_LIMIT, default=_DEFAULT_LIMIT): vol.All(vol.Coerce(int), vol.Range(1, _MOST)),
    }
)
PURGE_MESSAGES: Final = vol.Schema(_SELECTION)


async def async_get_messages(call: ServiceCall) -> ServiceResponse:
    """Return stored messages, the newest first, and the waiting ones, the earliest due first."""
    await async_authorise_admin(call)
    data = call.data
    direction, states = data.get(ATTR_DIRECTION), data.get(ATTR_STATE)
    query = HistoryQuery(
        **_selection(call),
        since=data.get(ATTR_SINCE),
        direction=Direction(direction) if direction else None,
        states=[DeliveryState(state) for state in states] if states else None,
        limit=data[ATTR_LIMIT],
    )
    found: list[StoredIn | StoredOut] = []
    try:
        for shelf in call.hass.data[DATA_STORE].intakes:
            shelf.flush()
            page = await asyncio.wrap_future(shelf.store.messages(query))
            found += page
        waiting = await _async_waiting(call.hass, query)
    except StoreError as error:
        raise store_error(error) from None
    found.sort(key=lambda message: message.at, reverse=True)
    newest, names = found[: query.limit], _names(call.hass)
    causes = await async_describe_causes(
        call.hass,
        [message.cause for message in newest if isinstance(message, StoredOut)],
        may_read=lambda _: True,
        users=True,
    )
    return {
        "messages": [_as_response(call.hass, message, names, causes) for message in newest],
        "waiting": [{**message.as_response(), "message": message.text} for message in waiting[: query.limit]],
    }


async def _async_waiting(hass: HomeAssistant, query: HistoryQuery) -> list[WaitingMessage]:
    """Return the waiting messages of loaded accounts. A selection by state selects none. Raises StoreError."""
    if query.direction is Direction.IN or query.states is not None:
        return []
    numbers = None if query.numbers is None else [comparable_number(number) for number in query.numbers]
    found: list[WaitingMessage] = []
    for entry in hass.config_entries.async_loaded_entries(DOMAIN):
        if query.entries is None or entry.entry_id in query.entries:
            queue = entry.runtime_data.deferred
            found += [*queued_messages(queue), *await async_scheduled_messages(entry, queue.journal)]
    return sorted(
        (
            message
            for message in found
            if (query.recipients is None or message.addressee.subentry_id in query.recipients)
            and (numbers is None or comparable_number(message.addressee.number) in numbers)
            and (query.since is None or message.since >= query.since)
            and (query.until is None or message.since < query.until)
        ),
        key=lambda message: message.due,
    )


async def async_purge_messages(call: ServiceCall, *, purge_alarms: PurgeAlarms) -> ServiceResponse:
    """Delete stored and queued messages, and closed alarms unless only some numbers are selected.

    A store that fails keeps nothing else from being deleted. purge_alarms: is given, because actions do not know the
    duty groups.
    """
    await async_authorise_admin(call)
    hass, selection = call.hass, Selection(**_selection(call))
    purged, failed = 0, None
    try:
        purged = await hass.data[DATA_STORE].async_purge(selection)
    except StoreError as error:
        failed = store_error(error)
    if selection.recipients is None and selection.numbers is None:
        for entry in hass.config_entries.async_entries(DOMAIN):
            if selection.entries is None or entry.entry_id in selection.entries:
                purged += await purge_alarms(hass, entry, selection.until)
    await async_purge_restored_states(call.hass)
    if failed is not None:
        raise failed
    return {"purged": purged} if call.return_response else None


async def async_authorise_admin(call: ServiceCall) -> None:
    """Allow only administrators and automations: the stored messages belong to other people."""
    if call.context.user_id is None:
        return
    user = await call.hass.auth.async_get_user(call.context.user_id)
    if user is None:
        raise UnknownUser(context=call.context, permission=POLICY_READ)
    if not user.is_admin:
        raise Unauthorized(context=call.context, permission=POLICY_READ)


def _selection(call: ServiceCall) -> dict[str, Any]:
    """Return the selection of a call. Raise ServiceValidationError for an unknown account or recipient."""
    hass, data = call.hass, call.data
    entry_id: str | None = data.get(ATTR_CONFIG_ENTRY_ID)
    entries = {entry.entry_id: entry for entry in hass.config_entries.async_entries(DOMAIN)}
    if entry_id is not None and entry_id not in entries:
        raise validation_error("no_such_account", account=entry_id)
    return {
        "entries": [entry_id] if entry_id is not None else None,
        "recipients": _recipients(hass, data[ATTR_RECIPIENT]) if ATTR_RECIPIENT in data else None,
        "numbers": data.get(ATTR_NUMBER),
        "until": data.get(ATTR_UNTIL),
    }


def _recipients(hass: HomeAssistant, wanted: Iterable[str]) -> list[str]:
    """Return the ids of recipients given by device id (as the editor does) or by name."""
    devices = dr.async_get(hass)
    found: list[str] = []
    missing = []
    for value in wanted:
        device = devices.async_get(value)
        identifiers = device.identifiers if device else set()
        matching = [
            subentry.subentry_id
            for entry in hass.config_entries.async_entries(DOMAIN)
            for subentry in recipients(entry)
            if subentry.title == value or (DOMAIN, f"{entry.entry_id}_{subentry.subentry_id}") in identifiers
        ]
        found += matching
        if not matching:
            missing.append(value)
    if missing:
        raise validation_error("no_such_recipient", recipients=", ".join(missing))
    return found


def _names(hass: HomeAssistant) -> dict[str, str]:
    """Return the names of all recipients by id."""
    return {
        subentry.subentry_id: subentry.title
        for entry in hass.config_entries.async_entries(DOMAIN)
        for subentry in recipients(entry)
    }


def _as_response(
    hass: HomeAssistant,
    message: StoredIn | StoredOut,
    names: Mapping[str, str],
    causes: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Return a message for the response. Numbers are not masked for administrators."""
    common: dict[str, Any] = {
        ATTR_CONFIG_ENTRY_ID: message.entry,
        "number": message.number,
        "recipient": names.get(message.recipient or ""),
        "subentry_id": message.recipient,
        "time": message.at.isoformat(),
    }
    if isinstance(message, StoredIn):
        return {
            "direction": Direction.IN.value,
            **common,
            "message": message.content,
            "id": message.id,
            "extension": message.extension,
            "via": message.via,
            "incomplete": message.incomplete,
            "redelivered": message.repeat,
            "fired": message.fired,
        }
    return {
        "direction": Direction.OUT.value,
        **common,
        "message": message.text,
        "via": message.transport,
        "at": message.due.isoformat() if message.due else None,
        "automatic": message.automatic,
        "cause": causes.get(message.cause or ""),
        "outcome": message.outcome.value if message.outcome else None,
        "message_ids": list(message.message_ids),
        "parts": message.parts,
        "status": message.status,
        "state_since": message.state_at.isoformat(),
        **state_response(hass, message),
    }


def store_error(error: StoreError) -> HomeAssistantError:
    """Return the error of a message store that failed."""
    return action_error("store_failed", problem=str(error))
