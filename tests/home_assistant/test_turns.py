"""Work for thousands of numbers lets other tasks of Home Assistant run in between, and loses nothing meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.exceptions import ServiceValidationError
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.const import CONF_NUMBER, DOMAIN, EVENT_MESSAGE_SENT
from custom_components.sms1680.deferred.failures import FailureReporter
from custom_components.sms1680.deferred.models import QueuedMessage, StoredMessage
from custom_components.sms1680.deferred.storage import QueueStorage
from custom_components.sms1680.store.db import Direction, HistoryQuery, MessageStore, StoreError, Uplink
from custom_components.sms1680.store.db.unwritten import MOST_IN_MEMORY
from custom_components.sms1680.store.intake import StoreIntake
from custom_components.sms1680.store.turns import in_turns
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    EVENING,
    QUIET,
    MakeEntry,
    SetUp,
    done,
    in_store,
    numbers,
    poll,
    recipient,
)

ENDED = "SELECT number, state, reason FROM outgoing WHERE state <> 'sending' ORDER BY row"


async def test_cancelled_loop_reaches_its_end_and_its_task_is_cancelled() -> None:
    found: list[int] = []

    async def run() -> None:
        async for item in in_turns(range(250)):
            found.append(item)  # noqa: PERF401 - what it has seen counts, even if it is cancelled

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    assert len(found) == 100
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert found == list(range(250))


async def test_timeout_ends_a_loop_at_the_next_wait() -> None:
    found: list[int] = []

    async def run() -> None:
        async with asyncio.timeout(0):
            async for item in in_turns(range(250)):
                found.append(item)  # noqa: PERF401 - as above
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await run()
    assert found == list(range(250))


@pytest.mark.usefixtures("entry")
async def test_other_tasks_run_while_the_events_of_a_large_message_fire(hass: HomeAssistant) -> None:
    since, most = 0, 0

    @callback
    def count(_: Event) -> None:
        nonlocal since, most
        since += 1
        most = max(most, since)

    async def tick() -> None:
        nonlocal since
        while True:
            since = 0
            await asyncio.sleep(0)

    hass.bus.async_listen(EVENT_MESSAGE_SENT, count)
    ticking = asyncio.create_task(tick())
    numbers = [f"139{place:08d}" for place in range(300)]
    answer = await hass.services.async_call(
        DOMAIN, "send_message", {CONF_NUMBER: numbers, "message": "水浸"}, blocking=True, return_response=True
    )
    ticking.cancel()
    assert answer is not None
    assert len(answer["messages"]) == len(numbers)  # type: ignore[arg-type]
    assert 0 < most <= 100


async def test_call_is_rejected_if_its_account_is_unloaded_meanwhile(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    numbers = [f"139{place:08d}" for place in range(300)]
    data = {CONF_NUMBER: numbers, "message": "水浸"}
    call = hass.async_create_task(hass.services.async_call(DOMAIN, "send_message", data, blocking=True))
    assert await hass.config_entries.async_unload(entry.entry_id)
    with pytest.raises(ServiceValidationError) as raised:
        await call
    assert raised.value.translation_key == "account_not_loaded"


@pytest.mark.parametrize("count", [1, 300])
@pytest.mark.usefixtures("entry")
async def test_call_that_is_cancelled_at_its_start_leaves_a_record_of_each_number(
    hass: HomeAssistant, sandbox: Sandbox, count: int
) -> None:
    """Cancel calls after one turn of the event loop, after two, and so on, beyond the pauses of a large call."""
    for turns in range(1, 20):
        to = [f"139{turns * 1000 + place:08d}" for place in range(count)]
        data = {CONF_NUMBER: to, "message": "水浸"}
        call = asyncio.create_task(hass.services.async_call(DOMAIN, "send_message", data, blocking=True))
        for _ in range(turns):
            await asyncio.sleep(0)
        if not call.cancel():
            break  # the answer has come
        with pytest.raises(asyncio.CancelledError):
            await call
        await poll(lambda: len(in_store(hass, ENDED)) == turns * count)  # noqa: B023
        ends = in_store(hass, ENDED)[-count:]
        assert [number for number, *_ in ends] == to
        if not set(numbers(sandbox)).intersection(to):
            assert {(state, reason) for _, state, reason in ends} == {("not_sent", "cancelled")}


async def test_call_that_is_cancelled_in_quiet_hours_leaves_all_its_messages_waiting(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(EVENING)
    people = [recipient(f"P{place}", f"139{place:08d}", **QUIET) for place in range(4)]
    await set_up(entry := make_entry(recipients=people))
    queue, waiting = entry.runtime_data.deferred, 0
    data = {"entity_id": [f"notify.p{place}" for place in range(4)], "message": "水浸"}
    for turns in range(40):
        call = asyncio.create_task(hass.services.async_call(DOMAIN, "send_message", data, blocking=True))
        for _ in range(turns):
            await asyncio.sleep(0)
        if not call.cancel():
            break
        with contextlib.suppress(asyncio.CancelledError):
            await call
        await hass.async_block_till_done(wait_background_tasks=True)
        assert queue.waiting - waiting in (0, 4), "either it had not begun, or it does all"
        assert len(in_store(hass, "SELECT row FROM later")) == queue.waiting
        waiting = queue.waiting
    assert waiting >= 8


async def test_call_that_is_cancelled_once_all_is_sent_watches_the_reports_of_all(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [recipient(f"P{place}", f"139{place:08d}") for place in range(4)]
    await set_up(entry := make_entry(recipients=people))
    queue, insert, watched = entry.runtime_data.deferred, QueueStorage.async_insert, []

    async def inserted(storage: QueueStorage, message: QueuedMessage, *given: Any, **more: Any) -> StoredMessage:
        if message.watched:
            watched.append(message.number)
            if len(watched) == 2:
                call.cancel()
        return await insert(storage, message, *given, **more)

    monkeypatch.setattr(QueueStorage, "async_insert", inserted)
    monkeypatch.setattr(FailureReporter, "reports_arrive", True)
    data = {"entity_id": [f"notify.p{place}" for place in range(4)], "message": "水浸", "priority": "critical"}
    call = asyncio.create_task(hass.services.async_call(DOMAIN, "send_message", data, blocking=True))
    with contextlib.suppress(asyncio.CancelledError):
        await call
    assert watched == [f"139{place:08d}" for place in range(4)]
    assert len(queue._reports.schedule.messages) == 4


class TestUplinksInMemory:
    """They are inserted together, but every other job sees them."""

    @pytest.fixture
    def store(self) -> MessageStore:
        store = MessageStore(None)
        store.open()
        return store

    def test_other_jobs_see_them(self, store: MessageStore) -> None:
        rows = [self._receive(store, f"{place}") for place in range(70)]
        assert rows == list(range(rows[0], rows[0] + 70))
        pending = done(store.pending("home", 100))
        assert [(event.row, event.earlier) for event in pending] == [(row, False) for row in rows]
        assert [event.item.content for event in pending] == [f"{place}" for place in range(70)]

    def test_one_that_cannot_be_stored_takes_no_other_with_it(self, store: MessageStore) -> None:
        first, _, last = (self._receive(store, text, id_) for text, id_ in (("1", "a"), ("2", "\ud800"), ("3", "c")))
        assert [event.row for event in done(store.pending("home", 100))] == [first, last]

    async def test_marks_reach_the_database_with_them(self, hass: HomeAssistant, store: MessageStore) -> None:
        rows = [self._receive(store, text) for text in "123"]
        intake = StoreIntake(hass, store)
        for place, texts in ((0, True), (2, False)):
            intake.mark_fired(rows[place], report=False, texts=texts)
        intake.mark_acknowledged(rows[0], report=False)
        assert [event.row for event in done(store.pending("home", 100))] == [rows[1]]
        stored = {message.row: message for message in done(store.messages(HistoryQuery(direction=Direction.IN)))}
        assert [(stored[row].content, stored[row].fired) for row in rows] == [("1", True), ("2", False), (None, True)]
        assert sum(recent.acknowledged for recent in done(store.recent("home", datetime(2020, 1, 1, tzinfo=UTC)))) == 1

    async def test_marks_are_no_job_of_the_database(self, hass: HomeAssistant, store: MessageStore) -> None:
        row, intake = self._receive(store, "1"), StoreIntake(hass, store)
        intake.mark_fired(row, report=False, texts=True)
        intake.mark_acknowledged(row, report=False)
        assert intake.flush() is None
        done(store.counts("home"))
        intake.mark_acknowledged(row, report=False)
        assert intake.flush() is not None

    def test_fired_ones_that_pruning_would_delete_are_never_inserted(self, store: MessageStore) -> None:
        assert store.unwritten is not None
        first = self._receive(store, "of another account", entry="other")
        rows = [self._receive(store, str(place)) for place in range(2 * MOST_IN_MEMORY - 2)]
        for row in (first, *rows[1:]):
            store.unwritten.mark_fired(row, texts=True)
        rows.append(self._receive(store, "last"))
        assert len(store.unwritten.items) == MOST_IN_MEMORY + 2
        assert [event.row for event in done(store.pending("home", 9999))] == [rows[0], rows[-1]]
        stored = done(store.messages(HistoryQuery(direction=Direction.IN, limit=9999)))
        assert sorted(message.row for message in stored) == [first, rows[0], *rows[-MOST_IN_MEMORY:]]

    def test_long_ones_take_more_room(self, store: MessageStore) -> None:
        for _ in range(2 * MOST_IN_MEMORY // 126 + 1):
            self._receive(store, "x" * 16_000)
        assert store.unwritten is not None
        assert not store.unwritten.items
        assert done(store.counts("home")).uplinks == 2 * MOST_IN_MEMORY // 126 + 1

    def test_closed_store_refuses_them(self, store: MessageStore) -> None:
        store.close()
        with pytest.raises(StoreError):
            self._receive(store, "1")

    @staticmethod
    def _receive(store: MessageStore, text: str, id_: str = "id", entry: str = "home") -> int:
        now = datetime.now(UTC)
        received = store.receive_at_once(Uplink(entry, id_, ALICE, text, "", "", False, "webhook", now, b"d"))
        assert received is not None
        return received.row
