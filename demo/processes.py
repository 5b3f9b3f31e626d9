"""The programs that the demo starts: each in its own process group, all ended when the demo ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import urlsplit

from . import ROOT

FOLDER = ROOT / ".demo"
TERMINATE_TIMEOUT = 15.0
POLL_INTERVAL = 0.05
# The user's settings for their own programs must not affect the demo, above all no proxy: it runs on loopback only.
FOREIGN = ("SMS1680_", "APPRISE_", "HASS_", "XDG_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
Found = TypeVar("Found")


class DemoError(Exception):
    """A step failed; the text says what was seen instead."""


async def until(look: Callable[[], Awaitable[Found | None]], what: str, seconds: float = 30.0) -> Found:
    """Poll until something is there, and return it. Raise DemoError after this many seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        found = await look()
        if found is not None:
            return found
        if loop.time() > end:
            raise DemoError(f"after {seconds:.0f} s there was still no {what}")
        await asyncio.sleep(POLL_INTERVAL)


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@asynccontextmanager
async def relay_to(gateway: str) -> AsyncIterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """Relay connections to the gateway from a port of its own; yield its address and a function that closes it."""
    parts = urlsplit(gateway)
    writers: set[asyncio.StreamWriter] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, out = await asyncio.open_connection(parts.hostname, parts.port)
        writers.update((writer, out))
        directions = [asyncio.ensure_future(copy(reader, out)), asyncio.ensure_future(copy(answers, writer))]
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        for direction in directions:
            direction.cancel()
        for one in (writer, out):
            one.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)

    async def close() -> None:
        server.close()
        for writer in writers:
            writer.close()

    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", close
    finally:
        await close()


class RunFolder:
    """A folder in .demo/ for one run. Folders of runs that were killed are deleted."""

    def __init__(self) -> None:
        FOLDER.mkdir(exist_ok=True)
        with (FOLDER / "lock").open("a") as one_at_a_time:
            flock(one_at_a_time.fileno(), LOCK_EX)
            for left in FOLDER.glob("run-*"):
                with suppress(OSError), (left / "lock").open("a") as lock:
                    flock(lock.fileno(), LOCK_EX | LOCK_NB)  # fails while that run goes on
                    shutil.rmtree(left, ignore_errors=True)
            self.path = Path(tempfile.mkdtemp(prefix="run-", dir=FOLDER))
            self._lock = (self.path / "lock").open("a")
            flock(self._lock.fileno(), LOCK_EX)
        self.logs = self.path / "logs"
        for name in ("home", "tmp", "state", "logs"):
            (self.path / name).mkdir()

    def variables(self) -> dict[str, str]:
        """Return the variables of the programs: they write into this folder only."""
        return {
            **{name: value for name, value in os.environ.items() if not name.upper().startswith(FOREIGN)},
            "HOME": str(self.path / "home"),
            "TMPDIR": str(self.path / "tmp"),
            "SMS1680_STATE_DIR": str(self.path / "state"),
            "PYTHONUTF8": "1",
        }

    def close(self, *, keep: bool) -> None:
        """Delete the folder, or leave it with its logs until the next run."""
        if not keep:
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


class Processes:
    """The running programs. `async with` ends all of them, and the programs that they have started."""

    def __init__(self) -> None:
        self._started: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
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
        """Start a program in `folder`. Its output goes to `log`, or into pipes."""
        with (log or Path(os.devnull)).open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *map(str, command),
                cwd=folder,
                env=dict(variables),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if piped else output,
                stderr=asyncio.subprocess.PIPE if piped and log is None else output,
                start_new_session=True,  # so that its children end with it, and Ctrl-C reaches only the demo
            )
        self._started.append(process)
        return process

    async def end(self, process: asyncio.subprocess.Process) -> None:
        """End a program and its children: SIGTERM first, then SIGKILL."""
        if process.returncode is None:
            signal_group(process, signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), TERMINATE_TIMEOUT)
        signal_group(process, signal.SIGKILL)
        await process.wait()
        self._started.remove(process)


def signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to a program and its children."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
