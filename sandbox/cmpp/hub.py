"""The state that the connections of the CMPP port share: rules, faults, settings and mailboxes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from sms1680.cmpp.wire.pdus import Deliver

from ..platform import Platform
from .faults import CMPPFaults
from .rules import Rules


@dataclass(slots=True, eq=False)
class QueuedDeliver:
    """A DELIVER for an account's owner. `make` returns the PDU for a Sequence_Id."""

    make: Callable[[int], Deliver]
    on_acknowledged: Callable[[], None] = lambda: None
    attempts: int = 0
    acknowledged: bool = False


class Connection(Protocol):
    """A logged-in connection that can carry DELIVERs."""

    @property
    def has_room(self) -> bool:
        """Whether its window has room for another DELIVER."""

    def deliver(self, item: QueuedDeliver) -> None:
        """Send a DELIVER."""

    def abort(self) -> None:
        """Break the connection."""


class Mailbox:
    """An account's connections, and the DELIVERs that wait for one of them."""

    def __init__(self) -> None:
        """Start without connections."""
        self.connections: list[Connection] = []
        self.queue: deque[QueuedDeliver] = deque()

    def flush(self) -> None:
        """Send queued DELIVERs over every connection with room in its window."""
        for connection in self.connections:
            while self.queue and connection.has_room:
                connection.deliver(self.queue.popleft())


class Hub:
    """The state shared by all connections.

    `queued` and `acknowledged` count the DELIVERs for the accounts' owners. `idle`: seconds of silence before a
    connection is tested. `resend`: seconds before a DELIVER is repeated. `late`: delay of a late SUBMIT_RESP in
    seconds. `window`: the number of unanswered requests in each direction.
    """

    def __init__(self, platform: Platform, faults: CMPPFaults, rules: Rules, *, idle: float, resend: float) -> None:
        """Start without connections."""
        self.platform = platform
        self.faults = faults
        self.rules = rules
        self.idle = idle
        self.resend = resend
        self.late = 0.2
        self.window = 16
        self.queued = 0
        self.acknowledged = 0
        self.connections: set[Connection] = set()
        self._mailboxes: dict[str, Mailbox] = {}

    def mailbox(self, username: str) -> Mailbox:
        """Return the mailbox of an account."""
        return self._mailboxes.setdefault(username, Mailbox())

    def queue(self, username: str, item: QueuedDeliver) -> None:
        """Queue a DELIVER for an account's owner and send it if a connection has room."""
        self.queued += 1
        mailbox = self.mailbox(username)
        mailbox.queue.append(item)
        mailbox.flush()
