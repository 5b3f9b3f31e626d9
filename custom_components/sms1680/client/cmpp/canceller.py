"""Cancels messages that the gateway has accepted and not sent yet (docs/cmpp.md, section 2).

A CANCEL takes a slot of the window like a SUBMIT, but has no share in the account's rate. It is sent once: after a lost
answer, a second CANCEL would be refused even if the first one succeeded.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ..errors import InvalidMessageError, NoAnswerError
from ..limits.rate import Clock
from ..outcomes import Reason
from .events import ResponseReceived
from .protocol import CMPPProtocol
from .wire.codec import encode
from .wire.pdus import Cancel, CancelResp

_MAX_MSG_ID: Final = 2**64


class CancelOutcome(StrEnum):
    """The result of cancelling a message.

    CANCELLED: the gateway does not send it. NOT_POSSIBLE: the gateway does not know it, or sends or has sent it.
    UNKNOWN: the gateway did not answer; perhaps it cancelled the message.
    """

    CANCELLED = "cancelled"
    NOT_POSSIBLE = "not_possible"
    UNKNOWN = "unknown"


def parse_msg_id(message_id: str) -> int:
    """Return the number of a CMPP message id. Raise InvalidMessageError for any other text."""
    if message_id.isascii() and message_id.isdecimal() and (number := int(message_id)) < _MAX_MSG_ID:
        return number
    raise InvalidMessageError("this is not a message id of CMPP", "不是 CMPP 的短信编号")


@dataclass(eq=False, slots=True)
class Cancellation:
    """One CANCEL, and the session's key for it. until: when to stop waiting for a connection, on the client's clock."""

    msg_id: int
    until: float
    outcome: "asyncio.Future[CancelOutcome]" = field(repr=False)


class Canceller:
    """Sends CANCELs over the current connection, and matches their answers. on_flushed: called after each flush."""

    def __init__(self, clock: Clock, on_flushed: Callable[[], object]) -> None:
        self._clock = clock
        self._on_flushed = on_flushed
        self._queue: deque[Cancellation] = deque()
        self._due: float | None = None
        self._link: CMPPProtocol | None = None
        self._stopped = False

    def add(self, msg_id: int, patience: float) -> "asyncio.Future[CancelOutcome]":
        """Queue a CANCEL; the future gets its result, or NoAnswerError if it was certainly not sent.

        patience: seconds to wait for a connection. Call `flush` after it.
        """
        outcome: asyncio.Future[CancelOutcome] = asyncio.get_running_loop().create_future()
        until = self._clock() + patience
        self._queue.append(Cancellation(msg_id, until, outcome))
        self._due = until if self._due is None else min(self._due, until)
        if self._stopped:
            self.stop()
        return outcome

    def stop(self) -> None:
        """Send no further CANCEL."""
        self._stopped = True
        self._expire(None)

    # --- the connection ---

    def on_connected(self, link: CMPPProtocol) -> None:
        """Use a new connection."""
        self._link = link

    def on_disconnected(self) -> None:
        """Wait for the next connection."""
        self._link = None

    def flush(self) -> None:
        """Send the queued CANCELs that fit into the window."""
        if not self._queue:
            return
        if (link := self._link) is not None:
            session, now = link.session, self._clock()
            while self._queue and session.room(now):
                cancellation = self._queue.popleft()
                if not cancellation.outcome.done():
                    sequence = session.next_sequence_id()
                    octets = encode(Cancel(sequence_id=sequence, msg_id=cancellation.msg_id))
                    session.send(octets, sequence, cancellation, now)
            link.flush()
        self._on_flushed()

    # --- answers ---

    def on_response(self, event: ResponseReceived) -> None:
        """Handle the answer to a CANCEL."""
        outcome = CancelOutcome.UNKNOWN
        if isinstance(event.pdu, CancelResp):
            outcome = CancelOutcome.NOT_POSSIBLE if event.pdu.success_id else CancelOutcome.CANCELLED
        _settle(event.key, outcome)

    def on_no_response(self, cancellation: Cancellation) -> None:
        """Handle a CANCEL whose answer is lost."""
        _settle(cancellation, CancelOutcome.UNKNOWN)

    # --- time ---

    @property
    def deadline(self) -> float | None:
        """When `tick` is due, None if nothing is queued."""
        return self._due if self._queue else None

    def tick(self, now: float) -> None:
        """Settle the CANCELs whose patience has ended."""
        if self._due is not None and now >= self._due:
            self._expire(now)

    def _expire(self, now: float | None) -> None:
        """Settle the queued CANCELs that end until now, or all of them."""
        for _ in range(len(self._queue)):
            cancellation = self._queue.popleft()
            if now is not None and now < cancellation.until:
                self._queue.append(cancellation)
            elif not cancellation.outcome.done():
                cancellation.outcome.set_exception(NoAnswerError(Reason.NO_CONNECTION))
        self._due = min((cancellation.until for cancellation in self._queue), default=None)


def _settle(cancellation: Cancellation, outcome: CancelOutcome) -> None:
    if not cancellation.outcome.done():
        cancellation.outcome.set_result(outcome)
