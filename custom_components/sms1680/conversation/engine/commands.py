"""Commands with a code: parse them, remove the code from the text, and authenticate them. The caller provides the time.

A sender's number can be forged, so only the code authenticates a command: a PIN, or a time-based code (RFC 6238).
"""

import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Final, Literal, NotRequired, TypedDict

import pyotp

from .code_mask import find_codes, mask_digits
from .texts import plain, visible

MAX_WRONG: Final = 5
WINDOW: Final = 24 * 3600.0  # seconds in which wrong codes are counted
FORGIVEN: Final = 30 * 24 * 3600.0  # seconds without a wrong code until lock-outs are short again
LOCK_OUTS: Final = (900.0, 3600.0, 4 * 3600.0, 16 * 3600.0, 24 * 3600.0)  # seconds of consecutive lock-outs

# More than RFC 6238 allows for clock drift: typing and delivering an SMS takes time.
_STEP: Final = 30
_STEPS: Final = range(-3, 2)

_MAX_AHEAD: Final = 64  # used codes of a time that is still to come
_CODE: Final = re.compile(r"(?<![0-9])([0-9]{4,12})\W*\Z")
# Authenticator apps show a code in two halves.
_HALVES: Final = re.compile(r"(?<![0-9])([0-9]{3})[ -]([0-9]{3})\W*\Z")
_PIN: Final = re.compile(r"[0-9]{6,12}")
_AROUND_TEXT: Final = " \t\r\n,，.。:：;；、#*"
_TOTP_DIGITS: Final = 6
_MOST_SIGNS: Final = 20  # blanks and punctuation before and within a command word


@dataclass(frozen=True, slots=True)
class Secret:
    """A recipient's secret for authenticating commands."""

    kind: Literal["pin", "totp"]
    value: str = field(repr=False)

    @property
    def length(self) -> int:
        """The number of digits of the code."""
        return len(self.value) if self.kind == "pin" else _TOTP_DIGITS

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
    """An uplink that ends with a code.

    word: the command word that it begins with, empty for a text to Assist. text: the rest without the code.
    """

    word: str
    text: str
    code: str = field(repr=False)


def read_command(content: str, words: Iterable[str], secret: Secret, now: float = 0.0) -> CommandAttempt | None:
    """Return the command in an uplink, None if the word or the code is missing.

    Words are compared as `plain` does. The attempt's text contains no valid code, and no digits that are as many as the
    code has, see `mask_codes`.
    """
    text = visible(content)
    for word in sorted(words, key=len, reverse=True):
        if (end_of_word := _end_of_word(text, word)) is not None:
            return _read_code(word, text[end_of_word:], secret, now)
    return None


def read_question(content: str, secret: Secret, now: float = 0.0) -> CommandAttempt | None:
    """Return a text to Assist that ends with a code as long as the secret's, without a command word; otherwise None.

    The attempt's text contains no code, as that of `read_command`.
    """
    attempt = _read_code("", visible(content), secret, now)
    return attempt if attempt is not None and attempt.text and len(attempt.code) == secret.length else None


def _read_code(word: str, rest: str, secret: Secret, now: float) -> CommandAttempt | None:
    """Return the attempt in a text without its command word, None if it does not end with a code."""
    found = (_HALVES.search(rest) if secret.kind == "totp" else None) or _CODE.search(rest)
    if found is None:
        return None
    # The code that was found can be the end of one with separators: the text ends before that.
    spans = find_codes(rest, _valid(secret, now), secret.length)
    end = min([found.start(), *(begin for begin, end in spans if end > found.start())])
    text = mask_codes(rest[:end], secret, now).strip(_AROUND_TEXT)
    return CommandAttempt(word, text, "".join(found.groups()))


def _end_of_word(text: str, word: str) -> int | None:
    """Return the end of a command word at the beginning of a text, None if the text begins with something else."""
    wanted = plain(word)
    for end in range(1, min(len(text), len(word) + _MOST_SIGNS) + 1):
        begin = plain(text[:end])
        if begin == wanted:
            return end
        if not wanted.startswith(begin):
            break
    return None


def without_code(attempt: CommandAttempt) -> str:
    """Return the text of a command without its code."""
    return f"{attempt.word} {attempt.text}".strip()


def mask_codes(content: str, secret: Secret, now: float) -> str:
    """Mask the valid codes in a text of the recipient, and all digits that are as many as the code has together.

    Those can be a code with a typing error, or one that has expired.
    """
    return mask_digits(content, _valid(secret, now), secret.length)


def mask_codes_of_others(content: str, secrets: Iterable[Secret], now: float) -> str:
    """Mask the valid codes of all recipients in a text from a number without commands."""
    return mask_digits(content, [code for secret in secrets for code in _valid(secret, now)])


def _valid(secret: Secret, now: float) -> list[str]:
    return [code.decode() for _, code in secret.valid_codes(now)]


def is_weak_pin(pin: str, number: str) -> bool:
    """Return whether a PIN is easy to guess: equal digits, a sequence, or the end of the recipient's number."""
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    return (len(steps) == 1 and steps <= {0, 1, 9}) or number.endswith(pin)


def is_pin(pin: str) -> bool:
    """Return whether a string is a possible new PIN: 6 to 12 digits. Older, shorter ones remain valid."""
    return _PIN.fullmatch(pin) is not None


class AuthResult(StrEnum):
    """The result of an attempt."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    LOCKED_OUT = "locked_out"


class AuthState(TypedDict):
    """The stored state of one recipient. Times are seconds since 1970.

    failures: the times of the wrong codes that count. wrong: their number. last_wrong: the time of the last wrong code.
    used: the latest time step of an accepted code. steps: those that could still be valid, or become valid.
    """

    wrong: int
    lock_outs: int
    locked_until: float
    used: int
    failures: NotRequired[list[float]]
    last_wrong: NotRequired[float]
    steps: NotRequired[list[int]]


class CommandAuthenticator:
    """Authenticates attempts. Wrong codes lock a recipient out, and a time-based code works once.

    An accepted code does not reset the count of wrong ones: otherwise, somebody who forges the number could guess on
    after each command of the owner. The clock can be wrong for a time: a code that was accepted while it was fast
    remains used, but the codes of the correct time are valid again.

    now: seconds since 1970. states: the stored state by recipient.
    """

    def __init__(self, now: Callable[[], float], states: Mapping[str, AuthState] | None = None) -> None:
        self._now = now
        self.states: dict[str, AuthState] = {recipient: {**state} for recipient, state in (states or {}).items()}

    def authenticate(self, recipient: str, secret: Secret, attempt: CommandAttempt) -> AuthResult:
        """Authenticate an attempt of a recipient. While the recipient is locked out, no code is checked."""
        now = self._now()
        state = self.states.setdefault(recipient, AuthState(wrong=0, lock_outs=0, locked_until=0.0, used=0))
        _refresh(state, now)
        if now < state["locked_until"]:
            return AuthResult.LOCKED_OUT
        valid = secret.valid_codes(now)
        step = step_of(attempt.code, valid)
        if step is not None and (secret.kind == "pin" or _is_unused(step, state["steps"], valid[-1][0])):
            if secret.kind == "totp":
                steps, newest = sorted({*state["steps"], step}), valid[-1][0]
                past, ahead = [one for one in steps if one <= newest], [one for one in steps if one > newest]
                state |= {"used": max(step, state["used"]), "steps": [*past[-len(valid) :], *ahead[-_MAX_AHEAD:]]}
            return AuthResult.ACCEPTED
        failures = [*state["failures"], now]
        state |= {"failures": failures, "wrong": len(failures), "last_wrong": now}
        if len(failures) < MAX_WRONG:
            return AuthResult.REFUSED
        lock_outs = state["lock_outs"] + 1
        state |= {"failures": [], "wrong": 0, "lock_outs": lock_outs, "locked_until": now + _duration(lock_outs)}
        return AuthResult.LOCKED_OUT

    def locked_until(self, recipient: str) -> float | None:
        """Return when a recipient's lock-out ends, in seconds since 1970. None if the recipient is not locked out."""
        state = self.states.get(recipient)
        if state is None:
            return None
        _refresh(state, self._now())
        return state["locked_until"] if state["locked_until"] > self._now() else None

    def unlock(self, recipient: str) -> None:
        """End a recipient's lock-out. Used codes remain used."""
        if state := self.states.get(recipient):
            state |= {"wrong": 0, "lock_outs": 0, "locked_until": 0.0, "failures": []}


def _refresh(state: AuthState, now: float) -> None:
    """Drop what no longer counts, and add what earlier versions did not store.

    A time that lies in the future was noted while the clock was fast: it counts as now.
    """
    known = state.get("failures", [now] * state["wrong"])
    failures = [min(at, now) for at in known if now - at < WINDOW]
    last_wrong = min(state.get("last_wrong", now), now)
    lock_outs = 0 if now - last_wrong >= FORGIVEN else state["lock_outs"]
    state |= {
        "failures": failures,
        "wrong": len(failures),
        "last_wrong": last_wrong,
        "lock_outs": lock_outs,
        "locked_until": min(state["locked_until"], now + _duration(state["lock_outs"])),
        "steps": state.get("steps", [state["used"]]),
    }


def _duration(lock_outs: int) -> float:
    """Return the seconds of the latest of so many lock-outs."""
    return LOCK_OUTS[min(max(lock_outs, 1), len(LOCK_OUTS)) - 1]


def _is_unused(step: int, used: list[int], newest: int) -> bool:
    """Return whether a code was not used, and no later one that is not from the future was. newest: valid now."""
    return step not in used and step > max((one for one in used if one <= newest), default=-1)
