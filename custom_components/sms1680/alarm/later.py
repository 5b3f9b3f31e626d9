"""Messages that are kept for later: until quiet hours end, until there is a way again, until a report must be there.

They lie in the message store, so that a restart loses none; what was on its way when the program ended is told as
unknown, and never sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.event import async_track_point_in_utc_time
from homeassistant.util import dt as dt_util

from ..client import Outcome, Reason, Receipt, mask_number
from ..const import ATTR_CONFIG_ENTRY_ID, DOMAIN, EVENT_DELAYED_MESSAGE, signal_delivery
from ..failures import language
from ..origin import async_fire
from ..store import Change, MessageStore, ProofState, StoreError
from ..targets import Receiver
from .insistence import Kept
from .sending import Delivered, has_reached

_LOGGER = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 30.0
_LONGEST_PAUSE: Final = 300.0
_LOST: Final = "delayed_lost"
_GOOD: Final = (Outcome.ACCEPTED, Outcome.HELD)

type Attempt = Callable[[Kept], Awaitable[Delivered]]
type GoOn = Callable[[Kept, str], Awaitable[object]]


def pause_after(tries: int) -> timedelta:
    """Return how long to wait after so many tries: 30 s, then twice as long each time, at most five minutes."""
    return timedelta(seconds=min(_FIRST_PAUSE * 2 ** max(0, tries - 1), _LONGEST_PAUSE))


class LaterMessages:
    """What is kept for later of one account.

    store: where they lie. history: where it stands what became of a message whose report is waited for. attempt: tries
    to send one. go_on: does what comes next for one that was accepted and whose report failed or did not come; it is
    told why.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry[Any],
        store: MessageStore,
        history: MessageStore,
        *,
        attempt: Attempt,
        go_on: GoOn,
    ) -> None:
        self._hass = hass
        self._entry = entry
        self._store = store
        self._history = history
        self._attempt = attempt
        self._go_on = go_on
        self._rows: dict[int, tuple[datetime, Kept]] = {}
        self._timer: CALLBACK_TYPE | None = None
        self._job = HassJob(self._due, "sms1680 later", cancel_on_shutdown=True)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stop: CALLBACK_TYPE | None = None

    @property
    def waiting(self) -> int:
        """How many messages wait to be sent."""
        return sum(not kept.watched for _, kept in self._rows.values())

    async def async_start(self) -> None:
        """Take up what an earlier run has left."""
        self._stop = async_dispatcher_connect(self._hass, signal_delivery(self._entry.entry_id), self._hear)
        try:
            left = await asyncio.wrap_future(self._store.kept(self._entry.entry_id))
        except StoreError as error:
            _LOGGER.error("Messages that were kept for later could not be read (%s)", error)  # noqa: TRY400
            return
        for one in left:
            kept = Kept.of_json(one.message)
            if one.going:
                receipt = Receipt(kept.number, Outcome.UNKNOWN, reason=Reason.LOST)
                self._tell(kept, Delivered(self.receiver_of(kept), receipt))
                await self._forget(one.row)
            else:
                self._rows[one.row] = (one.due, kept)
        await self._look_at({kept.outgoing for _, kept in self._rows.values() if kept.outgoing is not None})
        self._schedule()

    async def async_stop(self) -> None:
        """Begin nothing any more, and wait for what is under way."""
        if self._stop is not None:
            self._stop()
            self._stop = None
        if self._timer is not None:
            self._timer()
            self._timer = None
        self._rows.clear()
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    async def async_keep(self, kept: Kept, due: datetime) -> bool:
        """Keep a message until then, safe from a restart once this returns True; False where that can't be."""
        keeping = self._store.keep(self._entry.entry_id, kept.number, due, kept.as_json())
        try:
            row = await asyncio.wrap_future(keeping)
        except StoreError as error:
            _LOGGER.error("A message could not be kept for later (%s)", error)  # noqa: TRY400
            return False
        self._rows[row] = (due, kept)
        self._schedule()
        return True

    async def async_watch(self, kept: Kept, due: datetime) -> None:
        """Go on with a message that was accepted, unless it is reported as delivered until then."""
        if await self.async_keep(kept, due) and kept.outgoing is not None:
            await self._look_at({kept.outgoing})  # the report may have been faster

    def receiver_of(self, kept: Kept) -> Receiver:
        """Return whom a kept message is for."""
        return Receiver(self._entry, kept.number, kept.name, kept.recipient, kept.extension)

    async def _look_at(self, outgoing: set[int]) -> None:
        """Take in what was reported meanwhile."""
        if outgoing:
            with contextlib.suppress(StoreError):
                for change in await asyncio.wrap_future(self._history.current(outgoing)):
                    self._hear(change)

    def _schedule(self) -> None:
        """Wake up when the next one is due."""
        if self._timer is not None:
            self._timer()
            self._timer = None
        if self._rows:
            first = min(due for due, _ in self._rows.values())
            self._timer = async_track_point_in_utc_time(self._hass, self._job, first)

    @callback
    def _due(self, _: datetime) -> None:
        self._timer = None
        self._begin()
        self._schedule()

    def _begin(self) -> None:
        """Begin with what is due, in its order for each number."""
        now = dt_util.utcnow()
        turns: dict[str, list[int]] = {}
        for row, (due, kept) in sorted(self._rows.items(), key=lambda one: (one[1][0], one[0])):
            if due <= now:
                turns.setdefault(kept.number, []).append(row)
        for number, rows in turns.items():
            turn = [(row, self._rows.pop(row)[1]) for row in rows]
            running = self._run(turn, self._tasks.get(number))
            task = self._hass.async_create_background_task(running, f"{DOMAIN} later", eager_start=False)
            self._tasks[number] = task
            task.add_done_callback(partial(self._ended, number))

    def _ended(self, number: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(number) is task:
            del self._tasks[number]

    async def _run(self, due: list[tuple[int, Kept]], before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        for row, kept in due:
            try:
                await (self._run_out(row, kept) if kept.watched else self._send(row, kept))
            except Exception as error:  # noqa: BLE001 - the others have their turn
                _LOGGER.error("A message that was kept for later failed with %s", type(error).__name__)  # noqa: TRY400
                receipt = Receipt(kept.number, Outcome.UNKNOWN, reason=Reason.LOST)
                self._tell(kept, Delivered(self.receiver_of(kept), receipt))
                await self._forget(row)

    async def _send(self, row: int, kept: Kept) -> None:
        """Try one; it is marked before, so that whatever ends this program now, it is not sent twice."""
        now = dt_util.utcnow()
        try:
            if not await asyncio.wrap_future(self._store.set_going(row)):
                return  # it was deleted meanwhile
        except StoreError as error:
            _LOGGER.warning("A message that was kept for later has to wait on (%s)", error)
            self._wait_on(row, kept, now + pause_after(kept.tries))
            return
        if kept.until is None and kept.insistence.keep_trying is not None:
            kept = replace(kept, until=now.timestamp() + kept.insistence.keep_trying)
        delivered = await self._attempt(kept)
        kept = replace(kept, tried=True, tries=kept.tries + 1)
        if delivered.delayed_until is not None:
            await self._put_off(row, replace(kept, tried=False, tries=0, until=None), delivered.delayed_until)
            return
        again = dt_util.utcnow() + pause_after(kept.tries)
        unsent = delivered.receipt.outcome is Outcome.NOT_SENT and not has_reached(kept.insistence, delivered)
        if unsent and kept.until is not None:
            until = dt_util.utc_from_timestamp(kept.until)
            if dt_util.utcnow() < until:
                await self._put_off(row, kept, min(again, until))
                return
        self._tell(kept, delivered)
        await self._forget(row)

    async def _put_off(self, row: int, kept: Kept, due: datetime) -> None:
        try:
            await asyncio.wrap_future(self._store.put_off(row, due, kept.as_json()))
        except StoreError as error:
            _LOGGER.warning("A message waits on, but a restart would lose it (%s)", error)
        self._wait_on(row, kept, due)

    def _wait_on(self, row: int, kept: Kept, due: datetime) -> None:
        if self._stop is not None:
            self._rows[row] = (due, kept)
            self._schedule()

    async def _forget(self, row: int) -> None:
        try:
            await asyncio.wrap_future(self._store.drop(row))
        except StoreError as error:
            _LOGGER.warning("A message that was kept for later could not be let go of (%s)", error)

    async def _run_out(self, row: int, kept: Kept) -> None:
        await self._go_on(kept, "no_report")
        await self._forget(row)

    @callback
    def _hear(self, change: Change) -> None:
        """Take in what was reported of a message whose report is waited for."""
        row = next((row for row, (_, kept) in self._rows.items() if kept.outgoing == change.row), None)
        if row is None or not change.settled:
            return
        _, kept = self._rows.pop(row)
        self._schedule()

        async def settle() -> None:
            if change.state is not ProofState.DELIVERED:
                await self._go_on(kept, change.state.value)
            await self._forget(row)

        self._hass.async_create_background_task(settle(), f"{DOMAIN} reported", eager_start=False)

    def _tell(self, kept: Kept, delivered: Delivered) -> None:
        """Fire what became of a message in the end, and raise a repair where nobody has it."""
        receipt = delivered.receipt
        response = delivered.as_response()
        data = {
            ATTR_CONFIG_ENTRY_ID: self._entry.entry_id,
            "subentry_id": kept.recipient,
            "since": dt_util.utc_from_timestamp(kept.since).isoformat(),
            **{name: value for name, value in response.items() if name not in ("delayed_until", "trying_until")},
        }
        async_fire(self._hass, EVENT_DELAYED_MESSAGE, data)
        if receipt.outcome in _GOOD or delivered.is_taken_care_of:
            return
        ir.async_create_issue(
            self._hass,
            DOMAIN,
            f"{_LOST}_{self._entry.entry_id}",
            is_fixable=True,
            is_persistent=True,
            severity=ir.IssueSeverity.ERROR,
            translation_key=_LOST,
            translation_placeholders={
                "account": self._entry.title,
                "who": kept.name or mask_number(kept.number),
                "problem": receipt.sentence(language(self._hass)),
            },
        )


@callback
def async_remove_later_issues(hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
    """Take back the repair of an account that is no more."""
    ir.async_delete_issue(hass, DOMAIN, f"{_LOST}_{entry.entry_id}")
