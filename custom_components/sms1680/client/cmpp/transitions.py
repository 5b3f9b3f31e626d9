"""The states of a CMPP session and the transitions between them, as one table (CMPP 2.0, chapters 5 and 6).

`Session` follows this table only, and docs/cmpp-session.md shows it. A trigger that the table does not list for a state
raises `KeyError`; in CLOSED every trigger is ignored.
"""

from enum import StrEnum
from typing import Final, NamedTuple


class SessionState(StrEnum):
    """The state of a session."""

    CONNECTED = "connected"
    LOGGING_IN = "logging in"
    OPEN = "open"
    PROBING = "probing"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    CLOSED = "closed"


class Trigger(StrEnum):
    """The cause of a transition."""

    START = "start"
    LOGIN_ACCEPTED = "login accepted"
    LOGIN_REFUSED = "login refused"
    SILENCE = "silence"
    PDU_RECEIVED = "PDU received"
    TIMEOUT = "timeout"
    CLOSE = "close"
    TERMINATE = "TERMINATE"
    TERMINATE_RESP = "TERMINATE_RESP"
    SETTLED = "no request waits"
    CONNECTION_LOST = "connection lost"
    PROTOCOL_ERROR = "protocol error"


class Action(StrEnum):
    """The action of the session during a transition."""

    NONE = "–"
    SEND_CONNECT = "send CONNECT"
    EMIT_READY = "report that messages can be sent"
    SEND_ACTIVE_TEST = "send ACTIVE_TEST"
    SEND_TERMINATE = "send TERMINATE"
    SEND_TERMINATE_RESP = "send TERMINATE_RESP"
    EMIT_CLOSED = "report the cause and the unanswered requests"
    RESPOND_AND_CLOSE = "send TERMINATE_RESP, report the cause and the unanswered requests"


class Transition(NamedTuple):
    """The state that a trigger leads to, and the action on the way."""

    to: SessionState
    action: Action


_S, _T, _A = SessionState, Trigger, Action
_CLOSE = Transition(_S.CLOSED, _A.EMIT_CLOSED)
_CLOSING: Final = {
    _S.CONNECTED: (_T.CLOSE, _T.CONNECTION_LOST, _T.PROTOCOL_ERROR),
    _S.LOGGING_IN: (_T.LOGIN_REFUSED, _T.TIMEOUT, _T.CLOSE, _T.CONNECTION_LOST, _T.PROTOCOL_ERROR),
    _S.OPEN: (_T.TIMEOUT, _T.CONNECTION_LOST, _T.PROTOCOL_ERROR),
    _S.PROBING: (_T.TIMEOUT, _T.CONNECTION_LOST, _T.PROTOCOL_ERROR),
    _S.TERMINATING: (_T.TERMINATE_RESP, _T.TIMEOUT, _T.CONNECTION_LOST, _T.PROTOCOL_ERROR),
    _S.TERMINATED: (_T.SETTLED, _T.TIMEOUT, _T.CONNECTION_LOST, _T.PROTOCOL_ERROR),
}
"""The triggers that end the session without another PDU, by state."""

TRANSITIONS: Final[dict[tuple[SessionState, Trigger], Transition]] = {
    (_S.CONNECTED, _T.START): Transition(_S.LOGGING_IN, _A.SEND_CONNECT),
    (_S.CONNECTED, _T.TERMINATE): Transition(_S.CLOSED, _A.RESPOND_AND_CLOSE),
    (_S.LOGGING_IN, _T.LOGIN_ACCEPTED): Transition(_S.OPEN, _A.EMIT_READY),
    (_S.LOGGING_IN, _T.TERMINATE): Transition(_S.CLOSED, _A.RESPOND_AND_CLOSE),
    (_S.OPEN, _T.SILENCE): Transition(_S.PROBING, _A.SEND_ACTIVE_TEST),
    (_S.OPEN, _T.CLOSE): Transition(_S.TERMINATING, _A.SEND_TERMINATE),
    (_S.OPEN, _T.TERMINATE): Transition(_S.TERMINATED, _A.SEND_TERMINATE_RESP),
    (_S.PROBING, _T.PDU_RECEIVED): Transition(_S.OPEN, _A.EMIT_READY),
    (_S.PROBING, _T.CLOSE): Transition(_S.TERMINATING, _A.SEND_TERMINATE),
    (_S.TERMINATING, _T.CLOSE): Transition(_S.TERMINATING, _A.NONE),
    (_S.TERMINATING, _T.TERMINATE): Transition(_S.TERMINATING, _A.SEND_TERMINATE_RESP),
    (_S.TERMINATED, _T.CLOSE): Transition(_S.TERMINATED, _A.NONE),
    (_S.TERMINATED, _T.TERMINATE): Transition(_S.TERMINATED, _A.SEND_TERMINATE_RESP),
    **{(state, trigger): _CLOSE for state, triggers in _CLOSING.items() for trigger in triggers},
}
