"""Messages that wait for their time, in the database. Each function runs inside a transaction.

One is marked as going before it goes out, so that a program that is killed meanwhile never sends it twice.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .numbers import comparable_number
from .records import from_micros, to_micros


@dataclass(frozen=True, slots=True)
class Later:
    """A message that waits. due: when its turn is. going: it was on its way when it was last heard of."""

    row: int
    due: datetime
    going: bool
    message: dict[str, Any] = field(repr=False)


def keep(connection: sqlite3.Connection, entry: str, number: str, due: datetime, message: Mapping[str, Any]) -> int:
    """Keep a message until then; return its row."""
    values = (entry, comparable_number(number), to_micros(due), json.dumps(message, ensure_ascii=False))
    sql = "INSERT INTO later (entry, number, due, message) VALUES (?, ?, ?, ?) RETURNING row"
    (row,) = connection.execute(sql, values).fetchone()
    return int(row)


def kept(connection: sqlite3.Connection, entry: str) -> list[Later]:
    """Return what is kept for an account, in its order."""
    rows = connection.execute("SELECT row, due, going, message FROM later WHERE entry = ? ORDER BY due, row", (entry,))
    return [Later(row, from_micros(due), bool(going), json.loads(message)) for row, due, going, message in rows]


def set_going(connection: sqlite3.Connection, row: int) -> bool:
    """Note that a message is on its way now; return False where it is no more."""
    return connection.execute("UPDATE later SET going = 1 WHERE row = ?", (row,)).rowcount > 0


def put_off(connection: sqlite3.Connection, row: int, due: datetime, message: Mapping[str, Any]) -> None:
    """Let a message that surely did not go wait until then."""
    values = (to_micros(due), json.dumps(message, ensure_ascii=False), row)
    connection.execute("UPDATE later SET due = ?, message = ?, going = 0 WHERE row = ?", values)


def drop(connection: sqlite3.Connection, row: int) -> None:
    """Let go of a message whose outcome was told."""
    connection.execute("DELETE FROM later WHERE row = ?", (row,))
