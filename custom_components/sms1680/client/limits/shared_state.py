"""The folder in which the processes of a machine share the state of an account."""

import contextlib
import hashlib
import logging
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from .server_address import ServerAddress, is_address, read_address

STATE = "SMS1680_STATE"
STATE_DIR = "SMS1680_STATE_DIR"

_LOGGER = logging.getLogger(__name__)
_lock = threading.Lock()
warned: set[str] = set()
"""The warnings that this process has logged."""


def find_state(state: str | None, state_dir: str | None = None) -> tuple[str | None, ServerAddress | None]:
    """Return the folder and the server that a setting and the environment name, each None if they name none.

    state: a folder, or the address of a server that several machines share. Raises InvalidSettingError.
    """
    named = [value for value in (state, state_dir, os.environ.get(STATE)) if value]
    folder = next((value for value in named if not is_address(value)), None)
    address = next((value for value in named if is_address(value)), None)
    return folder, None if address is None else read_address(address)


def state_folders(state_dir: str | None = None) -> Iterator[Path]:
    """Yield the existing folders in which the processes of this user can share state, the usual one first."""
    for folder in _candidates(state_dir):
        with contextlib.suppress(OSError, ValueError):
            make_folder(folder)
            if _is_private(folder):
                yield folder


def make_folder(folder: Path) -> None:
    """Create a folder for shared state, unless it exists. Raise OSError if that fails."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def warn_unshared() -> None:
    """Log once that the state cannot be shared. A send goes on without."""
    if not _is_first("unshared"):
        return
    _LOGGER.warning(
        "The rate, the spending and the sent messages of the account are counted within this process only, because no "
        "file for shared state can be written and locked. Set %s to a folder that only this user can write to",
        STATE_DIR,
    )


def state_name(key: str) -> str:
    """Return the file name, without suffix, for the state of an account."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _candidates(state_dir: str | None) -> Iterator[Path]:
    if named := state_dir or os.environ.get(STATE_DIR):
        yield Path(named)
        return
    if state_home := os.environ.get("XDG_STATE_HOME"):
        yield Path(state_home) / "sms1680"
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield Path.home() / ".local" / "state" / "sms1680"
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "sms1680"
    with contextlib.suppress(OSError):  # no temporary folder can be written
        yield from _temporary(Path(tempfile.gettempdir()))


def _temporary(parent: Path) -> Iterator[Path]:
    """Yield the folder of this user in a folder that all users share, and another one if somebody has taken its name.

    The other one has a random part that nobody can take first. The processes of the user find it by its owner.
    """
    usual = parent / f"sms1680-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    yield usual
    if not os.path.lexists(usual) or _is_private(usual):
        return
    if not (found := _find(usual)):
        tempfile.mkdtemp(prefix=f"{usual.name}-", dir=parent)
        found = _find(usual)  # the same one in two processes that create theirs at the same time
    _warn_taken(usual)
    yield from found


def _find(usual: Path) -> list[Path]:
    found = []
    for folder in sorted(usual.parent.glob(f"{usual.name}-*")):
        with contextlib.suppress(OSError):
            if _is_private(folder) and folder.is_dir():
                found.append(folder)
    return found


def _warn_taken(folder: Path) -> None:
    if not _is_first(str(folder)):
        return
    _LOGGER.warning(
        "%s belongs to another user or can be written by others, so it is not used. The state is in a folder with "
        "another name. Set %s to a folder that only this user can write to",
        folder,
        STATE_DIR,
    )


def _is_first(warning: str) -> bool:
    """Return whether nobody logged this warning yet. Of several threads, one gets True."""
    with _lock:
        first = warning not in warned
        warned.add(warning)
    return first


def _is_private(folder: Path) -> bool:
    """Return whether only this user can write to the folder, and nobody else can put another one in its place."""
    if not hasattr(os, "getuid"):  # Windows: the user's own folders are private
        return True
    parent, state = folder.parent.stat(), folder.lstat()
    if parent.st_mode & 0o002 and not parent.st_mode & stat.S_ISVTX:
        return False
    if stat.S_ISLNK(state.st_mode):
        if state.st_uid != os.getuid():
            return False  # it leads where its owner wants
        state = folder.stat()
    return state.st_uid == os.getuid() and not state.st_mode & 0o002
