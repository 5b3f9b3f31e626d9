"""What goes into the message store and comes out of it. Times are aware; numbers may be written in any way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ...client import Outcome, Reason, mask_number
from .proof import Matched, ProofState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(when: datetime) -> int:
    """Return a time as the database keeps it: microseconds since 1970."""
    return (when - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """Return a time of the database, in UTC."""
    return _EPOCH + value * _MICROSECOND


class Direction(StrEnum):
    """Which way a message went."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True, repr=False)
class Outgoing:
    """A message to one number that is about to go out.

    entry: of which account. recipient: the subentry, None for a number that is none. text: None where texts are not
    kept. way: `http` or `cmpp`. at: when it is handed over. due: when the platform is to send it, None for at once.
    automatic: it stems from our own events. attempt: the name of the try of a kept message that it is.
    """

    entry: str
    number: str
    way: str
    at: datetime
    text: str | None = None
    recipient: str | None = None
    due: datetime | None = None
    automatic: bool = False
    attempt: str | None = None

    def __repr__(self) -> str:
        """Show neither the number whole nor the text."""
        return f"Outgoing({mask_number(self.number)}, {self.way})"


@dataclass(slots=True)
class Dispatch:
    """Messages that go out together. rows: theirs, each None until it is noted; written by the store's thread."""

    messages: tuple[Outgoing, ...]
    rows: list[int | None] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = [None] * len(self.messages)


@dataclass(frozen=True, slots=True)
class Receipted:
    """What the platform answered to a message to one number.

    way: by which it went in the end, None for the one that it was begun by. segments: those that are reported one by
    one.
    """

    outcome: Outcome
    at: datetime
    reason: Reason | None = None
    message_ids: tuple[str, ...] = ()
    parts: int = 1
    segments: int = 1
    way: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Uplink:
    """A reply, or another SMS, that came in.

    id: the event's, which a repeat shares. digest: by which a repeat is known. repeat: it came before.
    """

    entry: str
    id: str
    number: str
    content: str
    extension: str
    message_id: str
    incomplete: bool
    via: str
    received_at: datetime
    digest: bytes
    repeat: bool = False
    recipient: str | None = None

    def __repr__(self) -> str:
        """Show neither the number whole nor the text."""
        return f"Uplink({mask_number(self.number)}, {self.via})"


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """A delivery report that came in; as `Uplink`. `status` is as it came."""

    entry: str
    id: str
    number: str
    message_id: str
    status: str
    via: str
    received_at: datetime
    digest: bytes
    repeat: bool = False
    recipient: str | None = None

    def __repr__(self) -> str:
        """Show the number masked."""
        return f"Report({mask_number(self.number)}, {self.status!r}, {self.via})"


@dataclass(frozen=True, slots=True)
class Change:
    """Where a message to one number stands, after something was said of it.

    message_id: of its first segment, None where none is known. status: of the report that made it so, as it came.
    reason: of an outcome. at: since when. order: grows from one change to the next, so that who hears of an older one
    later knows. automatic: the message stems from our own events.
    """

    row: int
    entry: str
    recipient: str | None
    number: str = field(repr=False)
    message_id: str | None
    state: ProofState
    settled: bool
    status: str | None
    reason: Reason | None
    matched: Matched | None
    at: datetime
    order: int
    automatic: bool


@dataclass(frozen=True, slots=True)
class Received:
    """What came in is safe.

    change: where the message stands now that a report is about, None where it is not ours. others: messages that the
    report has decided besides. news: it is to be fired; the report of a segment that decides nothing is not.
    """

    row: int
    change: Change | None = None
    others: tuple[Change, ...] = ()
    news: bool = True


@dataclass(frozen=True, slots=True)
class Unfired:
    """Something safe whose event was not fired yet. earlier: it came in before the store was opened."""

    row: int
    item: Uplink | Report
    earlier: bool
    change: Change | None


@dataclass(frozen=True, slots=True)
class Recent:
    """What is left of something that came in lately, for repeats to be known."""

    digest: bytes
    id: str
    received_at: datetime
    answered: bool


@dataclass(frozen=True, slots=True)
class Retention:
    """How long and how much is kept of an account, and whether with texts.

    unfired_too: what was not fired yet goes as well; for an account that is switched off, and may stay so.
    """

    keep: timedelta
    most: int
    texts: bool
    unfired_too: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """Which messages; each None, or empty, is all. since, until: when they went out or came in."""

    entries: Collection[str] | None = None
    recipients: Collection[str] | None = None
    numbers: Collection[str] | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Query(Selection):
    """Which messages to show, the newest first."""

    direction: Direction | None = None
    states: Collection[ProofState] | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, repr=False)
class StoredOut:
    """A message to one number, as it is kept."""

    row: int
    entry: str
    recipient: str | None
    number: str
    text: str | None
    way: str
    at: datetime
    due: datetime | None
    automatic: bool
    outcome: Outcome | None
    reason: Reason | None
    parts: int
    message_ids: tuple[str, ...]
    state: ProofState
    settled: bool
    status: str | None
    state_at: datetime
    matched: Matched | None

    def __repr__(self) -> str:
        """Show neither the number whole nor the text."""
        return f"StoredOut({mask_number(self.number)}, {self.state.value})"


@dataclass(frozen=True, slots=True)
class StoredIn:
    """An uplink, as it is kept; its content is None where texts are not kept."""

    row: int
    entry: str
    recipient: str | None
    id: str
    number: str = field(repr=False)
    content: str | None = field(repr=False)
    extension: str
    incomplete: bool
    via: str
    at: datetime
    repeat: bool
    fired: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """How much is kept: outgoing by state, uplinks, reports, those not fired yet, and the file's octets."""

    outgoing: dict[str, int]
    uplinks: int
    reports: int
    unfired: int
    size: int
