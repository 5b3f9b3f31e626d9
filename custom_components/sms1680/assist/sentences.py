"""The sentences of the intent for Home Assistant's own agent, in English and Chinese.

Integrations cannot add sentences to Home Assistant's languages. A sentence trigger, as automations have it, works with
every agent and in every language. Its slots have no punctuation, so the message is read from the whole sentence again.
"""

import logging
import re
from collections.abc import Iterator
from typing import Any, Final

from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import intent
from homeassistant.helpers.script import ScriptRunResult
from homeassistant.helpers.trigger import async_initialize_triggers, async_validate_trigger_config
from homeassistant.setup import async_when_setup

from ..client.outcomes import Language
from ..const import DOMAIN
from .intent import INTENT_SEND, SLOT_MESSAGE, SLOT_RECIPIENT, SendIntent
from .names import find_by_name

_LOGGER = logging.getLogger(__name__)

SENTENCES: Final = (
    "(text|sms) {recipient} (that|saying) {message}",
    "send [a|an] (text|text message|sms|sms message) to {recipient} (that|saying) {message}",
    "tell {recipient} by (text|sms|text message) [that] {message}",
    "(发|发送)[一][个|条](短信|短消息)给{recipient}说{message}",
    "给{recipient}(发|发送)[一][个|条](短信|短消息)说{message}",
)
_TEXT: Final = r"(?:text(?:\s+message)?|sms(?:\s+message)?)"
_SMS: Final = r"(?:发送?)\s*一?\s*[个条]?\s*(?:短信|短消息)"
_THAT: Final = r"\s+(?:that|saying)[\s:,]+"
_SAY: Final = r"\s*[,，]?\s*说\s*[:：,，]?\s*"
# The words before the recipient, and those between the recipient and the message.
_FORMS: Final[tuple[tuple[Language, str, str], ...]] = (
    ("en", r"(?:text|sms)\s+", _THAT),
    ("en", rf"send\s+(?:an?\s+)?{_TEXT}\s+to\s+", _THAT),
    ("en", r"tell\s+", rf"\s+by\s+{_TEXT}(?:[\s:,]+that)?[\s:,]+"),
    ("zh", rf"{_SMS}\s*给\s*", _SAY),
    ("zh", r"给\s*", rf"\s*{_SMS}{_SAY}"),
)
_PATTERNS: Final = tuple(
    (lang, re.compile(before, re.IGNORECASE), re.compile(between, re.IGNORECASE)) for lang, before, between in _FORMS
)


def read_sentence(hass: HomeAssistant, sentence: str) -> tuple[str, str, Language] | None:
    """Return the recipient's name, the message and the language of a sentence; return None if it is another one.

    A word such as 说 can also be part of a name: the first reading with the name of a recipient counts.
    """
    readings = list(_readings(sentence.strip()))
    named = (one for one in readings if find_by_name(hass, one[0]))
    return next(named, readings[0] if readings else None)


def _readings(sentence: str) -> Iterator[tuple[str, str, Language]]:
    for lang, before, between in _PATTERNS:
        if begin := before.match(sentence):
            for found in between.finditer(sentence, begin.end() + 1):
                if message := sentence[found.end() :].strip():
                    yield sentence[begin.end() : found.start()].strip(), message, lang


async def _async_send(hass: HomeAssistant, run_variables: dict[str, Any]) -> ScriptRunResult | None:
    """Handle a sentence with the intent, and return its words as the response of the conversation."""
    trigger = run_variables["trigger"]
    if (found := read_sentence(hass, trigger["sentence"])) is None:
        return None
    name, message, lang = found
    given = trigger["user_input"].get("context") or {}
    response = await intent.async_handle(
        hass,
        DOMAIN,
        INTENT_SEND,
        {SLOT_RECIPIENT: {"value": name}, SLOT_MESSAGE: {"value": message}},
        trigger["sentence"],
        Context(user_id=given.get("user_id"), parent_id=given.get("parent_id"), id=given.get("id")),
        lang,
    )
    words = response.speech.get("plain", {}).get("speech", "")
    return ScriptRunResult(words, None, {})


def async_setup_intent(hass: HomeAssistant) -> None:
    """Register the intent, and its sentences as soon as Home Assistant's conversation is set up."""
    intent.async_register(hass, SendIntent())

    async def send(run_variables: dict[str, Any], context: Context | None = None) -> ScriptRunResult | None:  # noqa: ARG001
        return await _async_send(hass, run_variables)

    def log(level: int, message: str, **options: Any) -> None:
        _LOGGER.log(level if level >= logging.WARNING else logging.DEBUG, "%s", message, **options)

    async def add_sentences(hass: HomeAssistant, _: str) -> None:
        triggers = [{"platform": "conversation", "command": list(SENTENCES)}]
        config = await async_validate_trigger_config(hass, triggers)
        await async_initialize_triggers(hass, config, send, DOMAIN, "SMS 1680", log)

    async_when_setup(hass, "conversation", add_sentences)
