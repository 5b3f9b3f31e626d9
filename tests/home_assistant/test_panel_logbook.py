"""The logbook shows one described row for each reply, delivery report and failure."""

from __future__ import annotations

from typing import Any

import pytest
from homeassistant.components.recorder import Recorder
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.components.recorder.common import async_wait_recording_done
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.sms1680.client import DeliveryReport, Reply
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    STRANGER,
    MakeEntry,
    SetUp,
    act,
    duty_group,
    receive,
    recipient,
    send_to_alice,
)

Row = dict[str, Any]


@pytest.fixture(autouse=True)
def _integrations(recorder_mock: Recorder, enable_custom_integrations: None) -> None:
    """Start the recorder before Home Assistant, as it demands."""


@pytest.fixture
async def made(hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp) -> MockConfigEntry:
    assert await async_setup_component(hass, "logbook", {})
    made = make_entry()
    await set_up(made)
    return made


@pytest.fixture
def rows(hass: HomeAssistant, hass_ws_client: WebSocketGenerator) -> Any:
    start = dt_util.utcnow()

    async def read() -> list[Row]:
        await hass.async_block_till_done(wait_background_tasks=True)
        await async_wait_recording_done(hass)
        client = await hass_ws_client()
        await client.send_json_auto_id({"type": "logbook/get_events", "start_time": start.isoformat()})
        answer = await client.receive_json()
        assert answer["success"], answer
        found: list[Row] = answer["result"]
        return found

    return read


def described(found: list[Row]) -> list[str]:
    return [f"{row['name']} {row['message']}" for row in found if row.get("domain") == "sms1680"]


async def exchange(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Send a message, receive its report, and a reply."""
    message = await send_to_alice(hass)
    await receive(hass, entry, DeliveryReport(message["message_id"], ALICE, "DELIVRD"), Reply(ALICE, "1"))


async def test_delivery_and_reply_are_one_row_each(hass: HomeAssistant, made: MockConfigEntry, rows: Any) -> None:
    await exchange(hass, made)
    found = await rows()
    assert described(found) == ["SMS to Alice: delivered", "Alice replied: 1"]
    assert {row["entity_id"] for row in found if row.get("domain") == "sms1680"} == {"event.alice_messages"}


async def test_each_step_of_an_alarm_is_a_row(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, rows: Any
) -> None:
    assert await async_setup_component(hass, "logbook", {})
    entry = make_entry(recipients=[recipient("Alice", ALICE), duty_group(members=("alice",))])
    await set_up(entry)
    await act(hass, "raise_alarm", group="Watch", message="Smoke", key="smoke")
    await receive(hass, entry, Reply(ALICE, "2 30 1"))
    await act(hass, "acknowledge", group="Watch")
    found = await rows()
    steps = ["raised: Smoke", "snoozed by Alice", "taken by somebody at Home Assistant"]
    lines = [line for line in described(found) if line.startswith("Alarm")]
    assert lines == [f"Alarm 1 of Watch {step}" for step in steps]
    hass.config_entries.async_update_entry(entry, options={**entry.options, "keep_texts": False})
    assert "Alarm 1 of Watch raised: …" in described(await rows())


async def test_times_of_pushes_and_deliveries_leave_no_rows_by_default(
    hass: HomeAssistant, made: MockConfigEntry, rows: Any
) -> None:
    await exchange(hass, made)
    states = {row["entity_id"] for row in await rows() if "state" in row}
    assert "event.alice_messages" in states
    assert not states & {"sensor.alice_last_delivery", "sensor.home_last_push"}
    # Nor do the counters, although they have changed.
    assert hass.states.is_state("sensor.home_delivered_today", "1")
    assert not [entity_id for entity_id in states if entity_id.startswith("sensor.home_")]


@pytest.mark.usefixtures("made")
async def test_failure_shows_its_reason(hass: HomeAssistant, rows: Any, sandbox: Sandbox) -> None:
    sandbox.platform.accounts["homeuser"].balances["61341"] = 0
    await send_to_alice(hass)
    [line] = described(await rows())
    assert line.startswith("SMS to Alice: not delivered (")
    assert "balance" in line


async def test_text_needs_an_account_that_stores_texts(hass: HomeAssistant, made: MockConfigEntry, rows: Any) -> None:
    hass.config_entries.async_update_entry(made, options={**made.options, "keep_texts": False})
    await hass.async_block_till_done()
    await receive(hass, made, Reply(ALICE, "1"))
    assert described(await rows()) == ["Alice replied"]


async def test_number_of_a_stranger_is_masked(hass: HomeAssistant, made: MockConfigEntry, rows: Any) -> None:
    await receive(hass, made, Reply(STRANGER, "hello"))
    assert described(await rows()) == ["139****0009 sent an SMS: hello"]


async def test_rows_are_chinese_in_a_chinese_home(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, rows: Any
) -> None:
    hass.config.language = "zh-Hans"
    assert await async_setup_component(hass, "logbook", {})
    made = make_entry()
    await set_up(made)
    await exchange(hass, made)
    assert described(await rows()) == ["发给 Alice 的短信： 已送达", "Alice 回复：1"]
