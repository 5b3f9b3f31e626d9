"""Reads the mobile numbers of an Apprise URL, a YAML file or a program, in any notation.

Apprise's own helpers are not used: they silently lose a number when two are separated by `;`, `，`, `、` or `/`.
"""

import re
from collections.abc import Iterable, Iterator

from .core import InvalidMessageError, normalise_number

_SEPARATORS = re.compile(r"[,;/\\|\r\n\t\v\f，；、／｜]+")
_MAX_WORDS = 14  # a number written digit by digit, with its country code


def split_targets(targets: object) -> tuple[list[str], list[str]]:
    """Return the mobile numbers (eleven digits each, without duplicates) and the targets that are not numbers.

    Text is split at `,` `;` `/` `|` `，` `；` `、`, line breaks and blanks, but not at the blanks inside a number.
    Lists can be nested, and integers are accepted as numbers. Invalid targets are returned unchanged and in order.
    """
    numbers: dict[str, None] = {}
    invalid: dict[str, None] = {}
    for number, written in _numbers(_pieces(targets)):
        if number is None:
            invalid[written] = None
        else:
            numbers[number] = None
    return list(numbers), list(invalid)


def _pieces(targets: object) -> Iterator[str]:
    if isinstance(targets, str):
        yield from _SEPARATORS.split(targets)
    elif isinstance(targets, Iterable):
        for target in targets:
            yield from _pieces(target)
    elif targets is not None:
        yield str(targets)


def _numbers(pieces: Iterable[str]) -> Iterator[tuple[str | None, str]]:
    """Yield each number (None if invalid) together with its original notation."""
    for piece in pieces:
        words = piece.split()
        while words:
            number, length = _first_number(words)
            yield number, " ".join(words[:length])
            del words[:length]


def _first_number(words: list[str]) -> tuple[str | None, int]:
    """Return the number at the beginning of the words or None, and its length in words."""
    for length in range(1, min(len(words), _MAX_WORDS) + 1):
        number = _number("".join(words[:length]))
        if number is not None:
            return number, length
    return None, 1


def _number(text: str) -> str | None:
    try:
        return normalise_number(text)
    except InvalidMessageError:
        return None
