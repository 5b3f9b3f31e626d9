"""The HTTP transports over httpx. No other module imports httpx.

A transport never raises. It returns a `Response` or a `TransportError`, which says whether the request has begun.

The whole response must arrive within the response timeout, counted from the end of the request. httpx itself limits
only the time between two reads, so a gateway that sends an octet at a time could hold a call forever.
"""

import asyncio
import logging
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, closing, contextmanager
from functools import lru_cache
from typing import Any, Final, Protocol, cast

import httpx

from ..errors import InvalidSettingError
from .announcement import Announcement, Beginning, NotAnnouncedError
from .transport import HEADERS, LONGEST_RESPONSE, Request, Response, Timeouts, TransportError, charset_of

_LOGGER = logging.getLogger(__name__)

# Measured: after each of these errors, no octet of the request was sent.
_NOT_BEGUN = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    httpx.ProxyError,
)

# The events of httpcore's `trace` extension, without the name of the part that reports them.
_STARTS: Final = ".send_request_headers.started"
_SENT: Final = ".send_request_body.complete"
_CONNECTED: Final = (".connect_tcp.complete", ".start_tls.complete")
_LONGEST_RAW: Final = 4 * LONGEST_RESPONSE  # octets of a whole response, with its headers and the sizes of its chunks
_WRITTEN_AT_ONCE: Final = 16 * 1024  # octets between two checks of the time limit


class _QuietURL(httpx.URL):
    """A URL without its query in logs: httpx logs the URL of each request at INFO."""

    def __str__(self) -> str:
        return super().__str__().partition("?")[0]

    __repr__ = __str__


def _without_reason(record: logging.LogRecord) -> bool:
    """Leave the reason phrase out of what httpx logs at INFO: a gateway can echo the request in it."""
    args = record.args
    if isinstance(args, tuple) and len(args) == 5 and isinstance(args[1], _QuietURL):
        record.args = (*args[:4], "")
    return True


_CHUNK_SIZE: Final = re.compile(rb"([0-9a-fA-F]+)(?:;[^\r\n]*)?\r\n")
_url = lru_cache(maxsize=32)(_QuietURL)
logging.getLogger("httpx").addFilter(_without_reason)


class HttpxTransport:
    """A blocking transport. Raises InvalidSettingError for an invalid proxy or TLS setting."""

    def __init__(self, timeouts: Timeouts, *, proxy: str | None = None, verify: bool = True) -> None:
        self._timeouts = timeouts
        self._timeout = _httpx_timeout(timeouts)
        with _checked_settings():
            self._client = httpx.Client(timeout=self._timeout, proxy=proxy, verify=verify, follow_redirects=False)
        self._transport_of: Callable[[httpx.URL], httpx.BaseTransport] | None = _choice_of_transport(self._client)

    def exchange(self, request: Request) -> Response | TransportError:
        """Return the response or the error; never raise."""
        limit = _LIMITS.limit = _TimeLimit(self._timeouts)
        try:
            built = _build(request, self._timeout, limit.on_event)
            with closing(self._send(built)) as response:
                body = _Octets(LONGEST_RESPONSE)
                for chunk in cast("httpx.SyncByteStream", response.stream):
                    body.add(chunk)
                if _had_more(response, body.octets):
                    response.extensions["network_stream"].close()
        except Exception as error:  # noqa: BLE001
            return _transport_error(error, begun=limit.begun)
        return _response(response, body.octets)

    def _send(self, built: httpx.Request) -> httpx.Response:
        if self._transport_of is not None:
            return self._transport_of(built.url).handle_request(built)
        return self._client.send(built, stream=True, auth=None, follow_redirects=False)

    def close(self) -> None:
        """Close the client."""
        self._client.close()


class AsyncHttpxTransport:
    """An asyncio transport. Raises InvalidSettingError for an invalid proxy or TLS setting.

    client: a client to use instead of a new one; it is not closed.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        client: httpx.AsyncClient | None = None,
        *,
        proxy: str | None = None,
        verify: bool = True,
    ) -> None:
        self._timeouts = timeouts
        self._timeout = _httpx_timeout(timeouts)
        self._owns_client = client is None
        with _checked_settings():
            self._client = client or httpx.AsyncClient(
                timeout=self._timeout, proxy=proxy, verify=verify, follow_redirects=False
            )
        self._transport_of: Callable[[httpx.URL], httpx.AsyncBaseTransport] | None = _choice_of_transport(self._client)

    async def exchange(self, request: Request, announcement: Announcement | None = None) -> Response | TransportError:
        """Return the response or the error; never raise.

        announcement: is made once the request has its connection, before its first octet is written.
        """
        beginning = Beginning(announcement)
        try:
            async with asyncio.timeout(self._timeouts.until_sent) as limit:
                if not self._reports_events(request):
                    await beginning.begin()

                async def on_event(name: str, info: dict[str, Any]) -> None:
                    if name.endswith(_STARTS) and not _is_for_proxy(info):
                        await beginning.begin()
                    elif name.endswith(_SENT):
                        limit.reschedule(asyncio.get_running_loop().time() + self._timeouts.response)
                    elif name.endswith(_CONNECTED):
                        _limit_async_stream(info["return_value"])

                async with aclosing(await self._send(_build(request, self._timeout, on_event))) as response:
                    return await _read(response)
        except asyncio.CancelledError:
            # Only the shutdown of the event loop cancels this. The request may have been sent.
            return TransportError(begun=beginning.begun, detail="cancelled")
        except TimeoutError:
            return _transport_error(httpx.ReadTimeout("the response took too long"), begun=beginning.begun)
        except Exception as error:  # noqa: BLE001
            return _transport_error(error, begun=beginning.begun)

    async def _send(self, built: httpx.Request) -> httpx.Response:
        if self._owns_client and self._transport_of is not None:  # a caller's client can have event hooks
            return await self._transport_of(built.url).handle_async_request(built)
        return await self._client.send(built, stream=True, auth=None, follow_redirects=False)

    def _reports_events(self, request: Request) -> bool:
        """Return whether the events of httpcore will arrive. A caller's client with another transport has none."""
        if self._owns_client:
            return True
        transport = self._transport_of(_url(request.url)) if self._transport_of is not None else None
        return isinstance(transport, httpx.AsyncHTTPTransport)

    async def aclose(self) -> None:
        """Close the client unless the caller owns it."""
        if self._owns_client:
            await self._client.aclose()


def _choice_of_transport(client: httpx.Client | httpx.AsyncClient) -> Any:  # noqa: ANN401 - one type for each client
    """Return the client's private choice of a transport, by proxies and schemes. None if this httpx has none.

    The client's own way would read cookies and look for redirects after each response, which costs more than our whole
    client.
    """
    return getattr(client, "_transport_for_url", None)


def _is_for_proxy(info: dict[str, Any]) -> bool:
    """Return whether the request that starts is the CONNECT for a proxy."""
    return bool(info["request"].method == b"CONNECT")


@contextmanager
def _checked_settings() -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise InvalidSettingError(
            'a SOCKS proxy needs the Python package socksio: pip install "sms1680[socks]"',
            'SOCKS 代理需要 Python 软件包 `socksio`：`pip install "sms1680[socks]"`',
        ) from None
    except (httpx.InvalidURL, ValueError, TypeError, OSError) as error:
        kind = type(error).__name__  # the type only: a proxy address can contain a password
        raise InvalidSettingError(
            f"the proxy or TLS setting is invalid ({kind})", f"代理或 TLS 设置无法使用（`{kind}`）"
        ) from None


def _httpx_timeout(timeouts: Timeouts) -> httpx.Timeout:
    return httpx.Timeout(timeouts.response, connect=timeouts.connect, pool=timeouts.connect)


class _Stream(Protocol):
    """The part of httpcore's network streams that is replaced, and what a stream received since the last request."""

    read: Callable[..., Any]
    write: Callable[..., Any]
    received: "_Octets"


class _TimeLimit:
    """The time limit of one blocking exchange."""

    def __init__(self, timeouts: Timeouts, clock: Callable[[], float] = time.monotonic) -> None:
        self.begun = False
        self._response = timeouts.response
        self._clock = clock
        self._end = clock() + timeouts.until_sent

    def on_event(self, name: str, info: dict[str, Any]) -> None:
        """Start the time of the response after the request, and limit a new connection."""
        if name.endswith(_STARTS):
            self.begun = self.begun or not _is_for_proxy(info)
        elif name.endswith(_SENT):
            self._end = self._clock() + self._response
        elif name.endswith(_CONNECTED):
            _limit_stream(info["return_value"])

    def remaining(self, timeout: float | None) -> float:
        """Return the seconds left, at most `timeout`. Raises httpx.ReadTimeout if none is left."""
        left = self._end - self._clock()
        if left <= 0:
            raise httpx.ReadTimeout("the response took too long")
        return left if timeout is None else min(left, timeout)


class _Limits(threading.local):
    """The time limit of the exchange that runs in this thread. A connection serves one exchange at a time."""

    limit: _TimeLimit


_LIMITS: Final = _Limits()


def _limit_stream(stream: _Stream) -> None:
    """Make a connection's stream respect the limits of the exchange that uses it."""
    read, write = stream.read, stream.write
    received = stream.received = _Octets(_LONGEST_RAW)

    def read_in_time(max_bytes: int, timeout: float | None = None) -> bytes:
        octets: bytes = read(max_bytes, _LIMITS.limit.remaining(timeout))
        received.add(octets)
        return octets

    def write_in_time(buffer: bytes, timeout: float | None = None) -> None:
        received.clear()
        for start in range(0, len(buffer), _WRITTEN_AT_ONCE):
            write(buffer[start : start + _WRITTEN_AT_ONCE], _LIMITS.limit.remaining(timeout))

    stream.read, stream.write = read_in_time, write_in_time


def _limit_async_stream(stream: _Stream) -> None:
    """Make a connection's asyncio stream respect the size limit. The time limit is in `exchange`."""
    read, write = stream.read, stream.write
    received = stream.received = _Octets(_LONGEST_RAW)

    async def read_limited(max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's face
        octets: bytes = await read(max_bytes, timeout)
        received.add(octets)
        return octets

    def write_limited(buffer: bytes, timeout: float | None = None) -> Awaitable[None]:
        received.clear()
        return cast("Awaitable[None]", write(buffer, timeout))

    stream.read, stream.write = read_limited, write_limited


class _Octets:
    """Octets limited in number."""

    def __init__(self, limit: int) -> None:
        self.octets = b""
        self._limit = limit

    def add(self, chunk: bytes) -> None:
        self.octets += chunk
        if len(self.octets) > self._limit:
            raise httpx.ReadError("the response is too long")

    def clear(self) -> None:
        self.octets = b""


def _had_more(response: httpx.Response, body: bytes) -> bool:
    """Return whether octets came after this response. httpcore would take them for the next response.

    Also True if that is not certain, as after an interim response.
    """
    received: _Octets | None = getattr(response.extensions.get("network_stream"), "received", None)
    if received is None:  # a connection of the caller's client
        return False
    rest = received.octets.partition(b"\r\n\r\n")[2]
    if "transfer-encoding" not in response.headers:
        return rest != body
    while chunk := _CHUNK_SIZE.match(rest):
        octets, rest = int(chunk[1], 16), rest[chunk.end() :]
        if not octets:
            return rest != b"\r\n"
        rest = rest[octets + 2 :]
    return True


@lru_cache(maxsize=8)
def _headers(own: tuple[tuple[str, str], ...]) -> httpx.Headers:
    """Return the headers of a request, which httpx copies."""
    return httpx.Headers([*HEADERS, *own])


def _build(request: Request, timeout: httpx.Timeout, on_event: Callable[..., object]) -> httpx.Request:
    """Build the request without the client, whose merging of headers and URLs is the largest cost of a request."""
    url = _url(request.url) if not request.secret_url else _QuietURL(request.url)
    built = httpx.Request(
        request.method,
        url,
        headers=_headers(request.headers),
        content=request.body,
        extensions={"timeout": timeout.as_dict(), "trace": on_event},
    )
    built.url = url  # httpx replaced it with a plain URL
    return built


async def _read(response: httpx.Response) -> Response:
    body = _Octets(LONGEST_RESPONSE)
    async for chunk in cast("httpx.AsyncByteStream", response.stream):
        body.add(chunk)
    if _had_more(response, body.octets):
        await response.extensions["network_stream"].aclose()
    return _response(response, body.octets)


def _response(response: httpx.Response, body: bytes) -> Response:
    headers = response.headers
    return Response(
        response.status_code,
        body,
        charset_of(headers.get("content-type", "")),
        complete_length="content-length" in headers or "transfer-encoding" in headers,
    )


def _transport_error(error: Exception, *, begun: bool) -> TransportError:
    begun = begun and not isinstance(error, (*_NOT_BEGUN, NotAnnouncedError))
    # Log the type only: the error's text can quote the address.
    kind = type(error).__name__
    _LOGGER.debug("No response: %s, the request %s", kind, "may have been sent" if begun else "was not sent")
    return TransportError(begun=begun, detail=kind)
