"""The messages of an account that are still to be sent: by this integration, or by the platform at their time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.event import async_track_point_in_utc_time
from homeassistant.util import dt as dt_util

from ..const import ATTR_CONFIG_ENTRY_ID, signal_delivery, signal_waiting
from ..recipients import Addressee
from ..store.db import DeliveryUpdate, MessageStore, StoredOut, StoreError
from ..store.manager import stores_texts
from .models import StoredMessage
from .queue import DeferredQueue
from .wait_reason import WaitReason, wait_reason

# The prefixes of the ids.
QUEUED: Final = "queued"
SCHEDULED: Final = "scheduled"


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A waiting message to one number.

    id: the kind (`queued` or `scheduled`), the account and the row. since: when it was queued or scheduled. due: when
    it is sent or tried next. message_ids, transport: of a scheduled message. cause: of the call, see `SendContext`.
    """

    id: str
    row: int
    addressee: Addressee = field(repr=False)
    wait_reason: WaitReason
    since: datetime
    due: datetime
    text: str | None = field(repr=False)
    parts: int = 1
    message_ids: tuple[str, ...] = ()
    transport: str | None = None
    cause: str | None = None

    @classmethod
    def from_queue(cls, entry: ConfigEntry[Any], stored: StoredMessage) -> Self:
        """Return a message of the queue."""
        message = stored.message
        return cls(
            f"{QUEUED}_{entry.entry_id}_{stored.row}",
            stored.row,
            message.current_addressee(entry) or message.addressee(entry),
            wait_reason(message),
            dt_util.utc_from_timestamp(message.since),
            stored.due,
            message.text if stores_texts(entry) else None,
            cause=message.cause,
        )

    @classmethod
    def from_journal(cls, entry: ConfigEntry[Any], stored: StoredOut) -> Self:
        """Return a message that the platform has."""
        assert stored.due is not None  # noqa: S101 - the journal was asked for messages with a time
        subentry = entry.subentries.get(stored.recipient or "")
        return cls(
            f"{SCHEDULED}_{entry.entry_id}_{stored.row}",
            stored.row,
            Addressee(entry, stored.number, subentry.title if subentry else None, stored.recipient),
            WaitReason.SCHEDULED,
            stored.at,
            stored.due,
            stored.text,
            stored.parts,
            stored.message_ids,
            stored.transport,
        )

    def as_response(self) -> dict[str, Any]:
        """Return the message for a response. The number is not masked for administrators."""
        addressee = self.addressee
        return {
            "id": self.id,
            ATTR_CONFIG_ENTRY_ID: addressee.entry.entry_id,
            "number": addressee.number,
            "recipient": addressee.name,
            "subentry_id": addressee.subentry_id,
            "waits_for": self.wait_reason.value,
            "since": self.since.isoformat(),
            "due": self.due.isoformat(),
            "message_ids": list(self.message_ids),
        }


def queued_messages(queue: DeferredQueue) -> list[WaitingMessage]:
    """Return the messages of an account's queue, also those that are being sent right now."""
    return [WaitingMessage.from_queue(queue.entry, stored) for stored in queue.messages]


async def async_scheduled_messages(entry: ConfigEntry[Any], journal: MessageStore) -> list[WaitingMessage]:
    """Return the messages that the platform has accepted for a later time. Raises StoreError."""
    found = await asyncio.wrap_future(journal.scheduled(entry.entry_id, dt_util.utcnow()))
    return [WaitingMessage.from_journal(entry, stored) for stored in found]


class WaitingCounter:
    """Counts the waiting messages of an account by reason. on_change: called when a count has changed."""

    def __init__(self, hass: HomeAssistant, queue: DeferredQueue, on_change: Callable[[], None]) -> None:
        self._hass = hass
        self._queue = queue
        self._on_change = on_change
        self._scheduled: list[datetime] = []
        self._counts: dict[WaitReason, int] | None = None
        self._refreshing = self._again = self._has_changed = False
        self._unsubscribe: list[CALLBACK_TYPE] = []
        self._cancel_timer: CALLBACK_TYPE | None = None

    @property
    def counts(self) -> dict[WaitReason, int] | None:
        """The counts, None before they are known."""
        return self._counts

    @callback
    def async_start(self) -> None:
        """Count now, and whenever a message begins or ceases to wait."""
        entry_id = self._queue.entry.entry_id
        self._unsubscribe = [
            async_dispatcher_connect(self._hass, signal_waiting(entry_id), self._refresh_soon),
            async_dispatcher_connect(self._hass, signal_delivery(entry_id), self._on_delivery),
        ]
        self._refresh_soon()  # as soon as the queue has been read, which sends a signal

    @callback
    def async_stop(self) -> None:
        """Stop counting."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = []
        self._set_timer(None)

    @callback
    def _on_delivery(self, update: DeliveryUpdate) -> None:
        """Count again if the message was for a later time. Each other message would read all that are open."""
        if update.sent_at is None or update.sent_at > dt_util.utcnow():
            self._has_changed = True
            self._refresh_soon()

    @callback
    def _refresh_soon(self) -> None:
        """Count in the background: once for all changes that come together."""
        if not self._queue.is_loaded:
            return
        self._again = True
        if not self._refreshing and self._unsubscribe:
            self._refreshing = True
            self._hass.async_create_task(self._async_refresh(), "sms1680 waiting messages", eager_start=False)

    async def _async_refresh(self) -> None:
        try:
            while self._again and self._unsubscribe:
                self._again = False
                await self._async_count()
        finally:
            self._refreshing = False

    async def _async_count(self) -> None:
        now = dt_util.utcnow()
        known, self._queue.scheduled = self._queue.scheduled, None
        try:
            if known is None or self._has_changed:
                times = self._queue.journal.scheduled_times(self._queue.entry.entry_id, now)
                known = await asyncio.wrap_future(times)
            self._scheduled = known
        except StoreError:
            self._scheduled = [due for due in self._scheduled if due > now]
        if not self._unsubscribe:
            return
        counted = self._queue.counts
        counts = {reason: counted[reason] for reason in WaitReason}
        counts[WaitReason.SCHEDULED] = len(self._scheduled)
        self._set_timer(self._scheduled[0] if self._scheduled else None)
        if counts != self._counts:
            self._counts = counts
            self._on_change()

    @callback
    def _set_timer(self, when: datetime | None) -> None:
        if self._cancel_timer is not None:
            self._cancel_timer()
        self._cancel_timer = None
        if when is not None:
            self._cancel_timer = async_track_point_in_utc_time(self._hass, self._on_time, when)

    @callback
    def _on_time(self, _: datetime) -> None:
        self._cancel_timer = None
        self._refresh_soon()
