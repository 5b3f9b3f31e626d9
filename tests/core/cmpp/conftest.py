"""The golden PDUs (made by an independent implementation), and a small gateway on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from sms1680.cmpp.client import CMPPClient
from sms1680.cmpp.wire.auth import authenticator_ismg, connect_request
from sms1680.cmpp.wire.codec import Decoder, encode
from sms1680.cmpp.wire.errors import CodecError
from sms1680.cmpp.wire.pdus import (
    PDU,
    ActiveTest,
    ActiveTestResp,
    Connect,
    ConnectResp,
    Deliver,
    DeliverResp,
    Submit,
    SubmitResp,
    Terminate,
    TerminateResp,
)
from sms1680.cmpp.wire.reports import ReportContent

try:
    import uvloop
except ImportError:  # there is none for this platform
    uvloop = None

VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("cmpp2_vectors.json").read_text())["vectors"]
SP_ID, SECRET, SOURCE = "901234", "known to both", "10690001"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test that asks for a `vector` with each of them."""
    if "vector" in metafunc.fixturenames:
        metafunc.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])


@pytest.fixture
def golden() -> dict[str, bytes]:
    """The octets of each golden PDU by its name."""
    return {vector["name"]: bytes.fromhex(vector["hex"]) for vector in VECTORS}


class Line(asyncio.Protocol):
    """One connection as the gateway sees it."""

    def __init__(self, gateway: "Gateway") -> None:
        self.gateway = gateway
        self.decoder = Decoder()
        self.transport: Any = None
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.gateway.lines.append(self)

    def data_received(self, data: bytes) -> None:
        for pdu in self.decoder.receive(data):
            assert not isinstance(pdu, CodecError), pdu
            self.gateway.came(self, pdu)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.lost.set()
        self.gateway.changed.set()

    def say(self, *pdus: PDU) -> None:
        self.transport.write(b"".join(map(encode, pdus)))


class Gateway:
    """Answers as a friendly gateway does, until a test gives it another way to answer a command."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.heard: list[PDU] = []
        self.changed = asyncio.Event()
        self.status = 0
        self.next_id = 13483237699126034433
        self.next_sequence = 900
        self.on: dict[type, Callable[[Line, Any], object]] = {
            Connect: self.login,
            Submit: self.accept,
            ActiveTest: lambda line, pdu: line.say(ActiveTestResp(sequence_id=pdu.sequence_id)),
            Terminate: self.terminate,
        }
        self.server: asyncio.Server
        self.port = 0

    def came(self, line: Line, pdu: PDU) -> None:
        self.heard.append(pdu)
        answer = self.on.get(type(pdu))
        if answer is not None:
            answer(line, pdu)
        self.changed.set()

    def login(self, line: Line, pdu: Connect) -> None:
        digits = f"{pdu.timestamp:010d}"
        status = self.status or (0 if connect_request(pdu.sequence_id, SP_ID, SECRET, digits) == pdu else 3)
        proof = authenticator_ismg(status, pdu.authenticator_source, SECRET)
        line.say(ConnectResp(sequence_id=pdu.sequence_id, status=status, authenticator_ismg=proof))
        if status:
            line.transport.close()

    def accept(self, line: Line, pdu: Submit, result: int = 0) -> int:
        self.next_id += 1
        line.say(SubmitResp(sequence_id=pdu.sequence_id, msg_id=0 if result else self.next_id, result=result))
        return self.next_id

    def refuse(self, *results: int) -> Callable[[Line, Submit], object]:
        left = list(results)
        return lambda line, pdu: self.accept(line, pdu, left.pop(0) if left else 0)

    def terminate(self, line: Line, pdu: Terminate) -> None:
        line.say(TerminateResp(sequence_id=pdu.sequence_id))
        line.transport.close()

    def deliver(self, content: bytes, **fields: Any) -> Deliver:
        self.next_sequence += 1
        given: dict[str, Any] = {"dest_id": SOURCE + "88", "src_terminal_id": "8613800138000", **fields}
        given.setdefault("msg_id", self.next_sequence)
        pdu = Deliver(sequence_id=self.next_sequence, msg_content=content, **given)
        self.lines[-1].say(pdu)
        return pdu

    def report(self, msg_id: int, stat: str, number: str = "13800138000", **fields: Any) -> Deliver:
        content = ReportContent(msg_id=msg_id, stat=stat, dest_terminal_id=number, submit_time="2611220733")
        return self.deliver(bytes(content), registered_delivery=1, **fields)

    def all(self, kind: type) -> list[Any]:
        return [pdu for pdu in self.heard if isinstance(pdu, kind)]

    async def until(self, kind: type, count: int = 1) -> list[Any]:
        """Waits until so many PDUs of a kind have come."""
        await self.wait(lambda: len(self.all(kind)) >= count)
        return self.all(kind)

    async def wait(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def acknowledged(self) -> list[DeliverResp]:
        return self.all(DeliverResp)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A gateway on a port of its own."""
    gateway = Gateway()
    gateway.server = await asyncio.get_running_loop().create_server(lambda: Line(gateway), "127.0.0.1", 0)
    gateway.port = gateway.server.sockets[0].getsockname()[1]
    yield gateway
    gateway.server.close()
    for line in gateway.lines:
        line.transport.abort()


@pytest.fixture
async def connect(gateway: Gateway) -> AsyncIterator[Callable[..., CMPPClient]]:
    """Makes clients of the gateway and closes them after the test."""
    clients: list[CMPPClient] = []

    def make(**settings: Any) -> CMPPClient:
        given: dict[str, Any] = {
            "sp_id": SP_ID,
            "secret": SECRET,
            "source_number": SOURCE,
            "random": lambda: 0.0,
        } | settings
        client = CMPPClient("127.0.0.1", gateway.port, **given)
        clients.append(client)
        return client

    yield make
    for client in clients:
        async with asyncio.timeout(20):
            await client.aclose(timeout=1)


async def _refused_with(client: CMPPClient, kind: type[Exception], *args: Any, **options: Any) -> Any:
    with pytest.raises(kind) as caught:
        await client.send(*args or ("13800138000", "hello"), **options)
    return caught.value


@pytest.fixture
def refused_with() -> Callable[..., Any]:
    """Sends, expects that error, and returns it."""
    return _refused_with


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Runs the tests that connect on uvloop as well."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if uvloop is not None and {"gateway", "box"} & set(getattr(item, "fixturenames", ())):
        factories["uvloop"] = uvloop.new_event_loop
    return factories
