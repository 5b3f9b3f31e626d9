"""Counts the work of our code: calls and jumps of its bytecode, so that a test finds a quadratic without a clock."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

MISSING = "" if sys.version_info >= (3, 12) else "needs Python 3.12 or later"
_PATHS = ("custom_components/sms1680", "apprise_plugin")


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the calls and jumps in each function of the project, and yield the counter."""
    monitoring: Any = getattr(sys, "monitoring")  # noqa: B009 - mypy checks this file for Python 3.11 too
    work: Counter[str] = Counter()

    def count(code: CodeType, *_: object) -> Any:
        if not any(path in code.co_filename for path in _PATHS):
            return monitoring.DISABLE
        work[f"{code.co_filename.rpartition('sms1680/')[2]}:{code.co_qualname}"] += 1
        return None

    tool, events = 4, monitoring.events.PY_START | monitoring.events.JUMP
    monitoring.use_tool_id(tool, "sms1680 work")
    for event in (monitoring.events.PY_START, monitoring.events.JUMP):
        monitoring.register_callback(tool, event, count)
    monitoring.set_events(tool, events)
    try:
        yield work
    finally:
        monitoring.set_events(tool, 0)
        for event in (monitoring.events.PY_START, monitoring.events.JUMP):
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)
        monitoring.restart_events()
