"""Calls the request hooks of messages before their first segment is submitted."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from ..outcomes import Outcome, Reason
from ..verdict import Verdict
from .outgoing import PendingMessage, Segment

_LOGGER: Final = logging.getLogger(__name__)
_CANCELLED: Final = Verdict(Outcome.NOT_SENT, Reason.CANCELLED, goes_on=False)

OnAnnounced = Callable[[list[Segment], Verdict | None], object]
"""Called with segments that may be submitted now, or with the verdict on them."""


class Announcer:
    """Announces messages in the background.

    reserved: the number of segments that wait for a hook. Each of them has a place in the window.
    """

    def __init__(self, on_announced: OnAnnounced) -> None:
        self._on_announced = on_announced
        self._waiting: dict[PendingMessage, list[Segment]] = {}
        self._asked: dict[PendingMessage, asyncio.Future[Verdict | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.reserved = 0

    def add(self, segment: Segment) -> None:
        """Call the hook of a segment's message, once for all of its segments."""
        self.reserved += 1
        waiting = self._waiting.setdefault(segment.message, [])
        waiting.append(segment)
        if len(waiting) == 1:
            # Not `create_task`: with an eager task factory, the hook could end before the other segments are here.
            task = asyncio.Task(self._run(segment.message), loop=asyncio.get_running_loop())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Submit nothing more: the waiting segments are not sent."""
        for task in self._tasks:
            task.cancel()
        for message in list(self._waiting):
            self._finish(message, _CANCELLED)

    async def announce(self, message: PendingMessage) -> Verdict | None:
        """Call the request hook of a message. Later callers wait for the same result.

        Return the verdict if the message must not be submitted.
        """
        hook = message.call.options.request_hook
        if hook is None or message.announced:
            return None
        asked = self._asked.get(message)
        if asked is not None:  # its segments left the queue on both sides of a change of the pace
            return await asked
        asked = self._asked[message] = asyncio.get_running_loop().create_future()
        verdict: Verdict | None = _CANCELLED
        try:
            result = hook.before(message.indexes)
            if result is not None:
                await result
            message.announced, verdict = True, None
        except Exception as error:  # noqa: BLE001 - nothing leaves, whatever the error is
            kind = type(error).__name__  # the type only: its text could quote the message
            _LOGGER.warning("CMPP: the request hook failed with %s; the message is not sent", kind)
            verdict = Verdict(Outcome.NOT_SENT, Reason.CANCELLED, detail=kind, goes_on=False)
        finally:
            del self._asked[message]
            if not asked.done():
                asked.set_result(verdict)
        return verdict

    async def _run(self, message: PendingMessage) -> None:
        verdict = await self.announce(message)
        self._finish(message, verdict)

    def _finish(self, message: PendingMessage, verdict: Verdict | None) -> None:
        segments = self._waiting.pop(message)
        self.reserved -= len(segments)
        self._on_announced(segments, verdict)
