"""The delay before the next connection: no login storm, and no final failure (docs/cmpp.md, trap 15).

Without a clock, a sleep or a random source of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..outcomes import Reason
from .events import CloseCause, SessionClosed

_STABLE: Final = 60.0


# The first and the longest delay.
_NETWORK: Final = (1.0, 60.0)
_SUSPENDED: Final = (60.0, 15 * 60.0)
_WRONG_SETTINGS: Final = (5 * 60.0, 60 * 60.0)


@dataclass(slots=True)
class Backoff:
    """Computes the delay after each failed or ended connection.

    The delay doubles with each failure: from 1 s to 1 min after a lost connection; from 1 to 15 min after a login
    refused as suspended (or because of too many connections); from 5 min to 1 h after a login refused for wrong
    settings (authentication, address, version). A random extra of up to half of the delay, within the maximum, keeps
    many clients from reconnecting at the same time. A connection that lasts for less than a minute counts as failed.

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
        self._delay = min(self._delay * 2, longest) if self._delay else first
        return min(self._delay * (1 + 0.5 * self.random()), longest)


def _range_of(closed: SessionClosed | None, connected_for: float) -> tuple[float, float]:
    if closed is None or connected_for:
        return _NETWORK
    if closed.reason is Reason.SUSPENDED:
        return _SUSPENDED
    if closed.cause in (CloseCause.LOGIN_REFUSED, CloseCause.PROTOCOL_ERROR):
        return _WRONG_SETTINGS
    return _NETWORK
