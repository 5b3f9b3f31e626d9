"""The texts that members get, in Home Assistant's language."""

from collections.abc import Iterable
from typing import Final

from ..account.journal import signature_of
from ..client.characters import clean
from ..client.long_text import room_of
from ..client.outcomes import Language
from ..client.text import units
from ..outbound.long_text import shorten_to
from ..recipients import Addressee
from .engine import DutyAlarm

_SHORT: Final = 40  # UTF-16 units of an alarm's text in texts about it
_REPLY: Final = (
    "Reply 1: I take it, 2 30: in 30 minutes, 3: next person",
    "回复1接手，2 30表示30分钟后再提醒，3转给下一位",
)
_NUMBERED_REPLY: Final = (
    "Alarm {0}. Reply 1 {0}: I take it, 2 30 {0}: in 30 minutes, 3 {0}: next person",
    "报警{0}：回复“1 {0}”接手，“2 30 {0}”30分钟后再提醒，“3 {0}”转给下一位",
)
_TAKEN: Final = ("{} takes the alarm: {}", "{}已接手：{}")
_SOMEBODY: Final = ("Somebody at Home Assistant", "已有人在Home Assistant上")
_WHICH: Final = ("Which alarm? {}. Reply for example: 1 {}", "是哪一个报警？{}。请回复例如：1 {}")


def alarm_text(alarm: DutyAlarm, addressee: Addressee, lang: Language) -> str:
    """Return the text of an alarm, cut so that the answers fit."""
    zh = lang == "zh"
    answers = _NUMBERED_REPLY[zh].format(alarm.number) if alarm.extension is None else _REPLY[zh]
    count = f" (×{alarm.count})" if alarm.count > 1 else ""
    end = f"{count}\n{answers}"
    return shorten_to(clean(alarm.text), room_of(signature_of(addressee.entry)) - units(end)) + end


def taken_text(alarm: DutyAlarm, lang: Language) -> str:
    """Return the text that says who took an alarm."""
    zh = lang == "zh"
    return _TAKEN[zh].format(alarm.by or _SOMEBODY[zh], _short(alarm))


def which_text(alarms: Iterable[DutyAlarm], lang: Language) -> str:
    """Return the question which of several alarms a reply was about."""
    alarms = list(alarms)
    listed = ("；" if lang == "zh" else "; ").join(f"{alarm.number} {_short(alarm)}" for alarm in alarms[-5:])
    return _WHICH[lang == "zh"].format(listed, alarms[-1].number)


def _short(alarm: DutyAlarm) -> str:
    return shorten_to(" ".join(clean(alarm.text).split()), _SHORT)
