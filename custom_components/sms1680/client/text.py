"""The text of a message: its signature, its cost, and content that carriers or the platform block."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from .errors import InvalidMessageError, InvalidSettingError
from .outcomes import Language

SignaturePlace = Literal["front", "behind", "platform"]

REPEAT_MARK = "（重发）"
SINGLE_UNITS = 70
PART_UNITS = 67
MAX_LENGTH = 500

_LONGEST_SIGNATURE = 30
_SIGNED_FRONT = re.compile(r"\s*【[^【】]{1,30}】")
_SIGNED_BEHIND = re.compile(r"【[^【】]{1,30}】\s*\Z")
_ELLIPSIS = "…"
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_UNDECODED = re.compile("[\udc80-\udcff]+")
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Signature:
    """The 【…】 that carriers require.

    name: 1 to 30 characters; brackets around it are removed. place: "front", "behind", or "platform" if the platform
    adds the signature (it is then counted but not written). Raises InvalidSettingError.
    """

    name: str
    place: SignaturePlace = "front"

    def __post_init__(self) -> None:
        name = self.name.strip().removeprefix("【").removesuffix("】").strip()
        if not 1 <= len(name) <= _LONGEST_SIGNATURE or "【" in name or "】" in name or not name.isprintable():
            raise InvalidSettingError(
                "the signature must have 1 to 30 characters and no brackets inside",
                "签名须为 1 至 30 个字，且内部不含【】",
            )
        if self.place not in ("front", "behind", "platform"):
            raise InvalidSettingError(
                "the place of the signature must be front, behind or platform",
                "签名位置只能是 `front`、`behind` 或 `platform`",
            )
        object.__setattr__(self, "name", name)

    def write(self, text: str) -> str:
        """Return the text with the signature, unless it has one or the platform adds it."""
        if self.place == "platform" or is_signed(text):
            return text
        return f"【{self.name}】{text}" if self.place == "front" else f"{text}【{self.name}】"

    def added_units(self, text: str) -> int:
        """Return the number of UTF-16 units that the platform adds to this text."""
        return units(self.name) + 2 if self.place == "platform" and not is_signed(text) else 0


def is_signed(text: str) -> bool:
    """Return whether the text has a signature at either end."""
    return _SIGNED_FRONT.match(text) is not None or _SIGNED_BEHIND.search(text) is not None


def units(text: str) -> int:
    """Return the length in UTF-16 code units, the unit of SMS lengths."""
    if text.isascii():
        return len(text)
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def split_units(text: str, room: int) -> Iterator[str]:
    """Split the text into pieces of at most `room` UTF-16 units, never inside a surrogate pair."""
    start = used = 0
    for position, character in enumerate(text):
        width = 2 if character > "\uffff" else 1
        if used + width > room:
            yield text[start:position]
            start, used = position, 0
        used += width
    yield text[start:]


def cut(text: str, room: int) -> str:
    """Cut a text to at most `room` UTF-16 units. A cut text ends in `…`."""
    if units(text) <= room:
        return text
    return next(split_units(text, room - 1)) + _ELLIPSIS if room > 0 else ""


def add_words(text: str, *, before: str = "", after: str = "", room: int = MAX_LENGTH) -> str:
    """Return the text with more words around it, in at most `room` UTF-16 units.

    Signatures stay at the ends, because they only count there. If the room is too small, the original text is cut.
    """
    front = _SIGNED_FRONT.match(text)
    start = front.end() if front else 0
    behind = _SIGNED_BEHIND.search(text, start)
    end = behind.start() if behind else len(text)
    head, tail = text[:start] + before, after + text[end:]
    body = text[start:end].rstrip() if behind else text[start:end]
    return head + cut(body, room - units(head + tail)) + tail


def mark_repeat(text: str, room: int = MAX_LENGTH) -> str:
    """Return the text of a message that is sent once more, marked as repeated, in at most `room` UTF-16 units.

    The mark makes the text differ: carriers refuse equal texts to one number. See `add_words` about signatures.
    """
    return add_words(text, before=REPEAT_MARK, room=room)


def repair(text: str) -> str:
    """Return the text without incomplete characters, which no encoding can carry.

    Octets that Python could not decode (`surrogateescape`) are read as UTF-8. Each remaining half of a character
    becomes `�`.
    """
    if not _HALF.search(text):
        return text
    text = _PAIR.sub(lambda pair: pair.group().encode("utf-16", "surrogatepass").decode("utf-16"), text)
    text = _UNDECODED.sub(lambda run: run.group().encode("utf-8", "surrogateescape").decode("utf-8", "replace"), text)
    return _HALF.sub("\ufffd", text)


def count_parts(text: str, added_units: int = 0) -> int:
    """Return the billed parts: 1 up to 70 units, otherwise parts of 67 (docs/protocol.md, section 5).

    added_units: UTF-16 units that the platform adds in front (its own signature).
    """
    length = units(text) + added_units
    if length <= SINGLE_UNITS:
        return 1
    if len(text) == length:
        return -(-length // PART_UNITS)
    return sum(1 for _ in split_units("x" * added_units + text, PART_UNITS))


def count_flow(length: int) -> int:
    """Return the flow items of so many UTF-16 units: length / 70, rounded up (docs/protocol.md, section 5)."""
    return max(1, -(-length // SINGLE_UNITS))


class Concern(StrEnum):
    """A kind of content that carriers or the platform block."""

    LINK = "link"
    DOMAIN = "domain"
    IP_ADDRESS = "ip_address"
    EMAIL = "email"
    PHONE_NUMBER = "phone_number"
    NO_SIGNATURE = "no_signature"
    REFUSED_WORD = "refused_word"


@dataclass(frozen=True, slots=True, repr=False)
class TextWarning:
    """A part of a text that carriers or the platform can block. found: that part."""

    concern: Concern
    found: str = ""

    def sentence(self, language: Language = "en") -> str:
        """Return the warning in the given language."""
        en, zh = _CONCERNS[self.concern]
        shown = f" “{self.found}”" if self.found else ""
        return (zh if language == "zh" else en) + shown

    def __repr__(self) -> str:
        return f"TextWarning({self.concern.value})"


_CONCERNS = {
    Concern.LINK: ("unregistered links are often blocked:", "链接未报备时常被拦截："),
    Concern.DOMAIN: ("domain names are often blocked as links:", "域名常被视为链接而拦截："),
    Concern.IP_ADDRESS: ("IP addresses are often blocked:", "IP 地址常被拦截："),
    Concern.EMAIL: ("e-mail addresses are blocked by some platforms:", "部分平台拦截邮箱地址："),
    Concern.PHONE_NUMBER: ("phone numbers in a text are often blocked:", "内容中的电话号码常被拦截："),
    Concern.NO_SIGNATURE: (
        "the signature 【…】 is missing: carriers block such messages",
        "缺少签名【…】，运营商会拦截",
    ),
    Concern.REFUSED_WORD: ("this was refused before:", "该词语曾被拒绝："),
}

# A later pattern does not match the same characters again.
_PATTERNS: tuple[tuple[Concern, re.Pattern[str]], ...] = (
    (Concern.LINK, re.compile(r"(?i)(?<![a-z0-9])(?:(?:https?|ftp)://|www\.)[^\s，。；、）】]+")),
    (Concern.EMAIL, re.compile(r"(?a:[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+)")),
    (Concern.IP_ADDRESS, re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")),
    (Concern.DOMAIN, re.compile(r"(?i)(?<![a-z0-9-])(?:[a-z0-9-]{1,63}\.){1,5}[a-z]{2,18}(?![a-z0-9-])")),
    (Concern.PHONE_NUMBER, re.compile(r"(?<!\d)(?:1[3-9]\d{9}|0\d{2,3}-?\d{7,8}|[48]00-?\d{3}-?\d{4})(?!\d)")),
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimated cost of a text for one number.

    characters: UTF-16 code units with the signature; an emoji counts two. parts: the billed parts, one up to 70 units,
    otherwise 67 units each. flow: the flow items (docs/protocol.md, section 5). warnings: content that can be blocked.
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
    """Count and check a text for one number; nothing is sent.

    signature, signature_place: see `ClientOptions`. refused_words: words that the platform refused earlier.
    max_length: the maximum of UTF-16 units with the signature.

    Raises InvalidMessageError if the text cannot be sent (empty, too long, incomplete characters).
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


def prepare(
    text: str, signature: Signature | None, max_length: int, place: str = "the text", place_zh: str = "短信内容"
) -> str:
    """Return the text with its signature. Raise InvalidMessageError, which names the place, if it cannot be sent."""
    if not isinstance(text, str) or not text.strip():
        raise InvalidMessageError(f"{place} is empty", f"{place_zh}为空")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidMessageError(
            f"{place} has half a character (a lone surrogate)", f"{place_zh}含不完整的字符"
        ) from None
    written = signature.write(text) if signature else text
    length = units(written) + (signature.added_units(written) if signature else 0)
    if length > max_length:
        raise InvalidMessageError(
            f"{place} has {length} characters with its signature; at most {max_length} are allowed",
            f"{place_zh}含签名共 {length} 字，上限为 {max_length} 字",
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
