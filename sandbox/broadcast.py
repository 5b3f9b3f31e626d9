"""Hands the platform's changes to those who watch (the phone pages), without ever waiting for one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from .records import Changed, Event, Message, Uplink

_BACKLOG = 2000


class Watch:
    """What one watcher has not seen yet: each message or uplink once, however often it changed."""

    def __init__(self) -> None:
        """Begin with nothing to see."""
        self._items: dict[int, Message | Uplink] = {}
        self._changed = asyncio.Event()
        self._dismissed = False

    def add(self, item: Message | Uplink | None) -> None:
        """Note a change; who falls far behind is dismissed and comes back to read all anew."""
        if item is not None:
            self._items[item.serial] = item
        if len(self._items) > _BACKLOG:
            self.dismiss()
        self._changed.set()

    def dismiss(self) -> None:
        """End the watch."""
        self._dismissed = True
        self._changed.set()

    async def get(self) -> list[Message | Uplink] | None:
        """Wait for changes and return the messages and uplinks among them, or None when the watch is over."""
        await self._changed.wait()
        self._changed.clear()
        if self._dismissed:
            return None
        items = list(self._items.values())
        self._items.clear()
        return items


class Broadcaster:
    """Keeps one `Watch` a watcher."""

    def __init__(self) -> None:
        """Begin without watchers."""
        self._watches: set[Watch] = set()

    def hear(self, event: Event) -> None:
        """Hand a change on."""
        if isinstance(event, Changed):
            for watch in self._watches:
                watch.add(event.item)

    @contextmanager
    def listen(self) -> Iterator[Watch]:
        """Watch, until the context ends."""
        watch = Watch()
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    def close(self) -> None:
        """Send everybody away."""
        for watch in self._watches:
            watch.dismiss()
