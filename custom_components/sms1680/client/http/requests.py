"""The four calls of the platform as requests (document, chapter 2): what is said on the wire, not how it is carried."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TypeVar
from urllib.parse import urlencode, urlsplit

from ..account import Account
from ..errors import InvalidMessageError, InvalidSettingError
from ..numbers import Number, normalise_number, normalise_numbers
from ..text import Signature, count_flow, count_parts, prepare, units
from .transport import Request

DEFAULT_GATEWAY = "http://api.1680.me"
CHINA = timezone(timedelta(hours=8), "CST")

# Chapter 2.2 gives a template five values behind the number: {A} to {E}.
_USUAL_PORTS = {"http": 80, "https": 443}
_LETTERS = "ABCDE"
_PLACEHOLDER = re.compile(r"\{([A-Za-z]+)\}")
_LONGEST_EXTENSION = 20
_DIGITS = frozenset(string.digits)
_Key = TypeVar("_Key")
_FORM = (("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"),)


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """A checked message on its way: its receivers without duplicates, and how they stand in the call's form.

    places: for each place of the caller's list, the index of its receiver. fields: each receiver as the form has it.
    values: of each receiver, for a template's placeholders. indexes: of each receiver in the call's own plan.
    parts, flow: of each receiver, or of all alike where there is one value.
    """

    path: str
    form: tuple[tuple[str, str], ...]
    list_field: str
    separator: str
    numbers: list[str]
    fields: list[str]
    places: Sequence[int]
    parts: Sequence[int]
    flow: Sequence[int]
    texts: tuple[str, ...]
    values: Sequence[tuple[str, ...]] = ()
    indexes: Sequence[int] | None = None

    def only(self, indexes: Sequence[int]) -> Plan:
        """Return the plan for some of its receivers, each still once."""

        def some(values: Sequence[int]) -> Sequence[int]:
            return values if len(values) == 1 else [values[index] for index in indexes]

        return replace(
            self,
            numbers=[self.numbers[index] for index in indexes],
            fields=[self.fields[index] for index in indexes],
            values=[self.values[index] for index in indexes] if self.values else (),
            places=range(len(indexes)),
            indexes=[self.index_of(index) for index in indexes],
            parts=some(self.parts),
            flow=some(self.flow),
        )

    def index_of(self, index: int) -> int:
        """Return the index that this receiver has in the plan of the whole call."""
        return index if self.indexes is None else self.indexes[index]

    def parts_of(self, index: int) -> int:
        """Return the parts that this receiver is billed in."""
        return self.parts[index if len(self.parts) > 1 else 0]

    def flow_of(self, start: int, end: int) -> int:
        """Return what the flow rule counts for these receivers together."""
        if len(self.flow) == 1:
            return self.flow[0] * (end - start)
        return sum(self.flow[start:end])

    def __repr__(self) -> str:
        """Show neither number nor text."""
        return f"Plan({self.path}, {len(self.numbers)} receivers)"


def gateway_url(address: str) -> str:
    """Return the platform's address: http or https, a host, maybe a port and a path prefix, no slash behind it.

    One address comes back for all spellings of it, since accounts, and their pace, are told apart by it: the host in
    small letters and without a dot behind it, a port only where it is not the usual one. Raises InvalidSettingError.
    """
    try:
        parts = urlsplit(address.strip())
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except (ValueError, AttributeError):
        parts, host, port = urlsplit(""), "", None
    if (
        parts.scheme not in ("http", "https")
        or not host
        or port == 0
        or parts.username is not None
        or parts.query
        or parts.fragment
        or not address.strip().isprintable()
        or " " in address.strip()
    ):
        raise InvalidSettingError(
            "the gateway's address is not of the form http://host[:port][/prefix]",
            "平台地址的格式应为 http://主机[:端口][/前缀]",
        )
    host = f"[{host}]" if ":" in host else host
    shown = "" if port in (None, _USUAL_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{shown}{parts.path}".rstrip("/")


def account_form(account: Account) -> tuple[tuple[str, str], ...]:
    """Return the fields that every sending call begins with."""
    return (("username", account.username), ("password", account.password), ("productid", account.product_id))


def post(gateway: str, account: Account, plan: Plan, start: int, end: int) -> Request:
    """Return the request that sends a plan's receivers from `start` to before `end`.

    Always a POST form: with GET the password and the text would stand in the address, and so in logs on the way.
    """
    listed = plan.separator.join(plan.fields[start:end])
    body = urlencode([*account_form(account), (plan.list_field, listed), *plan.form]).encode()
    return Request("POST", gateway + plan.path, body, _FORM)


def ask_balance(gateway: str, account: Account) -> Request:
    """Return the request for the balance (chapter 2.4, GET only): its address holds the password."""
    query = urlencode(
        [("username", account.username), ("password", account.balance_password), ("productid", account.product_id)]
    )
    return Request("GET", f"{gateway}/balance.do?{query}", secret_url=True)


def plan_send(
    numbers: Number | Iterable[Number],
    text: str,
    *,
    signature: Signature | None,
    max_length: int,
    options: Sequence[tuple[str, str]],
) -> Plan:
    """Check one text to many numbers (chapter 2.1, sendXSms.do)."""
    receivers, places = _distinct(normalise_numbers(numbers))
    written = prepare(text, signature, max_length)
    parts, flow = _count(written, signature)
    return Plan(
        path="/sendXSms.do",
        form=(("content", written), *options),
        list_field="mobile",
        separator=",",
        numbers=receivers,
        fields=receivers,
        places=places,
        parts=(parts,),
        flow=(flow,),
        texts=(text, written),
    )


def plan_template(
    template: str,
    rows: Iterable[Sequence[Number]],
    *,
    signature: Signature | None,
    max_length: int,
    options: Sequence[tuple[str, str]],
    over_http: bool = True,
) -> Plan:
    """Check a template and its rows (chapter 2.2, sendDIYSms.do): number first, then the values of {A} to {E}.

    What does not fit is refused here, naming the row: the platform would drop it without a word. over_http: False where
    it is filled in here, and so the form's own signs may stand in a value.
    """
    written = prepare(template, signature, max_length, "the template")
    wanted = _placeholders(template)
    keys: list[tuple[str, tuple[str, ...]]] = []
    counted: dict[tuple[str, tuple[str, ...]], tuple[int, int]] = {}
    for place, row in enumerate(rows, 1):
        if isinstance(row, str | int) or not row:
            raise _row_error(place, "is not a number with its values", "不是号码加变量值的一组")
        number = normalise_number(row[0], f"the number of row {place}")
        key = number, _values(place, row[1:], wanted, over_http=over_http)
        if key not in counted:
            filled = fill(template, *key)
            counted[key] = _count(prepare(filled, signature, max_length, f"row {place}"), signature)
        keys.append(key)
    receivers, places = _distinct(_some(keys))
    return Plan(
        path="/sendDIYSms.do",
        form=(("content", written), *options),
        list_field="params",
        separator=";",
        numbers=[number for number, _ in receivers],
        fields=[",".join((number, *values)) for number, values in receivers],
        places=places,
        parts=[counted[key][0] for key in receivers],
        flow=[counted[key][1] for key in receivers],
        texts=(template, *(value for _, values in receivers for value in values)),
        values=[values for _, values in receivers],
    )


def plan_batch(
    pairs: Iterable[tuple[Number, str]],
    *,
    signature: Signature | None,
    max_length: int,
    options: Sequence[tuple[str, str]],
    over_http: bool = True,
) -> Plan:
    """Check pairs of a number and its own text (chapter 2.3, sendPackSms.do).

    over_http: `|` and `$` can't be escaped there, False where none of it goes that way.
    """
    keys: list[tuple[str, str]] = []
    for place, pair in enumerate(pairs, 1):
        if isinstance(pair, str | int) or len(pair) != 2:
            raise _row_error(place, "is not a number with its text", "不是号码加内容的一组")
        number = normalise_number(pair[0], f"the number of row {place}")
        written = prepare(pair[1], signature, max_length, f"the text of row {place}")
        if over_http and ("|" in written or "$" in written):
            raise _row_error(
                place, "has | or $ in its text, which a batch can't carry", "内容含 | 或 $，批量发送无法传送"
            )
        keys.append((number, written))
    receivers, places = _distinct(_some(keys))
    counted = [_count(text, signature) for _, text in receivers]
    return Plan(
        path="/sendPackSms.do",
        form=tuple(options),
        list_field="content",
        separator="$",
        numbers=[number for number, _ in receivers],
        fields=[f"{number}|{text}" for number, text in receivers],
        places=places,
        parts=[parts for parts, _ in counted],
        flow=[flow for _, flow in counted],
        texts=tuple(text for _, text in receivers),
    )


def fill(template: str, number: str, values: Sequence[str]) -> str:
    """Return the text that the platform makes of a template for one receiver (chapter 2.2)."""
    filled = {"PHONE": number, **dict(zip(_LETTERS, values, strict=False))}
    return _PLACEHOLDER.sub(lambda found: filled.get(found.group(1), found.group()), template)


def send_options(at: datetime | None, extension: str | None, now: datetime) -> list[tuple[str, str]]:
    """Return `dstime` and `xh` of a call.

    at: an aware time in the future, sent as China Standard Time; None means now. extension: 1 to 20 digits as text.
    now: the present, aware.

    Raises InvalidMessageError.
    """
    return [*_schedule(at, now), *_extension(extension)]


def _schedule(at: datetime | None, now: datetime) -> list[tuple[str, str]]:
    if at is None:
        return []
    if not isinstance(at, datetime) or at.tzinfo is None or at.utcoffset() is None:
        raise InvalidMessageError("`at` needs a time with its time zone", "定时时间须带时区")
    if at <= now.astimezone(UTC):
        raise InvalidMessageError("`at` lies in the past", "定时时间已过")
    return [("dstime", at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S"))]


def _extension(extension: str | None) -> list[tuple[str, str]]:
    if extension is None or extension == "":
        return []
    if not isinstance(extension, str):
        raise InvalidMessageError(
            "the extension must be text: 012 would lose its zero", "扩展号须为文本，否则开头的 0 会丢失"
        )
    if len(extension) > _LONGEST_EXTENSION or not _DIGITS.issuperset(extension):
        raise InvalidMessageError("the extension has 1 to 20 digits", "扩展号须为 1 至 20 位数字")
    return [("xh", extension)]


def _count(written: str, signature: Signature | None) -> tuple[int, int]:
    added = signature.added_units(written) if signature else 0
    return count_parts(written, added), count_flow(units(written) + added)


def _distinct(keys: Sequence[_Key]) -> tuple[list[_Key], Sequence[int]]:
    index: dict[_Key, int] = dict.fromkeys(keys, 0)
    if len(index) == len(keys):
        return list(keys), range(len(keys))
    index.update(zip(index, range(len(index)), strict=True))
    return list(index), [index[key] for key in keys]


def _some(keys: list[_Key]) -> list[_Key]:
    if not keys:
        raise InvalidMessageError("there is no row to send", "没有要发送的内容")
    return keys


def _row_error(place: int, en: str, zh: str) -> InvalidMessageError:
    return InvalidMessageError(f"row {place} {en}", f"第 {place} 组{zh}")


def _placeholders(template: str) -> set[str]:
    names = set(_PLACEHOLDER.findall(template)) - {"PHONE"}
    strange = sorted(names - set(_LETTERS))
    if strange:
        raise InvalidMessageError(
            f"the template has the placeholder {{{strange[0]}}}; there are {{PHONE}} and {{A}} to {{E}}",
            f"模板含占位符 {{{strange[0]}}}，可用的只有 {{PHONE}} 和 {{A}} 至 {{E}}",
        )
    return names


def _values(place: int, given: Sequence[Number], wanted: set[str], *, over_http: bool) -> tuple[str, ...]:
    values = tuple([str(value) for value in given])
    if len(values) > len(_LETTERS):
        raise _row_error(place, "has more than five values", "变量超过五个")
    have = set(_LETTERS[: len(values)])
    for letter in _LETTERS:
        if letter in wanted - have:
            raise _row_error(place, f"has no value for {{{letter}}}", f"缺少 {{{letter}}} 的值")
        if letter in have - wanted:
            raise _row_error(
                place,
                f"has a value for {{{letter}}}, which the template lacks",
                f"有 {{{letter}}} 的值，但模板没有该占位符",
            )
    for letter, value in zip(_LETTERS, values, strict=False):
        if not value.strip():
            raise _row_error(place, f"has an empty value for {{{letter}}}", f" {{{letter}}} 的值为空")
        if over_http and ("," in value or ";" in value):
            raise _row_error(
                place,
                f"has , or ; in the value of {{{letter}}}, which a template can't carry",
                f" {{{letter}}} 的值含 , 或 ;，无法传送",
            )
        if _PLACEHOLDER.search(value):
            raise _row_error(
                place, f"has a placeholder inside the value of {{{letter}}}", f" {{{letter}}} 的值含占位符"
            )
        _encodable(place, letter, value)
    return values


def _encodable(place: int, letter: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _row_error(
            place, f"has half a character in the value of {{{letter}}}", f" {{{letter}}} 的值含不完整的字符"
        ) from None
