"""What came in for an account, by whatever way, is made safe, then fired, then answered: here and nowhere else.

`Receiver.async_receive` is that one place. A receiver lives from Home Assistant's start until its entry is removed;
what comes in before the entry is up, or before automations listen, waits in it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from secrets import token_hex
from typing import Any

from homeassistant.config_entries import ConfigEntryState, ConfigSubentry
from homeassistant.core import CALLBACK_TYPE, CoreState, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.start import async_at_started
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .client import DeliveryReport, InvalidMessageError, Reply, ReportState, normalise_number
from .const import (
    ATTR_CONFIG_ENTRY_ID,
    CONF_EXTENSION,
    CONF_NUMBER,
    CONF_REPEAT_WINDOW,
    CONF_SOURCE_NUMBER,
    DEFAULT_REPEAT_WINDOW,
    DOMAIN,
    EVENT_DELIVERY_REPORT,
    EVENT_MESSAGE_RECEIVED,
    signal_message,
    signal_report,
)
from .coordinator import Sms1680ConfigEntry
from .entity import recipients
from .repeats import Repeats, Seen

_LOGGER = logging.getLogger(__name__)

_UP = (ConfigEntryState.LOADED, ConfigEntryState.SETUP_IN_PROGRESS)
_MOST_WAITING = 500  # of at most 16 KiB each
_FRESH = timedelta(minutes=2)  # what waited longer is told as redelivered: an old "1" must open no garage
_ARMING = 1.0  # seconds after its start in which Home Assistant arms the automations

_COUNTED_AS = {
    (event, repeat): event.removeprefix(f"{DOMAIN}_") + "_again" * repeat
    for event in (EVENT_MESSAGE_RECEIVED, EVENT_DELIVERY_REPORT)
    for repeat in (False, True)
}


class Way(StrEnum):
    """How something came in."""

    WEBHOOK = "webhook"
    LISTENER = "listener"
    CMPP = "cmpp"


class NotTakenError(Exception):
    """What came in could not be handed on yet: its sender must not be told that it was."""


@dataclass(slots=True)
class Incoming:
    """Something that came in. `fired` is set once its event is out; it is there where somebody waits for that."""

    item: Reply | DeliveryReport
    via: Way
    number: str
    received_at: datetime
    seen: Seen
    repeat: bool
    fired: asyncio.Event | None = None

    @callback
    def answered(self) -> None:
        """Note that the answer to it was fully written."""
        self.seen.answered = True


class Receiver:
    """Takes what comes in for one account.

    counts: what was fired and what was turned away, by kind, since Home Assistant started.
    """

    def __init__(self, hass: HomeAssistant, entry: Sms1680ConfigEntry, receivers: Receivers) -> None:
        self.entry = entry
        self.counts: Counter[str] = Counter()
        self._hass = hass
        self._receivers = receivers
        self._repeats = Repeats(hass.loop.time)
        self._waiting: dict[str, Incoming] = {}
        self._up = False

    @property
    def waiting(self) -> int:
        """How many items wait until they can be fired."""
        return len(self._waiting)

    async def async_receive(self, item: Reply | DeliveryReport, via: Way, patience: float) -> Incoming:
        """Take an item, and return once its event was fired: its sender may be answered then, and not before.

        While the entry is not up the item waits. After `patience` seconds this gives up, and it is still fired later.
        Call `answered` on what is returned once the answer is written.

        Raises NotTakenError: it was not fired yet, or there is no room to keep it.
        """
        ready = self._ready
        if not ready and (self._hass.is_stopping or len(self._waiting) >= _MOST_WAITING):
            self.warn("not_kept", "Something came in that can neither be handed on nor kept now; it was not answered")
            raise NotTakenError
        incoming = self._note(item, via)
        if ready:
            self._fire(incoming)
            return incoming
        self._waiting[incoming.seen.id] = incoming
        incoming.fired = fired = incoming.fired or asyncio.Event()
        try:
            async with asyncio.timeout(patience):
                await fired.wait()
        except TimeoutError:
            raise NotTakenError from None
        return incoming

    @callback
    def async_start(self) -> None:
        """Hand on from now on; the entry's entities are there. The entry's state tells when that is over."""
        self._up = True
        self.async_hand_on()

    @callback
    def async_stop(self) -> None:
        """Keep what comes in from now on."""
        self._up = False

    @callback
    def async_hand_on(self) -> None:
        """Fire what waited, in the order in which it came, if it may be fired now."""
        if self._ready:
            waiting, self._waiting = self._waiting, {}
            for incoming in waiting.values():
                self._fire(incoming)

    @callback
    def warn(self, kind: str, sentence: str) -> None:
        """Count what was turned away, and log it the first, tenth, hundredth… time. `sentence` holds nothing of it."""
        self.counts[kind] += 1
        count = self.counts[kind]
        if str(count).rstrip("0") == "1":
            _LOGGER.warning("%s (%d so far)", sentence, count)

    @property
    def _ready(self) -> bool:
        return (
            self._up
            and self.entry.state in _UP
            and self._hass.state is CoreState.running
            and self._receivers.automations_armed
        )

    def _note(self, item: Reply | DeliveryReport, via: Way) -> Incoming:
        number = comparable_number(item.number)
        window = self.entry.options.get(CONF_REPEAT_WINDOW, DEFAULT_REPEAT_WINDOW)
        seen, repeat = self._repeats.note(item, number, window, token_hex)
        if repeat and (first := self._waiting.get(seen.id)):
            return first
        return Incoming(item, via, number, dt_util.utcnow(), seen, repeat)

    def _fire(self, incoming: Incoming) -> None:
        among = recipients(self.entry)
        recipient = find_recipient(incoming.number, among)
        late = dt_util.utcnow() - incoming.received_at > _FRESH
        data: dict[str, Any] = {
            ATTR_CONFIG_ENTRY_ID: self.entry.entry_id,
            "number": incoming.number,
            "recipient": recipient.title if recipient else None,
            "subentry_id": recipient.subentry_id if recipient else None,
            "redelivered": incoming.repeat or late,
        }
        if isinstance(incoming.item, Reply):
            event, signal = EVENT_MESSAGE_RECEIVED, signal_message
            data |= self._message(incoming.item, incoming, among)
        else:
            event, signal = EVENT_DELIVERY_REPORT, signal_report
            data |= self._report(incoming.item)
        self.counts[_COUNTED_AS[event, incoming.repeat]] += 1
        self._hass.bus.async_fire(event, data)
        async_dispatcher_send(self._hass, signal(self.entry.entry_id), data)
        self.entry.runtime_data.totals.record_push(incoming.received_at)
        if incoming.fired is not None:
            incoming.fired.set()

    def _message(self, reply: Reply, incoming: Incoming, among: list[ConfigSubentry]) -> dict[str, Any]:
        extension = reply.extension
        if extension:
            known = {subentry.data.get(CONF_EXTENSION) or "" for subentry in among}
            source_number = self.entry.options.get(CONF_SOURCE_NUMBER) or ""
            extension = resolve_extension(extension, known.union(self._receivers.watched_extensions), source_number)
        return {
            "id": reply.message_id or incoming.seen.id,
            "content": reply.content,
            "extension": extension,
            "received_at": incoming.received_at.isoformat(),
            "via": incoming.via.value,
            "incomplete": reply.incomplete,
        }

    def _report(self, report: DeliveryReport) -> dict[str, Any]:
        delivered = report.state is ReportState.DELIVERED
        chinese = self._hass.config.language.startswith("zh")
        return {
            "message_id": report.message_id,
            "status": report.status,
            "state": report.state.value,
            "settled": report.state is not ReportState.PENDING,
            "reason": None if delivered else report.sentence("zh" if chinese else "en"),
        }


class Receivers:
    """The receivers of all accounts, by the id of their entry.

    watched_extensions: those that triggers ask for, each with how many do.
    """

    def __init__(self, hass: HomeAssistant) -> None:
        self.of: dict[str, Receiver] = {}
        self.watched_extensions: Counter[str] = Counter()
        self.automations_armed = hass.state is CoreState.running
        self._hass = hass
        if not self.automations_armed:
            async_at_started(hass, self._async_started)

    @callback
    def async_get(self, entry: Sms1680ConfigEntry) -> Receiver:
        """Return an entry's receiver, made where there is none yet."""
        receiver = self.of.get(entry.entry_id)
        if receiver is None:
            receiver = self.of[entry.entry_id] = Receiver(self._hass, entry, self)
        return receiver

    @callback
    def async_watch_extensions(self, extensions: list[str]) -> CALLBACK_TYPE:
        """Know these extensions too when a reply comes in, until what is returned is called."""
        self.watched_extensions.update(extensions)

        @callback
        def forget() -> None:
            self.watched_extensions -= Counter(extensions)

        return forget

    @callback
    def _async_started(self, hass: HomeAssistant) -> None:
        async_call_later(hass, _ARMING, self._async_armed)

    @callback
    def _async_armed(self, _: datetime) -> None:
        self.automations_armed = True
        for receiver in self.of.values():
            receiver.async_hand_on()


DATA_RECEIVERS: HassKey[Receivers] = HassKey(f"{DOMAIN}_receivers")


@callback
def async_get_receivers(hass: HomeAssistant) -> Receivers:
    """Return the receivers of all accounts."""
    if DATA_RECEIVERS not in hass.data:
        hass.data[DATA_RECEIVERS] = Receivers(hass)
    return hass.data[DATA_RECEIVERS]


def comparable_number(number: str) -> str:
    """Return a sender's number in the form numbers are compared in.

    Eleven digits for a mainland mobile number, however it is written; any other as it came.
    """
    try:
        return normalise_number(number)
    except InvalidMessageError:
        return number


def find_recipient(number: str, among: Iterable[ConfigSubentry]) -> ConfigSubentry | None:
    """Return the recipient that has this comparable number, if there is one; theirs are kept in that form."""
    for subentry in among:
        if subentry.data[CONF_NUMBER] == number:
            return subentry
    return None


def resolve_extension(came: str, known: Iterable[str], source_number: str = "") -> str:
    """Return the extension that a reply was sent to.

    Platforms send the extension alone or the whole access number with it: so the longest known one that `came` ends
    with, never an empty one; else what stands behind our own source number; else what came.
    """
    fitting = [extension for extension in known if extension and came.endswith(extension)]
    if fitting:
        return max(fitting, key=len)
    return came.removeprefix(source_number) if source_number else came
