"""Tells a push that came again from an honest second one. Pure logic: the clock is handed in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b

from ..client import DeliveryReport, Reply, ReportState

_REMEMBERED = 5000
_DAY = 24 * 3600.0
REMEMBERED_FOR = timedelta(seconds=_DAY)
_HOUR = 3600.0
_BOTH_SOURCES = 300.0


@dataclass(slots=True)
class Seen:
    """What is remembered of an item that came in: when it first came (seconds), and the id it was given.

    answered: the answer to it was fully written, so that its sender has no reason to send it again. digest: by which it
    is known.
    """

    id: str
    since: float
    answered: bool = False
    digest: bytes = b""


@dataclass(slots=True)
class _Unpaired:
    """A reply of which no copy has come by the other source yet."""

    source: str
    seen: Seen


class Repeats:
    """Remembers what came in, as digests: no number and no text is kept.

    The platform repeats, as far as is known, what it saw no answer to. So the same number, text and extension are a
    repeat where the first one's answer was not fully written (within an hour), or within `window` seconds (0: off).
    With an id, the same item is one within a day. The id alone does not do: it may be that of the message replied to.

    An account with two sources (pushes, and a connection) may get a reply by both, in two shapes. So what came by the
    other source from the same number with the same text within five minutes is the same reply, one for one: two honest
    ones stay two.

    key: secret, so that what a digest stands for can't be guessed: a text may be short, or hold a PIN.
    """

    def __init__(self, clock: Callable[[], float], remembered: int = _REMEMBERED, *, key: bytes = b"") -> None:
        self._clock = clock
        self._key = key[: blake2b.MAX_KEY_SIZE]
        self._remembered = remembered
        self._seen: OrderedDict[bytes, Seen] = OrderedDict()
        self._unpaired: OrderedDict[bytes, list[_Unpaired]] = OrderedDict()

    def note(
        self,
        item: Reply | DeliveryReport,
        number: str,
        window: float,
        new_id: Callable[[], str],
        source: str | None = None,
    ) -> tuple[Seen, bool]:
        """Remember an item from this number (in the form in which numbers are compared).

        source: by which it came, None where the account has but one.

        Returns what is remembered of it, and whether it is a repeat.
        """
        key = self._digest(item, number)
        seen = self._seen.get(key)
        if seen is not None and self._is_repeat(seen, window, has_id=bool(item.message_id)):
            return seen, True
        other = self._by_the_other(item, number, source) if source and isinstance(item, Reply) else None
        seen = Seen(other.seen.id if other else new_id(), self._clock(), digest=key)
        self.recall(seen)
        if other is None and source and isinstance(item, Reply):
            self._unpaired.setdefault(self._words(item, number), []).append(_Unpaired(source, seen))
        return seen, other is not None

    def forget(self, seen: Seen) -> None:
        """Forget an item that was no repeat and came to nothing: when it comes again, it comes for the first time."""
        if self._seen.get(seen.digest) is seen:
            del self._seen[seen.digest]
        for words, waiting in list(self._unpaired.items()):
            if left := [one for one in waiting if one.seen is not seen]:
                self._unpaired[words] = left
            else:
                del self._unpaired[words]

    def recall(self, seen: Seen) -> None:
        """Remember an item that came in, the newest last."""
        self._seen[seen.digest] = seen
        self._seen.move_to_end(seen.digest)
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)

    def _by_the_other(self, item: Reply, number: str, source: str) -> _Unpaired | None:
        """Take what came by another source, and is the same reply."""
        oldest = self._clock() - _BOTH_SOURCES
        while self._unpaired and next(iter(self._unpaired.values()))[-1].seen.since < oldest:
            self._unpaired.popitem(last=False)
        words = self._words(item, number)
        waiting = [one for one in self._unpaired.pop(words, []) if one.seen.since >= oldest]
        found = next((one for one in waiting if one.source != source), None)
        if waiting := [one for one in waiting if one is not found]:
            self._unpaired[words] = waiting
        return found

    def _words(self, item: Reply, number: str) -> bytes:
        return self._hash(("words", number, item.content))

    def _is_repeat(self, seen: Seen, window: float, *, has_id: bool) -> bool:
        age = self._clock() - seen.since
        if has_id:
            return age < _DAY
        return age < window or (not seen.answered and age < _HOUR)

    def _digest(self, item: Reply | DeliveryReport, number: str) -> bytes:
        fields: tuple[Hashable, ...]
        if isinstance(item, Reply):
            fields = ("reply", item.message_id, number, item.extension, item.content, item.incomplete)
        else:
            # Each way has a word of its own for what was delivered.
            state = item.state
            fields = ("report", item.message_id, number, item.status if state is ReportState.FAILED else state.value)
        return self._hash(fields)

    def _hash(self, fields: tuple[Hashable, ...]) -> bytes:
        said = repr(fields).encode("utf-8", "backslashreplace")
        return blake2b(said, digest_size=16, key=self._key).digest()
