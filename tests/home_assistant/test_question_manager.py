"""The question manager: replies match their questions, and questions to one phone never cross."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from custom_components.sms1680.conversation.engine import (
    AnswerMatch,
    Answers,
    ExtensionRange,
    Extensions,
    InvalidRangeError,
    NoAnswer,
    Prompt,
    PromptState,
    Question,
    QuestionHistory,
    QuestionManager,
)
from custom_components.sms1680.conversation.engine.memory import GRACE
from tests.home_assistant.helpers import ALICE, BOB

YES_NO = Answers([("yes", []), ("no", [])])


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def manager(clock: Clock) -> QuestionManager:
    """A manager of an account without a range."""
    return QuestionManager(clock)


@pytest.fixture
def ranged(clock: Clock) -> QuestionManager:
    """A manager of an account with the extensions 08 to 10."""
    return QuestionManager(clock, Extensions(ExtensionRange.parse("08-10"), 0))


@dataclass
class Asked:
    """A question, and the calls of its callback."""

    clock: Clock
    wait_for_all: bool = False
    changes: list[str] = field(default_factory=list)

    def question(self, answers: Answers = YES_NO) -> Question:
        return Question(answers, self.clock, lambda: self.changes.append("changed"), wait_for_all=self.wait_for_all)


def ask(
    manager: QuestionManager,
    clock: Clock,
    *numbers: str,
    wait_for_all: bool = False,
    answers: Answers = YES_NO,
    critical: bool = False,
    not_before: float = 0.0,
) -> Question:
    question = Asked(clock, wait_for_all).question(answers)
    for number in numbers:
        manager.ask(question, number, critical=critical, not_before=not_before)
    return question


def states(question: Question) -> list[PromptState]:
    return [prompt.state for prompt in question.prompts]


def test_reply_of_the_recipient_is_the_answer(manager: QuestionManager, clock: Clock) -> None:
    question = ask(manager, clock, ALICE)
    clock.now += 7.5
    assert manager.match_reply(ALICE, "", " 好的 ") == AnswerMatch("yes", over=False)
    (prompt,) = question.prompts
    assert question.is_over
    assert question.first is prompt
    assert prompt.answer is not None
    assert (prompt.answer.id, prompt.answer.sentence, prompt.answer.elapsed) == ("yes", "好的", 7.5)
    assert question.reason is None


def test_other_replies_leave_the_question_open(manager: QuestionManager, clock: Clock) -> None:
    question = ask(manager, clock, ALICE)
    assert manager.match_reply(ALICE, "", "什么门？") is None
    assert manager.match_reply(BOB, "", "好的") is None
    assert states(question) == [PromptState.OPEN]


def test_without_a_range_one_question_per_phone_is_open(manager: QuestionManager, clock: Clock) -> None:
    first, second, third = (ask(manager, clock, ALICE) for _ in range(3))
    assert [states(one) for one in (first, second, third)] == [
        [PromptState.OPEN],
        [PromptState.QUEUED],
        [PromptState.QUEUED],
    ]
    second.prompts[0].end(NoAnswer.TIMEOUT)
    manager.match_reply(ALICE, "", "1")
    assert [states(one) for one in (first, second, third)] == [
        [PromptState.OVER],
        [PromptState.OVER],
        [PromptState.OPEN],
    ]
    assert second.first is None


def test_queued_prompt_does_not_delay_other_phones(manager: QuestionManager, clock: Clock) -> None:
    ask(manager, clock, ALICE)
    assert states(ask(manager, clock, ALICE, BOB)) == [PromptState.QUEUED, PromptState.OPEN]


def test_questions_to_a_phone_have_different_extensions(ranged: QuestionManager, clock: Clock) -> None:
    questions = [ask(ranged, clock, ALICE) for _ in range(4)]
    assert [one.prompts[0].extension for one in questions] == ["08", "09", "10", None]
    assert states(questions[3]) == [PromptState.QUEUED]
    assert ranged.match_reply(ALICE, "09", "否") == AnswerMatch("no", over=False)
    assert [one.first is not None for one in questions] == [False, True, False, False]
    assert questions[3].prompts[0].extension == "09"


def test_prompts_of_a_question_share_an_extension(ranged: QuestionManager, clock: Clock) -> None:
    ask(ranged, clock, BOB)
    assert [prompt.extension for prompt in ask(ranged, clock, ALICE, BOB).prompts] == ["09", "09"]


def test_extensions_are_reused_in_turn(ranged: QuestionManager, clock: Clock) -> None:
    used = []
    for _ in range(5):
        question = ask(ranged, clock, ALICE)
        used.append(question.prompts[0].extension)
        question.time_out()
        clock.now += GRACE
    assert used == ["08", "09", "10", "08", "09"]


@pytest.mark.parametrize("extension", ["", "99"])
def test_with_a_range_reply_needs_the_extension(ranged: QuestionManager, clock: Clock, extension: str) -> None:
    ask(ranged, clock, ALICE)
    assert ranged.match_reply(ALICE, extension, "好的") is None


def test_reply_to_a_foreign_extension_is_no_answer(manager: QuestionManager, clock: Clock) -> None:
    question = Asked(clock).question()
    manager.ask(question, ALICE, "07")
    assert manager.match_reply(ALICE, "12", "好的", foreign=True) is None
    assert manager.match_reply(ALICE, "07", "好的", foreign=True) == AnswerMatch("yes", over=False)
    assert manager.match_reply(ALICE, "12", "好的", foreign=True) is None
    assert manager.match_reply(ALICE, "07", "好的", foreign=True) == AnswerMatch("yes", over=True, already=True)


def test_reply_to_the_bare_access_number_answers_a_question_without_extension(
    manager: QuestionManager, clock: Clock
) -> None:
    """The bare number counts as a recipient's if one of the recipients has no extension."""
    ask(manager, clock, ALICE)
    assert manager.match_reply(ALICE, "", "好的", foreign=True) == AnswerMatch("yes", over=False)


def test_first_or_last_answer_ends_the_question(manager: QuestionManager, clock: Clock) -> None:
    first, every = ask(manager, clock, ALICE, BOB), ask(manager, clock, "13800000003", "13800000004", wait_for_all=True)
    manager.match_reply(BOB, "", "否")
    assert first.is_over
    manager.match_reply("13800000003", "", "是")
    assert not every.is_over
    manager.match_reply("13800000004", "", "否")
    assert every.is_over
    assert every.first is every.prompts[0]


@pytest.mark.parametrize("kind", ["manager", "ranged"])
def test_late_answer_is_marked_as_over(request: pytest.FixtureRequest, clock: Clock, kind: str) -> None:
    manager: QuestionManager = request.getfixturevalue(kind)
    question = ask(manager, clock, ALICE)
    extension = question.prompts[0].extension or ""
    question.time_out()
    assert manager.match_reply(ALICE, extension, "是") == AnswerMatch("yes", over=True)
    assert manager.match_reply(ALICE, extension, "几点了") is None
    clock.now += 24 * 3600 + 1
    # Only questions use the extensions of the range, so this reply answers a forgotten question.
    assert manager.match_reply(ALICE, extension, "是") == (AnswerMatch(None, over=True) if extension else None)


def test_second_answer_of_a_phone_is_over(manager: QuestionManager, clock: Clock) -> None:
    question = ask(manager, clock, ALICE, BOB, wait_for_all=True)
    manager.match_reply(ALICE, "", "是")
    assert manager.match_reply(ALICE, "", "否") == AnswerMatch("no", over=True, already=True)
    assert question.prompts[0].answer is not None
    assert question.prompts[0].answer.id == "yes"


def test_next_question_waits_for_a_late_answer(manager: QuestionManager, clock: Clock) -> None:
    ask(manager, clock, ALICE).time_out()
    new = ask(manager, clock, ALICE)
    assert (states(new), manager.next_opening(ALICE)) == ([PromptState.QUEUED], GRACE)
    clock.now += GRACE - 1
    manager.open_next(ALICE)
    assert (states(new), manager.next_opening(ALICE)) == ([PromptState.QUEUED], 1)
    clock.now += 1
    manager.open_next(ALICE)
    assert (states(new), manager.next_opening(ALICE)) == ([PromptState.OPEN], None)
    assert manager.match_reply(ALICE, "", "是") == AnswerMatch("yes", over=False)


def test_late_answer_opens_the_next_question(manager: QuestionManager, clock: Clock) -> None:
    ask(manager, clock, ALICE).time_out()
    new = ask(manager, clock, ALICE)
    assert manager.match_reply(ALICE, "", "几点了") is None
    assert states(new) == [PromptState.QUEUED]
    assert manager.match_reply(ALICE, "", "是") == AnswerMatch("yes", over=True)
    assert states(new) == [PromptState.OPEN]


def test_answer_reports_an_earlier_answer_with_the_same_tag(ranged: QuestionManager, clock: Clock) -> None:
    first, second, other = (
        Question(YES_NO, clock, lambda: None, wait_for_all=False, tag=tag) for tag in ("alarm", "alarm", "garage")
    )
    extensions = [ranged.ask(question, ALICE).extension or "" for question in (first, second, other)]
    for question in (first, second, other):
        question.time_out()
    match = [ranged.match_reply(ALICE, extension, "是") for extension in extensions]
    assert [one and (one.tag, one.already) for one in match] == [("alarm", False), ("alarm", True), ("garage", False)]


def test_answer_does_not_mark_the_next_question_as_answered(manager: QuestionManager, clock: Clock) -> None:
    ask(manager, clock, ALICE)
    following = ask(manager, clock, ALICE)
    manager.match_reply(ALICE, "", "是")
    following.time_out()
    assert manager.match_reply(ALICE, "", "是") == AnswerMatch("yes", over=True)


@pytest.mark.parametrize("reason", [NoAnswer.REFUSED, NoAnswer.NOT_SENT, NoAnswer.NOT_DELIVERED])
def test_undelivered_question_does_not_delay_the_next(manager: QuestionManager, clock: Clock, reason: NoAnswer) -> None:
    ask(manager, clock, ALICE).prompts[0].end(reason)
    assert states(ask(manager, clock, ALICE)) == [PromptState.OPEN]


def test_extension_of_an_unanswered_question_is_not_reused_at_once(ranged: QuestionManager, clock: Clock) -> None:
    for _ in range(3):
        ask(ranged, clock, ALICE).time_out()
    new = ask(ranged, clock, ALICE)
    assert (states(new), ranged.next_opening(ALICE)) == ([PromptState.QUEUED], GRACE)
    clock.now += GRACE
    ranged.open_next(ALICE)
    assert new.prompts[0].extension == "08"


@pytest.mark.parametrize("kind", ["manager", "ranged"])
def test_critical_question_overtakes_others(request: pytest.FixtureRequest, clock: Clock, kind: str) -> None:
    manager: QuestionManager = request.getfixturevalue(kind)
    opened = [ask(manager, clock, ALICE) for _ in range(1 if kind == "manager" else 3)]
    queued = ask(manager, clock, ALICE)
    critical = [ask(manager, clock, ALICE, critical=True) for _ in range(len(opened) + 1)]
    assert [one.reason for one in opened] == [NoAnswer.OVERTAKEN] * len(opened)
    assert [states(one) for one in critical] == [[PromptState.OPEN]] * len(opened) + [[PromptState.QUEUED]]
    assert manager.match_reply(ALICE, critical[0].prompts[0].extension or "", "是") == AnswerMatch("yes", over=False)
    assert (states(critical[-1]), states(queued)) == ([PromptState.OPEN], [PromptState.QUEUED])


def test_critical_question_does_not_wait_for_a_late_answer(manager: QuestionManager, clock: Clock) -> None:
    ask(manager, clock, ALICE).time_out()
    assert states(ask(manager, clock, ALICE, critical=True)) == [PromptState.OPEN]


def test_critical_question_uses_a_free_slot(ranged: QuestionManager, clock: Clock) -> None:
    before = ask(ranged, clock, ALICE)
    assert states(ask(ranged, clock, ALICE, critical=True)) == [PromptState.OPEN]
    assert states(before) == [PromptState.OPEN]


def test_question_waits_for_not_before(manager: QuestionManager, clock: Clock) -> None:
    late = ask(manager, clock, ALICE, not_before=clock.now + 5)
    assert (states(late), manager.next_opening(ALICE)) == ([PromptState.QUEUED], 5)
    clock.now += 5
    manager.open_next(ALICE)
    assert states(late) == [PromptState.OPEN]


@pytest.mark.parametrize("ranged", [False, True])
def test_history_survives_a_reload_and_a_restart(clock: Clock, *, ranged: bool) -> None:
    def manager_of(history: QuestionHistory) -> QuestionManager:
        extensions = Extensions(ExtensionRange.parse("08-10"), history.next_extension or 0) if ranged else None
        return QuestionManager(clock, extensions, history)

    saved: list[str] = []
    history = QuestionHistory(None, lambda: saved.append(json.dumps(history.as_json(clock.now))))
    before = manager_of(history)
    question = Question(YES_NO, clock, lambda: None, wait_for_all=False, tag="garage")
    extension = before.ask(question, ALICE).extension or ""
    # The history is saved when a question is sent, because a power failure gives no warning.
    for stored in (history, QuestionHistory(json.loads(saved[0]))):
        after = manager_of(stored)
        assert after.match_reply(ALICE, extension, "几点了") is None
        new = ask(after, clock, ALICE)
        assert (states(new), new.prompts[0].extension) == (
            ([PromptState.OPEN], "09") if ranged else ([PromptState.QUEUED], None)
        )
        assert after.match_reply(ALICE, extension, "是") == AnswerMatch("yes", over=True, tag="garage")
        after.end_all(NoAnswer.NOT_SENT)


def test_stored_questions_with_unknown_answers_are_ignored(clock: Clock) -> None:
    history = QuestionHistory()
    QuestionManager(clock, history=history).ask(Asked(clock).question(), ALICE)
    stored = history.as_json(clock.now)
    stored["past"].append({**stored["past"][0], "number": BOB, "answers": [["once_built_in", []]]})
    again = QuestionHistory(stored)
    assert again.get((ALICE, None), clock.now) is not None
    assert again.get((BOB, None), clock.now) is None
    assert history.as_json(clock.now + 24 * 3600)["past"] == []


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ([NoAnswer.NOT_DELIVERED, NoAnswer.REFUSED], NoAnswer.NOT_DELIVERED),
        ([NoAnswer.REFUSED, NoAnswer.NOT_SENT], NoAnswer.REFUSED),
        ([NoAnswer.TIMEOUT, NoAnswer.REFUSED], NoAnswer.TIMEOUT),
        ([NoAnswer.UNLOADED, NoAnswer.UNLOADED], NoAnswer.UNLOADED),
    ],
)
def test_question_ends_with_the_most_relevant_reason(
    manager: QuestionManager, clock: Clock, reasons: list[NoAnswer], expected: NoAnswer
) -> None:
    question = ask(manager, clock, ALICE, BOB)
    for prompt, reason in zip(question.prompts, reasons, strict=True):
        assert not question.is_over
        prompt.end(reason)
    assert question.is_over
    assert question.reason is expected


def test_question_that_never_opened_is_busy(manager: QuestionManager, clock: Clock) -> None:
    ask(manager, clock, ALICE)
    queued = ask(manager, clock, ALICE)
    queued.time_out()
    assert queued.reason is NoAnswer.BUSY


def test_end_all_includes_queued_prompts(manager: QuestionManager, clock: Clock) -> None:
    questions = [ask(manager, clock, ALICE), ask(manager, clock, ALICE), ask(manager, clock, BOB)]
    manager.end_all(NoAnswer.UNLOADED)
    assert [one.reason for one in questions] == [NoAnswer.UNLOADED] * 3


def test_on_change_is_called_for_every_change(manager: QuestionManager, clock: Clock) -> None:
    asked = Asked(clock, wait_for_all=True)
    question = asked.question()
    manager.ask(question, ALICE)
    assert len(asked.changes) == 1
    manager.match_reply(ALICE, "", "是")
    assert len(asked.changes) == 2


@pytest.mark.parametrize(
    ("text", "first", "last", "count"), [("100-199", "100", "199", 100), (" 00 – 09 ", "00", "09", 10)]
)
def test_parse_range(text: str, first: str, last: str, count: int) -> None:
    extensions = ExtensionRange.parse(text)
    assert (extensions.at(0), extensions.at(count - 1), extensions.at(count), len(extensions)) == (
        first,
        last,
        first,
        count,
    )
    assert first in extensions
    assert last in extensions
    assert "0" + first not in extensions


@pytest.mark.parametrize("text", ["", "12", "9-10", "20-10", "a-b", "１-２", "1-2-3", "-", "1234567890-1234567899"])
def test_invalid_range_is_rejected(text: str) -> None:
    with pytest.raises(InvalidRangeError):
        ExtensionRange.parse(text)


class Conversations(RuleBasedStateMachine):
    """Random questions to a few phones, compared with a simple model."""

    @initialize(ranged=st.booleans())
    def begin(self, *, ranged: bool) -> None:
        self.clock = Clock()
        self.manager = QuestionManager(self.clock, Extensions(ExtensionRange.parse("08-09"), 1) if ranged else None)
        self.ranged = ranged
        self.prompts: list[Prompt] = []
        self.went: set[Prompt] = set()
        self.over: set[Prompt] = set()
        # By slot: the last question that ended, and the time.
        self.last: dict[tuple[str, str | None], tuple[Prompt, float]] = {}
        self.answered_late: set[Prompt] = set()

    @rule(
        numbers=st.lists(st.sampled_from([ALICE, BOB]), min_size=1, max_size=2, unique=True),
        all_=st.booleans(),
        critical=st.booleans(),
        later=st.sampled_from([0.0, 30.0]),
    )
    def ask(self, numbers: list[str], *, all_: bool, critical: bool, later: float) -> None:
        not_before = self.clock.now + later if later and not critical else 0.0
        question = ask(self.manager, self.clock, *numbers, wait_for_all=all_, critical=critical, not_before=not_before)
        self.prompts += question.prompts

    @precondition(lambda self: any(prompt.state is PromptState.OPEN for prompt in self.prompts))
    @rule(data=st.data(), text=st.sampled_from(["是", "否", "什么", "TD"]))
    def reply(self, data: st.DataObject, text: str) -> None:
        prompt = data.draw(st.sampled_from([prompt for prompt in self.prompts if prompt.state is PromptState.OPEN]))
        others = [(other, other.state, other.answer) for other in self.prompts if other is not prompt]
        match = self.manager.match_reply(prompt.number, prompt.extension or "", text)
        assert (match and (match.id, match.over)) == {"是": ("yes", False), "否": ("no", False)}.get(text)
        assert (prompt.answer is not None) == (match is not None)
        for other, state, answered in others:
            assert other.answer is answered
            assert other.state is state or (state, other.state) == (PromptState.QUEUED, PromptState.OPEN)

    @precondition(lambda self: any(prompt.state is PromptState.OVER for prompt in self.prompts))
    @rule(data=st.data())
    def reply_late(self, data: st.DataObject) -> None:
        prompt = data.draw(st.sampled_from([prompt for prompt in self.prompts if prompt.state is PromptState.OVER]))
        if prompt not in self.went:
            return
        now = [other for other in self.prompts if other.state is PromptState.OPEN and other.slot == prompt.slot]
        match = self.manager.match_reply(prompt.number, prompt.extension or "", "是")
        if now:
            assert match is not None
            assert (match.id, match.over) == ("yes", False)
            assert now[0].answer is not None
            last, ended = self.last[prompt.slot]
            if last is prompt and prompt.answer is None and prompt not in self.answered_late:
                assert now[0].critical or self.clock.now - ended >= GRACE
        elif match is not None:
            assert match.over
            self.answered_late.add(self.last[prompt.slot][0])

    @precondition(lambda self: self.prompts)
    @rule(data=st.data())
    def time_up(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.prompts)).question.time_out()

    @rule(seconds=st.sampled_from([1.0, GRACE, 3600.0, 90_000.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        for number in (ALICE, BOB):
            self.manager.open_next(number)

    @rule()
    def unload(self) -> None:
        self.manager.end_all(NoAnswer.UNLOADED)
        assert all(prompt.state is PromptState.OVER for prompt in self.prompts)

    @invariant()
    def every_slot_has_at_most_one_prompt_and_no_free_slot_has_a_queue(self) -> None:
        for number in (ALICE, BOB):
            prompts = [prompt for prompt in getattr(self, "prompts", []) if prompt.number == number]
            opened = [prompt for prompt in prompts if prompt.state is PromptState.OPEN]
            queued = [prompt for prompt in prompts if prompt.state is PromptState.QUEUED]
            assert len(opened) == len({prompt.slot for prompt in opened})
            if queued:
                assert len(opened) == (2 if self.ranged else 1) or self.manager.next_opening(number)
            if any(prompt.critical for prompt in queued):
                assert opened
                assert all(prompt.critical for prompt in opened)
            for prompt in prompts:
                if prompt.state is PromptState.OPEN:
                    self.went.add(prompt)
                elif prompt in self.went - self.over:
                    self.over.add(prompt)
                    self.last[prompt.slot] = prompt, self.clock.now


TestConversations = Conversations.TestCase
TestConversations.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
