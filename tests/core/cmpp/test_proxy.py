"""The tunnel of an HTTP proxy to the gateway: what is sent, what is accepted as an answer, and hostile proxies."""

import asyncio
import logging
import ssl
import subprocess
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies
from support.tunnel_proxy import OPEN, SECRET, USERINFO, Proxy

from sms1680 import InvalidSettingError, NoAnswerError, NotSentError, Outcome, Reason
from sms1680.cmpp.client import CMPPClient
from sms1680.cmpp.proxy import ConnectAnswer, ConnectRequest, NoTunnelError, ProxyError, ProxyProblem, read_proxy
from sms1680.cmpp.status import Status
from sms1680.cmpp.wire.pdus import Connect, Submit

Make = Callable[..., CMPPClient]


@pytest.fixture
async def proxy(gateway: Any) -> AsyncIterator[Proxy]:
    """A proxy of the gateway."""
    proxy = Proxy(gateway.port)
    await proxy.start()
    yield proxy
    await proxy.stop()


async def problem_of(client: CMPPClient) -> ProxyProblem:
    with pytest.raises(NoTunnelError) as caught:
        await client.try_login()
    assert caught.value.reason is Reason.NO_CONNECTION
    assert caught.value.sentence("en") == caught.value.problem.sentence("en") == str(caught.value)
    assert caught.value.sentence("zh") == caught.value.problem.sentence("zh")
    return caught.value.problem


# --- through the tunnel ----------------------------------------------------------------------------------------------


async def test_messages_go_through_the_tunnel(gateway: Any, connect: Make, proxy: Proxy) -> None:
    client = connect(proxy=proxy.address)
    [receipt] = await client.send("13800138000", "hello")
    assert receipt.outcome is Outcome.ACCEPTED
    assert len(gateway.all(Connect)) == len(gateway.all(Submit)) == 1
    [request] = proxy.requests
    first, *headers = request.decode().split("\r\n")[:-2]
    assert first == f"CONNECT 127.0.0.1:{gateway.port} HTTP/1.1"
    named = dict(header.split(": ", 1) for header in headers)
    assert named.pop("Host") == f"127.0.0.1:{gateway.port}"
    assert b64decode(named.pop("Proxy-Authorization").removeprefix("Basic ")).decode() == f"me:{SECRET}"
    assert not named


async def test_interim_answers_headers_and_single_octets_are_read(gateway: Any, connect: Make, proxy: Proxy) -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\nProxy-agent: x/1\r\nContent-Length: 9\r\n\r\n"
    proxy.answer = [*(answer[i : i + 1] for i in range(len(answer) - 1)), answer[-1:]]
    proxy.hang_up = True
    with pytest.raises(NoAnswerError) as caught:
        await connect(proxy=proxy.address).try_login()
    # The tunnel was open, and the proxy closed it.
    assert not isinstance(caught.value, NoTunnelError) or caught.value.problem is ProxyProblem.NO_ANSWER
    reader = ConnectAnswer()
    assert [reader.receive(answer[i : i + 1]) for i in range(len(answer))] == [False] * (len(answer) - 1) + [True]
    assert not gateway.all(Connect)


async def test_tls_is_inside_the_tunnel_and_around_it(
    gateway: Any, tmp_path: Path, connect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)  # noqa: ASYNC221 - nothing else runs
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificate, key)
    line: Any = type(gateway.lines[0]) if gateway.lines else None
    if line is None:
        await connect().try_login()
        line = type(gateway.lines[0])
    server = await asyncio.get_running_loop().create_server(lambda: line(gateway), "127.0.0.1", 0, ssl=ours)
    theirs = ssl.create_default_context(cafile=str(certificate))
    for scheme, around in (("http", None), ("https", ours)):
        proxy = Proxy(server.sockets[0].getsockname()[1])
        await proxy.start(around)
        address = f"{scheme}://localhost:{proxy.port}"
        before = len(gateway.all(Connect))
        if around is not None:
            # The system does not know the proxy's certificate, and no password goes to whoever has it.
            assert await problem_of(connect(proxy=address, tls=theirs)) is ProxyProblem.UNREACHABLE
            assert not proxy.requests
            monkeypatch.setattr(ssl, "create_default_context", lambda: theirs)
        await connect(proxy=address, tls=theirs).try_login()
        assert len(gateway.all(Connect)) == before + 1
        if around is None:  # for TLS inside TLS, asyncio of Python 3.11 fails with an error of its own
            stranger = connect(proxy=address, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
            with pytest.raises(NoAnswerError) as caught:
                await stranger.try_login()
            assert caught.value.detail == "SSLCertVerificationError"
        await proxy.stop()
    server.close()


# --- a proxy that opens no tunnel ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n", ProxyProblem.CREDENTIALS),
        (b"HTTP/1.0 401 Unauthorized\r\n", ProxyProblem.CREDENTIALS),
        (b"HTTP/1.0 403 Forbidden\r\nContent-Length: 99999\r\n\r\n<html>", ProxyProblem.FORBIDDEN),
        (b"HTTP/1.1 429 Slow Down\r\n\r\n", ProxyProblem.FORBIDDEN),
        (b"HTTP/1.1 500 Unable to connect\r\n\r\n", ProxyProblem.NO_GATEWAY),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", ProxyProblem.NO_GATEWAY),
        (b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", ProxyProblem.NO_GATEWAY),
        (b"HTTP/1.1 405 Method Not Allowed\r\n\r\n", ProxyProblem.NOT_UNDERSTOOD),
        (b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n", ProxyProblem.NOT_UNDERSTOOD),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", ProxyProblem.NOT_UNDERSTOOD),
        (b"HTTP/1.1 600 x\r\n\r\n", ProxyProblem.NOT_UNDERSTOOD),
        (b"HTTP/1.1 2000 OK\r\n\r\n", ProxyProblem.NOT_UNDERSTOOD),
        (b"HTTP/1.1  200 OK\r\n\r\n", ProxyProblem.NOT_UNDERSTOOD),
        (b"HTTP/2 200\r\n\r\n", ProxyProblem.NOT_UNDERSTOOD),
        (b"HTTP/1.1 200 OK\n\n" + b"x" * 20_000, ProxyProblem.NOT_UNDERSTOOD),
        (b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", ProxyProblem.NOT_UNDERSTOOD),
        (b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n", ProxyProblem.NOT_UNDERSTOOD),
        (b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", ProxyProblem.NOT_UNDERSTOOD),
        (OPEN + b"\0\0\0\x1e\x80\0\0\1", ProxyProblem.NOT_UNDERSTOOD),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", ProxyProblem.NOT_UNDERSTOOD),
        (b"\x15\x03\x01\0\x02\x02\x16", ProxyProblem.NOT_UNDERSTOOD),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Endless: x\r\n" * 2000, ProxyProblem.NOT_UNDERSTOOD),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 2000, ProxyProblem.NOT_UNDERSTOOD),
        (b"H" * 3, ProxyProblem.NOT_UNDERSTOOD),
    ],
)
async def test_every_other_answer_is_a_named_problem(
    gateway: Any, connect: Make, proxy: Proxy, *, answer: bytes, problem: ProxyProblem
) -> None:
    proxy.answer = [answer]
    assert await problem_of(connect(proxy=proxy.address)) is problem
    await asyncio.wait_for(proxy.closed.wait(), 20)  # our side closed the connection
    assert not gateway.heard


async def test_silent_and_unreachable_proxies_are_named(gateway: Any, connect: Make, proxy: Proxy) -> None:
    proxy.answer = [b"HTTP/1.1 20"]
    assert await problem_of(connect(proxy=proxy.address, connect_timeout=0.1)) is ProxyProblem.NO_ANSWER
    proxy.hang_up = True
    assert await problem_of(connect(proxy=proxy.address)) is ProxyProblem.NO_ANSWER
    for address in ("http://127.0.0.1:1", "http://a..b:1"):
        assert await problem_of(connect(proxy=address)) is ProxyProblem.UNREACHABLE
    assert await problem_of(connect(proxy=f"https://127.0.0.1:{proxy.port}")) is ProxyProblem.UNREACHABLE
    assert not gateway.heard


async def test_message_waits_for_its_patience_and_is_not_sent(
    gateway: Any, connect: Make, proxy: Proxy, refused_with: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    proxy.answer = [b"HTTP/1.1 407 Denied\r\n\r\n"]
    statuses: list[Status] = []
    refused = asyncio.Event()
    client = connect(proxy=proxy.address, on_status=lambda status: statuses.append(status) or refused.set())
    client.start()
    await asyncio.wait_for(refused.wait(), 20)
    error = await refused_with(client, NotSentError, patience=0.05)
    assert error.receipts[0].reason is Reason.NO_CONNECTION
    assert statuses[0] == Status(
        connected=False, reason=Reason.NO_CONNECTION, retry_in=1.0, detail="ProxyError", proxy=ProxyProblem.CREDENTIALS
    )
    assert statuses[0].sentence() == ProxyProblem.CREDENTIALS.sentence()
    assert statuses[0].sentence("zh") == ProxyProblem.CREDENTIALS.sentence("zh")
    assert f"CMPP: {ProxyProblem.CREDENTIALS.sentence()}" in caplog.text
    shown = f"{caplog.text} {client!r} {client.__dict__} {statuses} {error.sentence()}"
    for secret in (SECRET, USERINFO, "p%40ss"):
        assert secret not in shown
    assert not gateway.heard


async def test_client_closes_while_the_proxy_is_silent(gateway: Any, connect: Make, proxy: Proxy) -> None:
    proxy.answer = []
    client = connect(proxy=proxy.address)
    client.start()
    await asyncio.wait_for(proxy.asked.wait(), 20)
    await client.aclose(timeout=0)
    await asyncio.wait_for(proxy.closed.wait(), 20)
    assert not gateway.heard


@given(strategies.lists(strategies.binary(max_size=40), max_size=20), strategies.booleans())
def test_any_octets_end_in_an_answer_or_a_named_problem(pieces: list[bytes], plausible: bool) -> None:
    reader = ConnectAnswer()
    try:
        opened = any(reader.receive(piece) for piece in ([b"HTTP/1.1 200 x\r\n", *pieces] if plausible else pieces))
    except ProxyError as error:
        assert error.problem in ProxyProblem  # noqa: PT017 - either way is right
    else:
        assert not opened or plausible or b"".join(pieces).startswith(b"HTTP/1.")


# --- addresses -------------------------------------------------------------------------------------------------------


def test_addresses_are_read_and_keep_their_secrets() -> None:
    address = read_proxy(f" http://{USERINFO}@proxy.example:3128/ ")
    assert (address.host, address.port, address.tls) == ("proxy.example", 3128, False)
    assert (address.username, address.password) == ("me", SECRET)
    assert SECRET not in repr(address)
    assert read_proxy("https://proxy.example") == replace(address, port=443, tls=True, username=None, password=None)
    assert read_proxy("http://[2001:DB8::1]:8080").host == "2001:db8::1"
    assert read_proxy("http://代理.example:1").host == "xn--mnq481g.example"
    assert ConnectRequest(read_proxy("http://h:1"), "[2001:db8::5]", 7890).octets.startswith(
        b"CONNECT [2001:db8::5]:7890 HTTP/1.1\r\nHost: [2001:db8::5]:7890\r\n\r\n"
    )


@pytest.mark.parametrize(
    "address",
    [
        f"nonsense://{USERINFO}@h",
        f"socks5://{USERINFO}@h:1",
        f"http://{USERINFO}@[::1",
        f"http://{USERINFO}@h:99999",
        f"http://{USERINFO}@h:0",
        f"http://{USERINFO}@a b:1",
        f"http://{USERINFO}@",
        "proxy.example:3128",
    ],
)
def test_invalid_addresses_are_refused_without_their_secrets(address: str) -> None:
    with pytest.raises(InvalidSettingError) as caught:
        CMPPClient("gateway", sp_id="901234", secret="x", source_number="1", proxy=address)
    for language in ("en", "zh"):
        assert "p%40ss" not in caught.value.sentence(language)
    assert ("SOCKS" in str(caught.value)) == address.startswith("socks")


@pytest.mark.parametrize("host", ["a\r\nX: y", "a b", "a/b", "[::x]", "a:b", "é" * 70])
def test_host_cannot_write_into_the_request(host: str) -> None:
    with pytest.raises(InvalidSettingError):
        CMPPClient(host, sp_id="901234", secret="x", source_number="1", proxy="http://h:1")
