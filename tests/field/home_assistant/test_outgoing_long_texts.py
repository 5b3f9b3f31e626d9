"""Alarms that are too long: cut, split or refused, as the account's setting says, and never stopping the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.client import Reply
from custom_components.sms1680.client.text import units
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    PASSWORD,
    SetUp,
    act,
    notify,
    receive,
    sent,
    start_question,
    wait_for_messages,
)

LONG = "警报" * 300
CUT = LONG[:493] + "…"  # `sent` removes the signature


@pytest.fixture
async def entry(
    request: pytest.FixtureRequest, make_entry: Callable[..., MockConfigEntry], set_up: SetUp
) -> MockConfigEntry:
    """Return an account with the setting for long texts of the test, cut by default."""
    mode = getattr(request, "param", None)
    entry = make_entry(options={"long_text": mode} if mode else {})
    await set_up(entry)
    return entry


@pytest.mark.usefixtures("entry")
async def test_long_alarm_is_cut_by_default(
    hass: HomeAssistant, sandbox: Sandbox, fired: dict[str, list[Event]]
) -> None:
    answer = await act(hass, "send_message", message=LONG, entity_id="notify.alice", number=[BOB], priority="critical")
    assert sent(sandbox) == [(ALICE, CUT), (BOB, CUT)]
    assert [one["long_text"] for one in answer["messages"]] == ["cut", "cut"]
    assert [event.data["long_text"] for event in fired["sent"]] == ["cut", "cut"]
    await notify(hass, "notify.bob", message="😀" * 400)
    assert sent(sandbox)[-1] == (BOB, "😀" * 246 + "…")
    assert not fired["failed"]


@pytest.mark.parametrize("entry", ["split"], indirect=True)
async def test_long_alarm_is_split(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, fired: dict[str, list[Event]]
) -> None:
    del entry
    answer = await act(hass, "send_message", message=LONG, entity_id="notify.alice")
    texts = [text for _, text in sent(sandbox)]
    assert [text[:5] for text in texts] == ["(1/2)", "(2/2)"]
    assert "".join(text[5:] for text in texts) == LONG
    (result,) = answer["messages"]
    assert (result["outcome"], result["long_text"], result["parts"]) == ("accepted", "split", 10)
    assert [event.data["long_text"] for event in fired["sent"]] == ["split", "split"]


@pytest.mark.parametrize("entry", ["refuse"], indirect=True)
async def test_long_alarm_is_refused_alone(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, fired: dict[str, list[Event]]
) -> None:
    del entry
    with pytest.raises(HomeAssistantError, match="500"):
        await act(hass, "send_message", message=LONG, entity_id="notify.alice")
    rows = [{"number": ALICE, "message": LONG}, {"number": BOB, "message": "后门打开"}]
    answer = await act(hass, "send_batch", messages=rows)
    assert [(one["outcome"], one["reason"]) for one in answer["messages"]] == [
        ("refused", "too_long"),
        ("accepted", None),
    ]
    assert sent(sandbox) == [(BOB, "后门打开")]
    assert [event.data["number"] for event in fired["failed"]] == [ALICE, ALICE]


ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "a batch with one long text": (
        "send_batch",
        {"messages": [{"number": ALICE, "message": LONG}, {"number": BOB, "message": "后门打开"}]},
    ),
    "a template with one long value": (
        "send_template",
        {"template": "{A}", "rows": [{"number": ALICE, "values": [LONG]}, {"number": BOB, "values": ["后门打开"]}]},
    ),
}


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.usefixtures("entry")
async def test_one_long_row_does_not_refuse_the_others(hass: HomeAssistant, sandbox: Sandbox, kind: str) -> None:
    action, data = ROWS[kind]
    answer = await act(hass, action, **data)
    assert [(one["outcome"], one["long_text"]) for one in answer["messages"]] == [
        ("accepted", "cut"),
        ("accepted", None),
    ]
    assert sorted(sent(sandbox)) == [(ALICE, CUT), (BOB, "后门打开")]


@pytest.mark.parametrize("entry", [None, "split"], indirect=True)
async def test_long_question_keeps_its_answers(hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox) -> None:
    """Also with the setting "split": the answers must stand in the same message."""
    question = "水浸" * 300 + "。是否关闸？回复 1 关闸，2 忽略。" + "请尽快处理" * 4
    answers = [{"id": "close", "sentences": ["1"]}, {"id": "ignore", "sentences": ["2"]}]
    more = {"answers": answers, "safe_text": "安" * 600, "tell_others": "已由{name}处理" + "长" * 600}
    asking = start_question(hass, "notify.alice", question=question, **more)
    await wait_for_messages(sandbox)
    await receive(hass, entry, Reply(ALICE, "1", ""), settle=False)
    assert (await asking)["answers"][0]["long_text"] == "cut"
    ((_, text),) = sent(sandbox)
    assert len(text) <= 500
    assert text.startswith("水浸水浸")
    assert text.endswith(question[question.index("是否") :])
    assert text.count("…") == 1


UNNAMED = {
    "only emoji": "😀" * 600,
    "no sentence ends": "水" * 600,
    "short sentences": "水。" * 300,
    "emoji of several": "。" + "👨‍👩‍👧" * 200,
    "an answer at the beginning": "回复 1" + "水" * 600,
}


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("kind", UNNAMED)
async def test_long_question_without_named_answers_keeps_its_end(
    hass: HomeAssistant, sandbox: Sandbox, kind: str
) -> None:
    text = UNNAMED[kind]
    answers = [{"id": "close", "sentences": ["1"]}]
    asking = start_question(hass, "notify.alice", question=text, answers=answers, timeout={"seconds": 1})
    await wait_for_messages(sandbox)
    ((_, arrived),) = sent(sandbox)
    assert (await asking)["answers"][0]["long_text"] == "cut"
    assert 480 < units(arrived) <= 494
    begin, end = arrived.split("…")
    assert text.startswith(begin)
    assert text.endswith(end)
    assert units(end) >= 55


@pytest.mark.parametrize("entry", ["refuse"], indirect=True)
async def test_long_question_is_refused_on_request(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    del entry
    with pytest.raises(ServiceValidationError, match="500"):
        await act(hass, "ask_question", question=LONG, entity_id="notify.alice")
    assert not sent(sandbox)


@pytest.mark.usefixtures("entry", "fired")
async def test_long_safe_text_is_cut(hass: HomeAssistant, sandbox: Sandbox) -> None:
    await act(hass, "send_message", message="赌博", entity_id="notify.alice", safe_text=LONG)
    assert sent(sandbox) == [(ALICE, CUT)]


async def set_up_own(hass: HomeAssistant, sandbox: Sandbox, **more: Any) -> None:
    """Set up `notify.own`, with an account of its own in the YAML."""
    account = {"username": "homeuser", "password": PASSWORD, "product_id": 61341, "gateway": sandbox.url}
    line = {"platform": "sms1680", "name": "own", **account, "signature": "某某科技", "recipients": [ALICE], **more}
    assert await async_setup_component(hass, "notify", {"notify": [line]})
    await hass.async_block_till_done()


async def test_own_account_in_yaml_cuts_too(
    hass: HomeAssistant, sandbox: Sandbox, fired: dict[str, list[Event]]
) -> None:
    await set_up_own(hass, sandbox, signature=["某某科技", "某某", "甲，乙"])
    await hass.services.async_call("notify", "own", {"message": LONG}, blocking=True)
    for text in ("后门打开【某某】", "后门打开【甲，乙】"):
        await hass.services.async_call("notify", "own", {"message": text}, blocking=True)
    assert sent(sandbox) == [(ALICE, CUT), (ALICE, "后门打开【某某】"), (ALICE, "后门打开【甲，乙】")]
    assert [event.data["long_text"] for event in fired["sent"]] == ["cut", None, None]


async def test_own_account_in_yaml_splits(hass: HomeAssistant, sandbox: Sandbox, fired: dict[str, list[Event]]) -> None:
    await set_up_own(hass, sandbox, long_text="split", recipients=[ALICE, BOB])
    await hass.services.async_call("notify", "own", {"message": LONG}, blocking=True)
    pieces = [f"(1/2){LONG[:489]}", f"(2/2){LONG[489:]}"]
    assert sent(sandbox) == [(number, piece) for piece in pieces for number in (ALICE, BOB)]
    assert [event.data["long_text"] for event in fired["sent"]] == ["split"] * 4
    with pytest.raises(HomeAssistantError, match=r"138\*\*\*\*0001: refused"):
        await hass.services.async_call("notify", "own", {"message": f"发票{LONG}", "target": ALICE}, blocking=True)
    assert len(sent(sandbox)) == 5, "the second message goes out even if the words of the first one are refused"
    assert [event.data["reason"] for event in fired["failed"]] == ["forbidden_words"]


async def test_own_account_in_yaml_refuses(
    hass: HomeAssistant, sandbox: Sandbox, fired: dict[str, list[Event]]
) -> None:
    await set_up_own(hass, sandbox, long_text="refuse")
    with pytest.raises(ServiceValidationError, match="500"):
        await hass.services.async_call("notify", "own", {"message": LONG}, blocking=True)
    await hass.services.async_call("notify", "own", {"message": "后门打开"}, blocking=True)
    assert sent(sandbox) == [(ALICE, "后门打开")]
    assert [event.data["number"] for event in fired["failed"]] == [ALICE]
