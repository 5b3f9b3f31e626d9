"""A message that was not delivered, and why."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from homeassistant.config_entries import ConfigEntry

from ..client import Outcome, Receipt
from ..const import ATTR_CONFIG_ENTRY_ID
from ..store.db import DeliveryState


class FailureCause(StrEnum):
    """Why a message counts as failed: its outcome, or its delivery report."""

    REFUSED = "refused"
    NOT_SENT = "not_sent"
    HELD = "held"
    UNKNOWN = "unknown"
    FAILED = "failed"
    NO_REPORT = "no_report"


CAUSES: Final = {
    DeliveryState.FAILED: FailureCause.FAILED,
    DeliveryState.EXPIRED: FailureCause.NO_REPORT,
    **{
        state: FailureCause(state.value)
        for state in DeliveryState
        if state.value in list(Outcome) and state != "accepted"
    },
}


@dataclass(frozen=True, repr=False)
class Failure:
    """A message that was not delivered to one number.

    name, subentry_id: of the recipient. reason: the code of the outcome's reason, or why the message was dropped.
    status: the word of the delivery report. problem: what happened, as a sentence. repeatable: the message can be sent
    again without a risk. row: in the journal, None if it is not known. fallback: the steps that were run. digest: how
    many messages it sums up, None for an ordinary message.
    """

    cause: FailureCause
    number: str
    problem: str
    name: str | None = None
    subentry_id: str | None = None
    outcome: Outcome = Outcome.ACCEPTED
    reason: str | None = None
    status: str | None = None
    message_id: str | None = None
    parts: int = 1
    priority: str = "normal"
    repeatable: bool = False
    automatic: bool = False
    row: int | None = None
    fallback: tuple[dict[str, str], ...] = ()
    digest: int | None = None

    @classmethod
    def from_receipt(cls, receipt: Receipt, problem: str, **fields: Any) -> Self:
        """Return the failure of a message that the platform did not accept. fields: override those of the receipt."""
        return cls(
            FailureCause(receipt.outcome.value),
            receipt.number,
            problem,
            **{
                "outcome": receipt.outcome,
                "reason": receipt.reason.value if receipt.reason else None,
                "message_id": receipt.message_id,
                "parts": receipt.parts,
                "repeatable": is_repeatable(receipt),
                **fields,
            },
        )

    def as_event(self, entry: ConfigEntry[Any] | None) -> dict[str, Any]:
        """Return the data of the event."""
        return {
            ATTR_CONFIG_ENTRY_ID: entry.entry_id if entry else None,
            "number": self.number,
            "recipient": self.name,
            "subentry_id": self.subentry_id,
            "cause": self.cause.value,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "status": self.status,
            "problem": self.problem,
            "message_id": self.message_id,
            "parts": self.parts,
            "priority": self.priority,
            "repeatable": self.repeatable,
            "automatic": self.automatic,
            "fallback": list(self.fallback),
            "digest": self.digest,
        }


def is_repeatable(receipt: Receipt) -> bool:
    """Return whether the message can be sent again without a risk, by anybody and unchanged."""
    return receipt.is_repeatable
