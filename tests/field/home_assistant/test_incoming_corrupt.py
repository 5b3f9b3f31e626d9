"""One corrupt PDU on a standing CMPP connection: log, entity and repairs say what happened."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.event import async_track_state_change_event

from custom_components.sms1680.account import clients
from custom_components.sms1680.client.cmpp import CMPPClient
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, MakeEntry, SetUp, Until, act, sent

CONNECTED = "binary_sensor.home_connected"
# Octets behind a working login: a length beyond any PDU, a length below a header, and a PDU whose body is cut.
CORRUPT = {
    "a length that no PDU has": b"\xff" * 12,
    "a length below that of a header": bytes((0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 1)),
    "a DELIVER that ends inside its fields": bytes((0, 0, 0, 20, 0, 0, 0, 5, 0, 0, 0, 1)) + bytes(8) + b"\xff" * 12,
}


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses between connection attempts."""

    async def hurry(delay: float) -> None:
        await asyncio.sleep(min(delay, 0.02))

    monkeypatch.setattr(clients, "CMPPClient", functools.partial(CMPPClient, sleep=hurry))


@pytest.mark.parametrize("kind", CORRUPT)
async def test_corrupt_data_is_named_and_asks_for_no_other_address(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    sandbox: Sandbox,
    until: Until,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    states: list[tuple[str, str | None]] = []
    issues: list[Any] = []
    back = asyncio.Event()

    @callback
    def on_state(event: Event[Any]) -> None:
        state = event.data["new_state"]
        states.append((state.state, state.attributes["reason"]))
        issues.extend(ir.async_get(hass).issues.values())
        if state.state == "on":
            back.set()

    await set_up(make_entry(ways=("cmpp",)))
    await until(lambda: hass.states.get(CONNECTED).state == "on")
    async_track_state_change_event(hass, CONNECTED, on_state)
    (connection,) = sandbox.cmpp.connections
    connection._transport.write(CORRUPT[kind])
    async with asyncio.timeout(20):
        await back.wait()
    await hass.async_block_till_done()
    assert states == [("off", "corrupt"), ("on", None)]
    await until(lambda: len(sandbox.cmpp.connections) == 1)
    assert not issues
    assert not ir.async_get(hass).issues
    assert "invalid CMPP data" in caplog.text
    assert "no 1680 platform" not in caplog.text
    answer = await act(hass, "send_message", entity_id="notify.alice", message="后门打开")
    assert answer["messages"][0]["outcome"] == "accepted"
    assert sent(sandbox) == [(ALICE, "后门打开")]
