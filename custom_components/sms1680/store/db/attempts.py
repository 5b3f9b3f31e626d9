"""The attempts to send deferred messages and alarms, in the journal. Each function runs inside a transaction."""

import sqlite3
from collections.abc import Iterable

from .matching import DeliveryState
from .records import comparable_number

# A report can still change the other states.
_ENDED = "('refused', 'not_sent', 'held', 'unknown')"
# It waited for its turn when the program ended.
_NOT_BEGUN = "state = 'not_sent' AND reason = 'cancelled'"


def states_of_attempt(connection: sqlite3.Connection, attempt: str, number: str | None = None) -> list[DeliveryState]:
    """Return the states of the messages that an attempt sent. number: only of the messages to it."""
    found = connection.execute(
        "SELECT state FROM outgoing WHERE attempt = ?1 AND number = ifnull(?2, number)",
        (attempt, None if number is None else comparable_number(number)),
    )
    return [DeliveryState(state) for (state,) in found]


def conclude_attempt(connection: sqlite3.Connection, attempt: str, number: str) -> None:
    """Note that the ends of an attempt's messages to a number are reported."""
    connection.execute(
        f"UPDATE outgoing SET concluded = 1 WHERE attempt = ? AND number = ? AND state IN {_ENDED}",
        (attempt, comparable_number(number)),
    )


def release_attempts(connection: sqlite3.Connection, attempts: Iterable[str]) -> None:
    """Turn the messages of attempts into direct messages, whose ends `unconcluded` returns."""
    connection.executemany("UPDATE outgoing SET attempt = NULL WHERE attempt = ?", ((one,) for one in attempts))


def forget_attempt(connection: sqlite3.Connection, attempt: str, number: str) -> None:
    """Delete what an attempt has not submitted to a number: the queue sends it again."""
    connection.execute(
        f"DELETE FROM outgoing WHERE attempt = ? AND number = ? AND {_NOT_BEGUN}", (attempt, comparable_number(number))
    )


def forget_waiting(connection: sqlite3.Connection, entry: str) -> None:
    """Delete what was not submitted of an account's messages that still wait in the queue."""
    # The name of an attempt begins with the row of its first message.
    connection.execute(
        f"DELETE FROM outgoing WHERE attempt IS NOT NULL AND entry = ? AND {_NOT_BEGUN}"
        " AND CAST(attempt AS INTEGER) IN (SELECT row FROM later WHERE entry = ? AND NOT going)",
        (entry, entry),
    )
