"""Sending for the actions: as few requests as the accounts allow, and what became of each number."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from ..account.journal import Sender
from ..client import InvalidMessageError, Receipt, SendError
from ..client.cmpp.compose import full_number
from ..client.http.requests import check_separators
from ..client.options import Priority, SendOptions
from ..client.plan import SendPlan, check_extension, check_time, fill, plan_batch, plan_send, plan_template
from ..client.text import Signature
from ..const import CONF_CMPP, CONF_HTTP, CONF_SIGNATURE, CONF_SIGNATURE_PLACE, CONF_SOURCE_NUMBER
from ..context import is_automatic
from ..coordinator import Sms1680ConfigEntry
from ..deferred.models import DeliveryResult
from ..errors import invalid_message_error, validation_error
from ..recipients import Addressee
from ..store.db import comparable_number

type Items[T] = Sequence[tuple[Addressee, T]]


@dataclass(frozen=True)
class Options:
    """What a call may set. extension: instead of the recipient's own. patience: seconds of trying, None: as usual."""

    at: datetime | None = None
    extension: str | None = None
    priority: Priority = "normal"
    patience: float | None = None


@dataclass(frozen=True)
class Way[T]:
    """One of the platform's three calls, for addressees with what each of them gets.

    plan: checks the items, as the core does. send: sends them. text: what one addressee gets, without the signature.
    """

    plan: Callable[..., SendPlan]
    send: Callable[[Sender, Items[T], SendOptions], Awaitable[tuple[Receipt, ...]]]
    text: Callable[[Addressee, T], str]


def one_text(text: str) -> Way[None]:
    """Return the call that sends one text to all (chapter 2.1)."""

    def plan(items: Items[None], **common: Any) -> SendPlan:
        return plan_send([addressee.number for addressee, _ in items], text, **common)

    async def send(client: Sender, items: Items[None], given: SendOptions) -> tuple[Receipt, ...]:
        return await client.send([addressee.number for addressee, _ in items], text, **given)

    return Way(plan, send, lambda _receiver, _content: text)


def one_template(template: str) -> Way[Sequence[str]]:
    """Return the call that fills a template in for each (chapter 2.2)."""

    def rows(items: Items[Sequence[str]]) -> list[list[str | int]]:
        return [[addressee.number, *values] for addressee, values in items]

    def plan(items: Items[Sequence[str]], **common: Any) -> SendPlan:
        return plan_template(template, rows(items), **common)

    async def send(client: Sender, items: Items[Sequence[str]], given: SendOptions) -> tuple[Receipt, ...]:
        return await client.send_template(template, rows(items), **given)

    return Way(plan, send, lambda addressee, values: fill(template, addressee.number, [str(value) for value in values]))


def own_texts() -> Way[str]:
    """Return the call that sends each its own text (chapter 2.3)."""

    def pairs(items: Items[str]) -> list[tuple[str | int, str]]:
        return [(addressee.number, text) for addressee, text in items]

    def plan(items: Items[str], **common: Any) -> SendPlan:
        return plan_batch(pairs(items), **common)

    async def send(client: Sender, items: Items[str], given: SendOptions) -> tuple[Receipt, ...]:
        return await client.send_batch(pairs(items), **given)

    return Way(plan, send, lambda _receiver, text: text)


async def async_send[T](hass: HomeAssistant, items: Items[T], way: Way[T], options: Options) -> list[DeliveryResult]:
    """Send items, in one call for each account and extension, all at once.

    Returns what became of each, in order. Raises ServiceValidationError before anything is sent.
    """
    groups: dict[tuple[str, str | None], list[int]] = {}
    for index, (addressee, _) in enumerate(items):
        groups.setdefault((addressee.entry.entry_id, _extension(addressee, options)), []).append(index)
    check(hass, items, way, options)

    async def run(extension: str | None, places: list[int]) -> tuple[Receipt, ...]:
        given: SendOptions = {
            "at": options.at,
            "extension": extension,
            "priority": options.priority,
            "patience": options.patience,
            "automatic": is_automatic(),
        }
        chosen = [items[place] for place in places]
        try:
            return await way.send(chosen[0][0].entry.runtime_data.client, chosen, given)
        except SendError as error:
            return error.receipts

    answers = await asyncio.gather(*(run(extension, places) for (_, extension), places in groups.items()))
    receipts: dict[int, Receipt] = {}
    for answer, places in zip(answers, groups.values(), strict=True):
        receipts.update(zip(places, answer, strict=True))
    sent = [DeliveryResult(addressee, receipts[index]) for index, (addressee, _) in enumerate(items)]
    for one in sent:
        _record(one)
    return sent


def check[T](hass: HomeAssistant, items: Items[T], way: Way[T], options: Options) -> None:
    """Let the core check the whole before any part of it goes out. Raises ServiceValidationError.

    What stems from our own events never goes to our own number; to a service number nothing goes at all.
    """
    if is_automatic() and any(addressee.number in own_numbers(addressee.entry) for addressee, _ in items):
        raise validation_error("own_number")
    try:
        for addressee, _ in items:
            extension = _extension(addressee, options)
            check_time(options.at, dt_util.utcnow())
            check_extension(extension)
            if (cmpp := addressee.entry.data.get(CONF_CMPP)) is not None:
                full_number(cmpp[CONF_SOURCE_NUMBER], extension or "")
        entries = {addressee.entry.entry_id: addressee.entry for addressee, _ in items}
        for entry in entries.values():
            own = [item for item in items if item[0].entry is entry]
            plan = way.plan(own, signature=_signature(entry))
            if CONF_HTTP in entry.data:
                check_separators(plan)
    except InvalidMessageError as error:
        raise invalid_message_error(hass, error) from None


def own_numbers(entry: Sms1680ConfigEntry) -> set[str]:
    """Return the numbers that an account's messages come from, as far as they are known, as numbers are compared."""
    known = (entry.options.get(CONF_SOURCE_NUMBER), entry.data.get(CONF_CMPP, {}).get(CONF_SOURCE_NUMBER))
    return {comparable_number(number) for number in known if number}


def _extension(addressee: Addressee, options: Options) -> str | None:
    return addressee.extension if options.extension is None else options.extension


def _signature(entry: Sms1680ConfigEntry) -> Signature | None:
    name = entry.options.get(CONF_SIGNATURE)
    return Signature(name, entry.options.get(CONF_SIGNATURE_PLACE, "front")) if name else None


def _record(sent: DeliveryResult) -> None:
    """Let the recipient's notify entity show that it was sent to, where Home Assistant can do that (2026.4)."""
    loaded = sent.addressee.entry.state is ConfigEntryState.LOADED  # it may have been unloaded meanwhile
    if loaded and sent.receipt.outcome.is_success:
        entity = sent.addressee.entry.runtime_data.notify_entities.get(sent.addressee.subentry_id or "")
        if record := getattr(entity, "_async_record_notification", None):
            record()
