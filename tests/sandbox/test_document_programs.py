"""Runs the example programs of the platform's document, with only the address and the credentials changed.

The C program requires libghttp, which no system includes today, and the Objective-C program requires Apple's
Foundation. test_calls.py sends the bytes that those two send.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from sms1680.sandbox import SandboxThread

PROGRAMS = Path(__file__).with_name("document_programs")
NUMBER = "13900000000"
ORDER = "发送指令"
CHANGES = (
    ("http://112.5.196.74:8081", "{gateway}"),
    ("username=username", "username=demo"),
    ("password=password", "password=demo1680"),
    ("productid=productid", "productid=61341"),
)


@pytest.fixture(scope="module")
def box() -> Iterator[SandboxThread]:
    with SandboxThread() as running:
        yield running


def run(command: Sequence[str], folder: Path) -> str:
    """Run a command without the machine's proxies and return its output."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def find_program(*names: str) -> str:
    """Return the first of these programs that is installed, or skip the test."""
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    pytest.skip(f"{' or '.join(names)} is not installed")


def require(command: Sequence[str], what: str) -> None:
    """Skip the test unless a command that only loads the requirements of a program succeeds."""
    if subprocess.run(command, capture_output=True, check=False, timeout=60).returncode:
        pytest.skip(f"{what} is not installed")


@pytest.fixture
def prepared(box: SandboxThread, tmp_path: Path) -> Path:
    """Return a folder with the changed programs, and reset the platform."""
    box.call(lambda platform: platform.reset())
    for program in PROGRAMS.iterdir():
        text = program.read_text("utf-8")
        for old, new in CHANGES:
            assert old in text, f"{program.name} lacks {old}"
            text = text.replace(old, new.format(gateway=box.url))
        (tmp_path / program.name).write_text(text, "utf-8")
    return tmp_path


def assert_sent(box: SandboxThread, printed: str, text: str = ORDER, numbers: Sequence[str] = (NUMBER,)) -> None:
    """Check that the phone received the text once, and that the program printed the answer."""
    assert box.platform.ledger == {(number, text): 1 for number in numbers}
    assert printed.strip() == f"1,{box.platform.messages[0].message_id}"
    assert box.platform.phone(NUMBER).texts == [text]


def test_shell(box: SandboxThread, prepared: Path) -> None:
    find_program("xxd")
    find_program("curl")
    assert_sent(box, run([find_program("sh"), "send.sh"], prepared))


def test_php(box: SandboxThread, prepared: Path) -> None:
    assert_sent(box, run([find_program("php"), "send.php"], prepared))


def test_perl(box: SandboxThread, prepared: Path) -> None:
    perl = find_program("perl")
    require([perl, "-MLWP::Simple", "-MURI::Escape", "-e1"], "LWP::Simple or URI::Escape for Perl")
    assert_sent(box, run([perl, "send.pl"], prepared))


def test_python(box: SandboxThread, prepared: Path) -> None:
    assert_sent(box, run([sys.executable, "send.python"], prepared))


def test_ruby(box: SandboxThread, prepared: Path) -> None:
    assert_sent(box, run([find_program("ruby"), "send.rb"], prepared))


def test_lua(box: SandboxThread, prepared: Path) -> None:
    lua = find_program("lua", "lua5.4", "lua5.3", "lua5.1")
    require([lua, "-e", 'require("socket.http") require("ltn12")'], "luasocket")
    assert_sent(box, run([lua, "send.lua"], prepared), "zhiling")


def test_java(box: SandboxThread, prepared: Path) -> None:
    java = find_program("java")
    require([java, "--list-modules"], "working Java")
    printed = run([java, "-Dfile.encoding=UTF-8", "Send.java"], prepared)
    assert_sent(box, printed, "短信提交 JAVA 示例代码", (NUMBER, "13811111111"))
    assert {message.extension for message in box.platform.messages} == {"11"}


def test_c_sharp(box: SandboxThread, prepared: Path) -> None:
    compiler, mono = find_program("mcs"), find_program("mono")
    run([compiler, "-nologo", "Send.cs"], prepared)
    assert_sent(box, run([mono, "Send.exe"], prepared))
