"""Mainland Chinese mobile numbers in all common spellings."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from .errors import InvalidMessageError

Number = str | int

# Blanks, hyphens, brackets, and the invisible direction marks that address books copy.
_PUNCTUATION = re.compile(r"[\s()\[\]（）【】.·\u2010-\u2015\u2212\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff-]+")
_MOBILE = re.compile(r"(?:\+?86|0086)?(1[3-9][0-9]{9})")
_PLAIN = re.compile(r"1[3-9][0-9]{9}")
_LONGEST = 40
_SEPARATORS = re.compile(r"[,;/\\|\r\n\t\v\f，；、／｜]+")
_MAX_WORDS = 14  # a number written digit by digit, with its country code


def normalise_number(value: Number, place: str = "the number", place_zh: str = "号码") -> str:
    """Return a mainland mobile number as eleven digits.

    Accepted: `+86`, `86` and `0086` in front, blanks, hyphens, brackets, full-width digits, and integers.
    Raises InvalidMessageError, which names the place and never shows the value, for anything else: the platform accepts
    only these numbers (docs/protocol.md, section 2).
    """
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    found = None
    if isinstance(value, str) or (type(value) is int and value > 0):
        text = str(value)
        if len(text) <= _LONGEST:
            found = _MOBILE.fullmatch(_PUNCTUATION.sub("", unicodedata.normalize("NFKC", text)))
    if found is None:
        raise InvalidMessageError(
            f"{place} is not a mainland mobile number (11 digits, 13… to 19…)",
            f"{place_zh}不是中国大陆手机号码（11 位，13…至 19…）",
        )
    return found.group(1)


def normalise_numbers(numbers: Number | Iterable[Number]) -> list[str]:
    """Return the numbers of a call in their order, with duplicates. A str is one number.

    Raises InvalidMessageError for an empty list, and for the first invalid number, which it names by its place.
    """
    if isinstance(numbers, str | int):
        return [normalise_number(numbers)]
    normalised = [
        value
        if isinstance(value, str) and _PLAIN.fullmatch(value)  # here too: to name its place costs more than the check
        else normalise_number(value, f"number {at}", f"第 {at} 个号码")
        for at, value in enumerate(numbers, 1)
    ]
    if not normalised:
        raise InvalidMessageError("there is no number to send to", "没有接收号码")
    return normalised


def split_numbers(targets: object) -> Iterator[tuple[str | None, str]]:
    """Yield each number in any notation (None if it is not one) together with its original notation.

    Text is split at `,` `;` `/` `|` `，` `；` `、`, line breaks and blanks, but not at the blanks inside a number.
    Lists can be nested, and integers are accepted as numbers.
    """
    if isinstance(targets, str):
        for piece in split_list(targets):
            words = piece.split()
            while words:
                number, length = _first_number(words)
                yield number, " ".join(words[:length])
                del words[:length]
    elif isinstance(targets, Iterable):
        for target in targets:
            yield from split_numbers(target)
    elif targets is not None:
        yield from split_numbers(str(targets))


def split_list(text: str) -> list[str]:
    """Return the pieces of a text between its separators, without blanks around them."""
    return [piece.strip() for piece in _SEPARATORS.split(text) if piece.strip()]


def _first_number(words: list[str]) -> tuple[str | None, int]:
    """Return the number at the beginning of the words or None, and its length in words."""
    for length in range(1, min(len(words), _MAX_WORDS) + 1):
        try:
            return normalise_number("".join(words[:length])), length
        except InvalidMessageError:
            continue
    return None, 1
