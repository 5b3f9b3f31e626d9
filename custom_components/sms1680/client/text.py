"""The text of a message: its signature, what it costs, and what carriers and platforms are known to block."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from .errors import InvalidMessageError, InvalidSettingError
from .outcomes import Language

SignaturePlace = Literal["front", "behind", "platform"]

SINGLE_UNITS = 70
PART_UNITS = 67
MAX_LENGTH = 500

_LONGEST_SIGNATURE = 30
_SIGNED_FRONT = re.compile(r"\s*【[^【】]{1,30}】")
_SIGNED_BEHIND = re.compile(r"【[^【】]{1,30}】\s*\Z")


@dataclass(frozen=True, slots=True)
class Signature:
    """The 【…】 that carriers demand, and where it stands.

    name: without brackets, 1 to 30 characters. place: "front", "behind", or "platform" where the platform adds it
    itself (then it is counted and not written).
    """

    name: str
    place: SignaturePlace = "front"

    def __post_init__(self) -> None:
        """Take the name with or without its brackets; raise InvalidSettingError."""
        name = self.name.strip().removeprefix("【").removesuffix("】").strip()
        if not 1 <= len(name) <= _LONGEST_SIGNATURE or "【" in name or "】" in name or not name.isprintable():
            raise InvalidSettingError(
                "a signature has 1 to 30 characters and no brackets inside", "签名须为 1 至 30 个字，且内部不含【】"
            )
        if self.place not in ("front", "behind", "platform"):
            raise InvalidSettingError(
                "a signature's place is front, behind or platform", "签名位置只能是 front、behind 或 platform"
            )
        object.__setattr__(self, "name", name)

    def write(self, text: str) -> str:
        """Return the text as it is handed to the platform."""
        if self.place == "platform" or is_signed(text):
            return text
        return f"【{self.name}】{text}" if self.place == "front" else f"{text}【{self.name}】"

    def added_units(self, text: str) -> int:
        """Return the UTF-16 units that the platform adds to this text by itself."""
        return units(self.name) + 2 if self.place == "platform" and not is_signed(text) else 0


def is_signed(text: str) -> bool:
    """Tell whether the text has a signature at either end."""
    return _SIGNED_FRONT.match(text) is not None or _SIGNED_BEHIND.search(text) is not None


def units(text: str) -> int:
    """Return the length in UTF-16 code units: what an SMS is measured in."""
    if text.isascii():
        return len(text)
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def split_units(text: str, room: int) -> Iterator[str]:
    """Cut the text into pieces of at most `room` UTF-16 units, never inside a surrogate pair."""
    start = used = 0
    for position, character in enumerate(text):
        width = 2 if character > "\uffff" else 1
        if used + width > room:
            yield text[start:position]
            start, used = position, 0
        used += width
    yield text[start:]


def count_parts(text: str, added_units: int = 0) -> int:
    """Return what a text is billed in: 1 up to 70 units, else parts of 67 (protocol.md section 5, "length").

    added_units: what the platform puts in front by itself (its own signature).
    """
    length = units(text) + added_units
    if length <= SINGLE_UNITS:
        return 1
    if len(text) == length:
        return -(-length // PART_UNITS)
    return sum(1 for _ in split_units("x" * added_units + text, PART_UNITS))


def count_flow(length: int) -> int:
    """Return what the flow rule counts for a text of so many UTF-16 units (chapter 4.3: length / 70, rounded up)."""
    return max(1, -(-length // SINGLE_UNITS))


class Concern(StrEnum):
    """What a text may be blocked for."""

    LINK = "link"
    DOMAIN = "domain"
    IP_ADDRESS = "ip_address"
    EMAIL = "email"
    PHONE_NUMBER = "phone_number"
    NO_SIGNATURE = "no_signature"
    REFUSED_WORD = "refused_word"


@dataclass(frozen=True, slots=True, repr=False)
class TextWarning:
    """One thing in a text that carriers or platforms are known to block. `found` is the place in the text itself."""

    concern: Concern
    found: str = ""

    def sentence(self, language: Language = "en") -> str:
        """Return the warning in one of the two languages."""
        en, zh = _CONCERNS[self.concern]
        shown = f" “{self.found}”" if self.found else ""
        return (zh if language == "zh" else en) + shown

    def __repr__(self) -> str:
        """Show no piece of the text."""
        return f"TextWarning({self.concern.value})"


_CONCERNS = {
    Concern.LINK: ("links are often blocked unless registered:", "链接未报备时常被拦截："),
    Concern.DOMAIN: ("domain names are often taken for links and blocked:", "域名常被视为链接而拦截："),
    Concern.IP_ADDRESS: ("IP addresses are often blocked:", "IP 地址常被拦截："),
    Concern.EMAIL: ("e-mail addresses are blocked by some platforms:", "部分平台拦截邮箱地址："),
    Concern.PHONE_NUMBER: ("phone numbers in a text are often blocked:", "内容中的电话号码常被拦截："),
    Concern.NO_SIGNATURE: ("there is no signature 【…】: carriers block such messages", "缺少签名【…】，运营商会拦截"),
    Concern.REFUSED_WORD: ("this was refused before:", "该词语曾被拒绝："),
}

# In this order: what an earlier pattern took is not found again by a later one.
_PATTERNS: tuple[tuple[Concern, re.Pattern[str]], ...] = (
    (Concern.LINK, re.compile(r"(?i)(?<![a-z0-9])(?:(?:https?|ftp)://|www\.)[^\s，。；、）】]+")),
    (Concern.EMAIL, re.compile(r"(?a:[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+)")),
    (Concern.IP_ADDRESS, re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")),
    (Concern.DOMAIN, re.compile(r"(?i)(?<![a-z0-9-])(?:[a-z0-9-]{1,63}\.){1,5}[a-z]{2,18}(?![a-z0-9-])")),
    (Concern.PHONE_NUMBER, re.compile(r"(?<!\d)(?:1[3-9]\d{9}|0\d{2,3}-?\d{7,8}|[48]00-?\d{3}-?\d{4})(?!\d)")),
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a text would cost one receiver, before it is sent.

    characters: UTF-16 code units, signature included (an emoji counts two). parts: what is billed, 70 units for one,
    67 a part once split. flow: what the platform's flow rule counts (chapter 4.3). warnings: what may be blocked.
    """

    characters: int
    parts: int
    flow: int
    warnings: tuple[TextWarning, ...]


def estimate(
    text: str,
    *,
    signature: str | None = None,
    signature_place: SignaturePlace = "front",
    refused_words: Iterable[str] = (),
    max_length: int = MAX_LENGTH,
) -> Estimate:
    """Count and check a text as it would be sent to one receiver; nothing is sent.

    signature, signature_place: as for the client. refused_words: words that the platform refused before.
    max_length: the most UTF-16 units, signature included.

    Raises InvalidMessageError for a text that can't be sent at all (empty, too long, broken characters).
    """
    signed = Signature(signature, signature_place) if signature else None
    written = prepare(text, signed, max_length)
    added = signed.added_units(written) if signed else 0
    length = units(written) + added
    return Estimate(
        characters=length,
        parts=count_parts(written, added),
        flow=count_flow(length),
        warnings=tuple(_warnings(written, signed, refused_words)),
    )


def prepare(text: str, signature: Signature | None, max_length: int, place: str = "the text") -> str:
    """Return the text as it goes out, with its signature; raise InvalidMessageError naming `place` where it can't."""
    if not isinstance(text, str) or not text.strip():
        raise InvalidMessageError(f"{place} is empty", f"{place}: 短信内容为空")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidMessageError(
            f"{place} has half a character (a lone surrogate)", f"{place}: 内容含不完整的字符"
        ) from None
    written = signature.write(text) if signature else text
    length = units(written) + (signature.added_units(written) if signature else 0)
    if length > max_length:
        raise InvalidMessageError(
            f"{place} has {length} characters with its signature, {max_length} are allowed",
            f"{place}: 含签名共 {length} 字，上限为 {max_length} 字",
        )
    return written


def _warnings(text: str, signature: Signature | None, refused_words: Iterable[str]) -> Iterator[TextWarning]:
    if signature is None and not is_signed(text):
        yield TextWarning(Concern.NO_SIGNATURE)
    rest = text
    for concern, pattern in _PATTERNS:
        for found in pattern.findall(rest):
            yield TextWarning(concern, found)
        rest = pattern.sub(" ", rest)
    for word in refused_words:
        if word and word.casefold() in text.casefold():
            yield TextWarning(Concern.REFUSED_WORD, word)
