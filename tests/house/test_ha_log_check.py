"""The check of Home Assistant's log finds every complaint and every secret, and nothing else."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from support.ha_log_check import complaints, digests, leaks

TIME = "2026-11-25 20:00:00.123"
WELL = f"{TIME} INFO (MainThread) [homeassistant.setup] Setup of domain sms1680 took 0.12 seconds"
TRACEBACK = """Traceback (most recent call last):
  File "/usr/lib/python3.14/asyncio/events.py", line 94, in _run
  File "/config/custom_components/sms1680/{place}.py", line 12, in async_answer
ValueError"""


@pytest.mark.parametrize(
    "complaint",
    [
        f"{TIME} WARNING (MainThread) [homeassistant.helpers.frame] Detected that custom integration 'sms1680' blocks",
        f"{TIME} WARNING (MainThread) [homeassistant.const] X was used from sms1680, this is a deprecated constant",
        f"{TIME} WARNING (MainThread) [x] custom integration 'sms1680' does so. This will stop working in 2027.1",
        f"{TIME} WARNING (MainThread) [x] y will be removed in 2027.1, please report it to the author of 'sms1680'",
        f"{TIME} ERROR (MainThread) [custom_components.sms1680.push] A push could not be handled: ValueError",
        f"{TIME} ERROR (MainThread) [homeassistant] Error doing job\n" + TRACEBACK.format(place="answering"),
        f"{TIME} WARNING (MainThread) [x] y\n" + TRACEBACK.format(place="client/push"),
    ],
)
def test_complaint_about_the_integration_is_found(complaint: str) -> None:
    assert complaints(f"{WELL}\n{complaint}\n{WELL}\n") == [complaint]


def test_warning_of_python_is_found_with_the_record_before_it() -> None:
    warning = "/config/custom_components/sms1680/push.py:7: DeprecationWarning: x is deprecated"
    assert complaints(f"{WELL}\n{warning}\n{WELL}") == [f"{WELL}\n{warning}"]


@pytest.mark.parametrize(
    "harmless",
    [
        WELL,
        f"{TIME} WARNING (SyncWorker_0) [homeassistant.loader] We found a custom integration sms1680, untested",
        f"{TIME} ERROR (MainThread) [custom_components.sms1680.coordinator] Error fetching sms1680 balance data: x",
        f"{TIME} WARNING (MainThread) [custom_components.sms1680.push] A push from a network that may not push",
        f"{TIME} WARNING (MainThread) [homeassistant.const] Detected that integration 'met' uses something deprecated",
        f"{TIME} ERROR (MainThread) [homeassistant] Error doing job\n" + TRACEBACK.replace("sms1680", "another"),
        f"{TIME} DEBUG (MainThread) [custom_components.sms1680.coordinator] Full error:\n" + TRACEBACK,
        f"{TIME} ERROR (MainThread) [homeassistant.components.websocket_api.http.connection] Unexpected exception\n"
        + TRACEBACK.replace("ValueError", "homeassistant.exceptions.HomeAssistantError: The message was refused"),
    ],
)
def test_other_records_are_not_complaints(harmless: str) -> None:
    assert complaints(f"{WELL}\n{harmless}\n{WELL}") == []


SECRETS = {"a password": "s3cret/pass", "a number": "13800000001", "a text": "后门 打开"}


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("login with s3cret/pass", "a password"),
        ("GET /sendXSms.do?password=s3cret%2Fpass&xh=", "a password"),
        ("to +8613800000001", "a number"),
        ("content=后门 打开", "a text"),
        ("content=%e5%90%8e%e9%97%a8+%E6%89%93%E5%BC%80", "a text"),
        ("content=%E5%90%8E%E9%97%A8%20%E6%89%93%E5%BC%80", "a text"),
        (r'{"content": "\u540e\u95e8 \u6253\u5f00"}', "a text"),
        (r"sending b'content=\xe5\x90\x8e\xe9\x97\xa8 \xe6\x89\x93\xe5\xbc\x80'", "a text"),
    ],
)
def test_secret_is_found_in_every_spelling(tmp_path: Path, line: str, name: str) -> None:
    log = tmp_path / "home-assistant.log"
    log.write_text(f"all is well\n{line}\n", "utf-8")
    assert leaks([log], SECRETS) == [f"{name} in home-assistant.log, line 2"]


def test_masked_number_is_not_a_leak(tmp_path: Path) -> None:
    log = tmp_path / "apprise.log"
    log.write_bytes(b"INFO - sms1680: accepted (id 261122174648000001): 138****0001\n\xff\xfe\n")
    assert leaks([log], SECRETS) == []


def test_digest_of_a_password_is_a_secret_too() -> None:
    assert digests("s3cret") == ["s3cret", hashlib.md5(b"s3cret").hexdigest()]


@pytest.mark.parametrize("secret", ["demo1680", "8613800000001", "后门打开，请立即检查", "后门 打开"])
@pytest.mark.parametrize("form", [str, quote, lambda text: base64.b64encode(text.encode()).decode()])
def test_secret_in_the_log_of_a_process_is_found(secret: str, form: Callable[[str], str]) -> None:
    line = f"{TIME} WARNING (MainThread) [aiohttp] GET /x?y={form(secret)}"
    (found,) = complaints(f"{WELL}\n{line}\n", ["后门打开，请立即检查", "后门 打开"])
    assert found.endswith(line.split("[", 1)[1])
