"""Texts to Msg_Content and back: encodings, and segments that cut no character (CMPP 2.0, 7.4.3.1; GSM 03.40)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, Literal

from ...text import split_units, units

__all__ = [
    "ASCII",
    "GB18030",
    "MAX_SEGMENTS",
    "UCS2",
    "EncodedSegments",
    "Encoding",
    "join_content",
    "read_text_content",
    "write_text_content",
]

Encoding = Literal["auto", "ucs2", "gbk"]
"""What a text goes out as: ASCII where it can and UCS2 else, always UCS2, or GBK where every character has one."""

ASCII: Final = 0
UCS2: Final = 8
GB18030: Final = 15

MAX_SEGMENTS: Final = 255
_ONE_ASCII: Final = 159
_ONE: Final = 140
_PART: Final = 134


@dataclass(frozen=True, slots=True)
class EncodedSegments:
    """A text as it goes out: its Msg_Fmt, and the content of each segment, without a user data header.

    More than one segment need a header each; one has room for it.
    """

    msg_fmt: int
    segments: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"EncodedSegments(msg_fmt={self.msg_fmt}, {len(self.segments)} segments)"


def write_text_content(text: str, encoding: Encoding = "auto", added_units: int = 0) -> EncodedSegments:
    """Return a text as segments: one of at most 140 octets (159 for ASCII), else several of at most 134.

    text: with its signature, without lone surrogates. added_units: what the platform itself puts in front (its
    signature): room is left for it in the first segment, and it is taken for Chinese. Long ASCII goes out as UCS2,
    since gateways don't agree on what an ASCII segment holds. No surrogate pair and no GBK character is cut.

    Raises ValueError for more than 255 segments.
    """
    if encoding == "auto" and not added_units and text.isascii() and len(text) <= _ONE_ASCII:
        return EncodedSegments(ASCII, (text.encode(),))
    octets = _gbk(text) if encoding == "gbk" else None
    if octets is not None:
        msg_fmt, segments = GB18030, _split_gbk(text, octets, 2 * added_units)
    elif units(text) + added_units <= _ONE // 2:
        msg_fmt, segments = UCS2, (text.encode("utf-16-be"),)
    else:
        pieces = split_units("x" * added_units + text, _PART // 2)
        msg_fmt, segments = UCS2, tuple(piece.encode("utf-16-be") for piece in pieces)
        segments = (segments[0][2 * added_units :], *segments[1:])
    if len(segments) > MAX_SEGMENTS:
        raise ValueError(f"{len(segments)} segments, at most {MAX_SEGMENTS}")
    return EncodedSegments(msg_fmt, segments)


def read_text_content(content: bytes, msg_fmt: int) -> str:
    """Return the text of an uplink's content without its user data header; whatever the octets, it never fails.

    ASCII with octets beyond it is read as GB18030, as gateways mean it; of UCS2 with an odd length the last octet is
    dropped (trap 17). Binary and unknown formats are given as hexadecimal digits, unless they are plain ASCII.
    """
    if msg_fmt == GB18030:
        return content.decode("gb18030", "replace")
    if _is_ucs2(msg_fmt):
        return content[: len(content) & ~1].decode("utf-16-be", "replace")
    if msg_fmt == ASCII:
        return content.decode("ascii") if content.isascii() else content.decode("gb18030", "replace")
    text = content.decode("latin-1")
    return text if content.isascii() and text.isprintable() else content.hex()


def join_content(segments: Sequence[bytes], msg_fmt: int) -> bytes:
    """Return the content of an uplink's segments that follow each other.

    A UCS2 segment with an odd length loses its last octet (trap 17), which would shift all that follows; unless the
    next one is odd as well: then a character was cut between the two.
    """
    if not _is_ucs2(msg_fmt):
        return b"".join(segments)
    joined = b""
    for segment, following in zip_longest(segments, segments[1:], fillvalue=b""):
        joined += segment
        if len(joined) % 2 and len(following) % 2 == 0:
            joined = joined[:-1]
    return joined


def _is_ucs2(msg_fmt: int) -> bool:
    """Tell UCS2 in any message class: 8, and as seen 9 and 0x18 (GSM 03.38, general data coding)."""
    return msg_fmt & ~0x13 == UCS2


def _gbk(text: str) -> bytes | None:
    try:
        return text.encode("gbk")
    except UnicodeEncodeError:
        return None


def _split_gbk(text: str, octets: bytes, added: int) -> tuple[bytes, ...]:
    if len(octets) + added <= _ONE:
        return (octets,)
    return tuple(_pieces(text, added))


def _pieces(text: str, used: int) -> Iterator[bytes]:
    piece: list[bytes] = []
    for character in text:
        octets = character.encode("gbk")
        if used + len(octets) > _PART:
            yield b"".join(piece)
            piece, used = [], 0
        piece.append(octets)
        used += len(octets)
    yield b"".join(piece)
