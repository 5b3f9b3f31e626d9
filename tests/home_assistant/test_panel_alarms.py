"""The alarms of duty groups on the page: who sees and changes them, and how long closed ones are stored."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.client import Reply
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    Ask,
    MakeEntry,
    MakeUser,
    SetUp,
    act,
    duty_group,
    later,
    receive,
    recipient,
)

READ, CONTROL = {"read": True}, {"read": True, "control": True}


@pytest.fixture
async def entry(make_entry: MakeEntry, set_up: SetUp, freezer: FrozenDateTimeFactory) -> MockConfigEntry:
    """Set up two groups: Watch with Alice and Bob, and Cellar with Bob."""
    freezer.move_to("2026-01-05 04:00:00+00:00")
    people = [recipient("Alice", ALICE), recipient("Bob", BOB)]
    made = make_entry(recipients=[*people, duty_group(), duty_group("Cellar", ("bob",))])
    await set_up(made)
    return made


async def raise_alarm(hass: HomeAssistant, group: str = "Watch", **data: Any) -> str:
    response = await act(hass, "raise_alarm", group=group, message="<b>Smoke</b>", **data)
    await hass.async_block_till_done(wait_background_tasks=True)
    return str(response["alarm"])


async def listed(ask: Ask, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await ask("alarms/list", **query))["alarms"]
    return found


async def test_alarm_is_listed_with_its_steps(
    hass: HomeAssistant, entry: MockConfigEntry, admin: Ask, freezer: FrozenDateTimeFactory
) -> None:
    alarm_id = await raise_alarm(hass, key="smoke")
    await later(hass, freezer, minutes=1)
    await receive(hass, entry, Reply(ALICE, "2 30 1"))
    [alarm] = await listed(admin)
    assert (alarm["id"], alarm["group"], alarm["number"], alarm["text"]) == (alarm_id, "Watch", 1, "<b>Smoke</b>")
    assert (alarm["state"], alarm["until"]) == ("snoozed", "2026-01-05T04:31:00+00:00")
    assert (alarm["level"], alarm["texted"], alarm["can_control"]) == ("all", ["Alice", "Bob"], True)
    raised, snoozed = alarm["steps"]
    assert (raised["step"], raised["time"], raised["members"]) == (
        "raised",
        "2026-01-05T04:00:00+00:00",
        ["Alice", "Bob"],
    )
    assert (snoozed["step"], snoozed["by"], snoozed["until"]) == ("snoozed", "Alice", alarm["until"])
    for number in (ALICE, BOB):
        assert number not in str(alarm)


async def test_alarm_is_taken_and_resolved_on_the_page(hass: HomeAssistant, entry: MockConfigEntry, admin: Ask) -> None:
    alarm_id = await raise_alarm(hass, key="smoke")
    await admin("alarms/change", alarm=alarm_id, action="acknowledge")
    [alarm] = await listed(admin)
    assert (alarm["state"], alarm["by"], alarm["closed_at"]) == ("acknowledged", "Mock User", None)
    await admin("alarms/change", alarm=alarm_id, action="resolve_alarm")
    [alarm] = await listed(admin)
    assert (alarm["state"], alarm["can_control"]) == ("resolved", False)
    assert alarm["closed_at"] is not None
    hass.config_entries.async_update_entry(entry, options={**entry.options, "keep_texts": False})
    assert [one["text"] for one in await listed(admin)] == [None]


@pytest.mark.usefixtures("entry")
async def test_open_alarms_come_before_the_newest_closed_ones(
    hass: HomeAssistant, admin: Ask, freezer: FrozenDateTimeFactory
) -> None:
    ids = []
    for _ in range(4):
        ids.append(await raise_alarm(hass))
        freezer.tick(1)
    for closed in ids[1:]:
        await act(hass, "resolve_alarm", alarm=closed)
    assert [one["id"] for one in await listed(admin, limit=2)] == [ids[0], ids[3], ids[2]]


@pytest.mark.usefixtures("entry")
async def test_others_see_and_change_only_alarms_of_groups_that_they_may(
    hass: HomeAssistant, make_user: MakeUser
) -> None:
    reader = await make_user("Reader", {"notify.watch": READ, "event.watch_alarms": READ})
    helper = await make_user("Helper", {"notify.watch": CONTROL, "event.watch_alarms": READ, "notify.cellar": CONTROL})
    watch, cellar = await raise_alarm(hass), await raise_alarm(hass, "Cellar")
    assert [(one["id"], one["can_control"]) for one in await listed(reader)] == [(watch, False)]
    assert (await reader.refused("alarms/change", alarm=watch, action="acknowledge"))["code"] == "unauthorized"
    assert [(one["id"], one["can_control"]) for one in await listed(helper)] == [(watch, True)]
    refused = await helper.refused("alarms/change", alarm=cellar, action="acknowledge")
    assert refused["translation_key"] == "no_alarm_selected"
    await helper("alarms/change", alarm=watch, action="acknowledge")
    assert [one["by"] for one in await listed(reader)] == ["Helper"]


@pytest.mark.usefixtures("entry")
async def test_subscription_tells_of_alarms_of_readable_groups(hass: HomeAssistant, make_user: MakeUser) -> None:
    ask = await make_user("Reader", {"notify.watch": READ, "event.watch_alarms": READ})
    await ask("subscribe")
    await raise_alarm(hass, "Cellar")
    await raise_alarm(hass)
    event = (await ask.client.receive_json())["event"]
    assert event == {"domain": "sms1680", "conversation": None, "alarms": True}


async def purge(hass: HomeAssistant, **selection: Any) -> int:
    return int((await act(hass, "purge_messages", **selection))["purged"])


async def test_subscription_tells_when_an_account_and_its_alarms_are_loaded(
    hass: HomeAssistant, entry: MockConfigEntry, admin: Ask
) -> None:
    await raise_alarm(hass, key="smoke")
    await hass.config_entries.async_unload(entry.entry_id)
    assert await listed(admin) == []
    await admin("subscribe")
    await hass.config_entries.async_setup(entry.entry_id)
    event = (await admin.client.receive_json())["event"]
    assert event == {"domain": "sms1680", "conversation": None, "alarms": True}
    await hass.async_block_till_done(wait_background_tasks=True)


async def test_purge_deletes_closed_alarms(
    hass: HomeAssistant, entry: MockConfigEntry, admin: Ask, hass_storage: dict[str, Any]
) -> None:
    opened, closed = await raise_alarm(hass), await raise_alarm(hass)
    await act(hass, "resolve_alarm", alarm=closed)
    await hass.async_block_till_done(wait_background_tasks=True)
    await purge(hass, recipient=["Alice"])
    await purge(hass, number=[BOB])
    await purge(hass, until=(dt_util.utcnow() - timedelta(hours=1)).isoformat())
    assert {one["id"] for one in await listed(admin)} == {opened, closed}
    assert await purge(hass) == 1
    assert [one["id"] for one in await listed(admin)] == [opened]
    assert closed not in str(hass_storage[f"sms1680.alarms.{entry.entry_id}"])


async def test_purge_deletes_the_alarms_of_an_unloaded_account(
    hass: HomeAssistant, entry: MockConfigEntry, hass_storage: dict[str, Any]
) -> None:
    opened, closed = await raise_alarm(hass), await raise_alarm(hass)
    await act(hass, "resolve_alarm", alarm=closed)
    await hass.async_block_till_done(wait_background_tasks=True)
    await hass.config_entries.async_unload(entry.entry_id)
    await purge(hass, config_entry_id=entry.entry_id)
    stored = str(hass_storage[f"sms1680.alarms.{entry.entry_id}"])
    assert (opened in stored, closed in stored) == (True, False)


async def test_retention_applies_while_nothing_happens(
    hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory, hass_storage: dict[str, Any]
) -> None:
    closed = await raise_alarm(hass)
    await act(hass, "resolve_alarm", alarm=closed)
    await hass.async_block_till_done(wait_background_tasks=True)
    key = f"sms1680.alarms.{entry.entry_id}"
    hass.config_entries.async_update_entry(entry, options={**entry.options, "keep_texts": False})
    await later(hass, freezer, hours=1)
    assert "Smoke" not in str(hass_storage[key])
    assert closed in str(hass_storage[key])
    await later(hass, freezer, days=30)
    assert closed not in str(hass_storage[key])
