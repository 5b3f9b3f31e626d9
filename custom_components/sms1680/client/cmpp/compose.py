"""A call becomes messages: checked, split into segments, grouped by destinations (protocol.md, sections 4 and 5).

The same arguments are taken and refused as over HTTP, by the same code; nothing here knows a socket or a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from ..errors import InvalidMessageError, InvalidSettingError
from ..http.requests import fill, plan_template, send_options
from ..numbers import Number, normalise_number, normalise_numbers
from ..text import Signature, count_flow, count_parts, prepare, units
from .wire.longsms import ReferenceCounter, concatenation_header
from .wire.messages import MAX_DESTINATIONS
from .wire.smpptime import smpp_time
from .wire.texts import Encoding, write_text_content

__all__ = ["Composer", "Draft", "Letter", "Sender", "Times", "full_number"]

_MSISDN: Final = 21


@dataclass(frozen=True, slots=True)
class Sender:
    """What every SUBMIT of an account holds.

    sp_id: six digits. source_number: the access number, to which an extension is added. service_id: the provider's
    business code, at most 10 characters. encoding: how texts go out. max_length: UTF-16 units, signature included.
    """

    sp_id: str
    source_number: str
    service_id: str = ""
    signature: Signature | None = None
    encoding: Encoding = "auto"
    max_length: int = 500

    def __post_init__(self) -> None:
        """Raise InvalidSettingError for what no SUBMIT could hold."""
        if not (self.sp_id.isascii() and self.sp_id.isdigit() and len(self.sp_id) <= 6):
            raise InvalidSettingError("the SP id has up to six digits", "企业代码（SP_Id）须为不超过六位的数字")
        if not (self.source_number.isascii() and self.source_number.isdigit() and len(self.source_number) <= _MSISDN):
            raise InvalidSettingError("the source number has 1 to 21 digits", "接入号须为 1 至 21 位数字")
        if not (self.service_id.isascii() and self.service_id.isprintable() and len(self.service_id) <= 10):
            raise InvalidSettingError(
                "the service id has at most 10 ASCII characters", "业务代码不超过 10 个 ASCII 字符"
            )
        if self.encoding not in ("auto", "ucs2", "gbk"):
            raise InvalidSettingError("the encoding is auto, ucs2 or gbk", "编码只能是 auto、ucs2 或 gbk")


def full_number(source_number: str, extension: str) -> str:
    """Return the number that a message goes out from. Raises InvalidMessageError where it has more than 21 digits."""
    number = source_number + extension
    if len(number) > _MSISDN:
        raise InvalidMessageError(
            f"source number and extension have {len(number)} digits, at most {_MSISDN} fit",
            f"接入号加扩展号共 {len(number)} 位，最多 {_MSISDN} 位",
        )
    return number


@dataclass(frozen=True, slots=True)
class Times:
    """At_Time and ValId_Time of a call's messages, and its source number with the extension."""

    at_time: str
    valid_time: str
    src_id: str


class Letter(NamedTuple):
    """A text to some receivers of a call, ready to be submitted: one SUBMIT for each content.

    receivers: their indices in the call. contents: with their user data headers. items: what the flow rule counts for
    each content and destination. parts: what it is billed in for each destination.
    """

    receivers: tuple[int, ...]
    msg_fmt: int
    contents: tuple[bytes, ...]
    items: int
    parts: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked call: its receivers without duplicates, where each stands in the caller's list, and its letters.

    own_texts: each receiver has a text of its own, so that what is wrong with one says nothing of the others.
    indexes: of each receiver in the whole call's draft, None where this is it.
    """

    numbers: list[str]
    places: Sequence[int]
    letters: list[Letter]
    times: Times
    own_texts: bool = False
    indexes: Sequence[int] | None = None

    def messages(self) -> list[tuple[str, int]]:
        """Return each receiver's number with the parts that its messages are billed in."""
        parts = [0] * len(self.numbers)
        for letter in self.letters:
            for index in letter.receivers:
                parts[index] += letter.parts
        return list(zip(self.numbers, parts, strict=True))

    def only(self, indices: Sequence[int]) -> Draft:
        """Return what goes to these receivers, each in a place of its own."""
        place_of = {index: place for place, index in enumerate(indices)}
        letters = []
        for letter in self.letters:
            receivers = tuple([place_of[index] for index in letter.receivers if index in place_of])
            if receivers:
                letters.append(letter._replace(receivers=receivers))
        numbers = [self.numbers[index] for index in indices]
        return Draft(numbers, range(len(numbers)), letters, self.times, self.own_texts, indices)

    def __repr__(self) -> str:
        return f"Draft({len(self.numbers)} receivers, {len(self.letters)} letters)"


class Composer:
    """Makes drafts of an account's calls."""

    def __init__(self, sender: Sender, references: ReferenceCounter) -> None:
        """Take what every message holds, and where the references of long ones come from."""
        self._sender = sender
        self._references = references
        self._usual = Times("", "", sender.source_number)

    def times(
        self, at: datetime | None, valid_for: timedelta | None, extension: str | None, present: Callable[[], datetime]
    ) -> Times:
        """Check when a message goes, how long it is tried, and from which number.

        at: aware, in the future. valid_for: above 0, counted from `at` or now. extension: digits as text, at most 21
        together with the source number. present: the present, aware. Raises InvalidMessageError.
        """
        if at is None and valid_for is None and extension is None:
            return self._usual
        now = present()
        checked = dict(send_options(at, extension, now))
        src_id = full_number(self._sender.source_number, checked.get("xh", ""))
        if valid_for is not None and (not isinstance(valid_for, timedelta) or valid_for <= timedelta()):
            raise InvalidMessageError("`valid_for` is a time span above 0", "有效期须大于 0")
        return Times(
            at_time="" if at is None else smpp_time(at),
            valid_time="" if valid_for is None else smpp_time((at or now) + valid_for),
            src_id=src_id,
        )

    def send(self, numbers: Number | Iterable[Number], text: str, times: Times) -> Draft:
        """Check one text to many numbers. Raises InvalidMessageError."""
        normalised = normalise_numbers(numbers)
        receivers = list(dict.fromkeys(normalised))
        written = prepare(text, self._sender.signature, self._sender.max_length)
        letters = list(self._letters(written, receivers, range(len(receivers)), "the text"))
        return Draft(receivers, _places(receivers, normalised), letters, times)

    def send_template(self, template: str, rows: Iterable[Sequence[Number]], times: Times) -> Draft:
        """Check a template and its rows, and fill it in here. Raises InvalidMessageError."""
        sender = self._sender
        plan = plan_template(
            template, rows, signature=sender.signature, max_length=sender.max_length, options=(), over_http=False
        )
        texts = [fill(template, number, values) for number, values in zip(plan.numbers, plan.values, strict=True)]
        return self._each(plan.numbers, texts, plan.places, times)

    def send_batch(self, pairs: Iterable[tuple[Number, str]], times: Times) -> Draft:
        """Check pairs of a number and its own text. Raises InvalidMessageError."""
        keys = []
        for place, pair in enumerate(pairs, 1):
            if isinstance(pair, str | int) or len(pair) != 2:
                raise InvalidMessageError(
                    f"row {place} is not a number with its text", f"第 {place} 组不是号码加内容的一组"
                )
            keys.append((normalise_number(pair[0], f"the number of row {place}"), pair[1]))
        if not keys:
            raise InvalidMessageError("there is no row to send", "没有要发送的内容")
        distinct = list(dict.fromkeys(keys))
        return self._each(
            [number for number, _ in distinct], [text for _, text in distinct], _places(distinct, keys), times
        )

    def _each(self, numbers: list[str], texts: list[str], places: Sequence[int], times: Times) -> Draft:
        sender = self._sender
        letters: list[Letter] = []
        for index, (number, text) in enumerate(zip(numbers, texts, strict=True)):
            name = f"the text of row {index + 1}"
            written = prepare(text, sender.signature, sender.max_length, name)
            letters += self._letters(written, [number], (index,), name)
        return Draft(numbers, places, letters, times, own_texts=True)

    def _letters(self, text: str, numbers: list[str], indices: Sequence[int], name: str) -> Iterator[Letter]:
        """Return the letters of a text to receivers, at most 99 each; those of a long one share its reference."""
        signature = self._sender.signature
        added = signature.added_units(text) if signature else 0
        try:
            written = write_text_content(text, self._sender.encoding, added)
        except ValueError as wrong:
            raise InvalidMessageError(f"{name} is too long: {wrong}", f"{name}: 内容过长") from None
        parts = count_parts(text, added)
        total = len(written.segments)
        if total == 1:
            items = count_flow(units(text) + added)
            for start in range(0, len(numbers), MAX_DESTINATIONS):
                receivers = tuple(indices[start : start + MAX_DESTINATIONS])
                yield Letter(receivers, written.msg_fmt, written.segments, items, parts)
            return
        index_of = dict(zip(numbers, indices, strict=True))
        for reference, group in self._references.allocate(numbers).items():
            contents = tuple(
                [
                    concatenation_header(reference, total, number) + body
                    for number, body in enumerate(written.segments, 1)
                ]
            )
            for start in range(0, len(group), MAX_DESTINATIONS):
                receivers = tuple([index_of[number] for number in group[start : start + MAX_DESTINATIONS]])
                yield Letter(receivers, written.msg_fmt, contents, 1, parts)


def _places(distinct: Sequence[object], keys: Sequence[object]) -> Sequence[int]:
    if len(distinct) == len(keys):
        return range(len(keys))
    index = {key: place for place, key in enumerate(distinct)}
    return [index[key] for key in keys]
