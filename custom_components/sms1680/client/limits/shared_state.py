"""The places of an account and the time of its last answer, shared by the processes of a machine.

A place is an exclusive `flock` on a descriptor of its own: a crash frees it by itself, and two copies of this module
in one process exclude each other too, which record locks (fcntl) would not. The last answer is a small record in the
first place's file. Where nothing can be written or locks are missing, the places are this process's own.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import os
import struct
import tempfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

AT_ONCE = 5
NO_PLACE = -1
STATE_DIR = "SMS1680_STATE_DIR"

_LOGGER = logging.getLogger(__name__)
_LAYOUT = struct.Struct("<4sddddI")
_MAGIC = b"P1\x00\x00"
_LONGEST_COST = 100_000.0
_ANNOUNCE_TRIES = 100
_LOOK_TRIES = 3


@dataclass(frozen=True, slots=True)
class Record:
    """The last answer: when it came (monotonic seconds), what it costs until the next submit, rate and slowness.

    rate: items a second, 0 where nobody knows it. slowness: 1 to 10.
    """

    answered_at: float = 0.0
    cost: float = 0.0
    rate: float = 0.0
    slowness: float = 1.0

    def pack(self) -> bytes:
        """Return the record as it stands in the file."""
        body = _LAYOUT.pack(_MAGIC, self.answered_at, self.cost, self.rate, self.slowness, 0)[:-4]
        return body + struct.pack("<I", zlib.crc32(body))

    @classmethod
    def unpack(cls, data: bytes) -> Record:
        """Read a record back; anything that is not one, or not sensible, is the empty record."""
        if len(data) != _LAYOUT.size:
            return cls()
        magic, answered_at, cost, rate, slowness, check = _LAYOUT.unpack(data)
        sensible = 0 <= cost < _LONGEST_COST and rate >= 0 and 1 <= slowness <= 10
        if magic != _MAGIC or check != zlib.crc32(data[:-4]) or not sensible or not math.isfinite(answered_at):
            return cls()
        return cls(answered_at, cost, rate, slowness)


class Places(ABC):
    """The five places of an account, and its record."""

    @abstractmethod
    def read(self) -> Record:
        """Return the record of the account's last answer."""

    @abstractmethod
    def write(self, record: Record) -> None:
        """Keep the record of the account's last answer."""

    @abstractmethod
    def take(self, limit: int) -> int | None:
        """Take one of the first `limit` places if one is free."""

    @abstractmethod
    def free(self, index: int) -> None:
        """Give a place back."""

    @abstractmethod
    def urgent(self) -> bool:
        """Tell whether something urgent waits, in any process."""

    @abstractmethod
    def announce(self) -> Callable[[], None]:
        """Tell every process that something urgent waits; returns what ends it."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back."""


class OwnPlaces(Places):
    """Places of this process alone."""

    def __init__(self) -> None:
        self._record = Record()
        self._taken = [False] * AT_ONCE

    def read(self) -> Record:
        """See `Places.read`."""
        return self._record

    def write(self, record: Record) -> None:
        """See `Places.write`."""
        self._record = record

    def take(self, limit: int) -> int | None:
        """See `Places.take`."""
        for index in range(limit):
            if not self._taken[index]:
                self._taken[index] = True
                return index
        return None

    def free(self, index: int) -> None:
        """See `Places.free`."""
        if index != NO_PLACE:
            self._taken[index] = False

    def urgent(self) -> bool:
        """See `Places.urgent`."""
        # The queue of this process has the urgent ones in front already.
        return False

    def announce(self) -> Callable[[], None]:
        """See `Places.announce`."""
        return lambda: None

    def close(self) -> None:
        """See `Places.close`."""
        self._taken = [False] * AT_ONCE


class SharedPlaces(Places):
    """Places as locked files: one descriptor a place, opened when first needed."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._process = os.getpid()
        self._descriptors: dict[str, int] = {}
        self._taken = [False] * AT_ONCE
        self._open("0")  # the record's file; fails here where nothing can be written

    def read(self) -> Record:
        """See `Places.read`."""
        return Record.unpack(os.pread(self._open("0"), _LAYOUT.size, 0))

    def write(self, record: Record) -> None:
        """See `Places.write`."""
        os.pwrite(self._open("0"), record.pack(), 0)

    def take(self, limit: int) -> int | None:
        """See `Places.take`."""
        for index in range(limit):
            if not self._taken[index] and _lock(self._open(str(index)), exclusive=True):
                self._taken[index] = True
                return index
        return None

    def free(self, index: int) -> None:
        """See `Places.free`."""
        if index != NO_PLACE and self._taken[index] and self._process == os.getpid():
            self._taken[index] = False
            _unlock(self._descriptors[str(index)])

    def urgent(self) -> bool:
        """See `Places.urgent`."""
        descriptor = self._open("urgent")
        # Others look too, and hold the file for a moment: only who announces holds it for longer.
        if any(_lock(descriptor, exclusive=True) for _ in range(_LOOK_TRIES)):
            _unlock(descriptor)
            return False
        return True

    def announce(self) -> Callable[[], None]:
        """See `Places.announce`."""
        descriptor = _open_file(self._folder / f"{self._name}.urgent")
        # Somebody who looks holds the file for a moment: a few tries are enough, and waiting could block a loop.
        any(_lock(descriptor, exclusive=False) for _ in range(_ANNOUNCE_TRIES))
        return lambda: os.close(descriptor)

    def close(self) -> None:
        """See `Places.close`."""
        for descriptor in self._descriptors.values():
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._descriptors.clear()
        self._taken = [False] * AT_ONCE

    def _open(self, suffix: str) -> int:
        if self._process != os.getpid():
            # After a fork the parent's locks live on in the copied descriptors: a child needs its own.
            self.close()
            self._process = os.getpid()
        descriptor = self._descriptors.get(suffix)
        if descriptor is None:
            descriptor = self._descriptors[suffix] = _open_file(self._folder / f"{self._name}.{suffix}")
        return descriptor


class _Warned:
    """That the fallback is told once a process, not once a client."""

    done: ClassVar[bool] = False


def open_places(key: str, state_dir: str | None) -> Places:
    """Return the account's places: shared where the machine lets us, else this process's own, with one warning."""
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    for folder in state_folders(state_dir) if fcntl is not None else ():
        with contextlib.suppress(OSError):
            return SharedPlaces(folder, name)
    if not _Warned.done:
        _Warned.done = True
        _LOGGER.warning(
            "The pace of the account is kept within this process only, since no folder for it can be written and "
            'locked; other programs that send with the same account may meet "too fast". Set %s to such a folder',
            STATE_DIR,
        )
    return OwnPlaces()


def state_folders(state_dir: str | None = None) -> Iterator[Path]:
    """Yield the folders in which the processes of this user may share state, the usual one first; each is there."""
    for folder in _candidates(state_dir):
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_ours(folder):
                yield folder


def _candidates(state_dir: str | None) -> list[Path]:
    named = state_dir or os.environ.get(STATE_DIR)
    if named:
        return [Path(named)]
    folders = []
    if state_home := os.environ.get("XDG_STATE_HOME"):
        folders.append(Path(state_home) / "sms1680")
    with contextlib.suppress(RuntimeError):
        folders.append(Path.home() / ".local" / "state" / "sms1680")
    folders.append(Path(tempfile.gettempdir()) / f"sms1680-{os.getuid() if hasattr(os, 'getuid') else 'user'}")
    return folders


def _is_ours(folder: Path) -> bool:
    """Tell whether nobody else can put a trap into the folder: others may not write there."""
    if not hasattr(os, "getuid"):  # Windows: the user's own folders are
        return True
    state = folder.stat()
    return state.st_uid == os.getuid() and not state.st_mode & 0o002


def _open_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _lock(descriptor: int, *, exclusive: bool) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _unlock(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
