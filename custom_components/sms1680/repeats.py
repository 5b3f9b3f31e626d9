"""Tells a push that came again from an honest second one. Pure logic: the clock is handed in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b

from .client import DeliveryReport, Reply

_REMEMBERED = 5000
_DAY = 24 * 3600.0
REMEMBERED_FOR = timedelta(seconds=_DAY)
_HOUR = 3600.0


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


class Repeats:
    """Remembers what came in, as digests: no number and no text is kept.

    The platform repeats, as far as is known, what it saw no answer to. So the same number, text and extension are a
    repeat where the first one's answer was not fully written (within an hour), or within `window` seconds (0: off).
    With an id, the same item is one within a day. The id alone does not do: it may be that of the message replied to.

    key: secret, so that what a digest stands for can't be guessed: a text may be short, or hold a PIN.
    """

    def __init__(self, clock: Callable[[], float], remembered: int = _REMEMBERED, *, key: bytes = b"") -> None:
        self._clock = clock
        self._key = key[: blake2b.MAX_KEY_SIZE]
        self._remembered = remembered
        self._seen: OrderedDict[bytes, Seen] = OrderedDict()

    def note(
        self, item: Reply | DeliveryReport, number: str, window: float, new_id: Callable[[], str]
    ) -> tuple[Seen, bool]:
        """Remember an item from this number (in the form in which numbers are compared).

        Returns what is remembered of it, and whether it is a repeat.
        """
        key = self._digest(item, number)
        seen = self._seen.get(key)
        if seen is not None and self._is_repeat(seen, window, has_id=bool(item.message_id)):
            return seen, True
        seen = Seen(new_id(), self._clock(), digest=key)
        self.recall(seen)
        return seen, False

    def recall(self, seen: Seen) -> None:
        """Remember an item that came in, the newest last."""
        self._seen[seen.digest] = seen
        self._seen.move_to_end(seen.digest)
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)

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
            fields = ("report", item.message_id, number, item.status)
        said = repr(fields).encode("utf-8", "backslashreplace")
        return blake2b(said, digest_size=16, key=self._key).digest()
