"""Ask a conversation agent of Home Assistant, and return its answer in words."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Final

from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.helpers import intent
from homeassistant.loader import async_get_loaded_integration

from .local import async_converse_locally_first
from .texts import Phrase, is_chinese, language_of

_LOGGER = logging.getLogger(__name__)

TIMEOUT: Final = 30.0  # seconds
_ANY_LANGUAGE: Final = "*"


@dataclass(frozen=True, repr=False)
class Answer:
    """The answer of an agent. conversation_id: with which the conversation goes on, None after an error."""

    words: str
    conversation_id: str | None = None


@callback
def loaded_component(hass: HomeAssistant, domain: str) -> Any:  # noqa: ANN401 - a module
    """Return the module of an integration that is set up.

    A dependency, also one that is only loaded before, would have to be installed: without the packages of Assist, no
    message could be sent. Raises IntegrationNotLoaded.
    """
    return async_get_loaded_integration(hass, domain).get_component()


async def async_ask(
    hass: HomeAssistant, text: str, agent_id: str | None, conversation_id: str | None, context: Context
) -> Answer:
    """Ask an agent in the language of the text. Each failure is an answer in words.

    agent_id: None for the agent of the preferred pipeline. conversation_id: of the earlier texts of this conversation.
    """
    lang = language_of(hass, text)
    try:
        pipeline = None if agent_id else _preferred_pipeline(hass)
        agent_id = agent_id or (pipeline.conversation_engine if pipeline else None)
        spoken = _agent_language(hass, text, pipeline.conversation_language if pipeline else None)
        conversation = loaded_component(hass, "conversation")

        async def ask(conversation_id: str | None) -> Any:  # noqa: ANN401 - ConversationResult
            return await conversation.async_converse(hass, text, conversation_id, context, spoken, agent_id)

        async with asyncio.timeout(TIMEOUT):
            if pipeline is None or agent_id == conversation.HOME_ASSISTANT_AGENT:
                result = await ask(conversation_id)
            else:
                result = await async_converse_locally_first(
                    hass,
                    conversation,
                    ask,
                    prefer_local=pipeline.prefer_local_intents,
                    text=text,
                    context=context,
                    conversation_id=conversation_id,
                    language=spoken,
                    agent_id=agent_id,
                )
        response = result.response
        words = response.speech.get("plain", {}).get("speech") or ""
    except TimeoutError:
        return Answer(Phrase.TOO_SLOW.in_language(lang))
    except Exception as error:  # noqa: BLE001 - agents are other integrations, and their errors can contain the text
        _LOGGER.warning("A conversation agent failed to answer an SMS (%s)", type(error).__name__)
        return Answer(Phrase.FAILED.in_language(lang))
    if response.error_code is intent.IntentResponseErrorCode.UNKNOWN:
        # The words are the text of an exception, which can contain an address.
        _LOGGER.warning("A conversation agent answered an SMS with an error")
        return Answer(Phrase.FAILED.in_language(lang))
    return Answer(words.strip() or Phrase.DONE.in_language(lang), result.conversation_id)


@callback
def _preferred_pipeline(hass: HomeAssistant) -> Any:  # noqa: ANN401 - a class of an integration that may be missing
    """Return the preferred pipeline, None without pipelines: then Home Assistant's own agent answers."""
    if "assist_pipeline" not in hass.config.components:
        return None
    return loaded_component(hass, "assist_pipeline").async_get_pipeline(hass)


def _agent_language(hass: HomeAssistant, text: str, pipeline_language: str | None) -> str:
    """Return the language to ask in: that of the pipeline or of Home Assistant if the text is in it."""
    if language_of(hass, text) == "zh" and not is_chinese(text):
        return hass.config.language  # a text without letters
    chinese = is_chinese(text)
    for candidate in (pipeline_language, hass.config.language):
        if candidate and candidate != _ANY_LANGUAGE and candidate.lower().startswith("zh") == chinese:
            return candidate
    return "zh-Hans" if chinese else "en"
