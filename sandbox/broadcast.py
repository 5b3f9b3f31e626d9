"""Hands the platform's changes to those who watch (the phone pages), without ever waiting for one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from .records import Changed, Event

_BACKLOG = 1000
Watch = asyncio.Queue[Changed | None]


class Broadcaster:
    """Keeps one bounded queue a watcher; who falls behind is sent away (None) and comes back to read all anew."""

    def __init__(self) -> None:
        """Begin without watchers."""
        self._watches: set[Watch] = set()

    def hear(self, event: Event) -> None:
        """Hand a change on."""
        if not isinstance(event, Changed):
            return
        for watch in list(self._watches):
            if watch.qsize() >= _BACKLOG:
                self._dismiss(watch)
            else:
                watch.put_nowait(event)

    @contextmanager
    def listen(self) -> Iterator[Watch]:
        """Watch, until the context ends."""
        watch: Watch = asyncio.Queue()
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    def close(self) -> None:
        """Send everybody away."""
        for watch in list(self._watches):
            self._dismiss(watch)

    def _dismiss(self, watch: Watch) -> None:
        self._watches.discard(watch)
        watch.put_nowait(None)
