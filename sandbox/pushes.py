"""Carries the pushes out: GET to the registered addresses, redirects not followed, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
from yarl import URL

from .platform import Platform
from .pushqueue import Push, report_url, uplink_url
from .records import Event, ReportReady, UplinkReady

_ANSWER_MAX = 64


class Pusher:
    """Queues what the platform has for an account's owner, and hands it over."""

    def __init__(self, platform: Platform, taken: Callable[[Event], bool] = lambda _: False) -> None:
        """Listen to a platform; `taken` tells what goes to its owner another way."""
        self.platform = platform
        self._taken = taken
        self._session: aiohttp.ClientSession | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        platform.listeners.append(self._hear)

    def _hear(self, event: Event) -> None:
        if self._taken(event):
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

        def settled(state: str) -> None:
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
        self.platform.pushes.add("uplink", url, settled)

    def run_due(self) -> None:
        """Begin the pushes that are due now, as many as may be under way at once."""
        queue = self.platform.pushes
        while len(self._under_way) < queue.rules.parallel and (push := queue.take_due()) is not None:
            task = asyncio.create_task(self._try(push))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self.platform.changed()

    @property
    def busy(self) -> bool:
        """Whether no further push may begin now."""
        return len(self._under_way) >= self.platform.pushes.rules.parallel

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
        self.platform.pushes.tried(push, status, body)

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
