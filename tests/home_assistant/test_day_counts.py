"""The sensors of an account for long-term statistics: what was sent and delivered today, and how fast."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.recorder import Recorder
from homeassistant.components.recorder.statistics import list_statistic_ids
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.helpers.event import async_track_state_change_event
from homeassistant.helpers.recorder import get_instance
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.components.recorder.common import (
    async_wait_recording_done,
    do_adhoc_statistics,
)

from custom_components.sms1680.client import DeliveryReport
from sms1680.sandbox import Fault, Sandbox
from sms1680.sandbox.verdicts import Verdict
from tests.home_assistant.helpers import ALICE, MakeEntry, SetUp, later, receive, send_to_alice

NOON = "2026-01-05 04:00:00+00:00"  # in Shanghai
DAILY = tuple(f"sensor.home_{name}_today" for name in ("sent", "parts", "delivered", "not_delivered"))
TIME = "sensor.home_delivery_time"


@pytest.fixture
async def china(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
    await hass.config.async_set_time_zone("Asia/Shanghai")
    freezer.move_to(NOON)


@pytest.fixture
async def account(china: None, make_entry: MakeEntry, set_up: SetUp) -> MockConfigEntry:  # noqa: ARG001 - first
    made = make_entry()
    await set_up(made)
    return made


def states(hass: HomeAssistant) -> list[str]:
    found = [hass.states.get(entity_id) for entity_id in (*DAILY, TIME)]
    return [one.state if one else "missing" for one in found]


def resets(hass: HomeAssistant) -> set[Any]:
    return {state.attributes["last_reset"] for entity_id in DAILY if (state := hass.states.get(entity_id))}


async def exchange(
    hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory, sandbox: Sandbox
) -> None:
    """Send a message of two parts that is delivered after 7 seconds, one that fails, and one that is refused."""
    delivered = await send_to_alice(hass, message="长" * 100)
    failed = await send_to_alice(hass)
    freezer.tick(7)
    await receive(
        hass,
        entry,
        DeliveryReport(delivered["message_id"], ALICE, "DELIVRD"),
        DeliveryReport(failed["message_id"], ALICE, "MK:0001"),
    )
    sandbox.platform.faults.next(Fault(verdict=Verdict.BALANCE))
    await send_to_alice(hass)
    await hass.async_block_till_done()


async def test_counters_begin_again_at_midnight(
    hass: HomeAssistant, account: MockConfigEntry, freezer: FrozenDateTimeFactory, sandbox: Sandbox
) -> None:
    assert states(hass) == ["0", "0", "0", "0", "unknown"]
    await exchange(hass, account, freezer, sandbox)
    assert states(hass) == ["2", "3", "1", "2", "7.0"]
    assert resets(hass) == {"2026-01-05T00:00:00+08:00"}
    await later(hass, freezer, hours=11, minutes=59)
    assert states(hass)[0] == "2"
    await later(hass, freezer, seconds=60)
    assert states(hass) == ["0", "0", "0", "0", "7.0"]
    assert resets(hass) == {"2026-01-06T00:00:00+08:00"}
    await send_to_alice(hass)
    await hass.async_block_till_done()
    assert states(hass)[:2] == ["1", "1"]


async def test_counters_of_the_day_survive_a_restart(
    hass: HomeAssistant, account: MockConfigEntry, freezer: FrozenDateTimeFactory, sandbox: Sandbox
) -> None:
    await exchange(hass, account, freezer, sandbox)
    assert await hass.config_entries.async_unload(account.entry_id)
    assert await hass.config_entries.async_setup(account.entry_id)
    assert states(hass) == ["2", "3", "1", "2", "7.0"]
    assert await hass.config_entries.async_unload(account.entry_id)
    freezer.tick(12 * 3600)
    assert await hass.config_entries.async_setup(account.entry_id)
    assert states(hass) == ["0", "0", "0", "0", "7.0"]


async def test_only_changed_states_are_written_and_repeated_reports_do_not_count(
    hass: HomeAssistant, account: MockConfigEntry
) -> None:
    message = await send_to_alice(hass)
    await hass.async_block_till_done()
    written: list[str] = []

    @callback
    def note(event: Event[EventStateChangedData]) -> None:
        written.append(event.data["entity_id"])

    async_track_state_change_event(hass, [*DAILY, TIME, "sensor.home_messages_sent"], note)
    for _ in range(2):
        await receive(hass, account, DeliveryReport(message["message_id"], ALICE, "DELIVRD"))
    assert sorted(written) == ["sensor.home_delivered_today", TIME]


@pytest.fixture
def quiet_recorder(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the statements of the recorder's thread out of the log: it writes them also between two tests."""
    for logger in ("sqlalchemy", "homeassistant.components.recorder"):
        caplog.set_level(logging.WARNING, logger)


@pytest.fixture(name="_recorder")
def recorder(quiet_recorder: None, recorder_mock: Recorder, enable_custom_integrations: None) -> None:
    """Start the recorder before Home Assistant, as it demands."""


class TestStatistics:
    """The recorder makes statistics of the sensors."""

    @pytest.fixture(autouse=True)
    def _integrations(self, _recorder: None) -> None: ...

    async def test_recorder_accepts_the_sensors(
        self, hass: HomeAssistant, account: MockConfigEntry, freezer: FrozenDateTimeFactory, sandbox: Sandbox
    ) -> None:
        start = dt_util.utcnow()
        await exchange(hass, account, freezer, sandbox)
        await async_wait_recording_done(hass)
        do_adhoc_statistics(hass, start=start)
        await async_wait_recording_done(hass)
        instance = get_instance(hass)
        found = {one["statistic_id"]: one for one in await instance.async_add_executor_job(list_statistic_ids, hass)}
        assert {name for name in (*DAILY, TIME) if name in found} == {*DAILY, TIME}
        assert all(found[name]["has_sum"] for name in DAILY)
        assert not found[TIME]["has_sum"]
