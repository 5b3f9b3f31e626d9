"""Outgoing messages in the database, and the reports joined to them. Each function runs inside a transaction."""

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import count
from typing import Any, Final

from ...client import DeliveryReport, Outcome, Reason, ReportState
from .lookup import find_other_spelling, find_sharing_an_id
from .matching import (
    EXPIRY,
    PARTIAL_WINDOW,
    SETTLED,
    Candidate,
    DeliveryState,
    MatchedBy,
    UnmatchedReport,
    find_owner,
    micros,
    outranks,
    state_of,
    state_of_cancelled,
)
from .records import (
    DeliveryUpdate,
    Dispatch,
    Outgoing,
    Received,
    RecordedOutcome,
    Reported,
    comparable_number,
    from_micros,
    storable,
    to_micros,
)

_ORDER: Final = count()
_BY_PLACE: Final = "ORDER BY place IS NULL, place, message_id"
_FIRST_ID: Final = f"SELECT message_id FROM segment WHERE outgoing = row {_BY_PLACE} LIMIT 1"
_UPDATE: Final = (
    f"row, entry, recipient, number, ({_FIRST_ID}), state, status, reason, matched, state_at, automatic,"
    " parts, priority, concluded, attempt, max(at, ifnull(due, 0))"
)
_INSERT: Final = """
INSERT INTO outgoing
(entry, recipient, number, text, way, at, due, automatic, attempt, priority, cause, concluded, state, state_at, missing)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, 0) RETURNING row
"""
# The same words as in the index, because SQLite uses it only then.
_OPEN: Final = "state IN ('sending', 'accepted', 'pending')"
# A message that is being sent misses an id from the moment when its request may leave.
_NOT_BEGUN: Final = f"""
UPDATE outgoing SET outcome = 'not_sent', reason = 'cancelled', state = 'not_sent'
WHERE {_OPEN} AND state = 'sending' AND missing = 0
"""
_INTERRUPTED: Final = f"""
UPDATE outgoing SET outcome = 'unknown', reason = 'lost', state = 'unknown'
WHERE {_OPEN} AND state = 'sending' RETURNING entry, number
"""
# A long message of which a segment was delivered counts as delivered once no further report is expected.
_IS_PARTIAL: Final = """
state = 'pending' AND segments > 1
AND EXISTS (SELECT 1 FROM segment WHERE outgoing = outgoing.row AND word = 'delivered')
"""
_PARTIAL: Final = f"""
SELECT outgoing.row FROM outgoing WHERE {_OPEN} AND {_IS_PARTIAL} AND (outgoing.row IN (SELECT value FROM json_each(?))
     OR (SELECT max(at) FROM report WHERE outgoing = outgoing.row) <= ?)
"""
_EXPIRED: Final = f"""
UPDATE outgoing SET state = 'expired', state_at = ?1
WHERE {_OPEN} AND state <> 'sending' AND NOT ({_IS_PARTIAL}) AND max(at, ifnull(due, 0)) < ?2 RETURNING {_UPDATE}
"""


def begin_dispatch(connection: sqlite3.Connection, dispatch: Dispatch) -> None:
    """Store messages that wait for their turn to be sent. If this fails, `settle_dispatch` stores them."""
    dispatch.rows = [None] * len(dispatch.messages)  # reset after a rolled-back transaction
    dispatch.rows = [_insert(connection, message) for message in dispatch.messages]


def mark_dispatch(
    connection: sqlite3.Connection, dispatch: Dispatch, indexes: Iterable[int], *, leaves: bool = True
) -> None:
    """Mark messages whose request may leave from now on, or (`leaves` is False) that wait for their turn again."""
    sql = "UPDATE outgoing SET missing = ? WHERE row = ? AND state = 'sending'"
    connection.executemany(sql, ((leaves, dispatch.rows[index]) for index in indexes))


def discard_dispatch(connection: sqlite3.Connection, dispatch: Dispatch) -> None:
    """Delete messages that were never sent."""
    connection.executemany("DELETE FROM outgoing WHERE row = ?", ((row,) for row in dispatch.rows))


def settle_dispatch(
    connection: sqlite3.Connection, dispatch: Dispatch, outcomes: Sequence[tuple[int, RecordedOutcome]]
) -> list[DeliveryUpdate]:
    """Store the platform's answers, each with its message's index, and join reports that arrived earlier.

    Return the state of these messages, and of other messages to their numbers that this has settled.
    """
    return [update for index, outcome in outcomes for update in _settle(connection, dispatch, index, outcome)]


def _settle(
    connection: sqlite3.Connection, dispatch: Dispatch, index: int, outcome: RecordedOutcome
) -> list[DeliveryUpdate]:
    message, row = dispatch.messages[index], dispatch.rows[index]
    if row is None or not connection.execute("SELECT 1 FROM outgoing WHERE row = ?", (row,)).fetchone():
        # `begin_dispatch` failed, or the database has been replaced since then.
        row = dispatch.rows[index] = _insert(connection, message)
    at = to_micros(outcome.at)
    missing = 0 if outcome.outcome.is_failure else max(0, outcome.segments - len(outcome.message_ids))
    connection.execute(
        "UPDATE outgoing SET outcome = ?1, reason = ?2, parts = ?3, segments = ?4, missing = ?5, state = ?1,"
        " state_at = ?6, way = ifnull(?7, way) WHERE row = ?8",
        (outcome.outcome, outcome.reason, outcome.parts, outcome.segments, missing, at, outcome.transport, row),
    )
    connection.executemany(
        "INSERT INTO segment (outgoing, message_id, place) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET place = excluded.place",
        ((row, message_id, place) for place, message_id in enumerate(outcome.message_ids)),
    )
    number = comparable_number(message.number)
    for message_id in outcome.message_ids:
        _join_earlier_reports(connection, row, message.entry, number, message_id)
    updates = [_update_state(connection, row, at, MatchedBy.ID) or _current_state(connection, row)]
    return [*updates, *_match_by_number(connection, message.entry, number, at)]


def find_reported(connection: sqlite3.Connection, entry: str, report: DeliveryReport, at: int) -> Reported | None:
    """Return the message that a report names by its id, None if it is unknown. The report has a comparable number."""
    found = connection.execute(
        "SELECT outgoing.row, state, message_id FROM segment JOIN outgoing ON outgoing.row = segment.outgoing"
        " WHERE message_id = ? AND number = ? AND entry = ? ORDER BY outgoing.row DESC LIMIT 1",
        (report.message_id, report.number, entry),
    ).fetchone() or find_other_spelling(connection, entry, report, at)
    return Reported(*found) if found else None


def join_report(
    connection: sqlite3.Connection, row: int, entry: str, report: DeliveryReport, at: int, *, message: Reported | None
) -> Received:
    """Update the message of the stored report in this row. Without a message, find the one that it can belong to."""
    if message is not None:
        _update_segment(connection, message.row, message.message_id, report.state)
        update = _update_state(connection, message.row, at, MatchedBy.ID) or _current_state(connection, message.row)
        return Received(row, update, news=_is_news(connection, report, update, before=message.state))
    updates = _match_by_number(connection, entry, report.number, at, shared=True)
    (outgoing,) = connection.execute("SELECT outgoing FROM report WHERE row = ?", (row,)).fetchone()
    own = next((update for update in updates if update.row == outgoing), None)
    others = tuple(update for update in updates if update is not own)
    return Received(row, own, others, news=own is None or _is_news(connection, report, own))


def _match_by_number(
    connection: sqlite3.Connection, entry: str, number: str, at: int, *, shared: bool = False
) -> list[DeliveryUpdate]:
    """Join reports with unknown ids to the only message to their number that they can belong to.

    shared: also to one whose id the platform answered for several numbers, because it may report each under its own id.
    """
    found = connection.execute(
        "SELECT row, outcome, missing, max(at, ifnull(due, 0)) FROM outgoing"
        " WHERE missing > 0 AND number = ? AND entry = ?",
        (number, entry),
    ).fetchall()
    if shared:
        found += find_sharing_an_id(connection, entry, number, at)
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
    match = find_owner(candidates, [UnmatchedReport(message_id, first) for message_id, first in rows])
    if match is None:
        return []
    owner, owned = match
    for one in owned:
        connection.execute("INSERT INTO segment (outgoing, message_id) VALUES (?, ?)", (owner.row, one.message_id))
        _join_earlier_reports(connection, owner.row, entry, number, one.message_id)
    connection.execute("UPDATE outgoing SET missing = max(0, missing - ?) WHERE row = ?", (len(owned), owner.row))
    update = _update_state(connection, owner.row, at, MatchedBy.NUMBER)
    return [update] if update else []


def mark_interrupted(connection: sqlite3.Connection, at: int) -> None:
    """Settle the messages that were being sent when the program ended: `unknown`, or `not_sent` before their turn."""
    connection.execute(_NOT_BEGUN)
    for entry, number in set(connection.execute(_INTERRUPTED).fetchall()):
        _match_by_number(connection, entry, number, at)


def expire(connection: sqlite3.Connection, at: int) -> list[DeliveryUpdate]:
    """Mark messages that no report has settled within 48 hours as `expired`. Return them, and partly reported ones."""
    settled = settle_partial(connection, from_micros(at))
    return settled + [_read(values) for values in connection.execute(_EXPIRED, (at, at - micros(EXPIRY)))]


def settle_partial(connection: sqlite3.Connection, at: datetime, rows: Iterable[int] = ()) -> list[DeliveryUpdate]:
    """Settle long messages with a delivered segment for which no further report is expected, and return them.

    The event of the last report fires again, with the message's state. rows: messages that are settled in any case.
    """
    when = to_micros(at)
    partial = connection.execute(_PARTIAL, (json.dumps(list(rows)), when - micros(PARTIAL_WINDOW))).fetchall()
    for (row,) in partial:
        connection.execute(
            "UPDATE outgoing SET state = 'delivered', state_at = ?, status = ? WHERE row = ?",
            (when, _status_of(connection, row, DeliveryState.DELIVERED), row),
        )
        connection.execute(
            "UPDATE report SET fired = 0 WHERE row = (SELECT max(report.row) FROM report WHERE outgoing = ?)", (row,)
        )
    return current_states(connection, (row for (row,) in partial))


def current_states(connection: sqlite3.Connection, rows: Iterable[int]) -> list[DeliveryUpdate]:
    """Return the state of the messages in these rows that still exist."""
    found = (connection.execute(f"SELECT {_UPDATE} FROM outgoing WHERE row = ?", (row,)).fetchone() for row in rows)
    return [_read(values) for values in found if values is not None]


def begin_cancel(connection: sqlite3.Connection, rows: Iterable[int]) -> list[int]:
    """Note that accepted messages are being cancelled, so that a report with DELETED does not count as a failure.

    Return the rows without such a note so far. The others keep theirs, whatever the platform answers now.
    """
    sql = f"UPDATE outgoing SET reason = ?1 WHERE row = ?2 AND {_OPEN} AND state <> 'sending' AND reason IS NOT ?1"
    return [row for row in rows if connection.execute(sql, (Reason.CANCELLED, row)).rowcount]


def settle_cancel(
    connection: sqlite3.Connection, rows: Sequence[int], at: datetime, *, cancelled: bool
) -> list[DeliveryUpdate]:
    """Store whether messages were cancelled after `begin_cancel`, and return their states."""
    when = to_micros(at)
    for row in rows:
        if cancelled:
            connection.execute(
                "UPDATE outgoing SET state = 'not_sent', state_at = ?, missing = 0, concluded = 1"
                " WHERE row = ? AND reason = ? AND state <> 'delivered'",
                (when, row, Reason.CANCELLED),
            )
            continue
        undone = connection.execute(
            "UPDATE outgoing SET reason = NULL WHERE row = ? AND reason = ? RETURNING row", (row, Reason.CANCELLED)
        ).fetchall()
        if undone:
            _update_state(connection, row, when, MatchedBy.ID)
    return current_states(connection, rows)


def unconcluded(connection: sqlite3.Connection, entry: str) -> list[DeliveryUpdate]:
    """Return an account's messages that ended without being delivered, and whose end was not reported yet.

    The attempts of deferred messages are left out unless a report failed: their queue reports the others. So are
    messages that were cancelled after the platform had accepted them.
    """
    sql = (
        f"SELECT {_UPDATE} FROM outgoing WHERE NOT concluded AND entry = ? AND (state IN ('failed', 'expired')"
        " OR (attempt IS NULL AND state IN ('refused', 'not_sent', 'held', 'unknown')"
        " AND NOT (state = 'not_sent' AND outcome IS 'accepted'))) ORDER BY row"
    )
    return [_read(values) for values in connection.execute(sql, (entry,)).fetchall()]


def conclude(connection: sqlite3.Connection, rows: Iterable[int]) -> None:
    """Note that the ends of messages were reported."""
    connection.executemany("UPDATE outgoing SET concluded = 1 WHERE row = ?", ((row,) for row in rows))


def last_report(connection: sqlite3.Connection, entry: str) -> datetime | None:
    """Return when an account last received a delivery report, None if never."""
    (at,) = connection.execute("SELECT max(at) FROM report WHERE entry = ?", (entry,)).fetchone()
    return None if at is None else from_micros(at)


def latest_states(connection: sqlite3.Connection, entry: str, recipients: Collection[str]) -> list[DeliveryUpdate]:
    """Return the state of the latest message to each recipient of an account."""
    return _first_of_each(connection, entry, recipients, "ORDER BY at DESC, row DESC")


def last_delivered(connection: sqlite3.Connection, entry: str, recipients: Collection[str]) -> list[DeliveryUpdate]:
    """Return the state of the message to each recipient of an account that was delivered last."""
    return _first_of_each(connection, entry, recipients, "AND state = 'delivered' ORDER BY state_at DESC, row DESC")


def _first_of_each(
    connection: sqlite3.Connection, entry: str, recipients: Collection[str], more: str
) -> list[DeliveryUpdate]:
    sql = f"SELECT {_UPDATE} FROM outgoing WHERE recipient = ? AND entry = ? {more} LIMIT 1"
    found = (connection.execute(sql, (recipient, entry)).fetchone() for recipient in recipients)
    return [_read(values) for values in found if values is not None]


def _insert(connection: sqlite3.Connection, message: Outgoing) -> int:
    at = to_micros(message.at)
    text = None if message.text is None else storable(message.text)
    due = to_micros(message.due) if message.due else None
    values = (
        *(message.entry, message.recipient, comparable_number(message.number), text, message.transport, at, due),
        *(message.automatic, message.attempt, message.priority, message.cause, DeliveryState.SENDING, at),
    )
    (row,) = connection.execute(_INSERT, values).fetchone()
    return int(row)


def _join_earlier_reports(connection: sqlite3.Connection, row: int, entry: str, number: str, message_id: str) -> None:
    """Join the reports of an id that arrived before the id was known, but not before the message was sent."""
    statuses = connection.execute(
        "UPDATE report SET outgoing = ?1 WHERE outgoing IS NULL AND number = ?2 AND message_id = ?3 AND entry = ?4"
        " AND at >= (SELECT at FROM outgoing WHERE row = ?1) RETURNING status",
        (row, number, message_id, entry),
    ).fetchall()
    for (status,) in statuses:
        _update_segment(connection, row, message_id, DeliveryReport(message_id, number, status).state)


def _update_segment(connection: sqlite3.Connection, row: int, message_id: str, state: ReportState) -> None:
    """Store a segment's reported state if it outranks the stored one."""
    (old,) = connection.execute(
        "SELECT word FROM segment WHERE outgoing = ? AND message_id = ?", (row, message_id)
    ).fetchone()
    if outranks(state, ReportState(old) if old else None):
        connection.execute(
            "UPDATE segment SET word = ? WHERE outgoing = ? AND message_id = ?", (state.value, row, message_id)
        )


def _update_state(connection: sqlite3.Connection, row: int, at: int, matched: MatchedBy) -> DeliveryUpdate | None:
    """Derive a message's state from its segments. Return it if it changed.

    matched: how the reports were linked to the message. It does not replace a stored value.
    """
    outcome, segments, state, known, reason = connection.execute(
        "SELECT outcome, segments, state, matched, reason FROM outgoing WHERE row = ?", (row,)
    ).fetchone()
    reported = [
        ReportState(word) if word else None
        for (word,) in connection.execute("SELECT word FROM segment WHERE outgoing = ?", (row,))
    ]
    expired, decided = state == DeliveryState.EXPIRED, state == DeliveryState.DELIVERED
    new = state_of(Outcome(outcome) if outcome else None, segments, reported, expired=expired, decided=decided)
    if reason == Reason.CANCELLED and outcome == Outcome.ACCEPTED:
        new = state_of_cancelled(new, DeliveryState(state), _status_of(connection, row, new))
    matched_by = known or (matched if any(reported) else None)
    if (new, matched_by) == (state, known):
        return None
    status = _status_of(connection, row, new)
    connection.execute(
        "UPDATE outgoing SET state = ?, state_at = iif(state = ?1, state_at, ?), status = ?, matched = ? WHERE row = ?",
        (new, at, status, matched_by, row),
    )
    return _current_state(connection, row)


def _is_news(
    connection: sqlite3.Connection, report: DeliveryReport, update: DeliveryUpdate, before: str | None = None
) -> bool:
    """Return whether a report concerns its whole message, and not only one of several segments.

    A failed report only confirms that a message was cancelled. before: the message's state before the report, None if
    the report has just been matched.
    """
    if update.state is DeliveryState.NOT_SENT and report.state is ReportState.FAILED:
        return False
    (segments,) = connection.execute("SELECT segments FROM outgoing WHERE row = ?", (update.row,)).fetchone()
    decides = update.settled or report.state is ReportState.PENDING
    return segments == 1 or (decides and update.state != before)


def _status_of(connection: sqlite3.Connection, row: int, state: DeliveryState) -> str | None:
    """Return the status word of the newest report with a message's state."""
    statuses = connection.execute(
        "SELECT message_id, number, status FROM report WHERE outgoing = ? ORDER BY row DESC", (row,)
    )
    reports = (DeliveryReport(*values) for values in statuses)
    return next((report.status for report in reports if report.state.value == state), None)


def _current_state(connection: sqlite3.Connection, row: int) -> DeliveryUpdate:
    return _read(connection.execute(f"SELECT {_UPDATE} FROM outgoing WHERE row = ?", (row,)).fetchone())


def _read(values: tuple[Any, ...]) -> DeliveryUpdate:
    row, entry, recipient, number, message_id, state, status, reason, matched, at, automatic, *rest = values
    parts, priority, concluded, attempt, sent_at = rest
    delivery = DeliveryState(state)
    known_by = MatchedBy(matched) if matched else None
    reported = (delivery, delivery in SETTLED, status, Reason(reason) if reason else None, known_by)
    message = (row, entry, recipient, number, message_id)
    ended = (parts, priority, bool(concluded), attempt, from_micros(sent_at))
    return DeliveryUpdate(*message, *reported, from_micros(at), next(_ORDER), bool(automatic), *ended)
