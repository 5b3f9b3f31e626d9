"""What a session tells its client: one immutable tuple an event."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

from ..outcomes import Reason
from .wire.errors import CodecError
from .wire.pdus import CancelResp, Deliver, QueryResp, SubmitResp

__all__ = ["Answered", "Cause", "Closed", "Damaged", "Delivered", "Event", "Key", "Ready", "Unanswered", "Unproven"]

Key: TypeAlias = Any
"""Whatever the client gave with a request, handed back with its answer."""


class Cause(StrEnum):
    """Why a session ended."""

    REFUSED = "refused"
    ASKED = "asked"
    GATEWAY = "gateway"
    SILENT = "silent"
    LOST = "lost"
    BROKEN = "broken"


class Ready(NamedTuple):
    """Messages can go: logged in (`version` is the gateway's, informative), or back from a doubt (None)."""

    version: int | None


class Unproven(NamedTuple):
    """The gateway's authenticator is not what one that knows the secret would send (many don't fill it: trap 12)."""


class Answered(NamedTuple):
    """A request was answered. late: after it had been told as unanswered."""

    key: Key
    pdu: SubmitResp | QueryResp | CancelResp
    late: bool


class Unanswered(NamedTuple):
    """A request had no answer within T. It may have been carried out; it is not sent again."""

    key: Key


class Delivered(NamedTuple):
    """A DELIVER came; it waits for `Session.acknowledge`."""

    pdu: Deliver


class Damaged(NamedTuple):
    """A PDU could not be read; the stream goes on."""

    error: CodecError


class Closed(NamedTuple):
    """The session is over. unanswered: the keys of what may have been carried out and had no answer.

    status: of a refused login, with its reason. detail: what was wrong with the octets.
    """

    cause: Cause
    unanswered: tuple[Key, ...]
    status: int | None = None
    reason: Reason | None = None
    detail: str | None = None


Event: TypeAlias = Ready | Unproven | Answered | Unanswered | Delivered | Damaged | Closed
