"""The two triggers, as an automation uses them, and what is said where Home Assistant lacks their shape."""

from __future__ import annotations

from typing import Any

import pytest
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_mock_service

from custom_components.sms1680 import trigger
from custom_components.sms1680.client import DeliveryReport, Reply
from custom_components.sms1680.inbound.models import InboundSource
from custom_components.sms1680.inbound.registry import async_get_registry

ALICE, STRANGER = "13800000001", "13900000009"

new_shape = pytest.mark.skipif(
    not trigger.SUPPORTS_TRIGGERS, reason="Custom triggers need Home Assistant 2025.12 or later"
)
old_shape = pytest.mark.skipif(trigger.SUPPORTS_TRIGGERS, reason="This Home Assistant supports custom triggers")


async def automate(hass: HomeAssistant, kind: str, **trigger_config: Any) -> list[ServiceCall]:
    """Set an automation up and return the list of what it does."""
    calls = async_mock_service(hass, "test", "acted")
    automation = {
        "id": "sms",
        "alias": "sms",
        "triggers": {"trigger": f"sms1680.{kind}", **trigger_config},
        "actions": {
            "action": "test.acted",
            "data": {"number": "{{ trigger.number }}", "said": "{{ trigger.content | default(trigger.state) }}!"},
        },
    }
    assert await async_setup_component(hass, "automation", {"automation": [automation]})
    await hass.async_block_till_done()
    return calls


async def come(hass: HomeAssistant, entry: MockConfigEntry, *items: Reply | DeliveryReport) -> None:
    for item in items:
        (
            await async_get_registry(hass).async_get(entry).async_receive(item, InboundSource.WEBHOOK, 0)
        ).mark_acknowledged()
    await hass.async_block_till_done()


def said(calls: list[ServiceCall]) -> list[str]:
    return [call.data["said"].removesuffix("!") for call in calls]


@new_shape
async def test_without_options_any_recipient_but_no_stranger(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    calls = await automate(hass, "message_received")
    await come(hass, entry, Reply(ALICE, "好的"), Reply(STRANGER, "你好"), DeliveryReport("7", ALICE, "0"))
    assert said(calls) == ["好的"]


@new_shape
async def test_a_stranger_counts_only_from_anyone(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    calls = await automate(hass, "message_received", options={"from": "anyone"})
    await come(hass, entry, Reply(STRANGER, "你好"))
    assert said(calls) == ["你好"]


@new_shape
@pytest.mark.parametrize(
    ("options", "taken"),
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
async def test_what_it_waits_for(
    hass: HomeAssistant, entry: MockConfigEntry, options: dict[str, Any], taken: list[str]
) -> None:
    calls = await automate(hass, "message_received", **options)
    texts = ("please open it", "ｏｐｅｎ", "１", "OK", "好", "12")
    await come(hass, entry, *(Reply(ALICE, text) for text in texts))
    await come(hass, entry, Reply("13800000002", "b"), Reply(ALICE, "e", "10690000168012"), Reply(ALICE, "f", "2"))
    assert said(calls) == taken


@new_shape
async def test_a_recipient_by_device(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    bob = next(device for device in devices if device.name == "Bob")
    calls = await automate(hass, "message_received", options={"recipient": [bob.id]})
    await come(hass, entry, Reply(ALICE, "a"), Reply("13800000002", "b"))
    assert said(calls) == ["b"]


@new_shape
@pytest.mark.parametrize(("redelivered", "times"), [(False, 1), (True, 2)])
async def test_what_came_again_counts_only_where_asked_for(
    hass: HomeAssistant, entry: MockConfigEntry, *, redelivered: bool, times: int
) -> None:
    calls = await automate(hass, "message_received", redelivered=redelivered)
    await come(hass, entry, Reply(ALICE, "1", "", "id-1"), Reply(ALICE, "1", "", "id-1"))
    assert said(calls) == ["1"] * times


@new_shape
@pytest.mark.parametrize(("state", "taken"), [(None, ["delivered", "failed", "pending"]), ("failed", ["failed"])])
async def test_delivery_reports(
    hass: HomeAssistant, entry: MockConfigEntry, state: str | None, taken: list[str]
) -> None:
    calls = await automate(hass, "delivery_report", **({"state": state} if state else {}))
    await come(hass, entry, *(DeliveryReport(f"7{status}", ALICE, status) for status in ("0", "KX:1000", "ACCEPTD")))
    await come(hass, entry, Reply(ALICE, "1"))
    assert said(calls) == taken


@new_shape
@pytest.mark.parametrize(
    "options", [{"matches": "("}, {"from": "someone"}, {"options": {"state": "failed"}}, {"nonsense": 1}]
)
async def test_nonsense_is_refused(
    hass: HomeAssistant, entry: MockConfigEntry, caplog: pytest.LogCaptureFixture, options: dict[str, Any]
) -> None:
    calls = await automate(hass, "message_received", **options)
    await come(hass, entry, Reply(ALICE, "1"))
    assert not calls
    assert "sms" in caplog.text


@new_shape
async def test_an_automation_that_goes_listens_no_more(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    calls = await automate(hass, "message_received", extension="12")
    receivers = async_get_registry(hass)
    assert set(receivers.watched_extensions) == {"12"}
    await hass.services.async_call("automation", "turn_off", {"entity_id": "automation.sms"}, blocking=True)
    await come(hass, entry, Reply(ALICE, "1", "12"))
    assert not calls
    assert not receivers.watched_extensions


@old_shape
async def test_an_older_home_assistant_says_what_to_do(
    hass: HomeAssistant, entry: MockConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    calls = await automate(hass, "message_received")
    await come(hass, entry, Reply(ALICE, "1"))
    assert not calls
    assert "need Home Assistant 2025.12 or later" in caplog.text
    assert "Traceback" not in caplog.text
