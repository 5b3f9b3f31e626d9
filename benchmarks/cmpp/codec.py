"""Encodes and decodes per second, compared with only `struct` on the same fields.

python benchmarks/cmpp/codec.py
"""

import struct
import timeit
from collections.abc import Callable

from sms1680.cmpp import decode, encode
from sms1680.cmpp.wire.pdus import PDU, Deliver, Submit, SubmitResp

ROUNDS, NUMBER = 51, 4_000
PDUS: dict[str, tuple[PDU, str]] = {
    "SUBMIT": (
        Submit(
            sequence_id=11,
            service_id="HELP",
            msg_fmt=8,
            msg_src="901234",
            src_id="10690001",
            dest_terminal_id=("13800138000",),
            msg_content="您的验证码是123456，5分钟内有效。".encode("utf-16-be"),
        ),
        ">IIIQBBBB10sB21sBBB6s2s6s17s17s21sB21sB{length}s8s",
    ),
    "SUBMIT_RESP": (SubmitResp(sequence_id=11, msg_id=13483237699126034433), ">IIIQB"),
    "DELIVER": (
        Deliver(
            sequence_id=301,
            msg_id=13483777559335272451,
            dest_id="1069000188",
            service_id="HELP",
            msg_fmt=8,
            src_terminal_id="13800138000",
            msg_content="退订T".encode("utf-16-be"),
        ),
        ">IIIQ21s10sBBB21sBB{length}s8s",
    ),
}


def show(direction: str, name: str, ours: Callable[[], object], bare: Callable[[], object]) -> None:
    """Print one line with the median of the ratios. The rounds of both sides alternate."""
    rounds = []
    for _ in range(ROUNDS):
        mine, peer = (timeit.timeit(work, number=NUMBER) / NUMBER for work in (ours, bare))
        rounds.append((peer / mine, 1 / mine))
    ratio, rate = sorted(rounds)[ROUNDS // 2]
    print(f"{direction} {name:12} {rate:10,.0f} per second, {ratio:.2f} of struct alone")


def compare(name: str, pdu: PDU, layout: str) -> None:
    """Print the results for both directions of a PDU."""
    octets = encode(pdu)
    form = layout.format(length=getattr(pdu, "msg_length", 0))
    values = struct.unpack(form, octets)
    show("encode", name, lambda: encode(pdu), lambda: struct.pack(form, *values))
    show("decode", name, lambda: decode(octets), lambda: struct.unpack(form, octets))


if __name__ == "__main__":
    for each, (example, fields) in PDUS.items():
        compare(each, example, fields)
