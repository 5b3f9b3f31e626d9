"""What Home Assistant's Assist does before it asks the agent of a pipeline: sentence triggers and local intents."""

from collections.abc import Awaitable, Callable
from dataclasses import fields
from inspect import signature
from typing import Any, Final

from homeassistant.const import ATTR_SUPPORTED_FEATURES
from homeassistant.core import HomeAssistant
from homeassistant.helpers import intent
from homeassistant.helpers.chat_session import async_get_chat_session

# Intents that an agent with access to Home Assistant handles better, as in `assist_pipeline`.
_FOR_THE_AGENT: Final = (intent.INTENT_GET_STATE, "HassMediaSearchAndPlay")
_SENTENCE_TRIGGER: Final = "sentence_trigger"


async def async_converse_locally_first(
    hass: HomeAssistant,
    conversation: Any,  # noqa: ANN401 - the module of the integration, which is loaded only if it is set up
    ask: Callable[[str], Awaitable[Any]],
    *,
    prefer_local: bool,
    **given: Any,
) -> Any:  # noqa: ANN401 - ConversationResult
    """Return what a sentence trigger or, if they are preferred, a local intent answers; otherwise, what the agent does.

    ask: asks the agent, given the id of the conversation. given: the fields of the input.
    """
    known = {field.name for field in fields(conversation.ConversationInput)}
    rest = {name: None for name in ("device_id", "satellite_id") if name in known}
    user_input = conversation.ConversationInput(**given, **rest)
    in_session = async_get_chat_session(hass, user_input.conversation_id)
    with in_session as session, conversation.async_get_chat_log(hass, session, user_input) as chat_log:
        by, response = await _async_handle(hass, conversation, user_input, chat_log, prefer_local=prefer_local)
        if response is None:
            return await ask(session.conversation_id)
        speech = response.speech.get("plain", {}).get("speech", "")
        content = conversation.AssistantContent(agent_id=by, content=speech)
        chat_log.async_add_assistant_content_without_tools(content)
        return conversation.ConversationResult(response=response, conversation_id=session.conversation_id)


async def _async_handle(
    hass: HomeAssistant,
    conversation: Any,  # noqa: ANN401 - as above
    user_input: Any,  # noqa: ANN401 - ConversationInput
    chat_log: Any,  # noqa: ANN401 - ChatLog
    *,
    prefer_local: bool,
) -> tuple[str, intent.IntentResponse | None]:
    """Return who answers and the answer, None if the agent is to answer."""
    handle_triggers, handle_intents = conversation.async_handle_sentence_triggers, conversation.async_handle_intents
    # Later versions also take the log of the conversation.
    log = [chat_log] if "chat_log" in signature(handle_intents).parameters else []
    words = await handle_triggers(hass, user_input, *log)
    if words is not None:
        response = intent.IntentResponse(user_input.language)
        response.async_set_speech(words)
        return _SENTENCE_TRIGGER, response
    if not prefer_local:
        return user_input.agent_id, None
    state = hass.states.get(user_input.agent_id)
    features = state.attributes.get(ATTR_SUPPORTED_FEATURES, 0) if state else 0
    controls = bool(features & conversation.ConversationEntityFeature.CONTROL)
    response = await handle_intents(hass, user_input, *log, intent_filter=_is_for_the_agent if controls else None)
    return conversation.HOME_ASSISTANT_AGENT, response


def _is_for_the_agent(result: Any) -> bool:  # noqa: ANN401 - RecognizeResult, of a package that Assist needs
    return result.intent.name in _FOR_THE_AGENT
