"""The messages sent recently, on a server, so that exactly one of several machines sends a message."""

from collections.abc import Sequence
from dataclasses import dataclass

from .scripts import CLAIM, SETTLE
from .server import SharedServer


@dataclass(frozen=True, slots=True)
class SharedSend:
    """An earlier send of a message. age: seconds since then. outcome: "" while it is being sent, or if it ended so."""

    age: float
    outcome: str
    message_id: str | None


@dataclass(frozen=True, slots=True)
class SharedOutcome:
    """The outcome of a send.

    message: a keyed hash. outcome: "" if it was certainly not sent. token: of its claim, "" to forget it whoever
    claimed it. age: seconds.
    """

    message: bytes
    outcome: str
    message_id: str | None
    token: str
    age: float = 0.0


class RemoteClaims:
    """Claims of messages on a server. A caller waits for the answer. Each method fails while it cannot be used.

    name: what the messages have in common, not readable. seconds: how long an outcome counts. claim: seconds after
    which a claim without an outcome belongs to a process that ended.
    """

    def __init__(self, server: SharedServer, name: str, seconds: float, claim: float, *, renews: bool = False) -> None:
        self._server = server
        self._prefix = f"sms1680:{{{name}}}:sent:"
        self._seconds = seconds
        self._claim = claim
        self._renews = renews

    def claim(self, messages: Sequence[bytes], token: str) -> list[SharedSend | None] | None:
        """Return the earlier send of each message, or None if it is claimed now. Without the server return None."""
        if not messages:
            return []
        values: list[str | float] = [self._seconds * 1000, self._claim * 1000, int(self._renews), token]
        answer = self._server.ask(CLAIM, self._keys(messages), values)
        return None if answer is None else [_read(found) for found in answer]

    def settle(self, outcomes: Sequence[SharedOutcome]) -> bool:
        """Replace claims by outcomes, and delete those of messages that were not sent. Return whether that is done."""
        values: list[str | float] = [self._seconds * 1000]
        for each in outcomes:
            values += [each.age * 1000, each.outcome, (each.message_id or "").replace("|", ""), each.token]
        return self._server.ask(SETTLE, self._keys([each.message for each in outcomes]), values) is not None

    def _keys(self, messages: Sequence[bytes]) -> list[str]:
        return [f"{self._prefix}{message.hex()}" for message in messages]


def _read(found: bytes) -> SharedSend | None:
    if not found:
        return None
    age, outcome, message_id = found.decode("utf-8", "replace").split("|", 2)
    return SharedSend(float(age) / 1000, outcome, message_id or None)
