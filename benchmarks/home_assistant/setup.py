"""Time to set up an account, compared with an integration that only creates as many entities; memory when idle.

Both are set up and unloaded in turn in the same Home Assistant. The platform is unreachable, because the setup of an
account must not depend on it.

    .venv/ha-newest/bin/python benchmarks/home_assistant/setup.py
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from homeassistant import const as ha_const  # noqa: E402
from homeassistant.config_entries import ConfigEntry, ConfigFlow  # noqa: E402
from homeassistant.core import HomeAssistant  # noqa: E402
from homeassistant.helpers import entity_registry as er  # noqa: E402
from homeassistant.helpers.entity import Entity  # noqa: E402
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback  # noqa: E402
from pushes import entry, prepare  # noqa: E402
from pytest_homeassistant_custom_component.common import (  # noqa: E402
    MockConfigEntry,
    MockModule,
    MockPlatform,
    async_test_home_assistant,
    mock_config_flow,
    mock_integration,
    mock_platform,
)

import custom_components.sms1680.const as const  # noqa: E402, PLR0402 - imported before Home Assistant loads it

ROUNDS = 21
IDLE = 20
BARE = "bare"


class BareFlow(ConfigFlow):
    """An unused dialog: Home Assistant requires one for each entry."""


class Bare(Entity):
    """An entity without any function."""

    _attr_should_poll = False

    def __init__(self, name: str) -> None:
        self._attr_unique_id = self._attr_name = name


def bare_integration(hass: HomeAssistant, counts: dict[str, int]) -> MockConfigEntry:
    """Return an entry of an integration that only creates a number of entities per platform."""

    async def set_up(hass: HomeAssistant, config_entry: ConfigEntry) -> bool:
        await hass.config_entries.async_forward_entry_setups(config_entry, list(counts))
        return True

    async def unload(hass: HomeAssistant, config_entry: ConfigEntry) -> bool:
        return await hass.config_entries.async_unload_platforms(config_entry, list(counts))

    mock_integration(hass, MockModule(BARE, async_setup_entry=set_up, async_unload_entry=unload))
    mock_platform(hass, f"{BARE}.config_flow")
    for platform, count in counts.items():

        async def add(
            hass: HomeAssistant,  # noqa: ARG001 - as Home Assistant calls it
            config_entry: ConfigEntry,  # noqa: ARG001
            async_add_entities: AddConfigEntryEntitiesCallback,
            names: tuple[str, ...] = tuple(f"{platform} {number}" for number in range(count)),
        ) -> None:
            async_add_entities(Bare(name) for name in names)

        mock_platform(hass, f"{BARE}.{platform}", MockPlatform(async_setup_entry=add))
    return MockConfigEntry(domain=BARE)


async def set_up_time(hass: HomeAssistant, entry_id: str) -> tuple[float, float]:
    """Set up an entry, unload it again, and return the milliseconds of the setup, and those of its CPU time."""
    began, cpu = time.perf_counter(), time.process_time()
    assert await hass.config_entries.async_setup(entry_id)
    took, used = time.perf_counter() - began, time.process_time() - cpu
    await hass.async_block_till_done(wait_background_tasks=True)
    assert await hass.config_entries.async_unload(entry_id)
    await hass.async_block_till_done()
    return took * 1000, used * 1000


async def memory(hass: HomeAssistant) -> float:
    """Return the memory of an idle account in KiB, as the mean of several."""
    accounts = [entry({}) for _ in range(IDLE)]
    for number, account in enumerate(accounts):
        data = {**account.data, ha_const.CONF_WEBHOOK_ID: f"hook-{number}", const.CONF_PUSH_SECRET: f"secret-{number}"}
        account.add_to_hass(hass)
        hass.config_entries.async_update_entry(account, data=data)
    gc.collect()
    tracemalloc.start()
    for account in accounts:
        assert await hass.config_entries.async_setup(account.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / IDLE / 1024


async def main() -> None:
    """Measure, and print each figure."""
    with tempfile.TemporaryDirectory() as folder:
        async with async_test_home_assistant(config_dir=folder) as hass:
            await prepare(hass)
            account = entry({})
            account.add_to_hass(hass)
            assert await hass.config_entries.async_setup(account.entry_id)
            await hass.async_block_till_done(wait_background_tasks=True)
            counts: dict[str, int] = {}
            for found in er.async_entries_for_config_entry(er.async_get(hass), account.entry_id):
                if not found.disabled:
                    counts[found.domain] = counts.get(found.domain, 0) + 1
            assert await hass.config_entries.async_unload(account.entry_id)
            bare = bare_integration(hass, counts)
            bare.add_to_hass(hass)
            with mock_config_flow(BARE, BareFlow):
                rounds = [
                    (await set_up_time(hass, account.entry_id), await set_up_time(hass, bare.entry_id))
                    for _ in range(ROUNDS)
                ][1:]
            print(f"Home Assistant {ha_const.__version__}, Python {sys.version.split()[0]}, entities {counts}")
            for place, name in enumerate(("set up", "set up, CPU time")):
                ours, theirs = (statistics.median(one[side][place] for one in rounds) for side in (0, 1))
                ratios = sorted(one[0][place] / one[1][place] for one in rounds)
                spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
                print(f"{name}: {ours:.1f} ms, an integration with as many entities {theirs:.1f} ms, ratio {spread}")
            print(f"memory of an idle account with two recipients: {await memory(hass):.0f} KiB")
            await hass.async_stop(force=True)


if __name__ == "__main__":
    asyncio.run(main())
