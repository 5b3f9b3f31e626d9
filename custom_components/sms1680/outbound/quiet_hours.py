"""Quiet hours: they delay messages that are not critical, and never drop one."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo


@dataclass(frozen=True, slots=True)
class QuietHours:
    """The hours of each day without normal messages.

    begin, end: local times in `zone`. If `end` is not after `begin`, it is that of the next day. Equal times would be
    quiet hours without an end: `create` returns None for them.
    """

    begin: time
    end: time
    zone: tzinfo

    @classmethod
    def create(cls, begin: time | None, end: time | None, zone: tzinfo) -> "QuietHours | None":
        """Return quiet hours, None if a time is missing or both are equal."""
        return None if begin is None or end is None or begin == end else cls(begin, end, zone)

    def end_of(self, moment: datetime) -> datetime | None:
        """Return the end (in UTC) of the quiet hours that include this moment (aware); None outside of them."""
        today = moment.astimezone(self.zone).date()
        for day in (today - timedelta(days=1), today):
            begin, end = self._starting_on(day)
            if begin <= moment < end:
                return end
        return None

    def _starting_on(self, day: date) -> tuple[datetime, datetime]:
        """Return the quiet hours that start on a day.

        When the clock changes, a local time can be skipped or repeated. The earlier reading starts the quiet hours, and
        the later one ends them: in doubt, the message waits.
        """
        last = day if self.end > self.begin else day + timedelta(days=1)
        return min(self._readings(day, self.begin)), max(self._readings(last, self.end))

    def _readings(self, day: date, clock: time) -> list[datetime]:
        moments = (datetime.combine(day, clock.replace(fold=fold), self.zone) for fold in (0, 1))
        return [moment.astimezone(UTC) for moment in moments]
