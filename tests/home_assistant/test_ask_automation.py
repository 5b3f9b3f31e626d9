"""Questions in automations and scripts, two hundred at once, and interrupted questions."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.setup import async_setup_component

from custom_components.sms1680 import const
from custom_components.sms1680.conversation.engine import memory
from sms1680.sandbox import Account, Config, Sandbox
from tests.home_assistant.helpers import ALICE, Connect, MakeEntry, SetUp, act, wait_for_messages

ASK = {
    "action": "sms1680.ask_question",
    "target": {"entity_id": "notify.alice"},
    "data": {"question": "车库门还开着，要关上吗？", "answers": [{"id": "yes"}, {"id": "no"}], "timeout": "00:00:20"},
    "response_variable": "answer",
}
ACT = {
    "action": "test.acted",
    "data": {"id": "{{ answer.id }}", "reason": "{{ answer.reason | default('-') }}", "who": "{{ answer.recipient }}"},
}


@pytest.fixture
def sandbox_config() -> Config:
    home = Account("homeuser", "s3cret-Passw0rd", products={"61341": 1000})
    return Config(accounts=(home,), report_delay=0.0, repeat_limit=1000)


@pytest.fixture
def enable_event_loop_debug() -> None:
    """Turn off the loop's debug mode, which records the origin of each of thousands of callbacks."""


async def automate(hass: HomeAssistant) -> None:
    automation = {"id": "ask", "alias": "ask", "triggers": {"trigger": "event", "event_type": "left_open"}}
    assert await async_setup_component(hass, "automation", {"automation": {**automation, "actions": [ASK, ACT]}})
    hass.bus.async_fire("left_open")


@pytest.mark.usefixtures("entry")
async def test_reply_continues_an_automation(
    hass: HomeAssistant, sandbox: Sandbox, connect: Connect, acted: list[ServiceCall]
) -> None:
    await connect()
    await automate(hass)
    await wait_for_messages(sandbox)
    sandbox.platform.reply(ALICE, "好的")
    await hass.async_block_till_done()
    assert [call.data for call in acted] == [{"id": "yes", "reason": "-", "who": "Alice"}]


@pytest.mark.usefixtures("entry")
async def test_reply_continues_a_script(
    hass: HomeAssistant, sandbox: Sandbox, connect: Connect, acted: list[ServiceCall]
) -> None:
    await connect()
    assert await async_setup_component(hass, "script", {"script": {"ask": {"sequence": [ASK, ACT]}}})
    running = hass.async_create_task(hass.services.async_call("script", "ask", blocking=True))
    await wait_for_messages(sandbox)
    sandbox.platform.reply(ALICE, "2")
    await running
    assert [call.data["id"] for call in acted] == ["no"]


async def test_two_hundred_concurrent_questions_get_their_answers(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, *, sandbox: Sandbox, connect: Connect
) -> None:
    """Ask twenty phones ten questions each; the answers arrive in any order, each to its own extension."""
    options = {"hourly_limit": 1000, "daily_limit": 1000, "number_limit": 1000}
    await set_up(make_entry(options={const.CONF_QUESTION_EXTENSIONS: "100-199", **options}))
    await connect()
    drawn = random.Random(1680)
    numbers = [f"138000000{phone:02}" for phone in range(20)]
    wanted = {f"{number} 第 {count} 题": drawn.choice("甲乙丙") for number in numbers for count in range(10)}

    async def ask(question: str) -> Any:
        data = {
            "number": question.partition(" ")[0],
            "question": question,
            "answers": [{"id": word, "sentences": word} for word in "甲乙丙"],
            "timeout": 240,
        }
        return await act(hass, "ask_question", **data)

    asking = {question: hass.async_create_task(ask(question)) for question in wanted}
    await sandbox.wait_for(lambda platform: len(platform.messages) == 200, timeout=120)
    messages = drawn.sample(sandbox.platform.messages, 200)
    for message in messages:
        sandbox.platform.reply(
            message.number, wanted[message.text.removeprefix("【某某科技】")], extension=message.extension
        )
    answers = {question: (await task)["id"] for question, task in asking.items()}
    assert answers == wanted
    assert len({(message.number, message.extension) for message in messages}) == 200


@pytest.mark.usefixtures("entry")
async def test_turning_the_automation_off_cancels_the_question(
    hass: HomeAssistant,
    sandbox: Sandbox,
    connect: Connect,
    acted: list[ServiceCall],
    *,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "GRACE", 0.3)
    await connect()
    await automate(hass)
    await wait_for_messages(sandbox)
    await hass.services.async_call("automation", "turn_off", {"entity_id": "automation.ask"}, blocking=True)
    await hass.services.async_call("automation", "turn_on", {"entity_id": "automation.ask"}, blocking=True)
    hass.bus.async_fire("left_open")
    await wait_for_messages(sandbox, 2)
    sandbox.platform.reply(ALICE, "否")
    await hass.async_block_till_done()
    assert [call.data["id"] for call in acted] == ["no"]


@pytest.mark.usefixtures("entry")
async def test_shutdown_cancels_the_question_without_acting(
    hass: HomeAssistant, sandbox: Sandbox, connect: Connect, acted: list[ServiceCall]
) -> None:
    await connect()
    await automate(hass)
    await wait_for_messages(sandbox)
    async with asyncio.timeout(20):
        await hass.async_stop(force=True)
    assert not acted
    assert len(sandbox.platform.messages) == 1
