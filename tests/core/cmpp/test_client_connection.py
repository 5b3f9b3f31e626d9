"""The connection of the CMPP client: logins, rate, closing, TLS and logs."""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sms1680 import (
    AuthenticationError,
    NoAnswerError,
    NotSentError,
    Outcome,
    Reason,
    Receipt,
    RefusedError,
    UnknownOutcomeError,
)
from sms1680.account import account_key
from sms1680.cmpp.client import CMPPClient
from sms1680.cmpp.dispatcher import Dispatcher
from sms1680.cmpp.status import Status
from sms1680.cmpp.wire.auth import connect_request
from sms1680.cmpp.wire.pdus import (
    ActiveTest,
    Connect,
    ConnectResp,
    DeliverResp,
    Submit,
    SubmitResp,
    Terminate,
    TerminateResp,
)
from sms1680.limits.rate import RateLimiter

Make = Callable[..., CMPPClient]
NUMBER = "13800138000"
NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


# --- login -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (1, RefusedError, Reason.MALFORMED),
        (2, RefusedError, Reason.IP),
        (3, AuthenticationError, Reason.AUTHENTICATION),
        (4, RefusedError, Reason.VERSION),
        (5, RefusedError, Reason.SUSPENDED),
    ],
)
async def test_try_login_distinguishes_refusals(
    gateway: Any, connect: Make, status: int, kind: type[Exception], reason: Reason
) -> None:
    gateway.status = status
    with pytest.raises(kind) as caught:
        await connect().try_login()
    assert getattr(caught.value, "reason", None) is reason


async def test_try_login_logs_in_and_out_again(gateway: Any, connect: Make) -> None:
    await connect().try_login()
    assert [type(pdu) for pdu in gateway.heard] == [Connect, Terminate]


async def test_try_login_distinguishes_connection_errors(gateway: Any, connect: Make) -> None:
    gateway.on[Connect] = lambda line, _: line.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(NoAnswerError) as caught:
        await connect().try_login()
    assert caught.value.reason is Reason.NOT_UNDERSTOOD
    gateway.on[Connect] = lambda line, _: line.transport.close()
    with pytest.raises(NoAnswerError) as caught:
        await connect().try_login()
    assert caught.value.reason is Reason.LOST
    gateway.on[Connect] = lambda *_: None
    with pytest.raises(NoAnswerError) as caught:
        await connect(login_timeout=0.02).try_login()
    assert caught.value.reason is Reason.LOST
    gateway.server.close()
    with pytest.raises(NoAnswerError) as caught:
        await connect().try_login()
    assert caught.value.reason is Reason.NO_CONNECTION


async def test_refused_login_backs_off_and_refuses_queued_messages(
    gateway: Any, connect: Make, refused_with: Any
) -> None:
    statuses: list[Status] = []
    client = connect(secret="wrong", on_status=statuses.append)
    error = await refused_with(client, AuthenticationError)
    assert error.receipts[0].outcome is Outcome.REFUSED
    assert statuses == [Status(connected=False, reason=Reason.AUTHENTICATION, retry_in=300.0, code=3)]
    assert "password" in statuses[0].sentence()
    assert "密码" in statuses[0].sentence("zh")
    assert len(gateway.all(Connect)) == 1


@pytest.mark.parametrize("padded", [False, True])
async def test_trap_13_both_hashes_of_a_short_sp_id_are_tried(gateway: Any, connect: Make, *, padded: bool) -> None:
    def login(line: Any, pdu: Connect) -> None:
        wanted = connect_request(pdu.sequence_id, "9012", "known to both", f"{pdu.timestamp:010d}", padded=padded)
        status = 0 if pdu == wanted else 3
        line.say(ConnectResp(sequence_id=pdu.sequence_id, status=status))
        if status:
            line.transport.close()

    async def at_once(delay: float) -> None:
        await asyncio.sleep(0 if delay < 5 else delay)

    gateway.on[Connect] = login
    await connect(sp_id="9012").try_login()
    assert len(gateway.all(Connect)) == 1 + padded
    with pytest.raises(AuthenticationError):
        await connect(sp_id="9012", secret="wrong").try_login()
    assert len(gateway.all(Connect)) == 3 + padded
    client = connect(sp_id="9012", sleep=at_once)
    await client.send(NUMBER, "hello")
    gateway.lines[-1].transport.abort()
    await gateway.wait(lambda: len(gateway.lines) == 5 + 2 * padded)
    assert (await client.send(NUMBER, "again"))[0].outcome is Outcome.ACCEPTED
    assert len(gateway.all(Connect)) == 5 + 2 * padded


async def test_unknown_login_refusal_is_retried_and_reported(gateway: Any, connect: Make, refused_with: Any) -> None:
    gateway.status = 6
    error = await refused_with(connect(), NotSentError, patience=0.1)
    assert error.reason is Reason.LOGIN
    gateway.status = 4
    error = await refused_with(connect(), RefusedError)
    assert error.reason is Reason.VERSION


async def test_too_many_connections_is_retried(gateway: Any, connect: Make) -> None:
    statuses: list[Status] = []
    gateway.status = 5

    async def at_once(delay: float) -> None:
        if delay >= 30:
            gateway.status = 0
            delay = 0
        await asyncio.sleep(delay)

    client = connect(on_status=statuses.append, sleep=at_once, idle=29.0)
    [receipt] = await client.send(NUMBER, "hello")
    assert receipt.outcome is Outcome.ACCEPTED
    assert [(status.connected, status.reason) for status in statuses] == [(False, Reason.SUSPENDED), (True, None)]


async def test_the_status_follows_the_connection(gateway: Any, connect: Make) -> None:
    changes: asyncio.Queue[Status] = asyncio.Queue()

    async def at_once(delay: float) -> None:
        await asyncio.sleep(0 if delay < 5 else delay)

    client = connect(on_status=changes.put_nowait, sleep=at_once)
    client.start()
    async with asyncio.timeout(20):
        assert (await changes.get()).connected
        gateway.lines[-1].say(Terminate(sequence_id=7))
        await gateway.until(TerminateResp)
        gateway.lines[-1].transport.close()
        ended = await changes.get()
        assert ended.reason is Reason.NO_CONNECTION
        assert (await changes.get()).connected
    assert client.status.connected
    # The address is right: somebody who reads of a wrong one would look in the wrong place.
    assert ended.sentence() == "The connection to the platform ended. The client connects again."
    assert ended.sentence("zh") == "与平台的连接已断开，正在重新连接。"


async def test_a_message_is_sent_at_once_after_the_gateways_terminate(gateway: Any, connect: Make) -> None:
    delays: list[float] = []

    async def sleep(delay: float) -> None:
        if delay < 5:
            delays.append(delay)
        await asyncio.sleep(delay)

    client = connect(sleep=sleep)
    await client.send(NUMBER, "first")
    gateway.lines[-1].say(Terminate(sequence_id=7))
    await gateway.until(TerminateResp)
    async with asyncio.timeout(20):
        assert (await client.send(NUMBER, "second"))[0].outcome is Outcome.ACCEPTED
        await gateway.lines[0].lost.wait()  # the client closes: this gateway does not
    assert len(gateway.all(Connect)) == 2
    assert 0 in delays


async def test_a_fault_of_the_program_is_not_told_as_one_of_the_network(connect: Make) -> None:
    changes: asyncio.Queue[Status] = asyncio.Queue()

    async def fails(_: object) -> object:
        raise TypeError("an argument that the event loop does not know")

    client = connect(on_status=changes.put_nowait, connect=fails)
    client.start()
    async with asyncio.timeout(20):
        status = await changes.get()
    assert (status.connected, status.reason, status.detail) == (False, None, "TypeError")
    assert "a fault of this program (TypeError), not of the network" in status.sentence()
    assert "本程序出错（TypeError）" in status.sentence("zh")


async def test_failing_on_status_does_not_end_the_connection(gateway: Any, connect: Make) -> None:
    def show(_: Status) -> None:
        raise RuntimeError("no screen")

    async def at_once(delay: float) -> None:
        await asyncio.sleep(0 if delay < 5 else delay)

    client = connect(on_status=show, sleep=at_once)
    await client.send(NUMBER, "first")
    gateway.lines[-1].transport.abort()
    await gateway.until(Connect, 2)
    assert (await client.send(NUMBER, "second"))[0].outcome is Outcome.ACCEPTED


async def test_unexpected_errors_end_neither_connection_nor_timer(
    gateway: Any, connect: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[str] = []
    tick = Dispatcher.tick

    async def dial(make: Callable[[], asyncio.Protocol]) -> object:
        if not failed:
            failed.append("connect")
            raise RuntimeError("1069")
        return await asyncio.get_running_loop().create_connection(make, "127.0.0.1", gateway.port)

    def fail_once(dispatcher: Dispatcher, now: float) -> None:
        if len(failed) == 1:
            failed.append("tick")
            raise RuntimeError("1069")
        tick(dispatcher, now)

    async def at_once(delay: float) -> None:
        await asyncio.sleep(0 if delay <= 1 else delay)

    monkeypatch.setattr(Dispatcher, "tick", fail_once)
    client = connect(connect=dial, sleep=at_once, idle=0.01, silence=1000.0)
    assert (await client.send(NUMBER, "hello"))[0].outcome is Outcome.ACCEPTED
    await gateway.until(ActiveTest, 2)
    assert failed == ["connect", "tick"]
    assert caplog.text.count("failed with RuntimeError") == 2
    assert "1069" not in caplog.text


async def test_failing_rate_limiter_settles_all_calls(
    gateway: Any, connect: Make, refused_with: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Iterator[float]:
        raise OSError("disk full")
        yield 0.0

    client = connect(rate=1000.0)
    await client.send(NUMBER, "first")
    with monkeypatch.context() as patched:
        patched.setattr(RateLimiter, "acquire", broken)
        await refused_with(client, UnknownOutcomeError)
    assert (await client.send(NUMBER, "third"))[0].outcome is Outcome.ACCEPTED
    assert len(gateway.all(Submit)) == 2


async def test_unauthenticated_gateway_is_logged_once(
    gateway: Any, connect: Make, caplog: pytest.LogCaptureFixture
) -> None:
    async def at_once(delay: float) -> None:
        await asyncio.sleep(0 if delay < 5 else delay)

    gateway.on[Connect] = lambda line, pdu: line.say(ConnectResp(sequence_id=pdu.sequence_id))
    client = connect(sleep=at_once)
    await client.send(NUMBER, "first")
    gateway.lines[-1].transport.abort()
    await gateway.until(Connect, 2)
    await client.send(NUMBER, "second")
    assert caplog.text.count("did not prove") == 1


async def test_invalid_host_name_is_no_connection() -> None:
    client = CMPPClient("a" * 70 + ".example", sp_id="901234", secret="x", source_number="1069")
    with pytest.raises(NoAnswerError) as caught:
        await client.try_login()
    assert caught.value.reason is Reason.NO_CONNECTION


# --- the end ---------------------------------------------------------------------------------------------------------


async def test_closing_sends_queued_messages_and_settles_the_rest(
    gateway: Any, connect: Make, refused_with: Any
) -> None:
    waiting: list[Any] = []
    gateway.on[Submit] = lambda line, pdu: waiting.append((line, pdu))
    client = connect(window=2)
    sends = [asyncio.create_task(client.send(NUMBER, f"message {place}")) for place in range(4)]
    await gateway.until(Submit, 2)
    gateway.accept(*waiting[0])
    await gateway.until(Submit, 3)
    await client.aclose(timeout=0.01)
    results = await asyncio.gather(*sends, return_exceptions=True)
    assert [type(result) for result in results] == [tuple, UnknownOutcomeError, UnknownOutcomeError, NotSentError]
    assert isinstance(gateway.heard[-1], Terminate)
    error = await refused_with(client, NotSentError)
    assert error.reason is Reason.CANCELLED
    await client.aclose()


async def test_closing_waits_for_answers(gateway: Any) -> None:
    client = CMPPClient("127.0.0.1", gateway.port, sp_id="901234", secret="known to both", source_number="1069")
    async with client:
        sends = [asyncio.create_task(client.send(NUMBER, f"message {place}")) for place in range(40)]
        await gateway.until(Submit)
    assert all(isinstance(result, tuple) for result in await asyncio.gather(*sends, return_exceptions=True))
    assert len(gateway.all(Submit)) == 40


async def test_a_client_that_never_connected_can_be_closed(connect: Make) -> None:
    client = connect()
    await client.aclose()
    assert [item async for item in client] == []


# --- tunnels, IPv6, logs ---------------------------------------------------------------------------------------------


async def test_tls_and_ipv6(gateway: Any, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost,IP:::1", "-keyout", key, "-out", certificate,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await made.wait() == 0
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificate, key)
    line = type(gateway).__init__.__globals__["Line"]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: line(gateway), "::1", 0, ssl=ours)
    port = server.sockets[0].getsockname()[1]
    theirs = ssl.create_default_context(cafile=str(certificate))
    client = CMPPClient("::1", port, sp_id="901234", secret="known to both", source_number="1069", tls=theirs)
    async with client:
        assert (await client.send(NUMBER, "hello"))[0].outcome is Outcome.ACCEPTED
    stranger = CMPPClient("::1", port, sp_id="901234", secret="known to both", source_number="1069", tls=True)
    with pytest.raises(NoAnswerError) as caught:
        await stranger.try_login()
    assert (caught.value.reason, caught.value.detail) == (Reason.NO_CONNECTION, "SSLCertVerificationError")
    server.close()


async def test_wire_log_masks_private_data(gateway: Any, connect: Make) -> None:
    lines: list[str] = []
    client = connect(wire_log=lines.append)
    [receipt] = await client.send(NUMBER, "password 4711")
    gateway.report(int(str(receipt.message_id)), "DELIVRD")
    gateway.deliver("好的".encode("utf-16-be"), msg_fmt=8)
    await gateway.until(DeliverResp, 2)
    await client.aclose()
    names = [" ".join(line.split()[:2]) for line in lines]
    assert names[:4] == ["→ CONNECT", "← CONNECT_RESP", "→ SUBMIT", "← SUBMIT_RESP"]
    assert sorted(names[4:8]) == ["← DELIVER", "← DELIVER", "→ DELIVER_RESP", "→ DELIVER_RESP"]
    log = "\n".join(lines).replace(" ", "")
    digest = gateway.all(Connect)[0].authenticator_source.hex()
    ours = b"901234".hex()
    for secret in (NUMBER.encode().hex(), b"4711".hex(), "好的".encode("utf-16-be").hex(), digest, digest[:8], ours):
        assert secret not in log
    assert b"DELIVRD".hex() in log
    assert SubmitResp.COMMAND_ID.to_bytes(4, "big").hex() in log


# --- the account's pace ----------------------------------------------------------------------------------------------


async def test_rate_is_shared_with_http(gateway: Any, connect: Make, refused_with: Any) -> None:
    http = RateLimiter(account_key("http://api.1680.me", "user"), 1000.0, time.monotonic)
    turn = http.acquire(1, "normal", None)
    with pytest.raises(StopIteration) as taken:
        next(turn)
    client = connect(rate=1000.0, http_account=("http://api.1680.me/", "user"))
    send = asyncio.create_task(client.send(NUMBER, "hello"))
    await gateway.until(Connect)
    error = await refused_with(client, NotSentError, deadline=0.05)
    assert error.reason is Reason.DEADLINE
    assert gateway.all(Submit) == []
    http.release(taken.value.value)
    assert (await send)[0].outcome is Outcome.ACCEPTED


async def test_unreachable_deadline_at_the_known_rate_fails_at_once(
    gateway: Any, connect: Make, refused_with: Any
) -> None:
    client = connect(rate=0.01)
    await client.send(NUMBER, "first")
    error = await refused_with(client, NotSentError, deadline=30.0)
    assert error.reason is Reason.DEADLINE
    assert len(gateway.all(Submit)) == 1


async def test_call_cancelled_while_waiting_for_a_slot_is_not_sent(gateway: Any, connect: Make) -> None:
    receipts: list[Receipt] = []
    client = connect(rate=0.01, on_receipt=receipts.append)
    await client.send(NUMBER, "first")
    send = asyncio.create_task(client.send(NUMBER, "second"))
    await asyncio.sleep(0.01)
    send.cancel()
    await asyncio.gather(send, return_exceptions=True)
    await client.aclose(timeout=0.5)
    assert [receipt.reason for receipt in receipts] == [None, Reason.CANCELLED]
    assert len(gateway.all(Submit)) == 1


async def test_closing_settles_messages_waiting_for_a_slot(gateway: Any, connect: Make) -> None:
    client = connect(rate=0.01)
    await client.send(NUMBER, "first")
    send = asyncio.create_task(client.send(NUMBER, "second"))
    await asyncio.sleep(0.01)
    await client.aclose(timeout=0.01)
    with pytest.raises(NotSentError):
        await send
    assert len(gateway.all(Submit)) == 1


async def test_paced_message_uses_the_next_connection(gateway: Any, connect: Make, refused_with: Any) -> None:
    async def at_once(delay: float) -> None:
        await asyncio.sleep(0 if delay < 5 else delay)

    gateway.on[Submit] = lambda line, _: line.transport.abort()
    client = connect(rate=1000.0, sleep=at_once)
    await refused_with(client, UnknownOutcomeError)
    gateway.on[Submit] = gateway.accept
    assert (await client.send(NUMBER, "second"))[0].outcome is Outcome.ACCEPTED
    assert len(gateway.all(Connect)) == 2


async def test_burst_of_too_fast_slows_down_once(gateway: Any, connect: Make) -> None:
    slept: list[float] = []

    async def sleep(delay: float) -> None:
        slept.append(delay)
        await asyncio.sleep(0 if delay < 5 else delay)

    ahead = [0.0]

    def clock() -> float:
        ahead[0] += 0.01
        return time.monotonic() + ahead[0]

    gateway.on[Submit] = gateway.refuse(*[8] * 8)
    client = connect(sleep=sleep, clock=clock, silence=1000.0, idle=1000.0, answer_timeout=1000.0)
    sends = [client.send(NUMBER, f"message {place}", patience=1000.0) for place in range(8)]
    assert all(isinstance(result, tuple) for result in await asyncio.gather(*sends))
    assert max(delay for delay in slept if delay < 5) <= 1.0
