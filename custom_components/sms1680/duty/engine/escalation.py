"""The transitions of an alarm: each changes it, fills its outbox, and returns the step that it made.

An unacknowledged alarm texts those on duty, after a while the next member, then all, and repeats that until its time is
over. Each level is reached one after the other, also after a long downtime, and every member is texted before the alarm
is given up as unanswered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .alarm import AlarmState, AlarmStep, DutyAlarm, Level, LoggedStep, TextKind

# Seconds between two texts about an alarm whose text changes.
ADDITION_PAUSE: Final = 300.0
# Seconds after which an acknowledged alarm is resolved by itself, and an unanswered one.
ACKNOWLEDGED_FOR: Final = 24 * 3600.0
UNANSWERED_FOR: Final = 7 * 24 * 3600.0
# Seconds that an alarm is late after a downtime.
_LATE: Final = 60.0


@dataclass(frozen=True, slots=True)
class EscalationPlan:
    """How the alarms of a group escalate. Times are in seconds.

    members: in order. next_after: until the next member is texted. all_after: from then until all are. repeat_every: 0
    for no repetition. repeat_for: since the alarm was raised.
    """

    members: tuple[str, ...]
    next_after: float
    all_after: float
    repeat_every: float
    repeat_for: float

    # --- what time brings ---

    def begin(self, alarm: DutyAlarm, now: float, on_duty: Sequence[str]) -> LoggedStep:
        """Text those on duty, or all if nobody is on duty."""
        alarm.state, alarm.level, alarm.began = AlarmState.OPEN, Level.ON_DUTY, now
        alarm.texted, alarm.passed = [], []
        alarm.by = alarm.taker = alarm.until = None
        members = self._known(on_duty) or list(self.members)
        return self._text(alarm, now, AlarmStep.RAISED, members)

    def advance(self, alarm: DutyAlarm, now: float, on_duty: Sequence[str]) -> LoggedStep | None:
        """Act on an alarm that is due; return None if it is not."""
        if alarm.due is None or now < alarm.due or not alarm.is_open:
            return None
        if alarm.state is AlarmState.ACKNOWLEDGED:
            return self._advance_acknowledged(alarm, now)
        if alarm.state is AlarmState.UNANSWERED:
            return resolve(alarm, now)
        if alarm.state is AlarmState.SNOOZED:
            alarm.state, alarm.until = AlarmState.OPEN, None
            alarm.escalate_at = self._escalates_at(alarm, now)
            awake = [*self._current(alarm), *self._newly_on_duty(alarm, on_duty)]
            return self._text(alarm, now, AlarmStep.REPEATED, self._known(awake))
        if (step := self.hand_over(alarm, now, on_duty)) is not None:
            return step
        if alarm.escalate_at is not None and now >= alarm.escalate_at:
            return self._escalate(alarm, now, AlarmStep.ESCALATED)
        late = now - alarm.due > _LATE
        ends = alarm.level is Level.ALL and now >= alarm.began + self.repeat_for
        if alarm.new_text or (self.repeat_every and (late or not ends)):
            if ends:
                alarm.began = now + self.repeat_every - self.repeat_for
            return self._text(alarm, now, AlarmStep.REPEATED, self._current(alarm))
        if ends:
            alarm.state, alarm.due = AlarmState.UNANSWERED, now + UNANSWERED_FOR
            return _log(alarm, LoggedStep(now, AlarmStep.UNANSWERED))
        self._plan(alarm, now)
        return None

    def hand_over(self, alarm: DutyAlarm, now: float, on_duty: Sequence[str]) -> LoggedStep | None:
        """Text those who have come on duty since; return None if there are none, or if nobody is texted now."""
        new = self._newly_on_duty(alarm, on_duty)
        if alarm.state is not AlarmState.OPEN or not new:
            return None
        return self._text(alarm, now, AlarmStep.HANDED_OVER, new)

    def not_reached(self, alarm: DutyAlarm, now: float) -> None:
        """Begin the next level now, because no text of this one could be sent."""
        if alarm.state is AlarmState.OPEN and alarm.escalate_at is not None:
            alarm.escalate_at = alarm.due = now

    # --- what people do ---

    def add(self, alarm: DutyAlarm, now: float, text: str, on_duty: Sequence[str]) -> LoggedStep:
        """Raise an open alarm again. A new text goes out with the next repetition, or after a pause."""
        alarm.count += 1
        is_new, alarm.text = text != alarm.text, text
        if alarm.state is AlarmState.UNANSWERED:
            return self.begin(alarm, now, on_duty)
        if alarm.state is AlarmState.ACKNOWLEDGED:
            alarm.due = alarm.until = now + ACKNOWLEDGED_FOR
        if is_new or alarm.new_text:
            alarm.new_text = True
            if alarm.state is not AlarmState.SNOOZED:
                soon = max(now, alarm.last_texted + ADDITION_PAUSE)
                alarm.due = soon if alarm.due is None else min(alarm.due, soon)
        return _log(alarm, LoggedStep(now, AlarmStep.ADDED))

    def pass_on(self, alarm: DutyAlarm, now: float, member: str, by: str) -> LoggedStep | None:
        """Text the next member instead of this one; return None if the alarm is not texting anybody."""
        if alarm.state not in (AlarmState.OPEN, AlarmState.SNOOZED):
            return None
        alarm.state, alarm.until = AlarmState.OPEN, None
        if member not in alarm.passed:
            alarm.passed.append(member)
        return self._escalate(alarm, now, AlarmStep.PASSED_ON, by)

    # --- details ---

    def _escalate(self, alarm: DutyAlarm, now: float, step: AlarmStep, by: str | None = None) -> LoggedStep:
        """Text the next member, or all if there is none, or if all are the next level."""
        untexted = self._untexted(alarm)
        passes_on = step is AlarmStep.PASSED_ON
        if untexted and (alarm.level is Level.ON_DUTY or passes_on):
            alarm.level = max(alarm.level, Level.NEXT)
            return self._text(alarm, now, step, self._next_of(alarm, untexted), by)
        if passes_on and alarm.level is Level.ALL:
            self._plan(alarm, now)
            return _log(alarm, LoggedStep(now, step, (), by))
        alarm.level = Level.ALL
        return self._text(alarm, now, step if passes_on else AlarmStep.ESCALATED_TO_ALL, self._current(alarm), by)

    def _next_of(self, alarm: DutyAlarm, untexted: list[str]) -> list[str]:
        """Return the next member in order after the one that was texted last."""
        places = [self.members.index(member) for member in alarm.texted if member in self.members]
        last = places[-1] if places else -1
        return [next((one for one in untexted if self.members.index(one) > last), untexted[0])]

    def _text(
        self, alarm: DutyAlarm, now: float, step: AlarmStep, members: list[str], by: str | None = None
    ) -> LoggedStep:
        alarm.texted += [member for member in members if member not in alarm.texted]
        # A text that is still waiting in the outbox is not doubled.
        waiting = {text.member for text in alarm.outbox}
        alarm.queue_texts([member for member in members if member not in waiting], TextKind.ALARM)
        alarm.last_texted, alarm.new_text = now, False
        if step is AlarmStep.RAISED and not self._untexted(alarm):
            alarm.level = Level.ALL
        if step is not AlarmStep.REPEATED:
            alarm.escalate_at = self._escalates_at(alarm, now)
        self._plan(alarm, now)
        return _log(alarm, LoggedStep(now, step, tuple(members), by))

    def _escalates_at(self, alarm: DutyAlarm, now: float) -> float | None:
        if alarm.level is Level.ALL:
            return None
        return now + (self.next_after if alarm.level is Level.ON_DUTY else self.all_after)

    def _plan(self, alarm: DutyAlarm, now: float) -> None:
        """Set when to act next."""
        end = max(now + 1.0, alarm.began + self.repeat_for)
        times = [end if alarm.level is Level.ALL else None, alarm.escalate_at]
        if self.repeat_every:
            times.append(alarm.last_texted + self.repeat_every)
        if alarm.new_text:
            times.append(alarm.last_texted + ADDITION_PAUSE)
        alarm.due = min(time for time in times if time is not None)

    def _advance_acknowledged(self, alarm: DutyAlarm, now: float) -> LoggedStep | None:
        """Text whoever took the alarm what was added to it, or resolve it after a day."""
        if not alarm.new_text:
            return resolve(alarm, now)
        alarm.due, alarm.new_text, alarm.last_texted = alarm.until, False, now
        members = [alarm.taker] if alarm.taker in self.members else self._known(alarm.texted)
        waiting = {text.member for text in alarm.outbox if text.kind is TextKind.ALARM}
        alarm.queue_texts([one for one in members if one not in waiting], TextKind.ALARM)
        return _log(alarm, LoggedStep(now, AlarmStep.REPEATED, tuple(members)))

    def _newly_on_duty(self, alarm: DutyAlarm, on_duty: Sequence[str]) -> list[str]:
        return [member for member in self._known(on_duty) if member not in (*alarm.texted, *alarm.passed)]

    def _known(self, members: Sequence[str]) -> list[str]:
        return [member for member in self.members if member in members]

    def _untexted(self, alarm: DutyAlarm) -> list[str]:
        return [member for member in self.members if member not in alarm.texted]

    def _current(self, alarm: DutyAlarm) -> list[str]:
        """Return the members of the current level, without those who passed the alarm on, unless all have."""
        everybody = list(self.members) if alarm.level is Level.ALL else self._known(alarm.texted)
        return [member for member in everybody if member not in alarm.passed] or everybody


def acknowledge(alarm: DutyAlarm, now: float, by: str | None, taker: str | None = None) -> LoggedStep | None:
    """Stop the texting, and let everyone who was texted know; return None if the alarm was acknowledged before.

    An alarm with a key stays open until it is resolved, so that it can be raised again without starting again.
    """
    if not alarm.is_open or alarm.state is AlarmState.ACKNOWLEDGED:
        return None
    alarm.state, alarm.by, alarm.taker = AlarmState.ACKNOWLEDGED, by, taker
    alarm.escalate_at, alarm.new_text = None, False
    alarm.due = alarm.until = now + ACKNOWLEDGED_FOR
    _drop_alarm_texts(alarm)
    alarm.queue_texts(alarm.texted, TextKind.TAKEN)
    if alarm.key is None:
        alarm.closed_at, alarm.due = now, None
    return _log(alarm, LoggedStep(now, AlarmStep.ACKNOWLEDGED, tuple(alarm.texted), by))


def snooze(alarm: DutyAlarm, now: float, seconds: float, by: str) -> LoggedStep | None:
    """Stop the texting for a while; return None if the alarm is not texting anybody."""
    if alarm.state not in (AlarmState.OPEN, AlarmState.SNOOZED):
        return None
    until = now + seconds
    alarm.began += until - max(now, alarm.until or 0.0)
    alarm.state, alarm.due, alarm.until = AlarmState.SNOOZED, until, until
    _drop_alarm_texts(alarm)
    return _log(alarm, LoggedStep(now, AlarmStep.SNOOZED, (), by, until))


def resolve(alarm: DutyAlarm, now: float, by: str | None = None) -> LoggedStep | None:
    """Close the alarm; return None if it is closed."""
    if not alarm.is_open:
        return None
    alarm.state, alarm.closed_at = AlarmState.RESOLVED, now
    alarm.due = alarm.escalate_at = alarm.until = None
    _drop_alarm_texts(alarm)
    return _log(alarm, LoggedStep(now, AlarmStep.RESOLVED, (), by))


def shift_times(alarm: DutyAlarm, seconds: float) -> None:
    """Move the times of an alarm with a clock that was set."""
    alarm.raised_at += seconds
    alarm.began += seconds
    alarm.last_texted += seconds
    alarm.due = None if alarm.due is None else alarm.due + seconds
    alarm.escalate_at = None if alarm.escalate_at is None else alarm.escalate_at + seconds
    alarm.until = None if alarm.until is None else alarm.until + seconds


def _drop_alarm_texts(alarm: DutyAlarm) -> None:
    """Remove the texts that were not sent yet: they are out of date."""
    alarm.outbox = [text for text in alarm.outbox if text.kind is not TextKind.ALARM]


def _log(alarm: DutyAlarm, step: LoggedStep) -> LoggedStep:
    alarm.log(step)
    return step
