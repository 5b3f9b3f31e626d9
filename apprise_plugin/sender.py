"""Sends one attempt of a notification: within the remaining time, and with `dedupe` at most once to each number."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .core import (
    PACKET_SIZE,
    Account,
    Client,
    InvalidMessageError,
    Outcome,
    Reason,
    Receipt,
    SendError,
    Signature,
    SpendingLimits,
    Timeouts,
)
from .dedupe import Dedupe
from .requests_transport import RequestsTransport

# The largest share of the time limit that is reserved for the last request.
_MAX_REQUEST_SHARE = 0.65
_CLAIM_POLL = 0.1


@dataclass(frozen=True, slots=True)
class NotificationSender:
    """The account and the settings of one `sms1680://` URL, in the form that the core needs.

    timeouts: seconds to connect, and to wait for a response. limit: seconds from the start of a notification within
    which all its attempts end. spending: the limits of the spending guard; None disables it.
    """

    account: Account
    gateway: str
    signature: Signature | None
    extension: str | None
    rate: float | None
    batch: bool
    timeouts: Timeouts
    verify: bool
    limit: float
    spending: SpendingLimits | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep

    def send(self, numbers: Sequence[str], text: str, started_at: float) -> list[Receipt]:
        """Send the text and return a receipt for each number.

        started_at: the time on `clock` at which the notification began. Raises InvalidMessageError if the text cannot
        be sent.
        """
        remaining = self._last_start(started_at) - self.clock()
        if remaining <= 0:
            return [Receipt(number, Outcome.NOT_SENT, reason=Reason.DEADLINE) for number in numbers]
        client = Client(
            self.account,
            gateway=self.gateway,
            signature=self.signature.name if self.signature else None,
            signature_place=self.signature.place if self.signature else "front",
            rate=self.rate,
            packet_size=PACKET_SIZE if self.batch else 1,
            deadline=remaining,
            spending=self.spending,
            carrier=RequestsTransport(
                self.timeouts, verify=self.verify, until=started_at + self.limit, clock=self.clock
            ),
            clock=self.clock,
            sleep=self.sleep,
        )
        try:
            return list(client.send(numbers, text, extension=self.extension))
        except SendError as error:
            return list(error.receipts)

    def send_once(
        self, dedupe: Dedupe, numbers: Sequence[str], key_text: str, text: str, started_at: float
    ) -> tuple[list[Receipt], set[str]]:
        """Send to the numbers that did not receive the same text recently.

        Return the receipts of all numbers, and the numbers that were skipped as duplicates.
        key_text: the text that identifies duplicates. text: the text to send, which may contain the time.
        """
        receipts: list[Receipt] = []
        duplicates: set[str] = set()
        waiting = list(numbers)
        while waiting:
            previous = dedupe.claim(waiting, key_text)
            claimed = [number for number in waiting if previous[number] is None]
            if claimed:
                receipts += self._send_claimed(dedupe, claimed, key_text, text, started_at)
            finished = [found.receipt for found in previous.values() if found is not None and found.receipt is not None]
            receipts += finished
            duplicates.update(receipt.number for receipt in finished)
            waiting = [number for number, found in previous.items() if found is not None and found.receipt is None]
            if waiting and self.clock() >= self._last_start(started_at):
                receipts += [Receipt(number, Outcome.UNKNOWN, reason=Reason.LOST) for number in waiting]
                break
            if waiting:
                self.sleep(_CLAIM_POLL)
        return receipts, duplicates

    def _send_claimed(
        self, dedupe: Dedupe, numbers: Sequence[str], key_text: str, text: str, started_at: float
    ) -> list[Receipt]:
        try:
            receipts = self.send(numbers, text, started_at)
        except InvalidMessageError:
            dedupe.settle([Receipt(number, Outcome.NOT_SENT) for number in numbers], key_text)
            raise
        dedupe.settle(receipts, key_text)
        return receipts

    def _last_start(self, started_at: float) -> float:
        """Return the time after which no request may start, so that the last one can still use its full timeouts."""
        return started_at + self.limit - min(sum(self.timeouts), self.limit * _MAX_REQUEST_SHARE)
