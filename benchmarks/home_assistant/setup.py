"""Time to set up an account, compared with integrations that only create as many entities; memory when idle.

One of these creates bare entities, as many as ours are enabled. The other is an ordinary modern integration: it
registers the same entities as ours, also the disabled ones, of the same platforms, with translated names, unique ids,
devices and subentries; nothing happens in them. All are set up and unloaded in turn in the same Home Assistant. The
platform is unreachable, because the setup of an account must not depend on it.

    .venv/ha-newest/bin/python benchmarks/home_assistant/setup.py
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from homeassistant import const as ha_const  # noqa: E402
from homeassistant.components.binary_sensor import BinarySensorEntity  # noqa: E402
from homeassistant.components.button import ButtonEntity  # noqa: E402
from homeassistant.components.event import EventEntity  # noqa: E402
from homeassistant.components.notify import NotifyEntity  # noqa: E402
from homeassistant.components.sensor import SensorEntity  # noqa: E402
from homeassistant.config_entries import ConfigEntry, ConfigFlow, ConfigSubentryDataWithId  # noqa: E402
from homeassistant.core import HomeAssistant  # noqa: E402
from homeassistant.helpers import entity_registry as er  # noqa: E402
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo  # noqa: E402
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
BARE, MODERN = "bare", "modern"


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


class Modern(Entity):
    """Base of the entities of an ordinary integration. They are registered like ours, and never change."""

    _attr_has_entity_name = True
    _attr_should_poll = False
    _attr_event_types = ["received"]  # noqa: RUF012 - the base class's own type

    def __init__(self, config_entry: ConfigEntry, model: er.RegistryEntry) -> None:
        subentry_id = model.config_subentry_id
        self._attr_translation_key = model.translation_key
        self._attr_unique_id = f"{config_entry.entry_id}_{model.unique_id}"
        self._attr_entity_registry_enabled_default = not model.disabled
        title = config_entry.subentries[subentry_id].title if subentry_id else config_entry.title
        identifier = f"{config_entry.entry_id}_{subentry_id}" if subentry_id else config_entry.entry_id
        self._attr_device_info = DeviceInfo(
            identifiers={(MODERN, identifier)}, entry_type=DeviceEntryType.SERVICE, name=title, manufacturer="Modern"
        )


ENTITIES: dict[str, type[Modern]] = {
    str(domain): type(f"Modern{base.__name__}", (Modern, base), {})
    for domain, base in (
        (ha_const.Platform.BINARY_SENSOR, BinarySensorEntity),
        (ha_const.Platform.BUTTON, ButtonEntity),
        (ha_const.Platform.EVENT, EventEntity),
        (ha_const.Platform.NOTIFY, NotifyEntity),
        (ha_const.Platform.SENSOR, SensorEntity),
    )
}


def modern_integration(hass: HomeAssistant, account: ConfigEntry, folder: Path) -> MockConfigEntry:
    """Return an entry of an ordinary integration that registers the same entities as an account.

    folder: for its translations.
    """
    models: dict[str, dict[str | None, list[er.RegistryEntry]]] = {}
    names: dict[str, dict[str, dict[str, str]]] = {}
    for model in er.async_entries_for_config_entry(er.async_get(hass), account.entry_id):
        models.setdefault(model.domain, {}).setdefault(model.config_subentry_id, []).append(model)
        if model.translation_key is not None:
            names.setdefault(model.domain, {})[model.translation_key] = {"name": model.translation_key}

    async def set_up(hass: HomeAssistant, config_entry: ConfigEntry) -> bool:
        await hass.config_entries.async_forward_entry_setups(config_entry, list(models))
        return True

    async def unload(hass: HomeAssistant, config_entry: ConfigEntry) -> bool:
        return await hass.config_entries.async_unload_platforms(config_entry, list(models))

    module = MockModule(MODERN, async_setup_entry=set_up, async_unload_entry=unload)
    integration = mock_integration(hass, module, top_level_files={"translations"})
    integration.file_path = folder
    (folder / "translations").mkdir(parents=True)
    (folder / "translations" / "en.json").write_text(json.dumps({"entity": names}))
    mock_platform(hass, f"{MODERN}.config_flow")
    for platform, by_subentry in models.items():

        async def add(
            hass: HomeAssistant,  # noqa: ARG001 - as Home Assistant calls it
            config_entry: ConfigEntry,
            async_add_entities: AddConfigEntryEntitiesCallback,
            entity: type[Modern] = ENTITIES[platform],
            by_subentry: dict[str | None, list[er.RegistryEntry]] = by_subentry,
        ) -> None:
            for subentry_id, found in by_subentry.items():
                entities = [entity(config_entry, model) for model in found]
                async_add_entities(entities, config_subentry_id=subentry_id)

        mock_platform(hass, f"{MODERN}.{platform}", MockPlatform(async_setup_entry=add))
    subentries = [
        ConfigSubentryDataWithId(
            data={}, subentry_id=one.subentry_id, subentry_type="thing", title=one.title, unique_id=one.unique_id
        )
        for one in account.subentries.values()
    ]
    return MockConfigEntry(domain=MODERN, title="Modern", subentries_data=subentries)


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
            modern = modern_integration(hass, account, Path(folder) / MODERN)
            entries = (account, bare, modern)
            bare.add_to_hass(hass)
            modern.add_to_hass(hass)
            with mock_config_flow(BARE, BareFlow), mock_config_flow(MODERN, BareFlow):
                rounds = [[await set_up_time(hass, one.entry_id) for one in entries] for _ in range(ROUNDS)][1:]
            print(f"Home Assistant {ha_const.__version__}, Python {sys.version.split()[0]}, entities {counts}")
            peers = ("an integration with as many entities", "an ordinary integration with the same entities")
            for peer, against in enumerate(peers, 1):
                for place, name in enumerate(("set up", "set up, CPU time")):
                    ours, theirs = (statistics.median(one[side][place] for one in rounds) for side in (0, peer))
                    ratios = sorted(one[0][place] / one[peer][place] for one in rounds)
                    spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
                    print(f"{name}: {ours:.1f} ms, {against} {theirs:.1f} ms, ratio {spread}")
            print(f"memory of an idle account with two recipients: {await memory(hass):.0f} KiB")
            await hass.async_stop(force=True)


if __name__ == "__main__":
    asyncio.run(main())
