"""Open questions: who is asked what, which question a reply answers, and what has come of each. No clock, no socket.

A reply finds its question by the extension that the question went out with. Where an account has no range of them, one
question a phone is open at a time, and the others queue. So two questions to one phone never cross.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .answers import Answers
from .extensions import Extensions

type Clock = Callable[[], float]
type Place = tuple[str, str | None]

_MOST_REMEMBERED: Final = 2000
_REMEMBERED: Final = 24 * 3600.0
# Without an extension of its own a late answer may as well be to something else.
_REMEMBERED_BY_NUMBER: Final = 3600.0


class State(StrEnum):
    """Where a question to one phone stands."""

    QUEUED = "queued"
    OPEN = "open"
    OVER = "over"


class NoAnswer(StrEnum):
    """Why there is no answer."""

    TIMEOUT = "timeout"
    BUSY = "busy"  # never sent: another question to this phone was open all the time
    NOT_DELIVERED = "not_delivered"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNLOADED = "unloaded"
    ANOTHER_ANSWERED = "another_answered"


# Which of several reasons is told for all: what came closest to an answer.
_CLOSEST: Final = (
    NoAnswer.TIMEOUT,
    NoAnswer.NOT_DELIVERED,
    NoAnswer.REFUSED,
    NoAnswer.NOT_SENT,
    NoAnswer.BUSY,
    NoAnswer.UNLOADED,
)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer: its id (None where any reply would do), what was written, and how long it took, in seconds."""

    id: str | None
    sentence: str
    elapsed: float


class Part:
    """A question as one phone sees it. Made by `Desk.ask`.

    extension: what it goes out with: its own of the account's range, else the recipient's. reason: why there is no
    answer, once it is over without one.
    """

    def __init__(self, desk: Desk, question: Question, number: str, extension: str | None) -> None:
        self.desk = desk
        self.question = question
        self.number = number
        self.extension = extension
        self.by_extension = False
        self.state = State.QUEUED
        self.answered: Answered | None = None
        self.reason: NoAnswer | None = None

    @property
    def place(self) -> Place:
        """What a reply finds it by: the number, and the extension where that is the question's own."""
        return self.number, self.extension if self.by_extension else None

    def end(self, reason: NoAnswer) -> None:
        """Let nothing more come of it."""
        self.desk.end(self, reason)


class Question:
    """One question to one or more phones.

    wait_for_all: whether it is over with the first answer, or with the last. changed: called when a part was opened,
    answered or given up. tag: what its answers are told with.
    """

    def __init__(
        self,
        answers: Answers,
        clock: Clock,
        changed: Callable[[], None],
        *,
        wait_for_all: bool,
        tag: str | None = None,
    ) -> None:
        self.answers = answers
        self.tag = tag
        self.parts: list[Part] = []
        self.first: Part | None = None
        self.changed = changed
        self._clock = clock
        self._began = clock()
        self._wait_for_all = wait_for_all

    @property
    def is_over(self) -> bool:
        """Whether nothing that may still come would change the result."""
        if self.first is not None and not self._wait_for_all:
            return True
        return all(part.state is State.OVER for part in self.parts)

    @property
    def reason(self) -> NoAnswer | None:
        """Why nobody answered, once it is over; None where somebody did."""
        if self.first is not None:
            return None
        reasons = {part.reason for part in self.parts}
        return next(reason for reason in _CLOSEST if reason in reasons)

    def answer(self, part: Part, answer_id: str | None, sentence: str) -> None:
        """Note an answer."""
        part.answered = Answered(answer_id, sentence, self._clock() - self._began)
        self.first = self.first or part

    def time_up(self) -> None:
        """End what is left; what was never sent for want of a place is told so."""
        for part in self.parts:
            part.end(NoAnswer.BUSY if part.state is State.QUEUED else NoAnswer.TIMEOUT)

    def end(self, reason: NoAnswer) -> None:
        """End what is left."""
        for part in self.parts:
            part.end(reason)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a reply is to the questions: the answer to one, or to one that is over."""

    id: str | None
    over: bool
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class _Over:
    answers: Answers
    tag: str | None
    extension: str | None
    until: float


class Desk:
    """The questions of one account. extensions: None where it has no range of them."""

    def __init__(self, clock: Clock, extensions: Extensions | None = None) -> None:
        self._clock = clock
        self._extensions = extensions
        self._open: dict[Place, Part] = {}
        self._queues: dict[str, deque[Part]] = {}
        self._over: OrderedDict[Place, _Over] = OrderedDict()

    def ask(self, question: Question, number: str, extension: str | None = None) -> Part:
        """Add a phone to a question. Its part is open, and may go out, now or when it is its turn.

        extension: what messages to this phone go out with where the account has no range.
        """
        part = Part(self, question, number, extension)
        question.parts.append(part)
        self._queues.setdefault(number, deque()).append(part)
        self._admit(number)
        return part

    def end(self, part: Part, reason: NoAnswer | None) -> None:
        """Let nothing more come of a part, and let the next one have its place. Does nothing to one that is over."""
        if part.state is State.OVER:
            return
        if part.state is State.OPEN:
            del self._open[part.place]
            self._remember(part)
        else:
            self._queues[part.number].remove(part)
        part.state, part.reason = State.OVER, reason
        self._admit(part.number)
        part.question.changed()

    def end_all(self, reason: NoAnswer) -> None:
        """Let nothing more come of anything."""
        queued = [part for queue in self._queues.values() for part in queue]
        for part in (*queued, *self._open.values()):
            self.end(part, reason)

    def extensions_of(self, number: str) -> set[str]:
        """Return the extensions that questions to a phone have, or lately had."""
        return {extension for of, extension in (*self._open, *self._over) if of == number and extension is not None}

    def hear(self, number: str, extension: str, text: str, *, elsewhere: bool = False) -> Heard | None:
        """Take in a reply; return what it is, None where it is no answer to any question.

        extension: the known one that the reply came to, else what came. elsewhere: whether it is known as somebody's,
        and not as a question's: then it is an answer only if the question went out with it.
        """
        for place in ((number, extension), (number, None)):
            part, over = self._open.get(place), self._over.get(place)
            if part is not None:
                if place[1] is None and elsewhere and part.extension != extension:
                    return None
                return self._answer(part, text)
            if over is not None and over.until > self._clock():
                if place[1] is None and elsewhere and over.extension != extension:
                    return None
                is_answer, answer_id = over.answers.match(text)
                return Heard(answer_id, over=True, tag=over.tag) if is_answer else None
        return None

    def _answer(self, part: Part, text: str) -> Heard | None:
        is_answer, answer_id = part.question.answers.match(text)
        if not is_answer:
            return None
        part.question.answer(part, answer_id, text.strip())
        self.end(part, None)
        return Heard(answer_id, over=False, tag=part.question.tag)

    def _admit(self, number: str) -> None:
        """Open what may be open now, in the order in which it came."""
        queue = self._queues.get(number, deque())
        while queue and self._find_place(queue[0]):
            part = queue.popleft()
            part.state = State.OPEN
            self._open[part.place] = part
            self._over.pop(part.place, None)
            part.question.changed()
        if not queue:
            self._queues.pop(number, None)

    def _find_place(self, part: Part) -> bool:
        """Give a part its extension; return whether there is a place for it."""
        if self._extensions is None:
            return part.place not in self._open
        taken = {extension for of, extension in self._open if of == part.number and extension is not None}
        # One extension for all whom a question goes to: one request.
        others = (other.extension for other in part.question.parts if other.desk is self and other.by_extension)
        extension = self._extensions.take(taken, next(others, None))
        if extension is None:
            return False
        part.extension, part.by_extension = extension, True
        return True

    def _remember(self, part: Part) -> None:
        lasts = _REMEMBERED if part.by_extension else _REMEMBERED_BY_NUMBER
        question, until = part.question, self._clock() + lasts
        self._over[part.place] = _Over(question.answers, question.tag, part.extension, until)
        if len(self._over) > _MOST_REMEMBERED:
            self._over.popitem(last=False)
