"""One notify entity a recipient."""

from __future__ import annotations

from typing import override

from homeassistant.components.notify import NotifyEntity
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .client import SMS1680Error
from .const import CONF_NUMBER
from .coordinator import Sms1680ConfigEntry
from .entity import RecipientEntity, async_add_recipient_entities

PARALLEL_UPDATES = 0  # the core paces


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

    @override
    async def async_send_message(self, message: str, title: str | None = None) -> None:
        try:
            await self.entry.runtime_data.client.send(self.subentry.data[CONF_NUMBER], message)
        except SMS1680Error as error:
            raise HomeAssistantError(error.sentence()) from None
