"""The text of a digest: one message that stands for several that a spending limit held back. Nothing here sends."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from homeassistant.util import dt as dt_util

from ..client.outcomes import Language

MAX_PARTS: Final = 3
_LONGEST_NAME: Final = 8
_LONGEST_ENGLISH_NAME: Final = 24
# Numbers, with their clock times, dates and decimals.
_NUMBERS: Final = re.compile(r"\d+(?:[:：.,/年月日时分秒-]\d+)*[年月日时分秒]?")
_SPACES: Final = re.compile(r"\s+")
_END_OF_NAME: Final = re.compile(r"[，。！？；：、,.!?;:\n(（【\[]")
_BRACKETS: Final = re.compile(r"^(?:【[^】]*】|\[[^\]]*\]|（[^）]*）)\s*")


@dataclass(frozen=True, slots=True, repr=False)
class Item:
    """A message that a digest stands for. at: when it was to be sent."""

    at: datetime
    text: str

    def __repr__(self) -> str:
        """Show no text."""
        return f"Item({self.at})"


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a language. rest: for what is counted, not named. late: of a single message."""

    first: str
    unnamed: str
    separator: str
    name: str
    rest: str
    last: str
    late: str


_WORDS: Final[dict[Language, _Words]] = {
    "en": _Words(
        "{count} more: ",
        "{count} more messages",
        ", ",
        "{name} ×{count}",
        " and {count} others",
        " ({times})",
        "{text} (from {times})",
    ),
    "zh": _Words(
        "另有 {count} 条：",
        "另有 {count} 条短信未单独发送",
        "、",
        "{name}×{count}",
        "等其他 {count} 条",
        "（{times}）",
        "{text}（{times} 的短信）",
    ),
}


def kind_of(text: str) -> str:
    """Return what texts of the same kind share: all but numbers and times."""
    return _SPACES.sub(" ", _NUMBERS.sub("#", text)).strip()


def name_of(text: str, scale: int = 1) -> str:
    """Return a short name for a text: its first characters, up to the first punctuation mark."""
    text = _SPACES.sub(" ", text).strip()
    text = _BRACKETS.sub("", text) or text
    start = _END_OF_NAME.split(text, maxsplit=1)[0].strip() or text
    longest = _LONGEST_ENGLISH_NAME if start.isascii() else _LONGEST_NAME
    return start[: longest * scale].strip()


def digest_text(items: Sequence[Item], parts_of: Callable[[str], int], most_parts: int, lang: Language) -> str:
    """Return the text for several messages: their kinds, the newest first, and the number of those that do not fit.

    parts_of: returns the billed parts of a text.
    """
    words, counts = _WORDS[lang], _count_kinds(items)
    names = [words.name.format(name=name, count=count) if count > 1 else name for name, count in counts]
    first, last = words.first.format(count=len(items)), words.last.format(times=_times(items))
    every = first + words.separator.join(names) + last
    if parts_of(every) <= most_parts:
        return every
    text, named = unnamed_text(items, lang), 0
    for place, (_, count) in enumerate(counts[:-1], 1):
        named += count
        rest = words.rest.format(count=len(items) - named)
        longer = first + words.separator.join(names[:place]) + rest + last
        if parts_of(longer) > most_parts:
            break
        text = longer
    return text


def unnamed_text(items: Sequence[Item], lang: Language) -> str:
    """Return the text that only counts the messages, for example because the platform refuses their words."""
    words = _WORDS[lang]
    return words.unnamed.format(count=len(items)) + words.last.format(times=_times(items))


def late_text(
    item: Item, parts_of: Callable[[str], int], most_parts: int, lang: Language, now: datetime | None = None
) -> str:
    """Return the text of a single message with its time if that costs nothing more, cut if it has too many parts.

    now: given if the message may be of an earlier day, which the time then names.
    """
    parts = parts_of(item.text)
    if parts > most_parts:
        return _cut(item.text, parts_of, most_parts)
    marked = _WORDS[lang].late.format(text=item.text, times=_times([item], now))
    return marked if parts_of(marked) <= parts else item.text


def _cut(text: str, parts_of: Callable[[str], int], most_parts: int) -> str:
    """Return the longest beginning of a text that fits."""
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if parts_of(text[:middle] + "…") <= most_parts:
            fits = middle
        else:
            too_long = middle
    return text[:fits] + "…"


def _count_kinds(items: Iterable[Item]) -> list[tuple[str, int]]:
    """Return a name for each kind of message and their number, the kind with the newest message first."""
    kinds: dict[str, list[Item]] = {}
    for item in sorted(items, key=lambda item: item.at, reverse=True):
        kinds.setdefault(kind_of(item.text), []).append(item)
    short = Counter(_name_of_kind(same) for same in kinds.values())
    counts: dict[str, int] = {}
    for same in kinds.values():
        name = _name_of_kind(same)
        if short[name] > 1:
            name = _name_of_kind(same, 2)  # texts of different kinds begin alike
        counts[name] = counts.get(name, 0) + len(same)
    return list(counts.items())


def _name_of_kind(same: Sequence[Item], scale: int = 1) -> str:
    """Return the name of messages of one kind. Numbers in which they differ are left out."""
    text = same[0].text
    if any(item.text != text for item in same):
        text = _NUMBERS.sub("", text)
    return name_of(text, scale) or name_of(same[0].text, scale)


def _times(items: Sequence[Item], now: datetime | None = None) -> str:
    """Return the local time of the oldest and of the newest message, with their days if these, or now, differ."""
    ends = [dt_util.as_local(end(item.at for item in items)) for end in (min, max)]
    days = {dt_util.as_local(at).date() for at in (*ends, now or ends[0])}
    form = "%H:%M" if len(days) == 1 else "%m-%d %H:%M"
    return "–".join(dict.fromkeys(end.strftime(form) for end in ends))
