"""Sends the platform's changes to everyone who follows them (the phone pages), without waiting for anyone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from .records import Changed, Event, Message, Uplink

_BACKLOG = 2000


class Subscription:
    """The changes that one subscriber has not read yet. Each message or uplink occurs once."""

    def __init__(self) -> None:
        """Start without changes."""
        self._items: dict[int, Message | Uplink] = {}
        self._changed = asyncio.Event()
        self._closed = False

    def add(self, item: Message | Uplink | None) -> None:
        """Add a change. A subscriber that falls too far behind is disconnected, and must read everything again."""
        if item is not None:
            self._items[item.serial] = item
        if len(self._items) > _BACKLOG:
            self.close()
        self._changed.set()

    def close(self) -> None:
        """End the subscription."""
        self._closed = True
        self._changed.set()

    async def get(self) -> list[Message | Uplink] | None:
        """Wait for changes. Return the changed messages and uplinks, or None if the subscription has ended."""
        await self._changed.wait()
        self._changed.clear()
        if self._closed:
            return None
        items = list(self._items.values())
        self._items.clear()
        return items


class Broadcaster:
    """Manages the subscriptions."""

    def __init__(self) -> None:
        """Start without subscribers."""
        self._subscriptions: set[Subscription] = set()

    def on_event(self, event: Event) -> None:
        """Pass a change to every subscriber."""
        if isinstance(event, Changed):
            for subscription in self._subscriptions:
                subscription.add(event.item)

    @contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Subscribe until the context ends."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End all subscriptions."""
        for subscription in self._subscriptions:
            subscription.close()
