"""What came in for an account, by whatever way, is made safe, then fired, then answered: here and nowhere else.

`Receiver.async_receive` is that one place. A receiver lives from Home Assistant's start until its entry is removed;
what comes in before the entry is up, or before automations listen, waits in the message store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from homeassistant.config_entries import ConfigEntryState, ConfigSubentry
from homeassistant.core import CALLBACK_TYPE, CoreState, HassJob, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.start import async_at_started
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.ulid import ulid_now

from ..client import DeliveryReport, Reply, ReportState
from ..const import (
    ATTR_CONFIG_ENTRY_ID,
    CONF_CMPP,
    CONF_EXTENSION,
    CONF_PUSH_SECRET,
    CONF_REPEAT_WINDOW,
    CONF_SOURCE_NUMBER,
    DEFAULT_REPEAT_WINDOW,
    DOMAIN,
    EVENT_COMMAND,
    EVENT_DELIVERY_REPORT,
    EVENT_MESSAGE_RECEIVED,
    signal_message,
    signal_report,
)
from ..context import async_fire, telling
from ..conversation.command_auth import take_code
from ..conversation.engine.commands import Attempt
from ..coordinator import Sms1680ConfigEntry
from ..recipients import find_recipient, recipients
from ..store.db import Change, Received, Report, StoreError, Unfired, Uplink, comparable_number
from ..store.manager import DATA_STORAGE, Shelf, keeps_texts
from .dedupe import REMEMBERED_FOR, Repeats, Seen

_LOGGER = logging.getLogger(__name__)

_UP = (ConfigEntryState.LOADED, ConfigEntryState.SETUP_IN_PROGRESS)
_MOST_WAITING = 500  # of at most 16 KiB each, where nothing is kept on the disk
_PAGE = 100
_LONGEST_EXTENSION = 9  # digits, of a question's; longer ones are a recipient's own, or an access number with one
_FRESH = timedelta(minutes=2)  # what waited longer is told as redelivered: an old "1" must open no garage
_TRY_AGAIN_AFTER = 60.0  # seconds, where what waits could not be read
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
    """Something that came in.

    earlier: it came to an earlier run of Home Assistant. row: where it is kept, None where it could not be. change:
    where the message that a report is about stands now. fired: set once its event is out, where somebody waits for it.
    attempt: the command that it may be; its code is nowhere else.
    """

    item: Reply | DeliveryReport
    via: Way
    number: str
    received_at: datetime
    seen: Seen
    repeat: bool
    shelf: Shelf
    earlier: bool = False
    row: int | None = None
    change: Change | None = None
    fired: asyncio.Event | None = None
    attempt: Attempt | None = None

    @property
    def is_report(self) -> bool:
        """Whether it is a delivery report."""
        return isinstance(self.item, DeliveryReport)

    @callback
    def answered(self) -> None:
        """Note that the answer to it was fully written."""
        self.seen.answered = True
        if self.row is not None:
            self.shelf.mark_answered(self.row, report=self.is_report)


class Receiver:
    """Takes what comes in for one account.

    counts: what was fired and what was turned away, by kind, since Home Assistant started. waiting: how many items
    wait in the store until they can be fired.
    """

    def __init__(self, hass: HomeAssistant, entry: Sms1680ConfigEntry, receivers: Receivers) -> None:
        self.entry = entry
        self.counts: Counter[str] = Counter()
        self.waiting = 0
        self._hass = hass
        self._receivers = receivers
        self._storage = hass.data[DATA_STORAGE]
        # Keyed, so that nobody who has the store can find a PIN by its digest.
        self._repeats = Repeats(hass.loop.time, key=entry.data[CONF_PUSH_SECRET].encode())
        self._awaited: dict[tuple[bool, int], asyncio.Event] = {}
        self._attempts: dict[int, Attempt] = {}
        self._job_hand_on = HassJob(self._hand_on_again, f"{DOMAIN} hand on again", cancel_on_shutdown=True)
        self._handing_on = False
        self._up = False
        self._closed = False

    async def async_receive(self, item: Reply | DeliveryReport, via: Way, patience: float) -> Incoming:
        """Take an item, and return once it is safe: its sender may be answered then, and not before.

        Its event was fired by then, or is as soon as the entry is up and automations listen. Where nothing is kept on
        the disk that is waited for, `patience` seconds. Call `answered` on what is returned once the answer is written.

        Raises NotTakenError: its sender must send it again.
        """
        if self._closed:
            raise NotTakenError
        if not (self._ready or self._has_room):
            self.warn("not_kept", "Something came in that can neither be handed on nor kept now; it was not answered")
            raise NotTakenError
        incoming = self._note(item, via)
        try:
            await incoming.shelf.receive(self._record(incoming), partial(self._kept, incoming))
        except StoreError:
            self.warn("not_stored", "Something came in that could not be stored; it was not answered")
            if self._ready:
                # Rather fired and sent again than lost: what comes again is marked as a repeat.
                self._fire(incoming)
            elif not incoming.repeat:
                self._repeats.forget(incoming.seen)
            raise NotTakenError from None
        if not incoming.shelf.store.durable and incoming.fired is not None:
            try:
                async with asyncio.timeout(patience):
                    await incoming.fired.wait()
            except TimeoutError:
                raise NotTakenError from None
        return incoming

    async def async_recall(self) -> None:
        """Know again what came to an earlier run of Home Assistant, so that what is pushed again is a repeat."""
        now, clock = dt_util.utcnow(), self._hass.loop.time()
        store = self._storage.of(self.entry).store
        with contextlib.suppress(StoreError):
            for recent in await asyncio.wrap_future(store.recent(self.entry.entry_id, now - REMEMBERED_FOR)):
                since = clock - (now - recent.received_at).total_seconds()
                self._repeats.recall(Seen(recent.id, since, recent.answered, recent.digest))

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
    def async_close(self) -> None:
        """Take nothing any more: the entry is being removed, and nothing of it must be kept behind that."""
        self._up = False
        self._closed = True

    @callback
    def async_hand_on(self) -> None:
        """Fire what waits in the store, in the order in which it came, if it may be fired now."""
        if self._ready and not self._handing_on:
            self._handing_on = True
            self._hass.async_create_task(self._async_hand_on(), f"{DOMAIN} hand on")

    @callback
    def _hand_on_again(self, _: datetime) -> None:
        self.async_hand_on()

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

    @property
    def _source_numbers(self) -> tuple[str, str]:
        """Our own access numbers, of the pushes and of the connection, as far as they are known."""
        of_cmpp = self.entry.data.get(CONF_CMPP, {}).get(CONF_SOURCE_NUMBER)
        return self.entry.options.get(CONF_SOURCE_NUMBER) or "", of_cmpp or ""

    @property
    def _has_room(self) -> bool:
        """Whether more may be kept until it can be fired; the disk has room enough."""
        return self._storage.of(self.entry).store.durable or len(self._awaited) < _MOST_WAITING

    def _note(self, item: Reply | DeliveryReport, via: Way) -> Incoming:
        number = comparable_number(item.number)
        window = self.entry.options.get(CONF_REPEAT_WINDOW, DEFAULT_REPEAT_WINDOW)
        source = None
        if CONF_CMPP in self.entry.data:
            source = Way.CMPP if via is Way.CMPP else Way.WEBHOOK
        seen, repeat = self._repeats.note(item, number, window, ulid_now, source)
        attempt = None
        if isinstance(item, Reply):
            item, attempt = take_code(self.entry, find_recipient(number, recipients(self.entry)), item)
        shelf = self._storage.of(self.entry)
        return Incoming(item, via, number, dt_util.utcnow(), seen, repeat, shelf, attempt=attempt)

    def _record(self, incoming: Incoming) -> Uplink | Report:
        """Return an item as the store keeps it."""
        item, recipient = incoming.item, find_recipient(incoming.number, recipients(self.entry))
        common: dict[str, Any] = {
            "entry": self.entry.entry_id,
            "id": incoming.seen.id,
            "number": item.number,
            "message_id": item.message_id,
            "via": incoming.via.value,
            "received_at": incoming.received_at,
            "digest": incoming.seen.digest,
            "repeat": incoming.repeat,
            "recipient": recipient.subentry_id if recipient else None,
        }
        if isinstance(item, DeliveryReport):
            return Report(status=item.status, **common)
        return Uplink(content=item.content, extension=item.extension, incomplete=item.incomplete, **common)

    def _kept(self, incoming: Incoming, received: Received) -> None:
        """Fire what is safe now, whether its sender still waits or not, or leave it in the store until it can be."""
        incoming.row, incoming.change = received.row, received.change
        self._storage.tell(received.others)
        if not received.news:
            self._storage.tell([received.change] if received.change else [])
            return
        if self._ready and not self._handing_on:
            self._fire_safely(incoming)
            return
        self.waiting += 1
        if incoming.attempt is not None and len(self._attempts) < _MOST_WAITING:
            self._attempts[received.row] = incoming.attempt
        if not incoming.shelf.store.durable:
            incoming.fired = self._awaited[incoming.is_report, received.row] = asyncio.Event()

    async def _async_hand_on(self) -> None:
        try:
            while self._ready:
                self.waiting = 0
                # In both: what was kept before a setting was changed may lie in the other.
                pages = [await self._async_page(shelf) for shelf in self._storage.shelves]
                if not any(pages) and not self.waiting:
                    return
        except StoreError as error:
            _LOGGER.warning("What waits in the message store could not be read (%s); it is tried again", error)
            async_call_later(self._hass, _TRY_AGAIN_AFTER, self._job_hand_on)
        finally:
            self._handing_on = False

    async def _async_page(self, shelf: Shelf) -> int:
        """Fire some of what waits on a shelf; return how much was found there."""
        page = await shelf.async_unfired(self.entry.entry_id, _PAGE)
        for one in page:
            if self._ready:
                self._fire_again(self._again(one, shelf))
        return len(page)

    def _fire_again(self, incoming: Incoming) -> None:
        """Fire what waited."""
        assert incoming.row is not None  # noqa: S101 - it comes from the store
        self._fire_safely(incoming)
        if awaited := self._awaited.pop((incoming.is_report, incoming.row), None):
            awaited.set()

    def _fire_safely(self, incoming: Incoming) -> None:
        """Fire what is in the store; a fault must keep back neither what waits behind it nor the answer to it."""
        try:
            self._fire(incoming)
        except Exception as error:  # noqa: BLE001
            _LOGGER.error(  # noqa: TRY400
                "Something that came in is kept, but its event could not be fired: %s", type(error).__name__
            )
            self._mark_fired(incoming)

    def _mark_fired(self, incoming: Incoming) -> None:
        if incoming.row is not None:
            incoming.shelf.mark_fired(incoming.row, report=incoming.is_report, texts=keeps_texts(self.entry))

    def _again(self, unfired: Unfired, shelf: Shelf) -> Incoming:
        """Return what waited in the store as it came in."""
        kept = unfired.item
        item: Reply | DeliveryReport
        if isinstance(kept, Uplink):
            item = Reply(kept.number, kept.content, kept.extension, kept.message_id, kept.incomplete)
        else:
            item = DeliveryReport(kept.message_id, kept.number, kept.status)
        seen = Seen(kept.id, 0.0, digest=kept.digest)
        return Incoming(
            item,
            Way(kept.via),
            kept.number,
            kept.received_at,
            seen,
            kept.repeat,
            shelf,
            unfired.earlier,
            unfired.row,
            unfired.change,
            attempt=self._attempts.pop(unfired.row, None) if isinstance(item, Reply) else None,
        )

    def _fire(self, incoming: Incoming) -> None:
        recipient = find_recipient(incoming.number, recipients(self.entry))
        late = dt_util.utcnow() - incoming.received_at > _FRESH
        data: dict[str, Any] = {
            ATTR_CONFIG_ENTRY_ID: self.entry.entry_id,
            "number": incoming.number,
            "recipient": recipient.title if recipient else None,
            "subentry_id": recipient.subentry_id if recipient else None,
            "redelivered": incoming.repeat or incoming.earlier or late,
        }
        command: dict[str, Any] | None = None
        if isinstance(incoming.item, Reply):
            event, signal = EVENT_MESSAGE_RECEIVED, signal_message
            command = self._hear(incoming.item, incoming, data, recipient)
        else:
            event, signal = EVENT_DELIVERY_REPORT, signal_report
            data |= self._report(incoming.item, incoming.change)
        self.counts[_COUNTED_AS[event, incoming.repeat]] += 1
        with telling(async_fire(self._hass, event, data)):
            async_dispatcher_send(self._hass, signal(self.entry.entry_id), data)
            if incoming.change is not None:
                self._storage.tell([incoming.change])
        if command is not None:
            async_fire(self._hass, EVENT_COMMAND, command)
        self._mark_fired(incoming)
        self.entry.runtime_data.statistics.record_push(incoming.received_at)

    def _hear(
        self, reply: Reply, incoming: Incoming, data: dict[str, Any], recipient: ConfigSubentry | None
    ) -> dict[str, Any] | None:
        """Add what an uplink says and what it is; return the event of the command that it is, if it is one."""
        conversation = self.entry.runtime_data.conversation
        extension, elsewhere = reply.extension, False
        if extension:
            known = {subentry.data.get(CONF_EXTENSION) or "" for subentry in recipients(self.entry)}
            known.update(self._receivers.watched_extensions)
            of_questions = conversation.desk.extensions_of(incoming.number)
            extension = resolve_extension(extension, known | of_questions, self._source_numbers)
            elsewhere = extension in known - of_questions
        data |= {
            "id": reply.message_id or incoming.seen.id,
            "content": reply.content,
            "extension": extension,
            "received_at": incoming.received_at.isoformat(),
            "via": incoming.via.value,
            "incomplete": reply.incomplete,
        }
        return conversation.hear(data, recipient, incoming.attempt, elsewhere=elsewhere)

    def _report(self, report: DeliveryReport, change: Change | None) -> dict[str, Any]:
        delivered = report.state is ReportState.DELIVERED
        chinese = self._hass.config.language.startswith("zh")
        return {
            "message_id": (change and change.message_id) or report.message_id,
            "status": report.status,
            "state": report.state.value,
            # Of a message of several segments, the last one settles it.
            "settled": change.settled if change else report.state is not ReportState.PENDING,
            "reason": None if delivered else report.sentence("zh" if chinese else "en"),
            "automatic": change is not None and change.automatic,
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


def resolve_extension(came: str, known: Iterable[str], source_numbers: Iterable[str] = ()) -> str:
    """Return the extension that a reply was sent to.

    Platforms send the extension alone or the whole access number with it. What stands behind an access number of ours
    is the extension, be it none at all; what is too short for such a number is one as it came. Only of a longer number
    of which nobody knows where its extension begins it is the longest known one that the number ends with.
    """
    for source_number in sorted(filter(None, source_numbers), key=len, reverse=True):
        if came.startswith(source_number):
            return came.removeprefix(source_number)
    if len(came) <= _LONGEST_EXTENSION:
        return came
    return max((extension for extension in known if extension and came.endswith(extension)), key=len, default=came)
