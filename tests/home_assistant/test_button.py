"""The button of each recipient that sends a test message, and the masked number of the recipient's device."""

from __future__ import annotations

import re

import pytest
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from sms1680.sandbox import Fault, Sandbox
from sms1680.sandbox.verdicts import Verdict
from tests.home_assistant.helpers import enter_recipient, sent, start_recipient

BUTTON = "button.alice_send_test_message"


async def press(hass: HomeAssistant, context: Context | None = None) -> None:
    await hass.services.async_call("button", "press", {"entity_id": BUTTON}, blocking=True, context=context)


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", r"Test message from Home Assistant, \d\d:\d\d:\d\d\."),
        ("zh-Hans", r"Home Assistant 测试短信，\d\d:\d\d:\d\d。"),
    ],
)
async def test_press_sends_one_message(hass: HomeAssistant, sandbox: Sandbox, language: str, text: str) -> None:
    hass.config.language = language
    events, context = async_capture_events(hass, "sms1680_message_sent"), Context()
    await press(hass, context)
    ((number, message),) = sent(sandbox)
    assert number == "13800000001"
    assert re.fullmatch(text, message)
    (event,) = events
    assert (event.data["recipient"], event.data["outcome"]) == ("Alice", "accepted")
    assert event.context.parent_id == context.id


@pytest.mark.usefixtures("entry")
async def test_refusal_is_an_error_and_an_event(hass: HomeAssistant, sandbox: Sandbox) -> None:
    failed = async_capture_events(hass, "sms1680_message_failed")
    sandbox.platform.faults.next(Fault(verdict=Verdict.PARAMETER))
    with pytest.raises(HomeAssistantError):
        await press(hass)
    assert [event.data["recipient"] for event in failed] == ["Alice"]


async def test_device_shows_the_masked_number(hass: HomeAssistant, entry: MockConfigEntry, unloaded: list[str]) -> None:
    button = er.async_get(hass).async_get(BUTTON)
    assert button is not None
    assert button.device_id is not None
    devices = dr.async_get(hass)

    def model() -> str | None:
        device = devices.async_get(button.device_id or "")
        return device.model if device else None

    assert model() == "138****0001"
    changed = {"name": "Alice", "number": "13900000009"}
    result = await enter_recipient(hass, await start_recipient(hass, entry, "alice"), changed)
    assert result["reason"] == "reconfigure_successful"
    assert model() == "139****0009"
    assert not unloaded
