"""How much may be spent, and what was: the settings and the word of the guard on spending (`guard.py`)."""

from __future__ import annotations

from dataclasses import dataclass

from ..checks import amount

_WARNING_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class SpendingLimits:
    """How much may be spent; None switches a limit off.

    hour, day: parts within the last 60 minutes and 24 hours. reserve: parts a day besides, for what is critical, which
    the hour does not bind either. number: messages to one number within ten minutes. automatic: parts an hour of what
    stems from our own events (an automation that answers a reply).

    Raises InvalidSettingError for anything but whole numbers from 0.
    """

    hour: int | None = 60
    day: int | None = 200
    reserve: int = 10
    number: int | None = 10
    automatic: int | None = 20

    def __post_init__(self) -> None:
        for name in ("hour", "day", "number", "automatic"):
            if getattr(self, name) is not None:
                amount(name, getattr(self, name))
        amount("reserve", self.reserve)


UNLIMITED = SpendingLimits(hour=None, day=None, number=None, automatic=None)


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent, in parts, within the last hour and the last day."""

    hour: int
    day: int

    def is_close(self, limits: SpendingLimits) -> bool:
        """Tell whether four fifths of a limit are used up."""
        pairs = ((self.hour, limits.hour), (self.day, limits.day))
        return any(limit is not None and used >= limit * _WARNING_SHARE for used, limit in pairs)
