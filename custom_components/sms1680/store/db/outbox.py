"""What went out, in the database, and the reports joined to it. Each function runs inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from itertools import count
from typing import Final

from ...client import DeliveryReport, Outcome, Reason, ReportState
from .numbers import comparable_number, storable
from .proof import (
    EXPIRY,
    SETTLED,
    Candidate,
    Foreign,
    Matched,
    ProofState,
    micros,
    owner_of,
    state_of,
    stronger,
)
from .records import Change, Dispatch, Outgoing, Receipted, Received, from_micros, to_micros

_ORDER: Final = count()
_BY_PLACE: Final = "ORDER BY place IS NULL, place, message_id"
_FIRST_ID: Final = f"SELECT message_id FROM segment WHERE outgoing = row {_BY_PLACE} LIMIT 1"
_CHANGE: Final = f"row, entry, recipient, number, ({_FIRST_ID}), state, status, reason, matched, state_at, automatic"
_INSERT: Final = """
INSERT INTO outgoing (entry, recipient, number, text, way, at, due, automatic, attempt, state, state_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING row
"""
# As the index has it, word for word: else it is not used.
_OPEN: Final = "state IN ('sending', 'accepted', 'pending')"
_LOST: Final = f"""
UPDATE outgoing SET outcome = 'unknown', reason = 'lost', state = 'unknown'
WHERE {_OPEN} AND state = 'sending' RETURNING entry, number
"""
_EXPIRED: Final = f"""
UPDATE outgoing SET state = 'expired', state_at = ?1
WHERE {_OPEN} AND state <> 'sending' AND max(at, ifnull(due, 0)) < ?2 RETURNING {_CHANGE}
"""


def begin(connection: sqlite3.Connection, dispatch: Dispatch) -> None:
    """Note that messages are about to go out."""
    dispatch.rows = [None] * len(dispatch.messages)  # of an attempt that was rolled back
    dispatch.rows = [_insert(connection, message) for message in dispatch.messages]


def forget(connection: sqlite3.Connection, dispatch: Dispatch) -> None:
    """Let go of messages that never were on their way."""
    connection.executemany("DELETE FROM outgoing WHERE row = ?", ((row,) for row in dispatch.rows))


def settle(
    connection: sqlite3.Connection, dispatch: Dispatch, answers: Sequence[tuple[int, Receipted]]
) -> list[Change]:
    """Note what the platform answered to the messages of some places, and join the reports that came before.

    Returns where the messages stand, and others to their numbers that this has decided.
    """
    return [change for place, answer in answers for change in _settle(connection, dispatch, place, answer)]


def _settle(connection: sqlite3.Connection, dispatch: Dispatch, place: int, answer: Receipted) -> list[Change]:
    message, row = dispatch.messages[place], dispatch.rows[place]
    if row is None or not connection.execute("SELECT 1 FROM outgoing WHERE row = ?", (row,)).fetchone():
        # Its beginning could not be noted, or the database was set aside meanwhile.
        row = dispatch.rows[place] = _insert(connection, message)
    at = to_micros(answer.at)
    missing = 0 if answer.outcome.is_failure else max(0, answer.segments - len(answer.message_ids))
    connection.execute(
        "UPDATE outgoing SET outcome = ?1, reason = ?2, parts = ?3, segments = ?4, missing = ?5, state = ?1,"
        " state_at = ?6, way = ifnull(?7, way) WHERE row = ?8",
        (answer.outcome, answer.reason, answer.parts, answer.segments, missing, at, answer.way, row),
    )
    connection.executemany(
        "INSERT INTO segment (outgoing, message_id, place) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET place = excluded.place",
        ((row, message_id, number) for number, message_id in enumerate(answer.message_ids)),
    )
    number = comparable_number(message.number)
    for message_id in answer.message_ids:
        _join_early(connection, row, message.entry, number, message_id)
    changes = [_restate(connection, row, at, Matched.ID) or _change(connection, row)]
    return [*changes, *match_by_number(connection, message.entry, number, at)]


def report(connection: sqlite3.Connection, row: int, entry: str, told: DeliveryReport, at: int) -> Received:
    """Join a report that was just stored under this row to its message, if it is one of ours."""
    number = comparable_number(told.number)
    owner = connection.execute(
        "SELECT outgoing.row, state FROM segment JOIN outgoing ON outgoing.row = segment.outgoing"
        " WHERE message_id = ? AND number = ? AND entry = ? ORDER BY outgoing.row DESC LIMIT 1",
        (told.message_id, number, entry),
    ).fetchone()
    if owner is not None:
        connection.execute("UPDATE report SET outgoing = ? WHERE row = ?", (owner[0], row))
        _say(connection, owner[0], told.message_id, told.state)
        change = _restate(connection, owner[0], at, Matched.ID) or _change(connection, owner[0])
        return Received(row, change, news=_is_news(connection, told, change, before=owner[1]))
    changes = match_by_number(connection, entry, number, at)
    (mine,) = connection.execute("SELECT outgoing FROM report WHERE row = ?", (row,)).fetchone()
    own = next((change for change in changes if change.row == mine), None)
    others = tuple(change for change in changes if change is not own)
    return Received(row, own, others, news=own is None or _is_news(connection, told, own))


def match_by_number(connection: sqlite3.Connection, entry: str, number: str, at: int) -> list[Change]:
    """Join reports that name no id of ours to the one message to their number that they are of, without doubt."""
    found = connection.execute(
        "SELECT row, outcome, missing, max(at, ifnull(due, 0)) FROM outgoing"
        " WHERE missing > 0 AND number = ? AND entry = ?",
        (number, entry),
    )
    candidates = [
        Candidate(row, Outcome(outcome) if outcome else None, missing, since) for row, outcome, missing, since in found
    ]
    if not candidates:
        return []
    rows = connection.execute(
        "SELECT message_id, min(at) FROM report"
        " WHERE outgoing IS NULL AND number = ? AND entry = ? AND at >= ? GROUP BY message_id",
        (number, entry, min(candidate.since for candidate in candidates)),
    )
    owned = owner_of(candidates, [Foreign(message_id, first) for message_id, first in rows])
    if owned is None:
        return []
    owner, own = owned
    for one in own:
        connection.execute("INSERT INTO segment (outgoing, message_id) VALUES (?, ?)", (owner.row, one.message_id))
        _join_early(connection, owner.row, entry, number, one.message_id)
    connection.execute("UPDATE outgoing SET missing = missing - ? WHERE row = ?", (len(own), owner.row))
    change = _restate(connection, owner.row, at, Matched.NUMBER)
    return [change] if change else []


def lose(connection: sqlite3.Connection, at: int) -> None:
    """Make `unknown` what was under way when the program ended."""
    for entry, number in set(connection.execute(_LOST).fetchall()):
        match_by_number(connection, entry, number, at)


def expire(connection: sqlite3.Connection, at: int) -> list[Change]:
    """Give up what had no report that settles it for 48 hours."""
    return [_read(values) for values in connection.execute(_EXPIRED, (at, at - micros(EXPIRY)))]


def current(connection: sqlite3.Connection, rows: Iterable[int]) -> list[Change]:
    """Return where messages stand; those that are no more are left out."""
    found = (connection.execute(f"SELECT {_CHANGE} FROM outgoing WHERE row = ?", (row,)).fetchone() for row in rows)
    return [_read(values) for values in found if values is not None]


def of_attempt(connection: sqlite3.Connection, attempt: str) -> list[ProofState]:
    """Return where the messages stand that went out by a try of a kept one."""
    found = connection.execute("SELECT state FROM outgoing WHERE attempt = ?", (attempt,))
    return [ProofState(state) for (state,) in found]


def latest(connection: sqlite3.Connection, entry: str, recipients: Collection[str]) -> list[Change]:
    """Return where the newest message to each recipient of an account stands."""
    sql = f"SELECT {_CHANGE} FROM outgoing WHERE recipient = ? AND entry = ? ORDER BY at DESC, row DESC LIMIT 1"
    found = (connection.execute(sql, (recipient, entry)).fetchone() for recipient in recipients)
    return [_read(values) for values in found if values is not None]


def _insert(connection: sqlite3.Connection, message: Outgoing) -> int:
    at = to_micros(message.at)
    values = (
        message.entry,
        message.recipient,
        comparable_number(message.number),
        None if message.text is None else storable(message.text),
        message.way,
        at,
        to_micros(message.due) if message.due else None,
        message.automatic,
        message.attempt,
        ProofState.SENDING,
        at,
    )
    (row,) = connection.execute(_INSERT, values).fetchone()
    return int(row)


def _join_early(connection: sqlite3.Connection, row: int, entry: str, number: str, message_id: str) -> None:
    """Join the reports of an id that came before it was known whose it is, and not before the message went out."""
    statuses = connection.execute(
        "UPDATE report SET outgoing = ?1 WHERE outgoing IS NULL AND number = ?2 AND message_id = ?3 AND entry = ?4"
        " AND at >= (SELECT at FROM outgoing WHERE row = ?1) RETURNING status",
        (row, number, message_id, entry),
    ).fetchall()
    for (status,) in statuses:
        _say(connection, row, message_id, DeliveryReport(message_id, number, status).state)


def _say(connection: sqlite3.Connection, row: int, message_id: str, word: ReportState) -> None:
    """Let the word on a segment stand, if it is the strongest so far."""
    (old,) = connection.execute(
        "SELECT word FROM segment WHERE outgoing = ? AND message_id = ?", (row, message_id)
    ).fetchone()
    if stronger(ReportState(old) if old else None, word):
        connection.execute(
            "UPDATE segment SET word = ? WHERE outgoing = ? AND message_id = ?", (word.value, row, message_id)
        )


def _restate(connection: sqlite3.Connection, row: int, at: int, matched: Matched) -> Change | None:
    """Note where a message stands by the words on its segments; return it if that is news.

    matched: by what the reports were found to be its own, if there are any; what is known of it already stands.
    """
    outcome, segments, state, known = connection.execute(
        "SELECT outcome, segments, state, matched FROM outgoing WHERE row = ?", (row,)
    ).fetchone()
    words = [
        ReportState(word) if word else None
        for (word,) in connection.execute("SELECT word FROM segment WHERE outgoing = ?", (row,))
    ]
    new = state_of(Outcome(outcome) if outcome else None, segments, words, expired=state == ProofState.EXPIRED)
    by = known or (matched if any(words) else None)
    if (new, by) == (state, known):
        return None
    status = _status_of(connection, row, new)
    connection.execute(
        "UPDATE outgoing SET state = ?, state_at = iif(state = ?1, state_at, ?), status = ?, matched = ? WHERE row = ?",
        (new, at, status, by, row),
    )
    return _change(connection, row)


def _is_news(connection: sqlite3.Connection, told: DeliveryReport, change: Change, before: str | None = None) -> bool:
    """Tell whether a report says something of its message, and not of one of several segments only.

    before: the message's state before it, None where that was another one.
    """
    (segments,) = connection.execute("SELECT segments FROM outgoing WHERE row = ?", (change.row,)).fetchone()
    decides = change.settled or told.state is ReportState.PENDING
    return segments == 1 or (decides and change.state != before)


def _status_of(connection: sqlite3.Connection, row: int, state: ProofState) -> str | None:
    """Return the status, as it came, of the newest report that made a message's state."""
    statuses = connection.execute(
        "SELECT message_id, number, status FROM report WHERE outgoing = ? ORDER BY row DESC", (row,)
    )
    return next(
        (told.status for told in (DeliveryReport(*values) for values in statuses) if told.state.value == state), None
    )


def _change(connection: sqlite3.Connection, row: int) -> Change:
    return _read(connection.execute(f"SELECT {_CHANGE} FROM outgoing WHERE row = ?", (row,)).fetchone())


def _read(
    values: tuple[int, str, str | None, str, str | None, str, str | None, str | None, str | None, int, int],
) -> Change:
    row, entry, recipient, number, message_id, state, status, reason, matched, at, automatic = values
    proven = ProofState(state)
    return Change(
        row,
        entry,
        recipient,
        number,
        message_id,
        proven,
        proven in SETTLED,
        status,
        Reason(reason) if reason else None,
        Matched(matched) if matched else None,
        from_micros(at),
        next(_ORDER),
        bool(automatic),
    )
