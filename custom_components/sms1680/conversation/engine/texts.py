"""What people write on a phone, without the differences that they don't see; and the words by which they opt out."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_SIGNATURES: Final = re.compile(r"\A\s*【[^【】]*】|【[^【】]*】\s*\Z")
_LEFT_OUT: Final = frozenset("~\ufe0e\ufe0f")  # 好的~, and what makes a digit or a heart an emoji


def plain(text: str) -> str:
    """Return what a text says: without width, case, blanks, punctuation, control signs and signatures.

    Between digits a blank stands for what was left out there: "1.5" and "1 5" must not become 15.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    said = _bare(_SIGNATURES.sub("", folded))
    return said or _bare(folded)


def _bare(text: str) -> str:
    kept: list[str] = []
    apart = False
    for sign in text:
        if _says_nothing(sign):
            apart = True
            continue
        if apart and sign.isdigit() and kept and kept[-1].isdigit():
            kept.append(" ")
        kept.append(sign)
        apart = False
    return unicodedata.normalize("NFKC", "".join(kept))


def _says_nothing(sign: str) -> bool:
    category = unicodedata.category(sign)
    return category[0] in "ZPC" or category in ("Sk", "Me") or sign in _LEFT_OUT


# What the carriers and the platforms in China take for "never again", as they print it below their messages.
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
    """Tell whether this is one of the words by which a person asks for no more messages."""
    return plain(text) in OPT_OUT
