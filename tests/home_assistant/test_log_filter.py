"""Home Assistant's log quotes no call that carries a message of ours. `log_watch` searches it after each test too."""

from __future__ import annotations

import logging
from typing import Any, Never

import pytest
from homeassistant.const import EVENT_LOGGING_CHANGED
from homeassistant.core import HomeAssistant, ServiceCall, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect, async_dispatcher_send
from homeassistant.setup import async_setup_component
from support.log_watch import LogWatch

from custom_components.sms1680.client import Reply
from custom_components.sms1680.const import EVENT_MESSAGE_RECEIVED, signal_delivery
from custom_components.sms1680.events.signals import async_listen
from custom_components.sms1680.inbound.models import InboundSource
from custom_components.sms1680.inbound.registry import async_get_registry
from tests.home_assistant.helpers import MakeEntry, SetUp, refuse_long_texts

ALICE, STRANGER = "13800000001", "13900000009"
TEXT = "发票在夜里寄出"  # with a word that the sandbox's platform forbids
YAML = {"platform": "sms1680", "name": "alarm sms", "account": "Home", "recipients": ["Alice"]}
DATA = {"message": TEXT, "number": [STRANGER]}
SCRIPT = {
    "alarm": {
        "sequence": [{"action": "sms1680.send_message", "data": {"message": "{{ text }}", "number": [STRANGER]}}]
    },
    "mistaken": {"sequence": [{"action": "sms1680.send_message", "data": {"message": "{{ text }}", "at": "soon"}}]},
    "misdirected": {
        "sequence": [
            {"action": "sms1680.send_message", "data": {"message": "{{ text }}", "entity_id": f"x, {STRANGER}"}}
        ]
    },
    "member": {"sequence": [{"action": "notify.send_message", "data": {"message": "{{ text }}", "entity_id": "all"}}]},
}
AUTOMATION = {
    "alias": "at night",
    "triggers": [{"trigger": "event", "event_type": "night"}],
    "actions": [{"action": "sms1680.send_message", "data": {**DATA, "message": "{{ trigger.event.data.text }}"}}],
}


@pytest.fixture(autouse=True)
async def _hosts(hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp) -> None:
    """Set up an account, a YAML platform, and scripts and an automation that use them."""
    group = {"platform": "group", "name": "everybody", "services": [{"action": "alarm_sms"}]}
    assert await async_setup_component(hass, "notify", {"notify": [YAML, group]})
    await set_up(make_entry())
    assert await async_setup_component(hass, "script", {"script": SCRIPT})
    assert await async_setup_component(hass, "automation", {"automation": AUTOMATION})
    await hass.async_block_till_done()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the core's errors about calls, without their tracebacks."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "homeassistant.core" and record.levelno == logging.ERROR
    ]


@pytest.mark.parametrize(
    ("domain", "service", "data"),
    [
        ("sms1680", "send_message", DATA),
        ("sms1680", "send_message", {**DATA, "extension": "not digits"}),
        ("sms1680", "send_batch", {"messages": [{"message": TEXT, "number": STRANGER}]}),
        ("notify", "alarm_sms", {"message": TEXT, "target": [STRANGER], "data": {"priority": "critical"}}),
        ("notify", "alarm_sms", {"message": TEXT, "target": "Carol", "title": "门在夜里"}),
        ("notify", "send_message", {"message": TEXT, "entity_id": "notify.alice"}),
        ("script", "alarm", {"text": TEXT}),
        ("script", "mistaken", {"text": TEXT}),
        ("script", "misdirected", {"text": TEXT}),
        ("script", "member", {"text": TEXT}),
    ],
)
async def test_failed_call_that_nobody_waits_for_is_masked(
    hass: HomeAssistant,
    caplog: pytest.LogCaptureFixture,
    log_watch: LogWatch,
    domain: str,
    service: str,
    data: dict[str, Any],
) -> None:
    log_watch.add_text(TEXT)
    await hass.services.async_call(domain, service, data)
    await hass.async_block_till_done()
    (error,) = errors(caplog)
    assert error.startswith(f"Error executing service: <ServiceCall {domain}.{service} (c:")
    assert error.endswith("): ****>")
    assert TEXT not in caplog.text
    assert STRANGER not in caplog.text


async def test_failed_alert_is_masked(hass: HomeAssistant, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "homeassistant.components.alert")
    alert = {
        "name": "Door",
        "entity_id": "input_boolean.door",
        "repeat": 30,
        "message": TEXT,
        "notifiers": ["alarm_sms"],
    }
    assert await async_setup_component(hass, "alert", {"alert": {"door": alert}})
    hass.states.async_set("input_boolean.door", "on")
    await hass.async_block_till_done()
    assert [error[:56] for error in errors(caplog)] == ["Error executing service: <ServiceCall notify.alarm_sms ("]
    hass.states.async_set("input_boolean.door", "off")
    await hass.async_block_till_done()
    assert TEXT not in caplog.text


@pytest.mark.parametrize("text", [TEXT, "", "很长" * 1000])
async def test_errors_of_automations_quote_neither_text_nor_number(
    hass: HomeAssistant, caplog: pytest.LogCaptureFixture, log_watch: LogWatch, text: str
) -> None:
    log_watch.add_text(text)
    await refuse_long_texts(hass)
    hass.bus.async_fire("night", {"text": text})
    await hass.async_block_till_done()
    told = [record.getMessage() for record in caplog.records if "automation" in record.name and record.levelno > 30]
    assert any("Error while executing automation automation.at_night" in line for line in told)
    assert STRANGER not in caplog.text


async def test_call_of_another_integration_is_not_masked(hass: HomeAssistant, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: ServiceCall) -> Never:
        raise ValueError

    hass.services.async_register("notify", "pager", fail)
    await hass.services.async_call("notify", "pager", {"message": "door"})
    await hass.async_block_till_done()
    (error,) = errors(caplog)
    assert error.endswith("message=door>")


async def test_error_in_a_listener_of_a_push_is_masked(hass: HomeAssistant, caplog: pytest.LogCaptureFixture) -> None:
    """It says where, and neither stops the other listeners nor the push."""
    (entry,) = hass.config_entries.async_entries("sms1680")
    told: list[str] = []

    @callback
    def fail(data: dict[str, Any]) -> Never:
        raise ValueError(data["content"])

    stop = [
        async_listen(hass, EVENT_MESSAGE_RECEIVED, listener, entry.entry_id)
        for listener in (fail, lambda data: told.append(data["content"]))
    ]
    for _ in range(2):
        await async_get_registry(hass).async_get(entry).async_receive(Reply(ALICE, TEXT), InboundSource.WEBHOOK, 1)
        await hass.async_block_till_done()
        while stop:
            stop.pop()()
    assert told == [TEXT]
    (error,) = (record.getMessage() for record in caplog.records if record.levelno == logging.ERROR)
    assert error.startswith(f"A listener of {EVENT_MESSAGE_RECEIVED} failed: ValueError in test_error_in_a_listener_")
    assert TEXT not in caplog.text


async def test_error_of_the_dispatcher_is_masked(hass: HomeAssistant, caplog: pytest.LogCaptureFixture) -> None:
    (entry,) = hass.config_entries.async_entries("sms1680")
    signal = signal_delivery(entry.entry_id)

    @callback
    def fail(_: str) -> Never:
        raise ValueError

    stop = async_dispatcher_connect(hass, signal, fail)
    async_dispatcher_send(hass, signal, TEXT)
    stop()
    assert f"Exception in fail when dispatching '{signal}': ****\nTraceback" in caplog.text
    assert TEXT not in caplog.text


async def test_debug_output_of_the_core_is_masked(
    hass: HomeAssistant, caplog: pytest.LogCaptureFixture, log_watch: LogWatch
) -> None:
    log_watch.add_text(TEXT)
    caplog.set_level(logging.DEBUG, "homeassistant.core")
    hass.bus.async_fire(EVENT_LOGGING_CHANGED)
    await hass.services.async_call("notify", "alarm_sms", {"message": TEXT, "target": [STRANGER]})
    hass.bus.async_fire("sms1680_message_received", {"number": STRANGER, "content": TEXT})
    hass.bus.async_fire("night_of_others", {"content": "back door"})
    hass.states.async_set("sensor.other", "on")
    received = Reply(ALICE, TEXT)
    (entry,) = hass.config_entries.async_entries("sms1680")
    await async_get_registry(hass).async_get(entry).async_receive(received, InboundSource.WEBHOOK, 1)
    await hass.async_block_till_done()
    told = [record.getMessage() for record in caplog.records if record.name == "homeassistant.core"]
    assert "Bus:Handling <Event call_service[L]: domain=notify, service=alarm_sms ****>" in told
    assert "Bus:Handling <Event sms1680_message_received[L] ****>" in told
    assert "Bus:Handling <Event night_of_others[L]: content=back door>" in told
    assert "Bus:Handling <Event state_changed[L]: entity_id=event.home_inbox ****>" in told
    assert any("state_changed[L]: entity_id=sensor.other, old_state=" in line for line in told)
    assert TEXT not in caplog.text
