"""The asyncio client of one account over CMPP 2.0: sends messages, and receives replies and delivery reports.

The client connects the parts that hold the rules: `compose` and `outgoing` know messages, `dispatcher` decides when
they are submitted, `session` speaks the protocol, `incoming` and `acknowledger` handle received items, and
`connection` reconnects.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final, Self, Unpack

from ..account import account_key, gateway_url
from ..checks import seconds, whole
from ..errors import InvalidSettingError, NoAnswerError, refusal
from ..limits.base_client import BaseClient, successful
from ..numbers import Number, normalise_number
from ..options import SendOptions
from ..outcomes import Reason
from ..plan import SendPlan, plan_batch, plan_send, plan_template
from ..receipts import Receipt, call_hook
from .acknowledger import Acknowledger
from .canceller import Cancellation, Canceller, CancelOutcome, parse_msg_id
from .client_settings import CMPPClientOptions, CMPPSettings
from .compose import Composer, SubmitSettings
from .connection import Connection
from .dispatcher import Dispatcher
from .events import (
    CloseCause,
    DecodeFailed,
    DeliverReceived,
    Key,
    Ready,
    RequestTimedOut,
    ResponseReceived,
    SessionClosed,
    SessionEvent,
    UnauthenticatedGateway,
)
from .incoming import DeliverProcessor, Incoming
from .outgoing import Call, Outbox
from .protocol import CMPPProtocol
from .proxy import NoTunnelError, ProxyError
from .sender import Sender
from .status import Status
from .timer import Timer
from .tracking import ReportTracker
from .tunnel import open_transport
from .wire.longsms import ReferenceCounter

PORT: Final = 7890

_Receipts = tuple[Receipt, ...]

_LOGGER: Final = logging.getLogger(__name__)


class CMPPSendOptions(SendOptions, total=False):
    """The options of each sending call over CMPP.

    valid_for: how long the gateway tries to deliver, counted from `at` or now. extension: at most 21 digits together
    with the source number.
    """

    valid_for: timedelta | None


class CMPPClient(BaseClient):
    """The connection of an account over CMPP 2.0 (docs/protocol.md, section 3).

        async with CMPPClient("gateway", sp_id="901234", secret="…", source_number="10690001") as sms:
            await sms.send("13800138000", "后门 22:41 打开")
            async for item in sms:
                ...

    Iterating returns every `Reply` and `DeliveryReport` once, until the client is closed. Cancelling a call stops the
    messages that are not submitted yet; the others are answered in the background, and `on_receipt` gets all receipts.

    host, port: of the gateway, a name or an IPv4 or IPv6 address. sp_id: the 企业代码, up to six digits. secret: the
    password shared with the gateway. source_number: the 接入号, shown on the phone.
    The other arguments are in `CMPPClientOptions`. Raises InvalidSettingError.
    """

    def __init__(
        self,
        host: str,
        port: int = PORT,
        *,
        sp_id: str,
        secret: str,
        source_number: str,
        **settings: Unpack[CMPPClientOptions],
    ) -> None:
        if not host.strip() or not secret:
            raise InvalidSettingError("host and secret must not be empty", "平台地址和密码不能为空")
        checked = CMPPSettings(**settings)
        self._name = f"{host}:{whole('port', port, 65_535)}"
        account = self._name, sp_id
        if checked.http_account is not None:
            account = gateway_url(checked.http_account[0]), checked.http_account[1]
        super().__init__(account_key(*account), checked)
        self._on_status = checked.on_status
        self._closing = False
        self._warned_unauthenticated = False
        submit = SubmitSettings(sp_id, source_number, checked.service_id, checked.encoding)
        references = ReferenceCounter(lambda: int(checked.random() * 256) % 256)
        self._composer = Composer(submit, self._signature, references)
        hold = checked.answer_timeout / 2
        tracker = ReportTracker(self._clock(), join=checked.join_reports)
        self._processor = DeliverProcessor(
            tracker, source_number, assembly_time=checked.assembly_time, ack_timeout=hold
        )
        self._acknowledger = Acknowledger(self._processor, checked.on_incoming, hold)
        on_receipt = None if self._on_receipt is None else partial(call_hook, self._on_receipt)
        outbox = Outbox(checked.dialect, on_receipt, self._on_accepted, self._processor.on_segment_accepted)
        self._timer = Timer(checked.clock, checked.sleep)
        self._dispatcher = Dispatcher(
            outbox, self._limiter, submit, clock=checked.clock, sleep=checked.sleep, on_flushed=self._timer.rearm
        )
        self._sender = Sender(
            self._composer,
            self._dispatcher,
            self._guard,
            patience=self._patience,
            on_receipt=self._on_receipt,
            connect=self._connect,
            sleep=checked.sleep,
        )
        self._canceller = Canceller(checked.clock, self._timer.rearm)
        self._connection = Connection(
            checked.connect or open_transport(host, port, checked),
            checked,
            checked.session(sp_id, secret),
            timer=self._timer,
            on_events=self._on_events,
            on_status=self._on_changed_status,
        )

    # --- the connection ---

    def start(self) -> None:
        """Connect in the background, and stay connected until `aclose`."""
        if self._closing:
            raise RuntimeError("the client is closed")
        if not self._connection.started:
            self._connection.start()
            self._timer.start([self._connection, self._dispatcher, self._canceller, self._acknowledger])

    @property
    def status(self) -> Status:
        """The status of the connection."""
        return self._connection.status

    async def try_login(self) -> None:
        """Connect, log in and log out once, to check the settings. The client must not be started.

        Raises AuthenticationError, RefusedError (with the reason) or NoAnswerError.
        """
        if self._connection.started:
            raise RuntimeError("the client is connected already")
        try:
            self._timer.start([self._connection])
            link = await self._connection.open()
            closed = link.closed.result() if link.closed.done() else None
        except ProxyError as error:
            raise NoTunnelError(error.problem) from None
        except (OSError, TimeoutError) as error:
            raise NoAnswerError(Reason.NO_CONNECTION, type(error).__name__) from None
        finally:
            await self._connection.close()
            await self._timer.stop()
        if closed is None:
            return
        if closed.cause is CloseCause.LOGIN_REFUSED and closed.reason is not None:
            raise refusal((), closed.reason)
        raise NoAnswerError(
            Reason.NOT_UNDERSTOOD if closed.cause is CloseCause.PROTOCOL_ERROR else Reason.LOST, closed.detail
        )

    async def aclose(self, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - bounds the sending only
        """Send queued messages for at most `timeout` seconds, log out, and settle all other messages.

        A message without an answer is unknown, and a message that was not submitted is not sent. The iterator ends.
        """
        if self._closing:
            return
        self._closing = True
        try:
            if self.status.connected:
                async with asyncio.timeout(timeout):
                    await self._dispatcher.drain()
        except TimeoutError:
            pass
        finally:
            self._dispatcher.stop()
            self._canceller.stop()
            await self._acknowledger.drain()
            await self._connection.close()
            await self._timer.stop()
            await self._sender.drain()
            self._acknowledger.finish()

    close = aclose

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    # --- sending ---

    async def send(
        self, numbers: Number | Iterable[Number], text: str, **options: Unpack[CMPPSendOptions]
    ) -> _Receipts:
        """Send one text to one or more numbers.

        numbers: a str or an int is one number. text: at most `max_length` UTF-16 units with its signature.
        Returns a receipt for each number in the order of the call; every number is accepted or held. `message_ids` has
        an id for each segment.

        Raises InvalidMessageError before anything is sent. Raises UnknownOutcomeError, RefusedError or NotSentError,
        with all receipts in `.receipts`, if a number is neither accepted nor held.
        """
        if options or (call := self._begin_single(numbers, text)) is None:
            return await self._send(partial(plan_send, numbers, text), **options)
        try:
            return successful(await call.settled)
        except asyncio.CancelledError:
            self._dispatcher.abandon(call)
            raise

    async def send_template(
        self, template: str, rows: Iterable[Sequence[Number]], **options: Unpack[CMPPSendOptions]
    ) -> _Receipts:
        """Send a template that the client fills in for each number.

        rows: the number, then up to five values for {A} to {E}; {PHONE} is the number. Returns and raises as `send`
        does.
        """
        return await self._send(partial(plan_template, template, rows), **options)

    async def send_batch(self, pairs: Iterable[tuple[Number, str]], **options: Unpack[CMPPSendOptions]) -> _Receipts:
        """Send each number its own text. Returns and raises as `send` does."""
        return await self._send(partial(plan_batch, pairs), **options)

    async def _send(
        self, make_plan: Callable[..., SendPlan], *, valid_for: timedelta | None = None, **options: Any
    ) -> _Receipts:
        plan, checked = self._prepare(make_plan, **options)
        fields = self._composer.fields(plan, valid_for, self._now)
        return successful(await self._sender.send(plan, fields, checked))

    def _begin_single(self, number: Number | Iterable[Number], text: str) -> Call | None:
        """Begin a call for one number without options, or return None if it takes more than one segment or a guard."""
        if self._guard is not None or not isinstance(number, str):
            return None
        number = normalise_number(number)
        encoded = self._composer.encode_single(text, self._max_length)
        if encoded is None:
            return None
        began = self._clock()
        until = None if self._deadline is None else began + self._deadline
        return self._sender.begin_single(number, encoded, began, until)

    def _connect(self) -> bool:
        """Connect in the background unless the client is closed; return whether it is open."""
        if not self._closing:
            self.start()
        return not self._closing

    async def cancel(self, message_id: str, *, patience: float | None = None) -> CancelOutcome:
        """Cancel a message that was sent with `at` and that the gateway has not sent yet. HTTP has no such call.

        message_id: of one segment; cancel each of a receipt's `message_ids`. It concerns all numbers of the message
        with this id. patience: seconds to wait for a connection, by default the client's. The gateway may still send a
        delivery report for a cancelled message, for example DELETED.

        Raises InvalidMessageError for an id of another kind, and NoAnswerError if there was no connection in time, so
        that nothing was cancelled. A lost answer is `CancelOutcome.UNKNOWN`; some gateways close the connection instead
        of answering (docs/cmpp.md, trap 24).
        """
        wait = self._patience if patience is None else seconds("patience", patience)
        outcome = self._canceller.add(parse_msg_id(message_id), wait)
        if not self._closing:
            self.start()
            # Later: a hook may cancel while segments are on their way into the window.
            asyncio.get_running_loop().call_soon(self._canceller.flush)
        return await outcome

    # --- receiving ---

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Incoming:
        """Return the next reply or report. With several iterators, each item goes to one of them."""
        value = await self._acknowledger.get()
        if value is None:
            raise StopAsyncIteration
        return value

    # --- callbacks of the parts ---

    def _on_events(self, link: CMPPProtocol, events: list[SessionEvent]) -> None:
        for event in events:
            if isinstance(event, ResponseReceived):
                self._owner_of(event.key).on_response(event)
            elif isinstance(event, DeliverReceived):
                self._acknowledger.on_deliver(link, event, self._clock())
            else:
                self._on_rare_event(link, event)
        if events and not self._dispatcher.is_waiting:
            self._dispatcher.flush_soon()
        else:
            self._dispatcher.flush()
        self._canceller.flush()

    def _on_rare_event(self, link: CMPPProtocol, event: SessionEvent) -> None:
        match event:
            case Ready():
                if not self._closing:
                    self._dispatcher.on_connected(link)
                    self._canceller.on_connected(link)
                self._connection.set_status(Status(connected=True))
            case RequestTimedOut(key):
                if not isinstance(key, Cancellation):
                    _LOGGER.warning("CMPP: no answer to a SUBMIT; its message may have been sent and is not repeated")
                self._owner_of(key).on_no_response(key)
            case DecodeFailed(error):
                _LOGGER.warning("CMPP: a PDU could not be decoded: %s", error)
            case UnauthenticatedGateway():
                if not self._warned_unauthenticated:
                    _LOGGER.warning("CMPP: the gateway did not prove that it knows the secret, like many others")
                self._warned_unauthenticated = True
            case SessionClosed(unanswered=keys):
                for key in keys:
                    self._owner_of(key).on_no_response(key)

    def _owner_of(self, key: Key) -> Dispatcher | Canceller:
        return self._canceller if isinstance(key, Cancellation) else self._dispatcher

    def _on_changed_status(self, status: Status) -> None:
        if not status.connected:
            # Messages can be sent again, whatever closed a working connection.
            reason = Reason.NO_CONNECTION if status.reason is Reason.CORRUPT else status.reason
            self._dispatcher.on_disconnected(reason)
            self._canceller.on_disconnected()
        if self._on_status is not None:
            self._on_status(status)

    def _on_accepted(self, ids: tuple[int, ...], total: int) -> None:
        self._acknowledger.dispatch(self._processor.on_message_accepted(ids, total, self._clock()))

    def __repr__(self) -> str:
        return f"CMPPClient({self._name}, {'connected' if self.status.connected else 'not connected'})"
