"""SUBMITs per second over loopback at window 16 and 64, without a rate, compared with a plain asyncio exchange.

Both use the same gateway: another process that reads frames and answers each with a SUBMIT_RESP. The plain exchange
writes the same SUBMIT octets and awaits one future for each answer, with as many in flight as the window allows.

python benchmarks/cmpp/throughput.py [MESSAGES]
"""

import asyncio
import multiprocessing
import os
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from sms1680.cmpp import CMPPClient, encode
from sms1680.cmpp.wire.pdus import Submit

WINDOWS = (16, 64)
ROUNDS = 3
TEXT = "hello, world"
NUMBERS = [f"138{place:08d}" for place in range(1000)]


class Peer(asyncio.Protocol):
    """A gateway that answers everything."""

    def __init__(self) -> None:
        self.rest = b""
        self.next_id = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every complete frame, in one write."""
        stream = self.rest + data
        place, answers = 0, []
        while len(stream) - place >= 12:
            length, command, sequence = struct.unpack_from(">III", stream, place)
            if len(stream) - place < length:
                break
            place += length
            if command == 4:
                self.next_id += 1
                answers.append(struct.pack(">IIIQB", 21, 0x80000004, sequence, self.next_id, 0))
            elif command == 1:
                answers.append(struct.pack(">IIIB16sB", 30, 0x80000001, sequence, 0, bytes(16), 0x20))
            else:
                answers.append(struct.pack(">III", 12, command | 0x80000000, sequence))
        self.rest = stream[place:]
        self.transport.write(b"".join(answers))


def serve(pipe: Connection) -> None:
    """Run the gateway until its process ends."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


class PlainClient(asyncio.Protocol):
    """The plain exchange: one future for each answer."""

    def __init__(self) -> None:
        self.rest = b""
        self.waiting: dict[int, asyncio.Future[bytes]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Resolve the future of each answer."""
        stream = self.rest + data
        place = 0
        while len(stream) - place >= 21:
            self.waiting.pop(int.from_bytes(stream[place + 8 : place + 12], "big")).set_result(
                stream[place : place + 21]
            )
            place += 21
        self.rest = stream[place:]


async def plain(port: int, window: int, messages: int) -> float:
    """Return the messages per second of the plain exchange."""
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_connection(PlainClient, "127.0.0.1", port)
    octets = encode(
        Submit(
            sequence_id=0,
            msg_src="901234",
            src_id="10690001",
            dest_terminal_id=(NUMBERS[0],),
            msg_content=TEXT.encode(),
        )
    )
    head, tail = octets[:8], octets[12:]
    sequence = 0

    async def work(count: int) -> None:
        nonlocal sequence
        for _ in range(count):
            sequence += 1
            wire.waiting[sequence] = answer = loop.create_future()
            wire.transport.write(head + sequence.to_bytes(4, "big") + tail)
            await answer

    began = time.perf_counter()
    await asyncio.gather(*[work(messages // window) for _ in range(window)])
    took = time.perf_counter() - began
    wire.transport.close()
    return messages // window * window / took


async def ours(port: int, window: int, messages: int, *, batch: bool) -> float:
    """Return the messages per second of the client, with one `send` per message or one `send_batch` for all."""
    async with CMPPClient(
        "127.0.0.1", port, sp_id="901234", secret="x", source_number="10690001", window=window
    ) as client:
        await client.send(NUMBERS[0], TEXT)
        began = time.perf_counter()
        if batch:
            await client.send_batch([(NUMBERS[place % 1000], f"{TEXT} {place}") for place in range(messages)])
        else:

            async def work(count: int) -> None:
                for place in range(count):
                    await client.send(NUMBERS[place % 1000], TEXT)

            await asyncio.gather(*[work(messages // window) for _ in range(window)])
        return messages // window * window / (time.perf_counter() - began)


def measure(
    programs: dict[str, Callable[[], Coroutine[Any, Any, float]]], messages: int
) -> dict[str, tuple[float, float]]:
    """Return the messages per second and the CPU time per message in µs, the best of alternating rounds."""
    best = dict.fromkeys(programs, (0.0, float("inf")))
    for _ in range(ROUNDS):
        for name, program in programs.items():
            began = time.process_time()
            rate = asyncio.run(program())
            spent = (time.process_time() - began) / messages * 1e6
            best[name] = max(best[name][0], rate), min(best[name][1], spent)
    return best


def main(messages: int) -> None:
    """Print a line for each window and program."""
    here, there = multiprocessing.Pipe()
    gateway = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    gateway.start()
    port = here.recv()
    for window in WINDOWS:
        programs: dict[str, Callable[[], Coroutine[Any, Any, float]]] = {
            "plain": partial(plain, port, window, messages),
            "send": partial(ours, port, window, messages, batch=False),
            "send_batch": partial(ours, port, window, messages, batch=True),
        }
        best = measure(programs, messages)
        peer, peer_time = best.pop("plain")
        print(f"window {window}: plain      {peer:8,.0f} per second, {peer_time:.1f} µs of CPU time each")
        for name, (rate, spent) in best.items():
            print(f"window {window}: {name:10} {rate:8,.0f} per second, {spent:.1f} µs of CPU time each,", end=" ")
            print(f"{rate / peer:.2f} of plain ({peer_time / spent:.2f} by CPU time)")
    gateway.terminate()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SMS1680_STATE_DIR"] = folder
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
