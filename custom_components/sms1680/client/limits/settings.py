"""The spending limits of an account, and the amount spent."""

from dataclasses import dataclass

from ..checks import amount

_WARNING_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class SpendingLimits:
    """The spending limits of an account; None disables a limit.

    hour, day: parts within the last 60 minutes and 24 hours. reserve: more parts per day for critical messages only;
    the hourly limit does not apply to these. number: messages to one number within ten minutes. automatic: parts per
    hour for messages that react to our own events (such as an automation that answers a reply).

    Raises InvalidSettingError unless all are whole numbers from 0.
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


@dataclass(frozen=True, slots=True)
class Spending:
    """The parts spent within the last hour and the last day."""

    hour: int
    day: int

    def is_close(self, limits: SpendingLimits) -> bool:
        """Return whether 80 % of a limit are used up."""
        pairs = ((self.hour, limits.hour), (self.day, limits.day))
        return any(limit is not None and used >= limit * _WARNING_SHARE for used, limit in pairs)
