"""Pushes per second with and without the message store, compared with a plain webhook on the same server.

With the store, each answer waits for a commit to a file (WAL, synchronous=FULL) that concurrent pushes share. Without
it, an account stores nothing on the disk. The pushes come from another process over several connections, each with a
different text. The file is in the folder for temporary files: set TMPDIR to measure another disk.

    .venv/ha-newest/bin/python benchmarks/store/rate.py
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks" / "home_assistant")]

from homeassistant import const as ha_const  # noqa: E402
from homeassistant.core import HomeAssistant  # noqa: E402
from pushes import BARE, OURS, PUSHES, Bench, entry, set_up  # noqa: E402
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_test_home_assistant  # noqa: E402

import custom_components.sms1680.const as const  # noqa: E402, PLR0402
from custom_components.sms1680.store.manager import DATA_STORE  # noqa: E402

ROUNDS, OFF = 7, "account-without-storage"


async def add_unstored(hass: HomeAssistant) -> None:
    """Add an account that stores nothing on the disk."""
    like = entry({})
    account = MockConfigEntry(
        domain=const.DOMAIN,
        title="Off",
        data={**like.data, ha_const.CONF_WEBHOOK_ID: OFF, const.CONF_PUSH_SECRET: OFF},
        options={const.CONF_KEEP_DAYS: 0},
    )
    account.add_to_hass(hass)
    assert await hass.config_entries.async_setup(account.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)


async def rate(bench: Bench, hook: str, connections: int) -> tuple[float, float]:
    """Return the pushes per second, and Home Assistant's CPU time per push in microseconds."""
    began = time.process_time()
    result = await bench.push(f"/api/webhook/{hook}", PUSHES, connections)
    await bench.hass.async_block_till_done()
    return PUSHES / float(result["seconds"]), (time.process_time() - began) / PUSHES * 1e6


async def commits(bench: Bench) -> list[str]:
    """Count the store's commits from now on, including statements outside of transactions."""
    counted: list[str] = []
    inside = False
    store = bench.hass.data[DATA_STORE].intakes[0].store

    def trace(statement: str) -> None:
        nonlocal inside
        if statement == "COMMIT" or (not inside and statement.startswith("INSERT")):
            counted.append(statement)
        inside = statement.startswith("BEGIN") or (inside and statement != "COMMIT")

    await asyncio.wrap_future(store._writer.submit(lambda database: database.set_trace_callback(trace)))  # noqa: SLF001
    return counted


async def main() -> None:
    """Measure, and print each figure with its ratio."""
    names = {BARE: "a webhook that only answers", OURS: "with the store", OFF: "without the store"}
    with tempfile.TemporaryDirectory() as folder:
        async with async_test_home_assistant(config_dir=folder) as hass:
            bench = await set_up(hass, {})
            await add_unstored(hass)
            counted = await commits(bench)
            print(f"Home Assistant {ha_const.__version__}, Python {sys.version.split()[0]}, {PUSHES} pushes per round")
            for connections in (1, 8, 32):
                counted.clear()
                rounds = [{hook: await rate(bench, hook, connections) for hook in names} for _ in range(ROUNDS)]
                print(f"{connections} connections, {ROUNDS * PUSHES / len(counted):.1f} pushes per commit:")
                for hook, name in names.items():
                    speed = statistics.median(found[hook][0] for found in rounds)
                    work = statistics.median(found[hook][1] for found in rounds)
                    ratios = sorted(found[hook][0] / found[BARE][0] for found in rounds)
                    middle, least, most = ratios[len(ratios) // 2], ratios[0], ratios[-1]
                    spread = f"{middle:.2f} ({least:.2f} to {most:.2f})"
                    print(f"  {name}: {speed:.0f} per second, ratio {spread}, {work:.0f} µs")
            await bench.server.close()
            await hass.async_stop(force=True)


asyncio.run(main())
