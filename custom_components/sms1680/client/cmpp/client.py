"""The asyncio client of one account over CMPP 2.0: it sends, and brings replies and delivery reports back.

It holds no rule of its own: `compose` and `outgoing` know messages, `dispatcher` when they may go, `session` the wire,
`incoming` and `receiver` what comes in, `connection` when to connect again.
"""

from __future__ import annotations

import asyncio
import logging
import random as chance
import ssl
import time
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self, TypeVar, Unpack

from ..checks import positive, seconds, whole
from ..errors import InvalidMessageError, InvalidSettingError, NoAnswerError, error_of, refusal
from ..http.requests import gateway_url
from ..http.send_flow import OnReceipt, tell
from ..limits.rate import Clock, Pace, pace_key
from ..limits.settings import Spending, SpendingLimits
from ..numbers import Number
from ..options import Priority, SendOptions
from ..outcomes import Outcome, Reason, Receipt
from ..text import MAX_LENGTH, Estimate, Signature, SignaturePlace, estimate
from .acknowledger import Acknowledger, OnIncoming
from .compose import Composer, Draft, Sender, Times
from .connection import Connection, OpenTransport
from .dispatcher import Dispatcher, Sleep
from .events import (
    CloseCause,
    DecodeFailed,
    DeliverReceived,
    Ready,
    RequestTimedOut,
    ResponseReceived,
    SessionClosed,
    SessionEvent,
    UnauthenticatedGateway,
)
from .incoming import DeliverProcessor, Incoming
from .outgoing import Call, Limits, Outbox
from .protocol import CMPPProtocol
from .session import SessionSettings
from .status import Status
from .tracking import ReportTracker
from .wire.longsms import ReferenceCounter
from .wire.results import ResultTable
from .wire.texts import Encoding

if TYPE_CHECKING:
    from ..limits.budget import Admission, Guard

__all__ = ["CMPPClient", "CMPPSendOptions"]

PORT: Final = 7890
PATIENCE: Final = 30.0
CONNECT_TIMEOUT: Final = 5.0
CLOSE_TIMEOUT: Final = 10.0

_Told = TypeVar("_Told")

_LOGGER: Final = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class _Begun(NamedTuple):
    """A call on its way, and what it is settled with."""

    call: Call
    settled: asyncio.Future[tuple[Receipt, ...]]


class CMPPSendOptions(SendOptions, total=False):
    """The options of each sending call over CMPP.

    valid_for: how long the gateway tries to deliver, counted from `at` or now. extension: at most 21 digits together
    with the source number.
    """

    valid_for: timedelta | None


class CMPPClient:
    """An account's connection over CMPP 2.0 (document, chapter 3).

        async with CMPPClient("gateway", sp_id="901234", secret="…", source_number="10690001") as sms:
            await sms.send("13800138000", "后门 22:41 打开")
            async for item in sms:
                ...

    Iterating gives every `Reply` and `DeliveryReport` once, until the client is closed. A call that is cancelled stops
    what has not gone; what has is answered in the background and told to `on_receipt`.

    host, port: of the gateway, a name or an address (IPv6 too). sp_id: 企业代码, up to six digits. secret: shared with
    the gateway. source_number: 接入号, what the phone shows. service_id: the provider's business code. signature,
    signature_place, max_length: as over HTTP. encoding: "auto" (ASCII where it can, else UCS2), "ucs2", or "gbk".
    dialect: whose table of results holds, the platform's ("1680") or the "standard".
    http_account: the gateway's address and the user name of the account's HTTP way, which share its pace.

    All times are seconds. rate: items a second that the platform allows the account, None where that is not known.
    patience: of trying again while surely nothing was sent. deadline: from the call, no SUBMIT begins behind it.
    connect_timeout, login_timeout: until connected, until the login is answered. window: SUBMITs without an answer at
    a time. idle: without a sign of life before an ACTIVE_TEST goes. answer_timeout: T, until an answer counts as lost.
    attempts: N, ACTIVE_TESTs until the connection is given up. silence: after which an ACTIVE_TEST must be answered
    before a SUBMIT goes, and while one waits for its answer. assembly_time: that the segments of an uplink may take.
    join_reports: make one result of the reports of a long message's segments; without it each comes by itself, under
    its own segment's id. proof: refuse a gateway that does not prove that it knows the secret. tls: True or a context,
    for tunnels.

    on_receipt: called with each receipt as soon as it is known. on_incoming: called with each reply and report, a plain
    function or a coroutine's; what came in is acknowledged once it has returned, and comes again if it raises or takes
    longer than T/2. on_status: called when the connection changes. wire_log: called with a line for each PDU; numbers,
    texts and secrets are masked. spending: limits on what is spent, shared by the account's clients on this machine,
    those over HTTP too; None for no guard. state_dir: where the machine's processes share the pace.
    connect, clock, sleep, random, now: makes the transport, monotonic seconds, waits, 0.0 to 1.0, the present (aware).

    Raises InvalidSettingError.
    """

    def __init__(
        self,
        host: str,
        port: int = PORT,
        *,
        sp_id: str,
        secret: str,
        source_number: str,
        service_id: str = "",
        signature: str | None = None,
        signature_place: SignaturePlace = "front",
        max_length: int = MAX_LENGTH,
        encoding: Encoding = "auto",
        dialect: ResultTable = "1680",
        http_account: tuple[str, str] | None = None,
        rate: float | None = None,
        patience: float = PATIENCE,
        deadline: float | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        login_timeout: float = 30.0,
        window: int = 16,
        idle: float = 30.0,
        answer_timeout: float = 60.0,
        attempts: int = 3,
        silence: float = 10.0,
        assembly_time: float = 60.0,
        join_reports: bool = True,
        proof: bool = False,
        tls: ssl.SSLContext | Literal[True] | None = None,
        on_receipt: OnReceipt | None = None,
        on_incoming: OnIncoming | None = None,
        on_status: Callable[[Status], object] | None = None,
        wire_log: Callable[[str], object] | None = None,
        spending: SpendingLimits | None = None,
        state_dir: str | None = None,
        connect: OpenTransport | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        random: Callable[[], float] = chance.random,
        now: Callable[[], datetime] = _now,
    ) -> None:
        if dialect not in ("1680", "standard"):
            raise InvalidSettingError("the dialect is 1680 or standard", "返回值表只能是 1680 或 standard")
        if not host.strip() or not secret:
            raise InvalidSettingError("host and secret must not be empty", "平台地址和密码不能为空")
        self._name = f"{host}:{whole('port', port, 65_535)}"
        self._patience = seconds("patience", patience)
        self._deadline = None if deadline is None else seconds("deadline", deadline)
        self._clock = clock
        self._now = now
        self._on_receipt = on_receipt
        self._on_status = on_status
        self._closing = False
        self._warned_unauthenticated = False
        sender = Sender(
            sp_id,
            source_number,
            service_id,
            Signature(signature, signature_place) if signature else None,
            encoding,
            whole("max_length", max_length, 10_000),
        )
        self._sender = sender
        self._composer = Composer(sender, ReferenceCounter(lambda: int(random() * 256) % 256))
        account = self._name, sp_id
        if http_account is not None:
            account = gateway_url(http_account[0]), http_account[1]
        key = pace_key(*account)
        pace = Pace(key, None if rate is None else positive("rate", rate), clock, state_dir)
        self._guard = None if spending is None else self._make_guard(key, spending, state_dir)
        self._sleep = sleep
        self._background: set[asyncio.Task[None]] = set()
        hold = positive("answer_timeout", answer_timeout) / 2
        tracker = ReportTracker(clock(), join=join_reports)
        processor = DeliverProcessor(
            tracker, source_number, assembly_time=positive("assembly_time", assembly_time), ack_timeout=hold
        )
        self._processor = processor
        self._acknowledger = Acknowledger(processor, on_incoming, hold)
        outbox = Outbox(dialect, self._tell if on_receipt else None, self._accepted, processor.on_segment_accepted)
        self._dispatcher = Dispatcher(outbox, pace, sender, clock=clock, sleep=sleep, flushed=self._rearm)
        self._connection = Connection(
            connect or _connector(host, port, tls),
            SessionSettings(
                sp_id,
                secret,
                window=whole("window", window, 1000),
                idle=positive("idle", idle),
                answer_timeout=answer_timeout,
                attempts=whole("attempts", attempts, 100),
                silence=positive("silence", silence),
                login_timeout=positive("login_timeout", login_timeout),
                require_gateway_auth=proof,
            ),
            connect_timeout=positive("connect_timeout", connect_timeout),
            clock=clock,
            sleep=sleep,
            random=random,
            now=now,
            on_events=self._take,
            on_status=self._changed,
            wire_log=wire_log,
        )

    # --- the connection ---

    def start(self) -> None:
        """Begin to connect in the background, and keep connected until `aclose`."""
        if self._closing:
            raise RuntimeError("the client is closed")
        self._connection.start([self._dispatcher, self._acknowledger])

    @property
    def status(self) -> Status:
        """How the connection stands."""
        return self._connection.status

    async def try_login(self) -> None:
        """Connect and log in once, and out again: for checking settings. Not for a client that was started.

        Raises AuthenticationError, RefusedError (with the reason) or NoAnswerError.
        """
        if self._connection.started:
            raise RuntimeError("the client is connected already")
        closed: SessionClosed | None = None
        try:
            self._connection.start_timer([])
            link = await self._connection.open()
            closed = link.closed.result() if link.closed.done() else None
        except (OSError, TimeoutError) as error:
            raise NoAnswerError(Reason.NO_CONNECTION, type(error).__name__) from None
        finally:
            await self._connection.close()
        if closed is None:
            return
        if closed.cause is CloseCause.LOGIN_REFUSED and closed.reason is not None:
            raise refusal((), closed.reason)
        raise NoAnswerError(
            Reason.NOT_UNDERSTOOD if closed.cause is CloseCause.PROTOCOL_ERROR else Reason.LOST, closed.detail
        )

    async def aclose(self, timeout: float = CLOSE_TIMEOUT) -> None:  # noqa: ASYNC109 - how long it is let go on sending
        """Send what still can go within `timeout` seconds, log out, and tell what became of all the rest.

        What was in flight and had no answer is told as unknown, what did not go as not sent. The iterator ends.
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
            await self._acknowledger.drain()
            await self._connection.close()
            if self._background:
                await asyncio.wait(self._background)
            self._acknowledger.finish()

    close = aclose

    async def __aenter__(self) -> Self:
        """Start the client; what is sent waits for the connection as long as its patience lasts."""
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the client."""
        await self.aclose()

    # --- out ---

    async def send(
        self, numbers: Number | Iterable[Number], text: str, **options: Unpack[CMPPSendOptions]
    ) -> tuple[Receipt, ...]:
        """Send one text to one or more numbers.

        numbers: a str or an int is one number. text: at most `max_length` UTF-16 units with its signature.
        Returns a receipt for each number, in the order given; every one is accepted or held. `message_ids` has an id
        for each segment.

        Raises InvalidMessageError before anything is sent; UnknownOutcomeError, RefusedError or NotSentError with all
        receipts in `.receipts` where some number is neither accepted nor held.
        """
        return await self._run(lambda times: self._composer.send(numbers, text, times), **options)

    async def send_template(
        self, template: str, rows: Iterable[Sequence[Number]], **options: Unpack[CMPPSendOptions]
    ) -> tuple[Receipt, ...]:
        """Send a template that is filled in here for each number.

        rows: the number first, then up to five values for {A} to {E}; {PHONE} is the number. Returns and raises as
        `send` does.
        """
        return await self._run(lambda times: self._composer.send_template(template, rows, times), **options)

    async def send_batch(
        self, pairs: Iterable[tuple[Number, str]], **options: Unpack[CMPPSendOptions]
    ) -> tuple[Receipt, ...]:
        """Send each number its own text. Returns and raises as `send` does."""
        return await self._run(lambda times: self._composer.send_batch(pairs, times), **options)

    def estimate(self, text: str, *, refused_words: Iterable[str] = ()) -> Estimate:
        """Return what a text costs one receiver with this client's signature, and what may be blocked in it.

        Nothing is sent. Raises InvalidMessageError.
        """
        signature = self._sender.signature
        return estimate(
            text,
            signature=signature.name if signature else None,
            signature_place=signature.place if signature else "front",
            refused_words=refused_words,
            max_length=self._sender.max_length,
        )

    def spending(self) -> Spending:
        """Return the parts spent within the last hour and day, by whoever guards this account on this machine.

        Nothing is counted without a guard.
        """
        return Spending(0, 0) if self._guard is None else self._guard.spending()

    def _make_guard(self, key: str, limits: SpendingLimits, state_dir: str | None) -> Guard:
        from ..limits.budget import Guard  # noqa: PLC0415 - who guards nothing needs no database

        return Guard(key, limits, lambda: self._now().timestamp(), state_dir)

    async def _run(
        self,
        compose: Callable[[Times], Draft],
        *,
        at: datetime | None = None,
        valid_for: timedelta | None = None,
        extension: str | None = None,
        priority: Priority = "normal",
        patience: float | None = None,
        deadline: float | None = None,
        automatic: bool = False,
        context: object = None,
    ) -> tuple[Receipt, ...]:
        if priority not in ("normal", "critical"):
            raise InvalidMessageError("the priority is normal or critical", "优先级只能是 normal 或 critical")
        began = self._clock()
        until = self._deadline if deadline is None else seconds("deadline", deadline)
        limits = Limits(
            priority,
            self._patience if patience is None else seconds("patience", patience),
            None if until is None else began + until,
            began,
            context,
        )
        draft = compose(self._composer.times(at, valid_for, extension, self._now))
        if self._guard is None:
            receipts = await self._settled(self._begin(draft, limits))
        else:
            receipts = await self._guarded(self._guard, draft, limits, automatic=automatic)
        error = error_of(receipts)
        if error is not None:
            raise error
        return receipts

    async def _guarded(self, guard: Guard, draft: Draft, limits: Limits, *, automatic: bool) -> tuple[Receipt, ...]:
        """Send what the guard on spending admits, and tell the rest that it was held back."""
        messages = draft.messages()
        critical = limits.priority == "critical"
        try:
            admissions = await self._waiting(guard.admit(messages, critical=critical, automatic=automatic))
        except asyncio.CancelledError:
            self._dispatcher.abandon(self._begin(draft, limits).call)
            raise
        held: dict[int, Receipt] = {}
        for index, ((number, parts), admission) in enumerate(zip(messages, admissions, strict=True)):
            if admission.reason is not None:
                held[index] = Receipt(
                    number, Outcome.REFUSED, None, admission.reason, parts, context=limits.context, index=index
                )
                self._tell(held[index])
        counted = [admission for admission in admissions if admission.reason is None]
        went: tuple[Receipt, ...] = ()
        if counted:
            begun = self._begin(draft.only([index for index in range(len(messages)) if index not in held]), limits)
            try:
                went = await self._settled(begun)
            except asyncio.CancelledError:
                self._later(begun.settled, lambda receipts: self._give_back(guard, counted, receipts))
                raise
            await self._give_back(guard, counted, went)
        rest = iter(went)
        receipts = [held[index] if index in held else next(rest) for index in range(len(messages))]
        return tuple([receipts[place] for place in draft.places])

    async def _give_back(self, guard: Guard, admissions: Sequence[Admission], receipts: Iterable[Receipt]) -> None:
        """Take out of the count what certainly cost nothing."""
        pairs = zip(admissions, receipts, strict=True)
        costless = [one for one, receipt in pairs if receipt.outcome.is_failure]
        await self._waiting(guard.give_back(costless))

    async def _waiting(self, steps: Generator[float, None, _Told]) -> _Told:
        """Sleep for as long as these steps say, and return what they return."""
        while True:
            try:
                pause = next(steps)
            except StopIteration as stop:
                told: _Told = stop.value
                return told
            await self._sleep(pause)

    def _later(
        self, settled: asyncio.Future[tuple[Receipt, ...]], then: Callable[[tuple[Receipt, ...]], Awaitable[None]]
    ) -> None:
        """Do something in the background with the receipts of a call that nobody waits for any more."""

        async def wait() -> None:
            await then(await settled)

        task = asyncio.create_task(wait())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _begin(self, draft: Draft, limits: Limits) -> _Begun:
        """Let a call go as soon as it may."""
        settled: asyncio.Future[tuple[Receipt, ...]] = asyncio.get_running_loop().create_future()
        call = Call(draft, limits, settled.set_result)
        if self._closing:
            self._dispatcher.abandon(call)
        else:
            self.start()
        self._dispatcher.add(call)
        return _Begun(call, settled)

    async def _settled(self, begun: _Begun) -> tuple[Receipt, ...]:
        try:
            return await asyncio.shield(begun.settled)
        except asyncio.CancelledError:
            self._dispatcher.abandon(begun.call)
            raise

    # --- in ---

    def __aiter__(self) -> Self:
        """Iterate over what comes in; several may do so, and each thing goes to one of them."""
        return self

    async def __anext__(self) -> Incoming:
        """Return the next reply or report."""
        value = await self._acknowledger.get()
        if value is None:
            raise StopAsyncIteration
        return value

    # --- what the others tell ---

    def _take(self, link: CMPPProtocol, events: list[SessionEvent]) -> None:
        for event in events:
            if isinstance(event, ResponseReceived):
                self._dispatcher.answered(event)
            elif isinstance(event, DeliverReceived):
                in_flight = link.session.in_flight > 0
                self._acknowledger.on_deliver(link, event, self._clock(), in_flight=in_flight)
            else:
                self._take_rare(link, event)
        self._dispatcher.flush()

    def _rearm(self) -> None:
        self._connection.rearm()

    def _take_rare(self, link: CMPPProtocol, event: SessionEvent) -> None:
        match event:
            case Ready():
                if not self._closing:
                    self._dispatcher.up(link)
                self._connection.on_ready()
            case RequestTimedOut(key):
                _LOGGER.warning("CMPP: no answer to a SUBMIT; its message may have gone and is not sent again")
                self._dispatcher.unanswered(key)
            case DecodeFailed(error):
                _LOGGER.warning("CMPP: a PDU can't be read: %s", error)
            case UnauthenticatedGateway():
                if not self._warned_unauthenticated:
                    _LOGGER.warning("CMPP: the gateway did not prove that it knows the secret; many don't")
                self._warned_unauthenticated = True
            case SessionClosed(unanswered=keys):
                for key in keys:
                    self._dispatcher.unanswered(key)

    def _changed(self, status: Status) -> None:
        if not status.connected:
            self._dispatcher.down(status.reason)
        if self._on_status is not None:
            self._on_status(status)

    def _accepted(self, ids: tuple[int, ...], total: int) -> None:
        handed = self._processor.on_message_accepted(ids, total, self._clock())
        if handed:
            self._acknowledger.dispatch(handed)

    def _tell(self, receipt: Receipt) -> None:
        if self._on_receipt is not None:
            tell(self._on_receipt, receipt)

    def __repr__(self) -> str:
        """Show no secret."""
        return f"CMPPClient({self._name}, {'connected' if self.status.connected else 'not connected'})"


def _connector(host: str, port: int, tls: ssl.SSLContext | Literal[True] | None) -> OpenTransport:
    context = ssl.create_default_context() if tls is True else tls  # it reads files: not while connecting

    async def connect(make: Callable[[], asyncio.Protocol]) -> object:
        loop = asyncio.get_running_loop()
        return await loop.create_connection(make, host, port, ssl=context, happy_eyeballs_delay=0.25)

    return connect
