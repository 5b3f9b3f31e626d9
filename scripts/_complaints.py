"""Reads the log of a Home Assistant that ran as a program for what speaks against the integration.

That is what Home Assistant says of an integration that uses it wrongly, or by ways that will end; an error of ours; a
traceback through our code. That the platform did not answer speaks against nobody.
"""

from __future__ import annotations

import re
from typing import Iterator

# The first line of a record: its time, its level, and whose it is; those that follow belong to it.
RECORD = re.compile(r"\d{4}-\d\d-\d\d [\d:.]+ (?P<level>[A-Z]+) \([^)]*\) \[(?P<logger>[^]]*)\]")
OURS = "sms1680"
SPEAKS_AGAINST = re.compile(r"Detected that|deprecat|will stop working|will be removed", re.IGNORECASE)
TRACEBACK = "Traceback (most recent call last)"
UNANSWERED = "Error fetching sms1680 balance data"  # said in our name by Home Assistant itself
TOLD = "\nhomeassistant.exceptions."  # what an action tells its caller, of which older ones log a traceback
OUR_CODE = re.compile(r'File "[^"]*custom_components/sms1680/')


def complaints(log: str) -> list[str]:
    """Returns the records that speak against the integration."""
    return [record for record in records(log) if is_complaint(record)]


def records(log: str) -> Iterator[str]:
    """Yields a log's records with all of their lines; what is none (a warning of Python's) belongs to the former."""
    lines: list[str] = []
    for line in log.splitlines():
        if RECORD.match(line) and lines:
            yield "\n".join(lines)
            lines = []
        lines.append(line)
    if lines:
        yield "\n".join(lines)


def is_complaint(record: str) -> bool:
    """Tells whether a record speaks against the integration."""
    head = RECORD.match(record)
    level, logger = (head["level"], head["logger"]) if head else ("", "")
    if level != "DEBUG" and TRACEBACK in record and OUR_CODE.search(record) and TOLD not in record:
        return True
    if level in ("ERROR", "CRITICAL") and OURS in logger:
        return UNANSWERED not in record
    return any(OURS in line and SPEAKS_AGAINST.search(line) for line in record.splitlines())
