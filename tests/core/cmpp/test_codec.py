"""The codec with golden PDUs, split streams, and the known errors of other implementations."""

import dataclasses
import pickle
import struct
from typing import Any

import pytest

from sms1680 import cmpp
from sms1680.cmpp import CodecError, Decoder, decode, encode
from sms1680.cmpp.wire.layout import write_text
from sms1680.cmpp.wire.messages import submit_writer
from sms1680.cmpp.wire.msgid import MsgId
from sms1680.cmpp.wire.pdus import (
    ActiveTestResp,
    Cancel,
    CancelResp,
    Connect,
    ConnectResp,
    Deliver,
    Query,
    QueryResp,
    Submit,
    SubmitResp,
    Unknown,
)
from sms1680.cmpp.wire.reports import ReportContent


def expected_fields(vector: dict[str, Any]) -> dict[str, Any]:
    fields = {}
    for key, value in vector["fields"].items():
        if key.startswith("input_") or key.endswith("_text") or key in ("report", "msg_id_hex"):
            continue
        fields[key.removesuffix("_hex")] = bytes.fromhex(value) if key.endswith("_hex") else value
    return fields


def test_golden_pdu_decodes_to_its_fields(vector: dict[str, Any]) -> None:
    pdu = decode(bytes.fromhex(vector["hex"]))
    found = {key: getattr(pdu, key) for key in expected_fields(vector)}
    if "dest_terminal_id" in found:
        found["dest_terminal_id"] = list(found["dest_terminal_id"])
    assert found == expected_fields(vector)
    assert "CMPP_" + "".join(f"_{c}" if c.isupper() else c for c in type(pdu).__name__)[1:].upper() == vector["command"]


def test_golden_pdu_encodes_to_its_octets(vector: dict[str, Any]) -> None:
    octets = bytes.fromhex(vector["hex"])
    assert encode(decode(octets)) == octets


def test_golden_report_is_decoded_and_encoded(vector: dict[str, Any]) -> None:
    report = vector["fields"].get("report")
    pdu = decode(bytes.fromhex(vector["hex"]))
    if report is None:
        assert not (isinstance(pdu, Deliver) and pdu.registered_delivery)
        return
    assert isinstance(pdu, Deliver)
    content = ReportContent.of(pdu)
    assert dataclasses.asdict(content) == {key: value for key, value in report.items() if key != "msg_id_hex"}
    assert bytes(content) == pdu.msg_content


def test_msg_id_is_split_and_joined(golden: dict[str, bytes]) -> None:
    pdu = decode(golden["submit_resp_result_0"])
    assert isinstance(pdu, SubmitResp)
    parts = MsgId.of(pdu.msg_id)
    assert (parts.month, parts.day, parts.hour, parts.minute, parts.second) == (11, 22, 7, 33, 21)
    assert (parts.gateway, parts.sequence) == (1680, 1)
    assert int(parts) == pdu.msg_id


def test_pdus_are_frozen_comparable_and_picklable(vector: dict[str, Any]) -> None:
    pdu = decode(bytes.fromhex(vector["hex"]))
    with pytest.raises(dataclasses.FrozenInstanceError):
        pdu.sequence_id = 1  # type: ignore[misc]
    again = dataclasses.replace(pdu)
    assert again == pdu
    assert hash(again) == hash(pdu)
    assert pickle.loads(pickle.dumps(pdu)) == pdu


def test_decoded_pdu_equals_a_constructed_one(golden: dict[str, bytes]) -> None:
    assert decode(golden["deliver_mo_ucs2"]) == Deliver(
        sequence_id=301,
        msg_id=13483777559335272451,
        dest_id="1069000188",
        service_id="HELP",
        msg_fmt=8,
        src_terminal_id="13800138000",
        msg_content="退订T".encode("utf-16-be"),
    )


def test_pdus_without_a_golden_vector_round_trip() -> None:
    answer = QueryResp(sequence_id=7, time="20261122", query_type=1, query_code="HELP", mt_tlmsg=1, mo_fl=2**32 - 1)
    octets = encode(answer)
    assert len(octets) == 12 + 51
    assert octets[12:31] == b"20261122\x01HELP\0\0\0\0\0\0"
    assert decode(octets) == answer
    assert encode(Unknown(sequence_id=3, command_id=9, body=b"xy")) == bytes.fromhex("0000000e00000009000000037879")


# --- streams ---------------------------------------------------------------------------------------------------------


def test_stream_split_at_every_octet_decodes_the_same(golden: dict[str, bytes]) -> None:
    octets = b"".join(golden.values())
    whole = [decode(pdu) for pdu in golden.values()]
    for cut in range(len(octets) + 1):
        decoder = Decoder()
        assert decoder.receive(octets[:cut]) + decoder.receive(octets[cut:]) == whole
        assert decoder.pending == 0


def test_stream_of_single_octets_decodes_the_same(golden: dict[str, bytes]) -> None:
    decoder = Decoder()
    found = [pdu for octet in b"".join(golden.values()) for pdu in decoder.receive(bytes((octet,)))]
    assert found == [decode(pdu) for pdu in golden.values()]


def test_invalid_pdu_in_a_stream_does_not_affect_its_neighbours(golden: dict[str, bytes]) -> None:
    bad = bytearray(golden["submit_ascii"])
    bad[150] += 1  # Msg_Length
    first, error, last = Decoder().receive(golden["active_test"] + bytes(bad) + golden["terminate"])
    assert (first, last) == (decode(golden["active_test"]), decode(golden["terminate"]))
    assert isinstance(error, CodecError)
    assert (error.field, error.offset, error.command_id, error.sequence_id) == ("msg_length", 150, 4, 10)
    assert not error.fatal


@pytest.mark.parametrize("length", [0, 1, 4, 11, 4097, 2**31, 2**32 - 1])
def test_impossible_length_ends_the_stream(golden: dict[str, bytes], length: int) -> None:
    decoder = Decoder()
    header = struct.pack(">III", length, 4, 1)
    before, error = decoder.receive(golden["active_test"] + header + golden["terminate"])
    assert before == decode(golden["active_test"])
    assert isinstance(error, CodecError)
    assert (error.field, error.offset, error.fatal) == ("total_length", 0, True)
    assert decoder.receive(golden["terminate"]) == []
    assert decoder.pending == 0


def test_decoder_buffers_at_most_one_pdu() -> None:
    decoder = Decoder(max_length=300)
    assert decoder.receive(struct.pack(">III", 300, 99, 1)) == []
    assert decoder.receive(bytes(287)) == []
    assert decoder.pending == 299
    assert decoder.receive(b"\0\0") == [Unknown(sequence_id=1, command_id=99, body=bytes(288))]
    assert decoder.pending == 1


# --- errors name the field and the octet -----------------------------------------------------------------------------


def submit(**changes: Any) -> Submit:
    fields: dict[str, Any] = {
        "sequence_id": 1,
        "msg_src": "901234",
        "src_id": "10690001",
        "dest_terminal_id": ("13800138000",),
        "msg_content": b"hello",
    }
    return Submit(**(fields | changes))


@pytest.mark.parametrize("total", [1, 2])
@pytest.mark.parametrize("numbers", [("13800138000",), ("13800138000", "13800138001")])
def test_submit_writer_writes_the_octets_of_the_pdu(total: int, numbers: tuple[str, ...]) -> None:
    times = {"valid_time": "261122200000032+", "at_time": "261122190000032+"}
    changes = {"pk_total": total, "tp_udhi": total - 1, "msg_fmt": 8, "dest_terminal_id": numbers, **times}
    write = submit_writer("901234", "HELP")
    assert write(1, total, 1, 8, *times.values(), "10690001", numbers, b"hello") == encode(
        submit(service_id="HELP", **changes)
    )


@pytest.mark.parametrize(
    "changed",
    [{0: 2**32}, {3: 256}, {6: "1" * 22}, {7: ()}, {7: ("",)}, {7: ("1",) * 100}, {8: bytes(161)}],
    ids=str,
)
def test_submit_writer_refuses_what_does_not_fit(changed: dict[int, Any]) -> None:
    fitting = (1, 1, 1, 0, "", "", "10690001", ("13800138000",), b"hello")
    with pytest.raises((ValueError, struct.error)):
        submit_writer("901234", "")(*(changed.get(place, value) for place, value in enumerate(fitting)))


def deliver(**changes: Any) -> Deliver:
    fields: dict[str, Any] = {"msg_id": 1, "dest_id": "1069", "src_terminal_id": "13800138000", "msg_content": b""}
    return Deliver(sequence_id=1, **(fields | changes))


def connect(**changes: Any) -> Connect:
    fields: dict[str, Any] = {"source_addr": "901234", "authenticator_source": bytes(16), "timestamp": 0}
    return Connect(sequence_id=1, **(fields | changes))


@pytest.mark.parametrize(
    ("pdu", "field", "offset"),
    [
        (submit(sequence_id=2**32), "sequence_id", 8),
        (submit(msg_id=-1), "msg_id", 12),
        (submit(pk_total=256), "pk_total", 20),
        (submit(msg_level="9"), "msg_level", 23),
        (submit(service_id="ELEVEN_CHAR"), "service_id", 24),
        (submit(service_id="业务"), "service_id", 24),
        (submit(msg_src="1234567"), "msg_src", 59),
        (submit(valid_time="261122200000032+0\0"), "valid_time", 73),
        (submit(src_id="1" * 22), "src_id", 107),
        (submit(dest_terminal_id=()), "dest_usr_tl", 128),
        (submit(dest_terminal_id=("13800138000",) * 100), "dest_usr_tl", 128),
        (submit(dest_terminal_id=("13800138000", "")), "dest_terminal_id", 150),
        (submit(dest_terminal_id=("13800138000", "1" * 22)), "dest_terminal_id", 150),
        (submit(dest_terminal_id=(13800138000,)), "dest_terminal_id", 129),
        (submit(msg_content=bytes(161)), "msg_length", 150),
        (submit(msg_content=bytes(141), msg_fmt=8), "msg_length", 150),
        (submit(msg_content="hello"), "msg_content", 151),
        (submit(reserve="123456789"), "reserve", 156),
        (SubmitResp(sequence_id=1, result=256), "result", 20),
        (connect(authenticator_source=b""), "authenticator_source", 18),
        (connect(source_addr=901234), "source_addr", 12),
        (Query(sequence_id=1, time="2026-11-22"), "time", 12),
        (deliver(src_terminal_id="1" * 22), "src_terminal_id", 54),
        (deliver(msg_content=bytes(161)), "msg_length", 76),
        (Unknown(sequence_id=1, command_id=9, body=bytes(4096)), "total_length", 0),
    ],
)  # fmt: skip
def test_encode_names_the_field_that_does_not_fit(pdu: cmpp.PDU, field: str, offset: int) -> None:
    with pytest.raises(CodecError) as caught:
        encode(pdu)
    assert (caught.value.field, caught.value.offset) == (field, offset)
    assert f"{field} at octet {offset}" in str(caught.value)
    assert f"{field}（第 {offset} 字节）" in caught.value.sentence("zh")


def test_encode_rejects_other_objects() -> None:
    with pytest.raises(CodecError, match="str is not a PDU"):
        encode("hello")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "change", "field", "offset"),
    [
        ("submit_ascii", {128: 0}, "dest_usr_tl", 128),
        ("submit_ascii", {128: 101}, "dest_usr_tl", 128),
        ("submit_ascii", {128: 3}, "dest_usr_tl", 128),
        ("submit_ascii", {150: 13}, "msg_length", 150),
        ("submit_ascii", {3: 0xAE}, "total_length", 0),
        ("active_test_resp", {7: 2}, "total_length", 0),
    ],
)
def test_decode_names_the_invalid_field(
    golden: dict[str, bytes], name: str, change: dict[int, int], field: str, offset: int
) -> None:
    octets = bytearray(golden[name])
    for place, value in change.items():
        octets[place] = value
    with pytest.raises(CodecError) as caught:
        decode(bytes(octets))
    assert (caught.value.field, caught.value.offset) == (field, offset)


@pytest.mark.parametrize(("msg_length", "behind"), [(0, b""), (1, b""), (200, b""), (2, bytes(12))])
def test_message_with_wrong_msg_length_is_decoded(msg_length: int, behind: bytes) -> None:
    octets = bytearray(encode(deliver(msg_content=b"TD" + behind)))
    octets[76] = msg_length
    assert decode(bytes(octets)) == deliver(msg_content=b"TD")


def test_message_without_reserve_is_decoded() -> None:
    octets = bytearray(encode(deliver(msg_content=b"what is open?"))[:-8])
    octets[3] = len(octets)
    assert decode(bytes(octets)) == deliver(msg_content=b"what is open?")


@pytest.mark.parametrize("name", ["submit_ascii", "deliver_mo_ascii", "submit_resp_result_0", "connect_v20_jan"])
def test_truncated_pdu_raises_codec_error(golden: dict[str, bytes], name: str) -> None:
    octets = golden[name]
    for length in range(len(octets)):
        with pytest.raises(CodecError):
            decode(octets[:length])
        shorter = length.to_bytes(4, "big") + octets[4:length]
        if name == "deliver_mo_ascii" and length >= 77:
            assert isinstance(decode(shorter), Deliver)  # decoded from the octets present
            continue
        with pytest.raises(CodecError):
            decode(shorter)


# --- errors of other implementations (docs/cmpp.md, section 6) --------------------------------------------------------


def test_trap_9_active_test_resp_without_reserved_octet_is_decoded() -> None:
    assert decode(bytes.fromhex("0000000c80000008000001f4")) == ActiveTestResp(sequence_id=500)
    assert len(encode(ActiveTestResp(sequence_id=500))) == 13


def test_trap_16_padding_is_cut_at_the_first_nul_and_blanks_are_stripped(golden: dict[str, bytes]) -> None:
    octets = bytearray(golden["deliver_mo_ascii"])
    octets[20:41] = b" 1069000 \0garbage 0\0 "
    octets[41:51] = b"HELP123450"
    pdu = decode(bytes(octets))
    assert isinstance(pdu, Deliver)
    assert (pdu.dest_id, pdu.service_id) == ("1069000", "HELP123450")


def test_trap_16_non_ascii_octets_are_decoded_and_never_encoded(golden: dict[str, bytes]) -> None:
    octets = bytearray(golden["deliver_mo_ascii"])
    octets[41:45] = "业".encode("gb18030") * 2
    pdu = decode(bytes(octets))
    with pytest.raises(CodecError, match="service_id at octet 41"):
        encode(pdu)
    with pytest.raises(ValueError, match="non-ASCII"):
        write_text("é", 4)


def test_trap_19_one_hundred_destinations_are_decoded_and_not_encoded(golden: dict[str, bytes]) -> None:
    one = golden["submit_ascii"]
    octets = (len(one) + 99 * 21).to_bytes(4, "big") + one[4:128] + b"\x64" + one[129:150] * 100 + one[150:]
    pdu = decode(octets)
    assert isinstance(pdu, Submit)
    assert pdu.dest_terminal_id == ("13800138000",) * 100
    with pytest.raises(CodecError, match="100 destinations, must be 1 to 99"):
        encode(pdu)


@pytest.mark.parametrize("declared", [0, 60, 255])
def test_trap_20_report_content_ignores_msg_length(golden: dict[str, bytes], declared: int) -> None:
    octets = bytearray(golden["deliver_report_delivrd"])
    octets[76] = declared
    pdu = decode(bytes(octets))
    assert pdu == decode(golden["deliver_report_delivrd"])
    assert encode(pdu) == golden["deliver_report_delivrd"]


def test_trap_20_report_with_71_octets_is_decoded() -> None:
    content = struct.pack(">Q7s10s10s32sI", 5, b"DELIVRD", b"2611220733", b"2611220734", b"8613800138000", 9)
    pdu = decode(encode(deliver(registered_delivery=1, msg_content=content)))
    assert isinstance(pdu, Deliver)
    report = ReportContent.of(pdu)
    assert (report.msg_id, report.stat, report.smsc_sequence) == (5, "DELIVRD", 9)
    assert report.dest_terminal_id == "8613800138000"


def test_trap_21_short_report_has_msg_id_and_stat() -> None:
    short = deliver(registered_delivery=1, msg_content=struct.pack(">Q7s", 5, b"UNDELIV"))
    assert ReportContent.of(short) == ReportContent(msg_id=5, stat="UNDELIV", dest_terminal_id="13800138000")
    with pytest.raises(CodecError, match="msg_content at octet 77"):
        ReportContent.of(deliver(registered_delivery=1, msg_content=bytes(14)))


def test_trap_24_cancel_resp_with_one_or_four_octets_is_decoded() -> None:
    assert decode(bytes.fromhex("0000000d800000070000000101")) == CancelResp(sequence_id=1, success_id=1)
    assert decode(bytes.fromhex("00000010800000070000000100000001")) == CancelResp(sequence_id=1, success_id=1)
    assert len(encode(CancelResp(sequence_id=1, success_id=1))) == 13


def test_trap_25_cmpp_3_0_response_is_named_in_the_error() -> None:
    with pytest.raises(CodecError, match=r"speaks CMPP 3\.0"):
        decode(struct.pack(">IIII16sB", 33, 0x80000001, 1, 0, bytes(16), 0x30))


def test_unknown_command_round_trips() -> None:
    octets = struct.pack(">III", 16, 0x12345678, 9) + b"body"
    pdu = decode(octets)
    assert pdu == Unknown(sequence_id=9, command_id=0x12345678, body=b"body")
    assert encode(pdu) == octets


# --- repr -------------------------------------------------------------------------------------------------------------


def test_repr_hides_numbers_secrets_and_texts(vector: dict[str, Any]) -> None:
    shown = repr(decode(bytes.fromhex(vector["hex"])))
    assert "138001380" not in shown
    assert "msg_content" not in shown
    assert "authenticator" not in shown


def test_report_repr_masks_the_number() -> None:
    assert "138****8000" in repr(ReportContent(msg_id=1, stat="DELIVRD", dest_terminal_id="13800138000"))


def test_repr_shows_the_other_fields() -> None:
    assert repr(ConnectResp(sequence_id=1, status=3)) == "ConnectResp(sequence_id=1, status=3, version=0x20)"
    assert repr(Unknown(sequence_id=1, command_id=9, body=b"x")) == "Unknown(sequence_id=1, command_id=0x9, 1 octets)"
    assert repr(Cancel(sequence_id=1, msg_id=2)) == "Cancel(sequence_id=1, msg_id=2)"
