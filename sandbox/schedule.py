"""Actions that happen at a given time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count


class Schedule:
    """A queue of actions in the order of their times; actions with the same time run in the order of `add`."""

    def __init__(self) -> None:
        """Start empty."""
        self._actions: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    @property
    def next_due(self) -> float | None:
        """The time of the next action, or None."""
        return self._actions[0][0] if self._actions else None

    def add(self, at: float, action: Callable[[], None]) -> None:
        """Run an action at a time."""
        heapq.heappush(self._actions, (at, next(self._order), action))

    def run_due(self, now: float) -> None:
        """Run every action that is due, including those that the actions themselves add."""
        while self._actions and self._actions[0][0] <= now:
            _, _, action = heapq.heappop(self._actions)
            action()

    def clear(self) -> None:
        """Remove all actions."""
        self._actions.clear()
