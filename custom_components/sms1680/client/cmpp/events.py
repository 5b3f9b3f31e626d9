"""What a session tells its client: one immutable tuple an event."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

from ..outcomes import Reason
from .wire.errors import CodecError
from .wire.pdus import CancelResp, Deliver, QueryResp, SubmitResp

__all__ = [
    "CloseCause",
    "DecodeFailed",
    "DeliverReceived",
    "Key",
    "Ready",
    "RequestTimedOut",
    "ResponseReceived",
    "SessionClosed",
    "SessionEvent",
    "UnauthenticatedGateway",
]

Key: TypeAlias = Any
"""Whatever the client gave with a request, handed back with its answer."""


class CloseCause(StrEnum):
    """Why a session ended."""

    LOGIN_REFUSED = "login refused"
    CLIENT_CLOSED = "client closed"
    GATEWAY_CLOSED = "gateway closed"
    TIMED_OUT = "timed out"
    CONNECTION_LOST = "connection lost"
    PROTOCOL_ERROR = "protocol error"


class Ready(NamedTuple):
    """Messages can go: logged in (`version` is the gateway's, informative), or back from a doubt (None)."""

    version: int | None


class UnauthenticatedGateway(NamedTuple):
    """The gateway's authenticator is not what one that knows the secret would send (many don't fill it: trap 12)."""


class ResponseReceived(NamedTuple):
    """A request was answered. late: after it had been told as unanswered."""

    key: Key
    pdu: SubmitResp | QueryResp | CancelResp
    late: bool


class RequestTimedOut(NamedTuple):
    """A request had no answer within T. It may have been carried out; it is not sent again."""

    key: Key


class DeliverReceived(NamedTuple):
    """A DELIVER came; it waits for `Session.acknowledge`."""

    pdu: Deliver


class DecodeFailed(NamedTuple):
    """A PDU could not be read; the stream goes on."""

    error: CodecError


class SessionClosed(NamedTuple):
    """The session is over. unanswered: the keys of what may have been carried out and had no answer.

    status: of a refused login, with its reason. detail: what was wrong with the octets.
    """

    cause: CloseCause
    unanswered: tuple[Key, ...]
    status: int | None = None
    reason: Reason | None = None
    detail: str | None = None


SessionEvent: TypeAlias = (
    Ready | UnauthenticatedGateway | ResponseReceived | RequestTimedOut | DeliverReceived | DecodeFailed | SessionClosed
)
