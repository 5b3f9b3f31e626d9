"""Sends one attempt of a notification: within the remaining time, and with `dedupe` at most once to each number."""

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from .core import (
    Account,
    Client,
    DigestGuard,
    InvalidMessageError,
    NoticedText,
    Outcome,
    Reason,
    Receipt,
    SendError,
    Signature,
    Timeouts,
    mark_repeat,
)
from .dedupe import Dedupe
from .log_messages import NO_TIME, OTHER_SENDER, REPEATED
from .requests_transport import RequestsTransport

# No request begins in the last seconds, or the last share of a shorter time limit: it needs time for its response.
_LAST_SECONDS = 6.0
_LAST_SHARE = 0.65
_CLAIM_POLL = 0.1

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class NotificationSender:
    """The account and the settings of one `sms1680://` URL, in the form that the core needs.

    packet_size: numbers in one request. timeouts: seconds to connect, and to wait for a response. limit: seconds from
    the start of a notification within which all its attempts end. guard: the spending guard, if any. critical: use
    the urgent lane and the reserve. repeats: send once more, marked, after an unknown outcome. sums_up: False if the
    host tries again later what the guard holds back. state: the folder or server of the shared state,
    None for the default.
    """

    account: Account
    gateway: str
    signature: Signature | None
    extension: str | None
    rate: float | None
    packet_size: int
    timeouts: Timeouts
    verify: bool
    limit: float
    guard: DigestGuard | None = None
    critical: bool = False
    repeats: bool = False
    sums_up: bool = True
    state: str | None = field(default=None, repr=False)
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep

    def send(self, numbers: Sequence[str], text: str, started_at: float) -> list[Receipt]:
        """Send the text and return a receipt for each number.

        started_at: the time on `clock` at which the notification began. Raises InvalidMessageError if the text cannot
        be sent.
        """
        if self._last_start(started_at) <= self.clock():
            return [Receipt(number, Outcome.NOT_SENT, reason=Reason.DEADLINE, detail=NO_TIME) for number in numbers]
        receipts = {receipt.number: receipt for receipt in self._send_within_limits(numbers, text, started_at)}
        unknown = [number for number in numbers if receipts[number].outcome is Outcome.UNKNOWN]
        if self.repeats and unknown and self._last_start(started_at) > self.clock():
            marked = mark_repeat(text, NoticedText(text, self.signature).room, self.signature)
            for receipt in self._send_within_limits(unknown, marked, started_at):
                if receipt.outcome.may_arrive:
                    receipts[receipt.number] = replace(receipt, detail=REPEATED)
        return list(receipts.values())

    def _send_within_limits(self, numbers: Sequence[str], text: str, started_at: float) -> list[Receipt]:
        guard = self.guard
        if guard is None:
            return self._request(numbers, text, started_at)

        noticeable = NoticedText(text, self.signature)
        steps = guard.admit(numbers, noticeable.parts_of, critical=self.critical, sums_up=self.sums_up)
        admission = self._run(steps)
        texts: dict[str, list[str]] = {}
        for item, notice in admission.notices.items():
            noticed = noticeable.fit(notice, admission.parts[item])
            texts.setdefault(noticed, []).append(numbers[item])
        receipts = {
            number: Receipt(number, Outcome.UNKNOWN, reason=Reason.LOST) for some in texts.values() for number in some
        }
        try:
            for noticed, some in texts.items():
                receipts.update((receipt.number, receipt) for receipt in self._request(some, noticed, started_at))
        finally:
            self._run(guard.settle(admission, numbers, receipts))
        return list(receipts.values()) + [
            Receipt(numbers[item], Outcome.REFUSED, reason=reason)
            for item, reason in admission.reservation.refused.items()
        ]

    def _request(self, numbers: Sequence[str], text: str, started_at: float) -> list[Receipt]:
        remaining = max(0.0, self._last_start(started_at) - self.clock())
        response = self.timeouts.response
        if self.repeats:  # leave time for the repetition
            response = min(response, self._last_start(0.0) / 2)
        client = Client(
            self.account,
            gateway=self.gateway,
            signature=self.signature.setting if self.signature else None,
            signature_place=self.signature.place if self.signature else "front",
            rate=self.rate,
            packet_size=self.packet_size,
            patience=remaining,
            deadline=remaining,
            state=self.state,
            carrier=RequestsTransport(
                Timeouts(self.timeouts.connect, response),
                verify=self.verify,
                until=started_at + self.limit,
                clock=self.clock,
            ),
            clock=self.clock,
            sleep=self.sleep,
        )
        try:
            return list(
                client.send(
                    numbers,
                    text,
                    extension=self.extension,
                    priority="critical" if self.critical else "normal",
                )
            )
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
                receipts += [
                    Receipt(number, Outcome.UNKNOWN, reason=Reason.LOST, detail=OTHER_SENDER) for number in waiting
                ]
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
            dedupe.forget(numbers, key_text)
            raise
        dedupe.settle(receipts, key_text)
        return receipts

    def _last_start(self, started_at: float) -> float:
        """Return the time after which no request may start, so that the last one has time for its response."""
        return started_at + self.limit - min(sum(self.timeouts), _LAST_SECONDS, self.limit * _LAST_SHARE)

    def _run(self, steps: Generator[float, None, _T]) -> _T:
        """Sleep as the steps request, and return their result."""
        try:
            while True:
                self.sleep(next(steps))
        except StopIteration as stop:
            result: _T = stop.value
            return result
