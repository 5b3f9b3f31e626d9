"""The values that the message store takes and returns. Times are aware; numbers can have any notation."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from ...client import InvalidMessageError, Outcome, Reason, mask_number, normalise_number
from .matching import DeliveryState, MatchedBy

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(when: datetime) -> int:
    """Return a time in the database's form: microseconds since 1970."""
    return (when - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    """Return a time from the database's form, in UTC."""
    return _EPOCH + timedelta(microseconds=value)


def comparable_number(number: str) -> str:
    """Return a number in the form used to compare numbers.

    A mainland mobile number becomes eleven digits, regardless of how it is written. Other numbers stay unchanged.
    """
    try:
        return normalise_number(number)
    except InvalidMessageError:
        return number


def storable(text: str) -> str:
    """Return a text that can be stored: lone surrogates are replaced with their escape sequence."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


class Direction(StrEnum):
    """Whether a message was received or sent."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True, repr=False)
class Outgoing:
    """A message to one number that is about to be sent.

    entry: the account's entry id. transport: `http` or `cmpp`. at: when it is submitted to the platform. text: None if
    texts are not stored. recipient: the subentry id, None for a number without one. due: when the platform sends it,
    None for immediately. automatic: one of our own events triggered it. attempt: the name of a deferred message's
    attempt. priority: `normal` or `critical`. cause: of the call, as `events/causes.py` writes it.
    """

    entry: str
    number: str
    transport: str
    at: datetime
    text: str | None = None
    recipient: str | None = None
    due: datetime | None = None
    automatic: bool = False
    attempt: str | None = None
    priority: str = "normal"
    cause: str | None = None

    def __repr__(self) -> str:
        """Mask the number, and leave out the text."""
        return f"Outgoing({mask_number(self.number)}, {self.transport})"


@dataclass(slots=True)
class Dispatch:
    """Messages that are sent together. rows: set by the store's thread, each None until its message is stored."""

    messages: Sequence[Outgoing]
    rows: list[int | None] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = [None] * len(self.messages)


@dataclass(frozen=True, slots=True)
class RecordedOutcome:
    """The platform's answer to a message to one number.

    segments: the number of segments with a delivery report each. transport: set if another transport than the one of
    the `Outgoing` sent the message.
    """

    outcome: Outcome
    at: datetime
    reason: Reason | None = None
    message_ids: tuple[str, ...] = ()
    parts: int = 1
    segments: int = 1
    transport: str | None = None


class Uplink(NamedTuple):
    """An incoming SMS. A tuple, because one is made for each push.

    id: the event's id, which a repeat shares. digest: identifies repeats. repeat: it arrived before.
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
        """Mask the number, and leave out the text."""
        return f"Uplink({mask_number(self.number)}, {self.via})"


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """An incoming delivery report, with the fields of `Uplink`. status: the platform's status word."""

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
        """Mask the number."""
        return f"Report({mask_number(self.number)}, {self.status!r}, {self.via})"


@dataclass(frozen=True, slots=True)
class DeliveryUpdate:
    """The current state of a message to one number.

    message_id: of its first segment, None if unknown. status: the status word of the report that caused the state.
    reason: of an outcome. at: since when the state applies. order: increases with each update, so that a listener can
    recognise an outdated one. automatic: one of our own events triggered the message. concluded: its end was reported,
    or another message replaces it. attempt: of a deferred message that sent it. sent_at: when the platform was to send
    it.
    """

    row: int
    entry: str
    recipient: str | None
    number: str = field(repr=False)
    message_id: str | None
    state: DeliveryState
    settled: bool
    status: str | None
    reason: Reason | None
    matched: MatchedBy | None
    at: datetime
    order: int
    automatic: bool
    parts: int = 1
    priority: str = "normal"
    concluded: bool = False
    attempt: str | None = None
    sent_at: datetime | None = None


class Reported(NamedTuple):
    """The message that a report is about. state: before the report. message_id: of the reported segment."""

    row: int
    state: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Received:
    """The result of storing an incoming item.

    update: the state of the message that a report is about, None if the message is unknown. others: further messages
    whose state the report settled. news: whether to fire an event. The report of a segment that does not change its
    message fires none.
    """

    row: int
    update: DeliveryUpdate | None = None
    others: tuple[DeliveryUpdate, ...] = ()
    news: bool = True


@dataclass(slots=True)
class Marks:
    """Rows of incoming items to mark: their event has fired, or their acknowledgement was written.

    textless: those of fired uplinks whose text is not to remain in the store.
    """

    fired: set[int] = field(default_factory=set)
    acknowledged: set[int] = field(default_factory=set)
    textless: set[int] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Whether there is anything to mark."""
        return bool(self.fired or self.acknowledged or self.textless)


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """A stored item whose event has not fired. earlier: it was stored before the store was last opened."""

    row: int
    item: Uplink | Report
    earlier: bool
    update: DeliveryUpdate | None


@dataclass(frozen=True, slots=True)
class RecentItem:
    """The digest and id of a recent item, to identify repeats."""

    digest: bytes
    id: str
    received_at: datetime
    acknowledged: bool


@dataclass(frozen=True, slots=True)
class Retention:
    """How long, and how many items of each kind, an account's messages are stored, and whether with texts.

    include_pending: also delete items whose event has not fired. For a disabled account, which may remain disabled.
    """

    max_age: timedelta
    max_items: int
    texts: bool
    include_pending: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter of messages. None selects all. since, until: when they were sent or received."""

    entries: Collection[str] | None = None
    recipients: Collection[str] | None = None
    numbers: Collection[str] | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class HistoryQuery(Selection):
    """A selection of messages, newest first."""

    direction: Direction | None = None
    states: Collection[DeliveryState] | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, repr=False)
class StoredOut:
    """A stored message to one number."""

    row: int
    entry: str
    recipient: str | None
    number: str
    text: str | None
    transport: str
    at: datetime
    due: datetime | None
    automatic: bool
    outcome: Outcome | None
    reason: Reason | None
    parts: int
    message_ids: tuple[str, ...]
    state: DeliveryState
    settled: bool
    status: str | None
    state_at: datetime
    matched: MatchedBy | None
    priority: str
    cause: str | None

    def __repr__(self) -> str:
        """Mask the number, and leave out the text."""
        return f"StoredOut({mask_number(self.number)}, {self.state.value})"


@dataclass(frozen=True, slots=True)
class StoredIn:
    """A stored uplink. content: None if texts are not stored."""

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
    """Numbers of stored items: outgoing by state, uplinks, reports, pending events; and the file's size in bytes."""

    outgoing: dict[str, int]
    uplinks: int
    reports: int
    unfired: int
    size: int
