"""Normalise what people write on a phone, and recognise the words for opting out."""

import re
import unicodedata
from typing import Final

_SIGNATURES: Final = re.compile(r"\A\s*【[^【】]*】|【[^【】]*】\s*\Z")
_SIMPLE: Final = re.compile("[0-9A-Za-z\u4e00-\u9fff]+")  # only the case of these can change
_IGNORED: Final = frozenset("~\ufe0e\ufe0f")  # 好的~, and the variation selectors of emoji


def plain(text: str) -> str:
    """Return a text in the form in which triggers, answers, commands and automations compare texts.

    It has no differences in width and case, no spaces, punctuation, control characters and signatures, and its digits
    are ASCII: １, 1️⃣ and ① are 1. A space remains between digits that were separated: "1.5" and "1 5" are not 15.
    """
    if _SIMPLE.fullmatch(text):
        return text.casefold()
    folded = _fold(text).casefold()
    return _strip(_SIGNATURES.sub("", folded)) or _strip(folded)


def visible(text: str) -> str:
    """Return a text in the usual width, without signs that have no shape of their own and without signatures."""
    kept = "".join(character for character in _fold(text) if not is_mark(character))
    return _SIGNATURES.sub("", kept).strip()


def is_mark(character: str) -> bool:
    """Return whether a character has no shape of its own: formats, and the parts of keycaps (1️⃣) around the digit."""
    return unicodedata.category(character) in ("Cf", "Me") or character in "\ufe0e\ufe0f"


def digit_of(character: str) -> str:
    """Return the ASCII digit that a character stands for, for example of ❶, else the character."""
    digit = unicodedata.digit(character, None)
    return character if digit is None else str(digit)


def _fold(text: str) -> str:
    """Return a text in the usual width and with ASCII digits."""
    normalized = unicodedata.normalize("NFKC", text)
    return normalized if normalized.isascii() else "".join(map(digit_of, normalized))


def _strip(text: str) -> str:
    result: list[str] = []
    separated = False
    for character in text:
        if _is_ignored(character):
            separated = True
            continue
        if separated and character.isdigit() and result and result[-1].isdigit():
            result.append(" ")
        result.append(character)
        separated = False
    return unicodedata.normalize("NFKC", "".join(result))


def _is_ignored(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "ZPC" or category in ("Sk", "Me") or character in _IGNORED


# The words for opting out that carriers and platforms in China print below their messages.
_REPLIES: Final = ("t", "td", "n", "r", "qx")
_WORDS: Final = ("退订", "退定", "取消订阅", "拒收")
OPT_OUT: Final = frozenset(
    {
        *_REPLIES,
        *_WORDS,
        "unsubscribe",
        *(f"{before}{reply}{word}" for before in ("", "回", "回复") for reply in _REPLIES for word in _WORDS),
        *(f"{word}{between}{reply}" for between in ("", "回", "回复") for reply in _REPLIES for word in _WORDS),
        *(f"{word}{ending}" for word in _WORDS for ending in ("短信", "信息", "了", "吧")),
        *(f"{before}{word}" for before in ("我要", "请", "要求") for word in _WORDS),
    }
)


def is_opt_out(text: str) -> bool:
    """Return whether a text asks to stop all messages."""
    return plain(text) in OPT_OUT
