"""Open questions: who is asked what, which question a reply answers, and what has come of each. No clock, no socket.

A reply finds its question by the extension that the question went out with. Where an account has no range of them, one
question a phone is open at a time, and the others queue, for a while after a question without an answer too. So two
questions to one phone never cross; only a critical one waits for none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .answers import Answers
from .extensions import Extensions
from .memory import Memory, Past, Place

type Clock = Callable[[], float]


class State(StrEnum):
    """Where a question to one phone stands."""

    QUEUED = "queued"
    OPEN = "open"
    OVER = "over"


class NoAnswer(StrEnum):
    """Why there is no answer."""

    TIMEOUT = "timeout"
    OVERTAKEN = "overtaken"  # by a critical question to this phone
    BUSY = "busy"  # never sent: another question to this phone was open all the time
    QUIET_HOURS = "quiet_hours"  # never sent: they last longer than the question may wait
    NOT_DELIVERED = "not_delivered"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNLOADED = "unloaded"
    ANOTHER_ANSWERED = "another_answered"


# Which of several reasons is told for all: what came closest to an answer.
_CLOSEST: Final = (
    NoAnswer.TIMEOUT,
    NoAnswer.OVERTAKEN,
    NoAnswer.NOT_DELIVERED,
    NoAnswer.REFUSED,
    NoAnswer.NOT_SENT,
    NoAnswer.BUSY,
    NoAnswer.QUIET_HOURS,
    NoAnswer.UNLOADED,
)
# After these no answer is on its way.
_NEVER_SEEN: Final = (NoAnswer.NOT_DELIVERED, NoAnswer.REFUSED, NoAnswer.NOT_SENT)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer: its id (None where any reply would do), what was written, and how long it took, in seconds."""

    id: str | None
    sentence: str
    elapsed: float


class Part:
    """A question as one phone sees it. Made by `Desk.ask`.

    extension: what it goes out with: its own of the account's range, else the recipient's. critical: waits for no
    other. not_before: when it may go out, by the desk's clock. reason: why there is no answer, once it is over without
    one.
    """

    def __init__(
        self,
        desk: Desk,
        question: Question,
        number: str,
        extension: str | None,
        *,
        critical: bool = False,
        not_before: float = 0.0,
    ) -> None:
        self.desk = desk
        self.question = question
        self.number = number
        self.extension = extension
        self.critical = critical
        self.not_before = not_before
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
    """What a reply is to the questions: the answer to one, or to one that is over.

    already: somebody had answered that question before, or another one with its tag.
    """

    id: str | None
    over: bool
    tag: str | None = None
    already: bool = False


class Desk:
    """The questions of one account.

    clock: seconds since 1970. extensions: None where it has no range of them. memory: what earlier desks have asked.
    """

    def __init__(self, clock: Clock, extensions: Extensions | None = None, memory: Memory | None = None) -> None:
        self._clock = clock
        self._extensions = extensions
        self._memory = memory or Memory()
        self._open: dict[Place, Part] = {}
        self._queues: dict[str, deque[Part]] = {}

    def ask(
        self,
        question: Question,
        number: str,
        extension: str | None = None,
        *,
        critical: bool = False,
        not_before: float = 0.0,
    ) -> Part:
        """Add a phone to a question. Its part is open, and may go out, now or when it is its turn.

        extension: what messages to this phone go out with where the account has no range. critical: it goes before what
        waits, and ends a question to this phone that is in its way and is not critical. not_before: it waits until
        then, by the desk's clock.
        """
        part = Part(self, question, number, extension, critical=critical, not_before=not_before)
        question.parts.append(part)
        queue = self._queues.setdefault(number, deque())
        queue.insert(sum(other.critical for other in queue) if critical else len(queue), part)
        self.go_on(number)
        return part

    def go_on(self, number: str) -> None:
        """Open what may be open now of a phone, in its order."""
        queue = self._queues.get(number, deque())
        while queue and self._find_place(queue[0]):
            part = queue.popleft()
            part.state = State.OPEN
            self._open[part.place] = part
            self._remember(part, awaited=True)
            part.question.changed()
        if not queue:
            self._queues.pop(number, None)

    def pause_of(self, number: str) -> float | None:
        """Return after how many seconds `go_on` may open more by time alone; None where only an end can do that."""
        queue = self._queues.get(number)
        if not queue:
            return None
        now = self._clock()
        pauses = [queue[0].not_before - now, *self._memory.awaiting(number, now).values()]
        return min((pause for pause in pauses if pause > 0), default=None)

    def end(self, part: Part, reason: NoAnswer | None) -> None:
        """Let nothing more come of a part, and let the next one have its place. Does nothing to one that is over."""
        if part.state is not State.OVER:
            self._close(part, reason)
            self.go_on(part.number)

    def end_all(self, reason: NoAnswer) -> None:
        """Let nothing more come of anything."""
        queued = [part for queue in self._queues.values() for part in queue]
        for part in (*queued, *self._open.values()):
            self.end(part, reason)

    def extensions_of(self, number: str) -> set[str]:
        """Return the extensions that questions to a phone have, or lately had."""
        own = {extension for of, extension in self._open if of == number and extension is not None}
        return own | self._memory.extensions_of(number)

    def hear(self, number: str, extension: str, text: str, *, elsewhere: bool = False) -> Heard | None:
        """Take in a reply; return what it is, None where it is no answer to any question.

        extension: the known one that the reply came to, else what came. elsewhere: whether it is known as somebody's,
        and not as a question's: then it is an answer only if the question went out with it.
        """
        for place in ((number, extension), (number, None)):
            part, past = self._open.get(place), self._memory.get(place, self._clock())
            asked = part or past
            if asked is None:
                continue
            if place[1] is None and elsewhere and asked.extension != extension:
                return None
            if part is not None:
                return self._answer(part, text)
            if past is not None:
                return self._answer_late(place, past, text)
        if self._extensions is not None and not elsewhere and extension in self._extensions.range:
            return Heard(None, over=True)  # nothing else goes out with it, so it was a question's of long ago
        return None

    def _answer(self, part: Part, text: str) -> Heard | None:
        is_answer, answer_id = part.question.answers.match(text)
        if not is_answer:
            return None
        already = part.question.first is not None
        part.question.answer(part, answer_id, text.strip())
        self._memory.answer(part.place)
        self.end(part, None)
        return Heard(answer_id, over=False, tag=part.question.tag, already=already)

    def _answer_late(self, place: Place, past: Past, text: str) -> Heard | None:
        is_answer, answer_id = past.answers.match(text)
        if not is_answer:
            return None
        self._memory.answer(place)
        self.go_on(place[0])
        return Heard(answer_id, over=True, tag=past.tag, already=past.answered)

    def _find_place(self, part: Part) -> bool:
        """Give a part its extension; return whether there is a place for it now."""
        now = self._clock()
        if part.not_before > now:
            return False
        taken = {extension for of, extension in self._open if of == part.number}
        awaiting = self._memory.awaiting(part.number, now)
        if self._take(part, taken | awaiting.keys()):
            return True
        return part.critical and (self._take(part, taken) or self._overtake(part))

    def _take(self, part: Part, taken: set[str | None]) -> bool:
        if self._extensions is None:
            return None not in taken
        # One extension for all whom a question goes to: one request.
        others = (other.extension for other in part.question.parts if other.desk is self and other.by_extension)
        extension = self._extensions.take(taken, next(others, None))
        if extension is None:
            return False
        self._memory.next_extension = self._extensions.next
        part.extension, part.by_extension = extension, True
        return True

    def _overtake(self, part: Part) -> bool:
        """End a question to this phone that is not critical, and take its place."""
        for other in self._open.values():
            if other.number == part.number and not other.critical:
                self._close(other, NoAnswer.OVERTAKEN)
                return self._take(part, {extension for of, extension in self._open if of == part.number})
        return False

    def _close(self, part: Part, reason: NoAnswer | None) -> None:
        if part.state is State.OPEN:
            del self._open[part.place]
            self._remember(part, awaited=part.answered is None and reason not in _NEVER_SEEN)
        else:
            self._queues[part.number].remove(part)
        part.state, part.reason = State.OVER, reason
        part.question.changed()

    def _remember(self, part: Part, *, awaited: bool) -> None:
        question = part.question
        answered = question.first is not None
        past = Past(question.answers, question.tag, part.extension, self._clock(), awaited, answered)
        self._memory.note(part.place, past)
