"""Loops over the addressees of a call, which can be thousands, that let the rest of Home Assistant run in between."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final

_TURN: Final = 100  # items; the steps for so many take a few milliseconds


async def in_turns[T](items: Iterable[T], *, to_the_end: bool = False) -> AsyncIterator[T]:
    """Yield items, and let other tasks run after each hundred.

    to_the_end: after a cancellation meanwhile, yield the rest without a pause, and raise the cancellation at the end.
    """
    cancelled: asyncio.CancelledError | None = None
    for place, item in enumerate(items, 1):
        yield item
        if not place % _TURN and cancelled is None:
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError as error:
                if not to_the_end:
                    raise
                cancelled = error
    if cancelled is not None:
        raise cancelled
