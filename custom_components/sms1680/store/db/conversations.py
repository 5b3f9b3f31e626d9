"""Query stored messages by conversation: the messages to and from one number. Each function runs in a transaction."""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from .history import IN, OUT, stored_in, stored_out
from .records import StoredIn, StoredOut, comparable_number, to_micros

type Stored = StoredIn | StoredOut

# Most lists end among so many of the newest rows, which are much faster to read than all numbers.
_NEWEST: Final = 2000
_LONGEST_SEARCH: Final = 100
MAX_UNREAD: Final = 99

_RECENT: Final = "SELECT number, at FROM {} ORDER BY at DESC LIMIT ?"
# Seek from each number to the next one in the index, which skips their messages.
_ALL: Final = """
    WITH RECURSIVE
        sent (number) AS (
            SELECT min(number) FROM outgoing UNION ALL
            SELECT (SELECT min(number) FROM outgoing WHERE number > sent.number) FROM sent WHERE number IS NOT NULL
        ),
        received (number) AS (
            SELECT min(number) FROM uplink UNION ALL
            SELECT (SELECT min(number) FROM uplink WHERE number > received.number) FROM received
            WHERE number IS NOT NULL
        )
    SELECT number, max(at) FROM (
        SELECT number, (SELECT max(at) FROM outgoing WHERE outgoing.number = sent.number) AS at FROM sent UNION ALL
        SELECT number, (SELECT max(at) FROM uplink WHERE uplink.number = received.number) FROM received
    )
    WHERE number IS NOT NULL GROUP BY number ORDER BY 2 DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Party:
    """One side of a conversation: a number, and the accounts whose messages are included. None includes all."""

    number: str = field(repr=False)
    entries: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, repr=False)
class ConversationQuery:
    """Which conversations to list, newest first.

    parties: None for all numbers. search: a part of a message's text, or of a number if numbers are searched. named:
    numbers that the search found by name.
    """

    parties: Sequence[Party] | None = None
    search: str | None = None
    named: Collection[str] = ()
    numbers: bool = True
    limit: int = 30


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """A conversation and its newest message, or the newest one that the search found."""

    party: Party
    newest: Stored


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place of a message among those of its conversation: by time, uplinks before sent messages, by row."""

    at: int
    is_sent: bool
    row: int

    @classmethod
    def of(cls, message: Stored) -> Self:
        """Return the place of a message."""
        return cls(to_micros(message.at), isinstance(message, StoredOut), message.row)


def list_conversations(connection: sqlite3.Connection, query: ConversationQuery) -> list[ConversationSummary]:
    """Return conversations, newest first."""
    search = query.search
    pattern = _pattern(search) if search else None
    if query.parties is None:
        found = _searched(connection, query, pattern) if pattern else _newest_numbers(connection, query.limit)
        parties: Iterable[Party] = [Party(number) for number in found]
    else:
        parties = query.parties
    summaries = []
    for party in parties:
        newest = _newest(connection, party, pattern)
        by_number = bool(search) and query.numbers and str(search) in party.number
        if newest is None and (by_number or party.number in query.named):
            newest = _newest(connection, party, None)
        if newest is not None:
            summaries.append(ConversationSummary(party, newest))
    summaries.sort(key=lambda summary: summary.newest.at, reverse=True)
    return summaries[: query.limit]


def conversation_page(connection: sqlite3.Connection, party: Party, before: Cursor | None, limit: int) -> list[Stored]:
    """Return the messages of a conversation before a cursor, newest first."""
    found: list[Stored] = []
    for is_sent, select, make in ((False, IN, stored_in), (True, OUT, stored_out)):
        where, values = _where(party)
        if before is not None:
            where += " AND at <= ? AND (at, ?, row) < (?, ?, ?)"
            values += [before.at, is_sent, before.at, before.is_sent, before.row]
        rows = connection.execute(f"{select} WHERE {where} ORDER BY at DESC, row DESC LIMIT ?", [*values, limit])
        found += map(make, rows.fetchall())
    found.sort(key=lambda one: (one.at, isinstance(one, StoredOut), one.row), reverse=True)
    return found[:limit]


def count_unread(connection: sqlite3.Connection, since: Sequence[tuple[Party, int]]) -> list[int]:
    """Return for each conversation how many messages were received after a time, at most MAX_UNREAD."""
    counts = []
    for party, read_until in since:
        where, values = _where(party)
        sql = f"SELECT count(*) FROM (SELECT 1 FROM uplink WHERE {where} AND at > ? LIMIT ?)"
        counts.append(connection.execute(sql, [*values, read_until, MAX_UNREAD]).fetchone()[0])
    return counts


def _newest_numbers(connection: sqlite3.Connection, limit: int) -> list[str]:
    """Return the numbers of the newest messages, newest first."""
    newest: dict[str, int] = {}
    oldest_read = 0
    for table in ("outgoing", "uplink"):
        rows = connection.execute(_RECENT.format(table), (_NEWEST,)).fetchall()
        if len(rows) == _NEWEST:
            oldest_read = max(oldest_read, rows[-1][1])
        for number, at in rows:
            newest[number] = max(at, newest.get(number, at))
    certain = [number for number, at in newest.items() if at >= oldest_read]
    if oldest_read and len(certain) < limit:
        return [number for number, _ in connection.execute(_ALL, (limit,)).fetchall()]
    return sorted(certain, key=newest.__getitem__, reverse=True)[:limit]


def _searched(connection: sqlite3.Connection, query: ConversationQuery, pattern: str) -> list[str]:
    """Return the numbers whose messages match, newest first, and those found by name."""
    matches = "number LIKE ?1 ESCAPE '!' OR {} LIKE ?1 ESCAPE '!'" if query.numbers else "{} LIKE ?1 ESCAPE '!'"
    parts = (
        f"SELECT number, at FROM {table} WHERE {matches.format(column)}"
        for table, column in (("outgoing", "text"), ("uplink", "content"))
    )
    sql = f"SELECT number FROM ({' UNION ALL '.join(parts)}) GROUP BY number ORDER BY max(at) DESC LIMIT ?2"
    found = [number for (number,) in connection.execute(sql, (pattern, query.limit)).fetchall()]
    return list(dict.fromkeys([*found, *query.named]))


def _newest(connection: sqlite3.Connection, party: Party, pattern: str | None) -> Stored | None:
    """Return the newest message of a conversation, or the newest one with a matching text."""
    found: list[Stored] = []
    for select, column, make in ((IN, "content", stored_in), (OUT, "text", stored_out)):
        where, values = _where(party)
        if pattern is not None:
            where += f" AND {column} LIKE ? ESCAPE '!'"
            values.append(pattern)
        row = connection.execute(f"{select} WHERE {where} ORDER BY at DESC, row DESC LIMIT 1", values).fetchone()
        found += [make(row)] if row else []
    return max(found, key=lambda one: one.at, default=None)


def _where(party: Party) -> tuple[str, list[Any]]:
    where, values = "number = ?", list[Any]([comparable_number(party.number)])
    if party.entries is not None:
        where += f" AND entry IN ({', '.join('?' * len(party.entries))})"
        values += party.entries
    return where, values


def _pattern(search: str) -> str:
    """Return a pattern of LIKE for a part of a text, which has no wildcards of its own."""
    escaped = search[:_LONGEST_SEARCH].replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{escaped}%"
