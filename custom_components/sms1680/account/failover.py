"""The ways by which an account reaches the platform, HTTP and CMPP, behind the face of one client.

CMPP sends while it is connected. What one way surely could not bring to the platform goes by the other; a message whose
outcome is unknown never does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Protocol, Unpack

from ..client import (
    AsyncClient,
    Estimate,
    InvalidMessageError,
    Reason,
    Receipt,
    SendError,
    SMS1680Error,
    Spending,
)
from ..client.cmpp import CMPPClient
from ..client.errors import error_of
from ..client.limits.base_client import PATIENCE
from ..client.numbers import Number, normalise_numbers
from ..client.options import SendOptions
from ..const import CONF_CMPP, CONF_HTTP

# These say nothing of the message, and that it surely did not go: what is wrong is the way. What a caller cancels is
# never asked for again; what is told as cancelled all the same is so because the way is being closed.
_WRONG_WAY: Final = frozenset(
    {
        Reason.CANCELLED,
        Reason.NO_CONNECTION,
        Reason.SUSPENDED,
        Reason.VERSION,
        Reason.LOGIN,
        Reason.AUTHENTICATION,
        Reason.IP,
        Reason.PERMISSION,
        Reason.WRONG_ADDRESS,
        Reason.TOO_FAST,
    }
)
# Seconds that the first of two ways may try again: an alarm does not wait for it while there is another.
_FIRST_PATIENCE: Final = 5.0

type OnReceipt = Callable[[Receipt, str], object]
type Send[T] = Callable[[Way, Sequence[T], SendOptions], Awaitable[tuple[Receipt, ...]]]


class Way(Protocol):
    """What both clients of the core can do."""

    async def send(
        self, numbers: Number | Iterable[Number], text: str, **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send one text to numbers."""

    async def send_template(
        self, template: str, rows: Iterable[Sequence[Number]], **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send a template."""

    async def send_batch(
        self, pairs: Iterable[tuple[Number, str]], **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send each number its own text."""

    def estimate(self, text: str, *, refused_words: Iterable[str] = ()) -> Estimate:
        """Return what a text costs."""

    def spending(self) -> Spending:
        """Return what was spent."""


class NoHTTPError(SMS1680Error):
    """The account has no HTTP way, and the balance can be asked for by no other."""

    def __init__(self) -> None:
        super().__init__(
            "The account is set up without HTTP, and over CMPP there is no question for the balance.",
            "该帐号未设置 HTTP 方式，CMPP 不支持查询余额。",
        )


@dataclass
class _FirstTry:
    """A call that is tried by the first of two ways. kept: receipts of what the other one is going to take over.

    over: nobody takes over what is heard from now on.
    """

    kept: list[tuple[Receipt, str]] = field(default_factory=list)
    over: bool = False


_FIRST_TRY: ContextVar[_FirstTry | None] = ContextVar("sms1680_first_try", default=None)


class Ways:
    """An account's ways. At least one of them is set before anything is sent.

    http, cmpp: the core's clients, closed with this; each is given `heard_http` or `heard_cmpp` as its `on_receipt`.
    on_receipt: hears each receipt once it is final, and the name of its way.
    """

    def __init__(self, on_receipt: OnReceipt) -> None:
        self.http: AsyncClient | None = None
        self.cmpp: CMPPClient | None = None
        self._on_receipt = on_receipt

    def heard_http(self, receipt: Receipt) -> None:
        """Take a receipt of the HTTP way."""
        self._heard(receipt, CONF_HTTP)

    def heard_cmpp(self, receipt: Receipt) -> None:
        """Take a receipt of the CMPP way."""
        self._heard(receipt, CONF_CMPP)

    async def send(
        self, numbers: Number | Iterable[Number], text: str, **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send one text to one or more numbers: see the core's `Client.send`."""
        given = normalise_numbers(numbers)
        return await self._by_ways(given, options, lambda way, some, more: way.send(some, text, **more))

    async def send_template(
        self, template: str, rows: Iterable[Sequence[Number]], **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send a template filled in for each number: see the core's `Client.send_template`."""
        return await self._by_ways(
            list(rows), options, lambda way, some, more: way.send_template(template, some, **more)
        )

    async def send_batch(
        self, pairs: Iterable[tuple[Number, str]], **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send each number its own text: see the core's `Client.send_batch`."""
        return await self._by_ways(list(pairs), options, lambda way, some, more: way.send_batch(some, **more))

    def estimate(self, text: str, *, refused_words: Iterable[str] = ()) -> Estimate:
        """Return what a text costs one receiver: see the core's `Client.estimate`."""
        return self._order()[0].estimate(text, refused_words=refused_words)

    async def balance(self) -> int:
        """Return the messages left of the product. Raises NoHTTPError, and what the core's `Client.balance` does."""
        if self.http is None:
            raise NoHTTPError
        return await self.http.balance()

    def spending(self) -> Spending:
        """Return what was spent by either way, which share one count: see the core's `Client.spending`."""
        return self._order()[0].spending()

    async def aclose(self) -> None:
        """Close both ways; what is under way ends first."""
        if self.cmpp is not None:
            await self.cmpp.aclose()
        if self.http is not None:
            await self.http.aclose()

    def _heard(self, receipt: Receipt, way: str) -> None:
        first = _FIRST_TRY.get()
        if first is not None and not first.over and _is_wrong_way(receipt):
            first.kept.append((receipt, way))
        else:
            self._on_receipt(receipt, way)

    def _order(self) -> list[Way]:
        """Return the ways, the one that is likelier to send first."""
        ways: list[Way] = [way for way in (self.cmpp, self.http) if way is not None]
        if self.cmpp is not None and not self.cmpp.status.connected:
            ways.reverse()
        return ways

    async def _by_ways[T](self, items: Sequence[T], options: SendOptions, send: Send[T]) -> tuple[Receipt, ...]:
        """Send items by the first way, and by the other what the first surely could not."""
        first, *others = self._order()
        if not others:
            return await send(first, items, options)
        loop = asyncio.get_running_loop()
        began = loop.time()
        patience = options.get("patience")
        hasty: SendOptions = {**options, "patience": min(_FIRST_PATIENCE, PATIENCE if patience is None else patience)}
        with self._first_try() as tried:
            receipts = await _receipts(send(first, items, hasty))
        left = [place for place, receipt in enumerate(receipts) if _is_wrong_way(receipt)]
        if left:
            if (deadline := options.get("deadline")) is not None:
                options = {**options, "deadline": max(0.0, deadline - (loop.time() - began))}
            try:
                went = await _receipts(send(others[0], [items[place] for place in left], options))
            except InvalidMessageError:
                self._tell(tried)  # what this way can't say at all stays as it was by the first
            else:
                for place, receipt in zip(left, went, strict=True):
                    receipts[place] = receipt
        error = error_of(receipts)
        if error is not None:
            raise error
        return tuple(receipts)

    @contextmanager
    def _first_try(self) -> Iterator[_FirstTry]:
        """Keep back, while the first way is tried, the receipts of what the other is going to take over."""
        tried = _FirstTry()
        token = _FIRST_TRY.set(tried)
        try:
            yield tried
        except BaseException:
            self._tell(tried)
            raise
        finally:
            tried.over = True
            _FIRST_TRY.reset(token)

    def _tell(self, tried: _FirstTry) -> None:
        for receipt, way in tried.kept:
            self._on_receipt(receipt, way)


async def _receipts(sending: Awaitable[tuple[Receipt, ...]]) -> list[Receipt]:
    try:
        return list(await sending)
    except SendError as error:
        return list(error.receipts)


def _is_wrong_way(receipt: Receipt) -> bool:
    return receipt.outcome.is_failure and receipt.reason in _WRONG_WAY
