"""Remove codes from the texts of uplinks, however they are written.

A phone can write the digits of a code with spaces, dashes or emoji between them, with full-width, circled or Chinese
digits, or several times. Everything that reads as the code, or as as many digits as the code has, is replaced.
"""

import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

MASK: Final = "****"

_CHINESE: Final = {
    **dict(zip("零一二三四五六七八九", "0123456789", strict=True)),
    **dict(zip("〇壹贰叁肆伍陆柒捌玖", "0123456789", strict=True)),
    **dict(zip("○貳參陸两兩弌弍弎", "023622123", strict=True)),
    "幺": "1",
}
_FILLERS: Final = "\u115f\u1160\u3164\uffa0"  # letters that are invisible


@dataclass(slots=True)
class _Run:
    """Digits that are separated by nothing but spaces and punctuation.

    digits: their values. places: the index of each digit's character in the text. starts: the indexes in `digits`
    where a sequence of adjacent digits starts, and the end.
    """

    digits: str = ""
    places: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)


def mask_digits(content: str, codes: Collection[str], length: int | None = None) -> str:
    """Replace everything that `find_codes` finds in a text."""
    parts: list[str] = []
    at = 0
    for begin, end in find_codes(content, codes, length):
        if begin >= at:
            parts += [content[at:begin], MASK]
        at = max(at, end)
    return "".join([*parts, content[at:]])


def find_codes(content: str, codes: Collection[str], length: int | None = None) -> list[tuple[int, int]]:
    """Return where each code is in a text, and with `length` all digits that are as many together, in order.

    A longer number is included only if it contains a code. The places can overlap.
    """
    found: list[tuple[int, int]] = []
    for run in _runs(content):
        spans = [span for code in codes for span in _found(run.digits, code)]
        if length is not None:
            spans += _of_length(run.starts, length)
        found += [(run.places[begin], run.places[end - 1] + 1) for begin, end in spans]
    return sorted(found)


def _runs(content: str) -> Iterator[_Run]:
    run = _Run()
    adjacent = False
    for place, character in enumerate(content):
        digits = _digits_of(character)
        if digits:
            if not adjacent:
                run.starts.append(len(run.digits))
            run.digits += digits
            run.places += [place] * len(digits)
            adjacent = True
        elif _separates(character):
            # The parts of one emoji, such as 7️⃣, do not separate digits from each other; either reading is masked.
            adjacent = False
        else:
            if run.digits:
                yield _ended(run)
                run = _Run()
            adjacent = False
    if run.digits:
        yield _ended(run)


def _ended(run: _Run) -> _Run:
    run.starts.append(len(run.digits))
    return run


def _digits_of(character: str) -> str:
    """Return the digits of a character, or an empty text for any other character."""
    if character in _CHINESE:
        return _CHINESE[character]
    plain = unicodedata.normalize("NFKC", character).strip("().")  # ⑴ and ⒈
    values = [_CHINESE.get(part, unicodedata.digit(part, None)) for part in plain]
    return "" if not values or None in values else "".join(map(str, values))


def _separates(character: str) -> bool:
    return unicodedata.category(character)[0] in "ZPSCM" or character in _FILLERS


def _found(digits: str, code: str) -> Iterator[tuple[int, int]]:
    """Yield each place of a code, overlapping ones too."""
    at = digits.find(code) if code else -1
    while at >= 0:
        yield at, at + len(code)
        at = digits.find(code, at + 1)


def _of_length(starts: list[int], length: int) -> Iterator[tuple[int, int]]:
    """Yield each group of sequences that has as many digits together."""
    known = set(starts)
    for begin in starts:
        if begin + length in known:
            yield begin, begin + length
