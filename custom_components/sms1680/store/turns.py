"""Loops over the numbers of a call, which can be thousands, and steps of a call that a cancellation must not halve."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

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
                _current_task().uncancel()  # so that it counts once
                _current_task().cancel(*error.args)


async def to_the_end[T](steps: asyncio.Future[T]) -> T:
    """Wait for steps that must not stop halfway, and return their result.

    A cancellation meanwhile is raised by the next wait for anything else, as in `in_turns`.
    """
    cancelled: asyncio.CancelledError | None = None
    while not steps.done():
        try:
            await asyncio.wait([steps])
        except asyncio.CancelledError as error:
            _current_task().uncancel()
            cancelled = error
    if cancelled is not None:
        _current_task().cancel(*cancelled.args)
    return steps.result()


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - only a task is cancelled
    return task
