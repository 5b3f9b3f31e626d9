"""Recipients text Assist: which texts a conversation agent gets, and the answers that it gives by SMS."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.components import conversation
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import intent
from homeassistant.helpers.chat_session import async_get_chat_session
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.sms1680 import const
from custom_components.sms1680.assist import agent as assist_agent
from custom_components.sms1680.client import Reply
from custom_components.sms1680.conversation.engine.commands import MAX_WRONG
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    CAROL,
    MakeEntry,
    SetUp,
    Until,
    get_messages,
    receive,
    recipient,
    sent,
    start_question,
)

PIN, SECRET = "4711350", "JBSWY3DPEHPK3PXP"
NOW = "2026-05-01 12:00:10+00:00"


class ScriptedAgent(conversation.AbstractConversationAgent):
    """A conversation agent that notes what it is asked and says what a test wants."""

    def __init__(self, hass: HomeAssistant, agent_id: str) -> None:
        self.id = agent_id
        self._hass = hass
        self.asked: list[conversation.ConversationInput] = []
        self.says: str | Exception = "The light is on."
        self.gate: asyncio.Event | None = None

    @property
    def supported_languages(self) -> str:
        return "*"

    @property
    def texts(self) -> list[str]:
        return [one.text for one in self.asked]

    async def async_process(self, user_input: conversation.ConversationInput) -> conversation.ConversationResult:
        self.asked.append(user_input)
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.says, Exception):
            raise self.says
        response = intent.IntentResponse(language=user_input.language)
        response.async_set_speech(self.says)
        with async_get_chat_session(self._hass, user_input.conversation_id) as session:
            return conversation.ConversationResult(response, session.conversation_id)


@pytest.fixture
async def agent(hass: HomeAssistant) -> ScriptedAgent:
    """Set up Home Assistant's conversation with a scripted agent."""
    assert await async_setup_component(hass, "homeassistant", {})
    assert await async_setup_component(hass, "conversation", {})
    owner = MockConfigEntry(domain="scripted")
    owner.add_to_hass(hass)
    scripted = ScriptedAgent(hass, owner.entry_id)
    conversation.async_set_agent(hass, owner, scripted)
    return scripted


@pytest.fixture
async def entry(make_entry: MakeEntry, set_up: SetUp, agent: ScriptedAgent) -> MockConfigEntry:
    """An account: Alice has a PIN, Bob an authenticator app, and Carol needs no code."""
    more = {"assist": True, "assist_agent": agent.id}
    made = make_entry(
        options={const.CONF_COMMAND_WORDS: ["撤防"]},
        recipients=[
            recipient("Alice", ALICE, commands="pin", pin=PIN, **more),
            recipient("Bob", BOB, commands="totp", totp_secret=SECRET, **more),
            recipient("Carol", CAROL, assist_code=False, **more),
        ],
    )
    await set_up(made)
    return made


@pytest.fixture
def text(hass: HomeAssistant, entry: MockConfigEntry) -> Callable[..., Awaitable[None]]:
    """Return a function that receives an SMS and waits until it was answered."""

    async def run(content: str, number: str = CAROL, **more: Any) -> None:
        await receive(hass, entry, Reply(number, content, **more))
        await hass.async_block_till_done(wait_background_tasks=True)

    return run


Text = Callable[..., Awaitable[None]]


async def test_answer_comes_back_by_sms(
    text: Text, agent: ScriptedAgent, sandbox: Sandbox, messages: list[Event], fired: dict[str, list[Event]]
) -> None:
    await text("打开客厅的灯")
    assert agent.texts == ["打开客厅的灯"]
    assert sent(sandbox) == [(CAROL, "The light is on.")]
    assert messages[0].data["assist"] is True
    assert agent.asked[0].context.id == messages[0].context.id
    assert fired["sent"][0].data["recipient"] == "Carol"


async def test_answers_count_as_automatic(
    hass: HomeAssistant, text: Text, sandbox: Sandbox, entry: MockConfigEntry, agent: ScriptedAgent
) -> None:
    options = {**entry.options, const.CONF_AUTOMATIC_LIMIT: 2}
    hass.config_entries.async_update_entry(entry, options=options)
    await hass.async_block_till_done(wait_background_tasks=True)
    for count in range(4):
        await text(f"turn light {count} on")
    assert len(agent.asked) == 4
    assert len(sent(sandbox)) == 2
    [*_, message] = await get_messages(hass, direction="out")
    assert message["automatic"] is True


async def test_recipients_without_the_option_are_not_answered(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox, messages: list[Event]
) -> None:
    made = make_entry(recipients=[recipient("Alice", ALICE)])
    await set_up(made)
    await receive(hass, made, Reply(ALICE, "turn the light on"), Reply(CAROL, "turn the light on"))
    await hass.async_block_till_done(wait_background_tasks=True)
    assert [event.data["assist"] for event in messages] == [False, False]
    assert sent(sandbox) == []


async def test_code_is_needed_and_goes_nowhere(
    hass: HomeAssistant, text: Text, agent: ScriptedAgent, sandbox: Sandbox, messages: list[Event]
) -> None:
    await text(f"turn the light on {PIN}.", ALICE)
    assert agent.texts == ["turn the light on"]
    assert sent(sandbox) == [(ALICE, "The light is on.")]
    assert PIN not in str(messages[0].data)
    stored = await get_messages(hass)
    assert len(stored) == 2
    assert PIN not in str(stored)


async def test_text_without_a_code_gets_one_hint_a_day(
    text: Text, agent: ScriptedAgent, sandbox: Sandbox, messages: list[Event], freezer: FrozenDateTimeFactory
) -> None:
    await text("turn the light on", ALICE)
    await text("hello?", ALICE)
    assert agent.texts == []
    assert [number for number, _ in sent(sandbox)] == [ALICE]
    assert "end your text with your code" in sent(sandbox)[0][1]
    assert [event.data["assist"] for event in messages] == [True, False]
    freezer.tick(timedelta(days=1))
    await text("请开灯", ALICE)
    assert "请在短信末尾写上您的验证码" in sent(sandbox)[1][1]


async def test_code_of_an_app_works_once(
    text: Text, agent: ScriptedAgent, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(NOW)
    code = pyotp.TOTP(SECRET).at(dt_util.utcnow())
    await text(f"开灯 {code[:3]} {code[3:]}", BOB)
    await text(f"关灯 {code}", BOB)
    assert agent.texts == ["开灯"]
    assert sent(sandbox)[1] == (BOB, "验证码不正确或已经用过，没有执行任何操作。")


async def test_wrong_codes_lock_out_and_are_told_once(text: Text, agent: ScriptedAgent, sandbox: Sandbox) -> None:
    for count in range(MAX_WRONG + 2):
        await text(f"open the door 90817{count}0", ALICE)
    assert agent.texts == []
    words = [words for _, words in sent(sandbox)]
    assert [words_.split(".")[0] for words_ in words] == [
        *["The code is wrong, or it was used before"] * (MAX_WRONG - 1),
        "There were too many wrong codes",
    ]
    await text(f"open the door {PIN}", ALICE)
    assert agent.texts == []


async def test_use_of_a_code_is_stored_before_the_agent_acts(
    text: Text,
    agent: ScriptedAgent,
    entry: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
    hass_storage: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    freezer.move_to(NOW)
    stored: list[int] = []
    process = agent.async_process

    async def look(user_input: conversation.ConversationInput) -> conversation.ConversationResult:
        stored.append(hass_storage[f"sms1680.commands.{entry.entry_id}"]["data"]["bob"]["steps"][-1])
        return await process(user_input)

    monkeypatch.setattr(agent, "async_process", look)
    await text(f"开灯 {pyotp.TOTP(SECRET).at(dt_util.utcnow())}", BOB)
    assert stored == [int(dt_util.utcnow().timestamp() // 30)]


async def test_answers_commands_and_opt_outs_come_first(
    hass: HomeAssistant, text: Text, agent: ScriptedAgent, messages: list[Event], sandbox: Sandbox
) -> None:
    question = start_question(hass, "notify.carol")
    await sandbox.wait_for(lambda platform: len(platform.messages) == 1)
    await text("yes")
    assert (await question)["answers"]
    await text(f"撤防 {PIN}", ALICE)
    await text("TD")
    assert agent.texts == []
    assert [event.data["assist"] for event in messages] == [False, False, False]
    assert messages[1].data["command"] == "accepted"


async def test_question_that_any_text_answers_does_not_swallow_later_texts_with_a_code(
    hass: HomeAssistant, text: Text, agent: ScriptedAgent, messages: list[Event], sandbox: Sandbox
) -> None:
    question = start_question(hass, "notify.alice", answers=[])
    await sandbox.wait_for(lambda platform: len(platform.messages) == 1)
    await text("Tomatoes", ALICE)
    assert (await question)["sentence"] == "Tomatoes"
    await text(f"turn on the light {PIN}", ALICE)
    await text("Potatoes", ALICE)
    assert agent.texts == ["turn on the light"]
    assert [event.data["question"] for event in messages] == ["answered", None, "over"]


async def test_one_conversation_a_phone_for_ten_minutes(
    hass: HomeAssistant, text: Text, agent: ScriptedAgent, entry: MockConfigEntry, freezer: FrozenDateTimeFactory
) -> None:
    async def later(minutes: int) -> None:
        for _ in range(minutes):
            freezer.tick(60)
            async_fire_time_changed(hass)
            await hass.async_block_till_done()

    await text("turn the light on")
    first = agent.asked[0].conversation_id
    assert first is None
    await text("and now off")
    known = agent.asked[1].conversation_id
    assert known is not None
    await text(f"turn the light on {PIN}", ALICE)
    assert agent.asked[2].conversation_id is None
    await later(9)
    await text("and on again")
    assert agent.asked[3].conversation_id == known
    await later(11)
    await text("and off again")
    assert agent.asked[4].conversation_id is None
    await hass.config_entries.async_unload(entry.entry_id)


async def test_answers_are_limited_per_hour(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    text: Text,
    agent: ScriptedAgent,
    sandbox: Sandbox,
    freezer: FrozenDateTimeFactory,
) -> None:
    """A reload does not reset the count."""
    freezer.move_to(NOW)
    for count in range(const.DEFAULT_ASSIST_HOURLY + 3):
        await text(f"turn light {count} on")
    assert len(agent.asked) == const.DEFAULT_ASSIST_HOURLY
    assert len(sent(sandbox)) == const.DEFAULT_ASSIST_HOURLY + 1
    assert "limit of answers" in sent(sandbox)[-1][1]
    assert await hass.config_entries.async_reload(entry.entry_id)
    await text("turn the light on after all")
    assert len(agent.asked) == const.DEFAULT_ASSIST_HOURLY
    assert len(sent(sandbox)) == const.DEFAULT_ASSIST_HOURLY + 1
    freezer.tick(timedelta(hours=1))
    await text("turn the light on")
    assert len(agent.asked) == const.DEFAULT_ASSIST_HOURLY + 1


async def test_interrupted_answer_is_told(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    agent: ScriptedAgent,
    sandbox: Sandbox,
    freezer: FrozenDateTimeFactory,
    until: Until,
    caplog: pytest.LogCaptureFixture,
    hass_storage: dict[str, Any],
) -> None:
    """The account stops while the agent thinks about one text, and another one waits for its turn."""
    freezer.move_to(NOW)
    await hass.config.async_set_time_zone("Asia/Shanghai")
    agent.gate = asyncio.Event()
    await receive(hass, entry, Reply(CAROL, "打开客厅的灯"), Reply(CAROL, "and off again"), settle=False)
    stored = f"sms1680.assist.{entry.entry_id}"
    await until(
        lambda: agent.asked and len(hass_storage.get(stored, {"data": {"under_way": ()}})["data"]["under_way"]) == 2
    )
    assert CAROL not in str(hass_storage[stored])
    assert "灯" not in str(hass_storage[stored])
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert len(agent.asked) == 1
    assert sorted(words for _, words in sent(sandbox)) == [
        "Your text of 05-01 20:00 was not answered, because Home Assistant stopped. Please check what it did.",
        "您 05-01 20:00 的短信没有得到答复，因为 Home Assistant 中断了，请检查您要求的操作是否已执行。",
    ]
    assert caplog.text.count("A text to Assist was not answered") == 2
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert len(sent(sandbox)) == 2
    await hass.config_entries.async_remove(entry.entry_id)
    assert stored not in hass_storage


async def test_memory_of_another_version_does_not_keep_the_account_from_loading(
    make_entry: MakeEntry, set_up: SetUp, hass_storage: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    entry = make_entry()
    phones = {"alice": {"answered": [], "said": {"A_LATER_NOTICE": 1.0}}}
    hass_storage[f"sms1680.assist.{entry.entry_id}"] = {"version": 1, "data": {"phones": phones, "under_way": {}}}
    await set_up(entry)
    assert "The memory of Assist was stored by another version" in caplog.text


@pytest.mark.parametrize(
    "content", ["【某某银行】您的余额不足", "Your parcel is here【快递】", "The light is on!", "…"]
)
async def test_automatic_texts_are_not_answered(
    text: Text, agent: ScriptedAgent, sandbox: Sandbox, content: str
) -> None:
    await text("turn the light on")
    await text(content)
    assert len(agent.asked) == len(sent(sandbox)) == 1


@pytest.mark.parametrize(("parts", "length"), [(1, 70), (2, 134), (3, 201)])
async def test_long_answers_are_cut(
    hass: HomeAssistant,
    text: Text,
    agent: ScriptedAgent,
    sandbox: Sandbox,
    entry: MockConfigEntry,
    parts: int,
    length: int,
) -> None:
    carol = entry.subentries["carol"]
    hass.config_entries.async_update_subentry(entry, carol, data={**carol.data, "assist_parts": parts})
    agent.says = "很长的答复" * 60
    await text("说一个故事")
    [message] = sandbox.platform.messages
    assert len(message.text) == length
    assert message.text.endswith("…")


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (HomeAssistantError("http://10.0.0.1/secret"), "Assist could not answer"),
        (RuntimeError("http://10.0.0.1/secret"), "Assist could not answer"),
        ("", "Done."),
    ],
)
async def test_failure_of_the_agent_is_told_once(
    text: Text, agent: ScriptedAgent, sandbox: Sandbox, says: str | Exception, words: str
) -> None:
    agent.says = says
    await text("turn the light on")
    [(number, answer)] = sent(sandbox)
    assert number == CAROL
    assert answer.startswith(words)


async def test_missing_agent_is_told(hass: HomeAssistant, text: Text, sandbox: Sandbox, entry: MockConfigEntry) -> None:
    carol = entry.subentries["carol"]
    hass.config_entries.async_update_subentry(entry, carol, data={**carol.data, "assist_agent": "conversation.gone"})
    await text("开灯")
    assert sent(sandbox) == [(CAROL, "Assist 无法答复，请检查您要求的操作是否已执行。")]


async def test_home_assistant_without_conversation_is_told(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
) -> None:
    """The integration needs none of Assist's packages to be set up."""
    made = make_entry(recipients=[recipient("Carol", CAROL, assist=True, assist_code=False)])
    await set_up(made)
    await receive(hass, made, Reply(CAROL, "turn the light on"))
    await hass.async_block_till_done(wait_background_tasks=True)
    assert sent(sandbox)[0][1].startswith("Assist could not answer.")


async def test_agent_that_hangs_is_told(
    text: Text, agent: ScriptedAgent, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assist_agent, "TIMEOUT", 0.01)
    agent.gate = asyncio.Event()
    await text("turn the light on")
    assert sent(sandbox)[0][1].startswith("Assist did not answer in time")


async def test_texts_of_one_phone_are_answered_in_order(
    hass: HomeAssistant, agent: ScriptedAgent, sandbox: Sandbox, entry: MockConfigEntry
) -> None:
    agent.gate = asyncio.Event()
    await receive(hass, entry, Reply(CAROL, "first text"), Reply(CAROL, "second text"))
    assert agent.texts == ["first text"]
    agent.gate.set()
    await hass.async_block_till_done(wait_background_tasks=True)
    assert agent.texts == ["first text", "second text"]
    assert len(sent(sandbox)) == 2


async def test_language_is_that_of_the_text(hass: HomeAssistant, text: Text, agent: ScriptedAgent) -> None:
    for content in ("turn the light on", "开灯", "12"):
        await text(content)
    assert [one.language for one in agent.asked] == ["en", "zh-Hans", "en"]
    hass.config.language = "zh-Hant"
    for content in ("turn the light off", "開燈了", "13"):
        await text(content)
    assert [one.language for one in agent.asked][3:] == ["en", "zh-Hant", "zh-Hant"]


async def test_answer_that_cannot_be_sent_is_dropped(
    hass: HomeAssistant, text: Text, sandbox: Sandbox, entry: MockConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    options = {**entry.options, const.CONF_SOURCE_NUMBER: "106900001680"}
    hass.config_entries.async_update_entry(entry, options=options)
    agents_words = "turn the light on"
    carol = entry.subentries["carol"]
    hass.config_entries.async_update_subentry(entry, carol, data={**carol.data, "extension": "x" * 30})
    await text(agents_words)
    assert sent(sandbox) == []
    assert "An answer of Assist could not be sent" in caplog.text


async def test_preferred_pipeline_chooses_the_agent(
    hass: HomeAssistant, text: Text, sandbox: Sandbox, entry: MockConfigEntry, agent: ScriptedAgent
) -> None:
    """Home Assistant's own agent answers if no agent is chosen, here over the preferred pipeline."""
    choose_no_agent(hass, entry)
    await text("nevermind")
    assert len(sent(sandbox)) == 1
    await prefer(hass, agent)
    await text("turn the light on")
    assert agent.texts == ["turn the light on"]
    assert sent(sandbox)[1] == (CAROL, "The light is on.")


def choose_no_agent(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    carol = entry.subentries["carol"]
    data = {name: value for name, value in carol.data.items() if name != "assist_agent"}
    hass.config_entries.async_update_subentry(entry, carol, data=data)


async def prefer(hass: HomeAssistant, agent: ScriptedAgent, **more: Any) -> None:
    """Set up the preferred pipeline with this agent."""
    assert await async_setup_component(hass, "assist_pipeline", {})
    from homeassistant.components import assist_pipeline

    pipeline = assist_pipeline.async_get_pipeline(hass)
    chosen = {"conversation_engine": agent.id, "conversation_language": "en", **more}
    await assist_pipeline.async_update_pipeline(hass, pipeline, **chosen)


async def test_pipeline_prefers_local_intents_if_it_is_set_to(
    hass: HomeAssistant, text: Text, sandbox: Sandbox, entry: MockConfigEntry, agent: ScriptedAgent
) -> None:
    """As in Assist itself, sentence triggers always come first."""
    trigger = {"trigger": "conversation", "command": "open sesame"}
    automation = {"id": "sesame", "triggers": trigger, "actions": {"set_conversation_response": "It is open."}}
    assert await async_setup_component(hass, "automation", {"automation": [automation]})
    choose_no_agent(hass, entry)
    await prefer(hass, agent, prefer_local_intents=False)
    await text("open sesame")
    await text("nevermind")
    assert (agent.texts, sent(sandbox)[0]) == (["nevermind"], (CAROL, "It is open."))
    await prefer(hass, agent, prefer_local_intents=True)
    await text("never mind")
    await text("tell me a joke")
    assert agent.texts == ["nevermind", "tell me a joke"]
    first, last = agent.asked
    assert last.conversation_id == first.conversation_id is not None
