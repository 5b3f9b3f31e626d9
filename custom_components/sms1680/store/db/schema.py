"""The database's schema, as a list of migrations from the first version on."""

import sqlite3
import time
from typing import Final

_FIRST: Final = """
CREATE TABLE outgoing (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    entry TEXT NOT NULL,
    recipient TEXT,
    number TEXT NOT NULL,
    text TEXT,
    way TEXT NOT NULL,
    at INTEGER NOT NULL,
    due INTEGER,
    automatic INTEGER NOT NULL,
    outcome TEXT,
    reason TEXT,
    parts INTEGER NOT NULL DEFAULT 1,
    missing INTEGER NOT NULL DEFAULT 1,
    segments INTEGER NOT NULL DEFAULT 1,
    state TEXT NOT NULL,
    status TEXT,
    state_at INTEGER NOT NULL,
    matched TEXT
);
CREATE INDEX outgoing_at ON outgoing (at);
CREATE INDEX outgoing_number ON outgoing (number, at);
CREATE INDEX outgoing_recipient ON outgoing (recipient, at) WHERE recipient IS NOT NULL;
CREATE INDEX outgoing_missing ON outgoing (number) WHERE missing > 0;
CREATE INDEX outgoing_open ON outgoing (state, at) WHERE state IN ('sending', 'accepted', 'pending');

CREATE TABLE segment (
    outgoing INTEGER NOT NULL REFERENCES outgoing (row) ON DELETE CASCADE,
    message_id TEXT NOT NULL,
    word TEXT,
    PRIMARY KEY (outgoing, message_id)
) WITHOUT ROWID;
CREATE INDEX segment_id ON segment (message_id);

CREATE TABLE uplink (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    entry TEXT NOT NULL,
    recipient TEXT,
    id TEXT NOT NULL,
    number TEXT NOT NULL,
    content TEXT,
    extension TEXT NOT NULL,
    message_id TEXT NOT NULL,
    incomplete INTEGER NOT NULL,
    via TEXT NOT NULL,
    at INTEGER NOT NULL,
    repeat INTEGER NOT NULL,
    digest BLOB,
    answered INTEGER NOT NULL DEFAULT 0,
    fired INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX uplink_at ON uplink (at);
CREATE INDEX uplink_number ON uplink (number, at);
CREATE INDEX uplink_recipient ON uplink (recipient, at) WHERE recipient IS NOT NULL;
CREATE INDEX uplink_unfired ON uplink (entry) WHERE NOT fired;

CREATE TABLE report (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    entry TEXT NOT NULL,
    recipient TEXT,
    id TEXT NOT NULL,
    number TEXT NOT NULL,
    message_id TEXT NOT NULL,
    status TEXT NOT NULL,
    via TEXT NOT NULL,
    at INTEGER NOT NULL,
    repeat INTEGER NOT NULL,
    digest BLOB,
    answered INTEGER NOT NULL DEFAULT 0,
    fired INTEGER NOT NULL DEFAULT 0,
    outgoing INTEGER REFERENCES outgoing (row) ON DELETE CASCADE
);
CREATE INDEX report_at ON report (at);
CREATE INDEX report_unfired ON report (entry) WHERE NOT fired;
CREATE INDEX report_foreign ON report (number, at) WHERE outgoing IS NULL;
CREATE INDEX report_outgoing ON report (outgoing) WHERE outgoing IS NOT NULL;
"""

# Deferred messages. going: 1 while the message is being sent.
_SECOND: Final = """
CREATE TABLE later (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    entry TEXT NOT NULL,
    number TEXT NOT NULL,
    due INTEGER NOT NULL,
    going INTEGER NOT NULL DEFAULT 0,
    message TEXT NOT NULL
);
CREATE INDEX later_entry ON later (entry, due)
"""

# The segment's index in its message, from 0. NULL if only a report named the segment.
_THIRD: Final = "ALTER TABLE segment ADD COLUMN place INTEGER"

# The attempt of a deferred message that sent this one, to look up the result of an interrupted attempt.
_FOURTH: Final = """
ALTER TABLE outgoing ADD COLUMN attempt TEXT;
CREATE INDEX outgoing_attempt ON outgoing (attempt) WHERE attempt IS NOT NULL
"""

# The priority of a message, and whether its end was reported. Messages from before this version count as reported.
_FIFTH: Final = """
ALTER TABLE outgoing ADD COLUMN priority TEXT NOT NULL DEFAULT 'normal';
ALTER TABLE outgoing ADD COLUMN concluded INTEGER NOT NULL DEFAULT 1;
CREATE INDEX outgoing_unconcluded ON outgoing (entry, state) WHERE NOT concluded
"""

# What caused the call that sent a message, as `events/causes.py` writes it.
_SIXTH: Final = "ALTER TABLE outgoing ADD COLUMN cause TEXT"

# The migration at index n leads from version n to n + 1. Released migrations never change.
MIGRATIONS: Final = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH, _SIXTH)
VERSION: Final = len(MIGRATIONS)
_NUMBERED: Final = ("outgoing", "uplink", "report", "later")


class NewerError(Exception):
    """A later version of this program wrote the database."""


def migrate(connection: sqlite3.Connection) -> None:
    """Migrate a database to the current version in one transaction.

    Raises NewerError and sqlite3.Error.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise NewerError
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in MIGRATIONS[version:]:
            for statement in step.split(";"):
                connection.execute(statement)
        if version == 0:
            # Row numbers must differ from those of an earlier, damaged database.
            first = time.time_ns() // 1000
            for table in _NUMBERED:
                connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, first))
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
