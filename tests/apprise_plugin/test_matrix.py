"""The matrix of outcomes at the doors of Apprise: no message ends without a failed return and a line that says why.

Each cell is run with Apprise's own class against a sandbox over a socket, and the cell is what was observed. The table
is on the page docs/outcomes-matrix; SMS1680_WRITE_TABLES=1 writes it. The exit code of the real program is tested too.
"""

from __future__ import annotations

import inspect
import logging
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apprise
import pytest
from support.matrix import ROWS, Cell, NotApplicable, check_table

from sms1680.apprise.log_messages import HTTP_SENTENCES
from sms1680.apprise.plugin import NotifySMS1680
from sms1680.http.responses import SEND
from sms1680.limits import shared_state
from sms1680.limits.budget import SpendingLimits
from sms1680.outcomes import Reason
from sms1680.sandbox import Fault, SandboxThread
from sms1680.sandbox.records import State

A = "13800000000"
DOORS = (("Apprise, once", "Apprise，发一次"), ("Apprise, `retry=1`", "Apprise，`retry=1`"))
FAULTS: dict[str, Fault | str] = {
    "accepted": "blank",
    "timeout": Fault(stall_after=1.0),
    "failed": "failed",
    "too_fast": "too_fast",
    "drop_before": "drop_before",
    "drop_after": "drop_after",
    "half": "half",
    "html": "html",
    "garbage": "html_accepted",
    "error": "error",
    "empty": "empty_accepted",
    "wrong_address": Fault(status=404, body="", accept=False),
}
LIMITS = {
    "limit": SpendingLimits(hour=1, day=None, number=None, automatic=None),
    "daily_limit": SpendingLimits(hour=None, day=1, reserve=0, number=None, automatic=None),
    "number_limit": SpendingLimits(hour=None, day=None, number=1, automatic=None),
}
CLOCK = {"clock_forward": 86_400.0, "clock_back": -86_400.0}
HAS_TIMEOUT = "timeout" in inspect.signature(apprise.Apprise.notify).parameters
CASES = [
    *(*FAULTS, *LIMITS, *CLOCK, "refused", "held", "off", "invalid", "disk", "deadline", "killed"),
    *(["apprise_timeout"] if HAS_TIMEOUT else []),
]
NO_REPORTS = NotApplicable(
    ("Apprise gets no delivery reports; “accepted” is what it knows", "Apprise 收不到状态报告，只知道“已接收”")
)
NO_ACCOUNT = NotApplicable(("a URL is an account of its own", "每个 URL 自带账户"))
NO_PROGRAM = NotApplicable(
    ("each notification is a program of its own, or ends with its host", "每次通知独立运行，或随宿主程序结束")
)
NOT_APPLICABLE = {
    "no_report": NO_REPORTS,
    "report_failed": NO_REPORTS,
    "automatic_limit": NotApplicable(
        ("Apprise receives nothing, so nothing answers by itself", "Apprise 不接收短信，不会自动回复")
    ),
    "quiet": NotApplicable(("a URL has no recipients with quiet hours", "URL 没有设免打扰时段的接收人")),
    "not_loaded": NO_ACCOUNT,
    "disabled": NO_ACCOUNT,
    "reload": NO_ACCOUNT,
    "cancelled": NotApplicable(("no caller can cancel a notification", "调用者无法取消通知")),
    "restart": NO_PROGRAM,
}
CODES = {code: (f"response `{code}`", f"应答 `{code}`") for code, reason in SEND.items() if reason}
Service = Callable[..., Any]


class House:
    """The platform, and what the tests change."""

    def __init__(
        self,
        box: SandboxThread,
        url: Callable[..., str],
        folder: Path,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.box, self.url, self.folder, self.caplog, self.monkeypatch = box, url, folder, caplog, monkeypatch
        self.jump = 0.0
        true_time = time.time
        monkeypatch.setattr(time, "time", lambda: true_time() + self.jump)
        # Try for a short time only.
        monkeypatch.setattr(NotifySMS1680, "_time_limit", lambda _: 3.0)

    def when_accepted(self, act: Callable[[], None]) -> threading.Thread:
        """Act while the answer to an accepted message is on its way."""
        self.box.call(lambda platform: platform.faults.next(Fault(stall_after=0.5)))

        def run() -> None:
            self.box.wait_for(lambda platform: platform.messages, 60)
            act()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def kill(self, address: str, text: str) -> int:
        """Send by a program of its own, and end it by SIGKILL while the answer is on its way; return its exit code."""
        program = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, address, text], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.when_accepted(program.kill).join()
        return program.wait(30)


PROGRAM = """
import sys
from sms1680.apprise.plugin import register
import apprise
assert register()
hub = apprise.Apprise()
assert hub.add(sys.argv[1])
sys.exit(0 if hub.notify(body=sys.argv[2]) else 1)
"""


@pytest.fixture
def house(
    box: SandboxThread,
    url: Callable[..., str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> House:
    return House(box, url, tmp_path, caplog, monkeypatch)


def prepare(house: House, case: str, state: Path, options: dict[str, str]) -> None:
    """Bring the case about."""
    platform = house.box.platform
    house.jump = 0.0
    platform.messages.clear()
    platform.faults.clear()
    platform.review_words = ["后门"] if case == "held" else []
    platform.accounts["demo"].balances["61341"] = 0 if case == "refused" else 1000
    faults = {**FAULTS, **{code: Fault(accept=False, body=code) for code in CODES}}
    if case in faults:
        platform.faults.always(faults[case])
    if case == "disk":
        shutil.rmtree(state, ignore_errors=True)
        state.write_text("a file where the folder was")
    options.update({"off": {"gateway": "http://127.0.0.1:9"}, "timeout": {"rto": "0.5"}}.get(case, {}))
    house.monkeypatch.setattr(NotifySMS1680, "_spending_limits", lambda _: LIMITS.get(case))
    if case == "deadline":
        options["rate"] = "0.1"
    if case in LIMITS or case == "deadline":
        first = apprise.Apprise.instantiate(house.url(A, **options))
        assert isinstance(first, NotifySMS1680)
        first.notify("第一条")
        platform.messages.clear()
    if case == "apprise_timeout":
        platform.faults.always(Fault(stall_after=5.0))


def notify(house: House, case: str, address: str, text: str) -> bool:
    """Notify once; return whether it is a success."""
    if case == "killed":
        return house.kill(address, text) != -signal.SIGKILL
    hub = apprise.Apprise()
    assert hub.add(address)
    if case == "apprise_timeout":
        return bool(hub.notify(body=text, timeout=1.5))
    if case not in CLOCK:
        return bool(hub.notify(body=text))
    meanwhile = house.when_accepted(lambda: setattr(house, "jump", CLOCK[case]))
    result = hub.notify(body=text)
    meanwhile.join()
    return bool(result)


def run_cell(house: House, case: str, door: int) -> Cell:
    """Bring the case about, notify, and return what was observed."""
    platform, caplog, state = house.box.platform, house.caplog, house.folder / f"{case}{door}"
    options = {"state": str(state), "rate": "1000", **({"retry": "1", "wait": "0.1"} if door else {})}
    text = "长" * 700 if case == "invalid" else f"后门打开{case}{door}"
    prepare(house, case, state, options)
    shared_state.warned.clear()
    caplog.set_level(logging.INFO)
    caplog.clear()
    result = notify(house, case, house.url(A, **options), text)
    if case == "disk":
        state.unlink()
    lines = [one for one in caplog.records if one.levelno >= logging.WARNING]
    phone = sum(message.state in {State.SENT, State.DELIVERED} for message in platform.messages)
    held = any(message.state is State.HELD for message in platform.messages)
    said = " ".join(one.getMessage() for one in caplog.records)
    sentences = {reason: HTTP_SENTENCES.get(reason, (reason.en,))[0] for reason in Reason}
    why = next((f": {reason}" for reason, sentence in sentences.items() if sentence in said), "")
    if "was used up before a request could begin" in said:
        why = f": {Reason.DEADLINE}"
    told = () if result else (f"failure{why}",)
    return Cell(phone, told, (*(("exit",) if not result else ()), *(("log",) if lines else ())), held)


@pytest.mark.parametrize(("text", "code"), [("后门打开", 0), ("开发票", 1)])
def test_exit_code_of_the_program(
    program: Callable[..., Any], dropin: Path, url: Callable[..., str], text: str, code: int
) -> None:
    done = program("-P", str(dropin), "-b", text, url(A))
    assert done.returncode == code
    assert ("refused" in done.stdout + done.stderr) is bool(code)


def test_rows_exist() -> None:
    assert {*CASES, *NOT_APPLICABLE, "apprise_timeout"} == set(ROWS)


def test_matrix(house: House) -> None:
    cells: dict[tuple[str, int], Cell | NotApplicable] = {
        (case, door): why for case, why in NOT_APPLICABLE.items() for door in range(len(DOORS))
    }
    for case in CASES:
        for door in range(len(DOORS)):
            cells[case, door] = run_cell(house, case, door)
    check_table("outcomes-apprise", DOORS, cells, absent=() if HAS_TIMEOUT else ("apprise_timeout",))


def test_each_response(house: House) -> None:
    cells = {(code, door): run_cell(house, code, door) for code in CODES for door in range(len(DOORS))}
    check_table("outcomes-apprise-http", DOORS, cells, CODES)
