"""The meaning of an answer of the platform, over HTTP and CMPP alike."""

from dataclasses import dataclass
from enum import Enum

from .outcomes import Outcome, Reason


class RetryMode(Enum):
    """Whether and how the same packet is sent again automatically: only after a certain refusal or failure."""

    NO = 0
    SLOWER = 1
    SMALLER = 2
    RECONNECT = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for all numbers of one packet. goes_on: the other packets of the call are still sent."""

    outcome: Outcome
    reason: Reason | None = None
    message_id: str | None = None
    detail: str | None = None
    goes_on: bool = True
    retry: RetryMode = RetryMode.NO


_STOPS = frozenset(
    {
        Reason.AUTHENTICATION,
        Reason.BALANCE,
        Reason.EMPTY,
        Reason.FORBIDDEN_WORDS,
        Reason.PERMISSION,
        Reason.PRODUCT,
        Reason.USER,
        Reason.PARAMETER,
        Reason.IP,
        Reason.SIGNATURE,
        Reason.LONG_NUMBER,
        Reason.TARIFF,
        Reason.TOO_LONG,
        Reason.SERVICE_CODE,
        Reason.WRONG_ADDRESS,
        Reason.NO_CONNECTION,
    }
)
_OF_TEXT = frozenset({Reason.FORBIDDEN_WORDS, Reason.TOO_LONG})
_HELD = frozenset({Reason.REVIEW, Reason.MANUAL})
_RETRIES = {Reason.TOO_FAST: RetryMode.SLOWER, Reason.TOO_MANY: RetryMode.SMALLER}


def verdict_of(reason: Reason, detail: str | None = None, *, own_texts: bool = False) -> Verdict:
    """Return the verdict for a reason that the platform named.

    own_texts: each number has its own text, so what is wrong with one does not affect the others.
    """
    goes_on = reason not in _STOPS or (own_texts and reason in _OF_TEXT)
    outcome = Outcome.HELD if reason in _HELD else Outcome.REFUSED
    return Verdict(outcome, reason, detail=detail, goes_on=goes_on, retry=_RETRIES.get(reason, RetryMode.NO))
