"""The options of a single sending call, the same over HTTP and CMPP."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypedDict

Priority = Literal["normal", "critical"]


class SendOptions(TypedDict, total=False):
    """The options of each sending call.

    at: when to send, an aware time in the future. extension: digits after the sender's number, as text.
    priority: "critical" overtakes whatever waits for its turn. patience, deadline: override the client's settings.
    automatic: the message is a reaction to our own events (an answer to a reply), for which the spending guard has a
    lower limit. context: any object; every receipt of the call carries it as `Receipt.context`.
    """

    at: datetime | None
    extension: str | None
    priority: Priority
    patience: float | None
    deadline: float | None
    automatic: bool
    context: object
