"""Converts texts to Msg_Content and back, in segments that cut no character (docs/cmpp.md, sections 2 and 3)."""

from typing import Final, Literal, NamedTuple

from ...decoding import Label
from ...text import split_units, units

Encoding = Literal["auto", "ucs2", "gbk"]
"""auto: ASCII if possible, else UCS2. ucs2: always UCS2. gbk: GBK if every character has a code in it, else UCS2."""

ASCII: Final = 0
UCS2: Final = 8
GB18030: Final = 15

MAX_SEGMENTS: Final = 255
_ONE_ASCII: Final = 159
_ONE: Final = 140
_PART: Final = 134


class EncodedSegments(NamedTuple):
    """An encoded text: its Msg_Fmt and the content of each segment, without user data headers.

    Each of several segments has room for its header.
    """

    msg_fmt: int
    segments: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"EncodedSegments(msg_fmt={self.msg_fmt}, {len(self.segments)} segments)"


def write_text_content(text: str, encoding: Encoding = "auto", added_units: int = 0) -> EncodedSegments:
    """Return the segments of a text: one of at most 140 octets (159 for ASCII), or several of at most 134.

    text: with its signature, without lone surrogates. added_units: the length of the signature that the platform
    prepends, in UTF-16 units; the first segment leaves room for it, assuming Chinese. Long ASCII is sent as UCS2,
    since gateways disagree on the size of an ASCII segment. Surrogate pairs and GBK characters are never cut.

    Raises ValueError for more than 255 segments.
    """
    if encoding == "auto" and not added_units and text.isascii() and len(text) <= _ONE_ASCII:
        return EncodedSegments(ASCII, (text.encode(),))
    of_gbk = _split_gbk(text, 2 * added_units) if encoding == "gbk" else None
    if of_gbk is not None:
        msg_fmt, segments = GB18030, of_gbk
    elif units(text) + added_units <= _ONE // 2:
        msg_fmt, segments = UCS2, (text.encode("utf-16-be"),)
    else:
        pieces = split_units("x" * added_units + text, _PART // 2)
        msg_fmt, segments = UCS2, tuple(piece.encode("utf-16-be") for piece in pieces)
        segments = (segments[0][2 * added_units :], *segments[1:])
    if len(segments) > MAX_SEGMENTS:
        raise ValueError(f"{len(segments)} segments, maximum {MAX_SEGMENTS}")
    return EncodedSegments(msg_fmt, segments)


def read_text_content(content: bytes, msg_fmt: int) -> str:
    """Return the text of a content without its user data header by its label alone, as a gateway reads it. Never fails.

    ASCII with octets from 0x80 is read as GB18030, and UCS2 with an odd length without its last octet (docs/cmpp.md,
    trap 17). Binary and unknown formats are returned as hexadecimal digits, unless they are printable ASCII.
    """
    label = label_of(msg_fmt)
    if label is Label.UCS2:
        return content[: len(content) & ~1].decode("utf-16-be", "replace")
    if label is not Label.OTHER:
        return content.decode("gb18030", "replace")
    text = content.decode("latin-1")
    return text if content.isascii() and text.isprintable() else content.hex()


def label_of(msg_fmt: int) -> Label:
    """Return the encoding that a Msg_Fmt states. UCS2 is 8, 9 or 0x18, for any message class (GSM 03.38)."""
    if msg_fmt & ~0x13 == UCS2:
        return Label.UCS2
    return {ASCII: Label.ASCII, GB18030: Label.GB}.get(msg_fmt, Label.OTHER)


def _split_gbk(text: str, used: int) -> tuple[bytes, ...] | None:
    """Return the segments of a text, or None if GBK lacks a character. used: octets of the signature in the first."""
    try:
        octets = text.encode("gbk")
    except UnicodeEncodeError:
        return None
    if len(octets) + used <= _ONE:
        return (octets,)
    pieces = [b""]
    for character in text:
        octets = character.encode("gbk")
        if used + len(octets) > _PART:
            pieces.append(b"")
            used = 0
        pieces[-1] += octets
        used += len(octets)
    return tuple(pieces)
