"""Sends the messages that a spending limit holds back: one digest for each number, as soon as the limit has room."""

import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.util import dt as dt_util

from ..client import InvalidMessageError, Outcome, Reason, Receipt
from ..client.limits.budget import NUMBER_WINDOW
from ..errors import DropReason, language
from ..recipients import find_recipient
from ..store.db import StoreError
from .attempt import Attempt
from .digest import MAX_PARTS, Item, digest_text, late_text, unnamed_text
from .failures import FailureReporter
from .models import DeliveryResult, QueuedMessage, StoredMessage
from .outcome_events import async_report_outcome
from .policy import DeliveryPolicy
from .retry_policy import TOO_LATE, at_present, is_too_late, pause_after
from .schedule import Schedule
from .storage import WOULD_BE_LOST, QueueStorage
from .wait_reason import WaitReason

_LOGGER = logging.getLogger(__name__)

# Above this number of waiting messages, their digest is taken to have the most parts, without a look at the texts.
_MANY: Final = 100
_ALMOST_A_SECOND: Final = timedelta(microseconds=999_999)
_TOO_LONG: Final = 1_000  # parts of a text that cannot be sent


def waits_for_room(message: QueuedMessage, now: datetime) -> bool:
    """Return whether a message can go out in a digest: a limit holds it back, and the platform need not schedule it."""
    return message.limit is not None and (message.at is None or message.at <= now.timestamp())


@dataclass(eq=False, repr=False)
class DigestSender:
    """Sends the waiting messages of one account that a spending limit holds back.

    send: makes one attempt. deleted: the rows of running messages that were deleted. enqueue: stores a message until it
    is due. track: runs a coroutine in the background.
    """

    hass: HomeAssistant
    entry: ConfigEntry[Any]
    storage: QueueStorage
    schedule: Schedule
    failures: FailureReporter
    send: Callable[[Attempt], Awaitable[DeliveryResult]]
    deleted: set[int]
    enqueue: Callable[[QueuedMessage, datetime], Awaitable[bool]]
    track: Callable[[Coroutine[Any, Any, None]], object]

    @property
    def has_waiting(self) -> bool:
        """Whether any message waits for room in a limit."""
        return self.schedule.counts[WaitReason.LIMIT] > 0

    async def async_hold_back(self, message: QueuedMessage, limit: Reason) -> datetime | None:
        """Let a message wait for room in a spending limit; return when there is room, None if it cannot be stored."""
        until = (dt_util.utcnow() + TOO_LATE).timestamp()
        message = replace(message, limit=limit.value, until=until, tried=True)
        due = await self.async_room_for(message)
        return due if await self.enqueue(message, due) else None

    async def async_join(self, message: QueuedMessage) -> tuple[datetime, Reason] | None:
        """Let a message wait with others for its number; return the time of their digest, and the limit.

        Return None if no others wait, or if there is room for their digest and for the message: both are sent now.
        """
        number = self.number_of(message)
        others = self.waiting(number)
        if not others:
            return None
        limit = Reason(others[-1].message.limit or Reason.NUMBER_LIMIT)
        room = await self.async_room_for(replace(message, limit=limit.value), alone=True)
        if room <= dt_util.utcnow():
            self.async_replan()
            return None
        due = await self.async_hold_back(message, limit)
        return None if due is None else (due, limit)

    @callback
    def async_replan(self) -> None:
        """Set the times of the digests again, for example because a message that was not sent is no longer counted."""
        if self.schedule.counts[WaitReason.LIMIT]:
            self.track(self.async_plan())

    # --- when there is room ---

    def number_of(self, message: QueuedMessage) -> str:
        """Return the number that a message is sent to now."""
        addressee = message.current_addressee(self.entry)
        return addressee.number if addressee is not None else message.number

    def waiting(self, number: str) -> list[StoredMessage]:
        """Return the messages that wait for the next digest to a number, the oldest first."""
        now = dt_util.utcnow()
        recipient = find_recipient(self.entry, number)
        found = [
            stored
            for addressee in (number, *([recipient.subentry_id] if recipient else ()))
            for stored in self.schedule.of(addressee)
            if waits_for_room(stored.message, now)
        ]
        return sorted(found, key=lambda stored: (stored.message.since, stored.row))

    def take(self, number: str) -> list[StoredMessage]:
        """Remove and return the messages that wait for the next digest to a number."""
        found = self.waiting(number)
        for stored in found:
            self.schedule.take(stored.row)
        return found

    async def async_room_for(self, message: QueuedMessage, *, alone: bool = False) -> datetime:
        """Return when a limit has room for a message, in a digest with those that wait for the same number.

        alone: in a message of its own before that digest.
        """
        number = self.number_of(message)
        others = [one.message for one in self.waiting(number)] if waits_for_room(message, dt_util.utcnow()) else []
        if not alone:
            return await self._async_room(number, self._parts([*others, message]), self._is_automatic(others, message))
        parts = self._parts(others) + self._parts([message])
        return await self._async_room(number, parts, automatic=message.automatic, messages=2)

    async def async_plan(self) -> None:
        """Set the time of each digest by the present limits and the present count."""
        now = dt_util.utcnow()
        waiting = [one for one in self.schedule.messages.values() if waits_for_room(one.message, now)]
        for number in dict.fromkeys(self.number_of(one.message) for one in waiting):
            messages = [one.message for one in self.waiting(number)]
            if messages:
                room = await self._async_room(number, self._parts(messages), self._is_automatic(messages))
                self.set_due(number, room)

    def set_due(self, number: str, due: datetime) -> None:
        """Set the time of the digest to a number, unless it is too late for one of its messages before."""
        for stored in self.waiting(number):
            until = stored.message.until
            limit = dt_util.utc_from_timestamp(until) if until is not None else due
            self.schedule.put([replace(stored, due=min(due, limit))])
        self.schedule.set_timer()

    async def _async_room(self, number: str, parts: int, automatic: bool, messages: int = 1) -> datetime:  # noqa: FBT001
        if (failover := self._failover) is None:
            return dt_util.utcnow() + timedelta(seconds=NUMBER_WINDOW)
        look = partial(failover.room_at, number, parts, messages=messages, automatic=automatic)
        room: datetime = await self.hass.async_add_executor_job(look)
        return room if room <= dt_util.utcnow() else (room + _ALMOST_A_SECOND).replace(microsecond=0)

    @property
    def _failover(self) -> Any:  # noqa: ANN401 - the clients are of another layer
        """The client of the account, None while the account is not loaded."""
        data = getattr(self.entry, "runtime_data", None)
        return data.client.failover if data is not None else None

    # --- the text ---

    @staticmethod
    def _is_automatic(messages: Sequence[QueuedMessage], *more: QueuedMessage) -> bool:
        return all(message.automatic for message in (*messages, *more))

    def _most_parts(self, *, automatic: bool) -> int:
        most = self._failover.most_parts(automatic=automatic)
        return MAX_PARTS if most is None else min(MAX_PARTS, most)

    def _parts_of(self, text: str) -> int:
        try:
            parts: int = self._failover.estimate(text).parts
        except InvalidMessageError:
            return _TOO_LONG
        return parts

    def _parts(self, messages: Sequence[QueuedMessage]) -> int:
        """Return the parts of the digest of these messages."""
        if not messages or self._failover is None:
            return len(messages)
        if len(messages) > _MANY:
            return self._most_parts(automatic=self._is_automatic(messages))
        return self._parts_of(self._text(messages))

    def _text(self, messages: Sequence[QueuedMessage]) -> str:
        items = [Item(dt_util.utc_from_timestamp(one.at or one.since), one.text) for one in messages]
        lang = language(self.hass)
        automatic = self._is_automatic(messages)
        if len(items) > 1:
            return digest_text(items, self._parts_of, self._most_parts(automatic=automatic), lang)
        most = self._failover.most_parts(automatic=automatic)
        return late_text(items[0], self._parts_of, _TOO_LONG if most is None else most, lang)

    def marked(self, message: QueuedMessage) -> QueuedMessage:
        """Return a message with the time when it was queued, if that is known although the clock was wrong."""
        at = message.queued_at(dt_util.utcnow().timestamp())
        if not message.is_late or at != message.noted or self._failover is None:
            return message
        item, lang = Item(dt_util.utc_from_timestamp(at), message.text), language(self.hass)
        return replace(message, text=late_text(item, self._parts_of, _TOO_LONG, lang, dt_util.utcnow()))

    def _digest(self, messages: Sequence[QueuedMessage]) -> QueuedMessage:
        """Return the message that is sent for several. A refusal of their words leaves their number."""
        newest = messages[-1]
        text = self._text(messages)
        if len(messages) == 1:
            return replace(newest, text=text, tried=True)
        items = [Item(dt_util.utc_from_timestamp(one.at or one.since), one.text) for one in messages]
        return replace(
            newest,
            text=text,
            policy=DeliveryPolicy(safe_text=unnamed_text(items, language(self.hass))),
            automatic=self._is_automatic(messages),
            cause=newest.cause if len({one.cause for one in messages}) == 1 else None,
            since=messages[0].since,
            tried=True,
        )

    # --- attempts ---

    async def async_send(self, group: Sequence[StoredMessage]) -> None:
        """Send the messages that wait for one number."""
        now = dt_util.utcnow()
        going: list[StoredMessage] = []
        late: list[StoredMessage] = []
        for stored in group:
            addressee = stored.message.current_addressee(self.entry)
            if self._is_deleted(stored):
                continue
            if addressee is None:
                await self.async_end([stored], self._dropped(stored.message, DropReason.RECIPIENT_REMOVED))
            elif is_too_late(stored, now):
                late.append(stored)
            else:
                since = max(stored.message.since, stored.message.at or 0.0)
                message = at_present(stored.message, addressee.number, addressee.name, now)
                going.append(replace(stored, message=replace(message, since=since)))
        if late:
            await self.async_end(late, self._too_late(late[-1], now))
        if not going:
            return
        message = self._digest([one.message for one in going])
        count = len(going) if len(going) > 1 else None
        is_deleted = self.deleted.__contains__
        with Attempt(
            self.failures, self.storage, going, message=message, is_deleted=is_deleted, digest=count
        ) as attempt:
            result = await self.send(attempt)
        if attempt.could_not_mark(result):
            _LOGGER.warning("A digest has to wait longer: its rows could not be marked")
            self._wait([replace(one, due=now + pause_after(one.message.tries)) for one in going])
            return
        await self._async_settle(going, replace(result, digest=count))

    async def _async_settle(self, group: Sequence[StoredMessage], result: DeliveryResult) -> None:
        """Put the messages off if their digest was certainly not sent, or report its outcome."""
        now, until_end = dt_util.utcnow(), result.delayed_until
        if until_end is not None:
            due = until_end
        elif result.receipt.outcome is Outcome.NOT_SENT:
            due = now + pause_after(group[0].message.tries + 1)
        else:
            await self.async_end(group, result)
            return
        quiet = until_end is not None and not result.is_over_limit
        kept, over = [], []
        for stored in group:
            message = stored.message
            until = message.until or (now + TOO_LATE).timestamp()
            if quiet:  # one more attempt after them; a new day of waiting each night would have no end
                until = max(until, due.timestamp())
            elif now.timestamp() >= until:
                over.append(stored)
                continue
            limit = result.receipt.reason.value if result.is_over_limit and result.receipt.reason else message.limit
            message = replace(message, until=until, tries=message.tries + 1, limit=limit, attempt=None)
            kept.append(replace(stored, due=min(due, dt_util.utc_from_timestamp(until)), message=message))
        await self._async_put_off(kept)
        if over:
            await self.async_end(over, _final(result))

    async def _async_put_off(self, group: Sequence[StoredMessage]) -> None:
        deleted = {stored.row for stored in group if self._is_deleted(stored)}
        kept = [stored for stored in group if stored.row not in deleted]
        if deleted:
            await self.storage.async_delete_together(sorted(deleted))
        try:
            await self.storage.async_update_together(kept)
        except StoreError as error:
            _LOGGER.warning(WOULD_BE_LOST, error)
        self._wait(kept)

    def _is_deleted(self, stored: StoredMessage) -> bool:
        deleted = stored.row in self.deleted
        self.deleted.discard(stored.row)
        return deleted

    def _wait(self, group: Sequence[StoredMessage]) -> None:
        self.schedule.put(group)
        self.schedule.set_timer()

    async def async_end(self, group: Sequence[StoredMessage], result: DeliveryResult) -> None:
        """Report the common outcome of messages once, and delete them."""
        messages = [stored.message for stored in group]
        count = len(group) if len(group) > 1 else None
        result = replace(result, digest=count, delayed_until=None)
        oldest = replace(min(messages, key=lambda message: message.since), priority="normal")
        async_report_outcome(self.hass, self.entry, result, oldest)
        self.failures.async_end(result, "normal", None, automatic=self._is_automatic(messages))
        await self.storage.async_delete_together([stored.row for stored in group])

    def _too_late(self, stored: StoredMessage, now: datetime) -> DeliveryResult:
        """Return the result of a message whose time is over: for want of room, or while the program did not run."""
        message = stored.message
        if now - stored.due > TOO_LATE:
            return self._dropped(message, DropReason.TOO_LATE)
        reason = None
        with suppress(ValueError):
            reason = Reason(message.limit or "")
        return DeliveryResult(message.addressee(self.entry), Receipt(message.number, Outcome.REFUSED, reason=reason))

    def _dropped(self, message: QueuedMessage, reason: DropReason) -> DeliveryResult:
        receipt = Receipt(message.number, Outcome.NOT_SENT)
        return DeliveryResult(message.addressee(self.entry), receipt, drop_reason=reason)


def _final(result: DeliveryResult) -> DeliveryResult:
    """Return the result of messages for which no limit had room in time."""
    if not result.is_over_limit:
        return result
    return replace(result, receipt=replace(result.receipt, outcome=Outcome.REFUSED), outgoing=None)
