"""`state=redis://…`: several machines send through one account, on a real Valkey or Redis server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apprise
import pytest
from support.shared_server import MISSING, SharedServerProcess, be_patient

from sms1680.apprise.dedupe import Dedupe, PreviousSend
from sms1680.limits.redis import server as server_module
from sms1680.outcomes import Outcome, Reason
from sms1680.receipts import Receipt
from sms1680.sandbox import Account, Config, SandboxThread
from sms1680.sandbox.config import DEMO_PRODUCT

A, B = "13800000000", "13900000001"
TEXT = "后门打开"
# The long form: SMS1680_LONG_STORM=1.
CALLS = 100 if "SMS1680_LONG_STORM" in os.environ else 4
SIZE = 100 if "SMS1680_LONG_STORM" in os.environ else 25
Url = Callable[..., str]

needs_server = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedServerProcess]:
    be_patient(monkeypatch.setattr)
    process = SharedServerProcess(tmp_path / "server").start()
    yield process
    process.kill()


@pytest.fixture
def machine(server: SharedServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Dedupe]:
    """Makes the memory of sent messages of a machine: each has its own folder."""
    monkeypatch.setenv("SMS1680_STATE", server.url)
    monkeypatch.setattr(server_module, "_FIRST_RETRY", 0.05)
    monkeypatch.setattr(server_module, "_LONGEST_RETRY", 0.1)

    def make(name: str, seconds: int = 600, *, renews: bool = False, **options: Any) -> Dedupe:
        return Dedupe(seconds, b"key", ("account",), renews=renews, state=str(tmp_path / name), **options)

    return make


def test_url_with_a_server_makes_the_round_trip_and_masks_its_password(url: Url) -> None:
    state = "redis://house:s3cret-Passw0rd@valkey:6379/1"
    service: Any = apprise.Apprise.instantiate(url(A, state=state), suppress_exceptions=False)
    again: Any = apprise.Apprise.instantiate(service.url(), suppress_exceptions=False)
    assert service.state == again.state == state
    shown = service.url(privacy=True)
    assert "s3cret" not in shown
    assert "redis%3A%2F%2Fhouse%3A%2A%2A%2A%2A%40valkey" in shown


def test_invalid_address_is_refused(url: Url) -> None:
    with pytest.raises(TypeError, match="state must be an address") as refused:
        apprise.Apprise.instantiate(url(A, state="redis://:s3cret-Passw0rd@host/zero"), suppress_exceptions=False)
    assert "s3cret" not in str(refused.value)


@needs_server
def test_message_of_another_machine_is_not_sent_again(machine: Callable[..., Dedupe]) -> None:
    first, second = machine("a"), machine("b")
    assert first.claim([A, B], TEXT) == {A: None, B: None}
    assert second.claim([A], TEXT) == {A: PreviousSend(None)}
    first.settle([Receipt(A, Outcome.ACCEPTED, "77"), Receipt(B, Outcome.NOT_SENT)], TEXT)
    sent = PreviousSend(Receipt(A, Outcome.ACCEPTED, "77"))
    assert machine("b").claim([A, B], TEXT) == {A: sent, B: None}
    assert machine("b").claim([A], TEXT) == {A: sent}


@needs_server
def test_unknown_outcome_is_known_to_other_machines(machine: Callable[..., Dedupe]) -> None:
    first, second = machine("a"), machine("b")
    first.claim([A], TEXT)
    first.settle([Receipt(A, Outcome.UNKNOWN, None, Reason.LOST)], TEXT)
    assert second.claim([A], TEXT) == {A: PreviousSend(Receipt(A, Outcome.UNKNOWN, None, Reason.LOST))}


@needs_server
def test_forgotten_message_is_sent_again_by_any_machine(machine: Callable[..., Dedupe]) -> None:
    first, second = machine("a", renews=True), machine("b", renews=True)
    first.claim([A], TEXT)
    first.settle([Receipt(A, Outcome.ACCEPTED)], TEXT)
    assert second.claim([A], TEXT)[A] is not None
    second.forget([A], TEXT)
    assert machine("c").claim([A], TEXT) == {A: None}


@needs_server
def test_claim_of_a_dead_machine_is_an_unknown_outcome(
    server: SharedServerProcess, machine: Callable[..., Dedupe]
) -> None:
    machine("a").claim([A], TEXT)
    with server.client() as client:  # a minute passes
        (key,) = client.keys("*:sent:*")
        at, rest = client.get(key).split(b"|", 1)
        client.set(key, b"%f|%s" % (float(at) - 61_000, rest), px=600_000)
    assert machine("b").claim([A], TEXT) == {A: PreviousSend(Receipt(A, Outcome.UNKNOWN, None, Reason.LOST))}


@needs_server
def test_period_begins_with_the_send_of_the_other_machine(
    server: SharedServerProcess, machine: Callable[..., Dedupe]
) -> None:
    first = machine("a")
    first.claim([A], TEXT)
    first.settle([Receipt(A, Outcome.ACCEPTED)], TEXT)
    with server.client() as client:  # almost the whole period passes
        (key,) = client.keys("*:sent:*")
        at, rest = client.get(key).split(b"|", 1)
        client.set(key, b"%f|%s" % (float(at) - 540_000, rest), px=60_000)
    assert machine("b").claim([A], TEXT)[A] is not None
    with server.client() as client:
        client.delete(key)
    later = time.time() + 61
    assert machine("b", clock=lambda: later).claim([A], TEXT) == {A: None}


@needs_server
def test_outcomes_of_an_outage_reach_the_server_later(
    server: SharedServerProcess, machine: Callable[..., Dedupe], caplog: pytest.LogCaptureFixture
) -> None:
    first = machine("a")
    assert first.claim([A, B], TEXT) == {A: None, B: None}
    server.kill()
    first.settle([Receipt(A, Outcome.ACCEPTED, "77"), Receipt(B, Outcome.NOT_SENT)], TEXT)
    assert first.claim([A, B], TEXT) == {A: PreviousSend(Receipt(A, Outcome.ACCEPTED, "77")), B: None}
    assert len(server.warnings(caplog.records)) == 1
    server.start()
    for number in range(3000):
        first.claim([B], str(number))
        if machine("b").claim([A], TEXT)[A] is not None:
            break
        machine("b").forget([A], TEXT)
        time.sleep(0.01)  # noqa: TID251 - a probe runs in the background
    found = machine("c").claim([A], TEXT)[A]
    assert found is not None
    assert found.receipt == Receipt(A, Outcome.ACCEPTED, "77")


@needs_server
def test_server_holds_no_number_no_text_and_no_password(
    server: SharedServerProcess, machine: Callable[..., Dedupe]
) -> None:
    first = machine("a")
    first.claim([A, B], TEXT)
    first.settle([Receipt(A, Outcome.ACCEPTED, "77")], TEXT)
    stored = server.everything()
    assert len(stored) == 2
    for key, (milliseconds, contents) in stored.items():
        assert 0 < milliseconds <= 600_000
        whole = b" ".join([key, *contents])
        assert not any(word.encode() in whole for word in (A, B, TEXT, "account", "key"))


MACHINE = """
import json, sys
from apprise.manager_plugins import NotificationManager
from sms1680.apprise import register
import apprise
NotificationManager().unload_modules(disable_native=True)
register()
from sms1680.limits.redis import connection, server
# The machine of the tests is busy, and a call that takes too long would go on with the files.
connection.ANSWER_TIMEOUT = connection.CONNECT_TIMEOUT = server.LONGEST_CALL = 10.0
server.LONGEST_START = 60.0
calls = json.loads(sys.stdin.readline())
print("ready", flush=True)
sys.stdin.readline()
for url, text in calls:
    sender = apprise.Apprise()
    sender.add(url)
    print(json.dumps(bool(sender.notify(text))), flush=True)
"""


class Machine:
    """A process with a folder of its own that sends notifications."""

    def __init__(self, folder: Path, server: SharedServerProcess, calls: Sequence[tuple[str, str]]) -> None:
        environment = {**os.environ, "SMS1680_STATE_DIR": str(folder), "SMS1680_STATE": server.url}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", MACHINE],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(calls) + "\n")
        self.process.stdin.flush()

    def go(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def results(self) -> list[bool]:
        return [json.loads(line) for line in self.process.communicate(timeout=1000)[0].splitlines()]


@pytest.fixture
def box() -> Iterator[SandboxThread]:
    with SandboxThread(Config(accounts=(Account(products={DEMO_PRODUCT: 1_000_000}),), report_delay=0.0)) as running:
        yield running


@needs_server
@pytest.mark.timeout(1200)
def test_three_machines_send_every_message_once(
    server: SharedServerProcess, box: SandboxThread, url: Url, tmp_path: Path
) -> None:
    """All three send the same messages at the same time, each in another order."""
    calls = []
    for call in range(CALLS):
        numbers = [f"139{call:04}{number:04}" for number in range(SIZE)]
        calls.append((url(*numbers, dedupe="600", cap="0"), f"{TEXT}{call}"))
    thirds = [calls[start:] + calls[:start] for start in (0, CALLS // 3, 2 * CALLS // 3)]
    machines = [Machine(tmp_path / str(number), server, third) for number, third in enumerate(thirds)]
    for each in machines:
        each.go()
    assert [each.results() for each in machines] == [[True] * CALLS] * 3
    sent = Counter((message.number, message.text) for message in box.platform.messages)
    assert len(sent) == CALLS * SIZE
    assert set(sent.values()) == {1}


@needs_server
@pytest.mark.timeout(600)
def test_no_message_is_lost_or_doubled_when_the_server_dies(
    server: SharedServerProcess, box: SandboxThread, url: Url, tmp_path: Path
) -> None:
    """Each machine sends messages of its own; two of them are processes of one machine and send the same."""
    shares = [[(url(A, B, dedupe="600", cap="0"), f"{TEXT}{name}{call}") for call in range(8)] for name in "xyy"]
    machines = [Machine(tmp_path / folder, server, share) for folder, share in zip("abb", shares, strict=True)]
    for each in machines:
        each.go()
    assert machines[0].process.stdout is not None
    assert machines[0].process.stdout.readline() == "true\n"
    server.kill()
    assert [each.results() for each in machines] == [[True] * 7, [True] * 8, [True] * 8]
    sent = Counter((message.number, message.text) for message in box.platform.messages)
    assert len(sent) == 2 * 16
    assert set(sent.values()) == {1}
