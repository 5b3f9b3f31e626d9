"""The DELIVERs of one connection that wait for their DELIVER_RESP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sms1680.cmpp.wire.pdus import PDU

from .faults import CMPPFault
from .hub import Hub, Mailbox, QueuedDeliver

ATTEMPTS = 3


class DeliverWindow:
    """Sends DELIVERs, repeats those without a response, and gives the connection up after three attempts."""

    def __init__(
        self, hub: Hub, next_sequence: Callable[[], int], send: Callable[[PDU], None], close: Callable[[], None]
    ) -> None:
        """Start empty. `send` writes a PDU, `close` ends the connection."""
        self._hub = hub
        self._next_sequence = next_sequence
        self._send = send
        self._close = close
        self._in_flight: dict[int, QueuedDeliver] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}

    @property
    def has_room(self) -> bool:
        """Whether another DELIVER fits into the window."""
        return len(self._in_flight) < self._hub.window

    def deliver(self, item: QueuedDeliver, mailbox: Mailbox) -> None:
        """Send a DELIVER, with the next fault if there is one."""
        sequence = self._next_sequence()
        pdu = item.make(sequence)
        item.attempts += 1
        self._in_flight[sequence] = item
        fault = self._hub.faults.next_for_deliver()
        self._send(pdu)
        if fault is CMPPFault.DELIVERED_TWICE:
            self._send(pdu)
        elif fault is CMPPFault.REDELIVERED:
            self._in_flight[sequence] = QueuedDeliver(item.make, acknowledged=True)  # ignores the response
            asyncio.get_running_loop().call_soon(self._redeliver, sequence, item, mailbox)
        self._start_timer(sequence)

    def _redeliver(self, sequence: int, item: QueuedDeliver, mailbox: Mailbox) -> None:
        self._in_flight.pop(sequence, None)
        mailbox.queue.appendleft(item)
        mailbox.flush()

    def _start_timer(self, sequence: int) -> None:
        self._timers[sequence] = asyncio.get_running_loop().call_later(self._hub.resend, self._repeat, sequence)

    def _repeat(self, sequence: int) -> None:
        """Repeat a DELIVER without a response, or end the connection after the third attempt."""
        item = self._in_flight.get(sequence)
        if item is None:
            return
        if item.attempts >= ATTEMPTS:
            self._close()
            return
        item.attempts += 1
        self._send(item.make(sequence))
        self._start_timer(sequence)

    def acknowledge(self, sequence: int) -> bool:
        """Process a DELIVER_RESP. Return False if no DELIVER with this Sequence_Id waits for one."""
        item = self._in_flight.pop(sequence, None)
        if (timer := self._timers.pop(sequence, None)) is not None:
            timer.cancel()
        if item is None:
            return False
        if not item.acknowledged:
            item.acknowledged = True
            item.on_acknowledged()
            self._hub.acknowledged += 1
        return True

    def cancel_timers(self) -> None:
        """Repeat nothing from now on."""
        for timer in self._timers.values():
            timer.cancel()

    def take_unacknowledged(self) -> list[QueuedDeliver]:
        """Remove and return the DELIVERs without a response, oldest first."""
        items = [item for item in self._in_flight.values() if not item.acknowledged]
        self._in_flight.clear()
        return items
