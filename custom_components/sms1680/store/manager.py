"""The message store in Home Assistant: opened at setup, pruned every hour, closed when Home Assistant stops."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import EVENT_HOMEASSISTANT_CLOSE
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from ..client.bounded import BoundedDict
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
from ..issues import STORE_CUT, STORE_DAMAGED, STORE_FAILED, STORE_RESTORED, Repair
from .db import DeliveryUpdate, MessageStore, Retention, Selection, StoreError, StoreObserver
from .db.unwritten import MOST_IN_MEMORY
from .intake import StoreIntake

_LOGGER = logging.getLogger(__name__)

FILE: Final = "sms1680.db"
_PRUNE_INTERVAL: Final = timedelta(hours=1)
# For accounts that store nothing on disk: as long as delivery reports can arrive.
_IN_MEMORY: Final = Retention(timedelta(days=3), MOST_IN_MEMORY, texts=True)
_FAILED_INTERVAL: Final = 60.0  # seconds between updates of the repair for failing writes
_MAX_PUBLISHED: Final = 1000  # messages for which an older update may still follow


class StoreManager:
    """The store in the configuration directory, and one in memory.

    Accounts that store nothing on disk use the one in memory. So does every account if the file cannot be opened.
    """

    def __init__(self, hass: HomeAssistant) -> None:
        self._hass = hass
        observer = StoreObserver(
            damaged=self._on_damaged,
            restored=lambda: self._report(STORE_RESTORED),
            cut=lambda: self._report(STORE_CUT, recreated=True),
            failed=self._on_failed,
            large=self._on_large,
        )
        self._disk = StoreIntake(hass, MessageStore(Path(hass.config.path(FILE)), observer))
        self._memory = StoreIntake(hass, MessageStore(None, StoreObserver(large=self._on_large)))
        self._has_disk = False
        self._failed_at = -_FAILED_INTERVAL
        self._pruning: asyncio.Task[None] | None = None
        self._published: BoundedDict[int, int] = BoundedDict(_MAX_PUBLISHED)

    @property
    def intakes(self) -> list[StoreIntake]:
        """The open stores."""
        return [self._disk, self._memory] if self._has_disk else [self._memory]

    async def async_open(self) -> str | None:
        """Open both stores. If the file cannot be opened, continue in memory, and return the problem."""
        problem = None
        self._memory.store.open()
        try:
            await self._hass.async_add_executor_job(self._disk.store.open)
        except StoreError as error:
            _LOGGER.error("Could not open the message store (%s); messages are stored in memory only", error)  # noqa: TRY400
            problem = str(error)
        self._has_disk = problem is None
        self._hass.bus.async_listen_once(EVENT_HOMEASSISTANT_CLOSE, self._async_close)
        async_track_time_interval(self._hass, self.async_prune, _PRUNE_INTERVAL, cancel_on_shutdown=True)
        return problem

    @callback
    def for_entry(self, entry: ConfigEntry) -> StoreIntake:
        """Return the store of an account's messages."""
        return self.durable if entry.options.get(CONF_KEEP_DAYS, DEFAULT_KEEP_DAYS) > 0 else self._memory

    @property
    def durable(self) -> StoreIntake:
        """The store of deferred messages: on disk if possible, whatever the accounts' options are."""
        return self._disk if self._has_disk else self._memory

    async def async_prune(self, _: datetime | None = None) -> None:
        """Delete old messages, and publish the messages whose delivery report is overdue."""
        entries = self._hass.config_entries.async_entries(DOMAIN)
        for intake in self.intakes:
            intake.flush()
            retentions = {
                entry.entry_id: self._retention(entry) for entry in entries if self.for_entry(entry) is intake
            }
            try:
                expired = await asyncio.wrap_future(intake.store.prune(retentions))
            except StoreError as error:
                _LOGGER.warning("Could not prune the message store (%s)", error)
            else:
                self.publish(expired)

    async def async_settle_partial(self, rows: Iterable[int] = ()) -> list[DeliveryUpdate]:
        """Settle long messages of which only some segments are reported, and publish them. See `settle_partial`."""
        given = list(rows)
        settled: list[DeliveryUpdate] = []
        for intake in self.intakes:
            intake.flush()
            with contextlib.suppress(StoreError):
                updates = await asyncio.wrap_future(intake.store.settle_partial(dt_util.utcnow(), given))
                settled += updates
        self.publish(settled)
        return settled

    async def async_purge(self, selection: Selection, *, open_too: bool = False) -> int:
        """Delete messages, including deferred ones, and return their number.

        open_too: include messages that are being sent. Raises StoreError after the attempt in all stores.
        """
        stores = [intake.store for intake in self.intakes]
        purged = [asyncio.wrap_future(store.purge(selection, open_too=open_too)) for store in stores]
        deferred = [asyncio.wrap_future(store.delete_deferred(selection, open_too=open_too)) for store in stores]
        of_stores = await asyncio.gather(*deferred, return_exceptions=True)
        counts = await asyncio.gather(*purged, return_exceptions=True)
        rows = [row for some in of_stores if not isinstance(some, BaseException) for row in some]
        async_dispatcher_send(self._hass, SIGNAL_DEFERRED_DELETED, rows)
        for result in (*of_stores, *counts):
            if isinstance(result, BaseException):
                raise result
        return sum(count for count in counts if not isinstance(count, BaseException)) + len(rows)

    async def async_counts(self, entry: ConfigEntry) -> dict[str, Any]:
        """Return the number of an account's stored messages, without their content."""
        store = self.for_entry(entry).store
        try:
            counts = await asyncio.wrap_future(store.counts(entry.entry_id))
        except StoreError as error:
            return {"on_disk": store.durable, "problem": str(error)}
        return {"on_disk": store.durable, **asdict(counts)}

    async def async_backup(self, *, begin: bool) -> None:
        """Stop writing to the file so that it can be copied, or start again."""
        if self._has_disk:
            self._disk.flush()
            store = self._disk.store
            await asyncio.wrap_future(store.begin_backup() if begin else store.end_backup())

    @callback
    def publish(self, updates: Iterable[DeliveryUpdate]) -> None:
        """Send delivery updates to their listeners. Skip those that are older than the last one of their message."""
        for update in updates:
            if self._published.get(update.row, -1) < update.order:
                self._published[update.row] = update.order
                async_dispatcher_send(self._hass, signal_delivery(update.entry), update)
                if update.recipient is not None:
                    async_dispatcher_send(self._hass, signal_delivery(update.entry, update.recipient), update)

    async def _async_close(self, _: Event) -> None:
        for intake in self.intakes:
            intake.flush()
            await self._hass.async_add_executor_job(intake.store.close)

    def _retention(self, entry: ConfigEntry) -> Retention:
        if self.for_entry(entry) is self._memory:
            return _IN_MEMORY
        return Retention(
            timedelta(days=entry.options.get(CONF_KEEP_DAYS, DEFAULT_KEEP_DAYS)),
            entry.options.get(CONF_MOST_KEPT, DEFAULT_MOST_KEPT),
            texts=stores_texts(entry),
            include_pending=entry.disabled_by is not None,
        )

    # --- the store calls these in any thread ---

    def _on_damaged(self, aside: Path) -> None:
        self._report(STORE_DAMAGED, recreated=True, aside=aside.name)

    def _on_failed(self, kind: str) -> None:
        if (now := time.monotonic()) - self._failed_at >= _FAILED_INTERVAL:
            self._failed_at = now
            self._report(STORE_FAILED, problem=kind)

    def _on_large(self) -> None:
        def prune() -> None:
            if self._pruning is None or self._pruning.done():
                self._pruning = self._hass.async_create_background_task(self.async_prune(), f"{DOMAIN} prune")

        self._hass.loop.call_soon_threadsafe(prune)

    def _report(self, repair: Repair, *, recreated: bool = False, **placeholders: str) -> None:
        """Create a repair. recreated: some content is missing, so that others save again what they still have."""

        def report() -> None:
            repair.async_create(self._hass, None, None, None, file=FILE, **placeholders)
            if recreated:
                async_dispatcher_send(self._hass, SIGNAL_STORE_RECREATED)

        self._hass.loop.call_soon_threadsafe(report)


DATA_STORE: HassKey[StoreManager] = HassKey(f"{DOMAIN}_store")


def stores_texts(entry: ConfigEntry) -> bool:
    """Return whether the texts of an account's messages are stored."""
    return bool(entry.options.get(CONF_KEEP_TEXTS, DEFAULT_KEEP_TEXTS))


async def async_remove_messages(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Delete all messages of a removed account."""
    manager = hass.data[DATA_STORE]
    for intake in manager.intakes:
        await intake.async_drain()
    try:
        await manager.async_purge(Selection(entries=[entry.entry_id]), open_too=True)
    except StoreError as error:
        _LOGGER.warning("Could not delete the messages of a removed account (%s)", error)


async def async_wait_done[T](future: Future[T], seconds: float) -> bool:
    """Wait at most so many seconds for the store. Return whether it succeeded."""
    try:
        async with asyncio.timeout(seconds):
            await asyncio.shield(asyncio.wrap_future(future))
    except (TimeoutError, StoreError):
        return False
    return True
