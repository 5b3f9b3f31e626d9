"""The platform's records: messages, uplinks, phones, and the events about their changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from .text import parts, signature

DELIVERED = "0"
SUBMIT_FAILED = "KX:1000"
TOO_OFTEN = "KX:4000"


class State(StrEnum):
    """The state of a message."""

    HELD = "held"
    SCHEDULED = "scheduled"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    REJECTED = "rejected"


@dataclass(slots=True)
class Message:
    """One text to one number. Times are seconds since 1970; `due_at` is the time to send it."""

    serial: int
    message_id: str
    username: str
    product: str
    number: str = field(repr=False)
    text: str = field(repr=False)
    extension: str
    source: str
    accepted_at: float
    due_at: float
    state: State
    held_for: str | None = None
    status: str | None = None
    sent_at: float | None = None
    settled_at: float | None = None

    @property
    def parts(self) -> int:
        """The cost in parts."""
        return parts(self.text)

    @property
    def arrived(self) -> bool:
        """Whether the phone received it."""
        return self.sent_at is not None and self.status in {None, DELIVERED}

    def as_json(self) -> dict[str, object]:
        """Return the message for the control API."""
        return {
            "kind": "message",
            "serial": self.serial,
            "message_id": self.message_id,
            "username": self.username,
            "product": self.product,
            "number": self.number,
            "text": self.text,
            "signature": signature(self.text),
            "extension": self.extension,
            "source": self.source,
            "parts": self.parts,
            "accepted_at": self.accepted_at,
            "due_at": self.due_at,
            "sent_at": self.sent_at,
            "settled_at": self.settled_at,
            "state": self.state.value,
            "held_for": self.held_for,
            "status": self.status,
            "arrived": self.arrived,
        }


@dataclass(slots=True)
class Uplink:
    """A reply from a phone. `push`: the state of its push (none, waiting, delivered or given_up)."""

    serial: int
    message_id: str
    username: str
    number: str = field(repr=False)
    text: str = field(repr=False)
    extension: str
    source: str
    at: float
    push: str = "none"

    def as_json(self) -> dict[str, object]:
        """Return the uplink for the control API."""
        return {
            "kind": "uplink",
            "serial": self.serial,
            "message_id": self.message_id,
            "username": self.username,
            "number": self.number,
            "text": self.text,
            "extension": self.extension,
            "source": self.source,
            "at": self.at,
            "push": self.push,
        }


@dataclass(slots=True)
class Phone:
    """A phone: its messages, and the status of its delivery reports ("0": delivered, None: no report)."""

    number: str = field(repr=False)
    report_status: str | None = DELIVERED
    items: list[Message | Uplink] = field(default_factory=list, repr=False)

    @property
    def messages(self) -> list[Message]:
        """The messages that arrived, in order."""
        return [item for item in self.items if isinstance(item, Message) and item.arrived]

    @property
    def texts(self) -> list[str]:
        """The texts that arrived, in order."""
        return [message.text for message in self.messages]

    @property
    def uplinks(self) -> list[Uplink]:
        """The replies sent from it, in order."""
        return [item for item in self.items if isinstance(item, Uplink)]


@dataclass(frozen=True, slots=True)
class Changed:
    """A message or an uplink changed, or (None) an account, a switch or a counter."""

    item: Message | Uplink | None = None


@dataclass(frozen=True, slots=True)
class ReportReady:
    """A delivery report for the account's owner is ready."""

    username: str
    message_id: str
    number: str = field(repr=False)
    status: str


@dataclass(frozen=True, slots=True)
class UplinkReady:
    """An uplink for the account's owner is ready."""

    uplink: Uplink


Event = Changed | ReportReady | UplinkReady
