"""Each sent message shows the automation, script or user that caused it, under its current name."""

from __future__ import annotations

from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.events.causes import cause_of
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    Ask,
    MakeEntry,
    SetUp,
    duty_group,
    get_messages,
    recipient,
    send_to_alice,
    sent,
    wait_for_messages,
)

SEND = {"action": "sms1680.send_message", "target": {"entity_id": "notify.alice"}, "data": {"message": "门开了"}}
NOTIFY = {"action": "notify.send_message", "target": {"entity_id": "notify.alice"}, "data": {"message": "门开了"}}
CALL_SCRIPT = {"action": "script.text_alice"}
RAISE = {"action": "sms1680.raise_alarm", "data": {"group": "Watch", "message": "Smoke"}}
DOOR = {"trigger": "event", "event_type": "door_open"}
DOOR_CAUSE = {"kind": "automation", "name": "Back door", "entity_id": "automation.back_door"}


@pytest.fixture(autouse=True)
async def _script(hass: HomeAssistant) -> None:
    script = {"text_alice": {"alias": "Text Alice", "sequence": [SEND]}}
    assert await async_setup_component(hass, "script", {"script": script})


async def automate(hass: HomeAssistant, *actions: dict[str, Any]) -> None:
    """Run an automation with these actions."""
    automation = {"id": "door", "alias": "Back door", "triggers": DOOR, "actions": list(actions)}
    assert await async_setup_component(hass, "automation", {"automation": [automation]})
    hass.bus.async_fire("door_open")
    await hass.async_block_till_done(wait_background_tasks=True)


async def shown(ask: Ask) -> list[dict[str, Any] | None]:
    """Return the causes that the page shows, newest first."""
    return [message["cause"] for message in (await ask("messages/list", conversation="alice"))["messages"]]


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("action", [SEND, NOTIFY, CALL_SCRIPT], ids=["send_message", "notify", "script"])
async def test_automation_is_shown_under_its_new_name(
    hass: HomeAssistant, admin: Ask, housemate: Ask, action: dict[str, Any]
) -> None:
    await automate(hass, action)
    assert await shown(admin) == [DOOR_CAUSE]
    assert await shown(housemate) == [None]  # may not read the automation
    er.async_get(hass).async_update_entity("automation.back_door", name="Cellar", new_entity_id="automation.cellar")
    await hass.async_block_till_done()
    cellar = {"kind": "automation", "name": "Cellar", "entity_id": "automation.cellar"}
    assert await shown(admin) == [cellar]
    assert [message["cause"] for message in await get_messages(hass)] == [cellar]


@pytest.mark.usefixtures("entry")
async def test_script_and_user_are_shown(
    hass: HomeAssistant, admin: Ask, housemate: Ask, read_only: Ask, freezer: FrozenDateTimeFactory
) -> None:
    await hass.services.async_call("script", "text_alice", blocking=True)
    freezer.tick(1)
    await housemate("messages/send", message="hi", entity_id=["notify.alice"])
    freezer.tick(1)
    await send_to_alice(hass)
    script = {"kind": "script", "name": "Text Alice", "entity_id": "script.text_alice"}
    assert await shown(admin) == [None, {"kind": "user", "name": "Housemate"}, script]
    assert await shown(read_only) == [None, None, script]
    assert await shown(housemate) == [None, None, None]


@pytest.mark.usefixtures("entry")
async def test_removed_automation_and_user_leave_no_cause(hass: HomeAssistant, admin: Ask) -> None:
    user = await hass.auth.async_create_user("Guest", group_ids=["system-admin"])
    await hass.services.async_call(
        "sms1680",
        "send_message",
        {"entity_id": "notify.alice", "message": "hi"},
        blocking=True,
        context=Context(user_id=user.id),
    )
    await automate(hass, SEND)
    assert len(await shown(admin)) == 2
    await hass.auth.async_remove_user(user)
    er.async_get(hass).async_remove("automation.back_door")
    await hass.async_block_till_done()
    assert await shown(admin) == [None, None]


@pytest.mark.usefixtures("entry")
async def test_disabled_automation_is_still_named(hass: HomeAssistant, admin: Ask) -> None:
    await automate(hass, SEND)
    er.async_get(hass).async_update_entity("automation.back_door", disabled_by=er.RegistryEntryDisabler.USER)
    await hass.async_block_till_done()
    assert hass.states.get("automation.back_door") is None
    assert await shown(admin) == [DOOR_CAUSE]


async def test_message_without_a_context_has_no_cause(hass: HomeAssistant) -> None:
    assert cause_of(hass, None) is None


async def test_waiting_message_keeps_its_cause(
    hass: HomeAssistant, quiet_entry: MockConfigEntry, admin: Ask, freezer: FrozenDateTimeFactory, sandbox: Sandbox
) -> None:
    await automate(hass, SEND)
    [waiting] = (await admin("messages/list", conversation="alice"))["waiting"]
    assert waiting["cause"] == DOOR_CAUSE
    freezer.move_to("2026-01-06 07:00:01+00:00")
    assert await hass.config_entries.async_reload(quiet_entry.entry_id)
    await wait_for_messages(sandbox)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert await shown(admin) == [DOOR_CAUSE]


@pytest.fixture
async def _group(make_entry: MakeEntry, set_up: SetUp) -> None:
    await set_up(make_entry(recipients=[recipient("Alice", ALICE), duty_group(members=("alice",))]))


@pytest.mark.usefixtures("_group")
async def test_texts_about_an_alarm_show_what_raised_it(hass: HomeAssistant, admin: Ask, sandbox: Sandbox) -> None:
    await automate(hass, RAISE)
    await wait_for_messages(sandbox)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert await shown(admin) == [DOOR_CAUSE]
    assert len(sent(sandbox)) == 1
