"""The spending guard: its limits, its shared count, and its behaviour on errors."""

from __future__ import annotations

import itertools
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings, strategies as st

from sms1680 import InvalidMessageError, Outcome, Reason, Receipt, RefusedError, Spending, SpendingLimits
from sms1680.limits import shared_state
from sms1680.limits.budget import DAY, HOUR, SpendingGuard
from sms1680.limits.ledger import Ledger
from sms1680.sandbox import SandboxThread

Told = TypeVar("Told")
NUMBERS = [f"1391100000{digit}" for digit in range(10)]
UNLIMITED = SpendingLimits(hour=None, day=None, number=None, automatic=None)


def done(steps: Generator[float, None, Told]) -> Told:
    """Runs steps that have nothing to wait for."""
    try:
        pause = next(steps)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise AssertionError(f"waits {pause} s")


class Returning:
    """Keeps what a generator returns."""

    def __init__(self, steps: Generator[float, None, Any]) -> None:
        self._steps = steps
        self.value: Any = None

    def __iter__(self) -> Generator[float, None, None]:
        self.value = yield from self._steps


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def reasons(
    guard: SpendingGuard, *parts: int, number: str = "", critical: bool = False, automatic: bool = False
) -> list[Any]:
    messages = [(number or NUMBERS[place % 10], count) for place, count in enumerate(parts)]
    reservation = done(guard.reserve(messages, critical=critical, automatic=automatic))
    return [reservation.refused.get(item) for item in range(len(messages))]


def test_default_limits_match_the_documentation() -> None:
    limits = SpendingLimits()
    assert (limits.hour, limits.day, limits.reserve, limits.number) == (600, 1000, 200, 120)


def test_large_call_is_counted_in_steps(clock: Clock) -> None:
    guard = SpendingGuard("large", SpendingLimits(hour=2100, day=None, number=None), clock)
    messages = [(f"139{place:08d}", 1) for place in range(2500)]
    steps = Returning(guard.reserve(messages, critical=False, automatic=False))
    assert list(steps) == [0.0] * 4
    reservation = steps.value
    assert reservation.admitted == list(range(2100))
    assert list(reservation.refused) == list(range(2100, 2500))
    failed = Receipt("", Outcome.NOT_SENT)
    done(guard.refund(reservation, [failed] * 2100))
    assert guard.spending() == Spending(0, 0)


def test_cancelled_large_call_costs_nothing(clock: Clock) -> None:
    guard = SpendingGuard("cancelled", UNLIMITED, clock)
    steps = guard.reserve([(f"139{place:08d}", 1) for place in range(2500)], critical=False, automatic=False)
    assert next(steps) == 0.0
    assert guard.spending() == Spending(500, 500)
    steps.close()
    assert guard.spending() == Spending(0, 0)


def test_parts_of_an_hour_and_of_a_day(clock: Clock) -> None:
    guard = SpendingGuard("a", SpendingLimits(hour=6, day=10, reserve=2, number=None), clock)
    assert reasons(guard, 3, 3, 1) == [None, None, Reason.HOURLY_LIMIT]
    clock.now += HOUR + 1
    assert reasons(guard, 3, 2, 1) == [None, Reason.DAILY_LIMIT, None]
    assert guard.spending() == Spending(4, 10)
    assert reasons(guard, 2, 1, number=NUMBERS[0], critical=True) == [None, Reason.DAILY_LIMIT]
    clock.now += DAY
    assert guard.spending() == Spending(0, 0)
    assert reasons(guard, 6) == [None]


def test_critical_messages_ignore_the_hourly_limit_only(clock: Clock) -> None:
    guard = SpendingGuard("a", SpendingLimits(hour=1, day=5, reserve=2, number=1), clock)
    assert reasons(guard, 1, 1) == [None, Reason.HOURLY_LIMIT]
    assert reasons(guard, 1, 1, 1, 1, 1, 1, 1, number=NUMBERS[0], critical=True) == [None] * 6 + [Reason.DAILY_LIMIT]


def test_messages_to_one_number_are_limited(clock: Clock) -> None:
    guard = SpendingGuard("a", SpendingLimits(number=2), clock)
    assert reasons(guard, 1, 1, 1, number=NUMBERS[0]) == [None, None, Reason.NUMBER_LIMIT]
    assert reasons(guard, 1, number=NUMBERS[1]) == [None]
    clock.now += 601
    assert reasons(guard, 1, number=NUMBERS[0]) == [None]


def test_automatic_messages_have_a_lower_limit(clock: Clock) -> None:
    guard = SpendingGuard("a", SpendingLimits(automatic=2), clock)
    assert reasons(guard, 1, 1, 1, automatic=True) == [None, None, Reason.AUTOMATIC_LIMIT]
    assert reasons(guard, 1, critical=True, automatic=True) == [Reason.AUTOMATIC_LIMIT]
    assert reasons(guard, 1) == [None]


def test_a_phone_gets_one_critical_message_in_ten_minutes_once_the_reserve_is_used_up(clock: Clock) -> None:
    guard = SpendingGuard("a", SpendingLimits(hour=None, day=3, reserve=2, number=None), clock)
    first, second = NUMBERS[:2]
    assert reasons(guard, 3, 1, 1, 1, number=first, critical=True) == [None, None, None, Reason.DAILY_LIMIT]
    assert reasons(guard, 1, 1, number=second, critical=True) == [None, Reason.DAILY_LIMIT]
    assert reasons(guard, 1, number=NUMBERS[2]) == [Reason.DAILY_LIMIT]
    clock.now += 601
    assert reasons(guard, 1, 1, number=first, critical=True) == [None, Reason.DAILY_LIMIT]
    assert reasons(guard, 1, number=second, critical=True) == [Reason.DAILY_LIMIT]  # the reserve is used up twice


def test_without_a_reserve_the_daily_limit_is_final(clock: Clock) -> None:
    guard = SpendingGuard("a", SpendingLimits(day=1, reserve=0), clock)
    assert reasons(guard, 1, 1, critical=True) == [None, Reason.DAILY_LIMIT]


@given(
    spent=st.lists(st.tuples(st.integers(0, 90_000), st.integers(1, 3), st.sampled_from(NUMBERS[:2]), st.booleans())),
    parts=st.integers(1, 3),
    automatic=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_room_is_there_when_it_is_announced_and_not_before(
    spent: list[tuple[int, int, str, bool]], parts: int, *, automatic: bool
) -> None:
    clock = Clock()
    guard = SpendingGuard("a", SpendingLimits(hour=6, day=12, number=2, automatic=4), clock)
    guard._ledger = Ledger(":memory:")
    for wait, billed, number, reacts in sorted(spent):
        clock.now = 1_800_000_000.0 + wait
        reasons(guard, billed, number=number, automatic=reacts)
    room = guard.room_at(NUMBERS[0], parts, automatic=automatic)
    assert room >= clock.now
    if room > clock.now:
        clock.now = room - 1
        assert reasons(guard, parts, number=NUMBERS[0], automatic=automatic) != [None]
    clock.now = room
    assert reasons(guard, parts, number=NUMBERS[0], automatic=automatic) == [None]


def test_room_for_more_than_the_limit_is_when_nothing_counts_any_more(clock: Clock) -> None:
    guard = SpendingGuard("a", SpendingLimits(hour=2), clock)
    assert guard.room_at(NUMBERS[0], 3) == clock.now
    assert reasons(guard, 1) == [None]
    assert guard.room_at(NUMBERS[0], 3) == clock.now + HOUR


def test_unreadable_count_is_not_told_as_zero(clock: Clock) -> None:
    guard = SpendingGuard("a", SpendingLimits(hour=2), clock)
    assert reasons(guard, 2) == [None]
    guard._ledger._database.execute("DROP TABLE spent")
    assert guard.spending() is None
    assert guard.room_at(NUMBERS[0], 1) == clock.now
    assert reasons(guard, 2) == [None]  # the next message opens a new ledger
    assert guard.spending() == Spending(2, 2)


def test_failed_messages_are_refunded(clock: Clock) -> None:
    guard = SpendingGuard("a", SpendingLimits(hour=2), clock)
    reservation = done(guard.reserve([(NUMBERS[0], 2), (NUMBERS[1], 1)], critical=False, automatic=False))
    done(guard.refund(reservation, [Receipt(NUMBERS[0], Outcome.NOT_SENT)]))
    assert reasons(guard, 2) == [None]


def test_warning_precedes_the_limit() -> None:
    limits = SpendingLimits(hour=10, day=100)
    assert not Spending(7, 79).is_close(limits)
    assert Spending(8, 8).is_close(limits)
    assert Spending(0, 80).is_close(limits)
    assert not Spending(10**6, 10**6).is_close(UNLIMITED)


@pytest.mark.parametrize("limits", [{"hour": -1}, {"day": 1.5}, {"reserve": None}, {"number": True}])
def test_invalid_limits_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessageError):
        SpendingLimits(**limits)


# An example that runs again needs a ledger of its own.
_ACCOUNTS = itertools.count()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.booleans(), st.floats(0, HOUR)), max_size=40))
def test_no_limit_is_ever_passed(sends: list[tuple[int, bool, bool, float]]) -> None:
    clock, limits = Clock(), SpendingLimits(hour=20, day=50, reserve=7, number=None, automatic=8)
    guard = SpendingGuard(f"a{next(_ACCOUNTS)}", limits, clock)
    normal: list[tuple[float, int]] = []
    every: list[tuple[float, int]] = []
    for parts, critical, automatic, after in sends:
        clock.now += after
        if reasons(guard, parts, critical=critical, automatic=automatic) == [None]:
            every.append((clock.now, parts))
            if not critical:
                normal.append((clock.now, parts))
                assert sum(count for at, count in every if at > clock.now - HOUR) <= 20
                assert sum(count for at, count in every if at > clock.now - DAY) <= 50
            # The reserve counts once more for the first message to a number within ten minutes.
            assert sum(count for at, count in every if at > clock.now - DAY) <= 50 + 2 * 7


def test_programs_share_a_count_without_numbers(clock: Clock, state_folder: Path) -> None:
    one, other = SpendingGuard("a", SpendingLimits(hour=3), clock), SpendingGuard("a", SpendingLimits(hour=3), clock)
    assert reasons(one, 2) == [None]
    assert reasons(other, 1, 1) == [None, Reason.HOURLY_LIMIT]
    assert reasons(SpendingGuard("b", SpendingLimits(hour=3), clock), 3) == [None]
    for file in state_folder.iterdir():
        assert file.stat().st_mode & 0o077 == 0
        assert NUMBERS[0].encode() not in file.read_bytes()


def test_eight_processes_at_once_keep_the_limit() -> None:
    program = """
        import time
        from sms1680 import SpendingLimits
        from sms1680.limits.budget import SpendingGuard
        guard = SpendingGuard("a", SpendingLimits(hour=50, number=None), time.time)
        passed = 0
        for turn in range(25):
            steps = guard.reserve([(str(turn), 1)], critical=False, automatic=False)
            try:
                while True:
                    time.sleep(next(steps))
            except StopIteration as stop:
                passed += not stop.value.refused
        print(passed)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    assert sum(int(process.communicate(timeout=60)[0]) for process in processes) == 50


def test_locked_ledger_is_awaited_then_ignored(
    clock: Clock, state_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    guard = SpendingGuard("a", SpendingLimits(hour=1), clock)
    [file] = state_folder.glob("*.spent")
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    steps = guard.reserve([(NUMBERS[0], 5)], critical=False, automatic=False)
    assert next(steps) == pytest.approx(0.005)
    holder.execute("ROLLBACK")
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value.refused == {0: Reason.HOURLY_LIMIT}
    holder.execute("BEGIN IMMEDIATE")
    waits = list(told := Returning(guard.reserve([(NUMBERS[0], 5)], critical=False, automatic=False)))
    assert sum(waits) == pytest.approx(2.0)
    assert told.value.refused == {}  # an alarm does not die of its accounting
    assert "cannot be counted" in caplog.text
    holder.close()


def test_damaged_ledger_starts_from_zero(clock: Clock, state_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert reasons(SpendingGuard("a", SpendingLimits(hour=3), clock), 3) == [None]
    [file] = state_folder.glob("*.spent")
    for part in state_folder.glob("*.spent*"):
        part.unlink()
    file.write_bytes(b"no database" * 1000)
    assert reasons(SpendingGuard("a", SpendingLimits(hour=3), clock), 3, 1) == [None, Reason.HOURLY_LIMIT]
    assert "damaged" in caplog.text


def test_unshared_ledger_counts_per_process(clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    shared_state.warned.clear()
    guard = SpendingGuard("a", SpendingLimits(hour=1), clock, str(tmp_path / "file"))
    assert reasons(guard, 1, 1) == [None, Reason.HOURLY_LIMIT]
    assert "within this process only" in caplog.text


def test_clock_set_back_removes_future_entries(clock: Clock) -> None:
    guard = SpendingGuard("a", SpendingLimits(hour=1), clock)
    assert reasons(guard, 1) == [None]
    clock.now -= 7 * DAY
    assert reasons(guard, 1) == [None]


def test_client_refuses_excess_and_sends_the_rest(make: Callable[..., Any], box: SandboxThread) -> None:
    heard: list[object] = []
    sms = make(box.url, spending=SpendingLimits(hour=3), on_receipt=heard.append)
    with pytest.raises(RefusedError) as raised:
        sms.send([*NUMBERS[:2], NUMBERS[0], *NUMBERS[2:5]], "水管漏水")
    told = [(receipt.outcome, receipt.reason) for receipt in raised.value.receipts]
    assert told == [("accepted", None)] * 4 + [("refused", Reason.HOURLY_LIMIT)] * 2
    assert len(heard) == 5
    assert box.call(lambda platform: platform.ledger.total()) == 3
    assert sms.spending() == Spending(3, 3)
    assert [receipt.outcome for receipt in sms.send(NUMBERS[5], "水管漏水", priority="critical")] == ["accepted"]


def test_client_counts_sent_and_unknown_messages(make: Callable[..., Any], box: SandboxThread) -> None:
    sms = make(box.url, spending=SpendingLimits())
    box.platform.faults.next("half")
    box.platform.faults.next("failed")
    sms = make(box.url, spending=SpendingLimits(), packet_size=1, now=lambda: datetime.now(UTC))
    with pytest.raises(Exception, match="may have been sent"):
        sms.send_batch([(NUMBERS[0], "水" * 71), (NUMBERS[1], "一"), (NUMBERS[2], "一")])
    assert sms.spending() == Spending(3, 3)
    assert make(box.url).spending() == Spending(0, 0)
