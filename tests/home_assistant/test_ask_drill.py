"""Drills: delivery reports decide regardless of the send response, and a repair names what is missing and why."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680 import const
from custom_components.sms1680.client import DeliveryReport, Outcome, Reason, Receipt, Reply
from custom_components.sms1680.client.errors import error_of
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, MakeEntry, SetUp, act, receive


def drill(hass: HomeAssistant, **data: Any) -> asyncio.Task[Any]:
    given = {"entity_id": "notify.alice", "question": "演练，请回复 1", "answers": [{"id": "acknowledged"}], **data}
    call = act(hass, "ask_question", **{"drill": True, **given})
    return hass.async_create_task(call, eager_start=True)


def failure(hass: HomeAssistant) -> str | None:
    issues = [issue for issue in ir.async_get(hass).issues.values() if issue.translation_key == "drill_failed"]
    return (issues[0].translation_placeholders or {})["details"] if issues else None


async def test_report_proves_delivery_of_a_message_without_an_id(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = entry.runtime_data.client.failover.http
    sent = asyncio.Event()

    async def lost(*_: Any, context: object, **__: Any) -> Any:
        receipt = Receipt(ALICE, Outcome.UNKNOWN, reason=Reason.LOST, context=context)
        http._on_receipt(receipt)
        sent.set()
        raise error_of([receipt]) or AssertionError

    monkeypatch.setattr(http, "send", lost)
    asking = drill(hass, timeout=20)
    await sent.wait()
    await receive(hass, entry, DeliveryReport("4711", ALICE, "0"), Reply(ALICE, "1"), settle=False)
    answer = await asking
    assert (answer["id"], answer["answers"][0]["delivery"]) == ("acknowledged", "delivered")
    assert failure(hass) is None


async def test_failure_report_ends_a_question_without_a_message_id(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = entry.runtime_data.client.failover.http
    sent = asyncio.Event()

    async def lost(*_: Any, context: object, **__: Any) -> Any:
        receipt = Receipt(ALICE, Outcome.UNKNOWN, reason=Reason.LOST, context=context)
        http._on_receipt(receipt)
        sent.set()
        raise error_of([receipt]) or AssertionError

    monkeypatch.setattr(http, "send", lost)
    asking = drill(hass, timeout=20, drill=False)
    await sent.wait()
    await receive(hass, entry, DeliveryReport("4711", ALICE, "UNDELIV"), settle=False)
    assert (await asking)["reason"] == "not_delivered"


async def test_repair_names_the_reason_of_a_refused_drill(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
) -> None:
    await set_up(make_entry(options={const.CONF_HOURLY_LIMIT: 1}))
    data = {"entity_id": "notify.bob", "message": "后门打开"}
    await hass.services.async_call(const.DOMAIN, "send_message", data, blocking=True)
    answer = await drill(hass, timeout=5)
    assert (answer["reason"], len(sandbox.platform.messages)) == ("refused", 1)
    held_back = Receipt(ALICE, Outcome.REFUSED, reason=Reason.HOURLY_LIMIT).sentence("en")
    assert failure(hass) == f"Alice: no report of its delivery; no answer; {held_back}"


@pytest.mark.usefixtures("fired")
async def test_drill_fails_if_a_target_is_no_recipient(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    asking = drill(hass, entity_id=["notify.alice", "notify.gone"], number=["1390000000"], timeout=20)
    await sandbox.wait_for(lambda platform: platform.messages)
    report = DeliveryReport(sandbox.platform.messages[0].message_id, ALICE, "0")
    await receive(hass, entry, report, Reply(ALICE, "1"), settle=False)
    assert (await asking)["id"] == "acknowledged"
    assert failure(hass) == "notify.gone: This is not a recipient.\n13****00: This is not a mainland mobile number."


@pytest.mark.parametrize(
    ("question", "fault", "outcome"), [("贷款吗？", None, "held"), ("在吗？", "html_accepted", "unknown")]
)
async def test_unknown_or_held_question_can_be_answered(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, *, question: str, fault: str | None, outcome: str
) -> None:
    if fault:
        sandbox.platform.faults.next(fault)
    asking = drill(hass, question=question, drill=False, timeout=20)
    await sandbox.wait_for(lambda platform: platform.messages)
    await receive(hass, entry, Reply(ALICE, "1"), settle=False)
    answer = await asking
    assert (answer["id"], answer["answers"][0]["outcome"]) == ("acknowledged", outcome)
