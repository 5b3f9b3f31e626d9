"""Reads the JSON objects of the control API strictly. Errors name the field."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import TypeVar
from urllib.parse import urlsplit

_TEXT_MAX = 20_000
_ROWS_MAX = 1000
_SECONDS_MAX = 3600
_T = TypeVar("_T")


def _expect(value: object, kind: type[_T], sentence: str) -> _T:
    """Return a value if it has the given type. A bool is not a number.

    Raises:
        ValueError: it has another type.
    """
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(sentence)
    return value


class Fields:
    """The fields of a JSON object. Every method raises ValueError with the field's name for an invalid value."""

    def __init__(self, values: dict[str, object]) -> None:
        """Wrap the fields of an object."""
        self._values = values

    @classmethod
    def parse(cls, body: bytes) -> Fields:
        """Read a request body. An empty one is an object without fields.

        Raises:
            ValueError: it is not a JSON object.
        """
        return cls(_expect(json.loads(body or b"{}"), dict, "send a JSON object"))

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __contains__(self, name: str) -> bool:
        """Return True if a field exists."""
        return name in self._values

    def is_text(self, name: str) -> bool:
        """Return True if a field is a text."""
        return isinstance(self._values.get(name), str)

    def text(self, name: str) -> str:
        """Return a text."""
        value = _expect(self._values.get(name), str, f"{name}: a text")
        if len(value) > _TEXT_MAX:
            raise ValueError(f"{name}: a text of at most {_TEXT_MAX} characters")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a text, or None if it is missing or null."""
        return None if self._values.get(name) is None else self.text(name)

    def texts(self, name: str) -> list[str]:
        """Return a list of non-empty texts."""
        value = self._values.get(name)
        if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
            raise ValueError(f"{name}: a list of texts")
        return list(value)

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        """Return true or false."""
        return _expect(self._values.get(name, default), bool, f"{name}: true or false")

    def integer(self, name: str, default: int, *, least: int = 0, most: int = 1_000_000_000) -> int:
        """Return a whole number within bounds."""
        sentence = f"{name}: a whole number from {least} to {most}"
        value = _expect(self._values.get(name, default), int, sentence)
        if not least <= value <= most:
            raise ValueError(sentence)
        return value

    def seconds(self, name: str) -> float:
        """Return a time in seconds, at most one hour; 0 if it is missing."""
        seconds = self._number(name, 0.0)
        if not 0 <= seconds <= _SECONDS_MAX:
            raise ValueError(f"{name}: seconds, at most {_SECONDS_MAX}")
        return seconds

    def positive(self, name: str) -> float | None:
        """Return a number above 0, or None for null."""
        if self._values.get(name) is None:
            return None
        number = self._number(name, 0.0)
        if number <= 0:
            raise ValueError(f"{name}: a number above 0, or null")
        return number

    def _number(self, name: str, default: float) -> float:
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name}: a number")
        return float(value)

    def counts(self, name: str) -> dict[str, int]:
        """Return an object of non-negative whole numbers."""
        row = self.row(name)
        return {key: row.integer(key, 0) for key in row}

    def address(self, name: str) -> str | None:
        """Return an http or https address, or None if it is missing, null or empty."""
        value = self.optional_text(name)
        if not value:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not value.isascii() or parts.fragment:
            raise ValueError(f"{name}: an http or https address")
        return value

    def row(self, name: str) -> Fields:
        """Return an object."""
        return Fields(_expect(self._values.get(name), dict, f"{name}: an object"))

    def rows(self, name: str) -> list[Fields]:
        """Return a list of objects."""
        value = self._values.get(name)
        if not isinstance(value, list) or len(value) > _ROWS_MAX or not all(isinstance(row, dict) for row in value):
            raise ValueError(f"{name}: a list of objects")
        return [Fields(row) for row in value]
