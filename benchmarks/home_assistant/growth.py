"""Memory, files and times of an account that receives very much, or that runs for a year.

`uplinks` and `reports` push over a real socket. Each report belongs to a message that the account sent before. `year`
advances an injected clock by an hour at a time, with sends, delivery reports and replies in each. All print at several
points: the memory of the process, the message store's file and the recorder's, and the times to prune the store and
to set the account up again.

    .venv/ha-newest/bin/python benchmarks/home_assistant/growth.py reports --count 1000000 --recipients 1000 --recorder
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from pytest_homeassistant_custom_component import plugins  # noqa: E402 - before HA's recorder  # isort: skip

import freezegun  # noqa: E402
import pytest_socket  # noqa: E402
from aiohttp.test_utils import TestServer  # noqa: E402
from freezegun.api import FrozenDateTimeFactory  # noqa: E402
from homeassistant import const as ha_const, loader  # noqa: E402
from homeassistant.components.recorder import Recorder, get_instance  # noqa: E402
from homeassistant.config_entries import ConfigSubentryDataWithId  # noqa: E402
from homeassistant.core import HomeAssistant  # noqa: E402
from homeassistant.helpers import recorder as recorder_helper  # noqa: E402
from homeassistant.setup import async_setup_component  # noqa: E402
from homeassistant.util import dt as dt_util  # noqa: E402
from pytest_homeassistant_custom_component.common import (  # noqa: E402
    MockConfigEntry,
    async_fire_time_changed,
    async_test_home_assistant,
)

import custom_components.sms1680.const as const  # noqa: E402, PLR0402 - imported before Home Assistant loads it
from custom_components.sms1680.store.manager import DATA_STORE, FILE  # noqa: E402
from demo.home_assistant import NEW_HTTP  # noqa: E402
from demo.processes import free_port  # noqa: E402

SECRET = "growth-secret"
RECORDER_FILE = "recorder.db"
NO_LIMITS = dict.fromkeys(
    (const.CONF_HOURLY_LIMIT, const.CONF_DAILY_LIMIT, const.CONF_NUMBER_LIMIT, const.CONF_AUTOMATIC_LIMIT), 0
)
POINTS = 10
CONNECTIONS = 8
PACKET = 1000  # numbers of one request

GATEWAY = """
import asyncio, itertools
from aiohttp import web

async def main():
    ids = itertools.count(261129160000000001)

    async def answer(request):
        await request.read()
        return web.Response(text="1000000" if request.path == "/balance.do" else f"1,{next(ids)}")

    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{name}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

# Reads the query of a push from each line, pushes it, and prints the number of answers once the input ends.
PUSHER = """
import asyncio, sys

host, port, path, connections = sys.argv[1:]

async def push(lines):
    reader, writer = await asyncio.open_connection(host, int(port))
    count = 0
    for line in lines:
        writer.write(f"GET {path}?{line.rstrip()} HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n".encode())
        head = await reader.readuntil(b"\\r\\n\\r\\n")
        body = await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\\r\\n")[0]))
        assert head.startswith(b"HTTP/1.1 200") and body == b"0", (head, body)
        count += 1
    writer.close()
    return count

async def main():
    lines = sys.stdin.readlines()
    parts = (lines[place::int(connections)] for place in range(int(connections)))
    print(sum(await asyncio.gather(*map(push, parts))))

asyncio.run(main())
"""


@contextlib.contextmanager
def gateway() -> Iterator[str]:
    """Run a gateway in another process that accepts each request under an id of its own."""
    with subprocess.Popen([sys.executable, "-c", GATEWAY], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


def number(place: int) -> str:
    """Return the number of a recipient."""
    return f"138{place:08}"


def account(address: str, recipients: int) -> MockConfigEntry:
    """Return an account without spending limits."""
    http = {"username": "user", const.CONF_PASSWORD_MD5: "0" * 32, const.CONF_PRODUCT_ID: "1"}
    people = [
        ConfigSubentryDataWithId(
            data={const.CONF_NUMBER: number(place)},
            subentry_id=f"recipient-{place}",
            subentry_type=const.SUBENTRY_RECIPIENT,
            title=f"Recipient {place}",
            unique_id=number(place),
        )
        for place in range(recipients)
    ]
    data = {const.CONF_HTTP: {**http, const.CONF_GATEWAY: address}, const.CONF_PUSH_SECRET: SECRET}
    data[ha_const.CONF_WEBHOOK_ID] = "growth-webhook"
    return MockConfigEntry(domain=const.DOMAIN, title="Home", data=data, options={**NO_LIMITS}, subentries_data=people)


def resident_memory() -> float:
    """Return the memory of this process in MiB, without what was freed."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/status").read_text("ascii").split("VmRSS:")[1].split()[0]) / 1024


class House:
    """Home Assistant with one account, and its measurements."""

    def __init__(self, hass: HomeAssistant, entry: MockConfigEntry, server: TestServer, recipients: int) -> None:
        self.hass = hass
        self.entry = entry
        self.server = server
        self.recipients = recipients
        self.recorder: Recorder | None = None
        self.ids: list[str] = []

    async def push(self, queries: list[str]) -> float:
        """Push from another process over several connections, and return the seconds."""
        path = f"/api/sms1680/{SECRET}/1603/mo"
        arguments = (str(self.server.host), str(self.server.port), path, str(CONNECTIONS))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PUSHER, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        began = freezegun.api.real_perf_counter()
        output, _ = await process.communicate("".join(f"{query}\n" for query in queries).encode())
        assert int(output) == len(queries)
        await self.hass.async_block_till_done()
        return freezegun.api.real_perf_counter() - began

    async def push_here(self, queries: list[str]) -> None:
        """Push from this process over one connection, one after the other."""
        reader, writer = await asyncio.open_connection(str(self.server.host), self.server.port)
        for query in queries:
            writer.write(f"GET /api/sms1680/{SECRET}/1603/mo?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
            assert head.startswith(b"HTTP/1.1 200")
        writer.close()
        await self.hass.async_block_till_done()

    async def send(self, numbers: list[str]) -> list[str]:
        """Send a message to numbers by the action, and return its ids."""
        call = {const.CONF_NUMBER: numbers, "message": "水浸", "config_entry_id": self.entry.entry_id}
        answer = await self.hass.services.async_call(
            const.DOMAIN, "send_message", call, blocking=True, return_response=True
        )
        assert answer is not None
        messages = answer["messages"]
        assert isinstance(messages, list)
        return [str(message["message_id"]) for message in messages if isinstance(message, dict)]

    async def measured(self) -> str:
        """Return memory, sizes of files, and the times to prune and to set up again."""
        if self.recorder is not None:
            await self.recorder.async_block_till_done()
        memory = resident_memory()
        sizes = ", ".join(f"{name} {self._size(name):.1f} MiB" for name in (FILE, RECORDER_FILE))
        began = freezegun.api.real_perf_counter()
        await self.hass.data[DATA_STORE].async_prune()
        pruned = freezegun.api.real_perf_counter() - began
        began = freezegun.api.real_perf_counter()
        await self.hass.config_entries.async_reload(self.entry.entry_id)
        await self.hass.async_block_till_done()
        set_up = freezegun.api.real_perf_counter() - began
        return f"memory {memory:.0f} MiB, {sizes}, prune {pruned * 1000:.0f} ms, reload {set_up * 1000:.0f} ms"

    def _size(self, name: str) -> float:
        folder = Path(self.hass.config.config_dir)
        return sum(path.stat().st_size for path in folder.glob(f"{name}*")) / 2**20


def listen_elsewhere(folder: Path) -> None:
    """Give Home Assistant's own server a free port for good. It takes the port of a YAML back after five minutes."""
    settings = {**NEW_HTTP, "server_port": free_port(), "created_at": dt_util.utcnow().isoformat()}
    data = {"stable": settings, "pending": None, "yaml_migration_done": True}
    (folder / ".storage").mkdir()
    whole = {"version": 2, "minor_version": 2, "key": "http", "data": data}
    (folder / ".storage" / "http").write_text(json.dumps(whole), "utf-8")


@contextlib.asynccontextmanager
async def house(options: argparse.Namespace) -> AsyncIterator[House]:
    """Start Home Assistant with an account, and with its recorder if it is asked for."""
    with tempfile.TemporaryDirectory() as folder, gateway() as address:
        async with async_test_home_assistant(config_dir=folder) as hass:
            hass.data.pop(loader.DATA_CUSTOM_COMPONENTS)
            if options.recorder:
                recorder_helper.async_initialize_recorder(hass)
                config = {"recorder": {"db_url": f"sqlite:///{folder}/{RECORDER_FILE}"}}
                assert await async_setup_component(hass, "recorder", config)
            listen_elsewhere(Path(folder))
            for component in ("http", "webhook", "logbook") if options.recorder else ("http", "webhook"):
                assert await async_setup_component(hass, component, {})
            entry = account(address, options.recipients)
            entry.add_to_hass(hass)
            assert await hass.config_entries.async_setup(entry.entry_id)
            await hass.async_block_till_done(wait_background_tasks=True)
            hass.http.app._router.freeze = lambda: None  # type: ignore[method-assign]  # noqa: SLF001 - as Home Assistant does
            server = TestServer(hass.http.app, host="127.0.0.1")
            await server.start_server(access_log=None)
            found = House(hass, entry, server, options.recipients)
            if options.recorder:
                found.recorder = get_instance(hass)
            yield found
            await server.close()
            await hass.async_stop(force=True)


async def received(home: House, options: argparse.Namespace) -> None:
    """Push very much, and print the measures at each tenth."""
    print(f"before: {await home.measured()}", flush=True)
    step, sent, seconds = options.count // POINTS, 0, 0.0
    while sent < options.count:
        now = min(step, options.count - sent)
        place = 0
        while place < now:
            size = min(now - place, 10_000)
            seconds += await home.push(await queries(home, options.kind, sent + place, size))
            place += size
        sent += now
        print(f"after {sent}: {sent / seconds:.0f} a second, {await home.measured()}", flush=True)


async def queries(home: House, kind: str, first: int, count: int) -> list[str]:
    """Return pushes: uplinks, or the reports of messages that are sent now."""
    whose = [number((first + place) % home.recipients) for place in range(count)]
    if kind == "uplinks":
        return [f"mobile={one}&content=text{first + place}&xh=12" for place, one in enumerate(whose)]
    found = []
    packet = min(PACKET, home.recipients)
    for start in range(0, count, packet):
        numbers = whose[start : start + packet]
        ids = await home.send(numbers)
        found += [f"msgid={id_}&mobile={one}&status=DELIVRD" for id_, one in zip(ids, numbers, strict=True)]
    return found


async def year(home: House, options: argparse.Namespace, clock: FrozenDateTimeFactory) -> None:
    """Live so many days by an injected clock: sends, reports and replies at each hour, and print the measures."""
    print(f"before: {await home.measured()}", flush=True)
    serial = 0
    for count in range(1, options.days + 1):
        for _ in range(24):
            clock.tick(timedelta(hours=1))
            async_fire_time_changed(home.hass, dt_util.utcnow())
            await home.hass.async_block_till_done(wait_background_tasks=True)
            whose = [number((serial + place) % home.recipients) for place in range(options.hourly)]
            pairs = list(zip(await home.send(whose), whose, strict=True))
            reports = [f"msgid={id_}&mobile={one}&status=DELIVRD" for id_, one in pairs]
            uplinks = [f"mobile={one}&content=text{serial + place}" for place, one in enumerate(whose)]
            await home.push_here(reports + uplinks)
            serial += options.hourly
        if count % max(1, options.days // 12) == 0 or count == options.days:
            print(f"after {count} days, {serial} of each kind: {await home.measured()}", flush=True)


@contextlib.contextmanager
def injected_clock() -> Iterator[FrozenDateTimeFactory]:
    """Stop the clock of this process until it is advanced."""
    plugins.pytest_runtest_setup()  # the patches that make freezegun fit Home Assistant; they forbid sockets, too
    pytest_socket._remove_restrictions()  # noqa: SLF001
    with freezegun.freeze_time(datetime.now(UTC)) as clock:
        yield clock


async def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("uplinks", "reports", "year"))
    parser.add_argument("--count", type=int, default=100_000, help="pushes (default: 100000)")
    parser.add_argument("--recipients", type=int, default=10, help="of the account (default: 10)")
    parser.add_argument("--recorder", action="store_true", help="with Home Assistant's recorder and logbook")
    parser.add_argument("--days", type=int, default=365, help="of the simulated year (default: 365)")
    parser.add_argument("--hourly", type=int, default=4, help="sends, reports and replies per hour (default: 4)")
    options = parser.parse_args()
    print(f"Home Assistant {ha_const.__version__}, Python {sys.version.split()[0]}, {options}")
    logging.disable(logging.WARNING)
    if options.kind == "year":
        with injected_clock() as clock:
            async with house(options) as home:
                await year(home, options, clock)
    else:
        async with house(options) as home:
            await received(home, options)


if __name__ == "__main__":
    asyncio.run(main())
