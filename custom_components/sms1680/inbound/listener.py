"""A small HTTP server of our own, for pushes that Home Assistant's server would reject.

Home Assistant answers 400 to a GET whose text contains a line break, a tab, `../` or other patterns, before any handler
runs. The platform pushes by GET. So an account can open its own port, with the same addresses, limits, networks and
trusted proxies, and nothing else. It is off by default.
"""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import override

from aiohttp import web
from aiohttp.hdrs import METH_GET, METH_POST
from homeassistant.components.http.forwarded import async_setup_forwarded
from homeassistant.const import CONF_WEBHOOK_ID
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.event import async_track_time_interval

from ..const import CONF_PUSH_SECRET, PUSH_PATH
from .http_handler import async_handle_push
from .models import InboundSource
from .receiver import InboundProcessor

_WEBHOOK_PATH = "/api/webhook/{secret}"
_MAX_LINE_SIZE = 24 * 1024  # about Home Assistant's own; the maximum size of a push is smaller
_MAX_CONNECTIONS = 64
_BACKLOG = 16  # so many can connect at once before the first of them is counted
_CONNECTION_TIME = timedelta(seconds=20)  # a connection serves one request, and is cut after one to two of these
_SHUTDOWN_TIMEOUT = 1.0
_ALL_ADDRESSES = {"0.0.0.0", "::"}  # noqa: S104 - Home Assistant's default

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Listener:
    """The HTTP server of one account, on its own port."""

    def __init__(self, hass: HomeAssistant, processor: InboundProcessor, port: int) -> None:
        self.port = port
        self._hass = hass
        self._processor = processor
        self._runner = web.AppRunner(
            self._application(),
            access_log=None,
            # Outside the logging tree: aiohttp quotes requests that it cannot parse.
            logger=logging.Logger(f"{__name__}.http", logging.CRITICAL),  # noqa: LOG001
            handler_cancellation=True,
            max_line_size=_MAX_LINE_SIZE,
            shutdown_timeout=_SHUTDOWN_TIMEOUT,
        )
        self._server: asyncio.Server | None = None
        self._old: set[web.RequestHandler] = set()
        self._stop_sweeping: CALLBACK_TYPE | None = None

    async def async_open(self) -> None:
        """Open the port on the addresses of Home Assistant's own server; by default, on all of this machine.

        Raises OSError if the port cannot be opened.
        """
        await self._runner.setup()
        try:
            self._server = await self._hass.loop.create_server(
                self._connection, _hosts(self._hass), self.port, backlog=_BACKLOG
            )
        except OSError:
            await self._runner.cleanup()
            raise
        self._stop_sweeping = async_track_time_interval(self._hass, self._sweep, _CONNECTION_TIME)

    async def async_close(self) -> None:
        """Close the port. Requests in progress get one second to finish."""
        if self._server is not None:
            self._server.close()
        if self._stop_sweeping is not None:
            self._stop_sweeping()
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[_one_request_per_connection])
        proxies = self._hass.http.trusted_proxies
        async_setup_forwarded(app, bool(proxies), proxies)
        for path, key in (
            (_WEBHOOK_PATH, CONF_WEBHOOK_ID),
            (f"{PUSH_PATH}/mr", CONF_PUSH_SECRET),
            (f"{PUSH_PATH}/mo", CONF_PUSH_SECRET),
        ):
            for method in (METH_GET, METH_POST):
                app.router.add_route(method, path, self._handler(key))
        return app

    def _handler(self, key: str) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            given = request.match_info["secret"].encode("utf-8", "backslashreplace")
            if not hmac.compare_digest(self._processor.entry.data[key].encode(), given):
                return web.Response(status=HTTPStatus.NOT_FOUND)
            return await async_handle_push(self._hass, self._processor, request, InboundSource.LISTENER)

        return handle

    @property
    def connections(self) -> list[web.RequestHandler]:
        """The open connections."""
        return self._runner.server.connections if self._runner.server else []

    def _connection(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        return server() if server and len(self.connections) < _MAX_CONNECTIONS else _RejectedConnection()

    @callback
    def _sweep(self, _: datetime) -> None:
        """Cut connections that are open for too long, so that idle ones cannot keep others out."""
        current = set(self.connections)
        for connection in self._old & current:
            if connection.transport is not None:
                connection.transport.abort()
        self._old = current


def _hosts(hass: HomeAssistant) -> list[str] | None:
    """Return the addresses in `server_host` of Home Assistant's `http` settings, None for all addresses."""
    hosts = hass.http.server_host
    # asyncio leaves out a family that this machine lacks, but only if no address is given.
    return None if not hosts or set(hosts) == _ALL_ADDRESSES else hosts


class _RejectedConnection(asyncio.Protocol):
    """A connection above the maximum. It closes at once."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


@web.middleware
async def _one_request_per_connection(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Close the connection after the response."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = web.Response(status=error.status)
    response.force_close()
    return response
