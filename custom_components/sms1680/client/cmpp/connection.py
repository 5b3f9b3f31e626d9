"""Keeps one connection to the gateway: connects, logs in, connects again after a while, and ends it properly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Final, Protocol

from ..limits.rate import Clock
from ..outcomes import Reason
from .backoff import Backoff
from .events import CloseCause, SessionClosed, SessionEvent
from .protocol import CMPPProtocol
from .session import Session, SessionSettings
from .status import Status
from .wire.auth import SP_ID_LENGTH
from .wire.smpptime import connect_timestamp
from .wirelog import WireLog

__all__ = ["Connection", "OpenTransport", "Scheduled"]

OpenTransport = Callable[[Callable[[], asyncio.Protocol]], Awaitable[object]]
"""Makes a transport for the protocol that it is handed. Raises OSError where there is none."""
Sleep = Callable[[float], Awaitable[object]]

_LOGGER: Final = logging.getLogger(__name__)


class Scheduled(Protocol):
    """Something that wants to hear of the time."""

    @property
    def deadline(self) -> float | None:
        """When `tick` is due, None where nothing waits."""

    def tick(self, now: float) -> object:
        """Do what is due."""


class Connection:
    """The one link of a client, and the one alarm clock of all that waits for the time."""

    def __init__(
        self,
        connect: OpenTransport,
        settings: SessionSettings,
        *,
        connect_timeout: float,
        clock: Clock,
        sleep: Sleep,
        random: Callable[[], float],
        now: Callable[[], datetime],
        on_events: Callable[[CMPPProtocol, list[SessionEvent]], object],
        on_status: Callable[[Status], object],
        wire_log: Callable[[str], object] | None,
    ) -> None:
        self._connect = connect
        self._settings = settings
        self._connect_timeout = connect_timeout
        self._clock = clock
        self._sleep = sleep
        self._now = now
        self._on_events = on_events
        self._on_status = on_status
        self._wire_log = wire_log
        self._backoff = Backoff(random)
        self._hash_switched = False
        self._timed: list[Scheduled] = []
        self._connect_task: asyncio.Task[None] | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._alarm: asyncio.Future[object] | None = None
        self._armed: float | None = None
        self.link: CMPPProtocol | None = None
        self.status = Status(connected=False)

    def start(self, timed: list[Scheduled]) -> None:
        """Begin to connect, and to tell the time to those who want to hear it."""
        if self._connect_task is None:
            self._connect_task = asyncio.create_task(self._run())
            self.start_timer(timed)

    def start_timer(self, timed: list[Scheduled]) -> None:
        """Begin to tell the time, to the link as well."""
        self._timed = timed
        self._ticker = asyncio.create_task(self._tick())

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._connect_task is not None

    async def open(self) -> CMPPProtocol:
        """Connect and log in; returns once the gateway has answered, or the link is closed again. Raises OSError.

        The clock must have been started. Where the gateway refuses the hash of a short SP_Id, the other form of it is
        tried (trap 13): once at once, after that each time anew.
        """
        link = await self._log_in()
        if self._switch_hash(link) and not self._hash_switched:
            self._hash_switched = True
            link = await self._log_in()
            self._switch_hash(link)
        return link

    def _switch_hash(self, link: CMPPProtocol) -> bool:
        """Take the other form of the hash for the next login, if it was refused and there is another."""
        closed = link.closed.result() if link.closed.done() else None
        if closed is None or closed.reason is not Reason.AUTHENTICATION or len(self._settings.sp_id) >= SP_ID_LENGTH:
            return False
        self._settings = replace(self._settings, padded=not self._settings.padded)
        return True

    async def _log_in(self) -> CMPPProtocol:
        link: CMPPProtocol | None = None

        def make() -> CMPPProtocol:
            nonlocal link
            log = WireLog(self._wire_log) if self._wire_log is not None else None
            link = CMPPProtocol(Session(self._settings, self._clock()), self._clock, self._on_events, log)
            return link

        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._connect(make)
        except ValueError as error:
            if isinstance(error, OSError):
                raise  # a certificate that is not valid is both
            raise OSError("the host is no name that can be looked up") from error
        assert link is not None  # noqa: S101 - the transport was made for it
        self.link = link
        link.session.start(connect_timestamp(self._now()))
        link.flush()
        self.rearm()
        await link.wait_for_login()
        return link

    async def close(self) -> None:
        """End the connection with a TERMINATE, as far as there is one."""
        if self._connect_task is not None:
            self._connect_task.cancel()
            await asyncio.wait({self._connect_task})
        link = self.link
        if link is not None and not link.closed.done():
            link.emit(link.session.close(self._clock()))
            self.rearm()
            await asyncio.wait({link.closed})
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.wait({self._ticker})
        self._set_status(Status(connected=False))

    def on_ready(self) -> None:
        """Tell that messages can go."""
        self._set_status(Status(connected=True))

    async def _run(self) -> None:
        while True:
            closed: SessionClosed | None = None
            detail: str | None = None
            opened = self._clock()
            logged_in = False
            try:
                link = await self.open()
                opened = self._clock()
                closed = await asyncio.shield(link.closed)
                logged_in, detail = link.ready.done(), closed.detail
            except (OSError, TimeoutError) as error:
                detail = type(error).__name__
            except Exception as error:  # noqa: BLE001 - whatever it is, the next try may go well
                detail = type(error).__name__
                _LOGGER.error("CMPP: connecting failed with %s", detail)  # noqa: TRY400
            connected_for = max(self._clock() - opened, 0.001) if logged_in else 0.0
            wait = self._backoff.next_delay(closed, connected_for)
            self._set_status(
                Status(
                    connected=False,
                    reason=_reason(closed),
                    retry_in=wait,
                    code=closed.status if closed else None,
                    detail=detail,
                )
            )
            await self._sleep(wait)

    def _set_status(self, status: Status) -> None:
        old, self.status = self.status, status
        if (status.connected, status.reason) != (old.connected, old.reason):
            level = logging.INFO if status.connected or status.reason is None else logging.WARNING
            _LOGGER.log(level, "CMPP: %s", status.sentence())
        if status != old:
            try:
                self._on_status(status)
            except Exception as error:  # noqa: BLE001 - whoever shows the status must not end the connection
                _LOGGER.error("CMPP: on_status failed with %s", type(error).__name__)  # noqa: TRY400

    # --- the alarm clock ---

    def rearm(self) -> None:
        """Set the alarm to an earlier time, if something is due before it rings."""
        due = self._due()
        if due is not None and (self._armed is None or due < self._armed) and self._alarm is not None:
            self._alarm.cancel()

    def _due(self) -> float | None:
        dues = [timed.deadline for timed in self._timed]
        if self.link is not None:
            dues.append(self.link.session.deadline)
        return min((due for due in dues if due is not None), default=None)

    async def _tick(self) -> None:
        while True:
            self._armed = self._due()
            if self._armed is None:
                self._alarm = asyncio.get_running_loop().create_future()
            else:
                self._alarm = asyncio.ensure_future(self._sleep(max(0.0, self._armed - self._clock())))
            try:
                await asyncio.wait({self._alarm})
            finally:
                self._alarm.cancel()
            try:
                self._run_due(self._clock())
            except Exception as error:  # noqa: BLE001 - without the alarm clock nothing would ever end
                _LOGGER.error("CMPP: what was due failed with %s", type(error).__name__)  # noqa: TRY400
                await self._sleep(1.0)

    def _run_due(self, now: float) -> None:
        if self.link is not None:
            self.link.emit(self.link.session.tick(now))
        for timed in self._timed:
            timed.tick(now)


def _reason(closed: SessionClosed | None) -> Reason | None:
    """Return why there is no connection, as far as a person can do something about it."""
    if closed is None or closed.cause in (CloseCause.CONNECTION_LOST, CloseCause.GATEWAY_CLOSED, CloseCause.TIMED_OUT):
        return Reason.NO_CONNECTION
    if closed.cause is CloseCause.PROTOCOL_ERROR:
        return Reason.WRONG_ADDRESS
    return closed.reason
