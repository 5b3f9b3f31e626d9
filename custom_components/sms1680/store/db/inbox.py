"""Incoming items in the database, and the marks of fired and acknowledged ones. Each function runs in a transaction."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from itertools import batched, groupby
from typing import Any, Final

from ...client import DeliveryReport
from .history import delete_texts
from .outbox import current_states, find_reported, join_report
from .records import (
    Marks,
    PendingEvent,
    Received,
    RecentItem,
    Report,
    Uplink,
    comparable_number,
    from_micros,
    storable,
    to_micros,
)

_UPLINK: Final = "entry, recipient, id, number, content, extension, message_id, incomplete, via, at, repeat, digest"
_REPORT: Final = "entry, recipient, id, number, message_id, status, via, at, repeat, digest"
_INSERT_REPORT: Final = f"INSERT INTO report ({_REPORT}, outgoing) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INSERT_UPLINKS: Final = f"INSERT INTO uplink (row, fired, answered, {_UPLINK}) VALUES "
_VALUES: Final = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
MAX_PER_INSERT: Final = 64  # each number of rows has its own statement, which SQLite prepares once
_NO_MARKS: Final = Marks()


def insert_received(connection: sqlite3.Connection, items: Sequence[Uplink | Report]) -> list[Received]:
    """Store incoming items in order, and join each report to its message."""
    received: list[Received] = []
    for kind, group in groupby(items, type):
        if kind is Uplink:
            uplinks = [(None, item) for item in group if isinstance(item, Uplink)]
            for chunk in batched(uplinks, MAX_PER_INSERT, strict=False):
                last = insert_uplinks(connection, chunk)
                received += [Received(row) for row in range(last - len(chunk) + 1, last + 1)]
        else:
            received += [_insert_report(connection, item) for item in group if isinstance(item, Report)]
    return received


def insert_uplinks(
    connection: sqlite3.Connection, items: Sequence[tuple[int | None, Uplink]], marks: Marks = _NO_MARKS
) -> int:
    """Insert some rows with one statement, since the thread can lose the GIL at each one; return the last row.

    items: each with its row, None for the next row of the table. marks: of those with a row.
    """
    values = [value for row, item in items for value in _values_of(row, item, marks)]
    last = connection.execute(_INSERT_UPLINKS + ", ".join([_VALUES] * len(items)), values).lastrowid
    assert last is not None  # noqa: S101 - it is an INSERT
    return last


def _values_of(row: int | None, item: Uplink, marks: Marks) -> tuple[Any, ...]:
    return (
        *(row, row in marks.fired, row in marks.acknowledged, item.entry, item.recipient, item.id),
        *(comparable_number(item.number), None if row in marks.textless else storable(item.content), item.extension),
        *(item.message_id, item.incomplete, item.via, to_micros(item.received_at), item.repeat, item.digest),
    )


def _insert_report(connection: sqlite3.Connection, item: Report) -> Received:
    number, at = comparable_number(item.number), to_micros(item.received_at)
    report = DeliveryReport(item.message_id, number, item.status)
    message = find_reported(connection, item.entry, report, at)
    values = (
        *(item.entry, item.recipient, item.id, number, item.message_id, item.status),
        *(item.via, at, item.repeat, item.digest, message and message.row),
    )
    row = connection.execute(_INSERT_REPORT, values).lastrowid
    assert row is not None  # noqa: S101 - it is an INSERT
    received = join_report(connection, row, item.entry, report, at, message=message)
    if not received.news:
        connection.execute("UPDATE report SET fired = 1 WHERE row = ?", (row,))
    return received


def pending_events(
    connection: sqlite3.Connection, entry: str, limit: int, first_rows: tuple[int, int]
) -> list[PendingEvent]:
    """Return an account's items whose event has not fired, oldest first.

    first_rows: the first row of each table since the database was opened.
    """
    first_uplink, first_report = first_rows
    uplinks = connection.execute(
        f"SELECT row, {_UPLINK} FROM uplink WHERE NOT fired AND entry = ? ORDER BY row LIMIT ?", (entry, limit)
    )
    found = [PendingEvent(row, _uplink(values), row < first_uplink, None) for row, *values in uplinks]
    reports = connection.execute(
        f"SELECT row, outgoing, {_REPORT} FROM report WHERE NOT fired AND entry = ? ORDER BY row LIMIT ?",
        (entry, limit),
    )
    for row, outgoing, *values in reports.fetchall():
        updates = current_states(connection, [outgoing] if outgoing is not None else [])
        found.append(PendingEvent(row, _report(values), row < first_report, next(iter(updates), None)))
    found.sort(key=lambda event: event.item.received_at)
    return found[:limit]


def mark_rows(connection: sqlite3.Connection, uplinks: Marks, reports: Marks) -> None:
    """Mark items as fired or acknowledged. A row that is both is written once."""
    for table, marks in (("uplink", uplinks), ("report", reports)):
        for values, rows in (
            ("fired = 1, answered = 1", marks.fired & marks.acknowledged),
            ("fired = 1", marks.fired - marks.acknowledged),
            ("answered = 1", marks.acknowledged - marks.fired),
        ):
            if rows:
                sql = f"UPDATE {table} SET {values} WHERE row IN (SELECT value FROM json_each(?))"
                connection.execute(sql, (json.dumps(list(rows)),))
    if uplinks.textless:
        delete_texts(connection, uplinks.textless)


def recent_items(connection: sqlite3.Connection, entry: str, since: datetime) -> list[RecentItem]:
    """Return recent items, oldest first, each once with the time of its first arrival."""
    found = connection.execute(
        "SELECT digest, id, min(at), max(answered) FROM ("
        " SELECT digest, id, at, answered FROM uplink WHERE at >= ?1 AND entry = ?2 AND digest IS NOT NULL"
        " UNION ALL SELECT digest, id, at, answered FROM report WHERE at >= ?1 AND entry = ?2 AND digest IS NOT NULL"
        ") GROUP BY digest, id ORDER BY 3",
        (to_micros(since), entry),
    )
    return [RecentItem(digest, id_, from_micros(at), bool(answered)) for digest, id_, at, answered in found]


def _uplink(values: list[Any]) -> Uplink:
    entry, recipient, id_, number, content, extension, message_id, incomplete, via, at, repeat, digest = values
    sent = (entry, id_, number, content or "", extension, message_id, bool(incomplete), via)
    return Uplink(*sent, from_micros(at), digest or b"", bool(repeat), recipient)


def _report(values: list[Any]) -> Report:
    entry, recipient, id_, number, message_id, status, via, at, repeat, digest = values
    return Report(entry, id_, number, message_id, status, via, from_micros(at), digest or b"", bool(repeat), recipient)
