"""Long messages: user data headers, references, and the assembly of segments (docs/cmpp.md, section 3).

Without a clock of its own: callers pass the time in.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from ...bounded import BoundedDict

_CONCATENATED_8: Final = 0x00
_CONCATENATED_16: Final = 0x08
_LAST_ELEMENT: Final = 0x25
_SIM_ELEMENTS: Final = range(0x70, 0x80)
_FIRST_PRINTABLE: Final = 0x20
_MAX_DESTINATIONS: Final = 20_000

B = TypeVar("B")
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


def split_header(content: bytes, *, flagged: bool = True) -> tuple[Concatenation | None, bytes]:
    """Return the concatenation of a segment, or None, and the content after the user data header.

    flagged: TP_udhi announces a header. Without it, only a header with a concatenation is recognised, which no text
    begins with. An invalid header counts as content, so that no text is lost. Other information elements are skipped.
    """
    if not content or not content[0] or content[0] + 1 > len(content):
        return None, content
    header, body = content[1 : content[0] + 1], content[content[0] + 1 :]
    found, place = None, 0
    while place + 2 <= len(header):
        kind, length = header[place], header[place + 1]
        value = header[place + 2 : place + 2 + length]
        if len(value) != length or not (kind <= _LAST_ELEMENT or kind in _SIM_ELEMENTS):
            return None, content
        if kind == _CONCATENATED_8 and length == 3:
            found = Concatenation(value[0], value[1], value[2], wide=False)
        elif kind == _CONCATENATED_16 and length == 4:
            found = Concatenation(value[0] << 8 | value[1], value[2], value[3], wide=True)
        place += 2 + length
    if place != len(header) or not (flagged or (found is not None and content[0] < _FIRST_PRINTABLE)):
        return None, content
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


@dataclass(slots=True, eq=False)
class AssembledMessage(Generic[B, T]):
    """A long message. parts: the body of each received segment, by its number. tokens: as passed to `add`.

    last_id: the `msg_id` of the last segment.
    """

    deadline: float
    total: int
    parts: dict[int, B] = field(default_factory=dict)
    tokens: list[T] = field(default_factory=list)
    last_id: int = 0

    @property
    def incomplete(self) -> bool:
        """Whether a segment is missing."""
        return len(self.parts) < self.total


class SegmentAssembler(Generic[B, T]):
    """Assembles the segments of uplinks, and returns incomplete messages after a time limit.

    Some phones use a reference again at once. So several messages with the same reference can be open. With more than
    `max_messages` incomplete messages the oldest one is returned as it is.
    """

    def __init__(self, time_limit: float, max_messages: int = 1000) -> None:
        """Allow `time_limit` seconds from the first segment of a message to its last."""
        self._time_limit = time_limit
        self._max_messages = max_messages
        self._open: dict[AssembledMessage[B, T], Hashable] = {}  # oldest first
        self._by_key: dict[Hashable, list[AssembledMessage[B, T]]] = {}

    def add(
        self, key: Hashable, segment: Concatenation, body: B, token: T, now: float, *, msg_id: int = 0
    ) -> list[AssembledMessage[B, T]]:
        """Add a segment. Return the message that it completes, or the oldest one if there are too many.

        key: identifies sender and recipient. token: any value that belongs to the segment. A segment that arrives twice
        replaces the first one (docs/cmpp.md, trap 7). A segment with a number that is taken and another body belongs to
        another message with the same reference. msg_id: if several messages lack the segment, it belongs to the one
        with the nearest Msg_Id, or to the newest.
        """
        same_key = (key, segment.reference, segment.total, segment.wide)
        rivals = self._by_key.setdefault(same_key, [])
        lacking = [one for one in rivals if segment.number not in one.parts]
        message = next((one for one in rivals if one.parts.get(segment.number) == body), None)
        if message is None and lacking:
            message = min(reversed(lacking), key=lambda one: abs(one.last_id - msg_id))
        if message is None:
            message = AssembledMessage(now + self._time_limit, segment.total)
            self._open[message] = same_key
            rivals.append(message)
        message.parts[segment.number], message.last_id = body, msg_id
        message.tokens.append(token)
        if not message.incomplete:
            return [self._pop(message)]
        return [self.pop_oldest()] if len(self._open) > self._max_messages else []

    def expire(self, now: float) -> list[AssembledMessage[B, T]]:
        """Return the incomplete messages whose time limit is over."""
        return [self._pop(message) for message in list(self._open) if message.deadline <= now]

    def pop_oldest(self) -> AssembledMessage[B, T]:
        """Return the incomplete message that began first. There must be one."""
        return self._pop(next(iter(self._open)))

    def flush(self) -> list[AssembledMessage[B, T]]:
        """Return every incomplete message."""
        return [self._pop(message) for message in list(self._open)]

    @property
    def deadline(self) -> float | None:
        """The time limit of the oldest incomplete message, or None."""
        return next(iter(self._open)).deadline if self._open else None

    def _pop(self, message: AssembledMessage[B, T]) -> AssembledMessage[B, T]:
        key = self._open.pop(message)
        self._by_key[key].remove(message)
        if not self._by_key[key]:
            del self._by_key[key]
        message.parts = dict(sorted(message.parts.items()))
        return message
