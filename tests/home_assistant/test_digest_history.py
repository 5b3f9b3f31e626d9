"""The journal of what a spending limit holds back: its state while it waits, and the count of a digest."""

from __future__ import annotations

from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Event, HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.client import Reason
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    MakeEntry,
    SetUp,
    get_messages,
    later,
    push_report,
    send,
)

NO_LIMITS = dict.fromkeys(("hourly_limit", "daily_limit", "number_limit", "automatic_limit", "critical_reserve"), 0)


@pytest.fixture
def limited(make_entry: MakeEntry, set_up: SetUp, freezer: FrozenDateTimeFactory) -> Any:
    """Return a function that sets an account up with these limits, and all others disabled."""

    async def make(**limits: int) -> MockConfigEntry:
        freezer.move_to("2026-01-05 22:41:00+00:00")
        made = make_entry(options={**NO_LIMITS, **limits})
        await set_up(made)
        return made

    return make


async def alarm(hass: HomeAssistant, text: str, **data: Any) -> dict[str, Any]:
    """Send one alarm and return its message of the response."""
    [message] = await send(hass, number=ALICE, message=text, **data)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert isinstance(message, dict)
    return message


@pytest.mark.parametrize("count", [1, 2])
async def test_a_failed_report_of_a_digest_has_the_count_after_a_restart(
    hass: HomeAssistant,
    limited: Any,
    fired: dict[str, list[Event]],
    freezer: FrozenDateTimeFactory,
    sandbox: Sandbox,
    count: int,
) -> None:
    entry = await limited(number_limit=1)
    for text in ("开始", "水浸", "门磁")[: count + 1]:
        await alarm(hass, text)
    sandbox.platform.phone(ALICE).report_status = None
    await later(hass, freezer, minutes=11)
    await hass.config_entries.async_reload(entry.entry_id)
    await push_report(hass, entry, fired["sent"][-1].data["message_id"], "UNDELIV")
    [failed] = fired["failed"]
    assert (failed.data["cause"], failed.data["digest"]) == ("failed", None if count == 1 else count)


async def test_the_history_of_a_message_that_waits_says_that_it_was_not_sent(
    hass: HomeAssistant, limited: Any, freezer: FrozenDateTimeFactory
) -> None:
    await limited(number_limit=1)
    await alarm(hass, "开始")
    held = await alarm(hass, "水浸")
    assert (held["outcome"], held["reason"]) == ("not_sent", "number_limit")
    newest = (await get_messages(hass, number=ALICE, limit=1))[0]
    assert (newest["state"], newest["reason"]) == ("not_sent", Reason.NUMBER_LIMIT.en)
    state = hass.states.get("sensor.alice_last_delivery_state")
    assert state is not None
    assert state.state == "not_sent"
    await later(hass, freezer, minutes=11)
    state = hass.states.get("sensor.alice_last_delivery_state")
    assert state is not None
    assert state.state == "accepted"


async def test_a_critical_message_beyond_its_reserve_is_refused_in_the_history(
    hass: HomeAssistant, limited: Any
) -> None:
    await limited(daily_limit=1)
    await alarm(hass, "开始")
    for _ in range(2):  # the first one is the one message that a phone still gets
        message = await alarm(hass, "水浸", priority="critical")
    assert message["outcome"] == "refused"
    newest = (await get_messages(hass, number=ALICE, limit=1))[0]
    assert (newest["state"], newest["reason"]) == ("refused", Reason.DAILY_LIMIT.en)
