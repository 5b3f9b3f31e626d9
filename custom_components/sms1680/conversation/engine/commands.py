"""Commands with a code: parse them, remove the code from the text, and authenticate them. The caller provides the time.

A sender's number can be forged, so only the code authenticates a command: a PIN, or a time-based code (RFC 6238).
"""

import hmac
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Final, Literal, TypedDict

import pyotp

MAX_WRONG: Final = 5
LOCK_OUTS: Final = (900.0, 3600.0, 4 * 3600.0, 16 * 3600.0, 24 * 3600.0)  # seconds of consecutive lock-outs

# More than RFC 6238 allows for clock drift: typing and delivering an SMS takes time.
_STEP: Final = 30
_STEPS: Final = range(-3, 2)

_SIGNATURE: Final = re.compile(r"\A\s*【[^【】]*】|【[^【】]*】\s*\Z")
_DIGITS: Final = re.compile(r"(\d+)")
# Overlapping matches: a time-based code can have a separator in the middle, or be part of other digits.
_SIX_DIGITS: Final = re.compile(r"(?=(\d{3}\W{0,2}\d{3}))")
_CODE: Final = re.compile(r"(?<![0-9])([0-9]{4,12})\W*\Z")
# Authenticator apps show a code in two halves.
_HALVES: Final = re.compile(r"(?<![0-9])([0-9]{3})[ -]([0-9]{3})\W*\Z")
_PIN: Final = re.compile(r"[0-9]{4,12}")
_AROUND_TEXT: Final = " \t\r\n,，.。:：;；、#*"
_MASK: Final = "****"


@dataclass(frozen=True, slots=True)
class Secret:
    """A recipient's secret for authenticating commands."""

    kind: Literal["pin", "totp"]
    value: str = field(repr=False)

    def valid_codes(self, now: float) -> list[tuple[int, bytes]]:
        """Return the valid codes, each with its time step. The step of a PIN is 0. now: seconds since 1970."""
        if self.kind == "pin":
            return [(0, self.value.encode())]
        codes, current = pyotp.TOTP(self.value, interval=_STEP), int(now // _STEP)
        steps = [current + offset for offset in _STEPS if current + offset >= 0]
        return [(step, codes.at(step * _STEP).encode()) for step in steps]


def step_of(code: str, valid: Iterable[tuple[int, bytes]]) -> int | None:
    """Return the time step of a code, None if the code is wrong. The time does not depend on the result."""
    found, given = None, code.encode()
    for step, valid_code in valid:
        if hmac.compare_digest(valid_code, given):
            found = step
    return found


@dataclass(frozen=True, slots=True)
class CommandAttempt:
    """An uplink that begins with a command word and ends with a code. text: the words between them."""

    word: str
    text: str
    code: str = field(repr=False)


def read_command(content: str, words: Iterable[str], secret: Secret) -> CommandAttempt | None:
    """Return the command in an uplink, None if the word or the code is missing."""
    text = _SIGNATURE.sub("", unicodedata.normalize("NFKC", content)).strip()
    for word in sorted(words, key=len, reverse=True):
        if text[: len(word)].casefold() == unicodedata.normalize("NFKC", word).casefold():
            rest = text[len(word) :]
            found = (_HALVES.search(rest) if secret.kind == "totp" else None) or _CODE.search(rest)
            if found is None:
                return None
            return CommandAttempt(word, rest[: found.start()].strip(_AROUND_TEXT), "".join(found.groups()))
    return None


def without_code(attempt: CommandAttempt) -> str:
    """Return the text of a command without its code."""
    return f"{attempt.word} {attempt.text}".strip()


def mask_codes(content: str, secret: Secret, now: float) -> str:
    """Mask valid codes in an uplink that is not a command: its command word could be mistyped."""
    valid = secret.valid_codes(now)
    parts, at = [], 0
    for found in (_SIX_DIGITS if secret.kind == "totp" else _DIGITS).finditer(content):
        begin, end = found.span(1)
        code = "".join(filter(str.isdecimal, unicodedata.normalize("NFKC", found[1])))
        if begin >= at and step_of(code, valid) is not None:
            parts += [content[at:begin], _MASK]
            at = end
    return "".join([*parts, content[at:]])


def is_weak_pin(pin: str, number: str) -> bool:
    """Return whether a PIN is easy to guess: equal digits, a sequence, or the end of the recipient's number."""
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    return (len(steps) == 1 and steps <= {0, 1, 9}) or number.endswith(pin)


def is_pin(pin: str) -> bool:
    """Return whether a string is a possible PIN: 4 to 12 digits."""
    return _PIN.fullmatch(pin) is not None


class AuthResult(StrEnum):
    """The result of an attempt."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    LOCKED_OUT = "locked_out"


class AuthState(TypedDict):
    """The stored state of one recipient."""

    wrong: int
    lock_outs: int
    locked_until: float
    used: int


class CommandAuthenticator:
    """Authenticates attempts. Consecutive wrong ones lock a recipient out, and a time-based code works once.

    now: seconds since 1970. states: the stored state by recipient.
    """

    def __init__(self, now: Callable[[], float], states: Mapping[str, AuthState] | None = None) -> None:
        self._now = now
        self.states: dict[str, AuthState] = {recipient: {**state} for recipient, state in (states or {}).items()}

    def authenticate(self, recipient: str, secret: Secret, attempt: CommandAttempt) -> AuthResult:
        """Authenticate an attempt of a recipient. While the recipient is locked out, no code is checked."""
        now = self._now()
        state = self.states.setdefault(recipient, AuthState(wrong=0, lock_outs=0, locked_until=0.0, used=0))
        if now < state["locked_until"]:
            return AuthResult.LOCKED_OUT
        step = step_of(attempt.code, secret.valid_codes(now))
        if step is not None and (secret.kind == "pin" or step > state["used"]):
            state |= {"wrong": 0, "lock_outs": 0, "locked_until": 0.0, "used": max(step, state["used"])}
            return AuthResult.ACCEPTED
        state["wrong"] += 1
        if state["wrong"] < MAX_WRONG:
            return AuthResult.REFUSED
        duration = LOCK_OUTS[min(state["lock_outs"], len(LOCK_OUTS) - 1)]
        state |= {"wrong": 0, "lock_outs": state["lock_outs"] + 1, "locked_until": now + duration}
        return AuthResult.LOCKED_OUT

    def locked_until(self, recipient: str) -> float | None:
        """Return when a recipient's lock-out ends, in seconds since 1970. None if the recipient is not locked out."""
        state = self.states.get(recipient)
        return state["locked_until"] if state and state["locked_until"] > self._now() else None

    def unlock(self, recipient: str) -> None:
        """End a recipient's lock-out. Used codes remain used."""
        if state := self.states.get(recipient):
            state |= {"wrong": 0, "lock_outs": 0, "locked_until": 0.0}
