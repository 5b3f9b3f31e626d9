"""A real Valkey or Redis server for tests, on a port of its own. Tests are skipped where there is no program."""

from __future__ import annotations

import logging
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PASSWORD = "s3cret-Passw0rd"
PROGRAM = next(filter(None, map(shutil.which, ("valkey-server", "redis-server"))), None)
# Why the tests with the server are skipped, "" if they are not.
MISSING = (
    "needs the program valkey-server or redis-server"
    if PROGRAM is None
    else "needs the Python package redis"
    if find_spec("redis") is None
    else ""
)


def be_patient(replace: Callable[[str, float], None], core: str = "sms1680") -> None:
    """Wait longer for the server than the product does, because the machine of the tests is busy.

    replace: `monkeypatch.setattr`.
    """
    for limit in ("connection.ANSWER_TIMEOUT", "connection.CONNECT_TIMEOUT", "server.LONGEST_CALL"):
        replace(f"{core}.limits.redis.{limit}", 10.0)
    replace(f"{core}.limits.redis.server.LONGEST_START", 60.0)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class SharedServerProcess:
    """A server with a password, which keeps nothing on the disk."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)

    def start(self, *options: str) -> SharedServerProcess:
        """Start the program and wait until it answers."""
        assert PROGRAM is not None
        settings = ("--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", PASSWORD, "--save", "")
        command = [PROGRAM, *settings, "--dir", str(self.folder), "--logfile", str(self.folder / "log"), *options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                if self.command("PING") == b"+PONG":
                    return self
            except OSError:
                time.sleep(0.01)  # noqa: TID251 - a program starts
        raise AssertionError("the server does not start")

    def warnings(self, records: Iterable[logging.LogRecord]) -> list[str]:
        """Return the warnings about this server. A client of an earlier test can still warn about its own."""
        warnings = [record.getMessage() for record in records if record.levelno == logging.WARNING]
        return [warning for warning in warnings if f":{self.port}/" in warning]

    def kill(self) -> None:
        """Kill the program."""
        if self._process is not None:
            self.signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        """Send a signal to the program: SIGSTOP makes it hang."""
        assert self._process is not None
        self._process.send_signal(number)

    def command(self, *words: str) -> bytes:
        """Return the first line of the answer to a command."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
            link.sendall(f"AUTH {PASSWORD}\r\n".encode() + " ".join(words).encode() + b"\r\n")
            answer = link.makefile("rb")
            answer.readline()
            return answer.readline().strip()

    def client(self) -> Any:
        """Return a client of redis-py."""
        return import_module("redis").Redis.from_url(self.url)

    def everything(self) -> dict[bytes, tuple[int, list[bytes]]]:
        """Return each key with its milliseconds to live and its contents."""
        with self.client() as client:
            readers: dict[bytes, Callable[[bytes], list[bytes]]] = {
                b"string": lambda key: [client.get(key)],
                b"hash": lambda key: [word for pair in client.hgetall(key).items() for word in pair],
                b"zset": lambda key: client.zrange(key, 0, -1),
            }
            kinds = {key: client.type(key) for key in client.keys("*")}  # a key can be gone by now: "none"
            return {key: (client.pttl(key), readers[kind](key)) for key, kind in kinds.items() if kind in readers}
