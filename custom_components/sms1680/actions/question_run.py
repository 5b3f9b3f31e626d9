"""The course of one question: it is queued and sent for each phone, until answered, undeliverable or timed out."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.event import async_track_point_in_utc_time
from homeassistant.util import dt as dt_util

from ..client import Outcome
from ..const import DOMAIN
from ..conversation.engine import Answers, NoAnswer, Prompt, PromptState, Question
from ..conversation.memory_store import now
from ..deferred.models import DeliveryResult
from ..outbound.delivery_tracker import DeliveryTracker
from ..outbound.message import MessageOptions, text_to
from ..outbound.policy_source import async_quiet_until
from ..outbound.send import conclude, report_end, send_with_safe_text
from ..recipients import Addressee
from ..store.db import DeliveryState, DeliveryUpdate

_LOGGER = logging.getLogger(__name__)

_FAILED: Final = {Outcome.REFUSED: NoAnswer.REFUSED, Outcome.NOT_SENT: NoAnswer.NOT_SENT}
# The platform withholds the report (扣量), the delivery is unknown: docs/protocol.md, section 2.
_WITHHELD: Final = "KX:3000"
# Seconds that a request in flight has to end once the time is up.
_CUT_OFF: Final = 1.0


@dataclass(frozen=True, repr=False)
class QuestionRequest:
    """What to ask.

    seconds: how long to wait for answers. wait_for_all: wait for everybody, not for the first answer. drill: wait for
    the delivery reports too.
    """

    text: str
    answers: Answers
    seconds: float
    options: MessageOptions
    safe_text: str | None = None
    wait_for_all: bool = False
    tag: str | None = None
    drill: bool = False


@dataclass(eq=False, repr=False)
class AskedPhone:
    """One phone that the question goes to.

    task: the request with the question to this phone. result: of that request. cut_off: the outcome of a request that
    the end of the time interrupted.
    """

    addressee: Addressee
    prompt: Prompt
    task: asyncio.Task[None] | None = None
    result: DeliveryResult | None = None
    cut_off: Outcome | None = None

    @property
    def outcome(self) -> Outcome | None:
        """The outcome of sending, None if the question was not sent."""
        return self.result.receipt.outcome if self.result else self.cut_off

    @property
    def may_have_arrived(self) -> bool:
        """Whether the question possibly reached the phone."""
        return self.result is not None and self.result.receipt.outcome not in _FAILED

    def answer_with_extension(self) -> Addressee:
        """Return the addressee with the extension that answers to the question carry."""
        return replace(self.addressee, extension=self.prompt.extension)


class QuestionRun:
    """Asks one question and collects the answers, the results of sending and the delivery reports."""

    def __init__(self, hass: HomeAssistant, addressees: Sequence[Addressee], request: QuestionRequest) -> None:
        self.request = request
        self.phones: list[AskedPhone] = []
        self._hass = hass
        self._addressees = addressees
        self._changed = asyncio.Event()
        self.question = Question(
            request.answers,
            hass.loop.time,
            self._changed.set,
            wait_for_all=request.wait_for_all or request.drill,
            tag=request.tag,
        )
        self._tracker = DeliveryTracker(hass, {addressee.entry.entry_id for addressee in addressees}, self._on_report)
        context = replace(request.options.context, batches=self._tracker.batches)
        self._options = replace(request.options, context=context)
        self._deadline = 0.0

    @property
    def first(self) -> AskedPhone | None:
        """The phone that answered first."""
        return next((phone for phone in self.phones if phone.prompt is self.question.first), None)

    async def async_run(self) -> None:
        """Ask and wait, until there are enough answers or none can come any more, or the time is up."""
        with self._tracker:
            try:
                async with asyncio.timeout(self.request.seconds):
                    await self._async_ask()
                    await self._async_wait()
            except TimeoutError:
                await self._async_cut_off()
                self.question.time_out()
            finally:
                self.question.end(NoAnswer.ANOTHER_ANSWERED)
                self._stop_sending()
            await self._async_cut_off()

    def delivery(self, phone: AskedPhone) -> DeliveryUpdate | None:
        """Return the delivery state of the question to a phone, once it was sent."""
        return None if phone.result is None else self._tracker.change(phone.result)

    async def _async_ask(self) -> None:
        """Queue the question for every phone, except those with quiet hours beyond the time limit."""
        deadline = self._deadline = now() + self.request.seconds
        critical = self.request.options.is_critical
        moment = dt_util.utcnow()
        quiet = [None if critical else await async_quiet_until(addressee, moment) for addressee in self._addressees]
        for addressee, end in zip(self._addressees, quiet, strict=True):
            until = end.timestamp() if end else 0.0
            questions = addressee.entry.runtime_data.conversation.questions
            prompt = questions.ask(
                self.question, addressee.number, addressee.extension, critical=critical, not_before=until
            )
            self.phones.append(AskedPhone(addressee, prompt))
            if until >= deadline:
                prompt.end(NoAnswer.QUIET_HOURS)

    async def _async_wait(self) -> None:
        """Send the question to each phone when its turn comes, until the question is over."""
        while True:
            self._send_open()
            if self.question.is_over and (not self.request.drill or self._all_delivered()):
                return
            self._changed.clear()
            for phone in self.phones:
                if phone.task and phone.task.done() and not phone.task.cancelled():
                    phone.task.result()  # raises what it failed with
            await self._async_wait_for_change()

    def _send_open(self) -> None:
        opened = [phone for phone in self.phones if phone.prompt.state is PromptState.OPEN and phone.task is None]
        if opened:
            task = self._hass.async_create_background_task(self._async_send(opened), f"{DOMAIN} question")
            for phone in opened:
                phone.task = task

    async def _async_send(self, phones: list[AskedPhone]) -> None:
        addressees = [phone.answer_with_extension() for phone in phones]
        safe_texts = [self.request.safe_text] * len(addressees)
        try:
            results = await send_with_safe_text(
                self._hass,
                addressees,
                text_to(addressees, self.request.text),
                self._options,
                safe_texts,
                hold_back=lambda place, result: self._async_wait_for_room(addressees[place], result),
            )
        finally:
            self._changed.set()
        for phone, result in zip(phones, results, strict=True):
            phone.result = result
            if result.delayed_until is not None:
                later = self._async_send_later(phone, result, result.delayed_until)
                phone.task = self._hass.async_create_background_task(later, f"{DOMAIN} question")
                continue
            report_end(result, self._options)
            if result.is_over_limit and result.receipt.reason is not None:
                _LOGGER.warning("A question was not sent: %s", result.receipt.reason.en)
            if (reason := _FAILED.get(result.receipt.outcome)) is not None:
                phone.prompt.end(reason)
        await self._tracker.async_refresh()  # a report may have come before the response
        self._on_report()

    async def _async_wait_for_room(self, addressee: Addressee, result: DeliveryResult) -> DeliveryResult:
        """Let a question over one of our own limits wait if there is room within its time; return its result."""
        data = addressee.entry.runtime_data
        if self._options.is_critical or data is None:
            return result
        automatic = self._options.context.automatic
        look = partial(data.client.failover.room_at, addressee.number, result.receipt.parts, automatic=automatic)
        room: datetime = await self._hass.async_add_executor_job(look)
        if room.timestamp() >= self._deadline:
            return result
        return replace(result, receipt=replace(result.receipt, outcome=Outcome.NOT_SENT), delayed_until=room)

    async def _async_send_later(self, phone: AskedPhone, first: DeliveryResult, when: datetime) -> None:
        """Send the question to a phone again at a time, unless it was answered meanwhile."""
        due = asyncio.Event()

        @callback
        def come(_: datetime) -> None:
            due.set()

        cancel = async_track_point_in_utc_time(self._hass, come, when)
        try:
            await due.wait()
        finally:
            cancel()
        if phone.prompt.state is PromptState.OPEN:
            conclude([first])
            await self._async_send([phone])

    def _end_waiting(self, phone: AskedPhone, result: DeliveryResult) -> None:
        """End the wait of a phone for room in a limit. It is a failure, unless another phone has answered."""
        phone.result = replace(result, delayed_until=None)
        if self.question.first is not None:
            conclude([result])
            return
        report_end(phone.result, self._options)
        phone.prompt.end(NoAnswer.NOT_SENT)

    async def _async_wait_for_change(self) -> None:
        """Wait for a change, or until the next queued phone can be asked."""
        queued = [phone.prompt for phone in self.phones if phone.prompt.state is PromptState.QUEUED]
        pauses = [pause for prompt in queued if (pause := prompt.manager.next_opening(prompt.number)) is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(pauses, default=None)):
                await self._changed.wait()
        for prompt in queued:
            prompt.manager.open_next(prompt.number)

    @callback
    def _on_report(self) -> None:
        """End the question to phones that it did not reach."""
        for phone in self.phones:
            change = self.delivery(phone)
            if change is not None and change.state is DeliveryState.FAILED and change.status != _WITHHELD:
                phone.prompt.end(NoAnswer.NOT_DELIVERED)
        self._changed.set()

    def _all_delivered(self) -> bool:
        """Return whether every question that was sent has its final delivery report."""
        changes = [self.delivery(phone) for phone in self.phones if phone.prompt.reason is None]
        return all(change is not None and change.settled for change in changes)

    def _stop_sending(self) -> None:
        """Cancel sending, except the request that was answered already: it ends by itself."""
        answered = self.first.task if self.first else None
        for phone in self.phones:
            if phone.task is not None and phone.task is not answered:
                phone.task.cancel()

    async def _async_cut_off(self) -> None:
        """Stop sending, and determine the outcome for the phones whose request was interrupted."""
        self._stop_sending()
        tasks = [phone.task for phone in self.phones if phone.task]
        if tasks:
            await asyncio.wait(tasks, timeout=_CUT_OFF)
        for phone in self.phones:
            if phone.result is not None and phone.result.is_pending:
                self._end_waiting(phone, phone.result)
            if phone.outcome is not None or phone.task is None or not phone.task.cancelled():
                continue
            entry_id = phone.addressee.entry.entry_id
            phone.cut_off = await self._tracker.async_outcome(entry_id, phone.prompt.number, _CUT_OFF)
            if phone.cut_off is Outcome.NOT_SENT:
                phone.prompt.end(NoAnswer.NOT_SENT)
