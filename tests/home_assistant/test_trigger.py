"""The triggers for messages and delivery reports in automations, and the error in older versions of Home Assistant."""

from __future__ import annotations

from typing import Any

import pytest
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_mock_service
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.sms1680 import trigger
from custom_components.sms1680.client import DeliveryReport, Reply
from custom_components.sms1680.inbound.registry import async_get_registry
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    STRANGER,
    MakeEntry,
    SetUp,
    duty_group,
    receive,
    recipient,
    with_triggers,
)

without_triggers = pytest.mark.skipif(trigger.SUPPORTS_TRIGGERS, reason="This Home Assistant supports custom triggers")


async def automate(hass: HomeAssistant, kind: str, **trigger_config: Any) -> list[ServiceCall]:
    """Set up an automation, and return the list of its actions' calls."""
    calls = async_mock_service(hass, "test", "act")
    automation = {
        "id": "sms",
        "alias": "sms",
        "triggers": {"trigger": f"sms1680.{kind}", **trigger_config},
        "actions": {
            "action": "test.act",
            "data": {"number": "{{ trigger.number }}", "text": "{{ trigger.content | default(trigger.state) }}!"},
        },
    }
    assert await async_setup_component(hass, "automation", {"automation": [automation]})
    await hass.async_block_till_done()
    return calls


def acted(calls: list[ServiceCall]) -> list[str]:
    return [call.data["text"].removesuffix("!") for call in calls]


@with_triggers
async def test_default_trigger_ignores_strangers(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    calls = await automate(hass, "message_received")
    await receive(hass, entry, Reply(ALICE, "好的"), Reply(STRANGER, "你好"), DeliveryReport("7", ALICE, "0"))
    assert acted(calls) == ["好的"]


@with_triggers
async def test_option_from_anyone_includes_strangers(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    calls = await automate(hass, "message_received", options={"from": "anyone"})
    await receive(hass, entry, Reply(STRANGER, "你好"))
    assert acted(calls) == ["你好"]


@with_triggers
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"contains": "OPEN"}, ["please open it", "ｏｐｅｎ"]),
        ({"matches": "1|ok|好的?"}, ["１", "OK", "好"]),
        ({"matches": "1"}, ["１"]),
        ({"number": "+86 138-0000-0001", "contains": "12"}, ["12"]),
        ({"recipient": "Bob"}, ["b"]),
        ({"recipient": ["Bob", "Alice"], "matches": "b|12"}, ["12", "b"]),
        ({"extension": "12"}, ["e"]),
    ],
)
async def test_trigger_options_filter_messages(
    hass: HomeAssistant, entry: MockConfigEntry, options: dict[str, Any], expected: list[str]
) -> None:
    calls = await automate(hass, "message_received", **options)
    texts = ("please open it", "ｏｐｅｎ", "１", "OK", "好", "12")
    await receive(hass, entry, *(Reply(ALICE, text) for text in texts))
    await receive(hass, entry, Reply("13800000002", "b"), Reply(ALICE, "e", "10690000168012"), Reply(ALICE, "f", "2"))
    assert acted(calls) == expected


@with_triggers
async def test_matches_ignores_a_full_stop_blanks_and_width(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    calls = await automate(hass, "message_received", options={"matches": "1|ok"})
    texts = ["1。", " １ ", "1.", "ＯＫ！", "1️⃣"]
    await receive(hass, entry, *(Reply(ALICE, text) for text in (*texts, "11", "no")))
    assert [text.strip() for text in acted(calls)] == [text.strip() for text in texts]


@with_triggers
async def test_recipient_option_accepts_a_device(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    bob = next(device for device in devices if device.name == "Bob")
    calls = await automate(hass, "message_received", options={"recipient": [bob.id]})
    await receive(hass, entry, Reply(ALICE, "a"), Reply("13800000002", "b"))
    assert acted(calls) == ["b"]


@with_triggers
async def test_device_of_an_account_stands_for_its_recipients(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    account = next(device for device in devices if device.name == "Home")
    calls = await automate(hass, "message_received", options={"recipient": [account.id], "from": "anyone"})
    await receive(hass, entry, Reply(ALICE, "a"), Reply("13800000002", "b"), Reply("13900000009", "c"))
    assert acted(calls) == ["a", "b"]


@with_triggers
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"entity_id": "event.alice_messages"}, ["a"]),
        ({"entity_id": ["notify.bob"]}, ["b"]),
        ({"device_id": "Bob"}, ["b"]),
        ({"device_id": "Home"}, ["a", "b"]),  # the account
        ({"device_id": "Watch"}, ["a"]),  # a duty group with Alice
        ({"area_id": "somewhere"}, []),
        ({}, ["a", "b"]),
    ],
)
async def test_target_selects_recipients(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, target: dict[str, Any], expected: list[str]
) -> None:
    people = [recipient("Alice", ALICE), recipient("Bob", BOB), duty_group(members=("alice",))]
    entry = make_entry(recipients=people)
    await set_up(entry)
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    if "device_id" in target:
        target = {"device_id": next(device.id for device in devices if device.name == target["device_id"])}
    calls = await automate(hass, "message_received", target=target, options={"from": "anyone"})
    await receive(hass, entry, Reply(ALICE, "a"), Reply(BOB, "b"), Reply(STRANGER, "c"))
    assert acted(calls) == ([*expected, "c"] if target == {} else expected)


@with_triggers
async def test_triggers_are_offered_for_recipients_and_accounts(
    hass: HomeAssistant, entry: MockConfigEntry, hass_ws_client: WebSocketGenerator
) -> None:
    assert await async_setup_component(hass, "automation", {})
    client = await hass_ws_client()
    offered = {}
    for device in dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id):
        await client.send_json_auto_id({"type": "get_triggers_for_target", "target": {"device_id": device.id}})
        found = (await client.receive_json())["result"]
        offered[device.name] = sorted(name for name in found if name.startswith("sms1680."))
    ours = [f"sms1680.{name}" for name in ("command", "delivery_report", "message_failed", "message_received")]
    assert offered == {"Home": ours, "Alice": ours, "Bob": ours}


@with_triggers
@pytest.mark.parametrize(("redelivered", "times"), [(False, 1), (True, 2)])
async def test_option_redelivered_includes_repeats(
    hass: HomeAssistant, entry: MockConfigEntry, *, redelivered: bool, times: int
) -> None:
    calls = await automate(hass, "message_received", redelivered=redelivered)
    await receive(hass, entry, Reply(ALICE, "1", "", "id-1"), Reply(ALICE, "1", "", "id-1"))
    assert acted(calls) == ["1"] * times


@with_triggers
@pytest.mark.parametrize(("state", "expected"), [(None, ["delivered", "failed", "pending"]), ("failed", ["failed"])])
async def test_delivery_report_trigger_filters_by_state(
    hass: HomeAssistant, entry: MockConfigEntry, state: str | None, expected: list[str]
) -> None:
    calls = await automate(hass, "delivery_report", **({"state": state} if state else {}))
    await receive(hass, entry, *(DeliveryReport(f"7{status}", ALICE, status) for status in ("0", "KX:1000", "ACCEPTD")))
    await receive(hass, entry, Reply(ALICE, "1"))
    assert acted(calls) == expected


@with_triggers
@pytest.mark.parametrize(
    "options", [{"matches": "("}, {"from": "someone"}, {"options": {"state": "failed"}}, {"nonsense": 1}]
)
async def test_invalid_options_are_rejected(
    hass: HomeAssistant, entry: MockConfigEntry, caplog: pytest.LogCaptureFixture, options: dict[str, Any]
) -> None:
    calls = await automate(hass, "message_received", **options)
    await receive(hass, entry, Reply(ALICE, "1"))
    assert not calls
    assert "sms" in caplog.text


@with_triggers
async def test_disabled_automation_stops_listening(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    calls = await automate(hass, "message_received", extension="12")
    registry = async_get_registry(hass)
    assert set(registry.watched_extensions) == {"12"}
    await hass.services.async_call("automation", "turn_off", {"entity_id": "automation.sms"}, blocking=True)
    await receive(hass, entry, Reply(ALICE, "1", "12"))
    assert not calls
    assert not registry.watched_extensions


@without_triggers
async def test_old_home_assistant_suggests_an_event_trigger(
    hass: HomeAssistant, entry: MockConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    calls = await automate(hass, "message_received")
    await receive(hass, entry, Reply(ALICE, "1"))
    assert not calls
    assert "need Home Assistant 2025.12 or later" in caplog.text
    assert "Traceback" not in caplog.text
