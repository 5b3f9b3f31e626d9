"""The asyncio protocol of one TCP connection: feeds a session with octets, and writes what the session sends."""

import asyncio
from collections.abc import Callable
from typing import cast

from .events import Ready, SessionClosed, SessionEvent
from .session import Session
from .wirelog import WireLog

_UNREAD = 1024 * 1024  # octets that the gateway has not read yet
_LAST_WORDS = 2.0  # seconds to write what is left when the session has ended


class CMPPProtocol(asyncio.Protocol):
    """Connects a session with its transport.

    `ready` is set by the first `Ready`, and `closed` by the `SessionClosed` event.
    """

    def __init__(
        self,
        session: Session,
        clock: Callable[[], float],
        on_events: "Callable[[CMPPProtocol, list[SessionEvent]], object]",
        wire_log: WireLog | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.session = session
        self._state = session.state
        self.ready: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[SessionClosed] = loop.create_future()
        self._clock = clock
        self._on_events = on_events
        self._wire_log = wire_log
        self._transport: asyncio.Transport | None = None
        self._holds: set[str] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast("asyncio.Transport", transport)  # the kind of every stream, also of other event loops
        self._transport.set_write_buffer_limits(high=_UNREAD)

    def data_received(self, data: bytes) -> None:
        """Feed the session."""
        if self._wire_log is not None:
            self._wire_log.log("←", data)
        self.emit(self.session.receive(data, self._clock()))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the cause makes no difference
        """End the session."""
        self._transport = None
        self.emit(self.session.connection_lost())

    def pause_writing(self) -> None:
        """Stop reading from a gateway that sends, but does not read the answers."""
        self.hold("writing")

    def resume_writing(self) -> None:
        """Read again."""
        self.release("writing")

    def hold(self, reason: str) -> None:
        """Stop reading until every reason for that is gone."""
        if not self._holds and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._holds.add(reason)

    def release(self, reason: str) -> None:
        """Read again unless another reason is left."""
        self._holds.discard(reason)
        if not self._holds and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def emit(self, events: list[SessionEvent]) -> None:
        """Report events to the client, then write the session's octets."""
        if self.session.state is not self._state:
            self._state = self.session.state
            for event in events:
                if isinstance(event, Ready) and not self.ready.done():
                    self.ready.set_result(None)
                elif isinstance(event, SessionClosed) and not self.closed.done():
                    self.closed.set_result(event)
        self._on_events(self, events)
        self.flush()
        if self.closed.done() and self._transport is not None:
            self._transport.close()
            if self._transport.get_write_buffer_size():  # of a gateway that may never read it
                asyncio.get_running_loop().call_later(_LAST_WORDS, self._transport.abort)

    def flush(self) -> None:
        """Write the session's octets in one piece."""
        octets = self.session.data_to_send()
        if octets and self._transport is not None and not self._transport.is_closing():
            self._transport.write(octets)
            if self._wire_log is not None:
                self._wire_log.log("→", octets)
