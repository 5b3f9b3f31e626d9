"""A deferred message, and the result of a delivery."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Self

from homeassistant.config_entries import ConfigEntry

from ..client import Outcome, Reason, Receipt
from ..client.options import Priority
from ..client.outcomes import OWN_LIMITS
from ..errors import DropReason
from ..recipients import Addressee
from .policy import NO_POLICY, DeliveryPolicy, Fallback

# The outcome of a fallback step that reports nothing more: actions, and entities of other integrations.
DONE: Final = "done"
# Seconds. Smaller changes are corrections of a running clock, and do not matter for any of the times.
CLOCK_TOLERANCE: Final = 60.0
# 2026-01-01. The clock of a machine that shows an earlier time was never set.
EARLIEST_TIME: Final = 1_767_225_600.0
HANDLED: Final = (Outcome.ACCEPTED.value, DONE)
# Precedes the number of messages in the id of an attempt.
_DIGEST: Final = "*"
_MAY_HAVE_ARRIVED: Final = (Outcome.ACCEPTED.value, Outcome.HELD.value, Outcome.UNKNOWN.value)


@dataclass(frozen=True, slots=True, repr=False)
class QueuedMessage:
    """A message to one number that waits in the store.

    recipient: the subentry. at: when the platform is to send it, None for immediately. user: the user of
    the fallback actions. until: when to stop trying, None before the first attempt. tried: the fallback has had
    its turn. tries: attempts so far. watched: the message was sent, only its fallback waits. outgoing: its row in the
    journal, if its delivery report is awaited. missed: its outcome, if that is why the fallback waits. transport: that
    submitted it, if its delivery report is awaited. repeated: it was already sent once more, or its next attempt does
    so. limit: the reason of the spending limit that holds it back. attempt: the last attempt in the journal. boot: the
    start of the machine whose clock its times follow. offset: of that clock from the monotonic one. noted: when it was
    queued by the clock of an earlier start. cause: of the call, see `SendContext`. Times are seconds since 1970. The
    names of the fields are the keys of the stored form.
    """

    number: str
    text: str
    name: str | None = None
    recipient: str | None = None
    extension: str | None = None
    priority: Priority = "normal"
    policy: DeliveryPolicy = NO_POLICY
    automatic: bool = False
    user: str | None = None
    since: float = 0.0
    until: float | None = None
    tried: bool = False
    tries: int = 0
    outgoing: int | None = None
    watched: bool = False
    at: float | None = None
    missed: str | None = None
    transport: str | None = None
    repeated: bool = False
    limit: str | None = None
    attempt: str | None = None
    boot: str | None = None
    offset: float | None = None
    noted: float | None = None
    cause: str | None = None

    def __repr__(self) -> str:
        """Show neither number nor text."""
        return f"QueuedMessage(tries={self.tries})"

    def as_json(self) -> dict[str, Any]:
        """Return the stored form."""
        stored = {name: getattr(self, name) for name in self.__slots__ if name != "policy"}
        policy = self.policy
        stored["keep_trying"], stored["safe_text"] = policy.keep_trying, policy.safe_text
        stored["fallback"] = policy.fallback.as_json() if policy.fallback else None
        stored["repeat"] = policy.repeat
        return stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read the stored form. Raises KeyError or TypeError for the form of another version."""
        values = dict(stored)
        fallback = values.pop("fallback")
        policy = DeliveryPolicy(
            values.pop("keep_trying"),
            values.pop("safe_text"),
            Fallback.from_json(fallback) if fallback else None,
            values.pop("repeat", None),
        )
        return cls(policy=policy, **values)

    @property
    def is_late(self) -> bool:
        """Whether its times were moved by a guess, because the clock was wrong before or after the machine started."""
        return self.noted is not None and abs(self.since - self.noted) >= CLOCK_TOLERANCE

    def queued_at(self, now: float) -> float:
        """Return when it was queued. A time that the clock of an earlier start noted counts if it is possible."""
        return self.noted if self.noted is not None and EARLIEST_TIME <= self.noted <= now else self.since

    def addressee(self, entry: ConfigEntry[Any]) -> Addressee:
        """Return the addressee as stored."""
        return Addressee(entry, self.number, self.name, self.recipient, self.extension)

    def current_addressee(self, entry: ConfigEntry[Any]) -> Addressee | None:
        """Return the addressee with the recipient's current number and name; None if the recipient was removed."""
        if self.recipient is None:
            return self.addressee(entry)
        subentry = entry.subentries.get(self.recipient)
        return replace(Addressee.from_subentry(entry, subentry), extension=self.extension) if subentry else None


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A queued message and its row in the store. due: when it is next acted on."""

    row: int
    due: datetime
    message: QueuedMessage


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The result for one addressee, and the remaining plans for the message.

    outgoing: the row in the journal, None if it could not be written. safe: the safe text replaced the message.
    delayed_until: the end of the quiet hours that hold the message back, or when a spending limit that holds it back
    will have room. trying_until: it is tried again until then.
    fallback: the fallback steps with their outcomes. drop_reason: why the message was not even tried. transport: that
    answered. repeated: the message was sent once more, because its outcome was unknown. digest: how many messages it
    sums up, None for an ordinary message.
    long_text: `cut` or `split` if the text was too long, `refuse` if it was therefore not sent.
    """

    addressee: Addressee
    receipt: Receipt
    outgoing: int | None = None
    safe: bool = False
    delayed_until: datetime | None = None
    trying_until: datetime | None = None
    fallback: tuple[dict[str, str], ...] = ()
    drop_reason: DropReason | None = None
    transport: str | None = None
    repeated: bool = False
    digest: int | None = None
    long_text: str | None = None

    @property
    def is_over_limit(self) -> bool:
        """Whether one of our own limits holds the message back."""
        return self.receipt.outcome.is_failure and self.receipt.reason in OWN_LIMITS

    @property
    def is_pending(self) -> bool:
        """Whether the message is still to be sent."""
        return self.delayed_until is not None or self.trying_until is not None

    @property
    def is_handled(self) -> bool:
        """Whether the message is still to be sent or a fallback step handled it, so that no failure is reported."""
        return self.is_pending or any(step["outcome"] in HANDLED for step in self.fallback)

    @property
    def final_receipt(self) -> Receipt:
        """The receipt; its outcome is unknown if that of a fallback step is."""
        if any(step["outcome"] == Outcome.UNKNOWN.value for step in self.fallback):
            return replace(self.receipt, outcome=Outcome.UNKNOWN, reason=Reason.LOST)
        return self.receipt

    def may_have_arrived(self, policy: DeliveryPolicy) -> bool:
        """Return whether the fallback account has possibly sent the message to the phone."""
        account = policy.fallback.account if policy.fallback else None
        return any(step["to"] == account and step["outcome"] in _MAY_HAVE_ARRIVED for step in self.fallback)

    def as_response(self) -> dict[str, Any]:
        """Return the response of an action. The number is not masked: the caller named it."""
        response = receipt_response(self.receipt, self.addressee.name)
        if self.delayed_until is not None and self.receipt.reason is None:
            response["reason"] = "quiet_hours"
        elif self.drop_reason is not None:
            response["reason"] = self.drop_reason.value
        return {
            **response,
            "safe_text": self.safe,
            "repeated": self.repeated,
            "long_text": self.long_text,
            "delayed_until": self.delayed_until.isoformat() if self.delayed_until else None,
            "trying_until": self.trying_until.isoformat() if self.trying_until else None,
            "fallback": list(self.fallback),
        }


def receipt_response(receipt: Receipt, name: str | None) -> dict[str, Any]:
    """Return the part of a response that a receipt determines. name: of the recipient."""
    return {
        "number": receipt.number,
        "recipient": name,
        "outcome": receipt.outcome.value,
        "message_id": receipt.message_id,
        "parts": receipt.parts,
        "reason": receipt.reason.value if receipt.reason else None,
    }


def digest_attempt(attempt: str, count: int | None) -> str:
    """Return the id of an attempt to send a digest, which contains the number of its messages."""
    return attempt if count is None else f"{attempt}{_DIGEST}{count}"


def digest_count(attempt: str | None) -> int | None:
    """Return how many messages an attempt sent in one digest, None for an ordinary message."""
    _, _, count = (attempt or "").partition(_DIGEST)
    return int(count) if count.isdecimal() else None
