"""One attempt to send a message: its text first, then the safe text if the platform refuses the words."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.util.async_ import create_eager_task

from ..account.journal import SendResult
from ..account.messages import OutgoingMessage
from ..client import InvalidMessageError, Outcome, Reason, Receipt
from ..client.options import SendOptions
from ..deferred.failures import async_fire_sent
from ..deferred.models import DeliveryResult
from ..errors import invalid_message_error
from ..recipients import Addressee
from ..store.lazy import Lazy
from ..store.turns import in_turns
from .long_text import shorten_for
from .message import MessageOptions, check, text_to

type HoldBack = Callable[[int, DeliveryResult], Awaitable[DeliveryResult]]


class Results(Lazy[DeliveryResult]):
    """The results of a send, one for each addressee, in order. Each is made when it is read, unless it was replaced.

    receipts, rows: of the results, by their places.
    """

    def __init__(self, addressees: Sequence[Addressee]) -> None:
        self.receipts: dict[int, Receipt] = {}
        self.rows: dict[int, int | None] = {}
        self._transports: dict[int, str | None] = {}
        self._replaced: dict[int, DeliveryResult] = {}
        receipts, rows, transports, replaced = self.receipts, self.rows, self._transports, self._replaced

        def make(place: int) -> DeliveryResult:  # without `self`: a cycle would outlast the call
            if (result := replaced.get(place)) is not None:
                return result
            return DeliveryResult(addressees[place], receipts[place], rows[place], transport=transports[place])

        super().__init__(len(addressees), make)

    def add(self, place: int, sent: SendResult) -> None:
        """Add what the client returned for an addressee."""
        self.receipts[place], self.rows[place], self._transports[place] = sent.receipt, sent.row, sent.transport

    def __setitem__(self, place: int, result: DeliveryResult) -> None:
        self._replaced[place] = result
        self.receipts[place], self.rows[place] = result.receipt, result.outgoing


async def send_with_safe_text(
    hass: HomeAssistant,
    addressees: Sequence[Addressee],
    message: OutgoingMessage,
    options: MessageOptions,
    safe_texts: Sequence[str | None],
    *,
    batched: bool = False,
    hold_back: HoldBack | None = None,
) -> Results:
    """Send a checked message once; return a result for each addressee, in order.

    safe_texts: for each addressee, replaces a text whose words are refused. batched: share the request with other
    callers that send the same text now. hold_back: called with the place and the result of each message over one of our
    own limits, and returns the result that is reported.
    """
    if batched:
        results = await _send_batched(hass, addressees, message, options)
    else:
        results = await _send(addressees, message, options)
    refused: dict[str, list[int]] = {}
    for place, (text, safe) in enumerate(zip(message.texts, safe_texts, strict=True)):
        receipt = results.receipts[place]
        if receipt.outcome is Outcome.REFUSED and receipt.reason is Reason.FORBIDDEN_WORDS:
            entry = addressees[place].entry
            if entry.state is ConfigEntryState.LOADED:  # it can be unloaded in the meantime
                entry.runtime_data.refused_words.learn(receipt.detail, text)
            if safe and safe != text:
                refused.setdefault(safe, []).append(place)
    for given, places in refused.items():
        again = [addressees[place] for place in places]
        safe = shorten_for(again, given)
        try:
            check(hass, again, text_to(again, safe), options)
        except ServiceValidationError:
            continue  # the safe text of an account cannot be sent: the refusal remains
        conclude(results[place] for place in places)
        for place, result in zip(places, await _send(again, text_to(again, safe), options), strict=True):
            results[place] = replace(result, safe=True)
    return await _report(hass, results, options, hold_back)


async def _report(
    hass: HomeAssistant, results: Results, options: MessageOptions, hold_back: HoldBack | None
) -> Results:
    """Fire the events of a send, and return its results with those of the messages that were held back."""
    async for place, result in in_turns(enumerate(results)):
        final = result
        if options.digest is not None or options.long_text is not None:
            long_text = None if result.safe else options.long_text
            final = replace(result, digest=options.digest, long_text=long_text)
        if hold_back is not None and final.is_over_limit:
            final = await hold_back(place, final)
        async_fire_sent(hass, final, options.priority, options.context.caller, automatic=options.context.automatic)
        if final is not result:
            results[place] = final
    return results


def report_end(result: DeliveryResult, options: MessageOptions) -> None:
    """Report a message without a policy that was not delivered."""
    entry, context = result.addressee.entry, options.context
    if entry.state is ConfigEntryState.LOADED:
        failures = entry.runtime_data.deferred.failures
        failures.async_end(result, options.priority, context.caller, automatic=context.automatic)


def conclude(results: Iterable[DeliveryResult]) -> None:
    """Note that other messages replace these, so that their ends are not reported."""
    for result in results:
        entry = result.addressee.entry
        if entry.state is ConfigEntryState.LOADED:
            entry.runtime_data.deferred.failures.async_conclude([result.outgoing])


async def _send(addressees: Sequence[Addressee], message: OutgoingMessage, options: MessageOptions) -> Results:
    """Send a message in one call for each account and extension, all at once."""
    groups: dict[tuple[str, str | None], list[int]] = {}
    for place, addressee in enumerate(addressees):
        groups.setdefault((addressee.entry.entry_id, options.extension_for(addressee)), []).append(place)

    async def run(extension: str | None, places: list[int]) -> Sequence[SendResult]:
        core_options: SendOptions = {
            "at": options.at,
            "extension": extension,
            "priority": options.priority,
            "patience": options.patience,
        }
        client = addressees[places[0]].entry.runtime_data.client
        sent: Sequence[SendResult] = await client.send(message.select(places), core_options, options.context)
        return sent

    # Each begins at once: one that is cancelled before would leave no record.
    answers = await asyncio.gather(
        *(create_eager_task(run(extension, places)) for (_, extension), places in groups.items())
    )
    results = Results(addressees)
    for places, answer in zip(groups.values(), answers, strict=True):
        async for place, sent in in_turns(zip(places, answer, strict=True)):
            results.add(place, sent)
            if addressees[place].subentry_id is not None:
                _record_notification(results[place])
    return results


async def _send_batched(
    hass: HomeAssistant, addressees: Sequence[Addressee], message: OutgoingMessage, options: MessageOptions
) -> Results:
    """Send a text in one request with other callers that send the same one now."""
    results = Results(addressees)
    for place, (addressee, text) in enumerate(zip(addressees, message.texts, strict=True)):
        batcher = addressee.entry.runtime_data.batcher
        extension = options.extension_for(addressee)
        try:
            sent = await batcher.send(addressee.number, text, extension, options.context)
        except InvalidMessageError as error:
            raise invalid_message_error(hass, error) from None
        results.add(place, sent)
    return results


def _record_notification(result: DeliveryResult) -> None:
    """Update the state of the recipient's notify entity, if this version of Home Assistant can (2026.4 and later)."""
    entry = result.addressee.entry
    loaded = entry.state is ConfigEntryState.LOADED  # it can be unloaded in the meantime
    if loaded and result.receipt.outcome.is_success:
        entity = entry.runtime_data.notify_entities.get(result.addressee.subentry_id or "")
        if record := getattr(entity, "_async_record_notification", None):
            record()
