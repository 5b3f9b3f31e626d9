"""How one attempt goes out: within the time that is left, and with `dedupe` each number at most once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .carrier import RequestsCarrier
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

_SHARE_OF_ANSWER = 0.65
_LOOK = 0.1


@dataclass(frozen=True, slots=True)
class Delivery:
    """The account and the settings of one service, as the core wants them.

    timeouts: seconds until connected, and without an answer. limit: seconds from the beginning of a notification
    within which all attempts at it end. spending: what the guard lets pass, None for no guard.
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

    def send(self, numbers: Sequence[str], text: str, began: float) -> list[Receipt]:
        """Send the text; returns a receipt for each number. began: when the notification did, on `clock`.

        Raises InvalidMessageError where the text can't be sent at all.
        """
        left = self._latest(began) - self.clock()
        if left <= 0:
            return [Receipt(number, Outcome.NOT_SENT, reason=Reason.DEADLINE) for number in numbers]
        client = Client(
            self.account,
            gateway=self.gateway,
            signature=self.signature.name if self.signature else None,
            signature_place=self.signature.place if self.signature else "front",
            rate=self.rate,
            packet_size=PACKET_SIZE if self.batch else 1,
            deadline=left,
            spending=self.spending,
            carrier=RequestsCarrier(self.timeouts, verify=self.verify, until=began + self.limit, clock=self.clock),
            clock=self.clock,
            sleep=self.sleep,
        )
        try:
            return list(client.send(numbers, text, extension=self.extension))
        except SendError as error:
            return list(error.receipts)

    def send_once(
        self, dedupe: Dedupe, numbers: Sequence[str], text: str, written: str, began: float
    ) -> tuple[list[Receipt], set[str]]:
        """Send to the numbers that the same text did not go to lately; returns all receipts, and who was left out.

        text: what makes the message the same. written: as it goes out, which may hold the time.
        """
        receipts: list[Receipt] = []
        left_out: set[str] = set()
        waiting = list(numbers)
        while waiting:
            earlier = dedupe.claim(waiting, text)
            mine = [number for number in waiting if earlier[number] is None]
            if mine:
                receipts += self._send_claimed(dedupe, mine, text, written, began)
            receipts += [found.receipt for found in earlier.values() if found is not None and found.receipt is not None]
            left_out |= {number for number, found in earlier.items() if found is not None and found.receipt is not None}
            waiting = [number for number, found in earlier.items() if found is not None and found.receipt is None]
            if waiting and self.clock() >= self._latest(began):
                receipts += [Receipt(number, Outcome.UNKNOWN, reason=Reason.LOST) for number in waiting]
                break
            if waiting:
                self.sleep(_LOOK)
        return receipts, left_out

    def _send_claimed(
        self, dedupe: Dedupe, numbers: Sequence[str], text: str, written: str, began: float
    ) -> list[Receipt]:
        try:
            receipts = self.send(numbers, written, began)
        except InvalidMessageError:
            dedupe.settle([Receipt(number, Outcome.NOT_SENT) for number in numbers], text)
            raise
        dedupe.settle(receipts, text)
        return receipts

    def _latest(self, began: float) -> float:
        """Return the time behind which no request begins: the last one may still take its whole time."""
        return began + self.limit - min(sum(self.timeouts), self.limit * _SHARE_OF_ANSWER)
