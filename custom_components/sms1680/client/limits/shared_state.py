"""The folder in which the processes of a machine share the state of an account."""

import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

STATE_DIR = "SMS1680_STATE_DIR"

_LOGGER = logging.getLogger(__name__)


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


@cache
def warn_unshared() -> None:
    """Log once that the state cannot be shared. A send goes on without."""
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
    with contextlib.suppress(OSError):  # no temporary folder can be written
        yield Path(tempfile.gettempdir()) / f"sms1680-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def _is_private(folder: Path) -> bool:
    """Return whether only this user can write to the folder."""
    if not hasattr(os, "getuid"):  # Windows: the user's own folders are private
        return True
    state = folder.stat()
    return state.st_uid == os.getuid() and not state.st_mode & 0o002
