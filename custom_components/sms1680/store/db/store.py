"""The interface of the message store. Every method returns a future, which is done after the commit."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Concatenate

from .attempts import conclude_attempt, forget_attempt, forget_waiting, release_attempts, states_of_attempt
from .conversations import conversation_page, count_unread, list_conversations
from .deferred import delete_deferred_row, delete_deferred_rows, load_deferred, save_deferred, save_deferred_together
from .history import (
    count_items,
    delete_deferred,
    find_messages,
    prune_messages,
    purge_messages,
    scheduled_messages,
    scheduled_times,
)
from .inbox import MAX_PER_INSERT, insert_received, mark_rows, pending_events, recent_items
from .outbox import (
    begin_cancel,
    begin_dispatch,
    conclude,
    current_states,
    discard_dispatch,
    last_delivered,
    last_report,
    latest_states,
    mark_dispatch,
    mark_interrupted,
    settle_cancel,
    settle_dispatch,
    settle_partial,
    unconcluded,
)
from .records import DeliveryUpdate, PendingEvent, Received, Report, Retention, Selection, Uplink, to_micros
from .start import load_start
from .unwritten import UnwrittenUplinks
from .writer import TOO_LARGE, InMemory, StoreError, StoreObserver, Writer


def _method[**P, T](
    job: Callable[Concatenate[sqlite3.Connection, P], T],
) -> Callable[Concatenate["MessageStore", P], Future[T]]:
    """Return the method that does a job with the database, in a transaction of the store's thread."""

    @wraps(job)
    def method(self: "MessageStore", /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._writer.submit(lambda database: job(database, *args, **kwargs))

    return method


class MessageStore:
    """One SQLite database, with a thread of its own if it is a file. All methods can be called from any thread.

    path: the file, None for a store in memory. observer: is called when something happens to the store. now: returns
    the current time, aware. durable: whether the store's content outlives this process. unwritten: the uplinks of a
    store in memory that its database does not have yet, None for a file.
    """

    def __init__(
        self,
        path: Path | None,
        observer: StoreObserver = StoreObserver(),  # noqa: B008 - immutable
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = path
        self.durable = path is not None
        self._observer = observer
        self._now = now
        self._first_rows = (0, 0)
        self.unwritten = None if path else UnwrittenUplinks()
        self._memory = InMemory(self._prepare, observer, self.unwritten) if self.unwritten else None
        self._writer = self._memory or Writer(path, self._prepare, observer)

    def open(self) -> None:
        """Open the database. Settle the messages that were being sent when it was closed. Raises StoreError."""
        self._writer.open()

    def close(self) -> None:
        """Finish the waiting jobs, and close the database. Later calls fail with StoreError."""
        self._writer.close()

    begin = _method(begin_dispatch)
    mark = _method(mark_dispatch)
    settle = _method(settle_dispatch)
    discard = _method(discard_dispatch)
    current = _method(current_states)
    begin_cancel = _method(begin_cancel)
    settle_cancel = _method(settle_cancel)
    settle_partial = _method(settle_partial)
    unconcluded = _method(unconcluded)
    conclude = _method(conclude)
    last_report = _method(last_report)
    states_of_attempt = _method(states_of_attempt)
    conclude_attempt = _method(conclude_attempt)
    release_attempts = _method(release_attempts)
    forget_attempt = _method(forget_attempt)
    forget_waiting = _method(forget_waiting)
    latest = _method(latest_states)
    load_start = _method(load_start)
    last_delivered = _method(last_delivered)
    save_deferred = _method(save_deferred)
    load_deferred = _method(load_deferred)
    save_deferred_together = _method(save_deferred_together)
    delete_deferred_row = _method(delete_deferred_row)
    delete_deferred_rows = _method(delete_deferred_rows)
    delete_deferred = _method(delete_deferred)
    mark_received = _method(mark_rows)
    recent = _method(recent_items)
    messages = _method(find_messages)
    scheduled = _method(scheduled_messages)
    scheduled_times = _method(scheduled_times)
    counts = _method(count_items)
    conversations = _method(list_conversations)
    conversation_page = _method(conversation_page)
    count_unread = _method(count_unread)

    def receive(self, item: Uplink | Report) -> Future[Received]:
        """Store an incoming item, so that it can be acknowledged."""
        return self._accept(lambda database: insert_received(database, [item])[0])

    def receive_at_once(self, item: Uplink | Report) -> Received | None:
        """Store an uplink in memory without a transaction of its own. Return None if `receive` has to store the item.

        Raises StoreError.
        """
        if self._memory is None or not isinstance(item, Uplink) or self._memory.size > TOO_LARGE:
            return None
        return Received(self._memory.receive(item))

    def receive_all(self, items: Sequence[Uplink | Report]) -> Future[list[Received]]:
        """Store all of the items or none."""
        # A single statement is a transaction itself, and saves the thread from waiting for the GIL at BEGIN and COMMIT.
        one_statement = len(items) <= MAX_PER_INSERT and all(isinstance(item, Uplink) for item in items)
        return self._accept(lambda database: insert_received(database, items), alone=one_statement)

    def pending(self, entry: str, limit: int) -> Future[list[PendingEvent]]:
        """Return stored items whose event has not fired, oldest first."""
        return self._writer.submit(lambda database: pending_events(database, entry, limit, self._first_rows))

    def purge(self, selection: Selection, *, open_too: bool = False) -> Future[int]:
        """Delete messages, from the file too, and return their number. open_too: include those being sent."""
        purged = self._writer.submit(lambda database: purge_messages(database, selection, open_too=open_too))
        self._shrink()
        return purged

    def prune(self, retentions: Mapping[str, Retention]) -> Future[list[DeliveryUpdate]]:
        """Delete what exceeds the accounts' retentions, and return the messages that expired without a report."""
        expired = self._writer.submit(lambda database: prune_messages(database, retentions, self._now()))
        self._shrink()
        return expired

    def begin_backup(self) -> Future[None]:
        """Write everything into the file, and leave it unchanged until `end_backup`. New data goes to the `-wal` file.

        A copy of both files, in this order, is consistent at any moment. Jobs continue to run.
        """

        def begin(database: sqlite3.Connection) -> None:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            database.execute("PRAGMA wal_autocheckpoint = 0")

        return self._writer.submit(begin, alone=True)

    def end_backup(self) -> Future[None]:
        """Write to the file again."""

        def end(database: sqlite3.Connection) -> None:
            database.execute("PRAGMA wal_autocheckpoint = 1000")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

        return self._writer.submit(end, alone=True)

    def _accept[T](self, job: Callable[[sqlite3.Connection], T], *, alone: bool = False) -> Future[T]:
        """Run a job that stores incoming items, unless the store is too large: the sender repeats what is refused."""
        if self._writer.size <= TOO_LARGE:
            return self._writer.submit(job, alone=alone)
        refused: Future[T] = Future()
        refused.set_exception(StoreError("too_large"))
        self._observer.large()
        self._observer.failed("too_large")
        return refused

    def _shrink(self) -> None:
        def shrink(database: sqlite3.Connection) -> None:
            database.execute("PRAGMA incremental_vacuum").fetchall()
            (automatic,) = database.execute("PRAGMA wal_autocheckpoint").fetchone()
            if automatic:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

        self._writer.submit(shrink, alone=True)

    def _prepare(self, database: sqlite3.Connection) -> None:
        """Settle the messages of an earlier process, and determine the first rows of this one."""
        database.execute("BEGIN IMMEDIATE")
        mark_interrupted(database, to_micros(self._now()))
        database.execute("COMMIT")
        first = dict(database.execute("SELECT name, seq + 1 FROM sqlite_sequence"))
        self._first_rows = (first.get("uplink", 0), first.get("report", 0))
        if self.unwritten is not None:
            self.unwritten.start(first.get("uplink", 1))
