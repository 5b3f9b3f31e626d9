"""The formats of the HTTP calls: number lists, template groups, batch pairs and times (docs/protocol.md, section 1)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

CHINA_TIME = timezone(timedelta(hours=8))
_NUMBER = re.compile(r"1[3-9]\d{9}", re.ASCII)
_PLACEHOLDER = re.compile(r"\{(PHONE|[A-E])\}")
_FIELDS_MAX = 6
Pairs = list[tuple[str, str]]


class TemplateError(ValueError):
    """No group has a value for every placeholder of the template."""


def is_number(text: str) -> bool:
    """Return True for a mainland mobile number as the platform accepts it: eleven digits that start with 13 to 19."""
    return _NUMBER.fullmatch(text) is not None


def split_numbers(mobile: str) -> list[str]:
    """Split a number list at half-width commas. Empty entries (a trailing comma) are ignored."""
    return [number for part in mobile.split(",") if (number := part.strip())]


def split_groups(params: str) -> list[str]:
    """Split the parameter groups of a template send at `;`. Empty groups are ignored."""
    return [group for group in params.split(";") if group.strip()]


def fill_template(template: str, groups: list[str]) -> Pairs:
    """Fill in a template for each group, and silently drop groups that do not fit ("格式不符的参数，系统自动过滤掉").

    A group does not fit if it has more than six fields, no valid number, or no value for a placeholder.

    Raises:
        TemplateError: there are valid numbers, but none with a value for every placeholder.
    """
    needed = {match.group(1) for match in _PLACEHOLDER.finditer(template)} - {"PHONE"}
    filled: Pairs = []
    lacking = False
    for group in groups:
        number, *values = group.split(",")
        number = number.strip()
        if len(values) >= _FIELDS_MAX or not is_number(number):
            continue
        names = dict(zip("ABCDE", values, strict=False))
        if not needed <= names.keys():
            lacking = True
            continue
        names["PHONE"] = number
        filled.append((number, _PLACEHOLDER.sub(lambda match, names=names: names[match.group(1)], template)))  # type: ignore[misc]
    if lacking and not filled:
        raise TemplateError("no group has a value for every placeholder")
    return filled


def split_pairs(content: str) -> list[str]:
    """Split the pairs of a batch send at `$`. Empty pairs are ignored."""
    return [pair for pair in content.split("$") if pair.strip()]


def parse_pairs(pairs: list[str]) -> Pairs:
    """Read `number|text` pairs, and silently drop pairs without a separator or a valid number."""
    read: Pairs = []
    for pair in pairs:
        number, separator, text = pair.partition("|")
        number = number.strip()
        if separator and is_number(number):
            read.append((number, text))
    return read


def parse_time(dstime: str) -> datetime | None:
    """Read `yyyy-MM-dd HH:mm:ss` as China Standard Time. Return None for an empty text, which means now.

    Raises:
        ValueError: it has another format.
    """
    if not dstime.strip():
        return None
    local = datetime.strptime(dstime.strip(), "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - the next line adds the zone
    return local.replace(tzinfo=CHINA_TIME).astimezone(UTC)
