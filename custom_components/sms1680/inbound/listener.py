"""A small HTTP server of our own, for pushes that Home Assistant's server would reject.

Home Assistant answers 400 to a GET whose text contains a line break, a tab, `../` or other patterns, before any handler
runs. The platform pushes by GET. So an account can open its own port, with the same addresses, limits, networks and
trusted proxies, and nothing else. It is off by default.

Real platforms put raw octets and blanks into the address, which HTTP forbids; they are accepted here. A connection from
a network that may not push is refused at once, and connections that send nothing can't keep the others out.
"""

import asyncio
import hmac
import logging
import re
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

from ..client.networks import is_in_networks
from ..const import CONF_NETWORKS, CONF_PUSH_SECRET, PUSH_PATH
from .http_handler import async_handle_push
from .models import InboundSource
from .receiver import InboundProcessor

_WEBHOOK_PATH = "/api/webhook/{secret}"
_MAX_LINE_SIZE = 24 * 1024  # about Home Assistant's own; the maximum size of a push is smaller
_MAX_CONNECTIONS = 64
_MAX_PER_ADDRESS = 32  # not for trusted proxies, which speak for many
_BACKLOG = 64
_HEAD_TIME = 5.0  # seconds until a connection has sent the head of its request
_CONNECTION_TIME = timedelta(seconds=20)  # a connection serves one request, and is cut after one to two of these
_MAX_HEAD_SIZE = 2 * _MAX_LINE_SIZE
_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) +(/.*?) +(HTTP/1\.[01])\Z", re.DOTALL)
# What an address can't contain: control characters, blanks, octets above ASCII, and the mark of a fragment.
_FORBIDDEN = re.compile(rb"[\x00-\x20#\x7f-\xff]")
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
        self._waiting: dict[_PushConnection, None] = {}  # the oldest first
        self._old: set[_PushConnection | web.RequestHandler] = set()
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
        for connection in list(self._waiting):
            connection.cut()
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
    def connections(self) -> "list[_PushConnection | web.RequestHandler]":
        """The open connections: those that wait for the head of their request, and those whose request runs."""
        return [*self._waiting, *(self._runner.server.connections if self._runner.server else ())]

    def _connection(self) -> asyncio.BaseProtocol:
        return _PushConnection(self)

    def admit(self, connection: "_PushConnection") -> bool:
        """Return whether a new connection may stay. It may push, and there is room for it."""
        address = connection.address
        proxy = is_in_networks(address, self._hass.http.trusted_proxies)
        networks = self._processor.entry.options.get(CONF_NETWORKS)
        if networks and not proxy and not is_in_networks(address, networks):
            self._processor.warn("forbidden", "Rejected a connection from a network that may not push")
            return False
        same = [other for other in self.connections if _address(other.transport) == address]
        if len(same) >= _MAX_PER_ADDRESS and not proxy and not self._make_room(address):
            return False
        if len(self.connections) >= _MAX_CONNECTIONS and not self._make_room(None):
            return False
        self._waiting[connection] = None
        return True

    def _make_room(self, address: str | None) -> bool:
        """Cut the oldest connection that has sent no request yet. address: of this address, None for any."""
        for connection in self._waiting:
            if address in (None, connection.address):
                connection.cut()
                return True
        return False

    def start_request(self, connection: "_PushConnection") -> web.RequestHandler | None:
        """Return the handler of a connection whose head has arrived."""
        self.forget(connection)
        return self._runner.server() if self._runner.server else None

    def forget(self, connection: "_PushConnection") -> None:
        """Forget a connection that waits no longer."""
        self._waiting.pop(connection, None)

    @callback
    def _sweep(self, _: datetime) -> None:
        """Cut connections that are open for too long, so that idle ones cannot keep others out."""
        current = set(self.connections)
        for connection in self._old & current:
            if connection.transport is not None:
                connection.transport.abort()
        self._old = current


def _address(transport: asyncio.BaseTransport | None) -> str:
    name = transport.get_extra_info("peername") if transport is not None else None
    return str(name[0]) if name else ""


def repair_head(head: bytes) -> bytes:
    """Return the head of a request with an address that the standard allows: forbidden octets are percent-encoded."""
    line, end, headers = head.partition(b"\r\n")
    if not (found := _REQUEST_LINE.match(line)):
        return head
    address = _FORBIDDEN.sub(lambda octet: b"%%%02X" % octet[0][0], found[2])
    return b" ".join((found[1], address, found[3])) + end + headers


class _PushConnection(asyncio.Protocol):
    """A connection until the head of its request has arrived. Then it belongs to aiohttp."""

    def __init__(self, listener: Listener) -> None:
        self.transport: asyncio.Transport | None = None
        self.address = ""
        self._listener = listener
        self._head = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio passes no other kind to a Protocol
        self.transport, self.address = transport, _address(transport)
        if not self._listener.admit(self):
            transport.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(_HEAD_TIME, self.cut)

    @override
    def data_received(self, data: bytes) -> None:
        start = max(0, len(self._head) - 3)
        self._head += data
        end = self._head.find(b"\r\n\r\n", start)
        if end < 0:
            if len(self._head) > _MAX_HEAD_SIZE:
                self.cut()
            return
        self._stop()
        handler = self._listener.start_request(self)
        if handler is None or self.transport is None or self.transport.is_closing():
            self.cut()
            return
        self.transport.set_protocol(handler)
        handler.connection_made(self.transport)
        handler.data_received(repair_head(bytes(self._head[:end])) + bytes(self._head[end:]))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()

    def cut(self) -> None:
        """Close the connection at once."""
        self._stop()
        if self.transport is not None:
            self.transport.abort()

    def _stop(self) -> None:
        self._listener.forget(self)
        if self._timer is not None:
            self._timer.cancel()


def _hosts(hass: HomeAssistant) -> list[str] | None:
    """Return the addresses in `server_host` of Home Assistant's `http` settings, None for all addresses."""
    hosts = hass.http.server_host
    # asyncio leaves out a family that this machine lacks, but only if no address is given.
    return None if not hosts or set(hosts) == _ALL_ADDRESSES else hosts


@web.middleware
async def _one_request_per_connection(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Close the connection after the response."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = web.Response(status=error.status)
    response.force_close()
    return response
