"""The programs that `scripts/demo` starts: each in a process group of its own, all ended when the demo ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import tempfile
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from types import TracebackType
from typing import Awaitable, Callable, Mapping, Sequence, TypeVar

from _environments import ROOT, clean_environment

FOLDER = ROOT / ".demo"
PATIENCE_AT_THE_END = 15.0
LOOK_AGAIN = 0.05
# What the user has set for their own programs must not reach into the demo, least of all a proxy: it is all loopback.
FOREIGN = ("SMS1680_", "APPRISE_", "HASS_", "XDG_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
Found = TypeVar("Found")


class DemoError(Exception):
    """A step did not hold; the text says what was seen instead."""


async def until(look: Callable[[], Awaitable[Found | None]], what: str, seconds: float = 30.0) -> Found:
    """Looks until something is there, and returns it. Raises DemoError after so many seconds, naming `what`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        found = await look()
        if found is not None:
            return found
        if loop.time() > end:
            raise DemoError(f"after {seconds:.0f} s there was still no {what}")
        await asyncio.sleep(LOOK_AGAIN)


def free_port() -> int:
    """Returns a port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class RunFolder:
    """A folder in .demo/ for one run; what runs that were killed have left there is deleted."""

    def __init__(self) -> None:
        FOLDER.mkdir(exist_ok=True)
        with (FOLDER / "lock").open("a") as one_at_a_time:
            flock(one_at_a_time.fileno(), LOCK_EX)
            for left in FOLDER.glob("run-*"):
                with suppress(OSError), (left / "lock").open("a") as lock:
                    flock(lock.fileno(), LOCK_EX | LOCK_NB)  # fails while that run goes on
                    shutil.rmtree(str(left), ignore_errors=True)
            self.path = Path(tempfile.mkdtemp(prefix="run-", dir=str(FOLDER)))
            self._lock = (self.path / "lock").open("a")
            flock(self._lock.fileno(), LOCK_EX)
        for name in ("home", "tmp", "state", "logs"):
            (self.path / name).mkdir()

    @property
    def logs(self) -> Path:
        """Where the programs' output goes."""
        return self.path / "logs"

    def variables(self) -> dict[str, str]:
        """Returns the variables that programs run with: whatever they write lies in this folder."""
        own = {name: value for name, value in clean_environment().items() if not name.upper().startswith(FOREIGN)}
        return {
            **own,
            "HOME": str(self.path / "home"),
            "TMPDIR": str(self.path / "tmp"),
            "SMS1680_STATE_DIR": str(self.path / "state"),
            "PYTHONUTF8": "1",
        }

    def close(self, *, keep: bool) -> None:
        """Deletes the folder, or keeps it for a look at its logs until the next run."""
        if not keep:
            shutil.rmtree(str(self.path), ignore_errors=True)
        self._lock.close()


class Processes:
    """The programs that run. Use it as `async with`: at its end all of them are ended, with what they have started."""

    def __init__(self) -> None:
        self._started: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Processes:  # noqa: PYI034 - typing.Self is newer than what may read this
        """Begins without any."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends them, the last started first."""
        for process in reversed(self._started):
            await self.end(process)

    async def start(
        self,
        command: Sequence[str | Path],
        variables: Mapping[str, str],
        folder: Path,
        *,
        log: Path | None = None,
        piped: bool = False,
    ) -> asyncio.subprocess.Process:
        """Starts a program in `folder`. What it says goes to `log`, or to pipes of its own."""
        with (log or Path(os.devnull)).open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *map(str, command),
                cwd=str(folder),
                env=dict(variables),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if piped else output,
                stderr=asyncio.subprocess.PIPE if piped and log is None else output,
                start_new_session=True,  # so that all it starts can be ended with it, and Ctrl-C is ours to handle
            )
        self._started.append(process)
        return process

    async def end(self, process: asyncio.subprocess.Process) -> None:
        """Ends a program and all it has started: asked first, then by force."""
        if process.returncode is None:
            signal_group(process, signal.SIGTERM)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(process.wait(), PATIENCE_AT_THE_END)
        signal_group(process, signal.SIGKILL)
        await process.wait()
        self._started.remove(process)


def signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Sends a signal to a program and what it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
