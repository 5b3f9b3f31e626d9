"""Open the connection to the gateway: directly, or through the tunnel of a proxy."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .client_settings import CMPPSettings, OpenTransport, TLSSetting
from .proxy import ConnectAnswer, ConnectRequest, ProxyError, ProxyProblem, read_proxy

_Make = Callable[[], asyncio.Protocol]


def open_transport(host: str, port: int, settings: CMPPSettings) -> OpenTransport:
    """Return a function that connects to the gateway as the settings want. Raises InvalidSettingError."""
    if settings.proxy:
        return open_tunnel(settings.proxy, host, port, settings.tls, timeout=settings.connect_timeout)
    return open_tcp(host, port, settings.tls)


def open_tcp(host: str, port: int, tls: TLSSetting) -> OpenTransport:
    """Return a function that opens a TCP connection, with TLS if requested."""
    context = _context(tls)  # reads files, so not while connecting

    async def connect(make: _Make) -> object:
        return await _connect(make, host, port, context)

    return connect


def open_tunnel(proxy: str, host: str, port: int, tls: TLSSetting, *, timeout: float) -> OpenTransport:
    """Return a function that opens a connection through a proxy, with TLS to the gateway if requested.

    proxy: the address of an HTTP proxy, http or https. timeout: seconds until the proxy is reached, and again until it
    has answered. Raises InvalidSettingError. The function raises ProxyError for everything that the proxy is at fault
    for, and the errors of TLS for the gateway.
    """
    address = read_proxy(proxy)
    request = ConnectRequest(address, host, port)
    outer, inner = _context(True if address.tls else None), _context(tls)

    async def connect(make: _Make) -> object:
        loop = asyncio.get_running_loop()
        opening = _Opening(request.answer())
        try:
            with _at_fault(ProxyProblem.UNREACHABLE):
                async with asyncio.timeout(timeout):
                    await _connect(lambda: opening, address.host, address.port, outer)
            with _at_fault(ProxyProblem.NO_ANSWER):
                async with asyncio.timeout(timeout):
                    await opening.ask(request.octets)
            if inner is not None:
                opening.transport = await loop.start_tls(
                    opening.transport, opening, inner, server_hostname=request.host
                )
            return opening.hand_over(make)
        finally:
            opening.abort()

    return connect


@contextmanager
def _at_fault(problem: ProxyProblem) -> Iterator[None]:
    """Raise ProxyError with this problem for a failed connection, and for a host that is no valid name."""
    try:
        yield
    except ProxyError:
        raise
    except (OSError, ValueError):  # TimeoutError is an OSError
        raise ProxyError(problem) from None


def _context(tls: TLSSetting) -> ssl.SSLContext | None:
    return ssl.create_default_context() if tls is True else tls


async def _connect(make: _Make, host: str, port: int, context: ssl.SSLContext | None) -> object:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, asyncio.BaseEventLoop):  # uvloop does not know happy eyeballs
        return await loop.create_connection(make, host, port, ssl=context)
    return await loop.create_connection(make, host, port, ssl=context, happy_eyeballs_delay=0.25)


class _Opening(asyncio.Protocol):
    """A connection to a proxy until its tunnel is open. Then it belongs to another protocol."""

    def __init__(self, answer: ConnectAnswer) -> None:
        self.transport: Any = None  # an asyncio.Transport, None without a connection
        self._answer = answer
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Read the answer. Octets after it belong to nobody."""
        if self._opened.done():
            self._fail(ProxyError(ProxyProblem.NOT_UNDERSTOOD))
            return
        try:
            if self._answer.receive(data):
                self._opened.set_result(None)
        except ProxyError as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the cause makes no difference
        """Fail if the tunnel is not open."""
        self._fail(ProxyError(ProxyProblem.NO_ANSWER))

    async def ask(self, octets: bytes) -> None:
        """Send the request and return when the tunnel is open. Raise ProxyError if it will not open."""
        if self.transport is not None:
            self.transport.write(octets)
        await self._opened

    def hand_over(self, make: _Make) -> object:
        """Give the open connection to another protocol. Raise ProxyError if it was lost."""
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ProxyError(ProxyProblem.NO_ANSWER)
        self.transport = None
        protocol = make()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        return transport, protocol

    def abort(self) -> None:
        """Cut the connection unless another protocol has it."""
        if self.transport is not None:
            self.transport.abort()
            self.transport = None
        if not self._opened.cancel() and not self._opened.cancelled():
            self._opened.exception()  # asyncio logs an exception that nobody reads

    def _fail(self, error: ProxyError) -> None:
        if not self._opened.done():
            self._opened.set_exception(error)
        elif self.transport is not None:
            self.transport.abort()
