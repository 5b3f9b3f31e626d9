"""The options of a single sending call, the same over HTTP and CMPP."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypedDict

Priority = Literal["normal", "critical"]


class RequestHook(Protocol):
    """Is called before each request of a call may leave, so that a program can store what it must not send again.

    Both methods get the items of the request, as the `index` of their receipts.
    """

    def before(self, indexes: Sequence[int], /) -> Awaitable[None] | None:
        """Act on a request that has its turn and, over CMPP and in the asyncio client over HTTP, its connection.

        An asyncio client awaits the result; the blocking client takes None only. If this raises, the request does not
        leave, and its items are not sent.
        """

    def undo(self, indexes: Sequence[int], /) -> None:
        """Act on a request that certainly submitted nothing. Its items wait for another request."""


class SendOptions(TypedDict, total=False):
    """The options of each sending call.

    at: when to send, an aware time in the future. extension: digits after the sender's number, as text.
    priority: "critical" overtakes all normal messages. patience, deadline: override the client's settings.
    automatic: the message reacts to one of our own events (such as an answer to a reply); the spending guard has a
    lower limit for these. context: any object; every receipt of the call carries it as `Receipt.context`.
    request_hook: is called before each request may leave.
    """

    at: datetime | None
    extension: str | None
    priority: Priority
    patience: float | None
    deadline: float | None
    automatic: bool
    context: object
    request_hook: RequestHook | None


@dataclass(frozen=True, slots=True)
class CallOptions:
    """The checked options of one call.

    began: time of the call on the client's clock. patience: seconds for retries after a certain failure.
    deadline: no request begins after this time of the client's clock; None for no limit.
    """

    began: float
    patience: float
    deadline: float | None
    priority: Priority
    automatic: bool
    context: object
    request_hook: RequestHook | None = None
