"""Encode a checked call as SUBMITs: segments, grouped by destinations (docs/protocol.md, sections 4 and 5)."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol

from ..errors import InvalidMessageError, InvalidSettingError
from ..plan import SendPlan, prepare_counted
from ..text import Signature
from .wire.longsms import ReferenceCounter, concatenation_header
from .wire.messages import MAX_DESTINATIONS, MSISDN
from .wire.smpptime import smpp_time
from .wire.texts import EncodedSegments, Encoding, write_text_content

_LOGGER: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SubmitSettings:
    """The settings that every SUBMIT of an account contains. Raises InvalidSettingError.

    sp_id: up to six digits. source_number: the access number, without the extension. service_id: the business code,
    at most 10 characters. encoding: of texts.
    """

    sp_id: str
    source_number: str
    service_id: str = ""
    encoding: Encoding = "auto"

    def __post_init__(self) -> None:
        if not (self.sp_id.isascii() and self.sp_id.isdigit() and len(self.sp_id) <= 6):
            raise InvalidSettingError("the SP ID must have one to six digits", "企业代码须为不超过六位的数字")
        if not (self.source_number.isascii() and self.source_number.isdigit() and len(self.source_number) <= MSISDN):
            raise InvalidSettingError("the source number must have 1 to 21 digits", "接入号须为 1 至 21 位数字")
        if not (self.service_id.isascii() and self.service_id.isprintable() and len(self.service_id) <= 10):
            raise InvalidSettingError(
                "the service ID must have at most 10 ASCII characters", "业务代码不超过 10 个 ASCII 字符"
            )
        if self.encoding not in ("auto", "ucs2", "gbk"):
            raise InvalidSettingError("the encoding must be auto, ucs2 or gbk", "编码只能是 `auto`、`ucs2` 或 `gbk`")


def full_number(source_number: str, extension: str) -> str:
    """Return the sender's number with the extension. Raise InvalidMessageError for more than 21 digits."""
    number = source_number + extension
    if len(number) > MSISDN:
        raise InvalidMessageError(
            f"source number and extension have {len(number)} digits; at most {MSISDN} are allowed",
            f"接入号加扩展号共 {len(number)} 位，最多 {MSISDN} 位",
        )
    return number


@dataclass(frozen=True, slots=True)
class SubmitFields:
    """The fields that all SUBMITs of a call share: At_Time, ValId_Time and Src_Id."""

    at_time: str
    valid_time: str
    src_id: str


class EncodedText(NamedTuple):
    """A text for some items of a call, encoded as one content per SUBMIT.

    items: their indexes in the call's plan. contents: with their user data headers. flow: the flow items of each
    content for each destination. parts: the billed parts for each destination. failure: the kind of error that left
    nothing to send.
    """

    items: tuple[int, ...]
    msg_fmt: int
    contents: tuple[bytes, ...]
    flow: int
    parts: int
    failure: str | None = None


class EncodedTexts(Protocol):
    """The encoded texts of a call, in their order."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> EncodedText: ...


class _OwnTexts:
    """The texts of a call with a text for each number. Each is encoded when it is read."""

    def __init__(self, composer: "Composer", plan: SendPlan) -> None:
        self._composer = composer
        self._plan = plan

    def __len__(self) -> int:
        return len(self._plan.numbers)

    def __getitem__(self, item: int, /) -> EncodedText:
        try:
            return self._composer.encode_item(self._plan, item)
        except Exception as error:  # noqa: BLE001 - the call has begun, and its other texts can be sent
            kind = type(error).__name__  # the type only: its text could quote the message
            _LOGGER.error("CMPP: a text could not be encoded: %s", kind)  # noqa: TRY400
            return EncodedText((item,), 0, (b"",), 1, self._plan.parts[item], kind)


class Composer:
    """Encodes the calls of an account. references: of its long messages."""

    def __init__(self, settings: SubmitSettings, signature: Signature | None, references: ReferenceCounter) -> None:
        self._settings = settings
        self._signature = signature
        self._references = references
        self.default_fields: Final = SubmitFields("", "", settings.source_number)
        self._last_single: tuple[str, tuple[EncodedText]] | None = None

    def fields(self, plan: SendPlan, valid_for: timedelta | None, now: Callable[[], datetime]) -> SubmitFields:
        """Return the fields that all SUBMITs of a call share.

        valid_for: above 0, counted from the plan's time or now. Raise InvalidMessageError.
        """
        if plan.at is None and valid_for is None and not plan.extension:
            return self.default_fields
        src_id = full_number(self._settings.source_number, plan.extension)
        if valid_for is not None and (not isinstance(valid_for, timedelta) or valid_for <= timedelta()):
            raise InvalidMessageError("`valid_for` must be a duration above 0", "有效期须大于 0")
        return SubmitFields(
            at_time="" if plan.at is None else smpp_time(plan.at),
            valid_time="" if valid_for is None else smpp_time((plan.at or now()) + valid_for),
            src_id=src_id,
        )

    def encode_single(self, text: str, max_length: int) -> tuple[EncodedText] | None:
        """Return the texts of a call for one number with one segment, or None if it takes several.

        Raise InvalidMessageError.

        It remembers the last text: an alarm often goes to several people, one call each. max_length: see
        `ClientOptions`.
        """
        last = self._last_single
        if last is not None and last[0] == text:
            return last[1]
        content, parts, flow = prepare_counted(text, self._signature, max_length)
        encoded = self._content(content)
        if len(encoded.segments) > 1:
            return None
        single = (EncodedText((0,), encoded.msg_fmt, encoded.segments, flow, parts),)
        self._last_single = text, single
        return single

    def encode(self, plan: SendPlan) -> EncodedTexts:
        """Return the encoded texts of a call."""
        if plan.kind != "send":
            return _OwnTexts(self, plan)
        items = range(len(plan.numbers))
        content = self._content(plan.texts[0])
        return list(self._encode(content, plan.numbers, items, plan.flow[0], plan.parts[0]))

    def encode_item(self, plan: SendPlan, item: int) -> EncodedText:
        """Return the encoded text of one item that has its own text."""
        content = self._content(plan.texts[item])
        if len(content.segments) == 1:
            return EncodedText((item,), content.msg_fmt, content.segments, plan.flow[item], plan.parts[item])
        return next(self._encode(content, (plan.numbers[item],), (item,), plan.flow[item], plan.parts[item]))

    def _content(self, text: str) -> EncodedSegments:
        added = self._signature.added_units(text) if self._signature else 0
        return write_text_content(text, self._settings.encoding, added)

    def _encode(
        self, content: EncodedSegments, numbers: Sequence[str], items: Sequence[int], flow: int, parts: int
    ) -> Iterator[EncodedText]:
        """Yield one text for at most 99 items each. The segments of a long message share a reference."""
        total = len(content.segments)
        groups = [(content.segments, items)]
        if total > 1:
            flow, item_of, groups = 1, dict(zip(numbers, items, strict=True)), []
            for reference, group in self._references.allocate(numbers).items():
                numbered = enumerate(content.segments, 1)
                contents = [concatenation_header(reference, total, number) + body for number, body in numbered]
                groups.append((tuple(contents), [item_of[number] for number in group]))
        for segments, group_items in groups:
            for start in range(0, len(group_items), MAX_DESTINATIONS):
                some = tuple(group_items[start : start + MAX_DESTINATIONS])
                yield EncodedText(some, content.msg_fmt, segments, flow, parts)
