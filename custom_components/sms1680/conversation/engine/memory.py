"""The history of recent questions, to recognise late answers. Pure logic: the caller provides the time.

It outlives the question manager, and can be stored across restarts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...client.bounded import BoundedDict
from .answers import Answers, InvalidAnswerError

# Replies are matched by the phone's number and the question's own extension, None without one.
type SlotKey = tuple[str, str | None]

# Seconds before the slot of an unanswered question is reused, because its answer could still arrive.
GRACE: Final = 60.0
_MAX_QUESTIONS: Final = 2000
_LIFETIME: Final = 24 * 3600.0
# Shorter without an own extension, because a late reply can refer to something else.
_LIFETIME_WITHOUT_EXTENSION: Final = 3600.0


@dataclass(slots=True)
class RecentQuestion:
    """A question to one phone.

    extension: the one it was sent with. at: when it ended, or was sent, in seconds since 1970. awaited: its answer may
    still arrive. answered: somebody has answered it, or another question with its tag.
    """

    answers: Answers
    tag: str | None
    extension: str | None
    at: float
    awaited: bool
    answered: bool = False


class QuestionHistory:
    """The latest question of each slot.

    questions: by slot; some have expired. next_extension: the next one of the account's range. on_change: called when
    there is something new to store.
    """

    def __init__(self, stored: Mapping[str, Any] | None = None, on_change: Callable[[], None] = lambda: None) -> None:
        self.next_extension: int | None = stored["next_extension"] if stored else None
        self._on_change = on_change
        self.questions: BoundedDict[SlotKey, RecentQuestion] = BoundedDict(_MAX_QUESTIONS)
        for item in stored["past"] if stored else ():
            try:
                answers = Answers(item["answers"])
            except InvalidAnswerError:
                continue  # valid in an earlier version only
            slot = item["number"], item["extension"] if item["own"] else None
            self.questions[slot] = RecentQuestion(
                answers, item["tag"], item["extension"], item["at"], item["awaited"], item["answered"]
            )

    def note(self, slot: SlotKey, question: RecentQuestion) -> None:
        """Remember the latest question of a slot."""
        self.questions[slot] = question
        self._on_change()

    def get(self, slot: SlotKey, now: float) -> RecentQuestion | None:
        """Return the latest question of a slot, None if there was no recent one."""
        question = self.questions.get(slot)
        return question if question is not None and now - question.at < _lifetime(slot) else None

    def mark_answered(self, slot: SlotKey) -> None:
        """Mark the question of a slot, and all questions with its tag, as answered."""
        question = self.questions.get(slot)
        if question is None:
            return
        question.awaited, question.answered = False, True
        if question.tag is not None:
            for other in self.questions.values():
                other.answered = other.answered or other.tag == question.tag
        self._on_change()

    def awaiting(self, number: str, now: float) -> dict[str | None, float]:
        """Return the extensions of a phone that should not be used yet, with the remaining seconds."""
        return {
            extension: question.at + GRACE - now
            for (phone, extension), question in self.questions.items()
            if phone == number and question.awaited and 0 <= now - question.at < GRACE
        }

    def extensions_of(self, number: str) -> set[str]:
        """Return the extensions of a phone's recent questions."""
        return {extension for phone, extension in self.questions if phone == number and extension is not None}

    def as_json(self, now: float) -> dict[str, Any]:
        """Return the history as JSON data, without expired questions."""
        past = [
            {
                "number": number,
                "own": own is not None,
                "extension": question.extension,
                "answers": question.answers.given,
                "tag": question.tag,
                "at": question.at,
                "awaited": question.awaited,
                "answered": question.answered,
            }
            for (number, own), question in self.questions.items()
            if now - question.at < _lifetime((number, own))
        ]
        return {"next_extension": self.next_extension, "past": past}


def _lifetime(slot: SlotKey) -> float:
    return _LIFETIME_WITHOUT_EXTENSION if slot[1] is None else _LIFETIME
