"""Waiting for the delivery reports of what was just sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect

from .client import Outcome
from .const import signal_report
from .delivery import Sent

type Report = dict[str, Any]
type _Key = tuple[str | None, str]


class Reports:
    """Hears the reports of some accounts from before a message is sent: a report may come before the answer to it."""

    def __init__(self, hass: HomeAssistant, entry_ids: Iterable[str]) -> None:
        self._hass = hass
        self._entry_ids = set(entry_ids)
        self._reports: dict[_Key, Report] = {}
        self._came = asyncio.Event()
        self._stop: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        self._stop = [
            async_dispatcher_connect(self._hass, signal_report(entry_id), self._hear) for entry_id in self._entry_ids
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for stop in self._stop:
            stop()

    def of(self, sent: Sent) -> Report | None:
        """Return the last report that came on this message."""
        return self._reports.get(_key(sent)) if sent.receipt.message_id else None

    async def wait(self, sent: Iterable[Sent], seconds: float) -> None:
        """Wait until there is a final report on each message that can have one, or the time is up."""
        expected = [one for one in sent if one.receipt.message_id and one.receipt.outcome is Outcome.ACCEPTED]
        try:
            async with asyncio.timeout(seconds):
                while not all((report := self.of(one)) and report["settled"] for one in expected):
                    self._came.clear()
                    await self._came.wait()
        except TimeoutError:
            return

    @callback
    def _hear(self, report: Report) -> None:
        self._reports[report["message_id"], report["number"]] = report
        self._came.set()


def _key(sent: Sent) -> _Key:
    return sent.receipt.message_id, sent.receipt.number
