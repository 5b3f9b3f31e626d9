"""One connection to the CMPP port: login, SUBMITs with their faults, link tests and DELIVERs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import cast

from sms1680.cmpp.wire.auth import authenticator_ismg
from sms1680.cmpp.wire.codec import Decoder, encode
from sms1680.cmpp.wire.errors import CodecError
from sms1680.cmpp.wire.pdus import (
    PDU,
    ActiveTest,
    ActiveTestResp,
    Cancel,
    CancelResp,
    Connect,
    ConnectResp,
    DeliverResp,
    Query,
    Submit,
    SubmitResp,
    Terminate,
    TerminateResp,
)

from ..accounts import AccountState
from .faults import CMPPFault
from .hub import Hub, QueuedDeliver
from .rules import MALFORMED, NOT_LOGGED_IN, TOO_FAST, SubmitDecision
from .window import ATTEMPTS, DeliverWindow

# Faults of a SUBMIT that the platform never processes.
_UNPROCESSED = frozenset({CMPPFault.LOST_SUBMIT, CMPPFault.DROP_BEFORE, CMPPFault.TOO_FAST, CMPPFault.HALF_OPEN})


class CMPPConnection(asyncio.Protocol):
    """One connection. `restart` restarts the whole port."""

    def __init__(self, hub: Hub, restart: Callable[[], None]) -> None:
        """Wait for a CONNECT."""
        self._hub = hub
        self._restart = restart
        self._decoder = Decoder()
        self._transport: asyncio.Transport | None = None
        self._account: AccountState | None = None
        self._next_sequence = count(1).__next__
        self._window = DeliverWindow(hub, self._next_sequence, self._send, self._close)
        self._pending_submits = 0
        self._silent = False
        self._link_tests = 0
        self._idle_timer: asyncio.TimerHandle | None = None

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the connection."""
        self._transport = cast("asyncio.Transport", transport)  # the kind of every stream, also of other event loops
        self._hub.connections.add(self)
        self._restart_idle_timer()

    def data_received(self, data: bytes) -> None:
        """Process every complete PDU."""
        if self._silent:
            return
        self._link_tests = 0
        self._restart_idle_timer()
        for pdu in self._decoder.receive(data):
            if self._silent or self._transport is None:
                return
            if isinstance(pdu, CodecError):
                self._on_codec_error(pdu)
            else:
                self._on_pdu(pdu)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the cause makes no difference
        """Return unacknowledged DELIVERs to the mailbox."""
        self._transport = None
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._hub.connections.discard(self)
        self._window.cancel_timers()
        if self._account is not None:
            mailbox = self._hub.mailbox(self._account.username)
            mailbox.connections.remove(self)
            mailbox.queue.extendleft(reversed(self._window.take_unacknowledged()))
            mailbox.flush()

    # --- for the mailbox and the server ---

    @property
    def has_room(self) -> bool:
        """Whether the connection can carry another DELIVER."""
        return self._transport is not None and not self._silent and self._window.has_room

    def deliver(self, item: QueuedDeliver) -> None:
        """Send a DELIVER and wait for its response."""
        assert self._account is not None  # noqa: S101 - only logged-in connections are in a mailbox
        self._window.deliver(item, self._hub.mailbox(self._account.username))

    def abort(self) -> None:
        """Break the connection."""
        if self._transport is not None:
            self._transport.abort()

    # --- incoming PDUs ---

    def _on_pdu(self, pdu: PDU) -> None:
        account = self._account
        match pdu:
            case Connect() if account is None:
                self._on_connect(pdu)
            case Submit() if account is not None:
                self._on_submit(account, pdu)
            case Submit():
                self._send(SubmitResp(sequence_id=pdu.sequence_id, result=NOT_LOGGED_IN))
                self._close()
            case DeliverResp() if account is not None:
                self._on_deliver_resp(account, pdu)
            case ActiveTest():
                self._send(ActiveTestResp(sequence_id=pdu.sequence_id))
            case Query() if account is not None:
                self._send(self._hub.rules.query(account, pdu))
            case Cancel() if account is not None:
                cancelled = self._hub.rules.cancel(account, pdu.msg_id)
                self._send(CancelResp(sequence_id=pdu.sequence_id, success_id=0 if cancelled else 1))
            case Terminate():
                self._send(TerminateResp(sequence_id=pdu.sequence_id))
                self._close()
            case TerminateResp():
                self._close()

    def _on_codec_error(self, error: CodecError) -> None:
        if error.fatal:
            self.abort()
        elif error.command_id == Connect.COMMAND_ID:
            self._send(ConnectResp(sequence_id=error.sequence_id, status=MALFORMED))
            self._close()
        elif error.command_id == Submit.COMMAND_ID:
            self._send(SubmitResp(sequence_id=error.sequence_id, result=MALFORMED))

    def _on_connect(self, pdu: Connect) -> None:
        hub = self._hub
        assert self._transport is not None  # noqa: S101 - the CONNECT has just arrived over it
        address = self._transport.get_extra_info("peername")[0]
        known = hub.rules.account(pdu.source_addr)
        connections = len(hub.mailbox(known.username).connections) if known else 0
        status, account = hub.rules.login(pdu, address, connections)
        proof = authenticator_ismg(status, pdu.authenticator_source, known.config.password) if known else bytes(16)
        self._send(ConnectResp(sequence_id=pdu.sequence_id, status=status, authenticator_ismg=proof))
        if account is None:
            self._close()
            return
        self._account = account
        mailbox = hub.mailbox(account.username)
        mailbox.connections.append(self)
        mailbox.flush()

    def _on_deliver_resp(self, account: AccountState, pdu: DeliverResp) -> None:
        if self._window.acknowledge(pdu.sequence_id):
            self._hub.mailbox(account.username).flush()
            self._hub.platform.changed()

    # --- SUBMIT ---

    def _on_submit(self, account: AccountState, pdu: Submit) -> None:
        hub = self._hub
        if self._pending_submits >= hub.window:
            self._send(SubmitResp(sequence_id=pdu.sequence_id, result=TOO_FAST))
            return
        fault = hub.faults.next_for_submit()
        if fault in _UNPROCESSED:
            self._fail_before_processing(pdu, fault)
            return
        decision = hub.rules.submit(account, pdu)
        response = SubmitResp(sequence_id=pdu.sequence_id, msg_id=decision.msg_id, result=decision.result)
        self._respond(response, decision, fault)

    def _fail_before_processing(self, pdu: Submit, fault: CMPPFault | None) -> None:
        if fault is CMPPFault.DROP_BEFORE:
            self.abort()
        elif fault is CMPPFault.TOO_FAST:
            self._send(SubmitResp(sequence_id=pdu.sequence_id, result=TOO_FAST))
        elif fault is CMPPFault.HALF_OPEN:
            self._silent = True
            self._window.cancel_timers()

    def _respond(self, response: SubmitResp, decision: SubmitDecision, fault: CMPPFault | None) -> None:
        """Respond to a SUBMIT that the platform has processed, with the fault if there is one."""
        if fault is CMPPFault.LATE_ANSWER:
            self._pending_submits += 1
            asyncio.get_running_loop().call_later(self._hub.late, self._respond_late, response, decision)
            return
        lost = fault in {CMPPFault.LOST_ANSWER, CMPPFault.DROP_AFTER, CMPPFault.RESTART}
        if not lost:
            self._send(response)
        self._hub.rules.answered(decision)
        match fault:
            case CMPPFault.DROP_AFTER:
                self.abort()
            case CMPPFault.RESTART:
                self._restart()
            case CMPPFault.ANSWERED_TWICE:
                self._send(response)
            case CMPPFault.TERMINATE:
                self._send(Terminate(sequence_id=self._next_sequence()))

    def _respond_late(self, response: SubmitResp, decision: SubmitDecision) -> None:
        self._pending_submits -= 1
        self._send(response)
        self._hub.rules.answered(decision)

    # --- outgoing PDUs ---

    def _send(self, pdu: PDU) -> None:
        if self._transport is not None and not self._silent and not self._transport.is_closing():
            self._transport.write(encode(pdu))

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _restart_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._idle_timer = asyncio.get_running_loop().call_later(self._hub.idle, self._test_link)

    def _test_link(self) -> None:
        if self._link_tests >= ATTEMPTS:
            self._close()
            return
        self._link_tests += 1
        self._send(ActiveTest(sequence_id=self._next_sequence()))
        self._restart_idle_timer()
