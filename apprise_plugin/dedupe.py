"""`dedupe=`: send the same message to the same number only once within a number of seconds, across processes.

Sent messages are stored as keyed hashes in a small SQLite file in the core's state folder. A sender first claims the
number in one transaction, so that exactly one of several simultaneous senders sends. The outcome then replaces the
claim; if nothing was sent, the claim is deleted. The process itself stores the outcomes that no file can store.

With a shared server, several machines share the claims: a sender claims first in the file, then on the server. If the
server cannot store an outcome, the file marks it, and the process sends it to the server later.
"""

import contextlib
import hashlib
import hmac
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from .core import (
    Outcome,
    Reason,
    Receipt,
    RemoteClaims,
    SharedOutcome,
    find_state,
    open_server,
    state_folders,
    warn_unshared,
)

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
_UNSHARED = "CREATE TABLE IF NOT EXISTS unshared (message BLOB PRIMARY KEY, token TEXT NOT NULL) WITHOUT ROWID"
_READ_UNSHARED = """SELECT message, token, at, outcome, message_id FROM unshared LEFT JOIN sent USING (message)
    LIMIT 500"""
_DELETE_OLDEST = "DELETE FROM sent WHERE message IN (SELECT message FROM sent ORDER BY at DESC LIMIT -1 OFFSET ?)"
# SQLite's usual journal needs room on the disk for each change. This one does not, but a crash can damage the file.
_JOURNAL_IN_MEMORY = "PRAGMA journal_mode = MEMORY"

_NO_AGES: Mapping[str, float] = {}

_T = TypeVar("_T")
_memory_lock = threading.Lock()
_memory: list[sqlite3.Connection] = []


@dataclass(frozen=True, slots=True)
class PreviousSend:
    """An earlier send of the same message: its receipt, or None while another sender is still sending it."""

    receipt: Receipt | None


class Dedupe:
    """The messages sent within the last `seconds`.

    key: a secret for the hashes, so that the file reveals nothing. context: further values that identify a message,
    next to its number and text. renews: each attempt to send a message again begins its period again. state: the
    folder of the file or the server that several machines share, None for the default. clock: seconds since 1970, the
    same for all processes.
    """

    def __init__(
        self,
        seconds: int,
        key: bytes,
        context: Sequence[str],
        *,
        renews: bool = False,
        state: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._seconds = seconds
        self._key = key
        self._context = tuple(context)
        self._renews = renews
        self._state_dir, server = find_state(state)
        self._clock = clock
        self._token = secrets.token_hex(8)
        self._shared: RemoteClaims | None = None
        if server is not None:
            name = hmac.digest(key, "\0".join(self._context).encode("utf-8", "surrogatepass"), hashlib.sha256)
            self._shared = RemoteClaims(
                open_server(server), name.hex()[:32], self._seconds, _MAX_CLAIM_AGE, renews=renews
            )

    def claim(self, numbers: Collection[str], text: str) -> dict[str, PreviousSend | None]:
        """Return the previous send for each number, or None if it is now claimed: send, then call `settle`."""
        unsaved = _in_memory(lambda store: self._look_up(store, numbers, text)) if _memory else {}
        found: dict[str, PreviousSend | None] = {
            number: previous for number, previous in unsaved.items() if previous and previous.receipt
        }
        rest = [number for number in numbers if number not in found]
        found.update(_transact(lambda store: self._claim(store, rest, text), self._state_dir))
        if self._shared is not None and (claimed := [number for number, previous in found.items() if previous is None]):
            found.update(self._claim_shared(self._shared, claimed, text))
        return found

    def settle(self, receipts: Collection[Receipt], text: str) -> None:
        """Replace claims by outcomes. A number that was certainly not sent to can be claimed again."""
        self._settle_here(receipts, text)
        if self._shared is not None:
            self._settle_shared(self._shared, receipts, text, self._token)

    def forget(self, numbers: Collection[str], text: str) -> None:
        """Forget a message, so that the next one with the same text is sent."""
        receipts = [Receipt(number, Outcome.NOT_SENT) for number in numbers]
        self._settle_here(receipts, text)
        if self._shared is not None:
            self._settle_shared(self._shared, receipts, text, "")

    def _settle_here(self, receipts: Collection[Receipt], text: str, ages: Mapping[str, float] = _NO_AGES) -> None:
        record = partial(self._settle, receipts=receipts, text=text, ages=ages)
        try:
            _in_file(record, self._state_dir)
        except sqlite3.Error:
            warn_unshared()
            _in_memory(record)
            # A claim that stays in the file would look like a send in progress to other processes.
            release = partial(
                self._settle, receipts=[Receipt(receipt.number, Outcome.NOT_SENT) for receipt in receipts], text=text
            )
            for change in (record, release):
                with contextlib.suppress(sqlite3.Error):
                    _in_file(change, self._state_dir, _JOURNAL_IN_MEMORY)
                    break

    def _claim_shared(self, shared: RemoteClaims, numbers: Sequence[str], text: str) -> dict[str, PreviousSend | None]:
        """Return the previous sends of other machines. The rest is claimed, also if the server cannot be used."""
        self._report(shared)
        answer = shared.claim([self._hash(number, text) for number in numbers], self._token)
        sent = {number: found for number, found in zip(numbers, answer or (), strict=False) if found is not None}
        found: dict[str, PreviousSend | None] = {}
        for number, each in sent.items():
            is_open = not each.outcome and each.age < _MAX_CLAIM_AGE
            found[number] = PreviousSend(None if is_open else _receipt(number, _outcome(each.outcome), each.message_id))
        if found:  # this machine claims them no longer, or knows their outcome too
            receipts = [
                previous.receipt or Receipt(number, Outcome.NOT_SENT) for number, previous in found.items() if previous
            ]
            self._settle_here(receipts, text, {number: each.age for number, each in sent.items()})
        return found

    def _settle_shared(self, shared: RemoteClaims, receipts: Collection[Receipt], text: str, token: str) -> None:
        outcomes = [
            SharedOutcome(
                self._hash(receipt.number, text),
                "" if receipt.outcome.is_failure else receipt.outcome.value,
                receipt.message_id,
                token,
            )
            for receipt in receipts
        ]
        if outcomes and not shared.settle(outcomes):
            marks = [(each.message, self._token) for each in outcomes]
            with contextlib.suppress(sqlite3.Error):
                _transact(
                    lambda store: store.executemany("REPLACE INTO unshared VALUES (?, ?)", marks), self._state_dir
                )

    def _report(self, shared: RemoteClaims) -> None:
        """Give the server the outcomes that it missed."""
        with contextlib.suppress(sqlite3.Error):
            rows = _transact(lambda store: store.execute(_READ_UNSHARED).fetchall(), self._state_dir)
            now = self._clock()
            missed = [
                SharedOutcome(message, outcome or "", message_id, token, max(0.0, now - (at or now)))
                for message, token, at, outcome, message_id in rows
            ]
            if missed and shared.settle(missed):
                done = [(each.message,) for each in missed]
                _transact(
                    lambda store: store.executemany("DELETE FROM unshared WHERE message = ?", done), self._state_dir
                )

    def _look_up(self, store: sqlite3.Connection, numbers: Iterable[str], text: str) -> dict[str, PreviousSend | None]:
        now = self._clock()
        store.execute("DELETE FROM sent WHERE until < ? OR at > ?", (now, now + _SKEW))
        return {number: self._look_up_one(store, number, text, now) for number in numbers}

    def _look_up_one(self, store: sqlite3.Connection, number: str, text: str, now: float) -> PreviousSend | None:
        message = self._hash(number, text)
        row = store.execute("SELECT at, outcome, message_id FROM sent WHERE message = ?", (message,)).fetchone()
        if row is None or row[0] <= now - max(self._seconds, _MAX_CLAIM_AGE if row[1] == _CLAIMED else 0):
            return None
        at, outcome, message_id = row
        if outcome == _CLAIMED and at > now - _MAX_CLAIM_AGE:
            return PreviousSend(None)
        if self._renews:
            self._write(store, message, now, outcome, message_id)
        return PreviousSend(_receipt(number, Outcome(outcome or Outcome.UNKNOWN), message_id))

    def _claim(self, store: sqlite3.Connection, numbers: Iterable[str], text: str) -> dict[str, PreviousSend | None]:
        found = self._look_up(store, numbers, text)
        store.execute(_DELETE_OLDEST, (CAPACITY,))
        for number, previous in found.items():
            if previous is None:
                self._write(store, self._hash(number, text), self._clock(), _CLAIMED, None)
        return found

    def _settle(
        self,
        store: sqlite3.Connection,
        receipts: Collection[Receipt],
        text: str,
        ages: Mapping[str, float] = _NO_AGES,
    ) -> None:
        for receipt in receipts:
            message = self._hash(receipt.number, text)
            if receipt.outcome.is_failure:
                store.execute("DELETE FROM sent WHERE message = ?", (message,))
            else:
                at = self._clock() - ages.get(receipt.number, 0.0)
                self._write(store, message, at, receipt.outcome.value, receipt.message_id)

    def _write(
        self, store: sqlite3.Connection, message: bytes, now: float, outcome: str, message_id: str | None
    ) -> None:
        until = now + max(self._seconds, 0 if outcome else _MAX_CLAIM_AGE)
        store.execute("REPLACE INTO sent VALUES (?, ?, ?, ?, ?)", (message, now, until, outcome, message_id))

    def _hash(self, number: str, text: str) -> bytes:
        whole = "\0".join((*self._context, number, text))
        return hmac.digest(self._key, whole.encode("utf-8", "surrogatepass"), hashlib.sha256)


def _outcome(name: str) -> Outcome:
    return Outcome(name) if name in {each.value for each in Outcome} else Outcome.UNKNOWN


def _receipt(number: str, outcome: Outcome, message_id: str | None) -> Receipt:
    reason = {Outcome.HELD: Reason.REVIEW, Outcome.UNKNOWN: Reason.LOST}.get(outcome)
    return Receipt(number, outcome, message_id, reason)


def _transact(work: Callable[[sqlite3.Connection], _T], state_dir: str | None = None) -> _T:
    """Run `work` on the shared file, or on a database in memory if that fails (full disk), so that an alarm is sent."""
    try:
        return _in_file(work, state_dir)
    except sqlite3.Error:
        warn_unshared()
        return _in_memory(work)


def _in_memory(work: Callable[[sqlite3.Connection], _T]) -> _T:
    with _memory_lock:
        if not _memory:
            _memory.append(sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None))
            _memory[0].execute(_TABLE)
            _memory[0].execute(_UNSHARED)
        return work(_memory[0])


def _in_file(work: Callable[[sqlite3.Connection], _T], state_dir: str | None, *pragmas: str) -> _T:
    """Run `work` in one transaction on the first file that can be written. Raise sqlite3.Error if that fails."""
    store = _open_shared(state_dir, *pragmas)
    if store is None:
        raise sqlite3.OperationalError
    with contextlib.closing(store):
        result = work(store)
        store.execute("COMMIT")
    return result


def _open_shared(state_dir: str | None = None, *pragmas: str) -> sqlite3.Connection | None:
    """Return the first writable file in a new transaction, or None."""
    for folder in state_folders(state_dir):
        for _attempt in range(2):
            store = None
            try:
                store = sqlite3.connect(folder / FILE, timeout=_BUSY, isolation_level=None)
                (folder / FILE).chmod(0o600)
                for statement in (*pragmas, "BEGIN IMMEDIATE", _TABLE, _UNSHARED):
                    store.execute(statement)
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
