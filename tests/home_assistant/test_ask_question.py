"""The action `ask_question`, with the sandbox platform and replies from a phone."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
import voluptuous as vol
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.sms1680 import const
from custom_components.sms1680.account import journal as recording
from custom_components.sms1680.actions import question_run
from custom_components.sms1680.client import DeliveryReport, Reply
from custom_components.sms1680.client.options import SendOptions
from custom_components.sms1680.conversation.engine import Answers, memory
from custom_components.sms1680.conversation.memory_store import async_get_history, async_remove_questions
from custom_components.sms1680.inbound.models import InboundSource
from custom_components.sms1680.inbound.registry import async_get_registry
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    CAROL,
    MakeEntry,
    SetUp,
    poll,
    refuse_long_texts,
    start_question,
    wait_for_messages,
)


async def reply(
    hass: HomeAssistant, entry: MockConfigEntry, text: str, number: str = ALICE, extension: str = "", **more: Any
) -> None:
    receiver = async_get_registry(hass).async_get(entry)
    (await receiver.async_receive(Reply(number, text, extension, **more), InboundSource.WEBHOOK, 1)).mark_acknowledged()


async def test_response_contains_the_answer_and_its_recipient(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, messages: list[Event]
) -> None:
    asking = start_question(hass, "notify.alice")
    await wait_for_messages(sandbox)
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


async def test_any_reply_is_the_answer_without_answers(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    asking = start_question(hass, "notify.alice", answers=[])
    await wait_for_messages(sandbox)
    await reply(hass, entry, "明天三点")
    answer = await asking
    assert (answer["id"], answer["sentence"]) == (None, "明天三点")
    assert "reason" not in answer


@pytest.mark.usefixtures("entry")
async def test_timeout_must_be_positive(hass: HomeAssistant) -> None:
    with pytest.raises(vol.Invalid):
        await start_question(hass, "notify.alice", timeout=0)


@pytest.mark.usefixtures("entry")
async def test_target_is_required(hass: HomeAssistant) -> None:
    with pytest.raises(ServiceValidationError):
        await start_question(hass)


async def test_yaml_booleans_and_numbers_are_accepted_as_answers(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    asking = start_question(hass, "notify.alice", answers=[{"id": True}, {"id": 2, "sentences": [2, False]}])
    await wait_for_messages(sandbox)
    await reply(hass, entry, "No")
    assert (await asking)["id"] == "2"


async def test_question_without_an_answer_times_out(
    hass: HomeAssistant, entry: MockConfigEntry, messages: list[Event]
) -> None:
    answer = await start_question(hass, "notify.alice", timeout={"milliseconds": 300})
    assert (answer["id"], answer["reason"]) == (None, "timeout")
    await reply(hass, entry, "是")
    assert (messages[0].data["question"], messages[0].data["answer"]) == ("over", "yes")


@pytest.mark.usefixtures("entry")
async def test_refused_question_ends_at_once(hass: HomeAssistant, sandbox: Sandbox) -> None:
    sandbox.platform.forbidden_words.append("车库")
    answer = await start_question(hass, "notify.alice")
    assert (answer["id"], answer["reason"]) == (None, "refused")
    assert answer["answers"][0]["outcome"] == "refused"


@pytest.mark.usefixtures("no_patience")
async def test_unsent_question_ends_at_once(hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp) -> None:
    await set_up(make_entry(http={const.CONF_GATEWAY: "http://127.0.0.1:1"}))
    answer = await start_question(hass, "notify.alice")
    assert (answer["id"], answer["reason"]) == (None, "not_sent")


@pytest.mark.parametrize(
    ("status", "reason"),
    [("KX:2000", "not_delivered"), ("KX:3000", "timeout"), ("0", "timeout"), ("ACCEPTD", "timeout")],
)
async def test_failure_report_ends_the_question_unless_ambiguous(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, status: str, reason: str
) -> None:
    asking = start_question(hass, "notify.alice", timeout=1)
    await wait_for_messages(sandbox)
    report = DeliveryReport(sandbox.platform.messages[0].message_id, ALICE, status)
    await async_get_registry(hass).async_get(entry).async_receive(report, InboundSource.WEBHOOK, 1)
    assert (await asking)["reason"] == reason


async def test_undelivered_recipient_does_not_end_the_question(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    asking = start_question(hass, "notify.alice", "notify.bob")
    await wait_for_messages(sandbox, 2)
    message_id = next(message.message_id for message in sandbox.platform.messages if message.number == ALICE)
    report = DeliveryReport(message_id, ALICE, "UNDELIV")
    await async_get_registry(hass).async_get(entry).async_receive(report, InboundSource.WEBHOOK, 1)
    await poll(lambda: (ALICE, None) not in entry.runtime_data.conversation.questions._open)
    await reply(hass, entry, "否", BOB)
    answer = await asking
    assert (answer["id"], answer["recipient"]) == ("no", "Bob")
    assert [(one["id"], one["reason"]) for one in answer["answers"]] == [(None, "not_delivered"), ("no", None)]


@pytest.mark.parametrize("priority", ["normal", "critical"])
async def test_tell_others_notifies_the_other_recipients(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, priority: str
) -> None:
    asking = start_question(
        hass, "notify.alice", "notify.bob", number=[CAROL], tell_others="已由{name}处理", priority=priority
    )
    await wait_for_messages(sandbox, 3)
    await reply(hass, entry, "1", BOB)
    answer = await asking
    assert [one["reason"] for one in answer["answers"]] == ["another_answered", None, "another_answered"]
    await wait_for_messages(sandbox, 5)
    notices = sandbox.platform.messages[3:]
    assert {(message.number, message.text) for message in notices} == {
        (number, "【某某科技】已由Bob处理") for number in (ALICE, CAROL)
    }
    await hass.async_block_till_done(wait_background_tasks=True)


async def test_wait_for_all_returns_every_answer(hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox) -> None:
    asking = start_question(hass, "notify.alice", "notify.bob", wait_for_all=True)
    await wait_for_messages(sandbox, 2)
    await reply(hass, entry, "否", BOB)
    await reply(hass, entry, "是", ALICE)
    answer = await asking
    assert (answer["id"], answer["recipient"]) == ("no", "Bob")
    assert [one["id"] for one in answer["answers"]] == ["yes", "no"]


async def test_questions_to_one_phone_are_asked_in_turn_without_a_range(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    first, second = start_question(hass, "notify.alice"), start_question(hass, "notify.alice", question="要关灯吗？")
    third = start_question(hass, "notify.alice", timeout={"milliseconds": 200})
    assert (await third)["reason"] == "busy"
    await wait_for_messages(sandbox)
    await reply(hass, entry, "是")
    assert (await first)["id"] == "yes"
    await wait_for_messages(sandbox, 2)
    await reply(hass, entry, "否")
    assert (await second)["id"] == "no"
    assert [message.text for message in sandbox.platform.messages] == [
        "【某某科技】要关上车库门吗？",
        "【某某科技】要关灯吗？",
    ]


async def test_questions_with_extensions_get_their_own_answers(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
) -> None:
    """The platform's replies carry either the extension only, or the access number with the extension."""
    entry = make_entry(options={const.CONF_QUESTION_EXTENSIONS: "05-24"})
    await set_up(entry)
    asking = [start_question(hass, "notify.alice", question=f"第 {number} 题？") for number in range(5)]
    await wait_for_messages(sandbox, 5)
    by_text = {message.text: message.extension for message in sandbox.platform.messages}
    extensions = [by_text[f"【某某科技】第 {number} 题？"] for number in range(5)]
    assert len(set(extensions)) == 5
    for number in (3, 0, 4, 1, 2):
        before = "10690000168" if number % 2 else ""
        await reply(hass, entry, "是" if number % 2 else "否", extension=before + extensions[number])
    assert [(await one)["id"] for one in asking] == ["no", "yes", "no", "yes", "no"]


async def test_repeated_or_incomplete_reply_is_no_answer(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, messages: list[Event]
) -> None:
    await reply(hass, entry, "是")
    asking = start_question(hass, "notify.alice")
    await wait_for_messages(sandbox)
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


async def test_reply_before_the_send_returns_is_the_answer(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, gone = entry.runtime_data.client, asyncio.Event()
    send = client.send

    async def slow(*args: Any, **options: Any) -> Any:
        receipts = await send(*args, **options)
        await gone.wait()
        return receipts

    monkeypatch.setattr(client, "send", slow)
    asking = start_question(hass, "notify.alice")
    await wait_for_messages(sandbox)
    await reply(hass, entry, "是")
    assert (await asking)["id"] == "yes"
    gone.set()


async def test_unload_ends_open_questions(hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox) -> None:
    asking = [start_question(hass, "notify.alice"), start_question(hass, "notify.alice")]
    await wait_for_messages(sandbox)
    assert await hass.config_entries.async_unload(entry.entry_id)
    assert [(await one)["reason"] for one in asking] == ["unloaded", "unloaded"]


async def test_cancelled_question_frees_the_phone_after_the_grace_period(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "GRACE", 0.5)
    first, second = start_question(hass, "notify.alice"), start_question(hass, "notify.alice", question="要关灯吗？")
    await wait_for_messages(sandbox)
    first.cancel()
    await wait_for_messages(sandbox, 2)
    await reply(hass, entry, "是")
    assert (await second)["id"] == "yes"


async def test_late_answer_does_not_answer_the_next_question(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, messages: list[Event]
) -> None:
    first = start_question(hass, "notify.alice", timeout={"milliseconds": 300}, tag="garage")
    second = start_question(hass, "notify.alice", question="要打开大门吗？")
    assert (await first)["reason"] == "timeout"
    await reply(hass, entry, "好")
    await wait_for_messages(sandbox, 2)
    assert not second.done()
    assert [(event.data["question"], event.data["tag"]) for event in messages] == [("over", "garage")]
    await reply(hass, entry, "否")
    assert (await second)["id"] == "no"


async def test_critical_question_overtakes_an_open_question(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    first = start_question(hass, "notify.alice")
    await wait_for_messages(sandbox)
    alarm = start_question(
        hass, "notify.alice", question="烟雾报警！", answers=[{"id": "acknowledged"}], priority="critical"
    )
    assert (await first)["reason"] == "overtaken"
    await wait_for_messages(sandbox, 2)
    await reply(hass, entry, "收到")
    assert (await alarm)["id"] == "acknowledged"


@pytest.mark.parametrize("extensions", [None, "100-199"])
async def test_answer_after_a_reload_is_marked_as_over(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox, *, extensions: str | None
) -> None:
    entry = make_entry(options={const.CONF_QUESTION_EXTENSIONS: extensions} if extensions else None)
    await set_up(entry)
    asking = start_question(hass, "notify.alice", tag="garage")
    await wait_for_messages(sandbox)
    assert await hass.config_entries.async_reload(entry.entry_id)
    assert (await asking)["reason"] == "unloaded"
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    await reply(hass, entry, "好", extension=sandbox.platform.messages[0].extension)
    await hass.async_block_till_done()  # pending messages are looked up first
    assert [messages[0].data[name] for name in ("question", "answer", "tag")] == ["over", "yes", "garage"]


async def test_answer_after_a_restart_is_marked_as_over(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, *, hass_storage: dict[str, Any]
) -> None:
    entry = make_entry()
    stored = {
        "next_extension": None,
        "past": [
            {
                "number": ALICE,
                "own": False,
                "extension": None,
                "answers": [["yes", []]],
                "tag": "garage",
                "at": dt_util.utcnow().timestamp(),
                "awaited": True,
                "answered": False,
            }
        ],
    }
    hass_storage[f"sms1680.questions.{entry.entry_id}"] = {"version": 1, "data": stored}
    await set_up(entry)
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    await reply(hass, entry, "好")
    assert [messages[0].data[name] for name in ("question", "answer", "tag")] == ["over", "yes", "garage"]
    await hass.config_entries.async_remove(entry.entry_id)
    assert f"sms1680.questions.{entry.entry_id}" not in hass_storage


async def test_questions_of_a_removed_account_are_not_saved_again(
    hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    delayed: list[Store[Any]] = []
    removed: list[Store[Any]] = []

    async def remove(store: Store[Any]) -> None:
        removed.append(store)  # which also ends what it has still to save

    with monkeypatch.context() as patch:
        patch.setattr(Store, "async_delay_save", lambda store, *_: delayed.append(store))
        patch.setattr(Store, "async_remove", remove)
        history = await async_get_history(hass, "gone")
        history.note((ALICE, None), memory.RecentQuestion(Answers(), None, None, 0.0, awaited=False))
        await async_remove_questions(hass, "gone")
    assert delayed == removed


@pytest.mark.parametrize("data", [{"past": []}, {"next_extension": 1, "past": [{"number": ALICE}]}])
async def test_questions_of_another_version_do_not_keep_the_account_from_loading(
    make_entry: MakeEntry,
    set_up: SetUp,
    hass_storage: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    data: dict[str, Any],
) -> None:
    entry = make_entry()
    hass_storage[f"sms1680.questions.{entry.entry_id}"] = {"version": 1, "data": data}
    await set_up(entry)
    assert "The questions were stored by another version" in caplog.text


@pytest.mark.parametrize("tell_others", ["", " "])
async def test_empty_tell_others_sends_nothing(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, tell_others: str
) -> None:
    asking = start_question(hass, "notify.alice", "notify.bob", tell_others=tell_others)
    await wait_for_messages(sandbox, 2)
    await reply(hass, entry, "1", BOB)
    assert (await asking)["id"] == "yes"
    await hass.async_block_till_done(wait_background_tasks=True)
    assert len(sandbox.platform.messages) == 2


async def test_failed_tell_others_logs_a_warning(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.platform.forbidden_words.append("处理")
    asking = start_question(hass, "notify.alice", "notify.bob", tell_others="已由{name}处理")
    await wait_for_messages(sandbox, 2)
    await reply(hass, entry, "1", BOB)
    assert (await asking)["id"] == "yes"
    await hass.async_block_till_done(wait_background_tasks=True)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING and "sms1680" in record.name]
    (warning,) = [record.getMessage() for record in warnings]
    assert warning == "Could not tell the others who answered the question (refused)"
    assert entry.runtime_data.refused_words.words == ["处理"]


async def test_refused_question_is_sent_as_its_safe_text(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    sandbox.platform.forbidden_words.append("车库")
    asking = start_question(hass, "notify.alice", safe_text="要处理吗？回复 1 是")
    await wait_for_messages(sandbox)
    await reply(hass, entry, "1")
    answer = await asking
    assert (answer["id"], answer["answers"][0]["safe_text"], answer["answers"][0]["outcome"]) == (
        "yes",
        True,
        "accepted",
    )
    assert sandbox.platform.messages[0].text == "【某某科技】要处理吗？回复 1 是"
    assert entry.runtime_data.refused_words.words == ["车库"]


@pytest.mark.parametrize(
    ("begun", "outcome", "reason"), [(False, "not_sent", "not_sent"), (True, "unknown", "timeout")]
)
async def test_timeout_during_the_send_ends_the_question(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    monkeypatch: pytest.MonkeyPatch,
    *,
    begun: bool,
    outcome: str,
    reason: str,
) -> None:
    never = asyncio.Event()

    async def wait(*_: Any, **__: Any) -> Any:
        await never.wait()

    async def begin(_: Any, options: SendOptions, **__: Any) -> Any:
        await options["request_hook"].before([0])  # type: ignore[union-attr, misc]
        await never.wait()

    monkeypatch.setattr(question_run, "_CUT_OFF", 0.1)
    if begun:
        monkeypatch.setattr(entry.runtime_data.client.failover, "send", begin)
    else:
        monkeypatch.setattr(recording, "async_wait_done", wait)
    answer = await start_question(hass, "notify.alice", timeout={"milliseconds": 200})
    assert (answer["id"], answer["reason"]) == (None, reason)
    assert answer["answers"][0]["outcome"] == outcome
    never.set()  # nothing waits at the end of the test


async def test_timeout_cuts_off_the_request(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account's pace makes it wait: the core says that it never left."""
    monkeypatch.setattr(entry.runtime_data.client.failover.http, "_sleep", lambda _: asyncio.Event().wait())
    answer = await start_question(hass, "notify.alice", timeout={"milliseconds": 200})
    assert answer["answers"][0]["outcome"] in ("not_sent", "accepted")
    assert (answer["answers"][0]["outcome"] == "not_sent") == (not sandbox.platform.messages)


class TestQuietHours:
    """Alice has quiet hours now."""

    @pytest.fixture
    async def entry(self, make_entry: MakeEntry, set_up: SetUp) -> MockConfigEntry:
        begin, end = dt_util.now() - timedelta(hours=1), dt_util.now() + timedelta(hours=1)
        quiet = {const.CONF_QUIET_FROM: f"{begin:%H:%M:%S}", const.CONF_QUIET_TO: f"{end:%H:%M:%S}"}
        people = [
            {"data": {"number": number, **more}, "subentry_type": "recipient", "title": name, "unique_id": number}
            for name, number, more in (("Alice", ALICE, quiet), ("Bob", BOB, {}))
        ]
        made = make_entry(recipients=people)
        await set_up(made)
        return made

    async def test_question_is_not_asked_if_quiet_hours_outlast_it(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        answer = await start_question(hass, "notify.alice")
        assert (answer["reason"], answer["answers"][0]["outcome"]) == ("quiet_hours", None)
        asking = start_question(hass, "notify.alice", "notify.bob", tell_others="{name}")
        await wait_for_messages(sandbox)
        await reply(hass, entry, "1", BOB)
        answer = await asking
        assert [one["reason"] for one in answer["answers"]] == ["quiet_hours", None]
        await hass.async_block_till_done(wait_background_tasks=True)
        assert [message.number for message in sandbox.platform.messages] == [BOB]

    @pytest.mark.usefixtures("entry")
    async def test_critical_question_ignores_quiet_hours(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        start_question(hass, "notify.alice", priority="critical")
        await wait_for_messages(sandbox)

    async def test_question_is_asked_after_quiet_hours(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        soon = dt_util.utcnow() + timedelta(seconds=0.5)

        async def until(*_: Any) -> datetime:
            return soon

        monkeypatch.setattr(question_run, "async_quiet_until", until)
        asking = start_question(hass, "notify.alice")
        await wait_for_messages(sandbox)
        assert dt_util.utcnow() >= soon
        await reply(hass, entry, "1")
        assert (await asking)["id"] == "yes"


@pytest.mark.parametrize(
    "data",
    [
        {"answers": [{"id": "close"}]},
        {"answers": [{"id": "x", "sentences": ["{name}"]}]},
        {"question": "问" * 600},
        {"tell_others": "已由{name}处理" + "长" * 600},
        {"safe_text": "长" * 600},
    ],
)
async def test_invalid_question_is_rejected_before_sending(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, data: dict[str, Any]
) -> None:
    await refuse_long_texts(hass)
    with pytest.raises(ServiceValidationError):
        await start_question(hass, "notify.alice", **data)
    assert not sandbox.platform.messages
    assert entry.runtime_data.conversation.questions.extensions_of(ALICE) == set()
