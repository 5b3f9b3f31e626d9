"""A checked call: its distinct items and the text of each. HTTP renders it as requests, CMPP as SUBMITs.

An item is a number (`send`), a number with its values (`send_template`) or a number with its text (`send_batch`).
"""

import re
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from .characters import clean
from .errors import InvalidMessageError
from .numbers import Number, normalise_number, normalise_numbers
from .text import MAX_LENGTH, SINGLE_UNITS, Signature, count_flow, count_parts, prepare, prepare_measured

SendKind = Literal["send", "template", "batch"]

# The platform fills {A} to {E} with up to five values (docs/protocol.md, section 2).
LETTERS = "ABCDE"
LONGEST_EXTENSION = 20

_PLACEHOLDER = re.compile(r"\{([A-Za-z]+)\}")
_DIGITS = frozenset(string.digits)
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, repr=False)
class SendPlan:
    """The distinct items of a call in order of first appearance.

    source: the caller's text or template. content: the same with its signature; both are empty for a batch.
    numbers: the number of each item. texts: the complete text of each item, or the one text for all.
    parts, flow: the billed parts and the flow items of each text. values: the template values of each item.
    places: the item for each place of the caller's list. indexes: the index of each item in the whole call's plan;
    None if this is that plan. at, extension: the checked options of the call.
    """

    kind: SendKind
    source: str
    content: str
    numbers: Sequence[str]
    texts: Sequence[str]
    parts: Sequence[int]
    flow: Sequence[int]
    places: Sequence[int]
    values: Sequence[tuple[str, ...]] = ()
    indexes: Sequence[int] | None = None
    at: datetime | None = None
    extension: str = ""

    def only(self, items: Sequence[int]) -> "SendPlan":
        """Return the plan for some of the items."""
        shared = self.kind == "send"

        def some(column: Sequence[_Item]) -> Sequence[_Item]:
            return [column[item] for item in items]

        return replace(
            self,
            numbers=some(self.numbers),
            texts=self.texts if shared else some(self.texts),
            parts=self.parts if shared else some(self.parts),
            flow=self.flow if shared else some(self.flow),
            values=some(self.values) if self.values else (),
            places=range(len(items)),
            indexes=some(self.indexes or range(len(self.numbers))),
        )

    def index_of(self, item: int) -> int:
        """Return the index of this item in the plan of the whole call."""
        return item if self.indexes is None else self.indexes[item]

    def parts_of(self, item: int) -> int:
        """Return the billed parts of this item."""
        return self.parts[0 if self.kind == "send" else item]

    def flow_of(self, start: int, end: int) -> int:
        """Return the flow items of the items from `start` to before `end`."""
        return self.flow[0] * (end - start) if self.kind == "send" else sum(self.flow[start:end])

    def billing(self) -> list[tuple[str, int]]:
        """Return the number and the billed parts of each item."""
        return [(number, self.parts_of(item)) for item, number in enumerate(self.numbers)]

    def row_of(self, item: int) -> int:
        """Return the first row of the caller's list, counted from 1, that gave this item."""
        return self.places.index(item) + 1

    def private_texts(self) -> tuple[str, ...]:
        """Return all texts of the message, to be masked in foreign texts."""
        return (self.source, self.content, *self.texts, *(value for values in self.values for value in values))

    def __repr__(self) -> str:
        return f"SendPlan({self.kind}, {len(self.numbers)} items)"


def plan_send(
    numbers: Number | Iterable[Number],
    text: str,
    *,
    signature: Signature | None = None,
    max_length: int = MAX_LENGTH,
    at: datetime | None = None,
    extension: str = "",
) -> SendPlan:
    """Check one text for many numbers. Raise InvalidMessageError."""
    distinct, places = _distinct(normalise_numbers(numbers))
    content, parts, flow = prepare_counted(text, signature, max_length)
    return SendPlan("send", text, content, distinct, (content,), (parts,), (flow,), places, at=at, extension=extension)


def prepare_counted(text: str, signature: Signature | None, max_length: int) -> tuple[str, int, int]:
    """Return the text as it is sent, its billed parts and its flow items. Raise InvalidMessageError."""
    content, length = prepare_measured(text, signature, max_length)
    return (content, *_count(content, length, signature))


def plan_template(
    template: str,
    rows: Iterable[Sequence[Number]],
    *,
    signature: Signature | None = None,
    max_length: int = MAX_LENGTH,
    at: datetime | None = None,
    extension: str = "",
) -> SendPlan:
    """Check a template and its rows: the number first, then the values of {A} to {E}.

    The platform silently drops rows that do not match the template, so they are refused here.
    Raise InvalidMessageError, which names the row.
    """
    content = prepare(template, signature, max_length, "the template", "模板")
    wanted = _placeholders(template)
    texts: dict[tuple[str, tuple[str, ...]], tuple[str, int]] = {}
    items: list[tuple[str, tuple[str, ...]]] = []
    for row, cells in enumerate(rows, 1):
        if isinstance(cells, str | int) or not cells:
            raise row_error(row, "must be a number with its values", "不是号码加变量值的一组")
        item = (
            normalise_number(cells[0], f"the number of row {row}", f"第 {row} 组的号码"),
            _values(row, cells[1:], wanted),
        )
        if item not in texts:
            filled = fill(template, *item)
            texts[item] = prepare_measured(filled, signature, max_length, f"row {row}", f"第 {row} 组的内容")
        items.append(item)
    distinct, places = _distinct(items)
    return _many(
        "template",
        [texts[item] for item in distinct],
        signature,
        source=template,
        content=content,
        numbers=[number for number, _ in distinct],
        values=[values for _, values in distinct],
        places=places,
        at=at,
        extension=extension,
    )


def plan_batch(
    pairs: Iterable[tuple[Number, str]],
    *,
    signature: Signature | None = None,
    max_length: int = MAX_LENGTH,
    at: datetime | None = None,
    extension: str = "",
) -> SendPlan:
    """Check pairs of a number and its own text. Raise InvalidMessageError, which names the row."""
    items: list[tuple[str, tuple[str, int]]] = []
    for row, pair in enumerate(pairs, 1):
        if isinstance(pair, str | int) or len(pair) != 2:
            raise row_error(row, "must be a number with its text", "不是号码加内容的一组")
        try:
            items.append((normalise_number(pair[0]), prepare_measured(pair[1], signature, max_length)))
        except InvalidMessageError:
            # Again, for an error that names the row: to name each row beforehand costs as much as to check it.
            normalise_number(pair[0], f"the number of row {row}", f"第 {row} 组的号码")
            prepare(pair[1], signature, max_length, f"the text of row {row}", f"第 {row} 组的内容")
            raise
    distinct, places = _distinct(items)
    return _many(
        "batch",
        [text for _, text in distinct],
        signature,
        source="",
        content="",
        numbers=[number for number, _ in distinct],
        places=places,
        at=at,
        extension=extension,
    )


def fill(template: str, number: str, values: Sequence[str]) -> str:
    """Return the text of a template for one number, filled in as the platform does it."""
    filled = {"PHONE": number, **dict(zip(LETTERS, values, strict=False))}
    return _PLACEHOLDER.sub(lambda found: filled.get(found.group(1), found.group()), template)


def check_time(at: datetime | None, now: datetime) -> None:
    """Raise InvalidMessageError unless `at` is None or an aware time after `now`."""
    if at is None:
        return
    if not isinstance(at, datetime) or at.tzinfo is None or at.utcoffset() is None:
        raise InvalidMessageError("`at` must be a time with a time zone", "定时时间须带时区")
    if at <= now.astimezone(UTC):
        raise InvalidMessageError("`at` must be in the future", "定时时间已过")


def check_extension(extension: str | None) -> str:
    """Return the extension, "" for none. Raise InvalidMessageError unless it has at most 20 digits."""
    if extension is None:
        return ""
    if not isinstance(extension, str):
        raise InvalidMessageError(
            "the extension must be text: 012 would lose its zero", "扩展号须为文本，否则开头的 0 会丢失"
        )
    if len(extension) > LONGEST_EXTENSION or not _DIGITS.issuperset(extension):
        raise InvalidMessageError("the extension must have 1 to 20 digits", "扩展号须为 1 至 20 位数字")
    return extension


def row_error(row: int, en: str, zh: str) -> InvalidMessageError:
    """Return the error for one row of the caller's list."""
    return InvalidMessageError(f"row {row} {en}", f"第 {row} 组{zh}")


def _many(kind: SendKind, texts: Sequence[tuple[str, int]], signature: Signature | None, **fields: Any) -> SendPlan:
    """Return the plan for texts and their lengths."""
    counted = [_count(text, length, signature) for text, length in texts]
    return SendPlan(
        kind,
        texts=[text for text, _ in texts],
        parts=[parts for parts, _ in counted],
        flow=[flow for _, flow in counted],
        **fields,
    )


def _count(text: str, length: int, signature: Signature | None) -> tuple[int, int]:
    """Return the billed parts and the flow items of a text. length: as `prepare_measured` returns it."""
    if length <= SINGLE_UNITS:
        return 1, 1
    return count_parts(text, signature.added_units(text) if signature else 0), count_flow(length)


def _distinct(items: Sequence[_Item]) -> tuple[list[_Item], Sequence[int]]:
    if not items:
        raise InvalidMessageError("there is nothing to send", "没有要发送的内容")
    index: dict[_Item, int] = dict.fromkeys(items, 0)
    if len(index) == len(items):
        return list(items), range(len(items))
    index.update(zip(index, range(len(index)), strict=True))
    return list(index), [index[item] for item in items]


def _placeholders(template: str) -> set[str]:
    names = set(_PLACEHOLDER.findall(template)) - {"PHONE"}
    unknown = sorted(names - set(LETTERS))
    if unknown:
        raise InvalidMessageError(
            f"the template has the placeholder {{{unknown[0]}}}; only {{PHONE}} and {{A}} to {{E}} exist",
            f"模板含占位符 {{{unknown[0]}}}，可用的只有 {{PHONE}} 和 {{A}} 至 {{E}}",
        )
    return names


def _values(row: int, given: Sequence[Number], wanted: set[str]) -> tuple[str, ...]:
    values = tuple([clean(str(value)) for value in given])
    if len(values) > len(LETTERS):
        raise row_error(row, "has more than five values", "变量超过五个")
    for letter in LETTERS[len(values) :]:
        if letter in wanted:
            raise row_error(row, f"has no value for {{{letter}}}", f"缺少 {{{letter}}} 的值")
    for letter, value in zip(LETTERS, values, strict=False):
        if letter not in wanted:
            raise row_error(
                row,
                f"has a value for {{{letter}}}, which is not in the template",
                f"有 {{{letter}}} 的值，但模板没有该占位符",
            )
        if not value.strip():
            raise row_error(row, f"has an empty value for {{{letter}}}", f" {{{letter}}} 的值为空")
        if _PLACEHOLDER.search(value):
            raise row_error(row, f"has a placeholder in the value of {{{letter}}}", f" {{{letter}}} 的值含占位符")
    return values
