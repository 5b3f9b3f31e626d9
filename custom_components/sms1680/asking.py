"""The action `ask_question`: send a question, wait for the answer, and tell what came of it, whatever it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import voluptuous as vol
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.typing import VolDictType

from .client import Outcome, Receipt, ReportState, mask_number
from .const import ATTR_CONFIG_ENTRY_ID, DOMAIN, signal_report
from .conversation import Answers, InvalidAnswerError, NoAnswer, Part, Question, State
from .delivery import Options, async_send, check, one_text
from .drills import async_tell_drill
from .failures import invalid
from .fields import ATTR_PRIORITY, PRIORITY
from .origin import sending_automatically, sending_for
from .targets import ATTR_NUMBER, TARGET_FIELDS, Receiver, async_receivers

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
        vol.Optional(ATTR_TIMEOUT, default=timedelta(minutes=5)): cv.positive_time_period,
        vol.Optional(ATTR_WAIT_FOR_ALL, default=False): cv.boolean,
        vol.Optional(ATTR_TELL_OTHERS): cv.string,
        vol.Optional(ATTR_TAG): cv.string,
        vol.Optional(ATTR_DRILL, default=False): cv.boolean,
        vol.Optional(ATTR_CONFIG_ENTRY_ID): cv.string,
        **PRIORITY,
    }
)


@callback
def async_setup_asking(hass: HomeAssistant) -> None:
    """Register the action."""
    hass.services.async_register(
        DOMAIN, "ask_question", _async_ask_question, ASK_QUESTION, supports_response=SupportsResponse.ONLY
    )


async def _async_ask_question(call: ServiceCall) -> ServiceResponse:
    receivers = await async_receivers(call)
    try:
        answers = Answers((answer[ATTR_ID], answer[ATTR_SENTENCES]) for answer in call.data[ATTR_ANSWERS])
    except InvalidAnswerError as error:
        raise invalid("invalid_answer", answer=str(error)) from None
    asking = _Asking(call, receivers, answers)
    with sending_for(call.hass, call.context):
        return await asking.async_run()


class _Asking:
    """One question on its way. Raises ServiceValidationError where it could not go out as it stands."""

    def __init__(self, call: ServiceCall, receivers: list[Receiver], answers: Answers) -> None:
        data = call.data
        self._hass = call.hass
        self._receivers = receivers
        self._way = one_text(data[ATTR_QUESTION])
        self._options = Options(priority=data[ATTR_PRIORITY])
        self._timeout: timedelta = data[ATTR_TIMEOUT]
        self._tell_others: str | None = data.get(ATTR_TELL_OTHERS)
        self._drill: bool = data[ATTR_DRILL]
        check(self._hass, [(receiver, None) for receiver in receivers], self._way, self._options)
        self._changed = asyncio.Event()
        self._question = Question(
            answers,
            self._hass.loop.time,
            self._changed.set,
            wait_for_all=data[ATTR_WAIT_FOR_ALL] or self._drill,
            tag=data.get(ATTR_TAG),
        )
        self._asked: dict[Part, Receiver] = {}
        self._receipts: dict[Part, Receipt] = {}
        self._reports: dict[tuple[str, str], dict[str, Any]] = {}
        self._sending: dict[Part, asyncio.Task[None]] = {}

    async def async_run(self) -> ServiceResponse:
        """Ask, wait and tell."""
        question = self._question
        with self._hearing_reports():
            try:
                async with asyncio.timeout(self._timeout.total_seconds()):
                    await self._ask_and_wait()
            except TimeoutError:
                question.time_up()
            finally:
                question.end(NoAnswer.ANOTHER_ANSWERED)
                self._stop_sending()
        if question.first is not None and self._tell_others is not None:
            text = self._tell_others.replace(
                _NAME, self._asked[question.first].name or mask_number(question.first.number)
            )
            with sending_automatically():
                self._hass.async_create_background_task(self._tell(question.first, text), f"{DOMAIN} tell others")
        people = [self._told(part) for part in question.parts]
        if self._drill:
            async_tell_drill(self._hass, [receiver.entry for receiver in self._receivers], people)
        if question.first is None:
            return {"id": None, "reason": str(question.reason), "answers": [*people]}
        answer = people[question.parts.index(question.first)]
        return {
            **{name: answer[name] for name in ("id", "sentence", "number", "recipient", "elapsed")},
            "answers": [*people],
        }

    async def _ask_and_wait(self) -> None:
        for receiver in self._receivers:
            desk = receiver.entry.runtime_data.conversation.desk
            self._asked[desk.ask(self._question, receiver.number, receiver.extension)] = receiver
        while True:
            opened = [part for part in self._asked if part.state is State.OPEN and part not in self._sending]
            if opened:
                sending = self._hass.async_create_background_task(self._send(opened), f"{DOMAIN} question")
                self._sending |= dict.fromkeys(opened, sending)
            if self._question.is_over and (not self._drill or self._is_proven):
                return
            self._changed.clear()
            for task in self._sending.values():
                if task.done() and not task.cancelled() and (error := task.exception()):
                    raise error
            await self._changed.wait()

    def _stop_sending(self) -> None:
        """Send the question no further; the request that the answer was to has begun, and ends by itself."""
        begun = self._sending.get(self._question.first) if self._question.first else None
        for task in self._sending.values():
            if task is not begun:
                task.cancel()

    async def _send(self, parts: list[Part]) -> None:
        """Send the question to those whose turn it is, each with the extension that its answer will carry."""
        items = [(replace(self._asked[part], extension=part.extension), None) for part in parts]
        try:
            sent = await async_send(self._hass, items, self._way, self._options)
        finally:
            self._changed.set()
        for part, one in zip(parts, sent, strict=True):
            self._receipts[part] = one.receipt
            if (reason := _FAILED.get(one.receipt.outcome)) is not None:
                part.end(reason)
            elif self._is_undelivered(part):
                part.end(NoAnswer.NOT_DELIVERED)

    def _report(self, part: Part) -> dict[str, Any] | None:
        """Return the last report on the question to one person."""
        receipt = self._receipts.get(part)
        if receipt is None or receipt.message_id is None:
            return None
        return self._reports.get((receipt.message_id, receipt.number))

    def _is_undelivered(self, part: Part) -> bool:
        report = self._report(part)
        return report is not None and report["state"] == ReportState.FAILED and report["status"] != _UNCLEAR

    @property
    def _is_proven(self) -> bool:
        """Whether the final report came on each question that went out."""
        reports = [self._report(part) for part in self._asked if part.reason is None]
        return all(report is not None and report["settled"] for report in reports)

    @contextmanager
    def _hearing_reports(self) -> Iterator[None]:
        """Hear reports from before the question goes out: one may come before the answer to the send."""
        entry_ids = {receiver.entry.entry_id for receiver in self._receivers}
        stops: list[Callable[[], None]] = [
            async_dispatcher_connect(self._hass, signal_report(entry_id), self._hear) for entry_id in entry_ids
        ]
        try:
            yield
        finally:
            for stop in stops:
                stop()

    @callback
    def _hear(self, report: dict[str, Any]) -> None:
        self._reports[report["message_id"], report["number"]] = report
        for part in self._asked:
            if self._is_undelivered(part):
                part.end(NoAnswer.NOT_DELIVERED)
        self._changed.set()

    async def _tell(self, first: Part, text: str) -> None:
        """Let those whom the question went to as well, and who have not answered, know who did."""
        await self._sending[first]
        items = [
            (replace(receiver, extension=part.extension), None)
            for part, receiver in self._asked.items()
            if part.answered is None and part in self._receipts and self._receipts[part].outcome not in _FAILED
        ]
        if items:
            await async_send(self._hass, items, one_text(text), Options())

    def _told(self, part: Part) -> dict[str, Any]:
        """Return what came of the question to one person, as the action answers it."""
        answered, receipt, report = part.answered, self._receipts.get(part), self._report(part)
        return {
            "id": answered.id if answered else None,
            "sentence": answered.sentence if answered else None,
            "number": part.number,
            "recipient": self._asked[part].name,
            "elapsed": round(answered.elapsed, 3) if answered else None,
            "reason": None if answered else str(part.reason),
            "outcome": receipt.outcome.value if receipt else None,
            "delivery": report["state"] if report else None,
        }
