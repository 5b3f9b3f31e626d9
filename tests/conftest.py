"""Fixtures of every test: its own state folder, and a check that no log contains a secret."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.log_watch import OURS, PASSWORDS, LogWatch

from sms1680.sandbox import records


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide an empty folder for the machine-wide state of the test and its processes."""
    folder = tmp_path / "sms1680-state"
    monkeypatch.setenv("SMS1680_STATE_DIR", str(folder))
    return folder


@pytest.fixture(autouse=True)
def log_watch() -> Iterator[LogWatch]:
    """Fail a test if any log contains a password, a full number or a text that the sandbox sent or received."""
    watch = LogWatch(PASSWORDS)
    loggers = [logging.getLogger(name) for name in OURS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    logging.getLogger().addHandler(watch)
    with pytest.MonkeyPatch.context() as patch:
        for kind in (records.Message, records.Uplink):
            patch.setattr(kind, "__init__", watch.watching(kind.__init__, "text"))
        yield watch
    logging.getLogger().removeHandler(watch)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    leaks = watch.leaks()
    assert not leaks, f"{len(leaks)} log lines contain a secret, the first: {leaks[0]}"
