"""Who is on duty: the members that the title of a calendar's event or the data of a schedule names."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DutyPeriod:
    """An event of a calendar, from `start` to `end` in seconds since 1970."""

    start: float
    end: float
    title: str

    def contains(self, now: float) -> bool:
        """Return whether the event is going on."""
        return self.start <= now < self.end


def named_members(names: Mapping[str, str], texts: Iterable[str]) -> list[str]:
    """Return the members that are named in the texts, in the order of the group.

    names: by member. A name inside a longer name of another member does not count: "Ann" is not on duty with "Anna".
    """
    folded = {member: _fold(name) for member, name in names.items()}
    found: set[str] = set()
    for text in map(_fold, texts):
        left = text
        for member, name in sorted(folded.items(), key=lambda one: -len(one[1])):
            if name and name in left:
                found.add(member)
                left = left.replace(name, "\n")
    return [member for member in names if member in found]


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
