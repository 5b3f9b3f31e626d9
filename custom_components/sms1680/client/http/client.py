"""The blocking and the asyncio client of one account over HTTP. Both execute the commands of `SendFlow`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self, Unpack

from ..account import DEFAULT_GATEWAY, Account, account_key, gateway_url
from ..checks import positive, whole
from ..errors import InvalidSettingError
from ..limits.base_client import BaseClient, ClientOptions, ClientSettings, successful
from ..numbers import Number
from ..options import SendOptions
from ..plan import SendPlan, plan_batch, plan_send, plan_template
from ..receipts import Receipt
from .announcement import AsyncHTTPTransport
from .requests import build_balance, check_separators
from .responses import read_balance
from .send_flow import SendFlow, Steps
from .transport import (
    CONNECT_TIMEOUT,
    RESPONSE_TIMEOUT,
    HTTPTransport,
    Request,
    Response,
    Timeouts,
    TransportError,
)

if TYPE_CHECKING:
    from types import TracebackType

    import httpx

PACKET_SIZE = 100
LARGEST_PACKET = 1000

_LOGGER = logging.getLogger(__name__)


class HTTPClientOptions(ClientOptions, total=False):
    """The keyword arguments of both HTTP clients.

    gateway: the platform's address. packet_size: flow items per request, 1 to 1000 (100). timeout, connect_timeout:
    seconds without a response (30), and until connected (5). proxy: its address. verify: verify TLS certificates.
    single_rows: send a row of a template or batch by itself if it contains a separator of the interface (`,` and `;`
    in a value, `|` and `$` in a text), the default; False refuses the whole call.
    """

    gateway: str
    packet_size: int
    timeout: float
    connect_timeout: float
    proxy: str | None
    verify: bool
    single_rows: bool


@dataclass(frozen=True, kw_only=True)
class HTTPSettings(ClientSettings):
    """The checked settings of both HTTP clients: see `HTTPClientOptions`."""

    gateway: str = DEFAULT_GATEWAY
    packet_size: int = PACKET_SIZE
    timeout: float = RESPONSE_TIMEOUT
    connect_timeout: float = CONNECT_TIMEOUT
    proxy: str | None = None
    verify: bool = True
    single_rows: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("packet_size", self.packet_size, LARGEST_PACKET)
        positive("connect_timeout", self.connect_timeout)
        positive("timeout", self.timeout)

    @property
    def timeouts(self) -> Timeouts:
        """The timeouts of the transport."""
        return Timeouts(self.connect_timeout, self.timeout)


class _HTTPClient(BaseClient):
    """The base of both HTTP clients."""

    def __init__(self, account: Account, settings: HTTPSettings) -> None:
        self._account = account
        self._gateway = gateway_url(settings.gateway)
        self._packet_size = settings.packet_size
        self._single_rows = settings.single_rows
        super().__init__(account_key(self._gateway, account.username), settings)

    def _flow(self, make_plan: Callable[..., SendPlan], **options: Unpack[SendOptions]) -> SendFlow:
        plan, checked = self._prepare(make_plan, **options)
        return SendFlow(
            plan if self._single_rows else check_separators(plan),
            checked,
            self._packet_size,
            gateway=self._gateway,
            account=self._account,
            limiter=self._limiter,
            clock=self._clock,
            on_receipt=self._on_receipt,
            guard=self._guard,
        )

    def _balance_request(self) -> Request:
        return build_balance(self._gateway, self._account)

    def _read_balance(self, response: Response | TransportError) -> int:
        return read_balance(response)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._account!r}, {self._gateway})"


class Client(_HTTPClient):
    """A blocking client of one account over HTTP. Several threads can use it.

    carrier: an HTTP transport to use instead of httpx; it is closed with the client, and its own timeout, proxy and TLS
    settings apply. sleep: waits some seconds. The other arguments are in `HTTPClientOptions`. Raises
    InvalidSettingError.
    """

    def __init__(
        self,
        account: Account,
        *,
        carrier: HTTPTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
        **settings: Unpack[HTTPClientOptions],
    ) -> None:
        checked = HTTPSettings(**settings)
        super().__init__(account, checked)
        self._sleep = sleep
        if carrier is None:
            from .httpx_transport import HttpxTransport  # noqa: PLC0415 - not needed with the caller's transport

            carrier = HttpxTransport(checked.timeouts, proxy=checked.proxy, verify=checked.verify)
        self._transport = carrier

    def send(
        self, numbers: Number | Iterable[Number], text: str, **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send one text to one or more numbers (docs/protocol.md, section 2).

        numbers: a str or an int is one number. text: at most `max_length` UTF-16 units with its signature.
        Returns a receipt for each number in the order of the call; every number is accepted or held.

        Raises InvalidMessageError before anything is sent. Raises UnknownOutcomeError, RefusedError or NotSentError,
        with all receipts in `.receipts`, if a number is neither accepted nor held.
        """
        return self._run(self._flow(partial(plan_send, numbers, text), **options))

    def send_template(
        self, template: str, rows: Iterable[Sequence[Number]], **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send a template that the platform fills in for each number (docs/protocol.md, section 2, sendDIYSms).

        rows: the number, then up to five values for {A} to {E}; {PHONE} is the number. A row with `,` or `;` in a value
        is filled in here and sent by itself, unless `single_rows` is False. The platform returns no message ids for
        the others. Returns and raises as `send` does.
        """
        return self._run(self._flow(partial(plan_template, template, rows), **options))

    def send_batch(self, pairs: Iterable[tuple[Number, str]], **options: Unpack[SendOptions]) -> tuple[Receipt, ...]:
        """Send each number its own text (docs/protocol.md, section 2, sendPackSms).

        pairs: number and text. A text with `|` or `$` is sent by itself, unless `single_rows` is False. The platform
        returns no message ids for the others. Returns and raises as `send` does.
        """
        return self._run(self._flow(partial(plan_batch, pairs), **options))

    def balance(self) -> int:
        """Return the remaining messages of the product, in parts.

        Raises RefusedError (including AuthenticationError) or NoAnswerError.
        """
        return self._read_balance(self._transport.exchange(self._balance_request()))

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, flow: SendFlow) -> tuple[Receipt, ...]:
        steps = flow.steps()
        result: Response | TransportError | None = None
        try:
            while True:
                command = steps.send(result)
                if isinstance(command, Request):
                    refusal = None if flow.announcement is None else flow.announcement.make_at_once()
                    result = refusal or self._transport.exchange(command)
                else:
                    self._sleep(command)
                    result = None
        except StopIteration as stop:
            return successful(stop.value)
        finally:
            steps.close()


class AsyncClient(_HTTPClient):
    """The asyncio client of one account over HTTP, with the methods of `Client`, awaited.

    carrier: an HTTP transport to use instead of httpx, as in `Client`. http_client: an httpx client to use; it is not
    closed, and its own proxy and verify settings apply. sleep: waits some seconds. The other arguments are in
    `HTTPClientOptions`. Raises InvalidSettingError, also for a carrier together with an httpx client.

    A cancelled call may already have begun a request. That request ends in the background, its receipts go to
    `on_receipt`, and `aclose` waits for it.
    """

    def __init__(
        self,
        account: Account,
        *,
        carrier: AsyncHTTPTransport | None = None,
        http_client: httpx.AsyncClient | None = None,
        sleep: Callable[[float], Any] = asyncio.sleep,
        **settings: Unpack[HTTPClientOptions],
    ) -> None:
        checked = HTTPSettings(**settings)
        if carrier is not None and http_client is not None:
            raise InvalidSettingError(
                "set either carrier or http_client", "`carrier` 和 `http_client` 只能设置其中一个"
            )
        super().__init__(account, checked)
        self._sleep = sleep
        if carrier is None:
            from .httpx_transport import AsyncHttpxTransport  # noqa: PLC0415 - not needed with the caller's transport

            carrier = AsyncHttpxTransport(checked.timeouts, http_client, proxy=checked.proxy, verify=checked.verify)
        self._transport = carrier
        self._background: set[asyncio.Task[None]] = set()

    async def send(
        self, numbers: Number | Iterable[Number], text: str, **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send one text to one or more numbers: see `Client.send`."""
        return await self._run(self._flow(partial(plan_send, numbers, text), **options))

    async def send_template(
        self, template: str, rows: Iterable[Sequence[Number]], **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send a template that the platform fills in for each number: see `Client.send_template`."""
        return await self._run(self._flow(partial(plan_template, template, rows), **options))

    async def send_batch(
        self, pairs: Iterable[tuple[Number, str]], **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send each number its own text: see `Client.send_batch`."""
        return await self._run(self._flow(partial(plan_batch, pairs), **options))

    async def balance(self) -> int:
        """Return the remaining messages of the product: see `Client.balance`."""
        return self._read_balance(await self._transport.exchange(self._balance_request()))

    async def aclose(self) -> None:
        """Wait for the requests in the background, at most as long as the timeouts, then close all connections."""
        while self._background:
            await asyncio.wait(self._background)
        await self._transport.aclose()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self, flow: SendFlow) -> tuple[Receipt, ...]:
        steps = flow.steps()
        result: Response | TransportError | None = None
        exchange: asyncio.Task[Response | TransportError] | None = None
        try:
            while True:
                command = steps.send(result)
                exchange, result = None, None
                if isinstance(command, Request):
                    exchange = asyncio.create_task(self._transport.exchange(command, flow.announcement))
                    result = await asyncio.shield(exchange)
                else:
                    await self._sleep(command)
        except StopIteration as stop:
            return successful(stop.value)
        except asyncio.CancelledError:
            flow.abandon()
            task = asyncio.create_task(_finish(steps, exchange))
            self._background.add(task)
            task.add_done_callback(self._background.discard)
            raise
        except BaseException:
            steps.close()
            raise


async def _finish(steps: Steps[tuple[Receipt, ...]], exchange: asyncio.Task[Response | TransportError] | None) -> None:
    """Finish an abandoned call: await the request in flight and record all receipts."""
    result = await exchange if exchange is not None else None
    try:
        while True:
            command = steps.send(result)
            # An abandoned call begins no request, and its pauses are short.
            assert not isinstance(command, Request)  # noqa: S101
            result = None
            with contextlib.suppress(asyncio.CancelledError):  # the program ends: record the rest first
                await asyncio.sleep(0)
    except StopIteration as stop:
        first = ", ".join(receipt.outcome.value for receipt in stop.value[:1])
        _LOGGER.info("A cancelled call ended in the background: %d receipts, the first %s", len(stop.value), first)
