"""A store with 100,000 messages: its size, the time to open it, and the time to read its newest messages.

Half of the messages were sent and delivered, half were received, with Chinese texts of 35 characters, ten recipients
and 90 days. Each time is compared with an empty store, or with reading the whole file.

    .venv/ha-newest/bin/python benchmarks/store/hundred_thousand.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from custom_components.sms1680.client import Outcome  # noqa: E402
from custom_components.sms1680.store.db import (  # noqa: E402
    ConversationQuery,
    DeliveryState,
    Dispatch,
    HistoryQuery,
    Marks,
    MessageStore,
    Outgoing,
    Party,
    RecordedOutcome,
    Report,
    Retention,
    Uplink,
)

MESSAGES, ROUNDS = 100_000, 15
NUMBERS = [f"1380000{serial:04}" for serial in range(10)]
TEXT = "后门在二十二点四十一分被打开，请尽快确认是否为家人，回复一表示知道了。"
NOW = datetime.now(UTC)
STEP = timedelta(days=90) / MESSAGES


def fill(path: Path) -> float:
    """Fill a store and return the time in seconds."""
    store = MessageStore(path)
    store.open()
    began = time.perf_counter()
    last: Any = None
    for serial in range(MESSAGES // 2):
        at, number = NOW - timedelta(days=90) + 2 * serial * STEP, NUMBERS[serial % 10]
        dispatch = Dispatch((Outgoing("home", number, "http", at, TEXT, f"recipient {serial % 10}"),))
        store.begin(dispatch)
        store.settle(dispatch, [(0, RecordedOutcome(Outcome.ACCEPTED, at, None, (f"2611{serial:014}",)))])
        store.receive(Report("home", "r", number, f"2611{serial:014}", "0", "webhook", at, b"0" * 16))
        uplink = Uplink(
            "home",
            f"{serial:032}",
            number,
            TEXT,
            "12",
            "",
            incomplete=False,
            via="webhook",
            received_at=at + STEP,
            digest=b"0" * 16,
            recipient=f"recipient {serial % 10}",
        )
        last = store.receive(uplink)
        if serial % 500 == 0:
            last.result()
    last.result()
    rows = store.pending("home", MESSAGES).result()
    store.mark_received(
        Marks(fired={one.row for one in rows if isinstance(one.item, Uplink)}),
        Marks(fired={one.row for one in rows if isinstance(one.item, Report)}),
    ).result()
    seconds = time.perf_counter() - began
    store.prune({}).result()
    store.close()
    return seconds


def milliseconds(measure: Callable[[], object]) -> float:
    """Return the median time of a call, in milliseconds."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        measure()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def opening(path: Path) -> Callable[[], None]:
    """Return a function that opens and closes a store."""

    def run() -> None:
        store = MessageStore(path)
        store.open()
        store.close()

    return run


def main() -> None:
    """Measure, and print each figure with its comparison."""
    with tempfile.TemporaryDirectory() as folder:
        path, empty = Path(folder, "full.db"), Path(folder, "empty.db")
        seconds = fill(path)
        size = path.stat().st_size
        raw = MESSAGES * len(TEXT.encode())
        print(f"{MESSAGES} messages and {MESSAGES // 2} reports stored in {seconds:.0f} s")
        print(
            f"size: {size / 2**20:.0f} MiB, {size / MESSAGES:.0f} octets per message ({size / raw:.1f} times the texts)"
        )
        print(f"open and close: {milliseconds(opening(path)):.1f} ms, empty {milliseconds(opening(empty)):.1f} ms")
        print(f"reading the whole file: {milliseconds(path.read_bytes):.0f} ms")
        store = MessageStore(path)
        store.open()
        queries = {
            "the newest 50": HistoryQuery(),
            "the newest 50 of a number": HistoryQuery(numbers=[NUMBERS[3]]),
            "the newest 50 of a recipient": HistoryQuery(recipients=["recipient 3"]),
            "the newest 50 of a rare state (none)": HistoryQuery(states=[DeliveryState.UNKNOWN]),
            "all of an account, 1000": HistoryQuery(entries=["home"], limit=1000),
        }
        for name, query in queries.items():
            print(f"{name}: {milliseconds(lambda query=query: store.messages(query).result()):.1f} ms")
        # The limit of the page's first lists is 100 ms. The server's own work, marks and names, is not included.
        for name, lists in {
            "the page's first 30 conversations": lambda: store.conversations(ConversationQuery(limit=30)),
            "the page's first 50 messages": lambda: store.conversation_page(Party(NUMBERS[3]), None, 51),
            "a search in all texts (nothing found)": lambda: store.conversations(ConversationQuery(search="未写过的")),
        }.items():
            print(f"{name}: {milliseconds(lambda lists=lists: lists().result()):.1f} ms")
        keep = Retention(timedelta(days=90), MESSAGES, texts=True)
        print(f"pruning without expired rows: {milliseconds(lambda: store.prune({'home': keep}).result()):.0f} ms")
        store.close()


if __name__ == "__main__":
    main()
