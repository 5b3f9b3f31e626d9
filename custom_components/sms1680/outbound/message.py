"""The options of a message, and the checks before any part of it is sent."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from ..account.journal import DEFAULT_CONTEXT, OnRow, SendContext, signature_of
from ..account.messages import OutgoingMessage, TextMessage
from ..client import InvalidMessageError
from ..client.cmpp.compose import full_number
from ..client.http.requests import check_separators
from ..client.options import Priority
from ..client.plan import check_extension, check_time
from ..const import CONF_CMPP, CONF_HTTP, CONF_SINGLE_ROWS, CONF_SOURCE_NUMBER
from ..errors import invalid_message_error, validation_error
from ..recipients import Addressee
from ..store.db import comparable_number


@dataclass(frozen=True)
class MessageOptions:
    """The options of one message.

    extension: overrides that of the recipient. urgent: critical for the recipients who accept that. long_text: what was
    done to a text that was too long. patience: seconds of trying, None for the default. context: the origin of the
    message. digest: how many messages it sums up, None for an ordinary message.
    """

    at: datetime | None = None
    extension: str | None = None
    priority: Priority = "normal"
    urgent: bool = False
    long_text: str | None = None
    patience: float | None = None
    context: SendContext = DEFAULT_CONTEXT
    digest: int | None = None

    @property
    def is_critical(self) -> bool:
        """Whether the message is an alarm."""
        return self.priority == "critical"

    def with_on_row(self, on_row: OnRow | None) -> Self:
        """Return these options with another `on_row` in their context."""
        return replace(self, context=replace(self.context, on_row=on_row))

    def extension_for(self, addressee: Addressee) -> str | None:
        """Return the extension of the message to an addressee."""
        return addressee.extension if self.extension is None else self.extension


def text_to(addressees: Iterable[Addressee], text: str) -> TextMessage:
    """Return one text to all addressees."""
    return TextMessage([addressee.number for addressee in addressees], text)


def check(
    hass: HomeAssistant, addressees: Sequence[Addressee], message: OutgoingMessage, options: MessageOptions
) -> None:
    """Check a whole message before any part of it is sent. Raises ServiceValidationError.

    addressees: of the items of the message, in order. An automatic message is never sent to the account's own number.
    """
    automatic = options.context.automatic
    if automatic and any(addressee.number in own_numbers(addressee.entry) for addressee in addressees):
        raise validation_error("own_number")
    places: dict[str, list[int]] = {}
    for place, addressee in enumerate(addressees):
        places.setdefault(addressee.entry.entry_id, []).append(place)
    try:
        check_time(options.at, dt_util.utcnow())
        extensions = {(one.entry.entry_id, options.extension_for(one)): one.entry for one in addressees}
        for (_, extension), entry in extensions.items():
            check_extension(extension)
            if (cmpp := entry.data.get(CONF_CMPP)) is not None:
                full_number(cmpp[CONF_SOURCE_NUMBER], extension or "")
        for of_account in places.values():
            entry = addressees[of_account[0]].entry
            plan = message.select(of_account).plan(signature_of(entry))
            if CONF_HTTP in entry.data and not entry.options.get(CONF_SINGLE_ROWS, True):
                check_separators(plan)
    except InvalidMessageError as error:
        raise invalid_message_error(hass, error) from None


def own_numbers(entry: ConfigEntry[Any]) -> set[str]:
    """Return the known numbers that an account sends from, in comparable form."""
    known = (entry.options.get(CONF_SOURCE_NUMBER), entry.data.get(CONF_CMPP, {}).get(CONF_SOURCE_NUMBER))
    return {comparable_number(number) for number in known if number}
