"""How much is done for a message to get through: what a call of an action, or a recipient, has asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self

from ..client.limits.rate import Priority

type Actions = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Fallback:
    """What comes next, in this order, until something takes the message.

    account: the entry of another account, for the same numbers. entities: notify entities, of recipients or of any
    other integration. actions: a sequence as scripts have it. report_within: seconds; critical messages go on as well
    where the outcome is unknown, delivery failed, or no report came within this time. None: they don't, for that may
    double a message.
    """

    account: str | None = None
    entities: tuple[str, ...] = ()
    actions: tuple[dict[str, Any], ...] = ()
    report_within: float | None = None

    def __bool__(self) -> bool:
        """Tell whether there is anything that could come next."""
        return bool(self.account or self.entities or self.actions)

    def as_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return {
            "account": self.account,
            "entities": list(self.entities),
            "actions": list(self.actions),
            "report_within": self.report_within,
        }

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Self:
        """Return what was kept."""
        return cls(kept["account"], tuple(kept["entities"]), tuple(kept["actions"]), kept["report_within"])


@dataclass(frozen=True, slots=True)
class Insistence:
    """What is done for one message.

    keep_trying: seconds, for as long as it surely was not sent. safe_text: goes out instead of refused words.
    fallback: None for nothing.
    """

    keep_trying: float | None = None
    safe_text: str | None = None
    fallback: Fallback | None = None

    def over(self, other: Insistence) -> Insistence:
        """Return this with what it leaves open filled in by another."""
        fallback = self.fallback
        if not fallback:
            # A time for the report without anything that comes next is meant for what the other has next.
            within = fallback.report_within if fallback is not None else None
            fallback = other.fallback
            if fallback and within is not None:
                fallback = replace(fallback, report_within=within)
        return replace(
            self,
            keep_trying=other.keep_trying if self.keep_trying is None else self.keep_trying,
            safe_text=other.safe_text if self.safe_text is None else self.safe_text,
            fallback=fallback,
        )


@dataclass(frozen=True, slots=True, repr=False)
class Kept:
    """A message to one number that is kept for later.

    recipient: the subentry. at: when the platform is to send it, None for at once. tried: whether what comes next has
    been done. until: until when it is tried, None where that has not begun. user: for whose rights fallback actions
    run. watched: it went out, and what comes next has its turn later. outgoing: its row in the store, where its report
    is waited for. missed: its outcome, where that is why. Times are seconds since 1970.
    """

    number: str
    text: str
    name: str | None = None
    recipient: str | None = None
    extension: str | None = None
    priority: Priority = "normal"
    insistence: Insistence = Insistence()
    automatic: bool = False
    user: str | None = None
    since: float = 0.0
    until: float | None = None
    tried: bool = False
    tries: int = 0
    outgoing: int | None = None
    watched: bool = False
    at: float | None = None
    missed: str | None = None

    def __repr__(self) -> str:
        """Show neither number nor text."""
        return f"Kept(tries={self.tries})"

    def as_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        kept = {name: getattr(self, name) for name in self.__slots__ if name != "insistence"}
        own = self.insistence
        kept["keep_trying"], kept["safe_text"] = own.keep_trying, own.safe_text
        kept["fallback"] = own.fallback.as_json() if own.fallback else None
        return kept

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Self:
        """Return what was kept. Raises KeyError or TypeError for what another version has kept."""
        values = dict(kept)
        fallback = values.pop("fallback")
        insistence = Insistence(
            values.pop("keep_trying"), values.pop("safe_text"), Fallback.of_json(fallback) if fallback else None
        )
        return cls(insistence=insistence, **values)


def seconds(duration: timedelta | Mapping[str, float] | None) -> float | None:
    """Return a duration, as actions or dialogs have it, in seconds; None where there is none."""
    if duration is None:
        return None
    if not isinstance(duration, timedelta):
        duration = timedelta(**duration)
    return duration.total_seconds() or None
