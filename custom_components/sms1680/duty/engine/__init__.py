"""The state of alarms, the replies to them, and who is on duty.

Pure logic: it imports no Home Assistant, reads no clock and sends nothing. The caller stores the state before it acts.
"""

from .alarm import AlarmState, AlarmStep, AlarmText, DutyAlarm, LoggedStep, TextKind
from .escalation import EscalationPlan
from .replies import AlarmReply, ReplyAction, find_alarms, parse_reply
from .rota import DutyPeriod, named_members

__all__ = [
    "AlarmReply",
    "AlarmState",
    "AlarmStep",
    "AlarmText",
    "DutyAlarm",
    "DutyPeriod",
    "EscalationPlan",
    "LoggedStep",
    "ReplyAction",
    "TextKind",
    "find_alarms",
    "named_members",
    "parse_reply",
]
