"""The demo's search of its logs finds what it is for: otherwise its "0 found" would say nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from _demo_secrets import digests, found

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
def test_a_secret_is_found_however_it_is_written(tmp_path: Path, line: str, name: str) -> None:
    log = tmp_path / "home-assistant.log"
    log.write_text(f"all is well\n{line}\n", "utf-8")
    assert found([log], SECRETS) == [f"{name} in home-assistant.log, line 2"]


def test_what_may_be_shown_is_not_found(tmp_path: Path) -> None:
    log = tmp_path / "apprise.log"
    log.write_bytes(b"INFO - sms1680: accepted (id 261122174648000001): 138****0001\n\xff\xfe\n")
    assert found([log], SECRETS) == []


def test_a_password_is_searched_for_in_the_form_of_the_wire_too() -> None:
    assert digests("s3cret") == ["s3cret", hashlib.md5(b"s3cret").hexdigest()]
