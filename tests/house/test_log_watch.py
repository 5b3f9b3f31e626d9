"""The watch over the logs of every test finds passwords, full numbers and texts, and nothing else."""

import hashlib
import logging
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

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


SECRETS = {"hunter2-of-the-test": "a password", TEXT: "a text", "水浸": "a text", "13800000001": "a full number"}
ENCODINGS: dict[str, Callable[[str], str]] = {
    "percent": lambda text: quote(text, safe=""),
    "percent, blanks as +": quote_plus,
    "percent, small": lambda text: quote(text, safe="").replace("%E", "%e"),
    "percent, each octet": lambda text: "".join(f"%{octet:02X}" for octet in text.encode()),
    "HTML": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "HTML, hexadecimal": lambda text: "".join(f"&#x{ord(letter):x};" for letter in text),
    **{
        f"Base64 after {before}": lambda text, before=before: b64encode(b"x" * before + text.encode()).decode()
        for before in range(6)
    },
    "Base64 without padding": lambda text: b64encode(text.encode()).decode().rstrip("="),
    "Base64 in an address": lambda text: urlsafe_b64encode(text.encode()).decode(),
    "Base64, three lines in one": lambda text: b64encode(f"{{'a':'{text}','b':1}}".encode()).decode(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("secret", SECRETS)
def test_encoded_secret_is_found(watch: LogWatch, secret: str, encoding: str) -> None:
    line = f"GET /?x={ENCODINGS[encoding](secret)}"
    watch.emit(record("aiohttp.access", "fine"))
    watch.emit(record("aiohttp.access", line))
    assert SECRETS[secret] in [leak.partition(":")[0] for leak in watch.leaks()]


def test_search_costs_little(watch: LogWatch) -> None:
    """Less than a record costs to be written."""
    for number in range(2000):
        watch.add_text(f"这是第 {number} 条短信")
    began = time.process_time()
    for number in range(5000):
        watch.emit(record("custom_components.sms1680", f"Sent {number} in 0.{number} s, answer %d of message {number}"))
    written = time.process_time() - began
    began = time.process_time()
    assert watch.leaks() == []
    assert time.process_time() - began < written * 3


def test_logger_that_quotes_below_warning_is_skipped(watch: LogWatch) -> None:
    watch.emit(record("homeassistant.components.script.x", TEXT, logging.INFO))
    assert watch.leaks() == []
    watch.add_output(f"fine\n{TEXT}\n")
    assert watch.leaks() == [f"a text: {TEXT}"]
