"""`wait_for_delivery`: the action returns when every number is settled, or when the time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.sms1680 import const
from custom_components.sms1680.client import DeliveryReport, Outcome, Receipt
from custom_components.sms1680.inbound.models import InboundSource
from custom_components.sms1680.inbound.registry import async_get_registry
from custom_components.sms1680.store.db import HistoryQuery
from custom_components.sms1680.store.manager import DATA_STORE
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, BOB

Hear = Callable[..., Awaitable[None]]
DELIVERED = {"state": "delivered", "settled": True, "reason": None, "matched": "id"}


@pytest.fixture
def hear(hass: HomeAssistant, entry: MockConfigEntry) -> Hear:
    """Return a function that delivers a report."""

    async def report(message_id: str, number: str = ALICE, status: str = "0") -> None:
        receiver = async_get_registry(hass).async_get(entry)
        (
            await receiver.async_receive(DeliveryReport(message_id, number, status), InboundSource.WEBHOOK, 5)
        ).mark_acknowledged()

    return report


def send(hass: HomeAssistant, *, answer: bool = True, wait: float = 5, **data: Any) -> asyncio.Task[Any]:
    given = {"message": "x", "entity_id": ["notify.alice", "notify.bob"], "wait_for_delivery": {"seconds": wait}}
    call = hass.services.async_call("sms1680", "send_message", {**given, **data}, blocking=True, return_response=answer)
    return hass.async_create_task(call)


async def ids(sandbox: Sandbox) -> dict[str, str]:
    await sandbox.wait_for(lambda platform: len(platform.messages) == 2)
    return {message.number: message.message_id for message in sandbox.platform.messages}


async def test_wait_ends_when_every_number_is_settled(hass: HomeAssistant, hear: Hear, sandbox: Sandbox) -> None:
    sending = send(hass, wait=60)
    known = await ids(sandbox)
    await hear("of another message", BOB)
    # One report arrives before the platform's response is read, as it happens in practice.
    await hear(known[ALICE], f"+86{ALICE}")
    await hear(known[BOB], BOB, "ACCEPTD")
    await hear(known[BOB], BOB, "KX:2000")
    answer = await sending
    failed = {
        "state": "failed",
        "settled": True,
        "reason": "The gateway of the channel does not exist. Send it again, preferably over another channel.",
        "matched": "id",
    }
    assert [(message["recipient"], message["delivery"]) for message in answer["messages"]] == [
        ("Alice", DELIVERED),
        ("Bob", failed),
    ]


async def test_wait_ends_when_the_time_is_up(hass: HomeAssistant, hear: Hear, sandbox: Sandbox) -> None:
    sending = send(hass, wait=1)
    await hear((await ids(sandbox))[ALICE], ALICE, "ACCEPTD")
    alice, bob = (message["delivery"] for message in (await sending)["messages"])
    assert (alice["state"], alice["settled"], alice["reason"]) == ("pending", False, "In transit; not final.")
    assert bob == {"state": "accepted", "settled": False, "reason": None, "matched": None}


@pytest.mark.usefixtures("entry")
async def test_refused_message_is_not_awaited(hass: HomeAssistant) -> None:
    answer = await send(hass, message="发票", entity_id="notify.alice", wait=3600)
    (message,) = answer["messages"]
    assert (message["outcome"], message["delivery"]["state"], message["delivery"]["settled"]) == (
        "refused",
        "refused",
        True,
    )
    assert message["delivery"]["reason"].startswith("The text contains words that the platform forbids")
    with pytest.raises(HomeAssistantError, match="refused"):
        await send(hass, answer=False, message="发票", entity_id="notify.alice", wait=3600)


@pytest.mark.usefixtures("entry")
async def test_report_settles_an_unknown_outcome(hass: HomeAssistant, hear: Hear, sandbox: Sandbox) -> None:
    sandbox.platform.faults.always("html_accepted")
    sending = send(hass, entity_id="notify.alice", wait=60)

    async def unknown() -> None:
        store = hass.data[DATA_STORE].intakes[0].store
        while True:
            found = await asyncio.wrap_future(store.messages(HistoryQuery()))
            if found and found[0].state == "unknown":  # type: ignore[union-attr]
                return

    await asyncio.wait_for(unknown(), 10)
    await hear("an id that we never learned")
    (message,) = (await sending)["messages"]
    assert (message["outcome"], message["delivery"]) == ("unknown", {**DELIVERED, "matched": "number"})


async def test_without_response_an_undelivered_message_is_an_error(
    hass: HomeAssistant, hear: Hear, sandbox: Sandbox
) -> None:
    sending = send(hass, answer=False, wait=1)
    await hear((await ids(sandbox))[ALICE], ALICE, "X")
    with pytest.raises(HomeAssistantError) as caught:
        await sending
    assert caught.value.translation_key == "not_delivered"
    assert "Alice 138****0001: Not delivered; the platform reported X." in str(caught.value)
    assert "Bob 138****0002: No report came in time; it may still arrive." in str(caught.value)


async def test_without_response_delivered_messages_raise_nothing(
    hass: HomeAssistant, hear: Hear, sandbox: Sandbox
) -> None:
    sending = send(hass, answer=False)
    for number, message_id in (await ids(sandbox)).items():
        await hear(message_id, number)
    assert await sending is None


async def test_reasons_are_in_the_language_of_home_assistant(hass: HomeAssistant, hear: Hear, sandbox: Sandbox) -> None:
    await hass.config.async_update(language="zh-Hans")
    sending = send(hass)
    for number, message_id in (await ids(sandbox)).items():
        await hear(message_id, number, "KX:1000")
    assert (await sending)["messages"][0]["delivery"]["reason"].startswith("平台下行提交失败")


async def test_without_a_store_the_response_has_the_platforms_answer(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    for shelf in hass.data[DATA_STORE].intakes:
        await hass.async_add_executor_job(shelf.store.close)
    answer = await send(hass, wait=0.5)
    assert [message["delivery"]["state"] for message in answer["messages"]] == ["accepted", "accepted"]
    assert len(sandbox.platform.messages) == 2
    assert entry.runtime_data.statistics.messages == 2


class TestReports:
    """`sms1680_delivery_report` has the state in the journal."""

    @pytest.fixture
    def reports(self, hass: HomeAssistant) -> list[Event[dict[str, Any]]]:
        return async_capture_events(hass, const.EVENT_DELIVERY_REPORT)

    async def test_report_of_a_segment_does_not_settle_the_message(
        self, entry: MockConfigEntry, hear: Hear, hass: HomeAssistant, reports: list[Event]
    ) -> None:
        # One of two segments was accepted: its report alone does not settle the message.
        receipt = Receipt(ALICE, Outcome.UNKNOWN, "1", None, 2, None, ("1",), 2)
        entry.runtime_data.client.on_receipt(receipt, "cmpp")
        await hass.async_block_till_done()
        for message_id in ("1", "2"):
            await hear(message_id, ALICE, "DELIVRD")
        assert [(event.data["state"], event.data["settled"], event.data["message_id"]) for event in reports] == [
            ("delivered", True, "1")
        ]

    async def test_report_of_an_unknown_message_is_fired(self, hear: Hear, reports: list[Event]) -> None:
        await hear("7", ALICE, "MA:0001")
        assert [(event.data["message_id"], event.data["settled"]) for event in reports] == [("7", True)]


@pytest.mark.usefixtures("entry")
async def test_send_from_an_automation_of_our_events_is_automatic(hass: HomeAssistant, hear: Hear) -> None:
    sent: list[bool] = []

    @callback
    def answer(event: Event) -> None:
        call = hass.services.async_call(
            "sms1680", "send_message", {"message": "x", "number": ALICE}, context=event.context, blocking=True
        )
        hass.async_create_task(call)

    hass.bus.async_listen_once(const.EVENT_DELIVERY_REPORT, answer)
    await hear("7")
    await hass.async_block_till_done()
    await send(hass, entity_id="notify.alice", wait=0)
    store = hass.data[DATA_STORE].intakes[0].store
    sent = [one.automatic for one in await asyncio.wrap_future(store.messages(HistoryQuery()))]  # type: ignore[union-attr]
    assert sent == [False, True]
