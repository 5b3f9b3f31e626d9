"""SUBMITs per second at window 16 and 64 without a rate, compared with a plain asyncio exchange of the same octets.

All use the same gateway, in a process of its own: by default one that reads frames and answers each with a SUBMIT_RESP.
The plain exchange awaits one future for each answer, with as many messages in flight as the window allows. `send` is an
awaited call per message in as many tasks, `gather` is one call per message, all begun at once, and `send_batch` is one
call. Each measurement has a process of its own; the programs alternate, and each is compared with the plain exchange of
its round. With --rate, it measures the time from each call to its answer instead.

python benchmarks/cmpp/throughput.py --repeat 5
python benchmarks/cmpp/throughput.py --repeat 5 --before OTHER_CHECKOUT/typings
python benchmarks/cmpp/throughput.py --rate 100
python benchmarks/cmpp/throughput.py --peer HOST:PORT --sp-id 901234 --secret SECRET
"""

import argparse
import asyncio
import json
import logging
import multiprocessing
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from sms1680.cmpp import CMPPClient, encode
from sms1680.cmpp.wire.auth import connect_request
from sms1680.cmpp.wire.pdus import Submit

MODES = ("plain", "send", "gather", "send_batch")
TEXT = "hello, world"
NUMBERS = [f"138{place:08d}" for place in range(1000)]
CONNECT, SUBMIT, ANSWER = 1, 4, 0x80000000


def frames(stream: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the command, the Sequence_Id and the end position of each complete frame."""
    place = 0
    while len(stream) - place >= 12:
        length, command, sequence = struct.unpack_from(">III", stream, place)
        if len(stream) - place < length:
            return
        place += length
        yield command, sequence, place


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
        done, answers = 0, []
        for command, sequence, end in frames(stream):
            done = end
            if command == SUBMIT:
                self.next_id += 1
                answers.append(struct.pack(">IIIQB", 21, SUBMIT | ANSWER, sequence, self.next_id, 0))
            elif command == CONNECT:
                answers.append(struct.pack(">IIIB16sB", 30, CONNECT | ANSWER, sequence, 0, bytes(16), 0x20))
            else:
                answers.append(struct.pack(">III", 12, command | ANSWER, sequence))
        self.rest = stream[done:]
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
        self.waiting: dict[int, asyncio.Future[None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Resolve the future of each answer."""
        stream = self.rest + data
        done = 0
        for command, sequence, end in frames(stream):
            done = end
            if command & ANSWER:
                self.waiting.pop(sequence).set_result(None)
        self.rest = stream[done:]

    def connection_lost(self, exc: Exception | None) -> None:
        """End the measurement: the gateway refused the login or closed the connection."""
        for answer in self.waiting.values():
            answer.set_exception(exc or ConnectionError("the gateway closed the connection"))

    def exchange(self, sequence: int, octets: bytes) -> "asyncio.Future[None]":
        """Write a request; return the future of its answer."""
        self.waiting[sequence] = answer = asyncio.get_running_loop().create_future()
        self.transport.write(octets)
        return answer


async def in_tasks(send: Callable[[int], Awaitable[object]], window: int, messages: int) -> None:
    """Send messages in as many tasks as the window allows, one after the other in each."""

    async def work(first: int) -> None:
        for place in range(first, messages, window):
            await send(place)

    await asyncio.gather(*[work(first) for first in range(window)])


async def at_rate(send: Callable[[int], Awaitable[object]], rate: float, messages: int) -> list[float]:
    """Begin a message every 1/rate seconds; return the milliseconds from each call to its answer, sorted."""
    took: list[float] = []

    async def one(place: int, due: float) -> None:
        await send(place)
        took.append((time.perf_counter() - due) * 1000)

    began, tasks = time.perf_counter(), []
    for place in range(messages):
        due = began + place / rate
        await asyncio.sleep(due - time.perf_counter())
        tasks.append(asyncio.create_task(one(place, time.perf_counter())))
    await asyncio.gather(*tasks)
    return sorted(took)


async def measure(given: argparse.Namespace, window: int, mode: str) -> list[float]:
    """Return the messages per second and the CPU time of each in µs, or with a rate p50 and p99 in milliseconds."""
    host, _, port = given.peer.rpartition(":")
    loop, messages = asyncio.get_running_loop(), given.messages
    client = CMPPClient(
        host, int(port), sp_id=given.sp_id, secret=given.secret, source_number=given.source, window=window
    )
    if mode == "plain":
        _, wire = await loop.create_connection(PlainClient, host, int(port))
        timestamp = time.strftime("%m%d%H%M%S", time.gmtime(time.time() + 8 * 3600))
        await wire.exchange(0, encode(connect_request(0, given.sp_id, given.secret, timestamp)))
        fields = {"msg_src": given.sp_id, "src_id": given.source, "registered_delivery": 1}
        octets = encode(
            Submit(sequence_id=0, dest_terminal_id=(NUMBERS[0],), msg_content=TEXT.encode(), msg_fmt=0, **fields)
        )
        head, tail = octets[:8], octets[12:]

        def send(place: int) -> Awaitable[object]:
            return wire.exchange(place + 1, head + (place + 1).to_bytes(4, "big") + tail)
    else:
        client.start()

        def send(place: int) -> Awaitable[object]:
            return client.send(NUMBERS[place % 1000], TEXT)

        await send(0)
    if given.rate:
        took = await at_rate(send, given.rate, messages)
        result = [took[len(took) // 2], took[len(took) * 99 // 100]]
    else:
        began, spent = time.perf_counter(), time.process_time()
        if mode == "send_batch":
            await client.send_batch([(NUMBERS[place % 1000], f"{TEXT} {place}") for place in range(messages)])
        elif mode == "gather":
            await asyncio.gather(*map(send, range(messages)))
        else:
            await in_tasks(send, window, messages)
        spent, began = time.process_time() - spent, time.perf_counter() - began
        result = [messages / began, spent / messages * 1e6]
    await client.aclose()
    return result


def in_process(given: argparse.Namespace, window: int, mode: str, tree: str | None) -> list[float]:
    """Return the result of `measure` in a process of its own. tree: the folder with the package, if not the usual."""
    command = [sys.executable, __file__, "--one", json.dumps({**vars(given), "windows": [window], "modes": [mode]})]
    with tempfile.TemporaryDirectory() as folder:
        path = {} if tree is None else {"PYTHONPATH": str(Path(tree).resolve())}
        env = {**os.environ, "SMS1680_STATE_DIR": folder, **path}
        answer = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE)
    result: list[float] = json.loads(answer.stdout)
    return result


def spread(values: list[float], digits: int = 2) -> str:
    """Return the median and the range."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def compare(given: argparse.Namespace, window: int) -> None:
    """Measure the programs alternately, and print a line for each."""
    trees = {"": None} if given.before is None else {" before": given.before, " after": None}
    programs = {"plain": ("plain", None)} if "plain" in given.modes or not given.rate else {}
    programs |= {mode + name: (mode, tree) for mode in given.modes if mode != "plain" for name, tree in trees.items()}
    results: dict[str, list[list[float]]] = {name: [] for name in programs}
    for _ in range(given.repeat):
        for name, (mode, tree) in programs.items():
            results[name].append(in_process(given, window, mode, tree))
    for name, rounds in results.items():
        first, second = ([one[place] for one in rounds] for place in (0, 1))
        print(f"window {window}: {name:17}", end=" ")
        if given.rate:
            print(f"p50 {spread(first)} ms, p99 {spread(second)} ms")
            continue
        print(f"{spread(first, 0)} per second, {spread(second, 1)} µs of CPU time each", end="")
        if name != "plain":
            peers = results["plain"]
            by_time = [mine[0] / peer[0] for mine, peer in zip(rounds, peers, strict=True)]
            by_cpu = [peer[1] / mine[1] for mine, peer in zip(rounds, peers, strict=True)]
            print(f"; of plain {spread(by_time)}, by CPU time {spread(by_cpu)}", end="")
        if name.endswith(" after"):
            olds = results[name.removesuffix("after") + "before"]
            by_cpu = [old[1] / mine[1] for mine, old in zip(rounds, olds, strict=True)]
            print(f"; CPU time before by after {spread(by_cpu)}", end="")
        print(flush=True)


def arguments() -> argparse.ArgumentParser:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, help="of each measurement: 20,000, or 2,000 with a rate")
    parser.add_argument("--windows", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--repeat", type=int, default=3, help="rounds, in which the programs alternate")
    parser.add_argument("--rate", type=float, help="messages per second, to measure p50 and p99 of single calls")
    parser.add_argument("--peer", help="HOST:PORT of a gateway that runs already, instead of our own")
    parser.add_argument("--sp-id", default="901234")
    parser.add_argument("--secret", default="x")
    parser.add_argument("--source", default="10690001", help="the source number")
    parser.add_argument("--before", help="a folder with another version of the package `sms1680`, to compare with")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Compare, or measure one program if another process asks for it."""
    given = arguments().parse_args()
    if given.one:
        logging.getLogger("sms1680").setLevel(logging.ERROR)  # our gateway proves nothing, and that is a warning
        given = argparse.Namespace(**json.loads(given.one))
        print(json.dumps(asyncio.run(measure(given, given.windows[0], given.modes[0]))))
        return
    if given.rate:
        given.modes, given.windows = [mode for mode in given.modes if mode in ("plain", "send")], given.windows[:1]
    given.messages = given.messages or (2_000 if given.rate else 20_000)
    gateway = None
    if given.peer is None:
        here, there = multiprocessing.Pipe()
        gateway = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
        gateway.start()
        given.peer = f"127.0.0.1:{here.recv()}"
    print(f"Python {sys.version.split()[0]}, {given.messages} messages, {given.repeat} rounds: median (range)")
    for window in given.windows:
        compare(given, window)
    if gateway is not None:
        gateway.terminate()


if __name__ == "__main__":
    main()
