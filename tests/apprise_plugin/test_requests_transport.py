"""Failures over real sockets: was the request certainly not sent, or possibly sent?"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from carrier_table import CarrierTable, gateway
from support.gateway import CERTIFICATE, write_certificate

from sms1680.apprise.requests_transport import RequestsTransport
from sms1680.http.transport import Request, Response, Timeouts, TransportError

__all__ = ["gateway"]

BODY = b"username=demo&content=x"
Behaviour = Callable[[socket.socket], None]


class Server:
    """Listens on loopback and handles each connection with a function."""

    def __init__(self, behave: Behaviour, context: ssl.SSLContext | None = None) -> None:
        self.behave = behave
        self.context = context
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.ended = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if self.context is None:
                self.behave(connection)
            else:
                with self.context.wrap_socket(connection, server_side=True) as secured:
                    self.behave(secured)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(behave: Behaviour, context: ssl.SSLContext | None = None) -> Server:
        server = Server(behave, context)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.ended.set()
        server.socket.close()


def read(connection: socket.socket) -> bytes:
    """Read a whole request."""
    request = b""
    while not request.endswith(BODY):
        piece = connection.recv(4096)
        if not piece:
            break
        request += piece
    return request


def answer(raw: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        read(connection)
        connection.sendall(raw)

    return behave


def exchange(
    address: str, *, seconds: float = 10.0, connect: float = 2.0, wait: float = 5.0, verify: bool = True
) -> Response | TransportError:
    carrier = RequestsTransport(Timeouts(connect, wait), verify=verify, until=time.monotonic() + seconds)
    form = (("Content-Type", "application/x-www-form-urlencoded"),)
    try:
        return carrier.exchange(Request("POST", f"{address}/sendXSms.do", BODY, form))
    finally:
        carrier.close()


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    return write_certificate(tmp_path)


class TestRequests(CarrierTable):
    request_class, response_class, error_class, timeouts_class = Request, Response, TransportError, Timeouts
    keeps_connections, ends_headers = False, True
    details: ClassVar = {"refused": "ConnectionError", "untrusted": "SSLError"}

    def exchanges(
        self, timeouts: Timeouts, *requests: Request, between: Callable[[], object] | None = None
    ) -> list[Response | TransportError]:
        carrier, results = RequestsTransport(timeouts, until=time.monotonic() + 10), []
        for request in requests:
            results.append(carrier.exchange(request))
            if between is not None:
                between()
        carrier.close()
        return results


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"])
def test_slow_response_ends_at_the_time_limit(serve: Callable[..., Server], head: bytes) -> None:
    def behave(connection: socket.socket) -> None:
        read(connection)
        connection.sendall(head)
        while not server.ended.wait(0.05):
            connection.sendall(b"1")

    server = serve(behave)
    began = time.monotonic()
    assert exchange(f"http://{server.address}", seconds=0.5) == TransportError(begun=True, detail="TimeLimit")
    assert time.monotonic() - began < 20


def test_connect_timeout_is_not_begun() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = []
        for _ in range(4):  # the kernel stops answering when the queue is full
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(address)
        assert exchange("http://{}:{}".format(*address), connect=0.3) == TransportError(
            begun=False, detail="ConnectTimeout"
        )
        for one in waiting:
            one.close()


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_verification_can_be_disabled(serve: Callable[..., Server], tls: ssl.SSLContext) -> None:
    server = serve(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"), tls)
    assert exchange(f"https://{server.address}", verify=False) == Response(200, b"1", None, complete_length=True)


def test_certificates_of_the_host_are_used(
    serve: Callable[..., Server], tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trusted.pem").write_text(CERTIFICATE)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "trusted.pem"))
    server = serve(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"), tls)
    assert exchange(f"https://{server.address}") == Response(200, b"1", None, complete_length=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    assert exchange(f"https://{server.address}") == TransportError(begun=False, detail="OSError")


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_tls_error_after_the_request_may_have_been_processed(serve: Callable[..., Server], tls: ssl.SSLContext) -> None:
    def behave(connection: socket.socket) -> None:
        read(connection)
        with socket.socket(fileno=connection.detach()) as bare:
            bare.sendall(b"\x17\x03\x03\x00\x20" + b"\x00" * 32)  # a record that cannot be decrypted

    result = exchange(f"https://{serve(behave, tls).address}", verify=False)
    assert isinstance(result, TransportError)
    assert result.begun


def test_unreachable_proxy_is_not_begun(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port}")
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{free_port}")
    assert exchange("http://sms.invalid") == TransportError(begun=False, detail="ProxyError")
    assert exchange("https://sms.invalid") == TransportError(begun=False, detail="ProxyError")


def test_refused_tunnel_is_not_begun(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    monkeypatch.setenv("https_proxy", f"http://{serve(behave).address}")
    assert exchange("https://sms.invalid") == TransportError(begun=False, detail="ProxyError")


def test_request_dropped_by_a_proxy_may_have_been_processed(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{serve(answer(b'')).address}")
    result = exchange("http://sms.invalid")
    assert isinstance(result, TransportError)
    assert result.begun


def test_unsupported_proxy_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    assert exchange("http://sms.invalid") == TransportError(begun=False, detail="InvalidSchema")


def test_netrc_is_not_read(serve: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    seen: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        seen.append(read(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")

    exchange(f"http://{serve(behave).address}")
    assert b"authorization" not in seen[0].lower()


@pytest.mark.parametrize(
    "request_", [Request("GET", "http://127.0.0.1/balance.do?x"), Request("POST", "http://127.0.0.1/", secret_url=True)]
)
def test_secret_urls_are_refused(request_: Request) -> None:
    carrier = RequestsTransport(Timeouts(), until=time.monotonic() + 5)
    assert carrier.exchange(request_) == TransportError(begun=False, detail="RefusedMethod")


def test_no_request_starts_after_the_time_limit(free_port: int) -> None:
    assert exchange(f"http://127.0.0.1:{free_port}", seconds=0) == TransportError(begun=False, detail="TimeLimit")


def test_missing_thread_is_not_begun(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert exchange(f"http://127.0.0.1:{free_port}") == TransportError(begun=False, detail="RuntimeError")
