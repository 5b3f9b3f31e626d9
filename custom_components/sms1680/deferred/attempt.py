"""An attempt to send a queued message, and the messages that a call is busy with."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from secrets import token_hex
from types import TracebackType
from typing import Final, Self

from homeassistant.core import callback

from ..client import Outcome
from ..store.db import StoreError
from .failures import FailureReporter
from .models import DeliveryResult, QueuedMessage, StoredMessage, digest_attempt
from .storage import QueueStorage
from .stored_alarms import STORE_TIMEOUT, async_note_repeat, repeat_of

_LOGGER = logging.getLogger(__name__)

# Seconds for the disk, after which a message that is no alarm is not sent.
_TIMEOUT: Final = 8.0


class RunningMessages:
    """Holds back the reports about a call's messages, from before their request may leave to the end of the call.

    failures: the reporters of the accounts that the call sends with. At the end, they report the failures that came
    early and that the call has not acted on; after an error, they look at the call's messages later.
    """

    def __init__(self, failures: Collection[FailureReporter]) -> None:
        self._failures = failures
        self._rows: set[int] | None = set()

    @callback
    def add(self, _: str, row: int | None) -> None:
        """Hold back the reports about the message in this row of the journal."""
        if self._rows is not None and row is not None and row not in self._rows:
            self._rows.add(row)
            next(iter(self._failures)).async_begin([row])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        rows, self._rows = self._rows or set(), None
        for failures in self._failures:
            if kind is None:
                failures.async_release(rows)
            else:
                failures.async_abandon(rows)


class NotMarkedError(Exception):
    """A queued message must not be sent: it was deleted, its attempt is over, or its row could not be marked."""


class Attempt(RunningMessages):
    """One attempt to send a queued message, and the request hook of what it sends.

    The rows are marked before each request may leave. A program that is killed sends a message again only if it has
    no mark. group: the queued messages. message: what is sent. is_deleted: returns whether a row was deleted meanwhile.
    digest: how many messages it sums up, None for an ordinary message. id: names the attempt in the journal.
    """

    def __init__(
        self,
        failures: FailureReporter,
        storage: QueueStorage,
        group: Sequence[StoredMessage],
        *,
        message: QueuedMessage,
        is_deleted: Callable[[int], bool],
        digest: int | None = None,
    ) -> None:
        super().__init__([failures])
        # A killed program leaves the number of tries as it was, so each attempt needs a name of its own.
        self.id = digest_attempt(f"{group[0].row}.{group[0].message.tries}.{token_hex(4)}", digest)
        self.message = message
        self.digest = digest
        self._storage = storage
        self._group = group
        self._is_deleted = is_deleted
        self._is_marked = False
        self._has_failed = False

    async def before(self, _: Sequence[int], /) -> None:
        """Mark the rows. Raise NotMarkedError if nothing may leave."""
        if self._rows is None or any(self._is_deleted(stored.row) for stored in self._group):
            raise NotMarkedError
        if self._is_marked:
            return
        is_alarm = self.message.priority == "critical"
        try:
            async with asyncio.timeout(STORE_TIMEOUT if is_alarm else _TIMEOUT):
                await self._storage.async_update_together(self._named(), going=True)
        except (StoreError, TimeoutError) as error:
            if not is_alarm:
                self._has_failed = True
                raise NotMarkedError from None
            _LOGGER.error("An alarm is sent without a mark in the store (%s). A restart now would repeat it", error)  # noqa: TRY400
        self._is_marked = True

    def undo(self, _: Sequence[int], /) -> None:
        """Remove the marks: nothing was submitted, and the message waits for its turn again."""
        if self._is_marked and self._rows is not None:
            self._is_marked = False
            self._storage.update_soon(self._group)

    async def before_repeat(self) -> str:
        """Note that the message is sent once more, so that a restart does not repeat it; return the attempt's name."""
        self.id = repeat_of(self.id)
        self._group = [replace(one, message=replace(one.message, repeated=True)) for one in self._named()]
        await async_note_repeat(self._storage, self._group)
        return self.id

    async def before_fallback(self) -> None:
        """Note that the fallback runs, so that a restart does not run it twice."""
        try:
            tried = [replace(one, message=replace(one.message, tried=True)) for one in self._named()]
            await self._storage.async_update_together(tried, going=True)
        except StoreError as error:
            _LOGGER.warning("A fallback that starts could not be noted in the store (%s)", error)

    def could_not_mark(self, result: DeliveryResult) -> bool:
        """Return whether the message was not sent because its row could not be marked."""
        return self._has_failed and result.receipt.outcome is Outcome.NOT_SENT and not result.is_handled

    def _named(self) -> list[StoredMessage]:
        return [replace(one, message=replace(one.message, attempt=self.id)) for one in self._group]
