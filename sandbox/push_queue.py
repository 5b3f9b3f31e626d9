"""The queue of pushes to the accounts' owners (docs/protocol.md, section 2). Opens no socket."""

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
    """One push to one address. `url` contains numbers and texts and is never logged."""

    serial: int
    kind: str
    url: str = field(repr=False)
    on_state: Callable[[str], None] = field(repr=False)
    attempts: int = 0


def encode(value: str) -> str:
    """Encode a value like Java's `URLEncoder.encode(value, "UTF-8")`: a blank becomes `+`, and `*` is unchanged."""
    return quote_plus(value, safe="*").replace("~", "%7E")


def report_url(address: str, message_id: str, number: str, status: str) -> str:
    """Return the URL that delivers a delivery report."""
    return _joined(address, f"msgid={encode(message_id)}&mobile={encode(number)}&status={encode(status)}")


def uplink_url(address: str, number: str, text: str, extension: str, message_id: str | None, *, semicolon: bool) -> str:
    """Return the URL that delivers an uplink. `semicolon` appends `;`, as in the platform document, chapter 2.6."""
    identity = f"&msgid={encode(message_id)}" if message_id else ""
    query = f"mobile={encode(number)}&content={encode(text)}{identity}&xh={encode(extension)}"
    return _joined(address, query + (";" if semicolon else ""))


def _joined(address: str, query: str) -> str:
    return address + ("&" if "?" in address else "?") + query


class PushQueue:
    """The pushes that are not finished, and counts of those that are."""

    def __init__(self, rules: PushRules, clock: Callable[[], float]) -> None:
        """Start empty. `clock` returns seconds."""
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
        """The number of unfinished pushes."""
        return len(self._waiting)

    @property
    def next_due(self) -> float | None:
        """The time of the next attempt, or None."""
        return self._due[0][0] if self._due else None

    def add(self, kind: str, url: str, on_state: Callable[[str], None] = lambda _: None) -> Push:
        """Queue a push ("report" or "uplink"). `on_state` receives "waiting", then "delivered" or "given_up"."""
        push = Push(next(self._serials), kind, url, on_state)
        self._waiting[push.serial] = push
        heapq.heappush(self._due, (self.clock(), push.serial))
        on_state("waiting")
        return push

    def pop_due(self) -> Push | None:
        """Return a push that is due for one attempt, or None. The caller must call `record_attempt` afterwards."""
        while self._due and self._due[0][0] <= self.clock():
            push = self._waiting.get(heapq.heappop(self._due)[1])
            if push is not None:
                return push
        return None

    def record_attempt(self, push: Push, status: int | None, body: bytes) -> None:
        """Record the HTTP status and body of an attempt. `status` is None if there was no answer."""
        if self._waiting.get(push.serial) is not push:
            return
        push.attempts += 1
        self.attempts += 1
        if status == 200 and body.strip() == ANSWER:
            del self._waiting[push.serial]
            self.delivered += 1
            push.on_state("delivered")
        elif self.repeat and push.attempts < self.rules.attempts:
            heapq.heappush(self._due, (self.clock() + self.rules.pause(push.attempts), push.serial))
        else:
            del self._waiting[push.serial]
            self.given_up += 1
            push.on_state("given_up")

    def clear(self) -> None:
        """Remove all pushes and reset the counts."""
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
