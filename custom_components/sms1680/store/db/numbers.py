"""Phone numbers in the form used to compare them, and texts in a form that SQLite can store."""

from __future__ import annotations

from ...client import InvalidMessageError, normalise_number


def comparable_number(number: str) -> str:
    """Return a number in the form used to compare numbers.

    A mainland mobile number becomes eleven digits, regardless of how it is written. Other numbers stay unchanged.
    """
    try:
        return normalise_number(number)
    except InvalidMessageError:
        return number


def storable(text: str) -> str:
    """Return a text that can be stored: lone surrogates are replaced with their escape sequence."""
    return text.encode("utf-8", "backslashreplace").decode()
