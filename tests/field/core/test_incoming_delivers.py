"""DELIVERs as gateways really send them, over a socket to the CMPP client."""

import asyncio
import os
import random
from typing import Any

from sms1680 import DeliveryReport, Reply
from sms1680.cmpp.wire.codec import encode
from sms1680.cmpp.wire.pdus import Connect, Deliver, DeliverResp
from sms1680.cmpp.wire.reports import ReportContent
from sms1680.outcomes import Reason

NUMBER = "13800138000"
SIGNS = "后门已打开，请回复 1 关闭警报。ABCabc019 😀👍"


def part(reference: int, total: int, number: int, text: str) -> bytes:
    return bytes((5, 0, 3, reference, total, number)) + text.encode("utf-16-be")


async def take(client: Any, count: int) -> list[Any]:
    async with asyncio.timeout(20):
        return [await anext(client) for _ in range(count)]


async def test_reference_that_is_used_again_loses_no_segment(gateway: Any, connect: Any) -> None:
    client = connect(assembly_time=0.2)
    await client.send(NUMBER, "hello")
    for number, text in ((1, "A1"), (1, "B1"), (2, "B2")):
        gateway.deliver(part(0, 2, number, text), tp_udhi=1, msg_fmt=8)
    replies = await take(client, 2)
    assert [(reply.content, reply.incomplete) for reply in replies] == [("B1B2", False), ("A1…", True)]
    assert len(await gateway.until(DeliverResp, 3)) == 3


async def test_header_without_its_flag_and_flag_without_a_header_are_recognised(gateway: Any, connect: Any) -> None:
    client = connect()
    await client.send(NUMBER, "hello")
    gateway.deliver(part(7, 2, 2, "关门"), tp_udhi=0, msg_fmt=8)
    gateway.deliver(part(7, 2, 1, "请"), tp_udhi=0, msg_fmt=8)
    gateway.deliver("1 好".encode("utf-16-be"), tp_udhi=1, msg_fmt=8)
    gateway.deliver(b"1", tp_udhi=0x40)
    gateway.deliver(part(8, 1, 1, "一段"), tp_udhi=0, msg_fmt=8)
    replies = await take(client, 4)
    assert [reply.content for reply in replies] == ["请关门", "1 好", "1", "一段"]
    assert not any(reply.incomplete for reply in replies)


def cut(content: bytes, *, reserve: int, length: int | None = None, **fields: Any) -> bytes:
    """Return a DELIVER with a shorter reserve, or another Msg_Length."""
    given: dict[str, Any] = {"dest_id": "1069000188", "src_terminal_id": NUMBER, "msg_id": random.getrandbits(63)}
    octets = bytearray(encode(Deliver(sequence_id=1, msg_content=content, **given, **fields)))
    del octets[len(octets) - 8 + reserve :]
    octets[3] = len(octets)
    if length is not None:
        octets[76] = length
    return bytes(octets)


async def test_deliver_without_its_last_fields_is_read_as_far_as_it_goes(gateway: Any, connect: Any) -> None:
    client = connect()
    [receipt] = await client.send(NUMBER, "hello")
    line = gateway.lines[-1].transport
    for reserve in (0, 3):
        line.write(cut(b"1", reserve=reserve))
        line.write(cut("好的，马上来关".encode("utf-16-be"), reserve=reserve, msg_fmt=8))
    line.write(cut(b"2", reserve=0, length=0))
    replies = await take(client, 5)
    assert [reply.content for reply in replies] == ["1", "好的，马上来关"] * 2 + ["2"]
    report = ReportContent(msg_id=int(str(receipt.message_id)), stat="DELIVRD", dest_terminal_id=f"86{NUMBER}")
    line.write(cut(bytes(report), reserve=0, registered_delivery=1))
    line.write(cut(bytes(report)[:15].replace(b"DELIVRD", b"UNDELIV"), reserve=0, length=0, registered_delivery=1))
    reports = await take(client, 2)
    assert reports == [DeliveryReport(receipt.message_id, NUMBER, stat) for stat in ("DELIVRD", "UNDELIV")]
    assert [answer.result for answer in await gateway.until(DeliverResp, 7)] == [0] * 7


async def at_once(delay: float) -> None:
    await asyncio.sleep(0 if delay < 5 else delay)


async def test_corrupt_data_on_a_standing_connection_is_named_as_such(gateway: Any, connect: Any, caplog: Any) -> None:
    statuses: list[Any] = []
    client = connect(on_status=statuses.append, sleep=at_once)
    await client.send(NUMBER, "hello")
    gateway.lines[-1].transport.write(b"\xff" * 12)
    await gateway.until(Connect, 2)
    await client.send(NUMBER, "again")
    [closed] = [status for status in statuses if not status.connected]
    assert closed.reason is Reason.CORRUPT
    assert "invalid CMPP data" in caplog.text
    assert "no 1680 platform" not in caplog.text


async def test_drawn_uplinks_are_received_once_each_whole_or_marked(gateway: Any, connect: Any) -> None:
    """SMS1680_FIELD_UPLINKS: how many texts are cut, labelled and ordered at random."""
    count = int(os.environ.get("SMS1680_FIELD_UPLINKS", "300"))
    draw = random.Random(1680)
    client = connect(assembly_time=0.5)
    await client.send(NUMBER, "hello")
    expected: dict[str, tuple[str, bool]] = {}
    missing = msg_id = 0
    for begin in range(0, count, 100):
        segments: list[tuple[int, int, int, str, int, int]] = []
        for place in range(begin, min(begin + 100, count)):
            # Each text is unique, so that its sender is known; references are reused by every other sender.
            total = draw.choice((1, 1, 2, 3, 5))
            texts = [f"{place:06}" + "".join(draw.choices(SIGNS, k=draw.randint(5, 30))) for _ in range(total)]
            texts = [text.strip() for text in texts]
            lost = draw.randrange(total) if total > 1 and draw.random() < 0.1 else None
            missing += lost is not None
            whole = "".join("…" if number == lost else text for number, text in enumerate(texts))
            expected[f"139{place:08}"] = (whole, lost is not None)
            reference = draw.randrange(4)
            segments += [
                (place, reference, total, text, number + 1, draw.choice((0, 8, 15)))
                for number, text in enumerate(texts)
                if number != lost
            ]
        draw.shuffle(segments)
        for place, reference, total, text, number, msg_fmt in segments:
            honest = msg_fmt == 8 or draw.random() < 0.3
            encoding = "utf-16-be" if honest else "gb18030"
            octets = text.encode(encoding)
            header = bytes((5, 0, 3, reference, total, number)) if total > 1 else b""
            udhi = draw.choice((0, 1, 0x40)) if header else 0
            msg_id += 1
            fields = {"tp_udhi": udhi, "msg_fmt": msg_fmt, "src_terminal_id": f"139{place:08}", "msg_id": msg_id}
            sent = gateway.deliver(header + octets, **fields)
            if draw.random() < 0.05:
                gateway.lines[-1].say(sent)  # the gateway repeats it
        await asyncio.sleep(0)
    received: dict[str, tuple[str, bool]] = {}
    async with asyncio.timeout(600):
        for _ in range(count):
            reply = await anext(client)
            assert isinstance(reply, Reply)
            assert reply.number not in received
            received[reply.number] = (reply.content, reply.incomplete)
    assert received == expected
    assert sum(incomplete for _, incomplete in received.values()) == missing
    await client.aclose()
    assert [item async for item in client] == []
