"""What comes in together is kept together, and fired once, whatever else asks the store meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

import pytest
from homeassistant.core import Event, HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.sms1680 import const
from custom_components.sms1680.client import Reply
from custom_components.sms1680.inbound.models import InboundSource, NotAcceptedError
from custom_components.sms1680.inbound.receiver import InboundProcessor
from custom_components.sms1680.inbound.registry import async_get_registry
from custom_components.sms1680.store.db import HistoryQuery, MessageStore, store as store_module
from custom_components.sms1680.store.manager import DATA_STORE

ALICE = "13800000001"


@pytest.fixture
def receiver(hass: HomeAssistant, entry: MockConfigEntry) -> InboundProcessor:
    return async_get_registry(hass).async_get(entry)


@pytest.fixture
def messages(hass: HomeAssistant) -> list[Event[dict[str, Any]]]:
    return async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)


@pytest.fixture
def store(hass: HomeAssistant, entry: MockConfigEntry) -> MessageStore:
    return hass.data[DATA_STORE].for_entry(entry).store


def at_once(ask: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    """Return what asks the store and waits in the loop itself, so that the answer is there before the loop turns."""

    def call(*args: Any, **kwargs: Any) -> Future[Any]:
        answer = ask(*args, **kwargs)
        wait([answer])
        return answer

    return call


def faulty(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[int]:
    """Let what holds "bad" fail like this; return how many were tried together, each time."""
    keep, tried = store_module.insert_received, list[int]()

    def receive(connection: Any, items: Any) -> Any:
        tried.append(len(items))
        if any(item.content == "bad" for item in items):
            raise error
        return keep(connection, items)

    monkeypatch.setattr(store_module, "insert_received", receive)
    return tried


async def test_what_comes_together_is_kept_together(
    receiver: InboundProcessor, store: MessageStore, messages: list[Event]
) -> None:
    statements: list[str] = []
    await asyncio.wrap_future(store._writer.submit(lambda database: database.set_trace_callback(statements.append)))
    calls = [receiver.async_receive(Reply(ALICE, str(serial)), InboundSource.WEBHOOK, 0) for serial in range(300)]
    rows = [incoming.row for incoming in await asyncio.gather(*calls)]
    assert [said for said in statements if said.startswith(("BEGIN", "COMMIT"))][1:3] == ["BEGIN IMMEDIATE", "COMMIT"]
    assert len([said for said in statements if said.startswith("INSERT INTO uplink")]) == 5
    assert [event.data["content"] for event in messages] == [str(serial) for serial in range(300)]
    kept = await asyncio.wrap_future(store.messages(HistoryQuery(limit=300)))
    assert rows == [message.row for message in sorted(kept, key=lambda message: int(message.content))]


async def test_a_few_are_kept_by_one_statement(
    receiver: InboundProcessor, store: MessageStore, messages: list[Event]
) -> None:
    statements: list[str] = []
    await asyncio.wrap_future(store._writer.submit(lambda database: database.set_trace_callback(statements.append)))
    await asyncio.gather(*(receiver.async_receive(Reply(ALICE, text), InboundSource.WEBHOOK, 0) for text in "12345"))
    assert [statement.split(" ")[0] for statement in statements[:2]] == ["COMMIT", "INSERT"]
    kept = await asyncio.wrap_future(store.messages(HistoryQuery()))
    assert [message.content for message in sorted(kept, key=lambda message: message.row)] == list("12345")
    assert [event.data["content"] for event in messages] == list("12345")


async def test_one_that_cannot_be_kept_fails_alone(
    receiver: InboundProcessor, messages: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = faulty(monkeypatch, ValueError("bad"))
    texts = ["1", "bad", "2"]
    calls = [receiver.async_receive(Reply(ALICE, text), InboundSource.WEBHOOK, 0) for text in texts]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(result, NotAcceptedError) for result in results] == [False, True, False]
    assert sorted(event.data["content"] for event in messages) == sorted(texts)
    assert tried == [3, 1, 1, 1]


async def test_a_disk_that_fails_is_not_tried_for_each(
    receiver: InboundProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = faulty(monkeypatch, OSError(5, "no"))
    calls = [receiver.async_receive(Reply(ALICE, text), InboundSource.WEBHOOK, 0) for text in ("1", "bad", "2")]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [NotAcceptedError] * 3
    assert tried == [3]


async def test_what_is_being_kept_while_the_store_is_searched_is_fired_once(
    hass: HomeAssistant, receiver: InboundProcessor, store: MessageStore, messages: list[Event]
) -> None:
    held = threading.Event()
    store._writer.submit(lambda _: held.wait(10))
    calls = [
        hass.async_create_task(receiver.async_receive(Reply(ALICE, text), InboundSource.WEBHOOK, 0)) for text in "12"
    ]
    await asyncio.sleep(0)
    receiver.async_dispatch_pending()
    calls.append(hass.async_create_task(receiver.async_receive(Reply(ALICE, "3"), InboundSource.WEBHOOK, 0)))
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(*calls)
    await hass.async_block_till_done()
    assert [(event.data["content"], event.data["redelivered"]) for event in messages] == [
        (text, False) for text in "123"
    ]


async def test_what_is_found_before_its_bringer_has_heard_is_fired_once(
    hass: HomeAssistant,
    receiver: InboundProcessor,
    store: MessageStore,
    messages: list[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = threading.Event()
    store._writer.submit(lambda _: held.wait(10))
    call = hass.async_create_task(receiver.async_receive(Reply(ALICE, "1"), InboundSource.WEBHOOK, 0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    held.set()
    for name in ("pending", "mark_fired"):
        monkeypatch.setattr(MessageStore, name, at_once(getattr(MessageStore, name)))
    receiver.async_dispatch_pending()
    await call
    await hass.async_block_till_done()
    assert [event.data["redelivered"] for event in messages] == [False]


async def test_who_gives_up_the_search_keeps_nothing_from_being_told(
    hass: HomeAssistant, entry: MockConfigEntry, receiver: InboundProcessor, store: MessageStore, messages: list[Event]
) -> None:
    held = threading.Event()
    store._writer.submit(lambda _: held.wait(10))
    call = hass.async_create_task(receiver.async_receive(Reply(ALICE, "1"), InboundSource.WEBHOOK, 0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    shelf = hass.data[DATA_STORE].for_entry(entry)
    nothing: Future[list[Any]] = Future()
    nothing.set_result([])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store, "pending", lambda *_: nothing)
        search = asyncio.create_task(shelf.async_pending(entry.entry_id, 1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        search.cancel()
        await asyncio.sleep(0)
    held.set()
    await asyncio.wait_for(call, 10)
    assert [event.data["content"] for event in messages] == ["1"]
