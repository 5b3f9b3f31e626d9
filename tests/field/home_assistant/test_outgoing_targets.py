"""Calls with one wrong receiver, or with keys for other services: the right receivers get the alarm."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.client import Reply
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    PASSWORD,
    STRANGER,
    act,
    numbers,
    receive,
    start_question,
    wait_for_messages,
)

TEN_DIGITS = "1390000000"


@pytest.fixture
async def own(hass: HomeAssistant, sandbox: Sandbox) -> None:
    """Set up YAML platforms of the configured account and of an account of their own."""
    account = {"username": "homeuser", "password": PASSWORD, "product_id": 61341, "gateway": sandbox.url}
    lines = [
        {"platform": "sms1680", "name": "line", "account": "Home", "recipients": ["Alice", "Renamed", BOB]},
        {"platform": "sms1680", "name": "own", **account, "signature": "某某科技", "recipients": [ALICE]},
        {"platform": "sms1680", "name": "old", **account, "recipients": [f"{TEN_DIGITS} {ALICE}", "Carol", BOB]},
    ]
    assert await async_setup_component(hass, "notify", {"notify": lines})
    await hass.async_block_till_done()


# The call, the numbers that get the message, and the wrong targets with their reasons.
TARGETS: dict[str, tuple[dict[str, Any], list[str], list[tuple[str, str]]]] = {
    "a number with a digit missing beside two recipients": (
        {"entity_id": ["notify.alice", "notify.bob"], "number": [TEN_DIGITS]},
        [ALICE, BOB],
        [(TEN_DIGITS, "number")],
    ),
    "an entity that was deleted": (
        {"entity_id": ["notify.gone", "notify.alice"]},
        [ALICE],
        [("notify.gone", "recipient")],
    ),
    "a name where an entity belongs, and a state that is unknown": (
        {"entity_id": ["Alice", "notify.bob", "unknown", "all"]},
        [BOB],
        [("alice", "recipient"), ("unknown", "recipient"), ("all", "recipient")],
    ),
    "entities in one text": ({"entity_id": "notify.Alice, ,notify.bob"}, [ALICE, BOB], []),
    "an area that was deleted": ({"area_id": "gone", "number": BOB}, [BOB], [("gone", "recipient")]),
    "several numbers in one text": ({"number": f"{ALICE}, +86 139 0000 0009；{BOB}"}, [ALICE, STRANGER, BOB], []),
}


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.usefixtures("entry")
async def test_others_get_the_message(
    hass: HomeAssistant, sandbox: Sandbox, fired: dict[str, list[Event]], kind: str
) -> None:
    data, right, wrong = TARGETS[kind]
    answer = await act(hass, "send_message", message="后门打开", **data)
    assert sorted(numbers(sandbox)) == sorted(right)
    told = [
        (one["number"] or one["recipient"], one["reason"]) for one in answer["messages"] if one["outcome"] == "refused"
    ]
    assert told == wrong
    assert [event.data["reason"] for event in fired["failed"]] == [reason for _, reason in wrong]
    assert len(fired["sent"]) == len(right) + len(wrong)


@pytest.mark.usefixtures("entry")
async def test_call_without_a_response_raises_afterwards(
    hass: HomeAssistant, sandbox: Sandbox, fired: dict[str, list[Event]]
) -> None:
    data = {"message": "后门打开", "entity_id": ["notify.gone", "notify.alice"], "number": [TEN_DIGITS]}
    with pytest.raises(HomeAssistantError, match=r"notify\.gone: This is not a recipient") as raised:
        await hass.services.async_call("sms1680", "send_message", data, blocking=True)
    assert numbers(sandbox) == [ALICE]
    assert TEN_DIGITS not in str(raised.value)
    assert len(fired["failed"]) == 2


@pytest.mark.parametrize(
    ("action", "field", "more"),
    [
        ("send_batch", "messages", {"message": "后门打开"}),
        ("send_template", "rows", {"values": ["后门"]}),
    ],
)
@pytest.mark.usefixtures("entry", "fired")
async def test_wrong_row_is_alone(
    hass: HomeAssistant, sandbox: Sandbox, action: str, field: str, more: dict[str, Any]
) -> None:
    given = [{"number": TEN_DIGITS}, {"entity_id": "notify.alice"}, {"entity_id": "gone"}, {"number": BOB}]
    template = {"template": "{A}打开"} if action == "send_template" else {}
    answer = await act(hass, action, **{field: [{**one, **more} for one in given]}, **template)
    assert [one["outcome"] for one in answer["messages"]] == ["refused", "accepted", "refused", "accepted"]
    assert [one["reason"] for one in answer["messages"]] == ["number", None, "recipient", None]
    assert numbers(sandbox) == [ALICE, BOB]


@pytest.mark.usefixtures("fired")
async def test_question_goes_to_the_right_ones(hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox) -> None:
    asking = start_question(hass, "notify.gone", "notify.alice")
    await wait_for_messages(sandbox)
    await receive(hass, entry, Reply(ALICE, "1", ""), settle=False)
    answer = await asking
    assert (answer["id"], answer["number"]) == ("yes", ALICE)
    phone, wrong = answer["answers"]
    assert phone["number"] == ALICE
    assert wrong == {
        **dict.fromkeys(phone),
        "recipient": "notify.gone",
        "outcome": "refused",
        "reason": "recipient",
        "safe_text": False,
    }
    assert numbers(sandbox) == [ALICE]


@pytest.mark.usefixtures("entry", "fired")
async def test_wrong_targets_of_a_question_are_listed_if_nobody_answers(hass: HomeAssistant) -> None:
    data = {"entity_id": ["notify.alice", "notify.gone"], "number": [TEN_DIGITS], "timeout": {"milliseconds": 1}}
    answer = await act(hass, "ask_question", question="关门？", **data)
    assert answer["id"] is None
    told = [(one["number"] or one["recipient"], one["reason"]) for one in answer["answers"][1:]]
    assert told == [("notify.gone", "recipient"), (TEN_DIGITS, "number")]


YAML: dict[str, tuple[str, dict[str, Any], list[str], list[str]]] = {
    "a recipient that was renamed": ("line", {}, [ALICE, BOB], ["recipient"]),
    "names and numbers in one text": (
        "line",
        {"target": f"Alice, {STRANGER} {TEN_DIGITS}"},
        [ALICE, STRANGER],
        ["number"],
    ),
    "a name without an account": ("own", {"target": ["Alice", BOB]}, [BOB], ["recipient"]),
    "a wrong number and a name in the YAML": ("old", {}, [ALICE, BOB], ["recipient", "number"]),
    "a short number beside one": ("own", {"target": [f"{TEN_DIGITS}，{BOB}"]}, [BOB], ["number"]),
}


@pytest.mark.parametrize("kind", YAML)
@pytest.mark.usefixtures("own", "entry")
async def test_yaml_platform_sends_to_the_others(
    hass: HomeAssistant, sandbox: Sandbox, fired: dict[str, list[Event]], kind: str
) -> None:
    name, data, right, reasons = YAML[kind]
    with pytest.raises(HomeAssistantError):
        await hass.services.async_call("notify", name, {"message": "后门打开", **data}, blocking=True)
    assert numbers(sandbox) == right
    assert [event.data["reason"] for event in fired["failed"]] == reasons


@pytest.mark.usefixtures("own")
def test_wrong_recipients_in_yaml_are_logged_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    lines = [record.getMessage() for record in caplog.get_records("setup")]
    (line,) = [line for line in lines if "mainland mobile number" in line]
    assert line.startswith("Recipient 1, 3 of the notify platform old is not")
    assert not any(TEN_DIGITS in line for line in lines if "sms1680" in line)


# Data of other services, the state of the message, and the words that are logged as a warning.
DATA: dict[str, tuple[dict[str, Any], str, str]] = {
    "keys of an app": (
        {"push": {"sound": "x"}, "ttl": 0, "tag": "door", "channel": "alarm", "priority": "high"},
        "",
        "",
    ),
    "a priority of another service": ({"priority": 5}, "", ""),
    "an extension that YAML made a number": ({"extension": 10}, "", "`extension`"),
    "a time that is none": ({"at": "soon"}, "", "`at`"),
    "a time that passed": ({"at": "2020-01-01 00:00:00"}, "", "`at`"),
    "our own key beside others": ({"extension": "012", "ttl": 0}, "012", ""),
}


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("name", ["line", "own"])
@pytest.mark.usefixtures("own", "entry", "fired")
async def test_data_for_other_services_stops_no_message(
    hass: HomeAssistant, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, kind: str, name: str
) -> None:
    data, extension, warning = DATA[kind]
    call = {"message": "后门打开", "target": [ALICE], "data": data}
    await hass.services.async_call("notify", name, call, blocking=True)
    (message,) = sandbox.platform.messages
    assert (message.number, message.extension, message.state.value) == (ALICE, extension, "delivered")
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([line for line in told if "data of a notify call" in line and warning in line]) == bool(warning)


@pytest.mark.parametrize(
    ("word", "enabled", "priority"), [("high", True, "critical"), ("high", False, "normal"), ("low", True, "normal")]
)
@pytest.mark.usefixtures("own", "entry")
async def test_high_means_critical_where_the_recipient_says_so(
    hass: HomeAssistant, fired: dict[str, list[Event]], word: str, priority: str, *, enabled: bool
) -> None:
    disabled = None if enabled else er.RegistryEntryDisabler.USER
    er.async_get(hass).async_update_entity("notify.alice_critical", disabled_by=disabled)
    call = {"message": "后门打开", "target": ["Alice", STRANGER], "data": {"priority": word}}
    await hass.services.async_call("notify", "line", call, blocking=True)
    assert {event.data["number"]: event.data["priority"] for event in fired["sent"]} == {
        ALICE: priority,
        STRANGER: "normal",
    }


@pytest.mark.usefixtures("own", "entry")
async def test_alert_with_data_of_an_app_sends(hass: HomeAssistant, sandbox: Sandbox) -> None:
    alert = {
        "name": "Door",
        "entity_id": "input_boolean.door",
        "repeat": 30,
        "notifiers": ["own"],
        "message": "后门打开",
        "done_message": "后门已关",
        "data": {"push": {"badge": 1}, "tag": "door"},
    }
    hass.states.async_set("input_boolean.door", "off")
    assert await async_setup_component(hass, "alert", {"alert": {"door": alert}})
    for state in ("on", "off"):
        hass.states.async_set("input_boolean.door", state)
        await hass.async_block_till_done()
    assert numbers(sandbox) == [ALICE, ALICE]
