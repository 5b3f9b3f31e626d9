"""Run the README's demo command like a new user: every step succeeds, and nothing remains."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from homeassistant.const import __version__ as version
from support import ROOT

from demo.home_assistant import VERSIONS

WANTED = "newest" if version == VERSIONS["newest"] else "oldest"
LONGEST = 240

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module", autouse=True)
def platform_environment() -> None:
    """Prepare the demo's environment, which may need the package index of the user's real home."""
    subprocess.run([sys.executable, ROOT / "scripts" / "demo", "--help"], check=True)


@pytest.fixture
def outside(tmp_path: Path) -> dict[str, str]:
    """Return the folders outside the checkout that programs write to, by environment variable."""
    folders = {"HOME": tmp_path / "home", "TMPDIR": tmp_path / "tmp", "XDG_CACHE_HOME": tmp_path / "cache"}
    for folder in folders.values():
        folder.mkdir()
    return {name: str(folder) for name, folder in folders.items()}


@pytest.fixture
def start(outside: dict[str, str]) -> Iterator[Start]:
    """Return a function that starts scripts/demo."""
    started = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(ROOT / "scripts" / "demo"), "--home-assistant", WANTED, *arguments]
        pipe = subprocess.PIPE
        demo = subprocess.Popen(command, env={**os.environ, **outside}, stdout=pipe, stderr=pipe, text=True)
        started.append(demo)
        return demo

    yield run
    for demo in started:
        if demo.poll() is None:
            demo.terminate()
            demo.wait(60)
        for pipe in (demo.stdout, demo.stderr):
            if pipe:
                pipe.close()


def written(outside: dict[str, str]) -> list[str]:
    """Return every file in the outside folders."""
    return [str(path) for folder in outside.values() for path in Path(folder).rglob("*")]


def running(folder: str) -> dict[int, str]:
    """Return the commands that name the folder of a run, by process id."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if folder.encode() in (process / "environ").read_bytes() + (process / "cmdline").read_bytes():
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def until_the_page_is_up(demo: subprocess.Popen[str]) -> None:
    assert demo.stdout
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if "Phone page: http://127.0.0.1:" in line:
            return
    pytest.fail(f"it ended: {lines} {demo.stderr.read() if demo.stderr else ''}")


def run_folder(demo: subprocess.Popen[str]) -> str:
    """Return the folder of the current run, taken from the platform's process."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"PPid:\t{demo.pid}\n" in (process / "status").read_text("utf-8"):
                match = re.search(rf"HOME=({re.escape(str(ROOT))}/\.demo/run-\w+)/home", environment(process))
                if match:
                    return match[1]
    pytest.fail("the demo runs no program")


def environment(process: Path) -> str:
    return (process / "environ").read_text("utf-8", "replace")


def test_demo_completes_every_step(start: Start, outside: dict[str, str]) -> None:
    demo = start("--once", "--json")
    output, told = demo.communicate(timeout=LONGEST)
    assert demo.returncode == 0, told
    transcript: dict[str, Any] = json.loads(output)
    facts = {step["id"]: step["facts"] for step in transcript["steps"]}
    assert transcript["held"]
    assert all(step["held"] and step["error"] is None and step["lines"] for step in transcript["steps"])
    assert facts["apprise"]["exit_code"] == 0
    assert (facts["apprise"]["sent"], facts["apprise"]["held"]) == (1, 1)
    assert facts["home_assistant"]["version"] == version
    assert facts["send"] == {"held": 1, "state": "delivered"}
    assert facts["unknown"] == {"outcome": "unknown", "reason": "lost", "held": 1}
    assert "赌博" in facts["forbidden"]["en"]
    assert "forbids" in facts["forbidden"]["en"]
    assert "禁用词语" in facts["forbidden"]["zh"]
    assert facts["forbidden"]["held"] == 0
    assert facts["reply"]["held"] == 1
    assert 0 < facts["reply"]["milliseconds"] < 5000
    assert facts["cmpp"] == {"held": 1, "via": "cmpp", "lines": 2, "pushed": 0}
    assert (facts["question"]["id"], facts["question_cmpp"]["id"]) == ("yes", "yes")
    assert (facts["around"]["outcome"], facts["around"]["taken"]) == ("not_sent", "accepted")
    assert 0 < facts["around"]["seconds"] < 30
    assert facts["ledger"]["counts"] == [1, 1, 1, 0, 1, 1, 1, 1, 1]
    assert facts["logs"]["secrets"] == 0
    # The terminal shows the same.
    for step in transcript["steps"]:
        assert all(line in told for line in step["lines"])
    assert "13800000001" not in told
    # Nothing remains.
    assert not Path(transcript["folder"]).exists()
    assert running(transcript["folder"]) == {}
    assert written(outside) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_leaves_nothing(start: Start, outside: dict[str, str], number: signal.Signals) -> None:
    demo = start()
    until_the_page_is_up(demo)
    folder = run_folder(demo)
    assert running(folder)
    demo.send_signal(number)
    demo.communicate(timeout=60)
    assert demo.returncode == 128 + number
    assert not Path(folder).exists()
    assert running(folder) == {}
    assert written(outside) == []


def test_demo_reports_a_program_that_dies(start: Start) -> None:
    demo = start("--once")
    until_the_page_is_up(demo)
    folder = run_folder(demo)
    (platform,) = (process for process, command in running(folder).items() if " sandbox " in command)
    os.kill(platform, signal.SIGKILL)
    told, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "The platform has ended by itself with exit code -9" in told
    assert "    logs: not reached" in told
    assert f"{folder}/logs" in told
    assert (Path(folder) / "logs" / "platform.log").is_file()
    assert running(folder) == {}
    shutil.rmtree(folder)  # the next run would
