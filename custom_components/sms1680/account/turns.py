"""Loops over the numbers of a call, which can be thousands, that let the rest of Home Assistant run in between."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

_TURN: Final = 100  # items; the steps for so many take a few milliseconds


async def in_turns[T](items: Iterable[T]) -> AsyncIterator[T]:
    """Yield all items, and let other tasks run after each hundred.

    A cancellation meanwhile is raised by the next wait for anything else, as if the loop had not paused: a call that
    is cancelled before its first request leaves a record of each number, and none loses what it has done.
    """
    for place, item in enumerate(items, 1):
        yield item
        if not place % _TURN:
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                assert task is not None  # noqa: S101 - only a task is cancelled
                task.uncancel()  # so that it counts once
                task.cancel(*error.args)
