"""What an account sent, and what became of it, since local midnight."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from homeassistant.util import dt as dt_util


@dataclass(slots=True)
class DayCounts:
    """Counters of one day. start: its midnight in Home Assistant's time zone.

    sent, parts: accepted or held by the platform. delivered: reported as delivered. failed: reported as not delivered,
    or as possibly lost, by `sms1680_message_failed`. Each counts on the day when it happened.
    """

    start: datetime
    sent: int = 0
    parts: int = 0
    delivered: int = 0
    failed: int = 0

    @classmethod
    def of_today(cls) -> Self:
        """Return empty counters of this day."""
        return cls(dt_util.start_of_local_day())

    @property
    def is_over(self) -> bool:
        """Whether another day has begun."""
        return self.start != dt_util.start_of_local_day()

    def as_stored(self) -> dict[str, Any]:
        """Return the stored form."""
        return {**asdict(self), "start": self.start.isoformat()}

    @classmethod
    def from_stored(cls, stored: dict[str, Any]) -> Self:
        """Read the stored form; return empty counters if they are of another day."""
        counts = cls(**{**stored, "start": datetime.fromisoformat(stored["start"])})
        return cls.of_today() if counts.is_over else counts
