"""The delivery state of a message to one number, and which message a report belongs to. Pure logic without a database.

The report states of a segment are ordered (none, pending, delivered, failed), and the highest one counts. So the order
and the repetition of reports do not matter, and a later failed report overrides a delivered one.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from ...client import Outcome, ReportState

EXPIRY: Final = timedelta(hours=48)  # the longest time that a gateway keeps trying, according to the CMPP standard
# How long after an `unknown` message a report with an unknown id can still belong to it.
UNKNOWN_WINDOW: Final = timedelta(hours=1)


class DeliveryState(StrEnum):
    """The state of a message to one number. `sending`: the platform has not answered yet."""

    SENDING = "sending"
    ACCEPTED = "accepted"
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"
    HELD = "held"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


# Final states, except that a report may still change `delivered` and `expired`.
SETTLED: Final = frozenset(
    {
        DeliveryState.DELIVERED,
        DeliveryState.FAILED,
        DeliveryState.EXPIRED,
        DeliveryState.REFUSED,
        DeliveryState.NOT_SENT,
    }
)
_RANK: Final = {None: 0, ReportState.PENDING: 1, ReportState.DELIVERED: 2, ReportState.FAILED: 3}


class MatchedBy(StrEnum):
    """How a report was linked to its message."""

    ID = "id"
    NUMBER = "number"


def outranks(new: ReportState, old: ReportState | None) -> bool:
    """Return whether a segment's new report state replaces the old one."""
    return _RANK[new] > _RANK[old]


def state_of(
    outcome: Outcome | None, expected: int, reported: Sequence[ReportState | None], *, expired: bool = False
) -> DeliveryState:
    """Return the state of a message.

    outcome: None while it is being sent. expected: the number of its segments. reported: the state of each known
    segment. expired: no report settled it within 48 hours.
    """
    if outcome is None:
        return DeliveryState.SENDING
    if outcome.is_failure:
        return DeliveryState(outcome.value)
    if ReportState.FAILED in reported:
        return DeliveryState.FAILED
    if sum(state is ReportState.DELIVERED for state in reported) >= expected:
        return DeliveryState.DELIVERED
    any_report = any(state is not None for state in reported)
    if expired and (any_report or outcome is Outcome.ACCEPTED):
        return DeliveryState.EXPIRED
    return DeliveryState.PENDING if any_report else DeliveryState(outcome.value)


def state_of_cancelled(reported: DeliveryState, stored: DeliveryState, status: str | None) -> DeliveryState:
    """Return the state of a message that the platform accepted and that was or is being cancelled.

    reported: the state by its reports. stored: `not_sent` once the platform has confirmed that the message is
    cancelled. status: the word of the newest report with the state `reported`.
    """
    if reported is DeliveryState.DELIVERED:
        return reported
    deleted = status is not None and (status == "DELETED" or status.startswith("MJ:"))
    return DeliveryState.NOT_SENT if deleted or stored is DeliveryState.NOT_SENT else reported


@dataclass(frozen=True, slots=True)
class Candidate:
    """A message to a number whose ids are not all known. since: microseconds, when it was or will be sent."""

    row: int
    outcome: Outcome | None
    missing: int
    since: int

    def can_own(self, at: int) -> bool:
        """Return whether a report that arrived at this time can belong to this message."""
        window = UNKNOWN_WINDOW if self.outcome is Outcome.UNKNOWN else EXPIRY
        return self.since <= at <= self.since + micros(window)


@dataclass(frozen=True, slots=True)
class UnmatchedReport:
    """A reported id that belongs to no known message. at: when the first report with it arrived."""

    message_id: str
    at: int


def find_owner(
    candidates: Sequence[Candidate], unmatched: Collection[UnmatchedReport]
) -> tuple[Candidate, list[UnmatchedReport]] | None:
    """Return the message that these reports certainly belong to, with its reports.

    The match is certain if the platform has answered all messages to the number (an answer may still contain the id),
    if only one of them can own the reports, and if it lacks at least as many ids as were reported.
    """
    if any(candidate.outcome is None for candidate in candidates):
        return None
    owners = {candidate.row: candidate for one in unmatched for candidate in candidates if candidate.can_own(one.at)}
    if len(owners) != 1:
        return None
    (owner,) = owners.values()
    owned = [one for one in unmatched if owner.can_own(one.at)]
    return (owner, owned) if len(owned) <= owner.missing else None


def micros(span: timedelta) -> int:
    """Return a time span in microseconds."""
    return span // timedelta(microseconds=1)
