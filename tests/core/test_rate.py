"""The rate limiter with a simulated clock, and shared by real processes."""

from __future__ import annotations

import heapq
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Generator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from sms1680.limits import shared_state
from sms1680.limits.rate import SLOWEST, DeadlineError, RateLimiter, Slot
from sms1680.limits.slots import SLOT_COUNT, Record, SharedSlots, Slots, open_slots


class World:
    """Simulated time: senders are generators that yield seconds to sleep."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._due: list[tuple[float, int, Generator[float, None, object]]] = []
        self._turn = 0

    def clock(self) -> float:
        return self.now

    def start(self, sender: Generator[float, None, object], after: float = 0.0) -> None:
        self._turn += 1
        heapq.heappush(self._due, (self.now + after, self._turn, sender))

    def run(self) -> None:
        while self._due:
            at, _, sender = heapq.heappop(self._due)
            self.now = max(self.now, at)
            try:
                self.start(sender, next(sender))
            except StopIteration:
                continue


@pytest.fixture
def world() -> World:
    return World()


class Log(list[tuple[str, float, float]]):
    """The sender, begin and end of each submit."""

    def names(self) -> list[str]:
        return [name for name, *_ in self]


def sender(
    world: World,
    limiter: RateLimiter,
    log: Log,
    name: str,
    *,
    items: int = 1,
    packets: int = 1,
    answer: float = 0.02,
    priority: str = "normal",
    too_fast: int = 0,
) -> Generator[float, None, None]:
    for _ in range(packets):
        slot: Slot = yield from limiter.acquire(items, priority, None)  # type: ignore[arg-type]
        began = world.now
        yield answer
        log.append((name, began, world.now))
        limiter.release(slot, too_fast=too_fast > 0)
        too_fast -= 1


def test_next_submit_waits_items_divided_by_rate(world: World) -> None:
    limiter, log = RateLimiter("a", 10, world.clock), Log()
    world.start(sender(world, limiter, log, "x", items=5, packets=3, answer=0.3))
    world.run()
    gaps = [began - ended for (_, _, ended), (_, began, _) in pairwise(log)]
    assert gaps == pytest.approx([0.5, 0.5])


def test_known_rate_allows_one_in_flight_unknown_rate_five(world: World) -> None:
    for rate, most in ((10, 1), (None, SLOT_COUNT)):
        limiter, log = RateLimiter(f"r{rate}", rate, world.clock), Log()
        for name in range(12):
            world.start(sender(world, limiter, log, str(name), answer=1.0))
        world.run()
        assert len(log) == 12
        assert max(sum(began <= moment < ended for _, began, ended in log) for _, moment, _ in log) == most


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.5, 200),
    st.lists(st.tuples(st.integers(1, 100), st.floats(0.001, 2), st.floats(0, 5)), min_size=2, max_size=12),
    st.booleans(),
)
def test_rate_holds_for_any_senders_without_idle_time(
    rate: float,
    packets: list[tuple[int, float, float]],
    shared: bool,
) -> None:
    world, log = World(), Log()
    key = f"{rate}{packets}{shared}{os.urandom(4).hex()}"
    limiters = (
        [RateLimiter(key, rate, world.clock)] if shared else [RateLimiter(key, rate, world.clock) for _ in packets]
    )
    for number, (items, answer, after) in enumerate(packets):
        limiter = limiters[number % len(limiters)]
        world.start(sender(world, limiter, log, str(items), items=items, answer=answer), after)
    world.run()
    assert len(log) == len(packets)
    log.sort(key=lambda entry: entry[1])
    for (items, _, ended), (_, began, _) in pairwise(log):
        assert began >= ended + int(items) / rate - 1e-6
    busy = sum(int(items) / rate + ended - began for items, began, ended in log)
    idle = max(after for *_, after in packets)
    # Each look for a busy slot is late by at most a twentieth of the wait, or by 50 ms.
    assert log[-1][1] - 1000.0 <= busy + idle + 0.06 * len(packets)


def test_critical_packet_waits_for_one_normal_packet_at_most(world: World) -> None:
    limiter, log = RateLimiter("a", 10, world.clock), Log()
    world.start(sender(world, limiter, log, "large", items=10, packets=5, answer=0.1))
    world.start(sender(world, limiter, log, "small"), 0.1)
    world.start(sender(world, limiter, log, "alarm", priority="critical"), 0.2)
    world.run()
    assert log.names()[:4] == ["large", "alarm", "small", "large"]


def test_critical_packet_of_another_process_goes_first(world: World, state_folder: Path) -> None:
    # Two shared states over the same files act as two processes.
    ours, theirs = RateLimiter("a", 10, world.clock), RateLimiter("a", 10, world.clock, str(state_folder))
    log = Log()
    for number in range(4):
        world.start(sender(world, ours, log, f"normal{number}", answer=0.1), number / 1000)
    world.start(sender(world, theirs, log, "alarm", answer=0.1, priority="critical"), 0.05)
    world.run()
    assert log.names()[:2] == ["normal0", "alarm"]
    assert len(log) == 5


def test_too_fast_slows_down_to_ten_times_and_recovers(world: World) -> None:
    limiter, log = RateLimiter("a", 10, world.clock), Log()
    world.start(sender(world, limiter, log, "x", packets=30, answer=0.0, too_fast=5))
    world.run()
    gaps = [began - ended for (_, _, ended), (_, began, _) in pairwise(log)]
    assert gaps[:5] == pytest.approx([0.2, 0.4, 0.8, SLOWEST / 10, SLOWEST / 10])
    assert gaps[5:] == sorted(gaps[5:], reverse=True)
    assert gaps[-1] == pytest.approx(0.1)


def test_too_fast_without_a_rate_pauses_all_senders(world: World) -> None:
    one, other, log = RateLimiter("a", None, world.clock), RateLimiter("a", None, world.clock), Log()
    world.start(sender(world, one, log, "x", answer=0.0, too_fast=1))
    world.start(sender(world, other, log, "y", answer=0.0), 0.1)
    world.run()
    assert log[1][1] - log[0][2] == pytest.approx(0.5)


def test_known_rate_applies_to_other_clients(world: World) -> None:
    knows, knows_not, log = RateLimiter("a", 2, world.clock), RateLimiter("a", None, world.clock), Log()
    world.start(sender(world, knows, log, "x", items=4, answer=0.1))
    for name in "yz":
        world.start(sender(world, knows_not, log, name, items=2, answer=0.1), 0.2)
    world.run()
    assert [round(began - 1000, 2) for _, began, _ in log] == pytest.approx([0, 2.1, 3.2], abs=0.06)


def test_unreachable_deadline_fails_at_once(world: World) -> None:
    limiter, log = RateLimiter("a", 10, world.clock), Log()
    world.start(sender(world, limiter, log, "x", items=100))
    world.run()
    with pytest.raises(DeadlineError):
        next(limiter.acquire(1, "normal", world.now + 5))
    assert world.now == pytest.approx(1000.02)
    slot = next_place(world, limiter, deadline=world.now + 11)
    assert world.now == pytest.approx(1010.02)
    limiter.release(slot, submitted=False)
    assert next_place(world, limiter) is not None  # a packet that was not sent costs no time
    assert world.now == pytest.approx(1010.02)


def test_no_slot_begins_after_its_deadline(world: World) -> None:
    with pytest.raises(DeadlineError):
        next(RateLimiter("a", None, world.clock).acquire(1, "normal", world.now - 0.001))


def next_place(world: World, limiter: RateLimiter, deadline: float | None = None) -> Slot:
    taken: list[Slot] = []

    def wait() -> Generator[float, None, None]:
        taken.append((yield from limiter.acquire(1, "normal", deadline)))

    world.start(wait())
    world.run()
    return taken[0]


def test_abandoned_wait_leaves_the_queue_intact(world: World) -> None:
    limiter, log = RateLimiter("a", 10, world.clock), Log()
    slot = next_place(world, limiter)
    waiting = limiter.acquire(50, "critical", None)
    next(waiting)
    waiting.close()
    limiter.release(slot)
    world.start(sender(world, limiter, log, "x"))
    world.run()
    assert log[0][1] - 1000.0 == pytest.approx(0.1)


@pytest.mark.parametrize("jump", [-500.0, 86400.0])
def test_clock_jump_never_extends_the_wait(world: World, jump: float) -> None:
    limiter, log = RateLimiter("a", 10, world.clock), Log()
    world.start(sender(world, limiter, log, "x", items=20))
    world.run()
    world.now += jump
    began = world.now
    world.start(sender(world, limiter, log, "y"))
    world.run()
    assert log[-1][1] - began <= 2.0 + 0.06


def test_hanging_slot_holder_does_not_block_forever(world: World, state_folder: Path) -> None:
    hanging = RateLimiter("a", 10, world.clock, str(state_folder))
    slot = next_place(world, hanging)
    limiter, log = RateLimiter("a", 10, world.clock), Log()
    world.start(sender(world, limiter, log, "alarm", priority="critical"))
    world.run()
    assert 170 < log[0][1] - 1000.0 < 200
    hanging.release(slot)


@given(st.binary(max_size=60) | st.builds(lambda n: Record(1.0, 2.0, 3.0, 4.0).pack()[:n], st.integers(0, 45)))
def test_damaged_record_is_ignored(data: bytes) -> None:
    record = Record.unpack(data)
    assert record == Record() or record.pack() == data


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    slots = open_slots("a", str(tmp_path))
    slots.write(Record(5.0, 2.0, 10.0, 4.0))
    assert open_slots("a", str(tmp_path)).read() == Record(5.0, 2.0, 10.0, 4.0)
    assert open_slots("b", str(tmp_path)).read() == Record()
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600


def test_two_copies_of_the_module_exclude_each_other_in_one_process(tmp_path: Path) -> None:
    one, other = SharedSlots(tmp_path, "x"), SharedSlots(tmp_path, "x")
    assert [one.acquire(1), other.acquire(1)] == [0, None]
    assert [other.acquire(SLOT_COUNT) for _ in range(5)] == [1, 2, 3, 4, None]
    one.release(0)
    assert other.acquire(1) == 0
    ended = one.announce_urgent()
    assert other.has_urgent()
    ended()
    assert not other.has_urgent()


@pytest.mark.parametrize("folder", ["file", "open"])
def test_unshared_slots_warn_once(tmp_path: Path, folder: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / folder
    if folder == "file":
        path.write_text("")
    else:
        path.mkdir()
        path.chmod(0o777)  # anybody could put a trap there
    shared_state.warned.clear()
    assert isinstance(open_slots("a", str(path)), Slots)
    assert isinstance(open_slots("b", str(path)), Slots)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_threads_warn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    def warning(line: str, *_: object) -> None:
        lines.append(line)
        if len(lines) < 3:  # another thread warns while this one does
            other = threading.Thread(target=shared_state.warn_unshared)
            other.start()
            other.join()

    monkeypatch.setattr(shared_state._LOGGER, "warning", warning)
    shared_state.warned.clear()
    shared_state.warn_unshared()
    assert len(lines) == 1


def test_rate_holds_within_one_process(tmp_path: Path, world: World) -> None:
    (tmp_path / "file").write_text("")
    limiters = [RateLimiter("a", 10, world.clock, str(tmp_path / "file")) for _ in range(3)]
    log = Log()
    for number in range(6):
        world.start(sender(world, limiters[number % 3], log, "x", answer=0.5))
    world.run()
    gaps = [began - ended for (_, _, ended), (_, began, _) in pairwise(log)]
    assert all(gap >= 0.1 - 1e-9 for gap in gaps)


def test_forked_child_has_its_own_locks(tmp_path: Path) -> None:
    program = """
        import os, sys
        from pathlib import Path
        from sms1680.limits.slots import SharedSlots
        slots = SharedSlots(Path(sys.argv[1]), "x")
        assert slots.acquire(1) == 0
        child = os.fork()
        if child == 0:
            os._exit(0 if slots.acquire(1) is None else 1)
        status = os.waitpid(child, 0)[1]
        assert SharedSlots(Path(sys.argv[1]), "x").acquire(1) is None, "the child's end freed the parent's slot"
        sys.exit(os.waitstatus_to_exitcode(status))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(tmp_path)], check=True, timeout=30)


PROCESS = """
    import sys, time
    from sms1680.limits.rate import RateLimiter
    limiter = RateLimiter("account", 200.0, time.monotonic)
    for _ in range(int(sys.argv[1])):
        turn = limiter.acquire(1, "normal", None)
        try:
            while True:
                time.sleep(next(turn))
        except StopIteration as taken:
            slot = taken.value
        began = time.monotonic()
        time.sleep(0.002)
        print(began, time.monotonic())
        limiter.release(slot)
"""


def test_eight_processes_share_one_rate() -> None:
    program = [sys.executable, "-c", textwrap.dedent(PROCESS), "12"]
    processes = [subprocess.Popen(program, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    lines = [line for process in processes for line in process.communicate(timeout=60)[0].splitlines()]
    assert all(process.returncode == 0 for process in processes)
    submits = sorted(tuple(map(float, line.split())) for line in lines)
    assert len(submits) == 96
    for (_, ended), (began, _) in pairwise(submits):
        assert began - ended >= 1 / 200 - 1e-4


def test_dead_process_releases_its_slot() -> None:
    program = """
        import os, sys
        from sms1680.limits.slots import open_slots
        assert open_slots("account", None).acquire(1) == 0
        print("taken", flush=True)
        sys.stdin.read()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "taken\n"
    slots = open_slots("account", None)
    assert slots.acquire(1) is None
    process.kill()
    process.communicate(timeout=30)
    assert slots.acquire(1) == 0
