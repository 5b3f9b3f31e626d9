"""Runs the `tick` methods of a client at their deadlines, with one timer for all of them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from ..limits.rate import Clock

Sleep = Callable[[float], Awaitable[object]]

_LOGGER: Final = logging.getLogger(__name__)
_AFTER_ERROR: Final = 1.0


class Scheduled(Protocol):
    """An object with a deadline that can move."""

    @property
    def deadline(self) -> float | None:
        """The time of the next `tick`, or None."""

    def tick(self, now: float) -> object:
        """Do what is due."""


class Timer:
    """Waits for the earliest deadline. Call `rearm` after a deadline has moved."""

    def __init__(self, clock: Clock, sleep: Sleep) -> None:
        self._clock = clock
        self._sleep = sleep
        self._scheduled: Sequence[Scheduled] = ()
        self._task: asyncio.Task[None] | None = None
        self._wait: asyncio.Future[object] | None = None
        self._armed: float | None = None

    def start(self, scheduled: Sequence[Scheduled]) -> None:
        """Start to run these objects."""
        self._scheduled = scheduled
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop the timer."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def rearm(self) -> None:
        """Wake up earlier if a deadline is now earlier than the one waited for."""
        deadline = self._deadline()
        if deadline is not None and (self._armed is None or deadline < self._armed) and self._wait is not None:
            self._wait.cancel()

    def _deadline(self) -> float | None:
        earliest: float | None = None
        for one in self._scheduled:
            deadline = one.deadline
            if deadline is not None and (earliest is None or deadline < earliest):
                earliest = deadline
        return earliest

    async def _run(self) -> None:
        while True:
            self._armed = self._deadline()
            if self._armed is None:
                self._wait = asyncio.get_running_loop().create_future()
            else:
                self._wait = asyncio.ensure_future(self._sleep(max(0.0, self._armed - self._clock())))
            try:
                await asyncio.wait({self._wait})
            finally:
                self._wait.cancel()
            try:
                now = self._clock()
                for one in self._scheduled:
                    one.tick(now)
            except Exception as error:  # noqa: BLE001 - without the timer no timeout would ever expire
                _LOGGER.error("CMPP: the timer failed with %s", type(error).__name__)  # noqa: TRY400
                await self._sleep(_AFTER_ERROR)
