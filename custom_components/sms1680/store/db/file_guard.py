"""Notice that another program deleted, replaced or cut the database's files, and write their content to a new file.

SQLite keeps its files open. Without this check it writes into a deleted file without an error, and everything is gone
when the program ends. Nothing here opens the database's files by itself: closing such a descriptor would release
SQLite's locks.
"""

import contextlib
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from .schema import VERSION

SUFFIXES: Final = ("", "-wal", "-shm")
MAX_SET_ASIDE: Final = 3
_SMALLEST: Final = 512  # bytes: the smallest page, of which a database has at least one


class ContentLostError(Exception):
    """Another program changed the database's files, and their content could not be read completely."""


type _Files = tuple[os.stat_result | None, os.stat_result | None]


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - before and after each transaction, so it must be fast
    except FileNotFoundError:
        return None


def _are_same(one: os.stat_result, other: os.stat_result) -> bool:
    return one.st_ino == other.st_ino and one.st_dev == other.st_dev


class FileGuard:
    """Compares the database's files with those that SQLite has open.

    Each transaction looks at the files once before and once after, since these are most of its system calls.

    size: the size of the file and its `-wal` file in bytes, as of the last `note`.
    """

    def __init__(self, path: Path) -> None:
        self.size = 0
        self._path = path
        self._names = (str(path), f"{path}-wal")
        self._known: _Files = (None, None)
        self._version = 0

    def note_opened(self, connection: sqlite3.Connection) -> None:
        """Note the files of a new connection."""
        self._note(self._read())
        self._version = _data_version(connection)

    def note_unless_replaced(self) -> bool:
        """Note the files after an own change, and return True; return False if they are not those of SQLite."""
        files = self._read()
        if self._are_replaced(files):
            return False
        self._note(files)
        return True

    def are_damaged(self, connection: sqlite3.Connection) -> bool:
        """Return whether the files are missing, other ones than those that SQLite has open, or cut."""
        files = self._read()
        return self._are_replaced(files) or self._are_cut(files, connection)

    def _note(self, files: _Files) -> None:
        self._known = main, log = files
        self.size = (main.st_size if main else 0) + (log.st_size if log else 0)

    def _are_replaced(self, files: _Files) -> bool:
        main, log = files
        known_main, known_log = self._known
        if main is None or known_main is None or main.st_size < _SMALLEST or not _are_same(main, known_main):
            return True
        return known_log is not None and (log is None or not _are_same(log, known_log))

    def _are_cut(self, files: _Files, connection: sqlite3.Connection) -> bool:
        """Return whether the files have become shorter, and not by the transactions of another connection."""
        (main, log), (known_main, known_log) = files, self._known
        is_main_cut = main and known_main and main.st_size < known_main.st_size
        if not (is_main_cut or (log and known_log and log.st_size < known_log.st_size)):
            return False
        with contextlib.suppress(sqlite3.Error):
            if (version := _data_version(connection)) != self._version:
                self._version = version
                self._note(self._read())
                return False
        return True

    def rescue(self, connection: sqlite3.Connection) -> Path:
        """Copy the content of the open files to a new file, and return it. Raises ContentLostError and sqlite3.Error.

        The copy is complete or not made: it must pass SQLite's check and have the current schema.
        """
        fresh = self._path.with_name(f"{self._path.name}.rescued")
        _remove(fresh)
        fresh.touch(0o600)
        sound = False
        try:
            with contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as copy:
                connection.backup(copy)
                sound = is_sound(copy)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY):
                raise  # the content is still there, and the next transaction tries again
        if not sound:
            _remove(fresh)
            raise ContentLostError
        return fresh

    def put_in_place(self, fresh: Path) -> None:
        """Move a rescued file to the database's name. A foreign file with that name is renamed."""
        main, _ = self._read()
        known, _ = self._known
        if main is not None and known is not None and not _are_same(main, known) and main.st_size:
            set_aside(self._path, "replaced", suffixes=("",))
        for suffix in SUFFIXES[1:]:
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _read(self) -> _Files:
        main, log = self._names
        return _stat(main), _stat(log)


def is_sound(connection: sqlite3.Connection) -> bool:
    """Return whether a database passes SQLite's check and has the current schema."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return bool(version == VERSION and result == "ok")


def set_aside(path: Path, why: str, suffixes: tuple[str, ...] = SUFFIXES) -> Path:
    """Rename a file and its additional files, and return the new name. Delete all but the newest three."""
    aside = path.with_name(f"{path.name}.{why}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
    for suffix in suffixes:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").replace(f"{aside}{suffix}")
    for old in sorted(path.parent.glob(f"{path.name}.{why}-*Z"), reverse=True)[MAX_SET_ASIDE:]:
        _remove(old)
    return aside


def _remove(path: Path) -> None:
    for suffix in SUFFIXES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _data_version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    return int(version)
