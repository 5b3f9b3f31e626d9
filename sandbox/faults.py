"""HTTP faults on demand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from .verdicts import Verdict


class Call(StrEnum):
    """The platform's four calls."""

    SEND = "sendXSms"
    TEMPLATE = "sendDIYSms"
    BATCH = "sendPackSms"
    BALANCE = "balance"


class Cut(StrEnum):
    """The point at which the connection is cut."""

    BEFORE_ANSWER = "before_answer"
    BEFORE_BODY = "before_body"
    IN_BODY = "in_body"


PLAIN = "text/plain;charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Fault:
    """The course of one faulty call, in chronological order.

    stall_before: seconds before the platform processes the call. accept: False if the platform never processes it.
    verdict: answer with this verdict instead of processing the call. stall_after: seconds before the answer. status,
    content_type, location: of the HTTP answer. body: None for the normal answer; `{}` in it is replaced by the normal
    answer. length: False to omit Content-Length, so that the answer ends with the connection. cut: the point at which
    the connection is cut.
    """

    stall_before: float = 0.0
    accept: bool = True
    verdict: Verdict | None = None
    stall_after: float = 0.0
    status: int = 200
    body: str | None = None
    content_type: str = PLAIN
    location: str | None = None
    length: bool = True
    cut: Cut | None = None


HTML = "<html><head><title>Error report</title></head><body><h1>HTTP Status 500 - </h1></body></html>"

PRESETS: dict[str, Fault] = {
    "padded": Fault(body="\ufeff \r\n\x00 {} \x00\x00\r\n \r\n"),
    "blank": Fault(body="  {}   "),
    "nul": Fault(body="{}\x00\x00\x00\x00"),
    "bom": Fault(body="\ufeff{}"),
    "crlf": Fault(body="\r\n{}\r\n"),
    "drop_before": Fault(accept=False, cut=Cut.BEFORE_ANSWER),
    "drop_after": Fault(cut=Cut.BEFORE_ANSWER),
    "no_body": Fault(cut=Cut.BEFORE_BODY),
    "half": Fault(cut=Cut.IN_BODY),
    "stall_before": Fault(stall_before=60.0),
    "stall_after": Fault(stall_after=60.0),
    "html": Fault(body=HTML, content_type="text/html;charset=UTF-8", accept=False),
    "html_accepted": Fault(body=HTML, content_type="text/html;charset=UTF-8"),
    "error": Fault(status=502, body=HTML, content_type="text/html;charset=UTF-8", accept=False),
    "error_accepted": Fault(status=504, body=HTML, content_type="text/html;charset=UTF-8"),
    "empty": Fault(body="", accept=False),
    "empty_accepted": Fault(body=""),
    "redirect": Fault(status=302, body="", location="/elsewhere", accept=False),
    "no_length": Fault(length=False),
    "too_fast": Fault(verdict=Verdict.TOO_FAST),
    "address": Fault(verdict=Verdict.IP),
    "failed": Fault(verdict=Verdict.FAILED),
}
"""The named faults."""

Chooser = Callable[[Call], Fault | None]


class Faults:
    """Selects the fault of each call: from `choose`, then from the queue, then the standing one."""

    def __init__(self) -> None:
        """Start without faults."""
        self.choose: Chooser | None = None
        self.standing: tuple[str, Fault] | None = None
        self.queue: deque[tuple[str, Fault]] = deque()
        self.happened = 0

    def next(self, fault: Fault | str, times: int = 1) -> None:
        """Apply a fault (or the preset with a name) to the next calls, so many times.

        Raises:
            ValueError: the name is unknown.
        """
        self.queue.extend([_named(fault)] * times)

    def always(self, fault: Fault | str) -> None:
        """Apply a fault (or the preset with a name) to every call until `clear`.

        Raises:
            ValueError: the name is unknown.
        """
        self.standing = _named(fault)

    def clear(self) -> None:
        """Remove all faults."""
        self.choose = None
        self.standing = None
        self.queue.clear()
        self.happened = 0

    def next_for(self, call: Call) -> Fault | None:
        """Return the fault of this call, if any, and remove it from the queue."""
        fault = self.choose(call) if self.choose else None
        if fault is None and self.queue:
            fault = self.queue.popleft()[1]
        if fault is None and self.standing:
            fault = self.standing[1]
        self.happened += fault is not None
        return fault

    def as_json(self) -> dict[str, object]:
        """Return the current settings for the control API."""
        return {
            "presets": list(PRESETS),
            "standing": self.standing[0] if self.standing else None,
            "queue": [name for name, _ in self.queue],
            "happened": self.happened,
        }


def _named(fault: Fault | str) -> tuple[str, Fault]:
    if isinstance(fault, Fault):
        return "own", fault
    if fault not in PRESETS:
        raise ValueError("there is no fault with that name")
    return fault, PRESETS[fault]
