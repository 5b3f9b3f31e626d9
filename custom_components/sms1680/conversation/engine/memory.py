"""What was asked lately: so that a late answer says so, and no later question takes it for its own. No own clock.

It outlives the desk that asked, and can be kept over a restart.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from .answers import Answers, InvalidAnswerError

type Place = tuple[str, str | None]

# How long after a question without an answer none is sent by the same place: its answer may be on its way.
GRACE: Final = 60.0
_MOST: Final = 2000
_LASTS: Final = 24 * 3600.0
# Without an extension of its own a late answer may as well be to something else.
_LASTS_BY_NUMBER: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Past:
    """A question to one phone.

    extension: what it went out with. at: when it was over, or went out, in seconds since 1970. awaited: whether its
    answer may still come. answered: whether somebody has answered it, or another question with its tag.
    """

    answers: Answers
    tag: str | None
    extension: str | None
    at: float
    awaited: bool
    answered: bool = False


class Memory:
    """The questions that went out, by what a reply finds them by: the number, and an extension of their own.

    next_extension: which of the account's range comes next. changed: called where there is something new to be kept.
    """

    def __init__(self, kept: Mapping[str, Any] | None = None, changed: Callable[[], None] = lambda: None) -> None:
        self.next_extension: int | None = kept["next_extension"] if kept else None
        self._changed = changed
        self._past: OrderedDict[Place, Past] = OrderedDict()
        for one in kept["past"] if kept else ():
            try:
                answers = Answers(one["answers"])
            except InvalidAnswerError:
                continue  # an earlier version knew it
            place = one["number"], one["extension"] if one["own"] else None
            self._past[place] = Past(answers, one["tag"], one["extension"], one["at"], one["awaited"], one["answered"])

    def note(self, place: Place, past: Past) -> None:
        """Remember the latest question of a place."""
        self._past.pop(place, None)
        self._past[place] = past
        if len(self._past) > _MOST:
            self._past.popitem(last=False)
        self._changed()

    def get(self, place: Place, now: float) -> Past | None:
        """Return the latest question of a place, None where there was none for long."""
        past = self._past.get(place)
        return past if past is not None and now - past.at < _lasts(place) else None

    def answer(self, place: Place) -> None:
        """Note that the question of a place was answered, and so the others with its tag."""
        answered = self._past.get(place)
        if answered is None:
            return
        self._past[place] = replace(answered, awaited=False, answered=True)
        if answered.tag is not None:
            for other, past in self._past.items():
                if past.tag == answered.tag and not past.answered:
                    self._past[other] = replace(past, answered=True)
        self._changed()

    def awaiting(self, number: str, now: float) -> dict[str | None, float]:
        """Return the extensions of a phone by which nothing should be asked yet, and for how many seconds."""
        return {
            extension: past.at + GRACE - now
            for (of, extension), past in self._past.items()
            if of == number and past.awaited and 0 <= now - past.at < GRACE
        }

    def extensions_of(self, number: str) -> set[str]:
        """Return the extensions that questions to a phone lately had of their own."""
        return {extension for of, extension in self._past if of == number and extension is not None}

    def as_json(self, now: float) -> dict[str, Any]:
        """Return it as it is kept; what is too old is left out."""
        past = [
            {
                "number": number,
                "own": own is not None,
                "extension": one.extension,
                "answers": one.answers.given,
                "tag": one.tag,
                "at": one.at,
                "awaited": one.awaited,
                "answered": one.answered,
            }
            for (number, own), one in self._past.items()
            if now - one.at < _lasts((number, own))
        ]
        return {"next_extension": self.next_extension, "past": past}


def _lasts(place: Place) -> float:
    return _LASTS_BY_NUMBER if place[1] is None else _LASTS
