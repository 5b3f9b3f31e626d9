"""The way of a message of an action or an entity: quiet hours, the try itself, what comes next, trying for longer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.util import dt as dt_util

from ..account.journal import Recording, attempting, collecting
from ..client import Outcome, Reason, Receipt
from ..client.outcomes import OWN_LIMITS
from ..context import is_automatic, sending_automatically
from ..coordinator import Sms1680ConfigEntry
from ..deferred.models import DeliveryResult, QueuedMessage
from ..deferred.policy import NO_POLICY, DeliveryPolicy
from ..deferred.queue import Attempt, DeferredQueue
from ..deferred.retry_policy import pause_after
from ..recipients import Addressee
from ..store.db import comparable_number
from ..store.manager import StoreManager
from .fallback import Missed, Next, allows_duplicates, check_fallback
from .message import Items, Options, Way, check, one_text
from .policy_source import async_quiet_until, policy_for
from .send import Send, send_with_safe_text

_PATIENCE: Final = 5.0  # seconds, where something comes next
_AT_ONCE: Final = (Outcome.REFUSED, Outcome.NOT_SENT, Outcome.HELD)


def create_queue(hass: HomeAssistant, entry: Sms1680ConfigEntry, storage: StoreManager) -> DeferredQueue:
    """Return the queue of an account's deferred messages, wired to this pipeline."""
    return DeferredQueue(
        hass,
        entry,
        storage.durable.store,
        storage.for_entry(entry).store,
        send=partial(_async_attempt, hass, entry),
        run_fallback=partial(_async_run_fallback, hass, entry),
    )


async def _async_attempt(
    hass: HomeAssistant, entry: Sms1680ConfigEntry, queue: DeferredQueue, attempt: Attempt
) -> DeliveryResult:
    """Try to send a queued message; run its fallback the first time that it is due."""
    queued = attempt.message
    addressee = queued.addressee(entry)
    at = dt_util.utc_from_timestamp(queued.at) if queued.at is not None else None
    if queued.priority != "critical" and (until := await async_quiet_until(addressee, at or dt_util.utcnow())):
        return DeliveryResult(addressee, Receipt(queued.number, Outcome.NOT_SENT), delayed_until=until)
    options = Options(at=at, extension=queued.extension, priority=queued.priority)
    with _origin(automatic=queued.automatic):
        try:
            with collecting() as recordings, attempting(attempt.id):
                (delivered,) = await send_with_safe_text(
                    hass, [(addressee, None)], one_text(queued.text), options, [queued.policy.safe_text]
                )
        except ServiceValidationError:
            return DeliveryResult(addressee, Receipt(queued.number, Outcome.REFUSED, reason=Reason.PARAMETER))
        context = Context(user_id=queued.user)
        message = _Message(addressee, queued.text, queued.policy, context, queue, _row(recordings, addressee))
        if at is None and not queued.tried:
            if queued.policy.fallback:
                await attempt.before_fallback()
            (delivered,) = await _async_go_on(hass, [(message, delivered)], options)
        elif at is not None and delivered.receipt.reason not in OWN_LIMITS:
            await _async_go_on_then(message, delivered, options)
        await _async_watch(message, delivered, options)
    return delivered


async def _async_run_fallback(hass: HomeAssistant, entry: Sms1680ConfigEntry, queued: QueuedMessage, why: str) -> None:
    """Run the fallback of a message that was sent and not delivered, or not reported in time."""
    if queued.policy.fallback is None:
        return
    options = Options(extension=queued.extension, priority=queued.priority)
    following = Next(hass, queued.policy.fallback, options, Context(user_id=queued.user))
    doubtful = why not in _AT_ONCE
    missed = Missed(queued.addressee(entry), queued.text, why, None, queued.policy.safe_text, doubtful)
    with _origin(automatic=queued.automatic):
        await following.async_run([missed])


@dataclass(frozen=True, repr=False)
class _Message:
    """One message on its way.

    queue: of its account as it was when the message began; it may have been unloaded since. outgoing: its row in the
    store, where it is known.
    """

    addressee: Addressee
    text: str
    policy: DeliveryPolicy
    context: Context
    queue: DeferredQueue
    outgoing: int | None

    def kept(self, options: Options, **more: Any) -> QueuedMessage:
        """Return it as it is kept for later."""
        addressee = self.addressee
        return QueuedMessage(
            addressee.number,
            self.text,
            addressee.name,
            addressee.subentry_id,
            addressee.extension if options.extension is None else options.extension,
            options.priority,
            self.policy,
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
    asked: DeliveryPolicy = NO_POLICY,
    context: Context | None = None,
    send: Send[T] | None = None,
) -> list[DeliveryResult]:
    """Send items, and do for each what the call, its recipient and its account ask for.

    asked: by the call; what it leaves open is the recipient's. context: the call's. send: how the first try is made, if
    not in as few requests as can be. Returns what became of each, in order.
    Raises ServiceValidationError before anything is sent.
    """
    check(hass, items, way, options)
    if asked.safe_text is not None:
        check(hass, [(addressee, None) for addressee, _ in items], one_text(asked.safe_text), options)
    check_fallback(hass, asked)
    context = context or Context()
    by_settings = Context(parent_id=context.parent_id)  # what an administrator has set runs by their leave
    messages = [
        _Message(
            addressee,
            way.text(addressee, content),
            asked.with_defaults(policy_for(addressee)),
            context if asked.fallback else by_settings,
            addressee.entry.runtime_data.deferred,
            None,
        )
        for addressee, content in items
    ]
    delayed = await _async_delay(messages, options)
    if any(message.policy.fallback for message in messages):
        # What comes next should not wait long; and a shared request is as patient as all who share it.
        options, send = replace(options, patience=_PATIENCE), None
    now = [place for place in range(len(items)) if place not in delayed]
    safe_texts = [messages[place].policy.safe_text for place in now]
    with collecting() as recordings:
        tried = await send_with_safe_text(hass, [items[place] for place in now], way, options, safe_texts, send=send)
    sent = [replace(messages[place], outgoing=_row(recordings, messages[place].addressee)) for place in now]
    # A message for another time has what comes next then.
    gone_on = tried if options.at else await _async_go_on(hass, list(zip(sent, tried, strict=True)), options)
    results = dict(delayed)
    for place, message, delivered in zip(now, sent, gone_on, strict=True):
        await _async_go_on_then(message, delivered, options)
        await _async_watch(message, delivered, options)
        results[place] = await _async_keep_on(message, delivered, options)
    return [results[place] for place in range(len(items))]


async def _async_delay(messages: Sequence[_Message], options: Options) -> dict[int, DeliveryResult]:
    """Keep those that would go out in quiet hours; what can't be kept goes out rather than get lost."""
    delayed: dict[int, DeliveryResult] = {}
    if options.priority == "critical":
        return delayed
    moment: datetime = options.at or dt_util.utcnow()
    for place, message in enumerate(messages):
        addressee = message.addressee
        until = await async_quiet_until(addressee, moment)
        if until is not None and await message.queue.async_enqueue(message.kept(options), until):
            parts = addressee.entry.runtime_data.client.estimate(message.text).parts
            receipt = Receipt(addressee.number, Outcome.NOT_SENT, parts=parts)
            delayed[place] = DeliveryResult(addressee, receipt, delayed_until=until)
    return delayed


async def _async_go_on(
    hass: HomeAssistant, tried: Sequence[tuple[_Message, DeliveryResult]], options: Options
) -> list[DeliveryResult]:
    """Do what comes next for messages that did not get through, once for those that share it."""
    results = [delivered for _, delivered in tried]
    shared: dict[str, list[int]] = {}
    for place, (message, delivered) in enumerate(tried):
        fallback = message.policy.fallback
        if fallback is None:
            continue
        if _goes_on(message, delivered, options):
            shared.setdefault(json.dumps(fallback.as_json()), []).append(place)

    async def run(places: list[int]) -> None:
        first = tried[places[0]][0]
        assert first.policy.fallback is not None  # noqa: S101 - looked at above
        following = Next(hass, first.policy.fallback, options, first.context)
        missed = [_missed(tried[place][0], results[place]) for place in places]
        for place, steps in zip(places, await following.async_run(missed), strict=True):
            results[place] = replace(results[place], fallback=tuple(steps))

    await asyncio.gather(*map(run, shared.values()))
    return results


def _missed(message: _Message, delivered: DeliveryResult) -> Missed:
    return Missed.of(delivered.addressee, delivered.receipt, message.text, message.policy.safe_text)


def _goes_on(message: _Message, delivered: DeliveryResult, options: Options) -> bool:
    """Tell whether what comes next goes on with a message."""
    fallback, outcome = message.policy.fallback, delivered.receipt.outcome
    return bool(fallback) and (
        outcome in _AT_ONCE or (outcome is Outcome.UNKNOWN and allows_duplicates(fallback, options))
    )


async def _async_go_on_then(message: _Message, delivered: DeliveryResult, options: Options) -> None:
    """Let what comes next wait for the time that a message was for; one that is yet to be sent has it with its try."""
    outcome = delivered.receipt.outcome
    if options.at is not None and outcome is not Outcome.NOT_SENT and _goes_on(message, delivered, options):
        kept = message.kept(options, watched=True, missed=outcome.value)
        await message.queue.async_enqueue(kept, options.at)


async def _async_keep_on(message: _Message, delivered: DeliveryResult, options: Options) -> DeliveryResult:
    """Keep a message that surely was not sent for as long as it is to be tried."""
    policy, now = message.policy, dt_util.utcnow()
    keep_trying, goes_on_then = policy.keep_trying, bool(options.at and policy.fallback)
    unsent = delivered.receipt.outcome is Outcome.NOT_SENT and not delivered.may_have_arrived(policy)
    if unsent and (keep_trying is not None or goes_on_then):
        until = (options.at or now) + timedelta(seconds=keep_trying or 0)
        due = until if keep_trying is None else min(now + pause_after(1), until)
        kept = message.kept(options, until=until.timestamp(), tried=not goes_on_then, tries=1)
        if await message.queue.async_enqueue(kept, due):
            return replace(delivered, trying_until=until)
    return delivered


async def _async_watch(message: _Message, delivered: DeliveryResult, options: Options) -> None:
    """Wait in the background for the report of a critical message, where that was asked for."""
    fallback = message.policy.fallback
    if delivered.receipt.outcome is Outcome.ACCEPTED and fallback and allows_duplicates(fallback, options):
        due = (options.at or dt_util.utcnow()) + timedelta(seconds=fallback.report_within or 0)
        kept = message.kept(options, outgoing=message.outgoing, watched=True)
        await message.queue.async_await_report(kept, due)


def _row(recordings: Sequence[Recording], addressee: Addressee) -> int | None:
    """Return the row of the last message that was sent to someone, where it could be noted."""
    wanted = addressee.entry.entry_id, comparable_number(addressee.number)
    rows = [
        row
        for recording in recordings
        for message, row in zip(recording.dispatch.messages, recording.dispatch.rows, strict=True)
        if (message.entry, message.number) == wanted
    ]
    return rows[-1] if rows else None


def _origin(*, automatic: bool) -> AbstractContextManager[None]:
    return sending_automatically() if automatic else nullcontext()
