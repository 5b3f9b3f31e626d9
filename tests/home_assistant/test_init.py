"""Accounts are set up, unloaded, reloaded and removed completely."""

from __future__ import annotations

import pytest
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import notify


@pytest.mark.usefixtures("entry")
async def test_notify_entity_of_a_recipient_sends(hass: HomeAssistant, sandbox: Sandbox) -> None:
    await notify(hass, "notify.alice", message="后门打开")
    (message,) = sandbox.platform.messages
    assert (message.number, message.text) == ("13800000001", "【某某科技】后门打开")


async def test_unload_and_reload(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert await hass.config_entries.async_unload(entry.entry_id)
    assert entry.state is ConfigEntryState.NOT_LOADED
