"""The programs of the document's appendix, each by its own interpreter, only address and credentials changed.

Not among them: C, whose libghttp no system brings any more, and Objective-C, whose Foundation is Apple's. What those
two put on the wire is sent in test_calls.py.
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
    """Run a command without the machine's proxies and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def found(*names: str) -> str:
    """Return the first of these programs that is here, or skip."""
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    pytest.skip(f"there is no {' or '.join(names)} on this machine")


def brings(command: Sequence[str], what: str) -> None:
    """Skip unless a command succeeds that only loads what a program needs."""
    if subprocess.run(command, capture_output=True, check=False, timeout=60).returncode:
        pytest.skip(f"there is no {what} on this machine")


@pytest.fixture
def prepared(box: SandboxThread, tmp_path: Path) -> Path:
    """A folder with the programs, address and credentials changed, on a platform that has seen nothing yet."""
    box.call(lambda platform: platform.reset())
    for program in PROGRAMS.iterdir():
        text = program.read_text("utf-8")
        for old, new in CHANGES:
            assert old in text, f"{program.name} lacks {old}"
            text = text.replace(old, new.format(gateway=box.url))
        (tmp_path / program.name).write_text(text, "utf-8")
    return tmp_path


def assert_sent(box: SandboxThread, printed: str, text: str = ORDER, numbers: Sequence[str] = (NUMBER,)) -> None:
    """The phones hold the text once, and the program printed the answer."""
    assert box.platform.ledger == {(number, text): 1 for number in numbers}
    assert printed.strip() == f"1,{box.platform.messages[0].message_id}"
    assert box.platform.phone(NUMBER).texts == [text]


def test_shell(box: SandboxThread, prepared: Path) -> None:
    found("xxd")
    found("curl")
    assert_sent(box, run([found("sh"), "send.sh"], prepared))


def test_php(box: SandboxThread, prepared: Path) -> None:
    assert_sent(box, run([found("php"), "send.php"], prepared))


def test_perl(box: SandboxThread, prepared: Path) -> None:
    perl = found("perl")
    brings([perl, "-MLWP::Simple", "-MURI::Escape", "-e1"], "LWP::Simple or URI::Escape for Perl")
    assert_sent(box, run([perl, "send.pl"], prepared))


def test_python(box: SandboxThread, prepared: Path) -> None:
    assert_sent(box, run([sys.executable, "send.python"], prepared))


def test_ruby(box: SandboxThread, prepared: Path) -> None:
    assert_sent(box, run([found("ruby"), "send.rb"], prepared))


def test_lua(box: SandboxThread, prepared: Path) -> None:
    lua = found("lua", "lua5.4", "lua5.3", "lua5.1")
    brings([lua, "-e", 'require("socket.http") require("ltn12")'], "luasocket")
    assert_sent(box, run([lua, "send.lua"], prepared), "zhiling")


def test_java(box: SandboxThread, prepared: Path) -> None:
    java = found("java")
    brings([java, "--list-modules"], "working Java")
    printed = run([java, "-Dfile.encoding=UTF-8", "Send.java"], prepared)
    assert_sent(box, printed, "短信提交 JAVA 示例代码", (NUMBER, "13811111111"))
    assert {message.extension for message in box.platform.messages} == {"11"}


def test_c_sharp(box: SandboxThread, prepared: Path) -> None:
    compiler, mono = found("mcs"), found("mono")
    run([compiler, "-nologo", "Send.cs"], prepared)
    assert_sent(box, run([mono, "Send.exe"], prepared))
