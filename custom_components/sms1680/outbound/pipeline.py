"""The way of a message of an action or an entity: quiet hours, the try itself, what comes next, trying for longer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.util import dt as dt_util

from ..account.journal import Recording, attempting, collecting
from ..account.refused_words import RefusedWords
from ..client import Outcome, Reason, Receipt
from ..client.outcomes import OWN_LIMITS
from ..context import is_automatic, sending_automatically
from ..coordinator import Sms1680ConfigEntry
from ..deferred.policy import Insistence, Kept
from ..deferred.queue import LaterMessages, pause_after
from ..store.db import comparable_number
from ..store.manager import Storage
from .fallback import Missed, Next, check_fallback, may_double
from .message import Items, Options, Way, check, one_text
from .policy_source import async_quiet_until, insistence_of
from .recipients import Receiver
from .send import Delivered, Send, async_try, has_reached

_PATIENCE: Final = 5.0  # seconds, where something comes next
_AT_ONCE: Final = (Outcome.REFUSED, Outcome.NOT_SENT, Outcome.HELD)


class Alarm:
    """What an account that is set up has for its messages to get through: refused words, and what is kept for later."""

    def __init__(self, hass: HomeAssistant, entry: Sms1680ConfigEntry, storage: Storage) -> None:
        self._hass = hass
        self._entry = entry
        self.words = RefusedWords(hass, entry.entry_id)
        self.later = LaterMessages(
            hass, entry, storage.lasting.store, storage.of(entry).store, attempt=self._attempt, go_on=self._go_on
        )

    async def _attempt(self, kept: Kept, name: str, note_next: Callable[[], Awaitable[None]]) -> Delivered:
        """Try to send one that was kept; the first time that it is due also what comes next."""
        receiver = self._receiver_of(kept)
        at = dt_util.utc_from_timestamp(kept.at) if kept.at is not None else None
        if kept.priority != "critical" and (until := await async_quiet_until(receiver, at or dt_util.utcnow())):
            return Delivered(receiver, Receipt(kept.number, Outcome.NOT_SENT), delayed_until=until)
        options = Options(at=at, extension=kept.extension, priority=kept.priority)
        with _origin(automatic=kept.automatic):
            try:
                with collecting() as recordings, attempting(name):
                    (delivered,) = await async_try(
                        self._hass, [(receiver, None)], one_text(kept.text), options, [kept.insistence.safe_text]
                    )
            except ServiceValidationError:
                return Delivered(receiver, Receipt(kept.number, Outcome.REFUSED, reason=Reason.PARAMETER))
            message = _Message(
                receiver,
                kept.text,
                kept.insistence,
                Context(user_id=kept.user),
                self.later,
                _row(recordings, receiver),
            )
            if at is None and not kept.tried:
                if kept.insistence.fallback:
                    await note_next()
                (delivered,) = await _async_go_on(self._hass, [(message, delivered)], options)
            elif at is not None and delivered.receipt.reason not in OWN_LIMITS:
                await _async_go_on_then(message, delivered, options)
            await _async_watch(message, delivered, options)
        return delivered

    async def _go_on(self, kept: Kept, why: str) -> None:
        """Do what comes next for a message whose report failed or did not come."""
        if kept.insistence.fallback is None:
            return
        options = Options(extension=kept.extension, priority=kept.priority)
        context = Context(user_id=kept.user)
        following = Next(self._hass, kept.insistence.fallback, options, context)
        doubtful = why not in _AT_ONCE
        missed = Missed(self._receiver_of(kept), kept.text, why, None, kept.insistence.safe_text, doubtful)
        with _origin(automatic=kept.automatic):
            await following.async_run([missed])

    def _receiver_of(self, kept: Kept) -> Receiver:
        return Receiver(self._entry, kept.number, kept.name, kept.recipient, kept.extension)


@dataclass(frozen=True, repr=False)
class _Message:
    """One message on its way.

    later: of its account as it was when the message began; it may have been unloaded since. outgoing: its row in the
    store, where it is known.
    """

    receiver: Receiver
    text: str
    insistence: Insistence
    context: Context
    later: LaterMessages
    outgoing: int | None

    def kept(self, options: Options, **more: Any) -> Kept:
        """Return it as it is kept for later."""
        receiver = self.receiver
        return Kept(
            receiver.number,
            self.text,
            receiver.name,
            receiver.subentry_id,
            receiver.extension if options.extension is None else options.extension,
            options.priority,
            self.insistence,
            is_automatic(),
            self.context.user_id,
            dt_util.utcnow().timestamp(),
            at=options.at.timestamp() if options.at else None,
            **more,
        )


async def async_deliver[T](
    hass: HomeAssistant,
    items: Items[T],
    way: Way[T],
    options: Options,
    *,
    asked: Insistence = Insistence(),  # noqa: B008 - frozen
    context: Context | None = None,
    send: Send[T] | None = None,
) -> list[Delivered]:
    """Send items, and do for each what the call, its recipient and its account ask for.

    asked: by the call; what it leaves open is the recipient's. context: the call's. send: how the first try is made, if
    not in as few requests as can be. Returns what became of each, in order.
    Raises ServiceValidationError before anything is sent.
    """
    check(hass, items, way, options)
    if asked.safe_text is not None:
        check(hass, [(receiver, None) for receiver, _ in items], one_text(asked.safe_text), options)
    check_fallback(hass, asked)
    context = context or Context()
    by_settings = Context(parent_id=context.parent_id)  # what an administrator has set runs by their leave
    messages = [
        _Message(
            receiver,
            way.text(receiver, content),
            asked.over(insistence_of(receiver)),
            context if asked.fallback else by_settings,
            receiver.entry.runtime_data.alarm.later,
            None,
        )
        for receiver, content in items
    ]
    delayed = await _async_delay(messages, options)
    if any(message.insistence.fallback for message in messages):
        # What comes next should not wait long; and a shared request is as patient as all who share it.
        options, send = replace(options, patience=_PATIENCE), None
    now = [place for place in range(len(items)) if place not in delayed]
    safe_texts = [messages[place].insistence.safe_text for place in now]
    with collecting() as recordings:
        tried = await async_try(hass, [items[place] for place in now], way, options, safe_texts, send=send)
    sent = [replace(messages[place], outgoing=_row(recordings, messages[place].receiver)) for place in now]
    # A message for another time has what comes next then.
    gone_on = tried if options.at else await _async_go_on(hass, list(zip(sent, tried, strict=True)), options)
    results = dict(delayed)
    for place, message, delivered in zip(now, sent, gone_on, strict=True):
        await _async_go_on_then(message, delivered, options)
        await _async_watch(message, delivered, options)
        results[place] = await _async_keep_on(message, delivered, options)
    return [results[place] for place in range(len(items))]


async def _async_delay(messages: Sequence[_Message], options: Options) -> dict[int, Delivered]:
    """Keep those that would go out in quiet hours; what can't be kept goes out rather than get lost."""
    delayed: dict[int, Delivered] = {}
    if options.priority == "critical":
        return delayed
    moment: datetime = options.at or dt_util.utcnow()
    for place, message in enumerate(messages):
        receiver = message.receiver
        until = await async_quiet_until(receiver, moment)
        if until is not None and await message.later.async_keep(message.kept(options), until):
            parts = receiver.entry.runtime_data.client.estimate(message.text).parts
            receipt = Receipt(receiver.number, Outcome.NOT_SENT, parts=parts)
            delayed[place] = Delivered(receiver, receipt, delayed_until=until)
    return delayed


async def _async_go_on(
    hass: HomeAssistant, tried: Sequence[tuple[_Message, Delivered]], options: Options
) -> list[Delivered]:
    """Do what comes next for messages that did not get through, once for those that share it."""
    results = [delivered for _, delivered in tried]
    shared: dict[str, list[int]] = {}
    for place, (message, delivered) in enumerate(tried):
        fallback = message.insistence.fallback
        if fallback is None:
            continue
        if _goes_on(message, delivered, options):
            shared.setdefault(json.dumps(fallback.as_json()), []).append(place)

    async def run(places: list[int]) -> None:
        first = tried[places[0]][0]
        assert first.insistence.fallback is not None  # noqa: S101 - looked at above
        following = Next(hass, first.insistence.fallback, options, first.context)
        missed = [_missed(tried[place][0], results[place]) for place in places]
        for place, steps in zip(places, await following.async_run(missed), strict=True):
            results[place] = replace(results[place], fallback=tuple(steps))

    await asyncio.gather(*map(run, shared.values()))
    return results


def _missed(message: _Message, delivered: Delivered) -> Missed:
    return Missed.of(delivered.receiver, delivered.receipt, message.text, message.insistence.safe_text)


def _goes_on(message: _Message, delivered: Delivered, options: Options) -> bool:
    """Tell whether what comes next goes on with a message."""
    fallback, outcome = message.insistence.fallback, delivered.receipt.outcome
    return bool(fallback) and (outcome in _AT_ONCE or (outcome is Outcome.UNKNOWN and may_double(fallback, options)))


async def _async_go_on_then(message: _Message, delivered: Delivered, options: Options) -> None:
    """Let what comes next wait for the time that a message was for; one that is yet to be sent has it with its try."""
    outcome = delivered.receipt.outcome
    if options.at is not None and outcome is not Outcome.NOT_SENT and _goes_on(message, delivered, options):
        kept = message.kept(options, watched=True, missed=outcome.value)
        await message.later.async_keep(kept, options.at)


async def _async_keep_on(message: _Message, delivered: Delivered, options: Options) -> Delivered:
    """Keep a message that surely was not sent for as long as it is to be tried."""
    insistence, now = message.insistence, dt_util.utcnow()
    keep_trying, goes_on_then = insistence.keep_trying, bool(options.at and insistence.fallback)
    unsent = delivered.receipt.outcome is Outcome.NOT_SENT and not has_reached(insistence, delivered)
    if unsent and (keep_trying is not None or goes_on_then):
        until = (options.at or now) + timedelta(seconds=keep_trying or 0)
        due = until if keep_trying is None else min(now + pause_after(1), until)
        kept = message.kept(options, until=until.timestamp(), tried=not goes_on_then, tries=1)
        if await message.later.async_keep(kept, due):
            return replace(delivered, trying_until=until)
    return delivered


async def _async_watch(message: _Message, delivered: Delivered, options: Options) -> None:
    """Wait in the background for the report of a critical message, where that was asked for."""
    fallback = message.insistence.fallback
    if delivered.receipt.outcome is Outcome.ACCEPTED and fallback and may_double(fallback, options):
        due = (options.at or dt_util.utcnow()) + timedelta(seconds=fallback.report_within or 0)
        kept = message.kept(options, outgoing=message.outgoing, watched=True)
        await message.later.async_watch(kept, due)


def _row(recordings: Sequence[Recording], receiver: Receiver) -> int | None:
    """Return the row of the last message that was sent to someone, where it could be noted."""
    wanted = receiver.entry.entry_id, comparable_number(receiver.number)
    rows = [
        row
        for recording in recordings
        for message, row in zip(recording.dispatch.messages, recording.dispatch.rows, strict=True)
        if (message.entry, message.number) == wanted
    ]
    return rows[-1] if rows else None


def _origin(*, automatic: bool) -> AbstractContextManager[None]:
    return sending_automatically() if automatic else nullcontext()
