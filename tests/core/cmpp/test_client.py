"""The client against a gateway on a real socket: what goes out, and what becomes of it."""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sms1680 import (
    AuthenticationError,
    BalanceError,
    DeliveryReport,
    InvalidMessageError,
    InvalidSettingError,
    NoAnswerError,
    NotSentError,
    Outcome,
    Reason,
    Receipt,
    RefusedError,
    Reply,
    UnknownOutcomeError,
)
from sms1680.cmpp import receiver
from sms1680.cmpp.client import CMPPClient
from sms1680.cmpp.longsms import split_header
from sms1680.cmpp.pdus import ActiveTest, Connect, DeliverResp, Submit, SubmitResp, Terminate, TerminateResp
from sms1680.cmpp.status import Status
from sms1680.cmpp.texts import read_text_content
from sms1680.pace import Pace, pace_key

Make = Callable[..., CMPPClient]
NUMBER = "13800138000"
NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


async def refused_with(client: CMPPClient, kind: type[Exception], *args: Any, **options: Any) -> Any:
    with pytest.raises(kind) as caught:
        await client.send(*args or (NUMBER, "hello"), **options)
    return caught.value


# --- out -------------------------------------------------------------------------------------------------------------


async def test_a_message_goes_out_and_comes_back_as_a_receipt(gateway: Any, connect: Make) -> None:
    client = connect(service_id="HELP", signature="某某科技", now=lambda: NOON)
    receipts = await client.send(f"+86 {NUMBER}", "后门 22:41 打开", extension="12")
    [submit] = gateway.all(Submit)
    assert submit == Submit(
        sequence_id=submit.sequence_id,
        service_id="HELP",
        msg_fmt=8,
        msg_src="901234",
        src_id="1069000112",
        dest_terminal_id=(NUMBER,),
        msg_content="【某某科技】后门 22:41 打开".encode("utf-16-be"),
    )
    assert receipts == (Receipt(NUMBER, Outcome.ACCEPTED, str(gateway.next_id), message_ids=(str(gateway.next_id),)),)
    [login] = gateway.all(Connect)
    assert f"{login.timestamp:010d}" == "1122120000"


async def test_times_are_written_as_the_protocol_has_them(gateway: Any, connect: Make) -> None:
    client = connect(now=lambda: NOON)
    at = NOON + timedelta(hours=8)
    await client.send(NUMBER, "hello", at=at, valid_for=timedelta(hours=1))
    await client.send(NUMBER, "hello", valid_for=timedelta(minutes=5))
    first, second = gateway.all(Submit)
    assert (first.at_time, first.valid_time) == ("261122200000032+", "261122210000032+")
    assert (second.at_time, second.valid_time) == ("", "261122120500032+")


async def test_a_long_message_goes_out_in_segments_with_an_id_each(gateway: Any, connect: Make) -> None:
    client = connect(signature="某某科技")
    text = "门" * 150
    [receipt] = await client.send(NUMBER, text)
    submits = gateway.all(Submit)
    assert [(s.pk_total, s.pk_number, s.tp_udhi) for s in submits] == [(3, 1, 1), (3, 2, 1), (3, 3, 1)]
    headers = [split_header(s.msg_content) for s in submits]
    assert len({header.reference for header, _ in headers if header}) == 1
    assert read_text_content(b"".join(body for _, body in headers), 8) == "【某某科技】" + text
    assert (len(receipt.message_ids), receipt.message_id, receipt.parts) == (3, receipt.message_ids[0], 3)
    await client.send(NUMBER, text)
    again = split_header(gateway.all(Submit)[3].msg_content)[0]
    assert headers[0][0] is not None
    assert again is not None
    assert again.reference == (headers[0][0].reference + 1) % 256


async def test_at_most_99_destinations_a_submit_and_each_number_once(gateway: Any, connect: Make) -> None:
    client = connect()
    numbers = [f"138{place:08d}" for place in range(250)]
    receipts = await client.send([*numbers, numbers[0]], "hello")
    assert [s.dest_usr_tl for s in gateway.all(Submit)] == [99, 99, 52]
    assert [receipt.number for receipt in receipts] == [*numbers, numbers[0]]
    assert receipts[0] == receipts[-1]
    assert receipts[0].message_id != receipts[249].message_id


async def test_templates_are_filled_in_here_and_batches_keep_their_texts(gateway: Any, connect: Make) -> None:
    client = connect()
    await client.send_template("{A}，你好 {PHONE}", [(NUMBER, "李先生"), ("13800210001", "王女士")])
    receipts = await client.send_batch([(NUMBER, "a|b$c"), ("13800210001", "two"), (NUMBER, "a|b$c")])
    texts = [read_text_content(s.msg_content, s.msg_fmt) for s in gateway.all(Submit)]
    assert texts == [f"李先生，你好 {NUMBER}", "王女士，你好 13800210001", "a|b$c", "two"]
    assert receipts[0] == receipts[2]


@pytest.mark.parametrize(
    ("args", "options"),
    [
        ((NUMBER, ""), {}),
        (("12345", "hello"), {}),
        (([], "hello"), {}),
        ((NUMBER, "x" * 501), {}),
        ((NUMBER, "\ud83d"), {}),
        ((NUMBER, "hello"), {"extension": "1" * 14}),
        ((NUMBER, "hello"), {"extension": 12}),
        ((NUMBER, "hello"), {"at": NOON - timedelta(seconds=1)}),
        ((NUMBER, "hello"), {"at": NOON.replace(tzinfo=None)}),
        ((NUMBER, "hello"), {"valid_for": timedelta()}),
        ((NUMBER, "hello"), {"priority": "urgent"}),
    ],
)
async def test_what_can_not_be_sent_is_refused_before_anything_is(
    gateway: Any, connect: Make, args: Any, options: Any
) -> None:
    client = connect(now=lambda: NOON)
    client.start()
    await refused_with(client, InvalidMessageError, *args, **options)
    with pytest.raises(InvalidMessageError):
        await client.send_batch([])
    with pytest.raises(InvalidMessageError):
        await client.send_batch([(NUMBER,)])  # type: ignore[list-item]
    assert gateway.all(Submit) == []


def test_settings_are_checked() -> None:
    good: dict[str, Any] = {"sp_id": "901234", "secret": "s", "source_number": "1069"}
    CMPPClient("gateway", **good)
    for bad in (
        {"sp_id": "9012345"},
        {"source_number": "1" * 22},
        {"service_id": "ELEVEN_CHAR"},
        {"secret": ""},
        {"port": 0},
        {"window": 0},
        {"encoding": "utf-8"},
        {"dialect": "cmpp3"},
        {"answer_timeout": 0},
        {"patience": -1.0},
        {"rate": 0.0},
    ):
        with pytest.raises(InvalidSettingError):
            CMPPClient("gateway", **(good | bad))


def test_the_client_shows_no_secret() -> None:
    client = CMPPClient("gateway", sp_id="901234", secret="geheim", source_number="1069")
    assert repr(client) == "CMPPClient(gateway:7890, not connected)"


async def test_an_estimate_counts_the_signature(connect: Make) -> None:
    assert connect(signature="某某科技").estimate("门" * 65).parts == 2


# --- what the gateway answers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "kind", "outcome", "reason"),
    [
        (1, RefusedError, Outcome.REFUSED, Reason.MALFORMED),
        (2, RefusedError, Outcome.REFUSED, Reason.MALFORMED),
        (3, NotSentError, Outcome.NOT_SENT, Reason.SUSPENDED),
        (4, RefusedError, Outcome.REFUSED, Reason.MALFORMED),
        (5, RefusedError, Outcome.REFUSED, Reason.PARAMETER),
        (6, RefusedError, Outcome.REFUSED, Reason.PARAMETER),
        (7, RefusedError, Outcome.REFUSED, Reason.PARAMETER),
        (9, RefusedError, Outcome.REFUSED, Reason.USER),
        (10, RefusedError, Outcome.REFUSED, Reason.PRODUCT),
        (11, RefusedError, Outcome.REFUSED, Reason.NUMBER),
        (12, RefusedError, Outcome.REFUSED, Reason.FORBIDDEN_WORDS),
        (13, BalanceError, Outcome.REFUSED, Reason.BALANCE),
        (14, RefusedError, Outcome.REFUSED, Reason.LONG_NUMBER),
        (77, UnknownOutcomeError, Outcome.UNKNOWN, Reason.NOT_UNDERSTOOD),
    ],
)
async def test_table_3_3(
    gateway: Any, connect: Make, result: int, kind: type[Exception], outcome: Outcome, reason: Reason
) -> None:
    gateway.on[Submit] = gateway.refuse(result)
    error = await refused_with(connect(), kind)
    [receipt] = error.receipts
    assert (receipt.outcome, receipt.reason, receipt.detail) == (outcome, reason, f"Result {result}")


async def test_the_standards_own_table_is_a_setting(gateway: Any, connect: Make) -> None:
    gateway.on[Submit] = gateway.refuse(13)
    error = await refused_with(connect(dialect="standard"), RefusedError)
    assert error.reason is Reason.NUMBER


async def test_some_reasons_stop_the_rest_of_the_call(gateway: Any, connect: Make) -> None:
    gateway.on[Submit] = gateway.refuse(0, 13)
    client = connect(window=1)
    numbers = [f"138{place:08d}" for place in range(300)]
    error = await refused_with(client, BalanceError, numbers, "hello")
    outcomes = [receipt.outcome for receipt in error.receipts]
    assert outcomes == [Outcome.ACCEPTED] * 99 + [Outcome.REFUSED] * 99 + [Outcome.NOT_SENT] * 102
    assert len(gateway.all(Submit)) == 2


async def test_one_wrong_number_does_not_cost_its_neighbours_theirs(gateway: Any, connect: Make) -> None:
    def check(line: Any, pdu: Submit) -> None:
        gateway.accept(line, pdu, 11 if "13800000005" in pdu.dest_terminal_id else 0)

    gateway.on[Submit] = check
    numbers = [f"138{place:08d}" for place in range(9)]
    error = await refused_with(connect(), RefusedError, numbers, "hello")
    refused = [receipt.number for receipt in error.receipts if receipt.outcome is not Outcome.ACCEPTED]
    assert refused == ["13800000005"]
    taken = [number for pdu in gateway.all(Submit) for number in pdu.dest_terminal_id if "13800000005" not in pdu.dest_terminal_id]  # fmt: skip # noqa: E501
    assert sorted(taken) == [number for number in numbers if number != "13800000005"]


async def test_a_message_of_which_only_some_segments_were_accepted_says_so(gateway: Any, connect: Make) -> None:
    gateway.on[Submit] = gateway.refuse(0, 12)
    error = await refused_with(connect(window=1), RefusedError, NUMBER, "门" * 150)
    [receipt] = error.receipts
    assert (receipt.outcome, receipt.detail) == (Outcome.REFUSED, "1 of 3 segments were accepted")
    assert len(receipt.message_ids) == 1
    assert len(gateway.all(Submit)) == 2


async def test_too_fast_slows_the_pace_and_tries_again(gateway: Any, connect: Make) -> None:
    slept: list[float] = []

    async def sleep(delay: float) -> None:
        slept.append(delay)
        await asyncio.sleep(0 if delay < 5 else delay)

    gateway.on[Submit] = gateway.refuse(8, 8)
    client = connect(sleep=sleep)
    [receipt] = await client.send(NUMBER, "hello")
    assert receipt.outcome is Outcome.ACCEPTED
    assert len(gateway.all(Submit)) == 3
    assert any(0.4 < delay <= 1 for delay in slept)


async def test_too_fast_until_patience_ends_is_a_refusal(gateway: Any, connect: Make) -> None:
    client = connect()
    await client.send(NUMBER, "connected")
    gateway.on[Submit] = gateway.refuse(8)
    error = await refused_with(client, RefusedError, patience=0.0)
    assert error.reason is Reason.TOO_FAST


async def test_a_known_rate_lets_one_submit_out_at_a_time(gateway: Any, connect: Make) -> None:
    waiting: list[Any] = []
    gateway.on[Submit] = lambda line, pdu: waiting.append((line, pdu))
    client = connect(rate=1000.0)
    sends = [asyncio.create_task(client.send(NUMBER, f"message {place}")) for place in range(3)]
    for place in range(3):
        await gateway.until(Submit, place + 1)
        assert len(gateway.all(Submit)) == place + 1
        gateway.accept(*waiting[place])
    assert [receipt.outcome for send in sends for receipt in await send] == [Outcome.ACCEPTED] * 3


async def test_the_window_is_used_and_never_exceeded_and_urgent_messages_overtake(gateway: Any, connect: Make) -> None:
    waiting: list[Any] = []
    gateway.on[Submit] = lambda line, pdu: waiting.append((line, pdu))
    client = connect(window=4)
    sends = [asyncio.create_task(client.send(NUMBER, f"message {place}")) for place in range(10)]
    await gateway.until(Submit, 4)
    urgent = asyncio.create_task(client.send(NUMBER, "urgent", priority="critical"))
    await asyncio.sleep(0)
    gateway.accept(*waiting[2])
    await gateway.until(Submit, 5)
    assert gateway.all(Submit)[4].msg_content == b"urgent"
    gateway.on[Submit] = gateway.accept
    for place in (4, 3, 1, 0):
        gateway.accept(*waiting[place])
    assert (await urgent)[0].outcome is Outcome.ACCEPTED
    assert len(await asyncio.gather(*sends)) == 10


# --- no answer, no connection, no patience ---------------------------------------------------------------------------


async def test_no_answer_within_t_is_unknown_and_not_sent_again(gateway: Any, connect: Make) -> None:
    receipts: list[Receipt] = []
    gateway.on[Submit] = lambda *_: None
    client = connect(answer_timeout=0.05, on_receipt=receipts.append)
    error = await refused_with(client, UnknownOutcomeError)
    assert error.reason is Reason.LOST
    [submit] = gateway.all(Submit)
    gateway.accept(gateway.lines[-1], submit)
    gateway.on[Submit] = gateway.accept
    await client.send("13800138001", "next")
    assert len(gateway.all(Submit)) == 2
    # The late answer is told to who records, under the same number.
    assert [(receipt.number, receipt.outcome) for receipt in receipts] == [
        (NUMBER, Outcome.UNKNOWN),
        (NUMBER, Outcome.ACCEPTED),
        ("13800138001", Outcome.ACCEPTED),
    ]


async def test_a_lost_connection_leaves_what_was_in_flight_unknown(gateway: Any, connect: Make) -> None:
    gateway.on[Submit] = lambda line, _: line.transport.abort()
    error = await refused_with(connect(), UnknownOutcomeError)
    assert error.receipts[0].outcome is Outcome.UNKNOWN
    assert len(gateway.all(Submit)) == 1


async def test_what_waits_when_the_connection_is_lost_goes_over_the_next_one(gateway: Any, connect: Make) -> None:
    dropped: list[Submit] = []

    def drop_first(line: Any, pdu: Submit) -> None:
        if dropped:
            gateway.accept(line, pdu)
        else:
            dropped.append(pdu)
            line.transport.abort()

    async def at_once(delay: float) -> None:
        await asyncio.sleep(0 if delay < 5 else delay)

    gateway.on[Submit] = drop_first
    client = connect(window=1, sleep=at_once)
    sends = [asyncio.create_task(client.send(NUMBER, text)) for text in ("first", "second")]
    first, second = await asyncio.gather(*sends, return_exceptions=True)
    assert isinstance(first, UnknownOutcomeError)
    assert isinstance(second, tuple)
    assert [pdu.msg_content for pdu in gateway.all(Submit)] == [b"first", b"second"]
    assert len(gateway.all(Connect)) == 2


async def test_without_a_connection_patience_ends_with_not_sent(connect: Make, gateway: Any) -> None:
    gateway.server.close()
    error = await refused_with(connect(), NotSentError, patience=0.05)
    assert error.reason is Reason.NO_CONNECTION


async def test_a_deadline_holds(gateway: Any, connect: Make) -> None:
    gateway.on[Submit] = lambda *_: None
    client = connect(window=1)
    first = asyncio.create_task(client.send(NUMBER, "first"))
    await gateway.until(Submit)
    error = await refused_with(client, NotSentError, deadline=0.05)
    assert error.reason is Reason.DEADLINE
    first.cancel()


async def test_a_cancelled_call_stops_what_has_not_gone_and_records_what_has(gateway: Any, connect: Make) -> None:
    receipts: list[Receipt] = []
    waiting: list[Any] = []
    gateway.on[Submit] = lambda line, pdu: waiting.append((line, pdu))
    client = connect(window=1, on_receipt=receipts.append)
    numbers = [f"138{place:08d}" for place in range(120)]
    send = asyncio.create_task(client.send(numbers, "hello"))
    await gateway.until(Submit)
    send.cancel()
    with pytest.raises(asyncio.CancelledError):
        await send
    assert [receipt.outcome for receipt in receipts] == [Outcome.NOT_SENT] * 21
    gateway.accept(*waiting[0])
    await client.aclose()
    assert [receipt.outcome for receipt in receipts[21:]] == [Outcome.ACCEPTED] * 99
    assert len(gateway.all(Submit)) == 1


async def test_after_silence_a_test_is_answered_before_a_message_goes(gateway: Any, connect: Make) -> None:
    ahead = [0.0]
    client = connect(clock=lambda: time.monotonic() + ahead[0])
    await client.send(NUMBER, "first")
    ahead[0] = 10.5
    await client.send(NUMBER, "second")
    assert [type(pdu) for pdu in gateway.heard] == [Connect, Submit, ActiveTest, Submit]


# --- login -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (1, RefusedError, Reason.MALFORMED),
        (2, RefusedError, Reason.IP),
        (3, AuthenticationError, Reason.AUTHENTICATION),
        (4, RefusedError, Reason.PARAMETER),
        (5, RefusedError, Reason.SUSPENDED),
    ],
)
async def test_try_login_tells_the_refusals_apart(
    gateway: Any, connect: Make, status: int, kind: type[Exception], reason: Reason
) -> None:
    gateway.status = status
    with pytest.raises(kind) as caught:
        await connect().try_login()
    assert getattr(caught.value, "reason", None) is reason


async def test_try_login_logs_in_and_out_again(gateway: Any, connect: Make) -> None:
    await connect().try_login()
    assert [type(pdu) for pdu in gateway.heard] == [Connect, Terminate]


async def test_try_login_tells_no_connection_no_answer_and_no_cmpp_apart(gateway: Any, connect: Make) -> None:
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


async def test_a_refused_login_backs_off_long_says_so_and_refuses_what_waits(gateway: Any, connect: Make) -> None:
    statuses: list[Status] = []
    client = connect(secret="wrong", on_status=statuses.append)
    error = await refused_with(client, AuthenticationError)
    assert error.receipts[0].outcome is Outcome.REFUSED
    assert statuses == [Status(connected=False, reason=Reason.AUTHENTICATION, retry_in=150.0, code=3)]
    assert "password" in statuses[0].sentence()
    assert "密码" in statuses[0].sentence("zh")
    assert len(gateway.all(Connect)) == 1


async def test_too_many_connections_is_waited_out(gateway: Any, connect: Make) -> None:
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
        assert (await changes.get()).reason is Reason.NO_CONNECTION
        assert (await changes.get()).connected
    assert client.status.connected


# --- in --------------------------------------------------------------------------------------------------------------


async def test_replies_come_out_of_the_iterator_and_are_acknowledged(gateway: Any, connect: Make) -> None:
    client = connect()
    await client.send(NUMBER, "hello")
    delivered = gateway.deliver("好的".encode("utf-16-be"), msg_fmt=8)
    async with asyncio.timeout(20):
        reply = await anext(client)
    assert reply == Reply(NUMBER, "好的", "88", str(delivered.msg_id))
    assert await gateway.until(DeliverResp) == [DeliverResp(sequence_id=delivered.sequence_id, msg_id=delivered.msg_id)]


async def test_a_duplicate_is_acknowledged_again_and_handed_on_once(gateway: Any, connect: Make) -> None:
    client = connect()
    await client.send(NUMBER, "hello")
    first = gateway.deliver(b"Y", msg_id=5)
    gateway.lines[-1].say(first)
    gateway.deliver(b"Y", msg_id=5)
    gateway.deliver(b"Y", msg_id=6)
    assert len(await gateway.until(DeliverResp, 4)) == 4
    assert [(await anext(client)).message_id for _ in range(2)] == ["5", "6"]
    await client.aclose()
    assert [item async for item in client] == []


async def test_reports_are_matched_whatever_the_order(gateway: Any, connect: Make) -> None:
    def report_first(line: Any, pdu: Submit) -> None:
        gateway.report(gateway.next_id + 1, "DELIVRD", f"86{NUMBER}")
        gateway.accept(line, pdu)

    gateway.on[Submit] = report_first
    client = connect()
    [receipt] = await client.send(NUMBER, "hello")
    async with asyncio.timeout(20):
        report = await anext(client)
    assert report == DeliveryReport(str(receipt.message_id), NUMBER, "DELIVRD")


async def test_reports_of_all_segments_make_one_result(gateway: Any, connect: Make) -> None:
    client = connect()
    [receipt] = await client.send(NUMBER, "门" * 150)
    first, second, third = map(int, receipt.message_ids)
    gateway.report(second, "ACCEPTD")
    for msg_id in (third, first, second):
        gateway.report(msg_id, "DELIVRD")
    await gateway.until(DeliverResp, 4)
    [failed] = await client.send(NUMBER, "门" * 150)
    gateway.report(int(failed.message_ids[1]), "UNDELIV")
    gateway.report(int(failed.message_ids[0]), "DELIVRD")
    await gateway.until(DeliverResp, 6)
    gateway.report(4711, "DELIVRD")
    await gateway.until(DeliverResp, 7)
    await client.aclose()
    assert [(item.message_id, item.status) async for item in client if isinstance(item, DeliveryReport)] == [
        (receipt.message_id, "ACCEPTD"),
        (receipt.message_id, "DELIVRD"),
        (failed.message_id, "UNDELIV"),
        ("4711", "DELIVRD"),
    ]


async def test_a_callback_decides_when_it_is_acknowledged(gateway: Any, connect: Make) -> None:
    taken: list[Any] = []
    safe = asyncio.Event()

    async def take(item: Any) -> None:
        taken.append(item)
        await safe.wait()

    client = connect(on_incoming=take)
    await client.send(NUMBER, "hello")
    delivered = gateway.deliver(b"Y")
    gateway.lines[-1].say(delivered)
    await client.send(NUMBER, "again")
    assert len(taken) == 1
    assert gateway.acknowledged() == []
    safe.set()
    assert len(await gateway.until(DeliverResp, 2)) == 2
    assert len(taken) == 1


async def test_what_the_callback_does_not_take_is_not_acknowledged_and_comes_again(gateway: Any, connect: Make) -> None:
    taken: list[Any] = []

    def take(item: Any) -> None:
        taken.append(item)
        if len(taken) == 1:
            raise OSError("disk full")

    client = connect(on_incoming=take)
    await client.send(NUMBER, "hello")
    delivered = gateway.deliver(b"Y")
    await client.send(NUMBER, "again")
    assert gateway.acknowledged() == []
    gateway.lines[-1].say(delivered)
    assert len(await gateway.until(DeliverResp)) == 1
    assert len(taken) == 2


async def test_segments_of_an_uplink_are_put_together(gateway: Any, connect: Make) -> None:
    client = connect(assembly_time=0.05)
    await client.send(NUMBER, "hello")
    for number, text in ((2, "界"), (1, "世")):
        gateway.deliver(bytes((5, 0, 3, 9, 2, number)) + text.encode("utf-16-be"), tp_udhi=0x40, msg_fmt=8)
    gateway.deliver(bytes((5, 0, 3, 10, 3, 2)) + b"only", tp_udhi=1)
    async with asyncio.timeout(20):
        whole, part = await anext(client), await anext(client)
    assert isinstance(whole, Reply)
    assert isinstance(part, Reply)
    assert (whole.content, whole.incomplete) == ("世界", False)
    assert (part.content, part.incomplete) == ("…only…", True)
    assert len(gateway.acknowledged()) == 3


# --- the end ---------------------------------------------------------------------------------------------------------


async def test_closing_sends_what_it_can_and_tells_what_became_of_the_rest(gateway: Any, connect: Make) -> None:
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
    assert caught.value.reason is Reason.NO_CONNECTION
    server.close()


async def test_the_wire_log_masks_what_must_not_be_seen(gateway: Any, connect: Make) -> None:
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
    log = "\n".join(lines)
    digest = gateway.all(Connect)[0].authenticator_source.hex()
    for secret in (NUMBER.encode().hex(), b"4711".hex(), "好的".encode("utf-16-be").hex(), digest, digest[:8]):
        assert secret not in log
    assert b"DELIVRD".hex() in log
    assert b"901234".hex() in log
    assert SubmitResp.COMMAND_ID.to_bytes(4, "big").hex() in log


# --- the account's pace ----------------------------------------------------------------------------------------------


async def test_the_pace_is_shared_with_the_accounts_http_way(gateway: Any, connect: Make) -> None:
    http = Pace(pace_key("http://api.1680.me", "user"), 1000.0, time.monotonic)
    turn = http.acquire(1, "normal", None)
    with pytest.raises(StopIteration) as taken:
        next(turn)
    client = connect(rate=1000.0, http_account=("http://api.1680.me/", "user"))
    send = asyncio.create_task(client.send(NUMBER, "hello"))
    await gateway.until(Connect)
    error = await refused_with(client, NotSentError, deadline=0.05)
    assert error.reason is Reason.DEADLINE
    assert gateway.all(Submit) == []
    http.settle(taken.value.value)
    assert (await send)[0].outcome is Outcome.ACCEPTED


async def test_a_deadline_that_the_rate_can_not_keep_is_told_at_once(gateway: Any, connect: Make) -> None:
    client = connect(rate=0.01)
    await client.send(NUMBER, "first")
    error = await refused_with(client, NotSentError, deadline=30.0)
    assert error.reason is Reason.DEADLINE
    assert len(gateway.all(Submit)) == 1


async def test_a_call_cancelled_while_it_waits_for_its_turn_does_not_go(gateway: Any, connect: Make) -> None:
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


async def test_closing_settles_what_waits_for_its_turn(gateway: Any, connect: Make) -> None:
    client = connect(rate=0.01)
    await client.send(NUMBER, "first")
    send = asyncio.create_task(client.send(NUMBER, "second"))
    await asyncio.sleep(0.01)
    await client.aclose(timeout=0.01)
    with pytest.raises(NotSentError):
        await send
    assert len(gateway.all(Submit)) == 1


async def test_a_paced_message_goes_over_the_next_connection_when_one_is_lost(gateway: Any, connect: Make) -> None:
    async def at_once(delay: float) -> None:
        await asyncio.sleep(0 if delay < 5 else delay)

    gateway.on[Submit] = lambda line, _: line.transport.abort()
    client = connect(rate=1000.0, sleep=at_once)
    await refused_with(client, UnknownOutcomeError)
    gateway.on[Submit] = gateway.accept
    assert (await client.send(NUMBER, "second"))[0].outcome is Outcome.ACCEPTED
    assert len(gateway.all(Connect)) == 2


async def test_a_burst_of_too_fast_slows_the_pace_once(gateway: Any, connect: Make) -> None:
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


# --- what is not taken -----------------------------------------------------------------------------------------------


async def test_a_report_that_can_not_be_read_is_refused_and_told(
    gateway: Any, connect: Make, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect()
    await client.send(NUMBER, "hello")
    gateway.deliver(b"short", registered_delivery=1)
    [answer] = await gateway.until(DeliverResp)
    assert answer.result == 1
    assert "can't be read" in caplog.text


async def test_a_full_queue_takes_nothing_and_the_gateway_keeps_it(
    gateway: Any, connect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "_MOST_WAITING", 2)
    client = connect()
    await client.send(NUMBER, "hello")
    delivered = [gateway.deliver(f"reply {place}".encode()) for place in range(3)]
    await client.send(NUMBER, "again")
    assert len(gateway.acknowledged()) == 2
    first = await anext(client)
    gateway.lines[-1].say(delivered[2])
    await gateway.until(DeliverResp, 3)
    rest = [await anext(client), await anext(client)]
    assert [item.content for item in (first, *rest) if isinstance(item, Reply)] == ["reply 0", "reply 1", "reply 2"]


async def test_what_the_gateway_will_not_send_again_is_offered_again_by_ourselves(gateway: Any, connect: Make) -> None:
    taken: list[Any] = []

    def take(item: Any) -> None:
        taken.append(item)
        if len(taken) == 1:
            raise OSError("disk full")

    client = connect(on_incoming=take, answer_timeout=0.2, assembly_time=0.15)
    await client.send(NUMBER, "hello")
    gateway.deliver(bytes((5, 0, 3, 9, 2, 1)) + b"half", tp_udhi=1)
    # Acknowledged at T/2 although the message was not whole: from then on only the client has it.
    await gateway.until(DeliverResp)
    async with asyncio.timeout(20):
        reply = await anext(client)
    assert isinstance(reply, Reply)
    assert (reply.content, reply.incomplete) == ("half…", True)
    assert len(taken) == 2


async def test_a_callback_alone_is_enough_nobody_need_iterate(
    gateway: Any, connect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "_MOST_WAITING", 2)
    taken: list[Any] = []
    client = connect(on_incoming=taken.append)
    await client.send(NUMBER, "hello")
    for place in range(5):
        gateway.deliver(f"reply {place}".encode())
    await gateway.until(DeliverResp, 5)
    assert len(taken) == 5


async def test_no_log_at_any_level_holds_a_secret_a_number_or_a_text(
    gateway: Any, connect: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret, text, reply = "known to both", "back door open", "who is there"

    def drop(_: Any) -> None:
        raise OSError(reply)

    client = connect(on_incoming=drop, answer_timeout=0.05)
    await client.send(NUMBER, text)
    gateway.deliver(reply.encode())
    gateway.on[Submit] = lambda *_: None
    await refused_with(client, UnknownOutcomeError, NUMBER, text)
    gateway.on[Submit] = lambda line, _: line.transport.write(text.encode() * 9)
    await refused_with(client, UnknownOutcomeError, NUMBER, text)
    await client.aclose()
    refused = connect(secret="quite another")
    await refused_with(refused, AuthenticationError, NUMBER, text)
    ours = "\n".join(record.getMessage() for record in caplog.records)
    assert "not taken" in ours
    assert "no answer" in ours
    for hidden in (secret, "quite another", NUMBER, text, reply):
        assert hidden not in ours
        assert hidden not in caplog.text
