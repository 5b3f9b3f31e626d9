"""Sets up Assist by SMS for an account."""

from homeassistant.core import HomeAssistant, callback

from ..coordinator import Sms1680ConfigEntry
from .replies import AssistReplies


@callback
def async_start_assist(hass: HomeAssistant, entry: Sms1680ConfigEntry) -> None:
    """Let recipients talk to Assist."""
    entry.runtime_data.conversation.assist = assist = AssistReplies(hass, entry)
    entry.async_on_unload(assist.stop)
