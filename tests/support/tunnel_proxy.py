"""A small HTTP proxy for tests, with an address of its own. A test chooses its answers."""

from __future__ import annotations

import asyncio
import ssl

OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"
SECRET = "p@ss:w/rd 密"
USERINFO = "me:p%40ss%3Aw%2Frd%20%E5%AF%86"
OWN_ADDRESS = "127.0.0.2"


class Proxy:
    """A proxy that answers CONNECT with the octets of a test. Everything goes to one port of this machine.

    source: the address that its connections come from.
    """

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.answer: list[bytes] = [OPEN]
        self.hang_up = False
        self.requests: list[bytes] = []
        self.asked = asyncio.Event()
        self.closed = asyncio.Event()
        self.port = 0
        self._to = port
        self._source = source
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """The address with a user name and a password."""
        return f"http://{USERINFO}@127.0.0.1:{self.port}"

    async def start(self, context: ssl.SSLContext | None = None) -> Proxy:
        """Listen on a free port, with TLS if there is a context."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Close the port and all connections."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head)
            self.asked.set()
            if not head.startswith(b"CONNECT "):
                await self._pipe(reader, writer, head)
                return
            for piece in self.answer:
                writer.write(piece)
                await writer.drain()
            if not self.hang_up and self.answer[-1:] == [OPEN]:
                await self._pipe(reader, writer, b"")
            elif not self.hang_up:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self.closed.set()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to, local_addr=(self._source, 0))
        far_writer.write(first)

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                target.write(data)
            target.close()

        try:
            await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer), return_exceptions=True)
        finally:
            far_writer.close()
