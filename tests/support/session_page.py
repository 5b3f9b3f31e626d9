"""Generates docs/cmpp-session.md from the table of the CMPP session's transitions."""

from __future__ import annotations

import sys
from typing import Final

from sms1680.cmpp.transitions import TRANSITIONS, SessionState, Trigger

STATES: Final = {
    SessionState.CONNECTED: "The transport is connected; neither side has sent a PDU.",
    SessionState.LOGGING_IN: "CONNECT is sent. The client sends nothing else until the gateway answers it.",
    SessionState.OPEN: "Logged in: the client sends as many messages at a time as the window allows.",
    SessionState.PROBING: "The gateway was silent. An ACTIVE_TEST is sent, and no SUBMIT until a PDU arrives.",
    SessionState.TERMINATING: "The client's TERMINATE is sent; responses are still accepted.",
    SessionState.TERMINATED: "The gateway's TERMINATE is answered; responses are accepted until no request waits.",
    SessionState.CLOSED: "The session is over; requests without a response are reported.",
}

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
    Trigger.SETTLED: "the last waiting request is answered or times out, or none waited",
    Trigger.CONNECTION_LOST: "the transport is closed",
    Trigger.PROTOCOL_ERROR: "the octets are not CMPP 2.0",
}


def draw() -> str:
    """Return docs/cmpp-session.md: the states, the triggers, a diagram, and every transition."""
    lines = ["# The session of a CMPP connection", ""]
    lines += ["Generated from `transitions.py` by `python tests/support/session_page.py`; a test compares both."]
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
    sys.stdout.write(draw())
