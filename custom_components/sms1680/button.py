"""A button of each recipient that sends a test message."""

from typing import Final, override

from homeassistant.components.button import ButtonEntity
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.util import dt as dt_util

from .coordinator import Sms1680ConfigEntry
from .entity import RecipientEntity, async_add_recipient_entities
from .errors import language
from .outbound.single import async_send_to
from .recipients import Addressee

PARALLEL_UPDATES = 0  # the core limits the rate

# The time makes each text unique: some platforms drop equal texts.
_TEXTS: Final = {
    "en": "Test message from Home Assistant, {time}.",
    "zh": "Home Assistant 测试短信，{time}。",
}


async def async_setup_entry(
    hass: HomeAssistant, entry: Sms1680ConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add a button for each recipient."""
    async_add_recipient_entities(
        hass, entry, async_add_entities, lambda subentry: [TestMessageButton(hass, entry, subentry, "test_message")]
    )


class TestMessageButton(RecipientEntity, ButtonEntity):
    """Sends a test message as an automation would: in quiet hours it waits."""

    _attr_entity_category = EntityCategory.DIAGNOSTIC
    _attr_translation_key = "test_message"

    @override
    async def async_press(self) -> None:
        text = _TEXTS[language(self.hass)].format(time=dt_util.now().strftime("%H:%M:%S"))
        await async_send_to(self.hass, Addressee.from_subentry(self.entry, self.subentry), text, self._context)
