"""Commands that carry a code: reading them, taking the code out of the text, and judging it. No clock of its own.

A sender's number can be forged, so a command is believed for its code alone: a PIN, or a time-based code (RFC 6238).
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Final, Literal, TypedDict

import pyotp

MOST_WRONG: Final = 5
LOCK_OUTS: Final = (900.0, 3600.0, 4 * 3600.0, 16 * 3600.0, 24 * 3600.0)  # each of those that follow is longer

# Besides what RFC 6238 allows for clocks, time for an SMS to be typed and to travel.
_STEP: Final = 30
_STEPS: Final = range(-3, 2)

_SIGNATURE: Final = re.compile(r"\A\s*【[^【】]*】|【[^【】]*】\s*\Z")
_DIGITS: Final = re.compile(r"(\d+)")
# Wherever they begin: a time-based code may stand in two halves, or within other digits.
_SIX_DIGITS: Final = re.compile(r"(?=(\d{3}\W{0,2}\d{3}))")
_CODE: Final = re.compile(r"(?<![0-9])([0-9]{4,12})\W*\Z")
# As the apps show it, in two halves.
_HALVES: Final = re.compile(r"(?<![0-9])([0-9]{3})[ -]([0-9]{3})\W*\Z")
_PIN: Final = re.compile(r"[0-9]{4,12}")
_MASK: Final = "****"


@dataclass(frozen=True, slots=True)
class Secret:
    """What a recipient proves commands with."""

    kind: Literal["pin", "totp"]
    value: str = field(repr=False)

    def right(self, now: float) -> list[tuple[int, bytes]]:
        """Return the codes that are right, each with its time step; a PIN's is 0. now: seconds since 1970."""
        if self.kind == "pin":
            return [(0, self.value.encode())]
        codes, present = pyotp.TOTP(self.value, interval=_STEP), int(now // _STEP)
        steps = [present + offset for offset in _STEPS if present + offset >= 0]
        return [(step, codes.at(step * _STEP).encode()) for step in steps]


def step_of(code: str, right: Iterable[tuple[int, bytes]]) -> int | None:
    """Return the time step that a code is right for, None where it is wrong. It takes as long whichever it is."""
    found, given = None, code.encode()
    for step, one in right:
        if hmac.compare_digest(one, given):
            found = step
    return found


@dataclass(frozen=True, slots=True)
class Attempt:
    """An uplink that begins with a command's word and ends with a code. text: what stands between them."""

    word: str
    text: str
    code: str = field(repr=False)


def read_command(content: str, words: Iterable[str], secret: Secret) -> Attempt | None:
    """Return the command in an uplink; None where there is none, or no code with it."""
    said = _SIGNATURE.sub("", unicodedata.normalize("NFKC", content)).strip()
    for word in sorted(words, key=len, reverse=True):
        if said[: len(word)].casefold() == unicodedata.normalize("NFKC", word).casefold():
            rest = said[len(word) :]
            found = (_HALVES.search(rest) if secret.kind == "totp" else None) or _CODE.search(rest)
            if found is None:
                return None
            return Attempt(word, _trimmed(rest[: found.start()]), "".join(found.groups()))
    return None


def without_code(attempt: Attempt) -> str:
    """Return the text of a command as everybody may see it."""
    return f"{attempt.word} {attempt.text}".strip()


def mask_codes(content: str, secret: Secret, now: float) -> str:
    """Return an uplink that is no command without a code that would be right: a word may have been mistyped."""
    right = secret.right(now)
    kept, at = [], 0
    for found in (_SIX_DIGITS if secret.kind == "totp" else _DIGITS).finditer(content):
        begin, end = found.span(1)
        code = "".join(filter(str.isdecimal, unicodedata.normalize("NFKC", found[1])))
        if begin >= at and step_of(code, right) is not None:
            kept += [content[at:begin], _MASK]
            at = end
    return "".join([*kept, content[at:]])


def is_weak_pin(pin: str, number: str) -> bool:
    """Tell whether a PIN is one that is tried first: equal digits, a run, or the end of the recipient's number."""
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    return (len(steps) == 1 and steps <= {0, 1, 9}) or number.endswith(pin)


def is_pin(pin: str) -> bool:
    """Tell whether this can be a PIN: 4 to 12 digits."""
    return _PIN.fullmatch(pin) is not None


def _trimmed(text: str) -> str:
    return text.strip(" \t\r\n,，.。:：;；、#*")


class Verdict(StrEnum):
    """What an attempt came to."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    LOCKED_OUT = "locked_out"


class Kept(TypedDict):
    """What outlives a restart, of one recipient."""

    wrong: int
    lock_outs: int
    locked_until: float
    used: int


class Gate:
    """Judges attempts: so many wrong ones in a row lock a recipient out, a time-based code works once.

    now: seconds since 1970. kept: what an earlier gate kept, by recipient.
    """

    def __init__(self, now: Callable[[], float], kept: Mapping[str, Kept] | None = None) -> None:
        self._now = now
        self.kept: dict[str, Kept] = {who: {**one} for who, one in (kept or {}).items()}

    def judge(self, who: str, secret: Secret, attempt: Attempt) -> Verdict:
        """Judge an attempt of a recipient. While locked out, no code is looked at."""
        now = self._now()
        standing = self.kept.setdefault(who, Kept(wrong=0, lock_outs=0, locked_until=0.0, used=0))
        if now < standing["locked_until"]:
            return Verdict.LOCKED_OUT
        step = step_of(attempt.code, secret.right(now))
        if step is not None and (secret.kind == "pin" or step > standing["used"]):
            standing |= {"wrong": 0, "lock_outs": 0, "locked_until": 0.0, "used": max(step, standing["used"])}
            return Verdict.ACCEPTED
        standing["wrong"] += 1
        if standing["wrong"] < MOST_WRONG:
            return Verdict.REFUSED
        lasts = LOCK_OUTS[min(standing["lock_outs"], len(LOCK_OUTS) - 1)]
        standing |= {"wrong": 0, "lock_outs": standing["lock_outs"] + 1, "locked_until": now + lasts}
        return Verdict.LOCKED_OUT

    def locked_until(self, who: str) -> float | None:
        """Return when a recipient may try again, in seconds since 1970; None where that is now."""
        standing = self.kept.get(who)
        return standing["locked_until"] if standing and standing["locked_until"] > self._now() else None

    def unlock(self, who: str) -> None:
        """Let a recipient try again; what was used stays used."""
        if standing := self.kept.get(who):
            standing |= {"wrong": 0, "lock_outs": 0, "locked_until": 0.0}
