"""Time from the push of a reply to the response of `ask_question`, compared with Home Assistant's own means.

These are `send_message` and `wait_for_trigger` on our bus event, in the same run. Questions go to a platform on
loopback. Each reply is pushed from another thread over a real socket, and the time ends when the script that asked
continues. The message store writes to the disk, as in a real installation.

    .venv/ha-newest/bin/python benchmarks/conversation/answers.py
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from aiohttp.test_utils import TestServer  # noqa: E402
from homeassistant import const as ha_const, loader  # noqa: E402
from homeassistant.core import HomeAssistant, ServiceCall, callback  # noqa: E402
from homeassistant.setup import async_setup_component  # noqa: E402
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_test_home_assistant  # noqa: E402

import custom_components.sms1680.const as const  # noqa: E402, PLR0402
from demo.processes import free_port  # noqa: E402
from sms1680.sandbox import Account, Config, Sandbox  # noqa: E402

ROUNDS, REPLIES, OPEN = 3, 100, 200
PAUSE = 0.05  # time for the script to reach its wait; only the action would notice earlier replies
NUMBER, USER, PASSWORD = "13800000001", "user", "bench-password"
WEBHOOK = "bench-webhook"

ASK = {
    "action": "sms1680.ask_question",
    "data": {"number": NUMBER, "question": "{{ text }}", "answers": [{"id": "yes"}], "timeout": 60},
    "response_variable": "answer",
}
WAIT = [
    {"action": "sms1680.send_message", "data": {"number": NUMBER, "message": "{{ text }}"}},
    {
        "wait_for_trigger": {
            "trigger": "event",
            "event_type": const.EVENT_MESSAGE_RECEIVED,
            "event_data": {"number": NUMBER},
        },
        "timeout": 60,
    },
]
DONE = {"action": "bench.done"}


class Bench:
    """Home Assistant with an account, and a script for each method."""

    def __init__(self, hass: HomeAssistant, sandbox: Sandbox, server: TestServer) -> None:
        self.hass = hass
        self.sandbox = sandbox
        self.address = str(server.make_url(f"/api/webhook/{WEBHOOK}"))
        self.done = asyncio.Event()
        self.at = 0.0

    async def measure(self, script: str, place: int) -> float:
        """Return the milliseconds from a push until the waiting script continues."""
        platform = self.sandbox.platform
        before = len(platform.messages)
        self.done.clear()
        running = self.hass.async_create_task(
            self.hass.services.async_call("script", script, {"text": f"{script} {place}"}, blocking=True)
        )
        await self.sandbox.wait_for(lambda _: len(platform.messages) > before)
        await asyncio.sleep(PAUSE)
        extension = platform.messages[-1].extension
        reply = quote("好的" if place % 2 else "1")
        address = f"{self.address}?mobile={NUMBER}&content={reply}&xh={extension}&msgid={script}{place}"

        def push() -> float:
            began = time.monotonic()
            with urlopen(address) as answer:
                assert answer.read() == b"0"
            return began

        began = await self.hass.async_add_executor_job(push)
        await self.done.wait()
        await running
        return (self.at - began) * 1000


async def set_up(hass: HomeAssistant, sandbox: Sandbox) -> Bench:
    """Set up the account and both scripts."""
    hass.data.pop(loader.DATA_CUSTOM_COMPONENTS)
    assert await async_setup_component(hass, "http", {"http": {"server_port": free_port()}})
    assert await async_setup_component(hass, "webhook", {})
    http = {"username": USER, "password": PASSWORD, const.CONF_PRODUCT_ID: "1", const.CONF_GATEWAY: sandbox.url}
    unlimited = dict.fromkeys(("hourly_limit", "daily_limit", "number_limit", "automatic_limit"), 0)
    account = MockConfigEntry(
        domain=const.DOMAIN,
        title="Home",
        data={const.CONF_HTTP: http, ha_const.CONF_WEBHOOK_ID: WEBHOOK, const.CONF_PUSH_SECRET: "bench-secret"},
        options={const.CONF_QUESTION_EXTENSIONS: "1000-1999", **unlimited},
    )
    account.add_to_hass(hass)
    assert await hass.config_entries.async_setup(account.entry_id)
    scripts = {"ask": {"sequence": [ASK, DONE]}, "wait": {"sequence": [*WAIT, DONE]}}
    assert await async_setup_component(hass, "script", {"script": scripts})
    await hass.async_block_till_done(wait_background_tasks=True)
    hass.http.app._router.freeze = lambda: None  # type: ignore[method-assign]  # noqa: SLF001 - as Home Assistant does
    server = TestServer(hass.http.app, host="127.0.0.1")
    await server.start_server(access_log=None)
    bench = Bench(hass, sandbox, server)

    @callback
    def done(_: ServiceCall) -> None:
        bench.at = time.monotonic()
        bench.done.set()

    hass.services.async_register("bench", "done", done)
    return bench


def percentiles(times: list[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile."""
    ordered = sorted(times)
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]


async def main() -> None:
    """Measure, and print each figure with its ratio."""
    platform = Config(accounts=(Account(USER, PASSWORD, products={"1": 100_000}),), repeat_limit=100_000)
    with tempfile.TemporaryDirectory() as folder:
        async with Sandbox(platform) as sandbox, async_test_home_assistant(config_dir=folder) as hass:
            bench = await set_up(hass, sandbox)
            print(f"Home Assistant {ha_const.__version__}, Python {sys.version.split()[0]}")
            found: dict[str, list[tuple[float, float]]] = {"wait": [], "ask": []}
            for place in range(ROUNDS):
                for script, rounds in found.items():
                    times = [await bench.measure(script, place * REPLIES + one) for one in range(REPLIES)]
                    rounds.append(percentiles(times))
            data: dict[str, Any] = {"question": "?", "answers": [{"id": "yes"}], "timeout": 600}
            others = [f"139{one:08}" for one in range(OPEN)]
            asking = [
                hass.async_create_task(
                    hass.services.async_call(
                        "sms1680", "ask_question", {**data, "number": number}, blocking=True, return_response=True
                    )
                )
                for number in others
            ]
            await sandbox.wait_for(lambda now: len(now.messages) >= 2 * ROUNDS * REPLIES + OPEN, timeout=120)
            crowded = percentiles([await bench.measure("ask", ROUNDS * REPLIES + one) for one in range(REPLIES)])
            for task in asking:
                task.cancel()
            names = {"wait": "send_message and wait_for_trigger", "ask": "ask_question"}
            base = statistics.median(p50 for p50, _ in found["wait"])
            for script, rounds in found.items():
                p50, p99 = (statistics.median(column) for column in zip(*rounds, strict=True))
                print(f"{names[script]}: p50 {p50:.2f} ms ({p50 / base:.2f}), p99 {p99:.2f} ms")
            print(f"ask_question with {OPEN} other open questions: p50 {crowded[0]:.2f} ms, p99 {crowded[1]:.2f} ms")
            await hass.async_stop(force=True)


asyncio.run(main())
