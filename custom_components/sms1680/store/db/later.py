"""Messages that wait for their time, in the database. Each function runs inside a transaction.

One is marked as going before it goes out, so that a program that is killed meanwhile never sends it twice. It is
written whole each time: the file may be a new one, begun since the last one was found damaged.
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
    """A message that waits. due: when its turn is. going: it was on its way when it was last heard of.

    message: None where it can't be read.
    """

    row: int
    due: datetime
    going: bool
    number: str = field(repr=False)
    message: dict[str, Any] | None = field(repr=False)


def keep(
    connection: sqlite3.Connection,
    entry: str,
    number: str,
    due: datetime,
    message: Mapping[str, Any],
    *,
    row: int | None = None,
    going: bool = False,
) -> int:
    """Keep a message until then, anew if it has a row already; return its row."""
    values = (row, entry, comparable_number(number), to_micros(due), going, json.dumps(message, ensure_ascii=False))
    sql = (
        "INSERT OR REPLACE INTO later (row, entry, number, due, going, message) VALUES (?, ?, ?, ?, ?, ?) RETURNING row"
    )
    (kept,) = connection.execute(sql, values).fetchone()
    return int(kept)


def kept(connection: sqlite3.Connection, entry: str) -> list[Later]:
    """Return what is kept for an account, in its order."""
    sql = "SELECT row, due, going, number, message FROM later WHERE entry = ? ORDER BY due, row"
    return [
        Later(row, from_micros(due), bool(going), number, _read(message))
        for row, due, going, number, message in connection.execute(sql, (entry,))
    ]


def drop(connection: sqlite3.Connection, row: int) -> None:
    """Let go of a message whose outcome was told."""
    connection.execute("DELETE FROM later WHERE row = ?", (row,))


def _read(message: str) -> dict[str, Any] | None:
    try:
        read = json.loads(message)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None
