"""Mainland mobile numbers, in whatever way people write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from .errors import InvalidMessageError

Number = str | int

# Besides blanks, hyphens and brackets: the invisible direction marks that address books copy along.
_PUNCTUATION = re.compile(r"[\s()\[\]（）【】.·\u2010-\u2015\u2212\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff-]+")
_MOBILE = re.compile(r"(?:\+?86|0086)?(1[3-9][0-9]{9})")
_PLAIN = re.compile(r"1[3-9][0-9]{9}")
_LONGEST = 40


def normalise_number(value: Number, place: str = "the number") -> str:
    """Return a mainland mobile number as the platform takes it: eleven digits.

    `+86`, `86`, `0086`, blanks, hyphens, brackets and full-width digits are understood, integers too.
    A str is one number; `place` names it in the error, which never shows more than its length.

    Raises InvalidMessageError where the value is not such a number (chapter 2.1 knows no other).
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
            f"{place}: 不是中国大陆手机号码（11 位，13…至 19…）",
        )
    return found.group(1)


def normalise_numbers(numbers: Number | Iterable[Number]) -> list[str]:
    """Return the numbers of a call, in its order, duplicates kept.

    Raises InvalidMessageError for no number at all, and for the first that is not a mobile number, naming its place.
    """
    if isinstance(numbers, str | int):
        return [normalise_number(numbers)]
    normalised = [normalise_number(value, f"number {place}") for place, value in enumerate(numbers, 1)]
    if not normalised:
        raise InvalidMessageError("there is no number to send to", "没有接收号码")
    return normalised
