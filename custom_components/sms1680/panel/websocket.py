"""The commands of the page over Home Assistant's websocket API."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

import voluptuous as vol
from homeassistant.components import websocket_api
from homeassistant.components.websocket_api import ActiveConnection
from homeassistant.config_entries import SIGNAL_CONFIG_ENTRY_CHANGED, ConfigEntry
from homeassistant.const import ATTR_ENTITY_ID
from homeassistant.core import CALLBACK_TYPE, Context, HomeAssistant, callback
from homeassistant.exceptions import Unauthorized
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.util import dt as dt_util

from ..client import InvalidMessageError, mask_number
from ..const import (
    ATTR_CONFIG_ENTRY_ID,
    CONF_PRICE,
    DOMAIN,
    EVENT_MESSAGE_FAILED,
    EVENT_MESSAGE_RECEIVED,
    signal_alarm,
    signal_delivery,
    signal_health,
    signal_waiting,
)
from ..errors import action_error, invalid_message_error, language, validation_error
from ..events.signals import async_listen
from ..outbound.recipients import find_entry
from ..store.db import DeliveryUpdate, StoreError
from ..store.db.records import to_micros
from .access import ConversationKey, Viewer
from .alarms import alarms, find_alarm
from .log_filter import MARK, async_setup_log_filter
from .messages import async_accounts, async_conversations, async_find_waiting, async_messages
from .read_marks import async_get_read_marks

type _Message = dict[str, Any]
type _Handler = Callable[[HomeAssistant, ActiveConnection, _Message], Any]

_LIMIT: Final = 50
_LIMITS: Final = vol.All(int, vol.Range(1, 200))
_MAX_LISTED: Final = vol.All(int, vol.Range(1, 1000))


@callback
def async_setup_websocket(hass: HomeAssistant) -> None:
    """Register the commands."""
    async_setup_log_filter(hass)
    for command in (
        _async_list_conversations,
        _async_mark_read,
        _async_list_messages,
        _async_list_accounts,
        _async_list_contacts,
        _async_estimate,
        _async_send,
        _async_cancel,
        _async_list_alarms,
        _async_change_alarm,
        _subscribe,
    ):
        websocket_api.async_register_command(hass, command)


def _store_errors_explained(handler: _Handler) -> _Handler:
    """Raise the error of the message store as one that the page can show."""

    @wraps(handler)
    async def handle(hass: HomeAssistant, connection: ActiveConnection, msg: _Message) -> None:
        try:
            await handler(hass, connection, msg)
        except StoreError as error:
            raise action_error("store_failed", problem=str(error)) from None

    return handle


@websocket_api.websocket_command(
    {
        vol.Required("type"): "sms1680/conversations/list",
        vol.Optional("search"): str,
        vol.Optional("limit", default=_LIMIT): _MAX_LISTED,
    }
)
@websocket_api.async_response
@_store_errors_explained
async def _async_list_conversations(hass: HomeAssistant, connection: ActiveConnection, msg: _Message) -> None:
    """Return the conversations that the user may read, newest first."""
    viewer = Viewer(hass, connection.user)
    found = await async_conversations(hass, viewer, msg.get("search", "").strip(), msg["limit"])
    connection.send_result(msg["id"], MARK | {"conversations": found, "more": len(found) == msg["limit"]})


@websocket_api.websocket_command(
    {vol.Required("type"): "sms1680/conversations/mark_read", vol.Required("conversation"): str}
)
@websocket_api.async_response
async def _async_mark_read(hass: HomeAssistant, connection: ActiveConnection, msg: _Message) -> None:
    """Mark all messages of a conversation as read by this user."""
    key = _conversation(Viewer(hass, connection.user), msg)
    marks = await async_get_read_marks(hass)
    marks.set(connection.user.id, key.party.number, to_micros(dt_util.utcnow()))
    connection.send_result(msg["id"])


@websocket_api.websocket_command(
    {
        vol.Required("type"): "sms1680/messages/list",
        vol.Required("conversation"): str,
        vol.Optional("before"): vol.Match(r"^\d{1,18}-[01]-\d{1,18}$"),
        vol.Optional("limit", default=_LIMIT): _LIMITS,
    }
)
@websocket_api.async_response
@_store_errors_explained
async def _async_list_messages(hass: HomeAssistant, connection: ActiveConnection, msg: _Message) -> None:
    """Return a page of a conversation, newest first."""
    viewer = Viewer(hass, connection.user)
    key = _conversation(viewer, msg)
    page = await async_messages(hass, viewer, key, msg.get("before"), msg["limit"])
    connection.send_result(msg["id"], MARK | page)


@websocket_api.websocket_command({vol.Required("type"): "sms1680/accounts/list"})
@websocket_api.async_response
async def _async_list_accounts(hass: HomeAssistant, connection: ActiveConnection, msg: _Message) -> None:
    """Return the accounts, and whether the user is an administrator."""
    viewer = Viewer(hass, connection.user)
    accounts = await async_accounts(hass, viewer)
    connection.send_result(msg["id"], MARK | {"accounts": accounts, "is_admin": viewer.is_admin})


@websocket_api.websocket_command({vol.Required("type"): "sms1680/contacts/list"})
@callback
def _async_list_contacts(hass: HomeAssistant, connection: ActiveConnection, msg: _Message) -> None:
    """Return the recipients that the user may read, by name. entity_id: None if the user may not write to them."""
    viewer = Viewer(hass, connection.user)
    contacts = [
        {
            "conversation": contact.subentry.subentry_id,
            "name": contact.subentry.title,
            "number": viewer.shown(contact.number),
            "account": contact.entry.title,
            ATTR_CONFIG_ENTRY_ID: contact.entry.entry_id,
            ATTR_ENTITY_ID: contact.entity_id,
        }
        for contact in viewer.contacts
    ]
    connection.send_result(msg["id"], MARK | {"contacts": sorted(contacts, key=lambda contact: str(contact["name"]))})


@websocket_api.websocket_command(
    {
        vol.Required("type"): "sms1680/estimate",
        vol.Required("message"): str,
        vol.Optional(ATTR_CONFIG_ENTRY_ID): vol.Any(str, None),
    }
)
@callback
def _async_estimate(hass: HomeAssistant, connection: ActiveConnection, msg: _Message) -> None:
    """Return what a text costs each recipient. No event records the text, which is still being written."""
    entry = find_entry(hass, msg.get(ATTR_CONFIG_ENTRY_ID))
    data = entry.runtime_data
    try:
        estimate = data.client.failover.estimate(msg["message"], refused_words=data.refused_words.words)
    except InvalidMessageError as error:
        raise invalid_message_error(hass, error) from None
    price = entry.options.get(CONF_PRICE)
    result = {
        "parts": estimate.parts,
        "characters": estimate.characters,
        "cost": round(estimate.parts * price, 4) if price else None,
        "warnings": [warning.sentence(language(hass)) for warning in estimate.warnings],
    }
    connection.send_result(msg["id"], MARK | result)


@websocket_api.websocket_command(
    {
        vol.Required("type"): "sms1680/messages/send",
        vol.Required("message"): str,
        vol.Optional(ATTR_ENTITY_ID): [str],
        vol.Optional("conversation"): str,
        vol.Optional("number"): [str],
        vol.Optional(ATTR_CONFIG_ENTRY_ID): vol.Any(str, None),
        vol.Optional("priority"): vol.In(["normal", "critical"]),
        vol.Optional("at"): str,
    }
)
@websocket_api.async_response
async def _async_send(hass: HomeAssistant, connection: ActiveConnection, msg: _Message) -> None:
    """Send a message with the action `send_message`, which checks the user's permissions.

    conversation: one without a recipient, whose number gets the message.
    """
    viewer = Viewer(hass, connection.user)
    names = ("message", ATTR_ENTITY_ID, "number", ATTR_CONFIG_ENTRY_ID, "priority", "at")
    data = {name: msg[name] for name in names if msg.get(name)}
    if "conversation" in msg:
        data["number"] = [*data.get("number", ()), _conversation(viewer, msg).party.number]
    response = await hass.services.async_call(
        DOMAIN, "send_message", data, blocking=True, context=connection.context(msg), return_response=True
    )
    sent: Any = response["messages"] if response else []
    shown = [{**message, "number": viewer.shown(message["number"])} for message in sent]
    connection.send_result(msg["id"], MARK | {"messages": shown})


@websocket_api.websocket_command({vol.Required("type"): "sms1680/messages/cancel", vol.Required("message"): str})
@websocket_api.async_response
@_store_errors_explained
async def _async_cancel(hass: HomeAssistant, connection: ActiveConnection, msg: _Message) -> None:
    """Take back a waiting message to somebody that the user may write to, with the action `cancel_message`."""
    viewer, context = Viewer(hass, connection.user), connection.context(msg)
    message = await async_find_waiting(hass, msg["message"])
    if message is not None and not viewer.may_write(message.addressee.entry.entry_id, message.addressee.number):
        raise Unauthorized(context=context)
    # The action is only for administrators; this user's permission is checked above.
    caller = context if viewer.is_admin else Context(parent_id=context.id)
    if message is None and not viewer.is_admin:
        raise validation_error("cancel_not_found")
    response = await hass.services.async_call(
        DOMAIN, "cancel_message", {"id": msg["message"]}, blocking=True, context=caller, return_response=True
    )
    cancelled: Any = response["messages"] if response else []
    connection.send_result(msg["id"], MARK | {"result": cancelled[0]["result"]})


@websocket_api.websocket_command(
    {vol.Required("type"): "sms1680/alarms/list", vol.Optional("limit", default=_LIMIT): _LIMITS}
)
@callback
def _async_list_alarms(hass: HomeAssistant, connection: ActiveConnection, msg: _Message) -> None:
    """Return the open alarms of the groups that the user may read, and the newest closed ones."""
    found = alarms(hass, Viewer(hass, connection.user), msg["limit"])
    connection.send_result(msg["id"], MARK | {"alarms": found})


@websocket_api.websocket_command(
    {
        vol.Required("type"): "sms1680/alarms/change",
        vol.Required("alarm"): str,
        vol.Required("action"): vol.In(["acknowledge", "resolve_alarm"]),
    }
)
@websocket_api.async_response
async def _async_change_alarm(hass: HomeAssistant, connection: ActiveConnection, msg: _Message) -> None:
    """Acknowledge or resolve an alarm with the action of this name, which checks the user's permissions."""
    if find_alarm(hass, Viewer(hass, connection.user), msg["alarm"]) is None:
        raise validation_error("no_alarm_selected")
    await hass.services.async_call(
        DOMAIN, msg["action"], {"alarm": msg["alarm"]}, blocking=True, context=connection.context(msg)
    )
    connection.send_result(msg["id"], MARK)


@websocket_api.websocket_command({vol.Required("type"): "sms1680/subscribe"})
@callback
def _subscribe(hass: HomeAssistant, connection: ActiveConnection, msg: _Message) -> None:
    """Send an event whenever something changes, with the conversation, or None for anything else.

    The events carry no content, and none is sent about a conversation or a group that the user may not read. The events
    about alarms have the field `alarms`.
    """
    subscription = _Subscription(hass, connection, msg["id"])
    subscription.connect()
    connection.subscriptions[msg["id"]] = subscription.stop
    connection.send_result(msg["id"])


class _Subscription:
    """Forwards the changes of all accounts to one connection."""

    def __init__(self, hass: HomeAssistant, connection: ActiveConnection, message_id: int) -> None:
        self._hass = hass
        self._connection = connection
        self._message_id = message_id
        self._unsubscribe: list[CALLBACK_TYPE] = []

    @callback
    def connect(self) -> None:
        """Listen to all accounts that exist now."""
        self.stop()
        self._unsubscribe = [
            async_dispatcher_connect(self._hass, signal(entry.entry_id), handler)
            for entry in self._hass.config_entries.async_entries(DOMAIN)
            for signal, handler in (
                (signal_delivery, self._on_delivery),
                (signal_waiting, self._on_other),
                (signal_health, self._on_other),
                (signal_alarm, self._on_alarm),
            )
        ]
        self._unsubscribe += [
            async_listen(self._hass, event, self._on_event, entry.entry_id)
            for entry in self._hass.config_entries.async_entries(DOMAIN)
            for event in (EVENT_MESSAGE_RECEIVED, EVENT_MESSAGE_FAILED)
        ]
        self._unsubscribe.append(async_dispatcher_connect(self._hass, SIGNAL_CONFIG_ENTRY_CHANGED, self._on_entry))

    @callback
    def stop(self) -> None:
        """Stop listening."""
        while self._unsubscribe:
            self._unsubscribe.pop()()

    @callback
    def _on_event(self, data: dict[str, Any]) -> None:
        self._forward(data["number"])

    @callback
    def _on_delivery(self, update: DeliveryUpdate) -> None:
        self._forward(update.number)

    @callback
    def _on_alarm(self, data: dict[str, Any]) -> None:
        viewer = Viewer(self._hass, self._connection.user)
        if viewer.may_read_group(data[ATTR_CONFIG_ENTRY_ID], data["subentry_id"]):
            self._connection.send_event(self._message_id, MARK | {"conversation": None, "alarms": True})

    @callback
    def _on_other(self) -> None:
        self._forward(None)

    @callback
    def _on_entry(self, _: object, entry: ConfigEntry[Any]) -> None:
        if entry.domain == DOMAIN:
            self.connect()
            # The alarms of an account are listed while it is loaded.
            self._connection.send_event(self._message_id, MARK | {"conversation": None, "alarms": True})

    def _forward(self, number: str | None) -> None:
        conversation = None
        if number is not None:
            key = Viewer(self._hass, self._connection.user).conversation(number)
            if key is None:
                return
            conversation = key.id
        self._connection.send_event(self._message_id, MARK | {"conversation": conversation})


def _conversation(viewer: Viewer, msg: _Message) -> ConversationKey:
    """Return the conversation that a command names. Raises ServiceValidationError if the user may not read it."""
    key = viewer.find(msg["conversation"])
    if key is None:
        raise validation_error("no_such_recipient", recipients=mask_number(msg["conversation"]))
    return key
