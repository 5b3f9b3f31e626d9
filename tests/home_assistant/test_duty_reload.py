"""Alarms of a duty group at awkward moments: reloads, clocks that are set, equal ids; none is lost or texted twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.client import Reply
from custom_components.sms1680.duty import manager as managers
from custom_components.sms1680.duty.engine import AlarmState, AlarmText, DutyAlarm
from custom_components.sms1680.duty.manager import alarm_manager
from custom_components.sms1680.duty.rota import DutyRota
from custom_components.sms1680.duty.sending import AlarmSender
from custom_components.sms1680.store.cached_store import _STORES
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    SIGNED,
    MakeEntry,
    SetUp,
    act,
    duty_group,
    later,
    poll,
    receive,
    recipient,
)

RAISE = {"group": "Watch", "message": "Smoke", "key": "smoke"}
SCHEDULE = {"rota": "schedule", "schedules": ["schedule.alice"]}


@pytest.fixture
async def entry(hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp) -> MockConfigEntry:
    """An account with a group of Alice and Bob, of whom Alice is on duty. No journal says what was sent."""
    hass.states.async_set("schedule.alice", "on", {"friendly_name": "Alice"})
    people = [recipient("Alice", ALICE), recipient("Bob", BOB)]
    made = make_entry(recipients=[*people, duty_group(**SCHEDULE)], options={"keep_days": 0})
    await set_up(made)
    return made


def texts(sandbox: Sandbox) -> list[tuple[str, str]]:
    """Return the number and the first line of each message, sorted."""
    found = [(one.number, one.text.removeprefix(SIGNED).split("\n")[0]) for one in sandbox.platform.messages]
    return sorted(found)


def stored(hass_storage: dict[str, Any], entry: MockConfigEntry) -> list[dict[str, Any]]:
    alarms: list[dict[str, Any]] = hass_storage[f"sms1680.alarms.{entry.entry_id}"]["data"]["alarms"]
    return alarms


async def test_alarm_that_is_raised_while_the_account_reloads_goes_on(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, refresh = asyncio.Event(), DutyRota.async_refresh

    async def slow(rota: DutyRota) -> None:
        await go_on.wait()
        await refresh(rota)

    with monkeypatch.context() as patch:
        patch.setattr(DutyRota, "async_refresh", slow)
        raising = hass.async_create_task(act(hass, "raise_alarm", **RAISE), eager_start=True)
        assert await hass.config_entries.async_reload(entry.entry_id)
    go_on.set()
    response = await raising
    await hass.async_block_till_done(wait_background_tasks=True)
    [alarm] = alarm_manager(hass, entry).open_alarms()
    assert (alarm.id, alarm.texted) == (response["alarm"], ["alice"])


async def test_alarm_that_is_raised_while_the_account_unloads_is_refused(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()
    monkeypatch.setattr(DutyRota, "async_refresh", lambda _: go_on.wait())
    raising = hass.async_create_task(act(hass, "raise_alarm", **RAISE), eager_start=True)
    assert await hass.config_entries.async_unload(entry.entry_id)
    go_on.set()
    with pytest.raises(ServiceValidationError, match="not loaded"):
        await raising


async def test_text_that_outlasts_the_account_stores_nothing_old(
    hass: HomeAssistant, entry: MockConfigEntry, hass_storage: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, send_one = asyncio.Event(), AlarmSender._async_send_one
    calls: list[AlarmText] = []

    async def slow(sender: AlarmSender, alarm: DutyAlarm, text: AlarmText, repeated: bool) -> bool:
        calls.append(text)
        if len(calls) == 1:
            await go_on.wait()
            return True
        return await send_one(sender, alarm, text, repeated)

    monkeypatch.setattr(AlarmSender, "_async_send_one", slow)
    monkeypatch.setattr(managers, "_STOP_TIMEOUT", 0.01)
    await act(hass, "raise_alarm", **RAISE)
    assert await hass.config_entries.async_reload(entry.entry_id)
    await act(hass, "raise_alarm", **RAISE | {"message": "Water", "key": "water"})
    await poll(lambda: len(calls) == 3 and not any(one.outbox for one in alarm_manager(hass, entry).alarms))
    go_on.set()
    await hass.async_block_till_done(wait_background_tasks=True)
    assert [one["key"] for one in stored(hass_storage, entry)] == ["smoke", "water"]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("3", [(ALICE, "（重发）Smoke"), (BOB, "Smoke")]),
        ("1", [(ALICE, "Alice takes the alarm: Smoke")]),
    ],
)
async def test_step_during_the_start_does_not_send_what_may_have_been_sent(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sandbox: Sandbox,
    hass_storage: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    reply: str,
    expected: list[tuple[str, str]],
) -> None:
    await act(hass, "raise_alarm", **RAISE)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert await hass.config_entries.async_unload(entry.entry_id)
    sandbox.platform.messages.clear()
    stored(hass_storage, entry)[0]["outbox"] = [{"id": "another.alice", "member": "alice", "kind": "alarm"}]
    hass.data.pop(_STORES)  # a restart reads the file again
    go_on, states = asyncio.Event(), AlarmSender._async_states

    async def slow(sender: AlarmSender, text: AlarmText) -> Any:
        await go_on.wait()
        return await states(sender, text)

    monkeypatch.setattr(AlarmSender, "_async_states", slow)
    assert await hass.config_entries.async_setup(entry.entry_id)
    await receive(hass, entry, Reply(ALICE, reply), settle=False)
    await poll(lambda: sandbox.platform.messages)
    go_on.set()
    await hass.async_block_till_done(wait_background_tasks=True)
    assert texts(sandbox) == expected


async def test_alarm_that_is_raised_right_after_the_clock_was_set_does_not_wait_for_it(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sandbox: Sandbox,
    freezer: FrozenDateTimeFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed = 0.0
    monkeypatch.setattr(managers, "monotonic", lambda: passed)
    alarm_manager(hass, entry)._offset = dt_util.utcnow().timestamp()
    freezer.tick(timedelta(hours=5))
    await act(hass, "raise_alarm", **RAISE)
    passed = 40.0
    await later(hass, freezer, seconds=40)
    passed += 300.0
    await later(hass, freezer, minutes=5)
    assert texts(sandbox) == [(ALICE, "Smoke"), (BOB, "Smoke")]


async def test_replies_with_the_same_id_are_told_apart(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await act(hass, "raise_alarm", **RAISE)
    await receive(hass, entry, Reply(ALICE, "2 30", message_id="7"), Reply(ALICE, "1", message_id="7"))
    [alarm] = alarm_manager(hass, entry).open_alarms()
    assert alarm.state is AlarmState.ACKNOWLEDGED


async def test_new_alarm_takes_the_place_of_one_that_texts_nobody(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managers, "_MAX_OPEN", 1)
    await act(hass, "raise_alarm", **RAISE)
    await act(hass, "acknowledge", key="smoke")
    response = await act(hass, "raise_alarm", group="Watch", message="Water")
    assert [one.id for one in alarm_manager(hass, entry).open_alarms()] == [response["alarm"]]
    await hass.async_block_till_done(wait_background_tasks=True)


async def test_alarms_of_an_account_that_is_not_loaded_cannot_be_resolved(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    await act(hass, "raise_alarm", **RAISE)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert await hass.config_entries.async_unload(entry.entry_id)
    for given in ({"key": "smoke"}, {"group": "Watch"}):
        with pytest.raises(ServiceValidationError, match="not loaded"):
            await act(hass, "resolve_alarm", **given)
