"""What people and this house say to each other by SMS: answers to questions, opting out, commands that can be trusted.

Pure logic: knows nothing of Home Assistant, reads no clock that was not handed in.
"""

from __future__ import annotations

from .answers import Answers, InvalidAnswerError
from .extensions import ExtensionRange, Extensions, InvalidRangeError
from .memory import Memory
from .questions import Desk, Heard, NoAnswer, Part, Question, State
from .texts import is_opt_out, plain

__all__ = [
    "Answers",
    "Desk",
    "ExtensionRange",
    "Extensions",
    "Heard",
    "InvalidAnswerError",
    "InvalidRangeError",
    "Memory",
    "NoAnswer",
    "Part",
    "Question",
    "State",
    "is_opt_out",
    "plain",
]
