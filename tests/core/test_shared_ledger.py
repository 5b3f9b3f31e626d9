"""The spending of an account shared by several machines, on a real Valkey or Redis server."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from support.shared_server import MISSING, SharedServerProcess, be_patient

from sms1680 import Outcome, Reason, Receipt, Spending, SpendingLimits
from sms1680.limits.budget import Reservation, SpendingGuard
from sms1680.limits.digest import DigestGuard, Notice
from sms1680.limits.redis import server as server_module
from sms1680.limits.server_address import read_address

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

Result = TypeVar("Result")
NUMBERS = [f"1391100000{digit}" for digit in range(10)]
UNLIMITED = {"hour": None, "day": None, "number": None, "automatic": None}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedServerProcess]:
    be_patient(monkeypatch.setattr)
    process = SharedServerProcess(tmp_path / "server").start()
    yield process
    process.kill()


Make = Callable[..., Any]


@pytest.fixture
def guard(server: SharedServerProcess, tmp_path: Path) -> Make:
    """Makes guards of machines: each has its own folder."""

    def make(name: str, kind: type[SpendingGuard] = SpendingGuard, **limits: int | None) -> SpendingGuard:
        settings = SpendingLimits(**{**UNLIMITED, **limits})
        return kind("account", settings, time.time, str(tmp_path / name), read_address(server.url))

    return make


def result(steps: Generator[float, None, Result]) -> Result:
    try:
        while True:
            time.sleep(next(steps))  # noqa: TID251 - as the blocking client does
    except StopIteration as stop:
        value: Result = stop.value
        return value


def reserve(guard: SpendingGuard, *messages: tuple[str, int], **options: bool) -> Reservation:
    return result(guard.reserve(messages, **{"critical": False, "automatic": False, **options}))


def test_limits_count_the_messages_of_every_machine(guard: Make) -> None:
    first, second = guard("a", hour=10), guard("b", hour=10)
    assert not reserve(first, *((number, 2) for number in NUMBERS[:4])).refused
    reservation = reserve(second, (NUMBERS[0], 2), (NUMBERS[1], 1))
    assert reservation.refused == {1: Reason.HOURLY_LIMIT}
    assert first.spending() == second.spending() == Spending(10, 10)


def test_messages_to_one_number_count_on_every_machine(guard: Make) -> None:
    first, second = guard("a", number=2), guard("b", number=2)
    reserve(first, (NUMBERS[0], 1))
    reserve(second, (NUMBERS[0], 1))
    assert reserve(first, (NUMBERS[0], 1), (NUMBERS[1], 1)).refused == {0: Reason.NUMBER_LIMIT}
    assert 590 < second.room_at(NUMBERS[0], 1) - time.time() <= 600


def test_automatic_messages_have_their_own_limit(guard: Make) -> None:
    first, second = guard("a", automatic=1), guard("b", automatic=1)
    reserve(first, (NUMBERS[0], 1), automatic=True)
    assert reserve(second, (NUMBERS[1], 1), automatic=True).refused == {0: Reason.AUTOMATIC_LIMIT}
    assert not reserve(second, (NUMBERS[1], 1)).refused
    assert second.room_at(NUMBERS[1], 1, automatic=True) > time.time() + 3500


def test_failed_message_is_refunded_on_the_server_and_on_the_machine(server: SharedServerProcess, guard: Make) -> None:
    first, second = guard("a", hour=2), guard("b", hour=2)
    reservation = reserve(first, (NUMBERS[0], 1), (NUMBERS[1], 1))
    receipts = [Receipt(NUMBERS[0], Outcome.ACCEPTED), Receipt(NUMBERS[1], Outcome.NOT_SENT)]
    result(first.refund(reservation, receipts))
    assert second.spending() == Spending(1, 1)
    server.kill()
    assert first.spending() == Spending(1, 1)


def test_two_machines_at_once_never_pass_a_limit(server: SharedServerProcess, tmp_path: Path) -> None:
    program = """
        import sys, time
        from sms1680 import SpendingLimits
        from sms1680.limits.budget import SpendingGuard
        from sms1680.limits.redis import connection, server
        from sms1680.limits.server_address import read_address
        connection.ANSWER_TIMEOUT = connection.CONNECT_TIMEOUT = server.LONGEST_CALL = 10.0
        server.LONGEST_START = 60.0
        limits = SpendingLimits(hour=50, day=None, number=None, automatic=None)
        guard = SpendingGuard("account", limits, time.time, sys.argv[1], read_address(sys.argv[2]))
        admitted = 0
        for number in range(40):
            steps = guard.reserve([(f"139{number:08}", 1)], critical=False, automatic=False)
            try:
                while True:
                    time.sleep(next(steps))
            except StopIteration as stop:
                admitted += len(stop.value.admitted)
        print(admitted)
    """
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / f"machine{number}"), server.url],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    assert sum(int(process.communicate(timeout=120)[0]) for process in processes) == 50


def test_digest_counts_what_any_machine_held_back(guard: Make) -> None:
    first, second = guard("a", DigestGuard, number=1), guard("b", DigestGuard, number=1)
    admission = result(first.admit(NUMBERS[:1], lambda _: 1, critical=False))
    assert admission.notices == {0: Notice(0, Reason.NUMBER_LIMIT)}
    for machine in (first, second, second):
        assert result(machine.admit(NUMBERS[:1], lambda _: 1, critical=False)).reservation.refused
    other = guard("c", DigestGuard, number=2)
    admission = result(other.admit(NUMBERS[:1], lambda _: 1, critical=False))
    assert admission.notices[0].held_back == 3
    result(other.settle(admission, NUMBERS, {NUMBERS[0]: Receipt(NUMBERS[0], Outcome.NOT_SENT)}))
    admission = result(other.admit(NUMBERS[:1], lambda _: 1, critical=False))
    assert admission.notices[0].held_back == 3


def test_digest_announces_a_limit_that_another_machine_used_up(guard: Make, server: SharedServerProcess) -> None:
    first, second = guard("a", DigestGuard, day=2), guard("b", DigestGuard, day=2)
    assert result(first.admit(NUMBERS[:1], lambda _: 1, critical=False)).notices == {0: Notice()}
    result(second.admit(NUMBERS[1:2], lambda _: 1, critical=True))
    admission = result(second.admit(NUMBERS[:1], lambda _: 1, critical=False))
    assert admission.notices == {0: Notice(0, Reason.DAILY_LIMIT)}
    result(second.settle(admission, NUMBERS, {NUMBERS[0]: Receipt(NUMBERS[0], Outcome.NOT_SENT)}))
    notices = [result(first.admit(NUMBERS[:1], lambda _: 1, critical=False)).notices for _ in range(2)]
    assert notices == [{0: Notice(0, Reason.DAILY_LIMIT)}, {}]
    server.kill()  # and the files of the machine know it too
    assert result(first.admit(NUMBERS[:1], lambda _: 1, critical=False)).notices == {}


def test_machine_counts_alone_while_the_server_is_gone_and_reports_it_later(
    server: SharedServerProcess, guard: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_module, "_FIRST_RETRY", 0.05)
    monkeypatch.setattr(server_module, "_LONGEST_RETRY", 0.1)
    first, second = guard("a", hour=5), guard("b", hour=5)
    reserve(first, (NUMBERS[0], 2))
    server.kill()
    assert not reserve(first, (NUMBERS[1], 2)).refused
    assert reserve(first, (NUMBERS[2], 2)).refused  # its own count goes on
    assert len(server.warnings(caplog.records)) == 1
    server.start()
    until = time.monotonic() + 60
    while first.spending() != Spending(2, 2):  # the new server knows the message of the outage only
        reserve(first, (NUMBERS[3], 9))  # refused, but it brings what the server missed
        assert time.monotonic() < until
    assert second.spending() == Spending(2, 2)
    assert reserve(second, (NUMBERS[4], 4)).refused


def test_evicted_keys_are_counted_again_or_forgotten(server: SharedServerProcess, guard: Make) -> None:
    machine = guard("a", hour=100)
    reserve(machine, (NUMBERS[0], 2), (NUMBERS[1], 3))
    keys = {key.rpartition(b":")[2]: key.decode() for key in server.everything()}
    server.command("DEL", keys[b"totals"])
    assert machine.spending() == Spending(5, 5)
    server.command("DEL", keys[b"hour"])
    assert machine.spending() == Spending(0, 5)
    reserve(machine, (NUMBERS[0], 1))
    assert machine.spending() == Spending(1, 6)


def test_server_holds_no_number_and_everything_expires(server: SharedServerProcess, guard: Make) -> None:
    machine = guard("a", DigestGuard, number=1)
    for _ in range(2):
        result(machine.admit(NUMBERS, lambda _: 1, critical=False))
    stored = server.everything()
    assert len(stored) >= 20
    for key, (milliseconds, contents) in stored.items():
        assert 0 < milliseconds <= 7 * 24 * 3_600_000
        whole = b" ".join([key, *contents])
        assert b"account" not in whole
        assert not any(number.encode() in whole for number in NUMBERS)
