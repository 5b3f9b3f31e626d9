"""Sets up Assist by SMS for an account."""

from homeassistant.core import HomeAssistant, callback

from ..coordinator import Sms1680ConfigEntry
from .memory import AssistMemory
from .replies import AssistReplies


async def async_load_assist(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Let recipients talk to Assist."""
    memory = AssistMemory(hass, entry.entry_id)
    await memory.async_load()
    memory.forget_recipients(entry.subentries)
    entry.runtime_data.conversation.assist = assist = AssistReplies(hass, entry, memory)
    entry.async_on_unload(assist.stop)


@callback
def async_start_assist(entry: Sms1680ConfigEntry) -> None:
    """Inform those whose texts were not answered before Home Assistant or the account stopped."""
    if (assist := entry.runtime_data.conversation.assist) is not None:
        assist.start()
