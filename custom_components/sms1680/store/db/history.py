"""Query and delete stored messages. Each function runs inside a transaction."""

import json
import sqlite3
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from ...client import Outcome, Reason
from .matching import SETTLED, DeliveryState, MatchedBy
from .outbox import expire
from .records import (
    Counts,
    DeliveryUpdate,
    Direction,
    HistoryQuery,
    Retention,
    Selection,
    StoredIn,
    StoredOut,
    comparable_number,
    from_micros,
    to_micros,
)

OUT: Final = (
    "SELECT row, entry, recipient, number, text, way, at, due, automatic, outcome, reason, parts, state, status,"
    " state_at, matched, (SELECT json_group_array(message_id) FROM"
    " (SELECT message_id FROM segment WHERE outgoing = row ORDER BY place IS NULL, place, message_id)),"
    " priority, cause FROM outgoing"
)
IN: Final = (
    "SELECT row, entry, recipient, id, number, content, extension, incomplete, via, at, repeat, fired FROM uplink"
)
# Deferred messages with the columns that a selection filters by. `at`: when they were deferred.
_LATER: Final = (
    "SELECT row, entry, number, going,"
    " iif(json_valid(message), json_extract(message, '$.recipient'), NULL) AS recipient,"
    " iif(json_valid(message), CAST(json_extract(message, '$.since') * 1000000 AS INTEGER), due) AS at FROM later"
)
# The first condition has the same words as an index, because SQLite uses it only then.
_SCHEDULED: Final = "state IN ('sending', 'accepted', 'pending') AND state <> 'sending' AND entry = ? AND due > ?"
_DIGEST_AGE: Final = timedelta(days=1)
# Bytes of each kind of item that all accounts together may have, with the columns that can be long, and which rows may
# be deleted.
_MAX_BYTES: Final = {
    "uplink": (24 * 2**20, ("content", "extension", "message_id"), "fired"),
    "outgoing": (16 * 2**20, ("text",), "state <> 'sending'"),
    "report": (8 * 2**20, ("status", "message_id"), "fired"),
}
_BYTES_OF_ROW: Final = 300  # of the other columns and the indexes


def find_messages(connection: sqlite3.Connection, query: HistoryQuery) -> list[StoredIn | StoredOut]:
    """Return messages, newest first."""
    found: list[StoredIn | StoredOut] = []
    if query.direction is not Direction.IN:
        found += map(stored_out, _newest(connection, OUT, query, query.states))
    if query.direction is not Direction.OUT and query.states is None:
        found += map(stored_in, _newest(connection, IN, query))
    found.sort(key=lambda one: one.at, reverse=True)
    return found[: query.limit]


def scheduled_messages(connection: sqlite3.Connection, entry: str, now: datetime) -> list[StoredOut]:
    """Return the messages that the platform has accepted for a later time, by their time."""
    rows = connection.execute(f"{OUT} WHERE {_SCHEDULED} ORDER BY due, row", (entry, to_micros(now)))
    return [stored_out(values) for values in rows.fetchall()]


def scheduled_times(connection: sqlite3.Connection, entry: str, now: datetime) -> list[datetime]:
    """Return the times of the messages that the platform has accepted for a later time, the earliest first."""
    rows = connection.execute(f"SELECT due FROM outgoing WHERE {_SCHEDULED} ORDER BY due", (entry, to_micros(now)))
    return [from_micros(due) for (due,) in rows.fetchall()]


def purge_messages(connection: sqlite3.Connection, selection: Selection, *, open_too: bool = False) -> int:
    """Delete the selected messages, and return their number.

    open_too: include messages that are being sent.
    """
    where, values = _where(selection)
    sending = "" if open_too else " AND state <> 'sending'"
    count = connection.execute(f"DELETE FROM outgoing WHERE {where}{sending}", values).rowcount
    count += connection.execute(f"DELETE FROM uplink WHERE {where}", values).rowcount
    # Joined reports are deleted with their messages, the others here.
    connection.execute(f"DELETE FROM report WHERE {where} AND outgoing IS NULL", values)
    return count


def delete_deferred(connection: sqlite3.Connection, selection: Selection, *, open_too: bool = False) -> list[int]:
    """Delete the selected deferred messages, from the file too, and return their rows. See `purge_messages`."""
    where, values = _where(selection)
    going = "" if open_too else " AND NOT going"
    sql = f"DELETE FROM later WHERE row IN (SELECT row FROM ({_LATER}) WHERE {where}{going}) RETURNING row"
    return [row for (row,) in connection.execute(sql, values).fetchall()]


def prune_messages(
    connection: sqlite3.Connection, retentions: Mapping[str, Retention], now: datetime
) -> list[DeliveryUpdate]:
    """Expire messages without a report, and delete those beyond their account's retention. Return the expired ones.

    retentions: by account. The maximum applies to each kind of item separately, so that many replies cannot displace a
    message that waits for its report. Messages that are being sent stay, and so do pending events unless the retention
    includes them.
    """
    at = to_micros(now)
    expired = expire(connection, at)
    for entry, retention in retentions.items():
        fired = "TRUE" if retention.include_pending else "fired"
        for table, done in (("outgoing", "state <> 'sending'"), ("uplink", fired), ("report", fired)):
            oldest = max(to_micros(now - retention.max_age), _oldest_of(connection, table, entry, retention.max_items))
            connection.execute(f"DELETE FROM {table} WHERE at < ? AND entry = ? AND {done}", (oldest, entry))
        if not retention.texts:
            connection.execute("UPDATE outgoing SET text = NULL WHERE text IS NOT NULL AND entry = ?", (entry,))
            connection.execute(
                "UPDATE uplink SET content = NULL WHERE content IS NOT NULL AND fired AND entry = ?", (entry,)
            )
    for table in _MAX_BYTES:
        _delete_excess_bytes(connection, table)
    stale = to_micros(now - _DIGEST_AGE)
    for table in ("uplink", "report"):
        connection.execute(f"UPDATE {table} SET digest = NULL WHERE at < ? AND digest IS NOT NULL", (stale,))
    return expired


def _delete_excess_bytes(connection: sqlite3.Connection, table: str) -> None:
    """Delete the items of one kind that exceed its bytes: those of unknown numbers first, then the oldest."""
    limit, columns, done = _MAX_BYTES[table]
    size = " + ".join(f"ifnull(length(CAST({column} AS BLOB)), 0)" for column in columns)
    (total,) = connection.execute(f"SELECT ifnull(sum({size} + {_BYTES_OF_ROW}), 0) FROM {table}").fetchone()
    if total > limit:
        sums = f"sum({size} + {_BYTES_OF_ROW}) OVER (ORDER BY recipient IS NULL, row DESC) AS bytes"
        # A part more than necessary, so that a flood does not delete a few rows each time.
        excess = f"SELECT row FROM (SELECT row, {sums} FROM {table}) WHERE bytes > ?"
        connection.execute(f"DELETE FROM {table} WHERE row IN ({excess}) AND {done}", (limit * 3 // 4,))


def delete_texts(connection: sqlite3.Connection, uplinks: Collection[int]) -> None:
    """Delete the texts of uplinks whose event has fired."""
    listed = json.dumps(list(uplinks))
    connection.execute("UPDATE uplink SET content = NULL WHERE row IN (SELECT value FROM json_each(?))", (listed,))


def count_items(connection: sqlite3.Connection, entry: str) -> Counts:
    """Count an account's items."""
    states = connection.execute("SELECT state, count(*) FROM outgoing WHERE entry = ? GROUP BY state", (entry,))
    outgoing = dict(states.fetchall())
    incoming: list[tuple[int, int]] = [
        connection.execute(
            f"SELECT count(*), ifnull(sum(NOT fired), 0) FROM {table} WHERE entry = ?", (entry,)
        ).fetchone()
        for table in ("uplink", "report")
    ]
    (pages,), (size,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    return Counts(outgoing, incoming[0][0], incoming[1][0], incoming[0][1] + incoming[1][1], pages * size)


def _oldest_of(connection: sqlite3.Connection, table: str, entry: str, max_items: int) -> int:
    """Return the time of the oldest item among the newest `max_items`, 0 if there are fewer."""
    found = connection.execute(
        f"SELECT at FROM {table} WHERE entry = ? ORDER BY at DESC LIMIT 1 OFFSET ?", (entry, max_items - 1)
    ).fetchone()
    return int(found[0]) if found else 0


def _where(selection: Selection, states: Collection[DeliveryState] | None = None) -> tuple[str, list[Any]]:
    """Return a selection as a condition and its values."""
    where, values = "TRUE", list[Any]()
    numbers = None if selection.numbers is None else [comparable_number(number) for number in selection.numbers]
    columns = {"entry": selection.entries, "recipient": selection.recipients, "number": numbers, "state": states}
    for column, wanted in columns.items():
        if wanted is not None:
            where += f" AND {column} IN ({', '.join('?' * len(wanted))})"
            values += wanted
    for sign, when in ((">=", selection.since), ("<", selection.until)):
        if when is not None:
            where += f" AND at {sign} ?"
            values.append(to_micros(when))
    return where, values


def _newest(
    connection: sqlite3.Connection, select: str, query: HistoryQuery, states: Collection[DeliveryState] | None = None
) -> list[tuple[Any, ...]]:
    where, values = _where(query, states)
    sql = f"{select} WHERE {where} ORDER BY at DESC, row DESC LIMIT ?"
    return connection.execute(sql, [*values, query.limit]).fetchall()


def stored_out(values: tuple[Any, ...]) -> StoredOut:
    """Return a row of `OUT` as a message."""
    (row, entry, recipient, number, text, transport, at, due, automatic, outcome, *rest) = values
    reason, parts, state, status, state_at, matched, message_ids, priority, cause = rest
    delivery = DeliveryState(state)
    fields: tuple[Any, ...] = (
        *(row, entry, recipient, number, text, transport, from_micros(at)),
        *(from_micros(due) if due is not None else None, bool(automatic), Outcome(outcome) if outcome else None),
        *(Reason(reason) if reason else None, parts, tuple(json.loads(message_ids)), delivery, delivery in SETTLED),
        *(status, from_micros(state_at), MatchedBy(matched) if matched else None, priority, cause),
    )
    return StoredOut(*fields)


def stored_in(values: tuple[Any, ...]) -> StoredIn:
    """Return a row of `IN` as a message."""
    row, entry, recipient, id_, number, content, extension, incomplete, via, at, repeat, fired = values
    received = (row, entry, recipient, id_, number, content, extension, bool(incomplete), via)
    return StoredIn(*received, from_micros(at), bool(repeat), bool(fired))
