"""Uplinks of a store in memory, on their way into its database.

Nothing waits for a disk there, so an uplink counts as stored at once. Many are inserted together before the next job
of the database, which therefore sees all of them.
"""

import logging
import sqlite3
from itertools import count

from .inbox import MAX_PER_INSERT, insert_uplinks
from .records import Uplink

_LOGGER = logging.getLogger(__name__)


class UnwrittenUplinks:
    """The uplinks that are not in the database yet, with their rows."""

    def __init__(self) -> None:
        self._items: list[Uplink] = []
        self._rows = count(1)
        self._first = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_full(self) -> bool:
        """Whether one statement cannot insert more."""
        return len(self._items) >= MAX_PER_INSERT

    def start(self, row: int) -> None:
        """Set the row of the next uplink."""
        self._rows = count(row)

    def add(self, item: Uplink) -> int:
        """Add an uplink and return its row."""
        row = next(self._rows)
        if not self._items:
            self._first = row
        self._items.append(item)
        return row

    def write(self, connection: sqlite3.Connection) -> None:
        """Insert all uplinks. One that the database refuses is left out: its event has fired."""
        items, self._items = self._items, []
        try:
            insert_uplinks(connection, items, self._first)
        except (sqlite3.Error, UnicodeError):
            for row, item in enumerate(items, self._first):
                try:
                    insert_uplinks(connection, [item], row)
                except (sqlite3.Error, UnicodeError) as error:
                    _LOGGER.warning("Could not store a received message in memory: %s", type(error).__name__)
