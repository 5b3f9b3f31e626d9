"""Search the logs of processes for complaints about the integration, and for passwords, whole numbers and texts.

A complaint is Home Assistant's warning about wrong or deprecated use, an error of ours, or a traceback through our
code. An error about a missing answer of the platform does not count.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

from support.log_watch import PASSWORDS, LogWatch

# The first line of a record: time, level, logger. The lines that follow belong to it.
RECORD = re.compile(r"\d{4}-\d\d-\d\d [\d:.]+ (?P<level>[A-Z]+) \([^)]*\) \[(?P<logger>[^]]*)\]")
OURS = "sms1680"
WARNING = re.compile(r"Detected that|deprecat|will stop working|will be removed", re.IGNORECASE)
TRACEBACK = "Traceback (most recent call last)"
NO_ANSWER = "Error fetching sms1680 balance data"  # Home Assistant logs this under our name
ACTION_ERROR = "\nhomeassistant.exceptions."  # meant for the caller of an action; older releases log its traceback
OUR_CODE = re.compile(r'File "[^"]*custom_components/sms1680/')


def complaints(log: str, texts: Iterable[str] = ()) -> list[str]:
    """Return the records that complain about the integration, then the lines with a secret in any usual encoding.

    texts: of the messages that the process sent or received.
    """
    watch = LogWatch(PASSWORDS)
    watch.add_text(texts)
    watch.add_output(log)
    return [*(record for record in records(log) if is_complaint(record)), *watch.leaks()]


def records(log: str) -> Iterator[str]:
    """Yield each record with all of its lines. A line that starts no record belongs to the one before it."""
    lines: list[str] = []
    for line in log.splitlines():
        if RECORD.match(line) and lines:
            yield "\n".join(lines)
            lines = []
        lines.append(line)
    if lines:
        yield "\n".join(lines)


def is_complaint(record: str) -> bool:
    """Return whether a record complains about the integration."""
    head = RECORD.match(record)
    level, logger = (head["level"], head["logger"]) if head else ("", "")
    if level != "DEBUG" and TRACEBACK in record and OUR_CODE.search(record) and ACTION_ERROR not in record:
        return True
    if level in ("ERROR", "CRITICAL") and OURS in logger:
        return NO_ANSWER not in record
    return any(OURS in line and WARNING.search(line) for line in record.splitlines())


def leaks(logs: Iterable[Path], secrets: Mapping[str, str]) -> list[str]:
    """Return the places of secrets, by name and not by content: `a password in home-assistant.log, line 7`."""
    wanted = {spelling.lower(): name for name, secret in secrets.items() for spelling in spellings(secret)}
    return [
        f"{name} in {log.name}, line {number}"
        for log in logs
        for number, line in enumerate(log.read_text("utf-8", "replace").lower().splitlines(), 1)
        for name in sorted({name for spelling, name in wanted.items() if spelling in line})
    ]


def spellings(secret: str) -> Iterator[str]:
    """Yield the forms of a secret in a log: plain, in a URL, in a form, in JSON, in the repr of bytes."""
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield repr(secret.encode("utf-8"))[2:-1]


def digests(password: str) -> list[str]:
    """Return a password and its MD5, the form that the wire carries."""
    return [password, hashlib.md5(password.encode()).hexdigest()]
