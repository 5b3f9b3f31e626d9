"""The setup of an account reads each thing once, and nothing that it reads together gets lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest
from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.helpers.storage import Store
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.account.latest import LatestUpdates
from custom_components.sms1680.const import signal_delivery
from custom_components.sms1680.deferred.storage import QueueStorage
from custom_components.sms1680.entity import _TAKES_DEVICES
from custom_components.sms1680.store.cached_store import CachedStore
from custom_components.sms1680.store.db import DeliveryState, DeliveryUpdate, MessageStore, Selection, StoreError
from custom_components.sms1680.store.db.writer import Writer
from tests.home_assistant.helpers import duty_group, send_to_alice, store_of

STATE = "sensor.alice_last_delivery_state"


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: type, *names: str) -> Counter[str]:
    """Count the calls of some methods from now on."""
    counts: Counter[str] = Counter()

    def counting(name: str, method: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            counts[name] += 1
            return method(*args, **kwargs)

        return counted

    for name in names:
        monkeypatch.setattr(owner, name, counting(name, getattr(owner, name)))
    return counts


async def reload(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)


def state_of(hass: HomeAssistant, entity_id: str) -> str | None:
    state = hass.states.get(entity_id)
    return state.state if state else None


async def test_store_is_asked_once_for_each_purpose(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send_to_alice(hass)
    asked = count_calls(
        monkeypatch, MessageStore, "latest", "load_start", "load_deferred", "unconcluded", "last_report"
    )
    jobs = count_calls(monkeypatch, Writer, "submit")
    await reload(hass, entry)
    assert asked == {"latest": 1, "load_start": 1}
    assert jobs["submit"] == 3, "besides these, the pending events"
    assert state_of(hass, STATE) == "accepted"
    assert state_of(hass, "sensor.home_waiting_messages") == "0"


async def test_files_are_read_once(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send_to_alice(hass)
    reads = count_calls(monkeypatch, CachedStore, "_async_load")
    await reload(hass, entry)
    assert not reads
    assert state_of(hass, "sensor.home_messages_sent") == "1"


@pytest.mark.skipif(not _TAKES_DEVICES, reason="Older versions take the info of a device only")
async def test_each_device_is_registered_once(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {one.id: one for one in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)}
    looked_up = count_calls(monkeypatch, dr.DeviceRegistry, "async_get_or_create")
    await reload(hass, entry)
    assert looked_up == {"async_get_or_create": 3}
    assert {one.id: one for one in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)} == before


async def test_entities_belong_to_the_devices_and_subentries_of_their_recipients(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    group = duty_group("Night", ("alice",))
    subentry = ConfigSubentry(**{**group, "data": MappingProxyType(group["data"])})
    hass.config_entries.async_add_subentry(entry, subentry)
    await hass.async_block_till_done(wait_background_tasks=True)
    registry, devices = er.async_get(hass), dr.async_get(hass)
    found: Counter[str | None] = Counter()
    for one in er.async_entries_for_config_entry(registry, entry.entry_id):
        device = devices.async_get(one.device_id or "")
        identifier = "_".join(filter(None, (entry.entry_id, one.config_subentry_id)))
        assert device is not None
        assert device.identifiers == {("sms1680", identifier)}
        if _TAKES_DEVICES:
            assert device.config_subentry_id == one.config_subentry_id
        else:
            assert device.config_entries_subentries == {entry.entry_id: {one.config_subentry_id}}
        assert (device.model_id == "group") is (one.config_subentry_id == group["subentry_id"])
        found[one.config_subentry_id] += 1
    assert len(found) == 4


async def test_recipient_renamed_before_a_reload(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    assert await hass.config_entries.async_unload(entry.entry_id)
    alice = next(one for one in entry.subentries.values() if one.title == "Alice")
    hass.config_entries.async_update_subentry(entry, alice, title="Alicia")
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    assert sorted(device.name or "" for device in devices) == ["Alicia", "Bob", "Home"]


def update_of(entry: MockConfigEntry, row: int, state: DeliveryState, now: datetime) -> DeliveryUpdate:
    alice = next(one.subentry_id for one in entry.subentries.values() if one.title == "Alice")
    message = (row, entry.entry_id, alice, "13800000001", "1")
    return DeliveryUpdate(*message, state, True, None, None, None, now, 10**6, False)


async def test_update_before_the_entities_exist_is_shown(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send_to_alice(hass)
    load = LatestUpdates.async_load

    async def load_and_report(latest: LatestUpdates) -> None:
        await load(latest)
        update = update_of(entry, 2**60, DeliveryState.DELIVERED, datetime.now(UTC))
        async_dispatcher_send(hass, signal_delivery(entry.entry_id), update)

    monkeypatch.setattr(LatestUpdates, "async_load", load_and_report)
    await reload(hass, entry)
    assert state_of(hass, STATE) == "delivered"


async def test_scheduled_message_that_is_cancelled_during_the_setup_is_not_counted(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await send_to_alice(hass, at=tomorrow.isoformat())
    await reload(hass, entry)
    assert state_of(hass, "sensor.home_waiting_messages") == "1"
    load = QueueStorage.async_load

    async def load_and_refuse(storage: QueueStorage, journal: MessageStore) -> Any:
        loaded = await load(storage, journal)
        stored = (await asyncio.wrap_future(journal.scheduled(entry.entry_id, datetime.now(UTC))))[0]
        await asyncio.wrap_future(journal.purge(Selection(entries=[entry.entry_id])))
        update = update_of(entry, stored.row, DeliveryState.REFUSED, datetime.now(UTC))
        async_dispatcher_send(hass, signal_delivery(entry.entry_id), replace(update, sent_at=tomorrow))
        return loaded

    monkeypatch.setattr(QueueStorage, "async_load", load_and_refuse)
    await reload(hass, entry)
    assert state_of(hass, "sensor.home_waiting_messages") == "0"


async def test_unreadable_queue_leaves_no_sensor_unknown(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    load = MessageStore.load_start

    def fail(store: MessageStore, entry_id: str, now: datetime) -> Any:
        future = load(store, entry_id, now)
        future.exception()
        failed: Any = type(future)()
        failed.set_exception(StoreError("SQLITE_IOERR"))
        return failed

    monkeypatch.setattr(MessageStore, "load_start", fail)
    await reload(hass, entry)
    assert "The queued messages could not be read (SQLITE_IOERR)" in caplog.text
    assert state_of(hass, "sensor.home_waiting_messages") == "0"
    assert store_of(hass).durable


class TestCachedStore:
    """The content stays in memory for the next setup of the account, until the account is removed."""

    @staticmethod
    def store(hass: HomeAssistant) -> CachedStore[dict[str, Any]]:
        return CachedStore.of(hass, 1, "sms1680.test")

    async def test_each_load_is_a_copy(self, hass: HomeAssistant, hass_storage: dict[str, Any]) -> None:
        hass_storage["sms1680.test"] = {"version": 1, "key": "sms1680.test", "data": {"words": ["a"]}}
        first = await self.store(hass).async_load()
        assert first == {"words": ["a"]}
        first["words"].append("b")
        assert await self.store(hass).async_load() == {"words": ["a"]}

    async def test_next_setup_has_what_is_not_saved_yet(
        self, hass: HomeAssistant, hass_storage: dict[str, Any]
    ) -> None:
        self.store(hass).async_delay_save(lambda: {"words": ["a"]}, 10)
        assert "sms1680.test" not in hass_storage
        assert await self.store(hass).async_load() == {"words": ["a"]}

    async def test_save_and_remove(self, hass: HomeAssistant, hass_storage: dict[str, Any]) -> None:
        await self.store(hass).async_save({"words": ["a"]})
        assert hass_storage["sms1680.test"]["data"] == {"words": ["a"]}
        assert await self.store(hass).async_load() == {"words": ["a"]}
        await self.store(hass).async_remove()
        assert "sms1680.test" not in hass_storage
        assert await self.store(hass).async_load() is None

    async def test_nothing_is_saved_again_after_the_removal(
        self, hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        words = entry.runtime_data.refused_words
        removed: list[Store[Any]] = []

        async def remove(store: Store[Any]) -> None:
            removed.append(store)  # which also ends what it has still to save

        with monkeypatch.context() as patch:
            patch.setattr(Store, "async_remove", remove)
            saves = count_calls(patch, Store, "async_delay_save", "async_save")
            words.learn("赌博", "赌博")
            await hass.config_entries.async_remove(entry.entry_id)
            assert words._store in removed
            saves.clear()
            words.learn("贷款", "贷款")  # of a call that outlasts the account
            await words._store.async_save([])
            assert not saves
