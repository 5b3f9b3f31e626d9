"""Over HTTP, the request hook is called after the pace and the connection, before the first octet of each request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
import pytest

from sms1680 import Account, AsyncClient, Client, NotSentError, Outcome, Receipt
from sms1680.sandbox import Account as GivenAccount, Config, Sandbox, SandboxThread

NUMBERS = [f"1391100000{digit}" for digit in range(4)]
ACCOUNT = Account("demo", "demo1680", product_id="61341")
TEXT = "后门打开"


class Hook:
    """Records its calls, with the octets that the server has received by then."""

    def __init__(self, look: Callable[[], object] = lambda: None) -> None:
        self.calls: list[tuple[str, tuple[int, ...], object]] = []
        self.look = look
        self.error: Exception | None = None
        self.release: asyncio.Event | None = None

    async def before(self, indexes: Sequence[int], /) -> None:
        self.calls.append(("before", tuple(indexes), self.look()))
        if self.release is not None:
            await self.release.wait()
        if self.error is not None:
            raise self.error

    def undo(self, indexes: Sequence[int], /) -> None:
        self.calls.append(("undo", tuple(indexes), self.look()))

    @property
    def names(self) -> list[tuple[str, tuple[int, ...]]]:
        return [(name, indexes) for name, indexes, _ in self.calls]


class BlockingHook(Hook):
    """The same for the blocking client."""

    def before(self, indexes: Sequence[int], /) -> None:  # type: ignore[override]
        self.calls.append(("before", tuple(indexes), self.look()))
        if self.error is not None:
            raise self.error


class Server:
    """Counts connections and octets, and answers each request after a while with an acceptance."""

    def __init__(self) -> None:
        self.connections = 0
        self.octets = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while data := await reader.read(65536):
            self.octets += len(data)
            body = b"1,2026112200000001"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()


async def until(look: Callable[[], object]) -> None:
    """Wait until something is so."""
    for _ in range(1000):
        if look():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not happen in ten seconds")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield server
    listening.close()


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(Config((GivenAccount(products={"61341": 1000}),))) as running:
        yield running


async def test_hook_is_called_with_a_connection_and_before_the_first_octet(server: Server) -> None:
    hook = Hook(lambda: (server.connections, server.octets))
    hook.release = asyncio.Event()
    async with AsyncClient(ACCOUNT, gateway=server.url) as sms:
        call = asyncio.create_task(sms.send(NUMBERS, TEXT, request_hook=hook))
        await until(lambda: server.connections)
        await asyncio.sleep(0.05)
        assert (server.connections, server.octets) == (1, 0)
        assert hook.names == [("before", (0, 1, 2, 3))]
        hook.release.set()
        assert [receipt.outcome for receipt in await call] == [Outcome.ACCEPTED] * 4
        assert server.octets > 0
        before = server.octets
        await sms.send(NUMBERS[0], "again", request_hook=hook)  # over the same connection
    assert hook.calls[1] == ("before", (0,), (1, before))


async def test_items_that_wait_for_the_pace_are_not_announced(box: Sandbox) -> None:
    hook = Hook(lambda: len(box.platform.messages))
    async with AsyncClient(ACCOUNT, gateway=box.url, rate=8, packet_size=1) as sms:
        pairs = [(NUMBERS[0], "a"), (NUMBERS[1], "b"), (NUMBERS[2], "c")]
        await sms.send_batch(pairs, request_hook=hook)
    assert hook.calls == [("before", (0,), 0), ("before", (1,), 1), ("before", (2,), 2)]


async def test_a_request_refused_as_too_fast_is_taken_back(box: Sandbox) -> None:
    hook = Hook()
    box.platform.faults.next("too_fast")
    async with AsyncClient(ACCOUNT, gateway=box.url) as sms:
        [receipt] = await sms.send(NUMBERS[0], TEXT, request_hook=hook)
    assert receipt.outcome is Outcome.ACCEPTED
    assert hook.names == [("before", (0,)), ("undo", (0,)), ("before", (0,))]


async def test_without_a_connection_nothing_is_announced() -> None:
    hook = Hook()
    async with AsyncClient(ACCOUNT, gateway="http://127.0.0.1:9", patience=0) as sms:
        with pytest.raises(NotSentError):
            await sms.send(NUMBERS[0], TEXT, request_hook=hook)
    assert hook.calls == []


async def test_a_hook_that_fails_stops_the_call_before_anything_leaves(server: Server) -> None:
    hook, recorded = Hook(), list[Receipt]()
    hook.error = OSError("disk full")
    async with AsyncClient(ACCOUNT, gateway=server.url, packet_size=2, on_receipt=recorded.append, rate=0.01) as sms:
        with pytest.raises(NotSentError):
            await sms.send(NUMBERS, TEXT, request_hook=hook)
        hook.error = None
        async with asyncio.timeout(60):  # the slot was not charged with 200 seconds
            await sms.send(NUMBERS[0], TEXT, request_hook=hook)
    assert hook.names == [("before", (0, 1)), ("before", (0,))]
    assert [receipt.outcome for receipt in recorded[:4]] == [Outcome.NOT_SENT] * 4
    assert server.octets > 0


async def test_a_cancelled_call_is_not_announced_any_more(server: Server) -> None:
    recorded: list[Receipt] = []
    hook, turn = Hook(), asyncio.Event()

    class Slow(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await turn.wait()
            return await super().handle_async_request(request)

    own = httpx.AsyncClient(transport=Slow())
    async with own, AsyncClient(ACCOUNT, gateway=server.url, http_client=own, on_receipt=recorded.append) as sms:
        call = asyncio.create_task(sms.send(NUMBERS[0], TEXT, request_hook=hook))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        turn.set()
    assert hook.calls == []
    assert server.octets == 0
    assert [receipt.outcome for receipt in recorded] == [Outcome.NOT_SENT]


async def test_a_call_cancelled_during_the_hook_sends_nothing(server: Server) -> None:
    recorded: list[Receipt] = []
    hook = Hook()
    hook.release = asyncio.Event()
    async with AsyncClient(ACCOUNT, gateway=server.url, on_receipt=recorded.append) as sms:
        call = asyncio.create_task(sms.send(NUMBERS[0], TEXT, request_hook=hook))
        await until(lambda: hook.calls)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        hook.release.set()
    assert (server.octets, [receipt.outcome for receipt in recorded]) == (0, [Outcome.NOT_SENT])


async def test_a_client_with_another_transport_announces_before_the_request() -> None:
    hook = Hook(lambda: len(seen))
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b"1,2026112200000001"))

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(answer)) as own,
        AsyncClient(ACCOUNT, gateway="http://gateway.test", http_client=own) as sms,
    ):
        await sms.send(NUMBERS[0], TEXT, request_hook=hook)
    assert hook.calls == [("before", (0,), 0)]
    assert len(seen) == 1


def test_the_blocking_client_calls_the_hook_before_each_request(make_blocking: Any) -> None:
    box, sms = make_blocking
    hook = BlockingHook(lambda: len(box.platform.messages))
    sms.send_batch([(NUMBERS[0], "a"), (NUMBERS[1], "b")], request_hook=hook)
    assert hook.calls == [("before", (0,), 0), ("before", (1,), 1)]
    hook.error = OSError("disk full")
    with pytest.raises(NotSentError) as raised:
        sms.send(NUMBERS[2], "c", request_hook=hook)
    assert raised.value.receipts[0].detail == "OSError"
    with pytest.raises(NotSentError):
        sms.send(NUMBERS[2], "c", request_hook=Awaiting())
    assert len(box.platform.messages) == 2


class Awaiting:
    """A hook that only an asyncio client can call."""

    def before(self, _: Sequence[int], /) -> Any:
        return asyncio.Event()

    def undo(self, _: Sequence[int], /) -> None:
        raise AssertionError


@pytest.fixture
def make_blocking() -> Any:
    with SandboxThread() as box, Client(ACCOUNT, gateway=box.url, packet_size=1) as sms:
        yield box, sms
