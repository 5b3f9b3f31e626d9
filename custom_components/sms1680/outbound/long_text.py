"""Texts that are too long: they are cut, split into several messages, or refused, as the account's setting says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry

from ..account.journal import signature_of
from ..account.messages import BatchMessage, OutgoingMessage, TemplateMessage, TextMessage
from ..client.characters import clean
from ..client.long_text import LongText, fit_text, is_long, room_of
from ..client.text import shorten, units
from ..const import CONF_LONG_TEXT
from ..recipients import Addressee

# What ends a sentence. The answers of a question stand in its last ones.
_ENDS: Final = "。！？!?\n"
_SHORTEST_END = 60
_LONGEST_END = 300


@dataclass(frozen=True, repr=False)
class Share:
    """The addressees of a call at some places, and the messages that they get one after the other.

    long_text: what was done to the text, None if it was not too long. A refused share has no message.
    """

    places: Sequence[int]
    messages: Sequence[OutgoingMessage]
    long_text: LongText | None = None


def fit(addressees: Sequence[Addressee], message: OutgoingMessage) -> list[Share]:
    """Return the shares of a message in which no text is too long for the account that sends it."""
    texts = list(message.texts)
    template = message.template if isinstance(message, TemplateMessage) else ""
    fitting: list[int] = []
    long: dict[tuple[LongText, tuple[str, ...]], list[int]] = {}
    are_long: dict[tuple[str, str], bool] = {}  # by account and text, which most addressees share
    for place, (addressee, text) in enumerate(zip(addressees, texts, strict=True)):
        key = (addressee.entry.entry_id, text)
        if key not in are_long:
            signature = signature_of(addressee.entry)
            are_long[key] = is_long(text, signature) or is_long(template, signature)
        if not are_long[key]:
            fitting.append(place)
            continue
        signature = signature_of(addressee.entry)
        mode = mode_of(addressee.entry)
        pieces = [] if mode == "refuse" else fit_text(text, signature, mode)
        long.setdefault((mode, tuple(pieces)), []).append(place)
    shares = [Share(fitting, [message.select(fitting)])] if fitting else []
    rows: dict[LongText, tuple[list[int], list[str]]] = {}
    for (mode, pieces_of), places in long.items():
        numbers = [message.numbers[place] for place in places]
        if mode == "cut" and not isinstance(message, TextMessage):
            of_mode = rows.setdefault(mode, ([], []))
            of_mode[0].extend(places)
            of_mode[1].extend(pieces_of * len(places))
        else:
            shares.append(Share(places, [TextMessage(numbers, piece) for piece in pieces_of], mode))
    for mode, (places, cut_texts) in rows.items():  # the rows that are cut still share a request
        batch = BatchMessage([message.numbers[place] for place in places], cut_texts)
        shares.append(Share(places, [batch], mode))
    return shares


def mode_of(entry: ConfigEntry[Any]) -> LongText:
    """Return what an account does with a text that is too long."""
    mode: LongText = entry.options.get(CONF_LONG_TEXT, "cut")
    return mode


def shorten_for(addressees: Sequence[Addressee], text: str) -> str:
    """Return one text that is short enough for each account, cut unless an account refuses long texts."""
    for entry in {addressee.entry.entry_id: addressee.entry for addressee in addressees}.values():
        if mode_of(entry) != "refuse" and is_long(text, signature_of(entry)):
            text = shorten(text, signature_of(entry))
    return text


def shorten_question(addressees: Sequence[Addressee], text: str, words: Sequence[str]) -> str:
    """Return the text of a question, cut before the sentences that name its answers.

    words: the answers. Without one in the text, its end remains.
    """
    if shorten_for(addressees, text) == text:
        return text
    text = clean(text)
    named = [at for word in words if word and (at := text.find(word, max(0, len(text) - _LONGEST_END))) >= 0]
    start = min([*named, len(text) - _SHORTEST_END])
    while start > len(text) - _LONGEST_END and text[start - 1] not in _ENDS:
        start -= 1
    while units(text[start:]) > _LONGEST_END:
        start += 1
    end = text[start:]
    room = min(room_of(signature_of(addressee.entry)) for addressee in addressees)
    return shorten_to(text[:start], room - units(end)) + end


def shorten_to(text: str, room: int) -> str:
    """Return the text in at most `room` UTF-16 units; a cut text ends in `…`."""
    return shorten(text, None, room)
