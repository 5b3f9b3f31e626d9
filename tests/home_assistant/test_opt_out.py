"""Requests to opt out: they are marked, raise a repair, and run no trigger."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_mock_service,
)

from custom_components.sms1680.client import DeliveryReport, Reply
from custom_components.sms1680.inbound.models import InboundSource
from custom_components.sms1680.inbound.registry import async_get_registry
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, STRANGER, act, receive, with_triggers


def repairs(hass: HomeAssistant) -> list[dict[str, str] | None]:
    issues = ir.async_get(hass).issues.values()
    return [issue.translation_placeholders for issue in issues if issue.translation_key == "opted_out"]


@pytest.mark.parametrize("text", ["TD", "退订", "ｎ", "【某某科技】T", "回复TD退订"])
async def test_opt_out_is_marked_and_raises_a_repair(
    hass: HomeAssistant, entry: MockConfigEntry, messages: list[Event], text: str
) -> None:
    await receive(hass, entry, Reply(ALICE, text))
    await receive(hass, entry, Reply(ALICE, "收到"))
    assert [message.data["opted_out"] for message in messages] == [True, False]
    assert repairs(hass) == [{"account": "Home", "who": "Alice"}]


async def test_unknown_numbers_share_one_repair(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await receive(hass, entry, Reply(STRANGER, "T"))
    await receive(hass, entry, Reply("13900000008", "T"))
    assert repairs(hass) == [{"account": "Home", "who": "139****0008"}]


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("[Log in](http://evil.test)", "****"),
        ("http://evil.test", "****"),
        ("<img src=x>", "****"),
        ("139 0000 0009", "139****0009"),
        ("１３９００００００", "****"),
        ("+85291234567", "+852****4567"),
    ],
)
async def test_nothing_of_a_push_but_a_masked_number_is_shown(
    hass: HomeAssistant, entry: MockConfigEntry, number: str, shown: str
) -> None:
    await receive(hass, entry, Reply(number, "T"))
    assert repairs(hass) == [{"account": "Home", "who": shown}]


async def test_status_of_a_push_is_no_link_in_a_repair(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    sent = await act(hass, "send_message", number=ALICE, message="门开了", priority="critical")
    status = "[a](http://evil.test) <b> www.evil.test"
    await receive(hass, entry, DeliveryReport(sent["messages"][0]["message_id"], ALICE, status))
    await hass.async_block_till_done(wait_background_tasks=True)
    issues = [one for one in ir.async_get(hass).issues.values() if one.translation_key == "critical_failed"]
    shown = [one.translation_placeholders["problem"] for one in issues if one.translation_placeholders]
    shown += [one["message"] for one in hass.data["persistent_notification"].values()]
    assert len(shown) == 2
    assert not [text for text in shown if set("[]<>") & set(text) or "://" in text or "www." in text]
    assert sandbox.platform.messages


async def test_removed_account_deletes_its_repairs(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    await receive(hass, entry, Reply(ALICE, "T"))
    await receive(hass, entry, Reply(STRANGER, "T"))
    assert len(repairs(hass)) == 2
    await hass.config_entries.async_remove(entry.entry_id)
    assert not repairs(hass)


async def test_opt_out_never_answers_a_question(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, messages: list[Event]
) -> None:
    data = {"question": "Y/N?", "answers": [{"id": "no", "sentences": ["n", "否"]}], "timeout": 20, "number": ALICE}
    call = act(hass, "ask_question", **data)
    asking = asyncio.create_task(call)
    await sandbox.wait_for(lambda platform: platform.messages)
    processor = async_get_registry(hass).async_get(entry)
    await processor.async_receive(Reply(ALICE, "N"), InboundSource.WEBHOOK, 1)
    await processor.async_receive(Reply(ALICE, "否"), InboundSource.WEBHOOK, 1)
    answer: Any = await asking
    assert (answer["id"], answer["sentence"]) == ("no", "否")
    assert [message.data["question"] for message in messages] == [None, "answered"]


@with_triggers
@pytest.mark.parametrize("more", [{}, {"handled": True, "redelivered": True, "from": "anyone"}])
async def test_opt_out_runs_no_trigger(hass: HomeAssistant, entry: MockConfigEntry, more: dict[str, Any]) -> None:
    calls = async_mock_service(hass, "test", "act")
    automation = {"triggers": {"trigger": "sms1680.message_received", **more}, "actions": {"action": "test.act"}}
    assert await async_setup_component(hass, "automation", {"automation": [{"id": "x", "alias": "x", **automation}]})
    await hass.async_block_till_done()
    await receive(hass, entry, Reply(ALICE, "TD"))
    assert not calls
    await receive(hass, entry, Reply(ALICE, "收到"))
    assert len(calls) == 1


@with_triggers
@pytest.mark.parametrize(("more", "count"), [({}, 0), ({"handled": True}, 1)])
async def test_option_handled_includes_answers(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, *, more: dict[str, Any], count: int
) -> None:
    calls = async_mock_service(hass, "test", "act")
    automation = {"triggers": {"trigger": "sms1680.message_received", **more}, "actions": {"action": "test.act"}}
    assert await async_setup_component(hass, "automation", {"automation": [{"id": "x", "alias": "x", **automation}]})
    data = {"question": "好吗？", "answers": [{"id": "yes"}], "timeout": 20, "number": ALICE}
    call = act(hass, "ask_question", **data)
    asking = asyncio.create_task(call)
    await sandbox.wait_for(lambda platform: platform.messages)
    await receive(hass, entry, Reply(ALICE, "好"))
    await asking
    await hass.async_block_till_done()
    assert len(calls) == count
