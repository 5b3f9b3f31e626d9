"""The recent spending of an account on a server, for several machines.

A decision is made here, on a snapshot, and written only if nothing has changed since the snapshot was read.
"""

import secrets
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from ..ledger import DAY, LedgerEntry, Totals
from ..shared_state import state_name
from .scripts import ENTRIES, LEDGER, REMOVE
from .server import Answer, SharedServer

_TRIES = 100
_PAUSE = 0.002
_MOST_ENTRIES = 20_000


@dataclass(frozen=True, slots=True)
class SharedEntry:
    """A message to count. name: its number and id. age: seconds since it was spent."""

    name: str
    parts: int
    automatic: bool = False
    age: float = 0.0

    @property
    def number_hash(self) -> bytes:
        """The number, not readable."""
        return bytes.fromhex(self.name.partition(":")[0])

    @property
    def stored(self) -> str:
        """The entry as the server stores it."""
        return f"{self.parts}:{self.name}"


@dataclass(slots=True)
class Snapshot:
    """The count at one moment, and what a decision adds to it.

    counts, held, unannounced: of each number. announced: the changes to `unannounced`. copies: the entries of the files
    of this machine for those of the server.
    """

    version: str
    parts: Totals
    counts: dict[bytes, int]
    held: dict[bytes, int]
    unannounced: dict[bytes, bool]
    added: dict[int, SharedEntry] = field(default_factory=dict)
    more_held: dict[bytes, int] = field(default_factory=dict)
    announced: dict[bytes, bool] = field(default_factory=dict)
    copies: dict[int, int] = field(default_factory=dict)

    def totals(self, now: float) -> Totals:  # noqa: ARG002 - the server has its own clock
        """Return the parts that count."""
        return self.parts

    def messages(self, since: float, number_hash: bytes) -> int:  # noqa: ARG002
        """Return the number of messages to one number in the last ten minutes."""
        return self.counts[number_hash]

    def held_back(self, number_hash: bytes) -> int:
        """Return how many messages to one number were held back and not yet announced."""
        return max(0, self.held[number_hash] + self.more_held.get(number_hash, 0))

    def hold_back(self, number_hash: bytes, messages: int) -> None:
        """Add to the messages held back. A negative number removes them."""
        self.more_held[number_hash] = self.more_held.get(number_hash, 0) + messages

    def is_unannounced(self, number_hash: bytes) -> bool:
        """Return whether a message to one number was sent since the phone last learned about a limit."""
        return self.unannounced[number_hash]

    def set_announced(self, number_hash: bytes, now: float, *, announced: bool) -> None:  # noqa: ARG002
        """Store whether the last message to one number announces a limit."""
        self.announced[number_hash] = announced

    def add(self, at: float, parts: int, number_hash: bytes, *, automatic: bool = False) -> int:  # noqa: ARG002
        """Add a message and return its id."""
        entry = secrets.randbits(62)
        self.added[entry] = SharedEntry(f"{number_hash.hex()}:{entry:x}", parts, automatic)
        return entry


class RemoteLedger:
    """The entries of one account on a server."""

    def __init__(self, server: SharedServer, key: str) -> None:
        self._server = server
        self._prefix = f"sms1680:{{{state_name(key)}}}:"

    def write(
        self, decide: Callable[[Snapshot], None], numbers: Sequence[bytes]
    ) -> Generator[float, None, Snapshot | None]:
        """Decide on a snapshot and write the decision. Yield seconds to sleep.

        decide: called again if another machine was faster. numbers: the hashes of the numbers that it looks at.
        Return the snapshot, None if the server cannot be used.
        """
        hashes = list(dict.fromkeys(numbers))
        answer = yield from self._exchange("", hashes)
        for _ in range(_TRIES):
            if answer is None:
                return None
            snapshot = _snapshot(answer, hashes)
            decide(snapshot)
            if not snapshot.added and not any(snapshot.more_held.values()) and not snapshot.announced:
                return snapshot
            answer = yield from self._exchange(snapshot.version, hashes, snapshot)
            if answer is not None and answer[0]:
                return snapshot
            yield _PAUSE * (1 + secrets.randbelow(8))
        return None

    def add(self, entries: Sequence[SharedEntry]) -> Generator[float, None, bool]:
        """Add messages that were counted without the server. Return whether they are there."""

        def add(snapshot: Snapshot) -> None:
            snapshot.added.update(enumerate(entries))

        return (yield from self.write(add, [entry.number_hash for entry in entries])) is not None

    def remove(self, entries: Sequence[SharedEntry]) -> None:
        """Remove messages, in the background."""
        keys = self._keys([entry.number_hash for entry in entries])
        self._server.later(REMOVE, keys, [entry.stored for entry in entries])

    def totals(self) -> Totals | None:
        """Return the parts that count, None if they are not known. See `SharedServer.peek`."""
        answer = self._server.peek(LEDGER, self._keys(()), ["", 0, 0])
        return None if answer is None else _snapshot(answer, ()).parts

    def entries(self, now: float) -> list[LedgerEntry] | None:
        """Return the messages of the last day, the oldest first; None if they are not known.

        now: our own time, in which the result is. Of very many, the latest are returned.
        """
        keys = self._keys(())
        answer = self._server.peek(ENTRIES, keys[2:4], [_MOST_ENTRIES])
        if answer is None:
            return None
        newest, automatic = answer[0], set(answer[1])
        entries = []
        for stored, age in zip(newest[::2], newest[1::2], strict=True):
            parts, number, _ = stored.decode("ascii").split(":")
            at = now - max(0.0, float(age) / 1000)
            if at > now - DAY:
                entries.append(LedgerEntry(at, int(parts), stored in automatic, bytes.fromhex(number)))
        return entries[::-1]

    def _exchange(
        self, version: str, hashes: Sequence[bytes], decided: Snapshot | None = None
    ) -> Generator[float, None, Answer | None]:
        places = {number_hash: place for place, number_hash in enumerate(hashes, 1)}
        added = () if decided is None else tuple(decided.added.values())
        values: list[str | float] = [version, len(hashes), len(added)]
        for entry in added:
            values += [entry.age * 1000, places[entry.number_hash], int(entry.automatic), entry.parts, entry.name]
        if decided is not None:
            for number_hash in hashes:
                announced = decided.announced.get(number_hash)
                values += [decided.more_held.get(number_hash, 0), "" if announced is None else int(announced)]
        return (yield from self._server.call(LEDGER, self._keys(hashes), values))

    def _keys(self, hashes: Sequence[bytes]) -> list[str]:
        keys = [f"{self._prefix}{name}" for name in ("totals", "hour", "day", "automatic")]
        for number_hash in hashes:
            keys += [f"{self._prefix}{kind}:{number_hash.hex()}" for kind in ("number", "held", "unannounced")]
        return keys


def _snapshot(answer: Answer, hashes: Sequence[bytes]) -> Snapshot:
    hour, day, automatic, *rest = map(int, answer[2:])
    return Snapshot(
        answer[1].decode("ascii"),
        Totals(hour, day, automatic),
        dict(zip(hashes, rest[::3], strict=True)),
        dict(zip(hashes, rest[1::3], strict=True)),
        {number_hash: bool(unannounced) for number_hash, unannounced in zip(hashes, rest[2::3], strict=True)},
    )
