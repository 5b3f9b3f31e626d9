"""Value objects of the inbound path: a message or report on its way from the wire to its event."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from homeassistant.core import callback

from ..client import DeliveryReport, Reply
from ..client.dedupe import SeenItem
from ..conversation.engine.commands import AuthResult, CommandAttempt
from ..store.db import DeliveryUpdate
from ..store.intake import StoreIntake


class InboundSource(StrEnum):
    """The transport that delivered an item."""

    WEBHOOK = "webhook"
    LISTENER = "listener"
    CMPP = "cmpp"


class NotAcceptedError(Exception):
    """The item was not accepted, so it must not be acknowledged. The sender has to send it again."""


@dataclass(slots=True)
class Incoming:
    """An uplink or delivery report that is being processed.

    earlier: it arrived during an earlier run of Home Assistant. row: its row in the store, None if it is not stored.
    update: the current state of the message that a report is about. fired: set after the event fired, None if no sender
    waits for that. attempt: the command in an uplink. It is the only place that holds the command's code. result: of
    the attempt, None if it was not authenticated yet.
    """

    item: Reply | DeliveryReport
    via: InboundSource
    number: str
    received_at: datetime
    seen: SeenItem
    repeat: bool
    intake: StoreIntake
    is_report: bool
    earlier: bool = False
    row: int | None = None
    update: DeliveryUpdate | None = None
    fired: asyncio.Event | None = None
    attempt: CommandAttempt | None = None
    result: AuthResult | None = None

    @callback
    def mark_acknowledged(self) -> None:
        """Record that the sender received the complete acknowledgement."""
        self.seen.acknowledged = True
        if self.row is not None:
            self.intake.mark_acknowledged(self.row, report=self.is_report)
