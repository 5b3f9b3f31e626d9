"""Questions, commands and opt-outs over CMPP and through the listener."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp.test_utils import unused_port
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events
from yarl import URL

from custom_components.sms1680 import const
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, BOB, MakeEntry, SetUp, Until, start_question, wait_for_messages

PIN = "4711350"
PEOPLE = [
    {"data": {"number": number, **more}, "subentry_type": "recipient", "title": name, "unique_id": number}
    for name, number, more in (("Alice", ALICE, {"commands": "pin", "pin": PIN}), ("Bob", BOB, {}))
]
SET_UP = {"recipients": PEOPLE, "options": {const.CONF_COMMAND_WORDS: ["撤防"]}}

Connected = Callable[..., Awaitable[MockConfigEntry]]


@pytest.fixture
def connected(hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, until: Until) -> Connected:
    """Return a function that adds a CMPP account and waits for its connection."""

    async def run(**given: Any) -> MockConfigEntry:
        made = make_entry(ways=("cmpp",), **given)
        await set_up(made)
        await until(lambda: (state := hass.states.get("binary_sensor.home_connected")) and state.state == "on")
        return made

    return run


async def test_question_over_cmpp_gets_its_answer(hass: HomeAssistant, connected: Connected, sandbox: Sandbox) -> None:
    await connected()
    asking = start_question(hass, "notify.alice", "notify.bob", tell_others="已由{name}处理")
    await wait_for_messages(sandbox, 2)
    sandbox.platform.reply(BOB, "好的")
    answer = await asking
    assert (answer["id"], answer["recipient"]) == ("yes", "Bob")
    await wait_for_messages(sandbox, 3)
    assert (sandbox.platform.messages[2].number, sandbox.platform.messages[2].text) == (
        ALICE,
        "【某某科技】已由Bob处理",
    )


async def test_questions_with_extensions_over_cmpp_get_their_own_answers(
    hass: HomeAssistant, connected: Connected, sandbox: Sandbox
) -> None:
    await connected(options={const.CONF_QUESTION_EXTENSIONS: "100-199"})
    asking = [start_question(hass, "notify.alice", question=f"第 {number} 题？") for number in range(4)]
    await wait_for_messages(sandbox, 4)
    for message in reversed(sandbox.platform.messages):
        number = int(message.text[-4])
        sandbox.platform.reply(ALICE, "好的" if number % 2 else "不用", extension=message.extension)
    assert [(await one)["id"] for one in asking] == ["no", "yes", "no", "yes"]


async def test_reports_of_all_segments_prove_a_long_question(
    hass: HomeAssistant, connected: Connected, sandbox: Sandbox
) -> None:
    await connected()
    asking = start_question(
        hass, "notify.alice", question="水位过高，" * 40 + "收到请回复 1", answers=[{"id": "acknowledged"}], drill=True
    )
    await wait_for_messages(sandbox)
    sandbox.platform.reply(ALICE, "收到")
    answer = await asking
    assert (answer["id"], answer["answers"][0]["delivery"]) == ("acknowledged", "delivered")
    assert not [issue for issue in ir.async_get(hass).issues.values() if issue.translation_key == "drill_failed"]


async def test_commands_and_opt_outs_arrive_over_cmpp(
    hass: HomeAssistant, connected: Connected, sandbox: Sandbox, until: Until
) -> None:
    await connected(**SET_UP)
    commands = async_capture_events(hass, const.EVENT_COMMAND)
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    await hass.services.async_call(
        const.DOMAIN, "send_message", {"entity_id": "notify.alice", "message": "后门打开"}, blocking=True
    )
    sandbox.platform.reply(ALICE, f"撤防 {PIN}")
    sandbox.platform.reply(ALICE, "TD")
    await until(lambda: len(messages) == 2)
    assert [(command.data["word"], command.data["via"]) for command in commands] == [("撤防", "cmpp")]
    assert {(one.data["content"], one.data["command"], one.data["opted_out"]) for one in messages} == {
        ("撤防", "accepted", False),
        ("TD", None, True),
    }


async def test_commands_and_opt_outs_arrive_through_the_listener(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp
) -> None:
    port = unused_port()
    await set_up(make_entry(recipients=PEOPLE, options={**SET_UP["options"], const.CONF_LISTENER_PORT: port}))
    commands = async_capture_events(hass, const.EVENT_COMMAND)
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    address = f"http://127.0.0.1:{port}/api/sms1680/push-secret-of-the-tests/1603/mo?mobile={ALICE}&xh=;&content="
    async with aiohttp.ClientSession() as session:
        for text in (f"撤防\n{PIN}", "TD"):
            async with session.get(URL(address + quote(text), encoded=True)) as response:
                assert await response.text() == "0"
    assert [(command.data["word"], command.data["via"]) for command in commands] == [("撤防", "listener")]
    assert [(one.data["content"], one.data["opted_out"]) for one in messages] == [("撤防", False), ("TD", True)]
