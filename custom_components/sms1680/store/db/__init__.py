"""The message store: sent messages, received messages and their delivery states in one SQLite database.

It imports no Home Assistant, so that tests can use it alone, and kill it in a process of its own.
"""

from .conversations import ConversationQuery, ConversationSummary, Cursor, Party
from .deferred import DeferredRow
from .matching import PARTIAL_WINDOW, SETTLED, DeliveryState, MatchedBy
from .records import (
    DeliveryUpdate,
    Direction,
    Dispatch,
    HistoryQuery,
    Marks,
    Outgoing,
    PendingEvent,
    Received,
    RecordedOutcome,
    Report,
    Retention,
    Selection,
    StoredIn,
    StoredOut,
    Uplink,
    comparable_number,
)
from .start import StartState
from .store import MessageStore
from .writer import StoreError, StoreObserver

__all__ = [
    "PARTIAL_WINDOW",
    "SETTLED",
    "ConversationQuery",
    "ConversationSummary",
    "Cursor",
    "DeferredRow",
    "DeliveryState",
    "DeliveryUpdate",
    "Direction",
    "Dispatch",
    "HistoryQuery",
    "Marks",
    "MatchedBy",
    "MessageStore",
    "Outgoing",
    "Party",
    "PendingEvent",
    "Received",
    "RecordedOutcome",
    "Report",
    "Retention",
    "Selection",
    "StartState",
    "StoreError",
    "StoreObserver",
    "StoredIn",
    "StoredOut",
    "Uplink",
    "comparable_number",
]
