"""Counts the work of our code: calls and jumps of its bytecode, so that a test finds a quadratic without a clock."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

_PATHS = ("custom_components/sms1680", "apprise_plugin")


def _is_ours(code: CodeType) -> bool:
    return any(path in code.co_filename for path in _PATHS)


def _name(code: CodeType) -> str:
    return f"{code.co_filename.rpartition('sms1680/')[2]}:{code.co_qualname}"


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the calls and jumps in each function of the project, and yield the counter.

    Python 3.11 counts the lines that it runs instead; a loop in one line is as many lines as it has turns.
    """
    work: Counter[str] = Counter()
    with _lines(work) if sys.version_info < (3, 12) else _jumps(work):
        yield work


@contextmanager
def _jumps(work: Counter[str]) -> Iterator[None]:
    monitoring: Any = getattr(sys, "monitoring")  # noqa: B009 - mypy checks this file for Python 3.11 too

    def count(code: CodeType, *_: object) -> Any:
        if not _is_ours(code):
            return monitoring.DISABLE
        work[_name(code)] += 1
        return None

    tool, events = 4, monitoring.events.PY_START | monitoring.events.JUMP
    monitoring.use_tool_id(tool, "sms1680 work")
    for event in (monitoring.events.PY_START, monitoring.events.JUMP):
        monitoring.register_callback(tool, event, count)
    monitoring.set_events(tool, events)
    try:
        yield
    finally:
        monitoring.set_events(tool, 0)
        for event in (monitoring.events.PY_START, monitoring.events.JUMP):
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)
        monitoring.restart_events()


@contextmanager
def _lines(work: Counter[str]) -> Iterator[None]:
    def count(frame: FrameType, event: str, _: object) -> Any:
        if not _is_ours(frame.f_code):
            return None
        if event == "line":
            work[_name(frame.f_code)] += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(before)
