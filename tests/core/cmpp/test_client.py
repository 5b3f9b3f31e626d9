"""Sending with the CMPP client to a gateway on a real socket."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sms1680 import (
    BalanceError,
    InvalidMessageError,
    InvalidSettingError,
    NotSentError,
    Outcome,
    Reason,
    Receipt,
    RefusedError,
    Repeat,
    UnknownOutcomeError,
)
from sms1680.cmpp.client import CMPPClient
from sms1680.cmpp.wire.longsms import split_header
from sms1680.cmpp.wire.pdus import ActiveTest, Connect, Submit
from sms1680.cmpp.wire.texts import read_text_content

Make = Callable[..., CMPPClient]
NUMBER = "13800138000"
NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


# --- out -------------------------------------------------------------------------------------------------------------


async def test_message_returns_a_receipt(gateway: Any, connect: Make) -> None:
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


async def test_times_use_the_protocol_format(gateway: Any, connect: Make) -> None:
    client = connect(now=lambda: NOON)
    at = NOON + timedelta(hours=8)
    await client.send(NUMBER, "hello", at=at, valid_for=timedelta(hours=1))
    await client.send(NUMBER, "hello", valid_for=timedelta(minutes=5))
    first, second = gateway.all(Submit)
    assert (first.at_time, first.valid_time) == ("261122200000032+", "261122210000032+")
    assert (second.at_time, second.valid_time) == ("", "261122120500032+")


async def test_long_message_has_an_id_for_each_segment(gateway: Any, connect: Make) -> None:
    client = connect(signature="某某科技")
    text = "门" * 150
    [receipt] = await client.send(NUMBER, text)
    submits = gateway.all(Submit)
    assert [(s.pk_total, s.pk_number, s.tp_udhi) for s in submits] == [(3, 1, 1), (3, 2, 1), (3, 3, 1)]
    headers = [split_header(s.msg_content) for s in submits]
    assert len({header.reference for header, _ in headers if header}) == 1
    assert read_text_content(b"".join(body for _, body in headers), 8) == "【某某科技】" + text
    assert (len(receipt.message_ids), receipt.message_id, receipt.parts) == (3, receipt.message_ids[0], 3)
    assert receipt.segments == 3
    await client.send(NUMBER, text)
    again = split_header(gateway.all(Submit)[3].msg_content)[0]
    assert headers[0][0] is not None
    assert again is not None
    assert again.reference == (headers[0][0].reference + 1) % 256


async def test_text_of_two_parts_can_be_one_segment(gateway: Any, connect: Make) -> None:
    [receipt] = await connect().send(NUMBER, "a" * 150)
    assert len(gateway.all(Submit)) == 1
    assert (receipt.parts, receipt.segments, len(receipt.message_ids)) == (3, 1, 1)


async def test_submit_has_at_most_99_distinct_destinations(gateway: Any, connect: Make) -> None:
    client = connect()
    numbers = [f"138{place:08d}" for place in range(250)]
    receipts = await client.send([*numbers, numbers[0]], "hello")
    assert [s.dest_usr_tl for s in gateway.all(Submit)] == [99, 99, 52]
    assert [receipt.number for receipt in receipts] == [*numbers, numbers[0]]
    assert receipts[0] == receipts[-1]
    assert receipts[0].message_id != receipts[249].message_id


async def test_client_fills_templates_and_sends_batch_texts(gateway: Any, connect: Make) -> None:
    client = connect()
    await client.send_template("{A}，你好 {PHONE}", [(NUMBER, "李先生"), ("13800210001", "王女士")])
    receipts = await client.send_batch([(NUMBER, "a|b$c"), ("13800210001", "two"), (NUMBER, "a|b$c")])
    texts = [read_text_content(s.msg_content, s.msg_fmt) for s in gateway.all(Submit)]
    assert texts == [f"李先生，你好 {NUMBER}", "王女士，你好 13800210001", "a|b$c", "two"]
    assert receipts[0] == receipts[2]


async def test_half_of_a_pair_is_sent_as_a_replacement_character(gateway: Any, connect: Make) -> None:
    await connect().send(NUMBER, "\ud83d open")
    [submit] = await gateway.until(Submit)
    assert submit.msg_content.decode("utf-16-be") == "\ufffd open"


@pytest.mark.parametrize(
    ("args", "options"),
    [
        ((NUMBER, ""), {}),
        (("12345", "hello"), {}),
        (([], "hello"), {}),
        ((NUMBER, "x" * 501), {}),
        ((NUMBER, "hello"), {"extension": "1" * 14}),
        ((NUMBER, "hello"), {"extension": 12}),
        ((NUMBER, "hello"), {"at": NOON - timedelta(seconds=1)}),
        ((NUMBER, "hello"), {"at": NOON.replace(tzinfo=None)}),
        ((NUMBER, "hello"), {"valid_for": timedelta()}),
        ((NUMBER, "hello"), {"priority": "urgent"}),
    ],
)
async def test_invalid_message_is_refused_before_sending(
    gateway: Any, connect: Make, args: Any, options: Any, refused_with: Any
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
        (5, RefusedError, Outcome.REFUSED, Reason.TARIFF),
        (6, RefusedError, Outcome.REFUSED, Reason.TOO_LONG),
        (7, RefusedError, Outcome.REFUSED, Reason.SERVICE_CODE),
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
    gateway: Any, connect: Make, result: int, kind: type[Exception], outcome: Outcome, reason: Reason, refused_with: Any
) -> None:
    gateway.on[Submit] = gateway.refuse(result)
    error = await refused_with(connect(), kind)
    [receipt] = error.receipts
    assert (receipt.outcome, receipt.reason, receipt.detail) == (outcome, reason, f"Result {result}")


async def test_standard_result_table_can_be_selected(gateway: Any, connect: Make, refused_with: Any) -> None:
    gateway.on[Submit] = gateway.refuse(13)
    error = await refused_with(connect(dialect="standard"), RefusedError)
    assert error.reason is Reason.NUMBER


async def test_some_reasons_stop_the_rest_of_the_call(gateway: Any, connect: Make, refused_with: Any) -> None:
    gateway.on[Submit] = gateway.refuse(0, 13)
    client = connect(window=1)
    numbers = [f"138{place:08d}" for place in range(300)]
    error = await refused_with(client, BalanceError, numbers, "hello")
    outcomes = [receipt.outcome for receipt in error.receipts]
    assert outcomes == [Outcome.ACCEPTED] * 99 + [Outcome.REFUSED] * 99 + [Outcome.NOT_SENT] * 102
    assert len(gateway.all(Submit)) == 2


async def test_wrong_number_does_not_stop_the_others(gateway: Any, connect: Make, refused_with: Any) -> None:
    def check(line: Any, pdu: Submit) -> None:
        gateway.accept(line, pdu, 11 if "13800000005" in pdu.dest_terminal_id else 0)

    gateway.on[Submit] = check
    numbers = [f"138{place:08d}" for place in range(9)]
    error = await refused_with(connect(), RefusedError, numbers, "hello")
    refused = [receipt.number for receipt in error.receipts if receipt.outcome is not Outcome.ACCEPTED]
    assert refused == ["13800000005"]
    taken = [number for pdu in gateway.all(Submit) for number in pdu.dest_terminal_id if "13800000005" not in pdu.dest_terminal_id]  # fmt: skip # noqa: E501
    assert sorted(taken) == [number for number in numbers if number != "13800000005"]


async def test_partly_accepted_message_is_reported(gateway: Any, connect: Make, refused_with: Any) -> None:
    gateway.on[Submit] = gateway.refuse(0, 12)
    error = await refused_with(connect(window=1), UnknownOutcomeError, NUMBER, "门" * 150)
    [receipt] = error.receipts
    assert (receipt.outcome, receipt.reason) == (Outcome.UNKNOWN, Reason.PARTLY)
    assert receipt.detail == "1 of 3 segments were accepted, the others not: forbidden_words, Result 12"
    assert (len(receipt.message_ids), receipt.segments) == (1, 3)
    assert len(gateway.all(Submit)) == 2


async def test_partly_accepted_message_is_never_repeated(gateway: Any, connect: Make, refused_with: Any) -> None:
    client = connect(window=1)
    await client.send(NUMBER, "connected")
    gateway.on[Submit] = gateway.refuse(0, 8)
    error = await refused_with(client, UnknownOutcomeError, NUMBER, "门" * 100, patience=0.0)
    [receipt] = error.receipts
    assert (receipt.outcome, receipt.reason) == (Outcome.UNKNOWN, Reason.PARTLY)
    assert receipt.repeat is Repeat.NEVER_BY_ITSELF


async def test_late_answers_turn_unknown_into_accepted(gateway: Any, connect: Make, refused_with: Any) -> None:
    waiting: list[Any] = []
    receipts: asyncio.Queue[Receipt] = asyncio.Queue()
    gateway.on[Submit] = lambda line, pdu: waiting.append((line, pdu))
    client = connect(answer_timeout=0.5, idle=1000.0, on_receipt=receipts.put_nowait)
    await refused_with(client, UnknownOutcomeError, NUMBER, "门" * 100)
    for one in waiting:
        gateway.accept(*one)
    async with asyncio.timeout(20):
        first, second = await receipts.get(), await receipts.get()
    assert (first.outcome, len(first.message_ids)) == (Outcome.UNKNOWN, 0)
    assert (second.outcome, len(second.message_ids)) == (Outcome.ACCEPTED, 2)


async def test_too_fast_slows_down_and_retries(gateway: Any, connect: Make) -> None:
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


async def test_too_fast_until_patience_ends_is_a_refusal(gateway: Any, connect: Make, refused_with: Any) -> None:
    client = connect()
    await client.send(NUMBER, "connected")
    gateway.on[Submit] = gateway.refuse(8)
    error = await refused_with(client, RefusedError, patience=0.0)
    assert error.reason is Reason.TOO_FAST


async def test_known_rate_allows_one_submit_in_flight(gateway: Any, connect: Make) -> None:
    waiting: list[Any] = []
    gateway.on[Submit] = lambda line, pdu: waiting.append((line, pdu))
    client = connect(rate=1000.0)
    sends = [asyncio.create_task(client.send(NUMBER, f"message {place}")) for place in range(3)]
    for place in range(3):
        await gateway.until(Submit, place + 1)
        assert len(gateway.all(Submit)) == place + 1
        gateway.accept(*waiting[place])
    assert [receipt.outcome for send in sends for receipt in await send] == [Outcome.ACCEPTED] * 3


async def test_window_is_respected_and_critical_messages_overtake(gateway: Any, connect: Make) -> None:
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


async def test_missing_answer_within_t_is_unknown(gateway: Any, connect: Make, refused_with: Any) -> None:
    receipts: list[Receipt] = []
    gateway.on[Submit] = lambda *_: None
    client = connect(answer_timeout=0.5, on_receipt=receipts.append)
    error = await refused_with(client, UnknownOutcomeError)
    assert error.reason is Reason.LOST
    [submit] = gateway.all(Submit)
    gateway.accept(gateway.lines[-1], submit)
    gateway.on[Submit] = gateway.accept
    await client.send("13800138001", "next")
    assert len(gateway.all(Submit)) == 2
    # The hook gets the late answer for the same number.
    assert [(receipt.number, receipt.outcome) for receipt in receipts] == [
        (NUMBER, Outcome.UNKNOWN),
        (NUMBER, Outcome.ACCEPTED),
        ("13800138001", Outcome.ACCEPTED),
    ]


async def test_lost_connection_leaves_submits_in_flight_unknown(gateway: Any, connect: Make, refused_with: Any) -> None:
    gateway.on[Submit] = lambda line, _: line.transport.abort()
    error = await refused_with(connect(), UnknownOutcomeError)
    assert error.receipts[0].outcome is Outcome.UNKNOWN
    assert len(gateway.all(Submit)) == 1


async def test_queued_messages_use_the_next_connection(gateway: Any, connect: Make) -> None:
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


async def test_without_a_connection_patience_ends_with_not_sent(connect: Make, gateway: Any, refused_with: Any) -> None:
    gateway.server.close()
    error = await refused_with(connect(), NotSentError, patience=0.05)
    assert error.reason is Reason.NO_CONNECTION


async def test_no_submit_begins_after_the_deadline(gateway: Any, connect: Make, refused_with: Any) -> None:
    gateway.on[Submit] = lambda *_: None
    client = connect(window=1)
    first = asyncio.create_task(client.send(NUMBER, "first"))
    await gateway.until(Submit)
    error = await refused_with(client, NotSentError, deadline=0.05)
    assert error.reason is Reason.DEADLINE
    first.cancel()


async def test_cancelled_call_stops_queued_and_records_submitted_messages(gateway: Any, connect: Make) -> None:
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


async def test_silent_connection_is_probed_before_a_submit(gateway: Any, connect: Make) -> None:
    ahead = [0.0]
    client = connect(clock=lambda: time.monotonic() + ahead[0])
    await client.send(NUMBER, "first")
    ahead[0] = 10.5
    await client.send(NUMBER, "second")
    assert [type(pdu) for pdu in gateway.heard] == [Connect, Submit, ActiveTest, Submit]
