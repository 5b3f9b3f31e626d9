"""The action `ask_question`, with a real platform and a real phone's replies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.sms1680 import const
from custom_components.sms1680.client import DeliveryReport, Reply
from custom_components.sms1680.receiving import Way, async_get_receivers
from sms1680.sandbox import Sandbox

ALICE, BOB, CAROL = "13800000001", "13800000002", "13800000003"
MakeEntry = Callable[..., MockConfigEntry]
SetUp = Callable[[MockConfigEntry], Awaitable[None]]


@pytest.fixture
def messages(hass: HomeAssistant) -> list[Event[dict[str, Any]]]:
    return async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)


def start(hass: HomeAssistant, *entities: str, **data: Any) -> asyncio.Task[Any]:
    """Begin to ask."""
    given = {"question": "要关上车库门吗？", "answers": [{"id": "yes"}, {"id": "no"}], "timeout": 20, **data}
    if entities:
        given["entity_id"] = list(entities)
    call = hass.services.async_call(const.DOMAIN, "ask_question", given, blocking=True, return_response=True)
    return hass.async_create_task(call, eager_start=True)


async def sent(sandbox: Sandbox, count: int = 1) -> None:
    """Wait until so many messages are with the platform."""
    await sandbox.wait_for(lambda platform: len(platform.messages) >= count)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until something is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what it waits for tells nobody
            await asyncio.sleep(0)


async def reply(
    hass: HomeAssistant, entry: MockConfigEntry, text: str, number: str = ALICE, extension: str = "", **more: Any
) -> None:
    receiver = async_get_receivers(hass).async_get(entry)
    (await receiver.async_receive(Reply(number, text, extension, **more), Way.WEBHOOK, 1)).answered()


async def test_the_answer_and_who_gave_it(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, messages: list[Event]
) -> None:
    asking = start(hass, "notify.alice")
    await sent(sandbox)
    await reply(hass, entry, "要不要吃饭")
    await reply(hass, entry, "好的。")
    answer = await asking
    assert answer["elapsed"] > 0
    assert {name: answer[name] for name in ("id", "sentence", "number", "recipient")} == {
        "id": "yes",
        "sentence": "好的。",
        "number": ALICE,
        "recipient": "Alice",
    }
    assert [(event.data["question"], event.data["answer"]) for event in messages] == [(None, None), ("answered", "yes")]
    (message,) = sandbox.platform.messages
    assert (message.number, message.text) == (ALICE, "【某某科技】要关上车库门吗？")


async def test_any_reply_is_the_answer_where_none_are_named(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    asking = start(hass, "notify.alice", answers=[])
    await sent(sandbox)
    await reply(hass, entry, "明天三点")
    answer = await asking
    assert (answer["id"], answer["sentence"]) == (None, "明天三点")
    assert "reason" not in answer


@pytest.mark.usefixtures("entry")
async def test_nobody_is_asked_by_default(hass: HomeAssistant) -> None:
    with pytest.raises(ServiceValidationError):
        await start(hass)


async def test_what_yaml_makes_of_yes_and_no_and_numbers_is_understood(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    asking = start(hass, "notify.alice", answers=[{"id": True}, {"id": 2, "sentences": [2, False]}])
    await sent(sandbox)
    await reply(hass, entry, "No")
    assert (await asking)["id"] == "2"


async def test_no_answer_in_time(hass: HomeAssistant, entry: MockConfigEntry, messages: list[Event]) -> None:
    answer = await start(hass, "notify.alice", timeout={"milliseconds": 300})
    assert (answer["id"], answer["reason"]) == (None, "timeout")
    await reply(hass, entry, "是")
    assert (messages[0].data["question"], messages[0].data["answer"]) == ("over", "yes")


@pytest.mark.usefixtures("entry")
async def test_a_refused_question_is_over_at_once(hass: HomeAssistant, sandbox: Sandbox) -> None:
    sandbox.platform.forbidden_words.append("车库")
    answer = await start(hass, "notify.alice")
    assert (answer["id"], answer["reason"]) == (None, "refused")
    assert answer["answers"][0]["outcome"] == "refused"


@pytest.mark.usefixtures("no_patience")
async def test_a_question_that_never_left_is_over_at_once(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp
) -> None:
    await set_up(make_entry(http={const.CONF_GATEWAY: "http://127.0.0.1:1"}))
    answer = await start(hass, "notify.alice")
    assert (answer["id"], answer["reason"]) == (None, "not_sent")


@pytest.mark.parametrize(
    ("status", "reason"),
    [("KX:2000", "not_delivered"), ("KX:3000", "timeout"), ("0", "timeout"), ("ACCEPTD", "timeout")],
)
async def test_a_failing_report_ends_it_unless_it_is_unclear(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, status: str, reason: str
) -> None:
    asking = start(hass, "notify.alice", timeout=1)
    await sent(sandbox)
    report = DeliveryReport(sandbox.platform.messages[0].message_id, ALICE, status)
    await async_get_receivers(hass).async_get(entry).async_receive(report, Way.WEBHOOK, 1)
    assert (await asking)["reason"] == reason


async def test_one_who_cant_be_reached_leaves_it_to_the_other(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    asking = start(hass, "notify.alice", "notify.bob")
    await sent(sandbox, 2)
    message_id = next(message.message_id for message in sandbox.platform.messages if message.number == ALICE)
    report = DeliveryReport(message_id, ALICE, "UNDELIV")
    await async_get_receivers(hass).async_get(entry).async_receive(report, Way.WEBHOOK, 1)
    await until(lambda: (ALICE, None) not in entry.runtime_data.conversation.desk._open)
    await reply(hass, entry, "否", BOB)
    answer = await asking
    assert (answer["id"], answer["recipient"]) == ("no", "Bob")
    assert [(one["id"], one["reason"]) for one in answer["answers"]] == [(None, "not_delivered"), ("no", None)]


async def test_the_others_are_told_who_answered(hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox) -> None:
    asking = start(hass, "notify.alice", "notify.bob", number=[CAROL], tell_others="已由{name}处理")
    await sent(sandbox, 3)
    await reply(hass, entry, "1", BOB)
    answer = await asking
    assert [one["reason"] for one in answer["answers"]] == ["another_answered", None, "another_answered"]
    await sent(sandbox, 5)
    told = sandbox.platform.messages[3:]
    assert {(message.number, message.text) for message in told} == {
        (number, "【某某科技】已由Bob处理") for number in (ALICE, CAROL)
    }


async def test_everybodys_answer(hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox) -> None:
    asking = start(hass, "notify.alice", "notify.bob", wait_for_all=True)
    await sent(sandbox, 2)
    await reply(hass, entry, "否", BOB)
    await reply(hass, entry, "是", ALICE)
    answer = await asking
    assert (answer["id"], answer["recipient"]) == ("no", "Bob")
    assert [one["id"] for one in answer["answers"]] == ["yes", "no"]


async def test_two_questions_to_one_phone_wait_for_each_other_without_a_range(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    first, second = start(hass, "notify.alice"), start(hass, "notify.alice", question="要关灯吗？")
    third = start(hass, "notify.alice", timeout={"milliseconds": 200})
    assert (await third)["reason"] == "busy"
    await sent(sandbox)
    await reply(hass, entry, "是")
    assert (await first)["id"] == "yes"
    await sent(sandbox, 2)
    await reply(hass, entry, "否")
    assert (await second)["id"] == "no"
    assert [message.text for message in sandbox.platform.messages] == [
        "【某某科技】要关上车库门吗？",
        "【某某科技】要关灯吗？",
    ]


async def test_questions_with_extensions_of_their_own_never_cross(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
) -> None:
    """The platform's replies carry the extension alone, or the whole access number with it."""
    entry = make_entry(options={const.CONF_QUESTION_EXTENSIONS: "05-24"})
    await set_up(entry)
    asking = [start(hass, "notify.alice", question=f"第 {number} 题？") for number in range(5)]
    await sent(sandbox, 5)
    by_text = {message.text: message.extension for message in sandbox.platform.messages}
    extensions = [by_text[f"【某某科技】第 {number} 题？"] for number in range(5)]
    assert len(set(extensions)) == 5
    for number in (3, 0, 4, 1, 2):
        before = "10690000168" if number % 2 else ""
        await reply(hass, entry, "是" if number % 2 else "否", extension=before + extensions[number])
    assert [(await one)["id"] for one in asking] == ["no", "yes", "no", "yes", "no"]


async def test_what_comes_again_answers_nothing(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, messages: list[Event]
) -> None:
    await reply(hass, entry, "是")
    asking = start(hass, "notify.alice")
    await sent(sandbox)
    await reply(hass, entry, "是")
    await reply(hass, entry, "否", incomplete=True)
    await reply(hass, entry, "好")
    answer = await asking
    assert answer["sentence"] == "好"
    assert [(event.data["redelivered"], event.data["question"]) for event in messages] == [
        (False, None),
        (True, None),
        (False, None),
        (False, "answered"),
    ]


async def test_a_reply_before_the_answer_to_the_send_counts(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, gone = entry.runtime_data.client, asyncio.Event()
    send = client.send

    async def slow(*args: Any, **options: Any) -> Any:
        receipts = await send(*args, **options)
        await gone.wait()
        return receipts

    monkeypatch.setattr(client, "send", slow)
    asking = start(hass, "notify.alice")
    await sent(sandbox)
    await reply(hass, entry, "是")
    assert (await asking)["id"] == "yes"
    gone.set()


async def test_unloading_ends_it(hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox) -> None:
    asking = [start(hass, "notify.alice"), start(hass, "notify.alice")]
    await sent(sandbox)
    assert await hass.config_entries.async_unload(entry.entry_id)
    assert [(await one)["reason"] for one in asking] == ["unloaded", "unloaded"]


async def test_cancelling_frees_the_phone(hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox) -> None:
    first, second = start(hass, "notify.alice"), start(hass, "notify.alice", question="要关灯吗？")
    await sent(sandbox)
    first.cancel()
    await sent(sandbox, 2)
    await reply(hass, entry, "是")
    assert (await second)["id"] == "yes"


@pytest.mark.parametrize(
    "data",
    [
        {"answers": [{"id": "close"}]},
        {"answers": [{"id": "x", "sentences": ["{name}"]}]},
        {"question": "问" * 600},
        {"tell_others": "", "number": ["123"]},
    ],
)
async def test_a_question_that_cant_be_asked_is_refused_before_anything_is_sent(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, data: dict[str, Any]
) -> None:
    with pytest.raises(ServiceValidationError):
        await start(hass, "notify.alice", **data)
    assert not sandbox.platform.messages
    assert entry.runtime_data.conversation.desk.extensions_of(ALICE) == set()
