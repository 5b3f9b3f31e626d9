"""Connects to the gateway, logs in, reconnects after a delay, and terminates the session."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from ..outcomes import Reason
from .client_settings import CMPPSettings, OpenTransport
from .events import CloseCause, SessionClosed, SessionEvent
from .protocol import CMPPProtocol
from .proxy import ProxyError, ProxyProblem
from .session import Session, SessionSettings
from .status import Status
from .timer import Timer
from .wire.auth import SP_ID_LENGTH
from .wire.smpptime import connect_timestamp
from .wirelog import WireLog

_LOGGER: Final = logging.getLogger(__name__)

_STABLE: Final = 60.0
_CLOSING: Final = 2.0  # seconds until the gateway has answered the TERMINATE
# The first and the longest delay.
_NETWORK: Final = (1.0, 60.0)
_SUSPENDED: Final = (60.0, 15 * 60.0)
_WRONG_SETTINGS: Final = (5 * 60.0, 60 * 60.0)


@dataclass(slots=True)
class Backoff:
    """Computes the delay before the next connection: no login storm, and no final failure (docs/cmpp.md, trap 15).

    The delay doubles with each failure: from 1 s to 1 min after a lost connection; from 1 to 15 min after a login
    refused as suspended (or because of too many connections); from 5 min to 1 h after a login refused for wrong
    settings (authentication, address, version). The client does not wait after the first TERMINATE of the gateway. A
    random extra of up to half of the delay, within the maximum, keeps many clients from reconnecting at the same time.
    A connection that lasts for less than a minute counts as failed.

    random: returns 0.0 to 1.0.
    """

    random: Callable[[], float]
    _range: tuple[float, float] = _NETWORK
    _delay: float = 0.0

    def next_delay(self, closed: SessionClosed | None, connected_for: float) -> float:
        """Return the seconds to wait. closed: the end of the session, or None without a connection.

        connected_for: seconds from the login to the end, 0 without a login.
        """
        delays = _range_of(closed, connected_for)
        if delays != self._range or connected_for >= _STABLE:
            self._range, self._delay = delays, 0.0
        first, longest = delays
        if closed is not None and closed.cause is CloseCause.GATEWAY_CLOSED and connected_for and not self._delay:
            self._delay = first / 2
            return 0.0
        self._delay = min(self._delay * 2, longest) if self._delay else first
        return min(self._delay * (1 + 0.5 * self.random()), longest)


class Connection:
    """The single connection of a client. timer: runs its `tick`."""

    def __init__(
        self,
        connect: OpenTransport,
        settings: CMPPSettings,
        session: SessionSettings,
        *,
        timer: Timer,
        on_events: Callable[[CMPPProtocol, list[SessionEvent]], object],
        on_status: Callable[[Status], object],
    ) -> None:
        self._connect = connect
        self._settings = settings
        self._session = session
        self._timer = timer
        self._clock = settings.clock
        self._on_events = on_events
        self._on_status = on_status
        self._backoff = Backoff(settings.random)
        self._hash_switched = False
        self._task: asyncio.Task[None] | None = None
        self._protocol: CMPPProtocol | None = None
        self.status = Status(connected=False)

    def start(self) -> None:
        """Connect in the background and stay connected."""
        self._task = asyncio.create_task(self._stay_connected())

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._task is not None

    async def open(self) -> CMPPProtocol:
        """Connect and log in. Return once the gateway has answered or the session is closed. Raises OSError.

        The timer must run. If the gateway refuses the hash of a short SP_Id, try the other form of the hash
        (docs/cmpp.md, trap 13): at once the first time, with the next login after that.
        """
        protocol = await self._log_in()
        if self._switch_hash(protocol) and not self._hash_switched:
            self._hash_switched = True
            protocol = await self._log_in()
            self._switch_hash(protocol)
        return protocol

    def _switch_hash(self, protocol: CMPPProtocol) -> bool:
        """Use the other form of the hash for the next login. Return False if that cannot help."""
        closed = protocol.closed.result() if protocol.closed.done() else None
        if closed is None or closed.reason is not Reason.AUTHENTICATION or len(self._session.sp_id) >= SP_ID_LENGTH:
            return False
        self._session = replace(self._session, padded=not self._session.padded)
        return True

    async def _log_in(self) -> CMPPProtocol:
        wire_log = WireLog(self._settings.wire_log) if self._settings.wire_log is not None else None
        made: list[CMPPProtocol] = []

        def make() -> CMPPProtocol:
            session = Session(self._session, self._clock())
            made.append(CMPPProtocol(session, self._clock, self._on_events, wire_log))
            return made[-1]

        try:
            async with asyncio.timeout(self._settings.time_to_connect):
                await self._connect(make)
        except ValueError as error:
            if isinstance(error, OSError):
                raise  # an invalid certificate is both
            raise OSError("the host is not a valid name") from error
        self._protocol = protocol = made[-1]
        protocol.session.start(connect_timestamp(self._settings.now()))
        protocol.flush()
        self._timer.rearm()
        waits: set[asyncio.Future[Any]] = {protocol.ready, protocol.closed}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return protocol

    async def close(self) -> None:
        """Terminate the session and stop reconnecting."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        protocol = self._protocol
        if protocol is not None and not protocol.closed.done():
            protocol.emit(protocol.session.close(self._clock()))
            self._timer.rearm()
            await asyncio.wait({protocol.closed}, timeout=_CLOSING)
            if not protocol.closed.done():
                protocol.abort()  # it sends more than can be read in this time
                await asyncio.wait({protocol.closed})
        self.set_status(Status(connected=False))

    # --- called by the timer ---

    @property
    def deadline(self) -> float | None:
        """The time of the session's next `tick`, or None."""
        return None if self._protocol is None else self._protocol.session.deadline

    def tick(self, now: float) -> None:
        """Do what is due in the session."""
        if self._protocol is not None:
            self._protocol.emit(self._protocol.session.tick(now))

    # --- in the background ---

    async def _stay_connected(self) -> None:
        while True:
            closed: SessionClosed | None = None
            detail: str | None = None
            proxy: ProxyProblem | None = None
            fault = False
            connected_for = 0.0
            try:
                protocol = await self.open()
                opened = self._clock()
                closed = await asyncio.shield(protocol.closed)
                detail = closed.detail
                if protocol.ready.done():
                    connected_for = max(self._clock() - opened, 0.001)
            except (OSError, TimeoutError) as error:
                detail = type(error).__name__
                proxy = error.problem if isinstance(error, ProxyError) else None
            except Exception as error:  # noqa: BLE001 - the next attempt can succeed
                detail, fault = type(error).__name__, True
                _LOGGER.error("CMPP: connecting failed with %s", detail)  # noqa: TRY400
            delay = self._backoff.next_delay(closed, connected_for)
            code = closed.status if closed else None
            reason = None if fault else _reason(closed, connected_for)
            self.set_status(
                Status(
                    connected=False,
                    reason=reason,
                    retry_in=delay,
                    code=code,
                    detail=detail,
                    proxy=proxy,
                    was_connected=connected_for > 0,
                )
            )
            await self._settings.sleep(delay)

    def set_status(self, status: Status) -> None:
        """Set the status. Report it if it has changed, and log it if its sentence has."""
        old, self.status = self.status, status
        if status.sentence() != old.sentence():
            level = logging.INFO if status.connected or status.reason is None else logging.WARNING
            _LOGGER.log(level, "CMPP: %s", status.sentence())
        if status != old:
            try:
                self._on_status(status)
            except Exception as error:  # noqa: BLE001 - a callback must not end the connection
                _LOGGER.error("CMPP: on_status failed with %s", type(error).__name__)  # noqa: TRY400


def _reason(closed: SessionClosed | None, connected_for: float) -> Reason | None:
    """Return the reason for a missing connection, or None if the client closed it.

    connected_for: above 0 after a login, which proves that there is a gateway at this address.
    """
    if closed is None or closed.cause in (CloseCause.CONNECTION_LOST, CloseCause.GATEWAY_CLOSED, CloseCause.TIMED_OUT):
        return Reason.NO_CONNECTION
    if closed.cause is CloseCause.PROTOCOL_ERROR:
        return Reason.CORRUPT if connected_for else Reason.WRONG_ADDRESS
    return closed.reason


def _range_of(closed: SessionClosed | None, connected_for: float) -> tuple[float, float]:
    if closed is None or connected_for:
        return _NETWORK
    if closed.reason is Reason.SUSPENDED:
        return _SUSPENDED
    if closed.cause in (CloseCause.LOGIN_REFUSED, CloseCause.PROTOCOL_ERROR):
        return _WRONG_SETTINGS
    return _NETWORK
