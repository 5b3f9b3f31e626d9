"""What came in, in the database, and which of it was fired and answered. Each function runs inside a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import batched, groupby
from typing import Any, Final

from ...client import DeliveryReport
from . import outbox
from .numbers import comparable_number, storable
from .records import Change, Received, Recent, Report, Unfired, Uplink, from_micros, to_micros

_UPLINK: Final = "entry, recipient, id, number, content, extension, message_id, incomplete, via, at, repeat, digest"
_REPORT: Final = "entry, recipient, id, number, message_id, status, via, at, repeat, digest"
_INSERT_UPLINKS: Final = f"INSERT INTO uplink ({_UPLINK}) VALUES "
_VALUES: Final = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
MOST_AT_ONCE: Final = 64  # by one statement; each number of them has one of its own, which is prepared once
_INSERT_REPORT: Final = f"INSERT INTO report ({_REPORT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING row"


def receive(connection: sqlite3.Connection, items: Sequence[Uplink | Report]) -> list[Received]:
    """Keep what came in, in order; each report is joined to its message."""
    received: list[Received] = []
    for is_uplink, group in groupby(items, lambda item: isinstance(item, Uplink)):
        if is_uplink:
            received += _receive_uplinks(connection, [item for item in group if isinstance(item, Uplink)])
        else:
            received += [_receive_report(connection, item) for item in group if isinstance(item, Report)]
    return received


def _receive_uplinks(connection: sqlite3.Connection, items: list[Uplink]) -> list[Received]:
    """Keep many by few statements: at each the thread waits for its turn, behind a loop that is busy."""
    rows: list[int] = []
    for chunk in batched(items, MOST_AT_ONCE, strict=False):
        values = [value for item in chunk for value in _values_of(item)]
        last = connection.execute(_INSERT_UPLINKS + ", ".join([_VALUES] * len(chunk)), values).lastrowid
        assert last is not None  # noqa: S101 - it is an INSERT
        rows += range(last - len(chunk) + 1, last + 1)
    return [Received(row) for row in rows]


def _values_of(item: Uplink) -> tuple[Any, ...]:
    return (
        *(item.entry, item.recipient, item.id, comparable_number(item.number), storable(item.content), item.extension),
        *(item.message_id, item.incomplete, item.via, to_micros(item.received_at), item.repeat, item.digest),
    )


def _receive_report(connection: sqlite3.Connection, item: Report) -> Received:
    number, at = comparable_number(item.number), to_micros(item.received_at)
    values = (
        *(item.entry, item.recipient, item.id, number, item.message_id, item.status),
        *(item.via, at, item.repeat, item.digest),
    )
    (row,) = connection.execute(_INSERT_REPORT, values).fetchone()
    told = DeliveryReport(item.message_id, item.number, item.status)
    received = outbox.report(connection, row, item.entry, told, at)
    if not received.news:
        mark(connection, "fired", (), (row,))
    return received


def unfired(connection: sqlite3.Connection, entry: str, limit: int, first: tuple[int, int]) -> list[Unfired]:
    """Return what was not fired yet of an account, the oldest first. first: rows of what came since the opening."""
    first_uplink, first_report = first
    uplinks = connection.execute(
        f"SELECT row, {_UPLINK} FROM uplink WHERE NOT fired AND entry = ? ORDER BY row LIMIT ?", (entry, limit)
    )
    found = [Unfired(row, _uplink(values), row < first_uplink, None) for row, *values in uplinks]
    reports = connection.execute(
        f"SELECT row, outgoing, {_REPORT} FROM report WHERE NOT fired AND entry = ? ORDER BY row LIMIT ?",
        (entry, limit),
    )
    for row, outgoing, *values in reports.fetchall():
        changes: list[Change] = outbox.current(connection, [outgoing] if outgoing is not None else [])
        found.append(Unfired(row, _report(values), row < first_report, next(iter(changes), None)))
    found.sort(key=lambda one: one.item.received_at)
    return found[:limit]


def mark(connection: sqlite3.Connection, column: str, uplinks: Iterable[int], reports: Iterable[int]) -> None:
    """Note that items were fired or answered."""
    for table, rows in (("uplink", uplinks), ("report", reports)):
        listed = json.dumps(list(rows))
        connection.execute(f"UPDATE {table} SET {column} = 1 WHERE row IN (SELECT value FROM json_each(?))", (listed,))


def recent(connection: sqlite3.Connection, entry: str, since: datetime) -> list[Recent]:
    """Return what is left of what came in lately, the oldest first, each item once: as it first came."""
    found = connection.execute(
        "SELECT digest, id, min(at), max(answered) FROM ("
        " SELECT digest, id, at, answered FROM uplink WHERE at >= ?1 AND entry = ?2 AND digest IS NOT NULL"
        " UNION ALL SELECT digest, id, at, answered FROM report WHERE at >= ?1 AND entry = ?2 AND digest IS NOT NULL"
        ") GROUP BY digest, id ORDER BY 3",
        (to_micros(since), entry),
    )
    return [Recent(digest, id_, from_micros(at), bool(answered)) for digest, id_, at, answered in found]


def _uplink(values: list[Any]) -> Uplink:
    entry, recipient, id_, number, content, extension, message_id, incomplete, via, at, repeat, digest = values
    return Uplink(
        entry,
        id_,
        number,
        content or "",
        extension,
        message_id,
        bool(incomplete),
        via,
        from_micros(at),
        digest or b"",
        bool(repeat),
        recipient,
    )


def _report(values: list[Any]) -> Report:
    entry, recipient, id_, number, message_id, status, via, at, repeat, digest = values
    return Report(entry, id_, number, message_id, status, via, from_micros(at), digest or b"", bool(repeat), recipient)
