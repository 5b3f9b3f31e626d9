"""What was spent lately, in a small SQLite file shared by the processes of a machine, or in memory.

There is no busy timeout: who finds the ledger taken is told so and waits by itself, so that no event loop is blocked.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import sqlite3
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .shared_state import STATE_DIR, state_folders

_LOGGER = logging.getLogger(__name__)

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, parts INTEGER NOT NULL, automatic INTEGER NOT NULL, mark BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS spent_at ON spent (at);
"""


class LedgerBusyError(Exception):
    """Another process writes at the moment."""


class LedgerError(Exception):
    """The ledger can't be kept: a full disk, a damaged file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message: when (seconds since 1970), its parts, whether it was automatic, and what stands for its number."""

    at: float
    parts: int
    automatic: bool
    mark: bytes


class Ledger(ABC):
    """The entries of one account."""

    @abstractmethod
    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the ledger for a few reads and writes that belong together; raises LedgerBusyError."""

    @abstractmethod
    def add(self, entry: Entry) -> int:
        """Add an entry and return its name."""

    @abstractmethod
    def remove(self, entries: Sequence[int]) -> None:
        """Take entries out again."""

    @abstractmethod
    def forget(self, before: float, after: float) -> None:
        """Drop what is older than `before`, and what a clock that was set back has left in the future."""

    @abstractmethod
    def parts(self, since: float, *, automatic: bool = False) -> int:
        """Return the parts since then, of all messages or of the automatic ones."""

    @abstractmethod
    def messages(self, since: float, mark: bytes) -> int:
        """Return how many messages went to one number since then."""


class SharedLedger(Ledger):
    """A ledger in a file. One connection, used by one thread at a time."""

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
        try:
            # A commit waits for no disk: a power cut may cost the last entries, and the file stays sound.
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(_SCHEMA)
            self._database.execute("PRAGMA busy_timeout=0")
            weakref.finalize(self, self._database.close)
        except sqlite3.Error:
            self._database.close()
            raise

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """See `Ledger.writing`."""
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode in _BUSY:
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

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._database.execute("ROLLBACK")

    def add(self, entry: Entry) -> int:
        """See `Ledger.add`."""
        values = (entry.at, entry.parts, entry.automatic, entry.mark)
        row = self._database.execute("INSERT INTO spent (at, parts, automatic, mark) VALUES (?, ?, ?, ?)", values)
        return row.lastrowid or 0

    def remove(self, entries: Sequence[int]) -> None:
        """See `Ledger.remove`."""
        self._database.executemany("DELETE FROM spent WHERE id = ?", [(entry,) for entry in entries])

    def forget(self, before: float, after: float) -> None:
        """See `Ledger.forget`."""
        self._database.execute("DELETE FROM spent WHERE at < ? OR at > ?", (before, after))

    def parts(self, since: float, *, automatic: bool = False) -> int:
        """See `Ledger.parts`."""
        query = "SELECT COALESCE(SUM(parts), 0) FROM spent WHERE at > ? AND automatic >= ?"
        return int(self._database.execute(query, (since, automatic)).fetchone()[0])

    def messages(self, since: float, mark: bytes) -> int:
        """See `Ledger.messages`."""
        query = "SELECT COUNT(*) FROM spent WHERE at > ? AND mark = ?"
        return int(self._database.execute(query, (since, mark)).fetchone()[0])


class OwnLedger(SharedLedger):
    """A ledger of this process alone."""

    def __init__(self) -> None:
        super().__init__(":memory:")


class _Warned:
    """That the fallback is told once a process."""

    done: ClassVar[bool] = False


def open_ledger(key: str, state_dir: str | None) -> Ledger:
    """Return the account's ledger: shared where the machine lets us, else this process's own, with one warning."""
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    for folder in state_folders(state_dir):
        ledger = _open(folder / f"{name}.spent")
        if ledger is not None:
            return ledger
    if not _Warned.done:
        _Warned.done = True
        _LOGGER.warning(
            "Spending is counted within this process only, since no folder for it can be written. Set %s to one",
            STATE_DIR,
        )
    return OwnLedger()


def _open(path: Path) -> Ledger | None:
    with contextlib.suppress(OSError, sqlite3.OperationalError):
        path.touch(mode=0o600)
        try:
            return SharedLedger(str(path))
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            _LOGGER.warning("The count of what was spent was damaged, and begins anew")
            path.unlink()
            return SharedLedger(str(path))
    return None
