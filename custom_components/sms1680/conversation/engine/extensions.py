"""The range of extensions that the questions of an account go out with: all of one length, used again late."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Self

_RANGE: Final = re.compile(r"([0-9]{1,9})\s*[-–~]\s*([0-9]{1,9})")


class InvalidRangeError(ValueError):
    """A range of extensions that is written wrongly."""


@dataclass(frozen=True, slots=True)
class ExtensionRange:
    """Extensions from `first` to `last`, leading zeros included."""

    first: int
    last: int
    length: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "100-199". Raises InvalidRangeError: both ends have one length, the first is not behind the last."""
        found = _RANGE.fullmatch(text.strip())
        if found is None or len(found[1]) != len(found[2]) or int(found[1]) > int(found[2]):
            raise InvalidRangeError
        return cls(int(found[1]), int(found[2]), len(found[1]))

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, extension: str) -> bool:
        return len(extension) == self.length and extension.isdecimal() and self.first <= int(extension) <= self.last

    def at(self, place: int) -> str:
        """Return the extension at a place, counted round and round."""
        return str(self.first + place % len(self)).zfill(self.length)


class Extensions:
    """Hands out the extensions of a range in turn: a late answer must not meet a new question.

    start: where to begin. next: where to go on, counted round and round.
    """

    def __init__(self, extensions: ExtensionRange, start: int) -> None:
        self.range = extensions
        self.next = start

    def take(self, taken: Collection[str | None], preferred: str | None) -> str | None:
        """Return an extension that is not taken, the preferred one if that is free; None where all are taken."""
        if preferred is not None and preferred not in taken:
            return preferred
        for extension in self._in_turn():
            if extension not in taken:
                return extension
        return None

    def _in_turn(self) -> Iterator[str]:
        for _ in range(len(self.range)):
            self.next += 1
            yield self.range.at(self.next - 1)
