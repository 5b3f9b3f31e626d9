"""Most changed settings need no reload, and a reload drops no message silently."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import voluptuous as vol
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryDisabler, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
    issue_registry as ir,
)
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.sms1680.deferred.models import QueuedMessage
from custom_components.sms1680.deferred.storage import QueueStorage
from custom_components.sms1680.repairs import async_create_fix_flow
from sms1680.sandbox import Fault, Sandbox
from tests.home_assistant.helpers import ALICE, SIGNED, later, sent


async def notify(hass: HomeAssistant, message: str = "门开了", **target: Any) -> None:
    await hass.services.async_call("notify", "send_message", {"message": message, **target}, blocking=True)


async def change(hass: HomeAssistant, entry: MockConfigEntry, **options: Any) -> None:
    hass.config_entries.async_update_entry(entry, options={**entry.options, **options})
    await hass.async_block_till_done(wait_background_tasks=True)


def missed(hass: HomeAssistant, entry: MockConfigEntry) -> ir.IssueEntry | None:
    return ir.async_get(hass).async_get_issue("sms1680", f"missed_{entry.entry_id}")


class TestWithoutReload:
    """Settings that are read when needed, or applied to the running account."""

    @pytest.mark.parametrize(
        "options",
        [
            {"push_answer": "ok", "networks": ["203.0.113.0/24"], "repeat_window": 0, "source_number": "1069"},
            {"price": 0.05, "low_balance": 2000, "balance_interval": 15},
            {"keep_texts": False, "most_kept": 1000, "safe_text": "警报", "command_words": ["撤防"]},
        ],
    )
    async def test_entities_stay_available(
        self, hass: HomeAssistant, entry: MockConfigEntry, unloaded: list[str], options: dict[str, Any]
    ) -> None:
        await change(hass, entry, **options)
        assert not unloaded
        assert entry.runtime_data.applied == (entry.data, entry.options)

    async def test_threshold_and_interval(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        coordinator = entry.runtime_data.coordinator
        await change(hass, entry, low_balance=2000, balance_interval=15)
        state = hass.states.get("binary_sensor.home_low_balance")
        assert state is not None
        assert state.state == "on"
        assert ir.async_get(hass).async_get_issue("sms1680", f"low_balance_{entry.entry_id}")
        assert entry.runtime_data.coordinator is coordinator
        assert coordinator.update_interval == timedelta(minutes=15)
        await change(hass, entry, low_balance=10)
        assert not ir.async_get(hass).issues

    async def test_price_set_later_enables_the_sensor(
        self, hass: HomeAssistant, entry: MockConfigEntry, unloaded: list[str]
    ) -> None:
        entities = er.async_get(hass)
        assert entities.entities["sensor.home_spent"].disabled_by is er.RegistryEntryDisabler.INTEGRATION
        await change(hass, entry, price=0.5)
        # Home Assistant reloads the entry 30 seconds after an entity was enabled.
        assert entities.entities["sensor.home_spent"].disabled_by is None
        assert not unloaded
        await notify(hass, entity_id="notify.alice")
        assert entry.runtime_data.statistics.spent == 0.5

    async def test_sensor_disabled_by_the_user_stays_disabled(
        self, hass: HomeAssistant, entry: MockConfigEntry
    ) -> None:
        entities = er.async_get(hass)
        entities.async_update_entity("sensor.home_spent", disabled_by=er.RegistryEntryDisabler.USER)
        await change(hass, entry, price=0.5)
        assert entities.entities["sensor.home_spent"].disabled_by is er.RegistryEntryDisabler.USER

    async def test_renewed_push_addresses(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        unloaded: list[str],
        hass_client_no_auth: ClientSessionGenerator,
    ) -> None:
        client = await hass_client_no_auth()
        hass.config_entries.async_update_entry(entry, data={**entry.data, "webhook_id": "new", "push_secret": "new"})
        await hass.async_block_till_done()
        assert not unloaded
        push = "mobile=13800000001&content=1"
        assert await (await client.get(f"/api/webhook/new?{push}")).text() == "0"
        assert await (await client.get(f"/api/sms1680/new/1680/mo?{push}")).text() == "0"
        assert await (await client.get(f"/api/webhook/webhook-id-of-the-tests?{push}")).text() == ""

    async def test_push_addresses_of_an_unloaded_account_are_renewed_at_once(
        self, hass: HomeAssistant, entry: MockConfigEntry, hass_client_no_auth: ClientSessionGenerator
    ) -> None:
        client = await hass_client_no_auth()
        await hass.config_entries.async_unload(entry.entry_id)
        result = await hass.config_entries.options.async_init(entry.entry_id)
        for given in ({"next_step_id": "renew_secret"}, {}):
            result = await hass.config_entries.options.async_configure(result["flow_id"], given)
        registered = hass.data["webhook"]
        assert "webhook-id-of-the-tests" not in registered
        assert entry.data["webhook_id"] in registered
        assert await (await client.get("/api/webhook/webhook-id-of-the-tests?mobile=1&content=1")).text() == ""


class TestReload:
    """Settings that the clients are created with."""

    async def test_message_sent_during_a_reload_is_sent(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, unloaded: list[str]
    ) -> None:
        sandbox.platform.faults.next(Fault(stall_after=0.5))
        slow = hass.async_create_task(notify(hass, "慢", entity_id="notify.bob"), eager_start=True)
        await sandbox.wait_for(lambda platform: platform.messages)
        hass.config_entries.async_update_entry(entry, options={**entry.options, "packet_size": 10})
        await asyncio.sleep(0)
        assert entry.state is ConfigEntryState.UNLOAD_IN_PROGRESS
        await notify(hass, "警报", entity_id="notify.alice")
        assert [message.text for message in sandbox.platform.messages] == [f"{SIGNED}慢", f"{SIGNED}警报"]
        await slow
        await hass.async_block_till_done(wait_background_tasks=True)
        assert unloaded == ["unloaded"]
        assert entry.state is ConfigEntryState.LOADED
        assert missed(hass, entry) is None

    async def test_no_other_account_sends_for_a_reloading_one(
        self, hass: HomeAssistant, entry: MockConfigEntry, make_entry: Callable[..., MockConfigEntry], set_up: Any
    ) -> None:
        other = make_entry(title="Office", http={"product_id": "other"}, recipients=[], webhook_id="w", push_secret="p")
        await set_up(other)
        await hass.config_entries.async_unload(entry.entry_id)
        message = {"number": "13700000000", "message": "x"}
        with pytest.raises(ServiceValidationError, match="several accounts"):
            await hass.services.async_call("sms1680", "send_message", message, blocking=True)
        await hass.config_entries.async_set_disabled_by(entry.entry_id, ConfigEntryDisabler.USER)
        with pytest.raises(HomeAssistantError, match="product"):
            await hass.services.async_call("sms1680", "send_message", message, blocking=True)


class TestUnavailableNotify:
    """A message to an entity that does not exist succeeds in Home Assistant; a repair reports it."""

    @pytest.fixture
    async def entry(self, hass: HomeAssistant, entry: MockConfigEntry) -> MockConfigEntry:
        """An account whose entities are absent."""
        await hass.config_entries.async_unload(entry.entry_id)
        return entry

    @pytest.mark.parametrize(
        ("target", "who"),
        [
            ({"entity_id": "notify.alice"}, "Alice"),
            ({"entity_id": ["notify.bob", "notify.alice", "notify.unheard_of"]}, "Alice, Bob"),
            ({"entity_id": "all"}, "Alice, Bob"),
            ({"device_id": "of Bob"}, "Bob"),
            ({"area_id": "hall"}, "Alice"),
        ],
    )
    async def test_every_kind_of_target_is_detected(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        *,
        target: dict[str, Any],
        who: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        entities = er.async_get(hass)
        devices = {name: entities.entities[f"notify.{name}"].device_id for name in ("alice", "bob")}
        dr.async_get(hass).async_update_device(devices["alice"], area_id=ar.async_get(hass).async_create("Hall").id)
        if "device_id" in target:
            target = {"device_id": devices["bob"]}
        await notify(hass, "机密", **target)
        assert not sandbox.platform.messages
        issue = missed(hass, entry)
        assert issue is not None
        assert issue.translation_placeholders == {"account": "Home", "who": who}
        (line,) = [record.getMessage() for record in caplog.records if "was not sent" in record.getMessage()]
        assert "notify." in line
        assert "机密" not in line
        assert ALICE not in line

    async def test_repair_names_all_recipients_until_it_is_closed(
        self, hass: HomeAssistant, entry: MockConfigEntry
    ) -> None:
        for name in ("alice", "bob", "alice"):
            await notify(hass, entity_id=f"notify.{name}")
        issue = missed(hass, entry)
        assert issue is not None
        assert (issue.translation_placeholders or {})["who"] == "Alice, Bob"
        assert await async_setup_component(hass, "repairs", {})
        flow = await async_create_fix_flow(hass, issue.issue_id, None)
        flow.hass, flow.issue_id, flow.handler = hass, issue.issue_id, "sms1680"
        assert (await flow.async_step_init())["step_id"] == "confirm"
        await hass.config_entries.async_remove(entry.entry_id)
        assert missed(hass, entry) is None

    async def test_other_and_disabled_entities_are_ignored(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        er.async_get(hass).async_update_entity("notify.alice", disabled_by=er.RegistryEntryDisabler.USER)
        for entity_id in ("notify.alice", "notify.unheard_of"):
            await notify(hass, entity_id=entity_id)
        with pytest.raises(vol.Invalid):
            await notify(hass, entity_id="not an id")
        assert missed(hass, entry) is None


async def test_message_enqueued_while_the_new_queue_is_read_is_sent_once(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sandbox: Sandbox,
    freezer: FrozenDateTimeFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = QueuedMessage(ALICE, "门开了", "Alice", "alice", since=dt_util.utcnow().timestamp())
    before, load = entry.runtime_data.deferred, QueueStorage.async_load
    due = dt_util.utcnow() + timedelta(hours=1)

    async def slow(*given: Any) -> Any:
        assert await before.async_enqueue(message, due)
        left = await load(*given)
        assert await before.async_enqueue(replace(message, text="窗开了"), due)
        return left

    monkeypatch.setattr(QueueStorage, "async_load", slow)
    assert await hass.config_entries.async_reload(entry.entry_id)
    await later(hass, freezer, hours=1)
    assert sent(sandbox) == [(ALICE, "门开了"), (ALICE, "窗开了")]
