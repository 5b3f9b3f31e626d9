"""Fixtures of every test: its own state folder, and a check that no log contains a secret."""

import hashlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

LOGGERS = ("sms1680", "custom_components.sms1680", "apprise", "httpx", "httpcore", "urllib3", "requests")
DEMO_PASSWORD = "demo1680"
SECRETS = {
    "a password": re.compile(f"{DEMO_PASSWORD}|{hashlib.md5(DEMO_PASSWORD.encode()).hexdigest()}"),
    "a full number": re.compile(r"(?<!\d)(?:86)?1[3-9]\d{9}(?!\d)"),
    # The tests' texts are Chinese, and our log messages never are.
    "a text": re.compile(r"[\u4e00-\u9fff]"),
}


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide an empty folder for the machine-wide state of the test and its processes."""
    folder = tmp_path / "sms1680-state"
    monkeypatch.setenv("SMS1680_STATE_DIR", str(folder))
    return folder


class Ear(logging.Handler):
    """Record the log lines that contain a secret."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)  # with its traceback, if it has one
        self.heard += [f"{what}: {line}" for what, secret in SECRETS.items() if secret.search(line)]


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """Fail a test if our log or httpx's contains a password, a full number or a text."""
    ear = Ear()
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(ear)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(ear)
        logger.setLevel(level)
    assert not ear.heard, f"{len(ear.heard)} log lines hold a secret, the first: {ear.heard[0]}"
