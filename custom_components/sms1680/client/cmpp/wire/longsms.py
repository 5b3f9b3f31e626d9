"""Long messages: user data headers, references, and the assembly of segments (docs/cmpp.md, section 3).

Without a clock of its own: callers pass the time in.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from ...bounded import BoundedDict

_CONCATENATED_8: Final = 0x00
_CONCATENATED_16: Final = 0x08
_MAX_DESTINATIONS: Final = 20_000

T = TypeVar("T")


def concatenation_header(reference: int, total: int, number: int) -> bytes:
    """Return the header of a segment with an 8-bit reference: `05 00 03 RR TT NN`."""
    return bytes((5, _CONCATENATED_8, 3, reference, total, number))


class Concatenation(NamedTuple):
    """The position of a segment in its message. number: 1 to total. wide: the reference has 16 bits."""

    reference: int
    total: int
    number: int
    wide: bool


def split_header(content: bytes) -> tuple[Concatenation | None, bytes]:
    """Return the concatenation of a segment, or None, and the content after the user data header.

    An invalid header counts as content, so that no text is lost. Other information elements are skipped.
    """
    if not content or content[0] + 1 > len(content):
        return None, content
    header, body = content[1 : content[0] + 1], content[content[0] + 1 :]
    found, place = None, 0
    while place + 2 <= len(header):
        kind, length = header[place], header[place + 1]
        value = header[place + 2 : place + 2 + length]
        if len(value) != length:
            return None, content
        if kind == _CONCATENATED_8 and length == 3:
            found = Concatenation(value[0], value[1], value[2], wide=False)
        elif kind == _CONCATENATED_16 and length == 4:
            found = Concatenation(value[0] << 8 | value[1], value[2], value[3], wide=True)
        place += 2 + length
    if found is not None and not 1 <= found.number <= found.total:
        found = None
    return found, body


class ReferenceCounter:
    """The references of long messages: 8 bits that count up per destination (docs/cmpp.md, trap 7).

    A phone joins segments with the same reference and total, so a reference must not repeat soon.
    """

    def __init__(self, first: Callable[[], int]) -> None:
        """Start each new destination at `first()`, a random number from 0 to 255."""
        self._first = first
        self._next: BoundedDict[str, int] = BoundedDict(_MAX_DESTINATIONS)

    def allocate(self, destinations: Iterable[str]) -> dict[int, list[str]]:
        """Return the destinations grouped by the reference of their next long message.

        Destinations that always get the same messages share a group, and new ones start together.
        """
        groups: dict[int, list[str]] = {}
        first = self._first()
        for destination in destinations:
            reference = self._next.get(destination, first)
            self._next[destination] = (reference + 1) % 256
            groups.setdefault(reference, []).append(destination)
        return groups


@dataclass(slots=True)
class AssembledMessage(Generic[T]):
    """A long message. parts: the content of each received segment, by its number. tokens: as passed to `add`."""

    deadline: float
    total: int
    parts: dict[int, bytes] = field(default_factory=dict)
    tokens: list[T] = field(default_factory=list)

    @property
    def incomplete(self) -> bool:
        """Whether a segment is missing."""
        return len(self.parts) < self.total


class SegmentAssembler(Generic[T]):
    """Assembles the segments of uplinks, and returns incomplete messages after a time limit.

    With more than `max_messages` incomplete messages the oldest one is returned as it is.
    """

    def __init__(self, time_limit: float, max_messages: int = 1000) -> None:
        """Allow `time_limit` seconds from the first segment of a message to its last."""
        self._time_limit = time_limit
        self._max_messages = max_messages
        self._partial: dict[Hashable, AssembledMessage[T]] = {}

    def add(
        self, key: Hashable, segment: Concatenation, body: bytes, token: T, now: float
    ) -> list[AssembledMessage[T]]:
        """Add a segment. Return the message that it completes, or the oldest one if there are too many.

        key: identifies sender, recipient and format. token: any value that belongs to the segment. A segment that
        arrives twice replaces the first one (docs/cmpp.md, trap 7).
        """
        message = (key, segment.reference, segment.total, segment.wide)
        partial = self._partial.get(message)
        if partial is None:
            partial = self._partial[message] = AssembledMessage(now + self._time_limit, segment.total)
        partial.parts[segment.number] = body
        partial.tokens.append(token)
        if len(partial.parts) == segment.total:
            return [self._pop(message)]
        return [self._pop(next(iter(self._partial)))] if len(self._partial) > self._max_messages else []

    def expire(self, now: float) -> list[AssembledMessage[T]]:
        """Return the incomplete messages whose time limit is over."""
        return [self._pop(message) for message, partial in list(self._partial.items()) if partial.deadline <= now]

    def flush(self) -> list[AssembledMessage[T]]:
        """Return every incomplete message."""
        return [self._pop(message) for message in list(self._partial)]

    @property
    def deadline(self) -> float | None:
        """The time limit of the oldest incomplete message, or None."""
        return next(iter(self._partial.values())).deadline if self._partial else None

    def _pop(self, message: Hashable) -> AssembledMessage[T]:
        assembled = self._partial.pop(message)
        assembled.parts = dict(sorted(assembled.parts.items()))
        return assembled
