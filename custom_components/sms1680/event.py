"""Event entities: the inbox of an account, the messages of each recipient, and the alarms of each group.

Each entity shows an event once: it restores nothing after a restart or reload, and ignores repeated pushes. So Home
Assistant need not store its state, which contains number and text. Automations that must not miss anything use the bus
events.
"""

from typing import Any, override

from homeassistant.components.event import EventEntity
from homeassistant.core import Context, HomeAssistant, State, callback
from homeassistant.helpers import restore_state
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity import Entity
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import (
    ATTR_CONFIG_ENTRY_ID,
    EVENT_DELIVERY_REPORT,
    EVENT_MESSAGE_FAILED,
    EVENT_MESSAGE_RECEIVED,
    signal_alarm,
)
from .conversation.engine.commands import AuthResult
from .coordinator import Sms1680ConfigEntry
from .duty.engine import AlarmStep
from .entity import AccountEntity, GroupEntity, RecipientEntity, async_add_group_entities, async_add_recipient_entities
from .events.context import EVENT_CONTEXT
from .events.signals import async_listen
from .store.restored_states import forget_restored_states

PARALLEL_UPDATES = 0  # the entities do not poll

EVENT_RECEIVED = "received"
EVENT_ACCEPTED_COMMAND = "command"
EVENT_OPTED_OUT = "opted_out"
# "delivered" and "failed" are states of a delivery report.
EVENT_UNDELIVERED = "undelivered"
EVENT_TYPES = [EVENT_RECEIVED, EVENT_ACCEPTED_COMMAND, EVENT_OPTED_OUT, "delivered", "failed", EVENT_UNDELIVERED]

# Data of the bus event that the entity's attributes omit as redundant.
_OMITTED = frozenset({ATTR_CONFIG_ENTRY_ID, "subentry_id", "redelivered", "state", "settled"})


async def async_setup_entry(
    hass: HomeAssistant, entry: Sms1680ConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the inbox of the account, the messages of each recipient, and the alarms of each group."""
    forget_restored_states(hass)
    async_add_entities([InboxEvents(entry, "inbox")])
    async_add_recipient_entities(
        hass, entry, async_add_entities, lambda subentry: [RecipientEvents(hass, entry, subentry, "messages")]
    )
    async_add_group_entities(
        hass, entry, async_add_entities, lambda subentry: AlarmEvents(hass, entry, subentry, "alarms")
    )


class _UnstoredEvents(EventEntity):
    """Base of the event entities. They are available whether the account is connected or not."""

    entry: Sms1680ConfigEntry

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        restore_state.async_get(self.hass).entities.pop(self.entity_id, None)  # its state must not be stored

    @override
    async def async_get_last_state(self) -> State | None:
        """Restore nothing."""
        return None

    @override
    async def async_internal_will_remove_from_hass(self) -> None:
        """Skip `RestoreEntity`, which stores the last state. It does not know this entity any more."""
        await Entity.async_internal_will_remove_from_hass(self)

    def _show(self, event_type: str, data: dict[str, Any]) -> None:
        """Show an event, in the context of the bus event."""
        self._trigger_event(event_type, data)
        self.async_set_context(EVENT_CONTEXT.get() or Context())
        self.async_write_ha_state()


class _MessageEvents(_UnstoredEvents):
    """Base of the event entities for messages."""

    _attr_event_types = EVENT_TYPES
    _unrecorded_attributes = frozenset({"number", "content", "plain"})

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        for event, listener in (
            (EVENT_MESSAGE_RECEIVED, self._on_message),
            (EVENT_DELIVERY_REPORT, self._on_report),
            (EVENT_MESSAGE_FAILED, self._on_failure),
        ):
            self.async_on_remove(async_listen(self.hass, event, listener, self.entry.entry_id, self._subentry_id))

    @property
    def _subentry_id(self) -> str | None:
        """The subentry whose events this entity shows, None for all."""
        return None

    @callback
    def _on_message(self, data: dict[str, Any]) -> None:
        event_type = EVENT_RECEIVED
        if data["opted_out"]:
            event_type = EVENT_OPTED_OUT
        elif data["command"] == AuthResult.ACCEPTED:
            event_type = EVENT_ACCEPTED_COMMAND
        self._trigger(event_type, data)

    @callback
    def _on_report(self, data: dict[str, Any]) -> None:
        if data["state"] in EVENT_TYPES:
            self._trigger(data["state"], data)

    @callback
    def _on_failure(self, data: dict[str, Any]) -> None:
        self._trigger(EVENT_UNDELIVERED, data)

    def _trigger(self, event_type: str, data: dict[str, Any]) -> None:
        if not data.get("redelivered"):
            shown = data.copy()
            for name in _OMITTED:
                shown.pop(name, None)
            self._show(event_type, shown)


class InboxEvents(_MessageEvents, AccountEntity):
    """Everything that an account receives, including messages from unknown numbers."""


class RecipientEvents(_MessageEvents, RecipientEntity):
    """The replies of a recipient and the delivery reports of the messages to them."""

    _attr_translation_key = "messages"

    @property
    @override
    def _subentry_id(self) -> str | None:
        return self.subentry.subentry_id


class AlarmEvents(_UnstoredEvents, GroupEntity):
    """The steps of a group's alarms."""

    _attr_event_types = [step.value for step in AlarmStep]  # noqa: RUF012 - the base class's own type
    _unrecorded_attributes = frozenset({"message"})

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        signal = signal_alarm(self.entry.entry_id)
        self.async_on_remove(async_dispatcher_connect(self.hass, signal, self._on_step))

    @callback
    def _on_step(self, data: dict[str, Any]) -> None:
        if data["subentry_id"] == self.group_id:
            self._show(
                data["step"],
                {key: value for key, value in data.items() if key not in _OMITTED | {"step"}}
                | {"alarm_state": data["state"]},
            )
