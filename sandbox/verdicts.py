"""The platform's verdicts on a submission. HTTP and CMPP each have their own codes for them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The platform's verdict on a submission, named after the tables of docs/protocol.md, sections 1 and 3."""

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
    def is_positive(self) -> bool:
        """Whether the platform accepts the messages or holds them for review."""
        return self in {Verdict.ACCEPTED, Verdict.REVIEW, Verdict.MANUAL}


@dataclass(frozen=True, slots=True)
class Result:
    """A verdict with its details.

    `message_id`: the id of an accepted or held submission, the same for all its numbers. `words`: the forbidden words
    in it. `flow_items`: its weight in the flow rule (docs/protocol.md, section 4). `admitted`: the flow rule admitted
    it, so the caller must call `Platform.answered`.
    """

    verdict: Verdict
    message_id: str | None = None
    words: tuple[str, ...] = ()
    flow_items: int = 0
    admitted: bool = False
