"""Text encoding, segments, references, assembled uplinks, times and authenticators."""

import itertools
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from sms1680.cmpp.wire.auth import authenticator_ismg, connect_request, is_authentic
from sms1680.cmpp.wire.codec import decode, encode
from sms1680.cmpp.wire.longsms import (
    Concatenation,
    ReferenceCounter,
    SegmentAssembler,
    concatenation_header,
    split_header,
)
from sms1680.cmpp.wire.pdus import Connect, Deliver, Submit
from sms1680.cmpp.wire.smpptime import connect_timestamp, smpp_time
from sms1680.cmpp.wire.texts import ASCII, GB18030, UCS2, read_text_content, write_text_content

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=600)


@pytest.mark.parametrize(
    ("text", "encoding", "msg_fmt", "sizes"),
    [
        ("hello", "auto", ASCII, [5]),
        ("x" * 159, "auto", ASCII, [159]),
        ("x" * 160, "auto", UCS2, [134, 134, 52]),
        ("hello", "ucs2", UCS2, [10]),
        ("门" * 70, "auto", UCS2, [140]),
        ("门" * 71, "auto", UCS2, [134, 8]),
        ("门" * 70, "gbk", GB18030, [140]),
        ("x" + "门" * 70, "gbk", GB18030, [133, 8]),
        ("门" * 69 + "😀", "gbk", UCS2, [134, 8]),
        ("a" * 66 + "😀" + "b" * 10, "ucs2", UCS2, [132, 24]),
    ],
)
def test_text_is_encoded_with_format_and_sizes(text: str, encoding: Any, msg_fmt: int, sizes: list[int]) -> None:
    written = write_text_content(text, encoding)
    assert (written.msg_fmt, [len(segment) for segment in written.segments]) == (msg_fmt, sizes)
    assert text[:3] not in repr(written)


@given(TEXT, st.sampled_from(["auto", "ucs2", "gbk"]), st.integers(0, 32))
def test_each_segment_fits_and_decodes_alone(text: str, encoding: Any, added: int) -> None:
    written = write_text_content(text, encoding, added)
    segments = written.segments
    # No character is cut, so each segment decodes alone.
    assert "".join(read_text_content(segment, written.msg_fmt) for segment in segments) == text
    room = (159 if written.msg_fmt == ASCII else 140) if len(segments) == 1 else 134
    assert max(map(len, segments)) <= room
    assert len(segments[0]) + 2 * added <= room


def test_text_with_more_than_255_segments_is_rejected() -> None:
    with pytest.raises(ValueError, match="maximum 255"):
        write_text_content("门" * (67 * 255 + 1))


@given(st.binary(max_size=200), st.integers(0, 255))
def test_decoding_a_text_never_fails(content: bytes, msg_fmt: int) -> None:
    assert isinstance(read_text_content(content, msg_fmt), str)


@pytest.mark.parametrize(
    ("content", "msg_fmt", "text"),
    [
        (b"TD", ASCII, "TD"),
        ("退订".encode("gb18030"), ASCII, "退订"),
        ("𠮷退".encode("gb18030"), GB18030, "𠮷退"),
        ("退订".encode("utf-16-be") + b"\0", UCS2, "退订"),
        ("退订".encode("utf-16-be"), 9, "退订"),
        ("退订".encode("utf-16-be"), 0x18, "退订"),
        (b"\x01\x80", 4, "0180"),
        (b"plain", 3, "plain"),
    ],
)
def test_trap_17_uplink_formats_are_decoded(content: bytes, msg_fmt: int, text: str) -> None:
    assert read_text_content(content, msg_fmt) == text


def test_golden_texts_are_decoded(vector: dict[str, Any]) -> None:
    for key, text in vector["fields"].items():
        if key != "msg_content_text":
            continue
        pdu = decode(bytes.fromhex(vector["hex"]))
        assert isinstance(pdu, Submit | Deliver)
        body = split_header(pdu.msg_content)[1] if pdu.tp_udhi & 0x41 else pdu.msg_content
        assert read_text_content(body, pdu.msg_fmt) == text


# --- user data headers and references --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\x05\x00\x03\xa5\x02\x01hi", (Concatenation(0xA5, 2, 1, wide=False), b"hi")),
        (b"\x06\x08\x04\x12\x34\x03\x03hi", (Concatenation(0x1234, 3, 3, wide=True), b"hi")),
        (b"\x09\x24\x02\x00\x00\x00\x03\x00\x02\x02hi", (Concatenation(0, 2, 2, wide=False), b"hi")),
        (b"\x05\x00\x03\xa5\x02\x03hi", (None, b"hi")),
        (b"\x05\x00\x03\xa5\x02\x00hi", (None, b"hi")),
        (b"\x05\x00\x09\xa5\x02\x01hi", (None, b"\x05\x00\x09\xa5\x02\x01hi")),
        (b"hi", (None, b"hi")),
        (b"", (None, b"")),
    ],
)
def test_user_data_header_is_split_off(content: bytes, found: tuple[Concatenation | None, bytes]) -> None:
    assert split_header(content) == found


@given(st.binary(max_size=160))
def test_splitting_a_header_never_fails(content: bytes) -> None:
    concatenation, body = split_header(content)
    assert content.endswith(body)
    assert concatenation is None or 1 <= concatenation.number <= concatenation.total


def test_trap_7_references_count_up_per_destination_and_wrap() -> None:
    references = ReferenceCounter(iter([254, 7, 7, *[7] * 300]).__next__)
    assert references.allocate(["A", "B"]) == {254: ["A", "B"]}
    assert references.allocate(["A"]) == {255: ["A"]}
    assert references.allocate(["A", "B", "C"]) == {0: ["A"], 255: ["B"], 7: ["C"]}
    seen = [next(iter(references.allocate(["A"]))) for _ in range(256)]
    assert sorted(seen) == list(range(256))


def test_reference_counter_drops_the_least_recently_used_destinations() -> None:
    references = ReferenceCounter(lambda: 7)
    for number in range(20_001):
        references.allocate([str(number)])
    assert references.allocate(["0"]) == {7: ["0"]}
    assert references.allocate(["20000"]) == {8: ["20000"]}


# --- assembled uplinks ------------------------------------------------------------------------------------------------


def add(
    assembler: SegmentAssembler, text: str, number: int, total: int, *, reference: int = 1, now: float = 0.0
) -> list[Any]:
    segment = Concatenation(reference, total, number, wide=False)
    return assembler.add(("sender", "us", ASCII), segment, text.encode(), text, now)


def test_segments_are_assembled_in_any_order() -> None:
    for order in itertools.permutations([1, 2, 3]):
        assembler = SegmentAssembler(60)
        *nothing, [whole] = [add(assembler, f"part{number}", number, 3) for number in order]
        assert nothing == [[], []]
        assert list(whole.parts.values()) == [b"part1", b"part2", b"part3"]
        assert not whole.incomplete
        assert assembler.deadline is None


def test_repeated_segment_replaces_the_first() -> None:
    assembler = SegmentAssembler(60)
    add(assembler, "one", 1, 2)
    assert add(assembler, "one", 1, 2) == []
    [whole] = add(assembler, "end", 2, 2)
    assert list(whole.parts.values()) == [b"one", b"end"]
    assert whole.tokens == ["one", "one", "end"]


def test_other_segment_with_the_same_reference_begins_another_message() -> None:
    assembler = SegmentAssembler(60)
    add(assembler, "A1", 1, 2)
    add(assembler, "B1", 1, 2, now=10.0)
    [whole] = add(assembler, "B2", 2, 2, now=11.0)
    assert list(whole.parts.values()) == [b"B1", b"B2"]
    assert assembler.deadline == 60.0
    [part] = assembler.expire(60.0)
    assert (part.parts, part.incomplete) == ({1: b"A1"}, True)
    assert assembler.deadline is None


def test_segment_that_several_messages_lack_goes_to_the_nearest_msg_id() -> None:
    assembler = SegmentAssembler(60)
    whole: list[Any] = []
    for text, msg_id in (("A1", 10), ("B1", 20), ("A2", 11), ("B2", 21)):
        segment = Concatenation(0, 2, int(text[1]), wide=False)
        whole += assembler.add("key", segment, text.encode(), text, 0.0, msg_id=msg_id)
    assert [list(one.parts.values()) for one in whole] == [[b"A1", b"A2"], [b"B1", b"B2"]]


def test_messages_with_different_references_are_separate() -> None:
    assembler = SegmentAssembler(60)
    add(assembler, "a1", 1, 2, reference=1)
    add(assembler, "b1", 1, 2, reference=2)
    [whole] = add(assembler, "b2", 2, 2, reference=2)
    assert list(whole.parts.values()) == [b"b1", b"b2"]


def test_expired_message_is_returned_as_incomplete() -> None:
    assembler = SegmentAssembler(60)
    add(assembler, "b", 2, 3, now=100.0)
    assert assembler.deadline == 160.0
    assert assembler.expire(159.9) == []
    [part] = assembler.expire(160.0)
    assert (part.parts, part.incomplete, part.tokens) == ({2: b"b"}, True, ["b"])
    assert assembler.expire(1000.0) == []


def test_too_many_partial_messages_return_the_oldest() -> None:
    assembler = SegmentAssembler(60, max_messages=3)
    returned = [part for reference in range(10) for part in add(assembler, str(reference), 1, 2, reference=reference)]
    returned += assembler.flush()
    assert [part.parts[1] for part in returned] == [str(reference).encode() for reference in range(10)]
    assert all(part.incomplete for part in returned)


def test_long_text_round_trips_through_pdus() -> None:
    text = "后门 22:41 打开。" * 30 + "😀" * 20
    written = write_text_content(text)
    delivers = []
    for number, body in enumerate(written.segments, 1):
        content = concatenation_header(9, len(written.segments), number) + body
        pdu = Deliver(
            sequence_id=number, msg_id=number, dest_id="1069", src_terminal_id="13800138000", tp_udhi=0x40,
            msg_fmt=written.msg_fmt, msg_content=content,
        )  # fmt: skip
        delivers.append(decode(encode(pdu)))
    random.Random(1).shuffle(delivers)
    assembler, whole = SegmentAssembler(60), []
    for deliver in delivers:
        assert isinstance(deliver, Deliver)
        segment, body = split_header(deliver.msg_content)
        assert segment is not None
        whole += assembler.add("key", segment, body, None, 0.0)
    assert read_text_content(b"".join(whole[0].parts.values()), written.msg_fmt) == text


# --- times and authenticators ----------------------------------------------------------------------------------------


def test_times_are_china_time() -> None:
    when = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
    assert smpp_time(when) == "261122200000032+"
    assert connect_timestamp(datetime(2026, 1, 1, 16, 4, 5, tzinfo=UTC)) == "0102000405"


def test_golden_authenticators_are_reproduced(vector: dict[str, Any]) -> None:
    fields = vector["fields"]
    if vector["command"] == "CMPP_CONNECT" and len(fields["source_addr"]) == 6:
        octets = bytes.fromhex(vector["hex"])
        made = connect_request(
            fields["sequence_id"], fields["source_addr"], fields["input_secret"], fields["timestamp_text"]
        )
        assert encode(made)[:28] == octets[:28]
        assert made.timestamp == fields["timestamp"]
    elif vector["command"] == "CMPP_CONNECT_RESP":
        source = bytes.fromhex(fields["input_authenticator_source_hex"])
        answer = bytes.fromhex(fields["authenticator_ismg_hex"])
        assert authenticator_ismg(fields["status"], source, fields["input_secret"]) == answer
        assert is_authentic(answer, fields["status"], source, "1234")
        assert not is_authentic(answer, fields["status"], source, "12345")
    else:
        assert "input_secret" not in fields or fields["source_addr"] == "1680"


def test_trap_13_short_sp_id_is_hashed_without_padding() -> None:
    made = connect_request(2, "1680", "888888", "1122073321")
    assert made == Connect(
        sequence_id=2, source_addr="1680", authenticator_source=made.authenticator_source, timestamp=1122073321
    )
    assert made.authenticator_source.hex() != "4e6f753367d089e95ded5f360ace2849"  # padded to six
