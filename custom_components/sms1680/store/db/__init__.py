"""The message store: what went out, what came in, and what is proven of it, in one SQLite database.

Knows nothing of Home Assistant, so that it can be tested alone, and killed in a process of its own.
"""

from __future__ import annotations

from .later import Later
from .numbers import comparable_number
from .proof import SETTLED, Matched, ProofState
from .records import (
    Change,
    Counts,
    Direction,
    Dispatch,
    Outgoing,
    Query,
    Receipted,
    Received,
    Recent,
    Report,
    Retention,
    Selection,
    StoredIn,
    StoredOut,
    Unfired,
    Uplink,
)
from .store import MessageStore
from .writer import StoreError

__all__ = [
    "SETTLED",
    "Change",
    "Counts",
    "Direction",
    "Dispatch",
    "Later",
    "Matched",
    "MessageStore",
    "Outgoing",
    "ProofState",
    "Query",
    "Receipted",
    "Received",
    "Recent",
    "Report",
    "Retention",
    "Selection",
    "StoreError",
    "StoredIn",
    "StoredOut",
    "Unfired",
    "Uplink",
    "comparable_number",
]
