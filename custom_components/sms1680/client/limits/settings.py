"""The spending limits of an account, and the amount spent."""

from dataclasses import dataclass

from ..checks import amount

_WARNING_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class SpendingLimits:
    """The spending limits of an account; None disables a limit.

    hour, day: parts within the last 60 minutes and 24 hours. reserve: more parts per day for critical messages only;
    once they are used up, as many parts again are for the first critical message to a number within ten minutes. The
    limits `hour` and `number` do not apply to critical messages. The Apprise plugin also uses up to half of the
    reserve, above `day` and above `hour`, to announce a limit. number: messages to one number within ten minutes.
    automatic: parts per hour for messages that react to our own events (such as an automation that answers a reply).

    By default, at 0.05 yuan per part, the messages of an hour cost at most 30 yuan and those of a day 50 yuan, with
    critical ones and announcements 70 yuan.

    Raises InvalidSettingError unless all are whole numbers from 0.
    """

    hour: int | None = 600
    day: int | None = 1000
    reserve: int = 200
    number: int | None = 120
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
