"""The matrix of outcomes at the doors of Apprise: no message ends without a failed return and a line that says why.

Each cell is run with Apprise's own class against a sandbox over a socket, and the cell is what was observed. The table
is on the page docs/outcomes-matrix; SMS1680_WRITE_TABLES=1 writes it. The exit code of the real program is tested too.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apprise
import pytest
from support.matrix import ROWS, Cell, check_table

from sms1680.apprise.plugin import NotifySMS1680
from sms1680.limits import shared_state
from sms1680.sandbox import SandboxThread
from sms1680.sandbox.records import State

A = "13800000000"
DOORS = (("Apprise, once", "Apprise，发一次"), ("Apprise, `retry=1`", "Apprise，`retry=1`"))
FAULTS = {
    "accepted": "blank",
    "failed": "failed",
    "too_fast": "too_fast",
    "drop_before": "drop_before",
    "drop_after": "drop_after",
    "half": "half",
    "html": "html",
    "garbage": "html_accepted",
    "error": "error",
    "empty": "empty_accepted",
}
CASES = [*FAULTS, "refused", "held", "off", "limit", "invalid", "disk"]
Service = Callable[..., Any]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try for a short time only."""
    monkeypatch.setattr(NotifySMS1680, "_time_limit", lambda _: 3.0)


def run_cell(
    box: SandboxThread, url: Callable[..., str], case: str, door: int, state: Path, caplog: pytest.LogCaptureFixture
) -> Cell:
    """Bring the case about, notify, and return what was observed."""
    platform = box.platform
    options = {"state": str(state), "rate": "1000", **({"retry": "1", "wait": "0.1"} if door else {})}
    text = "长" * 700 if case == "invalid" else f"后门打开{CASES.index(case)}{door}"
    platform.messages.clear()
    platform.faults.clear()
    platform.review_words = ["后门"] if case == "held" else []
    balances = platform.accounts["demo"].balances
    balances["61341"] = 0 if case == "refused" else 1000
    if case in FAULTS:
        platform.faults.always(FAULTS[case])
    elif case == "off":
        options["gateway"] = "http://127.0.0.1:9"
    elif case == "limit":
        options["cap"] = "1"
        made = apprise.Apprise.instantiate(url(A, **options))
        made.notify("第一条")
        platform.messages.clear()
    elif case == "disk":
        shutil.rmtree(state, ignore_errors=True)
        state.write_text("a file where the folder was")
    shared_state.warn_unshared.cache_clear()
    caplog.set_level(logging.INFO)
    caplog.clear()
    hub = apprise.Apprise()
    assert hub.add(url(A, **options))
    result = hub.notify(body=text)
    if case == "disk":
        state.unlink()
    lines = [one for one in caplog.records if one.levelno >= logging.WARNING]
    phone = sum(message.state in {State.SENT, State.DELIVERED} for message in platform.messages)
    held = any(message.state is State.HELD for message in platform.messages)
    told = () if result else ("failure",)
    return Cell(phone, told, (*(("exit",) if not result else ()), *(("log",) if lines else ())), held)


@pytest.mark.parametrize(("options", "code"), [({}, 0), ({"gateway": "http://127.0.0.1:9"}, 1)])
def test_exit_code_of_the_program(
    program: Callable[..., Any], dropin: Path, url: Callable[..., str], options: dict[str, str], code: int
) -> None:
    done = program("-P", str(dropin), "-b", "后门打开", url(A, **options))
    assert done.returncode == code
    assert ("not sent" in done.stdout + done.stderr) is bool(code)


def test_rows_exist() -> None:
    assert set(CASES) < set(ROWS)


def test_matrix(box: SandboxThread, url: Callable[..., str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cells: dict[tuple[str, int], Cell] = {}
    for case in CASES:
        for door in range(len(DOORS)):
            cells[case, door] = run_cell(box, url, case, door, tmp_path / f"{case}{door}", caplog)
    check_table("outcomes-apprise", DOORS, cells)
