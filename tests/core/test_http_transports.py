"""Real failures of both HTTP transports: certainly not sent, or possibly sent."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from sms1680 import InvalidSettingError
from sms1680.http.httpx_transport import AsyncHttpxTransport, HttpxTransport
from sms1680.http.transport import LONGEST_RESPONSE, Request, Response, Timeouts, TransportError
from sms1680.sandbox import SandboxThread

FORM = (("Content-Type", "application/x-www-form-urlencoded"),)
SHORT = Timeouts(connect=0.3, response=0.3)

Exchange = Callable[..., Response | TransportError]


def post(base: str) -> Request:
    return Request("POST", f"{base}/sendXSms.do", b"mobile=1", FORM)


def blocking(request: Request, **settings: Any) -> Response | TransportError:
    carrier = HttpxTransport(SHORT, **settings)
    try:
        return carrier.exchange(request)
    finally:
        carrier.close()


def looping(request: Request, **settings: Any) -> Response | TransportError:
    async def run() -> Response | TransportError:
        carrier = AsyncHttpxTransport(SHORT, **settings)
        try:
            return await carrier.exchange(request)
        finally:
            await carrier.aclose()

    return asyncio.run(run())


@pytest.fixture(params=[blocking, looping], ids=["blocking", "asyncio"])
def exchange(request: pytest.FixtureRequest) -> Exchange:
    return request.param  # type: ignore[no-any-return]


class Peer:
    """A server that reads a request, sends a fixed response, and closes the connection or stays silent."""

    def __init__(self, says: bytes | None, *, stays: bool = False) -> None:
        self.heard = b""
        self.called = threading.Event()
        self._says = says
        self._stays = stays
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self._open.append(connection)
                if self._says is None:
                    continue
                self.heard += connection.recv(65536)
                self.called.set()
                with contextlib.suppress(OSError):
                    connection.sendall(self._says)
                if not self._stays:
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):  # closing on unread octets would reset instead of ending
                        pass
                    connection.close()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._open:
            connection.close()
        self._thread.join(5)


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    with contextlib.ExitStack() as stack:

        def made(says: bytes | None, *, stays: bool = False) -> Peer:
            made_peer = Peer(says, stays=stays)
            stack.callback(made_peer.close)
            return made_peer

        yield made


def closed() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_refused_connection_sends_nothing(exchange: Exchange) -> None:
    assert exchange(post(closed())) == TransportError(begun=False, detail="ConnectError")


def test_unknown_host_name_sends_nothing(exchange: Exchange) -> None:
    assert exchange(post("http://platform.invalid")) == TransportError(begun=False, detail="ConnectError")


def test_failed_tls_handshake_sends_nothing(exchange: Exchange, box: SandboxThread) -> None:
    assert exchange(post(box.url.replace("http", "https"))) == TransportError(begun=False, detail="ConnectError")


def test_silent_tls_handshake_sends_nothing(exchange: Exchange, peer: Callable[..., Peer]) -> None:
    silent = peer(None)
    assert exchange(post(silent.url.replace("http", "https"))) == TransportError(begun=False, detail="ConnectTimeout")


def test_refusing_proxy_sends_nothing(exchange: Exchange, peer: Callable[..., Peer]) -> None:
    proxy = peer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    came = exchange(post("https://platform.invalid"), proxy=proxy.url)
    assert came == TransportError(begun=False, detail="ProxyError")
    assert proxy.heard.startswith(b"CONNECT")


@pytest.mark.parametrize("stays", [False, True])
def test_proxy_without_an_answer_sends_nothing(exchange: Exchange, peer: Callable[..., Peer], *, stays: bool) -> None:
    proxy = peer(b"", stays=stays)
    came = exchange(post("https://platform.invalid"), proxy=proxy.url)
    assert isinstance(came, TransportError)
    assert not came.begun
    assert proxy.heard.startswith(b"CONNECT")


@pytest.mark.parametrize(
    ("says", "stays"),
    [(b"", False), (b"", True), (b"\x05\xff", False), (b"\x05\x00\x05\x02", True), (b"HTTP/1.1", False)],
)
def test_failing_socks_proxy_sends_nothing(
    exchange: Exchange, peer: Callable[..., Peer], *, says: bytes, stays: bool
) -> None:
    pytest.importorskip("socksio")
    proxy = peer(says, stays=stays)
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):  # httpcore leaves the socket to Python
        came = exchange(post("http://platform.invalid"), proxy=proxy.url.replace("http", "socks5"))
        gc.collect()
    assert isinstance(came, TransportError)
    assert not came.begun
    assert proxy.heard.startswith(b"\x05")


@pytest.mark.parametrize("make", [HttpxTransport, AsyncHttpxTransport])
def test_socks_without_its_package_names_the_package(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(InvalidSettingError) as caught:
        make(SHORT, proxy="socks5://me:s3cret@127.0.0.1:1080")
    for language in ("en", "zh"):
        assert 'pip install "sms1680[socks]"' in caught.value.sentence(language)
        assert "s3cret" not in caught.value.sentence(language)


@pytest.mark.parametrize(
    ("url", "kind"), [("ftp://h/sendXSms.do", "UnsupportedProtocol"), ("http://h:x/", "InvalidURL")]
)
def test_invalid_url_sends_nothing(exchange: Exchange, url: str, kind: str) -> None:
    assert exchange(Request("POST", url, b"")) == TransportError(begun=False, detail=kind)


async def test_exhausted_pool_sends_nothing(peer: Callable[..., Peer]) -> None:
    silent = peer(b"", stays=True)
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(limits=limits) as client:
        carrier = AsyncHttpxTransport(Timeouts(connect=1, response=5), client)
        first = asyncio.create_task(carrier.exchange(post(silent.url)))
        await asyncio.to_thread(silent.called.wait, 5)
        assert await carrier.exchange(post(silent.url)) == TransportError(begun=False, detail="PoolTimeout")
        first.cancel()
        assert await first == TransportError(begun=True, detail="cancelled")


@pytest.mark.parametrize(
    ("says", "stays", "kind"),
    [
        (b"", False, "RemoteProtocolError"),
        (b"", True, "ReadTimeout"),
        (b"HTTP/1.1 200 OK\r\nContent-Len", False, "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n1,26", False, "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n1,26", True, "ReadTimeout"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n1,2", False, "RemoteProtocolError"),
        (b"SSH-2.0-OpenSSH\r\n", False, "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (LONGEST_RESPONSE + 1), False, "ReadError"),
    ],
)
def test_later_errors_count_as_possibly_sent(
    exchange: Exchange,
    peer: Callable[..., Peer],
    says: bytes,
    stays: bool,
    kind: str,
) -> None:
    other = peer(says, stays=stays)
    assert exchange(post(other.url)) == TransportError(begun=True, detail=kind)
    assert other.heard.startswith(b"POST /sendXSms.do HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("head", "complete", "charset"),
    [
        (b"Content-Length: 4\r\nContent-Type: text/plain; charset=GBK", True, "gbk"),
        (b"Content-Type: text/plain", False, None),
    ],
)
def test_response_tells_if_its_length_was_announced(
    exchange: Exchange,
    peer: Callable[..., Peer],
    head: bytes,
    complete: bool,
    charset: str | None,
) -> None:
    came = exchange(post(peer(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n1,26").url))
    assert came == Response(200, b"1,26", charset, complete)


def test_slow_response_ends_at_the_timeout(exchange: Exchange, peer: Callable[..., Peer]) -> None:
    drips = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1,26", stays=True)
    assert exchange(post(drips.url)) == TransportError(begun=True, detail="ReadTimeout")


def test_secret_url_is_not_logged(
    exchange: Exchange, peer: Callable[..., Peer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    other = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n12")
    request = Request("GET", f"{other.url}/balance.do?username=kuai&password=e10adc39", secret_url=True)
    assert exchange(request) == Response(200, b"12", None, complete_length=True)
    assert b"GET /balance.do?username=kuai&password=e10adc39 HTTP/1.1" in other.heard
    assert "balance.do" in caplog.text  # httpx does log the address
    assert "e10adc39" not in caplog.text
    assert "kuai" not in caplog.text


def test_connections_are_reused(box: SandboxThread) -> None:
    carrier = HttpxTransport(SHORT)
    for _ in range(3):
        assert isinstance(carrier.exchange(post(box.url)), Response)
    pool = carrier._client._transport._pool  # type: ignore[attr-defined]
    assert len(pool.connections) == 1
    carrier.close()
