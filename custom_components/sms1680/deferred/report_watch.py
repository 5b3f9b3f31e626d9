"""Watches the delivery reports of sent messages that have a fallback."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any, Protocol

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.util import dt as dt_util

from ..client import DeliveryReport, Repeat
from ..store.db import DeliveryState, DeliveryUpdate, MessageStore, StoreError
from ..store.manager import DATA_STORE
from .failure import FailureCause
from .failures import FailureReporter
from .models import HANDLED, QueuedMessage, StoredMessage
from .retry_policy import TOO_LATE
from .schedule import Schedule
from .storage import QueueStorage

_LOGGER = logging.getLogger(__name__)


class RunFallback(Protocol):
    """Acts on a message that was sent: called with why, and whether the failure allows to send it once more."""

    def __call__(self, queued: QueuedMessage, why: str, /, *, may_repeat: bool) -> Awaitable[list[dict[str, str]]]:
        """Return the steps that were run."""
        ...


type Track = Callable[[Coroutine[Any, Any, None]], object]


@dataclass(eq=False, repr=False)
class ReportWatch:
    """Runs the fallback of a message that was not delivered, or whose report did not arrive in time.

    journal: the store with the states of sent messages. run_fallback: called with the message and why. track: runs
    a coroutine in the background.
    """

    hass: HomeAssistant
    entry: ConfigEntry[Any]
    storage: QueueStorage
    journal: MessageStore
    run_fallback: RunFallback
    failures: FailureReporter
    track: Track

    def __post_init__(self) -> None:
        self.schedule = Schedule(self.hass, self._on_deadline)

    async def async_check(self, rows: Collection[int]) -> None:
        """Apply the present states of some rows of the journal, for reports that arrived before they were watched."""
        if rows:
            with contextlib.suppress(StoreError):
                for change in await asyncio.wrap_future(self.journal.current(rows)):
                    if not self.on_change(change):
                        self.failures.on_change(change)

    @callback
    def on_change(self, change: DeliveryUpdate) -> bool:
        """Act on a new state of a message that was sent; return whether its fallback decides about a failure."""
        stored = self.schedule.sent_as(change.row)
        if stored is None or not change.settled:
            return False
        self.schedule.remove(stored.row)
        self.failures.async_leave(change.row)
        if change.state in (DeliveryState.DELIVERED, DeliveryState.NOT_SENT):  # not sent: it was cancelled
            self.track(self.storage.async_delete(stored.row))
            return False
        report = DeliveryReport("", change.number, change.status or "")
        self.track(self._async_fall_back(stored, change.state.value, may_repeat=report.repeat is Repeat.YES))
        return True

    @callback
    def _on_deadline(self, due: list[StoredMessage]) -> None:
        for stored in due:
            missed = stored.message.missed
            self.track(self._async_fall_back(stored, missed or "no_report", may_repeat=missed is None))

    async def _async_fall_back(self, stored: StoredMessage, why: str, *, may_repeat: bool) -> None:
        """Run the fallback of a message. It is marked first, so that a restart does not run it twice."""
        message = stored.message
        if why == "no_report" and message.outgoing is not None:
            partly = await self.hass.data[DATA_STORE].async_settle_partial([message.outgoing])
            if any(update.row == message.outgoing for update in partly):
                await self.storage.async_delete(stored.row)
                return
        addressee = message.current_addressee(self.entry)
        if addressee is None or dt_util.utcnow() - stored.due > TOO_LATE:
            _LOGGER.warning("The fallback of a message was skipped: its recipient was removed, or it is too late")
            await self._async_end(stored, why, [])
            return
        message = replace(message, attempt=f"watch.{token_hex(8)}")
        with contextlib.suppress(StoreError):
            await self.storage.async_update(replace(stored, message=message), going=True)
        steps: list[dict[str, str]] = []
        try:
            steps = await self.run_fallback(replace(message, number=addressee.number), why, may_repeat=may_repeat)
        except Exception as error:  # noqa: BLE001 - nobody awaits this task
            _LOGGER.error("The fallback of a message failed with %s", type(error).__name__)  # noqa: TRY400
        await self._async_end(stored, why, steps)

    async def _async_end(self, stored: StoredMessage, why: str, steps: list[dict[str, str]]) -> None:
        """Report a failure that no step of the fallback handled, and delete the message."""
        message = stored.message
        if any(step["outcome"] in HANDLED for step in steps):
            self.failures.async_conclude([message.outgoing])
        elif message.outgoing is not None:
            with contextlib.suppress(StoreError):
                for update in await asyncio.wrap_future(self.journal.current([message.outgoing])):
                    cause = FailureCause.NO_REPORT if why == "no_report" else None
                    self.failures.async_report_update(update, cause, steps)
        else:
            self.failures.async_report_message(message, FailureCause(why), steps)
        await self.storage.async_delete(stored.row)
