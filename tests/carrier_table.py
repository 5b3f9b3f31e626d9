"""What every HTTP transport promises, as one table of tests over real sockets. Each transport has a subclass."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from support.gateway import CLOSE, HEAD, OK, Gateway, closed_port, headers_of, write_certificate

if TYPE_CHECKING:
    from sms1680.http.transport import Request, Response, Timeouts, TransportError

NUMBER = "13911000000"
BODY = f"mobile={NUMBER}&content=x".encode()
RESPONSE_LIMIT = 64 * 1024
Make = Callable[..., Gateway]


@pytest.fixture
def gateway() -> Iterator[Make]:
    """Makes gateways."""
    with contextlib.ExitStack() as stack:

        def made(*answers: bytes | None, **settings: Any) -> Gateway:
            one = Gateway(*answers, **settings)
            stack.callback(one.close)
            return one

        yield made


class CarrierTable:
    """The table. A subclass names the classes of its package and runs exchanges one after the other.

    details: what its errors are called, by the name of the test, where that is promised. keeps_connections: uses a
    connection again. ends_headers: takes the end of the connection for that of the headers. Without a body, the
    response is not understood, so its request counts as possibly sent as well.
    """

    request_class: ClassVar[type[Request]]
    response_class: ClassVar[type[Response]]
    error_class: ClassVar[type[TransportError]]
    timeouts_class: ClassVar[type[Timeouts]]
    keeps_connections = True
    ends_headers = False
    details: ClassVar[dict[str, str]] = {}

    def exchanges(
        self, timeouts: Timeouts, *requests: Request, between: Callable[[], object] | None = None
    ) -> list[Response | TransportError]:
        """Return the results of some requests, one after the other, of one transport.

        between: is called in another thread after each.
        """
        raise NotImplementedError

    def post(self, url: str, body: bytes = BODY) -> Request:
        form = (("Content-Type", "application/x-www-form-urlencoded"),)
        return self.request_class("POST", f"{url}/sendXSms.do", body, form)

    def exchange(self, request: Request, seconds: float = 0.25) -> Response | TransportError:
        [result] = self.exchanges(self.timeouts_class(seconds, seconds), request)
        return result

    def assert_failed(self, result: Response | TransportError, *, begun: bool, name: str = "") -> None:
        assert isinstance(result, self.error_class), result
        assert result.begun is begun
        assert result.detail == self.details.get(name, result.detail)

    # --- certainly not sent ---

    def test_refused_connection(self) -> None:
        self.assert_failed(self.exchange(self.post(closed_port())), begun=False, name="refused")

    def test_unknown_host(self) -> None:
        self.assert_failed(self.exchange(self.post("http://platform.invalid"), 5), begun=False, name="unknown host")

    def test_gateway_without_tls(self, gateway: Make) -> None:
        peer = gateway(b"HTTP/1.1 400 Bad Request\r\n\r\n", reads_octets=True)
        result = self.exchange(self.post(peer.url.replace("http", "https")), 5)
        self.assert_failed(result, begun=False, name="no tls")
        assert BODY not in b"".join(peer.requests)

    def test_silent_tls_handshake(self, gateway: Make) -> None:
        peer = gateway(stays=True)
        self.assert_failed(self.exchange(self.post(peer.url.replace("http", "https"))), begun=False, name="silent tls")

    def test_untrusted_certificate(self, gateway: Make, tmp_path: Path) -> None:
        peer = gateway(OK, tls=write_certificate(tmp_path))
        self.assert_failed(self.exchange(self.post(peer.url), 5), begun=False, name="untrusted")
        assert not peer.requests

    @pytest.mark.parametrize("url", ["ftp://h/sendXSms.do", "http://h:x/"])
    def test_invalid_url(self, url: str) -> None:
        self.assert_failed(self.exchange(self.request_class("POST", url, b"")), begun=False)

    # --- possibly sent ---

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"HTTP/1.1 2",
            HEAD + b"Content-Len",
            HEAD + b"Content-Length: 20\r\n\r\n1,26",
            HEAD + b"Content-Length: x\r\n\r\n1,26",
            HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n1,26",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n1,2",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n1,26\r\n0\r\n\r\n",
            b"SSH-2.0-OpenSSH\r\n",
            b"\x00\xff\x00 no http at all\r\n\r\n",
            HEAD + b"\r\n" + b"x" * (RESPONSE_LIMIT + 1),
            HEAD + b"X: " + b"x" * 200_000,
            HEAD + b"X: y\r\n" * 100_000,
            b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000,
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 100_000,
        ],
        ids=range(15),
    )
    def test_faulty_response(self, gateway: Make, answer: bytes) -> None:
        peer = gateway(answer)
        result = self.exchange(self.post(peer.url), 5)
        if not self.ends_headers or result != self.response_class(200, b"", None, b"chunked" in answer):
            self.assert_failed(result, begun=True)
        assert [request.endswith(BODY) for request in peer.requests] == [True]

    @pytest.mark.parametrize(
        "answer", [b"", HEAD, HEAD + b"Content-Length: 20\r\n\r\n1,26"], ids=["nothing", "headers", "half a body"]
    )
    def test_late_response(self, gateway: Make, answer: bytes) -> None:
        peer = gateway(answer, stays=True)
        self.assert_failed(self.exchange(self.post(peer.url)), begun=True, name="late")
        assert len(peer.requests) == 1

    @pytest.mark.parametrize(
        ("answer", "drop"),
        [
            (HEAD + b"X: ", b"y"),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
            (HEAD + b"Content-Length: 9999\r\n\r\n", b"1"),
            (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n1\r\n"),
        ],
        ids=["header", "continue", "body", "chunks"],
    )
    def test_dripping_response_ends_at_the_timeout(self, gateway: Make, answer: bytes, drop: bytes) -> None:
        peer = gateway(answer, endless=drop, pause=0.03)
        self.assert_failed(self.exchange(self.post(peer.url), 0.2), begun=True, name="late")

    # --- one request, and nothing but it ---

    def test_request_and_response(self, gateway: Make) -> None:
        peer = gateway(OK)
        assert self.exchange(self.post(peer.url), 5) == self.response_class(200, b"1,26", None, complete_length=True)
        [request] = peer.requests
        assert request.startswith(b"POST /sendXSms.do HTTP/1.1\r\n")
        assert request.partition(b"\r\n\r\n")[2] == BODY
        headers = headers_of(request)
        assert headers.pop("connection", "keep-alive") == "keep-alive"
        assert headers == {
            "host": peer.url.removeprefix("http://"),
            "user-agent": "sms1680",
            "accept": "text/plain",
            "accept-encoding": "identity",
            "content-type": "application/x-www-form-urlencoded",
            "content-length": str(len(BODY)),
        }

    @pytest.mark.parametrize(
        ("answer", "charset", "complete"),
        [
            (HEAD + b'Content-Type: text/html; charset="GBK"\r\nContent-Length: 4\r\n\r\n', "gbk", True),
            (HEAD + b"Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n", None, True),
            (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n", None, True),
            (b"HTTP/1.0 200 OK\r\n\r\n", None, False),
        ],
    )
    def test_charset_and_length(self, gateway: Make, answer: bytes, charset: str | None, complete: bool) -> None:
        body = b"4;x=y\r\n1,\xb9\xfe\r\n0\r\n\r\n" if b"chunked" in answer else b"1,\xb9\xfe"
        came = self.exchange(self.post(gateway(answer + body).url), 5)
        assert came == self.response_class(200, b"1,\xb9\xfe", charset, complete)

    @pytest.mark.parametrize("size", [16 * 1024, 16 * 1024 + 1, 1_500_000])
    def test_long_request_is_sent_whole(self, gateway: Make, size: int) -> None:
        peer, body = gateway(OK), b"x" * (size - len(BODY)) + BODY
        assert isinstance(self.exchange(self.post(peer.url, body), 5), self.response_class)
        [request] = peer.requests
        assert request.partition(b"\r\n\r\n")[2] == body

    def test_redirect_is_not_followed(self, gateway: Make) -> None:
        elsewhere = gateway(OK)
        peer = gateway(f"HTTP/1.1 307 x\r\nLocation: {elsewhere.url}/\r\nContent-Length: 0\r\n\r\n".encode())
        assert self.exchange(self.post(peer.url), 5) == self.response_class(307, b"", None, complete_length=True)
        assert not elsewhere.connections

    def test_cookies_are_not_sent_back(self, gateway: Make) -> None:
        cookie = OK.replace(b"\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n", 1)
        peer = gateway(cookie, cookie, stays=True)
        self.exchanges(self.timeouts_class(5, 5), *[self.post(peer.url)] * 2)
        assert ["cookie" in headers_of(request) for request in peer.requests] == [False, False]

    # --- connections that are used again ---

    def test_connection_is_used_again(self, gateway: Make) -> None:
        peer = gateway(OK, OK, OK, stays=True)
        results = self.exchanges(self.timeouts_class(5, 5), *[self.post(peer.url)] * 3)
        assert [type(result) for result in results] == [self.response_class] * 3
        assert peer.connections == (1 if self.keeps_connections else 3)

    def test_connection_of_a_chunked_response_is_used_again(self, gateway: Make) -> None:
        chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n1,\r\n2;x=y\r\n26\r\n0\r\n\r\n"
        peer = gateway(chunked, chunked, stays=True)
        results = self.exchanges(self.timeouts_class(5, 5), *[self.post(peer.url)] * 2)
        assert results == [self.response_class(200, b"1,26", None, complete_length=True)] * 2
        assert peer.connections == (1 if self.keeps_connections else 2)

    def test_connection_that_was_closed_meanwhile_is_not_used(self, gateway: Make) -> None:
        peer = gateway(OK, CLOSE, OK, CLOSE)
        wait = partial(peer.has_closed.wait, 5)
        results = self.exchanges(self.timeouts_class(5, 5), *[self.post(peer.url)] * 2, between=wait)
        assert [type(result) for result in results] == [self.response_class] * 2
        assert (len(peer.requests), peer.connections) == (2, 2)

    def test_request_lost_on_a_used_connection_is_not_repeated(self, gateway: Make) -> None:
        peer = gateway(OK, b"", CLOSE, OK)
        first, second = self.exchanges(self.timeouts_class(5, 5), *[self.post(peer.url)] * 2)
        assert isinstance(first, self.response_class)
        self.assert_failed(second, begun=True)
        assert len(peer.requests) == 2

    def test_octets_after_a_response_do_not_answer_the_next_request(self, gateway: Make) -> None:
        peer = gateway(OK + OK.replace(b"1,26", b"1,99"), OK.replace(b"1,26", b"1,27"), stays=True)
        first, second = self.exchanges(self.timeouts_class(5, 5), *[self.post(peer.url)] * 2)
        assert getattr(first, "body", b"1,26") == b"1,26"
        assert getattr(second, "body", b"1,27") == b"1,27"

    # --- logs ---

    @pytest.mark.parametrize(
        "answer",
        [
            HEAD + b"Set-Cookie: mobile=1; 13911000000=[]\r\nContent-Length: 0\r\n\r\n",
            HEAD + b"Set-Cookie: @(13911000000)=1\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 403 13911000000\r\nContent-Length: 0\r\n\r\n",
            HEAD + b"13911000000\r\nContent-Length: 3\r\n\r\n-99",
            HEAD + b"Content-Length: 13911000000x\r\n\r\n-99",
        ],
        ids=["cookie", "cookie's name", "reason", "header", "length"],
    )
    def test_echo_is_not_logged(self, gateway: Make, answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        caplog.set_level(logging.INFO, "httpcore")  # below it, httpcore quotes each status line and header
        result = self.exchange(self.post(gateway(answer).url), 5)
        assert NUMBER not in caplog.text + repr(result)
