"""Sending for the actions and entities: as few requests as the account allows, and what became of each number."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from homeassistant.core import HomeAssistant

from .client import InvalidMessageError, Receipt, SendError
from .client.client import SendOptions
from .client.pace import Priority
from .coordinator import Sms1680ConfigEntry
from .failures import rejected
from .targets import Receiver


@dataclass(frozen=True)
class Options:
    """What a call may set. extension: instead of the recipient's own."""

    at: datetime | None = None
    extension: str | None = None
    priority: Priority = "normal"


@dataclass(frozen=True)
class Sent:
    """What became of one receiver."""

    receiver: Receiver
    receipt: Receipt

    def as_response(self) -> dict[str, Any]:
        """Return it as an action answers it; the number is whole, the caller asked for it."""
        receipt = self.receipt
        return {
            "number": receipt.number,
            "recipient": self.receiver.name,
            "outcome": receipt.outcome.value,
            "message_id": receipt.message_id,
            "parts": receipt.parts,
            "reason": receipt.reason.value if receipt.reason else None,
        }


async def async_send(hass: HomeAssistant, receivers: Sequence[Receiver], text: str, options: Options) -> list[Sent]:
    """Send one text to each receiver. Raises ServiceValidationError before anything is sent."""

    async def send(
        entry: Sms1680ConfigEntry, items: Sequence[tuple[Receiver, None]], given: SendOptions
    ) -> tuple[Receipt, ...]:
        numbers = [receiver.number for receiver, _ in items]
        return await entry.runtime_data.client.send(numbers, text, **given)

    return await async_send_items(hass, [(receiver, None) for receiver in receivers], send, options)


async def async_send_items[T](
    hass: HomeAssistant,
    items: Sequence[tuple[Receiver, T]],
    send: Callable[[Sms1680ConfigEntry, Sequence[tuple[Receiver, T]], SendOptions], Awaitable[tuple[Receipt, ...]]],
    options: Options,
) -> list[Sent]:
    """Send items, one call for each account and extension, all at once; returns what became of each, in order.

    Raises ServiceValidationError where a call can't be made as it stands.
    """
    groups: dict[tuple[str, str | None], list[int]] = {}
    for index, (receiver, _) in enumerate(items):
        extension = options.extension or receiver.extension
        groups.setdefault((receiver.entry.entry_id, extension), []).append(index)

    async def run(extension: str | None, places: list[int]) -> tuple[Receipt, ...] | InvalidMessageError:
        given: SendOptions = {"at": options.at, "extension": extension, "priority": options.priority}
        chosen = [items[place] for place in places]
        try:
            return await send(chosen[0][0].entry, chosen, given)
        except SendError as error:
            return error.receipts
        except InvalidMessageError as error:
            # Handed back: raised here, it would leave the other groups to themselves.
            return error

    answers = await asyncio.gather(*(run(extension, places) for (_, extension), places in groups.items()))
    receipts: dict[int, Receipt] = {}
    for answer, places in zip(answers, groups.values(), strict=True):
        if isinstance(answer, InvalidMessageError):
            raise rejected(hass, answer) from None
        receipts.update(zip(places, answer, strict=True))
    return [Sent(receiver, receipts[index]) for index, (receiver, _) in enumerate(items)]
