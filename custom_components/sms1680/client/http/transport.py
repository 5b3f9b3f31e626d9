"""One exchange with the platform: what goes out, what comes back, and what carries it (any HTTP library)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 30.0
LONGEST_ANSWER = 64 * 1024
USER_AGENT = "sms1680"


class Timeouts(NamedTuple):
    """Seconds until connected, and seconds without any answer."""

    connect: float = CONNECT_TIMEOUT
    answer: float = ANSWER_TIMEOUT


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, ready to be carried. `secret_url`: the address holds a secret and must reach no log."""

    method: str
    url: str
    body: bytes | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    secret_url: bool = False

    def __repr__(self) -> str:
        """Show no secret."""
        return f"Request({self.method} {self.url.partition('?')[0]})"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it came.

    complete_length: its length was announced, so that a cut answer would have been noticed.
    charset: of the Content-Type header, None where there is none.
    """

    status: int
    body: bytes
    charset: str | None = None
    complete_length: bool = True

    def __repr__(self) -> str:
        """Show nothing of the body: it may quote what was sent."""
        return f"Answer({self.status}, {len(self.body)} octets)"


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer came. begun: the request may have left; False only where it certainly did not."""

    begun: bool
    detail: str


class Carrier(Protocol):
    """Carries one request at a time of each thread; `close` gives its connections back."""

    def exchange(self, request: Request) -> Answer | Failure:
        """Return the answer, or the failure; never raises."""

    def close(self) -> None:
        """Give the connections back."""
