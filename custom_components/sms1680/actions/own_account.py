"""Messages of an account that is defined in YAML itself. It has no config entry, so its messages cannot wait."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from homeassistant.const import CONF_USERNAME
from homeassistant.core import HomeAssistant

from ..account.clients import async_make_client
from ..account.spending import spending_limits
from ..client import AsyncClient, InvalidMessageError, Outcome, Reason, Receipt, SendError
from ..client.account import account_key, gateway_url
from ..client.limits.budget import run_steps
from ..client.limits.digest import DigestGuard
from ..client.limits.noticed_text import NoticedText
from ..client.limits.shared_state import find_state
from ..client.long_text import LongText, fit_text, is_long
from ..client.masking import mask_text
from ..client.numbers import split_list, split_numbers
from ..client.options import SendOptions
from ..client.receipts import combine
from ..client.text import Signature
from ..const import CONF_GATEWAY, CONF_LONG_TEXT, CONF_SIGNATURE, CONF_SIGNATURE_PLACE
from ..deferred.failures import async_report_receipt
from ..errors import invalid_message_error, validation_error
from ..outbound.message import MessageOptions
from ..outbound.recipients import WrongTarget
from ..outbound.unsent import async_report_wrong


def is_name(target: str) -> bool:
    """Return whether an unknown target is a name rather than a mistyped number."""
    return any(character.isalpha() for character in target)


@dataclass(frozen=True, repr=False)
class OwnAccount:
    """The account in a YAML entry itself.

    guard: applies its spending limits, and counts the messages above them. long_text: cuts, splits or refuses a long
    text.
    """

    client: AsyncClient
    guard: DigestGuard
    signature: Signature | None
    long_text: LongText

    async def send(self, numbers: Sequence[str], text: str, options: SendOptions) -> list[Receipt]:
        """Send a text within the limits; return a receipt for each number. Raises InvalidMessageError.

        The last message that a limit lets pass says that the next ones are summed up; the first one after these says
        how many they were.
        """
        noticeable = NoticedText(text, self.signature)
        critical, automatic = options.get("priority") == "critical", options.get("automatic", False)
        admit = self.guard.admit(numbers, noticeable.parts_of, critical=critical, automatic=automatic)
        admission = await run_steps(admit, asyncio.sleep)
        texts: dict[str, list[str]] = {}
        for item, notice in admission.notices.items():
            texts.setdefault(noticeable.fit(notice, admission.parts[item]), []).append(numbers[item])
        receipts = {
            number: Receipt(number, Outcome.UNKNOWN, reason=Reason.LOST) for some in texts.values() for number in some
        }
        pending = set(receipts)
        try:
            for noticed, some in texts.items():
                receipts.update((receipt.number, receipt) for receipt in await self._request(some, noticed, options))
                pending.difference_update(some)
        except InvalidMessageError:
            receipts |= {number: Receipt(number, Outcome.NOT_SENT) for number in pending}
            raise
        finally:
            await asyncio.shield(run_steps(self.guard.settle(admission, numbers, receipts), asyncio.sleep))
        refused = {
            numbers[item]: Receipt(numbers[item], Outcome.REFUSED, reason=reason)
            for item, reason in admission.reservation.refused.items()
        }
        return [(receipts | refused)[number] for number in numbers]

    async def _request(self, numbers: Sequence[str], text: str, options: SendOptions) -> Sequence[Receipt]:
        try:
            return await self.client.send(numbers, text, **options)
        except SendError as error:
            return error.receipts


async def async_own_account(hass: HomeAssistant, http: Mapping[str, Any], config: Mapping[str, Any]) -> OwnAccount:
    """Return the account of a YAML entry. http: as a config entry has it. Raises InvalidSettingError."""
    client = await async_make_client(hass, http, config, guarded=False)
    key = account_key(gateway_url(http[CONF_GATEWAY]), http[CONF_USERNAME])
    make = partial(DigestGuard, key, spending_limits(config), time.time, *find_state(None))
    signature = Signature.read(config.get(CONF_SIGNATURE), config.get(CONF_SIGNATURE_PLACE, "front"))
    guard = await hass.async_add_executor_job(make)  # it opens a file
    return OwnAccount(client, guard, signature, config.get(CONF_LONG_TEXT, "cut"))


type _Results = tuple[Sequence[tuple[str | None, Receipt]], Sequence[WrongTarget]]


async def send_by_own_account(
    account: OwnAccount, hass: HomeAssistant, targets: Sequence[str], text: str, options: MessageOptions
) -> _Results:
    """Send by the account in the YAML entry itself; targets are numbers."""
    long_text: LongText | None = None
    texts = [text]
    if is_long(text, account.signature):
        long_text, texts = account.long_text, fit_text(text, account.signature, account.long_text)
    pieces = [piece for target in targets for piece in split_list(target)]
    wrong = [WrongTarget(piece) for piece in pieces if is_name(piece)]
    numbers: dict[str, None] = {}
    for number, written in split_numbers([piece for piece in pieces if not is_name(piece)]):
        if number is None:
            wrong.append(WrongTarget(written, "number"))
        else:
            numbers[number] = None
    if not numbers and (name := next(filter(is_name, pieces), None)):
        raise validation_error("name_without_account", name=mask_text(name))
    context = options.context
    core_options: SendOptions = {
        "at": options.at,
        "extension": options.extension,
        "priority": options.priority,
        "automatic": context.automatic,
    }
    sent: list[Sequence[Receipt]] = []
    for one in texts:
        try:
            if not numbers:
                await account.client.send(pieces, one)  # raises: the core says what is wrong
            receipts = await account.send(list(numbers), one, core_options)
        except InvalidMessageError as error:
            raise invalid_message_error(hass, error) from None
        for receipt in receipts:
            async_report_receipt(
                hass, receipt, options.priority, context.caller, automatic=context.automatic, long_text=long_text
            )
        sent.append(receipts)
    async_report_wrong(hass, None, wrong, options.priority, context)
    return [(None, combine(of_number)) for of_number in zip(*sent, strict=True)], wrong
