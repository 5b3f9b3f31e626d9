"""The stages of a delivery: checks, quiet hours, the attempt to send, the fallback, and further attempts."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

from homeassistant.core import Context, HomeAssistant
from homeassistant.util import dt as dt_util
from homeassistant.util.async_ import create_eager_task

from ..account.messages import OutgoingMessage
from ..client import Outcome, Reason, Receipt
from ..deferred.attempt import RunningMessages
from ..deferred.failures import async_fire_sent
from ..deferred.models import DeliveryResult
from ..deferred.policy import NO_POLICY, DeliveryPolicy
from ..deferred.retry_policy import pause_after
from ..deferred.stored_alarms import StoredAlarms
from ..recipients import Addressee
from ..store.turns import in_turns, to_the_end
from .fallback import FailedMessage, FallbackRunner, check_fallback
from .item import OutboundItem, OutboundItems
from .long_text import shorten_for
from .message import MessageOptions, check, text_to
from .policy_source import async_quiet_until, completed
from .repeat import REPORT_WITHIN, BeforeRepeat, async_repeat, repeats
from .send import Results, send_with_safe_text
from .shares import async_deliver_shares

_PATIENCE: Final = 5.0  # seconds, if there is a fallback


async def async_deliver(
    hass: HomeAssistant,
    addressees: Sequence[Addressee],
    message: OutgoingMessage,
    options: MessageOptions,
    *,
    policy: DeliveryPolicy = NO_POLICY,
    context: Context | None = None,
    batched: bool = False,
) -> Sequence[DeliveryResult]:
    """Deliver a message; texts that are too long are cut, split or refused, as the accounts' settings say.

    See `_async_deliver` about the arguments. Raises ServiceValidationError before anything is sent, also if
    the texts of all addressees are refused.
    """
    deliver = partial(_async_deliver, hass, policy=policy, context=context, batched=batched)
    return await async_deliver_shares(hass, addressees, message, options, deliver)


async def _async_deliver(
    hass: HomeAssistant,
    addressees: Sequence[Addressee],
    message: OutgoingMessage,
    options: MessageOptions,
    *,
    policy: DeliveryPolicy = NO_POLICY,
    context: Context | None = None,
    batched: bool = False,
) -> Sequence[DeliveryResult]:
    """Deliver a message, for each addressee with the policy of the call, of the recipient and of the account.

    addressees: of the items of the message, in order. policy, context: of the call. batched: share the request with
    other callers that send the same text now. Returns a result for each addressee, in order.
    Raises ServiceValidationError before anything is sent.
    """
    check(hass, addressees, message, options)
    if policy.safe_text is not None:
        safe_text = shorten_for(addressees, policy.safe_text)
        policy = replace(policy, safe_text=safe_text)
        check(hass, addressees, text_to(addressees, safe_text), options)
    check_fallback(hass, policy)
    accounts = {addressee.entry.entry_id: addressee.entry for addressee in addressees}
    with contextlib.ExitStack() as starting:
        for entry in accounts.values():  # their unloading waits until the message is sent
            starting.enter_context(entry.runtime_data.client.busy())
        return await _async_deliver_checked(
            hass, addressees, message, options, policy, context or Context(), starting, batched=batched
        )


async def _async_deliver_checked(  # noqa: PLR0917 - the parts of one call
    hass: HomeAssistant,
    addressees: Sequence[Addressee],
    message: OutgoingMessage,
    options: MessageOptions,
    policy: DeliveryPolicy,
    context: Context,
    starting: contextlib.ExitStack,
    *,
    batched: bool,
) -> Sequence[DeliveryResult]:
    """Deliver a message that has been checked. starting: is closed once the message is sent."""
    of_numbers: dict[str, DeliveryPolicy] = {}
    policies = [completed(policy, addressee, of_numbers) async for addressee in in_turns(addressees)]
    if not policy.fallback:
        # A fallback from the settings was chosen by an administrator, so it does not need the caller's permissions.
        context = Context(parent_id=context.parent_id)
    if any(one.fallback for one in policies):
        # The fallback must not wait long, and a shared request is as patient as the most patient of its callers.
        options, batched = replace(options, patience=_PATIENCE), False
    queues = {addressee.entry.entry_id: addressee.entry.runtime_data.deferred for addressee in addressees}
    running = RunningMessages({queue.failures for queue in queues.values()})
    options = options.with_on_row(running.add)
    items = OutboundItems(addressees, message.texts, policies, options, context, queues)
    held = await to_the_end(create_eager_task(_async_hold_back(hass, items)))
    places = [place for place in range(len(items)) if place not in held]
    items_now = items.select(places)
    stored_items = enumerate(items_now) if options.is_critical else ()
    alarms = {place: item.queue.alarm(item.queued()) for place, item in stored_items if item.is_stored}
    with running:
        async with StoredAlarms(hass, alarms) as stored:
            sent = await _async_send_items(
                hass, items_now, message.select(places), options, running, stored, starting, batched=batched
            )
            await to_the_end(create_eager_task(_async_finish_all(items_now, sent)))
    if not held:
        return sent
    held.update(zip(places, sent, strict=True))
    return [held[place] for place in range(len(items))]


async def _async_send_items(  # noqa: PLR0917 - the parts of one call
    hass: HomeAssistant,
    items: OutboundItems,
    message: OutgoingMessage,
    options: MessageOptions,
    running: RunningMessages,
    stored: StoredAlarms,
    starting: contextlib.ExitStack,
    *,
    batched: bool,
) -> Results:
    """Send what nothing holds back, with its repetition and its fallback. stored: the alarms among the items.

    starting: is closed once the items are sent.
    """
    if stored.attempt is not None:
        options = replace(options, context=replace(options.context, attempt_id=stored.attempt))
    results = await send_with_safe_text(
        hass,
        items.addressees,
        message,
        options,
        [policy.safe_text for policy in items.policies],
        batched=batched,
        hold_back=lambda place, result: async_wait_for_room(items[place], result),
    )
    starting.close()
    for place, receipt in results.receipts.items():
        running.add(receipt.number, results.rows[place])
    uncertain = [place for place in range(len(results)) if results.receipts[place].outcome is Outcome.UNKNOWN]
    repeated = await asyncio.gather(
        *(
            async_repeat_uncertain(hass, items[place], results[place], partial(stored.async_before_repeat, place))
            for place in uncertain
        )
    )
    for place, result in zip(uncertain, repeated, strict=True):
        results[place] = result
    if options.at is None and any(policy.fallback for policy in items.policies):
        for place, result in enumerate(await async_fall_back(hass, items, results)):
            if result.fallback:
                results[place] = result
    return results


async def async_repeat_uncertain(
    hass: HomeAssistant, item: OutboundItem, result: DeliveryResult, before: BeforeRepeat
) -> DeliveryResult:
    """Send a critical message with an unknown outcome once more; return the result that counts.

    before: notes that it is repeated, and returns the name of the attempt.
    """
    if result.receipt.outcome is not Outcome.UNKNOWN or not repeats(item.policy, item.options):
        return result
    text = item.policy.safe_text if result.safe and item.policy.safe_text else item.text
    again = await async_repeat(hass, item.addressee, text, item.options, result.transport, before)
    if again is None:
        return result
    failures = item.queue.failures
    if again.receipt.outcome is not Outcome.ACCEPTED:
        failures.async_conclude([again.outgoing])
        return replace(result, repeated=again.receipt.outcome.may_arrive)
    failures.async_conclude([result.outgoing])
    return replace(again, repeated=True, safe=result.safe)


async def _async_finish(item: OutboundItem, result: DeliveryResult) -> DeliveryResult:
    """Let a message wait if there is something to wait for; otherwise report its end if it failed."""
    waits = await async_fall_back_later(item, result)
    if not waits:
        result = await async_wait_for_room(item, result, after_fallback=True)
    if result.receipt.outcome.is_failure and not result.is_over_limit:
        item.queue.digests.async_replan()  # the refund leaves room for others
    await async_await_report(item, result)
    result = await _async_keep_trying(item, result)
    failures = item.queue.failures
    if waits:
        failures.async_conclude([result.outgoing])
    else:
        context = item.options.context
        failures.async_end(result, item.options.priority, context.caller, automatic=context.automatic)
    return result


async def _async_finish_all(items: Sequence[OutboundItem], results: Results) -> None:
    async for place, (item, result) in in_turns(enumerate(zip(items, results, strict=True))):
        final = await _async_finish(item, result)
        if final is not result:
            results[place] = final


async def _async_hold_back(hass: HomeAssistant, items: Sequence[OutboundItem]) -> dict[int, DeliveryResult]:
    """Queue the messages that quiet hours hold back, and those for which others wait that a limit holds back.

    One that cannot be queued is sent rather than lost.
    """
    results: dict[int, DeliveryResult] = {}
    async for place, item in in_turns(enumerate(items)):
        addressee, options = item.addressee, item.options
        if options.is_critical:
            continue
        limit: Reason | None = None
        until = await async_quiet_until(addressee, options.at or dt_util.utcnow())
        if until is not None:
            until = until if await item.queue.async_enqueue(item.queued(), until) else None
        elif options.at is None and not item.policy.fallback and item.queue.digests.has_waiting:
            until, limit = await item.queue.digests.async_join(item.queued()) or (None, None)
        if until is not None:
            parts = addressee.entry.runtime_data.client.failover.estimate(item.text).parts
            receipt = Receipt(addressee.number, Outcome.NOT_SENT, reason=limit, parts=parts)
            results[place] = DeliveryResult(addressee, receipt, delayed_until=until, long_text=options.long_text)
            automatic = options.context.automatic
            async_fire_sent(hass, results[place], options.priority, options.context.caller, automatic=automatic)
    return results


async def async_wait_for_room(
    item: OutboundItem, result: DeliveryResult, *, queued: bool = False, after_fallback: bool = False
) -> DeliveryResult:
    """Let a message over one of our own limits wait for room; return its result, pending if it waits.

    A critical message never waits. One with a fallback waits only if no step of it has taken the message. queued: the
    message is in the queue already.
    """
    reason = result.receipt.reason
    if item.options.is_critical or not result.is_over_limit or reason is None or result.is_handled:
        return result
    if item.policy.fallback and (not after_fallback or result.may_have_arrived(item.policy)):
        return result
    digests = item.queue.digests
    message = item.queued(limit=reason.value)
    room = await (digests.async_room_for(message) if queued else digests.async_hold_back(message, reason))
    if room is None:
        return result
    return replace(result, receipt=replace(result.receipt, outcome=Outcome.NOT_SENT), delayed_until=room)


async def async_fall_back(
    hass: HomeAssistant, items: Sequence[OutboundItem], results: Sequence[DeliveryResult]
) -> list[DeliveryResult]:
    """Run the fallback of the messages that failed, once for those that share it."""
    results = list(results)
    shared: dict[str, list[int]] = {}
    for place, (item, result) in enumerate(zip(items, results, strict=True)):
        if item.policy.fallback and item.falls_back(result):
            shared.setdefault(json.dumps(item.policy.fallback.as_json()), []).append(place)

    async def run(places: list[int]) -> None:
        first = items[places[0]]
        assert first.policy.fallback is not None  # noqa: S101 - checked above
        runner = FallbackRunner(hass, first.policy.fallback, first.options.with_on_row(None), first.context)
        failed = [
            FailedMessage.from_result(results[place], items[place].text, items[place].policy.safe_text)
            for place in places
        ]
        for place, steps in zip(places, await runner.async_run(failed), strict=True):
            results[place] = replace(results[place], fallback=tuple(steps))

    await asyncio.gather(*map(run, shared.values()))
    return results


async def async_fall_back_later(item: OutboundItem, result: DeliveryResult) -> bool:
    """Let the fallback of a scheduled message wait for its time; return whether it does.

    A message that is still to be sent needs none yet.
    """
    at, outcome = item.options.at, result.receipt.outcome
    if at is None or outcome is Outcome.NOT_SENT or not item.falls_back(result):
        return False
    return await item.queue.async_enqueue(item.queued(watched=True, missed=outcome.value), at)


async def async_await_report(item: OutboundItem, result: DeliveryResult) -> None:
    """Let a critical message wait for its delivery report, so that it is repeated or falls back if none comes."""
    fallback, queue = item.policy.fallback, item.queue
    if result.receipt.outcome is not Outcome.ACCEPTED:
        return
    within = fallback.report_within if fallback is not None else None
    waits = repeats(item.policy, item.options) and (within is not None or queue.failures.reports_arrive)
    if waits or (fallback and item.allows_duplicates):
        due = (item.options.at or dt_util.utcnow()) + timedelta(seconds=within or REPORT_WITHIN)
        outgoing, transport = result.outgoing, result.transport
        watched = item.queued(outgoing=outgoing, watched=True, transport=transport, repeated=result.repeated)
        await queue.async_await_report(watched, due)


async def _async_keep_trying(item: OutboundItem, result: DeliveryResult) -> DeliveryResult:
    """Queue a message that was certainly not sent, for as long as the policy asks for."""
    policy, at, now = item.policy, item.options.at, dt_util.utcnow()
    keep_trying, falls_back_later = policy.keep_trying, bool(at and policy.fallback)
    unsent = result.receipt.outcome is Outcome.NOT_SENT and not result.may_have_arrived(policy)
    if unsent and not result.is_pending and (keep_trying is not None or falls_back_later):
        until = (at or now) + timedelta(seconds=keep_trying or 0)
        due = until if keep_trying is None else min(now + pause_after(1), until)
        queued = item.queued(until=until.timestamp(), tried=not falls_back_later, tries=1)
        if await item.queue.async_enqueue(queued, due):
            return replace(result, trying_until=until)
    return result
