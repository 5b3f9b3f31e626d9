"""Real failures of the core's HTTP transports: certainly not sent, or possibly sent."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from carrier_table import CarrierTable, Make, gateway
from support.gateway import OK, write_certificate

from sms1680 import Account, AsyncClient, Client, InvalidSettingError, Outcome
from sms1680.http import httpx_transport
from sms1680.http.announcement import AsyncHTTPTransport
from sms1680.http.httpx_transport import AsyncHttpxTransport, HttpxTransport
from sms1680.http.standard_transport import StandardTransport
from sms1680.http.transport import HTTPTransport, Request, Response, Timeouts, TransportError
from sms1680.sandbox import SandboxThread

__all__ = ["gateway"]

FORM = (("Content-Type", "application/x-www-form-urlencoded"),)
SHORT = Timeouts(connect=0.3, response=0.3)

Exchange = Callable[..., Response | TransportError]


def post(base: str) -> Request:
    return Request("POST", f"{base}/sendXSms.do", b"mobile=1", FORM)


def run_blocking(
    carrier: HTTPTransport, *requests: Request, between: Callable[[], object] | None = None
) -> list[Response | TransportError]:
    results = []
    try:
        for request in requests:
            results.append(carrier.exchange(request))
            if between is not None:
                between()
    finally:
        carrier.close()
    return results


def run_looping(
    make: Callable[[], AsyncHTTPTransport], *requests: Request, between: Callable[[], object] | None = None
) -> list[Response | TransportError]:
    async def run() -> list[Response | TransportError]:
        carrier, results = make(), []
        try:
            for request in requests:
                results.append(await carrier.exchange(request))
                if between is not None:
                    await asyncio.to_thread(between)
        finally:
            await carrier.aclose()
        return results

    return asyncio.run(run())


class CoreTable(CarrierTable):
    request_class, response_class, error_class, timeouts_class = Request, Response, TransportError, Timeouts


class TestHttpx(CoreTable):
    details: ClassVar = {
        "refused": "ConnectError",
        "unknown host": "ConnectError",
        "no tls": "ConnectError",
        "silent tls": "ConnectTimeout",
        "untrusted": "ConnectError",
        "late": "ReadTimeout",
    }

    def exchanges(self, timeouts: Timeouts, *requests: Request, **between: Any) -> list[Response | TransportError]:
        return run_blocking(HttpxTransport(timeouts), *requests, **between)


class TestAsyncHttpx(CoreTable):
    details = TestHttpx.details

    def exchanges(self, timeouts: Timeouts, *requests: Request, **between: Any) -> list[Response | TransportError]:
        return run_looping(lambda: AsyncHttpxTransport(timeouts), *requests, **between)


class TestStandard(CoreTable):
    ends_headers = True

    def exchanges(self, timeouts: Timeouts, *requests: Request, **between: Any) -> list[Response | TransportError]:
        return run_blocking(StandardTransport(timeouts), *requests, **between)


def blocking(request: Request, **settings: Any) -> Response | TransportError:
    return run_blocking(HttpxTransport(SHORT, **settings), request)[0]


def looping(request: Request, **settings: Any) -> Response | TransportError:
    return run_looping(lambda: AsyncHttpxTransport(SHORT, **settings), request)[0]


def standard(request: Request) -> Response | TransportError:
    return run_blocking(StandardTransport(SHORT), request)[0]


@pytest.fixture(params=[blocking, looping], ids=["blocking", "asyncio"])
def exchange(request: pytest.FixtureRequest) -> Exchange:
    return request.param  # type: ignore[no-any-return]


def test_refusing_proxy_sends_nothing(exchange: Exchange, gateway: Make) -> None:
    proxy = gateway(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    came = exchange(post("https://platform.invalid"), proxy=proxy.url)
    assert came == TransportError(begun=False, detail="ProxyError")
    assert proxy.requests[0].startswith(b"CONNECT")


@pytest.mark.parametrize("stays", [False, True])
def test_proxy_without_an_answer_sends_nothing(exchange: Exchange, gateway: Make, *, stays: bool) -> None:
    proxy = gateway(b"", stays=stays)
    came = exchange(post("https://platform.invalid"), proxy=proxy.url)
    assert isinstance(came, TransportError)
    assert not came.begun
    assert proxy.requests[0].startswith(b"CONNECT")


@pytest.mark.parametrize(
    ("says", "stays"),
    [(b"", False), (b"", True), (b"\x05\xff", False), (b"\x05\x00\x05\x02", True), (b"HTTP/1.1", False)],
)
def test_failing_socks_proxy_sends_nothing(exchange: Exchange, gateway: Make, *, says: bytes, stays: bool) -> None:
    pytest.importorskip("socksio")
    proxy = gateway(says, stays=stays, reads_octets=True)
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):  # httpcore leaves the socket to Python
        came = exchange(post("http://platform.invalid"), proxy=proxy.url.replace("http", "socks5"))
        gc.collect()
    assert isinstance(came, TransportError)
    assert not came.begun
    assert proxy.requests[0].startswith(b"\x05")


def test_httpx_without_its_private_choice_of_a_transport_sends_through_its_client(
    exchange: Exchange, gateway: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpx_transport, "_choice_of_transport", lambda _: None)
    server = gateway(OK)
    came = exchange(post(server.url))
    assert isinstance(came, Response)
    assert (came.status, len(server.requests)) == (200, 1)


@pytest.mark.parametrize("make", [HttpxTransport, AsyncHttpxTransport])
def test_socks_without_its_package_names_the_package(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(InvalidSettingError) as caught:
        make(SHORT, proxy="socks5://me:s3cret@127.0.0.1:1080")
    for language in ("en", "zh"):
        assert 'pip install "sms1680[socks]"' in caught.value.sentence(language)
        assert "s3cret" not in caught.value.sentence(language)


async def test_exhausted_pool_sends_nothing(gateway: Make) -> None:
    silent = gateway(b"", stays=True)
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(limits=limits) as client:
        carrier = AsyncHttpxTransport(Timeouts(connect=1, response=5), client)
        first = asyncio.create_task(carrier.exchange(post(silent.url)))
        await asyncio.to_thread(silent.has_read.wait, 5)
        assert await carrier.exchange(post(silent.url)) == TransportError(begun=False, detail="PoolTimeout")
        first.cancel()
        assert await first == TransportError(begun=True, detail="cancelled")


@pytest.mark.parametrize(
    ("carrier", "logger"),
    [
        (blocking, "httpcore"),
        (looping, "httpcore"),
        (lambda request: run_blocking(StandardTransport(SHORT), request)[0], ""),
    ],
)
def test_secret_url_is_not_logged(
    carrier: Exchange, logger: str, gateway: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    other = gateway(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n12")
    request = Request("GET", f"{other.url}/balance.do?username=kuai&password=e10adc39", secret_url=True)
    assert carrier(request) == Response(200, b"12", None, complete_length=True)
    assert other.requests[0].startswith(b"GET /balance.do?username=kuai&password=e10adc39 HTTP/1.1\r\n")
    assert logger in caplog.text  # it does log
    assert "e10adc39" not in caplog.text
    assert "kuai" not in caplog.text


async def test_client_of_the_caller_logs_no_secret_url(gateway: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    other = gateway(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n12")
    async with httpx.AsyncClient() as client:
        carrier = AsyncHttpxTransport(Timeouts(5, 5), client)
        request = Request("GET", f"{other.url}/balance.do?username=kuai&password=e10adc39", secret_url=True)
        assert await carrier.exchange(request) == Response(200, b"12", None, complete_length=True)
    assert "balance.do" in caplog.text  # httpx does log the address
    assert "e10adc39" not in caplog.text
    assert "kuai" not in caplog.text


def test_client_sends_over_the_carrier_and_closes_it(box: SandboxThread, account: Account) -> None:
    carrier = StandardTransport()
    with Client(account, gateway=box.url, carrier=carrier) as sms:
        [receipt] = sms.send("13911000000", "后门打开")
        assert sms.balance() > 0
    assert receipt.outcome is Outcome.ACCEPTED
    assert not carrier._idle


async def test_asyncio_client_sends_over_the_carrier_and_closes_it(account: Account) -> None:
    class Carrier:
        closed = False

        async def exchange(self, request: Request, announcement: object = None) -> Response:
            assert request.url == "http://api.1680.me/sendXSms.do"
            assert announcement is None
            return Response(200, b"1,2026112200000001")

        async def aclose(self) -> None:
            self.closed = True

    carrier = Carrier()
    async with AsyncClient(account, carrier=carrier) as sms:
        [receipt] = await sms.send("13911000000", "后门打开")
    assert (receipt.message_id, carrier.closed) == ("2026112200000001", True)
    async with httpx.AsyncClient() as client:
        with pytest.raises(InvalidSettingError):
            AsyncClient(account, carrier=carrier, http_client=client)


def test_standard_transport_trusts_the_given_certificates(gateway: Make, tmp_path: Path) -> None:
    peer = gateway(OK, OK, tls=write_certificate(tmp_path), stays=True)
    tls = ssl.create_default_context(cafile=tmp_path / "trusted.pem")
    results = run_blocking(StandardTransport(tls=tls), post(peer.url), post(peer.url))
    assert [type(result) for result in results] == [Response] * 2
    assert peer.connections == 1
