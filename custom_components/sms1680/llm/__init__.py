"""The tool of language-model agents, where integrations have to offer theirs; earlier versions take every intent."""

from typing import Any

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import intent

from ..assist.agent import loaded_component
from ..assist.intent import INTENT_SEND
from ..assist.names import recipient_names
from ..const import DOMAIN


@callback
def async_get_tools(hass: HomeAssistant, llm_context: Any, api_id: str) -> Any:  # noqa: ANN401, ARG001 - Home Assistant's
    """Return the tool that sends messages, None if there is no recipient or another API is asked for."""
    # This does not exist in the oldest versions, whose Home Assistant does not load this module.
    from homeassistant.helpers.llm import LLM_API_ASSIST, IntentTool, Tool, ToolAnnotations  # noqa: PLC0415

    if api_id != LLM_API_ASSIST or not recipient_names(hass):
        return None
    tools: list[Tool] = [
        IntentTool(
            f"{DOMAIN}__{INTENT_SEND}",
            handler,
            title="Send a text message",
            integration=DOMAIN,
            annotations=ToolAnnotations(idempotent=False, open_world=True),
        )
        for handler in intent.async_get(hass)
        if handler.intent_type == INTENT_SEND
    ]
    return loaded_component(hass, "llm").LLMTools(tools=tools)
