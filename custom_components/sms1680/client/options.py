"""The options of a single sending call, the same over HTTP and CMPP."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypedDict

Priority = Literal["normal", "critical"]


class SendOptions(TypedDict, total=False):
    """The options of each sending call.

    at: when to send, an aware time in the future. extension: digits after the sender's number, as text.
    priority: "critical" overtakes all normal messages. patience, deadline: override the client's settings.
    automatic: the message reacts to one of our own events (such as an answer to a reply); the spending guard has a
    lower limit for these. context: any object; every receipt of the call carries it as `Receipt.context`.
    """

    at: datetime | None
    extension: str | None
    priority: Priority
    patience: float | None
    deadline: float | None
    automatic: bool
    context: object


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
