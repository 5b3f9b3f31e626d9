"""`dedupe=`: send the same message to the same number only once within a number of seconds, across processes.

Sent messages are stored as keyed hashes in a small SQLite file in the core's state folder. A sender first claims the
number in one transaction, so that exactly one of several simultaneous senders sends. The outcome then replaces the
claim; if nothing was sent, the claim is deleted. If no file can be written, the process keeps the hashes in memory.
"""

import contextlib
import hashlib
import hmac
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .core import Outcome, Reason, Receipt, state_folders

FILE = "dedupe.sqlite3"
CAPACITY = 100_000

# An older claim belongs to a process that ended while it was sending, so its outcome is unknown.
_MAX_CLAIM_AGE = 60.0
# A clock is sometimes set back a little. Rows further in the future than this were written with a wrong clock.
_SKEW = 60.0
_BUSY = 5.0
_CLAIMED = ""
_TABLE = """CREATE TABLE IF NOT EXISTS sent (
    message BLOB PRIMARY KEY, at REAL NOT NULL, until REAL NOT NULL, outcome TEXT NOT NULL, message_id TEXT
) WITHOUT ROWID"""
_DELETE_OLDEST = "DELETE FROM sent WHERE message IN (SELECT message FROM sent ORDER BY at DESC LIMIT -1 OFFSET ?)"
_SETTLE = "UPDATE sent SET at = ?, until = ?, outcome = ?, message_id = ? WHERE message = ?"

_T = TypeVar("_T")
_memory_lock = threading.Lock()
_memory: list[sqlite3.Connection] = []


@dataclass(frozen=True, slots=True)
class PreviousSend:
    """An earlier send of the same message: its receipt, or None while another sender is still sending it."""

    receipt: Receipt | None


class Dedupe:
    """The messages sent within the last `seconds`.

    key: a secret for the hashes, so that the file reveals nothing. context: further
    values that identify a message, next to its number and text. clock: seconds since 1970, the same for all processes.
    """

    def __init__(
        self, seconds: int, key: bytes, context: Sequence[str], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._seconds = seconds
        self._key = key
        self._context = tuple(context)
        self._clock = clock

    def claim(self, numbers: Collection[str], text: str) -> dict[str, PreviousSend | None]:
        """Return the previous send for each number, or None if it is now claimed: send, then call `settle`."""
        return _transact(lambda store: self._claim(store, numbers, text))

    def _claim(self, store: sqlite3.Connection, numbers: Collection[str], text: str) -> dict[str, PreviousSend | None]:
        now = self._clock()
        store.execute("DELETE FROM sent WHERE until < ? OR at > ?", (now, now + _SKEW))
        store.execute(_DELETE_OLDEST, (CAPACITY,))
        return {number: self._claim_one(store, number, text, now) for number in numbers}

    def _claim_one(self, store: sqlite3.Connection, number: str, text: str, now: float) -> PreviousSend | None:
        message = self._hash(number, text)
        row = store.execute("SELECT at, outcome, message_id FROM sent WHERE message = ?", (message,)).fetchone()
        if row is not None and row[0] > now - max(self._seconds, _MAX_CLAIM_AGE if row[1] == _CLAIMED else 0):
            at, outcome, message_id = row
            if outcome != _CLAIMED:
                return PreviousSend(_receipt(number, Outcome(outcome), message_id))
            if at > now - _MAX_CLAIM_AGE:
                return PreviousSend(None)
            return PreviousSend(_receipt(number, Outcome.UNKNOWN, None))
        until = now + max(self._seconds, _MAX_CLAIM_AGE)
        store.execute("REPLACE INTO sent VALUES (?, ?, ?, ?, NULL)", (message, now, until, _CLAIMED))
        return None

    def settle(self, receipts: Collection[Receipt], text: str) -> None:
        """Replace claims by outcomes. A number that was certainly not sent to can be claimed again."""
        _transact(lambda store: self._settle(store, receipts, text))

    def _settle(self, store: sqlite3.Connection, receipts: Collection[Receipt], text: str) -> None:
        now = self._clock()
        for receipt in receipts:
            message = self._hash(receipt.number, text)
            if receipt.outcome.is_failure:
                store.execute("DELETE FROM sent WHERE message = ?", (message,))
            else:
                row = (now, now + self._seconds, receipt.outcome.value, receipt.message_id, message)
                store.execute(_SETTLE, row)

    def _hash(self, number: str, text: str) -> bytes:
        whole = "\0".join((*self._context, number, text))
        return hmac.digest(self._key, whole.encode("utf-8", "surrogatepass"), hashlib.sha256)


def _receipt(number: str, outcome: Outcome, message_id: str | None) -> Receipt:
    reason = {Outcome.HELD: Reason.REVIEW, Outcome.UNKNOWN: Reason.LOST}.get(outcome)
    return Receipt(number, outcome, message_id, reason)


def _transact(work: Callable[[sqlite3.Connection], _T]) -> _T:
    """Run `work` on the shared file, or on a database in memory if that fails (full disk), so that an alarm is sent."""
    with contextlib.suppress(sqlite3.Error):
        store = _open_shared()
        if store is not None:
            with contextlib.closing(store):
                result = work(store)
                store.execute("COMMIT")
                return result
    with _memory_lock:
        if not _memory:
            _memory.append(sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None))
            _memory[0].execute(_TABLE)
        return work(_memory[0])


def _open_shared() -> sqlite3.Connection | None:
    """Return the first writable file in a new transaction, or None."""
    for folder in state_folders():
        for _attempt in range(2):
            store = None
            try:
                store = sqlite3.connect(folder / FILE, timeout=_BUSY, isolation_level=None)
                (folder / FILE).chmod(0o600)
                store.execute("BEGIN IMMEDIATE")
                store.execute(_TABLE)
            except (sqlite3.Error, OSError) as error:
                if store is not None:
                    store.close()
                if isinstance(error, sqlite3.OperationalError) or not isinstance(error, sqlite3.DatabaseError):
                    break
                # The file is corrupt: delete it and try once more.
                with contextlib.suppress(OSError):
                    (folder / FILE).unlink()
            else:
                return store
    return None
