"""Watch every logger during a test for passwords, full numbers and the texts of messages, in any usual encoding."""

from __future__ import annotations

import functools
import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from support.readings import base64_reading, readings

# The secrets of the tests and of the sandbox's accounts.
PASSWORDS = ("demo1680", "s3cret-Passw0rd", "webhook-id-of-the-tests", "push-secret-of-the-tests")
# Loggers that are watched at every level. The others are watched at the level that the test's host sets.
OURS = ("sms1680", "custom_components.sms1680", "apprise", "httpx", "httpcore", "urllib3", "requests")
# Loggers that quote events, states and variables as they are, below WARNING. Home Assistant logs nothing below it by
# default.
QUOTING = (
    "homeassistant.components.alert",
    "homeassistant.components.automation",
    "homeassistant.components.conversation",
    "homeassistant.components.ollama",
    "homeassistant.components.recorder",
    "homeassistant.components.script",
    "homeassistant.helpers.event",
    "homeassistant.helpers.script",
    "pytest_homeassistant_custom_component.common",
    "sqlalchemy.engine",
)
QUOTING_HOSTS = ("changedetectionio.notification.handler",)  # it logs the URLs that it notifies
NUMBER = re.compile(r"(?<!\d)(?<!\d\.)(?:86)?1[3-9]\d{9}(?!\d)")
# Our log messages are never Chinese, but most texts are.
CHINESE = re.compile(r"[\u4e00-\u9fff]")
SHORTEST_TEXT = 12  # characters; a shorter English text, such as `accepted`, is also a word of the logs


def is_among(logger: str, names: Iterable[str]) -> bool:
    """Return whether a logger has one of these names, or is below it."""
    return any(logger == name or logger.startswith(f"{name}.") for name in names)


class LogWatch(logging.Handler):
    """Keeps the log lines of one test, and the secrets that the test uses."""

    def __init__(self, passwords: Iterable[str]) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.lines: list[tuple[bool, str]] = []  # whether one of our loggers wrote it, and the line
        self._passwords = [form for word in passwords for form in (word, hashlib.md5(word.encode()).hexdigest())]
        self._texts: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING and is_among(record.name, QUOTING):
            return
        ours = is_among(record.name, OURS)
        self.lines.append((ours, self.format(record)))  # with its traceback, if it has one

    def add_output(self, output: str) -> None:
        """Add what a program printed, but for the lines in which a host program quotes its settings."""
        self.lines += [(False, line) for line in output.splitlines() if not any(host in line for host in QUOTING_HOSTS)]

    def add_text(self, value: object) -> None:
        """Add the texts in a message, a push or the data of a call: each line of each string."""
        if isinstance(value, Mapping):
            value = value.values()
        elif isinstance(value, str):
            lines = (line.strip() for line in value.splitlines())
            self._texts.update(line for line in lines if CHINESE.search(line) or len(line) >= SHORTEST_TEXT)
            return
        if isinstance(value, Iterable):
            for item in value:
                self.add_text(item)

    def leaks(self) -> list[str]:
        """Return the lines that contain a secret in any encoding, each with the name of the secret's kind."""
        lines = dict.fromkeys(self.lines)
        # One search of the whole log is much faster than one of each line, and nearly every log is clean.
        if not self._kinds("\n".join(line for ours, line in lines if ours), ours=True) and not self._kinds(
            "\n".join(line for ours, line in lines if not ours), ours=False
        ):
            return []
        return [f"{kind}: {line}" for ours, line in lines for kind in self._kinds(line, ours=ours)]

    def _kinds(self, log: str, *, ours: bool) -> list[str]:
        """Return the kinds of the secrets in a log. ours: one of our loggers wrote it."""
        found: dict[str, None] = {}
        for text in readings(log):
            found |= dict.fromkeys(self._found(text))
        if ours and CHINESE.search(log):
            found["Chinese"] = None
        found |= dict.fromkeys(self._found(base64_reading(log)))
        return list(found)

    def _found(self, text: str) -> Iterator[str]:
        if any(password in text for password in self._passwords):
            yield "a password"
        if NUMBER.search(text):
            yield "a full number"
        if not text.isascii():
            chinese = "\n".join(line for line in text.split("\n") if not line.isascii())
            if any(one in chinese for one in self._texts if not one.isascii()):
                yield "a text"
                return
        if any(one in text for one in self._texts if one.isascii()):
            yield "a text"

    def watching(self, method: Callable[..., Any], *fields: str) -> Callable[..., Any]:
        """Return a method, usually `__init__`, that adds these attributes of its object after each call."""

        @functools.wraps(method)
        def call(target: object, *args: Any, **kwargs: Any) -> Any:
            returned = method(target, *args, **kwargs)
            for name in fields:
                self.add_text(getattr(target, name))
            return returned

        return call
