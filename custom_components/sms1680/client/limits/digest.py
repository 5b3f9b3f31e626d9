"""A spending guard for short processes. It counts the messages that a limit holds back, for each phone.

The last message that a limit lets pass says that the next ones are held back. The first message after these begins
with their number. Critical messages are neither held back nor carry such words.

Critical messages, or messages to other phones, can use up a limit after a phone's last message. Then the next message
to this phone is above the limit and still passes, as the last one, with the words. It uses the reserve.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field

from ..outcomes import Reason
from ..receipts import Receipt
from .budget import Count, Reservation, SpendingGuard
from .ledger import LedgerView

_NEXT = {
    Reason.NUMBER_LIMIT: "（其后 10 分钟的告警将汇总）",
    Reason.HOURLY_LIMIT: "（其后 60 分钟的告警将汇总）",
    Reason.AUTOMATIC_LIMIT: "（其后 60 分钟的告警将汇总）",
    Reason.DAILY_LIMIT: "（其后 24 小时的告警将汇总）",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """The words about the limits in a message.

    held_back: the number of earlier messages to the same phone that were held back. limit: the limit that holds back
    the next ones, None if there is still room.
    """

    held_back: int = 0
    limit: Reason | None = None

    @property
    def before(self) -> str:
        """The words in front of the text."""
        return f"此前 {self.held_back} 条未单独发送。" if self.held_back else ""

    @property
    def after(self) -> str:
        """The words at the end of the text."""
        return _NEXT[self.limit] if self.limit else ""


@dataclass(frozen=True, slots=True)
class Admission:
    """The guard's decision on the numbers of a call.

    notices: the notice of each admitted item. parts: the parts that its text may have with the notice.
    """

    reservation: Reservation
    notices: Mapping[int, Notice] = field(default_factory=dict)
    parts: Mapping[int, int] = field(default_factory=dict)


class DigestGuard(SpendingGuard):
    """A spending guard that counts what it holds back."""

    def admit(
        self,
        numbers: Sequence[str],
        parts_of: Callable[[Notice], int],
        *,
        critical: bool,
        automatic: bool = False,
        sums_up: bool = True,
    ) -> Generator[float, None, Admission]:
        """Count one message to each number before it is sent, as far as the limits allow. Yield as `reserve` does.

        parts_of: returns the parts of the text with a notice. sums_up: False if the caller tries again later what is
        held back, so that no message carries a notice. If nothing can be counted, all messages are admitted.
        """
        bare, every = parts_of(Notice()), range(len(numbers))
        admissions = [
            Admission(Reservation(dict.fromkeys(every), {}), dict.fromkeys(every, Notice()), dict.fromkeys(every, bare))
        ]

        def admit(ledger: LedgerView) -> None:
            admission = self._admit(ledger, numbers, parts_of, critical=critical, automatic=automatic, sums_up=sums_up)
            admissions.append(admission)

        yield from self._deciding(admit, numbers)
        return admissions[-1]

    def settle(
        self, admission: Admission, numbers: Sequence[str], receipts: Mapping[str, Receipt]
    ) -> Generator[float, None, None]:
        """Refund what was not sent. Words that did not reach their phone are repeated. Yield as `reserve` does.

        receipts: of the admitted numbers.
        """
        reservation = admission.reservation
        yield from self.refund(reservation, [receipts[numbers[item]] for item in reservation.entries])
        again = {
            self._number_hash(numbers[item]): notice
            for item, notice in admission.notices.items()
            if notice != Notice() and not receipts[numbers[item]].outcome.is_success
        }

        def restore(ledger: LedgerView) -> None:
            for number_hash, notice in again.items():
                if notice.held_back:
                    ledger.hold_back(number_hash, notice.held_back)
                if notice.limit is not None:
                    ledger.set_announced(number_hash, self._now(), announced=False)

        if again:
            yield from self._deciding(restore, numbers)

    def _admit(
        self,
        ledger: LedgerView,
        numbers: Sequence[str],
        parts_of: Callable[[Notice], int],
        *,
        critical: bool,
        automatic: bool,
        sums_up: bool,
    ) -> Admission:
        sums_up = sums_up and not critical
        now = self._now()
        count = Count(ledger, self.limits, now, critical=critical, automatic=automatic)
        reservation = Reservation({}, {}, ledger)
        bare = parts_of(Notice())
        hashes = [self._number_hash(number) for number in numbers]
        parts: dict[int, int] = {}
        limits: dict[int, Reason] = {}  # that the message to each admitted number announces
        for item, number_hash in enumerate(hashes):
            parts[item] = bare
            reason = count.limit(bare, number_hash)
            if reason is not None:
                parts[item] = count.parts_above(bare) if sums_up and ledger.is_unannounced(number_hash) else 0
                (limits if parts[item] else reservation.refused)[item] = reason
            if parts[item]:
                count.add(number_hash, parts[item])
                reservation.entries[item] = None
            elif sums_up:
                ledger.hold_back(number_hash, 1)
        if sums_up:
            within = {item: hashes[item] for item in reservation.entries if item not in limits}
            limits |= self._next_limits(count, within, bare)
        notices: dict[int, Notice] = {}
        for item in reservation.entries:
            number_hash = hashes[item]
            held_back = ledger.held_back(number_hash) if sums_up else 0
            if held_back:
                ledger.hold_back(number_hash, -held_back)
            notices[item] = Notice(held_back, limits.get(item))
            more = parts_of(notices[item]) - bare
            while more > 0 and count.limit(more) is not None:
                more -= 1  # the words take the place of a part of the text
            count.spend(more)
            parts[item] += more
            if sums_up:
                ledger.set_announced(number_hash, now, announced=notices[item].limit is not None)
            reservation.entries[item] = ledger.add(now, parts[item], number_hash, automatic=automatic)
        return Admission(reservation, notices, parts)

    @staticmethod
    def _next_limits(count: Count, admitted: Mapping[int, bytes], parts: int) -> dict[int, Reason]:
        """Return the limits that would hold back the next message to each admitted number."""
        ahead = count.copy()
        limits: dict[int, Reason] = {}
        for item, number_hash in admitted.items():
            reason = ahead.limit(parts, number_hash)
            if reason is None:
                ahead.add(number_hash, parts)
            elif reason is Reason.NUMBER_LIMIT:
                limits[item] = reason
            else:  # a limit of the account: the words of this notice leave even less for the others
                return dict.fromkeys(admitted, reason)
        return limits
