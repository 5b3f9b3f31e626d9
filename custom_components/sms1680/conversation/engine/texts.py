"""Normalise what people write on a phone, and recognise the words for opting out."""

import re
import unicodedata
from typing import Final

_SIGNATURES: Final = re.compile(r"\A\s*【[^【】]*】|【[^【】]*】\s*\Z")
_IGNORED: Final = frozenset("~\ufe0e\ufe0f")  # 好的~, and the variation selectors of emoji


def plain(text: str) -> str:
    """Return a text without differences in width and case, spaces, punctuation, control characters and signatures.

    A space remains between digits that were separated: "1.5" and "1 5" must not become 15.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _strip(_SIGNATURES.sub("", folded)) or _strip(folded)


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
