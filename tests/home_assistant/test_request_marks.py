"""What is marked as being sent, and when; and failed reports that come before the end of their call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Event, HomeAssistant
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.sms1680 import const
from custom_components.sms1680.account.failover import _HookOfRest
from custom_components.sms1680.account.journal import SendContext
from custom_components.sms1680.account.messages import TextMessage
from custom_components.sms1680.client import DeliveryReport, Outcome, Reason, Receipt
from custom_components.sms1680.deferred.failures import _DATA_RUNNING, FailureReporter
from custom_components.sms1680.deferred.models import QueuedMessage, StoredMessage
from custom_components.sms1680.deferred.recovery import async_interrupted
from custom_components.sms1680.store.db import (
    DeliveryState,
    Dispatch,
    MessageStore,
    Outgoing,
    RecordedOutcome,
    StoreError,
)
from custom_components.sms1680.store.db.outbox import mark_interrupted
from custom_components.sms1680.store.db.records import to_micros
from sms1680.sandbox import Fault, Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    BOTH,
    MakeEntry,
    SetUp,
    done,
    ends,
    in_store,
    later,
    notify,
    receive,
    send_to_number,
    sent,
    store_of,
    wait_for_messages,
)

MARKS = "SELECT going FROM later ORDER BY row"
OPEN = "SELECT number, missing FROM outgoing WHERE state = 'sending' ORDER BY row"


@pytest.fixture
def outcomes(hass: HomeAssistant) -> list[Event]:
    """Return the events of queued messages that no longer wait."""
    return async_capture_events(hass, const.EVENT_DELAYED_MESSAGE)


async def holds(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that no event announces."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail("the condition did not hold in time")


async def queue(entry: MockConfigEntry, *numbers: str, priority: str = "normal", text: str = "门开了") -> None:
    """Queue a message to each number, due now."""
    now = dt_util.utcnow()
    for number in numbers:
        message = QueuedMessage(number, text, None, None, priority=priority, since=now.timestamp())
        assert await entry.runtime_data.deferred.async_enqueue(message, now)


@pytest.mark.parametrize("way", ["http", "cmpp"])
async def test_only_the_message_in_a_request_is_marked(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    sandbox: Sandbox,
    way: str,
) -> None:
    """With a known rate, one request of the account is in flight."""
    entry = make_entry(options={const.CONF_RATE: 1000}, ways=(way,))
    await set_up(entry)
    if way == "http":
        sandbox.platform.faults.next(Fault(stall_after=1.0))
    else:
        sandbox.cmpp.late = 1.0
        sandbox.cmpp.faults.next("late_answer")
    await queue(entry, ALICE, BOB, "13800000007")
    await sandbox.wait_for(lambda platform: platform.messages)
    assert sorted(going for (going,) in in_store(hass, MARKS)) == [0, 0, 1]
    assert [missing for _, missing in in_store(hass, OPEN)].count(1) == 1
    await holds(lambda: not in_store(hass, MARKS))
    assert len(sent(sandbox)) == 3


async def test_message_refused_as_too_fast_has_no_mark_while_it_waits(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    sandbox.platform.faults.next("too_fast")
    await queue(entry, ALICE)
    await holds(lambda: in_store(hass, OPEN) == [(ALICE, 0)] and in_store(hass, MARKS) == [(0,)])
    await holds(lambda: not in_store(hass, MARKS))
    assert sent(sandbox) == [(ALICE, "门开了")]


async def receive_failure(hass: HomeAssistant, entry: MockConfigEntry, message_id: str) -> None:
    """Receive a failed report without waiting for the end of the call."""
    await receive(hass, entry, DeliveryReport(message_id, ALICE, "UNDELIV"), settle=False)


def fail(*_: Any, **__: Any) -> Future[None]:
    """Fail as the store does on a full disk."""
    failed: Future[None] = Future()
    failed.set_exception(StoreError("SQLITE_FULL"))
    return failed


class TestFullDisk:
    """The mark cannot be written."""

    async def test_alarm_is_sent_without_a_mark(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(store_of(hass), "save_deferred_together", fail)
        await queue(entry, ALICE, priority="critical")
        await hass.async_block_till_done(wait_background_tasks=True)
        assert sent(sandbox) == [(ALICE, "门开了")]
        assert "An alarm is sent without a mark in the store (SQLITE_FULL)" in caplog.text

    async def test_alarm_does_not_wait_for_a_disk_that_hangs(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("custom_components.sms1680.deferred.attempt.STORE_TIMEOUT", 0.05)
        monkeypatch.setattr(store_of(hass), "save_deferred_together", lambda *_, **__: Future())
        await queue(entry, ALICE, priority="critical")
        await wait_for_messages(sandbox)
        assert sent(sandbox) == [(ALICE, "门开了")]

    async def test_other_messages_wait_and_survive_a_reload(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        outcomes: list[Event],
    ) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_of(hass), "save_deferred_together", fail)
            await queue(entry, ALICE)
            await hass.async_block_till_done(wait_background_tasks=True)  # time must not jump during a request
            await later(hass, freezer, minutes=1)
            assert (sent(sandbox), ends(outcomes), in_store(hass, MARKS)) == ([], [], [(0,)])
            assert entry.runtime_data.deferred.waiting == 1
        assert await hass.config_entries.async_reload(entry.entry_id)
        await hass.async_block_till_done(wait_background_tasks=True)
        await later(hass, freezer, minutes=1)
        assert (sent(sandbox), ends(outcomes)) == ([(ALICE, "门开了")], [("accepted", None)])

    async def test_message_does_not_wait_silently_for_longer_than_a_day(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        outcomes: list[Event],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(store_of(hass), "save_deferred_together", fail)
        await queue(entry, ALICE)
        await hass.async_block_till_done(wait_background_tasks=True)
        await later(hass, freezer, hours=25)
        assert (sent(sandbox), ends(outcomes)) == ([], [("not_sent", "too_late")])

    async def test_digest_waits(
        self,
        hass: HomeAssistant,
        make_entry: MakeEntry,
        set_up: SetUp,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
    ) -> None:
        entry = make_entry(options={const.CONF_NUMBER_LIMIT: 1})
        await set_up(entry)
        for text in ("一", "二", "三"):
            await send_to_number(hass, message=text)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_of(hass), "save_deferred_together", fail)
            await later(hass, freezer, minutes=11)
            assert sent(sandbox) == [(ALICE, "一")]
        await later(hass, freezer, minutes=2)
        assert len(sent(sandbox)) == 2
        assert in_store(hass, MARKS) == []


class TestEarlyReport:
    """The failed report of a message comes before the end of its call."""

    @pytest.mark.parametrize("queued", [False, True])
    async def test_alarm_that_fails_twice_fires_one_event(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        fired: dict[str, list[Event]],
        queued: bool,
    ) -> None:
        sandbox.platform.faults.next(Fault(stall_after=0.3), 2)
        if queued:
            await queue(entry, ALICE, priority="critical")
        else:
            sending = asyncio.create_task(send_to_number(hass, priority="critical"))
        for place in range(2):
            await sandbox.wait_for(lambda platform, place=place: len(platform.messages) > place, 20)
            await receive_failure(hass, entry, sandbox.platform.messages[place].message_id)
        if not queued:
            await sending
        await hass.async_block_till_done(wait_background_tasks=True)
        await holds(lambda: fired["failed"])
        assert sent(sandbox) == [(ALICE, "门开了"), (ALICE, "（重发）门开了")]
        assert [event.data["number"] for event in fired["failed"]] == [ALICE]

    @pytest.mark.parametrize("batched", [False, True])
    async def test_normal_message_fires_one_event(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        fired: dict[str, list[Event]],
        batched: bool,
    ) -> None:
        sandbox.platform.faults.next(Fault(stall_after=0.3))
        sends = notify(hass, "notify.alice", "notify.bob") if batched else send_to_number(hass)
        sending = asyncio.create_task(sends)
        await sandbox.wait_for(lambda platform: platform.messages)
        await receive_failure(hass, entry, sandbox.platform.messages[0].message_id)
        await sending
        await hass.async_block_till_done(wait_background_tasks=True)
        assert [event.data["cause"] for event in fired["failed"]] == ["failed"]
        assert hass.data[_DATA_RUNNING] == set()

    async def test_row_counts_as_running_before_its_request(
        self, hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]]
    ) -> None:
        """The account starts again at the moment at which the store has an answer that the call does not know yet."""
        client, queue = entry.runtime_data.client, entry.runtime_data.deferred

        async def answer(_: Any, options: Any, **__: Any) -> tuple[Receipt, ...]:
            await options["request_hook"].before([0])
            in_store(hass, "UPDATE outgoing SET state = 'unknown', outcome = 'unknown', reason = 'lost'")
            await FailureReporter(hass, entry, queue.journal).async_start([])
            assert fired["failed"] == []
            receipt = Receipt(ALICE, Outcome.UNKNOWN, reason=Reason.LOST, context=options["context"])
            client.on_receipt(receipt, "http")
            return (receipt,)

        client.failover.send = answer
        await send_to_number(hass)
        assert [event.data["cause"] for event in fired["failed"]] == ["unknown"]
        await FailureReporter(hass, entry, queue.journal).async_start([])
        assert (len(fired["failed"]), hass.data[_DATA_RUNNING]) == (1, set())

    @pytest.mark.usefixtures("entry")
    async def test_safe_text_and_an_error_leave_no_row_behind(
        self,
        hass: HomeAssistant,
        sandbox: Sandbox,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        sandbox.platform.forbidden_words = ["禁词"]
        await send_to_number(hass, message="禁词", safe_text="请回家", priority="critical")
        assert sent(sandbox) == [(ALICE, "请回家")]
        assert hass.data[_DATA_RUNNING] == set()

        async def broken(*_: Any) -> None:
            assert hass.data[_DATA_RUNNING]
            raise RuntimeError

        monkeypatch.setattr("custom_components.sms1680.outbound.pipeline._async_finish", broken)
        with pytest.raises(RuntimeError):
            await send_to_number(hass)
        assert hass.data[_DATA_RUNNING] == set()


class TestRecovery:
    """The journal decides whether an interrupted attempt is repeated."""

    @pytest.mark.parametrize(
        ("states", "outcome"),
        [
            ((Outcome.NOT_SENT,), None),
            ((Outcome.REFUSED, Outcome.NOT_SENT), None),  # the safe text waited for its turn
            ((Outcome.REFUSED,), Outcome.REFUSED),
            ((Outcome.NOT_SENT, Outcome.UNKNOWN), Outcome.UNKNOWN),
            ((), Outcome.UNKNOWN),
        ],
    )
    async def test_states_of_an_attempt(self, states: tuple[Outcome, ...], outcome: Outcome | None) -> None:
        store = MessageStore(None)
        store.open()
        now = dt_util.utcnow()
        for state in states:
            dispatch = Dispatch((Outgoing("home", ALICE, "http", now, attempt="7.0.name"),))
            done(store.settle(dispatch, [(0, RecordedOutcome(state, now))]))
        message = QueuedMessage(ALICE, "门开了", None, None, since=now.timestamp(), attempt="7.0.name")
        receipt = await async_interrupted(store, StoredMessage(7, now, message))
        assert (receipt.outcome if receipt else None) is outcome


async def test_second_transport_marks_the_items_of_the_whole_send(
    make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
) -> None:
    calls: list[tuple[str, tuple[int, ...]]] = []

    class Hook:
        async def before(self, indexes: Any, /) -> None:
            calls.append(("before", tuple(indexes)))

        def undo(self, indexes: Any, /) -> None:
            calls.append(("undo", tuple(indexes)))

    entry = make_entry(ways=BOTH)
    await set_up(entry)
    sandbox.cmpp.faults.next("too_fast", 99)
    failover = entry.runtime_data.client.failover
    failover._by_preference = lambda: [failover.cmpp, failover.http]
    context = SendContext(request_hook=Hook())
    [result] = await entry.runtime_data.client.send(TextMessage([ALICE], "门开了"), {}, context)
    assert result.receipt.outcome is Outcome.ACCEPTED
    assert calls[-2:] == [("undo", (0,)), ("before", (0,))]
    rest = _HookOfRest(Hook(), [3, 5])
    rest.undo([1])
    await rest.before([0, 1])  # type: ignore[misc]
    assert calls[-2:] == [("undo", (5,)), ("before", (3, 5))]


async def test_direct_message_before_its_turn_is_not_sent_after_a_restart(
    hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]]
) -> None:
    """A program that is killed leaves its rows as they are."""
    now = dt_util.utcnow()
    store = store_of(hass)
    dispatch = Dispatch((Outgoing(entry.entry_id, ALICE, "http", now), Outgoing(entry.entry_id, BOB, "http", now)))
    done(store.begin(dispatch))
    done(store.mark(dispatch, [1]))
    done(store._writer.submit(lambda database: mark_interrupted(database, to_micros(now))))  # as when it opens
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    found = {event.data["number"]: event.data["outcome"] for event in fired["failed"]}
    assert found == {ALICE: DeliveryState.NOT_SENT, BOB: DeliveryState.UNKNOWN}
