"""Phone numbers in the form in which they are compared, however they are written."""

from __future__ import annotations

from ..client import InvalidMessageError, normalise_number


def comparable_number(number: str) -> str:
    """Return a number in the form numbers are compared in.

    Eleven digits for a mainland mobile number, however it is written; any other as it came.
    """
    try:
        return normalise_number(number)
    except InvalidMessageError:
        return number
