"""The core's transport on top of the library requests, a dependency of Apprise, so that every host behaves alike.

An exchange ends at its time limit even if a name server hangs or a response trickles in. Its connection is then cut,
so that its thread ends too. A thread in a name lookup can't be stopped; it sends nothing after the lookup.
"""

import contextlib
import http.client
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import requests
from requests.adapters import HTTPAdapter

from .core import LONGEST_RESPONSE, USER_AGENT, Request, Response, Timeouts, TransportError, charset_of

if TYPE_CHECKING:
    from urllib3 import HTTPConnectionPool, PoolManager
    from urllib3.connection import HTTPConnection as _Connection
    from urllib3.response import HTTPResponse
else:
    _Connection = object

_LOGGER = logging.getLogger(__name__)
_CHUNK = 4096
_END_OF_THREAD = 1.0  # seconds; a thread ends within this time after the cut of its connection


class RequestsTransport:
    """A transport that opens one connection for each exchange.

    timeouts: seconds to connect, and seconds from the end of the request to the end of the response. verify: whether
    to verify TLS certificates. until: the time on `clock` at which any exchange ends.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        *,
        verify: bool = True,
        until: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeouts = timeouts
        self._verify = verify
        self._until = until
        self._clock = clock

    def exchange(self, request: Request) -> Response | TransportError:
        """Return the response, or the failure. Never raises."""
        if request.secret_url or request.method != "POST":
            # urllib3 logs the URL of each request.
            return TransportError(begun=False, detail="RefusedMethod")
        remaining = self._until - self._clock()
        if remaining <= 0:
            return TransportError(begun=False, detail="TimeLimit")
        exchange = _Exchange()
        worker = threading.Thread(
            target=lambda: exchange.end(self._post(request, exchange, remaining)), name="sms1680-exchange", daemon=True
        )
        try:
            worker.start()
        except RuntimeError as error:  # the thread limit is reached, or the interpreter is shutting down
            return _failure(error, begun=False)
        result = exchange.wait(remaining, self._timeouts.response)
        worker.join(_END_OF_THREAD)
        return result

    def close(self) -> None:
        """Do nothing: each connection is closed at the end of its exchange."""

    def _post(self, request: Request, exchange: "_Exchange", seconds: float) -> Response | TransportError:
        try:
            with requests.Session() as session:
                adapter = _Adapter(exchange)
                session.mount("http://", adapter)
                session.mount("https://", adapter)
                response = session.post(
                    request.url,
                    data=request.body,
                    headers={
                        "User-Agent": USER_AGENT,
                        "Accept": "text/plain",
                        "Accept-Encoding": "identity",
                        **dict(request.headers),
                    },
                    auth=_no_auth,
                    timeout=(min(self._timeouts.connect, seconds), min(self._timeouts.response, seconds)),
                    verify=self._verify,
                    allow_redirects=False,
                    stream=True,
                )
                return _read(response)
        except Exception as error:  # noqa: BLE001
            return _failure(error, begun=exchange.begun)


class _StoppedError(Exception):
    """The exchange has ended; its thread must not send anything anymore."""


class _Exchange:
    """The state that the thread of an exchange shares with the thread that waits for it.

    begun: whether the gateway has possibly received an octet of the request.
    """

    def __init__(self) -> None:
        self.begun = False
        self._lock = threading.Lock()
        self._stopped = False
        self._connection: _Connection | None = None
        self._socket: object = None
        self._queue: queue.SimpleQueue[Response | TransportError | None] = queue.SimpleQueue()

    # --- in the thread of the exchange ---

    def watch(self, connection: "_Connection") -> None:
        """Cut this connection if the exchange is stopped."""
        self._connection = connection

    def check(self, *, begins: bool) -> None:
        """Raise _StoppedError if the exchange has ended. begins: the next octets belong to the request."""
        with self._lock:
            if self._stopped:
                raise _StoppedError
            self.begun = self.begun or begins

    def mark_sent(self, sock: object) -> None:
        """Record that the request has been sent over this socket, and start the time of the response."""
        self._socket = sock
        self.check(begins=True)
        self._queue.put(None)

    def end(self, result: Response | TransportError) -> None:
        """Return the result to the thread that waits."""
        self._queue.put(result)

    # --- in the thread that waits ---

    def wait(self, seconds: float, response_seconds: float) -> Response | TransportError:
        """Return the result. Stop the exchange after `seconds`, or `response_seconds` after the end of the request."""
        until = time.monotonic() + seconds
        late = "TimeLimit"
        while True:
            try:
                result = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return TransportError(begun=self._stop(), detail=late)
            if result is not None:
                return result
            response_until = time.monotonic() + response_seconds
            if response_until < until:
                until, late = response_until, "ReadTimeout"

    def _stop(self) -> bool:
        """Cut the connection. Return False if the request certainly was not sent."""
        with self._lock:
            self._stopped = True
        sock = self._socket or getattr(self._connection, "sock", None)
        sock = getattr(sock, "socket", sock)  # of TLS inside TLS
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):
                # Closing would not wake a thread that reads, and the method of a TLS socket is not for two threads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        return self.begun


class _HTTPResponse(http.client.HTTPResponse):
    """A response without the traces of broken headers: urllib3 would quote them in a warning, with all they echo."""

    def begin(self) -> None:
        super().begin()
        self.headers.defects.clear()
        self.headers.set_payload("")


class _TrackedConnection(_Connection):
    """The part of a connection that reports to its exchange."""

    exchange: ClassVar[_Exchange]
    response_class = _HTTPResponse
    _connecting = False

    def connect(self) -> None:
        self.exchange.watch(self)
        self._connecting = True
        try:
            super().connect()
        finally:
            self._connecting = False

    def send(self, data: bytes) -> None:  # type: ignore[override]
        if self.sock is None:
            self.connect()
        self.exchange.check(begins=not self._connecting)  # while connecting, it is for a proxy
        super().send(data)

    def getresponse(self) -> "HTTPResponse":  # type: ignore[override]
        self.exchange.mark_sent(self.sock)
        return super().getresponse()


class _Adapter(HTTPAdapter):
    """An adapter whose connections report to an exchange."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._track(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> "PoolManager":
        return self._track(super().proxy_manager_for(*args, **kwargs))

    def _track(self, manager: "PoolManager") -> "PoolManager":
        manager.pool_classes_by_scheme = {
            scheme: self._tracked(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
        }
        return manager

    def _tracked(self, pool: "type[HTTPConnectionPool]") -> "type[HTTPConnectionPool]":
        connection = type("Connection", (_TrackedConnection, pool.ConnectionCls), {"exchange": self._exchange})
        return type("Pool", (pool,), {"ConnectionCls": connection})


def _no_auth(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    """Prevent requests from reading a password for the host from the user's .netrc."""
    return prepared


def _read(response: requests.Response) -> Response | TransportError:
    body = b""
    with response:
        for chunk in response.raw.stream(_CHUNK, decode_content=False):
            body += chunk
            if len(body) > LONGEST_RESPONSE:
                return TransportError(begun=True, detail="AnswerTooLong")
    announced, is_chunked = response.headers.get("Content-Length", ""), "Transfer-Encoding" in response.headers
    if announced and not is_chunked and not (announced.isdecimal() and len(body) == int(announced)):
        return TransportError(begun=True, detail="AnswerCut")  # urllib3 checks only a valid length, 1.26 none
    return Response(
        response.status_code,
        body,
        charset_of(response.headers.get("Content-Type", "")),
        complete_length=bool(announced) or is_chunked,
    )


def _failure(error: Exception, *, begun: bool) -> TransportError:
    # Only the type: the text of an error may quote the URL.
    kind = type(error).__name__
    _LOGGER.debug("No response: %s; the request %s", kind, "may have been sent" if begun else "was not sent")
    return TransportError(begun=begun, detail=kind)
