"""The action `ask_question`: send a question, wait for the answer, and return it or the reason for its absence."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import voluptuous as vol
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import VolDictType

from ..account.journal import SendContext
from ..client import mask_number
from ..const import ATTR_CONFIG_ENTRY_ID, CONF_SAFE_TEXT, DOMAIN
from ..conversation.engine import Answers, InvalidAnswerError
from ..deferred.models import DeliveryResult
from ..deferred.policy import DeliveryPolicy, Fallback
from ..errors import validation_error
from ..outbound.long_text import shorten_for, shorten_question
from ..outbound.message import MessageOptions, check, text_to
from ..outbound.pipeline import async_deliver
from ..outbound.recipients import ATTR_NUMBER, WrongTarget, async_target_addressees
from ..outbound.send import report_end, send_with_safe_text
from ..outbound.target_fields import TARGET_FIELDS
from ..outbound.unsent import async_report_wrong
from ..recipients import Addressee
from .drill import async_report_drill
from .question_run import AskedPhone, QuestionRequest, QuestionRun
from .schemas import ATTR_PRIORITY, PRIORITY, MaskedSchema, call_context

_LOGGER = logging.getLogger(__name__)

ATTR_QUESTION: Final = "question"
ATTR_ANSWERS: Final = "answers"
ATTR_ID: Final = "id"
ATTR_SENTENCES: Final = "sentences"
ATTR_TIMEOUT: Final = "timeout"
ATTR_WAIT_FOR_ALL: Final = "wait_for_all"
ATTR_TELL_OTHERS: Final = "tell_others"
ATTR_TAG: Final = "tag"
ATTR_DRILL: Final = "drill"

# Stands in `tell_others` for the name of the person who answered.
_NAME: Final = "{name}"


def _word(value: object) -> str:
    """Return a word that YAML parsed as a truth value or number."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return cv.string(value)


_ANSWER: Final[VolDictType] = {
    vol.Required(ATTR_ID): _word,
    vol.Optional(ATTR_SENTENCES, default=[]): vol.All(cv.ensure_list, [_word]),
}
ASK_QUESTION: Final = MaskedSchema(
    {
        **TARGET_FIELDS,
        vol.Optional(ATTR_NUMBER): vol.All(cv.ensure_list, [cv.string]),
        vol.Required(ATTR_QUESTION): cv.string,
        vol.Optional(ATTR_ANSWERS, default=[]): vol.All(cv.ensure_list, [vol.Schema(_ANSWER)]),
        vol.Optional(ATTR_TIMEOUT, default=timedelta(minutes=5)): vol.All(
            cv.positive_time_period, vol.Range(min=timedelta(milliseconds=1))
        ),
        vol.Optional(ATTR_WAIT_FOR_ALL, default=False): cv.boolean,
        vol.Optional(ATTR_TELL_OTHERS): cv.string,
        vol.Optional(CONF_SAFE_TEXT): cv.string,
        vol.Optional(ATTR_TAG): cv.string,
        vol.Optional(ATTR_DRILL, default=False): cv.boolean,
        vol.Optional(ATTR_CONFIG_ENTRY_ID): cv.string,
        **PRIORITY,
    }
)


async def async_ask_question(call: ServiceCall) -> ServiceResponse:
    """Ask a question and wait for the answers."""
    hass, data = call.hass, call.data
    addressees, wrong = await async_target_addressees(call)
    async_report_wrong(hass, addressees[0].entry, wrong, data[ATTR_PRIORITY], call_context(call))
    try:
        answers = Answers((answer[ATTR_ID], answer[ATTR_SENTENCES]) for answer in data[ATTR_ANSWERS])
    except InvalidAnswerError as error:
        raise validation_error("invalid_answer", answer=str(error)) from None
    words = [word for answer in data[ATTR_ANSWERS] for word in (*answer[ATTR_SENTENCES], answer[ATTR_ID])]
    question = shorten_question(addressees, data[ATTR_QUESTION], words)
    long_text = None if question == data[ATTR_QUESTION] else "cut"
    safe_text = data.get(CONF_SAFE_TEXT, "").strip() or None
    request = QuestionRequest(
        question,
        answers,
        data[ATTR_TIMEOUT].total_seconds(),
        MessageOptions(priority=data[ATTR_PRIORITY], context=call_context(call), long_text=long_text),
        safe_text=safe_text and shorten_for(addressees, safe_text),
        wait_for_all=data[ATTR_WAIT_FOR_ALL],
        tag=data.get(ATTR_TAG),
        drill=data[ATTR_DRILL],
    )
    tell_others: str | None = data.get(ATTR_TELL_OTHERS, "").strip() or None
    _check_texts(hass, addressees, request, tell_others)
    run = QuestionRun(hass, addressees, request)
    await run.async_run()
    if run.first is not None and tell_others is not None:
        _start_telling_others(hass, run, run.first, tell_others)
    return _respond(hass, run, wrong)


def _check_texts(
    hass: HomeAssistant, addressees: list[Addressee], request: QuestionRequest, tell_others: str | None
) -> None:
    """Check every text before anything is sent. Raises ServiceValidationError."""
    texts = [request.text, request.safe_text]
    if tell_others is not None:
        longest = max((_with_name(tell_others, addressee) for addressee in addressees), key=len)
        texts.append(shorten_for(addressees, longest))
    for text in texts:
        if text is not None:
            check(hass, addressees, text_to(addressees, text), request.options)


def _with_name(text: str, addressee: Addressee) -> str:
    return text.replace(_NAME, addressee.name or mask_number(addressee.number))


def _respond(hass: HomeAssistant, run: QuestionRun, wrong: list[WrongTarget]) -> ServiceResponse:
    """Return the response of the action; raise or clear the repair of a drill."""
    responses = [_phone_response(run, phone) for phone in run.phones]
    if run.request.drill:
        async_report_drill(hass, zip(run.phones, responses, strict=True), wrong)
    unasked = map(_wrong_response, wrong)
    if run.first is None:
        return {"id": None, "reason": str(run.question.reason), "answers": [*responses, *unasked]}
    answer = responses[run.phones.index(run.first)]
    return {
        **{name: answer[name] for name in ("id", "sentence", "number", "recipient", "elapsed")},
        "answers": [*responses, *unasked],
    }


def _phone_response(run: QuestionRun, phone: AskedPhone) -> dict[str, Any]:
    """Return the response for one phone."""
    answered, change, outcome = phone.prompt.answer, run.delivery(phone), phone.outcome
    return {
        "id": answered.id if answered else None,
        "sentence": answered.sentence if answered else None,
        "number": phone.prompt.number,
        "recipient": phone.addressee.name,
        "elapsed": round(answered.elapsed, 3) if answered else None,
        "reason": None if answered else str(phone.prompt.reason),
        "outcome": outcome.value if outcome else None,
        "safe_text": phone.result is not None and phone.result.safe,
        "long_text": phone.result.long_text if phone.result else None,
        "delivery": change.state.value if change and change.matched else None,
    }


def _wrong_response(target: WrongTarget) -> dict[str, Any]:
    """Return the response for an invalid target, with the fields of a phone."""
    told = target.as_response()
    return {
        "id": None,
        "sentence": None,
        "number": told["number"],
        "recipient": told["recipient"],
        "elapsed": None,
        "reason": told["reason"],
        "outcome": told["outcome"],
        "safe_text": False,
        "long_text": None,
        "delivery": None,
    }


@callback
def _start_telling_others(hass: HomeAssistant, run: QuestionRun, first: AskedPhone, text: str) -> None:
    """Send the name of the person who answered to the other phones, in the background."""
    sending = _async_tell_others(hass, run, first, _with_name(text, first.addressee))
    first.addressee.entry.async_create_background_task(hass, sending, f"{DOMAIN} tell others")


async def _async_tell_others(hass: HomeAssistant, run: QuestionRun, first: AskedPhone, text: str) -> None:
    """Send a text to the phones that received the question but did not answer it."""
    if first.task is not None:
        await asyncio.wait([first.task])
    addressees = [
        phone.answer_with_extension() for phone in run.phones if phone.prompt.answer is None and phone.may_have_arrived
    ]
    if not addressees:
        return
    message = text_to(addressees, shorten_for(addressees, text))
    options = MessageOptions(context=SendContext(automatic=True))
    results: Sequence[DeliveryResult]
    try:
        # A critical question woke them: do not leave them waiting until their quiet hours end.
        if run.request.options.is_critical:
            check(hass, addressees, message, options)
            results = await send_with_safe_text(hass, addressees, message, options, [None] * len(addressees))
            for result in results:
                report_end(result, options)
        else:
            no_fallback = DeliveryPolicy(fallback=Fallback())
            results = await async_deliver(hass, addressees, message, options, policy=no_fallback)
    except ServiceValidationError as error:
        _LOGGER.warning("Could not tell the others who answered the question (%s)", error.translation_key)
        return
    failed = [one.receipt for one in results if not (one.is_handled or one.receipt.outcome.is_success)]
    if failed:
        outcomes = ", ".join(receipt.outcome.value for receipt in failed)
        _LOGGER.warning("Could not tell the others who answered the question (%s)", outcomes)
