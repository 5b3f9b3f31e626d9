"""The action `ask_question`: send a question, wait for the answer, and tell what came of it, whatever it is."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import voluptuous as vol
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.typing import VolDictType
from homeassistant.util import dt as dt_util

from ..client import Outcome, mask_number
from ..const import ATTR_CONFIG_ENTRY_ID, CONF_SAFE_TEXT, DOMAIN
from ..context import sending_automatically, sending_for
from ..conversation.engine import Answers, InvalidAnswerError, NoAnswer, Prompt, PromptState, Question
from ..conversation.memory_store import now
from ..deferred.models import DeliveryResult
from ..deferred.policy import DeliveryPolicy, Fallback
from ..errors import validation_error
from ..outbound.delivery_tracker import Reports
from ..outbound.message import Options, check, one_text
from ..outbound.pipeline import async_deliver
from ..outbound.policy_source import async_quiet_until
from ..outbound.recipients import ATTR_NUMBER, TARGET_FIELDS, async_addressees
from ..outbound.send import send_with_safe_text
from ..recipients import Addressee
from ..store.db import DeliveryState, DeliveryUpdate
from .drill import DrillResult, async_report_drill
from .schemas import ATTR_PRIORITY, PRIORITY

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

_NAME: Final = "{name}"
_FAILED: Final = {Outcome.REFUSED: NoAnswer.REFUSED, Outcome.NOT_SENT: NoAnswer.NOT_SENT}
# 扣量: the platform keeps the report to itself, the message may well have arrived (chapter 2.5).
_UNCLEAR: Final = "KX:3000"
# Seconds in which a request that was under way at the end may still be answered.
_CUT_OFF: Final = 1.0


def _word(value: object) -> str:
    """Take a word that YAML has made a truth value or a number of."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return cv.string(value)


_ANSWER: Final[VolDictType] = {
    vol.Required(ATTR_ID): _word,
    vol.Optional(ATTR_SENTENCES, default=[]): vol.All(cv.ensure_list, [_word]),
}
ASK_QUESTION: Final = vol.Schema(
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


@callback
def async_setup_ask_question(hass: HomeAssistant) -> None:
    """Register the action."""
    hass.services.async_register(
        DOMAIN, "ask_question", _async_ask_question, ASK_QUESTION, supports_response=SupportsResponse.ONLY
    )


async def _async_ask_question(call: ServiceCall) -> ServiceResponse:
    addressees = await async_addressees(call)
    try:
        answers = Answers((answer[ATTR_ID], answer[ATTR_SENTENCES]) for answer in call.data[ATTR_ANSWERS])
    except InvalidAnswerError as error:
        raise validation_error("invalid_answer", answer=str(error)) from None
    asking = _Asking(call, addressees, answers)
    with sending_for(call.hass, call.context):
        return await asking.async_run()


class _Asking:
    """One question on its way. Raises ServiceValidationError where it could not go out as it stands."""

    def __init__(self, call: ServiceCall, addressees: list[Addressee], answers: Answers) -> None:
        data = call.data
        self._hass = call.hass
        self._receivers = addressees
        self._text: str = data[ATTR_QUESTION]
        self._safe_text: str | None = data.get(CONF_SAFE_TEXT, "").strip() or None
        self._tell_others: str | None = data.get(ATTR_TELL_OTHERS, "").strip() or None
        self._options = Options(priority=data[ATTR_PRIORITY])
        self._seconds: float = data[ATTR_TIMEOUT].total_seconds()
        self._drill: bool = data[ATTR_DRILL]
        self._check()
        self._changed = asyncio.Event()
        self._question = Question(
            answers,
            self._hass.loop.time,
            self._changed.set,
            wait_for_all=data[ATTR_WAIT_FOR_ALL] or self._drill,
            tag=data.get(ATTR_TAG),
        )
        self._reports = Reports(self._hass, {addressee.entry.entry_id for addressee in addressees}, self._hear)
        self._asked: dict[Prompt, Addressee] = {}
        self._sending: dict[Prompt, asyncio.Task[None]] = {}
        self._sent: dict[Prompt, DeliveryResult] = {}
        self._outcomes: dict[Prompt, Outcome] = {}

    async def async_run(self) -> ServiceResponse:
        """Ask, wait and tell."""
        question = self._question
        with self._reports:
            try:
                async with asyncio.timeout(self._seconds):
                    await self._ask_and_wait()
            except TimeoutError:
                await self._cut_off()
                question.time_out()
            finally:
                question.end(NoAnswer.ANOTHER_ANSWERED)
                self._stop_sending()
            await self._cut_off()
        if question.first is not None and self._tell_others is not None:
            answerer = self._asked[question.first]
            telling = self._tell(question.first, self._with_name(self._tell_others, answerer))
            with sending_automatically():
                answerer.entry.async_create_background_task(self._hass, telling, f"{DOMAIN} tell others")
        people = [self._told(part) for part in question.prompts]
        if self._drill:
            self._tell_drill(people)
        if question.first is None:
            return {"id": None, "reason": str(question.reason), "answers": [*people]}
        answer = people[question.prompts.index(question.first)]
        return {
            **{name: answer[name] for name in ("id", "sentence", "number", "recipient", "elapsed")},
            "answers": [*people],
        }

    @property
    def _is_critical(self) -> bool:
        return self._options.priority == "critical"

    def _check(self) -> None:
        """Look at all that may be sent before anything is."""
        texts = [self._text]
        if self._safe_text is not None:
            texts.append(self._safe_text)
        if self._tell_others is not None:
            told = [self._with_name(self._tell_others, addressee) for addressee in self._receivers]
            texts.append(max(told, key=len))
        for text in texts:
            check(self._hass, [(addressee, None) for addressee in self._receivers], one_text(text), self._options)

    @staticmethod
    def _with_name(text: str, addressee: Addressee) -> str:
        return text.replace(_NAME, addressee.name or mask_number(addressee.number))

    async def _ask_and_wait(self) -> None:
        await self._ask()
        while True:
            opened = [part for part in self._asked if part.state is PromptState.OPEN and part not in self._sending]
            if opened:
                sending = self._hass.async_create_background_task(self._send(opened), f"{DOMAIN} question")
                self._sending |= dict.fromkeys(opened, sending)
            if self._question.is_over and (not self._drill or self._is_proven):
                return
            self._changed.clear()
            for task in self._sending.values():
                if task.done() and not task.cancelled() and (error := task.exception()):
                    raise error
            await self._wait()

    async def _ask(self) -> None:
        """Take everybody's turn; whose quiet hours last too long is not asked."""
        deadline = now() + self._seconds
        quiet = [0.0 if self._is_critical else await _quiet_until(addressee) for addressee in self._receivers]
        for addressee, until in zip(self._receivers, quiet, strict=True):
            questions = addressee.entry.runtime_data.conversation.questions
            part = questions.ask(
                self._question, addressee.number, addressee.extension, critical=self._is_critical, not_before=until
            )
            self._asked[part] = addressee
            if until >= deadline:
                part.end(NoAnswer.QUIET_HOURS)

    async def _wait(self) -> None:
        """Wait for a change, or until it may be somebody's turn."""
        queued = [part for part in self._asked if part.state is PromptState.QUEUED]
        pauses = [pause for part in queued if (pause := part.manager.next_opening(part.number)) is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(pauses, default=None)):
                await self._changed.wait()
        for part in queued:
            part.manager.open_next(part.number)

    def _stop_sending(self) -> None:
        """Send the question no further; the request that the answer was to has begun, and ends by itself."""
        begun = self._sending.get(self._question.first) if self._question.first else None
        for task in self._sending.values():
            if task is not begun:
                task.cancel()

    async def _cut_off(self) -> None:
        """Stop sending, and find out what became of those to whom it was under way."""
        self._stop_sending()
        if self._sending:
            await asyncio.wait(self._sending.values(), timeout=_CUT_OFF)
        for part, task in self._sending.items():
            if part in self._sent or part in self._outcomes or not task.cancelled():
                continue
            entry_id = self._asked[part].entry.entry_id
            self._outcomes[part] = await self._reports.outcome(entry_id, part.number, _CUT_OFF)
            if self._outcomes[part] is Outcome.NOT_SENT:
                part.end(NoAnswer.NOT_SENT)

    async def _send(self, parts: list[Prompt]) -> None:
        """Send the question to those whose turn it is, each with the extension that its answer will carry."""
        items = [(replace(self._asked[part], extension=part.extension), None) for part in parts]
        safe_texts = [self._safe_text] * len(items)
        try:
            sent = await send_with_safe_text(self._hass, items, one_text(self._text), self._options, safe_texts)
        finally:
            self._changed.set()
        for part, one in zip(parts, sent, strict=True):
            self._sent[part] = one
            if (reason := _FAILED.get(one.receipt.outcome)) is not None:
                part.end(reason)
        await self._reports.look_up()  # a report may have been faster
        self._hear()

    def _change(self, part: Prompt) -> DeliveryUpdate | None:
        """Return where the question to one person stands, once it was sent."""
        if part not in self._sent:
            return None
        return self._reports.change(self._asked[part].entry.entry_id, part.number)

    @property
    def _is_proven(self) -> bool:
        """Whether the final report came on each question that went out."""
        changes = [self._change(part) for part in self._asked if part.reason is None]
        return all(change is not None and change.settled for change in changes)

    @callback
    def _hear(self) -> None:
        """Give up who was not reached."""
        for part in self._asked:
            change = self._change(part)
            if change is not None and change.state is DeliveryState.FAILED and change.status != _UNCLEAR:
                part.end(NoAnswer.NOT_DELIVERED)
        self._changed.set()

    async def _tell(self, first: Prompt, text: str) -> None:
        """Let those whom the question went to as well, and who have not answered, know who did."""
        await asyncio.wait([self._sending[first]])
        items = [
            (replace(addressee, extension=part.extension), None)
            for part, addressee in self._asked.items()
            if part.answer is None and part in self._sent and self._sent[part].receipt.outcome not in _FAILED
        ]
        if not items:
            return
        way, options = one_text(text), Options()
        try:
            if self._is_critical:  # it has woken them: they may hear that they can sleep on
                told = await send_with_safe_text(self._hass, items, way, options, [None] * len(items))
            else:
                nothing_next = DeliveryPolicy(fallback=Fallback())
                told = await async_deliver(self._hass, items, way, options, asked=nothing_next)
        except ServiceValidationError as error:
            _LOGGER.warning("Who answered a question could not be told to the others (%s)", error.translation_key)
            return
        missed = [one.receipt for one in told if not (one.is_handled or one.receipt.outcome.is_success)]
        if missed:
            _LOGGER.warning(
                "Who answered a question could not be told to the others (%s)",
                ", ".join(receipt.outcome.value for receipt in missed),
            )

    def _tell_drill(self, people: list[dict[str, Any]]) -> None:
        async_report_drill(
            self._hass,
            [
                DrillResult(self._asked[part].entry, told, self._sent[part].receipt if part in self._sent else None)
                for part, told in zip(self._question.prompts, people, strict=True)
            ],
        )

    def _told(self, part: Prompt) -> dict[str, Any]:
        """Return what came of the question to one person, as the action answers it."""
        answered, sent, change = part.answer, self._sent.get(part), self._change(part)
        outcome = sent.receipt.outcome if sent else self._outcomes.get(part)
        return {
            "id": answered.id if answered else None,
            "sentence": answered.sentence if answered else None,
            "number": part.number,
            "recipient": self._asked[part].name,
            "elapsed": round(answered.elapsed, 3) if answered else None,
            "reason": None if answered else str(part.reason),
            "outcome": outcome.value if outcome else None,
            "safe_text": sent is not None and sent.safe,
            "delivery": change.state.value if change and change.matched else None,
        }


async def _quiet_until(addressee: Addressee) -> float:
    """Return when somebody's quiet hours end, in seconds since 1970; 0 outside of them."""
    until = await async_quiet_until(addressee, dt_util.utcnow())
    return until.timestamp() if until else 0.0
