"""The spending ledger: its totals by minute are those of its messages, and cost the same whatever the day holds."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from sms1680.limits.ledger import DAY, HOUR, Ledger, Totals

NOW = 1_800_000_000.0
ADDED = st.tuples(st.floats(-100, DAY + 200), st.integers(1, 10), st.booleans())


def expected(entries: list[tuple[float, int, bool]], now: float) -> Totals:
    def parts(window: float, least: bool) -> int:
        return sum(parts for at, parts, automatic in entries if now - window < at <= now and automatic >= least)

    return Totals(parts(HOUR, False), parts(DAY, False), parts(HOUR, True))


@given(st.lists(ADDED, max_size=30), st.lists(st.integers(0, 29)), st.floats(0, 7200))
def test_totals_are_those_of_the_messages(
    added: list[tuple[float, int, bool]], removed: list[int], later: float
) -> None:
    ledger, kept = Ledger(":memory:"), {}
    for age, parts, automatic in added:
        at = NOW - age
        kept[ledger.add(at, parts, b"a", automatic=automatic)] = (at, parts, automatic)
    gone = [list(kept)[place] for place in removed if place < len(kept)]
    ledger.remove(gone)
    entries = [entry for identity, entry in kept.items() if identity not in gone]
    for now in (NOW, NOW + later):
        spent, right = ledger.spent(now), expected(entries, now)
        assert (spent.hour, spent.day) == (right.hour, right.day)
    assert ledger.totals(NOW) == expected(entries, NOW)


def test_file_of_an_earlier_version_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.spent"
    Ledger(str(path)).add(NOW - 30, 3, b"a")
    earlier = sqlite3.connect(path, isolation_level=None)
    for name in ("spent_added", "spent_removed", "spent_changed"):
        earlier.execute(f"DROP TRIGGER {name}")
    earlier.execute("DROP TABLE minutes")
    earlier.execute("INSERT INTO spent (at, parts, automatic, mark) VALUES (?, 4, 1, x'00')", (NOW - 7000,))
    ledger = Ledger(str(path))
    assert ledger.totals(NOW) == Totals(3, 7, 0)
    # The earlier version goes on with the same file.
    earlier.execute("INSERT INTO spent (at, parts, automatic, mark) VALUES (?, 1, 1, x'00')", (NOW,))
    earlier.execute("DELETE FROM spent WHERE parts = 4")
    assert ledger.totals(NOW) == Totals(4, 4, 1)
    earlier.execute("UPDATE spent SET at = at - 7000 WHERE parts = 3")
    assert ledger.totals(NOW) == Totals(1, 4, 1)


def steps(messages: int) -> int:
    """Return the steps of SQLite's machine for one decision, after so many messages in the day."""
    ledger, count = Ledger(":memory:"), 0
    with ledger.writing():
        for number in range(messages):
            ledger.add(NOW - DAY + 10 + (DAY - 20) * number / messages, 1, number.to_bytes(4, "big"))

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    ledger._database.set_progress_handler(step, 1)
    ledger.totals(NOW)
    ledger.messages(NOW - 600, b"a")
    ledger.add(NOW, 1, b"a")
    return count


def test_cost_of_a_decision_is_independent_of_the_day() -> None:
    assert steps(20_000) < steps(5_000) * 1.3


@pytest.mark.parametrize("messages", [1_000, 20_000])
def test_messages_to_a_number_are_found_by_its_number(messages: int) -> None:
    ledger = Ledger(":memory:")
    with ledger.writing():
        for number in range(messages):
            ledger.add(NOW - 1, 1, number.to_bytes(4, "big"))
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    ledger._database.set_progress_handler(step, 1)
    assert ledger.messages(NOW - 600, (7).to_bytes(4, "big")) == 1
    assert count < 60
