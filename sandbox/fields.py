"""Reads the JSON objects of the control API field by field, strictly; what is wrong is told by the field's name."""

from __future__ import annotations

import json
import math
from urllib.parse import urlsplit

_TEXT_MAX = 20_000
_ROWS_MAX = 1000


class Fields:
    """The fields of a JSON object. Every method raises ValueError, naming the field, for a value it can't be."""

    def __init__(self, values: dict[str, object]) -> None:
        """Hold an object's fields."""
        self._values = values

    @classmethod
    def parse(cls, body: bytes) -> Fields:
        """Read a body; an empty one is an object without fields.

        Raises:
            ValueError: it is no JSON object.
        """
        values = json.loads(body or b"{}")
        if not isinstance(values, dict):
            raise ValueError("send a JSON object")
        return cls(values)

    def __contains__(self, name: str) -> bool:
        """Tell whether a field is there."""
        return name in self._values

    def is_text(self, name: str) -> bool:
        """Tell whether a field is a text."""
        return isinstance(self._values.get(name), str)

    def text(self, name: str) -> str:
        """Return a text."""
        value = self._values.get(name)
        if not isinstance(value, str) or len(value) > _TEXT_MAX:
            raise ValueError(f"{name}: a text")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a text, or None where there is none."""
        return None if self._values.get(name) is None else self.text(name)

    def texts(self, name: str) -> list[str]:
        """Return a list of texts that are not empty."""
        value = self._values.get(name)
        if not isinstance(value, list) or not all(isinstance(text, str) and text for text in value):
            raise ValueError(f"{name}: a list of texts")
        return list(value)

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        """Return true or false."""
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise ValueError(f"{name}: true or false")
        return value

    def integer(self, name: str, default: int, *, least: int = 0, most: int = 1_000_000_000) -> int:
        """Return a whole number within bounds."""
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{name}: a whole number from {least} to {most}")
        return value

    def seconds(self, name: str) -> float:
        """Return a time in seconds, an hour at most; 0 where there is none."""
        value = self._values.get(name, 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 3600:
            raise ValueError(f"{name}: seconds, 3600 at most")
        return float(value)

    def positive(self, name: str) -> float | None:
        """Return a number above 0, or None for null."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not (0 < value and math.isfinite(value)):
            raise ValueError(f"{name}: a number above 0, or null")
        return float(value)

    def counts(self, name: str) -> dict[str, int]:
        """Return an object of whole numbers, none below 0."""
        row = self.row(name)
        return {key: row.integer(key, 0) for key in row._values}

    def address(self, name: str) -> str | None:
        """Return an http or https address, or None for null or an empty text."""
        value = self.optional_text(name)
        if not value:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not value.isascii() or parts.fragment:
            raise ValueError(f"{name}: an http or https address")
        return value

    def row(self, name: str) -> Fields:
        """Return an object."""
        value = self._values.get(name)
        if not isinstance(value, dict):
            raise ValueError(f"{name}: an object")
        return Fields(value)

    def rows(self, name: str) -> list[Fields]:
        """Return a list of objects."""
        value = self._values.get(name)
        if not isinstance(value, list) or len(value) > _ROWS_MAX or not all(isinstance(row, dict) for row in value):
            raise ValueError(f"{name}: a list of objects")
        return [Fields(row) for row in value]
