"""Messages that wait: for the end of quiet hours, for the next attempt, or for their delivery report.

The message store has all of them, so that a restart loses none. If the program ends during an attempt, the message is
sent again only if no request with it may have left.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import InitVar, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect, async_dispatcher_send
from homeassistant.util import dt as dt_util

from ..client import Outcome, Reason, Receipt
from ..client.outcomes import OWN_LIMITS
from ..const import DOMAIN, SIGNAL_DEFERRED_DELETED, SIGNAL_STORE_RECREATED, signal_delivery, signal_waiting
from ..errors import DropReason
from ..store.db import DeferredRow, DeliveryUpdate, MessageStore, StoreError
from .attempt import Attempt
from .clock import ClockWatch, corrected
from .digest_sender import DigestSender, waits_for_room
from .failures import FailureReporter
from .models import DeliveryResult, QueuedMessage, StoredMessage
from .outcome_events import async_report_outcome
from .recovery import async_recover, by_attempt, final_result
from .report_watch import ReportWatch, RunFallback
from .retry_policy import TOO_LATE, at_present, is_too_late, pause_after, retry_pause
from .schedule import Schedule
from .storage import WOULD_BE_LOST, QueueStorage
from .stored_alarms import Alarm, running_rows
from .wait_reason import WaitReason, wait_reason

_LOGGER = logging.getLogger(__name__)

_STOP_TIMEOUT: Final = 10.0  # seconds

type SendAttempt = Callable[[DeferredQueue, Attempt], Awaitable[DeliveryResult]]


@dataclass(eq=False, repr=False)
class DeferredQueue:
    """The deferred messages of one account.

    store: holds the messages. journal: has the states of sent messages. send: makes one attempt. run_fallback: called
    with a message that was sent, and with the reason for its fallback. is_loaded: whether the messages of earlier runs
    were read. scheduled: the times that the journal had with them, until they are counted.
    """

    hass: HomeAssistant
    entry: ConfigEntry[Any]
    store: InitVar[MessageStore]
    journal: MessageStore
    send: SendAttempt = field(kw_only=True)
    run_fallback: InitVar[RunFallback] = field(kw_only=True)

    def __post_init__(self, store: MessageStore, run_fallback: RunFallback) -> None:
        self.is_loaded = False
        self.scheduled: list[datetime] | None = None
        self._storage = QueueStorage(self.entry.entry_id, store)
        self._schedule = Schedule(self.hass, self._on_due, self._on_change)
        self.failures = FailureReporter(self.hass, self.entry, self.journal)
        self._reports = ReportWatch(
            self.hass, self.entry, self._storage, self.journal, run_fallback, self.failures, self._track
        )
        self._clock = ClockWatch((self._schedule, self._reports.schedule), self._save_again)
        self._deleted: set[int] = set()
        self.digests = DigestSender(
            self.hass,
            self.entry,
            self._storage,
            self._schedule,
            self.failures,
            lambda attempt: self.send(self, attempt),
            self._deleted,
            self.async_enqueue,
            self._track,
        )
        self._running: dict[int, StoredMessage] = {}
        self._stopped = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: dict[str, asyncio.Task[None]] = {}
        self._unsubscribe: list[CALLBACK_TYPE] = []

    @property
    def waiting(self) -> int:
        """How many messages wait to be sent."""
        return len(self._schedule.messages)

    @property
    def counts(self) -> Counter[WaitReason]:
        """How many messages wait or are being sent, by the reason."""
        return self._schedule.counts + Counter(wait_reason(stored.message) for stored in self._running.values())

    @property
    def messages(self) -> list[StoredMessage]:
        """The messages that wait to be sent or are being sent, by the time at which they are due."""
        messages = {**self._running, **self._schedule.messages}
        return sorted(messages.values(), key=lambda stored: (stored.due, stored.row))

    async def async_cancel(self, row: int) -> StoredMessage | None:
        """Take a waiting message back and return it; return None if it does not wait, or is being sent right now.

        Raises StoreError if it could not be deleted: it still waits.
        """
        stored = self._schedule.messages.get(row)
        if stored is None or not self._schedule.remove(row):
            return None
        try:
            await self._storage.async_remove(row)
        except StoreError:
            self._wait(stored)
            raise
        return stored

    def alarm(self, message: QueuedMessage) -> Alarm:
        """Return a critical message of a call as it is stored while it is being sent."""
        return Alarm(self._clock.stamp(message), self._storage, self.journal)

    @callback
    def _on_change(self) -> None:
        async_dispatcher_send(self.hass, signal_waiting(self.entry.entry_id))

    async def async_start(self) -> None:
        """Load the messages that an earlier run has left."""
        self._unsubscribe = [
            async_dispatcher_connect(self.hass, signal_delivery(self.entry.entry_id), self._on_delivery),
            async_dispatcher_connect(self.hass, SIGNAL_STORE_RECREATED, self._save_again),
            async_dispatcher_connect(self.hass, SIGNAL_DEFERRED_DELETED, self._remove_rows),
            self._clock.start(self.hass),
        ]
        try:
            left, state = await self._storage.async_load(self.journal)
        except StoreError as error:
            _LOGGER.error("The queued messages could not be read (%s)", error)  # noqa: TRY400
            self.is_loaded = True
            self._on_change()
            return
        self.is_loaded, self.scheduled = True, state.scheduled if state else None
        if left:
            await self._async_recover_all(left)
        self._schedule.set_timer()
        self._reports.schedule.set_timer()
        if self._schedule.messages:
            self._track(self.digests.async_plan())
        messages = self._reports.schedule.messages.values()
        watched = {row for stored in messages if (row := stored.message.outgoing) is not None}
        await self.failures.async_start(watched, None if left else state)  # the recovery can have changed it

    @callback
    def _on_delivery(self, change: DeliveryUpdate) -> None:
        if not self._reports.on_change(change):
            self.failures.on_change(change)

    async def async_stop(self) -> None:
        """Start nothing more, and wait for the running attempts; those that take too long are cancelled."""
        self._stopped = True
        self.failures.async_stop()
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        self._unsubscribe = []
        self._schedule.close()
        self._reports.schedule.close()
        if self._tasks:
            _, slow = await asyncio.wait(self._tasks, timeout=_STOP_TIMEOUT)
            for task in slow:
                task.cancel()
            if slow:
                await asyncio.wait(slow)

    async def async_enqueue(self, message: QueuedMessage, due: datetime) -> bool:
        """Store a message until it is due; return whether it is now safe from a restart."""
        try:
            stored = await self._storage.async_insert(self._clock.stamp(message), due)
        except StoreError as error:
            _LOGGER.error("A message could not be queued (%s)", error)  # noqa: TRY400
            return False
        data = getattr(self.entry, "runtime_data", None) if self._stopped else None
        (data.deferred if data else self).adopt(stored)  # the account can have been reloaded in the meantime
        return True

    @callback
    def adopt(self, stored: StoredMessage) -> None:
        """Act on a stored message when it is due."""
        if not self._stopped:
            (self._reports.schedule if stored.message.watched else self._schedule).add(stored)

    async def async_await_report(self, message: QueuedMessage, due: datetime) -> None:
        """Run the fallback of an accepted message, unless it is reported as delivered before it is due."""
        if await self.async_enqueue(message, due) and message.outgoing is not None:
            await self._reports.async_check({message.outgoing})  # the report can arrive before this

    # --- recovery after a restart ---

    async def _async_recover_all(self, left: list[DeferredRow]) -> None:
        known = {*running_rows(self.hass), *self._running, *self._schedule.messages, *self._reports.schedule.messages}
        left = [one for one in left if one.row not in known]
        interrupted = [stored for one in left if (stored := await self._async_recover(one)) is not None]
        for group in by_attempt(interrupted):
            await self._async_recover_interrupted(group)
        self.journal.forget_waiting(self.entry.entry_id)
        watched = {stored.message.outgoing for stored in self._reports.schedule.messages.values()}
        await self._reports.async_check({row for row in watched if row is not None})

    async def _async_recover(self, one: DeferredRow) -> StoredMessage | None:
        """Queue a message of an earlier run again; return it if the end of the program interrupted its attempt."""
        try:
            message = QueuedMessage.from_json(one.message or {})
        except (KeyError, TypeError):
            message = QueuedMessage(one.number, "", since=one.due.timestamp())
            await self._async_end(
                StoredMessage(one.row, one.due, message), self._not_tried(message, DropReason.UNREADABLE)
            )
            return None
        stored = corrected(StoredMessage(one.row, one.due, message))
        if one.going:
            return stored
        self._load(stored)
        return None

    def _load(self, stored: StoredMessage) -> None:
        stored = replace(stored, message=replace(stored.message, attempt=None))
        schedule = self._reports.schedule if stored.message.watched else self._schedule
        schedule.put([stored])

    async def _async_recover_interrupted(self, group: list[StoredMessage]) -> None:
        """Queue the messages of an attempt again, or report its outcome if they must not be sent again."""
        receipt, queued = await async_recover(self.journal, self._storage, group)
        for stored in queued:
            self._load(stored)
        if receipt is None:
            return
        message = group[-1].message
        result = DeliveryResult(message.addressee(self.entry), receipt, repeated=message.repeated)
        await (self.digests.async_end(group, result) if len(group) > 1 else self._async_end(group[0], result))

    # --- attempts ---

    @callback
    def _on_due(self, due: list[StoredMessage]) -> None:
        """Start what is due, in its order for each number."""
        before = self._clock.total
        due = [self._clock.adjust(stored, before) for stored in due]
        by_number: dict[str, list[StoredMessage]] = {}
        digests: dict[str, list[StoredMessage]] = {}
        for stored in due:
            limited = waits_for_room(stored.message, dt_util.utcnow())
            number = self.digests.number_of(stored.message)
            (digests if limited else by_number).setdefault(number, []).append(stored)
        for number in {**digests, **by_number}:
            digest = digests.get(number, [])
            if digest:
                digest.extend(self.digests.take(number))
                digest.sort(key=lambda stored: (stored.message.since, stored.row))
            self._running.update((stored.row, stored) for stored in digest + by_number.get(number, []))
            running = self._async_run(by_number.get(number, []), digest, self._last.get(number))
            self._last[number] = self._track(running)

    def _track(self, running: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self.hass.async_create_background_task(running, f"{DOMAIN} deferred", eager_start=False)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._deleted.clear()
        self._last = {number: last for number, last in self._last.items() if last is not task}

    async def _async_run(
        self, messages: list[StoredMessage], digest: list[StoredMessage], previous: asyncio.Task[None] | None
    ) -> None:
        """Send to one number: first the digest, then the other messages one by one."""
        if previous is not None:
            await asyncio.wait([previous])
        for group in ([digest] if digest else []) + [[stored] for stored in messages]:
            if not self._unsubscribe:
                return  # stopped; the rest is still in the store
            try:
                await (self.digests.async_send(group) if group is digest else self._async_send(group[0]))
            except Exception as error:  # noqa: BLE001 - the remaining messages must still be sent
                _LOGGER.error("A queued message failed with %s", type(error).__name__)  # noqa: TRY400
                receipt = Receipt(group[-1].message.number, Outcome.UNKNOWN, reason=Reason.LOST)
                result = DeliveryResult(group[-1].message.addressee(self.entry), receipt)
                await (self.digests.async_end(group, result) if group is digest else self._async_end(group[0], result))
            for stored in group:
                self._running.pop(stored.row, None)
            self._on_change()

    async def _async_send(self, stored: StoredMessage) -> None:
        """Make one attempt."""
        message, now = stored.message, dt_util.utcnow()
        if self._is_deleted(stored):
            return
        addressee = message.current_addressee(self.entry)
        if addressee is None:
            await self._async_end(stored, self._not_tried(message, DropReason.RECIPIENT_REMOVED))
            return
        if is_too_late(stored, now):
            await self._async_end(stored, self._not_tried(message, DropReason.TOO_LATE))
            return
        message = at_present(message, addressee.number, addressee.name, now)
        stored = replace(stored, message=message)
        before = self._clock.total
        marked, is_deleted = self.digests.marked(message), self._deleted.__contains__
        with Attempt(self.failures, self._storage, [stored], message=marked, is_deleted=is_deleted) as attempt:
            result = await self.send(self, attempt)
        stored = self._clock.adjust(stored, before)
        if attempt.could_not_mark(result):
            _LOGGER.warning("A queued message has to wait longer: its row could not be marked")
            until = message.until or (now + TOO_LATE).timestamp()
            message = replace(stored.message, tried=message.tried or message.at is None, until=until)
            self._wait(replace(stored, due=now + pause_after(message.tries), message=message))
        elif result.receipt.outcome is Outcome.NOT_SENT and self._is_deleted(stored):
            await self._storage.async_delete(stored.row)
        else:
            await self._async_settle(stored, result)

    async def _async_settle(self, stored: StoredMessage, result: DeliveryResult) -> None:
        """Put a message off that is still to be sent, or report its outcome."""
        message = stored.message
        if result.is_over_limit and (room := result.delayed_until) is not None and result.receipt.reason is not None:
            last = message.until if message.limit is not None else None
            message = replace(message, limit=result.receipt.reason.value, tried=True, tries=message.tries + 1)
            message = replace(message, until=last or (dt_util.utcnow() + TOO_LATE).timestamp())
            await self._async_put_off(replace(stored, due=room, message=message))
            return
        if (morning := result.delayed_until) is not None:
            # The time to keep trying starts again after the quiet hours. Any other limit ends after them.
            restarts = message.until is None or message.policy.keep_trying is not None
            message = replace(message, until=None if restarts else max(message.until or 0.0, morning.timestamp()))
            await self._async_put_off(replace(stored, due=morning, message=message))
            return
        now = dt_util.utcnow()
        message = replace(message, tried=message.tried or message.at is None, tries=message.tries + 1)
        pause = retry_pause(message, result)
        if pause is not None and message.until is None and result.receipt.reason in OWN_LIMITS:
            message = replace(message, until=(now + TOO_LATE).timestamp())
        if pause is not None and message.until is not None:
            until = dt_util.utc_from_timestamp(message.until)
            if now < until:
                await self._async_put_off(replace(stored, due=min(now + pause, until), message=message))
                return
        await self._async_end(replace(stored, message=message), result)

    async def _async_put_off(self, stored: StoredMessage) -> None:
        if self._is_deleted(stored):
            await self._storage.async_delete(stored.row)
            return
        try:
            await self._storage.async_update(stored)
        except StoreError as error:
            _LOGGER.warning(WOULD_BE_LOST, error)
        self._wait(stored)

    def _wait(self, stored: StoredMessage) -> None:
        if self._unsubscribe:
            self._schedule.add(stored)

    async def _async_end(self, stored: StoredMessage, result: DeliveryResult) -> None:
        """Report the outcome of a message and delete it."""
        message = stored.message
        result = final_result(message, result)
        async_report_outcome(self.hass, self.entry, result, message)
        self.failures.async_end(result, message.priority, None, automatic=message.automatic)
        await self._storage.async_delete(stored.row)

    def _not_tried(self, message: QueuedMessage, reason: DropReason) -> DeliveryResult:
        receipt = Receipt(message.number, Outcome.NOT_SENT)
        return DeliveryResult(message.addressee(self.entry), receipt, drop_reason=reason)

    # --- changes to the store ---

    @callback
    def _save_again(self) -> None:
        """Store the waiting messages in the new file of a damaged store; running attempts are stored when they end."""
        for schedule in (self._schedule, self._reports.schedule):
            for stored in list(schedule.messages.values()):
                self._track(self._storage.async_save_again(stored, schedule.messages))

    @callback
    def _remove_rows(self, rows: list[int]) -> None:
        """Drop messages that were deleted. One that has not started stays unsent; a running one is not put off."""
        for row in rows:
            if not self._schedule.remove(row) and not self._reports.schedule.remove(row) and self._tasks:
                self._deleted.add(row)
        self.scheduled = None  # messages that the platform has can be among the deleted ones
        self._on_change()

    def _is_deleted(self, stored: StoredMessage) -> bool:
        deleted = stored.row in self._deleted
        self._deleted.discard(stored.row)
        return deleted
