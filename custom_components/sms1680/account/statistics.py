"""The sent and received messages of an account as counts, stored across restarts without numbers and texts."""

import asyncio
from collections import Counter, deque
from datetime import datetime, timedelta
from typing import Any, NotRequired, TypedDict

from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect, async_dispatcher_send
from homeassistant.helpers.event import async_call_later, async_track_point_in_utc_time
from homeassistant.util import dt as dt_util

from ..client import Outcome, Reason, Receipt
from ..client.bounded import BoundedDict
from ..const import DOMAIN, EVENT_MESSAGE_FAILED, signal_delivery, signal_statistics
from ..events.signals import async_listen
from ..store.cached_store import CachedStore
from ..store.db import DeliveryState, DeliveryUpdate
from .day_counts import DayCounts

_VERSION = 1
_SAVE_DELAY = 10  # seconds
_BURST = 1  # second
_MAX_ERRORS = 10
_MAX_DELIVERED = 1000  # messages whose report may still be repeated


class _StoredStatistics(TypedDict):
    messages: int
    parts: int
    spent: float
    last_push: str | None
    day: NotRequired[dict[str, Any]]
    delivery_time: NotRequired[float | None]


class Statistics:
    """Counters of one account.

    price: of one part, None if unknown. messages, parts: accepted or held by the platform; a message to several numbers
    counts once per number. spent: each part at the price when it was sent. last_push: when the platform last pushed an
    uplink or a report. delivery_time: seconds from the last delivered message to its delivery report. outcomes, errors:
    since the entry was set up.
    """

    def __init__(self, hass: HomeAssistant, entry_id: str, price: float | None) -> None:
        self._hass = hass
        self._entry_id = entry_id
        self.price = price
        self._store = _store(hass, entry_id)
        self.messages = 0
        self.parts = 0
        self.spent = 0.0
        self.last_push: datetime | None = None
        self.delivery_time: float | None = None
        self._day = DayCounts.of_today()
        self._delivered: BoundedDict[int, None] = BoundedDict(_MAX_DELIVERED)
        self._unsubscribe: list[CALLBACK_TYPE] = []
        self._midnight: CALLBACK_TYPE | None = None
        self._midnight_job = HassJob(self._on_midnight, "sms1680 day", cancel_on_shutdown=True)
        self._burst: CALLBACK_TYPE | None = None
        self._telling: asyncio.Handle | None = None
        self._end_burst_job = HassJob(self._end_burst, "sms1680 last push", cancel_on_shutdown=True)
        self.outcomes: Counter[Outcome] = Counter()
        self.errors: deque[tuple[datetime, Reason]] = deque(maxlen=_MAX_ERRORS)

    async def async_load(self) -> None:
        """Load the stored counters."""
        if stored := await self._store.async_load():
            self.messages = stored["messages"]
            self.parts = stored["parts"]
            self.spent = stored["spent"]
            self.last_push = dt_util.parse_datetime(stored["last_push"]) if stored["last_push"] else None
            self.delivery_time = stored.get("delivery_time")
            if day := stored.get("day"):
                self._day = DayCounts.from_stored(day)

    @property
    def today(self) -> DayCounts:
        """The counters of this day."""
        if self._day.is_over:
            self._day = DayCounts.of_today()
        return self._day

    @callback
    def async_start(self) -> None:
        """Count deliveries and failures, and begin each day at midnight."""
        self._unsubscribe += [
            async_dispatcher_connect(self._hass, signal_delivery(self._entry_id), self._on_delivery),
            async_listen(self._hass, EVENT_MESSAGE_FAILED, self._on_failure, self._entry_id),
        ]
        self._wait_for_midnight()

    @callback
    def async_stop(self) -> None:
        """Stop counting."""
        while self._unsubscribe:
            self._unsubscribe.pop()()
        if self._midnight is not None:
            self._midnight()
            self._midnight = None

    async def async_save(self) -> None:
        """Store the counters now."""
        if self._burst is not None:
            self._burst()
            self._burst = None
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        await self._store.async_save(self._as_stored())

    @callback
    def record(self, receipt: Receipt) -> None:
        """Count the outcome of one number."""
        self.outcomes[receipt.outcome] += 1
        if receipt.outcome.is_success:
            self.messages += 1
            self.parts += receipt.parts
            self.spent += receipt.parts * (self.price or 0)
            self.today.sent += 1
            self.today.parts += receipt.parts
            self._changed()
        elif receipt.reason is not None:
            self.errors.append((dt_util.utcnow(), receipt.reason))

    @callback
    def record_push(self, when: datetime) -> None:
        """Record the time of a push; of a burst, only the first and, one second later, the last update the entities."""
        self.last_push = when
        if self._burst is None:
            self._changed()
            self._burst = async_call_later(self._hass, _BURST, self._end_burst_job)

    @callback
    def _on_delivery(self, update: DeliveryUpdate) -> None:
        if update.state is not DeliveryState.DELIVERED or update.row in self._delivered:
            return
        self._delivered[update.row] = None
        self.today.delivered += 1
        if update.sent_at is not None:
            self.delivery_time = max(0.0, (update.at - update.sent_at).total_seconds())
        self._changed()

    @callback
    def _on_failure(self, _: dict[str, Any]) -> None:
        self.today.failed += 1
        self._changed()

    @callback
    def _on_midnight(self, _: datetime) -> None:
        self._wait_for_midnight()
        self._changed()

    def _wait_for_midnight(self) -> None:
        tomorrow = dt_util.start_of_local_day(dt_util.now().date() + timedelta(days=1))
        self._midnight = async_track_point_in_utc_time(self._hass, self._midnight_job, tomorrow)

    @callback
    def _end_burst(self, _: datetime) -> None:
        self._burst = None
        self._changed()

    def _changed(self) -> None:
        """Update the entities once for everything that changes in this turn of the event loop."""
        if self._telling is None:
            self._telling = self._hass.loop.call_soon(self._tell)

    @callback
    def _tell(self) -> None:
        self._telling = None
        self._store.async_delay_save(self._as_stored, _SAVE_DELAY)
        async_dispatcher_send(self._hass, signal_statistics(self._entry_id))

    def _as_stored(self) -> _StoredStatistics:
        return {
            "messages": self.messages,
            "parts": self.parts,
            "spent": self.spent,
            "last_push": self.last_push.isoformat() if self.last_push else None,
            "day": self.today.as_stored(),
            "delivery_time": self.delivery_time,
        }


async def async_remove_statistics(hass: HomeAssistant, entry_id: str) -> None:
    """Delete the stored counters of a removed account."""
    await _store(hass, entry_id).async_remove()


def _store(hass: HomeAssistant, entry_id: str) -> CachedStore[_StoredStatistics]:
    return CachedStore.of(hass, _VERSION, f"{DOMAIN}.totals.{entry_id}")
