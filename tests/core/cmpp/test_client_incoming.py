"""Receiving with the CMPP client: replies and reports, once each, acknowledged when they are safe."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from sms1680 import (
    AuthenticationError,
    DeliveryReport,
    Reply,
    UnknownOutcomeError,
)
from sms1680.cmpp import acknowledger
from sms1680.cmpp.client import CMPPClient
from sms1680.cmpp.wire.pdus import ActiveTest, ActiveTestResp, Connect, Deliver, DeliverResp, Submit, SubmitResp
from sms1680.cmpp.wire.reports import ReportContent

Make = Callable[..., CMPPClient]
NUMBER, SOURCE = "13800138000", "10690001"
NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


# --- in --------------------------------------------------------------------------------------------------------------


async def test_iterator_returns_and_acknowledges_replies(gateway: Any, connect: Make) -> None:
    client = connect()
    await client.send(NUMBER, "hello")
    delivered = gateway.deliver("好的".encode("utf-16-be"), msg_fmt=8)
    async with asyncio.timeout(20):
        reply = await anext(client)
    assert reply == Reply(NUMBER, "好的", "88", str(delivered.msg_id))
    assert await gateway.until(DeliverResp) == [DeliverResp(sequence_id=delivered.sequence_id, msg_id=delivered.msg_id)]


async def test_duplicate_is_acknowledged_but_returned_once(gateway: Any, connect: Make) -> None:
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


async def at_once(delay: float) -> None:
    await asyncio.sleep(0 if delay < 5 else delay)


async def test_trap_3_deliver_acknowledged_on_a_lost_connection_is_returned_once(gateway: Any, connect: Make) -> None:
    taken: list[Any] = []
    client = connect(on_incoming=taken.append, sleep=at_once)
    [receipt] = await client.send(NUMBER, "hello")
    reply = gateway.deliver(b"Y", msg_id=5)
    gateway.report(int(str(receipt.message_id)), "DELIVRD")
    await gateway.until(DeliverResp, 2)
    gateway.lines[-1].transport.abort()
    await gateway.until(Connect, 2)
    await client.send(NUMBER, "again")
    gateway.next_sequence = reply.sequence_id + 70
    gateway.deliver(b"Y", msg_id=5)
    gateway.report(int(str(receipt.message_id)), "DELIVRD")
    await gateway.until(DeliverResp, 4)
    assert [type(item) for item in taken] == [Reply, DeliveryReport]


async def test_trap_2_report_without_its_submit_resp_is_returned_once(
    gateway: Any, connect: Make, refused_with: Any
) -> None:
    def report_and_hang_up(line: Any, _: Submit) -> None:
        gateway.report(4711, "DELIVRD")
        line.transport.close()

    taken: asyncio.Queue[Any] = asyncio.Queue()
    client = connect(on_incoming=taken.put_nowait, sleep=at_once, answer_timeout=1.0)
    gateway.on[Submit] = report_and_hang_up
    await refused_with(client, UnknownOutcomeError)
    gateway.on[Submit] = gateway.accept
    await gateway.until(Connect, 2)
    await client.send(NUMBER, "again")
    gateway.report(4711, "DELIVRD")
    await gateway.until(DeliverResp)
    assert await taken.get() == DeliveryReport("4711", NUMBER, "DELIVRD")
    assert taken.empty()


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


async def test_report_waits_until_all_segments_are_settled(gateway: Any, connect: Make) -> None:
    ids: list[int] = []
    last: list[Any] = []

    def accept(line: Any, pdu: Submit) -> None:
        if pdu.pk_number == 1:
            ids.append(gateway.accept(line, pdu))
            gateway.report(ids[0], "DELIVRD")
        else:
            last.append((line, pdu))

    gateway.on[Submit] = accept
    client = connect(rate=1000.0)
    send = asyncio.create_task(client.send(NUMBER, "门" * 100))
    await gateway.until(DeliverResp)
    await gateway.wait(lambda: last)
    ids.append(gateway.accept(*last[0]))
    await send
    gateway.report(ids[1], "UNDELIV")
    gateway.report(4711, "DELIVRD")
    async with asyncio.timeout(20):
        items = [await anext(client), await anext(client)]
    assert items == [DeliveryReport(str(ids[0]), NUMBER, "UNDELIV"), DeliveryReport("4711", NUMBER, "DELIVRD")]


@pytest.mark.parametrize("first", ["report", "answer"])
async def test_report_in_one_read_with_its_answer_is_joined(gateway: Any, connect: Make, first: str) -> None:
    def accept(line: Any, pdu: Submit) -> None:
        gateway.next_id += 1
        answer = SubmitResp(sequence_id=pdu.sequence_id, msg_id=gateway.next_id)
        content = ReportContent(msg_id=gateway.next_id, stat="DELIVRD", dest_terminal_id=NUMBER)
        gateway.next_sequence += 1
        report = Deliver(
            sequence_id=gateway.next_sequence,
            msg_id=gateway.next_sequence,
            dest_id=SOURCE,
            src_terminal_id=NUMBER,
            registered_delivery=1,
            msg_content=bytes(content),
        )
        line.say(*((report, answer) if first == "report" else (answer, report)))

    gateway.on[Submit] = accept
    client = connect(rate=1000.0)
    [receipt] = await client.send(NUMBER, "门" * 150)
    assert len(receipt.message_ids) == 3
    async with asyncio.timeout(20):
        assert await anext(client) == DeliveryReport(receipt.message_id, NUMBER, "DELIVRD")


async def test_trap_21_short_report_uses_the_destination_of_the_deliver(gateway: Any, connect: Make) -> None:
    client = connect()
    [receipt, _] = await client.send([NUMBER, "13800138001"], "hello")
    short = int(str(receipt.message_id)).to_bytes(8, "big") + b"DELIVRD"
    for number in (NUMBER, "8613800138001"):
        gateway.deliver(short, registered_delivery=1, src_terminal_id=number)
    async with asyncio.timeout(20):
        items = [await anext(client), await anext(client)]
    assert items == [DeliveryReport(receipt.message_id, number, "DELIVRD") for number in (NUMBER, "13800138001")]


async def test_segment_reports_are_separate_without_join_reports(gateway: Any, connect: Make) -> None:
    client = connect(join_reports=False)
    [receipt] = await client.send(NUMBER, "门" * 150)
    reports = [(receipt.message_ids[place], stat) for place, stat in ((1, "DELIVRD"), (0, "ACCEPTD"), (2, "UNDELIV"))]
    for msg_id, stat in reports:
        gateway.report(int(msg_id), stat)
    await gateway.until(DeliverResp, 3)
    await client.aclose()
    assert [(item.message_id, item.status) async for item in client if isinstance(item, DeliveryReport)] == reports


async def test_item_is_acknowledged_when_the_callback_returns(gateway: Any, connect: Make) -> None:
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


async def test_rejected_item_is_not_acknowledged_and_is_resent(gateway: Any, connect: Make) -> None:
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
    assert len(await gateway.until(DeliverResp, 2)) == 2  # each copy has its answer
    assert len(taken) == 2


async def test_rejected_report_is_resent_unchanged(gateway: Any, connect: Make) -> None:
    taken: list[Any] = []

    def take(item: Any) -> None:
        taken.append(item)
        if len(taken) == 1:
            raise OSError("disk full")

    client = connect(on_incoming=take)
    [receipt] = await client.send(NUMBER, "门" * 100)
    first, second = map(int, receipt.message_ids)
    gateway.report(first, "DELIVRD")
    last = gateway.report(second, "DELIVRD")
    await client.send(NUMBER, "again")
    assert len(gateway.acknowledged()) == 1
    gateway.lines[-1].say(last)
    await gateway.until(DeliverResp, 3)
    assert taken == [DeliveryReport(str(first), NUMBER, "DELIVRD")] * 2


async def test_segments_of_an_uplink_are_combined(gateway: Any, connect: Make) -> None:
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


# --- what is not taken -----------------------------------------------------------------------------------------------


async def test_malformed_report_is_refused_and_logged(
    gateway: Any, connect: Make, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect()
    await client.send(NUMBER, "hello")
    gateway.deliver(b"short", registered_delivery=1)
    [answer] = await gateway.until(DeliverResp)
    assert answer.result == 1
    assert "can't be read" in caplog.text


async def test_full_queue_acknowledges_nothing(gateway: Any, connect: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledger, "_MAX_QUEUED", 2)
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


async def test_acknowledged_item_is_retried_by_the_client(gateway: Any, connect: Make) -> None:
    taken: list[Any] = []

    def take(item: Any) -> None:
        taken.append(item)
        if len(taken) == 1:
            raise OSError("disk full")

    client = connect(on_incoming=take, answer_timeout=1.0, assembly_time=1.2)
    await client.send(NUMBER, "hello")
    gateway.deliver(bytes((5, 0, 3, 9, 2, 1)) + b"half", tp_udhi=1)
    # Acknowledged at T/2 although the message was not whole: from then on only the client has it.
    await gateway.until(DeliverResp)
    async with asyncio.timeout(20):
        reply = await anext(client)
    assert isinstance(reply, Reply)
    assert (reply.content, reply.incomplete) == ("half…", True)
    assert len(taken) == 2


async def test_cancelled_callback_counts_as_rejection(gateway: Any, connect: Make) -> None:
    taken: list[Any] = []

    async def take(item: Any) -> None:
        taken.append(item)
        if len(taken) == 1:
            raise asyncio.CancelledError

    client = connect(on_incoming=take)
    await client.send(NUMBER, "hello")
    first = gateway.deliver(b"1")
    gateway.deliver(b"2")
    await gateway.until(DeliverResp)
    gateway.lines[-1].say(first)
    await gateway.until(DeliverResp, 3)
    assert [item.content for item in taken] == ["1", "2", "1"]


async def test_item_queued_longer_than_half_of_t_is_resent(gateway: Any, connect: Make) -> None:
    taken: list[str] = []
    given_up = asyncio.Event()

    async def take(item: Any) -> None:
        taken.append(item.content)
        if taken == ["1"]:
            try:
                await asyncio.Event().wait()
            finally:
                given_up.set()

    client = connect(on_incoming=take, answer_timeout=1.0)
    await client.send(NUMBER, "hello")
    _, *others = [gateway.deliver(content) for content in (b"1", b"2", b"3")]
    async with asyncio.timeout(20):
        await given_up.wait()
    gateway.lines[-1].say(*others)
    await gateway.until(DeliverResp, 4)  # each copy has its answer
    assert sorted(taken) == ["1", "2", "3"]  # on a busy machine, one of them can still be in time before its copy


# --- the end ---------------------------------------------------------------------------------------------------------


def half(reference: int) -> bytes:
    return bytes((5, 0, 3, reference, 2, 1)) + b"half"


async def test_closing_leaves_unacknowledged_segments_to_the_gateway(gateway: Any, connect: Make) -> None:
    taken: list[Any] = []
    client = connect(on_incoming=taken.append, answer_timeout=2.0, idle=1000.0)
    await client.send(NUMBER, "hello")
    gateway.deliver(half(1), tp_udhi=1, src_terminal_id="13800138001")
    await gateway.until(DeliverResp)
    gateway.deliver(half(2), tp_udhi=1, src_terminal_id="13800138002")
    await client.send(NUMBER, "again")
    await client.aclose()
    assert [(item.number, item.content, item.incomplete) for item in taken] == [("13800138001", "half…", True)]
    assert len(gateway.acknowledged()) == 1


async def test_closing_finishes_the_running_callback_only(gateway: Any, connect: Make) -> None:
    taken: list[str] = []
    begun, safe = asyncio.Event(), asyncio.Event()

    async def take(item: Any) -> None:
        taken.append(item.content)
        begun.set()
        await safe.wait()

    client = connect(on_incoming=take)
    await client.send(NUMBER, "hello")
    gateway.deliver(b"1")
    await begun.wait()
    closing = asyncio.create_task(client.aclose())
    await asyncio.sleep(0)
    gateway.deliver(b"2")
    gateway.lines[-1].say(ActiveTest(sequence_id=1))
    await gateway.until(ActiveTestResp)
    safe.set()
    await closing
    assert taken == ["1"]
    assert len(gateway.acknowledged()) == 1


async def test_closing_retries_acknowledged_items_once(
    gateway: Any, connect: Make, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[Any] = []
    offered = asyncio.Event()

    def take(item: Any) -> None:
        taken.append(item)
        offered.set()
        raise OSError("disk full")

    client = connect(on_incoming=take, answer_timeout=1.0, assembly_time=1.2)
    await client.send(NUMBER, "hello")
    gateway.deliver(half(1), tp_udhi=1)
    async with asyncio.timeout(20):
        await offered.wait()
    before = len(taken)
    await client.aclose()
    assert len(taken) == before + 1
    assert "retrying in" in caplog.text
    assert "item is lost" in caplog.text


async def test_callback_works_without_an_iterator(gateway: Any, connect: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledger, "_MAX_QUEUED", 2)
    taken: list[Any] = []
    client = connect(on_incoming=taken.append)
    await client.send(NUMBER, "hello")
    for place in range(5):
        gateway.deliver(f"reply {place}".encode())
    await gateway.until(DeliverResp, 5)
    assert len(taken) == 5


async def test_logs_contain_no_secret_number_or_text(
    gateway: Any, connect: Make, caplog: pytest.LogCaptureFixture, refused_with: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    secret, text, reply = "known to both", "back door open", "who is there"

    def drop(_: Any) -> None:
        raise OSError(reply)

    client = connect(on_incoming=drop, answer_timeout=1.0)
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
    assert "will send the item again" in ours
    assert "no answer" in ours
    for hidden in (secret, "quite another", NUMBER, text, reply):
        assert hidden not in ours
        assert hidden not in caplog.text
