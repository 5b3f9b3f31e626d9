"""The watch over the logs of every test finds passwords, full numbers and texts, and nothing else."""

import hashlib
import logging

import pytest
from support.log_watch import LogWatch

TEXT = "the back door is open"


def record(name: str, message: str, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, message, (), None)


@pytest.fixture
def watch() -> LogWatch:
    made = LogWatch(["hunter2-of-the-test"])
    made.add_text({"message": TEXT, "rows": [{"values": ["水浸"]}]})
    return made


@pytest.mark.parametrize(
    ("name", "message", "kind"),
    [
        ("homeassistant.core", f"Error executing service: message={TEXT}", "a text"),
        ("aiohttp.access", "GET /?content=水浸", "a text"),
        ("homeassistant.core", "to +8613800000001", "a full number"),
        ("httpx", "password=hunter2-of-the-test", "a password"),
        ("httpx", hashlib.md5(b"hunter2-of-the-test").hexdigest(), "a password"),
        ("custom_components.sms1680.inbound", "门", "Chinese"),
        ("homeassistant.components.script.x", "13800000001", "a full number"),
    ],
)
def test_secret_is_found_in_any_logger(watch: LogWatch, name: str, message: str, kind: str) -> None:
    watch.emit(record(name, message))
    assert watch.leaks() == [f"{kind}: {name} {message}"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("homeassistant.core", "Error executing service: <ServiceCall notify.sms (c:01): ****>"),
        ("sms1680", "138****0001: accepted"),
        ("homeassistant.setup", "设置完成"),
        ("homeassistant.core", "id 261122174648000001"),
    ],
)
def test_masked_line_is_no_leak(watch: LogWatch, name: str, message: str) -> None:
    watch.emit(record(name, message))
    assert watch.leaks() == []


def test_logger_that_quotes_below_warning_is_skipped(watch: LogWatch) -> None:
    watch.emit(record("homeassistant.components.script.x", TEXT, logging.INFO))
    assert watch.leaks() == []
    watch.add_output(f"fine\n{TEXT}\n")
    assert watch.leaks() == [f"a text: {TEXT}"]
