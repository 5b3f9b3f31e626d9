"""Alerts of Home Assistant and of Alert2 in a duty group, by the blueprint, with a real `alert:`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.sms1680.client import Reply
from custom_components.sms1680.duty.manager import alarm_manager
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    MakeEntry,
    SetUp,
    duty_group,
    poll,
    receive,
    recipient,
    wait_for_messages,
)

FOLDER = Path(__file__).parents[2] / "blueprints" / "automation" / "sms1680"


@pytest.fixture
def expected_lingering_timers() -> bool:
    """The timer of an alert that repeats ends with Home Assistant only."""
    return True


@pytest.fixture(params=["", ".zh-Hans"])
async def group(
    request: pytest.FixtureRequest, hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp
) -> MockConfigEntry:
    """An account with a duty group of Alice, and the blueprint for an alert of each kind."""
    entry = make_entry(recipients=[recipient("Alice", ALICE), duty_group(members=("alice",))])
    await set_up(entry)
    shutil.copytree(FOLDER, hass.config.path("blueprints", "automation", "sms1680"))
    inputs = {"alerts": ["alert.freezer", "alert2.heating"], "group": "Watch"}
    blueprint = {"path": f"sms1680/alert_to_duty_group{request.param}.yaml", "input": inputs}
    automation = {"id": "it", "alias": "it", "use_blueprint": blueprint}
    assert await async_setup_component(hass, "automation", {"automation": [automation]})
    alert = {
        "name": "Freezer",
        "entity_id": "binary_sensor.freezer",
        "repeat": 30,
        "notifiers": [],
        "can_acknowledge": True,
    }
    assert await async_setup_component(hass, "alert", {"alert": {"freezer": alert}})
    await hass.async_block_till_done(wait_background_tasks=True)
    return entry


async def switch(hass: HomeAssistant, entity_id: str, *states: str) -> None:
    for state in states:
        hass.states.async_set(entity_id, state, {"friendly_name": "Heating"})
        await hass.async_block_till_done(wait_background_tasks=True)


def state_of(hass: HomeAssistant, entity_id: str) -> str:
    state = hass.states.get(entity_id)
    assert state is not None
    return state.state


async def test_alert_is_acknowledged_by_a_reply_and_its_end_resolves_the_alarm(
    hass: HomeAssistant, group: MockConfigEntry, sandbox: Sandbox
) -> None:
    steps = async_capture_events(hass, "sms1680_alarm")
    await switch(hass, "binary_sensor.freezer", "off", "on")
    assert state_of(hass, "alert.freezer") == "on"
    [(number, text)] = await wait_for_messages(sandbox)
    assert number == ALICE
    assert "Freezer" in text
    await receive(hass, group, Reply(ALICE, "1"))
    await poll(lambda: state_of(hass, "alert.freezer") == "off")  # the alert is acknowledged
    await switch(hass, "binary_sensor.freezer", "off")
    await poll(lambda: len(steps) == 3)
    assert [event.data["step"] for event in steps] == ["raised", "acknowledged", "resolved"]


async def test_alert_that_is_acknowledged_in_home_assistant_stops_the_texts(
    hass: HomeAssistant, group: MockConfigEntry
) -> None:
    await switch(hass, "binary_sensor.freezer", "off", "on")
    await poll(lambda: alarm_manager(hass, group).open_alarms())
    await hass.services.async_call("alert", "turn_off", {"entity_id": "alert.freezer"}, blocking=True)
    await hass.async_block_till_done(wait_background_tasks=True)
    await poll(lambda: [alarm.state for alarm in alarm_manager(hass, group).open_alarms()] == ["acknowledged"])


@pytest.fixture
def acknowledged(hass: HomeAssistant) -> list[str]:
    """The alerts that were acknowledged, each with the event that Alert2 1.20 fires then."""
    found: list[str] = []

    async def ack(call: ServiceCall) -> None:
        for entity_id in call.data["entity_id"]:
            found.append(entity_id)
            hass.bus.async_fire("alert2_alert_ack", {"entity_id": entity_id, "domain": "heating", "name": "cold"})

    hass.services.async_register("alert2", "ack", ack)
    return found


async def test_alert2_is_acknowledged_and_is_over_when_it_is_off(
    hass: HomeAssistant, group: MockConfigEntry, acknowledged: list[str]
) -> None:
    await switch(hass, "alert2.heating", "off", "on")
    await poll(lambda: alarm_manager(hass, group).open_alarms())
    await receive(hass, group, Reply(ALICE, "1"))
    await poll(lambda: acknowledged)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert acknowledged == ["alert2.heating"]
    assert len(alarm_manager(hass, group).open_alarms()) == 1
    await switch(hass, "alert2.heating", "off")
    await poll(lambda: not alarm_manager(hass, group).open_alarms())


async def test_alert2_that_is_acknowledged_in_home_assistant_stops_the_texts(
    hass: HomeAssistant, group: MockConfigEntry, acknowledged: list[str]
) -> None:
    await switch(hass, "alert2.heating", "off", "on")
    await poll(lambda: alarm_manager(hass, group).open_alarms())
    await hass.services.async_call("alert2", "ack", {"entity_id": ["alert2.heating"]}, blocking=True)
    await poll(lambda: [alarm.state for alarm in alarm_manager(hass, group).open_alarms()] == ["acknowledged"])
    assert acknowledged[0] == "alert2.heating"


async def test_alert2_for_an_event_is_over_when_somebody_takes_it(
    hass: HomeAssistant, group: MockConfigEntry, sandbox: Sandbox, acknowledged: list[str]
) -> None:
    fired = {"entity_id": "alert2.heating", "domain": "heating", "name": "cold"}
    for count in (1, 2):
        await switch(hass, "alert2.heating", f"2026-01-05T12:0{count}:00+00:00")
        hass.bus.async_fire("alert2_alert_fire", fired)
        messages = await wait_for_messages(sandbox, 2 * count - 1)
        assert "Heating" in messages[-1][1]
        await receive(hass, group, Reply(ALICE, "1"))
        await poll(lambda: not alarm_manager(hass, group).open_alarms())
        await wait_for_messages(sandbox, 2 * count)
    assert acknowledged == ["alert2.heating"] * 2
