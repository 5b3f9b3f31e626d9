"""One thread that does all of the database's work. Jobs that wait at the same time share one commit.

A job's future is done after the commit, which is durable (WAL, synchronous=FULL). A damaged file is renamed, and a new
one takes its place. Before and after each transaction, the thread checks that its files are still in place. A database
in memory has no thread and runs jobs immediately.
"""

import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, override

from .file_guard import ContentLostError, FileGuard, is_sound, set_aside
from .records import Uplink
from .schema import NewerError, migrate
from .unwritten import UnwrittenUplinks

_LOGGER = logging.getLogger(__name__)

_MAX_WAITING: Final = 10_000
_MAX_TOGETHER: Final = 1000
_BUSY_TIMEOUT: Final = 5.0  # seconds, while another program uses the file
_STATEMENTS: Final = 256  # number of prepared statements
_CHECK_INTERVAL: Final = 5.0  # seconds between the checks of an idle store's files
# Bytes of a database that is pruned immediately, and of one that accepts no more messages. Only messages whose event
# has not fired yet remain after pruning.
LARGE: Final = 64 * 2**20
TOO_LARGE: Final = 4 * LARGE
_DAMAGE_ERRORS: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_DISK_ERRORS: Final = (
    *_DAMAGE_ERRORS,
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
    """The store could not do a job, and has changed nothing. The text names only the kind of error.

    common: other jobs would fail now, too.
    """

    def __init__(self, kind: str, *, common: bool = True) -> None:
        super().__init__(kind)
        self.common = common


def _ignore(*_: object) -> None: ...


@dataclass(frozen=True, slots=True)
class StoreObserver:
    """Functions that are called in any thread when something happens to the store.

    damaged: the file was damaged, empty, or of a later version; called with its new name. restored: the file was
    deleted or replaced while it was open, and its content was written to a new one. cut: it was shortened while it was
    open, and its latest content is missing. failed: nothing can be written now; called with the kind of error. large:
    the store is to be pruned.
    """

    damaged: Callable[[Path], None] = _ignore
    restored: Callable[[], None] = _ignore
    cut: Callable[[], None] = _ignore
    failed: Callable[[str], None] = _ignore
    large: Callable[[], None] = _ignore


@dataclass(slots=True)
class _Task:
    job: Job[Any]
    future: Future[Any]
    alone: bool


class Writer:
    """The thread and its connection.

    path: the file, None for a database in memory. prepare: called with the first connection to a file after the
    migration. size: of the database in bytes, after the last transaction.
    """

    def __init__(
        self, path: Path | None, prepare: Callable[[sqlite3.Connection], None], observer: StoreObserver
    ) -> None:
        self.size = 0
        self._path = path
        self._prepare = prepare
        self._observer = observer
        self._guard = FileGuard(path) if path else None
        self._is_prepared = False
        self._large = LARGE
        self._page_size = 0
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._held: _Task | None = None
        self._connection: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Open the database, or a new one if it is damaged, and start the thread. Raises StoreError."""
        self._connect_first()
        self._thread = threading.Thread(target=self._run, name="sms1680-store", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish the waiting jobs, and close the database. Later jobs fail."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._tasks.put(None)
            thread.join()

    def submit[T](self, job: Job[T], *, alone: bool = False) -> Future[T]:
        """Run a job in the thread. The future is done after the commit, or fails with StoreError.

        job: called again if its first transaction was rolled back. alone: run without a transaction.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._thread is None:
                future.set_exception(StoreError("closed"))
            elif self._tasks.qsize() >= _MAX_WAITING:
                future.set_exception(StoreError("busy"))
            else:
                self._tasks.put(_Task(job, future, alone))
        return future

    def _connect_first(self) -> None:
        try:
            if self._path is not None and self._path.exists() and not self._path.stat().st_size:
                self._set_aside()  # a file that was emptied: the content of its `-wal` file alone is not usable
            self._replacing(self._connect)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(error_kind(error)) from None

    def _run(self) -> None:
        while tasks := self._next():
            self._serve([task for task in tasks if task.future.set_running_or_notify_cancel()])
        self._serve([_Task(_ignore, Future(), alone=True)])  # the files must be in place at the end
        self._disconnect()

    def _next(self) -> list[_Task]:
        """Wait for tasks, and return those that can share a transaction. Return an empty list at the end."""
        try:
            first = self._held or self._tasks.get(timeout=_CHECK_INTERVAL)
        except queue.Empty:
            return [_Task(_ignore, Future(), alone=True)]
        self._held = None
        if first is None:
            return []
        tasks = [first]
        # Only this thread takes tasks from the queue.
        while not first.alone and len(tasks) < _MAX_TOGETHER and not self._tasks.empty():
            task = self._tasks.get()
            if task is None or task.alone:
                self._held = task
                if task is None:
                    self._tasks.put(None)  # read again after these tasks
                break
            tasks.append(task)
        return tasks

    def _serve(self, tasks: list[_Task]) -> None:
        """Run the tasks in one transaction. If one of them fails, run each in a transaction of its own."""
        if not tasks:
            return
        try:
            results = self._replacing(lambda: self._transact(tasks))
        except Exception as error:  # noqa: BLE001 - the tasks' futures raise it
            # The disk or the file caused the error, and not the job.
            common = isinstance(error, OSError) or _error_code(error) in _DISK_ERRORS
            if len(tasks) > 1 and not common:
                for task in tasks:
                    self._serve([task])
                return
            if common:
                self._observer.failed(error_kind(error))
            from_sqlite = isinstance(error, sqlite3.Error | OSError)
            for task in tasks:
                task.future.set_exception(StoreError(error_kind(error), common=common) if from_sqlite else error)
        else:
            for task, result in zip(tasks, results, strict=True):
                task.future.set_result(result)

    def _replacing[T](self, work: Callable[[], T]) -> T:
        """Do some work, and again with a new database if this one is damaged, or of a later version."""
        try:
            return work()
        except ContentLostError:
            self._reopen_after_loss()
            return work()
        except (sqlite3.DatabaseError, NewerError) as error:
            replaceable = isinstance(error, NewerError) or _error_code(error) in _DAMAGE_ERRORS
            if self._path is None or not replaceable:
                raise
        self._disconnect()
        self._set_aside()
        return work()

    def _transact(self, tasks: list[_Task]) -> list[Any]:
        connection = self._connection or self._connect()
        if self._guard is not None and self._guard.are_damaged(connection):
            connection = self._restore(connection)
        results = self._run_jobs(connection, tasks)
        if self._guard is None:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            self.size = pages * self._page_size
        else:
            if not self._guard.note_unless_replaced():
                self._restore(connection)
            self.size = self._guard.size
        if self.size > self._large:
            self._observer.large()
        # Ask again only if pruning has not helped, and the database has grown by a quarter since.
        self._large = LARGE if self.size <= LARGE else max(self._large, self.size * 5 // 4)
        return results

    def _run_jobs(self, connection: sqlite3.Connection, tasks: list[_Task]) -> list[Any]:
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

    def _connect(self) -> sqlite3.Connection:
        if self._path is not None:
            # SQLite's additional files get the permissions of this one.
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
            connection.execute("PRAGMA secure_delete = ON")  # purged messages must not remain in the file
            migrate(connection)
            if not self._is_prepared:
                self._prepare(connection)
                self._is_prepared = True
            if self._guard is not None:
                self._guard.note_opened(connection)
        except BaseException:
            connection.close()
            raise
        (self._page_size,) = connection.execute("PRAGMA page_size").fetchone()
        self._connection = connection
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with contextlib.suppress(sqlite3.Error):
            if self._guard is not None and self._guard.are_damaged(connection):
                # Closing would write the rest of a cut file, and delete a file by its name.
                connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)  # noqa: FBT003
            connection.close()

    def _restore(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Write the content of the open files to a new file, and return a connection to it. Raises ContentLostError."""
        assert self._guard is not None  # noqa: S101 - a database in memory has no files
        fresh = self._guard.rescue(connection)
        (automatic,) = connection.execute("PRAGMA wal_autocheckpoint").fetchone()
        self._disconnect()
        self._guard.put_in_place(fresh)
        connection = self._connect()
        connection.execute(f"PRAGMA wal_autocheckpoint = {automatic}").fetchall()  # 0 during a backup
        _LOGGER.error("The message store was deleted or replaced while it was in use. It was written to a new file")
        self._observer.restored()
        return connection

    def _reopen_after_loss(self) -> None:
        """Continue with what remains of a file that was cut, or with a new file."""
        assert self._path is not None  # noqa: S101 - a database in memory has no files
        self._disconnect()
        with contextlib.suppress(sqlite3.Error):
            with contextlib.closing(sqlite3.connect(f"{self._path.as_uri()}?mode=rw", uri=True)) as remaining:
                sound = is_sound(remaining)
            if sound:
                _LOGGER.error("The message store was cut while it was in use. Its latest content is missing")
                self._observer.cut()
                return
        self._set_aside()

    def _set_aside(self) -> None:
        """Rename the file and its additional files."""
        assert self._path is not None  # noqa: S101 - a database in memory cannot be damaged
        aside = set_aside(self._path, "damaged")
        self._is_prepared = False
        _LOGGER.error("The message store is damaged. It was renamed to %s and replaced with a new one", aside.name)
        self._observer.damaged(aside)


class InMemory(Writer):
    """A database in memory. It runs jobs in the calling thread, since nothing waits for a disk.

    unwritten: uplinks that are inserted before the next job.
    """

    def __init__(
        self, prepare: Callable[[sqlite3.Connection], None], observer: StoreObserver, unwritten: UnwrittenUplinks
    ) -> None:
        super().__init__(None, prepare, observer)
        self._unwritten = unwritten

    def receive(self, item: Uplink) -> int:
        """Store an uplink and return its row. Raises StoreError."""
        with self._lock:
            if self._connection is None:
                raise StoreError("closed")
            row = self._unwritten.add(item)
            if self._unwritten.room <= 0 and not self._unwritten.drop_excess():
                self._write()
            return row

    def _write(self) -> None:
        self._serve([_Task(self._unwritten.write, Future(), alone=False)])

    @override
    def open(self) -> None:
        self._connect_first()

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
                if self._unwritten.items:
                    self._write()
                self._serve([_Task(job, future, alone)])
        return future


def _error_code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def error_kind(error: BaseException) -> str:
    """Return the kind of an error, without its text, which could quote a message."""
    return getattr(error, "sqlite_errorname", None) or type(error).__name__
