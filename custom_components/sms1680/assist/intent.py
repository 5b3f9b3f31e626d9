"""The intent `SMS1680Send`: agents send messages to recipients by their names."""

from typing import Any, Final, override

import voluptuous as vol
from homeassistant.auth.permissions.const import POLICY_CONTROL
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import config_validation as cv, intent
from homeassistant.util import dt as dt_util

from ..account.journal import SendContext
from ..client import Outcome
from ..client.outcomes import Language
from ..deferred.models import DeliveryResult
from ..errors import DropReason, reason_and_advice
from ..outbound.message import MessageOptions, text_to
from ..outbound.pipeline import async_deliver
from ..outbound.unsent import Unsent, reports_rejection
from ..recipients import Addressee
from .names import find_by_name, is_number, notify_entity, recipient_names
from .texts import Phrase

INTENT_SEND: Final = "SMS1680Send"
SLOT_RECIPIENT: Final = "recipient"
SLOT_MESSAGE: Final = "message"
_MOST_NAMES: Final = 20
_WORDS: Final = {Outcome.ACCEPTED: Phrase.SENT, Outcome.HELD: Phrase.HELD, Outcome.UNKNOWN: Phrase.UNKNOWN}


class SendIntent(intent.IntentHandler):
    """Sends a message to one recipient, and says in words what happened to it."""

    intent_type = INTENT_SEND
    description = (
        "Sends a text message (SMS) to a person of this home, who is given by name or alias and never by number. "
        "The answer says whether the message was sent: repeat it to the user and do not send the message again."
    )

    @property
    @override
    def slot_schema(self) -> dict[Any, Any]:
        """Return the slots, described for language models."""
        return {
            vol.Required(SLOT_RECIPIENT, description="The name or alias of the person"): cv.string,
            vol.Required(SLOT_MESSAGE, description="The text of the message, as the user wants it"): cv.string,
        }

    @override
    async def async_handle(self, intent_obj: intent.Intent) -> intent.IntentResponse:
        """Send the message."""
        slots = self.async_validate_slots(intent_obj.slots)
        lang: Language = "zh" if intent_obj.language.lower().startswith("zh") else "en"
        name, text = slots[SLOT_RECIPIENT]["value"].strip(), slots[SLOT_MESSAGE]["value"].strip()
        sent, words = await _async_send(intent_obj.hass, name, text, intent_obj.context, lang)
        response = intent_obj.create_response()
        if sent:
            response.async_set_speech(words)
        else:
            response.async_set_error(intent.IntentResponseErrorCode.FAILED_TO_HANDLE, words)
        return response


async def _async_send(hass: HomeAssistant, name: str, text: str, context: Context, lang: Language) -> tuple[bool, str]:
    """Send a text to the recipient with a name. Return whether it was sent or will be, and the words to say."""
    found = find_by_name(hass, name)
    if not text:
        return False, Phrase.EMPTY.in_language(lang)
    if len(found) != 1:
        return False, _not_found(hass, name, found, lang)
    (addressee,) = found
    shown = addressee.name or name
    if not await _async_may_send(hass, addressee, context):
        return False, Phrase.NOT_ALLOWED.in_language(lang, name=shown)
    if addressee.entry.state is not ConfigEntryState.LOADED:
        reason = DropReason.ACCOUNT_NOT_LOADED.sentence(lang)
        return False, Phrase.NOT_SENT.in_language(lang, name=shown, reason=reason)
    origin = SendContext.of_call(hass, context)
    options = MessageOptions(context=origin)
    try:
        with reports_rejection(hass, [Unsent.from_addressee(addressee)], options.priority, origin):
            (result,) = await async_deliver(hass, [addressee], text_to([addressee], text), options, context=context)
    except HomeAssistantError:
        return False, Phrase.NOT_VALID.in_language(lang, name=shown)
    return _words_of(result, shown, lang)


def _not_found(hass: HomeAssistant, name: str, found: list[Addressee], lang: Language) -> str:
    """Return the words about a name that no recipient has, or several."""
    if is_number(name):
        return Phrase.NO_NUMBERS.in_language(lang)
    comma = "、" if lang == "zh" else ", "
    if found:
        names = comma.join(f"{one.name} ({one.entry.title})" for one in found)
        return Phrase.AMBIGUOUS.in_language(lang, name=name, names=names)
    words = Phrase.NOBODY.in_language(lang, name=name)
    if known := recipient_names(hass)[:_MOST_NAMES]:
        words += ("" if lang == "zh" else " ") + Phrase.KNOWN.in_language(lang, names=comma.join(known))
    return words


async def _async_may_send(hass: HomeAssistant, addressee: Addressee, context: Context) -> bool:
    """Return whether the user of a context may control the recipient's notify entity."""
    if context.user_id is None:
        return True
    user = await hass.auth.async_get_user(context.user_id)
    entity_id = notify_entity(hass, addressee)
    return user is not None and (user.is_admin or user.permissions.check_entity(entity_id or "", POLICY_CONTROL))


def _words_of(result: DeliveryResult, name: str, lang: Language) -> tuple[bool, str]:
    """Return whether a message was sent or will be, and the words that say it."""
    receipt = result.receipt
    if result.delayed_until is not None:
        words = Phrase.QUIET if receipt.reason is None else Phrase.HELD_BACK
        until = dt_util.as_local(result.delayed_until).strftime("%H:%M")
        return True, words.in_language(lang, name=name, time=until)
    if result.trying_until is not None:
        until = dt_util.as_local(result.trying_until).strftime("%H:%M")
        return True, Phrase.TRYING.in_language(lang, name=name, time=until)
    if receipt.outcome is not Outcome.ACCEPTED and result.is_handled:
        return True, Phrase.FALLBACK.in_language(lang, name=name)
    if words_of_outcome := _WORDS.get(receipt.outcome):
        return True, words_of_outcome.in_language(lang, name=name)
    return False, Phrase.NOT_SENT.in_language(lang, name=name, reason=reason_and_advice(receipt, lang))
