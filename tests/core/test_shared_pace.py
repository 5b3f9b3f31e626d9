"""The rate of an account shared by several machines, on a real Valkey or Redis server."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Generator, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support import ROOT
from support.shared_server import MISSING, PASSWORD, SharedServerProcess, be_patient, free_port

from sms1680.limits.rate import DeadlineError, RateLimiter, Slot
from sms1680.limits.redis import server as server_module
from sms1680.limits.redis.pace import LEASE
from sms1680.limits.redis.scripts import ACQUIRE
from sms1680.limits.redis.server import SharedServer
from sms1680.limits.server_address import read_address

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

_RATE = 200.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SharedServerProcess]:
    process = SharedServerProcess(tmp_path / "server").start()
    yield process
    process.kill()


class Machines:
    """Limiters of several machines: each has its own folder."""

    def __init__(self, server: SharedServerProcess, folder: Path) -> None:
        self._address = read_address(server.url)
        self._folder = folder

    def __call__(self, name: str, rate: float | None = _RATE) -> RateLimiter:
        return RateLimiter("account", rate, time.monotonic, str(self._folder / name), self._address)


@pytest.fixture(autouse=True)
def patient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "trouble" not in request.fixturenames:
        be_patient(monkeypatch.setattr)


@pytest.fixture
def machine(server: SharedServerProcess, tmp_path: Path) -> Machines:
    return Machines(server, tmp_path)


def taken(turn: Generator[float, None, Slot], longest: float = 10.0) -> Slot:
    """Return the slot of a turn, or raise TimeoutError."""
    until = time.monotonic() + longest
    with contextlib.closing(turn):
        try:
            while time.monotonic() < until:
                time.sleep(next(turn))  # noqa: TID251 - as the blocking client does
        except StopIteration as stop:
            slot: Slot = stop.value
            return slot
    raise TimeoutError


def test_next_packet_waits_for_the_answer_to_another_machine(machine: Machines) -> None:
    first, second = machine("a", 10), machine("b", 10)
    slot = taken(first.acquire(3, "normal", None))
    assert slot.lease is not None
    with pytest.raises(TimeoutError):
        taken(second.acquire(1, "normal", None), 0.2)
    answered = time.monotonic()
    first.release(slot)
    second.release(taken(second.acquire(1, "normal", None)))
    assert time.monotonic() - answered >= 0.3 - 0.002


def test_five_places_without_a_rate(machine: Machines) -> None:
    limiters = [machine(f"m{number}", None) for number in range(6)]
    slots = [taken(limiter.acquire(1, "normal", None)) for limiter in limiters[:5]]
    with pytest.raises(TimeoutError):
        taken(limiters[5].acquire(1, "normal", None), 0.2)
    limiters[0].release(slots[0])
    taken(limiters[5].acquire(1, "normal", None))


def test_too_fast_slows_other_machines_down(machine: Machines) -> None:
    first, second = machine("a", None), machine("b", None)
    slot = taken(first.acquire(1, "normal", None))
    answered = time.monotonic()
    first.release(slot, too_fast=True)
    taken(second.acquire(1, "normal", None))
    assert time.monotonic() - answered >= 0.5 - 0.01
    assert not second.is_unlimited()


def test_client_without_a_rate_learns_it_from_another_machine(machine: Machines) -> None:
    first, second = machine("a", 20), machine("b", None)
    assert second.is_unlimited()
    first.release(taken(first.acquire(1, "normal", None)))
    until = time.monotonic() + 5
    while second.is_unlimited():
        assert time.monotonic() < until
        time.sleep(0.01)  # noqa: TID251 - the limiter looks in the background


def test_urgent_packet_of_another_machine_goes_first(machine: Machines) -> None:
    first, second, third = machine("a", 5), machine("b", 5), machine("c", 5)
    order = []
    slot = taken(first.acquire(1, "normal", None))
    normal, urgent = second.acquire(1, "normal", None), third.acquire(1, "critical", None)
    turns: dict[str, Any] = {"normal": normal, "urgent": urgent}
    for _ in range(40):  # both wait now
        next(normal), next(urgent)
        time.sleep(0.001)  # noqa: TID251
    first.release(slot)
    until = time.monotonic() + 10
    while turns and time.monotonic() < until:
        for name, turn in list(turns.items()):
            try:
                next(turn)
            except StopIteration as stop:
                order.append(name)
                {"normal": second, "urgent": third}[name].release(stop.value)
                del turns[name]
        time.sleep(0.001)  # noqa: TID251
    assert order == ["urgent", "normal"]


def test_deadline_counts_the_wait_for_another_machine(machine: Machines) -> None:
    first, second = machine("a", 0.02), machine("b", 0.02)
    first.release(taken(first.acquire(1, "normal", None)))
    deadline = time.monotonic() + 40
    with pytest.raises(DeadlineError):
        taken(second.acquire(1, "normal", deadline), 30)


def test_abandoned_turn_gives_its_lease_back(machine: Machines) -> None:
    first, second = machine("a"), machine("b")
    turn = first.acquire(1, "normal", None)
    next(turn)
    turn.close()
    taken(second.acquire(1, "normal", None), 5)


PROCESS = """
    import sys, time
    from sms1680.limits.rate import RateLimiter
    from sms1680.limits.redis import connection, server
    from sms1680.limits.server_address import read_address
    # The machine of the tests is busy, and a call that takes too long would go on with the files.
    connection.ANSWER_TIMEOUT = connection.CONNECT_TIMEOUT = server.LONGEST_CALL = 10.0
    server.LONGEST_START = 60.0
    folder, address, packets, pause = sys.argv[1:]
    limiter = RateLimiter("account", 200.0, time.monotonic, folder, read_address(address))
    for number in range(int(packets)):
        turn = limiter.acquire(1, "normal", None)
        try:
            while True:
                time.sleep(next(turn))
        except StopIteration as taken:
            slot = taken.value
        began = time.monotonic()
        print(began, end=" ", flush=True)
        time.sleep(float(pause))
        print(time.monotonic(), flush=True)
        limiter.release(slot)
"""


def start(server: SharedServerProcess, folder: Path, packets: int, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(PROCESS), str(folder), server.url, str(packets), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_three_machines_share_one_rate(server: SharedServerProcess, tmp_path: Path) -> None:
    processes = [start(server, tmp_path / f"machine{number % 3}", 40, 0.005) for number in range(4)]
    lines = [line for process in processes for line in process.communicate(timeout=60)[0].splitlines()]
    assert all(process.returncode == 0 for process in processes)
    submits = sorted(tuple(map(float, line.split())) for line in lines)
    assert len(submits) == 160
    for (_, ended), (began, _) in pairwise(submits):
        assert began - ended >= 1 / _RATE - 1e-4
    private = server.everything()
    assert private
    for key, (milliseconds, contents) in private.items():
        assert 0 < milliseconds <= 90_000_000
        assert b"account" not in b" ".join([key, *contents])


def kill_a_holder(server: SharedServerProcess, folder: Path) -> None:
    """Kill a process of the machine with this folder while it holds a slot."""
    process = start(server, folder, 1, 100)
    assert process.stdout is not None
    assert process.stdout.read(1)
    process.kill()
    process.communicate(timeout=30)


def test_place_of_a_killed_process_is_free_at_once_on_its_machine(
    server: SharedServerProcess, machine: Machines, tmp_path: Path
) -> None:
    kill_a_holder(server, tmp_path / "a")
    taken(machine("a").acquire(1, "normal", None), 5)


def test_place_of_a_dead_machine_is_free_after_its_lease(
    server: SharedServerProcess, machine: Machines, tmp_path: Path
) -> None:
    kill_a_holder(server, tmp_path / "a")
    other = machine("b")
    with pytest.raises(TimeoutError):
        taken(other.acquire(1, "normal", None), 0.3)
    key = key_that_ends_with(b":slots", server)
    with server.client() as client:
        ((lease, ends),) = client.zrange(key, 0, -1, withscores=True)
        assert LEASE - 15 < ends / 1000 - client.time()[0] <= LEASE + 1
        client.zadd(key, {lease: 1})  # the time of the lease passes
    taken(other.acquire(1, "normal", None), 5)


def test_lease_is_renewed_while_its_request_is_under_way(
    server: SharedServerProcess, machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sms1680.limits.redis.pace.LEASE", 0.5)
    monkeypatch.setattr("sms1680.limits.redis.pace.RENEWED_EVERY", 0.1)
    first, second = machine("a"), machine("b")
    slot = taken(first.acquire(1, "normal", None))
    with pytest.raises(TimeoutError):
        taken(second.acquire(1, "normal", None), 1.5)
    first.release(slot)
    taken(second.acquire(1, "normal", None), 5)
    until = time.monotonic() + 5
    while (leases := slots_of(server)) != 1 and time.monotonic() < until:
        time.sleep(0.01)  # noqa: TID251
    assert leases == 1


def key_that_ends_with(end: bytes, server: SharedServerProcess) -> str:
    """Return the key, when there is one: the client writes some later."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for key in server.everything():
            if key.endswith(end):
                return key.decode()
        time.sleep(0.01)  # noqa: TID251
    raise AssertionError(f"no key ends with {end!r}")


def slots_of(server: SharedServerProcess) -> int:
    return sum(len(contents) for key, (_, contents) in server.everything().items() if key.endswith(b":slots"))


@pytest.fixture
def fast_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_FIRST_RETRY", 0.05)
    monkeypatch.setattr(server_module, "_LONGEST_RETRY", 0.1)


def wait_until_used(limiter: RateLimiter) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        slot = taken(limiter.acquire(1, "normal", None))
        limiter.release(slot)
        if slot.lease is not None:
            return
    raise AssertionError("the server is not used again")


def make_read_only(server: SharedServerProcess) -> None:
    """Make a replica of it, as a failover does with the old primary."""
    assert server.command("REPLICAOF", "127.0.0.1", "1") == b"+OK"


TROUBLES = {
    "gone": (SharedServerProcess.kill, SharedServerProcess.start),
    "slow": (lambda server: server.signal(signal.SIGSTOP), lambda server: server.signal(signal.SIGCONT)),
    "read-only": (make_read_only, lambda server: server.command("REPLICAOF", "NO", "ONE")),
    "wrong password": (
        lambda server: server.command("CONFIG SET requirepass other\r\nCLIENT KILL TYPE normal SKIPME no"),
        lambda server: (server.kill(), server.start()),
    ),
}


@pytest.mark.usefixtures("fast_retry")
@pytest.mark.parametrize("trouble", TROUBLES)
def test_files_are_used_while_the_server_is_in_trouble(
    server: SharedServerProcess,
    machine: Machines,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    break_it, mend_it = TROUBLES[trouble]
    limiter = machine("a")
    limiter.release(taken(limiter.acquire(1, "normal", None)))
    break_it(server)
    calls = []
    ask = SharedServer.call

    def counted(*arguments: Any, **options: Any) -> Any:
        answer = yield from ask(*arguments, **options)
        calls.append(answer)
        return answer

    monkeypatch.setattr(SharedServer, "call", counted)
    submitted = []
    submit = SharedServer._queue

    def noted(self: SharedServer, script: str, *arguments: Any) -> Any:
        submitted.append(script)
        return submit(self, script, *arguments)

    monkeypatch.setattr(SharedServer, "_queue", noted)
    for _ in range(20):
        limiter.release(taken(limiter.acquire(1, "normal", None)))
    assert calls == [None] * 20
    assert submitted.count(ACQUIRE) <= 1  # the others do not wait for the server
    (warning,) = server.warnings(caplog.records)
    assert "cannot be used" in warning
    mend_it(server)
    wait_until_used(limiter)


def test_full_server_stops_no_packet(server: SharedServerProcess, machine: Machines) -> None:
    limiter = machine("a")
    assert server.command("CONFIG", "SET", "maxmemory", "1") == b"+OK"
    for _ in range(5):
        limiter.release(taken(limiter.acquire(1, "normal", None)))
    assert server.command("CONFIG", "SET", "maxmemory", "0") == b"+OK"
    wait_until_used(limiter)


def test_server_that_was_never_there_costs_no_alarm_more_than_a_second(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = SharedServerProcess(tmp_path / "server")
    limiter = Machines(server, tmp_path)("a")
    began = time.monotonic()
    slot = taken(limiter.acquire(1, "critical", None))
    assert slot.lease is None
    assert time.monotonic() - began < 8.0  # the limit is 10 in these tests, 1 in the product
    limiter.release(slot)
    limiter.release(taken(limiter.acquire(1, "normal", None)))
    assert len(server.warnings(caplog.records)) == 1


def test_pace_of_this_machine_goes_on_without_the_server(server: SharedServerProcess, machine: Machines) -> None:
    limiter = machine("a", 5)
    slot = taken(limiter.acquire(2, "normal", None))
    answered = time.monotonic()
    limiter.release(slot)
    server.kill()
    taken(limiter.acquire(1, "normal", None))
    assert time.monotonic() - answered >= 0.4 - 0.005


def test_clock_of_the_server_that_goes_back_costs_one_wait(server: SharedServerProcess, machine: Machines) -> None:
    first, second = machine("a", 10), machine("b", 10)
    first.release(taken(first.acquire(2, "normal", None)))
    key = key_that_ends_with(b":record", server)
    with server.client() as client:
        client.hset(key, "at", str(float(client.hget(key, "at")) + 3_600_000))
    assert taken(second.acquire(1, "normal", None)).lease is not None


@pytest.mark.usefixtures("fast_retry")
def test_idle_connection_that_the_server_closed_is_opened_again(
    server: SharedServerProcess, machine: Machines, caplog: pytest.LogCaptureFixture
) -> None:
    limiter = machine("a")
    limiter.release(taken(limiter.acquire(1, "normal", None)))
    server.command("CLIENT", "KILL", "TYPE", "normal")
    assert taken(limiter.acquire(1, "normal", None)).lease is not None
    assert server.warnings(caplog.records) == []


def test_user_with_the_rights_of_the_documentation(server: SharedServerProcess, tmp_path: Path) -> None:
    (rights,) = re.findall(r"`ACL SETUSER (.+?)`", (ROOT / "docs/shared-state.md").read_text("utf-8"))
    assert server.command("ACL SETUSER", rights.replace(">password", f">{PASSWORD}")) == b"+OK"
    address = read_address(f"redis://sms1680:{PASSWORD}@127.0.0.1:{server.port}/0")
    limiter = RateLimiter("account", _RATE, time.monotonic, str(tmp_path / "a"), address)
    limiter.release(taken(limiter.acquire(1, "normal", None)))
    assert taken(limiter.acquire(1, "critical", None)).lease is not None


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl")
def test_server_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    server, port = SharedServerProcess(tmp_path / "server"), free_port()
    tls = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    try:
        server.start(*tls, "--tls-auth-clients", "no")
        leases = []
        for query in (f"?ssl_ca_certs={certificate}", ""):
            address = read_address(f"rediss://:{PASSWORD}@127.0.0.1:{port}/0{query}")
            limiter = RateLimiter("account", _RATE, time.monotonic, str(tmp_path / "a"), address)
            slot = taken(limiter.acquire(1, "normal", None))
            leases.append(slot.lease is not None)
            limiter.release(slot)
        assert leases == [True, False]  # without its authority, the certificate is not trusted
    finally:
        server.kill()
