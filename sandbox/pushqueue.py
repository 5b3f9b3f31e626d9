"""Pushes that wait to be handed to an account's owner (2.5, 2.6, 4.5), and when each is tried. Opens no socket."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import quote_plus

from .config import PushRules

ANSWER = b"0"


@dataclass(slots=True)
class Push:
    """One push to one address; `url` holds numbers and texts and is never logged."""

    serial: int
    kind: str
    url: str = field(repr=False)
    settled: Callable[[str], None] = field(repr=False)
    attempts: int = 0


def encode(value: str) -> str:
    """Encode a value as Java's `URLEncoder.encode(value, "UTF-8")` does: a blank is `+`, and `*` stays."""
    return quote_plus(value, safe="*").replace("~", "%7E")


def report_url(address: str, message_id: str, number: str, status: str) -> str:
    """Return the address that hands over a delivery report."""
    return _joined(address, f"msgid={encode(message_id)}&mobile={encode(number)}&status={encode(status)}")


def uplink_url(address: str, number: str, text: str, extension: str, message_id: str | None, *, semicolon: bool) -> str:
    """Return the address that hands over an uplink, with the `;` at its end that the document's pattern has."""
    identity = f"&msgid={encode(message_id)}" if message_id else ""
    query = f"mobile={encode(number)}&content={encode(text)}{identity}&xh={encode(extension)}"
    return _joined(address, query + (";" if semicolon else ""))


def _joined(address: str, query: str) -> str:
    return address + ("&" if "?" in address else "?") + query


class PushQueue:
    """Holds the pushes that are not settled and counts those that are."""

    def __init__(self, rules: PushRules, clock: Callable[[], float]) -> None:
        """Begin empty; `clock` gives seconds."""
        self.rules = rules
        self.repeat = rules.repeat
        self.clock = clock
        self.delivered = 0
        self.given_up = 0
        self.attempts = 0
        self._serials = count(1)
        self._waiting: dict[int, Push] = {}
        self._due: list[tuple[float, int]] = []

    @property
    def waiting(self) -> int:
        """How many pushes are neither delivered nor given up."""
        return len(self._waiting)

    @property
    def next_due(self) -> float | None:
        """When a push is to be tried next, or None."""
        return self._due[0][0] if self._due else None

    def add(self, kind: str, url: str, settled: Callable[[str], None] = lambda _: None) -> Push:
        """Queue a push ("report" or "uplink"); `settled` hears "waiting", then "delivered" or "given_up"."""
        push = Push(next(self._serials), kind, url, settled)
        self._waiting[push.serial] = push
        heapq.heappush(self._due, (self.clock(), push.serial))
        settled("waiting")
        return push

    def take_due(self) -> Push | None:
        """Return a push that is due now, to be tried once and then told by `tried`, or None."""
        while self._due and self._due[0][0] <= self.clock():
            push = self._waiting.get(heapq.heappop(self._due)[1])
            if push is not None:
                return push
        return None

    def tried(self, push: Push, status: int | None, body: bytes) -> None:
        """Note how an attempt ended: HTTP status and body, or a status of None when there was no answer."""
        if self._waiting.get(push.serial) is not push:
            return
        push.attempts += 1
        self.attempts += 1
        if status == 200 and body.strip() == ANSWER:
            del self._waiting[push.serial]
            self.delivered += 1
            push.settled("delivered")
        elif self.repeat and push.attempts < self.rules.attempts:
            heapq.heappush(self._due, (self.clock() + self.rules.pause(push.attempts), push.serial))
        else:
            del self._waiting[push.serial]
            self.given_up += 1
            push.settled("given_up")

    def clear(self) -> None:
        """Forget all pushes and counts."""
        self._waiting.clear()
        self._due.clear()
        self.delivered = self.given_up = self.attempts = 0

    def as_json(self) -> dict[str, object]:
        """Return the counts for the control API."""
        return {
            "waiting": self.waiting,
            "delivered": self.delivered,
            "given_up": self.given_up,
            "attempts": self.attempts,
            "repeat": self.repeat,
        }
