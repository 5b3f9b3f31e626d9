"""The engine of duty groups: levels, replies, and the stored form, with sequences drawn at random."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings, strategies as st

from custom_components.sms1680.duty.engine import (
    AlarmReply,
    AlarmState,
    AlarmStep,
    DutyAlarm,
    DutyPeriod,
    EscalationPlan,
    ReplyAction,
    TextKind,
    find_alarms,
    named_members,
    parse_reply,
)
from custom_components.sms1680.duty.engine.alarm import MAX_STEPS, Level
from custom_components.sms1680.duty.engine.escalation import (
    ACKNOWLEDGED_FOR,
    ADDITION_PAUSE,
    acknowledge,
    resolve,
    shift_times,
    snooze,
)

START = 1_800_000_000.0
MINUTE = 60.0
MEMBERS = ("dad", "mum", "ann")
PLAN = EscalationPlan(MEMBERS, 5 * MINUTE, 5 * MINUTE, 10 * MINUTE, 60 * MINUTE)


@dataclass
class Course:
    """An alarm, the time, and what was sent."""

    plan: EscalationPlan = PLAN
    on_duty: tuple[str, ...] = ("dad",)
    now: float = START
    alarm: DutyAlarm = field(default_factory=lambda: DutyAlarm("a1", "g", 1, "Smoke", START, "smoke"))
    sent: list[tuple[float, str]] = field(default_factory=list)

    def begin(self) -> None:
        self.plan.begin(self.alarm, self.now, self.on_duty)
        self.send()

    def send(self) -> None:
        """Empty the outbox, after the alarm went through its stored form."""
        self.alarm = DutyAlarm.from_json(json.loads(json.dumps(self.alarm.as_json())))
        self.sent += [((self.now - START) / MINUTE, text.member) for text in self.alarm.outbox]
        self.alarm.outbox = []

    def run(self, minutes: float) -> list[AlarmStep]:
        """Let time pass; return the steps."""
        end, steps = self.now + minutes * MINUTE, []
        while self.alarm.due is not None and self.alarm.due <= end:
            self.now = max(self.now, self.alarm.due)
            if (step := self.plan.advance(self.alarm, self.now, self.on_duty)) is not None:
                steps.append(step.step)
            self.send()
        self.now = end
        return steps


def test_alarm_goes_to_the_next_member_then_to_all_and_is_repeated_until_its_time_is_over() -> None:
    course = Course()
    course.begin()
    steps = course.run(70)
    assert steps == [
        AlarmStep.ESCALATED,
        AlarmStep.ESCALATED_TO_ALL,
        *[AlarmStep.REPEATED] * 4,
        AlarmStep.UNANSWERED,
    ]
    everybody = [(minute, member) for minute in (10.0, 20.0, 30.0, 40.0, 50.0) for member in MEMBERS]
    assert course.sent == [(0.0, "dad"), (5.0, "mum"), *everybody]
    assert course.alarm.state is AlarmState.UNANSWERED
    assert course.run(8 * 24 * 60) == [AlarmStep.RESOLVED]


def test_next_member_is_the_one_after_those_on_duty_and_the_first_again_after_the_last() -> None:
    course = Course(on_duty=("ann",))
    course.begin()
    course.run(5)
    assert course.sent == [(0.0, "ann"), (5.0, "dad")]


def test_everybody_is_texted_if_nobody_is_on_duty() -> None:
    course = Course(on_duty=())
    course.begin()
    assert [member for _, member in course.sent] == list(MEMBERS)
    assert course.alarm.level is Level.ALL


def test_alarm_without_repetition_is_texted_once_at_each_level() -> None:
    course = Course(EscalationPlan(MEMBERS, 5 * MINUTE, 5 * MINUTE, 0, 60 * MINUTE))
    course.begin()
    course.run(120)
    assert course.sent == [(0.0, "dad"), (5.0, "mum"), *((10.0, member) for member in MEMBERS)]
    assert course.alarm.state is AlarmState.UNANSWERED


def test_acknowledgement_ends_the_texting_and_all_who_were_texted_get_a_text() -> None:
    course = Course()
    course.begin()
    course.run(6)
    step = acknowledge(course.alarm, course.now, "Mum", "mum")
    assert step is not None
    assert [(text.member, text.kind) for text in course.alarm.outbox] == [
        ("dad", TextKind.TAKEN),
        ("mum", TextKind.TAKEN),
    ]
    assert acknowledge(course.alarm, course.now, "Dad", "dad") is None
    assert course.run(60) == []
    assert course.run(24 * 60) == [AlarmStep.RESOLVED]


def test_acknowledged_alarm_without_a_key_is_closed() -> None:
    course = Course()
    course.alarm.key = None
    course.begin()
    acknowledge(course.alarm, course.now, None)
    assert not course.alarm.is_open
    assert resolve(course.alarm, course.now) is None


def test_snooze_delays_everything_and_then_texts_again() -> None:
    course = Course()
    course.begin()
    snooze(course.alarm, course.now, 30 * MINUTE, "Dad")
    course.on_duty = ("mum",)
    assert course.run(29) == []
    assert course.run(1) == [AlarmStep.REPEATED]
    assert course.sent == [(0.0, "dad"), (30.0, "dad"), (30.0, "mum")]
    snooze(course.alarm, course.now, 30 * MINUTE, "Dad")
    snooze(course.alarm, course.now, 2 * MINUTE, "Dad")
    assert course.run(2) == [AlarmStep.REPEATED]
    assert course.alarm.began == START + 32 * MINUTE


def test_passing_on_texts_each_next_member_and_those_who_passed_get_no_repetition() -> None:
    course = Course()
    course.begin()
    course.plan.pass_on(course.alarm, course.now, "dad", "Dad")
    course.send()
    assert course.sent == [(0.0, "dad"), (0.0, "mum")]
    course.plan.pass_on(course.alarm, course.now, "mum", "Mum")
    course.send()
    assert course.sent[2:] == [(0.0, "ann")]
    course.plan.pass_on(course.alarm, course.now, "ann", "Ann")
    course.send()
    assert course.sent[3:] == [(0.0, member) for member in MEMBERS], "all have passed it on: nobody may be left out"
    step = course.plan.pass_on(course.alarm, course.now, "ann", "Ann")
    assert step is not None
    assert step.members == ()


def test_passed_alarm_is_repeated_to_the_others_only() -> None:
    course = Course()
    course.begin()
    course.plan.pass_on(course.alarm, course.now, "dad", "Dad")
    course.send()
    course.run(10)
    assert course.sent[2:] == [(5.0, "mum"), (5.0, "ann")]


def test_passing_on_when_all_are_texted_delays_neither_the_repetition_nor_a_new_text() -> None:
    course = Course()
    course.begin()
    course.run(19)
    course.plan.pass_on(course.alarm, course.now, "dad", "Dad")
    assert course.run(1) == [AlarmStep.REPEATED]
    course.plan.add(course.alarm, course.now, "Fire", course.on_duty)
    course.plan.pass_on(course.alarm, course.now, "dad", "Dad")
    assert course.run(ADDITION_PAUSE / MINUTE) == [AlarmStep.REPEATED]


def test_closed_alarm_cannot_be_snoozed_or_passed_on() -> None:
    course = Course()
    course.begin()
    acknowledge(course.alarm, course.now, "Dad", "dad")
    assert snooze(course.alarm, course.now, 60, "Dad") is None
    assert course.plan.pass_on(course.alarm, course.now, "dad", "Dad") is None
    resolve(course.alarm, course.now, "Dad")
    assert acknowledge(course.alarm, course.now, "Dad") is None
    assert course.plan.advance(course.alarm, course.now + 1e6, ()) is None


def test_shift_change_texts_the_new_one_on_duty_once() -> None:
    course = Course()
    course.begin()
    course.now += 2 * MINUTE
    step = course.plan.hand_over(course.alarm, course.now, ("mum",))
    assert step is not None
    assert (step.step, step.members) == (AlarmStep.HANDED_OVER, ("mum",))
    course.send()
    assert course.plan.hand_over(course.alarm, course.now, ("mum",)) is None
    course.on_duty = ("mum",)
    course.run(5)
    assert course.sent == [(0.0, "dad"), (2.0, "mum"), (7.0, "ann")]


def test_shift_change_while_home_assistant_was_down_is_noticed_at_the_next_step() -> None:
    course = Course()
    course.begin()
    course.on_duty = ("ann",)
    assert course.run(5) == [AlarmStep.HANDED_OVER]
    assert course.sent[1:] == [(5.0, "ann")]


def test_same_key_adds_to_an_open_alarm_and_a_new_text_goes_out_after_a_pause() -> None:
    course = Course(EscalationPlan(MEMBERS, 60 * MINUTE, 5 * MINUTE, 0, 90 * MINUTE))
    course.begin()
    step = course.plan.add(course.alarm, course.now, "Smoke", course.on_duty)
    assert (step.step, course.alarm.count, course.alarm.outbox) == (AlarmStep.ADDED, 2, [])
    course.plan.add(course.alarm, course.now, "Smoke in the hall", course.on_duty)
    assert course.run(10) == [AlarmStep.REPEATED]
    assert course.sent == [(0.0, "dad"), (ADDITION_PAUSE / MINUTE, "dad")]


def test_new_text_of_a_taken_alarm_goes_to_the_one_who_took_it() -> None:
    course = Course()
    course.begin()
    acknowledge(course.alarm, course.now, "Dad", "dad")
    course.send()
    course.run(60)
    course.plan.add(course.alarm, course.now, "Smoke", course.on_duty)
    assert course.alarm.due == course.now + ACKNOWLEDGED_FOR
    course.plan.add(course.alarm, course.now, "Fire", course.on_duty)
    assert course.run(1) == [AlarmStep.REPEATED]
    assert course.sent[2:] == [(60.0, "dad")]


def test_unanswered_alarm_starts_again_when_it_is_raised_again() -> None:
    course = Course()
    course.begin()
    course.run(70)
    course.sent.clear()
    course.plan.add(course.alarm, course.now, "Smoke", ("mum",))
    course.send()
    assert course.alarm.state is AlarmState.OPEN
    assert course.sent == [(70.0, "mum")]


def test_snoozed_alarm_keeps_its_time_when_it_is_raised_again() -> None:
    course = Course()
    course.begin()
    snooze(course.alarm, course.now, 30 * MINUTE, "Dad")
    course.plan.add(course.alarm, course.now, "Fire", course.on_duty)
    assert course.run(29) == []


def test_level_that_reached_nobody_ends_now() -> None:
    course = Course()
    course.begin()
    course.plan.not_reached(course.alarm, course.now)
    assert course.run(0) == [AlarmStep.ESCALATED]
    course.run(60)
    course.plan.not_reached(course.alarm, course.now)
    assert course.alarm.escalate_at is None


def test_everybody_is_texted_once_more_after_a_downtime_before_the_alarm_is_given_up() -> None:
    course = Course()
    course.begin()
    course.run(30)
    course.sent.clear()
    course.now += 300 * MINUTE
    assert course.run(0) == [AlarmStep.REPEATED]
    assert [member for _, member in course.sent] == list(MEMBERS)
    assert course.run(10) == [AlarmStep.UNANSWERED]


def test_times_move_with_a_clock_that_was_set() -> None:
    course = Course()
    course.begin()
    shift_times(course.alarm, 3600.0)
    course.now += 3600.0
    assert course.run(4) == []
    assert course.run(1) == [AlarmStep.ESCALATED]
    snooze(course.alarm, course.now, 600.0, "Dad")
    shift_times(course.alarm, -60.0)
    assert course.alarm.until == course.now + 540.0
    resolve(course.alarm, course.now)
    shift_times(course.alarm, 60.0)
    assert course.alarm.due is None


def test_long_alarm_keeps_its_first_and_latest_steps() -> None:
    course = Course()
    course.begin()
    for _ in range(MAX_STEPS + 5):
        course.plan.add(course.alarm, course.now, "Smoke", ())
    assert len(course.alarm.steps) == MAX_STEPS
    assert course.alarm.steps[0].step is AlarmStep.RAISED
    assert "Smoke" not in repr(course.alarm)


ACTS = st.one_of(
    st.tuples(st.just("run"), st.floats(0, 40)),
    st.tuples(st.just("down"), st.floats(0, 400)),
    st.tuples(st.just("duty"), st.sets(st.sampled_from([*MEMBERS, "gone"]))),
    st.tuples(st.just("add"), st.sampled_from(["Smoke", "Fire"])),
    st.tuples(st.just("pass"), st.sampled_from(MEMBERS)),
    st.tuples(st.just("snooze"), st.integers(1, 60)),
    st.tuples(st.just("not_reached"), st.none()),
)
PLANS = st.builds(
    EscalationPlan,
    st.just(MEMBERS),
    st.sampled_from([MINUTE, 5 * MINUTE]),
    st.sampled_from([MINUTE, 5 * MINUTE]),
    st.sampled_from([0.0, 2 * MINUTE, 10 * MINUTE]),
    st.sampled_from([0.0, 30 * MINUTE]),
)


@settings(max_examples=150, deadline=None)
@given(PLANS, st.lists(ACTS, max_size=12))
def test_whatever_happens_everybody_is_texted_before_an_alarm_is_given_up(
    plan: EscalationPlan, acts: list[tuple[str, object]]
) -> None:
    course = Course(plan)
    course.begin()
    for kind, value in acts:
        match kind, value:
            case "run", float(minutes):
                course.run(minutes)
            case "down", float(minutes):
                course.now += minutes * MINUTE
            case "duty", set():
                course.on_duty = tuple(value)  # type: ignore[arg-type]
                plan.hand_over(course.alarm, course.now, course.on_duty)
            case "add", str(text):
                plan.add(course.alarm, course.now, text, course.on_duty)
            case "pass", str(member) if member in course.alarm.texted:
                plan.pass_on(course.alarm, course.now, member, member)
            case "snooze", int(minutes):
                snooze(course.alarm, course.now, minutes * MINUTE, "Dad")
            case _:
                plan.not_reached(course.alarm, course.now)
        course.send()
        alarm = course.alarm
        assert alarm.due is not None, "an open alarm always has something to wait for"
        assert set(alarm.texted) <= set(MEMBERS)
        if alarm.state is AlarmState.UNANSWERED:
            assert set(alarm.texted) == set(MEMBERS)
    if course.alarm.state in (AlarmState.OPEN, AlarmState.SNOOZED):
        steps = course.run(24 * 60)
        assert steps[-1] is AlarmStep.UNANSWERED, "the texting ends"
        assert set(course.alarm.texted) == set(MEMBERS)
    acknowledge(course.alarm, course.now, "Dad", "dad")
    course.send()
    course.sent.clear()
    course.run(24 * 60)
    assert course.sent == [], "nobody is texted after somebody took the alarm"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", AlarmReply(ReplyAction.ACKNOWLEDGE)),
        (" １。", AlarmReply(ReplyAction.ACKNOWLEDGE)),
        ("1️⃣", AlarmReply(ReplyAction.ACKNOWLEDGE)),
        ("收到", AlarmReply(ReplyAction.ACKNOWLEDGE)),
        ("OK", AlarmReply(ReplyAction.ACKNOWLEDGE)),
        ("1 7", AlarmReply(ReplyAction.ACKNOWLEDGE, 7)),
        ("1 #7", AlarmReply(ReplyAction.ACKNOWLEDGE, 7)),
        ("1，7", AlarmReply(ReplyAction.ACKNOWLEDGE, 7)),
        ("2", AlarmReply(ReplyAction.SNOOZE)),
        ("2 30", AlarmReply(ReplyAction.SNOOZE, None, 1800.0)),
        ("2 30分", AlarmReply(ReplyAction.SNOOZE, None, 1800.0)),
        ("２　３０分钟", AlarmReply(ReplyAction.SNOOZE, None, 1800.0)),
        ("2 30 min 7", AlarmReply(ReplyAction.SNOOZE, 7, 1800.0)),
        ("2 30 7", AlarmReply(ReplyAction.SNOOZE, 7, 1800.0)),
        ("2 1小时 7", AlarmReply(ReplyAction.SNOOZE, 7, 3600.0)),
        ("2 0", AlarmReply(ReplyAction.SNOOZE, None, 60.0)),
        ("2 9999", AlarmReply(ReplyAction.SNOOZE, None, 86400.0)),
        ("3", AlarmReply(ReplyAction.PASS_ON)),
        ("3 7", AlarmReply(ReplyAction.PASS_ON, 7)),
        ("230", None),
        ("11", None),
        ("4", None),
        ("1 30分", None),
        ("1 2 3", None),
        ("2 30 bananas", None),
        ("T", None),
        ("1 dollar", None),
        ("", None),
    ],
)
def test_replies(text: str, expected: AlarmReply | None) -> None:
    assert parse_reply(text) == expected


def test_reply_finds_its_alarm_by_extension_or_number() -> None:
    first = DutyAlarm("a", "g", 7, "Smoke", START, texted=["dad"])
    second = DutyAlarm("b", "g", 8, "Water", START, extension="105", texted=["dad"])
    third = DutyAlarm("c", "g", 9, "Gas", START, texted=["dad", "mum"])
    closed = DutyAlarm("d", "g", 10, "Old", START, texted=["dad"], closed_at=START)
    alarms = [first, second, third, closed]
    now = START + 5
    assert find_alarms(alarms, "dad", "105", None, now) == [second]
    assert find_alarms(alarms, "dad", "", 7, now) == [first]
    assert find_alarms(alarms, "dad", "105", 7, now) == [first], "an answer to the question which alarm is meant"
    assert find_alarms(alarms, "dad", "105", 99, now) == [second]
    assert find_alarms(alarms, "dad", "55", None, now) == [first, third]
    assert find_alarms(alarms, "dad", "", None, now) == [first, second, third], "a carrier can drop the extension"
    assert find_alarms(alarms, "mum", "", None, now) == [third]
    assert find_alarms(alarms, "mum", "105", None, now) == [third], "she was not texted with the extension"
    assert find_alarms(alarms, "ann", "", 7, now) == []
    assert find_alarms(alarms, "dad", "", 7, START - 60) == [], "the reply came before the alarm"


def test_names_in_titles() -> None:
    names = {"dad": "Ann", "mum": "Anna", "son": "小王", "nobody": " "}
    assert named_members(names, ["Night shift: ANNA"]) == ["mum"]
    assert named_members(names, ["Anna & Ann"]) == ["dad", "mum"]
    assert named_members(names, ["值班：小王", "ann"]) == ["dad", "son"]
    assert named_members(names, ["Cleaning"]) == []


def test_duty_period_ends_when_the_next_one_begins() -> None:
    period = DutyPeriod(START, START + 60, "Ann")
    assert period.contains(START)
    assert not period.contains(START + 60)
