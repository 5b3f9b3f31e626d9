"""What an account reads from the database when it is set up. The function runs inside a transaction."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from .deferred import DeferredRow, load_deferred
from .history import scheduled_times
from .outbox import last_report, unconcluded
from .records import DeliveryUpdate


@dataclass(frozen=True, slots=True)
class StartState:
    """What earlier runs of an account have left.

    See `load_deferred`, `unconcluded`, `last_report` and `scheduled_times`.
    """

    deferred: list[DeferredRow]
    unconcluded: list[DeliveryUpdate]
    last_report: datetime | None
    scheduled: list[datetime]


def load_start(connection: sqlite3.Connection, entry: str, now: datetime) -> StartState:
    """Return what earlier runs of an account have left."""
    return StartState(
        load_deferred(connection, entry),
        unconcluded(connection, entry),
        last_report(connection, entry),
        scheduled_times(connection, entry, now),
    )
