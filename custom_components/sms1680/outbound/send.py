"""One try at sending: the text itself, and the safe text to those for whom its words were refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, override

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError

from ..client import Outcome, Reason, Receipt
from ..deferred.policy import Insistence
from ..errors import OwnReason
from .message import Items, Options, Sent, Way, async_send, one_text

# By these a phone has the message, or may have it.
_MAY_BE_THERE = (Outcome.ACCEPTED.value, Outcome.HELD.value, Outcome.UNKNOWN.value)
# What a step of a fallback answers where it took the message; actions and other integrations tell no more than `done`.
DONE = "done"
GOOD = (Outcome.ACCEPTED.value, DONE)

type Send[T] = Callable[[Items[T]], Awaitable[list[Sent]]]


@dataclass(frozen=True)
class Delivered(Sent):
    """What became of one receiver, and what is yet to come.

    safe: the safe text went out in place of the message. delayed_until: its quiet hours end then, and the message goes
    out. trying_until: it is tried until then. fallback: what came next, with what became of it. own_reason: why it was
    not even tried, where that was ours to say.
    """

    safe: bool = False
    delayed_until: datetime | None = None
    trying_until: datetime | None = None
    fallback: tuple[dict[str, str], ...] = field(default=())
    own_reason: OwnReason | None = None

    @property
    def waits(self) -> bool:
        """Whether it is yet to go out."""
        return self.delayed_until is not None or self.trying_until is not None

    @property
    def is_taken_care_of(self) -> bool:
        """Whether something else goes on or has taken the message, so that its failure is none."""
        return self.waits or any(step["outcome"] in GOOD for step in self.fallback)

    @property
    def final(self) -> Receipt:
        """Its receipt; it is unknown as well where that is how what came next has ended."""
        if any(step["outcome"] == Outcome.UNKNOWN.value for step in self.fallback):
            return replace(self.receipt, outcome=Outcome.UNKNOWN, reason=Reason.LOST)
        return self.receipt

    @override
    def as_response(self) -> dict[str, Any]:
        """Return it as an action answers it."""
        response = super().as_response()
        if self.delayed_until is not None:
            response["reason"] = "quiet_hours"
        elif self.own_reason is not None:
            response["reason"] = self.own_reason.value
        return {
            **response,
            "safe_text": self.safe,
            "delayed_until": self.delayed_until.isoformat() if self.delayed_until else None,
            "trying_until": self.trying_until.isoformat() if self.trying_until else None,
            "fallback": list(self.fallback),
        }


def has_reached(insistence: Insistence, delivered: Delivered) -> bool:
    """Tell whether the phone has the message through another account, or may have it."""
    account = insistence.fallback.account if insistence.fallback else None
    return any(step["to"] == account and step["outcome"] in _MAY_BE_THERE for step in delivered.fallback)


async def async_try[T](
    hass: HomeAssistant,
    items: Items[T],
    way: Way[T],
    options: Options,
    safe_texts: Sequence[str | None],
    *,
    send: Send[T] | None = None,
) -> list[Delivered]:
    """Send items once; returns what became of each, in order.

    safe_texts: for each, what goes out where its words are refused. send: how, if not by `async_send`.
    Raises ServiceValidationError before anything is sent.
    """
    if not items:
        return []
    sent = await (send(items) if send else async_send(hass, items, way, options))
    delivered = [Delivered(one.receiver, one.receipt) for one in sent]
    refused: dict[str, list[int]] = {}
    for place, (one, (receiver, content)) in enumerate(zip(delivered, items, strict=True)):
        if one.receipt.outcome is Outcome.REFUSED and one.receipt.reason is Reason.FORBIDDEN_WORDS:
            text = way.text(receiver, content)
            if receiver.entry.state is ConfigEntryState.LOADED:  # it may have been unloaded meanwhile
                receiver.entry.runtime_data.alarm.words.learn(one.receipt.detail, text)
            safe = safe_texts[place]
            if safe and safe != text:
                refused.setdefault(safe, []).append(place)
    for safe, places in refused.items():
        try:
            again = await async_send(hass, [(items[place][0], None) for place in places], one_text(safe), options)
        except ServiceValidationError:
            continue  # an account's safe text that can't be sent: the refusal stands
        for place, second in zip(places, again, strict=True):
            delivered[place] = Delivered(second.receiver, second.receipt, safe=True)
    return delivered
