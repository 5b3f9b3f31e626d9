"""An alarm of a duty group, with its stored form."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, Final, Self

MAX_STEPS: Final = 200  # of one alarm; the first and the latest ones stay
_MAX_REPLIES: Final = 50


class AlarmState(StrEnum):
    """The state of an alarm. An alarm in the last state is closed."""

    OPEN = "open"
    SNOOZED = "snoozed"
    ACKNOWLEDGED = "acknowledged"
    UNANSWERED = "unanswered"  # nobody acknowledged it in time; nobody is texted now
    RESOLVED = "resolved"


class AlarmStep(StrEnum):
    """What happened to an alarm."""

    RAISED = "raised"
    ADDED = "added"  # raised again with the same key
    HANDED_OVER = "handed_over"  # somebody else is on duty now
    ESCALATED = "escalated"  # to the next member
    ESCALATED_TO_ALL = "escalated_to_all"
    REPEATED = "repeated"
    PASSED_ON = "passed_on"
    SNOOZED = "snoozed"
    ACKNOWLEDGED = "acknowledged"
    UNANSWERED = "unanswered"
    RESOLVED = "resolved"


class Level(IntEnum):
    """Who is texted: those on duty, these and the next members, or all."""

    ON_DUTY = 0
    NEXT = 1
    ALL = 2


class TextKind(StrEnum):
    """What a text to a member says."""

    ALARM = "alarm"
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class AlarmText:
    """A text that a step sends to a member. id: names its attempt in the journal of messages."""

    id: str
    member: str
    kind: TextKind


@dataclass(frozen=True, slots=True)
class LoggedStep:
    """A step of an alarm. members: who is texted. by: the name of the person who did it. until: of a snooze."""

    at: float
    step: AlarmStep
    members: tuple[str, ...] = ()
    by: str | None = None
    until: float | None = None


@dataclass(slots=True, repr=False)
class DutyAlarm:
    """An alarm. Times are seconds since 1970; members are the subentries of recipients.

    number: tells apart the open alarms of an account. extension: its own one from the account's range. text: the latest
    one. count: how often it was raised. began: when the texting began, later after a snooze. escalate_at: when the next
    level begins, None at the last one. due: when to act next. texted: who got it, in order. passed: who passed it on.
    by: the name of the person who acknowledged it. taker: that person's subentry. outbox: what may not have been sent
    yet. replies: the ids of the replies that were applied. automatic: one of our own events led to it.
    cause: of the call that raised it.
    """

    id: str
    group: str
    number: int
    text: str
    raised_at: float
    key: str | None = None
    extension: str | None = None
    automatic: bool = False
    state: AlarmState = AlarmState.OPEN
    level: Level = Level.ON_DUTY
    count: int = 1
    began: float = 0.0
    due: float | None = None
    escalate_at: float | None = None
    until: float | None = None
    last_texted: float = 0.0
    new_text: bool = False
    texted: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    by: str | None = None
    taker: str | None = None
    closed_at: float | None = None
    serial: int = 0
    outbox: list[AlarmText] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    steps: list[LoggedStep] = field(default_factory=list)
    cause: str | None = None

    def __repr__(self) -> str:
        """Show no text."""
        return f"DutyAlarm(number={self.number}, state={self.state})"

    @property
    def is_open(self) -> bool:
        """Whether the alarm is not closed."""
        return self.closed_at is None

    @property
    def is_over(self) -> bool:
        """Whether the alarm is closed, and all texts about it are sent."""
        return not self.is_open and not self.outbox

    def note_reply(self, reply_id: str) -> bool:
        """Remember a reply; return whether it is new."""
        if reply_id in self.replies:
            return False
        self.replies = [*self.replies, reply_id][-_MAX_REPLIES:]
        return True

    def log(self, step: LoggedStep) -> None:
        """Add a step. If there are too many, the oldest one after the first is dropped."""
        self.steps.append(step)
        if len(self.steps) > MAX_STEPS:
            del self.steps[1]

    def queue_texts(self, members: list[str], kind: TextKind) -> None:
        """Add a text to each of these members to the outbox."""
        self.serial += 1
        self.outbox += [AlarmText(f"{self.id}.{self.serial}.{member}", member, kind) for member in members]

    def as_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read the stored form. Raises KeyError, TypeError or ValueError for the form of another version."""
        values = dict(stored)
        values["state"], values["level"] = AlarmState(values["state"]), Level(values["level"])
        values["outbox"] = [AlarmText(one["id"], one["member"], TextKind(one["kind"])) for one in values["outbox"]]
        values["steps"] = [
            LoggedStep(one["at"], AlarmStep(one["step"]), tuple(one["members"]), one["by"], one["until"])
            for one in values["steps"]
        ]
        return cls(**values)
