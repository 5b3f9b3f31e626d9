"""One HTTP exchange with the platform, independent of the HTTP library."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

CONNECT_TIMEOUT = 5.0
RESPONSE_TIMEOUT = 30.0
LONGEST_RESPONSE = 64 * 1024
USER_AGENT = "sms1680"
HEADERS = (
    ("User-Agent", USER_AGENT),
    ("Accept", "text/plain"),
    ("Accept-Encoding", "identity"),
    ("Connection", "keep-alive"),
)
"""The headers of every request, besides its own."""


class Timeouts(NamedTuple):
    """Seconds until connected, and seconds without a response."""

    connect: float = CONNECT_TIMEOUT
    response: float = RESPONSE_TIMEOUT

    @property
    def until_sent(self) -> float:
        """Seconds until a request must have been sent: its turn, the connection, TLS, and the request itself."""
        return 3 * self.connect + self.response


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. secret_url: the address contains a secret and must not be logged."""

    method: str
    url: str
    body: bytes | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    secret_url: bool = False

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url.partition('?')[0]})"


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response.

    complete_length: the response announced its length, so a truncated one would be noticed.
    charset: from the Content-Type header, None if it has none.
    """

    status: int
    body: bytes
    charset: str | None = None
    complete_length: bool = True

    def __repr__(self) -> str:
        # The body can quote the message.
        return f"Response({self.status}, {len(self.body)} octets)"


@dataclass(frozen=True, slots=True)
class TransportError:
    """No response arrived. begun: the request may have been sent; False only if it certainly was not."""

    begun: bool
    detail: str


class HTTPTransport(Protocol):
    """A blocking HTTP transport, used by several threads at once.

    It never repeats a request, follows no redirect, stores no cookie, and limits the time and the size of a response.
    """

    def exchange(self, request: Request) -> Response | TransportError:
        """Return the response or the error; never raise."""

    def close(self) -> None:
        """Close all connections."""


@lru_cache(maxsize=16)
def charset_of(content_type: str) -> str | None:
    """Return the charset of a Content-Type header in lower case, None if it has none.

    A gateway sends the same header with every response, and reading it costs as much as a fifteenth of the request.
    """
    from email.message import Message  # noqa: PLC0415 - needed by the first response only

    header = Message()
    header["Content-Type"] = content_type
    return header.get_content_charset()
