"""A sequence whose items are made when they are read."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, override


class Lazy[T](Sequence[T]):
    """So many items, each made by its place whenever it is read.

    For the thousands of numbers of one call: the objects that exist at the same time are what Python's garbage
    collector goes through, and so many new ones let it go through everything in the process.
    """

    def __init__(self, length: int, make: Callable[[int], T]) -> None:
        self._places = range(length)
        self._make = make

    @override
    def __len__(self) -> int:
        return len(self._places)

    @override
    def __getitem__(self, place: Any) -> Any:
        found = self._places[place]
        return [self._make(one) for one in found] if isinstance(found, range) else self._make(found)

    @override
    def __iter__(self) -> Iterator[T]:
        return map(self._make, self._places)
