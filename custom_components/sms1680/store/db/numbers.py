"""Phone numbers in the form in which they are compared, and texts in one in which they can be kept."""

from __future__ import annotations

from ...client import InvalidMessageError, normalise_number


def comparable_number(number: str) -> str:
    """Return a number in the form numbers are compared in.

    Eleven digits for a mainland mobile number, however it is written; any other as it came.
    """
    try:
        return normalise_number(number)
    except InvalidMessageError:
        return number


def storable(text: str) -> str:
    """Return a text as it can be kept: half a character, cut off from its other half, is written as its escape."""
    return text.encode("utf-8", "backslashreplace").decode()
