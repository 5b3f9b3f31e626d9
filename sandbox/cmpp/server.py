"""The platform's CMPP port: accepts connections, and sends delivery reports and uplinks over them.

Reports and uplinks of an account wait for its next connection if none has room.
"""

from __future__ import annotations

import asyncio
from functools import partial

from sms1680.cmpp.wire.longsms import concatenation_header
from sms1680.cmpp.wire.pdus import Deliver
from sms1680.cmpp.wire.reports import ReportContent
from sms1680.cmpp.wire.texts import write_text_content

from ..platform import Platform
from ..records import Event, ReportReady, Uplink, UplinkReady
from .connection import CMPPConnection
from .faults import CMPPFaults
from .hub import Hub, QueuedDeliver
from .reports import SegmentReports
from .rules import Rules


class CMPPServer(Hub):
    """The CMPP port of a platform.

    `down`: the duration of a restart in seconds. `restarts`: the number of restarts so far. See `Hub` for the rest.
    """

    def __init__(self, platform: Platform, *, idle: float = 180.0, resend: float = 60.0) -> None:
        """Prepare the port; `start` opens it."""
        faults = CMPPFaults()
        self.reports = SegmentReports(platform, faults, self.queue_report)
        super().__init__(platform, faults, Rules(platform, self.reports), idle=idle, resend=resend)
        self.down = 0.2
        self.port = 0
        self.restarts = 0
        self._host = ""
        self._server: asyncio.Server | None = None
        self._restart: asyncio.Task[None] | None = None

    # --- the port ---

    async def start(self, host: str, port: int) -> None:
        """Open the port; 0 selects a free one.

        Raises:
            OSError: it cannot be opened.
        """
        self._host, self.port = host, port
        await self._listen()

    async def close(self) -> None:
        """Close the port and every connection."""
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.wait({self._restart})
        self._disconnect()

    async def restart(self) -> None:
        """Break every connection, stay offline for `down` seconds, and listen on the same port again."""
        self._disconnect()
        await asyncio.sleep(self.down)
        await self._listen()
        self.restarts += 1
        self.platform.changed()

    def restart_soon(self) -> None:
        """Restart in the background, unless a restart is in progress."""
        if self._restart is None or self._restart.done():
            self._restart = asyncio.create_task(self.restart())

    async def _listen(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            partial(CMPPConnection, self, self.restart_soon), self._host, self.port, ssl=self.platform.config.cmpp_tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def _disconnect(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.abort()

    # --- reports and uplinks ---

    def handle(self, event: Event) -> bool:
        """Return True if the event goes over CMPP: a report of a CMPP message, or an uplink for a connected account."""
        match event:
            case ReportReady() if event.message_id in self.reports.sent:
                self.reports.settle(event)
            case UplinkReady(uplink) if self._takes_uplink(uplink):
                self._queue_uplink(uplink)
            case _:
                return False
        return True

    def _takes_uplink(self, uplink: Uplink) -> bool:
        account = self.platform.accounts[uplink.username]
        connected = bool(self.mailbox(uplink.username).connections)
        return bool(account.config.sp_id) and (connected or not account.uplink_address)

    def queue_report(self, username: str, content: ReportContent) -> None:
        """Queue a delivery report for an account's owner."""
        account = self.platform.accounts[username]
        make = partial(
            _make_deliver,
            msg_id=self.rules.new_id(),
            dest_id=account.config.source_number,
            service_id=account.config.service_id,
            src_terminal_id=content.dest_terminal_id,
            registered_delivery=1,
            msg_content=bytes(content),
        )
        self.queue(username, QueuedDeliver(make))

    def _queue_uplink(self, uplink: Uplink) -> None:
        written = write_text_content(uplink.text)
        total = len(written.segments)
        remaining = total

        def on_acknowledged() -> None:
            nonlocal remaining
            remaining -= 1
            if not remaining:
                uplink.push = "delivered"
                self.platform.changed(uplink)

        uplink.push = "waiting"
        for number, body in enumerate(written.segments, 1):
            header = concatenation_header(uplink.serial % 256, total, number) if total > 1 else b""
            make = partial(
                _make_deliver,
                msg_id=self.rules.new_id(),
                dest_id=uplink.source + uplink.extension,
                service_id=self.platform.accounts[uplink.username].config.service_id,
                src_terminal_id=uplink.number,
                tp_udhi=1 if header else 0,
                msg_fmt=written.msg_fmt,
                msg_content=header + body,
            )
            self.queue(uplink.username, QueuedDeliver(make, on_acknowledged))


def _make_deliver(sequence_id: int, **fields: object) -> Deliver:
    return Deliver(sequence_id=sequence_id, **fields)  # type: ignore[arg-type]
