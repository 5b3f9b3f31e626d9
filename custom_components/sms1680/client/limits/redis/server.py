"""The server that several machines share, with a bound on the time that it may cost.

One thread at a time talks to it, so no event loop waits for it: a caller looks for the answer between short sleeps.
After a failure the server is not used until a probe, which no caller awaits, succeeds.
"""

import asyncio
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, wait
from typing import Any

from ..server_address import ServerAddress
from .connection import Connect, MissingPackageError, RedisConnection, ScriptError, ServerConnection, Value
from .scripts import PROBE
from .worker import Worker

_LOGGER = logging.getLogger(__name__)

LONGEST_CALL = 1.0
LONGEST_START = 10.0  # the package is large: its import takes seconds on a small or busy machine
_SHORTEST_PAUSE = 0.0002
_LONGEST_PAUSE = 0.01
_FIRST_RETRY = 1.0
_LONGEST_RETRY = 30.0
_PEEK_IS_FRESH = 0.5
_PEEK_IS_OLD = 60.0

Answer = list[Any]


class SharedServer:
    """A Valkey or Redis server. Every call answers None while the server cannot be used."""

    def __init__(self, address: ServerAddress, connect: Connect = RedisConnection) -> None:
        self.address = address
        self._connect = connect
        self._lock = threading.RLock()
        self._peeked: dict[tuple[str, ...], tuple[float, Answer]] = {}
        self._retry_at: float | None = None  # None while the server is used
        self._pause = _FIRST_RETRY
        self._probing = False
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._connected_at = 0.0
        self._connections: list[ServerConnection] = []
        self._worker = Worker("sms1680-redis")
        weakref.finalize(self, _close, self._connections)

    def call(
        self,
        script: str,
        keys: Sequence[str],
        values: Sequence[Value] = (),
        *,
        undo: Callable[[Answer], None] = lambda _: None,
    ) -> Generator[float, None, Answer | None]:
        """Run a script: yield the seconds to sleep until it has an answer, and return the answer.

        undo: called with an answer that comes after the caller stopped to wait for it.
        """
        future = self._submit(script, keys, values)
        if future is None:
            return None
        began, pause, done = time.monotonic(), _SHORTEST_PAUSE, False
        try:
            while not (done := future.done()):
                if time.monotonic() > self._give_up_at(began):
                    self._failed(ScriptError("no answer in time"))
                    return None
                yield pause
                done, pause = False, min(pause * 1.5, _LONGEST_PAUSE)
        finally:
            if not done:
                _undo_later(future, undo)
        return self._answer(future)

    def ask(self, script: str, keys: Sequence[str], values: Sequence[Value] = ()) -> Answer | None:
        """Run a script and wait for its answer, in a thread that may wait."""
        future = self._submit(script, keys, values)
        if future is None:
            return None
        began = time.monotonic()
        while not future.done() and (left := self._give_up_at(began) - time.monotonic()) > 0:
            wait([future], min(left, LONGEST_CALL))
        if not future.done():
            self._failed(ScriptError("no answer in time"))
            _undo_later(future, lambda _: None)
            return None
        return self._answer(future)

    def later(
        self,
        script: str,
        keys: Sequence[str],
        values: Sequence[Value] = (),
        *,
        then: Callable[[Answer], None] = lambda _: None,
        timed: bool = False,
    ) -> None:
        """Run a script after the earlier ones. Nobody waits for it.

        then: called with its answer, in another thread. timed: the last value is the milliseconds since this call.
        """
        future = self._submit(script, keys, values, time.monotonic() if timed else None)
        if future is not None:
            future.add_done_callback(lambda done: self._finish(done, then))

    def peek(self, script: str, keys: Sequence[str], values: Sequence[Value] = ()) -> Answer | None:
        """Return the answer of a script that only reads. In an event loop, it is the last one of the last minute."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self.ask(script, keys, values)
        now, name = time.monotonic(), (script, *keys)
        at, answer = self._peeked.get(name, (-_PEEK_IS_OLD, None))
        if now - at > _PEEK_IS_FRESH:
            self.later(
                script, keys, values, then=lambda answer: self._peeked.update({name: (time.monotonic(), answer)})
            )
        return answer if now - at < _PEEK_IS_OLD and self._retry_at is None else None

    def _give_up_at(self, began: float) -> float:
        """Return when a call has taken too long. The import of the package does not count."""
        if not self._connections:
            return began + LONGEST_START
        return max(began, self._connected_at) + LONGEST_CALL

    def _submit(
        self, script: str, keys: Sequence[str], values: Sequence[Value], since: float | None = None
    ) -> "Future[Answer] | None":
        with self._lock:
            if self._process != os.getpid():  # a fork copies no threads, and must not use its parent's connection
                self._start()
            if self._retry_at is not None:
                self._probe_when_due()
                return None
            return self._queue(script, keys, values, since)

    def _queue(
        self, script: str, keys: Sequence[str], values: Sequence[Value], since: float | None = None
    ) -> "Future[Answer] | None":
        try:
            return self._worker.submit(self._run, script, keys, values, since)
        except RuntimeError:  # the interpreter is ending
            return None

    def _probe_when_due(self) -> None:
        if self._probing or self._retry_at is None or time.monotonic() < self._retry_at:
            return
        probe = self._queue(PROBE, ["sms1680:probe"], [])
        if probe is not None:
            self._probing = True
            probe.add_done_callback(self._probed)

    def _probed(self, probe: "Future[Answer]") -> None:
        with self._lock:
            self._probing = False
            if isinstance(probe.exception(), Exception):
                self._pause = min(self._pause * 2, _LONGEST_RETRY)
                self._retry_at = time.monotonic() + self._pause
                return
            self._retry_at, self._pause = None, _FIRST_RETRY
        _LOGGER.info("The shared state on %s is used again", self.address)

    def _answer(self, future: "Future[Answer]") -> Answer | None:
        error = future.exception()
        if error is None:
            return future.result()
        self._failed(error)
        return None

    def _finish(self, future: "Future[Answer]", then: Callable[[Answer], None]) -> None:
        if not future.cancelled() and (answer := self._answer(future)) is not None:
            then(answer)

    def _failed(self, error: BaseException) -> None:
        with self._lock:
            if self._retry_at is not None:
                return
            self._retry_at = time.monotonic() + self._pause
        if isinstance(error, MissingPackageError):
            _LOGGER.warning(
                "The state cannot be shared on %s, because the Python package redis is not installed: "
                "pip install redis. The state is shared by the processes of this machine only",
                self.address,
            )
            return
        _LOGGER.warning(
            "The shared state on %s cannot be used (%s). The state is shared by the processes of this machine only "
            "until it is back",
            self.address,
            str(error) if isinstance(error, ScriptError) else type(error).__name__,
        )

    def _run(self, script: str, keys: Sequence[str], values: Sequence[Value], since: float | None) -> Answer:
        if not self._connections:
            connection = self._connect(self.address)
            self._connected_at = time.monotonic()
            self._connections.append(connection)
        if since is not None:
            values = (*values, (time.monotonic() - since) * 1000)
        return self._connections[0].run(script, keys, values)


def _close(connections: list[ServerConnection]) -> None:
    for connection in connections:
        connection.close()


def _undo_later(future: "Future[Answer]", undo: Callable[[Answer], None]) -> None:
    if future.cancel():
        return

    def undone(done: "Future[Answer]") -> None:
        if not done.cancelled() and done.exception() is None:
            undo(done.result())

    future.add_done_callback(undone)


_servers: "weakref.WeakValueDictionary[ServerAddress, SharedServer]" = weakref.WeakValueDictionary()
_servers_lock = threading.Lock()


def open_server(address: ServerAddress) -> SharedServer:
    """Return the server at an address, the same one for all clients of this process."""
    with _servers_lock:
        server = _servers.get(address)
        if server is None:
            server = _servers[address] = SharedServer(address)
        return server
