"""Replies to alarms: 1 acknowledges, 2 and minutes snooze, 3 passes on; and which alarm a reply is about."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ...conversation.engine import Answers, is_opt_out, visible
from .alarm import DutyAlarm

DEFAULT_SNOOZE: Final = 10 * 60.0  # seconds, for a 2 alone
_MAX_SNOOZE: Final = 24 * 3600.0
_BETWEEN: Final = r"[\s,.;:、。，；：\-–—#＃]+"
_REPLY: Final = re.compile(
    rf"(?P<action>[123])(?:{_BETWEEN}(?P<first>\d{{1,4}})\s*(?P<unit>[a-z]+|[一-鿿]+)?"
    rf"(?:{_BETWEEN}(?P<second>\d{{1,4}}))?)?[\s.!。！]*"
)
_UNITS: Final = {
    **dict.fromkeys(("", "m", "min", "mins", "minute", "minutes", "分", "分钟", "分鐘"), 60.0),
    **dict.fromkeys(("h", "hour", "hours", "时", "小时", "小時", "个小时", "钟头"), 3600.0),
}
_WORDS: Final = Answers([("acknowledged", [])])


class ReplyAction(StrEnum):
    """What a reply asks for."""

    ACKNOWLEDGE = "acknowledge"
    SNOOZE = "snooze"
    PASS_ON = "pass_on"  # noqa: S105 - no password


_ACTIONS: Final = {"1": ReplyAction.ACKNOWLEDGE, "2": ReplyAction.SNOOZE, "3": ReplyAction.PASS_ON}


@dataclass(frozen=True, slots=True)
class AlarmReply:
    """A reply. number: of the alarm, None if the reply names none. seconds: of a snooze."""

    action: ReplyAction
    number: int | None = None
    seconds: float = DEFAULT_SNOOZE


def parse_reply(text: str) -> AlarmReply | None:
    """Return what a reply asks for, None if it is no reply to an alarm.

    "1 7", "2 30 7" and "3 7" name the alarm 7. "2 30", "2 30分" and "2 1小时" are times of a snooze.
    Words such as 收到 acknowledge, too.
    """
    if is_opt_out(text):
        return None
    found = _REPLY.fullmatch(visible(text).strip().casefold())
    if found is None:
        return AlarmReply(ReplyAction.ACKNOWLEDGE) if _WORDS.match(text)[0] else None
    action, unit = _ACTIONS[found["action"]], found["unit"] or ""
    first, second = (int(found[name]) if found[name] else None for name in ("first", "second"))
    if action is not ReplyAction.SNOOZE:
        return None if unit or second is not None else AlarmReply(action, first)
    if unit not in _UNITS:
        return None
    seconds = DEFAULT_SNOOZE if first is None else first * _UNITS[unit]
    return AlarmReply(action, second, min(max(seconds, 60.0), _MAX_SNOOZE))


def find_alarms(
    alarms: Iterable[DutyAlarm], member: str, extension: str, number: int | None, received_at: float
) -> Sequence[DutyAlarm]:
    """Return the alarms that a reply of a member can be about: one if it is clear, several if it is not.

    Only alarms count that were texted to the member before the reply came. extension: that the reply was sent to; the
    question which alarm is meant can have that of another one, so the number precedes it.
    """
    texted = [one for one in alarms if one.is_open and member in one.texted and one.raised_at <= received_at + 1.0]
    numbered = [alarm for alarm in texted if number is not None and alarm.number == number]
    if numbered:
        return numbered
    own = [alarm for alarm in texted if alarm.extension is not None and alarm.extension == extension]
    if own:
        return own[-1:]
    if number is not None:
        return []
    return [alarm for alarm in texted if alarm.extension is None or not extension]
