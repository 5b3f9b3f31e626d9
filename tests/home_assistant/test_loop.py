"""Nothing blocks the loop, and nothing is used that Home Assistant warns of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from homeassistant import block_async_io
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from sms1680.sandbox import Sandbox

SLOW = 0.25  # seconds that no step of ours takes, even on a busy machine


@pytest.mark.usefixtures("disable_block_async_io")
@pytest.mark.parametrize("proxied", [False, True])
async def test_the_loop_is_never_blocked(
    hass: HomeAssistant,
    make_entry: Callable[..., MockConfigEntry],
    set_up: Any,
    sandbox: Sandbox,
    hass_client_no_auth: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    *,
    proxied: bool,
) -> None:
    monkeypatch.setattr(block_async_io, "_IN_TESTS", False)
    block_async_io.enable()
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = SLOW
    unlimited = {"hourly_limit": 0, "daily_limit": 0}
    entry = make_entry(options=unlimited | ({"proxy": sandbox.url} if proxied else {}))
    await set_up(entry)
    await hass.services.async_call(
        "notify", "send_message", {"entity_id": ["notify.alice", "notify.bob"], "message": "x"}, blocking=True
    )
    many = [{"number": f"139{serial:08}", "message": "x"} for serial in range(300)]
    await hass.services.async_call("sms1680", "send_batch", {"messages": many}, blocking=True)
    await hass.services.async_call("sms1680", "get_balance", {}, blocking=True, return_response=True)
    client = await hass_client_no_auth()
    await client.get("/api/webhook/webhook-id-of-the-tests?mobile=13800000001&content=1")
    assert await hass.config_entries.async_unload(entry.entry_id)
    assert len(sandbox.platform.messages) == 302
    told = [record.getMessage() for record in caplog.records]
    assert not [line for line in told if "Detected blocking call" in line]
    assert not [line for line in told if "Executing" in line and "sms1680" in line and "took" in line]
