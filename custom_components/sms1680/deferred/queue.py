"""Messages that are kept for later: until quiet hours end, until there is a way again, until a report must be there.

They lie in the message store, so that a restart loses none; what was on its way when the program ended is sent again
only where it is known that it did not leave.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.core import CALLBACK_TYPE, HassJob, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.event import async_track_point_in_utc_time
from homeassistant.util import dt as dt_util

from ..client import Outcome, Reason, Receipt
from ..client.limits.budget import HOUR, NUMBER_WINDOW
from ..client.outcomes import OWN_LIMITS
from ..const import DOMAIN, SIGNAL_LET_GO, SIGNAL_STORE_ANEW, signal_delivery
from ..errors import OwnReason
from ..outbound.recipients import Receiver
from ..outbound.send import Delivered, has_reached
from ..store.db import Change, Later, MessageStore, ProofState, StoreError
from .outcome_events import async_tell
from .policy import Kept

_LOGGER = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 30.0
_LONGEST_PAUSE: Final = 300.0
_GRACE: Final = timedelta(minutes=1)  # the last try is due when the time is up, and begins a little later
_TOO_LATE: Final = timedelta(days=1)  # after that nobody waits for a message any more
_AT_HAND: Final = timedelta(seconds=1)  # what is due so soon goes out at once
_STOPPING: Final = 10.0  # seconds for what is under way to end by itself

type Turn = Callable[[], Coroutine[Any, Any, None]]
type Attempt = Callable[[Kept, str, Callable[[], Awaitable[None]]], Awaitable[Delivered]]
type GoOn = Callable[[Kept, str], Awaitable[object]]


def pause_after(tries: int) -> timedelta:
    """Return how long to wait after so many tries: 30 s, then twice as long each time, at most five minutes."""
    return timedelta(seconds=min(_FIRST_PAUSE * 2 ** min(max(0, tries - 1), 10), _LONGEST_PAUSE))


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A message in its row. due: when its turn is."""

    row: int
    due: datetime
    kept: Kept


class LaterMessages:
    """What is kept for later of one account.

    store: where they lie. history: where it stands what became of what went out. attempt: tries to send one; it is told
    by which name the store is to know the try, and what to await before what comes next begins. go_on: does what comes
    next for one that went out; it is told why.
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
        self._rows: dict[int, _Waiting] = {}
        self._let_go: set[int] = set()
        self._stopped = False
        self._timer: CALLBACK_TYPE | None = None
        self._job = HassJob(self._due, "sms1680 later", cancel_on_shutdown=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: dict[str, asyncio.Task[None]] = {}
        self._stop: list[CALLBACK_TYPE] = []

    @property
    def waiting(self) -> int:
        """How many messages wait to be sent."""
        return sum(not waiting.kept.watched for waiting in self._rows.values())

    async def async_start(self) -> None:
        """Take up what an earlier run has left."""
        self._stop = [
            async_dispatcher_connect(self._hass, signal, heard)
            for signal, heard in (
                (signal_delivery(self._entry.entry_id), self._hear),
                (SIGNAL_STORE_ANEW, self._keep_anew),
                (SIGNAL_LET_GO, self._forget_rows),
            )
        ]
        try:
            left = await asyncio.wrap_future(self._store.kept(self._entry.entry_id))
        except StoreError as error:
            _LOGGER.error("Messages that were kept for later could not be read (%s)", error)  # noqa: TRY400
            return
        for one in left:
            await self._take_up(one)
        watched = {waiting.kept.outgoing for waiting in self._rows.values()}
        await self._look_at({row for row in watched if row is not None})
        self._schedule()

    async def async_stop(self) -> None:
        """Begin nothing any more, and let what is under way end; what takes too long is cut short."""
        self._stopped = True
        for stop in self._stop:
            stop()
        self._stop = []
        if self._timer is not None:
            self._timer()
            self._timer = None
        self._rows.clear()
        if self._tasks:
            _, slow = await asyncio.wait(self._tasks, timeout=_STOPPING)
            for task in slow:
                task.cancel()
            if slow:
                await asyncio.wait(slow)

    async def async_keep(self, kept: Kept, due: datetime) -> bool:
        """Keep a message until then, safe from a restart once this returns True; False where that can't be."""
        keeping = self._store.keep(self._entry.entry_id, kept.number, due, kept.as_json())
        try:
            row = await asyncio.wrap_future(keeping)
        except StoreError as error:
            _LOGGER.error("A message could not be kept for later (%s)", error)  # noqa: TRY400
            return False
        waiting = _Waiting(row, due, kept)
        if not self._stopped:
            self.take(waiting)
        elif self._entry.state is ConfigEntryState.LOADED:
            self._entry.runtime_data.alarm.later.take(waiting)  # the account has been loaded anew meanwhile
        return True

    @callback
    def take(self, waiting: _Waiting) -> None:
        """Wait for a message that is kept."""
        self._rows[waiting.row] = waiting
        self._schedule()

    async def async_watch(self, kept: Kept, due: datetime) -> None:
        """Go on with a message that was accepted, unless it is reported as delivered until then."""
        if await self.async_keep(kept, due) and kept.outgoing is not None:
            await self._look_at({kept.outgoing})  # the report may have been faster

    def receiver_of(self, kept: Kept) -> Receiver | None:
        """Return whom a kept message is for, by the number that they have now; None for a recipient who is no more."""
        if kept.recipient is None:
            return self._receiver_then(kept)
        subentry = self._entry.subentries.get(kept.recipient)
        return replace(Receiver.of(self._entry, subentry), extension=kept.extension) if subentry else None

    # --- at the start -----------------------------------------------------------------------------------------------

    async def _take_up(self, one: Later) -> None:
        """Take up a message of an earlier run; one that is none any more is told."""
        try:
            kept = Kept.of_json(one.message or {})
        except (KeyError, TypeError):
            kept = Kept(one.number, "", since=one.due.timestamp())
            self._tell(kept, self._untried(kept, OwnReason.UNREADABLE))
            await self._forget(one.row)
            return
        receipt = await self._cut_short(one.row, kept) if one.going else None
        if receipt is None:
            self._rows[one.row] = _Waiting(one.row, one.due, kept)
        else:
            self._tell(kept, Delivered(self._receiver_then(kept), receipt))
            await self._forget(one.row)

    async def _cut_short(self, row: int, kept: Kept) -> Receipt | None:
        """Return what became of a try during which the program ended; None where it surely did not leave."""
        outcome = Outcome.UNKNOWN
        if not kept.watched:
            with contextlib.suppress(StoreError):
                states = await asyncio.wrap_future(self._history.of_attempt(_name(row, kept)))
                if states and all(state is ProofState.NOT_SENT for state in states):
                    return None
                outcome = _outcome_of(states)
        return Receipt(kept.number, outcome, reason=Reason.LOST if outcome is Outcome.UNKNOWN else None)

    async def _look_at(self, outgoing: set[int]) -> None:
        """Take in what was reported meanwhile."""
        if outgoing:
            with contextlib.suppress(StoreError):
                for change in await asyncio.wrap_future(self._history.current(outgoing)):
                    self._hear(change)

    # --- whose turn it is -------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        """Wake up when the next one is due."""
        if self._timer is not None:
            self._timer()
            self._timer = None
        if self._rows:
            first = min(waiting.due for waiting in self._rows.values())
            self._timer = async_track_point_in_utc_time(self._hass, self._job, first)

    @callback
    def _due(self, _: datetime) -> None:
        self._timer = None
        self._begin()
        self._schedule()

    def _begin(self) -> None:
        """Begin with what is due, in its order for each number; what went out already waits behind nothing."""
        now = dt_util.utcnow()
        turns: dict[str, list[_Waiting]] = {}
        for waiting in sorted(self._rows.values(), key=lambda one: (one.due, one.row)):
            if waiting.due <= now:
                del self._rows[waiting.row]
                if waiting.kept.watched:
                    self._track(self._run_out(waiting, waiting.kept.missed or "no_report"))
                else:
                    turns.setdefault(waiting.kept.number, []).append(waiting)
        for number, turn in turns.items():
            self._last[number] = self._track(self._run(turn, self._last.get(number)))

    def _track(self, running: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._hass.async_create_background_task(running, f"{DOMAIN} later", eager_start=False)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._let_go.clear()
        self._last = {number: last for number, last in self._last.items() if last is not task}

    async def _run(self, turn: list[_Waiting], before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        for waiting in turn:
            if not self._stop:
                return  # it is still in the store
            try:
                await self._send(waiting)
            except Exception as error:  # noqa: BLE001 - the others have their turn
                _LOGGER.error("A message that was kept for later failed with %s", type(error).__name__)  # noqa: TRY400
                receipt = Receipt(waiting.kept.number, Outcome.UNKNOWN, reason=Reason.LOST)
                await self._end(waiting, Delivered(self._receiver_then(waiting.kept), receipt))

    # --- one message ------------------------------------------------------------------------------------------------

    async def _send(self, waiting: _Waiting) -> None:
        """Try one; it is marked before, so that whatever ends this program now, it is not sent twice."""
        kept, now = waiting.kept, dt_util.utcnow()
        if waiting.row in self._let_go:
            self._let_go.discard(waiting.row)
            return
        receiver = self.receiver_of(kept)
        if receiver is None:
            await self._end(waiting, self._untried(kept, OwnReason.RECIPIENT_REMOVED))
            return
        if _is_too_late(waiting, now):
            await self._end(waiting, self._untried(kept, OwnReason.TOO_LATE))
            return
        kept = _at_present(kept, receiver, now)
        try:
            await self._mark(replace(waiting, kept=kept))
        except StoreError as error:
            _LOGGER.warning("A message that was kept for later has to wait on (%s)", error)
            self._wait_on(replace(waiting, due=now + pause_after(kept.tries), kept=kept))
            return

        async def note_next() -> None:
            with contextlib.suppress(StoreError):
                await self._mark(replace(waiting, kept=replace(kept, tried=True)))

        delivered = await self._attempt(kept, _name(waiting.row, kept), note_next)
        await self._settle(replace(waiting, kept=kept), delivered)

    async def _settle(self, waiting: _Waiting, delivered: Delivered) -> None:
        """Put a message off that is yet to go out, or tell what became of it."""
        kept = waiting.kept
        if delivered.delayed_until is not None:
            # The time to keep trying begins anew behind quiet hours; any other ends no earlier than they do.
            morning = delivered.delayed_until
            anew = kept.until is None or kept.insistence.keep_trying is not None
            kept = replace(kept, until=None if anew else max(kept.until or 0.0, morning.timestamp()))
            await self._put_off(replace(waiting, due=morning, kept=kept))
            return
        now = dt_util.utcnow()
        kept = replace(kept, tried=kept.tried or kept.at is None, tries=kept.tries + 1)
        pause = _pause(kept, delivered)
        if pause is not None and kept.until is None and delivered.receipt.reason in OWN_LIMITS:
            kept = replace(kept, until=(now + _TOO_LATE).timestamp())
        if pause is not None and kept.until is not None:
            until = dt_util.utc_from_timestamp(kept.until)
            if now < until:
                await self._put_off(replace(waiting, due=min(now + pause, until), kept=kept))
                return
        await self._end(replace(waiting, kept=kept), delivered)

    async def _put_off(self, waiting: _Waiting) -> None:
        if waiting.row in self._let_go:
            self._let_go.discard(waiting.row)
            await self._forget(waiting.row)
            return
        try:
            await self._keep(waiting)
        except StoreError as error:
            _LOGGER.warning("A message waits on, but a restart would lose it (%s)", error)
        self._wait_on(waiting)

    def _wait_on(self, waiting: _Waiting) -> None:
        if self._stop:
            self._rows[waiting.row] = waiting
            self._schedule()

    async def _end(self, waiting: _Waiting, delivered: Delivered) -> None:
        self._tell(waiting.kept, delivered)
        await self._forget(waiting.row)

    async def _forget(self, row: int) -> None:
        try:
            await asyncio.wrap_future(self._store.drop(row))
        except StoreError as error:
            _LOGGER.warning("A message that was kept for later could not be let go of (%s)", error)

    async def _mark(self, waiting: _Waiting) -> None:
        """Note that a message is on its way. Raises StoreError."""
        await self._keep(waiting, going=True)

    async def _keep(self, waiting: _Waiting, *, going: bool = False) -> None:
        """Keep a message as it is now. Raises StoreError."""
        entry, kept = self._entry.entry_id, waiting.kept
        keeping = self._store.keep(entry, kept.number, waiting.due, kept.as_json(), row=waiting.row, going=going)
        await asyncio.wrap_future(keeping)

    # --- what went out and has not arrived --------------------------------------------------------------------------

    async def _run_out(self, waiting: _Waiting, why: str) -> None:
        """Do what comes next for a message; it is marked before, so that this is not done twice."""
        row, kept = waiting.row, waiting.kept
        receiver = self.receiver_of(kept)
        if receiver is None or dt_util.utcnow() - waiting.due > _TOO_LATE:
            _LOGGER.warning("What comes next for a message was not done: its recipient or its time is gone")
            await self._forget(row)
            return
        with contextlib.suppress(StoreError):
            await self._mark(waiting)
        try:
            await self._go_on(replace(kept, number=receiver.number), why)
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it
            _LOGGER.error("What comes next for a message failed with %s", type(error).__name__)  # noqa: TRY400
        await self._forget(row)

    @callback
    def _hear(self, change: Change) -> None:
        """Take in what was reported of a message whose report is waited for."""
        found = (waiting for waiting in self._rows.values() if waiting.kept.outgoing == change.row)
        waiting = next(found, None)
        if waiting is None or not change.settled:
            return
        del self._rows[waiting.row]
        self._schedule()
        delivered = change.state is ProofState.DELIVERED
        self._track(self._forget(waiting.row) if delivered else self._run_out(waiting, change.state.value))

    # --- what befalls the store -------------------------------------------------------------------------------------

    @callback
    def _keep_anew(self) -> None:
        """Keep in the new file what lay in the damaged one; what is under way is kept anew by whoever ends it."""

        async def keep(waiting: _Waiting) -> None:
            try:
                if self._rows.get(waiting.row) is waiting:
                    await self._keep(waiting)
            except StoreError as error:
                _LOGGER.warning("A message waits on, but a restart would lose it (%s)", error)

        for waiting in list(self._rows.values()):
            self._track(keep(waiting))

    @callback
    def _forget_rows(self, rows: list[int]) -> None:
        """Let go of messages that were deleted; what is about to go out is stopped, what is going is not put off."""
        for row in rows:
            if self._rows.pop(row, None) is None and self._tasks:
                self._let_go.add(row)
        self._schedule()

    # --- telling ----------------------------------------------------------------------------------------------------

    def _receiver_then(self, kept: Kept) -> Receiver:
        """Return whom a message was for when it was kept."""
        return Receiver(self._entry, kept.number, kept.name, kept.recipient, kept.extension)

    def _untried(self, kept: Kept, why: OwnReason) -> Delivered:
        return Delivered(self._receiver_then(kept), Receipt(kept.number, Outcome.NOT_SENT), own_reason=why)

    @callback
    def _tell(self, kept: Kept, delivered: Delivered) -> None:
        async_tell(self._hass, self._entry, delivered, dt_util.utc_from_timestamp(kept.since))


def _name(row: int, kept: Kept) -> str:
    """Return the name of a try, by which the store knows what went out by it."""
    return f"{row}.{kept.tries}"


def _at_present(kept: Kept, receiver: Receiver, now: datetime) -> Kept:
    """Return a message as it is to be sent now: to the number of today, and at once where its time has come."""
    until, keep_trying = kept.until, kept.insistence.keep_trying
    at = kept.at if kept.at is not None and kept.at > (now + _AT_HAND).timestamp() else None
    if until is None and keep_trying is not None:
        until = (at or now.timestamp()) + keep_trying
    return replace(kept, number=receiver.number, name=receiver.name, at=at, until=until)


def _is_too_late(waiting: _Waiting, now: datetime) -> bool:
    """Tell whether a message's time has passed while nobody was there to send it."""
    until = waiting.kept.until
    if until is not None and now > dt_util.utc_from_timestamp(until) + _GRACE:
        return True
    return now - waiting.due > _TOO_LATE


def _pause(kept: Kept, delivered: Delivered) -> timedelta | None:
    """Return how long to wait before a message is tried again; None where it is not."""
    receipt = delivered.receipt
    if receipt.outcome is Outcome.REFUSED and receipt.reason in OWN_LIMITS:
        window = NUMBER_WINDOW if receipt.reason is Reason.NUMBER_LIMIT else HOUR
        return None if delivered.is_taken_care_of else timedelta(seconds=window)
    unsent = receipt.outcome is Outcome.NOT_SENT and not has_reached(kept.insistence, delivered)
    return pause_after(kept.tries) if unsent else None


def _outcome_of(states: list[ProofState]) -> Outcome:
    """Return what is known of a try by what went out by it, where it did not end in all of it being unsent."""
    found = set(states) - {ProofState.NOT_SENT}
    if not found or found & {ProofState.SENDING, ProofState.UNKNOWN}:
        return Outcome.UNKNOWN
    if found == {ProofState.REFUSED}:
        return Outcome.REFUSED
    return Outcome.HELD if found <= {ProofState.REFUSED, ProofState.HELD} else Outcome.ACCEPTED
