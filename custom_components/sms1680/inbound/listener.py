"""An own small HTTP listener for pushes, for those that Home Assistant's own server refuses.

Before any handler of ours is asked, Home Assistant answers 400 to a GET whose text has a line break, a tab, `../` and
more; the platform pushes by GET. So an account may have a port of its own: the same addresses, limits and networks, the
same trusted proxies, and nothing else. Off by default.
"""

from __future__ import annotations

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
from .http_handler import async_answer
from .receiver import Receiver, Way

_WEBHOOK_PATH = "/api/webhook/{secret}"
_LONGEST_LINE = 24 * 1024  # about Home Assistant's own; the limit of a push lies below
_MOST_CONNECTIONS = 64
_BACKLOG = 16  # as many may come at once before the first of them is counted
_CONNECTION_TIME = timedelta(seconds=20)  # a connection carries one request, and is cut after one or two such times
_CLOSING_TIME = 1.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Listener:
    """A port of one account. `port` is the one that it is to be open on."""

    def __init__(self, hass: HomeAssistant, receiver: Receiver, port: int) -> None:
        self.port = port
        self._hass = hass
        self._receiver = receiver
        self._runner = web.AppRunner(
            self._application(),
            access_log=None,
            # Not one of logging's tree: what aiohttp says of a request that it can't read quotes it.
            logger=logging.Logger(f"{__name__}.http", logging.CRITICAL),  # noqa: LOG001
            handler_cancellation=True,
            max_line_size=_LONGEST_LINE,
            shutdown_timeout=_CLOSING_TIME,
        )
        self._server: asyncio.Server | None = None
        self._old: set[web.RequestHandler] = set()
        self._stop_sweeping: CALLBACK_TYPE | None = None

    async def async_open(self) -> None:
        """Open the port, on all addresses of this machine.

        Raises OSError: it can't be opened.
        """
        await self._runner.setup()
        try:
            self._server = await self._hass.loop.create_server(self._connection, None, self.port, backlog=_BACKLOG)
        except OSError:
            await self._runner.cleanup()
            raise
        self._stop_sweeping = async_track_time_interval(self._hass, self._sweep, _CONNECTION_TIME)

    async def async_close(self) -> None:
        """Close the port; what is under way has a second to end."""
        if self._server is not None:
            self._server.close()
        if self._stop_sweeping is not None:
            self._stop_sweeping()
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[_one_request_each])
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
            if not hmac.compare_digest(self._receiver.entry.data[key].encode(), given):
                return web.Response(status=HTTPStatus.NOT_FOUND)
            return await async_answer(self._hass, self._receiver, request, Way.LISTENER)

        return handle

    @property
    def connections(self) -> list[web.RequestHandler]:
        """The connections that are open."""
        return self._runner.server.connections if self._runner.server else []

    def _connection(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        return server() if server and len(self.connections) < _MOST_CONNECTIONS else _Closed()

    @callback
    def _sweep(self, _: datetime) -> None:
        """Cut connections that are open for too long: whoever holds one without a word must not keep others out."""
        present = set(self.connections)
        for connection in self._old & present:
            if connection.transport is not None:
                connection.transport.abort()
        self._old = present


class _Closed(asyncio.Protocol):
    """What is one connection too many."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


@web.middleware
async def _one_request_each(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Close the connection behind the answer."""
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        response = web.Response(status=refusal.status)
    response.force_close()
    return response
