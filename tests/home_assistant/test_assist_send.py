"""The intent SMS1680Send: agents send messages to recipients by name, and say truly what happened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er, intent
from homeassistant.setup import async_setup_component
from support.pages import all_examples

from custom_components.sms1680 import const
from custom_components.sms1680.assist.intent import INTENT_SEND
from custom_components.sms1680.assist.sentences import read_sentence
from custom_components.sms1680.client import Reply
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    CAROL,
    UNREACHABLE,
    MakeEntry,
    SetUp,
    fail_next,
    receive,
    recipient,
    sent,
    use_gateway,
)

if TYPE_CHECKING:
    from homeassistant.core import Event
    from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

DAD, MUM = ALICE, BOB


@pytest.fixture
async def entry(hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp) -> MockConfigEntry:
    """An account with Dad (爸爸, an alias) and 小说家."""
    made = make_entry(recipients=[recipient("Dad", DAD), recipient("小说家", MUM)])
    await set_up(made)
    registry = er.async_get(hass)
    registry.async_update_entity("notify.dad", aliases=aliases_of(registry, "爸爸", "Papa Bear"))
    return made


def aliases_of(registry: er.EntityRegistry, *names: str) -> Any:
    """Return aliases as the registry of this version has them: a set, or a list in 2026.4 and later."""
    entity = registry.async_get("notify.dad")
    assert entity is not None
    return type(entity.aliases)(names)


@pytest.fixture
async def assist(hass: HomeAssistant) -> None:
    """Set up Home Assistant's own agent."""
    assert await async_setup_component(hass, "homeassistant", {})
    assert await async_setup_component(hass, "conversation", {})
    await hass.async_block_till_done()


async def say(hass: HomeAssistant, text: str, language: str = "en", context: Context | None = None) -> dict[str, Any]:
    """Say something to Home Assistant's own agent; return its response."""
    from homeassistant.components.conversation import async_converse

    result = await async_converse(hass, text, None, context or Context(), language)
    await hass.async_block_till_done()
    return result.response.as_dict()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")


def words(response: dict[str, Any]) -> str:
    speech: str = response["speech"]["plain"]["speech"]
    return speech


async def handle(hass: HomeAssistant, name: str, message: str, language: str = "en", **more: Any) -> dict[str, Any]:
    """Handle the intent as a language model's tool call does; return its response."""
    slots = {"recipient": {"value": name}, "message": {"value": message}}
    response = await intent.async_handle(hass, "test", INTENT_SEND, slots, language=language, **more)
    await hass.async_block_till_done()
    return response.as_dict()


@pytest.mark.usefixtures("entry", "assist")
@pytest.mark.parametrize(
    ("sentence", "language", "number", "message", "answer"),
    [
        ("text Dad that I am late", "en", DAD, "I am late", "Sent to Dad."),
        ("Text papa bear that I'm late, sorry!", "en", DAD, "I'm late, sorry!", "Sent to Dad."),
        ("send a text message to Dad saying I am late", "en", DAD, "I am late", "Sent to Dad."),
        ("tell Dad by SMS that I am late", "en", DAD, "I am late", "Sent to Dad."),
        ("text 爸爸 that dinner is ready", "zh-Hans", DAD, "dinner is ready", "Sent to Dad."),
        ("发短信给爸爸说我晚点回来", "zh-Hans", DAD, "我晚点回来", "已发送给Dad。"),
        ("发一条短信给爸爸，说：我晚点回来，别等我。", "zh-Hans", DAD, "我晚点回来，别等我。", "已发送给Dad。"),
        ("给爸爸发短信说我晚点回来", "en", DAD, "我晚点回来", "已发送给Dad。"),
        ("发短信给小说家说他说得对", "zh-Hans", MUM, "他说得对", "已发送给小说家。"),
    ],
)
async def test_own_agent_sends(
    hass: HomeAssistant, sandbox: Sandbox, sentence: str, language: str, number: str, message: str, answer: str
) -> None:
    assert words(await say(hass, sentence, language)) == answer
    assert sent(sandbox) == [(number, message)]


@pytest.mark.usefixtures("entry", "assist")
async def test_own_agent_handles_other_sentences_as_before(hass: HomeAssistant, sandbox: Sandbox) -> None:
    response = await say(hass, "text Dad")
    assert response["response_type"] == "error"
    assert sent(sandbox) == []
    assert read_sentence(hass, "text Dad") is None


@pytest.mark.usefixtures("entry", "assist")
@pytest.mark.parametrize(
    ("sentence", "answer"),
    [
        ("text 13800000001 that I am late", "I send text messages only to recipients by their names, not to numbers."),
        ("发短信给138 0000 0001说我晚点回来", "我只能按名称给接收人发短信，不能发给号码。"),
        ("text Grandma that I am late", "There is no recipient called Grandma. The recipients are: Dad, 小说家."),
        ("发短信给奶奶说我晚点回来", "没有名为奶奶的接收人。现有接收人：Dad、小说家。"),
    ],
)
async def test_own_agent_refuses_in_words(hass: HomeAssistant, sandbox: Sandbox, sentence: str, answer: str) -> None:
    assert words(await say(hass, sentence)) == answer
    assert sent(sandbox) == []


async def test_names_of_device_entity_and_person_count(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
) -> None:
    made = make_entry(recipients=[recipient("Alice", ALICE, person="person.al"), recipient("Bob", BOB)])
    await set_up(made)
    hass.states.async_set("person.al", "home", {"friendly_name": "Ally"})
    er.async_get(hass).async_update_entity("notify.alice", name="Mother's phone")
    device_id = er.async_get(hass).entities["notify.alice"].device_id
    assert device_id is not None
    dr.async_get(hass).async_update_device(device_id, name_by_user="The boss")
    for count, name in enumerate(("alice", "ALLY", "mother's  phone", "the boss")):
        assert words(await handle(hass, name, f"text {count}")) == "Sent to Alice."
    assert [number for number, _ in sent(sandbox)] == [ALICE] * 4


async def test_ambiguous_name_sends_nothing(
    hass: HomeAssistant, entry: MockConfigEntry, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
) -> None:
    other = make_entry(
        title="Second",
        http={"username": "second"},
        recipients=[recipient("Dad", CAROL)],
        webhook_id="second",
        push_secret="second",
    )
    await set_up(other)
    response = await handle(hass, "dad", "I am late")
    assert response["response_type"] == "error"
    assert words(response) == (
        "Several recipients are called dad: Dad (Home), Dad (Second). Nothing was sent. Which one do you mean?"
    )
    assert sent(sandbox) == []
    assert entry.title == "Home"


async def test_same_phone_in_two_accounts_is_one_recipient(
    hass: HomeAssistant, entry: MockConfigEntry, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
) -> None:
    other = make_entry(
        title="Second",
        http={"username": "second"},
        recipients=[recipient("Dad", DAD)],
        webhook_id="second",
        push_secret="second",
    )
    await set_up(other)
    await hass.config_entries.async_unload(entry.entry_id)
    assert words(await handle(hass, "dad", "I am late")) == "Sent to Dad."
    await hass.config_entries.async_unload(other.entry_id)
    assert words(await handle(hass, "dad", "I am late")) == (
        "The message to Dad was not sent. The account was not loaded."
    )
    assert len(sent(sandbox)) == 1


@pytest.mark.usefixtures("entry")
async def test_empty_and_invalid_messages(hass: HomeAssistant, sandbox: Sandbox) -> None:
    assert words(await handle(hass, "Dad", "  ")) == "The message is empty. Nothing was sent."
    assert words(await handle(hass, "Dad", "\u200b")) == "The message to Dad was not sent, because it is not valid."
    assert sent(sandbox) == []


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    ("preset", "answer", "is_error"),
    [
        ("review", "The message to Dad waits for a person at the platform.", False),
        ("drop_after", "The message to Dad may have been sent. It is not sent again automatically.", False),
        ("no_balance", "The message to Dad was not sent.", True),
    ],
)
async def test_outcome_is_told_truly(
    hass: HomeAssistant, sandbox: Sandbox, preset: str, answer: str, *, is_error: bool
) -> None:
    fail_next(sandbox, preset)
    response = await handle(hass, "Dad", "门开了")
    assert words(response).startswith(answer)
    assert (response["response_type"] == "error") is is_error


async def test_quiet_hours_delay_the_message(
    hass: HomeAssistant, quiet_entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    await hass.config.async_set_time_zone("UTC")
    assert words(await handle(hass, "Alice", "I am late")) == (
        "Alice has quiet hours. The message will be sent at 07:00."
    )
    assert words(await handle(hass, "Alice", "我晚点回来", "zh-Hans")) == ("Alice处于免打扰时段，短信将在07:00发送。")
    assert sent(sandbox) == []
    assert quiet_entry.title == "Home"


@pytest.mark.usefixtures("fails_at_once")
async def test_message_that_could_not_be_sent(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
) -> None:
    made = make_entry(
        recipients=[recipient("Dad", DAD), recipient("Mum", MUM, keep_trying={"minutes": 30})],
        http={"gateway": UNREACHABLE},
    )
    await set_up(made)
    await use_gateway(hass, made, UNREACHABLE)
    response = await handle(hass, "Dad", "I am late")
    assert response["response_type"] == "error"
    assert words(response).startswith("The message to Dad was not sent.")
    assert "Further attempts follow until" in words(await handle(hass, "Mum", "I am late"))
    assert sent(sandbox) == []


@pytest.mark.usefixtures("entry", "assist")
async def test_user_needs_the_permission(
    hass: HomeAssistant, sandbox: Sandbox, hass_read_only_user: MockUser, hass_admin_user: MockUser
) -> None:
    refused = await say(hass, "text Dad that I am late", context=Context(user_id=hass_read_only_user.id))
    assert words(refused) == "You may not send messages to Dad."
    gone = await say(hass, "text Dad that I am late", context=Context(user_id="gone"))
    assert words(gone) == "You may not send messages to Dad."
    assert sent(sandbox) == []
    allowed = await say(hass, "text Dad that I am late", context=Context(user_id=hass_admin_user.id))
    assert words(allowed) == "Sent to Dad."


@pytest.mark.usefixtures("assist")
async def test_recipient_texts_another_one_through_assist(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox, fired: dict[str, list[Event]]
) -> None:
    """The message that an SMS leads to is automatic, as its answer is."""
    made = make_entry(
        options={const.CONF_AUTOMATIC_LIMIT: 2},
        recipients=[recipient("Dad", DAD), recipient("Carol", CAROL, assist=True, assist_code=False)],
    )
    await set_up(made)
    for text in ("text Dad that I am late", "text Dad that I am later"):
        await receive(hass, made, Reply(CAROL, text))
        await hass.async_block_till_done(wait_background_tasks=True)
    assert sent(sandbox) == [(DAD, "I am late"), (CAROL, "Sent to Dad.")]
    assert [event.data["recipient"] for event in fired["sent"]][:2] == ["Dad", "Carol"]


@pytest.mark.usefixtures("entry")
async def test_own_sentences_of_the_documentation(hass: HomeAssistant, sandbox: Sandbox) -> None:
    (example,) = all_examples("sentences")
    write(Path(hass.config.path("custom_sentences", "en", "sms1680.yaml")), example.text)
    for component in ("homeassistant", "conversation"):
        assert await async_setup_component(hass, component, {})
    assert words(await say(hass, "let Dad know that I am late")) == "Sent to Dad."
    assert sent(sandbox) == [(DAD, "I am late")]


@pytest.mark.usefixtures("entry")
async def test_intent_is_described_for_language_models(hass: HomeAssistant) -> None:
    (handler,) = [one for one in intent.async_get(hass) if one.intent_type == INTENT_SEND]
    assert handler.description is not None
    assert handler.slot_schema is not None
    assert [str(key) for key in handler.slot_schema] == ["recipient", "message"]
    assert all(key.description for key in handler.slot_schema)
