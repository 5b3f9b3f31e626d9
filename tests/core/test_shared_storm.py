"""Three machines send through one account at the same time, and one of them is killed while it sends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.shared_server import MISSING, SharedServerProcess

from sms1680.sandbox import Account, Config, Fault, SandboxThread

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

RATE = 50.0
# The long form: SMS1680_LONG_STORM=1.
SENDS = 400 if "SMS1680_LONG_STORM" in os.environ else 15

PROGRAM = """
import json, sys
import sms1680
from sms1680.limits.redis import connection, pace, server
# The machine of the tests is busy, and a call that takes too long would go on with the files.
connection.ANSWER_TIMEOUT = connection.CONNECT_TIMEOUT = server.LONGEST_CALL = 10.0
server.LONGEST_START = 60.0
pace.LEASE, pace.RENEWED_EVERY = 3.0, 0.5
url, state, folder, name, rate, sends = sys.argv[1:]
account = sms1680.Account("demo", "demo1680", product_id="61341")
rate = float(rate) or None
with sms1680.Client(account, gateway=url, rate=rate, state=state, state_dir=folder, timeout=60) as sms:
    sms.balance()
    print("ready", flush=True)
    for number in range(int(sends)):
        priority = "critical" if number % 5 == 4 else "normal"
        (receipt,) = sms.send(f"139{int(name):02}{number:06}", f"{name} {number}", priority=priority)
        print(receipt.outcome.value, flush=True)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SharedServerProcess]:
    process = SharedServerProcess(tmp_path / "server").start()
    yield process
    process.kill()


@pytest.fixture
def box() -> Iterator[SandboxThread]:
    platform = Account(rate=RATE, products={"61341": 10**6})
    with SandboxThread(Config(accounts=(platform,), answer_delay=0.01, repeat_limit=10**6)) as running:
        yield running


class Machine:
    """A process with a folder of its own."""

    def __init__(self, box: SandboxThread, server: SharedServerProcess, folder: Path, rate: float, sends: int) -> None:
        name = folder.name.removeprefix("machine")
        given = (box.url, server.url, str(folder), name, str(rate), str(sends))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, *given], stdout=subprocess.PIPE, text=True
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def outcomes(self) -> list[str]:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            output = stdout.read().split()
        assert self.process.wait(300) == 0
        return output


@pytest.mark.timeout(600)
def test_no_machine_is_too_fast(box: SandboxThread, server: SharedServerProcess, tmp_path: Path) -> None:
    machines = [Machine(box, server, tmp_path / f"machine{number}", RATE, SENDS) for number in range(3)]
    assert [machine.line() for machine in machines] == ["ready"] * 3
    assert [machine.outcomes() for machine in machines] == [["accepted"] * SENDS] * 3
    assert box.platform.verdicts["too_fast"] == 0
    sent = Counter((message.number, message.text) for message in box.platform.messages)
    assert len(sent) == 3 * SENDS
    assert set(sent.values()) == {1}


@pytest.mark.timeout(600)
def test_machine_that_is_killed_while_it_sends_stops_no_other(
    box: SandboxThread, server: SharedServerProcess, tmp_path: Path
) -> None:
    killed = Machine(box, server, tmp_path / "machine9", RATE, 1000)
    assert [killed.line(), killed.line()] == ["ready", "accepted"]
    box.call(lambda platform: platform.faults.next(Fault(stall_after=2)))
    until = time.monotonic() + 60
    while box.call(lambda platform: len(platform.faults.queue)):
        assert time.monotonic() < until
        time.sleep(0.01)  # noqa: TID251 - a request of another process
    killed.process.kill()
    killed.process.communicate(timeout=30)
    machines = [Machine(box, server, tmp_path / f"machine{number}", RATE, 5) for number in range(2)]
    assert [machine.outcomes() for machine in machines] == [["ready", *["accepted"] * 5]] * 2
    assert box.platform.verdicts["too_fast"] == 0
