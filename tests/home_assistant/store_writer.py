"""Writes uplinks into a store as fast as it can, and prints each one's number once it is safe, until it is killed.

python store_writer.py DATABASE FIRST_NUMBER
"""

from __future__ import annotations

import sys
import types
from collections import deque
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

TOGETHER = 20


def main(path: Path, first: int) -> None:
    # The store without the integration around it, which would import Home Assistant.
    package = types.ModuleType("standalone")
    package.__path__ = [str(Path(__file__).parents[2] / "custom_components" / "sms1680")]
    sys.modules["standalone"] = package
    from standalone.store.db import MessageStore, Uplink  # type: ignore[import-not-found]

    store = MessageStore(path)
    store.open()
    under_way: deque = deque()
    for number in count(first):
        item = Uplink("home", "id", "13800000001", str(number), "", "", False, "webhook", datetime.now(UTC), b"")
        under_way.append((number, store.receive(item)))
        while len(under_way) >= TOGETHER:
            safe, future = under_way.popleft()
            future.result()
            sys.stdout.write(f"{safe}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
