"""The folder in which the processes of a machine share the state of an account."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

STATE_DIR = "SMS1680_STATE_DIR"


def state_folders(state_dir: str | None = None) -> Iterator[Path]:
    """Yield the existing folders in which the processes of this user can share state, the usual one first."""
    for folder in _candidates(state_dir):
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_private(folder):
                yield folder


def state_name(key: str) -> str:
    """Return the file name, without suffix, for the state of an account."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


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


def _is_private(folder: Path) -> bool:
    """Return whether only this user can write to the folder."""
    if not hasattr(os, "getuid"):  # Windows: the user's own folders are private
        return True
    state = folder.stat()
    return state.st_uid == os.getuid() and not state.st_mode & 0o002
