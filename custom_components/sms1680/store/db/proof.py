"""What is proven of a message to one number: pure logic, without a database or a clock.

The platform's words on a segment are ordered (none, pending, delivered, failed), and the strongest stands: so it makes
no difference in which order reports come, nor how often, and a later failing report turns a delivered one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from ...client import Outcome, ReportState

EXPIRY: Final = timedelta(hours=48)  # the longest that a gateway tries, says the CMPP standard
# How long after an `unknown` message a report that names no id of ours may still be taken for its own.
UNKNOWN_WINDOW: Final = timedelta(hours=1)


class ProofState(StrEnum):
    """Where a message to one number stands. `sending`: the platform has not answered yet."""

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


# Nothing more is to be waited for; a report may still turn `delivered` and `expired`.
SETTLED: Final = frozenset(
    {ProofState.DELIVERED, ProofState.FAILED, ProofState.EXPIRED, ProofState.REFUSED, ProofState.NOT_SENT}
)
_STRENGTH: Final = {None: 0, ReportState.PENDING: 1, ReportState.DELIVERED: 2, ReportState.FAILED: 3}


class Matched(StrEnum):
    """By what a report was found to belong to its message."""

    ID = "id"
    NUMBER = "number"


def stronger(old: ReportState | None, new: ReportState) -> bool:
    """Tell whether a word on a segment outweighs the one that stands."""
    return _STRENGTH[new] > _STRENGTH[old]


def state_of(
    outcome: Outcome | None, expected: int, words: Sequence[ReportState | None], *, expired: bool = False
) -> ProofState:
    """Return where a message stands.

    outcome: None while it is under way. expected: segments that it has. words: what is said of each known segment.
    expired: no report that settles it came in 48 hours.
    """
    if outcome is None:
        return ProofState.SENDING
    if outcome.is_failure:
        return ProofState(outcome.value)
    if ReportState.FAILED in words:
        return ProofState.FAILED
    if sum(word is ReportState.DELIVERED for word in words) >= expected:
        return ProofState.DELIVERED
    heard = any(word is not None for word in words)
    if expired and (heard or outcome is Outcome.ACCEPTED):
        return ProofState.EXPIRED
    return ProofState.PENDING if heard else ProofState(outcome.value)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A message to a number of which not all ids are known. since: microseconds, when it went out or is to go out."""

    row: int
    outcome: Outcome | None
    missing: int
    since: int

    def may_own(self, at: int) -> bool:
        """Tell whether a report that came at this time may be this message's."""
        window = UNKNOWN_WINDOW if self.outcome is Outcome.UNKNOWN else EXPIRY
        return self.since <= at <= self.since + micros(window)


@dataclass(frozen=True, slots=True)
class Foreign:
    """An id that a report named and that no message of ours is known to have. at: when it was first named."""

    message_id: str
    at: int


def owner_of(candidates: Sequence[Candidate], foreign: Collection[Foreign]) -> tuple[Candidate, list[Foreign]] | None:
    """Return the one message to a number that these reports belong to without doubt, and which of them do.

    No doubt is: all messages to the number have been answered, for an answer may still name the id; a single one of
    them may own what was reported; and no more ids were reported than it lacks.
    """
    if any(candidate.outcome is None for candidate in candidates):
        return None
    owners = {candidate.row: candidate for one in foreign for candidate in candidates if candidate.may_own(one.at)}
    if len(owners) != 1:
        return None
    (owner,) = owners.values()
    own = [one for one in foreign if owner.may_own(one.at)]
    return (owner, own) if len(own) <= owner.missing else None


def micros(span: timedelta) -> int:
    """Return a span of time in microseconds."""
    return span // timedelta(microseconds=1)
