"""The texts of uplinks with wrong labels, over a socket to the CMPP client, and as pushes."""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
from field.incoming import GB, TEXTS, UCS2, Case

from sms1680 import Reply, parse_push
from sms1680.decoding import Label, decode_text


async def test_every_text_arrives_over_cmpp_as_it_was_written(gateway: Any, connect: Any) -> None:
    client = connect()
    await client.send("13800138000", "hello")
    for case in TEXTS:
        gateway.deliver(case.octets, msg_fmt=case.msg_fmt)
    async with asyncio.timeout(20):
        replies = [await anext(client) for _ in TEXTS]
    assert [(case.name, reply.content) for case, reply in zip(TEXTS, replies, strict=True)] == [
        (case.name, case.text) for case in TEXTS
    ]
    assert not any(reply.incomplete for reply in replies)


@pytest.mark.parametrize("case", [case for case in TEXTS if case.push], ids=lambda case: case.name)
def test_octets_in_any_encoding_arrive_as_a_push(case: Case) -> None:
    reply = parse_push(f"mobile=13911000000&content={quote(case.octets)}&xh=;")
    assert isinstance(reply, Reply)
    assert reply.content == case.text


@pytest.mark.parametrize(
    ("query", "content"),
    [
        ("content=%EF%BB%BF1", "1"),
        ("content=%E2%80%8B1", "1"),
        ("content=1%25E5%25A5%25BD", "1好"),
        ("content=1%2B%25E5%25A5%25BD", "1 好"),
        ("content=%25EF%25BB%25BF%25E5%25A5%25BD", "好"),
        ("content=1%2B1", "1+1"),
        ("content=1&xh=%EF%BB%BF12", "1"),
    ],
)
def test_signs_without_a_shape_and_a_second_encoding_are_removed(query: str, content: str) -> None:
    reply = parse_push(f"mobile=%E2%80%AD13911000000%E2%80%AC&{query}")
    assert isinstance(reply, Reply)
    assert (reply.number, reply.content, reply.extension) == ("13911000000", content, "12" * ("xh" in query))


def test_honest_label_is_believed_for_every_character_of_gb_2312() -> None:
    """No sender who keeps to the rules is misread: one character alone is the least evidence."""
    rows = (*range(1, 10), *range(16, 88))
    octets = bytes(octet for row in rows for place in range(1, 95) for octet in (0xA0 + row, 0xA0 + place))
    characters = octets.decode("gb2312", "ignore")
    assert len(characters) > 7000
    for label, encoding in ((Label.UCS2, "utf-16-be"), (Label.GB, "gb18030"), (Label.UTF_8, "utf-8")):
        wrong = [each for each in characters if decode_text([each.encode(encoding)], label) != each]
        assert wrong == [], label


async def test_segment_keeps_its_own_format_and_an_odd_cut_loses_nothing(gateway: Any, connect: Any) -> None:
    client = connect()
    await client.send("13800138000", "hello")
    gateway.deliver(b"\x05\x00\x03\x01\x02\x01" + "后门".encode("utf-16-be"), tp_udhi=1, msg_fmt=UCS2)
    gateway.deliver(b"\x05\x00\x03\x01\x02\x02" + "已关".encode("gb18030"), tp_udhi=1, msg_fmt=GB)
    # ASCII under the wrong label, cut after an odd number of octets.
    gateway.deliver(b"\x05\x00\x03\x02\x02\x01" + b"who", tp_udhi=1, msg_fmt=UCS2)
    gateway.deliver(b"\x05\x00\x03\x02\x02\x02" + b" is there", tp_udhi=1, msg_fmt=UCS2)
    async with asyncio.timeout(20):
        replies = [await anext(client), await anext(client)]
    assert [(reply.content, reply.incomplete) for reply in replies] == [("后门已关", False), ("who is there", False)]
