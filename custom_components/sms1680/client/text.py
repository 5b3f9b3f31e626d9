"""The text of a message: its signature, its cost, and content that carriers or the platform block."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from .characters import clean, hidden_characters, unshown_characters
from .errors import InvalidMessageError, InvalidSettingError
from .outcomes import Language

SignaturePlace = Literal["front", "behind", "platform"]

REPEAT_MARK = "（重发）"
SINGLE_UNITS = 70
PART_UNITS = 67
MAX_LENGTH = 500

_LONGEST_SIGNATURE = 30
_SIGNED_FRONT = re.compile(r"\s*【([^【】]{1,30})】")
_SIGNED_BEHIND = re.compile(r"【([^【】]{1,30})】\s*\Z")
_BRACKETED = re.compile(r"【[^【】]*】")
# A comma inside 【】 or before a company's form (Foo Co., Ltd.) belongs to the name.
_NAME_SEPARATORS = re.compile(
    r"(?i)[,，](?![^【】]*】)"
    r"(?!\s*(?:co\.?,?\s*ltd|corp|corporation|gmbh|inc|incorporated|limited|llc|ltd|pte\.?\s*ltd)\.?\s*(?:[,，]|\Z))"
    r"|(?<=】)\s*(?=【)"
)
_COMMA = re.compile("[,，]")
_ELLIPSIS = "…"
# A text is split behind one of these, if the piece gets at most this much shorter.
_STOPS = re.compile(r"[\s,;，。；、！？!?](?=\S)")
_LOOK_BACK = 40
# Characters that belong to the one before them, such as a skin tone.
_EXTENDING = re.compile(
    "[\u0300-\u036f\u200c\u200d\u20d0-\u20ff\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
)


@dataclass(frozen=True, slots=True)
class Signature:
    """The 【…】 that carriers require.

    name: the registered name, 1 to 30 characters; brackets around it are removed. It may hold several names of the
    account, separated by commas: the first is written, and a text with any of them counts as signed. A comma inside
    brackets, or before a company's form such as `Ltd.`, belongs to the name. place: "front", "behind", or "platform" if
    the platform adds the signature (it is then counted but not written). names: all names.
    Raises InvalidSettingError.
    """

    name: str
    place: SignaturePlace = "front"
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        given = [name for name in _NAME_SEPARATORS.split(self.name) if name.strip()]
        names = [name.strip().removeprefix("【").removesuffix("】").strip() for name in given or [self.name]]
        for name in names:
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
        object.__setattr__(self, "name", names[0])
        object.__setattr__(self, "names", tuple(dict.fromkeys(names)))

    @classmethod
    def read(cls, setting: str | Iterable[str] | None, place: SignaturePlace = "front") -> "Signature | None":
        """Return the signature of a setting: names separated by commas, or a list of names. None if it is empty."""
        joined = setting if isinstance(setting, str) else join_names(setting or ())
        return cls(joined, place) if joined else None

    @property
    def setting(self) -> str:
        """The setting that gives this signature."""
        return join_names(self.names)

    @property
    def length(self) -> int:
        """The UTF-16 units that the signature adds to a text."""
        return units(self.name) + 2

    def write(self, text: str) -> str:
        """Return the text with the signature, unless it has one of the account's or the platform adds it."""
        if self.place == "platform" or is_signed(text, self):
            return text
        return f"【{self.name}】{text}" if self.place == "front" else f"{text}【{self.name}】"

    def added_units(self, text: str) -> int:
        """Return the number of UTF-16 units that the platform adds to this text."""
        return self.length if self.place == "platform" and not is_signed(text, self) else 0


def join_names(names: Iterable[str]) -> str:
    """Return the setting for a signature with these names. A name with a comma is put in brackets."""
    return ",".join(f"【{name.strip('【】 ')}】" if _COMMA.search(name) else name for name in names)


def is_signed(text: str, signature: Signature | None = None) -> bool:
    """Return whether the text has a signature of the account at either end.

    Without a signature, its names are unknown, and any 【…】 at an end counts.
    """
    front, behind = _signed_ends(text, signature)
    return front > 0 or behind < len(text)


def _signed_ends(text: str, signature: Signature | None) -> tuple[int, int]:
    """Return where the text between its signatures begins and ends."""

    def is_ours(found: re.Match[str] | None) -> bool:
        return found is not None and (signature is None or found[1] in signature.names)

    front = _SIGNED_FRONT.match(text)
    start = front.end() if front and is_ours(front) else 0
    behind = _SIGNED_BEHIND.search(text, start)
    return start, behind.start() if behind and is_ours(behind) else len(text)


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


def add_words(
    text: str, *, before: str = "", after: str = "", room: int = MAX_LENGTH, signature: Signature | None = None
) -> str:
    """Return the text with more words around it, in at most `room` UTF-16 units.

    Signatures of the account stay at the ends, because they only count there. If the room is too small, the original
    text is cut.
    """
    start, end = _signed_ends(text, signature)
    head, tail = text[:start] + before, after + text[end:]
    body = text[start:end].rstrip() if end < len(text) else text[start:]
    return head + cut(body, room - units(head + tail)) + tail


def mark_repeat(text: str, room: int = MAX_LENGTH, signature: Signature | None = None) -> str:
    """Return the text of a message that is sent once more, marked as repeated, in at most `room` UTF-16 units.

    The mark makes the text differ: carriers refuse equal texts to one number. See `add_words` about signatures.
    """
    return add_words(text, before=REPEAT_MARK, room=room, signature=signature)


def shorten(text: str, signature: Signature | None, max_length: int = MAX_LENGTH) -> str:
    """Return the text, cut if it is too long with its signature. A cut text ends in `…`; own signatures remain."""
    text = clean(text)
    room = max_length - (signature.length if signature and not is_signed(text, signature) else 0)
    return text if units(text) <= room else add_words(text, room=room, signature=signature)


def split_text(text: str, room: int, signature: Signature | None = None) -> list[str]:
    """Return the text alone, or the several texts of at most `room` UTF-16 units that it is sent as.

    Each of several begins with its number, such as `(1/3)`, behind a signature of the account. Without these marks,
    they joined are the text. room: without the signature. The text is as `clean` returns it.
    """
    count = 1
    pieces = [text]
    if units(text) <= room:
        return pieces
    while len(pieces) > count or count == 1:
        count = max(len(pieces), 2)
        pieces = list(_pieces(text, max(2, room - len(f"({count}/{count})"))))
    count = len(pieces)
    # The room of a piece includes its own signature.
    return [
        add_words(piece, before=f"({place}/{count})", room=MAX_LENGTH * 2, signature=signature)
        for place, piece in enumerate(pieces, 1)
    ]


def _pieces(text: str, room: int) -> Iterator[str]:
    """Split a text behind a blank or a stop near the end of each piece, and never inside an emoji of several."""
    start = 0
    while start < len(text):
        end = start + len(next(split_units(text[start : start + room], room)))
        if end < len(text):
            stops = [found.end() for found in _STOPS.finditer(text, max(start, end - _LOOK_BACK), end + 1)]
            end = next((stop for stop in reversed(stops) if stop <= end), end)
            whole = end
            while whole > start and (_EXTENDING.match(text, whole) or text[whole - 1] in "\u200c\u200d"):
                whole -= 1
            end = whole if whole > start else end
        yield text[start:end]
        start = end


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
    SECOND_SIGNATURE = "second_signature"
    UNSHOWN = "unshown"
    HIDDEN = "hidden"
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
    Concern.SECOND_SIGNATURE: (
        "carriers can take a second 【…】 for a signature that is not registered, and block the message:",
        "运营商可能把第二对【】当作未报备的签名而拦截：",
    ),
    Concern.UNSHOWN: ("some phones do not show:", "部分手机无法显示："),
    Concern.HIDDEN: ("these invisible characters are removed before sending:", "以下不可见字符会在发送前去除："),
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
    signature: str | Iterable[str] | None = None,
    signature_place: SignaturePlace = "front",
    refused_words: Iterable[str] = (),
    max_length: int = MAX_LENGTH,
) -> Estimate:
    """Count and check a text for one number; nothing is sent.

    signature, signature_place: see `ClientOptions`. refused_words: words that the platform refused earlier.
    max_length: the maximum of UTF-16 units with the signature.

    Raises InvalidMessageError if the text cannot be sent (empty, too long).
    """
    signed = Signature.read(signature, signature_place)
    written = prepare(text, signed, max_length)
    added = signed.added_units(written) if signed else 0
    length = units(written) + added
    return Estimate(
        characters=length,
        parts=count_parts(written, added),
        flow=count_flow(length),
        warnings=tuple(_warnings(text, written, signed, refused_words)),
    )


def prepare(
    text: str, signature: Signature | None, max_length: int, place: str = "the text", place_zh: str = "短信内容"
) -> str:
    """Return the text as it is sent: cleaned (see `clean`) and with its signature.

    Raise InvalidMessageError, which names the place, if it is empty or too long.
    """
    return prepare_measured(text, signature, max_length, place, place_zh)[0]


def prepare_measured(
    text: str, signature: Signature | None, max_length: int, place: str = "the text", place_zh: str = "短信内容"
) -> tuple[str, int]:
    """Return the text as `prepare` does, and its UTF-16 units with a signature that the platform adds."""
    text = clean(text) if isinstance(text, str) else ""
    if not text.strip():
        raise InvalidMessageError(f"{place} is empty", f"{place_zh}为空")
    written = signature.write(text) if signature else text
    length = units(written) + (signature.added_units(written) if signature else 0)
    if length > max_length:
        raise InvalidMessageError(
            f"{place} has {length} characters with its signature; at most {max_length} are allowed",
            f"{place_zh}含签名共 {length} 字，上限为 {max_length} 字",
        )
    return written, length


def _warnings(
    given: str, text: str, signature: Signature | None, refused_words: Iterable[str]
) -> Iterator[TextWarning]:
    start, end = _signed_ends(text, signature)
    if signature is None and start == 0 and end == len(text):
        yield TextWarning(Concern.NO_SIGNATURE)
    # One signature is expected: at either end, or added by the platform.
    for found in _BRACKETED.findall(text[start:] if start else text[:end]):
        yield TextWarning(Concern.SECOND_SIGNATURE, found)
    for concern, found in (
        (Concern.UNSHOWN, unshown_characters(text)),
        (Concern.HIDDEN, hidden_characters(given)),
    ):
        if found:
            yield TextWarning(concern, found)
    rest = text
    for concern, pattern in _PATTERNS:
        for found in pattern.findall(rest):
            yield TextWarning(concern, found)
        rest = pattern.sub(" ", rest)
    for word in refused_words:
        if word and word.casefold() in text.casefold():
            yield TextWarning(Concern.REFUSED_WORD, word)
