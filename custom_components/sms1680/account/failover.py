"""One client over both transports of an account, HTTP and CMPP.

CMPP sends while it is connected. If one transport certainly could not send a message, the other one sends it. A message
whose outcome is unknown is never sent again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final

from ..client import AsyncClient, Estimate, InvalidMessageError, Reason, Receipt, SendError, SMS1680Error, Spending
from ..client.cmpp import CMPPClient
from ..client.limits.base_client import PATIENCE
from ..client.options import RequestHook, SendOptions
from ..const import CONF_CMPP, CONF_HTTP
from .messages import CoreClient, OutgoingMessage

# These reasons concern the transport, not the message, so the other transport is tried. A call that its caller cancels
# does not get here; CANCELLED means that the transport is being closed.
_TRANSPORT_FAILURES: Final = frozenset(
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
# Seconds for which the first of two transports may try: an alarm must not wait while there is another one.
_FIRST_PATIENCE: Final = 5.0

type OnReceipt = Callable[[Receipt, str], object]


class NoHTTPError(SMS1680Error):
    """The account has no HTTP transport, which alone can query the balance."""

    def __init__(self) -> None:
        super().__init__(
            "The account is set up without HTTP, and the balance cannot be queried over CMPP.",
            "该账户未设置 HTTP 方式，CMPP 不支持查询剩余条数。",
        )


@dataclass(eq=False)
class _Leg:
    """The `context` of a send that is one of two: by the first transport, or by the second for the remaining items.

    context: of the whole send. indexes: of this send's items in the whole send, None for all of them.
    withheld: receipts of items that the second transport is to send. is_first: the first transport still sends.
    """

    context: object
    indexes: Sequence[int] | None = None
    is_first: bool = False
    withheld: list[tuple[Receipt, str]] = field(default_factory=list)

    def receipt_of_whole(self, receipt: Receipt) -> Receipt:
        """Return a receipt as one of the whole send."""
        index = receipt.index if self.indexes is None else self.indexes[receipt.index]
        return replace(receipt, context=self.context, index=index)


@dataclass(frozen=True, slots=True)
class _HookOfRest:
    """The request hook of the second transport. indexes: of its items in the whole send."""

    hook: RequestHook
    indexes: Sequence[int]

    def before(self, indexes: Sequence[int], /) -> Awaitable[None] | None:
        return self.hook.before([self.indexes[index] for index in indexes])

    def undo(self, indexes: Sequence[int], /) -> None:
        self.hook.undo([self.indexes[index] for index in indexes])


class ReceiptRouter:
    """Passes each receipt of an account's clients to the subscribers, as soon as it is final."""

    def __init__(self) -> None:
        self._subscribers: list[OnReceipt] = []

    def subscribe(self, *subscribers: OnReceipt) -> None:
        """Add subscribers. Each is called with the receipt and the name of the transport."""
        self._subscribers += subscribers

    def on_receipt(self, transport: str) -> Callable[[Receipt], None]:
        """Return the `on_receipt` of the client of a transport."""
        return partial(self._route, transport)

    def _route(self, transport: str, receipt: Receipt) -> None:
        leg = receipt.context
        if isinstance(leg, _Leg):
            receipt = leg.receipt_of_whole(receipt)
            if leg.is_first and _is_transport_failure(receipt):
                leg.withheld.append((receipt, transport))
                return
        self.publish(receipt, transport)

    def publish(self, receipt: Receipt, transport: str) -> None:
        """Call the subscribers."""
        for subscriber in self._subscribers:
            subscriber(receipt, transport)


class FailoverClient:
    """The client of an account over one or two transports.

    http, cmpp: the core's clients, at least one, closed with this client. receipts: the router that each of them has as
    its `on_receipt`.
    """

    def __init__(self, http: AsyncClient | None, cmpp: CMPPClient | None, receipts: ReceiptRouter) -> None:
        self.http = http
        self.cmpp = cmpp
        self._receipts = receipts

    async def send(
        self, message: OutgoingMessage, options: SendOptions, *, avoid: str | None = None
    ) -> tuple[Receipt, ...]:
        """Send a message; return a receipt for each item, in order, whatever the outcome. Raises InvalidMessageError.

        Each item of the message must be distinct. avoid: the transport that comes last.
        """
        first, *others = sorted(self._by_preference(), key=lambda client: client is self._client_of(avoid))
        if not others:
            return await _send_by(first, message, options)
        loop = asyncio.get_running_loop()
        started = loop.time()
        patience = options.get("patience")
        leg = _Leg(options.get("context"), is_first=True)
        first_patience = min(_FIRST_PATIENCE, PATIENCE if patience is None else patience)
        try:
            receipts = list(await _send_by(first, message, {**options, "patience": first_patience, "context": leg}))
        except BaseException:
            self._publish_withheld(leg)
            raise
        finally:
            leg.is_first = False
        left = [place for place, receipt in enumerate(receipts) if _is_transport_failure(receipt)]
        if left:
            hook = options.get("request_hook")
            if hook is not None:
                hook.undo(left)
                options = {**options, "request_hook": _HookOfRest(hook, left)}
            if (deadline := options.get("deadline")) is not None:
                options = {**options, "deadline": max(0.0, deadline - (loop.time() - started))}
            rest: SendOptions = {**options, "context": _Leg(leg.context, left)}
            try:
                sent = await _send_by(others[0], message.select(left), rest)
            except InvalidMessageError:
                self._publish_withheld(leg)  # the second transport cannot carry these texts
            else:
                for place, receipt in zip(left, sent, strict=True):
                    receipts[place] = receipt
        return tuple(receipts)

    def estimate(self, text: str, *, refused_words: Iterable[str] = ()) -> Estimate:
        """Return what a text costs one recipient: see the core's `Client.estimate`."""
        return self._by_preference()[0].estimate(text, refused_words=refused_words)

    async def balance(self) -> int:
        """Return the remaining messages of the product: see the core's `Client.balance`. Raises NoHTTPError."""
        if self.http is None:
            raise NoHTTPError
        return await self.http.balance()

    def spending(self) -> Spending | None:
        """Return what was spent over both transports, which share one count: see the core's `Client.spending`."""
        return self._by_preference()[0].spending()

    def room_at(self, number: str, parts: int, *, messages: int = 1, automatic: bool = False) -> datetime:
        """Return when the spending limits have room for messages to a number: see the core's `Client.room_at`."""
        return self._by_preference()[0].room_at(number, parts, messages=messages, automatic=automatic)

    def most_parts(self, *, automatic: bool = False) -> int | None:
        """Return the parts of the longest message that the limits allow: see the core's `Client.most_parts`."""
        return self._by_preference()[0].most_parts(automatic=automatic)

    async def aclose(self) -> None:
        """Close both clients; requests that have started end first."""
        if self.cmpp is not None:
            await self.cmpp.aclose()
        if self.http is not None:
            await self.http.aclose()

    def _by_preference(self) -> list[CoreClient]:
        """Return the clients, the one that is more likely to send first."""
        clients: list[CoreClient] = [client for client in (self.cmpp, self.http) if client is not None]
        if self.cmpp is not None and not self.cmpp.status.connected:
            clients.reverse()
        return clients

    def _client_of(self, transport: str | None) -> CoreClient | None:
        return {CONF_HTTP: self.http, CONF_CMPP: self.cmpp}.get(transport or "")

    def _publish_withheld(self, leg: _Leg) -> None:
        for receipt, transport in leg.withheld:
            self._receipts.publish(receipt, transport)


async def _send_by(client: CoreClient, message: OutgoingMessage, options: SendOptions) -> tuple[Receipt, ...]:
    try:
        return await message.send_by(client, options)
    except SendError as error:
        return error.receipts


def _is_transport_failure(receipt: Receipt) -> bool:
    return receipt.outcome.is_failure and receipt.reason in _TRANSPORT_FAILURES
