"""Sends the pushes with GET to the registered addresses, a few at a time, without following redirects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
from yarl import URL

from .platform import Platform
from .push_queue import Push, report_url, uplink_url
from .records import Event, ReportReady, UplinkReady

_ANSWER_MAX = 64


class Pusher:
    """Queues and sends the reports and uplinks for the accounts' owners."""

    def __init__(self, platform: Platform, handled: Callable[[Event], bool] = lambda _: False) -> None:
        """Listen to a platform. `handled` returns True for an event that goes over another transport."""
        self.platform = platform
        self._handled = handled
        self._session: aiohttp.ClientSession | None = None
        self._in_progress: set[asyncio.Task[None]] = set()
        platform.listeners.append(self._on_event)

    def _on_event(self, event: Event) -> None:
        if self._handled(event):
            return
        if isinstance(event, ReportReady):
            self._queue_report(event)
        elif isinstance(event, UplinkReady):
            self._queue_uplink(event)

    def _queue_report(self, event: ReportReady) -> None:
        address = self.platform.accounts[event.username].report_address
        if address:
            self.platform.pushes.add("report", report_url(address, event.message_id, event.number, event.status))

    def _queue_uplink(self, event: UplinkReady) -> None:
        uplink = event.uplink
        account = self.platform.accounts[uplink.username]
        if not account.uplink_address:
            return
        extension = account.config.source_number * account.config.uplink_full_number + uplink.extension

        def on_state(state: str) -> None:
            uplink.push = state
            self.platform.changed(uplink)

        url = uplink_url(
            account.uplink_address,
            uplink.number,
            uplink.text,
            extension,
            uplink.message_id if account.config.uplink_id else None,
            semicolon=self.platform.config.pushes.semicolon,
        )
        self.platform.pushes.add("uplink", url, on_state)

    def run_due(self) -> None:
        """Start the pushes that are due, up to the parallel limit."""
        queue = self.platform.pushes
        while len(self._in_progress) < queue.rules.parallel and (push := queue.pop_due()) is not None:
            task = asyncio.create_task(self._try(push))
            self._in_progress.add(task)
            task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._in_progress.discard(task)
        self.platform.changed()

    @property
    def busy(self) -> bool:
        """Whether the parallel limit is reached."""
        return len(self._in_progress) >= self.platform.pushes.rules.parallel

    async def _try(self, push: Push) -> None:
        status, body = None, b""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self.platform.pushes.rules.timeout)
            self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        try:
            async with self._session.get(URL(push.url, encoded=True), allow_redirects=False) as response:
                status, body = response.status, await response.content.read(_ANSWER_MAX)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            status = None
        self.platform.pushes.record_attempt(push, status, body)

    async def close(self) -> None:
        """Cancel the pushes in progress."""
        for task in self._in_progress:
            task.cancel()
        await asyncio.gather(*self._in_progress, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
