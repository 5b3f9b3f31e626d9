"""The websocket API of the page: what it shows, to whom, and what it sends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.client import DeliveryReport, Reply
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    BOTH,
    STRANGER,
    Ask,
    MakeEntry,
    SetUp,
    Until,
    later,
    receive,
    send_to_alice,
    send_to_number,
    sent,
    start_question,
    wait_for_messages,
)


@pytest.fixture
async def both_entry(make_entry: MakeEntry, set_up: SetUp) -> MockConfigEntry:
    made = make_entry(ways=BOTH)
    await set_up(made)
    return made


async def listed(ask: Ask, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await ask("conversations/list", **query))["conversations"]
    return found


async def talk(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    message = await send_to_alice(hass)
    await receive(hass, entry, DeliveryReport(message["message_id"], ALICE, "DELIVRD"), Reply(ALICE, "<img onerror>"))
    await receive(hass, entry, Reply(STRANGER, "who is this"))


async def test_conversations_are_listed_with_their_newest_message(
    hass: HomeAssistant, entry: MockConfigEntry, admin: Ask
) -> None:
    assert await listed(admin) == []
    await talk(hass, entry)
    stranger, alice = await listed(admin)
    assert (stranger["id"], stranger["name"], stranger["number"]) == (STRANGER, None, STRANGER)
    assert (alice["id"], alice["name"], alice["number"]) == ("alice", "Alice", ALICE)
    assert alice["last"]["text"] == "<img onerror>"
    assert alice["targets"] == ["notify.alice"]


async def test_messages_have_their_states_and_reasons(hass: HomeAssistant, entry: MockConfigEntry, admin: Ask) -> None:
    await talk(hass, entry)
    failed = await send_to_alice(hass, message="again", priority="critical")
    await receive(hass, entry, DeliveryReport(failed["message_id"], ALICE, "MK:0001"))
    page = await admin("messages/list", conversation="alice")
    newest, reply, first = page["messages"]
    assert (first["state"], first["reason"], first["parts"], first["via"]) == ("delivered", None, 1, "http")
    assert (reply["direction"], reply["text"]) == ("in", "<img onerror>")
    assert (newest["state"], newest["priority"]) == ("failed", "critical")
    assert newest["reason"]
    assert page["next"] is None


async def test_pages_follow_each_other(hass: HomeAssistant, entry: MockConfigEntry, admin: Ask) -> None:
    await receive(hass, entry, *(Reply(ALICE, f"text {number}") for number in range(5)))
    first = await admin("messages/list", conversation="alice", limit=3)
    second = await admin("messages/list", conversation="alice", limit=3, before=first["next"])
    texts = [message["text"] for page in (first, second) for message in page["messages"]]
    assert texts == [f"text {number}" for number in reversed(range(5))]
    assert second["next"] is None
    assert (await admin.refused("messages/list", conversation="alice", before="x"))["code"] == "invalid_format"


async def test_unread_messages_are_those_after_the_last_visit(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    admin: Ask,
    freezer: FrozenDateTimeFactory,
    hass_storage: dict[str, Any],
) -> None:
    await receive(hass, entry, Reply(ALICE, "before the first visit"))
    assert [one["unread"] for one in await listed(admin)] == [0]
    freezer.tick(1)
    await receive(hass, entry, Reply(ALICE, "1"), Reply(ALICE, "2"))
    assert [one["unread"] for one in await listed(admin)] == [2]
    await admin("conversations/mark_read", conversation="alice")
    assert [one["unread"] for one in await listed(admin)] == [0]
    await later(hass, freezer, seconds=5)
    assert ALICE not in str(hass_storage["sms1680.read_marks"])


@pytest.mark.parametrize(
    ("search", "found"), [("ali", ["Alice"]), ("IMG", ["Alice"]), (STRANGER[-4:], [None]), ("x", [])]
)
async def test_search_finds_names_texts_and_numbers(
    hass: HomeAssistant, entry: MockConfigEntry, admin: Ask, search: str, found: list[str | None]
) -> None:
    await talk(hass, entry)
    assert [one["name"] for one in await listed(admin, search=search)] == found


async def test_others_see_only_readable_recipients_without_numbers(
    hass: HomeAssistant, entry: MockConfigEntry, housemate: Ask
) -> None:
    await talk(hass, entry)
    await receive(hass, entry, Reply(BOB, "secret"))
    answers = [
        await housemate("conversations/list"),
        await housemate("conversations/list", search="e"),
        await housemate("messages/list", conversation="alice"),
        await housemate("accounts/list"),
        await housemate("contacts/list"),
        await housemate("messages/send", message="hi", entity_id=["notify.alice"]),
    ]
    assert [one["name"] for one in answers[0]["conversations"]] == ["Alice"]
    assert answers[0]["conversations"][0]["number"] == "138****0001"
    assert [one["name"] for one in answers[4]["contacts"]] == ["Alice"]
    for text in (ALICE, BOB, STRANGER, "Bob", "secret", "balance"):
        assert text not in str(answers)
    # A search by a part of a number would reveal it.
    assert await listed(housemate, search=ALICE[3:]) == []
    for conversation in ("bob", STRANGER, ALICE):
        assert (await housemate.refused("messages/list", conversation=conversation))[
            "translation_key"
        ] == "no_such_recipient"


@pytest.mark.usefixtures("entry")
async def test_others_write_only_to_recipients_that_they_may_control(
    housemate: Ask, read_only: Ask, sandbox: Sandbox
) -> None:
    [message] = (await housemate("messages/send", message="hi", entity_id=["notify.alice"]))["messages"]
    assert (message["outcome"], message["number"]) == ("accepted", "138****0001")
    for refused in (
        await housemate.refused("messages/send", message="hi", entity_id=["notify.bob"]),
        await housemate.refused("messages/send", message="hi", number=[ALICE]),
        await read_only.refused("messages/send", message="hi", entity_id=["notify.alice"]),
    ):
        assert refused["code"] == "unauthorized"
    assert len(sent(sandbox)) == 1


async def test_administrator_writes_to_a_number(
    hass: HomeAssistant, entry: MockConfigEntry, admin: Ask, sandbox: Sandbox
) -> None:
    await receive(hass, entry, Reply(STRANGER, "hello"))
    await admin("messages/send", message="hi", conversation=STRANGER, priority="critical")
    assert sent(sandbox) == [(STRANGER, "hi")]
    assert (await listed(admin))[0]["last"]["priority"] == "critical"


@pytest.mark.usefixtures("entry")
async def test_estimate_while_typing(admin: Ask) -> None:
    result = await admin("estimate", message="门" * 100)
    assert result["parts"] == 2
    assert (await admin.refused("estimate", message=""))["translation_key"] == "invalid_message"


@pytest.mark.usefixtures("quiet_entry")
async def test_waiting_message_is_shown_and_cancelled(
    hass: HomeAssistant, admin: Ask, housemate: Ask, read_only: Ask, sandbox: Sandbox
) -> None:
    await send_to_alice(hass)
    [conversation] = await listed(housemate)
    assert (conversation["waiting"], conversation["last"]) == (1, None)
    [waiting] = (await read_only("messages/list", conversation="alice"))["waiting"]
    assert (waiting["waits_for"], waiting["can_cancel"]) == ("quiet_hours", False)
    assert (await read_only.refused("messages/cancel", message=waiting["id"]))["code"] == "unauthorized"
    [waiting] = (await housemate("messages/list", conversation="alice"))["waiting"]
    assert waiting["can_cancel"]
    assert await housemate("messages/cancel", message=waiting["id"]) == {"domain": "sms1680", "result": "cancelled"}
    assert (await admin("messages/list", conversation="alice"))["waiting"] == []
    for ask in (housemate, admin):
        assert (await ask.refused("messages/cancel", message=waiting["id"]))["translation_key"] == "cancel_not_found"
    assert sent(sandbox) == []


async def test_scheduled_message_is_cancelled_over_cmpp(both_entry: MockConfigEntry, admin: Ask, until: Until) -> None:
    due = dt_util.utcnow().replace(microsecond=0) + timedelta(hours=2)
    await until(lambda: both_entry.runtime_data.health.connection.connected)
    await admin("messages/send", message="later", entity_id=["notify.alice"], at=due.isoformat())
    [message] = (await admin("messages/list", conversation="alice"))["messages"]
    assert message["due"] == due.isoformat()
    assert await admin("messages/cancel", message=message["cancel_id"]) == {"domain": "sms1680", "result": "cancelled"}
    [message] = (await admin("messages/list", conversation="alice"))["messages"]
    assert (message["cancel_id"], message["state"]) == (None, "not_sent")


async def test_open_question_is_shown_with_its_answers(
    hass: HomeAssistant, entry: MockConfigEntry, admin: Ask, sandbox: Sandbox
) -> None:
    task = start_question(hass, "notify.alice", "notify.bob", wait_for_all=True)
    await wait_for_messages(sandbox, 2)
    await receive(hass, entry, Reply(ALICE, "好的"), settle=False)
    [question] = (await admin("messages/list", conversation="bob"))["questions"]
    assert question["choices"] == ["yes", "no"]
    assert question["answers"] == [{"name": "Alice", "id": "yes", "text": "好的"}]
    await receive(hass, entry, Reply(BOB, "不"), settle=False)
    await task
    assert (await admin("messages/list", conversation="bob"))["questions"] == []


@pytest.mark.usefixtures("entry")
async def test_accounts_show_balance_spending_and_retention(hass: HomeAssistant, admin: Ask) -> None:
    await send_to_alice(hass)
    result = await admin("accounts/list")
    [account] = result["accounts"]
    assert result["is_admin"]
    assert (account["title"], account["balance"], account["spent"], account["problem"]) == ("Home", 1000, 1, None)
    assert (account["keep_days"], account["keep_texts"]) == (30, True)


async def test_texts_are_hidden_if_the_account_does_not_store_them(
    hass: HomeAssistant, entry: MockConfigEntry, admin: Ask
) -> None:
    await talk(hass, entry)
    hass.config_entries.async_update_entry(entry, options={**entry.options, "keep_texts": False})
    await hass.async_block_till_done()
    page = await admin("messages/list", conversation="alice")
    assert [message["text"] for message in page["messages"]] == [None, None]
    assert (await listed(admin))[0]["last"]["text"] is None


async def test_subscription_names_the_conversation_that_changed(
    hass: HomeAssistant, entry: MockConfigEntry, admin: Ask, housemate: Ask
) -> None:
    await housemate("subscribe")
    await admin("subscribe")
    await receive(hass, entry, Reply(BOB, "1"), Reply(ALICE, "2"))
    assert [(await admin.client.receive_json())["event"] for _ in range(2)] == [
        {"domain": "sms1680", "conversation": "bob"},
        {"domain": "sms1680", "conversation": "alice"},
    ]
    assert (await housemate.client.receive_json())["event"] == {"domain": "sms1680", "conversation": "alice"}


@pytest.mark.usefixtures("entry")
async def test_subscription_covers_accounts_that_are_added_later(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, admin: Ask
) -> None:
    await admin("subscribe")
    second = make_entry(title="Second", http={"username": "second"}, recipients=[], webhook_id="2", push_secret="2")
    await set_up(second)
    await receive(hass, second, Reply(STRANGER, "1"))
    events = []
    while STRANGER not in events:
        events.append((await admin.client.receive_json())["event"]["conversation"])
    assert None in events


async def test_failing_store_is_explained(hass: HomeAssistant, entry: MockConfigEntry, admin: Ask) -> None:
    from custom_components.sms1680.store.manager import DATA_STORE

    await hass.async_add_executor_job(hass.data[DATA_STORE].for_entry(entry).store.close)
    assert (await admin.refused("conversations/list"))["translation_key"] == "store_failed"


async def test_messages_of_an_unloaded_account_are_listed(
    hass: HomeAssistant, entry: MockConfigEntry, admin: Ask
) -> None:
    await send_to_number(hass)
    await hass.config_entries.async_unload(entry.entry_id)
    assert [one["name"] for one in await listed(admin)] == ["Alice"]
    [account] = (await admin("accounts/list"))["accounts"]
    assert not account["loaded"]
    assert "balance" not in account
