"""Applies replies by SMS to alarms: only of members who were texted about the alarm."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.util import dt as dt_util

from ..client.bounded import BoundedDict
from ..const import DOMAIN
from .engine import AlarmReply, DutyAlarm, LoggedStep, ReplyAction, find_alarms, parse_reply
from .engine.escalation import acknowledge, snooze
from .groups import escalation_plan
from .manager import AlarmManager

_ASK_PAUSE: Final = 60.0  # seconds between two questions to one member which alarm is meant


class AlarmReplyHandler:
    """Finds the alarm of each reply and changes it."""

    def __init__(self, hass: HomeAssistant, manager: AlarmManager) -> None:
        self._hass = hass
        self._manager = manager
        self._asked: BoundedDict[str, float] = BoundedDict(100)

    @callback
    def process_reply(
        self, message: dict[str, Any], is_question_open: Callable[[str], bool]
    ) -> asyncio.Future[None] | None:
        """Apply a reply; see `AlarmReplies`."""
        member, alarms = message["subentry_id"], self._manager.open_alarms()
        if member is None or not alarms or (reply := parse_reply(message["content"])) is None:
            return None
        extension = message["extension"]
        received_at = datetime.fromisoformat(message["received_at"]).timestamp()
        found = list(find_alarms(alarms, member, extension, reply.number, received_at))
        by_extension = any(alarm.extension is not None and alarm.extension == extension for alarm in found)
        if not by_extension and self._is_about_question(message, reply, is_question_open):
            return None
        if len(found) == 1:
            return self._apply(found[0], reply, message)
        candidates = found or find_alarms(alarms, member, extension, None, received_at)
        if candidates and not message["redelivered"]:
            self._ask_which(member, list(candidates))
        return None

    def _is_about_question(
        self, message: dict[str, Any], reply: AlarmReply, is_question_open: Callable[[str], bool]
    ) -> bool:
        """Return whether a reply answers a question: its extension is a question's, or it names no alarm."""
        questions = self._manager.entry.runtime_data.conversation.questions
        of_questions = questions.extensions_of(message["number"]) - questions.reserved
        return message["extension"] in of_questions or (reply.number is None and is_question_open(message["number"]))

    def _apply(self, alarm: DutyAlarm, reply: AlarmReply, message: dict[str, Any]) -> asyncio.Future[None]:
        """Apply a reply to an alarm, once; a push that is repeated changes nothing more."""
        by = message["recipient"]
        message["alarm"] = alarm.id
        # Some gateways give each reply to a text the id of that text.
        is_new = alarm.note_reply(f"{message['id']} {message['plain']}")

        def change(now: float) -> LoggedStep | None:
            if not is_new:
                return None
            if reply.action is ReplyAction.ACKNOWLEDGE:
                step = acknowledge(alarm, now, by, message["subentry_id"])
            elif reply.action is ReplyAction.SNOOZE:
                step = snooze(alarm, now, reply.seconds, by)
            else:
                entry = self._manager.entry
                plan = escalation_plan(entry, entry.subentries[alarm.group])
                step = plan.pass_on(alarm, now, message["subentry_id"], by)
            message["already_answered"] = step is None
            return step

        return self._manager.apply(alarm, change)

    def _ask_which(self, member: str, alarms: list[DutyAlarm]) -> None:
        now = dt_util.utcnow().timestamp()
        if now - self._asked.get(member, 0.0) < _ASK_PAUSE:
            return
        self._asked[member] = now
        self._hass.async_create_task(self._manager.async_ask_which(member, alarms), f"{DOMAIN} which alarm")
