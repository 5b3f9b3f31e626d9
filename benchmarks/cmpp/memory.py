"""Memory of 100,000 messages that wait for their reports, compared with a plain dict of the same ids.

python benchmarks/cmpp/memory.py
"""

import tracemalloc
from collections.abc import Callable

from sms1680.cmpp.tracking import ReportTracker

MESSAGES = 100_000
FIRST = 13483237699126034433


def memory_of(fill: Callable[[], object]) -> int:
    """Return the size of the object that `fill` returns, in octets."""
    tracemalloc.start()
    filled = fill()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert filled is not None
    return size


def single() -> ReportTracker:
    """Return a tracker with messages of one segment."""
    tracker = ReportTracker(0.0)
    for place in range(MESSAGES):
        tracker.add((FIRST + place,), 1, 0.0)
    return tracker


def long() -> ReportTracker:
    """Return a tracker with messages of three segments."""
    tracker = ReportTracker(0.0)
    for place in range(MESSAGES):
        tracker.add((FIRST + 3 * place, FIRST + 3 * place + 1, FIRST + 3 * place + 2), 3, 0.0)
    return tracker


if __name__ == "__main__":
    plain = memory_of(lambda: {FIRST + place: None for place in range(MESSAGES)})
    for name, fill in (("one segment", single), ("three segments", long)):
        size = memory_of(fill)
        each = f"{size / MESSAGES:.0f} octets each, {size / plain:.2f} of a dict"
        print(f"{MESSAGES:,} of {name}: {size / 1e6:.1f} MB, {each}")
