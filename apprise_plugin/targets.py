"""The numbers of an Apprise URL, in whatever shape a URL, a YAML file or a program hands them over.

Apprise's own helpers are not used: they lose a number in silence where two are separated by `;`, `，`, `、` or `/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .core import InvalidMessageError, normalise_number

_SEPARATORS = re.compile(r"[,;/\\|\r\n\t\v\f，；、／｜]+")
_MOST_WORDS = 14  # digit by digit, with a country code


def split_targets(targets: object) -> tuple[list[str], list[str]]:
    """Return the mobile numbers, eleven digits each and none twice, and what is none (kept as it came, in order).

    Text is split at `,` `;` `/` `|` `，` `；` `、`, line breaks and blanks, but not at the blanks inside a number.
    Lists may be nested, and integers are numbers as well.
    """
    numbers: dict[str, None] = {}
    rejects: dict[str, None] = {}
    for number, written in _numbers(_pieces(targets)):
        if number is None:
            rejects[written] = None
        else:
            numbers[number] = None
    return list(numbers), list(rejects)


def _pieces(targets: object) -> Iterator[str]:
    if isinstance(targets, str):
        yield from _SEPARATORS.split(targets)
    elif isinstance(targets, Iterable):
        for target in targets:
            yield from _pieces(target)
    elif targets is not None:
        yield str(targets)


def _numbers(pieces: Iterable[str]) -> Iterator[tuple[str | None, str]]:
    """Yield each number with how it was written; None where it is no number."""
    for piece in pieces:
        words = piece.split()
        while words:
            number, length = _first_number(words)
            yield number, " ".join(words[:length])
            del words[:length]


def _first_number(words: list[str]) -> tuple[str | None, int]:
    """Return the number that the words begin with, which may have blanks inside, and how many of them it takes."""
    for length in range(1, min(len(words), _MOST_WORDS) + 1):
        number = _number("".join(words[:length]))
        if number is not None:
            return number, length
    return None, 1


def _number(text: str) -> str | None:
    try:
        return normalise_number(text)
    except InvalidMessageError:
        return None
