"""Shared by the benchmarks of the core: a server that answers everything, and medians of alternating rounds."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator

_SERVER = """
import asyncio, sys
from aiohttp import web

async def main():
    delay = float(sys.argv[1])
    requests = 0

    async def answer(request):
        nonlocal requests
        await request.read()
        requests += 1
        if delay:
            await asyncio.sleep(delay)
        return web.Response(text="1,261122160000000001")

    async def count(request):
        return web.Response(text=str(requests))

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/sendXSms.do", answer)
    app.router.add_get("/count", count)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextlib.contextmanager
def bare_server(delay: float = 0.0) -> Iterator[str]:
    """Run a server in another process that accepts any form and answers `1,<id>` after `delay` seconds."""
    command = [sys.executable, "-c", _SERVER, str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.terminate()


def alternate(rounds: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Run each measurement once per round, so that a slow moment of the machine affects all of them equally."""
    results: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for place, measure in enumerate(measures):
            results[place].append(measure())
    return results


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median of the ratios of each round."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
