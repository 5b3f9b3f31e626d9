"""One TCP connection and its session: octets in, events out, and all that is to be said written at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .events import Ready, SessionClosed, SessionEvent
from .session import Session
from .wirelog import WireLog

__all__ = ["CMPPProtocol"]


class CMPPProtocol(asyncio.Protocol):
    """Carries a session. `ready` is done with the first `Ready`, `closed` with how the session ended."""

    def __init__(
        self,
        session: Session,
        clock: Callable[[], float],
        on_events: Callable[[CMPPProtocol, list[SessionEvent]], object],
        wire_log: WireLog | None,
    ) -> None:
        """Take whom to hand the session's events to."""
        loop = asyncio.get_running_loop()
        self.session = session
        self.ready: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[SessionClosed] = loop.create_future()
        self._clock = clock
        self._on_events = on_events
        self._wire_log = wire_log
        self._transport: asyncio.Transport | None = None

    async def wait_for_login(self) -> None:
        """Return when the gateway has answered the login, or the link is closed."""
        waits: set[asyncio.Future[Any]] = {self.ready, self.closed}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio hands a Protocol nothing else
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read all that came at once."""
        if self._wire_log is not None:
            self._wire_log.log_received(data)
        self.emit(self.session.receive(data, self._clock()))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it ended makes no difference
        """Tell the session that there is no way out any more."""
        self._transport = None
        self.emit(self.session.connection_lost())

    def emit(self, events: list[SessionEvent]) -> None:
        """Hand events on, then write what the session has to say."""
        for event in events:
            if isinstance(event, Ready) and not self.ready.done():
                self.ready.set_result(None)
            elif isinstance(event, SessionClosed) and not self.closed.done():
                self.closed.set_result(event)
        self._on_events(self, events)
        self.flush()
        if self.closed.done() and self._transport is not None:
            self._transport.close()

    def flush(self) -> None:
        """Write what waits, in one piece."""
        octets = self.session.data_to_send()
        if octets and self._transport is not None and not self._transport.is_closing():
            self._transport.write(octets)
            if self._wire_log is not None:
                self._wire_log.log_sent(octets)

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()
