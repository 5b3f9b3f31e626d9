"""Write uplinks to a store until killed, and print the number of each one after it is stored.

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
    # Import the store without the integration's package, which would import Home Assistant.
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
