"""The states of a CMPP connection and every way from one to another, in one table (CMPP 2.0, chapters 5 and 6).

`Session` moves along this table and along nothing else; `draw` makes the documentation from it. What is not in the
table can't happen: `Session` raises `KeyError` rather than guess, except in CLOSED, where nothing happens any more.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["TABLE", "Action", "State", "Step", "Trigger", "draw"]


class State(StrEnum):
    """Where a connection stands."""

    CONNECTED = "connected"
    LOGGING_IN = "logging in"
    OPEN = "open"
    DOUBTFUL = "doubtful"
    ENDING = "ending"
    ENDED = "ended"
    CLOSED = "closed"


STATES: Final = {
    State.CONNECTED: "The transport is there, nothing was said.",
    State.LOGGING_IN: "CONNECT is sent; nothing else may be until it is answered.",
    State.OPEN: "Logged in: messages go out, as many at a time as the window allows.",
    State.DOUBTFUL: "Nothing was heard for a while: an ACTIVE_TEST is sent, and no SUBMIT before a sign of life.",
    State.ENDING: "Our TERMINATE is sent; answers are still taken.",
    State.ENDED: "Their TERMINATE is answered; answers are still taken until they hang up.",
    State.CLOSED: "Over. What had no answer is told.",
}


class Trigger(StrEnum):
    """What moves a connection."""

    START = "start"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    SILENCE = "silence"
    HEARD = "heard"
    TIME_UP = "time up"
    CLOSE = "close"
    TERMINATE = "TERMINATE"
    TERMINATE_RESP = "TERMINATE_RESP"
    HUNG_UP = "hung up"
    BROKEN = "broken"


TRIGGERS: Final = {
    Trigger.START: "our client begins",
    Trigger.ACCEPTED: "CONNECT_RESP with status 0",
    Trigger.REFUSED: "CONNECT_RESP with another status",
    Trigger.SILENCE: "a message wants out or waits for its answer, but nothing was heard for `silence` (10 s)",
    Trigger.HEARD: "any PDU came",
    Trigger.TIME_UP: "no answer to CONNECT (`login_timeout`), to an ACTIVE_TEST (`attempts` times `answer_timeout`, "
    "3 times 60 s; in doubt once, within `silence`), or to TERMINATE",
    Trigger.CLOSE: "our client ends",
    Trigger.TERMINATE: "the gateway ends",
    Trigger.TERMINATE_RESP: "the gateway agrees to our end",
    Trigger.HUNG_UP: "the transport ended",
    Trigger.BROKEN: "octets that are no CMPP 2.0",
}


class Action(StrEnum):
    """What is done on the way."""

    NOTHING = "–"
    SEND_CONNECT = "send CONNECT"
    ANNOUNCE = "tell that messages can go"
    SEND_TEST = "send ACTIVE_TEST"
    SEND_TERMINATE = "send TERMINATE"
    ANSWER_TERMINATE = "send TERMINATE_RESP"
    FINISH = "tell why, and what had no answer"
    ANSWER_AND_FINISH = "send TERMINATE_RESP, tell why, and what had no answer"


class Step(NamedTuple):
    """Where a trigger leads, and what is done on the way."""

    to: State
    action: Action


_FINISHED = Step(State.CLOSED, Action.FINISH)
_S, _T, _A = State, Trigger, Action

TABLE: Final[dict[tuple[State, Trigger], Step]] = {
    (_S.CONNECTED, _T.START): Step(_S.LOGGING_IN, _A.SEND_CONNECT),
    (_S.CONNECTED, _T.CLOSE): _FINISHED,
    (_S.CONNECTED, _T.TERMINATE): Step(_S.CLOSED, _A.ANSWER_AND_FINISH),
    (_S.CONNECTED, _T.HUNG_UP): _FINISHED,
    (_S.CONNECTED, _T.BROKEN): _FINISHED,
    (_S.LOGGING_IN, _T.ACCEPTED): Step(_S.OPEN, _A.ANNOUNCE),
    (_S.LOGGING_IN, _T.REFUSED): _FINISHED,
    (_S.LOGGING_IN, _T.TIME_UP): _FINISHED,
    (_S.LOGGING_IN, _T.CLOSE): _FINISHED,
    (_S.LOGGING_IN, _T.TERMINATE): Step(_S.CLOSED, _A.ANSWER_AND_FINISH),
    (_S.LOGGING_IN, _T.HUNG_UP): _FINISHED,
    (_S.LOGGING_IN, _T.BROKEN): _FINISHED,
    (_S.OPEN, _T.SILENCE): Step(_S.DOUBTFUL, _A.SEND_TEST),
    (_S.OPEN, _T.TIME_UP): _FINISHED,
    (_S.OPEN, _T.CLOSE): Step(_S.ENDING, _A.SEND_TERMINATE),
    (_S.OPEN, _T.TERMINATE): Step(_S.ENDED, _A.ANSWER_TERMINATE),
    (_S.OPEN, _T.HUNG_UP): _FINISHED,
    (_S.OPEN, _T.BROKEN): _FINISHED,
    (_S.DOUBTFUL, _T.HEARD): Step(_S.OPEN, _A.ANNOUNCE),
    (_S.DOUBTFUL, _T.TIME_UP): _FINISHED,
    (_S.DOUBTFUL, _T.CLOSE): Step(_S.ENDING, _A.SEND_TERMINATE),
    (_S.DOUBTFUL, _T.HUNG_UP): _FINISHED,
    (_S.DOUBTFUL, _T.BROKEN): _FINISHED,
    (_S.ENDING, _T.CLOSE): Step(_S.ENDING, _A.NOTHING),
    (_S.ENDING, _T.TERMINATE): Step(_S.ENDING, _A.ANSWER_TERMINATE),
    (_S.ENDING, _T.TERMINATE_RESP): _FINISHED,
    (_S.ENDING, _T.TIME_UP): _FINISHED,
    (_S.ENDING, _T.HUNG_UP): _FINISHED,
    (_S.ENDING, _T.BROKEN): _FINISHED,
    (_S.ENDED, _T.CLOSE): Step(_S.ENDED, _A.NOTHING),
    (_S.ENDED, _T.TERMINATE): Step(_S.ENDED, _A.ANSWER_TERMINATE),
    (_S.ENDED, _T.TIME_UP): _FINISHED,
    (_S.ENDED, _T.HUNG_UP): _FINISHED,
    (_S.ENDED, _T.BROKEN): _FINISHED,
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
    lines += ["", "```mermaid", "stateDiagram-v2", f"    [*] --> {State.CONNECTED}"]
    lines += [f"    {_node(state)} --> {_node(step.to)}: {trigger}" for (state, trigger), step in TABLE.items()]
    lines += [f"    {State.CLOSED} --> [*]", "```", ""]
    lines += ["| in | comes | leads to | on the way |", "|---|---|---|---|"]
    lines += [f"| {state} | {trigger} | {step.to} | {step.action} |" for (state, trigger), step in TABLE.items()]
    return "\n".join(lines) + "\n"


def _node(state: State) -> str:
    return state.replace(" ", "_")


if __name__ == "__main__":
    import sys

    sys.stdout.write(draw())
