"""The interface of the message store. Every method returns a future, which is done after the commit."""

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .deferred import DeferredRow, delete_deferred_row, load_deferred, save_deferred
from .history import count_items, delete_deferred, delete_texts, find_messages, prune_messages, purge_messages
from .inbox import MAX_PER_INSERT, insert_received, mark_rows, pending_events, recent_items
from .matching import DeliveryState
from .outbox import (
    begin_dispatch,
    current_states,
    discard_dispatch,
    latest_states,
    mark_interrupted,
    settle_dispatch,
    states_of_attempt,
)
from .records import (
    Counts,
    DeliveryUpdate,
    Dispatch,
    HistoryQuery,
    PendingEvent,
    Received,
    RecentItem,
    RecordedOutcome,
    Report,
    Retention,
    Selection,
    StoredIn,
    StoredOut,
    Uplink,
    to_micros,
)
from .writer import InMemory, Writer


def _now() -> datetime:
    return datetime.now(UTC)


class MessageStore:
    """One SQLite database, with a thread of its own if it is a file. All methods can be called from any thread.

    path: the file, None for a store in memory. on_damaged: called in any thread with the new name of a file that was
    damaged, or written by a later version, and was renamed. now: returns the current time, aware.
    """

    def __init__(
        self, path: Path | None, on_damaged: Callable[[Path], None] = lambda _: None, now: Callable[[], datetime] = _now
    ) -> None:
        self.path = path
        self._now = now
        self._first_rows = (0, 0)
        self._writer = Writer(path, self._prepare, on_damaged) if path else InMemory(self._prepare)

    @property
    def durable(self) -> bool:
        """Whether the store's content outlives this process."""
        return self.path is not None

    def open(self) -> None:
        """Open the database. Messages that were being sent when it was closed become `unknown`. Raises StoreError."""
        self._writer.open()

    def close(self) -> None:
        """Finish the waiting jobs, and close the database. Later calls fail with StoreError."""
        self._writer.close()

    def begin(self, dispatch: Dispatch) -> Future[None]:
        """Store messages before they are sent. If this fails, `settle` stores them."""
        return self._writer.submit(lambda database: begin_dispatch(database, dispatch))

    def settle(
        self, dispatch: Dispatch, outcomes: Sequence[tuple[int, RecordedOutcome]]
    ) -> Future[list[DeliveryUpdate]]:
        """Store the platform's answers, each with its message's index in the dispatch.

        Return the state of these messages, and of other messages to their numbers that this has settled.
        """
        return self._writer.submit(lambda database: settle_dispatch(database, dispatch, outcomes))

    def discard(self, dispatch: Dispatch) -> Future[None]:
        """Delete messages that were begun but never sent."""
        return self._writer.submit(lambda database: discard_dispatch(database, dispatch))

    def current(self, rows: Collection[int]) -> Future[list[DeliveryUpdate]]:
        """Return the state of the messages in these rows."""
        return self._writer.submit(lambda database: current_states(database, rows))

    def states_of_attempt(self, attempt: str) -> Future[list[DeliveryState]]:
        """Return the states of the messages that an attempt of a deferred message sent."""
        return self._writer.submit(lambda database: states_of_attempt(database, attempt))

    def latest(self, entry: str, recipients: Collection[str]) -> Future[list[DeliveryUpdate]]:
        """Return the state of the latest message to each recipient."""
        return self._writer.submit(lambda database: latest_states(database, entry, recipients))

    def save_deferred(
        self,
        entry: str,
        number: str,
        due: datetime,
        message: Mapping[str, Any],
        *,
        row: int | None = None,
        going: bool = False,
    ) -> Future[int]:
        """Save a message to one number until it is due, and return its row.

        message: any JSON value. row: the row to replace. going: whether the message is being sent from now on.
        """
        return self._writer.submit(
            lambda database: save_deferred(database, entry, number, due, message, row=row, going=going)
        )

    def load_deferred(self, entry: str) -> Future[list[DeferredRow]]:
        """Return an account's deferred messages."""
        return self._writer.submit(lambda database: load_deferred(database, entry))

    def delete_deferred_row(self, row: int) -> Future[None]:
        """Delete a deferred message whose outcome has been reported."""
        return self._writer.submit(lambda database: delete_deferred_row(database, row))

    def delete_deferred(self, selection: Selection, *, open_too: bool = False) -> Future[list[int]]:
        """Delete the selected deferred messages, from the file too, and return their rows. See `purge`."""
        return self._writer.submit(lambda database: delete_deferred(database, selection, open_too=open_too))

    def receive(self, item: Uplink | Report) -> Future[Received]:
        """Store an incoming item, so that it can be acknowledged."""
        return self._writer.submit(lambda database: insert_received(database, [item])[0])

    def receive_all(self, items: Sequence[Uplink | Report]) -> Future[list[Received]]:
        """Store all of the items or none."""
        # A single statement is a transaction itself, and saves the thread from waiting for the GIL at BEGIN and COMMIT.
        one_statement = len(items) <= MAX_PER_INSERT and all(isinstance(item, Uplink) for item in items)
        return self._writer.submit(lambda database: insert_received(database, items), alone=one_statement)

    def pending(self, entry: str, limit: int) -> Future[list[PendingEvent]]:
        """Return stored items whose event has not fired, oldest first."""
        return self._writer.submit(lambda database: pending_events(database, entry, limit, self._first_rows))

    def mark_fired(self, uplinks: Collection[int], reports: Collection[int], *, texts: bool) -> Future[None]:
        """Mark items as fired. texts: whether the texts of the uplinks remain."""

        def mark(database: sqlite3.Connection) -> None:
            mark_rows(database, "fired", uplinks, reports)
            if not texts:
                delete_texts(database, uplinks)

        return self._writer.submit(mark)

    def mark_acknowledged(self, uplinks: Collection[int], reports: Collection[int]) -> Future[None]:
        """Mark items as acknowledged."""
        return self._writer.submit(lambda database: mark_rows(database, "answered", uplinks, reports))

    def recent(self, entry: str, since: datetime) -> Future[list[RecentItem]]:
        """Return the digests and ids of an account's recent items, oldest first."""
        return self._writer.submit(lambda database: recent_items(database, entry, since))

    def messages(self, query: HistoryQuery) -> Future[list[StoredIn | StoredOut]]:
        """Return messages, newest first."""
        return self._writer.submit(lambda database: find_messages(database, query))

    def counts(self, entry: str) -> Future[Counts]:
        """Count an account's items."""
        return self._writer.submit(lambda database: count_items(database, entry))

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
