"""Delivers a message whose texts are cut, split or refused, and returns one result for each addressee."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from homeassistant.core import HomeAssistant
from homeassistant.util.async_ import create_eager_task

from ..account.messages import OutgoingMessage
from ..client import Outcome, Reason, Receipt
from ..client.receipts import combine
from ..deferred.failures import async_fire_sent
from ..deferred.models import DeliveryResult
from ..recipients import Addressee
from .long_text import Share, fit
from .message import MessageOptions
from .send import report_end

type Deliver = Callable[[Sequence[Addressee], OutgoingMessage, MessageOptions], Awaitable[Sequence[DeliveryResult]]]


async def async_deliver_shares(
    hass: HomeAssistant,
    addressees: Sequence[Addressee],
    message: OutgoingMessage,
    options: MessageOptions,
    deliver: Deliver,
) -> Sequence[DeliveryResult]:
    """Deliver the shares of a message; return a result for each addressee, in order.

    deliver: checks and delivers a message. It raises ServiceValidationError if the texts of all addressees are refused.
    """
    shares = fit(addressees, message)
    if all(share.long_text == "refuse" for share in shares):
        return await deliver(addressees, message, options)
    if len(shares) == 1 and len(shares[0].messages) == 1:
        return await deliver(addressees, shares[0].messages[0], replace(options, long_text=shares[0].long_text))

    async def run(share: Share) -> list[DeliveryResult]:
        some = [addressees[place] for place in share.places]
        own_options = replace(options, long_text=share.long_text)
        if not share.messages:
            return [_refuse(hass, addressee, own_options) for addressee in some]
        answers = [await deliver(some, one, own_options) for one in share.messages]
        return [_combine(results) for results in zip(*answers, strict=True)]

    results: dict[int, DeliveryResult] = {}
    # Each begins at once: one that is cancelled before would leave no record.
    answers = await asyncio.gather(*(create_eager_task(run(share)) for share in shares))
    for share, of_share in zip(shares, answers, strict=True):
        results.update(zip(share.places, of_share, strict=True))
    return [results[place] for place in range(len(addressees))]


def _refuse(hass: HomeAssistant, addressee: Addressee, options: MessageOptions) -> DeliveryResult:
    """Return and report the result of a message whose text is too long, and whose account refuses such texts."""
    receipt = Receipt(addressee.number, Outcome.REFUSED, reason=Reason.TOO_LONG)
    result = DeliveryResult(addressee, receipt, long_text=options.long_text)
    async_fire_sent(hass, result, options.priority, options.context.caller, automatic=options.context.automatic)
    report_end(result, options)
    return result


def _combine(results: Sequence[DeliveryResult]) -> DeliveryResult:
    """Return one result for the several messages that one text was split into."""
    receipt = combine([result.receipt for result in results])
    worst = next(result for result in results if result.receipt.outcome is receipt.outcome)
    return replace(worst, receipt=receipt)
