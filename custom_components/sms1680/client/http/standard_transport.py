"""The blocking HTTP transport over the standard library's http.client: without httpx, and with half of its work.

It uses no proxy, not even one of the environment.
"""

import contextlib
import io
import logging
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from http.client import HTTP_PORT, HTTPS_PORT, HTTPConnection, HTTPException, HTTPResponse
from typing import Any, Final
from urllib.parse import urlsplit

from .transport import HEADERS, LONGEST_RESPONSE, Request, Response, Timeouts, TransportError, charset_of

_LOGGER = logging.getLogger(__name__)
_LONGEST_RAW: Final = 4 * LONGEST_RESPONSE  # octets of a whole response, with its headers and the sizes of its chunks
_WRITTEN_AT_ONCE: Final = 16 * 1024  # octets between two checks of the time limit
_IDLE: Final = 5.0  # seconds; gateways close an idle connection, some of them soon
_TIMEOUTS: Final = Timeouts()
_split = lru_cache(maxsize=32)(urlsplit)


class StandardTransport:
    """A blocking transport without httpx, for `Client(carrier=…)`. Several threads can use it.

    timeouts: seconds until connected, and from the end of the request to the end of the response. tls: for a gateway
    with https, None for the certificates of the system.
    """

    def __init__(self, timeouts: Timeouts = _TIMEOUTS, *, tls: ssl.SSLContext | None = None) -> None:
        self._timeouts = timeouts
        self._tls = tls
        self._idle: deque[_StandardConnection] = deque()
        self._is_closed = False

    def exchange(self, request: Request) -> Response | TransportError:
        """Return the response or the error; never raise."""
        parts = _split(request.url) if not request.secret_url else urlsplit(request.url)
        limit = _Limit(self._timeouts)
        connection: _StandardConnection | None = None
        try:
            connection = self._connection(parts.scheme, parts.netloc)
            connection.limit = limit
            path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            connection.request(request.method, path, request.body, dict((*HEADERS, *request.headers)))
            limit.start_response()
            with connection.getresponse() as response:
                answer = _read(response)
            if not response.will_close and connection.is_at_rest() and not self._is_closed:
                self._idle.append(connection)
                connection = None
        except Exception as error:  # noqa: BLE001
            # Log the type only: the error's text can quote the address or the response.
            kind = type(error).__name__
            _LOGGER.debug(
                "No response: %s, the request %s", kind, "may have been sent" if limit.begun else "was not sent"
            )
            return TransportError(begun=limit.begun, detail=kind)
        finally:
            if connection is not None:
                connection.close()
        return answer

    def close(self) -> None:
        """Close all connections."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()

    def _connection(self, scheme: str, netloc: str) -> "_StandardConnection":
        """Return an idle connection that its peer has not closed, or a new one."""
        with contextlib.suppress(IndexError):  # another thread can have taken the last one
            while True:
                connection = self._idle.pop()
                if connection.address == (scheme, netloc) and connection.is_usable():
                    return connection
                connection.close()
        return _StandardConnection(scheme, netloc, self._tls_of(scheme), self._timeouts.connect)

    def _tls_of(self, scheme: str) -> ssl.SSLContext | None:
        if scheme == "http":
            return None
        if scheme != "https":
            raise ValueError("only http and https")
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


class _Limit:
    """The time and size limits of one exchange. begun: an octet of the request may have been sent."""

    def __init__(self, timeouts: Timeouts, clock: Callable[[], float] = time.monotonic) -> None:
        self.begun = False
        self._response = timeouts.response
        self._clock = clock
        self._end = clock() + timeouts.until_sent
        self._left = _LONGEST_RAW

    def start_response(self) -> None:
        """Start the time of the response: the request has been sent."""
        self._end = self._clock() + self._response

    def remaining(self) -> float:
        """Return the seconds left. Raises TimeoutError if none is left."""
        left = self._end - self._clock()
        if left <= 0:
            raise TimeoutError("the exchange took too long")
        return left

    def count(self, octets: int) -> None:
        """Count octets of the response. Raises HTTPException if they are too many."""
        self._left -= octets
        if self._left < 0:
            raise HTTPException("the response is too long")


class _StandardConnection(HTTPConnection):
    """A connection that respects the limit of the exchange that uses it, and never connects again by itself."""

    auto_open = 0
    limit: _Limit
    reader: "_ResponseReader"

    def __init__(self, scheme: str, netloc: str, tls: ssl.SSLContext | None, connect_timeout: float) -> None:
        self.address = scheme, netloc
        self.idle_since = 0.0
        self.default_port = HTTPS_PORT if tls else HTTP_PORT
        super().__init__(netloc, timeout=connect_timeout)
        self.connect()
        if tls is not None:
            try:
                self.sock = tls.wrap_socket(self.sock, server_hostname=self.host)
            except BaseException:
                self.close()
                raise

    def is_at_rest(self) -> bool:
        """Return whether nothing came after the response, which would be taken for the next one."""
        self.idle_since = time.monotonic()
        return not self.reader.had_more

    def is_usable(self) -> bool:
        """Return whether the peer has neither closed the idle connection nor sent anything."""
        return time.monotonic() - self.idle_since < _IDLE and not _is_readable(self.sock)

    def send(self, data: bytes) -> None:  # type: ignore[override]
        """Send a part of the request."""
        for start in range(0, len(data), _WRITTEN_AT_ONCE):
            self.sock.settimeout(self.limit.remaining())
            self.limit.begun = True
            self.sock.sendall(data[start : start + _WRITTEN_AT_ONCE])

    def makefile(self, _mode: str) -> "_ResponseReader":
        """Return what the response is read from."""
        self.reader = _ResponseReader(_RawResponse(self.sock, self.limit))
        return self.reader

    def response_class(self, _sock: object, *, method: str | None = None) -> HTTPResponse:  # type: ignore[override]
        """Return a response that reads from `makefile`."""
        return HTTPResponse(self, method=method)  # type: ignore[arg-type]


class _RawResponse(io.RawIOBase):
    """The octets of a response as they arrive, within the limit."""

    def __init__(self, sock: socket.socket, limit: _Limit) -> None:
        self._socket = sock
        self._limit = limit
        # It keeps the socket open for a response that ends with the connection.
        self._raw = sock.makefile("rb", buffering=0)
        self.has_ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - any writable buffer
        if self.has_ended:
            return None
        self._socket.settimeout(self._limit.remaining())
        octets = self._raw.readinto(buffer)
        self._limit.count(octets or 0)
        return octets

    def close(self) -> None:
        self._raw.close()
        super().close()


class _ResponseReader(io.BufferedReader):
    """The buffer of a response. had_more: octets came after the end of the response."""

    had_more = False

    def close(self) -> None:
        if not self.closed:
            self.raw.has_ended = True  # type: ignore[attr-defined]  # look into the buffer only
            self.had_more = bool(self.peek(1))
        super().close()


def _is_readable(sock: socket.socket) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()  # `select` itself takes no descriptor above 1023
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])


def _read(response: HTTPResponse) -> Response:
    """Return the response with its body. Raises HTTPException if it is cut, too long, or has no clear length."""
    lengths = set(response.headers.get_all("Content-Length", ()))
    announced = response.length
    if not response.chunked and (len(lengths) > 1 or (lengths and announced is None)):
        raise HTTPException("the length is invalid")
    body = b""
    while chunk := response.read(LONGEST_RESPONSE + 1 - len(body)):
        body += chunk
        if len(body) > LONGEST_RESPONSE:
            raise HTTPException("the response is too long")
    if announced is not None and len(body) < announced:
        raise HTTPException("the response is cut")
    return Response(
        response.status,
        body,
        charset_of(response.headers.get("Content-Type", "")),
        complete_length=response.chunked or announced is not None,
    )
