"""The five submit slots of an account and the record of its last answer, shared by the processes of a machine.

Each slot is an exclusive `flock` on its own descriptor. A crash releases it, and two copies of this module in one
process exclude each other too; record locks (fcntl) would not. The last answer is a small record in the file of the
first slot. A file that cannot be opened, written or locked never stops a send: its slot or its record then belongs to
this process only. A folder that was deleted is created again.
"""

import contextlib
import hashlib
import math
import os
import platform
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .shared_state import make_folder, state_folders, state_name, warn_unshared

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SLOT_COUNT = 5
NO_SLOT = -1

# It differs from machine to machine, also for copies of one image.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LAYOUT = struct.Struct("<4sddddI")
_MAGIC = b"P1\x00\x00"
_LONGEST_COST = 100_000.0
_ANNOUNCE_TRIES = 100
_LOOK_TRIES = 3
_RECENT = 0.005  # seconds


@dataclass(frozen=True, slots=True)
class Record:
    """The last answer of the platform.

    answered_at: its time, in monotonic seconds. cost: seconds until the next submit. rate: items per second, 0 if
    unknown. slowness: factor from 1 to 10.
    """

    answered_at: float = 0.0
    cost: float = 0.0
    rate: float = 0.0
    slowness: float = 1.0

    def pack(self) -> bytes:
        """Return the record in its file format."""
        body = _LAYOUT.pack(_MAGIC, self.answered_at, self.cost, self.rate, self.slowness, 0)[:-4]
        return body + struct.pack("<I", zlib.crc32(body))

    @classmethod
    def unpack(cls, data: bytes) -> "Record":
        """Read a record; return the empty record for anything damaged or implausible."""
        if len(data) != _LAYOUT.size:
            return cls()
        magic, answered_at, cost, rate, slowness, check = _LAYOUT.unpack(data)
        plausible = 0 <= cost < _LONGEST_COST and rate >= 0 and 1 <= slowness <= 10
        if magic != _MAGIC or check != zlib.crc32(data[:-4]) or not plausible or not math.isfinite(answered_at):
            return cls()
        return cls(answered_at, cost, rate, slowness)


class Slots:
    """The slots and the record of an account within this process."""

    def __init__(self) -> None:
        self._record = Record()
        self._taken = [False] * SLOT_COUNT

    @property
    def machine(self) -> str | None:
        """The name of these slots among those of other machines, None if they belong to this process only."""
        return None

    def read(self) -> Record:
        """Return the record of the account's last answer."""
        return self._record

    def recent(self, now: float) -> Record:  # noqa: ARG002 - the files need it
        """Return the record as it was at most 5 ms before `now`, on any clock that goes on."""
        return self.read()

    def write(self, record: Record) -> None:
        """Store the record of the account's last answer."""
        self._record = record

    def acquire(self, limit: int) -> int | None:
        """Acquire one of the first `limit` slots; return None if all are taken."""
        for index in range(limit):
            if not self._taken[index] and self._lock(index):
                self._taken[index] = True
                return index
        return None

    def release(self, index: int) -> None:
        """Release a slot."""
        if index != NO_SLOT and self._taken[index]:
            self._taken[index] = False
            self._unlock(index)

    def has_urgent(self) -> bool:
        """Return whether another process has an urgent packet waiting."""
        return False

    def announce_urgent(self) -> Callable[[], None]:
        """Announce an urgent packet to all processes; return a function that withdraws it."""
        return lambda: None

    def close(self) -> None:
        """Release everything."""
        self._taken = [False] * SLOT_COUNT

    def _lock(self, index: int) -> bool:  # noqa: ARG002
        return True

    def _unlock(self, index: int) -> None:
        """Release the lock of a slot."""


class SharedSlots(Slots):
    """Slots as locked files, each with one descriptor that is opened on first use."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__()
        self._folder = folder
        self._name = name
        self._process = os.getpid()
        self._descriptors: dict[str, int] = {}
        self._data, self._shared = b"", Record()  # as they were last read
        self._recent, self._looked_at = Record(), -math.inf
        # Fail here if nothing can be written. A full disk later still has room for this record.
        if not os.fstat(self._open("0")).st_size:
            os.pwrite(self._open("0"), Record().pack(), 0)

    @property
    def machine(self) -> str | None:
        """The name of the locked files: the same in all processes that share them, and in no others."""
        with contextlib.suppress(OSError):
            file = os.fstat(self._open("0"))
            name = f"{_BOOT_ID.read_text('ascii')} {platform.node()} {file.st_dev} {file.st_ino}"
            return hashlib.sha256(name.encode()).hexdigest()[:16]
        return None

    def read(self) -> Record:
        """Return the record of the account's last answer: ours if it is newer, because it could not be written."""
        try:
            data = os.pread(self._open("0"), _LAYOUT.size, 0)
        except OSError:
            return self._record
        if data != self._data:
            self._data, self._shared = data, Record.unpack(data)
        return self._record if self._record.answered_at > self._shared.answered_at else self._shared

    def recent(self, now: float) -> Record:
        """Return the record as it was at most 5 ms before `now`: a busy connection asks thousands of times a second."""
        if not 0 < now - self._looked_at < _RECENT:
            self._recent, self._looked_at = self.read(), now
        return self._recent

    def write(self, record: Record) -> None:
        """Store the record of the account's last answer."""
        super().write(record)
        self._looked_at = -math.inf
        try:
            os.pwrite(self._open("0"), record.pack(), 0)
        except OSError:
            warn_unshared()

    def release(self, index: int) -> None:
        """Release a slot, except one that the parent process acquired before a fork."""
        if self._process == os.getpid():
            super().release(index)

    def has_urgent(self) -> bool:
        """Return whether any process has an urgent packet waiting."""
        try:
            descriptor = self._open("urgent")
            # Other readers lock the file for a moment too; only an announcement holds it longer.
            if not any(_lock(descriptor, exclusive=True) for _ in range(_LOOK_TRIES)):
                return True
        except OSError:
            return False
        _unlock(descriptor)
        return False

    def announce_urgent(self) -> Callable[[], None]:
        """Announce an urgent packet to all processes; return a function that withdraws it."""
        try:
            descriptor = self._open_file("urgent")
        except OSError:
            return super().announce_urgent()
        # A reader locks the file only for a moment: a few tries are enough, and waiting would block an event loop.
        with contextlib.suppress(OSError):
            any(_lock(descriptor, exclusive=False) for _ in range(_ANNOUNCE_TRIES))
        return lambda: os.close(descriptor)

    def close(self) -> None:
        """Release everything and close the files."""
        for descriptor in self._descriptors.values():
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._descriptors.clear()
        super().close()

    def _lock(self, index: int) -> bool:
        try:
            return _lock(self._open(str(index)), exclusive=True)
        except OSError:
            warn_unshared()
            return True

    def _unlock(self, index: int) -> None:
        if (descriptor := self._descriptors.get(str(index))) is not None:
            _unlock(descriptor)

    def _open(self, suffix: str) -> int:
        if self._process != os.getpid():
            # After a fork, the copied descriptors still hold the parent's locks.
            self.close()
            self._process = os.getpid()
        descriptor = self._descriptors.get(suffix)
        if descriptor is not None and not os.fstat(descriptor).st_nlink:
            # The file was deleted. Other processes use a new one.
            os.close(self._descriptors.pop(suffix))
            descriptor = None
        if descriptor is None:
            descriptor = self._descriptors[suffix] = self._open_file(suffix)
        return descriptor

    def _open_file(self, suffix: str) -> int:
        path, flags = self._folder / f"{self._name}.{suffix}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:  # the folder was deleted
            make_folder(self._folder)
            return os.open(path, flags, 0o600)


def open_slots(key: str, state_dir: str | None) -> Slots:
    """Return the account's slots: shared by the machine's processes if possible."""
    for folder in state_folders(state_dir) if fcntl is not None else ():
        with contextlib.suppress(OSError):
            return SharedSlots(folder, state_name(key))
    warn_unshared()
    return Slots()


def _lock(descriptor: int, *, exclusive: bool) -> bool:
    """Return False if somebody else has the lock. Raise OSError if the file system has no locks."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
