"""The platform's CMPP 2.0 side (document, chapter 3): logins, SUBMITs, and reports and uplinks over the connection.

It stands on the same accounts, balances, rates and phones as the HTTP side, and goes wrong on demand. What comes for an
account that is connected goes over a connection; what can't go now waits for the next one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sms1680.cmpp.wire.auth import authenticator_ismg
from sms1680.cmpp.wire.codec import Decoder, encode
from sms1680.cmpp.wire.errors import CodecError
from sms1680.cmpp.wire.longsms import concatenation_header
from sms1680.cmpp.wire.pdus import (
    PDU,
    ActiveTest,
    ActiveTestResp,
    Cancel,
    CancelResp,
    Connect,
    ConnectResp,
    Deliver,
    DeliverResp,
    Query,
    Submit,
    SubmitResp,
    Terminate,
    TerminateResp,
)
from sms1680.cmpp.wire.reports import ReportContent
from sms1680.cmpp.wire.texts import write_text_content

from .accounts import AccountState
from .cmppfaults import CMPPFault, CMPPFaults
from .cmppreports import SegmentReports
from .cmpprules import MALFORMED, Judgement, Rules
from .platform import Platform
from .records import Event, ReportReady, Uplink, UplinkReady

ATTEMPTS = 3
_TOO_FAST = 8
_UNSEEN = frozenset({CMPPFault.LOST_SUBMIT, CMPPFault.DROP_BEFORE, CMPPFault.TOO_FAST, CMPPFault.HALF_OPEN})


@dataclass(slots=True, eq=False)
class Item:
    """One DELIVER that is to reach the account's owner: `make` gives the PDU for a Sequence_Id."""

    make: Callable[[int], Deliver]
    settled: Callable[[], None] = lambda: None
    attempts: int = 0
    acknowledged: bool = False


class Owner:
    """An account's connections, and what waits to go over one of them."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.lines: list[Line] = []
        self.waiting: deque[Item] = deque()

    def pump(self) -> None:
        """Send what waits, over whichever connection has room in its window."""
        for line in self.lines:
            while self.waiting and line.has_room:
                line.deliver(self.waiting.popleft())


class Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: CMPPServer) -> None:
        """Serve whoever connects."""
        self._server = server
        self._decoder = Decoder()
        self._transport: asyncio.Transport | None = None
        self._account: AccountState | None = None
        self._in_flight: dict[int, Item] = {}
        self._repeats: dict[int, asyncio.TimerHandle] = {}
        self._sequence = 0
        self._under_way = 0
        self._tests = 0
        self._silent = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_room(self) -> bool:
        """Whether another DELIVER may go."""
        return self._transport is not None and not self._silent and len(self._in_flight) < self._server.window

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio hands a Protocol nothing else
        self._transport = transport
        self._server.lines.add(self)
        self._rest()

    def data_received(self, data: bytes) -> None:
        """Answer what has come whole."""
        if self._silent:
            return
        self._tests = 0
        self._rest()
        for pdu in self._decoder.receive(data):
            if self._silent or self._transport is None:
                return
            if isinstance(pdu, CodecError):
                self._take_damage(pdu)
            else:
                self._take(pdu)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - it makes no difference
        """Let what was not acknowledged wait for another connection."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        for repeat in self._repeats.values():
            repeat.cancel()
        self._server.lines.discard(self)
        if self._account is not None:
            owner = self._server.owner(self._account.username)
            owner.lines.remove(self)
            owner.waiting.extendleft([item for item in reversed(self._in_flight.values()) if not item.acknowledged])
            self._in_flight.clear()
            owner.pump()

    def abort(self) -> None:
        """Break the connection."""
        if self._transport is not None:
            self._transport.abort()

    def deliver(self, item: Item) -> None:
        """Send a DELIVER and wait for its answer."""
        self._sequence += 1
        sequence = self._sequence
        pdu = item.make(sequence)
        item.attempts += 1
        self._in_flight[sequence] = item
        fault = self._server.faults.take_deliver()
        self._say(pdu)
        if fault is CMPPFault.DELIVERED_TWICE:
            self._say(pdu)
        elif fault is CMPPFault.REDELIVERED:
            self._in_flight[sequence] = Item(item.make, acknowledged=True)  # its answer is not heard
            asyncio.get_running_loop().call_soon(self._redeliver, sequence, item)
        self._repeats[sequence] = self._later(self._server.resend, self._repeat, sequence)

    def _redeliver(self, sequence: int, item: Item) -> None:
        self._in_flight.pop(sequence, None)
        owner = self._server.owner(self._account.username) if self._account else None
        if owner is not None:
            owner.waiting.appendleft(item)
            owner.pump()

    def _repeat(self, sequence: int) -> None:
        """Send a DELIVER again that has no answer, and end the connection after the third time."""
        item = self._in_flight.get(sequence)
        if item is None or self._transport is None or self._silent:
            return
        if item.attempts >= ATTEMPTS:
            self._transport.close()
            return
        item.attempts += 1
        self._say(item.make(sequence))
        self._repeats[sequence] = self._later(self._server.resend, self._repeat, sequence)

    # --- what comes in ---

    def _take(self, pdu: PDU) -> None:
        account = self._account
        match pdu:
            case Connect() if account is None:
                self._login(pdu)
            case Submit():
                self._submit(pdu)
            case DeliverResp():
                self._acknowledged(pdu)
            case ActiveTest():
                self._say(ActiveTestResp(sequence_id=pdu.sequence_id))
            case Query() if account is not None:
                rules = self._server.rules
                self._say(rules.query(account, pdu.sequence_id, pdu.time, pdu.query_type, pdu.query_code))
            case Cancel() if account is not None:
                taken_back = self._server.rules.cancel(pdu.msg_id)
                self._say(CancelResp(sequence_id=pdu.sequence_id, success_id=0 if taken_back else 1))
            case Terminate():
                self._say(TerminateResp(sequence_id=pdu.sequence_id))
                self._close()
            case TerminateResp():
                self._close()
            case _:
                pass

    def _take_damage(self, error: CodecError) -> None:
        if error.fatal:
            self.abort()
        elif error.command_id == Connect.COMMAND_ID:
            self._say(ConnectResp(sequence_id=error.sequence_id, status=MALFORMED))
            self._close()
        elif error.command_id == Submit.COMMAND_ID:
            self._say(SubmitResp(sequence_id=error.sequence_id, result=MALFORMED))

    def _login(self, pdu: Connect) -> None:
        server = self._server
        assert self._transport is not None  # noqa: S101 - it has just brought the CONNECT
        address = self._transport.get_extra_info("peername")[0]
        known = server.rules.account(pdu.source_addr)
        connections = len(server.owner(known.username).lines) if known else 0
        status, account = server.rules.login(pdu, address, connections)
        proof = authenticator_ismg(status, pdu.authenticator_source, known.config.password) if known else bytes(16)
        self._say(ConnectResp(sequence_id=pdu.sequence_id, status=status, authenticator_ismg=proof))
        if account is None:
            self._close()
            return
        self._account = account
        owner = server.owner(account.username)
        owner.lines.append(self)
        owner.pump()

    def _submit(self, pdu: Submit) -> None:
        server, account = self._server, self._account
        if account is None:
            self._say(SubmitResp(sequence_id=pdu.sequence_id, result=2))
            self._close()
            return
        if self._under_way >= server.window:
            self._say(SubmitResp(sequence_id=pdu.sequence_id, result=_TOO_FAST))
            return
        fault = server.faults.take_submit()
        if fault in _UNSEEN:
            self._do_not_see(pdu, fault)
            return
        judgement = server.rules.submit(account, pdu)
        answer = SubmitResp(sequence_id=pdu.sequence_id, msg_id=judgement.msg_id, result=judgement.result)
        self._answer(answer, judgement, fault)

    def _do_not_see(self, pdu: Submit, fault: CMPPFault | None) -> None:
        """Do with a SUBMIT what happens before the platform sees it."""
        if fault is CMPPFault.DROP_BEFORE:
            self.abort()
        elif fault is CMPPFault.TOO_FAST:
            self._say(SubmitResp(sequence_id=pdu.sequence_id, result=_TOO_FAST))
        elif fault is CMPPFault.HALF_OPEN:
            self._silent = True

    def _answer(self, answer: SubmitResp, judgement: Judgement, fault: CMPPFault | None) -> None:
        """Answer a SUBMIT that was judged, as the fault has it."""
        server = self._server
        match fault:
            case CMPPFault.LOST_ANSWER:
                self._end(judgement)
            case CMPPFault.LATE_ANSWER:
                self._under_way += 1
                self._later(server.late, self._answer_late, answer, judgement)
            case CMPPFault.DROP_AFTER:
                self._end(judgement)
                self.abort()
            case CMPPFault.RESTART:
                self._end(judgement)
                server.restart_soon()
            case _:
                self._say(answer)
                self._end(judgement)
                if fault is CMPPFault.ANSWERED_TWICE:
                    self._say(answer)
                elif fault is CMPPFault.TERMINATE:
                    self.terminate()

    def _answer_late(self, answer: SubmitResp, judgement: Judgement) -> None:
        self._under_way -= 1
        self._say(answer)
        self._end(judgement)

    def _end(self, judgement: Judgement) -> None:
        if judgement.account is not None and judgement.verdict is not None:
            self._server.platform.answered(judgement.account, judgement.verdict)

    def _acknowledged(self, pdu: DeliverResp) -> None:
        item = self._in_flight.pop(pdu.sequence_id, None)
        if (repeat := self._repeats.pop(pdu.sequence_id, None)) is not None:
            repeat.cancel()
        if item is not None and self._account is not None:
            if not item.acknowledged:
                item.acknowledged = True
                item.settled()
                self._server.acknowledged += 1
            self._server.owner(self._account.username).pump()
            self._server.platform.changed()

    # --- what goes out ---

    def terminate(self) -> None:
        """End the session from the platform's side."""
        self._sequence += 1
        self._say(Terminate(sequence_id=self._sequence))

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _say(self, pdu: PDU) -> None:
        if self._transport is not None and not self._silent and not self._transport.is_closing():
            self._transport.write(encode(pdu))

    def _rest(self) -> None:
        """Begin anew to wait for a sign of life."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._later(self._server.idle, self._test)

    def _test(self) -> None:
        if self._tests >= ATTEMPTS:
            self._close()
            return
        self._tests += 1
        self._sequence += 1
        self._say(ActiveTest(sequence_id=self._sequence))
        self._timer = self._later(self._server.idle, self._test)

    @staticmethod
    def _later(delay: float, what: Callable[..., None], *arguments: object) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay, what, *arguments)


class CMPPServer:
    """The platform's CMPP port.

    `queued` and `acknowledged` count what was to reach the accounts' owners, and what did.
    `idle`: seconds without a sign of life before it tests a connection. `resend`: until it repeats a DELIVER. `late`:
    that a late answer takes. `down`: that a restart takes. `window`: requests without an answer each way.
    """

    def __init__(self, platform: Platform, *, idle: float = 180.0, resend: float = 60.0) -> None:
        """Serve a platform; `start` opens the port."""
        self.platform = platform
        self.faults = CMPPFaults()
        self.reports = SegmentReports(platform, self.faults, self._report)
        self.rules = Rules(platform, self.reports)
        self.lines: set[Line] = set()
        self.queued = 0
        self.acknowledged = 0
        self.idle = idle
        self.resend = resend
        self.late = 0.2
        self.down = 0.2
        self.window = 16
        self.port = 0
        self.restarts = 0
        self._host = ""
        self._tls = platform.config.cmpp_tls
        self._owners: dict[str, Owner] = {}
        self._server: asyncio.Server | None = None
        self._restart: asyncio.Task[None] | None = None

    def owner(self, username: str) -> Owner:
        """Return an account's connections and what waits for them."""
        return self._owners.setdefault(username, Owner())

    async def start(self, host: str, port: int) -> None:
        """Open the port; 0 finds a free one.

        Raises:
            OSError: it can't be opened.
        """
        self._host, self.port = host, port
        await self._listen()

    async def close(self) -> None:
        """Close the port and every connection."""
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.wait({self._restart})
        self._go_away()

    async def restart(self) -> None:
        """Break every connection, be away for `down` seconds, and come back on the same port."""
        self._go_away()
        await asyncio.sleep(self.down)
        await self._listen()
        self.restarts += 1
        self.platform.changed()

    def restart_soon(self) -> None:
        """Restart in the background, unless that is under way."""
        if self._restart is None or self._restart.done():
            self._restart = asyncio.create_task(self.restart())

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(partial(Line, self), self._host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def _go_away(self) -> None:
        if self._server is not None:
            self._server.close()
        for line in list(self.lines):
            line.abort()

    # --- reports and uplinks ---

    def take(self, event: Event) -> bool:
        """Take what is for an account that is connected, or of what came over CMPP; returns whether it did."""
        match event:
            case ReportReady() if event.message_id in self.reports.sent:
                self.reports.settle(event)
            case UplinkReady(uplink) if self._reaches(uplink):
                self._uplink(uplink)
            case _:
                return False
        return True

    def _reaches(self, uplink: Uplink) -> bool:
        account = self.platform.accounts[uplink.username]
        connected = bool(self.owner(uplink.username).lines)
        return bool(account.config.sp_id) and (connected or not account.uplink_address)

    def _report(self, username: str, content: ReportContent) -> None:
        account = self.platform.accounts[username]
        make = partial(
            _deliver,
            msg_id=self.rules.new_id(),
            dest_id=account.config.source_number,
            service_id=account.config.service_id,
            src_terminal_id=content.dest_terminal_id,
            registered_delivery=1,
            msg_content=bytes(content),
        )
        self._queue(username, Item(make))

    def _uplink(self, uplink: Uplink) -> None:
        written = write_text_content(uplink.text)
        total = len(written.segments)
        left = total

        def settled() -> None:
            nonlocal left
            left -= 1
            if not left:
                uplink.push = "delivered"
                self.platform.changed(uplink)

        uplink.push = "waiting"
        for number, body in enumerate(written.segments, 1):
            header = concatenation_header(uplink.serial % 256, total, number) if total > 1 else b""
            make = partial(
                _deliver,
                msg_id=self.rules.new_id(),
                dest_id=uplink.source + uplink.extension,
                service_id=self.platform.accounts[uplink.username].config.service_id,
                src_terminal_id=uplink.number,
                tp_udhi=1 if header else 0,
                msg_fmt=written.msg_fmt,
                msg_content=header + body,
            )
            self._queue(uplink.username, Item(make, settled))

    def _queue(self, username: str, item: Item) -> None:
        self.queued += 1
        owner = self.owner(username)
        owner.waiting.append(item)
        owner.pump()


def _deliver(sequence_id: int, **fields: object) -> Deliver:
    return Deliver(sequence_id=sequence_id, **fields)  # type: ignore[arg-type]
