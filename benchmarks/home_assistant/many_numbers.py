"""`send_message` to many numbers: the time, and the longest time for which Home Assistant's event loop is blocked.

The platform is the sandbox in another process. A task sleeps for 1 ms again and again. Its delay, and the CPU time of
the event loop during it, measure the blocks. Other programs on the machine change the CPU time less. The longest pause
of Python's garbage collector is printed too: it depends on everything in the process, and the longest block contains
it. The peer is Home Assistant itself, which fires one event with as many fields for each number. The limits of the
account count every message, and the store writes to the disk. At the end, the program sends one message to one number,
before and after many others of the same day.

    .venv/ha-newest/bin/python benchmarks/home_assistant/many_numbers.py
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks" / "home_assistant")]

from homeassistant import const as ha_const  # noqa: E402
from homeassistant.core import Event, HomeAssistant, callback  # noqa: E402
from pushes import BARE_EVENT, entry, prepare  # noqa: E402
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_test_home_assistant  # noqa: E402

import custom_components.sms1680.const as const  # noqa: E402, PLR0402

COUNTS, ROUNDS, SINGLE = (1000, 10_000), 3, 20
USER, PASSWORD = "user", "bench-password"
LIMITS = dict.fromkeys(("hourly_limit", "daily_limit", "number_limit", "automatic_limit"), 10**6)

SANDBOX = f"""
import asyncio, sys
from sms1680.sandbox import Account, Config, Sandbox

async def main():
    account = Account("{USER}", "{PASSWORD}", products={{"1": 10**7}})
    async with Sandbox(Config(accounts=(account,), repeat_limit=10**6)) as sandbox:
        print(sandbox.url, flush=True)
        await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


@contextlib.contextmanager
def platform() -> Iterator[str]:
    """Run the sandbox in another process, and yield its address."""
    with subprocess.Popen([sys.executable, "-c", SANDBOX], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@contextlib.asynccontextmanager
async def watched() -> AsyncIterator[list[float]]:
    """Yield a list that gets the longest block of the event loop, its most CPU time and the longest collection."""
    blocks, used, collections = [0.0], [0.0], [0.0]
    started = 0.0
    found: list[float] = []

    async def tick() -> None:
        while True:
            asked, cpu = time.perf_counter() + 0.001, time.thread_time()
            await asyncio.sleep(0.001)
            blocks.append(time.perf_counter() - asked)
            used.append(time.thread_time() - cpu)

    def collecting(phase: str, _: object) -> None:
        nonlocal started
        if phase == "start":
            started = time.thread_time()
        else:
            collections.append(time.thread_time() - started)

    task = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    blocks[:], used[:] = [0.0], [0.0]
    gc.callbacks.append(collecting)
    yield found
    await asyncio.sleep(0.002)
    gc.callbacks.remove(collecting)
    task.cancel()
    found += [max(blocks) * 1000, max(used) * 1000, max(collections) * 1000]


async def measure(work: Callable[[], Awaitable[object]]) -> tuple[float, ...]:
    """Return the seconds of some work, its seconds of CPU time, and the longest block in milliseconds of both."""
    async with watched() as block:
        began, cpu = time.perf_counter(), time.process_time()
        await work()
        took = time.perf_counter() - began, time.process_time() - cpu
    return *took, *block


async def set_up(hass: HomeAssistant, gateway: str) -> MockConfigEntry:
    """Set up an account at the platform."""
    await prepare(hass)
    like = entry(LIMITS)
    http = {"username": USER, "password": PASSWORD, const.CONF_PRODUCT_ID: "1", const.CONF_GATEWAY: gateway}
    account = MockConfigEntry(
        domain=const.DOMAIN, title="Home", options=LIMITS, data={**like.data, const.CONF_HTTP: http}
    )
    account.add_to_hass(hass)
    assert await hass.config_entries.async_setup(account.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    return account


class Bench:
    """Home Assistant with the account, and the numbers that are not used yet."""

    def __init__(self, hass: HomeAssistant) -> None:
        self.hass = hass
        self.next = 0
        self.fields: dict[str, object] = {}

        @callback
        def note(event: Event) -> None:
            self.fields = dict(event.data)

        hass.bus.async_listen(const.EVENT_MESSAGE_SENT, note)
        hass.bus.async_listen(BARE_EVENT, note)

    async def send(self, count: int) -> None:
        """Send a message to numbers that had none yet."""
        first, self.next = self.next, self.next + count
        numbers = [f"139{place:08d}" for place in range(first, first + count)]
        data = {const.CONF_NUMBER: numbers, "message": "水浸"}
        answer = await self.hass.services.async_call(
            const.DOMAIN, "send_message", data, blocking=True, return_response=True
        )
        assert answer is not None
        outcomes = {one["outcome"] for one in answer["messages"]}  # type: ignore[index, union-attr, call-overload]
        assert outcomes == {"accepted"}, outcomes

    async def fire(self, count: int) -> None:
        """Do the least: fire one event with as many fields for each number."""
        for place in range(count):
            self.hass.bus.async_fire(BARE_EVENT, {**self.fields, "number": f"139{place:08d}"})
            if not place % 100:
                await asyncio.sleep(0)


async def main() -> None:
    """Measure, and print each figure with its ratio."""
    with tempfile.TemporaryDirectory() as folder, platform() as gateway:
        async with async_test_home_assistant(config_dir=folder) as hass:
            await set_up(hass, gateway)
            bench = Bench(hass)
            print(f"Home Assistant {ha_const.__version__}, Python {sys.version.split()[0]}")
            await bench.send(1)
            single = [(await measure(lambda: bench.send(1)))[0] for _ in range(SINGLE)]
            for count in COUNTS:
                ours, least = [], []
                for _ in range(ROUNDS):
                    ours.append(await measure(lambda count=count: bench.send(count)))  # type: ignore[misc]
                    least.append(await measure(lambda count=count: bench.fire(count)))  # type: ignore[misc]
                for name, rounds in (("send_message", ours), ("only its events", least)):
                    seconds, cpu, block, used, collected = (sorted(column) for column in zip(*rounds, strict=True))
                    print(
                        f"{name}, {count} numbers: {statistics.median(seconds):.2f} s ({seconds[0]:.2f} to "
                        f"{seconds[-1]:.2f}), CPU {statistics.median(cpu):.2f} s, longest block "
                        f"{statistics.median(block):.0f} ms ({block[0]:.0f} to {block[-1]:.0f}), of CPU time "
                        f"{statistics.median(used):.0f} ms ({used[0]:.0f} to {used[-1]:.0f}), longest garbage "
                        f"collection {collected[-1]:.0f} ms"
                    )
                ratio = statistics.median(one[1] / other[1] for one, other in zip(ours, least, strict=True))
                print(f"CPU time to its events: {ratio:.1f}")
            later = [(await measure(lambda: bench.send(1)))[0] for _ in range(SINGLE)]
            before, after = (statistics.median(times) * 1000 for times in (single, later))
            print(f"one number: {before:.1f} ms on an empty day, {after:.1f} ms after {bench.next} numbers")
            await hass.async_stop(force=True)


if __name__ == "__main__":
    asyncio.run(main())
