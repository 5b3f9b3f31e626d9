"""One thread that does all of the database's work: what comes together shares one commit, and hears of it after it.

What is kept in memory only has no thread: it is done at once.

A commit is on the disk (WAL, synchronous=FULL). A damaged file is set aside and a new one begun.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, override

from .schema import NewerError, migrate

_LOGGER = logging.getLogger(__name__)

_MOST_WAITING: Final = 10_000
_MOST_TOGETHER: Final = 1000
_BUSY_TIMEOUT: Final = 5.0  # seconds; somebody may look into the file with another program
_STATEMENTS: Final = 256  # that stay prepared
_SET_ASIDE_KEPT: Final = 3
_BESIDE: Final = ("", "-wal", "-shm")
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_OF_THE_DISK: Final = (
    *_DAMAGE,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
)

type Job[T] = Callable[[sqlite3.Connection], T]


class StoreError(Exception):
    """The store could not do it: nothing of it was kept. The text names the kind of error only.

    common: whatever else is asked of the store now would fail too.
    """

    def __init__(self, kind: str, *, common: bool = True) -> None:
        super().__init__(kind)
        self.common = common


@dataclass(slots=True)
class _Task:
    job: Job[Any]
    future: Future[Any]
    alone: bool


class Writer:
    """The thread and its connection.

    path: the file, None for a database in memory. prepare: called with each new connection's database, migrated.
    on_damaged: called, in the thread that found it, with where a damaged file was set aside.
    """

    def __init__(
        self, path: Path | None, prepare: Callable[[sqlite3.Connection], None], on_damaged: Callable[[Path], None]
    ) -> None:
        self._path = path
        self._prepare = prepare
        self._on_damaged = on_damaged
        self._tasks: queue.Queue[_Task | None] = queue.Queue(_MOST_WAITING)
        self._held: _Task | None = None
        self._connection: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Open the database, a new one where it is damaged, and begin to work. Raises StoreError."""
        self._begin()
        self._thread = threading.Thread(target=self._run, name="sms1680-store", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Do what still waits, and close the database. Nothing is taken any more."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._tasks.put(None)
            thread.join()

    def submit[T](self, job: Job[T], *, alone: bool = False) -> Future[T]:
        """Let the thread do a job; the future is done once it is committed, or fails with StoreError.

        job: may be called twice, where its first transaction was rolled back. alone: without a transaction around it.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._thread is None:
                future.set_exception(StoreError("closed"))
                return future
            try:
                self._tasks.put_nowait(_Task(job, future, alone))
            except queue.Full:
                future.set_exception(StoreError("busy"))
        return future

    def _begin(self) -> None:
        try:
            self._connection = self._connect_or_begin_anew()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(kind_of(error)) from None

    def _run(self) -> None:
        while tasks := self._next():
            self._serve([task for task in tasks if task.future.set_running_or_notify_cancel()])
        if self._connection is not None:
            self._connection.close()

    def _next(self) -> list[_Task]:
        """Wait for work and return all that is there, as far as it may share a transaction; nothing at the end."""
        first = self._held or self._tasks.get()
        self._held = None
        if first is None:
            return []
        tasks = [first]
        with contextlib.suppress(queue.Empty):
            while not first.alone and len(tasks) < _MOST_TOGETHER:
                task = self._tasks.get_nowait()
                if task is None or task.alone:
                    self._held = task
                    if task is None:
                        self._tasks.put(None)  # to be met again once these are done
                    break
                tasks.append(task)
        return tasks

    def _serve(self, tasks: list[_Task]) -> None:
        """Do the tasks in one transaction; where one has spoilt that for all, each in one of its own."""
        if not tasks:
            return
        try:
            results = self._do(tasks)
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits must hear of it
            common = _is_common(error)
            if len(tasks) > 1 and not common:
                for task in tasks:
                    self._serve([task])
                return
            of_sqlite = isinstance(error, sqlite3.Error | OSError)
            for task in tasks:
                task.future.set_exception(StoreError(kind_of(error), common=common) if of_sqlite else error)
        else:
            for task, result in zip(tasks, results, strict=True):
                task.future.set_result(result)

    def _do(self, tasks: list[_Task]) -> list[Any]:
        """Do the tasks, once more in a new database where this one turns out to be damaged."""
        try:
            return self._attempt(tasks)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error) or self._path is None:
                raise
        self._disconnect()
        self._set_aside()
        return self._attempt(tasks)

    def _attempt(self, tasks: list[_Task]) -> list[Any]:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect_or_begin_anew()
        if tasks[0].alone:
            return [tasks[0].job(connection)]
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = [task.job(connection) for task in tasks]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # some errors have rolled back already
                connection.execute("ROLLBACK")
            raise
        return results

    def _connect_or_begin_anew(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except (sqlite3.DatabaseError, NewerError) as error:
            if self._path is None or not (isinstance(error, NewerError) or _is_damage(error)):
                raise
        self._set_aside()
        return self._connect()

    def _connect(self) -> sqlite3.Connection:
        if self._path is not None:
            # What SQLite lays beside the file has the file's own rights.
            self._path.touch(0o600)
        connection = sqlite3.connect(
            self._path or ":memory:",
            timeout=_BUSY_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS,
        )
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")  # what is purged must not be left in the file
            migrate(connection)
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _set_aside(self) -> None:
        """Rename the file and what belongs to it. Only the newest three of them are kept."""
        assert self._path is not None  # noqa: S101 - a database in memory has no file to damage
        aside = self._path.with_name(f"{self._path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
        for beside in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self._path}{beside}").replace(f"{aside}{beside}")
        for old in _set_aside_before(self._path):
            for beside in _BESIDE:
                Path(f"{old}{beside}").unlink(missing_ok=True)
        _LOGGER.error("The message store is damaged; it was set aside as %s, and a new one was begun", aside.name)
        self._on_damaged(aside)


class InMemory(Writer):
    """A database in memory, in whose thread it is asked: it lets nobody wait for a disk."""

    def __init__(self, prepare: Callable[[sqlite3.Connection], None]) -> None:
        super().__init__(None, prepare, lambda _: None)

    @override
    def open(self) -> None:
        self._begin()

    @override
    def close(self) -> None:
        with self._lock:
            self._disconnect()

    @override
    def submit[T](self, job: Job[T], *, alone: bool = False) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            if self._connection is None:
                future.set_exception(StoreError("closed"))
            else:
                self._serve([_Task(job, future, alone)])
        return future


def _set_aside_before(path: Path) -> Iterator[Path]:
    found = sorted(path.parent.glob(f"{path.name}.damaged-*Z"), reverse=True)
    yield from found[_SET_ASIDE_KEPT:]


def _is_common(error: Exception) -> bool:
    """Tell whether it is the disk or the file that failed, and not what was to be written."""
    return isinstance(error, OSError) or getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_THE_DISK


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def kind_of(error: BaseException) -> str:
    """Return what kind an error is, without its text, which could quote what was to be written."""
    return getattr(error, "sqlite_errorname", None) or type(error).__name__
