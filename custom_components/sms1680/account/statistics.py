"""The sent and received messages of an account as counts, stored across restarts without numbers and texts."""

from collections import Counter, deque
from datetime import datetime
from typing import TypedDict

from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util

from ..client import Outcome, Reason, Receipt
from ..const import DOMAIN, signal_statistics

_VERSION = 1
_SAVE_DELAY = 10  # seconds
_BURST = 1  # second
_MAX_ERRORS = 10


class _StoredStatistics(TypedDict):
    messages: int
    parts: int
    spent: float
    last_push: str | None


class Statistics:
    """Counters of one account.

    price: of one part, None if unknown. messages, parts: accepted or held by the platform; a message to several numbers
    counts once per number. spent: each part at the price when it was sent. last_push: when the platform last pushed an
    uplink or a report. outcomes, errors: since the entry was set up.
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
        self._burst: CALLBACK_TYPE | None = None
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

    async def async_save(self) -> None:
        """Store the counters now."""
        if self._burst is not None:
            self._burst()
            self._burst = None
        await self._store.async_save(self._as_stored())

    @callback
    def record(self, receipt: Receipt) -> None:
        """Count the outcome of one number."""
        self.outcomes[receipt.outcome] += 1
        if receipt.outcome.is_success:
            self.messages += 1
            self.parts += receipt.parts
            self.spent += receipt.parts * (self.price or 0)
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
    def _end_burst(self, _: datetime) -> None:
        self._burst = None
        self._changed()

    def _changed(self) -> None:
        self._store.async_delay_save(self._as_stored, _SAVE_DELAY)
        async_dispatcher_send(self._hass, signal_statistics(self._entry_id))

    def _as_stored(self) -> _StoredStatistics:
        return {
            "messages": self.messages,
            "parts": self.parts,
            "spent": self.spent,
            "last_push": self.last_push.isoformat() if self.last_push else None,
        }


async def async_remove_statistics(hass: HomeAssistant, entry_id: str) -> None:
    """Delete the stored counters of a removed account."""
    await _store(hass, entry_id).async_remove()


def _store(hass: HomeAssistant, entry_id: str) -> Store[_StoredStatistics]:
    return Store(hass, _VERSION, f"{DOMAIN}.totals.{entry_id}")
