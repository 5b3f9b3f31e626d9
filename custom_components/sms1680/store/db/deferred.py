"""Deferred messages in the database. Each function runs inside a transaction.

A message is marked as `going` before it is sent, so that it is never sent twice after a crash. Every update writes the
complete message, because the file can be a new one that replaced a damaged one.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .records import comparable_number, from_micros, to_micros

_SAVE = "INSERT OR REPLACE INTO later (row, entry, number, due, going, message) VALUES (?, ?, ?, ?, ?, ?) RETURNING row"


@dataclass(frozen=True, slots=True)
class DeferredRow:
    """A deferred message. going: it was being sent when it was last saved. message: None if it cannot be read."""

    row: int
    due: datetime
    going: bool
    number: str = field(repr=False)
    message: dict[str, Any] | None = field(repr=False)


def save_deferred(
    connection: sqlite3.Connection,
    entry: str,
    number: str,
    due: datetime,
    message: Mapping[str, Any],
    *,
    row: int | None = None,
    going: bool = False,
) -> int:
    """Save a message to one number until it is due, and return its row.

    message: any JSON value. row: the row to replace. going: whether the message is being sent from now on.
    """
    values = (row, entry, comparable_number(number), to_micros(due), going, json.dumps(message, ensure_ascii=False))
    (saved,) = connection.execute(_SAVE, values).fetchone()
    return int(saved)


def save_deferred_together(connection: sqlite3.Connection, entry: str, messages: Iterable[DeferredRow]) -> None:
    """Save messages that already have a row, all of them or none."""
    for one in messages:
        save_deferred(connection, entry, one.number, one.due, one.message or {}, row=one.row, going=one.going)


def load_deferred(connection: sqlite3.Connection, entry: str) -> list[DeferredRow]:
    """Return an account's deferred messages, sorted by due time."""
    sql = "SELECT row, due, going, number, message FROM later WHERE entry = ? ORDER BY due, row"
    return [
        DeferredRow(row, from_micros(due), bool(going), number, _parse(message))
        for row, due, going, number, message in connection.execute(sql, (entry,))
    ]


def delete_deferred_row(connection: sqlite3.Connection, row: int) -> None:
    """Delete a message whose outcome has been reported."""
    connection.execute("DELETE FROM later WHERE row = ?", (row,))


def delete_deferred_rows(connection: sqlite3.Connection, rows: Iterable[int]) -> None:
    """Delete messages whose common outcome has been reported."""
    connection.executemany("DELETE FROM later WHERE row = ?", ((row,) for row in rows))


def _parse(message: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(message)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
