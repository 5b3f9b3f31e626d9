"""What a text is: how many parts it costs, what it counts in the flow rule, its signature, its listed words."""

from __future__ import annotations

import re
from collections.abc import Iterable

SINGLE_PART = 70
SPLIT_PART = 67
_SIGNATURE = re.compile(r"\A【[^【】]+】|【[^【】]+】\Z")


def units(text: str) -> int:
    """Return the length of a text in UTF-16 code units, as the networks count it."""
    return len(text) + sum(character > "\uffff" for character in text)


def parts(text: str) -> int:
    """Return how many parts a text costs: one up to 70 units, else as many as 67 units each take.

    A character outside the basic plane (two units) is never cut in two, so a part may hold 66.
    """
    if units(text) <= SINGLE_PART:
        return 1
    count, used = 1, 0
    for character in text:
        size = 2 if character > "\uffff" else 1
        if used + size > SPLIT_PART:
            count, used = count + 1, 0
        used += size
    return count


def flow_items(text: str) -> int:
    """Return what one number's text counts in the flow rule: its length divided by 70, rounded up (4.3)."""
    return max(1, -(-units(text) // SINGLE_PART))


def signature(text: str) -> str | None:
    """Return the signature 【…】 at the beginning or the end of a text, without its brackets."""
    match = _SIGNATURE.search(text)
    return match.group()[1:-1] if match else None


def found(text: str, words: Iterable[str]) -> tuple[str, ...]:
    """Return those of the words that stand in the text."""
    return tuple(word for word in words if word in text)
