"""One try at sending: the text itself, and the safe text to those for whom its words were refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError

from ..client import Outcome, Reason
from ..deferred.models import DeliveryResult
from .message import Items, Options, Way, async_send, one_text

type Send[T] = Callable[[Items[T]], Awaitable[list[DeliveryResult]]]


async def send_with_safe_text[T](
    hass: HomeAssistant,
    items: Items[T],
    way: Way[T],
    options: Options,
    safe_texts: Sequence[str | None],
    *,
    send: Send[T] | None = None,
) -> list[DeliveryResult]:
    """Send items once; returns what became of each, in order.

    safe_texts: for each, what goes out where its words are refused. send: how, if not by `async_send`.
    Raises ServiceValidationError before anything is sent.
    """
    if not items:
        return []
    delivered = await (send(items) if send else async_send(hass, items, way, options))
    refused: dict[str, list[int]] = {}
    for place, (one, (addressee, content)) in enumerate(zip(delivered, items, strict=True)):
        if one.receipt.outcome is Outcome.REFUSED and one.receipt.reason is Reason.FORBIDDEN_WORDS:
            text = way.text(addressee, content)
            if addressee.entry.state is ConfigEntryState.LOADED:  # it may have been unloaded meanwhile
                addressee.entry.runtime_data.refused_words.learn(one.receipt.detail, text)
            safe = safe_texts[place]
            if safe and safe != text:
                refused.setdefault(safe, []).append(place)
    for safe, places in refused.items():
        try:
            again = await async_send(hass, [(items[place][0], None) for place in places], one_text(safe), options)
        except ServiceValidationError:
            continue  # an account's safe text that can't be sent: the refusal stands
        for place, second in zip(places, again, strict=True):
            delivered[place] = replace(second, safe=True)
    return delivered
