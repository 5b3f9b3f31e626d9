"""The message store in Home Assistant: opened with the integration, tidied every hour, closed with Home Assistant."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import EVENT_HOMEASSISTANT_CLOSE
from homeassistant.core import CALLBACK_TYPE, Event, HassJob, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.helpers.event import async_call_later, async_track_time_interval
from homeassistant.util.hass_dict import HassKey

from ..const import (
    CONF_KEEP_DAYS,
    CONF_KEEP_TEXTS,
    CONF_MOST_KEPT,
    DEFAULT_KEEP_DAYS,
    DEFAULT_KEEP_TEXTS,
    DEFAULT_MOST_KEPT,
    DOMAIN,
    SIGNAL_DEFERRED_DELETED,
    SIGNAL_STORE_RECREATED,
    signal_delivery,
)
from ..issues import STORE_DAMAGED, STORE_UNAVAILABLE
from .db import Change, MessageStore, Received, Report, Retention, Selection, StoreError, Unfired, Uplink
from .db.writer import kind_of

_LOGGER = logging.getLogger(__name__)

FILE: Final = "sms1680.db"
_TIDY_EVERY: Final = timedelta(hours=1)
# What was fired and answered is noted a little later, many at once: where that gets lost, it is fired again, marked.
_MARK_AFTER: Final = 0.1
# Of accounts that keep nothing on the disk: as long as reports may come.
_IN_MEMORY: Final = Retention(timedelta(days=3), 1000, texts=True)

_MOST_WAITING: Final = 10_000
_MOST_TOGETHER: Final = 500
_MOST_A_TURN: Final = 50  # are fired before the loop may do something else

_MOST_TOLD: Final = 1000  # messages that an older change may still come of


type Then = Callable[[Received], None]
type _Keeping = tuple[Uplink | Report, Then, asyncio.Future[Received]]


class Shelf:
    """A message store, and what is yet to be noted in it: rows that were fired, and rows that were answered."""

    def __init__(self, hass: HomeAssistant, store: MessageStore) -> None:
        self.store = store
        self._hass = hass
        self._fired: dict[bool, tuple[list[int], list[int]]] = {True: ([], []), False: ([], [])}
        self._answered: tuple[list[int], list[int]] = ([], [])
        self._incoming: deque[_Keeping] = deque()
        self._keeping: asyncio.Task[None] | None = None
        self._told: asyncio.Future[None] | None = None
        self._later: CALLBACK_TYPE | None = None
        self._job = HassJob(self._flush_now, "sms1680 note what was fired", cancel_on_shutdown=True)

    @callback
    def receive(self, item: Uplink | Report, then: Then) -> asyncio.Future[Received]:
        """Keep what came in; what comes while others are being kept is kept together, by one commit.

        then: called as soon as it is safe, whoever still waits for it, and before what `async_unfired` finds is given.
        Returns a future that fails with StoreError, or with what `then` raised.
        """
        future: asyncio.Future[Received] = self._hass.loop.create_future()
        if not self.store.durable:
            kept = self.store.receive(item)  # in memory, where it is done by now
            if error := kept.exception():
                _fail(future, _as_store_error(error))
            else:
                _pass_on(kept.result(), then, future)
            return future
        if len(self._incoming) >= _MOST_WAITING:
            future.set_exception(StoreError("busy"))
            return future
        self._incoming.append((item, then, future))
        if self._keeping is None:
            # Not at once: what this turn of the loop brings besides is kept with it.
            self._keeping = self._hass.async_create_task(self._async_keep(), "sms1680 keep", eager_start=False)
        return future

    async def async_unfired(self, entry_id: str, limit: int) -> list[Unfired]:
        """Give what is safe and was not fired, the oldest first. Raises StoreError."""
        await self.async_flush()
        found = await asyncio.wrap_future(self.store.unfired(entry_id, limit))
        if self._told is not None:
            # Of what is among this, whoever brought it may not have heard yet. Who gives up waiting must not end that.
            await asyncio.shield(self._told)
        return found

    async def async_drain(self) -> None:
        """Wait until all is kept that has come by now, or is known not to be."""
        coming: list[asyncio.Future[Any]] = [future for *_, future in self._incoming]
        if self._told is not None:
            coming.append(self._told)
        if coming:
            await asyncio.wait(coming)

    async def _async_keep(self) -> None:
        """Keep what has come meanwhile, together; then what has come while that was done."""
        try:
            while self._incoming:
                group = [self._incoming.popleft() for _ in range(min(len(self._incoming), _MOST_TOGETHER))]
                told = self._told = self._hass.loop.create_future()
                try:
                    await self._async_keep_group(group)
                finally:
                    told.set_result(None)
        finally:
            self._keeping = None

    async def _async_keep_group(self, group: list[_Keeping]) -> None:
        try:
            kept = await asyncio.wrap_future(self.store.receive_all([item for item, *_ in group]))
        except Exception as error:  # noqa: BLE001 - whatever it is, what came in was not kept
            told = _as_store_error(error)
            if len(group) == 1 or told.common:
                for *_, future in group:
                    _fail(future, told)
                return
            for one in group:
                await self._async_keep_group([one])
            return
        for serial, ((_, then, future), received) in enumerate(zip(group, kept, strict=True), 1):
            _pass_on(received, then, future)
            if not serial % _MOST_A_TURN:
                await asyncio.sleep(0)

    @callback
    def mark_fired(self, row: int, *, report: bool, texts: bool) -> None:
        """Note soon that an event was fired. texts: whether its text is still to be kept."""
        self._fired[texts][report].append(row)
        self._soon()

    @callback
    def mark_answered(self, row: int, *, report: bool) -> None:
        """Note soon that the answer to an item was written."""
        self._answered[report].append(row)
        self._soon()

    @callback
    def flush(self) -> list[Future[None]]:
        """Note all of it now; what is asked of the store after this knows of it."""
        if self._later is not None:
            self._later()
            self._later = None
        fired, self._fired = self._fired, {True: ([], []), False: ([], [])}
        futures = [self.store.mark_fired(*rows, texts=texts) for texts, rows in fired.items() if any(rows)]
        answered, self._answered = self._answered, ([], [])
        return [*futures, self.store.mark_answered(*answered)] if any(answered) else futures

    async def async_flush(self) -> None:
        """Note all of it, and wait until it is. Raises StoreError."""
        for future in self.flush():
            await asyncio.wrap_future(future)

    def _soon(self) -> None:
        if self._later is None:
            self._later = async_call_later(self._hass, _MARK_AFTER, self._job)

    @callback
    def _flush_now(self, _: datetime) -> None:
        self._later = None
        self.flush()


def _pass_on(received: Received, then: Then, future: asyncio.Future[Received]) -> None:
    try:
        then(received)
    except Exception as error:  # noqa: BLE001 - it is for whoever waits
        _fail(future, error)
    else:
        if not future.done():
            future.set_result(received)


def _as_store_error(error: BaseException) -> StoreError:
    return error if isinstance(error, StoreError) else StoreError(kind_of(error), common=False)


def _fail(future: asyncio.Future[Received], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


class Storage:
    """The store in the configuration folder, and one in memory.

    The latter is for accounts that keep nothing on the disk, and for all of them where the file can't be had.
    """

    def __init__(self, hass: HomeAssistant) -> None:
        self._hass = hass
        self._disk = Shelf(hass, MessageStore(Path(hass.config.path(FILE)), self._damaged))
        self._memory = Shelf(hass, MessageStore(None))
        self._has_disk = False
        self._told: OrderedDict[int, int] = OrderedDict()

    @property
    def shelves(self) -> list[Shelf]:
        """Those that are open."""
        return [self._disk, self._memory] if self._has_disk else [self._memory]

    async def async_open(self) -> None:
        """Open the stores; without the file all goes on in memory, and a repair tells so."""
        try:
            await self._hass.async_add_executor_job(self._open)
        except StoreError as error:
            _LOGGER.error("The message store can't be opened (%s); messages are kept in memory only", error)  # noqa: TRY400
            STORE_UNAVAILABLE.async_create(self._hass, None, file=FILE, problem=str(error))
        else:
            self._has_disk = True
            STORE_UNAVAILABLE.async_delete(self._hass, None)
        self._hass.bus.async_listen_once(EVENT_HOMEASSISTANT_CLOSE, self._async_close)
        async_track_time_interval(self._hass, self.async_tidy, _TIDY_EVERY, cancel_on_shutdown=True)

    @callback
    def of(self, entry: ConfigEntry) -> Shelf:
        """Return where an account's messages are kept."""
        on_disk = self._has_disk and entry.options.get(CONF_KEEP_DAYS, DEFAULT_KEEP_DAYS) > 0
        return self._disk if on_disk else self._memory

    @property
    def lasting(self) -> Shelf:
        """Where messages wait that are yet to be sent: on the disk if there is one, whatever is kept of the others."""
        return self._disk if self._has_disk else self._memory

    async def async_tidy(self, _: datetime | None = None) -> None:
        """Let go of what is old, and tell what had no report in time."""
        entries = self._hass.config_entries.async_entries(DOMAIN)
        for shelf in self.shelves:
            shelf.flush()
            retentions = {entry.entry_id: self._retention(entry) for entry in entries if self.of(entry) is shelf}
            try:
                expired = await asyncio.wrap_future(shelf.store.tidy(retentions))
            except StoreError as error:
                _LOGGER.warning("The message store could not be tidied (%s)", error)
            else:
                self.tell(expired)

    async def async_purge(self, selection: Selection, *, open_too: bool = False) -> int:
        """Delete messages, those that wait to be sent too, and return how many. Raises StoreError."""
        stores = [shelf.store for shelf in self.shelves]
        gone = [asyncio.wrap_future(store.purge(selection, open_too=open_too)) for store in stores]
        waited = [asyncio.wrap_future(store.let_go(selection, open_too=open_too)) for store in stores]
        rows = [row for of_store in await asyncio.gather(*waited) for row in of_store]
        async_dispatcher_send(self._hass, SIGNAL_DEFERRED_DELETED, rows)
        return sum(await asyncio.gather(*gone)) + len(rows)

    async def async_counts(self, entry: ConfigEntry) -> dict[str, Any]:
        """Count what is kept of an account; nothing of what it says."""
        store = self.of(entry).store
        try:
            counts = await asyncio.wrap_future(store.counts(entry.entry_id))
        except StoreError as error:
            return {"on_disk": store.durable, "problem": str(error)}
        return {"on_disk": store.durable, **asdict(counts)}

    async def async_backup(self, *, begin: bool) -> None:
        """Leave the file alone from now on, so that it can be copied, or write into it again."""
        if self._has_disk:
            self._disk.flush()
            store = self._disk.store
            await asyncio.wrap_future(store.begin_backup() if begin else store.end_backup())

    @callback
    def tell(self, changes: Iterable[Change]) -> None:
        """Tell whoever waits for it where messages stand now; nothing that is older than what was told of one."""
        for change in changes:
            if self._told.get(change.row, -1) >= change.order:
                continue
            self._told[change.row] = change.order
            self._told.move_to_end(change.row)
            if len(self._told) > _MOST_TOLD:
                self._told.popitem(last=False)
            async_dispatcher_send(self._hass, signal_delivery(change.entry), change)

    def _open(self) -> None:
        self._memory.store.open()
        self._disk.store.open()

    async def _async_close(self, _: Event) -> None:
        for shelf in self.shelves:
            shelf.flush()
            await self._hass.async_add_executor_job(shelf.store.close)

    def _retention(self, entry: ConfigEntry) -> Retention:
        if self.of(entry) is self._memory:
            return _IN_MEMORY
        return Retention(
            timedelta(days=entry.options.get(CONF_KEEP_DAYS, DEFAULT_KEEP_DAYS)),
            entry.options.get(CONF_MOST_KEPT, DEFAULT_MOST_KEPT),
            texts=keeps_texts(entry),
            unfired_too=entry.disabled_by is not None,
        )

    def _damaged(self, aside: Path) -> None:
        """Tell a person where a damaged file went. Called in the store's thread, or in the one that opens it."""

        def tell() -> None:
            STORE_DAMAGED.async_create(self._hass, None, file=FILE, aside=aside.name)
            async_dispatcher_send(self._hass, SIGNAL_STORE_RECREATED)

        self._hass.loop.call_soon_threadsafe(tell)


DATA_STORAGE: HassKey[Storage] = HassKey(f"{DOMAIN}_storage")


def keeps_texts(entry: ConfigEntry) -> bool:
    """Tell whether an account keeps the texts of its messages."""
    return bool(entry.options.get(CONF_KEEP_TEXTS, DEFAULT_KEEP_TEXTS))


async def async_forget(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Let go of all messages of an account that is no more."""
    storage = hass.data[DATA_STORAGE]
    for shelf in storage.shelves:
        await shelf.async_drain()
    try:
        await storage.async_purge(Selection(entries=[entry.entry_id]), open_too=True)
    except StoreError as error:
        _LOGGER.warning("The messages of an account that was removed could not be deleted (%s)", error)


async def settled[T](future: Future[T], seconds: float) -> bool:
    """Wait until the store has done something, at most so long; return whether it has, without an error."""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.shield(asyncio.wrap_future(future))
    except (TimeoutError, StoreError):
        return False
    return True
