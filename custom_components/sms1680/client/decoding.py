"""Decides the text of received octets by their label and by the octets themselves (docs/robustness.md).

Gateways label texts wrongly. The label's reading counts as long as it consists of characters that people in China
write. Otherwise a reading in another encoding counts if it does.
"""

import re
from collections.abc import Iterator, Sequence
from enum import Enum, IntEnum
from functools import cache
from itertools import zip_longest
from typing import Final


class Label(Enum):
    """The encoding that the sender states. OTHER: no encoding, or not one of a text."""

    ASCII = "ascii"
    UTF_8 = "utf-8"
    GB = "gb18030"
    UCS2 = "utf-16-be"
    OTHER = ""


class _Grade(IntEnum):
    """How likely a person wrote a text: the grade of its least likely character.

    INVALID: controls, unassigned characters and wrong octets. KNOWN: the less frequent characters of GB 2312.
    COMMON: ASCII, Latin letters, punctuation, emoji, and the 3755 most frequent Chinese characters.
    """

    INVALID = 0
    RARE = 1
    KNOWN = 2
    COMMON = 3


_LITTLE_ENDIAN: Final = "utf-16-le"
_UTF_16: Final = (Label.UCS2.value, _LITTLE_ENDIAN)
_ENCODINGS: Final = (Label.ASCII.value, Label.UTF_8.value, Label.GB.value, *_UTF_16)
_MARKS: Final = (
    (b"\xef\xbb\xbf", Label.UTF_8.value),
    (b"\xfe\xff", Label.UCS2.value),
    (b"\xff\xfe", _LITTLE_ENDIAN),
    (b"\x84\x31\x95\x33", Label.GB.value),
)
# Controls except tabs and line ends, and signs without a shape except the joiner of emoji.
_INVISIBLE: Final = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f\xad\u061c\u180e\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]+"
)
# Rare in short replies in ASCII, and frequent where UCS2 is read as ASCII: 好 is Y}, 是 is f/, 不用 has a line end.
_RARE_SIGNS: Final = re.compile(r"[\"#$%&/;<>@\[\\\]^_`{|}~]|\r(?=[^\n])")
_LONGEST_MISTAKEN: Final = 8
# Words as people write them. Two letters are too little evidence, unless they are a usual reply.
_WORDS: Final = re.compile(r"(?:(?:[A-Z]?[a-z]+|[A-Z]+)?[0-9]*(?:[ .,!?:'()+*#\r\n-]+|\Z))+")
_TWO_LETTERS: Final = re.compile(r"(?i)[a-z]{2}")
_USUAL_LETTERS: Final = frozenset({"ok", "no", "td", "qx", "hi", "yy", "nn"})
_FIRST_CHINESE: Final = "\u4e00"


def decode_text(parts: Sequence[bytes], label: Label) -> str:
    """Return the text of the consecutive parts of a message, without padding and byte order mark. Never fails.

    Octets without any reading are replaced with U+FFFD, in a push (UTF-8) with their escape sequences, and without a
    label with hexadecimal digits.
    """
    text, grade = _decide(parts, label)
    if grade < _Grade.COMMON and len(parts) > 1:
        # The parts can be in different encodings. Together, they are tried first: a character can be cut between two.
        alone = [_decide([part], label) for part in parts]
        if min(each for _, each in alone) > grade:
            return "".join(each for each, _ in alone)
    return text


def _decide(parts: Sequence[bytes], label: Label) -> tuple[str, _Grade]:
    """Return the likeliest reading and its grade."""
    octets = b"".join(parts)
    for mark, encoding in _MARKS:
        if octets.startswith(mark):
            rest = octets[len(mark) :]
            if encoding in _UTF_16 and len(rest) % 2:
                return _decide([rest], Label.UCS2)  # no UTF-16 follows
            if (marked := _decode([rest], encoding)) is not None:
                return marked, _Grade.COMMON
    text, grade = _by_label(parts, octets, label)
    if grade is _Grade.COMMON:
        return text, grade
    needed = _Grade.KNOWN if grade is _Grade.INVALID and label is not Label.OTHER else _Grade.COMMON
    possible = grade is _Grade.KNOWN
    for found, encoding in _by_other_encodings(parts, octets, label):
        if possible and not _often_looks_possible(encoding, label):
            continue
        if grade is _Grade.RARE and label is not Label.ASCII and encoding in _UTF_16 and len(found) == 1:
            continue  # too little evidence
        if (other := _grade(found)) >= needed and other > grade:
            text, grade = found, other
    return text, grade


def without_invisible(text: str) -> str:
    """Return a text without control characters, zero-width and direction signs, and byte order marks."""
    return text if text.isascii() and text.isprintable() else _INVISIBLE.sub("", text)


def join_ucs2(parts: Sequence[bytes]) -> bytes:
    """Return the octets of consecutive parts in UCS2.

    A part with an odd length loses its last octet, which would shift the rest (docs/cmpp.md, trap 17). If the next part
    is odd as well, a character was cut between the two, and both stay complete.
    """
    joined = b""
    for part, following in zip_longest(parts, parts[1:], fillvalue=b""):
        joined += part
        if len(joined) % 2 and len(following) % 2 == 0:
            joined = joined[:-1]
    return joined


def _by_label(parts: Sequence[bytes], octets: bytes, label: Label) -> tuple[str, _Grade]:
    """Return the reading that the label states, and its grade."""
    if label is Label.OTHER:
        text = _decode(parts, Label.ASCII.value)
        if not text or not text.isprintable():
            return octets.hex(), _Grade.INVALID
        return text, _Grade.KNOWN if _may_be_ucs2(text, octets) else _Grade.COMMON
    text = _decode(parts, label.value)
    if text is not None and label is Label.UTF_8 and not text.isascii():
        return text, _Grade.COMMON  # octets in another encoding are hardly ever valid UTF-8
    if text is None and label in (Label.ASCII, Label.UTF_8):
        text = _decode(parts, Label.GB.value)  # the usual mistake
    if text is None:
        return _decode_by_force(parts, octets, label), _Grade.INVALID
    if label is Label.UCS2 and len(octets) % 2 and octets[-1]:
        return text, _Grade.INVALID
    grade = _grade(text)
    if grade < _Grade.COMMON and label is not Label.UCS2 and "\0" not in text and _needs_four_octets(text):
        return text, _Grade.COMMON  # octets in another encoding hardly ever form a character of four octets
    if label in (Label.ASCII, Label.GB) and _may_be_ucs2(text, octets):
        grade = min(grade, _Grade.KNOWN)
    return text, grade


def _may_be_ucs2(text: str, octets: bytes) -> bool:
    """Return whether a short text in ASCII is likelier to be UCS2, if that consists of common characters."""
    return octets.isascii() and len(octets) <= _LONGEST_MISTAKEN and _RARE_SIGNS.search(text) is not None


def _by_other_encodings(parts: Sequence[bytes], octets: bytes, label: Label) -> Iterator[tuple[str, str]]:
    """Yield the readings in other encodings, each with its encoding."""
    for encoding in _ENCODINGS:
        found = None if encoding == label.value else _decode(parts, encoding)
        if not found or (encoding in (Label.UTF_8.value, Label.GB.value) and found.isascii()):
            continue
        if encoding in _UTF_16 and len(octets) % 2 and octets[-1]:
            continue
        if encoding == _LITTLE_ENDIAN and len(found) == 1 and octets[1]:
            continue  # too little evidence
        if encoding == Label.ASCII.value and label is Label.UCS2 and not _is_words(found):
            continue  # a rare Chinese character
        pairs_of_ascii = encoding in _UTF_16 and octets.isascii() and b"\0" not in octets
        if pairs_of_ascii and (label is Label.UTF_8 or min(found) < _FIRST_CHINESE):
            continue
        yield found, encoding


def _needs_four_octets(text: str) -> bool:
    """Return whether a character of the text has four octets in GB 18030."""
    return any(len(character.encode("gb18030")) > 2 for character in text)


def _often_looks_possible(encoding: str, label: Label) -> bool:
    """Return whether octets in an encoding often have a possible reading under a wrong label."""
    if label in (Label.ASCII, Label.GB):
        return encoding in (Label.UTF_8.value, Label.UCS2.value)
    return label is Label.OTHER


def _is_words(text: str) -> bool:
    if _TWO_LETTERS.fullmatch(text):
        return text.casefold() in _USUAL_LETTERS
    return _WORDS.fullmatch(text) is not None


def _decode(parts: Sequence[bytes], encoding: str) -> str | None:
    """Return the text in an encoding without padding, None if the octets are invalid in it."""
    octets = join_ucs2(parts) if encoding in _UTF_16 else b"".join([part.rstrip(b"\0") for part in parts])
    try:
        return octets.decode(encoding).rstrip("\0")
    except UnicodeDecodeError:
        return None


def _decode_by_force(parts: Sequence[bytes], octets: bytes, label: Label) -> str:
    if label is Label.UCS2:
        return join_ucs2(parts).decode(label.value, "replace")
    if label is Label.UTF_8:
        return octets.decode("utf-8", "backslashreplace")
    return octets.decode("gb18030", "replace")


def _grade(text: str) -> _Grade:
    if text.isascii() and text.isprintable():
        return _Grade.COMMON if text else _Grade.INVALID
    common, known = _characters()
    grade = _Grade.COMMON
    for character in text:
        if character in common or _is_emoji(character):
            continue
        if character in known:
            grade = min(grade, _Grade.KNOWN)
        elif character.isprintable() and character != "\ufffd":
            grade = min(grade, _Grade.RARE)
        else:
            return _Grade.INVALID
    return grade


def _is_emoji(character: str) -> bool:
    return "\U0001f000" <= character <= "\U0001faff" or "\u2600" <= character <= "\u27bf"


@cache
def _characters() -> tuple[frozenset[str], frozenset[str]]:
    """Return the common characters, and those of GB 2312."""
    rows = {row: _row_of_gb_2312(row) for row in (*range(1, 10), *range(16, 88))}
    codes = (9, 10, 13, *range(0x20, 0x7F), *range(0xA0, 0x100), *range(0x200B, 0x2040), 0x20E3, 0xFE0F, 0xFEFF)
    signs = {chr(code) for code in codes} | {*rows[1], *rows[3]}
    frequent = {character for row in range(16, 56) for character in rows[row]}
    return frozenset(signs | frequent), frozenset(character for row in rows.values() for character in row)


def _row_of_gb_2312(row: int) -> str:
    """Return a row: 1 to 9 are signs, 16 to 55 the most frequent Chinese characters, 56 to 87 the others."""
    return bytes(octet for place in range(1, 95) for octet in (0xA0 + row, 0xA0 + place)).decode("gb2312", "ignore")
