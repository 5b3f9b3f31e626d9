"""Stores the critical messages of a call while they are being sent: the end of the program loses none."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from secrets import token_hex
from types import TracebackType
from typing import Final, Self

from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from ..const import DOMAIN
from ..store.db import MessageStore, StoreError
from .models import QueuedMessage, StoredMessage
from .storage import QueueStorage

_LOGGER = logging.getLogger(__name__)

# Seconds for the disk. An alarm does not wait longer.
STORE_TIMEOUT: Final = 2.0
# The rows of the messages that a call is busy with. A call can outlive a reload of its account.
_DATA_ROWS: HassKey[set[int]] = HassKey(f"{DOMAIN}_stored_alarms")


@dataclass(frozen=True, slots=True)
class Alarm:
    """A critical message of a call. storage: of its account's queue. journal: has the states of sent messages."""

    message: QueuedMessage = field(repr=False)
    storage: QueueStorage
    journal: MessageStore


def repeat_of(attempt: str) -> str:
    """Return the name of the attempt that sends the message of another one once more."""
    return f"{attempt}.repeat"


def running_rows(hass: HomeAssistant) -> set[int]:
    """Return the rows of the messages that calls of this run are busy with."""
    return hass.data.setdefault(_DATA_ROWS, set())


class StoredAlarms:
    """The critical messages of one call, in the store from before their requests until their ends are reported.

    alarms: by their places in the call. attempt: their name in the journal, None if they could not be stored.
    """

    def __init__(self, hass: HomeAssistant, alarms: Mapping[int, Alarm]) -> None:
        self.attempt: str | None = None
        self._hass = hass
        self._alarms = alarms
        self._stored: dict[int, StoredMessage] = {}

    async def __aenter__(self) -> Self:
        if not self._alarms:
            return self
        attempt, now = f"direct.{token_hex(8)}", dt_util.utcnow()
        inserting = {
            place: self._hass.async_create_background_task(
                alarm.storage.async_insert(replace(alarm.message, attempt=attempt), now, going=True),
                "sms1680 store an alarm",
            )
            for place, alarm in self._alarms.items()
        }
        try:
            await asyncio.wait(inserting.values(), timeout=STORE_TIMEOUT)
            if all(one.done() and one.exception() is None for one in inserting.values()):
                self._stored = {place: one.result() for place, one in inserting.items()}
                self.attempt = attempt
                running_rows(self._hass).update(self._rows)
        finally:
            if self.attempt is None:
                for place, one in inserting.items():
                    one.add_done_callback(self._alarms[place].storage.delete_inserted)
        if self.attempt is None:
            _LOGGER.error("An alarm is sent without being stored. If a restart interrupts it, it is not repeated")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        running_rows(self._hass).difference_update(self._rows)
        if self.attempt is None or (kind is not None and self._hass.is_stopping):
            return  # the next start acts on what this one leaves
        for place, stored in self._stored.items():
            if kind is not None:  # the reporter of failures takes over
                self._alarms[place].journal.release_attempts([self.attempt, repeat_of(self.attempt)])
            self._alarms[place].storage.delete_soon([stored.row])

    async def async_before_repeat(self, place: int) -> str | None:
        """Note that a message is sent once more, so that a restart does not repeat it; return the attempt's name."""
        stored = self._stored.get(place)
        if stored is None or self.attempt is None:
            return None
        attempt = repeat_of(self.attempt)
        message = replace(stored.message, repeated=True, attempt=attempt)
        await async_note_repeat(self._alarms[place].storage, [replace(stored, message=message)])
        return attempt

    @property
    def _rows(self) -> set[int]:
        return {stored.row for stored in self._stored.values()}


async def async_note_repeat(storage: QueueStorage, repeated: Iterable[StoredMessage]) -> None:
    """Store messages that are sent once more. An alarm is sent even if this fails."""
    try:
        async with asyncio.timeout(STORE_TIMEOUT):
            await storage.async_update_together(repeated, going=True)
    except (StoreError, TimeoutError) as error:
        _LOGGER.error("An alarm is repeated without a mark in the store (%s). A restart now would repeat it", error)  # noqa: TRY400
