"""Floods over CMPP: the client's memory stays bounded, it keeps its promises, and it closes in time."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from sms1680 import DeliveryReport, Reply
from sms1680.cmpp import CMPPClient
from sms1680.cmpp.wire.auth import authenticator_ismg
from sms1680.cmpp.wire.codec import Decoder, encode
from sms1680.cmpp.wire.pdus import Connect, ConnectResp, Deliver

SECRET = "known to both"
SECONDS = float(os.environ.get("SMS1680_FLOOD_SECONDS", "2"))
MOST_MEMORY = 60 * 2**20  # octets, beyond what the process had; most of it is the garbage of decoding
LONGEST_CLOSE = 10.0  # seconds: the limit of 5, and what a busy machine adds
TEXT = "好" * 60


def deliver(serial: int, content: bytes, *, udhi: int = 0, msg_id: int | None = None) -> bytes:
    return encode(
        Deliver(
            sequence_id=serial % 2**32,
            msg_id=serial + 1 if msg_id is None else msg_id,
            dest_id="10690001",
            service_id="s",
            tp_udhi=udhi,
            msg_fmt=8,
            src_terminal_id=f"138{serial % 10**8:08}",
            msg_content=content,
        )
    )


def replies() -> Iterator[bytes]:
    return (deliver(serial, TEXT.encode("utf-16-be")) for serial in itertools.count())


def half_messages() -> Iterator[bytes]:
    body = TEXT.encode("utf-16-be")
    for serial in itertools.count():
        header = bytes((5, 0, 3, serial % 256, 255, serial // 256 % 254 + 1))
        yield deliver(serial, header + body, udhi=1)


def one_segment_again() -> Iterator[bytes]:
    segment = deliver(7, bytes((5, 0, 3, 1, 2, 1)) + TEXT.encode("utf-16-be"), udhi=1)
    return itertools.repeat(segment)


def one_segment_with_new_ids() -> Iterator[bytes]:
    header = bytes((5, 0, 3, 1, 2, 1))
    for serial in itertools.count():
        yield deliver(7, header + TEXT.encode("utf-16-be"), udhi=1, msg_id=serial + 1)


class Flooding:
    """A gateway that sends DELIVERs as fast as the client reads, and answers nothing after the login."""

    def __init__(self, flood: Callable[[], Iterator[bytes]], *, reads: bool) -> None:
        self.sent = 0
        self._flood = flood
        self._reads = reads
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (login,) = Decoder().receive(await reader.read(1000))
        assert isinstance(login, Connect)
        proof = authenticator_ismg(0, login.authenticator_source, SECRET)
        writer.write(encode(ConnectResp(sequence_id=login.sequence_id, status=0, authenticator_ismg=proof)))
        self._tasks.add(asyncio.create_task(self._send(writer)))
        if self._reads:
            self._tasks.add(asyncio.create_task(self._receive(reader)))

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        try:
            for pdus in itertools.batched(self._flood(), 50):
                writer.write(b"".join(pdus))
                self.sent += len(pdus)
                await writer.drain()
                await asyncio.sleep(0)
        finally:
            writer.close()

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(65536):
            pass


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
async def flooding(request: pytest.FixtureRequest) -> AsyncIterator[Flooding]:
    made = Flooding(request.param, reads=True)
    yield made
    await made.stop()


@pytest.mark.parametrize("slow", [False, True], ids=["fast application", "slow application"])
@pytest.mark.parametrize(
    "flooding", [replies, half_messages, one_segment_again, one_segment_with_new_ids], indirect=True
)
async def test_flood_takes_little_memory_and_the_client_closes_in_time(flooding: Flooding, slow: bool) -> None:
    taken: list[Reply | DeliveryReport] = []

    async def take(item: Reply | DeliveryReport) -> None:
        taken.append(item) if len(taken) < 5000 else None
        await asyncio.sleep(30 if slow else 0)

    port = await flooding.start()
    client = CMPPClient(
        "127.0.0.1", port, sp_id="901234", secret=SECRET, source_number="10690001", service_id="s", on_incoming=take
    )
    before = memory()
    client.start()
    until = time.monotonic() + SECONDS
    most = before
    while time.monotonic() < until:
        await asyncio.sleep(0.05)
        most = max(most, memory())
    began = time.monotonic()
    await client.aclose()
    took = time.monotonic() - began
    grown = (most - before) / 2**20
    print(f"{flooding.sent} DELIVERs, {len(taken)} taken, {grown:.0f} MB, closed in {took:.1f} s")  # noqa: T201
    assert flooding.sent > 500
    assert most - before < MOST_MEMORY
    assert took < LONGEST_CLOSE


@pytest.mark.parametrize("flooding", [replies], indirect=True)
async def test_gateway_that_reads_no_answer_is_not_read_either(flooding: Flooding) -> None:
    flooding._reads = False
    port = await flooding.start()
    client = CMPPClient(
        "127.0.0.1",
        port,
        sp_id="901234",
        secret=SECRET,
        source_number="10690001",
        service_id="s",
        on_incoming=lambda _: None,
    )
    before = memory()
    client.start()
    await asyncio.sleep(SECONDS)
    assert memory() - before < MOST_MEMORY
    began = time.monotonic()
    await client.aclose()
    assert time.monotonic() - began < LONGEST_CLOSE
