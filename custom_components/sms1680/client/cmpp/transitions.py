"""The states of a CMPP session and the transitions between them, as one table (CMPP 2.0, chapters 5 and 6).

`Session` follows this table only, and `draw` generates docs/cmpp-session.md from it. A trigger that the table does not
list for a state raises `KeyError`; in CLOSED every trigger is ignored.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["STATES", "TRANSITIONS", "TRIGGERS", "Action", "SessionState", "Transition", "Trigger", "draw"]


class SessionState(StrEnum):
    """The state of a session."""

    CONNECTED = "connected"
    LOGGING_IN = "logging in"
    OPEN = "open"
    PROBING = "probing"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    CLOSED = "closed"


STATES: Final = {
    SessionState.CONNECTED: "The transport is connected; neither side has sent a PDU.",
    SessionState.LOGGING_IN: "CONNECT is sent. The client sends nothing else until the gateway answers it.",
    SessionState.OPEN: "Logged in: the client sends as many messages at a time as the window allows.",
    SessionState.PROBING: "The gateway was silent. An ACTIVE_TEST is sent, and no SUBMIT until a PDU arrives.",
    SessionState.TERMINATING: "The client's TERMINATE is sent; responses are still accepted.",
    SessionState.TERMINATED: "The gateway's TERMINATE is answered; responses are accepted until it disconnects.",
    SessionState.CLOSED: "The session is over; requests without a response are reported.",
}


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
    CONNECTION_LOST = "connection lost"
    PROTOCOL_ERROR = "protocol error"


TRIGGERS: Final = {
    Trigger.START: "the client starts the session",
    Trigger.LOGIN_ACCEPTED: "CONNECT_RESP with status 0",
    Trigger.LOGIN_REFUSED: "CONNECT_RESP with another status",
    Trigger.SILENCE: "a message waits to be sent or answered, and no PDU has arrived for `silence` (10 s)",
    Trigger.PDU_RECEIVED: "any PDU arrived",
    Trigger.TIMEOUT: "no answer to CONNECT (`login_timeout`), to an ACTIVE_TEST (`attempts` times `answer_timeout`, "
    "3 times 60 s; when probing once, within `silence`), or to TERMINATE",
    Trigger.CLOSE: "the client closes the session",
    Trigger.TERMINATE: "the gateway terminates the session",
    Trigger.TERMINATE_RESP: "the gateway answers the client's TERMINATE",
    Trigger.CONNECTION_LOST: "the transport is closed",
    Trigger.PROTOCOL_ERROR: "the octets are not CMPP 2.0",
}


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

TRANSITIONS: Final[dict[tuple[SessionState, Trigger], Transition]] = {
    (_S.CONNECTED, _T.START): Transition(_S.LOGGING_IN, _A.SEND_CONNECT),
    (_S.CONNECTED, _T.CLOSE): _CLOSE,
    (_S.CONNECTED, _T.TERMINATE): Transition(_S.CLOSED, _A.RESPOND_AND_CLOSE),
    (_S.CONNECTED, _T.CONNECTION_LOST): _CLOSE,
    (_S.CONNECTED, _T.PROTOCOL_ERROR): _CLOSE,
    (_S.LOGGING_IN, _T.LOGIN_ACCEPTED): Transition(_S.OPEN, _A.EMIT_READY),
    (_S.LOGGING_IN, _T.LOGIN_REFUSED): _CLOSE,
    (_S.LOGGING_IN, _T.TIMEOUT): _CLOSE,
    (_S.LOGGING_IN, _T.CLOSE): _CLOSE,
    (_S.LOGGING_IN, _T.TERMINATE): Transition(_S.CLOSED, _A.RESPOND_AND_CLOSE),
    (_S.LOGGING_IN, _T.CONNECTION_LOST): _CLOSE,
    (_S.LOGGING_IN, _T.PROTOCOL_ERROR): _CLOSE,
    (_S.OPEN, _T.SILENCE): Transition(_S.PROBING, _A.SEND_ACTIVE_TEST),
    (_S.OPEN, _T.TIMEOUT): _CLOSE,
    (_S.OPEN, _T.CLOSE): Transition(_S.TERMINATING, _A.SEND_TERMINATE),
    (_S.OPEN, _T.TERMINATE): Transition(_S.TERMINATED, _A.SEND_TERMINATE_RESP),
    (_S.OPEN, _T.CONNECTION_LOST): _CLOSE,
    (_S.OPEN, _T.PROTOCOL_ERROR): _CLOSE,
    (_S.PROBING, _T.PDU_RECEIVED): Transition(_S.OPEN, _A.EMIT_READY),
    (_S.PROBING, _T.TIMEOUT): _CLOSE,
    (_S.PROBING, _T.CLOSE): Transition(_S.TERMINATING, _A.SEND_TERMINATE),
    (_S.PROBING, _T.CONNECTION_LOST): _CLOSE,
    (_S.PROBING, _T.PROTOCOL_ERROR): _CLOSE,
    (_S.TERMINATING, _T.CLOSE): Transition(_S.TERMINATING, _A.NONE),
    (_S.TERMINATING, _T.TERMINATE): Transition(_S.TERMINATING, _A.SEND_TERMINATE_RESP),
    (_S.TERMINATING, _T.TERMINATE_RESP): _CLOSE,
    (_S.TERMINATING, _T.TIMEOUT): _CLOSE,
    (_S.TERMINATING, _T.CONNECTION_LOST): _CLOSE,
    (_S.TERMINATING, _T.PROTOCOL_ERROR): _CLOSE,
    (_S.TERMINATED, _T.CLOSE): Transition(_S.TERMINATED, _A.NONE),
    (_S.TERMINATED, _T.TERMINATE): Transition(_S.TERMINATED, _A.SEND_TERMINATE_RESP),
    (_S.TERMINATED, _T.TIMEOUT): _CLOSE,
    (_S.TERMINATED, _T.CONNECTION_LOST): _CLOSE,
    (_S.TERMINATED, _T.PROTOCOL_ERROR): _CLOSE,
}


def draw() -> str:
    """Return docs/cmpp-session.md: the states, the triggers, a diagram, and every transition."""
    lines = ["# The session of a CMPP connection", ""]
    lines += ["Generated from `transitions.py` by `python -m sms1680.cmpp.transitions`; a test compares both."]
    lines += ["Times in `code` are [settings](python.md#over-cmpp-20), followed by their default.", ""]
    lines += ["| state | meaning |", "|---|---|"]
    lines += [f"| {state} | {meaning} |" for state, meaning in STATES.items()]
    lines += ["", "| trigger | meaning |", "|---|---|"]
    lines += [f"| {trigger} | {meaning} |" for trigger, meaning in TRIGGERS.items()]
    lines += ["", "```mermaid", "stateDiagram-v2", f"    [*] --> {SessionState.CONNECTED}"]
    lines += [f"    {_node(state)} --> {_node(to)}: {trigger}" for (state, trigger), (to, _) in TRANSITIONS.items()]
    lines += [f"    {SessionState.CLOSED} --> [*]", "```", ""]
    lines += ["| state | trigger | next state | action |", "|---|---|---|---|"]
    lines += [f"| {state} | {trigger} | {to} | {action} |" for (state, trigger), (to, action) in TRANSITIONS.items()]
    return "\n".join(lines) + "\n"


def _node(state: SessionState) -> str:
    return state.replace(" ", "_")


if __name__ == "__main__":
    import sys

    sys.stdout.write(draw())
