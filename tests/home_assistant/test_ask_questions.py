"""Open questions: each reply finds its own, two questions to one phone never cross, and what is over says so."""

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

ALICE, BOB = "13800000001", "13800000002"
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
def desk(clock: Clock) -> QuestionManager:
    """A desk of an account without a range."""
    return QuestionManager(clock)


@pytest.fixture
def ranged(clock: Clock) -> QuestionManager:
    """A desk of an account with the extensions 08 to 10."""
    return QuestionManager(clock, Extensions(ExtensionRange.parse("08-10"), 0))


@dataclass
class Asked:
    """A question and how often its driver was told of a change."""

    clock: Clock
    wait_for_all: bool = False
    changes: list[str] = field(default_factory=list)

    def question(self, answers: Answers = YES_NO) -> Question:
        return Question(answers, self.clock, lambda: self.changes.append("changed"), wait_for_all=self.wait_for_all)


def ask(
    desk: QuestionManager,
    clock: Clock,
    *numbers: str,
    wait_for_all: bool = False,
    answers: Answers = YES_NO,
    critical: bool = False,
    not_before: float = 0.0,
) -> Question:
    question = Asked(clock, wait_for_all).question(answers)
    for number in numbers:
        desk.ask(question, number, critical=critical, not_before=not_before)
    return question


def states(question: Question) -> list[PromptState]:
    return [part.state for part in question.prompts]


def test_the_reply_of_the_one_who_was_asked_is_the_answer(desk: QuestionManager, clock: Clock) -> None:
    question = ask(desk, clock, ALICE)
    clock.now += 7.5
    assert desk.match_reply(ALICE, "", " 好的 ") == AnswerMatch("yes", over=False)
    (part,) = question.prompts
    assert question.is_over
    assert question.first is part
    assert part.answer is not None
    assert (part.answer.id, part.answer.sentence, part.answer.elapsed) == ("yes", "好的", 7.5)
    assert question.reason is None


def test_a_reply_that_is_no_answer_or_somebody_elses_leaves_the_question_open(
    desk: QuestionManager, clock: Clock
) -> None:
    question = ask(desk, clock, ALICE)
    assert desk.match_reply(ALICE, "", "什么门？") is None
    assert desk.match_reply(BOB, "", "好的") is None
    assert states(question) == [PromptState.OPEN]


def test_one_question_a_phone_is_open_at_a_time_without_a_range(desk: QuestionManager, clock: Clock) -> None:
    first, second, third = (ask(desk, clock, ALICE) for _ in range(3))
    assert [states(one) for one in (first, second, third)] == [
        [PromptState.OPEN],
        [PromptState.QUEUED],
        [PromptState.QUEUED],
    ]
    second.prompts[0].end(NoAnswer.TIMEOUT)
    desk.match_reply(ALICE, "", "1")
    assert [states(one) for one in (first, second, third)] == [
        [PromptState.OVER],
        [PromptState.OVER],
        [PromptState.OPEN],
    ]
    assert second.first is None


def test_a_busy_phone_keeps_no_other_waiting(desk: QuestionManager, clock: Clock) -> None:
    ask(desk, clock, ALICE)
    assert states(ask(desk, clock, ALICE, BOB)) == [PromptState.QUEUED, PromptState.OPEN]


def test_each_question_to_a_phone_has_an_extension_of_its_own(ranged: QuestionManager, clock: Clock) -> None:
    questions = [ask(ranged, clock, ALICE) for _ in range(4)]
    assert [one.prompts[0].extension for one in questions] == ["08", "09", "10", None]
    assert states(questions[3]) == [PromptState.QUEUED]
    assert ranged.match_reply(ALICE, "09", "否") == AnswerMatch("no", over=False)
    assert [one.first is not None for one in questions] == [False, True, False, False]
    assert questions[3].prompts[0].extension == "09"


def test_all_whom_a_question_goes_to_share_an_extension(ranged: QuestionManager, clock: Clock) -> None:
    ask(ranged, clock, BOB)
    assert [part.extension for part in ask(ranged, clock, ALICE, BOB).prompts] == ["09", "09"]


def test_an_extension_is_used_again_as_late_as_may_be(ranged: QuestionManager, clock: Clock) -> None:
    used = []
    for _ in range(5):
        question = ask(ranged, clock, ALICE)
        used.append(question.prompts[0].extension)
        question.time_out()
        clock.now += GRACE
    assert used == ["08", "09", "10", "08", "09"]


@pytest.mark.parametrize("extension", ["", "99"])
def test_with_a_range_a_reply_without_its_extension_is_no_answer(
    ranged: QuestionManager, clock: Clock, extension: str
) -> None:
    ask(ranged, clock, ALICE)
    assert ranged.match_reply(ALICE, extension, "好的") is None


def test_a_reply_to_something_else_is_no_answer(desk: QuestionManager, clock: Clock) -> None:
    question = Asked(clock).question()
    desk.ask(question, ALICE, "07")
    assert desk.match_reply(ALICE, "12", "好的", foreign=True) is None
    assert desk.match_reply(ALICE, "07", "好的", foreign=True) == AnswerMatch("yes", over=False)
    assert desk.match_reply(ALICE, "12", "好的", foreign=True) is None
    assert desk.match_reply(ALICE, "07", "好的", foreign=True) == AnswerMatch("yes", over=True, already=True)


def test_the_first_answer_ends_it_or_the_last(desk: QuestionManager, clock: Clock) -> None:
    first, every = ask(desk, clock, ALICE, BOB), ask(desk, clock, "13800000003", "13800000004", wait_for_all=True)
    desk.match_reply(BOB, "", "否")
    assert first.is_over
    desk.match_reply("13800000003", "", "是")
    assert not every.is_over
    desk.match_reply("13800000004", "", "否")
    assert every.is_over
    assert every.first is every.prompts[0]


@pytest.mark.parametrize("kind", ["desk", "ranged"])
def test_an_answer_to_a_question_that_is_over_says_so(request: pytest.FixtureRequest, clock: Clock, kind: str) -> None:
    desk: QuestionManager = request.getfixturevalue(kind)
    question = ask(desk, clock, ALICE)
    extension = question.prompts[0].extension or ""
    question.time_out()
    assert desk.match_reply(ALICE, extension, "是") == AnswerMatch("yes", over=True)
    assert desk.match_reply(ALICE, extension, "几点了") is None
    clock.now += 24 * 3600 + 1
    # With a range nothing but a question goes out with its extensions, even one that nobody remembers.
    assert desk.match_reply(ALICE, extension, "是") == (AnswerMatch(None, over=True) if extension else None)


def test_the_second_answer_of_one_who_has_answered_is_over(desk: QuestionManager, clock: Clock) -> None:
    question = ask(desk, clock, ALICE, BOB, wait_for_all=True)
    desk.match_reply(ALICE, "", "是")
    assert desk.match_reply(ALICE, "", "否") == AnswerMatch("no", over=True, already=True)
    assert question.prompts[0].answer is not None
    assert question.prompts[0].answer.id == "yes"


def test_no_question_takes_the_late_answer_to_the_one_before(desk: QuestionManager, clock: Clock) -> None:
    ask(desk, clock, ALICE).time_out()
    new = ask(desk, clock, ALICE)
    assert (states(new), desk.next_opening(ALICE)) == ([PromptState.QUEUED], GRACE)
    clock.now += GRACE - 1
    desk.open_next(ALICE)
    assert (states(new), desk.next_opening(ALICE)) == ([PromptState.QUEUED], 1)
    clock.now += 1
    desk.open_next(ALICE)
    assert (states(new), desk.next_opening(ALICE)) == ([PromptState.OPEN], None)
    assert desk.match_reply(ALICE, "", "是") == AnswerMatch("yes", over=False)


def test_once_the_late_answer_has_come_the_next_question_goes_out(desk: QuestionManager, clock: Clock) -> None:
    ask(desk, clock, ALICE).time_out()
    new = ask(desk, clock, ALICE)
    assert desk.match_reply(ALICE, "", "几点了") is None
    assert states(new) == [PromptState.QUEUED]
    assert desk.match_reply(ALICE, "", "是") == AnswerMatch("yes", over=True)
    assert states(new) == [PromptState.OPEN]


def test_an_answer_says_whether_somebody_had_answered_before(ranged: QuestionManager, clock: Clock) -> None:
    first, second, other = (
        Question(YES_NO, clock, lambda: None, wait_for_all=False, tag=tag) for tag in ("alarm", "alarm", "garage")
    )
    extensions = [ranged.ask(question, ALICE).extension or "" for question in (first, second, other)]
    for question in (first, second, other):
        question.time_out()
    heard = [ranged.match_reply(ALICE, extension, "是") for extension in extensions]
    assert [one and (one.tag, one.already) for one in heard] == [("alarm", False), ("alarm", True), ("garage", False)]


def test_the_answer_to_one_question_does_not_answer_the_next(desk: QuestionManager, clock: Clock) -> None:
    ask(desk, clock, ALICE)
    following = ask(desk, clock, ALICE)
    desk.match_reply(ALICE, "", "是")
    following.time_out()
    assert desk.match_reply(ALICE, "", "是") == AnswerMatch("yes", over=True)


@pytest.mark.parametrize("reason", [NoAnswer.REFUSED, NoAnswer.NOT_SENT, NoAnswer.NOT_DELIVERED])
def test_nobody_waits_for_the_answer_to_what_never_arrived(
    desk: QuestionManager, clock: Clock, reason: NoAnswer
) -> None:
    ask(desk, clock, ALICE).prompts[0].end(reason)
    assert states(ask(desk, clock, ALICE)) == [PromptState.OPEN]


def test_with_a_range_an_extension_rests_after_a_question_without_an_answer(
    ranged: QuestionManager, clock: Clock
) -> None:
    for _ in range(3):
        ask(ranged, clock, ALICE).time_out()
    new = ask(ranged, clock, ALICE)
    assert (states(new), ranged.next_opening(ALICE)) == ([PromptState.QUEUED], GRACE)
    clock.now += GRACE
    ranged.open_next(ALICE)
    assert new.prompts[0].extension == "08"


@pytest.mark.parametrize("kind", ["desk", "ranged"])
def test_a_critical_question_goes_before_all_others(request: pytest.FixtureRequest, clock: Clock, kind: str) -> None:
    desk: QuestionManager = request.getfixturevalue(kind)
    opened = [ask(desk, clock, ALICE) for _ in range(1 if kind == "desk" else 3)]
    queued = ask(desk, clock, ALICE)
    critical = [ask(desk, clock, ALICE, critical=True) for _ in range(len(opened) + 1)]
    assert [one.reason for one in opened] == [NoAnswer.OVERTAKEN] * len(opened)
    assert [states(one) for one in critical] == [[PromptState.OPEN]] * len(opened) + [[PromptState.QUEUED]]
    assert desk.match_reply(ALICE, critical[0].prompts[0].extension or "", "是") == AnswerMatch("yes", over=False)
    assert (states(critical[-1]), states(queued)) == ([PromptState.OPEN], [PromptState.QUEUED])


def test_a_critical_question_does_not_wait_for_a_late_answer(desk: QuestionManager, clock: Clock) -> None:
    ask(desk, clock, ALICE).time_out()
    assert states(ask(desk, clock, ALICE, critical=True)) == [PromptState.OPEN]


def test_with_room_a_critical_question_overtakes_nothing(ranged: QuestionManager, clock: Clock) -> None:
    before = ask(ranged, clock, ALICE)
    assert states(ask(ranged, clock, ALICE, critical=True)) == [PromptState.OPEN]
    assert states(before) == [PromptState.OPEN]


def test_a_question_may_have_to_wait_for_its_time(desk: QuestionManager, clock: Clock) -> None:
    late = ask(desk, clock, ALICE, not_before=clock.now + 5)
    assert (states(late), desk.next_opening(ALICE)) == ([PromptState.QUEUED], 5)
    clock.now += 5
    desk.open_next(ALICE)
    assert states(late) == [PromptState.OPEN]


@pytest.mark.parametrize("ranged", [False, True])
def test_what_was_asked_outlives_its_desk_and_a_restart(clock: Clock, *, ranged: bool) -> None:
    def desk_of(memory: QuestionHistory) -> QuestionManager:
        extensions = Extensions(ExtensionRange.parse("08-10"), memory.next_extension or 0) if ranged else None
        return QuestionManager(clock, extensions, memory)

    saved: list[str] = []
    memory = QuestionHistory(None, lambda: saved.append(json.dumps(memory.as_json(clock.now))))
    before = desk_of(memory)
    question = Question(YES_NO, clock, lambda: None, wait_for_all=False, tag="garage")
    extension = before.ask(question, ALICE).extension or ""
    # It is kept as soon as it goes out: a power cut says nothing.
    for kept in (memory, QuestionHistory(json.loads(saved[0]))):
        after = desk_of(kept)
        assert after.match_reply(ALICE, extension, "几点了") is None
        new = ask(after, clock, ALICE)
        assert (states(new), new.prompts[0].extension) == (
            ([PromptState.OPEN], "09") if ranged else ([PromptState.QUEUED], None)
        )
        assert after.match_reply(ALICE, extension, "是") == AnswerMatch("yes", over=True, tag="garage")
        after.end_all(NoAnswer.NOT_SENT)


def test_of_what_was_kept_only_what_is_still_understood_is_taken_up(clock: Clock) -> None:
    memory = QuestionHistory()
    QuestionManager(clock, history=memory).ask(Asked(clock).question(), ALICE)
    kept = memory.as_json(clock.now)
    kept["past"].append({**kept["past"][0], "number": BOB, "answers": [["once_built_in", []]]})
    again = QuestionHistory(kept)
    assert again.get((ALICE, None), clock.now) is not None
    assert again.get((BOB, None), clock.now) is None
    assert memory.as_json(clock.now + 24 * 3600)["past"] == []


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        ([NoAnswer.NOT_DELIVERED, NoAnswer.REFUSED], NoAnswer.NOT_DELIVERED),
        ([NoAnswer.REFUSED, NoAnswer.NOT_SENT], NoAnswer.REFUSED),
        ([NoAnswer.TIMEOUT, NoAnswer.REFUSED], NoAnswer.TIMEOUT),
        ([NoAnswer.UNLOADED, NoAnswer.UNLOADED], NoAnswer.UNLOADED),
    ],
)
def test_nobody_left_to_answer_ends_it_with_a_reason(
    desk: QuestionManager, clock: Clock, reasons: list[NoAnswer], told: NoAnswer
) -> None:
    question = ask(desk, clock, ALICE, BOB)
    for part, reason in zip(question.prompts, reasons, strict=True):
        assert not question.is_over
        part.end(reason)
    assert question.is_over
    assert question.reason is told


def test_what_was_never_sent_for_want_of_a_place_is_told_so(desk: QuestionManager, clock: Clock) -> None:
    ask(desk, clock, ALICE)
    queued = ask(desk, clock, ALICE)
    queued.time_out()
    assert queued.reason is NoAnswer.BUSY


def test_ending_all_ends_what_waits_too(desk: QuestionManager, clock: Clock) -> None:
    questions = [ask(desk, clock, ALICE), ask(desk, clock, ALICE), ask(desk, clock, BOB)]
    desk.end_all(NoAnswer.UNLOADED)
    assert [one.reason for one in questions] == [NoAnswer.UNLOADED] * 3


def test_the_driver_hears_of_every_change(desk: QuestionManager, clock: Clock) -> None:
    asked = Asked(clock, wait_for_all=True)
    question = asked.question()
    desk.ask(question, ALICE)
    assert len(asked.changes) == 1
    desk.match_reply(ALICE, "", "是")
    assert len(asked.changes) == 2


@pytest.mark.parametrize(
    ("text", "first", "last", "count"), [("100-199", "100", "199", 100), (" 00 – 09 ", "00", "09", 10)]
)
def test_a_range(text: str, first: str, last: str, count: int) -> None:
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
def test_a_range_that_is_none(text: str) -> None:
    with pytest.raises(InvalidRangeError):
        ExtensionRange.parse(text)


class Conversations(RuleBasedStateMachine):
    """Questions to a few phones, drawn at random, against the plain rule: who asked what is who hears it."""

    @initialize(ranged=st.booleans())
    def begin(self, *, ranged: bool) -> None:
        self.clock = Clock()
        self.desk = QuestionManager(self.clock, Extensions(ExtensionRange.parse("08-09"), 1) if ranged else None)
        self.ranged = ranged
        self.prompts: list[Prompt] = []
        self.went: set[Prompt] = set()
        self.over: set[Prompt] = set()
        # Of each place the last question that is over, and when that was.
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
        question = ask(self.desk, self.clock, *numbers, wait_for_all=all_, critical=critical, not_before=not_before)
        self.prompts += question.prompts

    @precondition(lambda self: any(part.state is PromptState.OPEN for part in self.prompts))
    @rule(data=st.data(), text=st.sampled_from(["是", "否", "什么", "TD"]))
    def reply(self, data: st.DataObject, text: str) -> None:
        part = data.draw(st.sampled_from([part for part in self.prompts if part.state is PromptState.OPEN]))
        others = [(other, other.state, other.answer) for other in self.prompts if other is not part]
        heard = self.desk.match_reply(part.number, part.extension or "", text)
        assert (heard and (heard.id, heard.over)) == {"是": ("yes", False), "否": ("no", False)}.get(text)
        assert (part.answer is not None) == (heard is not None)
        for other, state, answered in others:
            assert other.answer is answered
            assert other.state is state or (state, other.state) == (PromptState.QUEUED, PromptState.OPEN)

    @precondition(lambda self: any(part.state is PromptState.OVER for part in self.prompts))
    @rule(data=st.data())
    def reply_late(self, data: st.DataObject) -> None:
        part = data.draw(st.sampled_from([part for part in self.prompts if part.state is PromptState.OVER]))
        if part not in self.went:
            return
        now = [other for other in self.prompts if other.state is PromptState.OPEN and other.slot == part.slot]
        heard = self.desk.match_reply(part.number, part.extension or "", "是")
        if now:
            assert heard is not None
            assert (heard.id, heard.over) == ("yes", False)
            assert now[0].answer is not None
            last, ended = self.last[part.slot]
            if last is part and part.answer is None and part not in self.answered_late:
                assert now[0].critical or self.clock.now - ended >= GRACE
        elif heard is not None:
            assert heard.over
            self.answered_late.add(self.last[part.slot][0])

    @precondition(lambda self: self.prompts)
    @rule(data=st.data())
    def time_up(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.prompts)).question.time_out()

    @rule(seconds=st.sampled_from([1.0, GRACE, 3600.0, 90_000.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds
        for number in (ALICE, BOB):
            self.desk.open_next(number)

    @rule()
    def unload(self) -> None:
        self.desk.end_all(NoAnswer.UNLOADED)
        assert all(part.state is PromptState.OVER for part in self.prompts)

    @invariant()
    def no_place_is_taken_twice_and_none_is_left_empty(self) -> None:
        for number in (ALICE, BOB):
            mine = [part for part in getattr(self, "prompts", []) if part.number == number]
            opened = [part for part in mine if part.state is PromptState.OPEN]
            queued = [part for part in mine if part.state is PromptState.QUEUED]
            assert len(opened) == len({part.slot for part in opened})
            if queued:
                assert len(opened) == (2 if self.ranged else 1) or self.desk.next_opening(number)
            if any(part.critical for part in queued):
                assert opened
                assert all(part.critical for part in opened)
            for part in mine:
                if part.state is PromptState.OPEN:
                    self.went.add(part)
                elif part in self.went - self.over:
                    self.over.add(part)
                    self.last[part.slot] = part, self.clock.now


TestConversations = Conversations.TestCase
TestConversations.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
