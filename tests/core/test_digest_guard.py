"""The guard of short processes: each phone learns of a limit before anything is held back from it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TypeVar

from hypothesis import given, settings, strategies as st

from sms1680 import Outcome, Reason, Receipt, SpendingLimits
from sms1680.limits.digest import Admission, DigestGuard, Notice

Result = TypeVar("Result")
NUMBERS = [f"1391100000{digit}" for digit in range(10)]
HOUR, DAY = Reason.HOURLY_LIMIT, Reason.DAILY_LIMIT


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def done(steps: Generator[float, None, Result]) -> Result:
    """Run steps that have nothing to wait for."""
    try:
        pause = next(steps)
    except StopIteration as stop:
        value: Result = stop.value
        return value
    raise AssertionError(f"waits {pause} s")


def make_guard(clock: Clock, key: str = "account", **limits: int | None) -> DigestGuard:
    return DigestGuard(key, SpendingLimits(**{"hour": None, "day": None, "number": None, **limits}), clock)


def admit(guard: DigestGuard, *numbers: str, parts: int = 1, critical: bool = False) -> Admission:
    return done(guard.admit(numbers, lambda _: parts, critical=critical))


def notice(guard: DigestGuard, number: str = NUMBERS[0], **options: int) -> Notice | None:
    """Return the notice of a message, None if it was held back."""
    return admit(guard, number, **options).notices.get(0)  # type: ignore[arg-type]


def test_critical_messages_that_use_up_a_limit_leave_room_for_the_words() -> None:
    for limits, reason in (({"day": 3}, DAY), ({"hour": 3}, HOUR), ({"number": 3}, Reason.NUMBER_LIMIT)):
        guard = make_guard(clock := Clock(), str(reason), **limits)
        assert [notice(guard) for _ in range(2)] == [Notice()] * 2
        assert notice(guard, critical=True) == Notice()
        assert [notice(guard) for _ in range(3)] == [Notice(0, reason), None, None]
        clock.now += 86401
        assert [notice(guard) for _ in range(2)] == [Notice(2), Notice()]


def test_messages_to_other_phones_that_use_up_a_limit_leave_room_for_the_words() -> None:
    guard = make_guard(Clock(), day=3)
    first, second, third = NUMBERS[:3]
    assert notice(guard, first) == Notice()
    assert [notice(guard, second) for _ in range(3)] == [Notice(), Notice(0, DAY), None]
    assert [notice(guard, first) for _ in range(2)] == [Notice(0, DAY), None]
    assert notice(guard, third) is None  # it received nothing that could have announced the limit


def test_lower_limit_of_another_url_is_announced() -> None:
    clock = Clock()
    high, low = make_guard(clock, day=9), make_guard(clock, day=3)
    assert [notice(high) for _ in range(4)] == [Notice()] * 4
    assert [notice(low) for _ in range(2)] == [Notice(0, DAY), None]
    assert [notice(high), notice(low)] == [Notice(1), Notice(0, DAY)]


def test_words_above_a_limit_use_half_of_the_reserve() -> None:
    guard = make_guard(Clock(), day=20, reserve=8)
    assert set(admit(guard, *NUMBERS[:6]).notices.values()) == {Notice()}
    assert not admit(guard, *NUMBERS[6:9], parts=4, critical=True).reservation.refused
    admission = admit(guard, *NUMBERS[:6])
    assert admission.notices == dict.fromkeys(range(6), Notice(0, DAY))
    guard = make_guard(Clock(), "another account", day=20, reserve=8)
    admit(guard, *NUMBERS[:6])
    admit(guard, *NUMBERS[6:8], parts=7, critical=True)
    admission = admit(guard, *NUMBERS[:6], parts=3)
    assert (admission.parts[0], admission.parts[1]) == (3, 1)  # the text of the second is cut
    assert admission.reservation.refused == dict.fromkeys(range(2, 6), DAY)
    spending = guard.spending()
    assert spending is not None
    assert spending.day == 24
    assert [notice(guard, NUMBERS[9], critical=True) for _ in range(4)] == [Notice()] * 4  # the other half


def test_words_that_did_not_arrive_are_repeated() -> None:
    guard = make_guard(Clock(), day=2)
    notice(guard)
    notice(guard, critical=True)
    for outcome in (Outcome.NOT_SENT, Outcome.REFUSED, Outcome.UNKNOWN):
        admission = admit(guard, NUMBERS[0])
        assert admission.notices == {0: Notice(0, DAY)}
        done(guard.settle(admission, NUMBERS, {NUMBERS[0]: Receipt(NUMBERS[0], outcome)}))
    assert [notice(guard) for _ in range(2)] == [Notice(0, DAY), None]


def test_file_of_an_older_version_is_read(state_folder: Path) -> None:
    notice(make_guard(Clock(), day=2))
    (file,) = state_folder.glob("*.spent")
    with sqlite3.connect(file) as ledger:
        ledger.execute("DROP TABLE unannounced")
    ledger.close()
    guard = make_guard(Clock(), day=2)
    assert [notice(guard) for _ in range(2)] == [Notice(0, DAY), None]


Call = tuple[Sequence[int], int, bool, int]
CALLS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True),
        st.integers(1, 3),
        st.integers(0, 3).map(lambda number: number == 0),
        st.sampled_from([0, 0, 0, 1, 200, 1300]),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(
    CALLS,
    st.sampled_from([None, 9, 14]),
    st.sampled_from([None, 11, 25]),
    st.sampled_from([None, 3]),
    st.sampled_from([0, 6, 60]),
)
def test_nothing_is_held_back_without_a_word(
    calls: Sequence[Call], hour: int | None, day: int | None, number: int | None, reserve: int
) -> None:
    """Draw calls of several phones, critical ones among them: (phones, parts, critical, seconds before it)."""
    clock = Clock()
    limits = SpendingLimits(hour=hour, day=day, number=number, reserve=reserve)
    guard = DigestGuard("account", limits, clock, state_dir="/proc/none")  # in memory
    held, last = Counter[int](), dict[int, Notice]()
    for phones, parts, critical, seconds in calls:
        clock.now += seconds
        before = guard.spending()
        assert before is not None
        admission = admit(guard, *(NUMBERS[phone] for phone in phones), parts=parts, critical=critical)
        after = guard.spending()
        assert after is not None
        for item, phone in enumerate(phones):
            if critical:
                assert admission.notices.get(item, Notice()) == Notice()
            elif item in admission.notices:
                last[phone] = admission.notices[item]
                assert last[phone].held_back == held.pop(phone, 0)
            else:
                held[phone] += 1
                pairs = ((hour, after.hour), (day, after.day))
                reserve_is_used = any(limit is not None and used >= limit + reserve // 2 for limit, used in pairs)
                assert phone not in last or last[phone].limit or reserve_is_used
        if not critical:
            for limit, old, new in ((hour, before.hour, after.hour), (day, before.day, after.day)):
                assert limit is None or new <= max(old, limit + reserve // 2)
