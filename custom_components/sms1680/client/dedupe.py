"""Tell a repeated push from a genuine second one. Pure logic: the caller provides the clock."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b

from .bounded import BoundedDict
from .push import DeliveryReport, Reply
from .report_words import ReportState

_MAX_REMEMBERED = 5000
_DAY = 24 * 3600.0
REMEMBERED_FOR = timedelta(seconds=_DAY)
_HOUR = 3600.0
_BOTH_SOURCES = 300.0


@dataclass(slots=True)
class SeenItem:
    """An item that arrived before: the id of its event, and the time of its first arrival in seconds.

    acknowledged: the acknowledgement was written completely, so the sender has no reason to repeat the item.
    digest: the keyed hash that identifies the item. source: see `Deduplicator.note`.
    """

    id: str
    since: float
    acknowledged: bool = False
    digest: bytes = b""
    source: str | None = None


class Deduplicator:
    """Remembers items by digest. It stores no number and no text.

    As far as is known, the platform repeats items that it saw no acknowledgement for. So the same number, text and
    extension are a repeat within an hour if the first acknowledgement was incomplete, and within `window` seconds in
    any case (0 turns this off). An item with an id is a repeat within a day if all its fields are equal. The id alone
    is not enough: it can be the id of the message that was replied to.

    An account with two sources (pushes and a connection) can get the same reply through both, in two different forms.
    So a reply from the other source with the same number and text within five minutes counts as the same reply. Each
    copy is matched once: two genuine replies remain two.

    key: a secret. Without it, a digest would reveal a short text or a PIN.
    """

    def __init__(self, clock: Callable[[], float], max_size: int = _MAX_REMEMBERED, *, key: bytes = b"") -> None:
        self._clock = clock
        self._key = key[: blake2b.MAX_KEY_SIZE]
        self._seen: BoundedDict[bytes, SeenItem] = BoundedDict(max_size)
        # Replies that have arrived through one source only so far, by number and text.
        self._unmatched: OrderedDict[bytes, list[SeenItem]] = OrderedDict()

    def note(
        self,
        item: Reply | DeliveryReport,
        number: str,
        window: float,
        new_id: Callable[[], str],
        source: str | None = None,
    ) -> tuple[SeenItem, bool]:
        """Remember an item. Return its entry, and whether the item is a repeat.

        number: in the form used to compare numbers. source: the item's source, None if the account has only one.
        """
        digest = self._digest(item, number)
        seen = self._seen.get(digest)
        if seen is not None and self._is_repeat(seen, window, has_id=bool(item.message_id)):
            return seen, True
        if not source or not isinstance(item, Reply):
            seen = self._seen[digest] = SeenItem(new_id(), self._clock(), digest=digest)
            return seen, False
        other = self._take_copy(item, number, source)
        seen = SeenItem(other.id if other else new_id(), self._clock(), digest=digest, source=source)
        self.remember(seen)
        if other is None:
            self._unmatched.setdefault(self._text_digest(item, number), []).append(seen)
        return seen, other is not None

    def forget(self, seen: SeenItem) -> None:
        """Forget an item that was not a repeat and was rejected, so that its next arrival counts as the first."""
        if self._seen.get(seen.digest) is seen:
            del self._seen[seen.digest]
        for digest, copies in list(self._unmatched.items()):
            if left := [copy for copy in copies if copy is not seen]:
                self._unmatched[digest] = left
            else:
                del self._unmatched[digest]

    def remember(self, seen: SeenItem) -> None:
        """Remember an item as the newest one."""
        self._seen[seen.digest] = seen

    def _take_copy(self, item: Reply, number: str, source: str) -> SeenItem | None:
        """Remove and return the copy of a reply that arrived through another source."""
        oldest = self._clock() - _BOTH_SOURCES
        while self._unmatched and next(iter(self._unmatched.values()))[-1].since < oldest:
            self._unmatched.popitem(last=False)
        digest = self._text_digest(item, number)
        copies = [copy for copy in self._unmatched.pop(digest, []) if copy.since >= oldest]
        found = next((copy for copy in copies if copy.source != source), None)
        if copies := [copy for copy in copies if copy is not found]:
            self._unmatched[digest] = copies
        return found

    def _is_repeat(self, seen: SeenItem, window: float, *, has_id: bool) -> bool:
        age = self._clock() - seen.since
        if has_id:
            return age < _DAY
        return age < window or (not seen.acknowledged and age < _HOUR)

    def _digest(self, item: Reply | DeliveryReport, number: str) -> bytes:
        if isinstance(item, Reply):
            return self._hash(("reply", item.message_id, number, item.extension, item.content, item.incomplete))
        # HTTP and CMPP use different status words for a delivered message.
        status = item.status if item.state is ReportState.FAILED else item.state.value
        return self._hash(("report", item.message_id, number, status))

    def _text_digest(self, item: Reply, number: str) -> bytes:
        return self._hash(("words", number, item.content))

    def _hash(self, fields: tuple[Hashable, ...]) -> bytes:
        data = repr(fields).encode("utf-8", "backslashreplace")
        return blake2b(data, digest_size=16, key=self._key).digest()
