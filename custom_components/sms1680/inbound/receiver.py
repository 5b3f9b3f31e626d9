"""The single entry point for incoming messages and reports: store, fire, acknowledge.

A processor lives from Home Assistant's start until its entry is removed. Items that arrive before the entry is set up,
or before automations listen, wait in the message store.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

from homeassistant.config_entries import ConfigEntryState, ConfigSubentry
from homeassistant.core import CALLBACK_TYPE, CoreState, HassJob, HomeAssistant, callback
from homeassistant.helpers.event import async_call_later
from homeassistant.util import dt as dt_util
from homeassistant.util.ulid import ulid_now

from ..client import DeliveryReport, Reply
from ..client.dedupe import REMEMBERED_FOR, Deduplicator, SeenItem
from ..const import (
    CONF_CMPP,
    CONF_PUSH_SECRET,
    CONF_REPEAT_WINDOW,
    CONF_SOURCE_NUMBER,
    DEFAULT_REPEAT_WINDOW,
    DOMAIN,
    EVENT_COMMAND,
    EVENT_DELIVERY_REPORT,
    EVENT_MESSAGE_RECEIVED,
)
from ..conversation.command_auth import extract_command
from ..conversation.engine.commands import AuthResult, CommandAttempt
from ..coordinator import Sms1680ConfigEntry
from ..events.context import EVENT_CONTEXT, async_fire
from ..events.signals import async_signal
from ..recipients import Directory, directory_of
from ..store.db import PARTIAL_WINDOW, PendingEvent, Received, Report, StoreError, Uplink, comparable_number
from ..store.intake import StoreIntake
from ..store.manager import DATA_STORE, stores_texts
from .events import LONGEST_EXTENSION, common_data, report_data, resolve_extension, uplink_data
from .models import InboundSource, Incoming, NotAcceptedError

_LOGGER = logging.getLogger(__name__)

_SET_UP = (ConfigEntryState.LOADED, ConfigEntryState.SETUP_IN_PROGRESS)
_MAX_PENDING = 500  # items of up to 16 KiB in the store in memory
_PAGE = 100
_RETRY_DELAY = 60.0  # seconds after the store could not be read


class InboundProcessor:
    """Processes everything that arrives for one account.

    automations_armed: whether automations already listen for events. watched_extensions: those that triggers filter by.
    counts: fired events and rejected items, by kind, since Home Assistant started. waiting: the number of stored items
    whose event has not fired yet.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        entry: Sms1680ConfigEntry,
        automations_armed: Callable[[], bool],
        watched_extensions: Callable[[], Collection[str]],
    ) -> None:
        self.entry = entry
        self.counts: Counter[str] = Counter()
        self.waiting = 0
        self._hass = hass
        self._automations_armed = automations_armed
        self._watched_extensions = watched_extensions
        self._store = hass.data[DATA_STORE]
        # The key protects PINs: without it, their digests in the store's file could be guessed.
        self._deduplicator = Deduplicator(hass.loop.time, key=entry.data[CONF_PUSH_SECRET].encode())
        self._awaited: dict[tuple[bool, int], asyncio.Event] = {}
        self._attempts: dict[int, tuple[CommandAttempt, AuthResult | None]] = {}
        self._retry_job = HassJob(self.async_dispatch_pending, f"{DOMAIN} retry dispatch", cancel_on_shutdown=True)
        self._settle_job = HassJob(self._async_settle_partial, f"{DOMAIN} settle partial", cancel_on_shutdown=True)
        self._settling: CALLBACK_TYPE | None = None
        self._settling_again = False
        self._dispatching = False
        self._known_directory: Directory | None = None
        self._started = False
        self._closed = False

    async def async_receive(self, item: Reply | DeliveryReport, via: InboundSource, patience: float) -> Incoming:
        """Store an item and fire its event. Return when the item can be acknowledged.

        The event fires before this returns, or as soon as the entry is set up and automations listen. If the account
        stores nothing on disk, wait up to `patience` seconds for that. Call `mark_acknowledged` on the result after
        the acknowledgement has been written.

        Raises NotAcceptedError if the sender must send the item again.
        """
        if self._closed:
            raise NotAcceptedError
        # Any number of items can wait for their events on the disk, some in memory.
        if len(self._awaited) >= _MAX_PENDING and not (self._ready or self._store.for_entry(self.entry).store.durable):
            self.warn("not_kept", "Rejected an incoming message: account not ready and buffer full")
            raise NotAcceptedError
        incoming, record = self._prepare(item, via)
        if incoming.attempt is not None and self._ready:
            await self._async_authenticate(incoming)
        try:
            if (received := incoming.intake.receive_at_once(record)) is not None:
                self._on_stored(incoming, received)
            else:
                await incoming.intake.receive(record, partial(self._on_stored, incoming))
        except StoreError:
            self.warn("not_stored", "Rejected an incoming message: it could not be stored")
            if self._ready:
                # Fire anyway: the sender repeats the item, and the event of a repeat is marked as redelivered.
                self._fire(incoming)
            elif not incoming.repeat:
                self._deduplicator.forget(incoming.seen)
            raise NotAcceptedError from None
        if incoming.fired is not None and not incoming.intake.store.durable:
            try:
                async with asyncio.timeout(patience):
                    await incoming.fired.wait()
            except TimeoutError:
                raise NotAcceptedError from None
        return incoming

    async def async_restore_seen(self) -> None:
        """Load what arrived during earlier runs of Home Assistant, so that repeats of it are recognised."""
        now, clock = dt_util.utcnow(), self._hass.loop.time()
        store = self._store.for_entry(self.entry).store
        with contextlib.suppress(StoreError):
            for recent in await asyncio.wrap_future(store.recent(self.entry.entry_id, now - REMEMBERED_FOR)):
                since = clock - (now - recent.received_at).total_seconds()
                self._deduplicator.remember(SeenItem(recent.id, since, recent.acknowledged, recent.digest))

    @callback
    def async_start(self) -> None:
        """Fire events from now on. Called when the entry's entities exist."""
        self._started = True
        self.async_dispatch_pending()

    @callback
    def async_stop(self) -> None:
        """Store items without firing their events from now on."""
        self._started = False

    @callback
    def async_close(self) -> None:
        """Reject everything from now on: the entry is being removed, and nothing must be stored for it afterwards."""
        self._started = False
        self._closed = True

    @callback
    def async_dispatch_pending(self, _: datetime | None = None) -> None:
        """Fire the events of stored items in order of arrival, if events may fire now."""
        if self._ready and not self._dispatching:
            self._dispatching = True
            self._hass.async_create_task(self._async_dispatch_pending(), f"{DOMAIN} dispatch pending")

    @callback
    def warn(self, kind: str, message: str) -> None:
        """Count a rejected item, and log the first, tenth, hundredth... `message` must not contain any of its data."""
        self.counts[kind] += 1
        count = self.counts[kind]
        if str(count).rstrip("0") == "1":
            _LOGGER.warning("%s (%d so far)", message, count)

    @property
    def _ready(self) -> bool:
        return (
            self._started
            and self.entry.state in _SET_UP
            and self._hass.state is CoreState.running
            and self._automations_armed()
        )

    @property
    def _directory(self) -> Directory:
        directory = self._known_directory
        if directory is None or not directory.is_of(self.entry):
            directory = self._known_directory = directory_of(self.entry)
        return directory

    def _recipient(self, incoming: Incoming) -> ConfigSubentry | None:
        return self._directory.by_number.get(incoming.number)

    def _prepare(self, item: Reply | DeliveryReport, via: InboundSource) -> tuple[Incoming, Uplink | Report]:
        """Recognise a repeat, take the code out of a command, and return the item with its record."""
        entry, number = self.entry, comparable_number(item.number)
        window = entry.options.get(CONF_REPEAT_WINDOW, DEFAULT_REPEAT_WINDOW)
        source = None
        if CONF_CMPP in entry.data:
            source = InboundSource.CMPP if via is InboundSource.CMPP else InboundSource.WEBHOOK
        seen, repeat = self._deduplicator.note(item, number, window, ulid_now, source)
        at, intake, directory = dt_util.utcnow(), self._store.for_entry(entry), self._directory
        recipient = directory.by_number.get(number)
        subentry = recipient.subentry_id if recipient else None
        incoming = Incoming(item, via, number, at, seen, repeat, intake, isinstance(item, DeliveryReport))
        entry_id, id_, digest, source_name = entry.entry_id, seen.id, seen.digest, str(via)
        if isinstance(item, DeliveryReport):
            of_message = (number, item.message_id, item.status)
            return incoming, Report(entry_id, id_, *of_message, source_name, at, digest, repeat, subentry)
        item, incoming.attempt = extract_command(entry, directory, recipient, item)
        incoming.item = item
        text = (item.content, item.extension, item.message_id, item.incomplete)
        return incoming, Uplink(entry_id, id_, number, *text, source_name, at, digest, repeat, subentry)

    def _on_stored(self, incoming: Incoming, received: Received) -> None:
        """Fire the event of a stored item, or leave that to the dispatch of pending events."""
        incoming.row, incoming.update = received.row, received.update
        if received.others:
            self._store.publish(received.others)
        if not received.news:
            self._store.publish([received.update] if received.update else [])
            if received.update is not None and not received.update.settled:
                self._settle_later()
            return
        if self._ready and not self._dispatching:
            self._fire_safely(incoming)
            return
        self.waiting += 1
        if incoming.attempt is not None and len(self._attempts) < _MAX_PENDING:
            self._attempts[received.row] = incoming.attempt, incoming.result
        if not incoming.intake.store.durable:
            incoming.fired = self._awaited[incoming.is_report, received.row] = asyncio.Event()

    async def _async_dispatch_pending(self) -> None:
        try:
            while self._ready:
                self.waiting = 0
                # Read both stores: the account's options could have moved it from one to the other.
                pages = [await self._async_dispatch_page(intake) for intake in self._store.intakes]
                if not any(pages) and not self.waiting:
                    return
        except StoreError as error:
            _LOGGER.warning("Could not read pending messages from the store (%s); retrying later", error)
            async_call_later(self._hass, _RETRY_DELAY, self._retry_job)
        finally:
            self._dispatching = False

    async def _async_dispatch_page(self, intake: StoreIntake) -> int:
        """Fire some of a store's pending events. Return how many were found."""
        page = await intake.async_pending(self.entry.entry_id, _PAGE)
        for pending in page:
            if self._ready:
                incoming = self._restore(pending, intake)
                await self._async_authenticate(incoming)
                self._fire_safely(incoming)
                if awaited := self._awaited.pop((incoming.is_report, pending.row), None):
                    awaited.set()
        return len(page)

    def _restore(self, pending: PendingEvent, intake: StoreIntake) -> Incoming:
        record = pending.item
        item: Reply | DeliveryReport
        if isinstance(record, Uplink):
            item = Reply(record.number, record.content, record.extension, record.message_id, record.incomplete)
        else:
            item = DeliveryReport(record.message_id, record.number, record.status)
        attempt, result = self._attempts.pop(pending.row, (None, None)) if isinstance(item, Reply) else (None, None)
        return Incoming(
            item,
            InboundSource(record.via),
            record.number,
            record.received_at,
            SeenItem(record.id, 0.0, digest=record.digest),
            record.repeat,
            intake,
            isinstance(item, DeliveryReport),
            pending.earlier,
            pending.row,
            pending.update,
            attempt=attempt,
            result=result,
        )

    async def _async_settle_partial(self, _: datetime) -> None:
        """Settle long messages of which not every segment was reported, and fire their event."""
        again, self._settling, self._settling_again = self._settling_again, None, False
        if again:
            self._settle_later()
        await self._store.async_settle_partial()
        self.async_dispatch_pending()

    @callback
    def _settle_later(self) -> None:
        self._settling_again = self._settling is not None
        if self._settling is None:
            self._settling = async_call_later(self._hass, PARTIAL_WINDOW.total_seconds() + 1, self._settle_job)

    def _fire_safely(self, incoming: Incoming) -> None:
        """Fire the event of a stored item. An error must block neither later items nor the acknowledgement."""
        try:
            self._fire(incoming)
        except Exception as error:  # noqa: BLE001
            _LOGGER.error("Could not fire the event of a stored message: %s", type(error).__name__)  # noqa: TRY400
            self._mark_fired(incoming)

    def _mark_fired(self, incoming: Incoming) -> None:
        if incoming.row is not None:
            incoming.intake.mark_fired(incoming.row, report=incoming.is_report, texts=stores_texts(self.entry))

    def _fire(self, incoming: Incoming) -> None:
        runtime, item, directory = self.entry.runtime_data, incoming.item, self._directory
        recipient = directory.by_number.get(incoming.number)
        data = common_data(self.entry, incoming, recipient)
        command = ask = storing = None
        if isinstance(item, Reply):
            event, kind = EVENT_MESSAGE_RECEIVED, "message_received"
            data |= uplink_data(item, incoming, self._extension(item.extension, incoming.number, directory))
            command = runtime.conversation.process_uplink(
                data, recipient, incoming.attempt, incoming.result, foreign=self._is_foreign(data, directory)
            )
            ask, storing = runtime.conversation.ask, runtime.conversation.storing
        else:
            event, kind = EVENT_DELIVERY_REPORT, "delivery_report"
            data |= report_data(item, incoming.update, self._hass.config.language)
            if incoming.update is None:
                data["automatic"] = runtime.client.sends_automatically_to(incoming.number)
        self.counts[kind + "_again" if incoming.repeat else kind] += 1
        # A new item has a new id, which its context can have as well; making another one takes longer than the rest.
        is_new = not (incoming.repeat or incoming.earlier)
        context = async_fire(self._hass, event, data, ulid=incoming.seen.id if is_new else None)
        token = EVENT_CONTEXT.set(context)
        try:
            async_signal(self._hass, event, data)
            if incoming.update is not None:
                self._store.publish([incoming.update])
        finally:
            EVENT_CONTEXT.reset(token)
        if command is not None:
            async_fire(self._hass, EVENT_COMMAND, command)
        if ask is not None:
            ask(context)
        if storing is not None:
            # A reply to an alarm is applied again after a restart, unless the alarm was stored with it.
            storing.add_done_callback(lambda _: self._mark_fired(incoming))
        else:
            self._mark_fired(incoming)
        runtime.statistics.record_push(incoming.received_at)

    def _extension(self, address: str, number: str, directory: Directory) -> str:
        """Return the extension in the address that a number sent a reply to."""
        own, cmpp = self.entry.options.get(CONF_SOURCE_NUMBER), self.entry.data.get(CONF_CMPP)
        if cmpp is None and own is None and len(address) <= LONGEST_EXTENSION:
            return address
        known = chain(
            directory.extensions,
            self._watched_extensions(),
            self.entry.runtime_data.conversation.questions.extensions_of(number),
        )
        return resolve_extension(address, known, (own or "", (cmpp or {}).get(CONF_SOURCE_NUMBER) or ""))

    def _is_foreign(self, data: dict[str, Any], directory: Directory) -> bool:
        """Return whether the extension of an uplink is known, but not as a question's."""
        extension = data["extension"]
        if not extension or not (extension in directory.extensions or extension in self._watched_extensions()):
            return False
        return extension not in self.entry.runtime_data.conversation.questions.extensions_of(data["number"])

    async def _async_authenticate(self, incoming: Incoming) -> None:
        """Authenticate a command before its event fires: a code that was used must not work again after a crash."""
        item = incoming.item
        if incoming.attempt is None or incoming.result is not None or not isinstance(item, Reply) or item.incomplete:
            return
        recipient = self._recipient(incoming)
        if not common_data(self.entry, incoming, recipient)["redelivered"]:
            conversation = self.entry.runtime_data.conversation
            incoming.result = await conversation.async_authenticate(item.content, recipient, incoming.attempt)
