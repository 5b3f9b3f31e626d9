"""A small HTTP server for the platform's pushes, of the standard library only.

It serves one address and nothing else: one request per connection, with limits for its size, its time and the number of
connections. Real platforms put raw octets and blanks into the address, which HTTP forbids; they are accepted.
"""

import asyncio
import hmac
import re
from collections.abc import Callable, Sequence
from http import HTTPStatus

from ..errors import InvalidPushError
from ..networks import is_in_networks
from ..push import LONGEST_PUSH, DeliveryReport, Reply, parse_push

ANSWER = b"0"  # what the platform expects (docs/protocol.md, section 2)

_MAX_HEAD_SIZE = 48 * 1024
_MAX_CONNECTIONS = 64
_MAX_PER_ADDRESS = 32
_HEAD_TIME = 5.0  # seconds until a connection has sent the head of its request
_CONNECTION_TIME = 20.0
_CLOSING_TIME = 1.0
_REQUEST_LINE = re.compile(rb"(GET|POST) +(/.*?) +HTTP/1\.[01]\Z", re.DOTALL)
_LENGTH = re.compile(rb"^content-length:[ \t]*([0-9]{1,9})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:", re.IGNORECASE | re.MULTILINE)
# The last parts of addresses in the upstream style: a channel's number, reports and uplinks.
_STYLE = re.compile(rb"(?:/[A-Za-z0-9_-]{1,32})?(?:/m[ro])?/?")


class _RefusedPushError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class PushServer:
    """Receives pushes under `/SECRET`.

    receive: called with each item; if it returns, the item is acknowledged. It raises OSError to refuse one.
    on_acknowledged: called with the result of `receive` when the acknowledgement has been written.
    warn: called with the kind of a request that was rejected. networks: from which pushes may come; empty for all.
    """

    def __init__(
        self,
        secret: str,
        receive: Callable[[Reply | DeliveryReport], object],
        *,
        on_acknowledged: Callable[[object], None],
        warn: Callable[[str], None],
        networks: Sequence[str] = (),
    ) -> None:
        self._prefix = f"/{secret}".encode()
        self._receive = receive
        self._on_acknowledged = on_acknowledged
        self._warn = warn
        self._networks = networks
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], str] = {}  # the task of each connection and its address, the oldest first
        self._waiting: dict[asyncio.Task[None], str] = {}  # those that have sent no request yet

    async def open(self, host: str, port: int) -> int:
        """Open the port, 0 for a free one, and return it. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=_MAX_HEAD_SIZE)
        opened: int = self._server.sockets[0].getsockname()[1]
        return opened

    async def close(self) -> None:
        """Close the port. Requests in progress get one second to finish."""
        if self._server is not None:
            self._server.close()
        for task in list(self._waiting):
            task.cancel()
        if self._open:
            _, late = await asyncio.wait(list(self._open), timeout=_CLOSING_TIME)
            for task in late:
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        address = str((writer.get_extra_info("peername") or ("",))[0])
        if not self._admit(address):
            writer.transport.abort()
            return
        self._open[task] = self._waiting[task] = address
        try:
            async with asyncio.timeout(_CONNECTION_TIME):
                await self._answer(task, reader, writer)
        except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._waiting.pop(task, None)
            self._open.pop(task, None)
            writer.close()

    def _admit(self, address: str) -> bool:
        """Return whether a new connection may stay. It may push, and there is room for it."""
        if self._networks and not is_in_networks(address, self._networks):
            self._warn("forbidden")
            return False
        if list(self._open.values()).count(address) >= _MAX_PER_ADDRESS and not self._make_room(address):
            return False
        return len(self._open) < _MAX_CONNECTIONS or self._make_room(None)

    def _make_room(self, address: str | None) -> bool:
        """Cut the oldest connection that has sent no request yet. address: of this address, None for any."""
        for task, other in self._waiting.items():
            if address in (None, other):
                task.cancel()
                del self._waiting[task]
                return True
        return False

    async def _answer(
        self, task: "asyncio.Task[None]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async with asyncio.timeout(_HEAD_TIME):
            head = await reader.readuntil(b"\r\n\r\n")
        self._waiting.pop(task, None)
        seen: object = None
        try:
            status, seen = HTTPStatus.OK, self._receive(await self._read(head, reader))
        except _RefusedPushError as error:
            status = error.status
        except InvalidPushError:
            self._warn("malformed")
            status = HTTPStatus.BAD_REQUEST
        except OSError:  # the output cannot be written
            status = HTTPStatus.SERVICE_UNAVAILABLE
        body = ANSWER if status is HTTPStatus.OK else b""
        fields = f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n{fields}".encode() + body)
        await writer.drain()
        if status is HTTPStatus.OK:
            self._on_acknowledged(seen)

    async def _read(self, head: bytes, reader: asyncio.StreamReader) -> Reply | DeliveryReport:
        """Return the item of a request. Raises InvalidPushError or _RefusedPushError."""
        line, _, headers = head.partition(b"\r\n")
        if not (found := _REQUEST_LINE.match(line)):
            raise _RefusedPushError(HTTPStatus.BAD_REQUEST)
        path, _, query = found[2].partition(b"?")
        secret, rest = path[: len(self._prefix)], path[len(self._prefix) :]
        if not hmac.compare_digest(secret, self._prefix) or not _STYLE.fullmatch(rest):
            raise _RefusedPushError(HTTPStatus.NOT_FOUND)
        body = b""
        if found[1] == b"POST":
            if _CHUNKED.search(headers):
                raise _RefusedPushError(HTTPStatus.LENGTH_REQUIRED)
            length = int(size[1]) if (size := _LENGTH.search(headers)) else 0
            if length > LONGEST_PUSH:
                raise _RefusedPushError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            body = await reader.readexactly(length)
        return parse_push(body or query)
