"""Sends that our own events lead to are automatic, and are never sent to ourselves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.exceptions import ServiceValidationError
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680 import const
from custom_components.sms1680.client import DeliveryReport, Reply
from custom_components.sms1680.inbound.models import InboundSource
from custom_components.sms1680.inbound.registry import async_get_registry
from custom_components.sms1680.store.db import HistoryQuery, StoredOut
from custom_components.sms1680.store.manager import DATA_STORE
from sms1680.sandbox import Fault, Sandbox
from tests.home_assistant.helpers import ALICE, BOB, Connect, MakeEntry, SetUp, Until, act

OUR_EVENT = {"trigger": "event", "event_type": "sms1680_message_received", "event_data": {"content": "开始"}}
OUR_ENTITY = {"trigger": "state", "entity_id": "event.home_inbox"}
ANOTHER_EVENT = {"trigger": "event", "event_type": "window_open"}
SEND = {"action": "sms1680.send_message", "target": {"entity_id": "notify.bob"}, "data": {"message": "收到"}}
NOTIFY = {"action": "notify.send_message", "target": {"entity_id": "notify.bob"}, "data": {"message": "收到"}}
ASK = {
    "action": "sms1680.ask_question",
    "target": {"entity_id": "notify.bob"},
    "data": {"question": "收到？", "timeout": {"milliseconds": 500}},
    "response_variable": "answer",
}
FLAG = {"event": "flagged"}


async def run(hass: HomeAssistant, entry: MockConfigEntry, *automations: dict[str, Any]) -> list[bool]:
    """Receive a reply and fire another event; return the result of `automatic_flags`."""
    named = [{"id": str(place), "alias": str(place), **one} for place, one in enumerate(automations)]
    assert await async_setup_component(hass, "automation", {"automation": named})
    await hass.async_block_till_done()
    await async_get_registry(hass).async_get(entry).async_receive(Reply(ALICE, "开始"), InboundSource.WEBHOOK, 1)
    hass.bus.async_fire("window_open")
    await hass.async_block_till_done(wait_background_tasks=True)
    return await automatic_flags(hass, entry)


async def automatic_flags(hass: HomeAssistant, entry: MockConfigEntry) -> list[bool]:
    """Return the automatic flag of each sent message."""
    store = hass.data[DATA_STORE].for_entry(entry).store
    found = await asyncio.wrap_future(store.messages(HistoryQuery(entries=[entry.entry_id])))
    return [one.automatic for one in found if isinstance(one, StoredOut)]


@pytest.mark.parametrize("action", [SEND, NOTIFY, ASK], ids=["send_message", "notify", "ask_question"])
@pytest.mark.parametrize(
    ("trigger", "automatic"),
    [(OUR_EVENT, True), (OUR_ENTITY, True), (ANOTHER_EVENT, False)],
    ids=["event", "entity", "another"],
)
async def test_any_trigger_and_action(
    hass: HomeAssistant, entry: MockConfigEntry, *, action: dict[str, Any], trigger: dict[str, Any], automatic: bool
) -> None:
    assert await run(hass, entry, {"triggers": trigger, "actions": action}) == [automatic]


async def test_trigger_on_the_last_delivery_sensor(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    trigger = {"trigger": "state", "entity_id": "sensor.alice_last_delivery_state", "to": "delivered"}
    automation = {"id": "a", "alias": "a", "triggers": trigger, "actions": SEND}
    assert await async_setup_component(hass, "automation", {"automation": [automation]})
    await hass.async_block_till_done()
    given = {"entity_id": "notify.alice", "message": "门开了"}
    answer = await act(hass, "send_message", **given)
    assert isinstance(answer, dict)
    (message,) = answer["messages"]
    report = DeliveryReport(message["message_id"], ALICE, "DELIVRD")
    await async_get_registry(hass).async_get(entry).async_receive(report, InboundSource.WEBHOOK, 1)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert await automatic_flags(hass, entry) == [True, False]


async def test_automation_triggered_by_another_automation(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    assert await async_setup_component(hass, "input_boolean", {"input_boolean": {"one": {}, "two": {}}})

    def turn_on(name: str) -> dict[str, Any]:
        return {"action": "input_boolean.turn_on", "target": {"entity_id": f"input_boolean.{name}"}}

    def turned_on(name: str) -> dict[str, Any]:
        return {"trigger": "state", "entity_id": f"input_boolean.{name}", "to": "on"}

    await run(
        hass,
        entry,
        {"triggers": OUR_EVENT, "actions": turn_on("one")},
        {"triggers": turned_on("one"), "actions": turn_on("two")},
        {"triggers": turned_on("two"), "actions": SEND},
    )
    await sandbox.wait_for(lambda platform: platform.messages)
    assert await automatic_flags(hass, entry) == [True]


async def test_script(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    assert await async_setup_component(hass, "script", {"script": {"tell": {"sequence": [SEND]}}})
    assert await run(hass, entry, {"triggers": OUR_EVENT, "actions": {"action": "script.tell"}}) == [True]


@pytest.mark.parametrize("action", [SEND, NOTIFY, ASK], ids=["send_message", "notify", "ask_question"])
@pytest.mark.parametrize(("trigger", "count"), [(OUR_EVENT, 0), (ANOTHER_EVENT, 1)], ids=["event", "another"])
async def test_automatic_message_is_never_sent_to_ourselves(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    *,
    action: dict[str, Any],
    trigger: dict[str, Any],
    count: int,
) -> None:
    made = make_entry(options={const.CONF_SOURCE_NUMBER: f"86{BOB}"})
    await set_up(made)
    assert len(await run(hass, made, {"triggers": trigger, "actions": action})) == count


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("number", ["10086", "106900001680", "12345", "95533"])
async def test_service_numbers_are_rejected(hass: HomeAssistant, sandbox: Sandbox, number: str) -> None:
    with pytest.raises(ServiceValidationError):
        await hass.services.async_call(
            const.DOMAIN, "send_message", {"number": number, "message": "你好"}, blocking=True
        )
    assert not sandbox.platform.messages


@pytest.mark.parametrize(
    ("trigger", "automatic"), [(OUR_EVENT, True), (ANOTHER_EVENT, False)], ids=["event", "another"]
)
async def test_report_that_arrives_before_the_answer(
    hass: HomeAssistant,
    connect: Connect,
    entry: MockConfigEntry,
    sandbox: Sandbox,
    reports: list[Event],
    until: Until,
    trigger: dict[str, Any],
    *,
    automatic: bool,
) -> None:
    await connect()
    answered: list[int] = []
    sandbox.platform.faults.next(Fault(stall_after=0.5))
    hass.bus.async_listen(const.EVENT_MESSAGE_SENT, callback(lambda _: answered.append(len(reports))))
    running = hass.async_create_task(run(hass, entry, {"triggers": trigger, "actions": SEND}))
    await until(lambda: reports and answered)
    assert answered == [1]  # the report came first
    assert await running == [automatic]
    assert [one.data["automatic"] for one in reports] == [automatic]
