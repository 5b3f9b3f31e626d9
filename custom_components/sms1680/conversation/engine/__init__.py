"""Conversations by SMS: answers to questions, opting out, and authenticated commands.

Pure logic: it imports no Home Assistant, and the caller provides the clock.
"""

from .answers import Answers, InvalidAnswerError
from .extensions import ExtensionRange, Extensions, InvalidRangeError
from .memory import QuestionHistory
from .questions import AnswerMatch, NoAnswer, Prompt, PromptState, Question, QuestionManager
from .texts import is_opt_out, plain, visible

__all__ = [
    "AnswerMatch",
    "Answers",
    "ExtensionRange",
    "Extensions",
    "InvalidAnswerError",
    "InvalidRangeError",
    "NoAnswer",
    "Prompt",
    "PromptState",
    "Question",
    "QuestionHistory",
    "QuestionManager",
    "is_opt_out",
    "plain",
    "visible",
]
