"""Answers the texts of recipients who may talk to Assist."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import CALLBACK_TYPE, Context, HassJob, HomeAssistant, callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.chat_session import DATA_CHAT_SESSION, async_get_chat_session
from homeassistant.helpers.event import async_call_later
from homeassistant.util import dt as dt_util
from homeassistant.util.ulid import ulid_now

from ..account.journal import SendContext, signature_of
from ..client.text import MAX_LENGTH, PART_UNITS, SINGLE_UNITS, is_signed, shorten
from ..const import (
    CONF_ASSIST,
    CONF_ASSIST_AGENT,
    CONF_ASSIST_CODE,
    CONF_ASSIST_HOURLY,
    CONF_ASSIST_PARTS,
    DEFAULT_ASSIST_HOURLY,
    DEFAULT_ASSIST_PARTS,
    DOMAIN,
)
from ..conversation.engine import plain
from ..conversation.engine.commands import AuthResult, CommandAttempt
from ..outbound.message import MessageOptions, check, own_numbers, text_to
from ..outbound.send import report_end, send_with_safe_text
from ..recipients import Addressee
from .agent import async_ask
from .memory import HOUR, AssistMemory, PhoneMemory, UnansweredQuestion
from .texts import Phrase, language_of

_LOGGER = logging.getLogger(__name__)

MEMORY: Final = timedelta(minutes=10)
# Home Assistant forgets a conversation after five minutes without a text.
_REFRESH: Final = 240.0  # seconds
_HINT_PAUSE: Final = timedelta(days=1)  # between two hints that a text needs a code
_LOCKED_PAUSE: Final = timedelta(minutes=15)  # the shortest lock-out


@dataclass(eq=False)
class _Phone:
    """The texts of one recipient and their answers, while the account is set up.

    memory: what is stored. last_answer: as `plain` returns it. conversation_id, used_at: of the conversation, and when
    it was last used.
    """

    memory: PhoneMemory
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    last_answer: str | None = None
    conversation_id: str | None = None
    used_at: datetime | None = None
    refresh_timer: CALLBACK_TYPE | None = None

    def forget(self) -> None:
        """Forget the conversation."""
        self.cancel_refresh()
        self.conversation_id = self.used_at = None

    def cancel_refresh(self) -> None:
        """Stop the timer that uses the conversation again."""
        if self.refresh_timer is not None:
            self.refresh_timer()
            self.refresh_timer = None


@dataclass(frozen=True, repr=False)
class _AssistRequest:
    """A text to answer. attempt: its code, None if it needs none. notice: the answer if the agent is not asked.

    id: names it in the memory.
    """

    recipient: ConfigSubentry
    text: str
    attempt: CommandAttempt | None = None
    notice: str | None = None
    id: str = field(default_factory=ulid_now)


class AssistReplies:
    """Asks the agents for the recipients of one account; see `AssistTexts`.

    The answers are automatic messages: the account's limits count them so. They are sent during quiet hours, too,
    because their recipient has just texted.
    """

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any], memory: AssistMemory) -> None:
        self._hass = hass
        self._memory = memory
        self._entry = entry
        self._phones: dict[str, _Phone] = {}

    @callback
    def accept(
        self, message: dict[str, Any], recipient: ConfigSubentry, attempt: CommandAttempt | None
    ) -> Callable[[Context], None] | None:
        """Return the function that answers a text, None if it gets no answer; see `AssistTexts`."""
        content = message["content"]
        if not recipient.data.get(CONF_ASSIST) or not plain(content):
            return None
        phone = self._phone(recipient.subentry_id)
        # Two machines must not answer each other. A text with a signature was sent by a machine.
        is_own = message["number"] in own_numbers(self._entry) or plain(content) == phone.last_answer
        if is_own or is_signed(content):
            return None
        request = self._request(phone, recipient, content, attempt)
        return None if request is None else partial(self._start, phone, request)

    @callback
    def start(self) -> None:
        """Inform those whose questions an earlier run did not answer."""
        for name, question in self._memory.under_way.items():
            _LOGGER.warning(
                "A text to Assist was not answered, because Home Assistant or the account stopped meanwhile"
            )
            informing = self._async_inform(name, question)
            self._entry.async_create_background_task(self._hass, informing, f"{DOMAIN} answer", eager_start=False)

    @callback
    def stop(self) -> None:
        """Forget the conversations."""
        for phone in self._phones.values():
            phone.forget()

    def _request(
        self, phone: _Phone, recipient: ConfigSubentry, content: str, attempt: CommandAttempt | None
    ) -> _AssistRequest | None:
        """Count the answer to a text, and return the request; return None if nothing is to be said."""
        now, lang = dt_util.utcnow(), language_of(self._hass, content)
        needs_code = recipient.data.get(CONF_ASSIST_CODE, True)
        if needs_code and attempt is None:
            if not phone.memory.may_say(Phrase.NO_CODE, now, _HINT_PAUSE):
                return None
            return _AssistRequest(recipient, content, notice=Phrase.NO_CODE.in_language(lang))
        most = recipient.data.get(CONF_ASSIST_HOURLY, DEFAULT_ASSIST_HOURLY)
        if phone.memory.answers_within_the_hour(now) >= most:
            if not phone.memory.may_say(Phrase.LIMIT, now, HOUR):
                return None
            again = dt_util.as_local(phone.memory.answered[0] + HOUR).strftime("%H:%M")
            return _AssistRequest(recipient, content, notice=Phrase.LIMIT.in_language(lang, time=again))
        phone.memory.answered.append(now)
        return _AssistRequest(recipient, content if attempt is None else attempt.text, attempt if needs_code else None)

    def _start(self, phone: _Phone, request: _AssistRequest, context: Context) -> None:
        answering = self._async_answer(phone, request, context)
        self._entry.async_create_background_task(self._hass, answering, f"{DOMAIN} answer", eager_start=False)

    async def _async_answer(self, phone: _Phone, request: _AssistRequest, context: Context) -> None:
        """Answer a text after the earlier ones of this phone. If that is interrupted, the next start says so by SMS."""
        if request.notice is None:
            lang = language_of(self._hass, request.text)
            question = UnansweredQuestion(request.recipient.subentry_id, dt_util.utcnow(), lang)
            await self._memory.async_begin(request.id, question)
        else:
            await self._memory.async_save()
        async with phone.lock:
            words = request.notice or await self._async_refusal(phone, request)
            if words is None:
                words = await self._async_ask(phone, request, context)
            if words:
                await self._async_send(phone, request.recipient, words, context)
        if request.notice is None:
            await self._memory.async_end(request.id)

    async def _async_inform(self, name: str, question: UnansweredQuestion) -> None:
        """Inform somebody whose question was not answered, and note that."""
        recipient = self._entry.subentries.get(question.recipient)
        if recipient is not None:
            time = dt_util.as_local(question.asked_at).strftime("%m-%d %H:%M")
            words = Phrase.INTERRUPTED.in_language(question.lang, time=time)
            await self._async_send(self._phone(question.recipient), recipient, words, Context())
        await self._memory.async_end(name)

    def _phone(self, recipient: str) -> _Phone:
        return self._phones.setdefault(recipient, _Phone(self._memory.phone(recipient)))

    async def _async_refusal(self, phone: _Phone, request: _AssistRequest) -> str | None:
        """Authenticate a request. Return None if it is accepted, otherwise the answer, empty if nothing is to be said.

        The use of the code is on the disk before the agent acts.
        """
        if request.attempt is None:
            return None
        commands = self._entry.runtime_data.conversation.commands
        result = await commands.async_authenticate(request.recipient, request.attempt)
        if result is AuthResult.ACCEPTED:
            return None
        lang = language_of(self._hass, request.text)
        if result is AuthResult.REFUSED:
            return Phrase.WRONG_CODE.in_language(lang)
        due = phone.memory.may_say(Phrase.LOCKED_OUT, dt_util.utcnow(), _LOCKED_PAUSE)
        return Phrase.LOCKED_OUT.in_language(lang) if due else ""

    async def _async_ask(self, phone: _Phone, request: _AssistRequest, context: Context) -> str:
        agent_id = request.recipient.data.get(CONF_ASSIST_AGENT)
        if phone.used_at is not None and dt_util.utcnow() - phone.used_at >= MEMORY:
            phone.forget()
        answer = await async_ask(self._hass, request.text, agent_id, phone.conversation_id, context)
        if answer.conversation_id is not None:
            phone.conversation_id, phone.used_at = answer.conversation_id, dt_util.utcnow()
            self._remember(phone)
        return answer.words

    def _remember(self, phone: _Phone) -> None:
        """Use the conversation of a phone again and again, so that Home Assistant forgets it after ten minutes."""

        @callback
        def refresh(_: datetime) -> None:
            phone.refresh_timer = None
            if phone.used_at is None or dt_util.utcnow() - phone.used_at >= MEMORY:
                phone.forget()
                return
            if phone.conversation_id in self._hass.data.get(DATA_CHAT_SESSION, {}):
                with async_get_chat_session(self._hass, phone.conversation_id):
                    pass  # this marks it as used
            self._remember(phone)

        phone.cancel_refresh()
        job = HassJob(refresh, f"{DOMAIN} refresh conversation", cancel_on_shutdown=True)
        phone.refresh_timer = async_call_later(self._hass, _REFRESH, job)

    async def _async_send(self, phone: _Phone, recipient: ConfigSubentry, words: str, context: Context) -> None:
        addressee = Addressee.from_subentry(self._entry, recipient)
        text = shorten(words, signature_of(self._entry), _room(recipient.data.get(CONF_ASSIST_PARTS)))
        phone.last_answer = plain(text)
        message = text_to([addressee], text)
        options = MessageOptions(context=SendContext(automatic=True, caller=context))
        try:
            check(self._hass, [addressee], message, options)
            (result,) = await send_with_safe_text(self._hass, [addressee], message, options, [None])
        except ServiceValidationError as error:
            _LOGGER.warning("An answer of Assist could not be sent (%s)", error.translation_key)
            return
        report_end(result, options)


def _room(parts: int | None) -> int:
    """Return the UTF-16 units of so many parts, with the signature."""
    parts = parts or DEFAULT_ASSIST_PARTS
    return SINGLE_UNITS if parts == 1 else min(parts * PART_UNITS, MAX_LENGTH)
