"""The delivery state of a message to one number, and which message a report belongs to. Pure logic without a database.

The report states of a segment are ordered (none, pending, delivered, failed), and the highest one counts. So the order
and the repetition of reports do not matter, and a later failed report overrides a delivered one.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from ...client import Outcome, ReportState

EXPIRY: Final = timedelta(hours=48)  # the longest time that a gateway keeps trying, according to the CMPP standard
# The segments of a message are reported together. This long after the last report no other one is expected.
PARTIAL_WINDOW: Final = timedelta(seconds=90)
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
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]{1,16}")
_MSG_ID_DIGITS: Final = 16
_NOT_DIGITS: Final = re.compile(r"[^0-9*]")
_SHOWN_DIGITS: Final = 7
_SHORTEST_NUMBER: Final = 11
_RANK: Final = {None: 0, ReportState.PENDING: 1, ReportState.DELIVERED: 2, ReportState.FAILED: 3}


class MatchedBy(StrEnum):
    """How a report was linked to its message."""

    ID = "id"
    NUMBER = "number"


def outranks(new: ReportState, old: ReportState | None) -> bool:
    """Return whether a segment's new report state replaces the old one."""
    return _RANK[new] > _RANK[old]


def state_of(
    outcome: Outcome | None,
    expected: int,
    reported: Sequence[ReportState | None],
    *,
    expired: bool = False,
    decided: bool = False,
) -> DeliveryState:
    """Return the state of a message.

    outcome: None while it is being sent. expected: the number of its segments. reported: the state of each known
    segment. expired: no report settled it within 48 hours. decided: the reports that came by a time settled it. Either
    way one delivered segment is enough, because many gateways report the first one only.
    """
    if outcome is None:
        return DeliveryState.SENDING
    if outcome.is_failure:
        return DeliveryState(outcome.value)
    if ReportState.FAILED in reported:
        return DeliveryState.FAILED
    if sum(state is ReportState.DELIVERED for state in reported) >= (1 if expired or decided else expected):
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


def same_id(one: str, other: str) -> bool:
    """Return whether two ids are the same number: decimal or hexadecimal, with or without leading zeros.

    A hexadecimal id has a letter, `0x` or the 16 digits of a Msg_Id; else its digits are decimal.
    """
    return one == other or not _values(one).isdisjoint(_values(other))


def _values(message_id: str) -> set[int | str]:
    text = message_id.strip().casefold()
    values: set[int | str] = {text}
    digits = text.removeprefix("0x")
    if text.isascii() and text.isdecimal():
        values.add(int(text))
    if _HEXADECIMAL.fullmatch(digits) and (digits != text or not digits.isdecimal() or len(digits) == _MSG_ID_DIGITS):
        values.add(int(digits, 16))
    return values


def same_number(written: str, number: str) -> bool:
    """Return whether a number is another spelling of ours: with a prefix, or with asterisks for hidden digits."""
    digits = _NOT_DIGITS.sub("", written)
    hidden = len(digits) == len(number) and "*" in digits and sum(map(str.isdecimal, digits)) >= _SHOWN_DIGITS
    if hidden:
        return all(shown in ("*", digit) for shown, digit in zip(digits, number, strict=True))
    return len(number) >= _SHORTEST_NUMBER and digits.endswith(number)


def micros(span: timedelta) -> int:
    """Return a time span in microseconds."""
    return span // timedelta(microseconds=1)
