"""The event entities show each event exactly once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from homeassistant.config_entries import ConfigEntryDisabler, ConfigSubentry
from homeassistant.const import STATE_UNKNOWN
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import entity_registry as er, restore_state
from homeassistant.util.dt import utcnow
from pytest_homeassistant_custom_component.common import MockConfigEntry, mock_restore_cache_with_extra_data

from custom_components.sms1680 import const
from custom_components.sms1680.client import DeliveryReport, Reply
from custom_components.sms1680.inbound.models import InboundSource
from custom_components.sms1680.inbound.receiver import InboundProcessor
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, STRANGER, receive

INBOX, ALICES, BOBS = "event.home_inbox", "event.alice_messages", "event.bob_messages"


def shown(hass: HomeAssistant, entity_id: str) -> State:
    state = hass.states.get(entity_id)
    assert state is not None
    return state


async def test_reply_updates_the_inbox_and_its_sender_only(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await receive(hass, entry, Reply("+86 138 0000 0001", "好的", "12"))
    for entity_id in (INBOX, ALICES):
        attributes = shown(hass, entity_id).attributes
        assert attributes["event_type"] == "received"
        assert {key: attributes[key] for key in ("number", "content", "extension", "recipient", "via")} == {
            "number": ALICE,
            "content": "好的",
            "extension": "12",
            "recipient": "Alice",
            "via": "webhook",
        }
    assert shown(hass, BOBS).state == STATE_UNKNOWN


async def test_reply_of_a_stranger_updates_the_inbox_only(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await receive(hass, entry, Reply(STRANGER, "你好"))
    assert shown(hass, INBOX).attributes["number"] == STRANGER
    assert {shown(hass, ALICES).state, shown(hass, BOBS).state} == {STATE_UNKNOWN}


@pytest.mark.parametrize(("status", "event_type"), [("0", "delivered"), ("KX:1000", "failed"), ("ACCEPTD", None)])
async def test_delivery_report_updates_the_entities(
    hass: HomeAssistant, entry: MockConfigEntry, status: str, event_type: str | None
) -> None:
    await receive(hass, entry, DeliveryReport("7", ALICE, status))
    assert shown(hass, ALICES).attributes["event_type"] == event_type
    assert shown(hass, INBOX).attributes["event_type"] == event_type


async def test_event_types_are_fixed_and_content_is_not_recorded(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await receive(hass, entry, Reply(ALICE, "1"))
    for entity_id in (INBOX, ALICES, BOBS):
        state = shown(hass, entity_id)
        types = ["received", "command", "opted_out", "delivered", "failed", "undelivered"]
        assert state.attributes["event_types"] == types
        assert state.state_info is not None
        assert {"number", "content"} <= state.state_info["unrecorded_attributes"]


async def test_opt_out_has_its_own_event_type(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await receive(hass, entry, Reply(ALICE, "TD"))
    for entity_id in (INBOX, ALICES):
        assert shown(hass, entity_id).attributes["event_type"] == "opted_out"


async def test_repeat_does_not_update_the_entity(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await receive(hass, entry, Reply(ALICE, "1"))
    before = shown(hass, ALICES)
    await receive(hass, entry, Reply(ALICE, "1"))
    assert shown(hass, ALICES) is before


async def test_reload_fires_no_event(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await receive(hass, entry, Reply(ALICE, "1"))
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    for entity_id in (INBOX, ALICES):
        state = shown(hass, entity_id)
        assert (state.state, state.attributes["event_type"]) == (STATE_UNKNOWN, None)


async def test_restart_restores_no_event(hass: HomeAssistant, make_entry: Callable[[], MockConfigEntry]) -> None:
    extra = {"last_event_type": "received", "last_event_attributes": {"content": "1"}}
    fired_at = "2026-01-01T00:00:00.000+00:00"
    mock_restore_cache_with_extra_data(hass, [(State(entity_id, fired_at), extra) for entity_id in (INBOX, ALICES)])
    entry = make_entry()
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    for entity_id in (INBOX, ALICES):
        state = shown(hass, entity_id)
        assert (state.state, state.attributes.get("content")) == (STATE_UNKNOWN, None)


@pytest.mark.parametrize("options", [{}, {const.CONF_KEEP_DAYS: 0}, {const.CONF_KEEP_TEXTS: False}])
async def test_no_text_and_no_number_is_stored_to_be_restored(
    hass: HomeAssistant,
    make_entry: Callable[..., MockConfigEntry],
    hass_storage: dict[str, Any],
    options: dict[str, Any],
) -> None:
    entry = make_entry(options=options)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    await receive(hass, entry, Reply(ALICE, "我在家"), Reply(STRANGER, "你好"), DeliveryReport("7", ALICE, "KX:1000"))
    await restore_state.async_get(hass).async_dump_states()
    assert hass_storage["core.restore_state"]["data"] is not None
    assert await hass.config_entries.async_unload(entry.entry_id)
    await restore_state.async_get(hass).async_dump_states()
    stored = json.dumps(hass_storage["core.restore_state"]["data"], ensure_ascii=False)
    assert not [one for one in ("我在家", "你好", ALICE, STRANGER, "content") if one in stored]


def restored(hass: HomeAssistant, entity_id: str, *types: str) -> None:
    """Add a state that an earlier version let Home Assistant store."""
    attributes = {"event_types": list(types), "content": "我在家", "number": ALICE}
    state = State(entity_id, "2026-01-01T00:00:00.000+00:00", attributes)
    stored = restore_state.StoredState.from_dict(
        {
            "state": state.as_dict(),
            "extra_data": {"last_event_attributes": attributes},
            "last_seen": utcnow().isoformat(),
        }
    )
    restore_state.async_get(hass).last_states[entity_id] = stored


async def test_states_of_earlier_versions_are_deleted(
    hass: HomeAssistant, make_entry: Callable[[], MockConfigEntry], hass_storage: dict[str, Any]
) -> None:
    """At the start, also those of removed recipients; and by the action, those of a disabled account."""
    data = restore_state.async_get(hass)
    restored(hass, ALICES, "received", "delivered", "failed")
    restored(hass, "event.removed", "received", "command", "opted_out", "delivered", "failed")
    restored(hass, "event.doorbell", "ring")
    entry = make_entry()
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert list(data.last_states) == ["event.doorbell"]
    restored(hass, "event.disabled", "received", "delivered", "failed")
    await hass.services.async_call("sms1680", "purge_messages", {}, blocking=True)
    stored = hass_storage["core.restore_state"]["data"]
    names = [one["state"]["entity_id"] for one in stored]
    assert [name for name in names if name.startswith("event.")] == ["event.doorbell"]


async def test_platform_outage_preserves_the_events(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    await receive(hass, entry, Reply(ALICE, "1"))
    before = shown(hass, ALICES)
    sandbox.platform.faults.always("drop_before")
    await entry.runtime_data.coordinator.async_refresh()
    assert not entry.runtime_data.coordinator.last_update_success
    assert shown(hass, ALICES) is before


async def test_new_recipient_preserves_the_events(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await receive(hass, entry, Reply(ALICE, "1"))
    before = shown(hass, ALICES)
    carol = ConfigSubentry(
        data={const.CONF_NUMBER: "13800000003"},  # type: ignore[arg-type]
        subentry_type=const.SUBENTRY_RECIPIENT,
        title="Carol",
        unique_id="13800000003",
    )
    hass.config_entries.async_add_subentry(entry, carol)
    await hass.async_block_till_done()
    await receive(hass, entry, Reply("13800000003", "我在"))
    assert shown(hass, "event.carol_messages").attributes["content"] == "我在"
    hass.config_entries.async_remove_subentry(entry, carol.subentry_id)
    await hass.async_block_till_done()
    assert hass.states.get("event.carol_messages") is None
    assert shown(hass, ALICES) is before
    await receive(hass, entry, Reply(ALICE, "2"))
    assert shown(hass, ALICES).attributes["content"] == "2"


async def test_entities_have_unique_ids_and_devices(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    registry = er.async_get(hass)
    found = {
        registered.entity_id: (registered.unique_id, registered.config_subentry_id)
        for registered in er.async_entries_for_config_entry(registry, entry.entry_id)
        if registered.domain == "event"
    }
    assert found == {
        INBOX: (f"{entry.entry_id}_inbox", None),
        ALICES: (f"{entry.entry_id}_alice_messages", "alice"),
        BOBS: (f"{entry.entry_id}_bob_messages", "bob"),
    }


async def test_push_to_a_disabled_account_fires_later(
    hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor
) -> None:
    await hass.config_entries.async_set_disabled_by(entry.entry_id, ConfigEntryDisabler.USER)
    task = hass.async_create_task(processor.async_receive(Reply(ALICE, "1"), InboundSource.WEBHOOK, 60))
    await hass.config_entries.async_set_disabled_by(entry.entry_id, None)
    await task
    await hass.async_block_till_done()
    assert shown(hass, ALICES).attributes["content"] == "1"
