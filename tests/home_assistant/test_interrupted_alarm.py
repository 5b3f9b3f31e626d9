"""A critical message whose request the end of the program interrupts is sent once more, marked, and only once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import CoreState, Event, HomeAssistant
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.deferred.attempt import Attempt
from custom_components.sms1680.deferred.models import QueuedMessage, StoredMessage
from custom_components.sms1680.deferred.policy import DeliveryPolicy
from custom_components.sms1680.deferred.stored_alarms import running_rows
from custom_components.sms1680.duty.sending import _is_uncertain
from custom_components.sms1680.store.db import DeliveryState, Dispatch, Outgoing, StoreError
from custom_components.sms1680.store.db.outbox import mark_interrupted
from custom_components.sms1680.store.db.records import to_micros
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    BOTH,
    UNREACHABLE,
    MakeEntry,
    SetUp,
    critical_repairs,
    cut_off,
    done,
    ends,
    fail_next,
    in_store,
    later,
    poll,
    send,
    sent,
    store_of,
    use_gateway,
)

TEXT = "门开了"
MARKED = "（重发）门开了"
ATTEMPT = "direct.0123456789abcdef"
ATTEMPTS = "SELECT attempt, state, concluded FROM outgoing ORDER BY row"


@pytest.fixture(autouse=True)
def _no_patience(no_patience: None) -> None:
    """Make messages that were not sent fail at once."""


async def killed(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    number: str = ALICE,
    *,
    left: bool = True,
    ago: timedelta = timedelta(0),
    **fields: Any,
) -> None:
    """Leave a message as a killed program does, and restart. left: its request may have left."""
    now = dt_util.utcnow() - ago
    store = store_of(hass)
    given = {"priority": "critical", "attempt": ATTEMPT, **fields}
    message = QueuedMessage(number, TEXT, since=now.timestamp(), **given)
    done(store.save_deferred(entry.entry_id, number, now, message.as_json(), going=True))
    dispatch = Dispatch((Outgoing(entry.entry_id, number, "http", now, attempt=given["attempt"]),))
    done(store.begin(dispatch))
    if left:
        done(store.mark(dispatch, [0]))
    await restart(hass, entry)


async def restart(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Start again as after a kill."""
    at = to_micros(dt_util.utcnow())
    done(store_of(hass)._writer.submit(lambda database: mark_interrupted(database, at)))  # as when it opens
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)


def causes(fired: dict[str, list[Event]]) -> list[tuple[str, str]]:
    """Return the number and the cause of each failure."""
    return [(event.data["number"], event.data["cause"]) for event in fired["failed"]]


class TestAfterTheKill:
    """The next start finds what was being sent."""

    async def test_alarm_is_sent_once_more_marked(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        fired: dict[str, list[Event]],
        outcomes: list[Event],
        freezer: FrozenDateTimeFactory,
    ) -> None:
        await killed(hass, entry)
        await later(hass, freezer, seconds=1)
        assert sent(sandbox) == [(ALICE, MARKED)]
        assert [(event.data["outcome"], event.data["repeated"]) for event in outcomes] == [("accepted", True)]
        assert (fired["failed"], critical_repairs(hass), in_store(hass)) == ([], [], [])
        assert [row[1:] for row in in_store(hass, ATTEMPTS)] == [("unknown", 1), ("accepted", 0)]
        await restart(hass, entry)
        await later(hass, freezer, hours=1)
        assert (len(sent(sandbox)), fired["failed"]) == (1, [])

    @pytest.mark.parametrize(
        "given",
        [
            {"priority": "normal"},
            {"policy": DeliveryPolicy(repeat=False)},
            {"repeated": True},  # killed during the repetition
            {"ago": timedelta(hours=25)},
        ],
    )
    async def test_message_is_only_reported(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        fired: dict[str, list[Event]],
        outcomes: list[Event],
        freezer: FrozenDateTimeFactory,
        given: dict[str, Any],
    ) -> None:
        await killed(hass, entry, **given)
        await later(hass, freezer, hours=1)
        assert sent(sandbox) == []
        assert causes(fired) == [(ALICE, "unknown")]
        assert [event.data["repeated"] for event in outcomes] == ["repeated" in given]
        assert len(critical_repairs(hass)) == (given.get("priority") != "normal")
        await restart(hass, entry)
        assert (len(fired["failed"]), in_store(hass)) == (1, [])

    @pytest.mark.parametrize("repeated", [False, True])
    async def test_alarm_that_waited_for_its_turn_is_sent(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        fired: dict[str, list[Event]],
        freezer: FrozenDateTimeFactory,
        repeated: bool,
    ) -> None:
        """The history has no attempt that was never made."""
        await killed(hass, entry, left=False, repeated=repeated)
        await later(hass, freezer, seconds=1)
        assert sent(sandbox) == [(ALICE, MARKED if repeated else TEXT)]
        assert fired["failed"] == []
        assert [row[1] for row in in_store(hass, ATTEMPTS)] == ["accepted"]

    async def test_alarm_that_was_not_sent_is_repeated_while_the_program_runs(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        fired: dict[str, list[Event]],
        freezer: FrozenDateTimeFactory,
    ) -> None:
        await killed(hass, entry, left=False)
        cut_off(sandbox)
        await later(hass, freezer, seconds=1)
        assert sent(sandbox) == [(ALICE, TEXT), (ALICE, MARKED)]
        assert fired["failed"] == []

    async def test_network_can_come_back_later_than_the_program(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        fired: dict[str, list[Event]],
        freezer: FrozenDateTimeFactory,
    ) -> None:
        await use_gateway(hass, entry, UNREACHABLE)
        await killed(hass, entry)
        await later(hass, freezer, minutes=2)
        assert (sent(sandbox), fired["failed"]) == ([], [])
        ((text,),) = in_store(hass, "SELECT message FROM later")
        assert json.loads(text)["repeated"], "a kill before its request changes nothing"
        await use_gateway(hass, entry, sandbox.url)
        await later(hass, freezer, minutes=5)
        assert (sent(sandbox), fired["failed"], in_store(hass)) == ([(ALICE, MARKED)], [], [])

    async def test_repetition_that_fails_leaves_the_first_outcome(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        fired: dict[str, list[Event]],
        outcomes: list[Event],
        freezer: FrozenDateTimeFactory,
    ) -> None:
        fail_next(sandbox, "no_balance")
        await killed(hass, entry)
        await later(hass, freezer, seconds=1)
        cut_off(sandbox)
        sandbox.platform.accounts["homeuser"].balances["61341"] = 100
        await killed(hass, entry, BOB, attempt="direct.b")
        await later(hass, freezer, seconds=1)
        assert causes(fired) == [(ALICE, "unknown"), (BOB, "unknown")]
        assert ends(outcomes) == [("unknown", "lost")] * 2
        assert [event.data["repeated"] for event in outcomes] == [False, True]
        assert len(critical_repairs(hass)) == 2
        await restart(hass, entry)
        assert (sent(sandbox), len(fired["failed"])) == ([(BOB, MARKED)], 2)

    async def test_safe_text_is_marked_too(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        sandbox.platform.forbidden_words = [TEXT]
        await killed(hass, entry, policy=DeliveryPolicy(safe_text="请回家"))
        await later(hass, freezer, seconds=1)
        assert sent(sandbox) == [(ALICE, "（重发）请回家")]

    async def test_other_transport_repeats(
        self,
        hass: HomeAssistant,
        make_entry: MakeEntry,
        set_up: SetUp,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        outcomes: list[Event],
    ) -> None:
        """CMPP sends first where it is connected."""
        entry = make_entry(ways=BOTH)
        await set_up(entry)
        sandbox.cmpp.faults.next("drop_after", 99)
        await killed(hass, entry)
        await later(hass, freezer, seconds=1)
        assert (sent(sandbox), ends(outcomes)) == ([(ALICE, MARKED)], [("accepted", None)])

    async def test_full_disk_does_not_keep_the_alarm(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
        freezer: FrozenDateTimeFactory,
    ) -> None:
        monkeypatch.setattr(store_of(hass), "save_deferred_together", fail)
        await killed(hass, entry)
        await later(hass, freezer, seconds=1)
        assert sent(sandbox) == [(ALICE, MARKED)]

    async def test_repetition_after_a_missing_report_is_reported_once(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        fired: dict[str, list[Event]],
        freezer: FrozenDateTimeFactory,
    ) -> None:
        await killed(hass, entry, watched=True, outgoing=7, attempt="watch.0123")
        await later(hass, freezer, hours=1)
        assert (sent(sandbox), causes(fired), in_store(hass)) == ([], [(ALICE, "unknown")], [])


def fail(*_: Any, **__: Any) -> Future[None]:
    """Fail as the store does on a full disk."""
    failed: Future[None] = Future()
    failed.set_exception(StoreError("SQLITE_FULL"))
    return failed


class Held:
    """Holds the sends of an account. look: is called before each of them."""

    def __init__(self, entry: MockConfigEntry, look: Callable[[], object] = lambda: None) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self._look = look
        failover = entry.runtime_data.client.failover
        self._real, failover.send = failover.send, self._send

    async def _send(self, *args: Any, **kwargs: Any) -> Any:
        self._look()
        self.begun.set()
        await self.go_on.wait()
        return await self._real(*args, **kwargs)


class TestWhileItIsSent:
    """The store has a critical message from before its request to its end."""

    async def test_store_has_the_message_and_its_repetition(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, fired: dict[str, list[Event]]
    ) -> None:
        found: list[Any] = []
        held = Held(entry, lambda: found.append(in_store(hass, "SELECT going, message FROM later")))
        fail_next(sandbox, "drop_after")
        sending = asyncio.create_task(send(hass, number=[ALICE, BOB], priority="critical"))
        await held.begun.wait()
        assert len(running_rows(hass)) == 2
        held.go_on.set()
        await sending
        first, *repeats = ([(going, json.loads(text)) for going, text in rows] for rows in found)
        assert [(going, one["number"], one["repeated"]) for going, one in first] == [(1, ALICE, False), (1, BOB, False)]
        (attempt,) = {one["attempt"] for _, one in first}
        for rows in repeats:
            assert {one["attempt"] for _, one in rows if one["repeated"]} == {f"{attempt}.repeat"}
        assert in_store(hass) == []
        assert running_rows(hass) == set()
        names = {name for name, *_ in in_store(hass, ATTEMPTS)}
        assert names == {attempt, f"{attempt}.repeat"}
        assert fired["failed"] == []

    @pytest.mark.parametrize("stopping", [False, True])
    async def test_call_that_is_cancelled(
        self, hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]], stopping: bool
    ) -> None:
        """Only the end of the program leaves it to the next start."""
        held = Held(entry)
        sending = asyncio.create_task(send(hass, number=ALICE, priority="critical"))
        await held.begun.wait()
        if stopping:
            hass.set_state(CoreState.stopping)
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        hass.set_state(CoreState.running)
        assert len(in_store(hass)) == stopping
        assert [attempt is not None for attempt, *_ in in_store(hass, ATTEMPTS)] == [stopping]
        assert fired["failed"] == []

    async def test_reload_leaves_the_message_to_its_call(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        fired: dict[str, list[Event]],
        outcomes: list[Event],
    ) -> None:
        held = Held(entry)
        sending = asyncio.create_task(send(hass, number=ALICE, priority="critical"))
        await held.begun.wait()
        await entry.runtime_data.deferred.async_start()  # as that of a reloaded account
        held.go_on.set()
        [message] = await sending
        assert message["outcome"] == "accepted"
        await hass.async_block_till_done(wait_background_tasks=True)
        assert (sent(sandbox), fired["failed"], outcomes, in_store(hass)) == ([(ALICE, TEXT)], [], [], [])

    @pytest.mark.parametrize("hangs", [False, True])
    async def test_alarm_that_cannot_be_stored_is_sent(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        hangs: bool,
    ) -> None:
        monkeypatch.setattr("custom_components.sms1680.deferred.stored_alarms.STORE_TIMEOUT", 0.05)
        late: Future[int] = Future()
        real = store_of(hass).save_deferred
        monkeypatch.setattr(store_of(hass), "save_deferred", (lambda *_, **__: late) if hangs else fail)
        [message] = await send(hass, number=ALICE, priority="critical")
        assert (message["outcome"], sent(sandbox)) == ("accepted", [(ALICE, TEXT)])
        assert "An alarm is sent without being stored" in caplog.text
        assert [attempt for attempt, *_ in in_store(hass, ATTEMPTS)] == [None]
        if hangs:
            row = done(real(entry.entry_id, ALICE, dt_util.utcnow(), {}, going=True))
            late.set_result(row)
            await poll(lambda: not in_store(hass))

    async def test_mark_of_the_repetition_cannot_be_written(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(store_of(hass), "save_deferred_together", fail)
        fail_next(sandbox, "drop_after")
        await send(hass, number=ALICE, priority="critical")
        assert sent(sandbox) == [(ALICE, TEXT), (ALICE, MARKED)]
        assert "An alarm is repeated without a mark in the store (SQLITE_FULL)" in caplog.text
        assert entry.runtime_data.deferred.waiting == 0


class TestHistory:
    """A message that waited for its turn was not attempted."""

    @pytest.mark.parametrize("going", [False, True])
    async def test_attempt_before_its_turn_is_forgotten(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        going: bool,
    ) -> None:
        now, store = dt_util.utcnow(), store_of(hass)
        message = QueuedMessage(ALICE, TEXT, since=now.timestamp(), until=now.timestamp() + 3600)
        row = done(store.save_deferred(entry.entry_id, ALICE, now, message.as_json()))
        attempt = f"{row}.0.abcd"
        if going:
            stored = replace(message, attempt=attempt).as_json()
            done(store.save_deferred(entry.entry_id, ALICE, now, stored, row=row, going=True))
        other = Outgoing(entry.entry_id, BOB, "http", now, attempt=f"{row + 1}.0.abcd")
        done(store.begin(Dispatch((Outgoing(entry.entry_id, ALICE, "http", now, attempt=attempt), other))))
        await restart(hass, entry)
        await later(hass, freezer, seconds=1)
        assert sent(sandbox) == [(ALICE, TEXT)]
        states = [(name, state) for name, state, _ in in_store(hass, ATTEMPTS)]
        assert states[0] == (f"{row + 1}.0.abcd", "not_sent"), "its message is not in the queue"
        assert [state for _, state in states] == ["not_sent", "accepted"]


@pytest.mark.parametrize(
    ("states", "uncertain"),
    [
        (["unknown"], True),
        (["sending"], True),
        (["refused", "unknown"], True),
        (["unknown", "not_sent"], True),  # the repetition waited for its turn
        (["unknown", "unknown"], False),
        (["unknown", "accepted"], False),
        (["accepted"], False),
        ([], False),
    ],
)
def test_text_of_a_duty_alarm_is_sent_once_more_only(states: list[str], uncertain: bool) -> None:
    assert _is_uncertain([DeliveryState(state) for state in states]) is uncertain


async def test_fallback_that_cannot_be_noted_runs(
    entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    queue, message = entry.runtime_data.deferred, QueuedMessage(ALICE, TEXT, since=0.0)
    monkeypatch.setattr(queue._storage, "async_update_together", AsyncMock(side_effect=StoreError("SQLITE_FULL")))
    group = [StoredMessage(1, dt_util.utcnow(), message)]
    attempt = Attempt(queue.failures, queue._storage, group, message=message, is_deleted=lambda _: False)
    await attempt.before_fallback()
    assert "A fallback that starts could not be noted in the store" in caplog.text
