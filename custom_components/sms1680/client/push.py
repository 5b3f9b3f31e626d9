"""The platform's pushes: uplinks (MO) and delivery reports (docs/protocol.md, sections 2.5 and 2.6).

The octets come from the network. They are limited in size and parsed strictly; the only error is InvalidPushError.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from .decoding import Label, decode_text, without_invisible
from .errors import InvalidPushError
from .masking import mask_number, mask_word
from .outcomes import Language, Repeat
from .report_words import ReportState, meaning_of

LONGEST_PUSH = 16 * 1024
MOST_FIELDS = 50
_LONGEST_NUMBER = 32
_LONGEST_ID = 64
_LONGEST_STATUS = 64

_ESCAPED_TWICE = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
# Zero-width characters, directions and byte order marks, as address books copy them with a number.
_FORMAT_SIGNS = re.compile("[\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]+")
_ENCODED_TWICE = re.compile(r"(?:[A-Za-z0-9.*_+-]|%[0-9A-Fa-f]{2})+")

Push = str | bytes | Mapping[str, str] | Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """A received SMS (uplink, MO).

    number: the sender as received, also a short code or a foreign number; it does not prove the sender's identity.
    extension: the digits after our number, or our complete number, as the platform sends it; "" if there are none.
    message_id: usually "", because the platform sends none. incomplete: segments are missing (CMPP).
    """

    number: str
    content: str
    extension: str = ""
    message_id: str = ""
    incomplete: bool = False

    def __repr__(self) -> str:
        extension = mask_word(self.extension)
        return f"Reply({mask_number(self.number)}, {len(self.content)} characters, extension={extension!r})"


@dataclass(frozen=True, slots=True, repr=False)
class DeliveryReport:
    """The platform's report on one number of one message. status: as received (docs/protocol.md, section 7)."""

    message_id: str
    number: str
    status: str

    @property
    def state(self) -> ReportState:
        """The meaning of the status; `pending` is not final."""
        return meaning_of(self.status)[0]

    @property
    def repeat(self) -> Repeat:
        """Whether the message can be sent to this number again."""
        return meaning_of(self.status)[1]

    def sentence(self, language: Language = "en") -> str:
        """Return the meaning of the status in the given language."""
        return meaning_of(self.status)[3 if language == "zh" else 2]

    def __repr__(self) -> str:
        message_id, status = mask_word(self.message_id), mask_word(self.status)
        return f"DeliveryReport({mask_number(self.number)}, message_id={message_id!r}, status={status!r})"


def parse_push(query: Push) -> Reply | DeliveryReport:
    """Parse a push of the platform: a Reply (with `content`) or a DeliveryReport (with `status` and `msgid`).

    query: the raw query string or form body (recommended, because it is decoded by the platform's charset rules), or
    decoded fields as a mapping or pairs. At most 16 KiB and 50 fields. Raises InvalidPushError.
    """
    fields = _fields(query)
    number = _bounded(fields, "mobile", _LONGEST_NUMBER)
    if not number:
        raise InvalidPushError("the push has no number (mobile)", "推送缺少号码（`mobile`）")
    message_id = _bounded(fields, "msgid", _LONGEST_ID)
    if "content" in fields:
        extension = _bounded(fields, "xh", _LONGEST_NUMBER)
        content = fields["content"]
        if "%" in content:
            content = _decode_again(content)
        return Reply(number, without_invisible(content), extension, message_id)
    status = _bounded(fields, "status", _LONGEST_STATUS)
    if not status or not message_id:
        raise InvalidPushError(
            "the push is neither an uplink (mobile, content) nor a delivery report (msgid, mobile, status)",
            "推送既不是上行（`mobile`、`content`），也不是状态报告（`msgid`、`mobile`、`status`）",
        )
    return DeliveryReport(message_id, number, status)


def _fields(query: Push) -> dict[str, str]:
    if isinstance(query, bytes) and query.isascii():
        query = query.decode("ascii")
    if isinstance(query, str) and query.isascii() and "%" not in query and query.isprintable():
        return _plain_fields(query.removeprefix("?").replace("+", " "))
    pairs = _raw_pairs(query) if isinstance(query, str | bytes) else _given_pairs(query)
    if pairs:
        # The documented pattern ends with a semicolon after the last field (docs/protocol.md, section 2.6).
        name, value = pairs[-1]
        pairs[-1] = (name, value if name == "content" else value.rstrip(";"))
    fields: dict[str, str] = {}
    for name, value in pairs:
        if not fields.get(name):  # the first one with a value
            fields[name] = value
    return fields


def _raw_pairs(query: str | bytes) -> list[tuple[str, str]]:
    octets = query.encode("utf-8", "surrogatepass") if isinstance(query, str) else bytes(query)
    octets = octets.removeprefix(b"?")
    if len(octets) > LONGEST_PUSH:
        raise _too_much()
    pairs = [pair for pair in octets.split(b"&", MOST_FIELDS) if pair]
    if len(pairs) > MOST_FIELDS:
        raise _too_much()
    if pairs and pairs[-1].startswith(b"content="):
        # Remove only the pattern's own semicolon; an escaped one (%3B) belongs to the text.
        pairs[-1] = pairs[-1].removesuffix(b";")
    split = (pair.partition(b"=") for pair in pairs)
    return [(_text(name), _content(value) if name == b"content" else _text(value)) for name, _, value in split]


def _plain_fields(query: str) -> dict[str, str]:
    """Return the fields of a query without escapes in printable ASCII, as `_fields` does."""
    pairs = [pair for pair in query.split("&", MOST_FIELDS) if pair]
    if len(query) > LONGEST_PUSH or len(pairs) > MOST_FIELDS:
        raise _too_much()
    if pairs and "=" in (last := pairs[-1]):
        pairs[-1] = last.removesuffix(";") if last.startswith("content=") else last.rstrip(";")
    fields: dict[str, str] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not fields.get(name):
            fields[name] = value
    return fields


def _given_pairs(query: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    try:
        given = query.items() if isinstance(query, Mapping) else query
        pairs = []
        size = 0
        for name, value in given:
            if not isinstance(name, str) or not isinstance(value, str):
                raise InvalidPushError("the push contains a value that is not text", "推送含非文本内容")
            size += len(name) + len(value)
            pairs.append((name, value))
            if len(pairs) > MOST_FIELDS or size > LONGEST_PUSH:
                raise _too_much()
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidPushError):
            raise
        raise InvalidPushError("the push is not a list of fields", "推送不是字段列表") from None
    return pairs


def _content(octets: bytes) -> str:
    if (text := _unescaped(octets)) is not None and text.isprintable():
        return text
    decoded = unquote_to_bytes(octets.replace(b"+", b" "))
    with suppress(UnicodeDecodeError):
        text = decoded.decode()
        # What `decode_text` would find after all of its questions: valid UTF-8 that is neither marked nor padded.
        if not text.isascii() and text[0] != "\ufeff" and text[-1] != "\0":
            return text
    return decode_text([decoded], Label.UTF_8)


def _unescaped(octets: bytes) -> str | None:
    """Return a text that is written without escapes in ASCII, None for any other."""
    return octets.replace(b"+", b" ").decode("ascii") if octets.isascii() and b"%" not in octets else None


def _text(octets: bytes) -> str:
    if (text := _unescaped(octets)) is not None:
        return text
    decoded = unquote_to_bytes(octets.replace(b"+", b" "))
    for charset in ("utf-8", "gb18030"):
        with suppress(UnicodeDecodeError):
            return decoded.decode(charset)
    return decoded.decode("utf-8", "backslashreplace")


def _decode_again(content: str) -> str:
    """Decode a text that was encoded twice (docs/protocol.md, section 5, 2.6).

    It has only escapes of valid UTF-8, or the form of a URL-encoded text with at least one character beyond ASCII.
    """
    if _ESCAPED_TWICE.fullmatch(content):
        with suppress(UnicodeDecodeError):
            return unquote_to_bytes(content).decode()
    if _ENCODED_TWICE.fullmatch(content):
        with suppress(UnicodeDecodeError):
            decoded = unquote_to_bytes(content.replace("+", " ")).decode()
            return content if decoded.isascii() else decoded
    return content


def _bounded(fields: Mapping[str, str], name: str, longest: int) -> str:
    value = fields.get(name)
    if not value:
        return ""
    if not value.isascii():
        value = _FORMAT_SIGNS.sub("", value)
    value = value.strip()
    if len(value) > longest or not value.isprintable():
        raise InvalidPushError(f"the field {name} of the push is malformed", f"推送的字段 `{name}` 格式有误")
    return value


def _too_much() -> InvalidPushError:
    return InvalidPushError("the push is too large", "推送内容过大")
