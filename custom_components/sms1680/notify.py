"""The notify entities of recipients and groups, and the entry point of the YAML platform."""

import hashlib
from typing import override

from homeassistant.components.notify import BaseNotificationService, NotifyEntity, NotifyEntityFeature
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.typing import ConfigType, DiscoveryInfoType

from .actions import legacy_notify
from .client.options import Priority
from .coordinator import Sms1680ConfigEntry
from .duty.manager import alarm_manager
from .entity import GroupEntity, RecipientEntity, async_add_group_entities, async_add_recipient_entities
from .events.context import is_automatic
from .outbound.single import async_send_to
from .recipients import Addressee

PLATFORM_SCHEMA = legacy_notify.PLATFORM_SCHEMA
PARALLEL_UPDATES = 0  # the core limits the rate


async def async_get_service(
    hass: HomeAssistant,
    config: ConfigType,
    discovery_info: DiscoveryInfoType | None = None,  # noqa: ARG001 - Home Assistant's signature
) -> BaseNotificationService:
    """Return the notify service of a YAML entry."""
    return await legacy_notify.async_get_service(hass, config)


async def async_setup_entry(
    hass: HomeAssistant, entry: Sms1680ConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the notify entities of each recipient and group."""
    async_add_recipient_entities(
        hass,
        entry,
        async_add_entities,
        lambda subentry: [
            RecipientNotify(hass, entry, subentry, "notify"),
            CriticalNotify(hass, entry, subentry, "notify_critical"),
        ],
    )
    async_add_group_entities(
        hass, entry, async_add_entities, lambda subentry: GroupNotify(hass, entry, subentry, "group")
    )


class _Notify(RecipientEntity, NotifyEntity):
    """Sends to one recipient.

    Always available: Home Assistant skips an unavailable entity without an error, and the message would be lost.
    """

    _attr_supported_features = NotifyEntityFeature.TITLE
    _priority: Priority = "normal"

    @override
    async def async_send_message(self, message: str, title: str | None = None) -> None:
        addressee = Addressee.from_subentry(self.entry, self.subentry)
        text = f"{title}\n{message}" if title else message
        batched = self._priority == "normal"
        await async_send_to(self.hass, addressee, text, self._context, priority=self._priority, batched=batched)


class RecipientNotify(_Notify):
    """Sends normal messages."""

    _attr_name = None
    _attr_translation_key = "recipient"

    @override
    async def async_added_to_hass(self) -> None:
        self.entry.runtime_data.notify_entities[self.subentry.subentry_id] = self

    @override
    async def async_will_remove_from_hass(self) -> None:
        self.entry.runtime_data.notify_entities.pop(self.subentry.subentry_id, None)


class CriticalNotify(_Notify):
    """Sends critical messages: `notify.send_message` has no field for the priority."""

    _attr_translation_key = "recipient_critical"
    _attr_entity_registry_enabled_default = False
    _priority = "critical"


class GroupNotify(GroupEntity, NotifyEntity):
    """Raises an alarm; the same text adds to it while it is open."""

    _attr_name = None
    _attr_supported_features = NotifyEntityFeature.TITLE

    @override
    async def async_send_message(self, message: str, title: str | None = None) -> None:
        text = f"{title}\n{message}" if title else message
        key = f"notify:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        automatic = is_automatic(self.hass, self._context)
        await alarm_manager(self.hass, self.entry).async_raise(
            self.subentry, text, key, self._context, automatic=automatic
        )
