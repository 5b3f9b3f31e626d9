"""Texts that are too long for one message: cut, split into several messages, or refused."""

from typing import Literal

from .characters import clean
from .text import MAX_LENGTH, Signature, is_signed, shorten, split_text, units

LongText = Literal["cut", "split", "refuse"]


def room_of(signature: Signature | None) -> int:
    """Return the UTF-16 units of a text without its signature."""
    return MAX_LENGTH - (signature.length if signature else 0)


def is_long(text: str, signature: Signature | None) -> bool:
    """Return whether a text is too long with its signature."""
    if len(text) * 2 + (signature.length if signature else 0) <= MAX_LENGTH:
        return False
    text = clean(text)
    return units(text) > (MAX_LENGTH if is_signed(text, signature) and signature else room_of(signature))


def fit_text(text: str, signature: Signature | None, mode: LongText) -> list[str]:
    """Return the texts of the messages that a text which is too long is sent as.

    With "refuse", it is returned unchanged: sending it raises InvalidMessageError.
    """
    if mode == "cut":
        return [shorten(text, signature)]
    if mode == "split":
        return split_text(clean(text), room_of(signature), signature)
    return [text]
