"""The events that a session reports to its client, as immutable tuples."""

from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

from ..outcomes import Reason
from .wire.errors import CodecError
from .wire.pdus import CancelResp, Deliver, QueryResp, SubmitResp

Key: TypeAlias = Any
"""A value that the client attaches to a request and gets back with its response."""


class CloseCause(StrEnum):
    """Why a session ended."""

    LOGIN_REFUSED = "login refused"
    CLIENT_CLOSED = "client closed"
    GATEWAY_CLOSED = "gateway closed"
    TIMED_OUT = "timed out"
    CONNECTION_LOST = "connection lost"
    PROTOCOL_ERROR = "protocol error"


class Ready(NamedTuple):
    """The session can send messages: after the login, or once a probed gateway has answered.

    version: the gateway's, for information only; None after a probe.
    """

    version: int | None


class UnauthenticatedGateway(NamedTuple):
    """The gateway's authenticator does not prove that it knows the secret (docs/cmpp.md, trap 12)."""


class ResponseReceived(NamedTuple):
    """The gateway answered a request. late: the request had already timed out."""

    key: Key
    pdu: SubmitResp | QueryResp | CancelResp
    late: bool = False


class RequestTimedOut(NamedTuple):
    """A request got no response within T. The gateway may have executed it. The session does not repeat it."""

    key: Key


class DeliverReceived(NamedTuple):
    """A DELIVER arrived. The client answers it with `Session.acknowledge`.

    in_flight: a request still waited for its response when the DELIVER arrived. A response behind it in the same read
    does not count, because a report can precede the response that names its id.
    """

    pdu: Deliver
    in_flight: bool = False


class DecodeFailed(NamedTuple):
    """A PDU could not be decoded."""

    error: CodecError


class SessionClosed(NamedTuple):
    """The session is over.

    unanswered: the keys of the requests without a response; the gateway may have executed them. status, reason: from
    a refused login. detail: the problem with the gateway's octets.
    """

    cause: CloseCause
    unanswered: tuple[Key, ...] = ()
    status: int | None = None
    reason: Reason | None = None
    detail: str | None = None


SessionEvent: TypeAlias = (
    Ready | UnauthenticatedGateway | ResponseReceived | RequestTimedOut | DeliverReceived | DecodeFailed | SessionClosed
)
