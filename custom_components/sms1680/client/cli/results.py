"""The result file of `sms1680 template` and `sms1680 batch`, which can be read in again after any kill.

It begins with every row, complete, before the first request. Then each change is one more line: `running` before the
request of a row may leave, and its outcome. At the end, the file is replaced by one with one line for each row.
"""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Self

from ..errors import InvalidMessageError
from .rows import BulkRow

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PRIVATE = 0o600  # it has the numbers and the texts


class ResultFile:
    """An open result file. Only one program at a time can have it open, except on Windows."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file
        if not _lock(file):
            file.close()
            raise _in_use()

    @classmethod
    def create(cls, path: Path, rows: Iterable[BulkRow]) -> Self:
        """Create the file with all rows; it appears complete. Raises InvalidMessageError if there is one already."""
        try:
            made = cls(path, _written(path, rows))
            try:
                _appear(_temporary(path), path)
            except BaseException:
                made.close()
                raise
        except FileExistsError:
            raise InvalidMessageError(
                "the result file exists; read it in again, or name another one",
                "结果文件已存在：请将其作为输入，或换一个文件名",
            ) from None
        except OSError as error:
            raise _cannot_write(error) from None
        return made

    @classmethod
    def resume(cls, path: Path) -> tuple[Self, bytes]:
        """Open a result file to continue it, and return its content. Raises InvalidMessageError."""
        try:
            file = path.open("r+b")
        except OSError as error:
            raise _cannot_write(error) from None
        made = cls(path, file)
        if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            made.close()
            raise _in_use()  # another program has replaced it
        return made, file.read()

    def close(self) -> None:
        """Close the file as it is."""
        self._file.close()

    def trim(self, content: bytes) -> None:
        """Make the file, whose content this is, end with a complete line."""
        end = content.rfind(b"\n") + 1
        if not content[end:].strip():
            return
        try:
            json.loads(content[end:])
        except ValueError:  # torn: the program was killed while it wrote
            self._file.seek(end)
            self._file.truncate()
        else:
            self._file.write(b"\n")

    def append(self, rows: Sequence[BulkRow], *, to_disk: bool = False) -> None:
        """Write the present state of some rows. to_disk: also if the machine loses its power now. Raises OSError."""
        self._file.write("".join([row.line() for row in rows]).encode("utf-8", "backslashreplace"))
        self._file.flush()
        if to_disk:
            os.fsync(self._file.fileno())

    def finish(self, rows: Iterable[BulkRow]) -> None:
        """Replace the file by one with one line for each row, and close it. Raises OSError, and nothing is lost."""
        with self._file:
            _written(self.path, rows).close()
            if fcntl is None:  # Windows replaces no open file
                self._file.close()
            _temporary(self.path).replace(self.path)


def is_same_file(one: Path, other: Path) -> bool:
    """Return whether both paths lead to one existing file."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def _appear(temporary: Path, path: Path) -> None:
    """Rename a file that must not replace another one. Raises FileExistsError."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        temporary.unlink()
        raise
    except OSError:  # a file system without links
        if path.exists():
            temporary.unlink()
            raise FileExistsError from None
        temporary.rename(path)
    else:
        temporary.unlink()


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def _written(path: Path, rows: Iterable[BulkRow]) -> BinaryIO:
    """Write a file beside the path and return it open."""
    temporary = _temporary(path)
    binary = getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | binary, _PRIVATE), "r+b")
    try:
        for row in rows:
            file.write(row.line().encode("utf-8", "backslashreplace"))
        file.flush()
        os.fsync(file.fileno())
    except BaseException:
        file.close()
        temporary.unlink(missing_ok=True)
        raise
    return file


def _lock(file: BinaryIO) -> bool:
    if fcntl is None or sys.platform == "win32":
        return True
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _in_use() -> InvalidMessageError:
    return InvalidMessageError("another program writes to this result file", "另一个程序正在写入该结果文件")


def _cannot_write(error: OSError) -> InvalidMessageError:
    return InvalidMessageError(
        f"the result file cannot be written ({type(error).__name__})", "无法写入结果文件，请检查路径和权限"
    )
