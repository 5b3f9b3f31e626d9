"""Mutated pushes and PDUs: each is read or refused, quickly, and nothing stays in memory.

The long form, of a million each:

    SMS1680_MUTATIONS=1000000 scripts/test attack tests/attack/core/test_mutated.py -s --timeout=3600
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.log_watch import NUMBER as FULL_NUMBER

from sms1680 import DeliveryReport, Reply, parse_push
from sms1680.cmpp import CMPPClient, CodecError, Decoder, decode, encode
from sms1680.cmpp.wire.auth import authenticator_ismg
from sms1680.cmpp.wire.pdus import Connect, ConnectResp, Deliver, Unknown
from sms1680.push import InvalidPushError
from tests.attack.core.mutations import COUNT, NUMBER, SHORT, mutate, pdu_seeds, push_seeds

MOST_GROWTH = 16 * 2**20  # octets, over the whole run
SLOWEST = 1.0  # seconds for one input on a busy machine; a pathological one takes minutes
SECRET = "known to both"
THROUGH_THE_SOCKET = max(2000, COUNT // 50)


def memory() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def report(kind: str, counts: Counter[str], before: int, began: float) -> None:
    shown = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    grown = (memory() - before) / 2**20
    print(f"\n{kind}: {shown}; {before / 2**20:.0f} MB, then {grown:+.1f} MB; {time.monotonic() - began:.0f} s")  # noqa: T201


@pytest.fixture
def chance() -> random.Random:
    return random.Random(1680)


@pytest.mark.timeout(7200)
def test_each_mutated_push_is_read_or_refused(chance: random.Random) -> None:
    seeds, counts, slowest = push_seeds(), Counter[str](), 0.0
    before, began = memory(), time.monotonic()
    for _ in range(COUNT):
        push = mutate(chance, seeds)
        start = time.perf_counter()
        try:
            found = parse_push(push)
        except InvalidPushError as error:
            shown = str(error)
            counts["refused"] += 1
        else:
            shown = repr(found)
            assert found.number.isprintable()
            if isinstance(found, Reply):
                found.content.encode()  # no surrogates: it can be stored
            else:
                assert all(map(found.sentence, ("en", "zh")))
            counts[type(found).__name__] += 1
        assert not FULL_NUMBER.search(shown)
        assert "机密" not in shown
        slowest = max(slowest, time.perf_counter() - start)
    report("pushes", counts, before, began)
    assert slowest < SLOWEST
    assert memory() - before < MOST_GROWTH
    assert min(counts.values()) > COUNT // 100


@pytest.mark.timeout(7200)
def test_each_mutated_pdu_is_read_or_refused(chance: random.Random) -> None:
    """Alone, and in streams of eight in pieces of any length. What was read can be written, or is refused by name."""
    seeds, counts, slowest, decoder = pdu_seeds(), Counter[str](), 0.0, Decoder()
    before, began = memory(), time.monotonic()
    for serial in range(COUNT):
        octets = mutate(chance, seeds, framed=True)
        start = time.perf_counter()
        try:
            pdu = decode(octets)
        except CodecError:
            counts["refused"] += 1
        else:
            counts["unknown" if isinstance(pdu, Unknown) else "read"] += 1
            repr(pdu)
            try:
                encode(pdu)
            except CodecError:
                counts["too odd to be written again"] += 1
        if serial % 8 == 0:
            decoder = Decoder()
        cut = chance.randrange(len(octets))
        counts["streamed"] += sum(len(decoder.receive(piece)) for piece in (octets[:cut], octets[cut:]))
        assert decoder.pending <= 4096
        slowest = max(slowest, time.perf_counter() - start)
    report("PDUs", counts, before, began)
    assert slowest < SLOWEST
    assert memory() - before < MOST_GROWTH
    assert min(counts[kind] for kind in ("refused", "read", "streamed")) > COUNT // 100


class MutatingGateway:
    """A gateway that answers logins and sends mutated PDUs, then one whole reply on each connection."""

    def __init__(self, chance: random.Random, count: int) -> None:
        self.left = count
        self.logins = 0
        self._chance = chance
        self._seeds = pdu_seeds()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder, found = Decoder(), []
        while not found:
            if not (octets := await reader.read(4096)):
                return
            found = decoder.receive(octets)
        login = found[0]
        assert isinstance(login, Connect)
        self.logins += 1
        proof = authenticator_ismg(0, login.authenticator_source, SECRET)
        writer.write(encode(ConnectResp(sequence_id=login.sequence_id, status=0, authenticator_ismg=proof)))
        draining = asyncio.create_task(self._drain(reader))
        try:
            for pdus in itertools.batched(self._pdus(), 20):
                writer.write(b"".join(pdus))
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(encode(whole_reply(self.logins)))
            await writer.drain()
            await draining
        except ConnectionError:
            pass
        finally:
            draining.cancel()
            writer.close()

    def _pdus(self) -> Iterator[bytes]:
        while self.left > 0:
            self.left -= 1
            octets = mutate(self._chance, self._seeds, framed=True)
            if len(octets) >= 8 and octets[4:8] != b"\x00\x00\x00\x02":  # a TERMINATE ends the connection, rightly
                yield octets

    async def _drain(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(65536):
            pass


def whole_reply(serial: int) -> Deliver:
    return Deliver(
        sequence_id=serial,
        msg_id=2**40 + serial,
        dest_id="10690001",
        service_id="s",
        msg_fmt=8,
        src_terminal_id=NUMBER,
        msg_content="完整".encode("utf-16-be"),
    )


@pytest.mark.timeout(7200)
async def test_client_survives_mutated_pdus_on_its_connection(
    chance: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection whose frames are lost is closed and opened again. At the end a whole reply arrives."""
    caplog.set_level(logging.WARNING, "asyncio")
    if COUNT > SHORT:  # the test itself would remember each line
        caplog.set_level(logging.ERROR, "sms1680")
    gateway = MutatingGateway(chance, THROUGH_THE_SOCKET)
    server = await asyncio.start_server(gateway.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    counts, arrived = Counter[str](), asyncio.Event()

    def take(item: Reply | DeliveryReport) -> None:
        counts[type(item).__name__] += 1
        if isinstance(item, Reply) and item.content == "完整" and gateway.left <= 0:
            arrived.set()

    client = CMPPClient(
        "127.0.0.1",
        port,
        sp_id="901234",
        secret=SECRET,
        source_number="10690001",
        service_id="s",
        on_incoming=take,
        sleep=lambda seconds: asyncio.sleep(min(seconds, 0.01)),
    )
    before, began = memory(), time.monotonic()
    client.start()
    await asyncio.wait_for(arrived.wait(), 3600)
    closing = time.monotonic()
    await client.aclose()
    counts["s to close"] = round(time.monotonic() - closing)
    server.close()
    counts["PDUs"], counts["logins"] = THROUGH_THE_SOCKET, gateway.logins
    report("over a socket", counts, before, began)
    assert counts["s to close"] < 5
    assert memory() - before < MOST_GROWTH
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]
