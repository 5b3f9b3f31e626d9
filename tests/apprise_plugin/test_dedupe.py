"""`dedupe=`: one message to a number within a period, across processes."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sms1680.apprise import dedupe as module
from sms1680.apprise.dedupe import FILE, Dedupe, PreviousSend
from sms1680.outcomes import Outcome
from sms1680.receipts import Receipt
from sms1680.sandbox import Fault, SandboxThread

A, B = "13800000000", "13900000001"
TEXT = "后门打开"
PAUSE = Fault(stall_after=0.5)
Service = Callable[..., Any]


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Callable[..., Dedupe]:
    def make_dedupe(seconds: int = 600, *context: str, key: bytes = b"key") -> Dedupe:
        return Dedupe(seconds, key, context, clock=clock)

    return make_dedupe


def rows() -> int:
    return module._transact(lambda store: int(store.execute("SELECT count(*) FROM sent").fetchone()[0]))


def texts(box: SandboxThread) -> list[tuple[str, str]]:
    return [(message.number, message.text) for message in box.platform.messages]


def test_duplicate_is_sent_once_and_reported_as_success(
    box: SandboxThread, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    assert service(A, dedupe="600").notify(TEXT)
    assert service(A, B, dedupe="600").notify(TEXT)
    assert texts(box) == [(A, TEXT), (B, TEXT)]
    assert "earlier, not sent again (dedupe): 138****0000" in caplog.text
    assert service(A, dedupe="600").notify(f"{TEXT}。")
    assert service(A).notify(TEXT)
    assert len(texts(box)) == 4


def test_unknown_outcome_is_not_sent_again(box: SandboxThread, service: Service) -> None:
    box.call(lambda platform: platform.faults.next("drop_after"))
    assert service(A, dedupe="600").notify(TEXT) is False
    assert service(A, dedupe="600").notify(TEXT) is False
    assert texts(box) == [(A, TEXT)]


@pytest.mark.parametrize("fault", ["failed", "redirect"])
def test_refused_message_is_sent_again(box: SandboxThread, service: Service, fault: str) -> None:
    box.call(lambda platform: platform.faults.next(fault))
    assert service(A, dedupe="600").notify(TEXT) is False
    assert service(A, dedupe="600").notify(TEXT) is True
    assert texts(box) == [(A, TEXT)]


def test_appended_time_does_not_make_a_different_message(box: SandboxThread, service: Service) -> None:
    assert service(A, dedupe="600", stamp="yes").notify(TEXT)
    assert service(A, dedupe="600", stamp="yes").notify(TEXT)
    assert len(texts(box)) == 1


def test_other_extension_or_signature_makes_a_different_message(box: SandboxThread, service: Service) -> None:
    assert service(A, dedupe="600").notify(TEXT)
    assert service(A, dedupe="600", extension="1").notify(TEXT)
    assert service(A, dedupe="600", sign="某某").notify(TEXT)
    assert len(texts(box)) == 3


def test_invalid_text_releases_its_claim(service: Service, make: Callable[..., Dedupe]) -> None:
    assert service(A, dedupe="600").send("  ") is False
    assert rows() == 0
    assert make().claim([A], "\ud800") == {A: None}


def test_message_is_sent_again_after_the_period(make: Callable[..., Dedupe], clock: Clock) -> None:
    assert make(600).claim([A], TEXT) == {A: None}
    make(600).settle([Receipt(A, Outcome.ACCEPTED, "17")], TEXT)
    clock.now += 599
    assert make(600).claim([A], TEXT) == {A: PreviousSend(Receipt(A, Outcome.ACCEPTED, "17"))}
    clock.now += 2
    assert make(600).claim([A], TEXT) == {A: None}


def test_claim_outlives_a_short_period(make: Callable[..., Dedupe], clock: Clock) -> None:
    assert make(1).claim([A], TEXT) == {A: None}
    clock.now += 30
    assert make(1).claim([A], TEXT) == {A: PreviousSend(None)}


def test_expired_claim_is_an_unknown_outcome(make: Callable[..., Dedupe], clock: Clock) -> None:
    assert make(600).claim([A], TEXT) == {A: None}
    clock.now += 61
    (earlier,) = make(600).claim([A], TEXT).values()
    assert earlier is not None
    assert earlier.receipt is not None
    assert earlier.receipt.outcome is Outcome.UNKNOWN
    clock.now += 600
    assert make(600).claim([A], TEXT) == {A: None}


def test_rows_from_the_far_future_are_ignored(make: Callable[..., Dedupe], clock: Clock) -> None:
    clock.now += 10 * 365 * 86400
    make().claim([A], TEXT)
    make().settle([Receipt(A, Outcome.ACCEPTED)], TEXT)
    clock.now -= 10 * 365 * 86400
    assert make().claim([A], TEXT) == {A: None}


def test_file_is_private_and_contains_only_hashes(make: Callable[..., Dedupe], state_folder: Path) -> None:
    make(600, "user").claim([A], TEXT)
    octets = (state_folder / FILE).read_bytes()
    assert A.encode() not in octets
    assert TEXT.encode() not in octets
    assert (state_folder / FILE).stat().st_mode & 0o777 == 0o600
    assert make(600, "user", key=b"other").claim([A], TEXT) == {A: None}
    assert make(600, "other").claim([A], TEXT) == {A: None}


def test_file_is_bounded_and_drops_expired_rows(
    make: Callable[..., Dedupe], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CAPACITY", 50)
    for place in range(80):
        clock.now += 1
        make(600).claim([A], f"{TEXT}{place}")
    assert rows() == 51
    clock.now += 3600
    make(600).claim([A], TEXT)
    assert rows() == 1


def test_corrupt_file_is_replaced(make: Callable[..., Dedupe], state_folder: Path) -> None:
    state_folder.mkdir()
    (state_folder / FILE).write_bytes(b"no database at all" * 500)
    assert make().claim([A], TEXT) == {A: None}
    assert make().claim([A], TEXT) == {A: PreviousSend(None)}
    assert (state_folder / FILE).read_bytes().startswith(b"SQLite format 3")


def test_without_a_writable_folder_the_memory_is_used(box: SandboxThread, service: Service, state_folder: Path) -> None:
    state_folder.write_text("a file where the folder should be")
    assert service(A, dedupe="600").notify(f"{TEXT}记住")
    assert service(A, dedupe="600").notify(f"{TEXT}记住")
    assert len(texts(box)) == 1


def test_message_is_sent_although_the_file_is_read_only(
    box: SandboxThread, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_open = module._open_shared

    def read_only(*given: Any) -> Any:
        store = true_open(*given)
        assert store is not None
        store.execute("PRAGMA query_only = 1")
        return store

    monkeypatch.setattr(module, "_open_shared", read_only)
    assert service(A, dedupe="600").notify(f"{TEXT}照发")
    assert service(A, dedupe="600").notify(f"{TEXT}照发")
    assert texts(box) == [(A, f"{TEXT}照发")]


def test_one_of_several_threads_sends(box: SandboxThread, service: Service) -> None:
    results: list[bool] = []
    start = threading.Barrier(6)

    def notify() -> None:
        mine = service(A, dedupe="600")
        start.wait(10)
        results.append(mine.notify(TEXT))

    threads = [threading.Thread(target=notify) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 6
    assert texts(box) == [(A, TEXT)]


TOGETHER = """
import json, sys
from apprise.manager_plugins import NotificationManager
from sms1680.apprise import register
import apprise
NotificationManager().unload_modules(disable_native=True)
register()
sender = apprise.Apprise()
sender.add(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(bool(sender.notify(sys.argv[2]))))
"""


def test_one_of_several_processes_sends(box: SandboxThread, url: Callable[..., str], state_folder: Path) -> None:
    """The platform answers slowly, so that the other processes wait for the outcome of the first."""
    box.call(lambda platform: platform.faults.next(PAUSE))
    command = [sys.executable, "-P", "-c", TOGETHER, url(A, B, dedupe="600"), TEXT]
    environment = {**os.environ, "SMS1680_STATE_DIR": str(state_folder)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=environment, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [json.loads(process.communicate(timeout=60)[0]) for process in processes] == [True] * 3
    assert texts(box) == [(A, TEXT), (B, TEXT)]


def test_long_wait_for_another_claim_is_an_unknown_outcome(
    box: SandboxThread, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    mine = service(A, dedupe="600")
    mine._make_dedupe().claim([A], TEXT)
    mine._time_limit = lambda: 0.3
    assert mine.notify(TEXT) is False
    assert "It may have arrived" in caplog.text
    assert not box.platform.messages
