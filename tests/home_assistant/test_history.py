"""`get_messages` and `purge_messages`: the stored messages, for administrators and automations only."""

from __future__ import annotations

import asyncio
import gc
from typing import Any
from unittest.mock import patch

import pytest
import voluptuous as vol
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized, UnknownUser
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.sms1680 import const
from custom_components.sms1680.client import DeliveryReport, Reply
from custom_components.sms1680.store.manager import DATA_STORE
from tests.home_assistant.helpers import ALICE, STRANGER, MakeEntry, SetUp, act, get_messages, receive, send_text


async def purge(hass: HomeAssistant, **data: Any) -> int:
    answer = await act(hass, "purge_messages", **data)
    assert isinstance(answer, dict)
    return int(str(answer["purged"]))


@pytest.fixture
async def filled(hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory) -> MockConfigEntry:
    """An account with two sent and two received messages, an hour apart."""
    client = entry.runtime_data.client
    freezer.move_to("2026-05-01 08:00:00+00:00")
    (receipt,) = await send_text(client, ALICE, "一")
    await receive(hass, entry, DeliveryReport(str(receipt.message_id), ALICE, "KX:1000"))
    freezer.tick(3600)
    await receive(hass, entry, Reply(ALICE, "二", "12"))
    freezer.tick(3600)
    await send_text(client, STRANGER, "三")
    freezer.tick(3600)
    await receive(hass, entry, Reply(STRANGER, "四"))
    return entry


async def test_messages_are_complete_and_newest_first(hass: HomeAssistant, filled: MockConfigEntry) -> None:
    newest, sent, reply, failed = await get_messages(hass)
    assert [one["message"] for one in (newest, sent, reply, failed)] == ["四", "三", "二", "一"]
    assert reply.pop("id")
    assert reply == {
        "direction": "in",
        "config_entry_id": filled.entry_id,
        "number": ALICE,
        "recipient": "Alice",
        "subentry_id": "alice",
        "time": "2026-05-01T09:00:00+00:00",
        "message": "二",
        "extension": "12",
        "via": "webhook",
        "incomplete": False,
        "redelivered": False,
        "fired": True,
    }
    assert len(failed.pop("message_ids")) == 1
    assert failed == {
        "direction": "out",
        "config_entry_id": filled.entry_id,
        "number": ALICE,
        "recipient": "Alice",
        "subentry_id": "alice",
        "time": "2026-05-01T08:00:00+00:00",
        "message": "一",
        "via": "http",
        "at": None,
        "automatic": False,
        "cause": None,
        "outcome": "accepted",
        "parts": 1,
        "status": "KX:1000",
        "state_since": "2026-05-01T08:00:00+00:00",
        "state": "failed",
        "settled": True,
        "reason": "The platform could not submit the message. Send it again, preferably over another channel.",
        "matched": "id",
    }
    assert (sent["recipient"], sent["state"], sent["reason"]) == (None, "accepted", None)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("choice", "found"),
    [
        ({"number": f"+86 {STRANGER}"}, "四三"),
        ({"recipient": "Alice"}, "二一"),
        ({"recipient": ["Alice"], "direction": "in"}, "二"),
        ({"state": "failed"}, "一"),
        ({"state": ["accepted", "failed"]}, "三一"),
        ({"since": "2026-05-01T09:00:00+00:00", "until": "2026-05-01T11:00:00+00:00"}, "三二"),
        ({"limit": 1}, "四"),
    ],
)
async def test_filters_select_messages(hass: HomeAssistant, choice: dict[str, Any], found: str) -> None:
    assert "".join(one["message"] for one in await get_messages(hass, **choice)) == found


@pytest.mark.usefixtures("filled")
async def test_time_without_zone_uses_the_zone_of_home_assistant(hass: HomeAssistant) -> None:
    await hass.config.async_set_time_zone("Asia/Shanghai")
    assert len(await get_messages(hass, since="2026-05-01 19:00:00")) == 1


@pytest.mark.usefixtures("filled")
async def test_device_selects_its_recipient(hass: HomeAssistant) -> None:
    alice = er.async_get(hass).async_get("notify.alice")
    assert alice is not None
    assert [one["message"] for one in await get_messages(hass, recipient=alice.device_id)] == ["二", "一"]


async def test_account_filter_works_for_unloaded_accounts(
    hass: HomeAssistant,
    filled: MockConfigEntry,
    make_entry: MakeEntry,
    set_up: SetUp,
    *,
    freezer: FrozenDateTimeFactory,
) -> None:
    freezer.tick(60)
    other = make_entry(
        title="Other",
        http={"product_id": "2"},
        webhook_id="other",
        push_secret="other",
        options={const.CONF_KEEP_DAYS: 0},
    )
    await set_up(other)
    await receive(hass, other, Reply(ALICE, "五"))
    assert [one["message"] for one in await get_messages(hass, config_entry_id=other.entry_id)] == ["五"]
    assert len(await get_messages(hass, config_entry_id=filled.entry_id)) == 4
    assert [one["message"] for one in await get_messages(hass)] == ["五", "四", "三", "二", "一"]
    assert await purge(hass, number=ALICE) == 3


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("choice", "left"),
    [
        ({}, ""),
        ({"number": STRANGER}, "二一"),
        ({"recipient": "Alice"}, "四三"),
        ({"until": "2026-05-01T10:00:00+00:00"}, "四三"),
        ({"recipient": "Bob"}, "四三二一"),
    ],
)
async def test_purge_deletes_the_selection(hass: HomeAssistant, choice: dict[str, Any], left: str) -> None:
    assert await purge(hass, **choice) == 4 - len(left)
    assert "".join(one["message"] for one in await get_messages(hass)) == left


@pytest.mark.usefixtures("filled")
async def test_purge_without_response_deletes_all(hass: HomeAssistant) -> None:
    await hass.services.async_call("sms1680", "purge_messages", {}, blocking=True)
    assert await get_messages(hass) == []


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("action", ["get_messages", "purge_messages"])
async def test_history_requires_an_administrator(hass: HomeAssistant, action: str) -> None:
    user, admin = MockUser().add_to_hass(hass), MockUser(is_owner=True).add_to_hass(hass)

    async def call(user_id: str | None) -> None:
        await hass.services.async_call(
            "sms1680", action, {}, blocking=True, return_response=True, context=Context(user_id=user_id)
        )

    with pytest.raises(Unauthorized):
        await call(user.id)
    with pytest.raises(UnknownUser):
        await call("nobody")
    assert len(await get_messages(hass)) == 4
    await call(admin.id)


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("action", ["get_messages", "purge_messages"])
async def test_unknown_account_or_recipient_is_rejected(hass: HomeAssistant, action: str) -> None:
    for data, key in (
        ({"config_entry_id": "gone"}, "no_such_account"),
        ({"recipient": ["Alice", "Carol"]}, "no_such_recipient"),
    ):
        with pytest.raises(ServiceValidationError) as caught:
            await hass.services.async_call("sms1680", action, data, blocking=True, return_response=True)
        assert caught.value.translation_key == key


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    "data", [{"limit": 0}, {"limit": 1001}, {"state": "gone"}, {"direction": "up"}, {"since": "x"}]
)
async def test_invalid_data_is_rejected(hass: HomeAssistant, data: dict[str, Any]) -> None:
    with pytest.raises(vol.Invalid):
        await get_messages(hass, **data)


@pytest.mark.usefixtures("filled")
async def test_store_failure_raises(hass: HomeAssistant) -> None:
    for shelf in hass.data[DATA_STORE].intakes:
        await hass.async_add_executor_job(shelf.store.close)
    for call in (get_messages, purge):
        with pytest.raises(HomeAssistantError) as caught:
            await call(hass)
        assert caught.value.translation_key == "store_failed"


@pytest.mark.usefixtures("filled")
async def test_failure_of_one_store_does_not_keep_messages_in_the_other(
    hass: HomeAssistant, entry: MockConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    hass.config_entries.async_update_entry(entry, options={**entry.options, "keep_days": 0})
    await hass.async_block_till_done(wait_background_tasks=True)
    await send_text(entry.runtime_data.client, ALICE, "一")
    disk, memory = hass.data[DATA_STORE].intakes
    await hass.async_add_executor_job(disk.store.close)
    assert (await asyncio.wrap_future(memory.store.counts(entry.entry_id))).outgoing
    with patch("custom_components.sms1680.actions.history.async_purge_restored_states") as states:
        with pytest.raises(HomeAssistantError):
            await purge(hass)
        states.assert_awaited_once()
    assert not (await asyncio.wrap_future(memory.store.counts(entry.entry_id))).outgoing
    gc.collect()
    await hass.async_block_till_done()
    assert "never retrieved" not in caplog.text


async def test_expired_message_has_a_reason(
    hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to("2026-05-01 08:00:00+00:00")
    await send_text(entry.runtime_data.client, ALICE, "一")
    freezer.tick(49 * 3600)
    await hass.data[DATA_STORE].async_prune()
    (message,) = await get_messages(hass)
    assert (message["state"], message["settled"]) == ("expired", True)
    assert message["reason"] == "No delivery report came within 48 hours."
