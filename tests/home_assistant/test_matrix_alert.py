"""Home Assistant's `alert:` and Alert2 through YAML: each notification that fails starts the automation once.

Alert2 (redstone99/hass-alert2) is on no package index. Its own test needs SMS1680_ALERT2, the folder of a download that
contains `custom_components/alert2`. The other test calls as Alert2 1.18 does: without waiting for the notification.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.loader import DATA_CUSTOM_COMPONENTS
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.account import clients
from custom_components.sms1680.client import AsyncClient
from custom_components.sms1680.trigger import SUPPORTS_TRIGGERS
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    UNREACHABLE,
    MakeEntry,
    SetUp,
    critical_repairs,
    fail_next,
    later,
    push_report,
    send_to_number,
    use_gateway,
)

TRIGGER = (
    {"trigger": "sms1680.message_failed"}
    if SUPPORTS_TRIGGERS
    else {"trigger": "event", "event_type": "sms1680_message_failed"}
)
NOTIFICATIONS = 3


@pytest.fixture
def calls(hass: HomeAssistant) -> list[str]:
    """Return the causes that the automation ran for."""
    found: list[str] = []

    async def act(call: ServiceCall) -> None:
        found.append(call.data["cause"])

    hass.services.async_register("test", "act", act)
    return found


@pytest.fixture
async def entry(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, monkeypatch: pytest.MonkeyPatch
) -> MockConfigEntry:
    """Set up YAML, an alert and the automation."""
    monkeypatch.setattr(clients, "AsyncClient", functools.partial(AsyncClient, patience=0))
    line = {"platform": "sms1680", "name": "line", "account": "Home", "recipients": ["Alice"]}
    assert await async_setup_component(hass, "notify", {"notify": [line]})
    await hass.async_block_till_done()
    made = make_entry()
    await set_up(made)
    cause = "{{ trigger.cause if trigger.cause is defined else trigger.event.data.cause }}"
    automation = {
        "triggers": TRIGGER,
        "actions": {"action": "test.act", "data": {"cause": cause}},
        "mode": "queued",
    }
    assert await async_setup_component(hass, "automation", {"automation": automation})
    alert = {
        "name": "Door",
        "message": "门开了{{ states('input_text.count') }}",
        "entity_id": "binary_sensor.door",
        "repeat": 600,
        "notifiers": ["line"],
        "data": {"priority": "critical"},
    }
    assert await async_setup_component(hass, "alert", {"alert": {"door": alert}})
    await hass.async_block_till_done()
    return made


async def ring(hass: HomeAssistant, count: int) -> None:
    """Let the alert notify so many times, with a text of its own each time."""
    for place in range(count):
        hass.states.async_set("input_text.count", str(place))
        hass.states.async_set("binary_sensor.door", "on")
        await hass.async_block_till_done(wait_background_tasks=True)
        hass.states.async_set("binary_sensor.door", "off")
        await hass.async_block_till_done(wait_background_tasks=True)


async def ring_like_alert2(hass: HomeAssistant, count: int) -> None:
    """Call the notifier so many times as Alert2 does, with a text of its own each time."""
    for place in range(count):
        data = {"message": f"门开了{place}", "data": {"priority": "critical"}}
        await hass.services.async_call("notify", "line", data)
        await hass.async_block_till_done(wait_background_tasks=True)


async def ring_alert2(hass: HomeAssistant, count: int) -> None:
    """Let an alert of Alert2 notify so many times, with a text of its own each time."""
    given = os.environ.get("SMS1680_ALERT2")
    if given is None:
        pytest.skip("SMS1680_ALERT2 names no download of Alert2, which is on no package index")
    target = Path(hass.config.config_dir) / "custom_components" / "alert2"
    shutil.copytree(Path(given) / "custom_components" / "alert2", target, dirs_exist_ok=True)
    hass.data.pop(DATA_CUSTOM_COMPONENTS)
    alert = {
        "domain": "test",
        "name": "door",
        "condition": "{{ is_state('binary_sensor.door', 'on') }}",
        "message": "门开了{{ states('input_text.count') }}",
        "notifier": "line",
        "data": {"priority": "critical"},
    }
    assert await async_setup_component(hass, "alert2", {"alert2": {"alerts": [alert]}})
    await hass.async_block_till_done(wait_background_tasks=True)
    await ring(hass, count)


@pytest.mark.parametrize("let_ring", [ring, ring_like_alert2, ring_alert2])
@pytest.mark.parametrize(
    ("trouble", "cause"),
    [("off", "not_sent"), ("refused", "refused"), ("dropping", "unknown"), ("not loaded", "not_sent")],
)
async def test_each_failed_notification_starts_the_automation_once(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sandbox: Sandbox,
    calls: list[str],
    trouble: str,
    cause: str,
    let_ring: Callable[[HomeAssistant, int], Awaitable[None]],
) -> None:
    if trouble == "off":
        await use_gateway(hass, entry, UNREACHABLE)
    elif trouble == "refused":
        fail_next(sandbox, "no_balance")
    elif trouble == "not loaded":
        await hass.config_entries.async_unload(entry.entry_id)
    else:
        sandbox.platform.faults.always("drop_after")
    await let_ring(hass, NOTIFICATIONS)
    assert calls == [cause] * NOTIFICATIONS
    assert len(critical_repairs(hass)) == 1


async def test_accepted_without_a_report(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, calls: list[str], freezer: Any
) -> None:
    await send_to_number(hass)  # the account receives reports
    await push_report(hass, entry, sandbox.platform.messages[0].message_id, "DELIVRD")
    await ring(hass, NOTIFICATIONS)
    assert calls == []
    for _ in range(4):
        await later(hass, freezer, seconds=100)
    assert len(sandbox.platform.messages) == 1 + 2 * NOTIFICATIONS  # each was repeated once
    assert {message.number for message in sandbox.platform.messages} == {ALICE}
    assert calls == ["no_report"] * NOTIFICATIONS
    assert len(critical_repairs(hass)) == 1


async def test_accepted_and_delivered(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, calls: list[str]
) -> None:
    await ring(hass, 1)
    await push_report(hass, entry, sandbox.platform.messages[0].message_id, "DELIVRD")
    assert calls == []
