"""Long messages: the user data header of their segments, references, and segments put together (GSM 03.40, 9.2.3.24).

No clock of its own: the time is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ...bounded import BoundedDict

__all__ = [
    "AssembledMessage",
    "Concatenation",
    "ReferenceCounter",
    "SegmentAssembler",
    "concatenation_header",
    "split_header",
]

_CONCATENATED_8: Final = 0x00
_CONCATENATED_16: Final = 0x08
_MAX_DESTINATIONS: Final = 20_000


def concatenation_header(reference: int, total: int, number: int) -> bytes:
    """Return the header of a segment with an 8-bit reference: `05 00 03 RR TT NN`."""
    return bytes((5, _CONCATENATED_8, 3, reference, total, number))


class Concatenation(NamedTuple):
    """Which segment of which message this is. number: from 1 to total. wide: the reference has 16 bits."""

    reference: int
    total: int
    number: int
    wide: bool


def split_header(content: bytes) -> tuple[Concatenation | None, bytes]:
    """Return what the user data header says of the segment, and the content behind the header.

    A header that can't be one is content: nothing is dropped. Other information elements are skipped.
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
    """References of long messages: 8 bits that count up for each destination, from a random start (trap 7).

    A phone takes segments of equal reference and total for one message, so a reference must not come back soon.
    """

    def __init__(self, first: Callable[[], int]) -> None:
        """Take what gives the random start, 0 to 255."""
        self._first = first
        self._next: BoundedDict[str, int] = BoundedDict(_MAX_DESTINATIONS)

    def allocate(self, destinations: Iterable[str]) -> dict[int, list[str]]:
        """Return the destinations by the reference that their next long message has.

        Those that always get the same messages stay together; new ones begin together.
        """
        groups: dict[int, list[str]] = {}
        first = self._first()
        for destination in destinations:
            reference = self._next.get(destination, first)
            self._next[destination] = (reference + 1) % 256
            groups.setdefault(reference, []).append(destination)
        return groups


class AssembledMessage(NamedTuple):
    """A message put together. parts: what came, by segment number; fewer than total where it is incomplete."""

    key: object
    parts: dict[int, bytes]
    total: int
    tokens: list[object]

    @property
    def incomplete(self) -> bool:
        """Whether a segment never came."""
        return len(self.parts) < self.total


@dataclass(slots=True)
class _PartialMessage:
    deadline: float
    total: int
    parts: dict[int, bytes] = field(default_factory=dict)
    tokens: list[object] = field(default_factory=list)


class SegmentAssembler:
    """Puts the segments of uplinks together; what does not become whole in time is handed on all the same.

    At most `max_messages` messages are begun at a time: of more, the oldest is handed on as it is.
    """

    def __init__(self, time_limit: float, max_messages: int = 1000) -> None:
        """Take the seconds that a message may take from its first segment to its last."""
        self._time_limit = time_limit
        self._max_messages = max_messages
        self._begun: dict[object, _PartialMessage] = {}

    def add(
        self, key: object, segment: Concatenation, body: bytes, token: object, now: float
    ) -> list[AssembledMessage]:
        """Take a segment; return what is handed on by it: nothing, the whole message, or an older one for want of room.

        key: sender, receiver, format. token: whatever belongs to this segment (its acknowledgement). A segment that
        comes twice replaces the first (trap 7).
        """
        whole = (key, segment.reference, segment.total, segment.wide)
        begun = self._begun.get(whole)
        if begun is None:
            begun = self._begun[whole] = _PartialMessage(now + self._time_limit, segment.total)
        begun.parts[segment.number] = body
        begun.tokens.append(token)
        if len(begun.parts) == segment.total:
            return [self._finish(whole)]
        return [self._finish(next(iter(self._begun)))] if len(self._begun) > self._max_messages else []

    def expire(self, now: float) -> list[AssembledMessage]:
        """Return the messages whose time is up."""
        return [self._finish(whole) for whole, begun in list(self._begun.items()) if begun.deadline <= now]

    def flush(self) -> list[AssembledMessage]:
        """Return every message that was begun: at the end nothing is kept back."""
        return [self._finish(whole) for whole in list(self._begun)]

    @property
    def deadline(self) -> float | None:
        """When the next message's time is up, None where none was begun."""
        return next(iter(self._begun.values())).deadline if self._begun else None

    def _finish(self, whole: object) -> AssembledMessage:
        begun = self._begun.pop(whole)
        key = whole[0]  # type: ignore[index]
        return AssembledMessage(key, dict(sorted(begun.parts.items())), begun.total, begun.tokens)
