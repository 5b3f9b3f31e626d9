"""A host on which nothing can be written, or that repeats, cuts or times out: the alarm goes on, reported as it is."""

import asyncio
import inspect
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import apprise
import pytest
from support.mounts import fill, on_read_only_machine, tmpfs

from sms1680.apprise import dedupe as dedupe_module, plugin as plugin_module
from sms1680.apprise.dropin import make
from sms1680.limits import shared_state
from sms1680.sandbox import Config, SandboxThread

A, B = "13800000000", "13900000001"
TEXT = "后门打开"
Service = Callable[..., Any]
Url = Callable[..., str]


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    shared_state.warned.clear()
    monkeypatch.setattr(dedupe_module, "_memory", [])


def texts(box: SandboxThread) -> list[tuple[str, str]]:
    return [(message.number, message.text) for message in box.platform.messages]


def test_apprise_without_any_folder(box: SandboxThread, url: Url, tmp_path: Path) -> None:
    plugins = make(tmp_path / "plugins").parent
    shutil.copytree(plugins, Path(sys.prefix) / "unwritable-test", dirs_exist_ok=True)  # /tmp is empty there
    try:
        command = [
            str(Path(sys.executable).with_name("apprise")),
            "-vv",
            "-P",
            str(Path(sys.prefix) / "unwritable-test"),
        ]
        nowhere = {"HOME": "/proc/none", "TMPDIR": "/proc", "SMS1680_STATE_DIR": "", "XDG_STATE_HOME": ""}
        for options in ({}, {"dedupe": "60"}, {"critical": "yes"}):
            done = subprocess.run(
                on_read_only_machine([*command, "-b", TEXT, url(A, B, **options)]),
                env={**os.environ, **nowhere, "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert "ERROR" not in done.stdout
            assert (done.stdout + done.stderr).count("within this process only") == 1
    finally:
        shutil.rmtree(Path(sys.prefix) / "unwritable-test")
    assert texts(box) == [(A, TEXT), (B, TEXT)] * 3


@pytest.mark.parametrize("options", [{}, {"dedupe": "600"}])
def test_folder_is_deleted_while_the_process_runs(
    box: SandboxThread, service: Service, state_folder: Path, options: dict[str, str]
) -> None:
    made = service(A, B, rate="100", batch="no", **options)
    for place in range(4):
        assert made.notify(f"{TEXT}{place}")
        shutil.rmtree(state_folder)
    state_folder.write_text("a file where the folder was")
    assert made.notify(f"{TEXT}4")
    assert texts(box) == [(number, f"{TEXT}{place}") for place in range(5) for number in (A, B)]


def test_folder_open_to_everybody(service: Service, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    assert service(A, dedupe="600", state=str(tmp_path / "open")).notify(TEXT)
    assert not any((tmp_path / "open").iterdir())


def test_one_warning_for_several_urls(url: Url, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    sender = apprise.Apprise()
    assert all(sender.add(url(number, dedupe="60", state=str(tmp_path / "file"))) for number in (A, B, A))
    assert sender.notify(TEXT)
    assert caplog.text.count("within this process only") == 1


@pytest.mark.parametrize("size", [4, 8, 12, 16, 20, 24, 32, 48])
def test_disk_with_little_room_makes_no_false_outcome(
    box: SandboxThread, url: Url, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Each send is by a process of its own, as far as its memory is concerned."""
    with tmpfs(tmp_path / "disk", size * 1024) as folder:
        for _ in range(3):
            monkeypatch.setattr(dedupe_module, "_memory", [])
            made = apprise.Apprise.instantiate(url(A, dedupe="600", state=str(folder)))
            assert isinstance(made, apprise.NotifyBase)
            made._time_limit = lambda: 8.0  # type: ignore[attr-defined]
            assert made.notify(TEXT)
    assert 1 <= len(texts(box)) <= 3


def test_disk_is_full_when_the_outcome_is_written(
    box: SandboxThread, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tmpfs(tmp_path / "disk", 64 * 1024) as folder:
        true_settle = dedupe_module.Dedupe.settle

        def settle(*given: Any) -> None:
            fill(folder)
            true_settle(*given)

        monkeypatch.setattr(dedupe_module.Dedupe, "settle", settle)
        assert service(A, dedupe="600", state=str(folder), cap="0").notify(TEXT)
        monkeypatch.setattr(dedupe_module, "_memory", [])  # another process
        assert service(A, dedupe="600", state=str(folder), cap="0").notify(TEXT)
    assert texts(box) == [(A, TEXT)]


def test_outcome_that_no_file_takes_is_known_in_this_process(
    box: SandboxThread, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_in_file = dedupe_module._in_file
    calls: list[int] = []

    def in_file(*given: Any) -> Any:
        calls.append(1)
        if len(calls) in {2, 3, 4}:
            raise dedupe_module.sqlite3.OperationalError
        return true_in_file(*given)

    monkeypatch.setattr(dedupe_module, "_in_file", in_file)
    assert service(A, dedupe="600").notify(TEXT)
    assert service(A, dedupe="600").notify(TEXT)
    assert texts(box) == [(A, TEXT)]


def test_text_that_a_program_cut(box: SandboxThread, url: Url, tmp_path: Path) -> None:
    make(tmp_path / ".config" / "apprise" / "plugins")
    command = [str(Path(sys.executable).with_name("apprise")).encode(), b"-b", TEXT.encode()[:-1], url(A).encode()]
    for variables in ({"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        done = subprocess.run(
            command, env={**os.environ, "HOME": str(tmp_path), **variables}, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert texts(box) == [(A, "后门打�")] * 2


@pytest.mark.parametrize(
    ("batch", "numbers", "requests"),
    [("yes", 250, 3), ("no", 25, 25), ("1", 25, 25), ("100", 250, 3), ("250", 250, 1), ("1000", 1000, 1)],
)
def test_batch_sets_the_numbers_of_a_request(
    box: SandboxThread, service: Service, *, batch: str, numbers: int, requests: int
) -> None:
    made = service(*(f"138{place:08d}" for place in range(numbers)), batch=batch, cap="0")
    assert len(made) == requests
    assert made.notify(TEXT)
    assert len({message.message_id for message in box.platform.messages}) == requests
    assert len({message.number for message in box.platform.messages}) == numbers
    assert f"batch={batch}" in made.url() or batch == "yes"


@pytest.mark.parametrize("batch", ["1001", "99999999"])
def test_too_large_batch_is_rejected(service: Service, batch: str) -> None:
    with pytest.raises(TypeError):
        service(A, batch=batch)


# --- time ---


@pytest.fixture
def late_box(free_port: int) -> Iterator[Callable[[float], str]]:
    """Return a function that starts a platform at the free port after some seconds, and returns its address."""
    timers: list[threading.Timer] = []
    boxes: list[SandboxThread] = []

    def start_after(seconds: float) -> str:
        def start() -> None:
            boxes.append(SandboxThread(Config(port=free_port)).__enter__())

        timers.append(threading.Timer(seconds, start))
        timers[0].start()
        return f"http://127.0.0.1:{free_port}"

    yield start_after
    for timer in timers:
        timer.join()
    for started in boxes:
        started.__exit__(None, None, None)


def notify(address: str, **options: str) -> tuple[Any, float]:
    """Return Apprise's result, and the seconds that it took."""
    sender = apprise.Apprise()
    assert sender.add(f"sms1680://demo:demo1680@61341/{A}?{urlencode({'gateway': address, **options})}")
    began = time.monotonic()
    return sender.notify(TEXT), time.monotonic() - began


def test_platform_returns_late(
    late_box: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The limit, the outage and the wait are a third of the real ones."""
    monkeypatch.setattr(plugin_module.NotifySMS1680, "_time_limit", lambda _: 54.0 / 3)
    result, seconds = notify(late_box(22.0 / 3), retry="3", wait="3")
    assert result, caplog.text
    assert seconds < 54.0  # thrice the limit, for a busy machine


def test_attempt_without_time_says_so(
    free_port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if not hasattr(apprise.Apprise.instantiate("json://localhost"), "retry"):
        pytest.skip("this Apprise has no retry")
    monkeypatch.setattr(plugin_module.NotifySMS1680, "_time_limit", lambda _: 9.0)
    result, _ = notify(f"http://127.0.0.1:{free_port}", retry="2", wait="2")
    assert not result
    ours = [record.getMessage() for record in caplog.records if record.getMessage().startswith("sms1680: 138")]
    assert "used up" not in ours[0]
    assert "Could not connect to the platform" in ours[-1]
    assert "No further request was made: the 9 seconds for this notification are used up." in ours[-1]


@pytest.mark.skipif("timeout" not in inspect.signature(apprise.Apprise.notify).parameters, reason="no timeout= there")
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_apprises_own_timeout_is_kept(free_port: int, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    sender = apprise.Apprise()
    assert sender.add(f"sms1680://demo:demo1680@61341/{A}?gateway=http://127.0.0.1:{free_port}")
    began = time.monotonic()
    run = sender.notify if mode == "sync" else lambda *given, **named: asyncio.run(sender.async_notify(*given, **named))
    result = run(TEXT, timeout=8)
    assert time.monotonic() - began < 40  # our own limit is 54 seconds
    assert not result
    assert "not sent" in caplog.text
    assert "did not finish" not in caplog.text
    with SandboxThread(Config(port=free_port)) as box:
        threading.Event().wait(1.0)
        assert not box.platform.messages


def test_command_line_limit_is_kept(program: Any, free_port: int, tmp_path: Path) -> None:
    if "--limit" not in program("--help").stdout:
        pytest.skip("this Apprise has no --limit")
    make(tmp_path / ".config" / "apprise" / "plugins")
    url = f"sms1680://demo:demo1680@61341/{A}?gateway=http://127.0.0.1:{free_port}"
    done = program("-vv", "-L", "8", "-b", TEXT, url)
    assert done.returncode == 1, done.stdout
    assert "not sent" in done.stdout
    times = [datetime.fromisoformat(line[:19]) for line in done.stdout.splitlines() if re.match(r"\d{4}-", line)]
    assert times[-1] - times[0] < timedelta(seconds=40)  # our own limit is 54 seconds
    with SandboxThread(Config(port=free_port)) as box:
        threading.Event().wait(1.0)
        assert not box.platform.messages


def test_broadcast_uses_the_time(service: Service) -> None:
    """1000 numbers at 20 a second, in simulated time."""
    made = service(*(f"138{place:08d}" for place in range(1000)), rate="20", cap="0")
    sender = made._make_sender()
    assert sender._last_start(0.0) == 48.0

    class Clock:
        now = 0.0

        def sleep(self, seconds: float) -> None:
            self.now += seconds

    clock = Clock()
    fast = replace(sender, clock=lambda: clock.now, sleep=clock.sleep)
    receipts = fast.send(made.targets, TEXT, 0.0)
    assert [receipt.outcome.value for receipt in receipts] == ["accepted"] * 1000
    assert clock.now <= 48.0


# --- hosts that repeat ---


def test_repeating_host_doubles_nothing(box: SandboxThread, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mailrise", pytest)
    box.call(lambda platform: platform.faults.queue.extend([("", None)]) or platform.faults.next("drop_after"))
    made = service(A, B, batch="no")
    assert made.notify(TEXT) is False
    for _ in range(3):
        assert service(A, B, batch="no").notify(TEXT) is False  # B's outcome stays unknown
    assert texts(box) == [(A, TEXT), (B, TEXT)]
    assert service(A).notify(f"{TEXT}。")
    assert service(A).notify(f"{TEXT}。")  # after a success, the same text is a new message
    assert len(texts(box)) == 4


def test_repeating_host_sends_no_held_message_again(
    box: SandboxThread, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mailrise", pytest)
    box.call(lambda platform: setattr(platform, "review_words", [TEXT]))
    for _ in range(3):
        assert service(A).notify(TEXT) is False
    assert texts(box) == [(A, TEXT)]


def test_repeating_host_completes_what_was_refused(
    box: SandboxThread, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mailrise", pytest)
    box.call(lambda platform: platform.faults.queue.extend([("", None)]) or platform.faults.next("failed"))
    assert service(A, B, batch="no").notify(TEXT) is False
    assert service(A, B, batch="no").notify(TEXT) is True
    assert texts(box) == [(A, TEXT), (B, TEXT)]
    assert service(A, B).notify(TEXT) is True
    assert len(texts(box)) == 4


def test_repeating_host_sends_later_what_was_held_back(
    box: SandboxThread, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "mailrise", pytest)
    assert service(A, cap="1").notify(TEXT)
    for _ in range(3):
        assert not service(A, cap="1").notify(f"{TEXT}1")
    assert "begins with the count" not in caplog.text
    assert service(A, cap="0").notify(f"{TEXT}1")
    assert texts(box) == [(A, TEXT), (A, f"{TEXT}1")]


def test_other_hosts_are_not_taken_for_repeating_ones(box: SandboxThread, service: Service) -> None:
    box.call(lambda platform: platform.faults.next("drop_after"))
    assert service(A).notify(TEXT) is False
    assert service(A).notify(TEXT) is True
    assert len(texts(box)) == 2
