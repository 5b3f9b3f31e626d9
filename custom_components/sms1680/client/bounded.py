"""A dictionary and a set with a maximum size."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedDict(OrderedDict[K, V]):
    """A dictionary that holds at most `max_size` items and drops the oldest one to make room.

    Setting a key again makes it the newest; reading it does not.
    """

    def __init__(self, max_size: int) -> None:
        super().__init__()
        self.max_size = max_size

    def __setitem__(self, key: K, value: V) -> None:
        if key in self:
            self.move_to_end(key)
        super().__setitem__(key, value)
        if len(self) > self.max_size:
            self.popitem(last=False)


class RecentSet(Generic[K]):
    """The last `size` items that were added, and at most as many earlier ones."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._new: set[K] = set()
        self._old: set[K] = set()

    def add(self, item: K) -> None:
        """Add an item as the newest one."""
        self._new.add(item)
        if len(self._new) >= self._size:
            self._old, self._new = self._new, set()

    def __contains__(self, item: object) -> bool:
        return item in self._new or item in self._old
