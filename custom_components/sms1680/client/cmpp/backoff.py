"""When to connect again: never a login storm, never for good (protocol.md, section 6; cmpp2.md, trap 15).

No clock, no sleep, no chance of its own: all three are handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from ..outcomes import Reason
from .events import CloseCause, SessionClosed

__all__ = ["Backoff"]

_STABLE: Final = 60.0


class _Steps(NamedTuple):
    first: float
    longest: float


_NETWORK: Final = _Steps(1.0, 60.0)
_SUSPENDED: Final = _Steps(60.0, 15 * 60.0)
_WRONG_SETTINGS: Final = _Steps(5 * 60.0, 60 * 60.0)


@dataclass(slots=True)
class Backoff:
    """How long to wait after each connection that failed or ended.

    A lost one comes back after a second, then each time after twice as long, up to a minute. A login refused for the
    account's settings (authentication, address, version) waits 5 minutes to an hour; "suspended", which may mean too
    many connections as well, 1 to 15 minutes. Each wait is lengthened by chance, by a half at most and up to the
    longest, so that many clients don't come back at once. What connected_for for less than a minute counts as failed.

    random: gives 0.0 to 1.0.
    """

    random: Callable[[], float]
    _steps: _Steps = _NETWORK
    _wait: float = 0.0

    def next_delay(self, closed: SessionClosed | None, connected_for: float) -> float:
        """Return the seconds to wait. closed: how the session ended, None where there was no connection.

        connected_for: seconds from the login to the end, 0 where there was no login.
        """
        steps = _steps_of(closed, connected_for)
        if steps is not self._steps or connected_for >= _STABLE:
            self._steps, self._wait = steps, 0.0
        self._wait = min(self._wait * 2, steps.longest) if self._wait else steps.first
        return min(self._wait * (1 + 0.5 * self.random()), steps.longest)


def _steps_of(closed: SessionClosed | None, connected_for: float) -> _Steps:
    if closed is None or connected_for:
        return _NETWORK
    if closed.reason is Reason.SUSPENDED:
        return _SUSPENDED
    if closed.cause in (CloseCause.LOGIN_REFUSED, CloseCause.PROTOCOL_ERROR):
        return _WRONG_SETTINGS
    return _NETWORK
