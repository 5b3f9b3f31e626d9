"""The message store's face: what may be asked of it. Every answer is a future, done once it is on the disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import history, inbox, later, outbox
from .later import Later
from .proof import ProofState
from .records import (
    Change,
    Counts,
    Dispatch,
    Query,
    Receipted,
    Received,
    Recent,
    Report,
    Retention,
    Selection,
    StoredIn,
    StoredOut,
    Unfired,
    Uplink,
    to_micros,
)
from .writer import InMemory, Writer


def _now() -> datetime:
    return datetime.now(UTC)


class MessageStore:
    """One SQLite database, and where it is a file the thread that works on it; may be used from any thread.

    path: the file, None for a store in memory that ends with it. on_damaged: called in any thread with the new name of
    a file that was damaged, or written by a later version, and was set aside. now: the present, aware.
    """

    def __init__(
        self, path: Path | None, on_damaged: Callable[[Path], None] = lambda _: None, now: Callable[[], datetime] = _now
    ) -> None:
        self.path = path
        self._now = now
        self._first = (0, 0)
        self._writer = Writer(path, self._prepare, on_damaged) if path else InMemory(self._prepare)

    @property
    def durable(self) -> bool:
        """Whether what is in the store outlives this process."""
        return self.path is not None

    def open(self) -> None:
        """Open the database; what was under way when it was last closed is `unknown` now. Raises StoreError."""
        self._writer.open()

    def close(self) -> None:
        """Finish what waits, and close the database; later calls fail with StoreError."""
        self._writer.close()

    # --- what goes out ----------------------------------------------------------------------------------------------

    def begin(self, dispatch: Dispatch) -> Future[None]:
        """Note messages, each to one number, before they go out. What cannot be noted now is with its answer."""
        return self._writer.submit(lambda database: outbox.begin(database, dispatch))

    def settle(self, dispatch: Dispatch, answers: Sequence[tuple[int, Receipted]]) -> Future[list[Change]]:
        """Note what the platform answered to the messages of some places.

        Gives where they stand, and others to their numbers that this has decided.
        """
        return self._writer.submit(lambda database: outbox.settle(database, dispatch, answers))

    def forget(self, dispatch: Dispatch) -> Future[None]:
        """Let go of messages that were begun and never were on their way."""
        return self._writer.submit(lambda database: outbox.forget(database, dispatch))

    def current(self, rows: Collection[int]) -> Future[list[Change]]:
        """Give where messages stand."""
        return self._writer.submit(lambda database: outbox.current(database, rows))

    def of_attempt(self, attempt: str) -> Future[list[ProofState]]:
        """Give where the messages stand that went out by a try of a kept one."""
        return self._writer.submit(lambda database: outbox.of_attempt(database, attempt))

    def latest(self, entry: str, recipients: Collection[str]) -> Future[list[Change]]:
        """Give where the newest message to each recipient stands."""
        return self._writer.submit(lambda database: outbox.latest(database, entry, recipients))

    # --- what waits for its time ------------------------------------------------------------------------------------

    def keep(
        self,
        entry: str,
        number: str,
        due: datetime,
        message: Mapping[str, Any],
        *,
        row: int | None = None,
        going: bool = False,
    ) -> Future[int]:
        """Keep a message to one number until then, and give its row. message: whatever JSON can hold.

        row: it is kept already, and kept anew. going: it is on its way from now on.
        """
        return self._writer.submit(
            lambda database: later.keep(database, entry, number, due, message, row=row, going=going)
        )

    def kept(self, entry: str) -> Future[list[Later]]:
        """Give what is kept for an account."""
        return self._writer.submit(lambda database: later.kept(database, entry))

    def drop(self, row: int) -> Future[None]:
        """Let go of a kept message, whose outcome was told."""
        return self._writer.submit(lambda database: later.drop(database, row))

    def let_go(self, selection: Selection, *, open_too: bool = False) -> Future[list[int]]:
        """Delete messages that are kept for later, from the file too, and give their rows; as `purge`."""
        return self._writer.submit(lambda database: history.let_go(database, selection, open_too=open_too))

    # --- what comes in ----------------------------------------------------------------------------------------------

    def receive(self, item: Uplink | Report) -> Future[Received]:
        """Keep what came in; once this is done its sender may be answered."""
        return self._writer.submit(lambda database: inbox.receive(database, [item])[0])

    def receive_all(self, items: Sequence[Uplink | Report]) -> Future[list[Received]]:
        """Keep all of what came in together, or nothing of it."""
        # One statement is a transaction by itself, and spares the thread waiting for its turn at BEGIN and COMMIT.
        one_statement = len(items) <= inbox.MOST_AT_ONCE and all(isinstance(item, Uplink) for item in items)
        return self._writer.submit(lambda database: inbox.receive(database, items), alone=one_statement)

    def unfired(self, entry: str, limit: int) -> Future[list[Unfired]]:
        """Give what is safe and was not fired, the oldest first."""
        return self._writer.submit(lambda database: inbox.unfired(database, entry, limit, self._first))

    def mark_fired(self, uplinks: Collection[int], reports: Collection[int], *, texts: bool) -> Future[None]:
        """Note that events were fired. texts: whether the texts are still to be kept."""

        def mark(database: sqlite3.Connection) -> None:
            inbox.mark(database, "fired", uplinks, reports)
            if not texts:
                history.forget_texts(database, uplinks)

        return self._writer.submit(mark)

    def mark_answered(self, uplinks: Collection[int], reports: Collection[int]) -> Future[None]:
        """Note that the senders of items had their answers."""
        return self._writer.submit(lambda database: inbox.mark(database, "answered", uplinks, reports))

    def recent(self, entry: str, since: datetime) -> Future[list[Recent]]:
        """Give what is left of what came in since then, the oldest first."""
        return self._writer.submit(lambda database: inbox.recent(database, entry, since))

    # --- looking and letting go -------------------------------------------------------------------------------------

    def messages(self, query: Query) -> Future[list[StoredIn | StoredOut]]:
        """Give messages, the newest first."""
        return self._writer.submit(lambda database: history.messages(database, query))

    def counts(self, entry: str) -> Future[Counts]:
        """Count what is kept of an account."""
        return self._writer.submit(lambda database: history.counts(database, entry))

    def purge(self, selection: Selection, *, open_too: bool = False) -> Future[int]:
        """Delete messages, from the file too, and give how many. open_too: even what is under way."""
        gone = self._writer.submit(lambda database: history.purge(database, selection, open_too=open_too))
        self._shrink()
        return gone

    def tidy(self, retentions: Mapping[str, Retention]) -> Future[list[Change]]:
        """Let go of what is old or too much, by account, and give what has expired without a report."""
        expired = self._writer.submit(lambda database: history.tidy(database, retentions, self._now()))
        self._shrink()
        return expired

    # --- backups ----------------------------------------------------------------------------------------------------

    def begin_backup(self) -> Future[None]:
        """Make the file whole and leave it as it is until `end_backup`: what is written goes beside it (`-wal`).

        So a copy of both, taken in this order, is a good one at any moment, and nothing has to wait meanwhile.
        """

        def begin(database: sqlite3.Connection) -> None:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            database.execute("PRAGMA wal_autocheckpoint = 0")

        return self._writer.submit(begin, alone=True)

    def end_backup(self) -> Future[None]:
        """Write into the file again."""

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
        """Take over what an earlier process left."""
        database.execute("BEGIN IMMEDIATE")
        outbox.lose(database, to_micros(self._now()))
        database.execute("COMMIT")
        first = dict(database.execute("SELECT name, seq + 1 FROM sqlite_sequence"))
        self._first = (first.get("uplink", 0), first.get("report", 0))
