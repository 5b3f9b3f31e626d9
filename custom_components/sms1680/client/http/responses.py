"""What an answer of the platform means for the numbers of its packet (protocol.md section 6: one table a call).

An answer is judged by its exact first token, never by a substring or the HTTP status alone; what is not in the call's
own table may have been sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from ..errors import NoAnswerError, RefusedError, refusal
from ..masking import mask_text
from ..outcomes import Outcome, Reason
from .transport import Answer, Failure


class Again(Enum):
    """Whether the same packet is tried again by itself: only after an answer that is a sure no."""

    NO = 0
    SLOWER = 1
    SMALLER = 2
    RECONNECT = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means for the numbers of its packet, and whether the other packets still go out."""

    outcome: Outcome
    reason: Reason | None = None
    message_id: str | None = None
    detail: str | None = None
    goes_on: bool = True
    again: Again = Again.NO


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
        Reason.WRONG_ADDRESS,
        Reason.NO_CONNECTION,
    }
)
_HELD = frozenset({Reason.REVIEW, Reason.MANUAL})
_AGAIN = {Reason.TOO_FAST: Again.SLOWER, Reason.TOO_MANY: Again.SMALLER}

Table = Mapping[str, Reason | None]

SEND: Table = {
    "1": None,
    "0": Reason.FAILED,
    "-1": Reason.AUTHENTICATION,
    "2": Reason.BALANCE,
    "3": Reason.REVIEW,
    "4": Reason.MANUAL,
    "5": Reason.TOO_FAST,
    "6": Reason.NUMBER,
    "7": Reason.EMPTY,
    "8": Reason.FORBIDDEN_WORDS,
    "9": Reason.PERMISSION,
    "10": Reason.TOO_MANY,
    "11": Reason.PRODUCT,
    "-11": Reason.USER,
    "12": Reason.PARAMETER,
    "13": Reason.BALANCE,
    "-14": Reason.IP,
    "-15": Reason.SIGNATURE,
}
DYNAMIC: Table = {
    "1": None,
    "0": Reason.FAILED,
    "-1": Reason.AUTHENTICATION,
    "-2": Reason.BALANCE,
    "-3": Reason.REVIEW,
    "-4": Reason.VARIABLE,
    "-5": Reason.TOO_FAST,
    "-6": Reason.NUMBER,
    "-7": Reason.EMPTY,
    "-8": Reason.FORBIDDEN_WORDS,
    "-9": Reason.PERMISSION,
    "-10": Reason.TOO_MANY,
    "-11": Reason.PRODUCT,
    "-12": Reason.PARAMETER,
    "-14": Reason.IP,
    "-15": Reason.SIGNATURE,
}
BALANCE: Table = {
    "-1": Reason.AUTHENTICATION,
    "-2": Reason.FAILED,
    "-5": Reason.TOO_FAST,
    "-9": Reason.PERMISSION,
    "-14": Reason.IP,
}
TABLES: Mapping[str, Table] = {"/sendXSms.do": SEND, "/sendDIYSms.do": DYNAMIC, "/sendPackSms.do": DYNAMIC}

_BATCH = "/sendPackSms.do"
_PADDING = "\ufeff\u200b\u200c\u200d\u2060\x00"
_COMMA = re.compile("[,，]")
_MESSAGE_ID = re.compile(r"\S{1,64}")
_BALANCE = re.compile(r"\d{1,18}")
_OK = 200
_REDIRECT = range(300, 400)
_REFUSED = range(400, 500)
_TOO_MANY_REQUESTS = 429


def read_answer(path: str, answer: Answer | Failure, secrets: Sequence[str] = (), texts: Sequence[str] = ()) -> Verdict:
    """Return what an answer to a sending call means for the numbers of its packet.

    path: of the call, which has its own table. secrets: the passwords. texts: the message's own. An answer that was
    not understood may quote any of these, and its detail must not; of a refusal the named words are the point.
    """
    if isinstance(answer, Failure):
        if answer.begun:
            return Verdict(Outcome.UNKNOWN, Reason.LOST, detail=answer.detail)
        return Verdict(
            Outcome.NOT_SENT, Reason.NO_CONNECTION, detail=answer.detail, goes_on=False, again=Again.RECONNECT
        )
    if answer.status != _OK:
        return _read_status(answer, (*secrets, *texts))
    text = decode(answer)
    code, _, tail = _split(text)
    if code not in TABLES[path] or (TABLES[path][code] is Reason.TOO_FAST and tail):
        return Verdict(Outcome.UNKNOWN, Reason.NOT_UNDERSTOOD, detail=mask_text(text, (*secrets, *texts)))
    reason = TABLES[path][code]
    if reason is None:
        return _read_acceptance(path, answer, text, tail, secrets)
    return verdict_of(reason, mask_text(tail, secrets) if tail else None, batch=path == _BATCH)


def read_balance(answer: Answer | Failure, secrets: Iterable[str] = ()) -> int:
    """Return the balance in parts (chapter 2.4).

    Only the table's five negative values are errors and only a non-negative whole number is a balance.
    Raises RefusedError (AuthenticationError among them) and NoAnswerError.
    """
    if isinstance(answer, Failure):
        raise NoAnswerError(Reason.LOST if answer.begun else Reason.NO_CONNECTION, answer.detail)
    if answer.status != _OK:
        verdict = _read_status(answer, secrets)
        if verdict.outcome is Outcome.REFUSED and verdict.reason is not None:
            raise refusal((), verdict.reason)
        raise NoAnswerError(Reason.NOT_UNDERSTOOD, verdict.detail)
    text = decode(answer)
    code, comma, _ = _split(text)
    if _BALANCE.fullmatch(code) and code.isascii() and not comma:
        return int(code)
    reason = BALANCE.get(code)
    if reason is None:
        raise NoAnswerError(Reason.NOT_UNDERSTOOD, mask_text(text, secrets))
    error: RefusedError = refusal((), reason)
    raise error


def decode(answer: Answer) -> str:
    """Return the text of an answer: by its header's charset, as UTF-8, as GB18030, whichever fits first."""
    for charset in (answer.charset, "utf-8", "gb18030"):
        if charset:
            try:
                return answer.body.decode(charset)
            except (UnicodeError, LookupError, ValueError):
                continue
    return answer.body.decode("utf-8", "replace")


def _split(text: str) -> tuple[str, str, str]:
    """Return the first token, the comma if there is one, and what stands behind it, all without padding."""
    stripped = _strip(text)
    found = _COMMA.search(stripped)
    if found is None:
        return stripped, "", ""
    return _strip(stripped[: found.start()]), found.group(), _strip(stripped[found.end() :])


def _strip(text: str) -> str:
    previous = None
    while previous != text:
        previous, text = text, text.strip().strip(_PADDING)
    return text


def _read_status(answer: Answer, secrets: Iterable[str]) -> Verdict:
    if answer.status == _TOO_MANY_REQUESTS:
        return verdict_of(Reason.TOO_FAST, None, batch=False)
    if answer.status in _REDIRECT or answer.status in _REFUSED:
        return verdict_of(Reason.WRONG_ADDRESS, f"HTTP {answer.status}", batch=False)
    detail = mask_text(f"HTTP {answer.status} {decode(answer)}".strip(), secrets)
    return Verdict(Outcome.UNKNOWN, Reason.NOT_UNDERSTOOD, detail=detail)


def _read_acceptance(path: str, answer: Answer, text: str, tail: str, secrets: Iterable[str]) -> Verdict:
    cut = not tail and "," not in text and not answer.complete_length
    if TABLES[path] is SEND and cut:
        # Without a length nobody can tell a bare 1 from the beginning of 10, 11, 12 or 13.
        return Verdict(Outcome.UNKNOWN, Reason.NOT_UNDERSTOOD, detail=mask_text(text, secrets))
    message_id = tail if _MESSAGE_ID.fullmatch(tail) else None
    return Verdict(Outcome.ACCEPTED, message_id=message_id)


def verdict_of(reason: Reason, detail: str | None, *, batch: bool) -> Verdict:
    """Return what a named reason of the platform means for its packet, over HTTP and CMPP alike.

    batch: each number had a text of its own, so that forbidden words in one say nothing of the others.
    """
    goes_on = reason not in _STOPS or (batch and reason is Reason.FORBIDDEN_WORDS)
    outcome = Outcome.HELD if reason in _HELD else Outcome.REFUSED
    return Verdict(outcome, reason, detail=detail, goes_on=goes_on, again=_AGAIN.get(reason, Again.NO))
