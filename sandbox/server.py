"""The running sandbox: `Sandbox` in an event loop, `SandboxThread` for blocking code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

from aiohttp import web

from .broadcast import Broadcaster
from .cmpp import CMPPServer
from .config import Config
from .control import Control
from .http import BODY_MAX, Gateway
from .page_files import routes as page_routes
from .platform import Clock, Platform
from .pushes import Pusher
from .records import Event

_LOGGER = logging.getLogger(__name__)
_T = TypeVar("_T")


def steady_clock() -> Clock:
    """Return a clock of seconds since 1970 that never jumps: it is set once and then follows the monotonic clock."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


class _NoTracebacks(logging.Filter):
    """Removes request data from aiohttp's log: its tracebacks quote request lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Remove the arguments and the traceback."""
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        record.msg, record.args = f"could not process a request: {kind}".removesuffix(": "), ()
        record.exc_info = record.exc_text = None
        return True


def _http_logger() -> logging.Logger:
    logger = logging.getLogger(f"{__package__}.aiohttp")
    if not logger.filters:
        logger.addFilter(_NoTracebacks())
    return logger


@web.middleware
async def _quiet_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer unexpected errors with 500. Log only their type and place."""
    try:
        return await handler(request)
    except (web.HTTPException, asyncio.CancelledError, ConnectionError):
        raise
    except Exception as error:  # noqa: BLE001 - the text of any error may quote the request
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_qualname}:{place.tb_lineno}" if place else "?"
        _LOGGER.error("unexpected %s in %s", type(error).__name__, where)  # noqa: TRY400
        return web.Response(status=500, text="")


class Sandbox:
    """A running platform, used as `async with Sandbox(config) as box`.

    `url`: the address of the four calls and of the phone page. `platform`: the state, with accounts, phones, messages,
    faults and pushes. `cmpp`: the CMPP side, which is active if the configuration has a port for it.
    """

    def __init__(self, config: Config | None = None, *, clock: Clock | None = None) -> None:
        """Prepare a sandbox; entering the context starts it."""
        self.config = config or Config()
        self.platform = Platform(self.config, clock or steady_clock())
        self.url = ""
        self._broadcaster = Broadcaster()
        self.cmpp = CMPPServer(self.platform, idle=self.config.cmpp_idle, resend=self.config.cmpp_resend)
        self._pusher = Pusher(self.platform, self._handle_over_cmpp)
        self._stack = contextlib.AsyncExitStack()
        self._wake = asyncio.Event()
        self._waiters: set[asyncio.Event] = set()
        self.platform.listeners += [self._broadcaster.on_event, self._on_event]

    async def __aenter__(self) -> Self:
        """Open the ports.

        Raises:
            OSError: a port cannot be opened.
        """
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _open(self) -> None:
        app = web.Application(client_max_size=BODY_MAX, middlewares=[_quiet_errors])
        app.add_routes(Gateway(self.platform).routes(self.config.path_prefix))
        cmpp = None if self.config.cmpp_port is None else self.cmpp
        app.add_routes(Control(self.platform, self._broadcaster, cmpp).routes())
        app.add_routes(page_routes())
        runner = web.AppRunner(app, access_log=None, logger=_http_logger(), shutdown_timeout=0.2)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, self.config.host, self.config.port)
        await site.start()
        self._stack.callback(self._broadcaster.close)
        host, port = runner.addresses[0][:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._stack.push_async_callback(self._pusher.close)
        if self.config.cmpp_port is not None:
            await self.cmpp.start(self.config.host, self.config.cmpp_port)
            self._stack.push_async_callback(self.cmpp.close)
        ticker = asyncio.create_task(self._tick())
        self._stack.push_async_callback(self._stop, ticker)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the ports and end all work in progress."""
        await self._stack.aclose()

    async def wait_for(self, condition: Callable[[Platform], object], timeout: float = 10.0) -> None:  # noqa: ASYNC109
        """Wait until the platform's state meets a condition, which is checked after every change.

        Raises:
            TimeoutError: it is not met within `timeout` seconds.
        """
        changed = asyncio.Event()
        self._waiters.add(changed)
        try:
            async with asyncio.timeout(timeout):
                while not condition(self.platform):
                    await changed.wait()
                    changed.clear()
        finally:
            self._waiters.discard(changed)

    def _handle_over_cmpp(self, event: Event) -> bool:
        return self.config.cmpp_port is not None and self.cmpp.handle(event)

    def _on_event(self, _: Event) -> None:
        self._wake.set()
        for waiter in self._waiters:
            waiter.set()

    async def _tick(self) -> None:
        """Do the work that is due, then wait for the next due time or a change."""
        while True:
            self._wake.clear()
            self.platform.run_due()
            self._pusher.run_due()
            times = [self.platform.next_due, None if self._pusher.busy else self.platform.pushes.next_due]
            due = min((when for when in times if when is not None), default=None)
            pause = None if due is None else max(0.0, due - self.platform.clock())
            # not asyncio.wait_for: before Python 3.12 it may swallow the cancellation of this task
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    @staticmethod
    async def _stop(task: asyncio.Task[None]) -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class SandboxThread:
    """A sandbox in its own thread, for blocking code: `with SandboxThread(config) as box`.

    Read `platform` freely, but change it only through `call`, which runs in the sandbox's thread.
    """

    def __init__(self, config: Config | None = None, *, clock: Clock | None = None) -> None:
        """Prepare a sandbox; entering the context starts it."""
        self._config = config
        self._clock = clock
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sms1680-sandbox", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread and open the ports."""
        self._thread.start()
        try:
            self._sandbox = self._run(self._open())
        except BaseException:
            self._end()
            raise
        self.platform = self._sandbox.platform
        self.url = self._sandbox.url
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the ports and end the thread."""
        try:
            self._run(self._sandbox.__aexit__(None, None, None))
        finally:
            self._end()

    def call(self, function: Callable[[Platform], _T]) -> _T:
        """Call a function with the platform in the sandbox's thread, and return its result."""

        async def run() -> _T:
            return function(self.platform)

        return self._run(run())

    def wait_for(self, condition: Callable[[Platform], object], timeout: float = 10.0) -> None:
        """Wait until the platform's state meets a condition.

        Raises:
            TimeoutError: it is not met within `timeout` seconds.
        """
        self._run(self._sandbox.wait_for(condition, timeout))

    async def _open(self) -> Sandbox:
        return await Sandbox(self._config, clock=self._clock).__aenter__()

    def _run(self, awaitable: Awaitable[_T]) -> _T:
        async def wrapped() -> _T:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(wrapped(), self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
