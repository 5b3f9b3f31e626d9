"""Whatever the file system does, a send goes on, and its outcome is reported as it is."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.mounts import fill, on_read_only_machine, tmpfs

from sms1680 import Account, Client, SpendingLimits
from sms1680.limits import shared_state
from sms1680.limits.ledger import Ledger
from sms1680.limits.slots import Record, SharedSlots
from sms1680.sandbox import Account as PlatformAccount, Config, SandboxThread

NUMBERS = [f"1391100000{digit}" for digit in range(10)]
RATE = 50.0
Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def _warn_again() -> None:
    shared_state.warned.clear()


@pytest.fixture
def box(make_box: Callable[..., SandboxThread]) -> SandboxThread:
    """Return a platform that refuses what comes faster than the rate."""
    return make_box(Config(accounts=(PlatformAccount(rate=RATE),)))


@pytest.fixture(params=["below a file", "in proc", "open to everybody", "full"])
def bad_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Return a folder that cannot hold state."""
    if request.param == "below a file":
        (tmp_path / "file").write_text("")
        yield tmp_path / "file" / "state"
    elif request.param == "in proc":
        yield Path("/proc/sms1680")
    elif request.param == "open to everybody":
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(0o777)
        yield tmp_path / "open"
    else:
        with tmpfs(tmp_path / "full", 64 * 1024) as folder:
            fill(folder)
            yield folder


def send_ten(make: Make, box: SandboxThread, **settings: Any) -> list[str]:
    """Send to ten numbers, one request each, and return the outcomes."""
    sms = make(box.url, rate=RATE, packet_size=1, spending=SpendingLimits(), **settings)
    return [receipt.outcome.value for receipt in sms.send(NUMBERS, "水管漏水")]


def assert_in_pace(box: SandboxThread, count: int) -> None:
    assert len(box.platform.messages) == count
    assert box.platform.verdicts["too_fast"] == 0


def test_send_without_a_folder_has_its_pace_and_one_warning(
    make: Make, box: SandboxThread, bad_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert send_ten(make, box, state_dir=str(bad_folder)) == ["accepted"] * 10
    assert_in_pace(box, 10)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "within this process only" in warning


def test_send_after_the_folder_was_deleted(make: Make, box: SandboxThread, state_folder: Path) -> None:
    sms = make(box.url, rate=RATE, packet_size=1, spending=SpendingLimits())
    sms.send(NUMBERS[0], "水管漏水")
    shutil.rmtree(state_folder)
    assert [receipt.outcome for receipt in sms.send(NUMBERS[1:4], "水管漏水", priority="critical")] == ["accepted"] * 3
    assert state_folder.is_dir()
    shutil.rmtree(state_folder)
    state_folder.write_text("a file where the folder was")
    assert [receipt.outcome for receipt in sms.send(NUMBERS[4:], "水管漏水")] == ["accepted"] * 6
    assert_in_pace(box, 10)


def test_concurrent_sends_while_the_folder_is_deleted(account: Account, box: SandboxThread, state_folder: Path) -> None:
    sms = Client(account, gateway=box.url, packet_size=1, spending=SpendingLimits(number=None))

    def send(place: int) -> str:
        if place % 3 == 0:
            shutil.rmtree(state_folder, ignore_errors=True)
        (receipt,) = sms.send(NUMBERS[place % 10], f"水管漏水{place}")
        return str(receipt.outcome.value)

    with sms, ThreadPoolExecutor(6) as pool:
        assert set(pool.map(send, range(12))) == {"accepted"}


def test_disk_becomes_full_between_two_sends(make: Make, box: SandboxThread, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", 256 * 1024) as folder:
        limits = SpendingLimits(hour=12)
        sms = make(box.url, rate=RATE, packet_size=1, spending=limits, state_dir=str(folder))
        assert [receipt.outcome for receipt in sms.send(NUMBERS, "水管漏水")] == ["accepted"] * 10
        fill(folder)
        assert [receipt.outcome for receipt in sms.send(NUMBERS[:2], "水管漏水")] == ["accepted"] * 2
        with pytest.raises(Exception, match="hourly spending limit"):
            sms.send(NUMBERS[2], "水管漏水")  # the count goes on
        assert sms.spending().hour == 12
    assert_in_pace(box, 12)


@pytest.mark.parametrize("call", ["open", "pread", "pwrite", "fstat"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EMFILE])
def test_a_system_call_that_fails_stops_no_send(
    make: Make, box: SandboxThread, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    sms = make(box.url, rate=RATE, packet_size=1)
    sms.send(NUMBERS[0], "水管漏水")

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(f"sms1680.limits.slots.os.{call}", fail)
        receipts = sms.send(NUMBERS[1:4], "水管漏水", priority="critical")
    assert [receipt.outcome for receipt in receipts] == ["accepted"] * 3
    assert_in_pace(box, 4)


def test_file_system_without_locks(
    make: Make, box: SandboxThread, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("sms1680.limits.slots.fcntl.flock", flock)
    assert send_ten(make, box) == ["accepted"] * 10
    assert_in_pace(box, 10)
    assert "within this process only" in caplog.text


def test_record_that_could_not_be_written_is_newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slots = SharedSlots(tmp_path, "x")
    slots.write(Record(5.0, 1.0, 10.0, 1.0))
    with monkeypatch.context() as patch:
        patch.setattr("sms1680.limits.slots.os.pwrite", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "")))
        slots.write(Record(6.0, 2.0, 10.0, 1.0))
    assert slots.read() == Record(6.0, 2.0, 10.0, 1.0)
    SharedSlots(tmp_path, "x").write(Record(7.0, 3.0, 10.0, 1.0))
    assert slots.read() == Record(7.0, 3.0, 10.0, 1.0)


def test_deleted_files_are_replaced_by_those_of_other_processes(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    ours = SharedSlots(tmp_path / "state", "x")
    assert ours.acquire(1) == 0
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "state").mkdir()
    theirs = SharedSlots(tmp_path / "state", "x")
    theirs.write(Record(9.0, 1.0, 10.0, 1.0))
    assert ours.read() == Record(9.0, 1.0, 10.0, 1.0)
    ours.release(0)
    assert ours.acquire(1) == 0
    assert theirs.acquire(1) is None


def test_ledger_of_this_process_has_the_count_of_the_file(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path / "spent"))
    with ledger.writing():
        ledger.add(100.0, 3, b"number")
    assert ledger.copy().parts(0.0) == 3


PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from sms1680 import Account, Client, SpendingLimits
account = Account("demo", "demo1680", product_id="61341")
with Client(account, gateway=sys.argv[1], rate=50, packet_size=1, spending=SpendingLimits()) as sms:
    print(*(receipt.outcome.value for receipt in sms.send(sys.argv[2:], "leak")))
"""


def test_process_that_may_write_no_file(box: SandboxThread) -> None:
    command = [sys.executable, "-P", "-c", PROGRAM, box.url, *NUMBERS[:5]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["accepted"] * 5, done.stderr
    assert_in_pace(box, 5)


def run_cli(box: SandboxThread, command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    account = {"SMS1680_USERNAME": "demo", "SMS1680_PASSWORD": "demo1680", "SMS1680_PRODUCT_ID": "61341"}
    environment = {**os.environ, "SMS1680_GATEWAY": box.url, **account, **variables}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


@pytest.fixture
def send_command() -> list[str]:
    return [sys.executable, "-P", "-m", "sms1680", "send", "--json", "--to", NUMBERS[0], "水管漏水"]


def test_command_line_without_any_folder(box: SandboxThread, send_command: list[str]) -> None:
    nowhere = {"HOME": "/proc/none", "TMPDIR": "/proc", "SMS1680_STATE_DIR": "", "XDG_STATE_HOME": ""}
    done = run_cli(box, on_read_only_machine(send_command), **nowhere)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["receipts"][0]["outcome"] == "accepted"
    assert done.stderr.count("within this process only") == 1
    assert "Traceback" not in done.stderr
    assert len(box.platform.messages) == 1


def test_command_line_with_a_full_disk_behind_its_output(box: SandboxThread, send_command: list[str]) -> None:
    shell = ["sh", "-c", 'exec "$@" >/dev/full', "sh", *send_command]
    done = run_cli(box, shell)
    assert (done.returncode, len(box.platform.messages)) == (0, 1), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("coding", ["utf-8", "ascii", "latin-1"])
def test_command_line_in_any_encoding(box: SandboxThread, send_command: list[str], coding: str) -> None:
    del send_command[send_command.index("--json")]
    done = run_cli(box, send_command, PYTHONIOENCODING=coding, LC_ALL="C", LANGUAGE="zh", LANG="zh_CN.UTF-8")
    assert done.returncode == 0, done.stderr
    assert [message.text for message in box.platform.messages] == ["水管漏水"]


def test_command_line_replaces_a_broken_character(box: SandboxThread, send_command: list[str]) -> None:
    broken = [part.encode() for part in send_command[:-1]] + ["水管漏水".encode()[:-1]]
    done = run_cli(box, broken, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    assert [message.text for message in box.platform.messages] == ["水管漏�"]
