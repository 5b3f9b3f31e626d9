"""Sends the texts in the outboxes of alarms, each once."""

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from dataclasses import replace
from typing import Any, Final, Protocol

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError

from ..account.journal import SendContext
from ..client import Outcome
from ..errors import language
from ..outbound.message import MessageOptions, check, text_to
from ..outbound.pipeline import async_deliver
from ..outbound.policy_source import policy_for
from ..outbound.repeat import async_repeat, repeats
from ..outbound.send import report_end, send_with_safe_text
from ..outbound.unsent import Unsent, reports_rejection
from ..recipients import Addressee
from ..store.db import DeliveryState, StoreError
from ..store.manager import DATA_STORE
from .engine import AlarmText, DutyAlarm, TextKind
from .texts import alarm_text, taken_text, which_text

_LOGGER = logging.getLogger(__name__)

_UNCERTAIN: Final = (DeliveryState.SENDING, DeliveryState.UNKNOWN)


def _is_uncertain(states: list[DeliveryState]) -> bool:
    """Return whether a text may not have arrived, and was not sent once more."""
    uncertain = [state for state in states if state in _UNCERTAIN]
    others = set(states) - set(uncertain)
    return len(uncertain) == 1 and others <= {DeliveryState.NOT_SENT, DeliveryState.REFUSED}


class _OnSent(Protocol):
    def __call__(self, alarm: DutyAlarm, *, reached: bool) -> Awaitable[None]: ...


class AlarmSender:
    """Sends to the members of an account's groups.

    on_sent: called after the texts of an outbox. reached: whether any of them was sent, or none is about the alarm.
    """

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry[Any], on_sent: _OnSent) -> None:
        self._hass = hass
        self._entry = entry
        self._on_sent = on_sent
        self._running: set[str] = set()
        self._doubtful: set[str] = set()

    def check(self, text: str, members: Iterable[str]) -> None:
        """Check before an alarm is raised that it can be sent to at least one member. Raises ServiceValidationError.

        What cannot be sent to one of several members is reported in that member's turn, and the next one is texted.
        """
        probe, problem = DutyAlarm("", "", 99, text, 0.0), None
        for addressee in filter(None, (self._addressee(probe, member) for member in members)):
            words = alarm_text(probe, addressee, language(self._hass))
            try:
                check(self._hass, [addressee], text_to([addressee], words), MessageOptions(priority="critical"))
            except ServiceValidationError as error:
                problem = error
            else:
                return
        if problem is not None:
            raise problem

    def hold(self, alarm: DutyAlarm) -> None:
        """Do not send what an earlier run may have sent, until `async_resume` has found out."""
        self._doubtful.update(text.id for text in alarm.outbox)
        self._running |= self._doubtful

    async def async_send(self, alarm: DutyAlarm) -> None:
        """Send what is in the outbox of an alarm and not being sent."""
        await self._async_send([(text, False) for text in alarm.outbox if text.id not in self._running], alarm)

    async def async_resume(self, alarm: DutyAlarm) -> None:
        """Send what an earlier run may not have sent: as new if it left no trace, else marked as a repetition."""
        texts = []
        for text in [text for text in alarm.outbox if text.id in self._doubtful]:
            states = await self._async_states(text)
            if all(state is DeliveryState.NOT_SENT for state in states):
                texts.append((text, False))
            elif text.kind is TextKind.ALARM and _is_uncertain(states):
                texts.append((text, True))
            else:
                alarm.outbox = [other for other in alarm.outbox if other != text]
        # Somebody can have taken the alarm meanwhile.
        await self._async_send([(text, repeated) for text, repeated in texts if text in alarm.outbox], alarm)

    async def async_ask_which(self, member: str, alarms: list[DutyAlarm]) -> None:
        """Ask a member which of several alarms a reply was about."""
        if (addressee := self._addressee(alarms[-1], member)) is not None:
            await self._async_inform(addressee, which_text(alarms, language(self._hass)), SendContext(automatic=True))

    async def _async_send(self, texts: list[tuple[AlarmText, bool]], alarm: DutyAlarm) -> None:
        if not texts:
            return
        self._running.update(text.id for text, _ in texts)
        reached = await asyncio.gather(*(self._async_send_and_forget(alarm, *one) for one in texts))
        about_alarm = any(text.kind is TextKind.ALARM for text, _ in texts)
        await self._on_sent(alarm, reached=not about_alarm or any(reached))

    async def _async_send_and_forget(self, alarm: DutyAlarm, text: AlarmText, repeated: bool) -> bool:  # noqa: FBT001
        """Send one text and take it out of the outbox. While one waits there, its member gets no repetition."""
        try:
            reached = await self._async_send_one(alarm, text, repeated)
        except Exception as error:  # noqa: BLE001 - the others must still be texted
            _LOGGER.error("A text about an alarm failed with %s", type(error).__name__)  # noqa: TRY400
            reached = False
        self._running.discard(text.id)
        alarm.outbox = [other for other in alarm.outbox if other.id != text.id]
        return reached

    async def _async_send_one(self, alarm: DutyAlarm, text: AlarmText, repeated: bool) -> bool:  # noqa: FBT001
        """Send one text; return whether it is on its way to the member, or to the member's fallback."""
        addressee = self._addressee(alarm, text.member)
        if addressee is None:
            return False
        lang = language(self._hass)
        context = SendContext(alarm.automatic, text.id, cause=alarm.cause)
        if text.kind is TextKind.TAKEN:
            return await self._async_inform(addressee, taken_text(alarm, lang), replace(context, automatic=True))
        words = alarm_text(alarm, addressee, lang)
        options = MessageOptions(priority="critical", context=context)
        if repeated and repeats(policy_for(addressee), options):
            result = await async_repeat(self._hass, addressee, words, options, None)
            if result is not None:
                report_end(result, options)
            return result is not None and not result.receipt.outcome.is_failure
        if repeated:
            return True
        try:
            with reports_rejection(self._hass, [Unsent.from_addressee(addressee)], "critical", context):
                (result,) = await async_deliver(self._hass, [addressee], text_to([addressee], words), options)
        except ServiceValidationError:
            return False
        return result.is_handled or result.receipt.outcome in (Outcome.ACCEPTED, Outcome.HELD, Outcome.UNKNOWN)

    async def _async_inform(self, addressee: Addressee, words: str, context: SendContext) -> bool:
        """Send a text that is no alarm, also during quiet hours: the alarm has woken these people before."""
        message, options = text_to([addressee], words), MessageOptions(context=context)
        try:
            check(self._hass, [addressee], message, options)
            (result,) = await send_with_safe_text(self._hass, [addressee], message, options, [None])
        except ServiceValidationError as error:
            _LOGGER.warning("A member could not be informed about an alarm (%s)", error.translation_key)
            return False
        report_end(result, options)
        return not result.receipt.outcome.is_failure

    async def _async_states(self, text: AlarmText) -> list[DeliveryState]:
        """Return the states of the messages with a text. Without a journal on disk, it may have been sent."""
        store = self._hass.data[DATA_STORE].for_entry(self._entry).store
        try:
            states: list[DeliveryState] = await asyncio.wrap_future(store.states_of_attempt(text.id))
        except StoreError:
            states = []
        return states if states or store.durable else [DeliveryState.UNKNOWN]

    def _addressee(self, alarm: DutyAlarm, member: str) -> Addressee | None:
        subentry = self._entry.subentries.get(member)
        if subentry is None:
            return None
        addressee = Addressee.from_subentry(self._entry, subentry)
        return replace(addressee, extension=alarm.extension) if alarm.extension is not None else addressee
