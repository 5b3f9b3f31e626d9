"""Find the message of a report whose id or number is not written as the platform answered it."""

import sqlite3
from typing import Any, Final

from ...client import DeliveryReport
from .matching import EXPIRY, micros, same_id, same_number

_SEGMENTS: Final = (
    "SELECT outgoing.row, state, message_id, number FROM segment JOIN outgoing ON outgoing.row = outgoing WHERE"
)
_SHARED: Final = """
SELECT outgoing.row, outcome, 1, max(at, ifnull(due, 0)) FROM outgoing JOIN segment ON outgoing = outgoing.row
WHERE number = ? AND entry = ? AND state = 'accepted' AND segments = 1 AND missing = 0 AND max(at, ifnull(due, 0)) >= ?
AND EXISTS (
    SELECT 1 FROM segment AS other WHERE other.message_id = segment.message_id AND other.outgoing <> outgoing.row
)
"""


def find_other_spelling(
    connection: sqlite3.Connection, entry: str, report: DeliveryReport, at: int
) -> tuple[Any, ...] | None:
    """Return the row, state and id of the only message whose number and id can be written like those of a report."""
    since = at - micros(EXPIRY)
    found = connection.execute(
        f"{_SEGMENTS} number = ? AND entry = ? AND max(at, ifnull(due, 0)) >= ?", (report.number, entry, since)
    )
    rows = [tuple(values) for *values, _ in found.fetchall() if same_id(report.message_id, values[2])]
    if not rows:
        found = connection.execute(f"{_SEGMENTS} message_id = ? AND entry = ?", (report.message_id, entry))
        rows = [tuple(values) for *values, known in found.fetchall() if same_number(report.number, known)]
    return rows[0] if len(rows) == 1 else None


def find_sharing_an_id(connection: sqlite3.Connection, entry: str, number: str, at: int) -> list[Any]:
    """Return the messages to a number that have no report yet, and whose id was answered for other numbers as well.

    Each is a row of row, outcome, missing ids (1) and time.
    """
    return connection.execute(_SHARED, (number, entry, at - micros(EXPIRY))).fetchall()
