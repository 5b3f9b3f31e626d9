"""The range of extensions for an account's questions: all of one length, and reused as late as possible."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Self

_RANGE: Final = re.compile(r"([0-9]{1,9})\s*[-–~]\s*([0-9]{1,9})")


class InvalidRangeError(ValueError):
    """The range of extensions is not valid."""


@dataclass(frozen=True, slots=True)
class ExtensionRange:
    """Extensions from `first` to `last`, leading zeros included."""

    first: int
    last: int
    length: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse "100-199". Raises InvalidRangeError if the ends differ in length, or if the first exceeds the last."""
        found = _RANGE.fullmatch(text.strip())
        if found is None or len(found[1]) != len(found[2]) or int(found[1]) > int(found[2]):
            raise InvalidRangeError
        return cls(int(found[1]), int(found[2]), len(found[1]))

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __contains__(self, extension: str) -> bool:
        return len(extension) == self.length and extension.isdecimal() and self.first <= int(extension) <= self.last

    def at(self, index: int) -> str:
        """Return the extension at an index modulo the length of the range."""
        return str(self.first + index % len(self)).zfill(self.length)


class Extensions:
    """Allocates the extensions of a range in turn, so that a late answer does not match a new question.

    start: the first index. next: the next index, which grows without a limit.
    """

    def __init__(self, extensions: ExtensionRange, start: int) -> None:
        self.range = extensions
        self.next = start

    def allocate(self, used: Collection[str | None], preferred: str | None) -> str | None:
        """Return the preferred extension if it is not used, else the next unused one. Return None if all are used."""
        if preferred is not None and preferred not in used:
            return preferred
        for _ in range(len(self.range)):
            self.next += 1
            if (extension := self.range.at(self.next - 1)) not in used:
                return extension
        return None
