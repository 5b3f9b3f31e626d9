"""The dialogs of a recipient. Recipients can be added, changed and removed without a reload of the account."""

from __future__ import annotations

import pytest
from homeassistant.config_entries import SubentryFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import device_registry as dr, entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.client import Reply
from custom_components.sms1680.inbound.models import InboundSource
from custom_components.sms1680.inbound.registry import async_get_registry
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import enter_recipient, notify, start_question, start_recipient


async def add(hass: HomeAssistant, entry: MockConfigEntry) -> SubentryFlowResult:
    result = await start_recipient(hass, entry)
    assert (result["type"], result["step_id"]) == (FlowResultType.FORM, "user")
    return result


async def change(hass: HomeAssistant, entry: MockConfigEntry, subentry_id: str) -> SubentryFlowResult:
    result = await start_recipient(hass, entry, subentry_id)
    assert (result["type"], result["step_id"]) == (FlowResultType.FORM, "reconfigure")
    return result


async def test_new_recipient_has_a_device_and_a_notify_entity(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, unloaded: list[str]
) -> None:
    given = {"name": " Carol ", "number": "+86 138-0000-0003", "person": "person.carol", "extension": "07"}
    result = await enter_recipient(hass, await add(hass, entry), given)
    assert (result["type"], result["title"]) == (FlowResultType.CREATE_ENTRY, "Carol")
    assert result["description"] is None, "the letter was shown when the account was saved"
    (subentry,) = (one for one in entry.subentries.values() if one.title == "Carol")
    assert dict(subentry.data) == {"number": "13800000003", "person": "person.carol", "extension": "07"}
    assert subentry.unique_id == "13800000003"
    entity = er.async_get(hass).async_get("notify.carol")
    assert entity is not None
    assert entity.config_subentry_id == subentry.subentry_id
    devices = {device.name: device for device in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)}
    assert devices["Carol"].id == entity.device_id
    assert devices["Carol"].via_device_id == devices["Home"].id
    await notify(hass, "notify.carol")
    (message,) = sandbox.platform.messages
    assert (message.number, message.extension) == ("13800000003", "07")
    assert not unloaded


@pytest.mark.parametrize(
    ("wrong", "errors"),
    [
        ({"number": "12345"}, {"number": "invalid_number"}),
        ({"number": "138 0000 0001"}, {"number": "already_configured"}),
        ({"name": " "}, {"name": "empty"}),
        ({"name": " Alice"}, {"name": "name_taken"}),
        ({"extension": "12a"}, {"replies": "invalid_extension"}),
        ({"extension": "１２"}, {"replies": "invalid_extension"}),
        ({"extension": "1" * 21}, {"replies": "invalid_extension"}),
    ],
)
async def test_invalid_input_is_reported_and_can_be_corrected(
    hass: HomeAssistant, entry: MockConfigEntry, wrong: dict[str, str], errors: dict[str, str]
) -> None:
    given = {"name": "Carol", "number": "13800000003"}
    result = await enter_recipient(hass, await add(hass, entry), {**given, **wrong})
    assert (result["type"], result["errors"]) == (FlowResultType.FORM, errors)
    result = await enter_recipient(hass, result, given)
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_changed_recipient_has_the_same_entity_and_the_new_number(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, unloaded: list[str]
) -> None:
    result = await enter_recipient(
        hass, await change(hass, entry, "alice"), {"name": "Alice Wang", "number": "13900000009"}
    )
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    await notify(hass, "notify.alice")
    assert [message.number for message in sandbox.platform.messages] == ["13900000009"]
    names = {device.name for device in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)}
    assert names == {"Home", "Alice Wang", "Bob"}
    state = hass.states.get("notify.alice")
    assert state is not None
    assert state.name == "Alice Wang"
    assert not unloaded


async def test_fallback_to_the_recipient_itself_is_rejected(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    given = {"name": "Alice", "number": "13800000001"}
    wrong = {"fallback": ["notify.bob", "notify.alice"], "fallback_account": entry.entry_id}
    result = await enter_recipient(hass, await change(hass, entry, "alice"), {**given, **wrong})
    assert result["errors"] == {"failure": "own_account"}
    result = await enter_recipient(hass, result, {**given, "fallback": ["notify.bob", "notify.alice"]})
    assert result["errors"] == {"failure": "own_entity"}
    result = await enter_recipient(hass, result, {**given, "fallback": ["notify.bob"]})
    assert result["reason"] == "reconfigure_successful"
    assert entry.subentries["alice"].data["fallback"] == ["notify.bob"]
    new = {"name": "Carol", "number": "13800000003", "fallback_account": entry.entry_id}
    result = await enter_recipient(hass, await add(hass, entry), new)
    assert result["errors"] == {"failure": "own_account"}


async def test_duplicate_number_or_name_is_rejected(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    result = await enter_recipient(hass, await change(hass, entry, "alice"), {"name": "Alice", "number": "13800000002"})
    assert result["errors"] == {"number": "already_configured"}
    result = await enter_recipient(hass, result, {"name": "Bob", "number": "13800000001"})
    assert result["errors"] == {"name": "name_taken"}
    result = await enter_recipient(hass, result, {"name": "Alicia", "number": "13800000001"})
    assert result["reason"] == "reconfigure_successful"
    assert entry.subentries["alice"].title == "Alicia"


async def test_removed_recipient_deletes_its_entities_and_device(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, unloaded: list[str]
) -> None:
    hass.config_entries.async_remove_subentry(entry, "alice")
    await hass.async_block_till_done()
    assert hass.states.get("notify.alice") is None
    assert er.async_get(hass).async_get("notify.alice") is None
    names = {device.name for device in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)}
    assert names == {"Home", "Bob"}
    await notify(hass, "notify.bob")
    assert [message.number for message in sandbox.platform.messages] == ["13800000002"]
    assert not unloaded


async def test_removed_recipient_can_be_added_again(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, unloaded: list[str]
) -> None:
    hass.config_entries.async_remove_subentry(entry, "alice")
    await hass.async_block_till_done()
    await enter_recipient(hass, await add(hass, entry), {"name": "Alice", "number": "13800000001"})
    await notify(hass, "notify.alice")
    assert [message.number for message in sandbox.platform.messages] == ["13800000001"]
    assert not unloaded


async def test_recipient_changes_do_not_end_an_open_question(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, unloaded: list[str]
) -> None:
    asking = start_question(hass, "notify.alice", answers=[{"id": "yes"}], timeout=30)
    await sandbox.wait_for(lambda platform: platform.messages)
    added = await hass.config_entries.subentries.async_configure(
        (await add(hass, entry))["flow_id"], {"name": "Carol", "number": "13800000003"}
    )
    assert added["type"] is FlowResultType.CREATE_ENTRY
    await hass.config_entries.subentries.async_configure(
        (await change(hass, entry, "bob"))["flow_id"], {"name": "Robert", "number": "13800000002"}
    )
    hass.config_entries.async_remove_subentry(entry, "bob")
    receiver = async_get_registry(hass).async_get(entry)
    (await receiver.async_receive(Reply("13800000001", "好的"), InboundSource.WEBHOOK, 1)).mark_acknowledged()
    answer = await asking
    assert (answer["id"], answer["recipient"]) == ("yes", "Alice")
    assert not unloaded
