"""What is added again gets its device and entities back; a repair names the automations that use what does not."""

from __future__ import annotations

from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er, issue_registry as ir
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.account.former_devices import (
    DATA_FORMER,
    FormerDevices,
    async_setup_former_devices,
)
from tests.home_assistant.helpers import (
    ALICE,
    ALICE_NOW,
    MakeEntry,
    SetUp,
    duty_group,
    enter_recipient,
    later,
    notify,
    recipient,
    start_recipient,
)

ALICE_AGAIN = {"name": "Alice", "number": ALICE}


def devices(hass: HomeAssistant, entry: MockConfigEntry) -> dict[str, str]:
    """Return the ids of the devices by their names."""
    found = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    return {str(device.name): device.id for device in found}


def entities(hass: HomeAssistant, entry: MockConfigEntry) -> dict[str, tuple[str, Any]]:
    """Return the registry id of each entity, and what disabled it."""
    found = er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id)
    return {entity.entity_id: (entity.id, entity.disabled_by) for entity in found}


def users_in_repair(hass: HomeAssistant) -> str | None:
    issue = ir.async_get(hass).async_get_issue("sms1680", "missing_targets")
    return (issue.translation_placeholders or {})["users"] if issue and issue.active else None


async def remove(hass: HomeAssistant, entry: MockConfigEntry, subentry_id: str = "alice") -> None:
    assert hass.config_entries.async_remove_subentry(entry, subentry_id)
    await hass.async_block_till_done()


async def add(hass: HomeAssistant, entry: MockConfigEntry, **given: str) -> None:
    await enter_recipient(hass, await start_recipient(hass, entry), {**ALICE_AGAIN, **given})


async def automate(hass: HomeAssistant, domain: str, action: str, **step: Any) -> None:
    """Set up an automation or a script with one action."""
    steps = [{"action": action, **step}]
    event = {"trigger": "event", "event_type": "alarm"}
    of_automation = [{"id": "alarm", "alias": "Alarm", "triggers": event, "actions": steps}]
    config = of_automation if domain == "automation" else {"alarm": {"alias": "Alarm", "sequence": steps}}
    assert await async_setup_component(hass, domain, {domain: config})
    await hass.async_block_till_done()


async def use(hass: HomeAssistant, domain: str = "automation", **target: str) -> None:
    """Set up an automation or a script that sends to a target."""
    await automate(hass, domain, "notify.send_message", target=target, data={"message": "门开了"})


async def test_recipient_added_again_has_the_same_device_and_entities(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    registry = er.async_get(hass)
    registry.async_update_entity("notify.alice", new_entity_id="notify.mum")
    await hass.async_block_till_done()
    await hass.config_entries.async_reload(entry.entry_id)  # older versions forget the subentry of a renamed entity
    before = devices(hass, entry), entities(hass, entry)
    await use(hass, device_id=before[0]["Alice"])
    await remove(hass, entry)
    assert hass.states.get("notify.mum") is None
    assert users_in_repair(hass) == "- Alarm (automation.alarm)"
    await add(hass, entry)
    assert (devices(hass, entry), entities(hass, entry)) == before
    assert users_in_repair(hass) is None
    await notify(hass, "notify.mum")
    unique_ids = {entity.unique_id for entity in er.async_entries_for_config_entry(registry, entry.entry_id)}
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert (devices(hass, entry), entities(hass, entry)) == before
    again = {entity.unique_id for entity in er.async_entries_for_config_entry(registry, entry.entry_id)}
    assert again == unique_ids
    assert not any("alice" in unique_id for unique_id in again)


@pytest.mark.parametrize("given", [{"number": ALICE_NOW}, {"name": "Alicia"}])
async def test_another_name_or_number_has_a_device_of_its_own(
    hass: HomeAssistant, entry: MockConfigEntry, given: dict[str, str]
) -> None:
    before = devices(hass, entry)
    await use(hass, "script", device_id=before["Alice"])
    await remove(hass, entry)
    await add(hass, entry, **given)
    after = devices(hass, entry)
    assert after[given.get("name", "Alice")] not in before.values()
    assert users_in_repair(hass) == "- Alarm (script.alarm)"


async def test_recipient_removed_while_the_account_is_not_loaded_is_restored(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    before = devices(hass, entry), entities(hass, entry)
    await hass.config_entries.async_unload(entry.entry_id)
    await remove(hass, entry)
    await add(hass, entry)
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert (devices(hass, entry), entities(hass, entry)) == before


async def test_account_added_again_has_the_same_devices_and_entities(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp
) -> None:
    people = [recipient("Alice", ALICE), duty_group(members=("alice",))]
    entry = make_entry(recipients=people)
    await set_up(entry)
    before = devices(hass, entry), entities(hass, entry)
    await use(hass, entity_id="notify.alice")
    await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()
    assert users_in_repair(hass) == "- Alarm (automation.alarm)"
    hass.data.pop(DATA_FORMER)  # what a restart forgets
    await async_setup_former_devices(hass)
    again = make_entry(recipients=[{**one, "subentry_id": f"{one['subentry_id']}_again"} for one in people])
    assert again.entry_id != entry.entry_id
    await set_up(again)
    assert (devices(hass, again), entities(hass, again)) == before
    assert users_in_repair(hass) is None


async def test_action_that_names_a_removed_account_stays_in_the_repair(
    hass: HomeAssistant, entry: MockConfigEntry, make_entry: MakeEntry, set_up: SetUp
) -> None:
    data = {"config_entry_id": entry.entry_id}
    await automate(hass, "script", "sms1680.get_balance", data=data, response_variable="balance")
    before = devices(hass, entry)
    await hass.config_entries.async_remove(entry.entry_id)
    again = make_entry()
    await set_up(again)
    assert devices(hass, again) == before
    assert users_in_repair(hass) == "- Alarm (script.alarm)"


async def test_repair_disappears_when_the_automation_is_gone(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await use(hass, "script", entity_id="notify.alice")
    await remove(hass, entry)
    assert users_in_repair(hass) == "- Alarm (script.alarm)"
    er.async_get(hass).async_remove("script.alarm")
    await hass.async_block_till_done()
    assert users_in_repair(hass) is None


async def test_what_was_removed_is_forgotten_after_thirty_days(
    hass: HomeAssistant, entry: MockConfigEntry, freezer: Any
) -> None:
    before = devices(hass, entry)
    await remove(hass, entry)
    former = hass.data[DATA_FORMER]
    freezer.tick(30 * 24 * 3600 + 60)
    await former.async_remember()
    assert not any("alice" in base for base in former._records)
    await add(hass, entry)
    assert devices(hass, entry)["Bob"] == before["Bob"]


async def test_reload_of_many_automations_is_checked_twice(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch, freezer: FrozenDateTimeFactory
) -> None:
    await remove(hass, entry)
    checks: list[None] = []
    monkeypatch.setattr(FormerDevices, "async_check", lambda _: checks.append(None))
    for serial in range(50):
        hass.states.async_set(f"automation.number_{serial}", "on")
    await hass.async_block_till_done()
    assert len(checks) == 1
    for expected in (2, 2):
        await later(hass, freezer, seconds=1)
        assert len(checks) == expected
