"""What the platform says of a submission: named verdicts; HTTP and CMPP each have their own numbers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The platform's word on one submission, named after the document's tables (2.1 to 2.4, 3.3)."""

    ACCEPTED = "accepted"
    REVIEW = "review"
    MANUAL = "manual"
    FAILED = "failed"
    AUTHENTICATION = "authentication"
    BALANCE = "balance"
    VARIABLE = "variable"
    TOO_FAST = "too_fast"
    NUMBER = "number"
    EMPTY = "empty"
    FORBIDDEN_WORDS = "forbidden_words"
    PERMISSION = "permission"
    TOO_MANY = "too_many"
    PRODUCT = "product"
    USER = "user"
    PARAMETER = "parameter"
    IP = "ip"
    SIGNATURE = "signature"
    LONG_NUMBER = "long_number"

    @property
    def taken(self) -> bool:
        """Whether the platform took the messages on: they go out, or wait for a person who may let them go out."""
        return self in {Verdict.ACCEPTED, Verdict.REVIEW, Verdict.MANUAL}


@dataclass(frozen=True, slots=True)
class Result:
    """A verdict with what belongs to it.

    `message_id` is that of an accepted submission (one for all its numbers), `words` the forbidden ones in it,
    `flow_items` what the submission counts in the flow rule (4.3), `admitted` whether it entered the account's pace,
    which the caller must leave by `Platform.answered`.
    """

    verdict: Verdict
    message_id: str | None = None
    words: tuple[str, ...] = ()
    flow_items: int = 0
    admitted: bool = False
