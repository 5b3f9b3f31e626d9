"""The recent spending of an account, in a small SQLite file shared by the processes of a machine, or in memory.

There is no busy timeout: a caller that finds the ledger locked gets an error and waits itself, so no event loop blocks.
"""

import contextlib
import logging
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .shared_state import state_folders, state_name, warn_unshared

_LOGGER = logging.getLogger(__name__)

HOUR = 3600.0
DAY = 24 * HOUR
_WEEK = 7 * DAY

_UNSHARED = 200
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_MEMORY = ":memory:"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, parts INTEGER NOT NULL, automatic INTEGER NOT NULL, mark BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS spent_at ON spent (at);
CREATE TABLE IF NOT EXISTS unshared (id INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS held_back (mark BLOB PRIMARY KEY, messages INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unannounced (mark BLOB PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unannounced_at ON unannounced (at);
"""
# The parts of each minute, so that a total does not read every message of the day. Triggers keep them, because an
# earlier version of this program can share the file.
_MINUTES = """
BEGIN IMMEDIATE;
CREATE INDEX IF NOT EXISTS spent_mark ON spent (mark, at);
CREATE TABLE IF NOT EXISTS minutes (
    minute INTEGER, automatic INTEGER, parts INTEGER NOT NULL, PRIMARY KEY (minute, automatic)
) WITHOUT ROWID;
DELETE FROM minutes;
INSERT INTO minutes SELECT CAST(at / 60 AS INTEGER), automatic, SUM(parts) FROM spent GROUP BY 1, 2;
DROP TRIGGER IF EXISTS spent_added;
CREATE TRIGGER spent_added AFTER INSERT ON spent BEGIN
    INSERT INTO minutes VALUES (CAST(NEW.at / 60 AS INTEGER), NEW.automatic, NEW.parts)
    ON CONFLICT DO UPDATE SET parts = parts + NEW.parts;
END;
DROP TRIGGER IF EXISTS spent_removed;
CREATE TRIGGER spent_removed AFTER DELETE ON spent BEGIN
    UPDATE minutes SET parts = parts - OLD.parts
    WHERE minute = CAST(OLD.at / 60 AS INTEGER) AND automatic = OLD.automatic;
    DELETE FROM minutes
    WHERE minute = CAST(OLD.at / 60 AS INTEGER) AND automatic = OLD.automatic AND parts <= 0;
END;
DROP TRIGGER IF EXISTS spent_changed;
CREATE TRIGGER spent_changed AFTER UPDATE ON spent BEGIN
    UPDATE minutes SET parts = parts - OLD.parts
    WHERE minute = CAST(OLD.at / 60 AS INTEGER) AND automatic = OLD.automatic;
    DELETE FROM minutes
    WHERE minute = CAST(OLD.at / 60 AS INTEGER) AND automatic = OLD.automatic AND parts <= 0;
    INSERT INTO minutes VALUES (CAST(NEW.at / 60 AS INTEGER), NEW.automatic, NEW.parts)
    ON CONFLICT DO UPDATE SET parts = parts + NEW.parts;
END;
COMMIT;
"""
_TRIGGERS = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'spent'"
# The whole minutes since a time, and the messages in the rest of its own minute. ?1 is the time.
_PARTS = """
SELECT
    (SELECT COALESCE(SUM(parts), 0) FROM minutes WHERE minute > CAST(?1 / 60 AS INTEGER) AND automatic >= ?2)
    + (SELECT COALESCE(SUM(parts), 0) FROM spent
       WHERE at > ?1 AND at < (CAST(?1 / 60 AS INTEGER) + 1) * 60 AND automatic >= ?2)
"""


class LedgerBusyError(Exception):
    """Another process is writing."""


class LedgerError(Exception):
    """The ledger cannot be written: a full disk, a damaged file."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A counted message. at: seconds since 1970."""

    at: float
    parts: int
    automatic: bool
    number_hash: bytes


@dataclass(frozen=True, slots=True)
class Totals:
    """The parts of the last hour and day, and those of automatic messages in the last hour."""

    hour: int
    day: int
    automatic: int


class LedgerView(Protocol):
    """The ledger as a decision sees it: the files of a machine, or the server that several machines share."""

    def totals(self, now: float) -> Totals:
        """Return the parts that count at this time. Entries that no longer count are removed."""

    def messages(self, since: float, number_hash: bytes) -> int:
        """Return the number of messages to one number since then."""

    def held_back(self, number_hash: bytes) -> int:
        """Return how many messages to one number were held back and not yet announced."""

    def hold_back(self, number_hash: bytes, messages: int) -> None:
        """Add to the messages held back. A negative number removes them."""

    def is_unannounced(self, number_hash: bytes) -> bool:
        """Return whether a message to one number was sent since the phone last learned about a limit."""

    def set_announced(self, number_hash: bytes, now: float, *, announced: bool) -> None:
        """Store whether the last message to one number announces a limit."""

    def add(self, at: float, parts: int, number_hash: bytes, *, automatic: bool = False) -> int:
        """Add a message and return its id."""


class Ledger:
    """The entries of one account. One connection, used by one thread at a time.

    path: the file, or ":memory:" for a ledger of this process only. Entries that a server should have, but could not
    be given, are marked as unshared.
    """

    _marks = False

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
        try:
            # A commit does not wait for the disk: a power cut can lose the last entries but does not damage the file.
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(_SCHEMA)
            if self._database.execute(_TRIGGERS).fetchone()[0] < 3:
                self._database.execute("PRAGMA busy_timeout=5000")
                self._database.executescript(_MINUTES)
            self._database.execute("PRAGMA busy_timeout=0")
            weakref.finalize(self, self._database.close)
        except sqlite3.Error:
            self._database.close()
            raise

    @contextlib.contextmanager
    def writing(self, *, unshared: bool = False) -> Iterator[None]:
        """Lock the ledger for reads and writes that belong together. Raise LedgerBusyError or LedgerError.

        unshared: mark the added entries as unshared.
        """
        with self._lock:
            self._marks = unshared
            try:
                self._database.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", None) in _BUSY:
                    raise LedgerBusyError from error
                raise LedgerError from error
            try:
                yield
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                self._roll_back()
                raise LedgerError from error
            except BaseException:
                self._roll_back()
                raise

    def add(self, at: float, parts: int, number_hash: bytes, *, automatic: bool = False) -> int:
        """Add a message and return its id. at: seconds since 1970. number_hash: the number, not readable."""
        values = (at, parts, automatic, number_hash)
        row = self._database.execute("INSERT INTO spent (at, parts, automatic, mark) VALUES (?, ?, ?, ?)", values)
        if self._marks:
            self._database.execute("REPLACE INTO unshared VALUES (?)", (row.lastrowid,))
        return row.lastrowid or 0

    def remove(self, entries: Sequence[int]) -> None:
        """Remove entries."""
        self._database.executemany("DELETE FROM spent WHERE id = ?", [(entry,) for entry in entries])
        self.share(entries)

    def unshared(self) -> dict[int, LedgerEntry]:
        """Return some of the entries that are marked as unshared, by their ids."""
        query = "SELECT id, at, parts, automatic, mark FROM spent JOIN unshared USING (id) ORDER BY at DESC LIMIT ?"
        rows = self._database.execute(query, (_UNSHARED,)).fetchall()
        return {entry: LedgerEntry(at, parts, bool(automatic), mark) for entry, at, parts, automatic, mark in rows}

    def share(self, entries: Sequence[int]) -> None:
        """Remove the marks of entries, and the marks without entries."""
        self._database.executemany("DELETE FROM unshared WHERE id = ?", [(entry,) for entry in entries])
        self._database.execute("DELETE FROM unshared WHERE id NOT IN (SELECT id FROM spent)")

    def totals(self, now: float) -> Totals:
        """Return the parts that count at this time. Entries that no longer count are removed."""
        self.prune(now - DAY, now)
        return self._totals(now)

    def prune(self, before: float, after: float) -> None:
        """Remove the entries older than `before`, and those after `after`, left by a clock that was set back."""
        self._database.execute("DELETE FROM spent WHERE at < ? OR at > ?", (before, after))

    def times(self, since: float, until: float, number_hash: bytes) -> list[float]:
        """Return the times of the messages to a number, the oldest first. Raises sqlite3.Error.

        For a caller that is not writing, as `room_at` and `spent`.
        """
        query = "SELECT at FROM spent WHERE mark = ? AND at > ? AND at <= ? ORDER BY at"
        with self._lock:
            return [at for (at,) in self._database.execute(query, (number_hash, since, until))]

    def parts(self, since: float, *, automatic: bool = False) -> int:
        """Return the parts since then, of all messages or of the automatic ones."""
        return int(self._database.execute(_PARTS, (since, automatic)).fetchone()[0])

    def spent(self, now: float) -> Totals:
        """Return the parts that count at this time. Raises sqlite3.Error."""
        with self._lock:
            totals, later = self._totals(now), self._totals(now + DAY)
        return Totals(totals.hour - later.day, totals.day - later.day, totals.automatic)

    def messages(self, since: float, number_hash: bytes) -> int:
        """Return the number of messages to one number since then."""
        query = "SELECT COUNT(*) FROM spent WHERE at > ? AND mark = ?"
        return int(self._database.execute(query, (since, number_hash)).fetchone()[0])

    def held_back(self, number_hash: bytes) -> int:
        """Return how many messages to one number were held back and not yet announced."""
        row = self._database.execute("SELECT messages FROM held_back WHERE mark = ?", (number_hash,)).fetchone()
        return int(row[0]) if row else 0

    def hold_back(self, number_hash: bytes, messages: int) -> None:
        """Add to the messages held back. A negative number removes them."""
        messages += self.held_back(number_hash)
        self._database.execute("REPLACE INTO held_back VALUES (?, ?)", (number_hash, messages))
        self._database.execute("DELETE FROM held_back WHERE messages <= 0")

    def is_unannounced(self, number_hash: bytes) -> bool:
        """Return whether a message to one number was sent since the phone last learned about a limit."""
        row = self._database.execute("SELECT 1 FROM unannounced WHERE mark = ?", (number_hash,)).fetchone()
        return row is not None

    def set_announced(self, number_hash: bytes, now: float, *, announced: bool) -> None:
        """Store whether the last message to one number announces a limit. now: seconds since 1970."""
        self._database.execute("DELETE FROM unannounced WHERE mark = ? OR at < ?", (number_hash, now - _WEEK))
        if not announced:
            self._database.execute("INSERT INTO unannounced VALUES (?, ?)", (number_hash, now))

    def room_at(self, now: float, limit: int | None, more: int, window: float, automatic: bool) -> float:  # noqa: FBT001
        """Return when a limit on the parts of a window has room for so many more. Raises sqlite3.Error."""
        if limit is None:
            return now
        spent, room = self.spent(now), now
        excess = more - limit + (spent.automatic if automatic else spent.hour if window == HOUR else spent.day)
        query = "SELECT at, parts FROM spent WHERE at > ? AND at <= ? AND automatic >= ? ORDER BY at"
        with self._lock:
            for at, parts in self._database.execute(query, (now - window, now, automatic)):
                if excess <= 0:
                    break
                room, excess = at + window, excess - parts
        return room

    def copy(self) -> "Ledger":
        """Return a ledger of this process with the same entries, as far as they can be read."""
        copy = Ledger(_MEMORY)
        with contextlib.suppress(sqlite3.Error), self._lock:
            self._database.backup(copy._database)
        return copy

    def _totals(self, now: float) -> Totals:
        return Totals(self.parts(now - HOUR), self.parts(now - DAY), self.parts(now - HOUR, automatic=True))

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._database.execute("ROLLBACK")


def open_ledger(key: str, state_dir: str | None) -> Ledger:
    """Return the account's ledger: shared by the machine's processes if possible."""
    for folder in state_folders(state_dir):
        ledger = _open(folder / f"{state_name(key)}.spent")
        if ledger is not None:
            return ledger
    warn_unshared()
    return Ledger(_MEMORY)


def _open(path: Path) -> Ledger | None:
    with contextlib.suppress(OSError, sqlite3.Error):
        path.touch(mode=0o600)
        try:
            return Ledger(str(path))
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            _LOGGER.warning("The spending ledger was damaged; counting starts again from zero")
            path.unlink()
            return Ledger(str(path))
    return None
