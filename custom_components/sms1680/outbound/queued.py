"""The deliveries of queued messages: their attempts to send, and their fallbacks."""

from dataclasses import replace
from functools import partial
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.util import dt as dt_util

from ..account.journal import SendContext
from ..client import Outcome, Reason, Receipt
from ..const import CONF_CMPP
from ..deferred.attempt import Attempt, RunningMessages
from ..deferred.models import HANDLED, DeliveryResult, QueuedMessage
from ..deferred.queue import DeferredQueue
from ..store.manager import StoreManager
from .fallback import FailedMessage, FallbackRunner
from .item import FALLS_BACK, OutboundItem
from .long_text import shorten_for
from .message import MessageOptions, check, text_to
from .pipeline import (
    async_await_report,
    async_fall_back,
    async_fall_back_later,
    async_repeat_uncertain,
    async_wait_for_room,
)
from .policy_source import async_quiet_until
from .repeat import async_repeat, marked, repeats
from .send import send_with_safe_text

_REPEAT: Final = "repeat"  # the step that sends a message once more


def create_queue(hass: HomeAssistant, entry: ConfigEntry[Any], storage: StoreManager) -> DeferredQueue:
    """Return the queue of an account's deferred messages, wired to these stages."""
    return DeferredQueue(
        hass,
        entry,
        storage.durable.store,
        storage.for_entry(entry).store,
        send=partial(_async_attempt, hass, entry),
        run_fallback=partial(_async_run_fallback, hass, entry),
    )


async def _async_attempt(
    hass: HomeAssistant, entry: ConfigEntry[Any], queue: DeferredQueue, attempt: Attempt
) -> DeliveryResult:
    """Try to send a queued message; run its fallback the first time that it is due."""
    queued = attempt.message
    addressee = queued.addressee(entry)
    at = dt_util.utc_from_timestamp(queued.at) if queued.at is not None else None
    context = SendContext(queued.automatic, cause=queued.cause, on_row=attempt.add)
    options = MessageOptions(at, queued.extension, queued.priority, context=context, digest=attempt.digest)
    if not options.is_critical and (until := await async_quiet_until(addressee, at or dt_util.utcnow())):
        return DeliveryResult(addressee, Receipt(queued.number, Outcome.NOT_SENT), delayed_until=until)
    item = OutboundItem(addressee, queued.text, queued.policy, options, Context(user_id=queued.user), queue)
    text, safe_text = shorten_for([addressee], queued.text), queued.policy.safe_text
    if queued.repeated:  # the end of the program interrupted the first attempt, by CMPP if the account has it
        text, safe_text = marked(addressee, text), marked(addressee, safe_text) if safe_text else None
        context = replace(context, avoid=CONF_CMPP)
    message = text_to([addressee], text)
    attempt_options = replace(options, context=replace(context, attempt_id=attempt.id, request_hook=attempt))
    try:
        check(hass, [addressee], message, options)
    except ServiceValidationError:
        return DeliveryResult(addressee, Receipt(queued.number, Outcome.REFUSED, reason=Reason.PARAMETER))
    (result,) = await send_with_safe_text(
        hass,
        [addressee],
        message,
        attempt_options,
        [safe_text],
        hold_back=lambda _, over: async_wait_for_room(item, over, queued=True, after_fallback=queued.tried),
    )
    if queued.repeated:
        result = replace(result, repeated=result.receipt.outcome.may_arrive)
    else:
        result = await async_repeat_uncertain(hass, item, result, attempt.before_repeat)
    if at is None and not queued.tried:
        if queued.policy.fallback:
            await attempt.before_fallback()
        (result,) = await async_fall_back(hass, [item], [result])
        result = await async_wait_for_room(item, result, queued=True, after_fallback=True)
    elif at is not None and not result.is_over_limit and await async_fall_back_later(item, result):
        queue.failures.async_conclude([result.outgoing])
    await async_await_report(item, result)
    return result


async def _async_run_fallback(
    hass: HomeAssistant, entry: ConfigEntry[Any], queued: QueuedMessage, why: str, *, may_repeat: bool
) -> list[dict[str, str]]:
    """Act on a message that was sent, but not delivered or not reported in time; return the steps.

    may_repeat: the failure allows to send the message once more.
    """
    policy, addressee, steps = queued.policy, queued.addressee(entry), []
    context = SendContext(queued.automatic, cause=queued.cause)
    options = MessageOptions(None, queued.extension, queued.priority, context=context)
    if policy.fallback:
        runner = FallbackRunner(hass, policy.fallback, options, Context(user_id=queued.user))
        failed = FailedMessage(addressee, queued.text, why, None, policy.safe_text, why not in FALLS_BACK)
        ((*steps,),) = await runner.async_run([failed])
    by_account = policy.fallback is not None and policy.fallback.account
    if not may_repeat or queued.repeated or not repeats(policy, options) or entry.state is not ConfigEntryState.LOADED:
        return steps
    if any(step["to"] == by_account and step["outcome"] in HANDLED for step in steps):
        return steps  # the other account has sent it to the same number
    queue = entry.runtime_data.deferred
    with RunningMessages([queue.failures]) as running:
        options = options.with_on_row(running.add)

        async def attempt() -> str | None:
            return queued.attempt

        again = await async_repeat(hass, addressee, queued.text, options, queued.transport, attempt)
        if again is None:
            return steps
        handled = any(step["outcome"] in HANDLED for step in steps)
        if again.receipt.outcome is Outcome.ACCEPTED and not handled:
            item = OutboundItem(addressee, queued.text, policy, options, Context(user_id=queued.user), queue)
            await async_await_report(item, replace(again, repeated=True))
        else:
            queue.failures.async_conclude([again.outgoing])
    return [*steps, {"to": _REPEAT, "outcome": again.receipt.outcome.value}]
