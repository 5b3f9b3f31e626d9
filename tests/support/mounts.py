"""Small file systems for tests: full ones, and machines on which nothing can be written."""

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import SkipTest

# Makes the temporary folders read-only for one command, which also starts in a folder that nobody can write.
_READ_ONLY = 'for folder in /tmp /var/tmp; do mount -t tmpfs -o ro tmpfs $folder; done; cd /proc; exec "$@"'


@contextlib.contextmanager
def tmpfs(folder: Path, size: int) -> Iterator[Path]:
    """Mount a file system of so many octets. Skip the test where this is not allowed."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SkipTest(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Fill a file system to its last octet."""
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def on_read_only_machine(command: Sequence[str]) -> list[str]:
    """Return a command that runs another one where no folder can be written. Skip the test if that is impossible."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        raise SkipTest("no mount namespace can be made here")
    return ["unshare", "-m", "sh", "-c", _READ_ONLY, "sh", *command]
