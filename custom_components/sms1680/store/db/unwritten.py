"""Uplinks of a store in memory, on their way into its database.

Nothing waits for a disk there, so an uplink counts as stored at once. It is inserted before the next job of the
database, which therefore sees all of them. In a flood, most of them never get there: those that pruning would delete,
and whose event has fired, are dropped.
"""

import logging
import sqlite3
from collections import Counter
from itertools import batched, count
from typing import Final

from .inbox import MAX_PER_INSERT, insert_uplinks
from .records import Marks, Uplink

_LOGGER = logging.getLogger(__name__)

MOST_IN_MEMORY: Final = 1000  # items of each kind that an account keeps in memory
_CHARACTERS: Final = 128  # that take the room of one more uplink


class UnwrittenUplinks:
    """The uplinks that are not in the database yet.

    items: by row. marks: of these. room: for so many more of up to 128 characters.
    """

    def __init__(self) -> None:
        self.items: dict[int, Uplink] = {}
        self.marks = Marks()
        self.room = self._all_room = 2 * MOST_IN_MEMORY
        self._rows = count(1)

    def start(self, row: int) -> None:
        """Set the row of the next uplink."""
        self._rows = count(row)

    def add(self, item: Uplink) -> int:
        """Add an uplink and return its row."""
        row = next(self._rows)
        self.items[row] = item
        self.room -= 1 + len(item.content) // _CHARACTERS
        return row

    def mark_fired(self, row: int, *, texts: bool) -> None:
        """Mark an uplink as fired. texts: whether its text remains."""
        self.marks.fired.add(row)
        if not texts:
            self.items[row] = self.items[row]._replace(content="")
            self.marks.textless.add(row)

    def drop_excess(self) -> bool:
        """Drop the fired uplinks that exceed what an account keeps. Return whether a quarter of the room is free."""
        excess = Counter(item.entry for item in self.items.values())
        excess.subtract(dict.fromkeys(excess, MOST_IN_MEMORY))
        for row, item in list(self.items.items()):
            if excess[item.entry] > 0 and row in self.marks.fired:
                del self.items[row]
                self.room += 1 + len(item.content) // _CHARACTERS
            excess[item.entry] -= 1
        self.marks.fired &= self.items.keys()
        self.marks.acknowledged &= self.items.keys()
        self.marks.textless &= self.items.keys()
        return 4 * self.room >= self._all_room

    def write(self, connection: sqlite3.Connection) -> None:
        """Insert all uplinks. One that the database refuses is left out: its event has fired."""
        items, self.items = self.items, {}
        marks, self.marks = self.marks, Marks()
        self.room = self._all_room
        for chunk in batched(items.items(), MAX_PER_INSERT, strict=False):
            try:
                insert_uplinks(connection, chunk, marks)
            except (sqlite3.Error, UnicodeError):
                for row, item in chunk:
                    try:
                        insert_uplinks(connection, [(row, item)], marks)
                    except (sqlite3.Error, UnicodeError) as error:
                        _LOGGER.warning("Could not store a received message in memory: %s", type(error).__name__)
