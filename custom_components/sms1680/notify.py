"""One notify entity a recipient; and the door of the YAML platform, which Home Assistant looks for here."""

from __future__ import annotations

from typing import override

from homeassistant.components.notify import BaseNotificationService, NotifyEntity, NotifyEntityFeature
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.typing import ConfigType, DiscoveryInfoType

from .actions import legacy_notify as yaml_notify
from .client import InvalidMessageError
from .context import sending_for
from .coordinator import Sms1680ConfigEntry
from .deferred.models import DeliveryResult
from .entity import RecipientEntity, async_add_recipient_entities
from .errors import invalid_message_error, send_error
from .outbound.message import Items, Options, check, one_text
from .outbound.pipeline import async_deliver
from .recipients import Addressee

PLATFORM_SCHEMA = yaml_notify.PLATFORM_SCHEMA
PARALLEL_UPDATES = 0  # the core paces


async def async_get_service(
    hass: HomeAssistant,
    config: ConfigType,
    discovery_info: DiscoveryInfoType | None = None,  # noqa: ARG001 - Home Assistant's signature
) -> BaseNotificationService:
    """Return the service of one line of YAML."""
    return await yaml_notify.async_get_service(hass, config)


async def async_setup_entry(
    hass: HomeAssistant, entry: Sms1680ConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add a notify entity for each recipient."""
    async_add_recipient_entities(
        hass, entry, async_add_entities, lambda subentry: [RecipientNotify(hass, entry, subentry, "notify")]
    )


class RecipientNotify(RecipientEntity, NotifyEntity):
    """Sends to one recipient. Always available: a send to an unavailable entity would succeed without a word."""

    _attr_name = None
    _attr_translation_key = "recipient"
    _attr_supported_features = NotifyEntityFeature.TITLE

    @override
    async def async_added_to_hass(self) -> None:
        self.entry.runtime_data.notify_entities[self.subentry.subentry_id] = self

    @override
    async def async_will_remove_from_hass(self) -> None:
        self.entry.runtime_data.notify_entities.pop(self.subentry.subentry_id, None)

    @override
    async def async_send_message(self, message: str, title: str | None = None) -> None:
        recipient = self.subentry
        text = f"{title}\n{message}" if title else message
        addressee = Addressee.from_subentry(self.entry, recipient)

        async def share(items: Items[None]) -> list[DeliveryResult]:
            sharing = self.entry.runtime_data.sharing
            try:
                return [DeliveryResult(one, await sharing.send(one.number, text, one.extension)) for one, _ in items]
            except InvalidMessageError as error:
                raise invalid_message_error(self.hass, error) from None

        with sending_for(self.hass, self._context):
            check(self.hass, [(addressee, None)], one_text(text), Options())
            (delivered,) = await async_deliver(
                self.hass, [(addressee, None)], one_text(text), Options(), context=self._context, send=share
            )
        if delivered.is_handled:
            return
        if failure := send_error(self.hass, [(recipient.title, delivered.final_receipt)]):
            raise failure
