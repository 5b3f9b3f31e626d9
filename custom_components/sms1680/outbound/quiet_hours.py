"""Quiet hours: when a message that is not critical may go out. They delay, they never drop. No clock of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo


@dataclass(frozen=True, slots=True)
class QuietHours:
    """The hours of each day in which someone is not to be disturbed.

    begin, end: by the clock on the wall of `zone`; where `end` is not behind `begin`, it is that of the next day. Equal
    times are a whole day, which nothing would ever leave: `of` gives none for them.
    """

    begin: time
    end: time
    zone: tzinfo

    @classmethod
    def of(cls, begin: time | None, end: time | None, zone: tzinfo) -> QuietHours | None:
        """Return quiet hours, None where a time is missing or there is nothing between the two."""
        return None if begin is None or end is None or begin == end else cls(begin, end, zone)

    def end_of(self, moment: datetime) -> datetime | None:
        """Return when the quiet hours end that this moment (aware) is in, in UTC; None outside of them."""
        today = moment.astimezone(self.zone).date()
        for day in (today - timedelta(days=1), today):
            begin, end = self._of_day(day)
            if begin <= moment < end:
                return end
        return None

    def _of_day(self, day: date) -> tuple[datetime, datetime]:
        """Return the quiet hours that begin on a day.

        Where a change of the clock skips a time or lets it come twice, there are two readings of it: the earlier one
        begins the quiet hours, the later one ends them, so that nobody is woken.
        """
        last = day if self.end > self.begin else day + timedelta(days=1)
        return min(self._readings(day, self.begin)), max(self._readings(last, self.end))

    def _readings(self, day: date, clock: time) -> list[datetime]:
        moments = (datetime.combine(day, clock.replace(fold=fold), self.zone) for fold in (0, 1))
        return [moment.astimezone(UTC) for moment in moments]
