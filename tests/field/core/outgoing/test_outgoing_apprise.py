"""Texts and files as people really give them to Apprise: each case is the right result of a public bug report."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apprise
import pytest

from sms1680.sandbox import SandboxThread
from sms1680.text import units

A, B = "13800210001", "13800210002"
SIGN = "某某科技"
MARK = re.compile(r"\A(?:【某某科技】)?(?:\((\d+)/(\d+)\))?")


def sent(box: SandboxThread) -> list[str]:
    return [message.text for message in box.platform.messages]


def joined(texts: list[str]) -> str:
    return "".join(MARK.sub("", text) for text in texts)


# A text, and the text that must arrive, with the public kind of report that it stands for.
TEXTS = {
    "a subject in 【】 is taken for the signature": ("【告警】后门打开", "【某某科技】【告警】后门打开"),
    "a room in 【】 at the end is taken for the signature": ("设备离线【客厅】", "【某某科技】设备离线【客厅】"),
    "the account's own signature is written once": ("【某某科技】后门打开", "【某某科技】后门打开"),
    "the account's second name": ("后门打开【某某】", "后门打开【某某】"),
    "colours of a terminal arrive as signs": ("\x1b[1;31mERROR\x1b[0m 门\x1b]0;title\x07开", "【某某科技】ERROR 门开"),
    "a NUL ends the text on the phone": ("后门\x00打开", "【某某科技】后门打开"),
    "a BOM of an editor": ("\ufeff后门\ufeff打开", "【某某科技】后门打开"),
    "zero-width blanks of a web page": ("后\u200b门\u2060打开\u200e", "【某某科技】后门打开"),
    "a family stays one emoji": ("家👨‍👩‍👧❤️到", "【某某科技】家👨‍👩‍👧❤️到"),
    "half an emoji": ("门\ud83d开", "【某某科技】门\ufffd开"),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_text_arrives_as_it_should(kind: str, box: SandboxThread, service: Callable[..., apprise.NotifyBase]) -> None:
    text, right = TEXTS[kind]
    assert service(A, signature=f"{SIGN},某某").notify(text)
    assert sent(box) == [right]


def test_time_does_not_go_behind_a_bracket_that_is_no_signature(
    box: SandboxThread, service: Callable[..., apprise.NotifyBase]
) -> None:
    assert service(A, signature=SIGN, stamp="yes").notify("设备离线【客厅】")
    (text,) = sent(box)
    assert re.fullmatch(r"【某某科技】设备离线【客厅】 \d\d:\d\d:\d\d", text)


@pytest.mark.parametrize("stamp", ["yes", "no"])
def test_split_text_loses_no_host_in_the_middle(
    box: SandboxThread, service: Callable[..., apprise.NotifyBase], stamp: str
) -> None:
    text = "⛔🔥 " + " ".join(f"🔴host-{place:03}" for place in range(1, 81))
    assert service(A, signature=SIGN, overflow="split", stamp=stamp).notify(text)
    texts = sent(box)
    assert all(units(text) <= 500 for text in texts)
    assert [MARK.match(text).groups() for text in texts] == [(str(n + 1), str(len(texts))) for n in range(len(texts))]
    for place in range(1, 81):
        assert sum(f"host-{place:03}" in text for text in texts) == 1, "a word is whole in one message"
    if stamp == "no":
        assert joined(texts) == text


def test_short_text_is_not_marked_with_split(box: SandboxThread, service: Callable[..., apprise.NotifyBase]) -> None:
    assert service(A, signature=SIGN, overflow="split").notify("后门打开", title="告警")
    assert sent(box) == ["【某某科技】告警\n后门打开"]


def test_split_html_is_split_as_text(box: SandboxThread, service: Callable[..., apprise.NotifyBase]) -> None:
    body = "".join(f"<p><b>host-{place:03}</b> &amp; 😀</p>" for place in range(100))
    assert service(A, overflow="split", format="html").notify(body)
    assert "<" not in "".join(sent(box))
    assert "&amp;" not in "".join(sent(box))
    assert joined(sent(box)).count("host-") == 100


OCTETS = {
    "a log line cut by octets": ("后门打开".encode()[:-1], "后门打\ufffd"),
    "a line that begins inside a character": ("后门打开".encode()[1:], "\ufffd\ufffd门打开"),
    "a script saved as latin-1": ("Tür auf".encode("latin-1"), "T\ufffdr auf"),
    "a script saved on a Chinese Windows": ("后门打开，请检查".encode("gb18030"), "后门打开，请检查"),
    "a text with a BOM": ("后门打开".encode("utf-8-sig"), "后门打开"),
}


@pytest.mark.parametrize(("kind", "locale"), [*((kind, "C.UTF-8") for kind in OCTETS), (next(iter(OCTETS)), "C")])
def test_octets_on_standard_input_are_never_refused(
    kind: str, locale: str, box: SandboxThread, url: Callable[..., str], tmp_path: Path, dropin: Path
) -> None:
    octets, right = OCTETS[kind]
    variables = {**os.environ, "LC_ALL": locale, "HOME": str(tmp_path), "no_proxy": "127.0.0.1"}
    command = [Path(sys.executable).with_name("apprise"), "-P", dropin, url(A)]
    done = subprocess.run(command, input=octets, env=variables, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert sent(box) == [right]


@pytest.mark.parametrize("kind", [*OCTETS][:4:3])
def test_octets_on_the_command_line_are_never_refused(
    kind: str, box: SandboxThread, url: Callable[..., str], tmp_path: Path, dropin: Path
) -> None:
    octets, right = OCTETS[kind]
    variables = {**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(tmp_path), "no_proxy": "127.0.0.1"}
    command = [Path(sys.executable).with_name("apprise"), "-P", dropin, "-b", octets, url(A)]
    done = subprocess.run(command, env=variables, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert sent(box) == [right]


YAML = """
urls:
  - sms1680://{path}:
      - product_id: 61341
        user: 13900000000
        password: 888888
        signature: 1680
        extension: 12
        gateway: {gateway}
        rate: 50
        dedupe: 0
        cap: 100
        batch: 2
        stamp: no
        repeat: no
        state: {state}
        to: {to}
"""


@pytest.mark.parametrize("to", [B, f"[{B}]", f'"{B}"', f"[{B}, {A}]"])
def test_yaml_takes_digits_without_quotes_and_adds_numbers(to: str, tmp_path: Path) -> None:
    from sms1680.sandbox import Account, Config

    account = Account("13900000000", "888888", products={"61341": 100})
    with SandboxThread(Config(accounts=(account,), report_delay=0.0)) as box:
        file = tmp_path / "alarm.yaml"
        file.write_text(YAML.format(path=f"x:y@0/{A}", gateway=box.url, to=to, state=tmp_path), "utf-8")
        config = apprise.AppriseConfig()
        config.add(str(file))
        host = apprise.Apprise()
        host.add(config)
        assert len(host) == 1
        assert host.notify("后门打开")
        messages = list(box.platform.messages)
    assert sorted(message.number for message in messages) == [A, B]
    assert {message.text for message in messages} == {"【1680】后门打开"}
    assert {message.extension for message in messages} == {"12"}
