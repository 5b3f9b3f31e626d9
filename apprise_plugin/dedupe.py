"""`dedupe=`: the same message goes to the same number once within so many seconds, whichever process sends it.

What was sent is kept in a small SQLite file in the core's state folder, as keyed hashes only. Who is about to send
claims the number first, in one transaction, so that of two that come at once exactly one sends; a claim is turned into
the outcome afterwards, or given back where surely nothing left. Where no file can be kept, the process remembers.
"""

from __future__ import annotations

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
MOST = 100_000

# A claim that is older belonged to a process that ended in the middle: nobody knows whether it had sent.
_LONGEST_CLAIM = 60.0
# Clocks are set back at times, by a little; what lies further in the future was written by a clock that was wrong.
_SKEW = 60.0
_BUSY = 5.0
_CLAIMED = ""
_TABLE = """CREATE TABLE IF NOT EXISTS sent (
    message BLOB PRIMARY KEY, at REAL NOT NULL, until REAL NOT NULL, outcome TEXT NOT NULL, message_id TEXT
) WITHOUT ROWID"""
_FORGET_OLDEST = "DELETE FROM sent WHERE message IN (SELECT message FROM sent ORDER BY at DESC LIMIT -1 OFFSET ?)"
_SETTLE = "UPDATE sent SET at = ?, until = ?, outcome = ?, message_id = ? WHERE message = ?"

_T = TypeVar("_T")
_own_lock = threading.Lock()
_own: list[sqlite3.Connection] = []


@dataclass(frozen=True, slots=True)
class Earlier:
    """What became of the same message before: its receipt, or None while another is just sending it."""

    receipt: Receipt | None


class Dedupe:
    """What was sent within the last `seconds`.

    key: a secret; without it the file tells nothing. context: what makes a message the same besides number and text.
    clock: seconds since 1970, the same for all processes.
    """

    def __init__(
        self, seconds: int, key: bytes, context: Sequence[str], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._seconds = seconds
        self._key = key
        self._context = tuple(context)
        self._clock = clock

    def claim(self, numbers: Collection[str], text: str) -> dict[str, Earlier | None]:
        """Return for each number what became of the same message before; None: it is claimed now, send and settle."""
        return _transact(lambda store: self._claim(store, numbers, text))

    def _claim(self, store: sqlite3.Connection, numbers: Collection[str], text: str) -> dict[str, Earlier | None]:
        now = self._clock()
        store.execute("DELETE FROM sent WHERE until < ? OR at > ?", (now, now + _SKEW))
        store.execute(_FORGET_OLDEST, (MOST,))
        return {number: self._claim_one(store, number, text, now) for number in numbers}

    def _claim_one(self, store: sqlite3.Connection, number: str, text: str, now: float) -> Earlier | None:
        message = self._hash(number, text)
        row = store.execute("SELECT at, outcome, message_id FROM sent WHERE message = ?", (message,)).fetchone()
        if row is not None and row[0] > now - max(self._seconds, _LONGEST_CLAIM if row[1] == _CLAIMED else 0):
            at, outcome, message_id = row
            if outcome != _CLAIMED:
                return Earlier(_receipt(number, Outcome(outcome), message_id))
            if at > now - _LONGEST_CLAIM:
                return Earlier(None)
            return Earlier(_receipt(number, Outcome.UNKNOWN, None))
        until = now + max(self._seconds, _LONGEST_CLAIM)
        store.execute("REPLACE INTO sent VALUES (?, ?, ?, ?, NULL)", (message, now, until, _CLAIMED))
        return None

    def settle(self, receipts: Collection[Receipt], text: str) -> None:
        """Turn claims into outcomes; a number that surely was not sent to is free again."""
        _transact(lambda store: self._settle(store, receipts, text))

    def _settle(self, store: sqlite3.Connection, receipts: Collection[Receipt], text: str) -> None:
        now = self._clock()
        for receipt in receipts:
            message = self._hash(receipt.number, text)
            if receipt.outcome in (Outcome.NOT_SENT, Outcome.REFUSED):
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
    """Do it in the machine's file, or, where that fails (a full disk), in this process's memory: an alarm goes out."""
    with contextlib.suppress(sqlite3.Error):
        store = _open_shared()
        if store is not None:
            with contextlib.closing(store):
                result = work(store)
                store.execute("COMMIT")
                return result
    with _own_lock:
        if not _own:
            _own.append(_prepare(sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)))
        return work(_own[0])


def _open_shared() -> sqlite3.Connection | None:
    """Return the first file that can be written, in a transaction of its own; None where there is none."""
    for folder in state_folders():
        for _again in range(2):
            store = None
            try:
                store = sqlite3.connect(folder / FILE, timeout=_BUSY, isolation_level=None)
                (folder / FILE).chmod(0o600)
                store.execute("BEGIN IMMEDIATE")
                return _prepare(store)
            except (sqlite3.Error, OSError) as error:
                if store is not None:
                    store.close()
                if isinstance(error, sqlite3.OperationalError) or not isinstance(error, sqlite3.DatabaseError):
                    break
                # Not a database any more: what it said is lost either way.
                with contextlib.suppress(OSError):
                    (folder / FILE).unlink()
    return None


def _prepare(store: sqlite3.Connection) -> sqlite3.Connection:
    store.execute(_TABLE)
    return store
