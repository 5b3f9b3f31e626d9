"""The two clients: one face, blocking and asyncio. They carry what `sending` decides and hold no logic of their own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

from ..checks import positive, seconds, whole
from ..errors import InvalidMessageError, InvalidSettingError, error_of
from ..limits.budget import Guard
from ..limits.rate import Clock, Pace, pace_key
from ..limits.settings import Spending, SpendingLimits
from ..options import Priority, SendOptions
from ..text import MAX_LENGTH, Estimate, Signature, SignaturePlace, estimate
from .requests import (
    DEFAULT_GATEWAY,
    Plan,
    ask_balance,
    gateway_url,
    plan_batch,
    plan_send,
    plan_template,
    send_options,
)
from .responses import read_balance
from .send_flow import Effect, Exchange, Limits, OnReceipt, Sending, Steps
from .transport import ANSWER_TIMEOUT, CONNECT_TIMEOUT, Answer, Carrier, Failure, Request, Timeouts

if TYPE_CHECKING:
    from types import TracebackType

    import httpx

    from ..account import Account
    from ..numbers import Number
    from ..outcomes import Receipt
    from .httpx_transport import AsyncHttpxCarrier

PATIENCE = 30.0
PACKET_SIZE = 100
LARGEST_PACKET = 1000

_LOGGER = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class Settings(TypedDict, total=False):
    """What both clients may be given besides the account; each may be left out.

    gateway: the platform's address. signature, signature_place: the 【…】, in "front" (default), "behind", or added by
    the "platform". rate: items a second that the platform allows the account, None where that is not known.
    packet_size: items a request, 1 to 1000 (100). max_length: UTF-16 units of a text with its signature (500).
    patience: seconds of trying again where surely nothing was sent: "too fast", no connection (30). deadline: seconds
    from the call behind which no request begins, None for no bound. timeout, connect_timeout: seconds without an
    answer (30), and until connected (5). proxy: its address. verify: whether TLS certificates are verified.
    on_receipt: called with each receipt as soon as it is known, those of cancelled calls too.
    spending: limits on what is spent, shared by the clients of the account on this machine; None for no guard.
    state_dir: the folder in which the processes of the machine share the pace, None for the usual one.
    clock: monotonic seconds, the same in all processes. now: the present, aware.
    """

    gateway: str
    signature: str | None
    signature_place: SignaturePlace
    rate: float | None
    packet_size: int
    max_length: int
    patience: float
    deadline: float | None
    timeout: float
    connect_timeout: float
    proxy: str | None
    verify: bool
    on_receipt: OnReceipt | None
    spending: SpendingLimits | None
    state_dir: str | None
    clock: Clock
    now: Callable[[], datetime]


class _Face:
    """What both clients share: the settings, and how a call becomes a `Sending`."""

    def __init__(
        self,
        account: Account,
        *,
        gateway: str = DEFAULT_GATEWAY,
        signature: str | None = None,
        signature_place: SignaturePlace = "front",
        rate: float | None = None,
        packet_size: int = PACKET_SIZE,
        max_length: int = MAX_LENGTH,
        patience: float = PATIENCE,
        deadline: float | None = None,
        timeout: float = ANSWER_TIMEOUT,
        connect_timeout: float = CONNECT_TIMEOUT,
        proxy: str | None = None,
        verify: bool = True,
        on_receipt: OnReceipt | None = None,
        spending: SpendingLimits | None = None,
        state_dir: str | None = None,
        clock: Clock = time.monotonic,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._account = account
        self._gateway = gateway_url(gateway)
        self._signature = Signature(signature, signature_place) if signature else None
        self._packet_size = whole("packet_size", packet_size, LARGEST_PACKET)
        self._max_length = whole("max_length", max_length, 10_000)
        self._patience = seconds("patience", patience)
        self._deadline = None if deadline is None else seconds("deadline", deadline)
        self._timeouts = Timeouts(positive("connect_timeout", connect_timeout), positive("timeout", timeout))
        self._proxy = proxy
        self._verify = verify
        self._on_receipt = on_receipt
        self._clock = clock
        self._now = now
        known_rate = None if rate is None else positive("rate", rate)
        key = pace_key(self._gateway, account.username)
        self._pace = Pace(key, known_rate, clock, state_dir)
        self._guard = None if spending is None else Guard(key, spending, lambda: now().timestamp(), state_dir)

    def estimate(self, text: str, *, refused_words: Iterable[str] = ()) -> Estimate:
        """Return what a text costs one receiver with this client's signature, and what may be blocked in it.

        Nothing is sent. Raises InvalidMessageError.
        """
        signature = self._signature
        return estimate(
            text,
            signature=signature.name if signature else None,
            signature_place=signature.place if signature else "front",
            refused_words=refused_words,
            max_length=self._max_length,
        )

    def spending(self) -> Spending:
        """Return the parts spent within the last hour and day, by whoever guards this account on this machine.

        Nothing is counted without a guard.
        """
        return Spending(0, 0) if self._guard is None else self._guard.spending()

    def _send(self, numbers: Number | Iterable[Number], text: str, **options: Unpack[SendOptions]) -> Sending:
        return self._sending(lambda **common: plan_send(numbers, text, **common), **options)

    def _send_template(
        self, template: str, rows: Iterable[Sequence[Number]], **options: Unpack[SendOptions]
    ) -> Sending:
        return self._sending(lambda **common: plan_template(template, rows, **common), **options)

    def _send_batch(self, pairs: Iterable[tuple[Number, str]], **options: Unpack[SendOptions]) -> Sending:
        return self._sending(lambda **common: plan_batch(pairs, **common), **options)

    def _sending(
        self,
        plan: Callable[..., Plan],
        *,
        at: datetime | None = None,
        extension: str | None = None,
        priority: Priority = "normal",
        patience: float | None = None,
        deadline: float | None = None,
        automatic: bool = False,
        context: object = None,
    ) -> Sending:
        if priority not in ("normal", "critical"):
            raise InvalidMessageError("the priority is normal or critical", "优先级只能是 normal 或 critical")
        until = self._deadline if deadline is None else seconds("deadline", deadline)
        limits = Limits(
            packet_size=self._packet_size,
            patience=self._patience if patience is None else seconds("patience", patience),
            deadline=None if until is None else self._clock() + until,
            priority=priority,
            automatic=automatic,
        )
        return Sending(
            plan(
                signature=self._signature,
                max_length=self._max_length,
                options=send_options(at, extension, self._now()),
            ),
            limits,
            gateway=self._gateway,
            account=self._account,
            pace=self._pace,
            clock=self._clock,
            on_receipt=self._on_receipt,
            guard=self._guard,
            context=context,
        )

    def _ask_balance(self) -> Request:
        return ask_balance(self._gateway, self._account)

    def _read_balance(self, answer: Answer | Failure) -> int:
        return read_balance(answer, (*self._account.secrets(), self._account.username))

    def __repr__(self) -> str:
        """Show no secret."""
        return f"{type(self).__name__}({self._account!r}, {self._gateway})"


class Client(_Face):
    """A blocking client of one account over HTTP; may be used from several threads.

    account: who sends. carrier: what carries the requests instead of httpx, closed with the client. sleep: how to wait.
    The rest is in `Settings`. Raises InvalidSettingError.
    """

    def __init__(
        self,
        account: Account,
        *,
        carrier: Carrier | None = None,
        sleep: Callable[[float], object] = time.sleep,
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(account, **settings)
        self._sleep = sleep
        self._carrier = carrier or self._httpx_carrier()

    def send(
        self, numbers: Number | Iterable[Number], text: str, **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send one text to one or more numbers (chapter 2.1).

        numbers: a str or an int is one number. text: at most `max_length` UTF-16 units with its signature.
        Returns a receipt for each number, in the order given; every one is accepted or held.

        Raises InvalidMessageError before anything is sent; UnknownOutcomeError, RefusedError or NotSentError with all
        receipts in `.receipts` where some number is neither accepted nor held.
        """
        return self._run(self._send(numbers, text, **options))

    def send_template(
        self, template: str, rows: Iterable[Sequence[Number]], **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send a template filled in for each number (chapter 2.2, sendDIYSms).

        rows: the number first, then up to five values for {A} to {E}; {PHONE} is the number. The platform gives no
        message ids for these. Returns and raises as `send` does.
        """
        return self._run(self._send_template(template, rows, **options))

    def send_batch(self, pairs: Iterable[tuple[Number, str]], **options: Unpack[SendOptions]) -> tuple[Receipt, ...]:
        """Send each number its own text (chapter 2.3, sendPackSms).

        pairs: number and text, which may hold neither `|` nor `$`. The platform gives no message ids for these.
        Returns and raises as `send` does.
        """
        return self._run(self._send_batch(pairs, **options))

    def balance(self) -> int:
        """Return the messages left of the product, in parts (chapter 2.4).

        Raises RefusedError (AuthenticationError among them) or NoAnswerError.
        """
        return self._read_balance(self._carrier.exchange(self._ask_balance()))

    def close(self) -> None:
        """Give the connections back."""
        self._carrier.close()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the client."""
        self.close()

    def _httpx_carrier(self) -> Carrier:
        from .httpx_transport import HttpxCarrier  # noqa: PLC0415 - who hands in a carrier needs no httpx

        with _usable():
            return HttpxCarrier(self._timeouts, proxy=self._proxy, verify=self._verify)

    def _run(self, sending: Sending) -> tuple[Receipt, ...]:
        steps = sending.steps()
        result: Answer | Failure | None = None
        try:
            while True:
                effect = steps.send(result)
                if isinstance(effect, Exchange):
                    result = self._carrier.exchange(effect.request)
                else:
                    self._sleep(effect.seconds)
                    result = None
        except StopIteration as stop:
            return _checked(stop.value)
        finally:
            steps.close()


class AsyncClient(_Face):
    """The asyncio client of one account over HTTP: the same names as `Client`, awaited.

    account: who sends. http_client: an httpx client to use, which is then not closed here (proxy and verify are its
    own). sleep: how to wait. The rest is in `Settings`. Raises InvalidSettingError.

    A call that is cancelled once a request may have begun lets that request end in the background; its receipts go to
    `on_receipt`, and `aclose` waits for it.
    """

    def __init__(
        self,
        account: Account,
        *,
        http_client: httpx.AsyncClient | None = None,
        sleep: Callable[[float], Any] = asyncio.sleep,
        **settings: Unpack[Settings],
    ) -> None:
        super().__init__(account, **settings)
        self._sleep = sleep
        self._carrier = self._httpx_carrier(http_client)
        self._background: set[asyncio.Task[None]] = set()

    async def send(
        self, numbers: Number | Iterable[Number], text: str, **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send one text to one or more numbers: see `Client.send`."""
        return await self._run(self._send(numbers, text, **options))

    async def send_template(
        self, template: str, rows: Iterable[Sequence[Number]], **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send a template filled in for each number: see `Client.send_template`."""
        return await self._run(self._send_template(template, rows, **options))

    async def send_batch(
        self, pairs: Iterable[tuple[Number, str]], **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send each number its own text: see `Client.send_batch`."""
        return await self._run(self._send_batch(pairs, **options))

    async def balance(self) -> int:
        """Return the messages left of the product: see `Client.balance`."""
        return self._read_balance(await self._carrier.exchange(self._ask_balance()))

    async def aclose(self) -> None:
        """Wait for what still ends in the background (bounded by the timeouts), then give the connections back."""
        while self._background:
            await asyncio.wait(self._background)
        await self._carrier.aclose()

    close = aclose

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the client."""
        await self.aclose()

    def _httpx_carrier(self, http_client: httpx.AsyncClient | None) -> AsyncHttpxCarrier:
        from .httpx_transport import AsyncHttpxCarrier  # noqa: PLC0415 - as above

        with _usable():
            return AsyncHttpxCarrier(self._timeouts, http_client, proxy=self._proxy, verify=self._verify)

    async def _run(self, sending: Sending) -> tuple[Receipt, ...]:
        steps = sending.steps()
        result: Answer | Failure | None = None
        exchange: asyncio.Task[Answer | Failure] | None = None
        try:
            while True:
                effect = steps.send(result)
                exchange, result = None, None
                if isinstance(effect, Exchange):
                    exchange = asyncio.create_task(self._carrier.exchange(effect.request))
                    result = await asyncio.shield(exchange)
                else:
                    await self._sleep(effect.seconds)
        except StopIteration as stop:
            return _checked(stop.value)
        except asyncio.CancelledError:
            sending.abandon()
            task = asyncio.create_task(_end(steps, exchange))
            self._background.add(task)
            task.add_done_callback(self._background.discard)
            raise
        except BaseException:
            steps.close()
            raise


async def _end(steps: Steps, exchange: asyncio.Task[Answer | Failure] | None) -> None:
    """Let the request that is under way end, and the receipts of an abandoned call be recorded."""
    result = await exchange if exchange is not None else None
    try:
        while True:
            effect: Effect = steps.send(result)
            # An abandoned call begins no request: what it still wants are pauses, which nobody waits for.
            assert not isinstance(effect, Exchange)  # noqa: S101
            result = None
    except StopIteration as stop:
        told = ", ".join(f"{receipt.outcome.value}" for receipt in stop.value[:1])
        _LOGGER.info("A cancelled call ended in the background: %d receipts, the first %s", len(stop.value), told)


def _checked(receipts: tuple[Receipt, ...]) -> tuple[Receipt, ...]:
    error = error_of(receipts)
    if error is not None:
        raise error
    return receipts


@contextlib.contextmanager
def _usable() -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError) as error:
        # The proxy's address may hold a password: name the kind only.
        raise InvalidSettingError(
            f"the proxy or TLS setting can't be used ({type(error).__name__})",
            f"代理或 TLS 设置无法使用（{type(error).__name__}）",
        ) from None
