"""Pushes through Home Assistant: the number per second, and the time until an automation acts.

Each is compared with a plain webhook on the same server, in alternating rounds: one that only answers, Home Assistant's
own webhook trigger, and one that only fires an event. "The least" does a push with Home Assistant's own means: it fires
an event and writes the states of two event entities. The pushes come from another process over real sockets, through
all of Home Assistant's middlewares. Each has a different text, so that none is a duplicate. No recorder runs. The
account keeps nothing on the disk, then its messages, and then has a thousand recipients.

    .venv/ha-newest/bin/python benchmarks/home_assistant/pushes.py
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from aiohttp import web  # noqa: E402
from aiohttp.test_utils import TestServer  # noqa: E402
from homeassistant import const as ha_const, loader  # noqa: E402
from homeassistant.components import webhook  # noqa: E402
from homeassistant.components.event import EventEntity  # noqa: E402
from homeassistant.components.event.const import DOMAIN as EVENT_DOMAIN  # noqa: E402
from homeassistant.config_entries import ConfigSubentryDataWithId  # noqa: E402
from homeassistant.core import HomeAssistant, ServiceCall, callback  # noqa: E402
from homeassistant.helpers.entity_component import DATA_INSTANCES  # noqa: E402
from homeassistant.setup import async_setup_component  # noqa: E402
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_test_home_assistant  # noqa: E402

import custom_components.sms1680.const as const  # noqa: E402, PLR0402
from custom_components.sms1680.trigger import SUPPORTS_TRIGGERS  # noqa: E402

ROUNDS, PUSHES, CONNECTIONS, MANY = 7, 4000, 8, 1000
LATENCIES = 1000
OURS, OUR_SECRET = "ours-webhook", "ours-secret"
BARE, TRIGGER, FIRING, LEAST = "bare-webhook", "trigger-webhook", "firing-webhook", "least-webhook"
BARE_EVENT = "bench_message_received"

# Sends pushes with different texts, one after the other on each connection, and prints the start time of each.
CLIENT = """
import asyncio, json, sys, time

host, port, path, first, count, connections, pause = sys.argv[1:]
first, count, connections, pause = int(first), int(count), int(connections), float(pause)
began = {}

async def push(texts):
    reader, writer = await asyncio.open_connection(host, int(port))
    for text in texts:
        query = f"mobile=13800000001&content={text}&xh=12;"
        request = f"GET {path}?{query} HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n".encode()
        began[text] = time.monotonic()
        writer.write(request)
        head = await reader.readuntil(b"\\r\\n\\r\\n")
        body = await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\\r\\n")[0]))
        assert head.startswith(b"HTTP/1.1 200") and body == b"0" * (not pause) + body * bool(pause), (head, body)
        if pause:
            await asyncio.sleep(pause)
    writer.close()

async def main():
    texts = [str(number) for number in range(first, first + count)]
    start = time.monotonic()
    await asyncio.gather(*(push(texts[place::connections]) for place in range(connections)))
    print(json.dumps({"seconds": time.monotonic() - start, "began": began}))

if __name__ == "__main__":
    asyncio.run(main())
"""


class Bench:
    """Home Assistant with our account, the plain webhooks, and one automation at a time."""

    def __init__(self, hass: HomeAssistant, server: TestServer) -> None:
        self.hass = hass
        self.server = server
        self.next = 10**6
        self.acted: dict[tuple[str, str], float] = {}

    async def push(self, path: str, count: int, connections: int, pause: float = 0.0) -> dict[str, Any]:
        """Send pushes from another process and return its output."""
        first, self.next = self.next, self.next + count
        arguments = (self.server.host, self.server.port, path, first, count, connections, pause)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CLIENT, *map(str, arguments), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        result: dict[str, Any] = json.loads(output)
        return result

    async def rate(self, path: str) -> tuple[float, float]:
        """Return the pushes per second, and Home Assistant's CPU time per push in microseconds."""
        began = time.process_time()
        result = await self.push(path, PUSHES, CONNECTIONS)
        await self.hass.async_block_till_done()
        return PUSHES / float(result["seconds"]), (time.process_time() - began) / PUSHES * 1e6

    async def latencies(self, path: str, automation: str) -> list[float]:
        """Return the milliseconds from each push to the automation's first action, sorted."""
        result = await self.push(path, LATENCIES, 1, 0.002)
        await self.hass.async_block_till_done()
        return sorted((self.acted[automation, text] - began) * 1000 for text, began in result["began"].items())


class BareEvents(EventEntity):
    """An event entity that the benchmark updates itself."""

    _attr_event_types = ["received"]  # noqa: RUF012 - the base class's own type
    _attr_should_poll = False


def entry(options: dict[str, Any], recipients: int = 2) -> MockConfigEntry:
    """Return an account with an unreachable gateway and some recipients. One of them is the sender."""
    http = {"username": "user", const.CONF_PASSWORD_MD5: "0" * 32, const.CONF_PRODUCT_ID: "1"}
    return MockConfigEntry(
        domain=const.DOMAIN,
        title="Home",
        options=options,
        data={
            const.CONF_HTTP: {**http, const.CONF_GATEWAY: "http://127.0.0.1:1"},
            ha_const.CONF_WEBHOOK_ID: OURS,
            const.CONF_PUSH_SECRET: OUR_SECRET,
        },
        subentries_data=[
            ConfigSubentryDataWithId(
                data={const.CONF_NUMBER: number},
                subentry_id=name,
                subentry_type=const.SUBENTRY_RECIPIENT,
                title=name,
                unique_id=number,
            )
            for name, number in ((f"recipient {place}", f"138{place:08d}") for place in range(1, recipients + 1))
        ],
    )


def automation(name: str, trigger: dict[str, Any], text: str) -> dict[str, Any]:
    """Return an automation that records the time of its first action for each text."""
    return {
        "alias": name,
        "mode": "parallel",
        "max": 1000,
        "triggers": trigger,
        "actions": {"action": "bench.acted", "data": {"automation": name, "text": text}},
    }


def free_port() -> int:
    """Return a port for Home Assistant's own server, since another one can run on this machine."""
    with socket.create_server(("", 0)) as server:
        port: int = server.getsockname()[1]
    return port


async def prepare(hass: HomeAssistant) -> None:
    """Set up what an account needs."""
    hass.data.pop(loader.DATA_CUSTOM_COMPONENTS)
    assert await async_setup_component(hass, "http", {"http": {"server_port": free_port()}})
    assert await async_setup_component(hass, "webhook", {})


async def set_up(hass: HomeAssistant, options: dict[str, Any], recipients: int = 2) -> Bench:
    """Set up everything except the automations. options, recipients: of the account."""
    await prepare(hass)
    account = entry(options, recipients)
    account.add_to_hass(hass)
    assert await hass.config_entries.async_setup(account.entry_id)

    async def answer(_: HomeAssistant, __: str, ___: web.Request) -> web.Response:
        return web.Response(text="0")

    async def fire(hass: HomeAssistant, _: str, request: web.Request) -> web.Response:
        hass.bus.async_fire(BARE_EVENT, dict(request.query))
        return web.Response(text="0")

    entities = [BareEvents(), BareEvents()]
    await hass.data[DATA_INSTANCES][EVENT_DOMAIN].async_add_entities(entities)

    async def least(hass: HomeAssistant, _: str, request: web.Request) -> web.Response:
        data = dict(request.query)
        hass.bus.async_fire(BARE_EVENT, data)
        for entity in entities:
            entity._trigger_event("received", data)  # noqa: SLF001 - as event entities do
            entity.async_write_ha_state()
        return web.Response(text="0")

    webhook.async_register(hass, "bench", "bench", LEAST, least, allowed_methods=["GET"])
    webhook.async_register(hass, "bench", "bench", BARE, answer, allowed_methods=["GET"])
    webhook.async_register(hass, "bench", "bench", FIRING, fire, allowed_methods=["GET"])
    await hass.async_block_till_done(wait_background_tasks=True)
    hass.http.app._router.freeze = lambda: None  # type: ignore[method-assign]  # noqa: SLF001 - as Home Assistant does
    server = TestServer(hass.http.app, host="127.0.0.1")
    await server.start_server(access_log=None)
    bench = Bench(hass, server)

    @callback
    def acted(call: ServiceCall) -> None:
        bench.acted[call.data["automation"], str(call.data["text"])] = time.monotonic()

    hass.services.async_register("bench", "acted", acted)
    return bench


async def automate(bench: Bench, name: str) -> None:
    """Load only the automation with this name, so that none waits for another."""
    event = "{{ trigger.event.data.content }}"
    hook = {"trigger": "webhook", "webhook_id": TRIGGER, "allowed_methods": ["GET"], "local_only": False}
    known: dict[str, tuple[dict[str, Any], str]] = {
        "webhook trigger": (hook, "{{ trigger.query.content }}"),
        "bare event": ({"trigger": "event", "event_type": BARE_EVENT}, event),
        "our event": ({"trigger": "event", "event_type": const.EVENT_MESSAGE_RECEIVED}, event),
        "our trigger": ({"trigger": "sms1680.message_received"}, "{{ trigger.content }}"),
    }
    config = {"automation": [automation(name, *known[name])]}
    if "automation" not in bench.hass.config.components:
        assert await async_setup_component(bench.hass, "automation", config)
    else:
        with patch("homeassistant.config.load_yaml_config_file", return_value=config):
            await bench.hass.services.async_call("automation", "reload", blocking=True)
    await bench.hass.async_block_till_done()


async def rates(bench: Bench, account: str, rounds: int) -> None:
    """Print the pushes per second and the CPU time of each, with the ratios to the least that Home Assistant needs."""
    paths = {
        "a webhook that only answers": f"/api/webhook/{BARE}",
        "the least": f"/api/webhook/{LEAST}",
        "our webhook": f"/api/webhook/{OURS}",
        "our channel": f"/api/sms1680/{OUR_SECRET}/1603/mo",
    }
    least = paths["the least"]
    found = [{path: await bench.rate(path) for path in paths.values()} for _ in range(rounds)]
    for name, path in paths.items():
        speed, work = (statistics.median(one[path][place] for one in found) for place in (0, 1))
        by_rate = sorted(one[path][0] / one[least][0] for one in found)
        by_work = sorted(one[least][1] / one[path][1] for one in found)
        print(
            f"{account}, {name}: {speed:.0f} pushes per second, {work:.0f} µs of CPU time each; to the least "
            f"{statistics.median(by_rate):.2f} ({by_rate[0]:.2f} to {by_rate[-1]:.2f}), by CPU time "
            f"{statistics.median(by_work):.2f} ({by_work[0]:.2f} to {by_work[-1]:.2f})"
        )


async def latencies(bench: Bench) -> None:
    """Print the time from a push to the first action of an automation."""
    hooks = {"webhook trigger": TRIGGER, "bare event": FIRING, "our event": OURS}
    if SUPPORTS_TRIGGERS:
        hooks["our trigger"] = OURS
    for _ in range(2):
        for name, hook in hooks.items():
            await automate(bench, name)
            found = await bench.latencies(f"/api/webhook/{hook}", name)
            p50, p99 = found[len(found) // 2], found[len(found) * 99 // 100]
            print(f"{name}: to the first action p50 {p50:.2f} ms, p99 {p99:.2f} ms")


OFF = {const.CONF_KEEP_DAYS: 0}
ACCOUNTS: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("nothing kept", OFF, 2),
    ("kept on the disk", {}, 2),
    (f"nothing kept, {MANY} recipients", OFF, MANY),
)


async def main(place: int) -> None:
    """Measure one of the accounts, and print each figure with its ratio."""
    account, options, recipients = ACCOUNTS[place]
    with tempfile.TemporaryDirectory() as folder:
        async with async_test_home_assistant(config_dir=folder) as hass:
            bench = await set_up(hass, options, recipients)
            await rates(bench, account, ROUNDS)
            if not place:
                await latencies(bench)
            await bench.server.close()
            await hass.async_stop(force=True)


if __name__ == "__main__":
    if arguments := sys.argv[1:]:
        asyncio.run(main(int(arguments[0])))
    else:
        print(f"Home Assistant {ha_const.__version__}, Python {sys.version.split()[0]}", flush=True)
        for place in range(len(ACCOUNTS)):  # each in a process of its own: a test instance leaves traces
            subprocess.run([sys.executable, __file__, str(place)], check=True)
