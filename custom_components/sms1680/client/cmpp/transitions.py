"""The states of a CMPP connection and every way from one to another, in one table (CMPP 2.0, chapters 5 and 6).

`Session` moves along this table and along nothing else; `draw` makes the documentation from it. What is not in the
table can't happen: `Session` raises `KeyError` rather than guess, except in CLOSED, where nothing happens any more.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["TRANSITIONS", "Action", "SessionState", "Transition", "Trigger", "draw"]


class SessionState(StrEnum):
    """Where a connection stands."""

    CONNECTED = "connected"
    LOGGING_IN = "logging in"
    OPEN = "open"
    PROBING = "probing"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    CLOSED = "closed"


STATES: Final = {
    SessionState.CONNECTED: "The transport is there, nothing was said.",
    SessionState.LOGGING_IN: "CONNECT is sent; nothing else may be until it is answered.",
    SessionState.OPEN: "Logged in: messages go out, as many at a time as the window allows.",
    SessionState.PROBING: "Nothing was heard for a while: an ACTIVE_TEST is sent, and no SUBMIT before a sign of life.",
    SessionState.TERMINATING: "Our TERMINATE is sent; answers are still taken.",
    SessionState.TERMINATED: "Their TERMINATE is answered; answers are still taken until they hang up.",
    SessionState.CLOSED: "Over. What had no answer is told.",
}


class Trigger(StrEnum):
    """What moves a connection."""

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
    Trigger.START: "our client begins",
    Trigger.LOGIN_ACCEPTED: "CONNECT_RESP with status 0",
    Trigger.LOGIN_REFUSED: "CONNECT_RESP with another status",
    Trigger.SILENCE: "a message wants out or waits for its answer, but nothing was heard for `silence` (10 s)",
    Trigger.PDU_RECEIVED: "any PDU came",
    Trigger.TIMEOUT: "no answer to CONNECT (`login_timeout`), to an ACTIVE_TEST (`attempts` times `answer_timeout`, "
    "3 times 60 s; in doubt once, within `silence`), or to TERMINATE",
    Trigger.CLOSE: "our client ends",
    Trigger.TERMINATE: "the gateway ends",
    Trigger.TERMINATE_RESP: "the gateway agrees to our end",
    Trigger.CONNECTION_LOST: "the transport ended",
    Trigger.PROTOCOL_ERROR: "octets that are no CMPP 2.0",
}


class Action(StrEnum):
    """What is done on the way."""

    NONE = "–"
    SEND_CONNECT = "send CONNECT"
    EMIT_READY = "tell that messages can go"
    SEND_ACTIVE_TEST = "send ACTIVE_TEST"
    SEND_TERMINATE = "send TERMINATE"
    SEND_TERMINATE_RESP = "send TERMINATE_RESP"
    EMIT_CLOSED = "tell why, and what had no answer"
    RESPOND_AND_CLOSE = "send TERMINATE_RESP, tell why, and what had no answer"


class Transition(NamedTuple):
    """Where a trigger leads, and what is done on the way."""

    to: SessionState
    action: Action


_FINISHED = Transition(SessionState.CLOSED, Action.EMIT_CLOSED)
_S, _T, _A = SessionState, Trigger, Action

TRANSITIONS: Final[dict[tuple[SessionState, Trigger], Transition]] = {
    (_S.CONNECTED, _T.START): Transition(_S.LOGGING_IN, _A.SEND_CONNECT),
    (_S.CONNECTED, _T.CLOSE): _FINISHED,
    (_S.CONNECTED, _T.TERMINATE): Transition(_S.CLOSED, _A.RESPOND_AND_CLOSE),
    (_S.CONNECTED, _T.CONNECTION_LOST): _FINISHED,
    (_S.CONNECTED, _T.PROTOCOL_ERROR): _FINISHED,
    (_S.LOGGING_IN, _T.LOGIN_ACCEPTED): Transition(_S.OPEN, _A.EMIT_READY),
    (_S.LOGGING_IN, _T.LOGIN_REFUSED): _FINISHED,
    (_S.LOGGING_IN, _T.TIMEOUT): _FINISHED,
    (_S.LOGGING_IN, _T.CLOSE): _FINISHED,
    (_S.LOGGING_IN, _T.TERMINATE): Transition(_S.CLOSED, _A.RESPOND_AND_CLOSE),
    (_S.LOGGING_IN, _T.CONNECTION_LOST): _FINISHED,
    (_S.LOGGING_IN, _T.PROTOCOL_ERROR): _FINISHED,
    (_S.OPEN, _T.SILENCE): Transition(_S.PROBING, _A.SEND_ACTIVE_TEST),
    (_S.OPEN, _T.TIMEOUT): _FINISHED,
    (_S.OPEN, _T.CLOSE): Transition(_S.TERMINATING, _A.SEND_TERMINATE),
    (_S.OPEN, _T.TERMINATE): Transition(_S.TERMINATED, _A.SEND_TERMINATE_RESP),
    (_S.OPEN, _T.CONNECTION_LOST): _FINISHED,
    (_S.OPEN, _T.PROTOCOL_ERROR): _FINISHED,
    (_S.PROBING, _T.PDU_RECEIVED): Transition(_S.OPEN, _A.EMIT_READY),
    (_S.PROBING, _T.TIMEOUT): _FINISHED,
    (_S.PROBING, _T.CLOSE): Transition(_S.TERMINATING, _A.SEND_TERMINATE),
    (_S.PROBING, _T.CONNECTION_LOST): _FINISHED,
    (_S.PROBING, _T.PROTOCOL_ERROR): _FINISHED,
    (_S.TERMINATING, _T.CLOSE): Transition(_S.TERMINATING, _A.NONE),
    (_S.TERMINATING, _T.TERMINATE): Transition(_S.TERMINATING, _A.SEND_TERMINATE_RESP),
    (_S.TERMINATING, _T.TERMINATE_RESP): _FINISHED,
    (_S.TERMINATING, _T.TIMEOUT): _FINISHED,
    (_S.TERMINATING, _T.CONNECTION_LOST): _FINISHED,
    (_S.TERMINATING, _T.PROTOCOL_ERROR): _FINISHED,
    (_S.TERMINATED, _T.CLOSE): Transition(_S.TERMINATED, _A.NONE),
    (_S.TERMINATED, _T.TERMINATE): Transition(_S.TERMINATED, _A.SEND_TERMINATE_RESP),
    (_S.TERMINATED, _T.TIMEOUT): _FINISHED,
    (_S.TERMINATED, _T.CONNECTION_LOST): _FINISHED,
    (_S.TERMINATED, _T.PROTOCOL_ERROR): _FINISHED,
}


def draw() -> str:
    """Return the table as a page of documentation: the states, a diagram, and every transition."""
    lines = ["# The session of a CMPP connection", ""]
    lines += ["Drawn from `transitions.py` by `python -m sms1680.cmpp.transitions`; a test holds it to the code."]
    lines += ["Times named in `code` are [settings](python.md#over-cmpp-20); their defaults stand beside them.", ""]
    lines += ["| state | meaning |", "|---|---|"]
    lines += [f"| {state} | {meaning} |" for state, meaning in STATES.items()]
    lines += ["", "| trigger | meaning |", "|---|---|"]
    lines += [f"| {trigger} | {meaning} |" for trigger, meaning in TRIGGERS.items()]
    lines += ["", "```mermaid", "stateDiagram-v2", f"    [*] --> {SessionState.CONNECTED}"]
    lines += [f"    {_node(state)} --> {_node(step.to)}: {trigger}" for (state, trigger), step in TRANSITIONS.items()]
    lines += [f"    {SessionState.CLOSED} --> [*]", "```", ""]
    lines += ["| in | comes | leads to | on the way |", "|---|---|---|---|"]
    lines += [f"| {state} | {trigger} | {step.to} | {step.action} |" for (state, trigger), step in TRANSITIONS.items()]
    return "\n".join(lines) + "\n"


def _node(state: SessionState) -> str:
    return state.replace(" ", "_")


if __name__ == "__main__":
    import sys

    sys.stdout.write(draw())
