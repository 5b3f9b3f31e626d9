"""Decode a million mutated PDUs. Only CodecError may be raised, and memory must not grow.

python benchmarks/cmpp/fuzz.py [COUNT]
"""

import contextlib
import json
import random
import sys
import time
import tracemalloc
from pathlib import Path

from sms1680.cmpp import CodecError, Decoder, decode

VECTORS = Path(__file__).parents[2] / "tests" / "core" / "cmpp" / "cmpp2_vectors.json"
ODD = (0, 1, 0x7F, 0x80, 0xFF)


def mutate(chance: random.Random, seeds: list[bytes]) -> bytes:
    """Return a golden PDU with some octets changed, removed or duplicated."""
    octets = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 4)):
        octets[chance.randrange(len(octets))] = chance.choice(ODD) if chance.random() < 0.5 else chance.randrange(256)
    kind = chance.random()
    if kind < 0.1:
        del octets[chance.randrange(len(octets)) :]
    elif kind < 0.2:
        place = chance.randrange(len(octets))
        octets[place:place] = octets[:place]
    if kind < 0.15 and len(octets) >= 4:
        octets[:4] = len(octets).to_bytes(4, "big")
    return bytes(octets)


def main(count: int) -> None:
    """Pass each PDU to `decode`, and all of them in streams of eight to a `Decoder`."""
    chance = random.Random(1680)
    seeds = [bytes.fromhex(vector["hex"]) for vector in json.loads(VECTORS.read_text())["vectors"]]
    read = streamed = errors = pending = 0
    tracemalloc.start()
    began = time.perf_counter()
    baseline, decoder = 0, Decoder()
    for number in range(count):
        octets = mutate(chance, seeds)
        with contextlib.suppress(CodecError):
            decode(octets)
            read += 1
        if number % 8 == 0:
            decoder = Decoder()
        for found in decoder.receive(octets):
            streamed += 1
            errors += isinstance(found, CodecError)
        pending = max(pending, decoder.pending)
        if number == count // 10:
            baseline = tracemalloc.get_traced_memory()[0]
    grown = tracemalloc.get_traced_memory()[0] - baseline
    print(f"{count} mutated PDUs in {time.perf_counter() - began:.0f} s: {read} decoded, {count - read} rejected")
    print(f"as streams: {streamed} items, {errors} errors, at most {pending} octets waiting")
    print(f"memory growth since the first tenth: {grown} octets")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
