"""A language-model agent: Home Assistant's Ollama integration, with a scripted server on loopback."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from homeassistant.core import Context, HomeAssistant
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.sms1680 import const
from custom_components.sms1680.client import Reply
from tests.home_assistant.helpers import ALICE, CAROL, MakeEntry, SetUp, receive, recipient, sent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from freezegun.api import FrozenDateTimeFactory

    from sms1680.sandbox import Sandbox

pytest.importorskip("ollama", reason="The client of Home Assistant's Ollama integration is not installed")

AGENT = "conversation.ollama"
HAS_PREFIX = importlib.util.find_spec("homeassistant.components.llm") is not None


class ScriptedModel:
    """An Ollama server that says what a test wants, and notes what it is asked."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.says: list[dict[str, Any]] = []
        self.status = 200

    @property
    def texts(self) -> list[list[str]]:
        """The texts of the user in each request."""
        return [[one["content"] for one in request["messages"] if one["role"] == "user"] for request in self.requests]

    def send(self, name: str, message: str) -> dict[str, Any]:
        """Return a call of the tool that sends a message. Its name has a prefix in versions that have `llm`."""
        tool = "sms1680__SMS1680Send" if HAS_PREFIX else "SMS1680Send"
        arguments = {"recipient": name, "message": message}
        return {"content": "", "tool_calls": [{"function": {"name": tool, "arguments": arguments}}]}

    async def tags(self, _: web.Request) -> web.Response:
        return web.json_response({"models": []})

    async def chat(self, request: web.Request) -> web.Response:
        self.requests.append(await request.json())
        if self.status != 200:
            return web.json_response({"error": "http://10.0.0.1/secret"}, status=self.status)
        message = {"role": "assistant", **self.says.pop(0)}
        lines = [
            {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": False},
            {
                "model": "m",
                "created_at": "2026-01-01T00:00:00Z",
                "message": {"role": "assistant", "content": ""},
                "done": True,
                "done_reason": "stop",
            },
        ]
        body = "".join(f"{json.dumps(line)}\n" for line in lines)
        return web.Response(text=body, content_type="application/x-ndjson")


@pytest.fixture
async def model(hass: HomeAssistant) -> AsyncIterator[ScriptedModel]:
    """Set up Home Assistant's Ollama integration with the scripted server, and with its tools."""
    scripted = ScriptedModel()
    app = web.Application()
    app.router.add_get("/api/tags", scripted.tags)
    app.router.add_post("/api/chat", scripted.chat)
    async with TestServer(app) as server:
        for component in ("homeassistant", "conversation"):
            assert await async_setup_component(hass, component, {})
        # The integration migrates this form, which the oldest version has.
        made = MockConfigEntry(
            domain="ollama",
            title="Ollama",
            data={"url": str(server.make_url("")), "model": "m"},
            options={"llm_hass_api": "assist", "prompt": "You are a house."},
        )
        made.add_to_hass(hass)
        assert await async_setup_component(hass, "ollama", {})
        await hass.async_block_till_done()
        assert hass.states.get(AGENT) is not None, hass.states.async_entity_ids("conversation")
        yield scripted
        await hass.config_entries.async_unload(made.entry_id)


@pytest.fixture
async def entry(make_entry: MakeEntry, set_up: SetUp, model: ScriptedModel) -> MockConfigEntry:  # noqa: ARG001 - first
    """An account: Carol may talk to the model without a code."""
    more = {"assist": True, "assist_agent": AGENT, "assist_code": False}
    made = make_entry(recipients=[recipient("Dad", ALICE), recipient("Carol", CAROL, **more)])
    await set_up(made)
    return made


async def converse(hass: HomeAssistant, text: str) -> str:
    from homeassistant.components.conversation import async_converse

    result = await async_converse(hass, text, None, Context(), "en", AGENT)
    speech: str = result.response.speech["plain"]["speech"]
    return speech


@pytest.mark.usefixtures("entry")
async def test_model_sends_to_a_recipient(hass: HomeAssistant, model: ScriptedModel, sandbox: Sandbox) -> None:
    model.says = [model.send("dad", "I'm late"), {"content": "I texted Dad."}]
    assert await converse(hass, "Let my father know that I'm late") == "I texted Dad."
    assert sent(sandbox) == [(ALICE, "I'm late")]
    (tool,) = [one["function"] for one in model.requests[0]["tools"] if one["function"]["name"].endswith("SMS1680Send")]
    assert "never by number" in tool["description"]
    assert tool["parameters"]["required"] == ["recipient", "message"]
    assert tool["parameters"]["properties"]["recipient"]["description"] == "The name or alias of the person"
    assert "Sent to Dad." in str(model.requests[1]["messages"][-1])


@pytest.mark.usefixtures("entry")
async def test_model_is_refused_numbers_and_unknown_names(
    hass: HomeAssistant, model: ScriptedModel, sandbox: Sandbox
) -> None:
    model.says = [model.send("13800000001", "hi"), model.send("Grandma", "hi"), {"content": "I cannot."}]
    assert await converse(hass, "text somebody") == "I cannot."
    assert "not to numbers" in str(model.requests[1]["messages"][-1])
    assert "no recipient called Grandma" in str(model.requests[2]["messages"][-1])
    assert sent(sandbox) == []


async def test_conversation_by_sms_is_remembered_for_ten_minutes(
    hass: HomeAssistant, entry: MockConfigEntry, model: ScriptedModel, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    async def text(content: str) -> None:
        model.says = [{"content": "好的"}]
        await receive(hass, entry, Reply(CAROL, content))
        await hass.async_block_till_done(wait_background_tasks=True)

    async def later(minutes: int) -> None:
        for _ in range(minutes):
            freezer.tick(60)
            async_fire_time_changed(hass)
            await hass.async_block_till_done()

    await text("我叫小明")
    await later(9)
    await text("我叫什么名字？")
    await later(11)
    await text("你还记得吗？")
    assert model.texts == [["我叫小明"], ["我叫小明", "我叫什么名字？"], ["你还记得吗？"]]
    assert sent(sandbox) == [(CAROL, "好的")] * 3


async def test_model_acts_on_an_sms_and_its_message_is_automatic(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, model: ScriptedModel, sandbox: Sandbox
) -> None:
    more = {"assist": True, "assist_agent": AGENT, "assist_code": False}
    made = make_entry(
        options={const.CONF_AUTOMATIC_LIMIT: 2},
        recipients=[recipient("Dad", ALICE), recipient("Carol", CAROL, **more)],
    )
    await set_up(made)
    model.says = [model.send("Dad", "call Carol"), model.send("Dad", "now"), {"content": "Done twice."}]
    await receive(hass, made, Reply(CAROL, "tell my father to call me"))
    await hass.async_block_till_done(wait_background_tasks=True)
    assert sent(sandbox) == [(ALICE, "call Carol"), (ALICE, "now")]


async def test_error_of_the_model_is_told_in_words(
    hass: HomeAssistant, entry: MockConfigEntry, model: ScriptedModel, sandbox: Sandbox
) -> None:
    model.status = 500
    await receive(hass, entry, Reply(CAROL, "are you there?"))
    await hass.async_block_till_done(wait_background_tasks=True)
    [(number, words)] = sent(sandbox)
    assert number == CAROL
    assert words.startswith("Assist could not answer.")
