"""The codec with random PDUs, and with random or mutated octets."""

import contextlib
import random
import string
from typing import Any

from hypothesis import given, strategies as st

from sms1680.cmpp import CodecError, Decoder, decode, encode
from sms1680.cmpp.wire.pdus import (
    PDU,
    ActiveTest,
    ActiveTestResp,
    Cancel,
    CancelResp,
    Connect,
    ConnectResp,
    Deliver,
    DeliverResp,
    Query,
    QueryResp,
    Submit,
    SubmitResp,
    Terminate,
    TerminateResp,
    Unknown,
)
from sms1680.cmpp.wire.reports import ReportContent

U8 = st.integers(0, 2**8 - 1)
U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
PRINTABLE = string.digits + string.ascii_letters + string.punctuation


def text(size: int, least: int = 0) -> st.SearchStrategy[str]:
    return st.text(PRINTABLE, min_size=least, max_size=size)


def content(kinds: dict[str, st.SearchStrategy[Any]], cls: type[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(cls, **kinds, msg_fmt=st.just(0), msg_content=st.binary(max_size=160)),
        st.builds(cls, **kinds, msg_fmt=st.integers(1, 255), msg_content=st.binary(max_size=140)),
    )


SUBMITS: st.SearchStrategy[Submit] = content(
    {
        "sequence_id": U32,
        "msg_id": U64,
        "service_id": text(10),
        "fee_terminal_id": text(21),
        "msg_src": text(6),
        "fee_type": text(2),
        "fee_code": text(6),
        "valid_time": text(17),
        "at_time": text(17),
        "src_id": text(21),
        "dest_terminal_id": st.lists(text(21, 1), min_size=1, max_size=99).map(tuple),
        "reserve": text(8),
        **dict.fromkeys(
            ["pk_total", "pk_number", "registered_delivery", "msg_level", "fee_usertype", "tp_pid", "tp_udhi"], U8
        ),
    },
    Submit,
)
DELIVERS: st.SearchStrategy[Deliver] = content(
    {
        "sequence_id": U32,
        "msg_id": U64,
        "dest_id": text(21),
        "service_id": text(10),
        "src_terminal_id": text(21),
        "reserve": text(8),
        **dict.fromkeys(["tp_pid", "tp_udhi", "registered_delivery"], U8),
    },
    Deliver,
)
MD5 = st.binary(min_size=16, max_size=16)
COUNTERS = dict.fromkeys(["mt_tlmsg", "mt_tlusr", "mt_scs", "mt_wt", "mt_fl", "mo_scs", "mo_wt", "mo_fl"], U32)
QUERY = {"sequence_id": U32, "time": text(8), "query_type": U8, "query_code": text(10)}
PDUS: st.SearchStrategy[PDU] = st.one_of(
    SUBMITS,
    DELIVERS,
    st.builds(Connect, sequence_id=U32, source_addr=text(6), authenticator_source=MD5, version=U8, timestamp=U32),
    st.builds(ConnectResp, sequence_id=U32, status=U8, authenticator_ismg=MD5, version=U8),
    st.builds(SubmitResp, sequence_id=U32, msg_id=U64, result=U8),
    st.builds(DeliverResp, sequence_id=U32, msg_id=U64, result=U8),
    st.builds(Query, **QUERY, reserve=text(8)),
    st.builds(QueryResp, **QUERY, **COUNTERS),
    st.builds(Cancel, sequence_id=U32, msg_id=U64),
    st.builds(CancelResp, sequence_id=U32, success_id=U8),
    st.builds(ActiveTestResp, sequence_id=U32, reserved=U8),
    *[st.builds(cls, sequence_id=U32) for cls in (Terminate, TerminateResp, ActiveTest)],
    st.builds(Unknown, sequence_id=U32, command_id=st.integers(9, 2**31 - 1), body=st.binary(max_size=200)),
)


@given(PDUS)
def test_every_pdu_round_trips(pdu: PDU) -> None:
    octets = encode(pdu)
    assert int.from_bytes(octets[:4], "big") == len(octets)
    assert decode(octets) == pdu
    assert type(decode(octets)) is type(pdu)


@given(st.lists(PDUS, max_size=8), st.randoms(use_true_random=False))
def test_stream_split_anywhere_decodes_the_same(pdus: list[PDU], chance: random.Random) -> None:
    octets = b"".join(map(encode, pdus))
    decoder, found, place = Decoder(), [], 0
    while place < len(octets):
        size = chance.choice((1, 2, 11, 12, 13, 100, 5000))
        found += decoder.receive(octets[place : place + size])
        place += size
    assert found == pdus


@given(st.binary(max_size=400))
def test_random_octets_raise_only_codec_errors(octets: bytes) -> None:
    with contextlib.suppress(CodecError):
        decode(octets)
    decoder = Decoder()
    decoder.receive(octets)
    assert decoder.pending < 4096


def test_mutated_pdus_raise_only_codec_errors(golden: dict[str, bytes]) -> None:
    """Run a short version of benchmarks/cmpp/fuzz.py."""
    chance = random.Random(1680)
    seeds = list(golden.values())
    read = 0
    for _ in range(20_000):
        octets = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            octets[chance.randrange(len(octets))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        if chance.random() < 0.2:
            del octets[chance.randrange(len(octets)) :]
        with contextlib.suppress(CodecError):
            pdu = decode(bytes(octets))
            if isinstance(pdu, Deliver) and pdu.registered_delivery == 1:
                ReportContent.of(pdu)
            read += 1
    assert 2_000 < read < 18_000
