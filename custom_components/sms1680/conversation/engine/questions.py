"""Open questions: their recipients, the matching of replies, and the results. No clock, no socket.

A reply finds its question by the extension that the question was sent with. Without a range of extensions, an account
has one open question per phone, and the others wait in a queue, also for a while after an unanswered question. So two
questions to one phone never cross. A critical question does not wait.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from .answers import Answers
from .extensions import Extensions
from .memory import QuestionHistory, RecentQuestion, SlotKey

type Clock = Callable[[], float]


class PromptState(StrEnum):
    """The state of a question to one phone."""

    QUEUED = "queued"
    OPEN = "open"
    OVER = "over"


class NoAnswer(StrEnum):
    """The reason for a missing answer. The first one that applies to a prompt is the reason of the whole question."""

    TIMEOUT = "timeout"
    OVERTAKEN = "overtaken"  # by a critical question to this phone
    NOT_DELIVERED = "not_delivered"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    BUSY = "busy"  # never sent: another question to this phone was open all the time
    QUIET_HOURS = "quiet_hours"  # never sent: the quiet hours outlast the question
    UNLOADED = "unloaded"
    ANOTHER_ANSWERED = "another_answered"


# After these, no answer is on its way.
_NEVER_ARRIVED: Final = (NoAnswer.NOT_DELIVERED, NoAnswer.REFUSED, NoAnswer.NOT_SENT)


@dataclass(frozen=True, slots=True)
class PromptAnswer:
    """An answer: its id (None if any reply is an answer), its text, and the elapsed time in seconds."""

    id: str | None
    sentence: str
    elapsed: float


@dataclass(eq=False, repr=False)
class Prompt:
    """A question to one phone. Created by `QuestionManager.ask`.

    extension: its own one from the account's range, else the recipient's. critical: it does not wait. not_before: the
    earliest time to send it, by the manager's clock. reason: set if it ended without an answer.
    """

    manager: "QuestionManager"
    question: "Question"
    number: str
    extension: str | None
    critical: bool = False
    not_before: float = 0.0
    by_extension: bool = False
    state: PromptState = PromptState.QUEUED
    answer: PromptAnswer | None = None
    reason: NoAnswer | None = None

    @property
    def slot(self) -> SlotKey:
        """The key for matching replies: the number, and the extension if it is the question's own."""
        return self.number, self.extension if self.by_extension else None

    def end(self, reason: NoAnswer) -> None:
        """End it without an answer."""
        self.manager.end(self, reason)


@dataclass(eq=False, repr=False)
class Question:
    """One question to one or more phones.

    wait_for_all: whether the first answer ends it or the last one. on_change: called when a prompt opens or ends. tag:
    reported with its answers. first: the prompt with the first answer.
    """

    answers: Answers
    clock: Clock
    on_change: Callable[[], None]
    wait_for_all: bool = field(kw_only=True)
    tag: str | None = None
    prompts: list[Prompt] = field(default_factory=list)
    first: Prompt | None = None

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def answered(self) -> bool:
        """Whether there is an answer."""
        return self.first is not None

    @property
    def is_over(self) -> bool:
        """Whether the result is final."""
        answered = self.answered and not self.wait_for_all
        return answered or all(prompt.state is PromptState.OVER for prompt in self.prompts)

    @property
    def reason(self) -> NoAnswer | None:
        """The reason for a missing answer, once the question is over. None if there is an answer."""
        if self.answered:
            return None
        reasons = {prompt.reason for prompt in self.prompts}
        return next(reason for reason in NoAnswer if reason in reasons)

    def record_answer(self, prompt: Prompt, answer_id: str | None, sentence: str) -> None:
        """Record an answer."""
        prompt.answer = PromptAnswer(answer_id, sentence, self.clock() - self._began)
        self.first = self.first or prompt

    def time_out(self) -> None:
        """End the remaining prompts. Those that are still queued end as busy."""
        for prompt in self.prompts:
            prompt.end(NoAnswer.BUSY if prompt.state is PromptState.QUEUED else NoAnswer.TIMEOUT)

    def end(self, reason: NoAnswer) -> None:
        """End the remaining prompts."""
        for prompt in self.prompts:
            prompt.end(reason)


@dataclass(frozen=True, slots=True)
class AnswerMatch:
    """The answer in a reply. over: the question had ended.

    already: somebody had answered this question before, or another one with its tag.
    """

    id: str | None
    over: bool
    tag: str | None = None
    already: bool = False


class QuestionManager:
    """The questions of one account.

    clock: seconds since 1970. extensions: None if the account has no range. history: the questions of earlier managers.
    reserved: extensions of the range that open alarms use.
    """

    def __init__(
        self, clock: Clock, extensions: Extensions | None = None, history: QuestionHistory | None = None
    ) -> None:
        self._clock = clock
        self._extensions = extensions
        self._history = history or QuestionHistory()
        self._open: dict[SlotKey, Prompt] = {}
        self._queues: dict[str, deque[Prompt]] = {}
        self.reserved: set[str] = set()

    def take_extension(self, numbers: Iterable[str]) -> str | None:
        """Reserve an extension that no question to these phones uses; return None without a range or a free one.

        The caller removes it from `reserved` when it is free again.
        """
        if self._extensions is None:
            return None
        used: set[str | None] = set(self.reserved)
        for number in numbers:
            used |= self._used(number) | self._history.awaiting(number, self._clock()).keys()
        extension = self._extensions.allocate(used, None)
        self._history.next_extension = self._extensions.next
        if extension is not None:
            self.reserved.add(extension)
        return extension

    def ask(
        self,
        question: Question,
        number: str,
        extension: str | None = None,
        *,
        critical: bool = False,
        not_before: float = 0.0,
    ) -> Prompt:
        """Add a phone to a question. Its prompt opens now, or when its turn comes.

        extension: for messages to this phone if the account has no range. critical: it overtakes the queue, and ends
        an open question in its way that is not critical. not_before: the earliest time, by the manager's clock.
        """
        prompt = Prompt(self, question, number, extension, critical=critical, not_before=not_before)
        question.prompts.append(prompt)
        queue = self._queues.setdefault(number, deque())
        queue.insert(sum(other.critical for other in queue) if critical else len(queue), prompt)
        self.open_next(number)
        return prompt

    def open_next(self, number: str) -> None:
        """Open the queued prompts of a phone, in order, as far as possible now."""
        queue = self._queues.get(number, deque())
        while queue and self._find_slot(queue[0]):
            prompt = queue.popleft()
            prompt.state = PromptState.OPEN
            self._open[prompt.slot] = prompt
            self._remember(prompt, awaited=True)
            prompt.question.on_change()
        if not queue:
            self._queues.pop(number, None)

    def next_opening(self, number: str) -> float | None:
        """Return the seconds after which `open_next` can open more. None if only the end of a prompt allows that."""
        queue = self._queues.get(number)
        if not queue:
            return None
        now = self._clock()
        delays = [queue[0].not_before - now, *self._history.awaiting(number, now).values()]
        return min((delay for delay in delays if delay > 0), default=None)

    def end(self, prompt: Prompt, reason: NoAnswer | None) -> None:
        """End a prompt, and open the next one in its slot. A prompt that is over stays unchanged."""
        if prompt.state is not PromptState.OVER:
            self._close(prompt, reason)
            self.open_next(prompt.number)

    def end_all(self, reason: NoAnswer) -> None:
        """End all prompts."""
        queued = [prompt for queue in self._queues.values() for prompt in queue]
        for prompt in (*queued, *self._open.values()):
            self.end(prompt, reason)

    def extensions_of(self, number: str) -> set[str]:
        """Return the extensions of a phone's open and recent questions."""
        return {extension for extension in self._used(number) if extension is not None} | self._history.extensions_of(
            number
        )

    def open_prompts(self, number: str) -> list[Prompt]:
        """Return the open and queued prompts to a phone."""
        opened = [prompt for prompt in self._open.values() if prompt.number == number]
        return [*opened, *self._queues.get(number, ())]

    def match_reply(self, number: str, extension: str, text: str, *, foreign: bool = False) -> AnswerMatch | None:
        """Return the answer in a reply, and record it. Return None if the reply answers no question.

        extension: the known one that the reply was sent to, else the address as received. foreign: the extension is
        known, but not as a question's. Then the reply can only answer a question that was sent with this extension.
        """
        any_question = self._open or self._history.questions
        for slot in ((number, extension), (number, None)) if any_question else ():
            asked = self._open.get(slot) or self._history.get(slot, self._clock())
            if asked is None:
                continue
            if slot[1] is None and foreign and (asked.extension or "") != extension:
                return None
            return self._match(slot, asked, text)
        if self._extensions is not None and not foreign and extension in self._extensions.range:
            return AnswerMatch(None, over=True)  # only questions use the range, so it belongs to a forgotten one
        return None

    def _match(self, slot: SlotKey, asked: Prompt | RecentQuestion, text: str) -> AnswerMatch | None:
        """Return the answer in a reply to an open prompt or to a recent question, and record it."""
        question = asked.question if isinstance(asked, Prompt) else asked
        is_answer, answer_id = question.answers.match(text)
        if not is_answer:
            return None
        match = AnswerMatch(answer_id, not isinstance(asked, Prompt), question.tag, question.answered)
        self._history.mark_answered(slot)
        if isinstance(asked, Prompt):
            asked.question.record_answer(asked, answer_id, text.strip())
            self.end(asked, None)
        else:
            self.open_next(slot[0])
        return match

    def _find_slot(self, prompt: Prompt) -> bool:
        """Assign a prompt's extension. Return whether a slot is free now."""
        now = self._clock()
        if prompt.not_before > now:
            return False
        used = self._used(prompt.number)
        if self._assign(prompt, used | self._history.awaiting(prompt.number, now).keys()):
            return True
        return prompt.critical and (self._assign(prompt, used) or self._overtake(prompt))

    def _used(self, number: str) -> set[str | None]:
        return {extension for phone, extension in self._open if phone == number} | self.reserved

    def _assign(self, prompt: Prompt, used: set[str | None]) -> bool:
        if self._extensions is None:
            return None not in used
        # All phones of a question share an extension if possible, so that one request can send it.
        others = (other.extension for other in prompt.question.prompts if other.manager is self and other.by_extension)
        extension = self._extensions.allocate(used, next(others, None))
        if extension is None:
            return False
        self._history.next_extension = self._extensions.next
        prompt.extension, prompt.by_extension = extension, True
        return True

    def _overtake(self, prompt: Prompt) -> bool:
        """End a question to this phone that is not critical, and use its slot."""
        for other in self._open.values():
            if other.number == prompt.number and not other.critical:
                self._close(other, NoAnswer.OVERTAKEN)
                return self._assign(prompt, self._used(prompt.number))
        return False

    def _close(self, prompt: Prompt, reason: NoAnswer | None) -> None:
        if prompt.state is PromptState.OPEN:
            del self._open[prompt.slot]
            self._remember(prompt, awaited=prompt.answer is None and reason not in _NEVER_ARRIVED)
        else:
            self._queues[prompt.number].remove(prompt)
        prompt.state, prompt.reason = PromptState.OVER, reason
        prompt.question.on_change()

    def _remember(self, prompt: Prompt, *, awaited: bool) -> None:
        question, now = prompt.question, self._clock()
        recent = RecentQuestion(question.answers, question.tag, prompt.extension, now, awaited, question.answered)
        self._history.note(prompt.slot, recent)
