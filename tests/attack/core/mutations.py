"""Pushes and PDUs that are almost right: correct ones with octets changed, removed, doubled or spliced."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from urllib.parse import quote, quote_from_bytes

SHORT = 20_000
COUNT = int(os.environ.get("SMS1680_MUTATIONS", SHORT))
NUMBER = "13800000001"
_TEXT = "机密 748291，门开了 🚪"
_VECTORS = Path(__file__).parents[2] / "core" / "cmpp" / "cmpp2_vectors.json"
# What matters to a parser of addresses, and to one of texts.
_TOKENS = (
    *(b"%", b"%E9", b"%00", b"%0A", b"%25", b"%ED%A0%80", b"%u95E8", b"+", b"&", b"=", b";", b"&content=", b"&mobile="),
    *(b"\x00", b"\r\n", b"\xff", b"\xfe\xff", b"\x80", "门".encode("gb18030"), "门".encode(), "\u202e\u200b".encode()),
    *(b"[x](http://x)", b"<b>", b"{0}", b"${x}", b"../", b"'", b'"', b"\\", b"9" * 40, b"a=1&" * 60),
)
_ODD = (0, 1, 0x7F, 0x80, 0xFF)


def push_seeds() -> list[bytes]:
    """Return the pushes of the platform's document, in each encoding that was seen."""
    texts = [quote(_TEXT), quote_from_bytes(_TEXT.encode("gb18030")), quote(quote(_TEXT)), "T", ""]
    replies = [f"mobile={NUMBER}&content={text}&xh=12;" for text in texts]
    replies += [f"mobile=%2B86{NUMBER}&xh=&content={texts[0]}&msgid=12", f"content={texts[1]}&mobile={NUMBER}"]
    reports = [f"msgid=9171123&mobile={NUMBER}&status={status};" for status in ("DELIVRD", "MK:0001", "%E6%88%90")]
    return [push.encode() for push in replies + reports]


def pdu_seeds() -> list[bytes]:
    """Return the golden PDUs."""
    return [bytes.fromhex(vector["hex"]) for vector in json.loads(_VECTORS.read_text("utf-8"))["vectors"]]


def mutate(chance: random.Random, seeds: list[bytes], *, framed: bool = False) -> bytes:
    """Return a seed after one to four changes. framed: with the length of its octets at its beginning, mostly."""
    octets = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 4)):
        place, kind = chance.randrange(len(octets) + 1), chance.random()
        if kind < 0.4 and place < len(octets):
            octets[place] = chance.choice(_ODD) if chance.random() < 0.3 else chance.randrange(256)
        elif kind < 0.6:
            octets[place:place] = chance.choice(_TOKENS)
        elif kind < 0.7:
            del octets[place : place + chance.randint(1, 8)]
        elif kind < 0.8:
            octets[place:place] = octets[: chance.randint(1, 40)]
        elif kind < 0.9:
            other = chance.choice(seeds)
            octets[place:] = other[chance.randrange(len(other)) :]
        elif kind < 0.92:
            octets[place:place] = octets[:64] * 40
        else:
            del octets[place:]
        if not octets:
            octets += b"&"
    if framed and chance.random() < 0.9 and len(octets) >= 8:
        octets[:4] = len(octets).to_bytes(4, "big")
    return bytes(octets)
