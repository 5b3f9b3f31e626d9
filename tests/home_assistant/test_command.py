"""Commands by SMS in Home Assistant: authenticated by their code, which appears nowhere."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pyotp
import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Event, HomeAssistant, ServiceCall, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_mock_service,
)
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.sms1680 import const
from custom_components.sms1680.client import Reply
from custom_components.sms1680.conversation.engine.commands import MAX_WRONG
from custom_components.sms1680.diagnostics import async_get_config_entry_diagnostics
from custom_components.sms1680.inbound.models import InboundSource
from custom_components.sms1680.inbound.registry import async_get_registry
from custom_components.sms1680.store.db import HistoryQuery, StoredIn
from custom_components.sms1680.store.manager import DATA_STORE
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    CAROL,
    STRANGER,
    Connect,
    MakeEntry,
    SetUp,
    recipient,
    with_triggers,
)

PIN, SECRET = "4711350", "JBSWY3DPEHPK3PXP"
NOW = "2026-05-01 12:00:10+00:00"


@pytest.fixture
async def entry(make_entry: MakeEntry, set_up: SetUp) -> MockConfigEntry:
    """An account: Alice has a PIN, Bob an authenticator app, and Carol has commands turned off."""
    made = make_entry(
        options={const.CONF_COMMAND_WORDS: ["撤防", "开门"]},
        recipients=[
            recipient("Alice", ALICE, commands="pin", pin=PIN),
            recipient("Bob", BOB, commands="totp", totp_secret=SECRET),
            recipient("Carol", CAROL),
        ],
    )
    await set_up(made)
    return made


@pytest.fixture
def commands(hass: HomeAssistant) -> list[Event[dict[str, Any]]]:
    return async_capture_events(hass, const.EVENT_COMMAND)


@pytest.fixture
def receive(hass: HomeAssistant, entry: MockConfigEntry) -> Callable[..., Awaitable[None]]:
    async def run(text: str, number: str = ALICE, **more: Any) -> None:
        processor = async_get_registry(hass).async_get(entry)
        (await processor.async_receive(Reply(number, text, **more), InboundSource.WEBHOOK, 1)).mark_acknowledged()
        await hass.async_block_till_done()

    return run


Receive = Callable[..., Awaitable[None]]


def locked(hass: HomeAssistant) -> ir.IssueEntry | None:
    issues = ir.async_get(hass).issues.values()
    return next((issue for issue in issues if issue.issue_id.startswith("locked_out")), None)


async def test_command_with_pin_fires_its_event(
    receive: Receive, messages: list[Event], commands: list[Event], entry: MockConfigEntry
) -> None:
    await receive("撤防 车库 ４７１１３５０。")
    (command,) = commands
    (message,) = messages
    assert command.data == {
        "config_entry_id": entry.entry_id,
        "id": message.data["id"],
        "number": ALICE,
        "recipient": "Alice",
        "subentry_id": "alice",
        "content": "撤防 车库",
        "extension": "",
        "received_at": message.data["received_at"],
        "via": "webhook",
        "word": "撤防",
        "text": "车库",
        "proof": "pin",
    }
    assert (message.data["content"], message.data["command"]) == ("撤防 车库", "accepted")


@pytest.mark.parametrize("reloaded", [False, True])
async def test_time_based_code_works_once(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    receive: Receive,
    *,
    messages: list[Event],
    commands: list[Event],
    freezer: FrozenDateTimeFactory,
    reloaded: bool,
) -> None:
    freezer.move_to(NOW)
    code = pyotp.TOTP(SECRET).now()
    await receive(f"开门 {code}", BOB)
    if reloaded:
        assert await hass.config_entries.async_reload(entry.entry_id)
    await receive(f"开门 再来 {code}", BOB)
    assert [(command.data["word"], command.data["proof"]) for command in commands] == [("开门", "totp")]
    assert [message.data["command"] for message in messages] == ["accepted", "refused"]


@pytest.mark.parametrize(
    ("text", "number", "result"),
    [
        ("撤防", ALICE, None),
        ("撤防 4711351", ALICE, "refused"),
        ("布防 9999", ALICE, None),
        ("撤防 4711350", CAROL, None),
        ("撤防 4711350", STRANGER, None),
        ("撤防 4711350", BOB, "refused"),
    ],
)
async def test_other_texts_are_no_commands(
    receive: Receive, messages: list[Event], commands: list[Event], *, text: str, number: str, result: str | None
) -> None:
    await receive(text, number)
    assert not commands
    assert [(message.data["number"], message.data["command"]) for message in messages] == [(number, result)]


async def test_redelivered_or_incomplete_uplink_is_no_command(
    receive: Receive, messages: list[Event], commands: list[Event]
) -> None:
    await receive("撤防 4711350")
    await receive("撤防 4711350")
    await receive("开门 4711350", incomplete=True)
    assert len(commands) == 1
    assert [(message.data["redelivered"], message.data["command"]) for message in messages] == [
        (False, "accepted"),
        (True, None),
        (False, None),
    ]


async def test_codes_appear_nowhere(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    receive: Receive,
    *,
    freezer: FrozenDateTimeFactory,
    caplog: pytest.LogCaptureFixture,
    hass_storage: dict[str, Any],
) -> None:
    """Try valid and wrong codes, PINs and time-based codes, codes in two halves, and mistyped words."""
    freezer.move_to(NOW)
    caplog.set_level(logging.DEBUG)
    events = async_capture_events(hass, "*")
    code = pyotp.TOTP(SECRET).now()
    texts = {
        f"撤防 {PIN}": ALICE,
        f"撤访 {PIN}": ALICE,
        f"撤防 {PIN} 谢谢": ALICE,
        "撤防 0815777": ALICE,
        f"开门 {code[:3]} {code[3:]}": BOB,
        f"开们 {code}": BOB,
        f"开们 {code[:3]} {code[3:]}": BOB,
        f"开们{code[:3]}-{code[3:]}": BOB,
        f"开门 {code[:3]} {code[3:]} 谢谢": BOB,
    }
    for text, number in texts.items():
        await receive(text, number)
    stored = await asyncio.wrap_future(
        hass.data[DATA_STORE].for_entry(entry).store.messages(HistoryQuery(entries=[entry.entry_id]))
    )
    assert sorted(one.content or "" for one in stored if isinstance(one, StoredIn)) == sorted(
        ["撤防", "撤访 ****", "撤防 **** 谢谢", "撤防", "开门", "开们 ****", "开们 ****", "开们****", "开门 **** 谢谢"]
    )
    diagnostics = await async_get_config_entry_diagnostics(hass, entry)
    states = [state.as_dict() for state in hass.states.async_all()]
    await hass.async_block_till_done()
    assert f"sms1680.commands.{entry.entry_id}" in hass_storage
    logged = [record.getMessage() for record in caplog.records]
    everything = json.dumps(
        [*(event.data for event in events), states, diagnostics, hass_storage, logged], default=repr, ensure_ascii=False
    )
    assert "撤防 **** 谢谢" in everything
    for secret in (PIN, "0815777", code, f"{code[:3]} {code[3:]}", f"{code[:3]}-{code[3:]}", SECRET):
        assert secret not in everything


@pytest.mark.parametrize("running", [True, False])
async def test_wrong_codes_lock_out_and_the_repair_unlocks(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    receive: Receive,
    *,
    commands: list[Event],
    messages: list[Event],
    hass_client: ClientSessionGenerator,
    freezer: FrozenDateTimeFactory,
    running: bool,
) -> None:
    assert await async_setup_component(hass, "repairs", {})
    for attempt in range(MAX_WRONG):
        assert locked(hass) is None
        await receive(f"撤防 100{attempt}")
    await receive(f"撤防 {PIN}")
    assert not commands
    assert [message.data["command"] for message in messages] == [
        *["refused"] * (MAX_WRONG - 1),
        "locked_out",
        "locked_out",
    ]
    issue = locked(hass)
    assert issue is not None
    assert issue.is_fixable
    assert issue.translation_placeholders is not None
    assert issue.translation_placeholders["recipient"] == "Alice"
    # The lock-out survives a reload.
    assert await hass.config_entries.async_reload(entry.entry_id)
    freezer.tick(10)
    await receive(f"撤防 {PIN}")
    assert not commands
    if not running:
        assert await hass.config_entries.async_unload(entry.entry_id)
    client = await hass_client()
    flow = await (
        await client.post("/api/repairs/issues/fix", json={"handler": "sms1680", "issue_id": issue.issue_id})
    ).json()
    assert flow["step_id"] == "confirm"
    done = await (await client.post(f"/api/repairs/issues/fix/{flow['flow_id']}")).json()
    assert done["type"] == "create_entry"
    assert locked(hass) is None
    if not running:
        assert await hass.config_entries.async_setup(entry.entry_id)
    freezer.tick(10)
    await receive(f"撤防 {PIN}")
    assert len(commands) == 1


async def test_accepted_command_deletes_the_lock_out_repair(
    hass: HomeAssistant, receive: Receive, commands: list[Event], freezer: FrozenDateTimeFactory
) -> None:
    for attempt in range(MAX_WRONG):
        await receive(f"撤防 100{attempt}")
    freezer.tick(3600)
    await receive(f"撤防 {PIN}")
    assert len(commands) == 1
    assert locked(hass) is None


@pytest.mark.parametrize("running", [True, False])
async def test_removed_recipient_deletes_its_repairs_and_state(
    hass: HomeAssistant, entry: MockConfigEntry, receive: Receive, hass_storage: dict[str, Any], *, running: bool
) -> None:
    for attempt in range(MAX_WRONG):
        await receive(f"撤防 100{attempt}")
    await receive("TD")
    await receive("TD", CAROL)
    ours = [issue.issue_id for issue in ir.async_get(hass).issues.values() if issue.domain == const.DOMAIN]
    assert len(ours) == 3
    if not running:
        assert await hass.config_entries.async_unload(entry.entry_id)
    assert hass.config_entries.async_remove_subentry(entry, "alice")
    if not running:
        assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    left = [issue.issue_id for issue in ir.async_get(hass).issues.values() if issue.domain == const.DOMAIN]
    assert left == [f"opted_out_{entry.entry_id}_carol"]
    assert hass_storage[f"sms1680.commands.{entry.entry_id}"]["data"] == {}


async def test_removed_account_deletes_its_lock_outs(
    hass: HomeAssistant, entry: MockConfigEntry, receive: Receive, hass_storage: dict[str, Any]
) -> None:
    for attempt in range(MAX_WRONG):
        await receive(f"撤防 100{attempt}")
    assert f"sms1680.commands.{entry.entry_id}" in hass_storage
    await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()
    assert f"sms1680.commands.{entry.entry_id}" not in hass_storage
    assert locked(hass) is None


async def automate(hass: HomeAssistant, triggers: dict[str, Any]) -> list[ServiceCall]:
    calls = async_mock_service(hass, "test", "act")
    automation = {"id": "command", "alias": "command", "triggers": triggers, "actions": {"action": "test.act"}}
    assert await async_setup_component(hass, "automation", {"automation": [automation]})
    await hass.async_block_till_done()
    return calls


@with_triggers
@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 3),
        ({"word": "开门"}, 2),
        ({"word": ["撤防", "布防"]}, 1),
        ({"word": "开门", "text": "车库"}, 1),
        ({"recipient": "Alice"}, 3),
        ({"recipient": "Bob"}, 0),
    ],
)
async def test_command_trigger_filters_by_word_text_and_recipient(
    hass: HomeAssistant, receive: Receive, options: dict[str, Any], count: int
) -> None:
    calls = await automate(hass, {"trigger": "sms1680.command", "options": options})
    for text in (f"撤防 {PIN}", f"开门 车库 {PIN}", f"开门{PIN}", "开门 1000", "开门"):
        await receive(text)
    assert len(calls) == count


async def test_event_trigger_receives_commands(hass: HomeAssistant, receive: Receive) -> None:
    event = {"trigger": "event", "event_type": "sms1680_command", "event_data": {"word": "开门"}}
    calls = await automate(hass, event)
    await receive(f"开门 {PIN}")
    await receive("开门 1000")
    assert len(calls) == 1


@with_triggers
async def test_command_does_not_run_message_triggers(hass: HomeAssistant, receive: Receive) -> None:
    """A command with a wrong code must not act like a message that contains only its word."""
    calls = await automate(hass, {"trigger": "sms1680.message_received", "matches": "开门"})
    await receive(f"开门 {PIN}")
    await receive("开门 1000")
    assert not calls
    await receive("开门")
    assert len(calls) == 1


@with_triggers
async def test_option_handled_includes_accepted_commands_only(hass: HomeAssistant, receive: Receive) -> None:
    calls = await automate(hass, {"trigger": "sms1680.message_received", "handled": True})
    await receive("开门 1000")
    assert not calls
    await receive(f"开门 {PIN}")
    assert len(calls) == 1


async def test_event_entities_show_commands(hass: HomeAssistant, receive: Receive) -> None:
    await receive(f"开门 车库 {PIN}")
    for entity_id in ("event.home_inbox", "event.alice_messages"):
        state = hass.states.get(entity_id)
        assert state is not None
        assert (state.attributes["event_type"], state.attributes["content"]) == ("command", "开门 车库")


async def test_pushed_command_fires_its_event(
    hass: HomeAssistant, entry: MockConfigEntry, commands: list[Event], *, sandbox: Sandbox, connect: Connect
) -> None:
    await connect()
    sandbox.platform.reply(ALICE, f"开门 {PIN}")
    await sandbox.wait_for(lambda platform: not platform.pushes.waiting)
    await hass.async_block_till_done()
    assert [command.data["recipient"] for command in commands] == ["Alice"]
    assert entry.entry_id == commands[0].data["config_entry_id"]


async def test_command_during_a_reload_is_accepted_afterwards(
    hass: HomeAssistant, entry: MockConfigEntry, receive: Receive, commands: list[Event], messages: list[Event]
) -> None:
    assert await hass.config_entries.async_unload(entry.entry_id)
    await receive(f"撤防 {PIN}")
    assert not messages
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert [message.data["content"] for message in messages] == ["撤防"]
    assert [command.data["word"] for command in commands] == ["撤防"]


async def test_use_of_a_code_is_stored_before_its_events_fire(
    hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory, hass_storage: dict[str, Any]
) -> None:
    """A kill after the event must not let the code work again."""
    freezer.move_to(NOW)
    code = pyotp.TOTP(SECRET).at(int(freezer().timestamp()))
    stored: list[int] = []

    @callback
    def look(_: Event) -> None:
        stored.append(hass_storage[f"sms1680.commands.{entry.entry_id}"]["data"]["bob"]["used"])

    for event in (const.EVENT_MESSAGE_RECEIVED, const.EVENT_COMMAND):
        hass.bus.async_listen(event, look)
    processor = async_get_registry(hass).async_get(entry)
    await processor.async_receive(Reply(BOB, f"撤防 {code}"), InboundSource.WEBHOOK, 1)
    assert stored == [int(freezer().timestamp()) // 30] * 2


async def test_short_pin_of_an_earlier_version_works_with_a_repair(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp
) -> None:
    entry = make_entry(
        options={const.CONF_COMMAND_WORDS: ["撤防"]},
        recipients=[recipient("Alice", ALICE, commands="pin", pin="4711"), recipient("Bob", BOB)],
    )
    await set_up(entry)
    commands = async_capture_events(hass, const.EVENT_COMMAND)
    processor = async_get_registry(hass).async_get(entry)
    await processor.async_receive(Reply(ALICE, "撤防 4711"), InboundSource.WEBHOOK, 1)
    assert len(commands) == 1
    issue = f"short_pin_{entry.entry_id}_alice"
    assert ir.async_get(hass).async_get_issue(const.DOMAIN, issue) is not None
    hass.config_entries.async_update_subentry(
        entry, entry.subentries["alice"], data={**entry.subentries["alice"].data, "pin": "471135"}
    )
    await hass.async_block_till_done()
    assert ir.async_get(hass).async_get_issue(const.DOMAIN, issue) is None
