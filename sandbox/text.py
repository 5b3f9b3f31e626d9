"""Measures a text: its cost in parts, its flow items, its signature, and the listed words in it."""

from __future__ import annotations

import re
from collections.abc import Iterable

SINGLE_PART = 70
SPLIT_PART = 67
_SIGNATURE = re.compile(r"\A【[^【】]+】|【[^【】]+】\Z")


def units(text: str) -> int:
    """Return the length of a text in UTF-16 code units, as mobile networks count it."""
    return len(text) + sum(character > "\uffff" for character in text)


def parts(text: str) -> int:
    """Return the cost of a text in parts: one up to 70 units, otherwise parts of 67 units each.

    A character outside the basic plane (two units) is never split, so a part may hold only 66 units.
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
    """Return the flow items of a text for one number: its length divided by 70, rounded up."""
    return max(1, -(-units(text) // SINGLE_PART))


def signature(text: str) -> str | None:
    """Return the signature 【…】 at the start or end of a text, without its brackets, or None."""
    match = _SIGNATURE.search(text)
    return match.group()[1:-1] if match else None


def find_words(text: str, words: Iterable[str]) -> tuple[str, ...]:
    """Return the words that occur in the text."""
    return tuple(word for word in words if word in text)
