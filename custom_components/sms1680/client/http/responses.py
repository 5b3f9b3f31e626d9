"""The meaning of the platform's HTTP responses (docs/protocol.md, section 6: one table per interface).

Only the exact first token of a response counts, never a substring or the HTTP status alone. If the token is not in
the table of the interface, the message may have been sent.

A response can echo the request, in any encoding, and what is returned here gets into errors and logs. So nothing of a
response is quoted but its codes, a message id that looks like one, and refused words that the message contains.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from ..errors import NoAnswerError, refused_query
from ..masking import echoes
from ..outcomes import Outcome, Reason
from ..plan import SendKind
from ..verdict import RetryMode, Verdict, verdict_of
from .transport import Response, TransportError

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
TABLES: Mapping[SendKind, Table] = {"send": SEND, "template": DYNAMIC, "batch": DYNAMIC}

_PADDING = "\ufeff\u200b\u200c\u200d\u2060\x00"
_COMMA = re.compile("[,，]")
_MESSAGE_ID = re.compile(r"[\w.:@/+=~-]{1,64}", re.ASCII)
_CODE = re.compile(r"-?\d{1,3}", re.ASCII)
_SEPARATORS = re.compile(r"[,，;；、|\s]+")
_LONGEST_WORD = 10
_WORDS_SHOWN = 5
_PRIVATE_DIGITS = re.compile(r"\d{4}")  # as of a PIN or a number
_BALANCE = re.compile(r"\d{1,18}")
_OK = 200
_WRONG_ADDRESS = range(300, 500)
_TOO_MANY_REQUESTS = 429


def read_response(
    kind: SendKind,
    response: Response | TransportError,
    secrets: Sequence[str] = (),
    texts: Sequence[str] = (),
    *,
    own_texts: bool = False,
) -> Verdict:
    """Return the verdict for the packet that was sent.

    secrets: the passwords and the numbers of the packet. texts: the texts of the message. A message id can't contain
    them. The detail of a refusal names the refused words. own_texts: the other packets have other texts.
    """
    if isinstance(response, TransportError):
        if response.begun:
            return Verdict(Outcome.UNKNOWN, Reason.LOST, detail=response.detail)
        return Verdict(
            Outcome.NOT_SENT, Reason.NO_CONNECTION, detail=response.detail, goes_on=False, retry=RetryMode.RECONNECT
        )
    if response.status != _OK:
        return _read_status(response)
    text = decode(response)
    code, _, tail = _split(text)
    if code not in TABLES[kind] or (TABLES[kind][code] is Reason.TOO_FAST and tail):
        return Verdict(Outcome.UNKNOWN, Reason.NOT_UNDERSTOOD, detail=_describe(response, code))
    reason = TABLES[kind][code]
    if reason is None:
        return _read_acceptance(kind, response, text, tail, (secrets, texts))
    words = _refused_words(tail, texts) if reason is Reason.FORBIDDEN_WORDS else None
    return verdict_of(reason, words, own_texts=own_texts or kind == "batch")


def read_balance(response: Response | TransportError) -> int:
    """Return the balance in parts.

    Only the five negative values of the table are errors, and only a whole number from 0 is a balance.
    Raises RefusedError (including AuthenticationError) and NoAnswerError.
    """
    if isinstance(response, TransportError):
        raise NoAnswerError(Reason.LOST if response.begun else Reason.NO_CONNECTION, response.detail)
    if response.status != _OK:
        verdict = _read_status(response)
        if verdict.outcome is Outcome.REFUSED and verdict.reason is not None:
            raise refused_query(verdict.reason)
        raise NoAnswerError(Reason.NOT_UNDERSTOOD, verdict.detail)
    text = decode(response)
    code, comma, _ = _split(text)
    if _BALANCE.fullmatch(code) and code.isascii() and not comma:
        return int(code)
    reason = BALANCE.get(code)
    if reason is None:
        raise NoAnswerError(Reason.NOT_UNDERSTOOD, _describe(response, code))
    raise refused_query(reason)


def decode(response: Response) -> str:
    """Return the text of a response, decoded by the charset of its header, as UTF-8 or as GB18030."""
    for charset in (response.charset, "utf-8", "gb18030"):
        if charset:
            with suppress(UnicodeError, LookupError, ValueError):
                return response.body.decode(charset)
    return response.body.decode("utf-8", "replace")


def _split(text: str) -> tuple[str, str, str]:
    """Return the first token, the comma (or ""), and the rest, all without padding."""
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


def _describe(response: Response, code: str = "") -> str:
    """Return what can be shown of a response that was not understood: its status, and its code or its length."""
    shown = code if _CODE.fullmatch(code) else f"{len(response.body)} B"
    return f"HTTP {response.status}: {shown}"


def _read_status(response: Response) -> Verdict:
    if response.status == _TOO_MANY_REQUESTS:
        return verdict_of(Reason.TOO_FAST)
    if response.status in _WRONG_ADDRESS:
        return verdict_of(Reason.WRONG_ADDRESS, f"HTTP {response.status}")
    return Verdict(Outcome.UNKNOWN, Reason.NOT_UNDERSTOOD, detail=_describe(response))


def _refused_words(tail: str, texts: Iterable[str]) -> str | None:
    """Return the refused words that the platform named, as far as the message contains them, without private digits."""
    lowered = [text.casefold() for text in texts]
    words = [
        word
        for word in _SEPARATORS.split(tail)
        if 0 < len(word) <= _LONGEST_WORD
        and not _PRIVATE_DIGITS.search(word)
        and any(word.casefold() in text for text in lowered)
    ]
    return ",".join(words[:_WORDS_SHOWN]) or None


def _read_acceptance(
    kind: SendKind, response: Response, text: str, tail: str, private: tuple[Iterable[str], Iterable[str]]
) -> Verdict:
    cut = not tail and "," not in text and not response.complete_length
    if TABLES[kind] is SEND and cut:
        # Without a length, a bare 1 can be a truncated 10, 11, 12 or 13.
        return Verdict(Outcome.UNKNOWN, Reason.NOT_UNDERSTOOD, detail=_describe(response, "1"))
    return Verdict(Outcome.ACCEPTED, message_id=tail if _is_message_id(tail, *private) else None)


def _is_message_id(tail: str, secrets: Iterable[str], texts: Iterable[str]) -> bool:
    """Return whether this looks like a message id rather than an echo of the request."""
    if not _MESSAGE_ID.fullmatch(tail) or any(secret in tail for secret in secrets):
        return False
    if tail.isdecimal():
        return not any(secret.encode().hex() in tail for secret in secrets)
    lowered = tail.lower()
    echo = any(form.lower() in lowered for secret in secrets for form in echoes(secret))
    return not echo and not any(form.lower() in lowered or tail in form for text in texts for form in echoes(text))
