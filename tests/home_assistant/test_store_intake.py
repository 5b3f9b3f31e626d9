"""Concurrent uplinks share a commit, and their events fire once during other work of the store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

import pytest
from homeassistant.core import Event, HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.client import Reply
from custom_components.sms1680.inbound.models import InboundSource, NotAcceptedError
from custom_components.sms1680.inbound.receiver import InboundProcessor
from custom_components.sms1680.store import intake as intake_module
from custom_components.sms1680.store.db import HistoryQuery, MessageStore, store as store_module
from custom_components.sms1680.store.manager import DATA_STORE
from tests.home_assistant.helpers import ALICE, poll


@pytest.fixture
def store(hass: HomeAssistant, entry: MockConfigEntry) -> MessageStore:
    return hass.data[DATA_STORE].for_entry(entry).store


def blocking(method: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    """Return a store method that blocks the event loop until its future is done."""

    def call(*args: Any, **kwargs: Any) -> Future[Any]:
        future = method(*args, **kwargs)
        wait([future])
        return future

    return call


def faulty(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[int]:
    """Make uplinks that contain "bad" fail with the error. Return the sizes of the attempted groups."""
    insert, groups = store_module.insert_received, list[int]()

    def receive(connection: Any, items: Any) -> Any:
        groups.append(len(items))
        if any(item.content == "bad" for item in items):
            raise error
        return insert(connection, items)

    monkeypatch.setattr(store_module, "insert_received", receive)
    return groups


async def test_concurrent_uplinks_share_a_commit(
    processor: InboundProcessor, store: MessageStore, messages: list[Event]
) -> None:
    statements: list[str] = []
    await asyncio.wrap_future(store._writer.submit(lambda database: database.set_trace_callback(statements.append)))
    calls = [processor.async_receive(Reply(ALICE, str(serial)), InboundSource.WEBHOOK, 0) for serial in range(300)]
    rows = [incoming.row for incoming in await asyncio.gather(*calls)]
    assert [statement for statement in statements if statement.startswith(("BEGIN", "COMMIT"))][1:3] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]
    assert len([statement for statement in statements if statement.startswith("INSERT INTO uplink")]) == 5
    assert [event.data["content"] for event in messages] == [str(serial) for serial in range(300)]
    stored = await asyncio.wrap_future(store.messages(HistoryQuery(limit=300)))
    assert rows == [message.row for message in sorted(stored, key=lambda message: int(message.content))]


async def test_a_few_uplinks_are_stored_by_one_statement(
    processor: InboundProcessor, store: MessageStore, messages: list[Event]
) -> None:
    statements: list[str] = []
    await asyncio.wrap_future(store._writer.submit(lambda database: database.set_trace_callback(statements.append)))
    await asyncio.gather(*(processor.async_receive(Reply(ALICE, text), InboundSource.WEBHOOK, 0) for text in "12345"))
    assert [statement.split(" ")[0] for statement in statements[:2]] == ["COMMIT", "INSERT"]
    stored = await asyncio.wrap_future(store.messages(HistoryQuery()))
    assert [message.content for message in sorted(stored, key=lambda message: message.row)] == list("12345")
    assert [event.data["content"] for event in messages] == list("12345")


def slow(store: MessageStore, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make each commit take some time. Return the sizes of the groups."""
    receive_all, groups = store.receive_all, list[int]()

    def receive(items: Any) -> Future[Any]:
        groups.append(len(items))
        store._writer.submit(lambda _: threading.Event().wait(0.05), alone=True)
        return receive_all(items)

    monkeypatch.setattr(store, "receive_all", receive)
    monkeypatch.setattr(intake_module, "_MOST_GATHERING", 10)
    return groups


async def test_senders_that_wait_for_each_response_share_all_commits(
    processor: InboundProcessor, store: MessageStore, messages: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = slow(store, monkeypatch)

    async def send(name: str) -> None:
        for serial in range(5):
            await processor.async_receive(Reply(ALICE, f"{name}{serial}"), InboundSource.WEBHOOK, 0)

    early = [asyncio.create_task(send(name)) for name in "abc"]
    await poll(lambda: bool(groups))
    await asyncio.gather(*early, *(send(name) for name in "defg"))
    assert groups == [3, 7, 7, 7, 7, 4]
    assert len(messages) == 35


async def test_commit_waits_no_longer_than_the_last_one_took(
    processor: InboundProcessor, store: MessageStore, messages: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = slow(store, monkeypatch)
    calls = (processor.async_receive(Reply(ALICE, text), InboundSource.WEBHOOK, 0) for text in "12345")
    await asyncio.gather(*calls)
    async with asyncio.timeout(5):
        await processor.async_receive(Reply(ALICE, "6"), InboundSource.WEBHOOK, 0)
    assert groups == [5, 1]
    assert len(messages) == 6


async def test_single_sender_never_waits(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    processor: InboundProcessor,
    store: MessageStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow(store, monkeypatch)
    waits: list[float] = []
    monkeypatch.setattr(hass.data[DATA_STORE].for_entry(entry), "_stop_gathering", waits.append)
    for text in "123":
        await processor.async_receive(Reply(ALICE, text), InboundSource.WEBHOOK, 0)
    assert not waits


async def test_failing_uplink_does_not_affect_others(
    processor: InboundProcessor, messages: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = faulty(monkeypatch, ValueError("bad"))
    texts = ["1", "bad", "2"]
    calls = [processor.async_receive(Reply(ALICE, text), InboundSource.WEBHOOK, 0) for text in texts]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(result, NotAcceptedError) for result in results] == [False, True, False]
    assert sorted(event.data["content"] for event in messages) == sorted(texts)
    assert groups == [3, 1, 1, 1]


async def test_disk_error_fails_the_whole_group(processor: InboundProcessor, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = faulty(monkeypatch, OSError(5, "no"))
    calls = [processor.async_receive(Reply(ALICE, text), InboundSource.WEBHOOK, 0) for text in ("1", "bad", "2")]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [NotAcceptedError] * 3
    assert groups == [3]


async def test_uplink_stored_during_dispatch_fires_once(
    hass: HomeAssistant, processor: InboundProcessor, store: MessageStore, messages: list[Event]
) -> None:
    blocked = threading.Event()
    store._writer.submit(lambda _: blocked.wait(10))
    calls = [
        hass.async_create_task(processor.async_receive(Reply(ALICE, text), InboundSource.WEBHOOK, 0)) for text in "12"
    ]
    await asyncio.sleep(0)
    processor.async_dispatch_pending()
    calls.append(hass.async_create_task(processor.async_receive(Reply(ALICE, "3"), InboundSource.WEBHOOK, 0)))
    await asyncio.sleep(0)
    blocked.set()
    await asyncio.gather(*calls)
    await hass.async_block_till_done()
    assert [(event.data["content"], event.data["redelivered"]) for event in messages] == [
        (text, False) for text in "123"
    ]


async def test_uplink_found_before_its_callback_fires_once(
    hass: HomeAssistant,
    processor: InboundProcessor,
    store: MessageStore,
    messages: list[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocked = threading.Event()
    store._writer.submit(lambda _: blocked.wait(10))
    call = hass.async_create_task(processor.async_receive(Reply(ALICE, "1"), InboundSource.WEBHOOK, 0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    blocked.set()
    for name in ("pending", "mark_received"):
        monkeypatch.setattr(MessageStore, name, blocking(getattr(MessageStore, name)))
    processor.async_dispatch_pending()
    await call
    await hass.async_block_till_done()
    assert [event.data["redelivered"] for event in messages] == [False]


async def test_cancelled_search_does_not_cancel_callbacks(
    hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor, store: MessageStore, messages: list[Event]
) -> None:
    blocked = threading.Event()
    store._writer.submit(lambda _: blocked.wait(10))
    call = hass.async_create_task(processor.async_receive(Reply(ALICE, "1"), InboundSource.WEBHOOK, 0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    intake = hass.data[DATA_STORE].for_entry(entry)
    nothing: Future[list[Any]] = Future()
    nothing.set_result([])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(store, "pending", lambda *_: nothing)
        search = asyncio.create_task(intake.async_pending(entry.entry_id, 1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        search.cancel()
        await asyncio.sleep(0)
    blocked.set()
    await asyncio.wait_for(call, 10)
    assert [event.data["content"] for event in messages] == ["1"]
