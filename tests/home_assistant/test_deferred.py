"""Queued messages are never lost, sent twice, or sent to the wrong person."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import Event, HomeAssistant
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.sms1680 import const
from custom_components.sms1680.account.messages import OutgoingMessage
from custom_components.sms1680.client import Outcome, Reason, Receipt, Reply
from custom_components.sms1680.client.options import SendOptions
from custom_components.sms1680.deferred import queue as later_module
from custom_components.sms1680.deferred.models import QueuedMessage
from custom_components.sms1680.inbound.models import InboundSource, NotAcceptedError
from custom_components.sms1680.inbound.registry import async_get_registry
from custom_components.sms1680.outbound import queued as delivering
from custom_components.sms1680.store.db import MessageStore, StoreError
from sms1680.sandbox import Config, Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    EVENING,
    QUIET,
    MakeEntry,
    SetUp,
    act,
    ends,
    in_store,
    later,
    poll,
    recipient,
    repairs,
    send,
    send_to_alice,
    sent,
    store_of,
    use_gateway,
)


@pytest.fixture(autouse=True)
def _fails_at_once(fails_at_once: None) -> None:
    """Fail at once in each test here, before the account is set up."""


@pytest.fixture
def sandbox_config(sandbox_config: Config) -> Config:
    return replace(sandbox_config, report_delay=3600.0)


def damage(hass: HomeAssistant) -> None:
    """Make the store detect a damaged file and set it aside."""
    found = iter([True])

    def look(_: sqlite3.Connection) -> None:
        if next(found, False):
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error

    store_of(hass)._writer.submit(look).result(10)


def refuse(*_: Any, **__: Any) -> Future[Any]:
    """Fail like a store on a full disk."""
    failed: Future[Any] = Future()
    failed.set_exception(StoreError("full"))
    return failed


class TestDamage:
    @pytest.mark.usefixtures("gateway_off")
    async def test_message_that_cannot_be_saved_again_is_logged_and_saved_with_its_next_attempt(
        self, hass: HomeAssistant, freezer: FrozenDateTimeFactory, caplog: pytest.LogCaptureFixture
    ) -> None:
        await send_to_alice(hass, keep_trying="06:00:00")
        store_of(hass).save_deferred = refuse  # type: ignore[method-assign]
        damage(hass)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert "could not be saved and would be lost on restart (full)" in caplog.text
        assert in_store(hass) == []
        del store_of(hass).save_deferred  # there is room again
        await later(hass, freezer, minutes=1)
        assert len(in_store(hass)) == 1

    @pytest.mark.usefixtures("gateway_off")
    async def test_message_whose_row_cannot_be_deleted_is_sent_once(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        await send_to_alice(hass, keep_trying="06:00:00")
        store_of(hass).delete_deferred_row = refuse  # type: ignore[method-assign]
        await use_gateway(hass, entry, sandbox.url)
        for _ in range(3):
            await later(hass, freezer, minutes=1)
        assert sent(sandbox) == [(ALICE, "门开了")]
        assert "A queued message that is done could not be deleted (full)" in caplog.text

    @pytest.mark.usefixtures("gateway_off")
    async def test_queued_message_survives_a_damaged_store(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        outcomes: list[Event],
    ) -> None:
        await send_to_alice(hass, keep_trying="06:00:00")
        damage(hass)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert len(in_store(hass)) == 1  # safe from a restart again
        await use_gateway(hass, entry, sandbox.url)
        await later(hass, freezer, minutes=1)
        assert sent(sandbox) == [(ALICE, "门开了")]
        assert ends(outcomes) == [("accepted", None)]

    @pytest.mark.usefixtures("gateway_off")
    async def test_damage_found_by_the_attempt_itself(
        self, hass: HomeAssistant, freezer: FrozenDateTimeFactory, outcomes: list[Event]
    ) -> None:
        await send_to_alice(hass, keep_trying="00:02:00")
        keep = store_of(hass).save_deferred

        def damaged(*args: Any, **more: Any) -> Any:
            damage(hass)
            return keep(*args, **more)

        store_of(hass).save_deferred = damaged  # type: ignore[method-assign]
        for _ in range(3):
            await later(hass, freezer, minutes=1)
        assert ends(outcomes) == [("not_sent", "no_connection")]

    async def test_message_waits_while_the_store_fails(
        self, hass: HomeAssistant, quiet_entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        await send_to_alice(hass)

        def fail(*_: Any, **__: Any) -> Future[int]:
            failed: Future[int] = Future()
            failed.set_exception(StoreError("SQLITE_FULL"))
            return failed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_of(hass), "save_deferred_together", fail)
            await later(hass, freezer, hours=8)
            assert sent(sandbox) == []
        await later(hass, freezer, minutes=1)
        assert sent(sandbox) == [(ALICE, "门开了")]
        assert quiet_entry.runtime_data.deferred.waiting == 0

    @pytest.mark.usefixtures("gateway_off")
    @pytest.mark.parametrize("change", ["json_set(message, '$.new_field', 1)", "'no json'", "'[]'"])
    async def test_unreadable_message_is_reported_and_blocks_no_other(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        freezer: FrozenDateTimeFactory,
        sandbox: Sandbox,
        outcomes: list[Event],
        change: str,
    ) -> None:
        await send_to_alice(hass, keep_trying="06:00:00")
        in_store(hass, f"UPDATE later SET message = {change}")
        await send_to_alice(hass, entity_id="notify.bob", keep_trying="06:00:00")
        await use_gateway(hass, entry, sandbox.url)
        assert entry.state is ConfigEntryState.LOADED
        assert ends(outcomes) == [("not_sent", "unreadable")]
        await later(hass, freezer, minutes=1)
        assert sent(sandbox) == [(BOB, "门开了")]
        assert in_store(hass) == []


class TestTooLate:
    """An expired message is reported and not sent."""

    @pytest.mark.usefixtures("gateway_off")
    async def test_message_expires_with_the_time_to_keep_trying(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        outcomes: list[Event],
    ) -> None:
        await send_to_alice(hass, keep_trying="01:00:00")
        assert await hass.config_entries.async_unload(entry.entry_id)
        freezer.tick(timedelta(hours=2))
        await use_gateway(hass, entry, sandbox.url)
        await hass.config_entries.async_setup(entry.entry_id)
        await later(hass, freezer, minutes=1)
        assert (sent(sandbox), ends(outcomes)) == ([], [("not_sent", "too_late")])
        assert repairs(hass) == ["Alice"]
        assert in_store(hass) == []

    async def test_message_expires_days_after_quiet_hours(
        self,
        hass: HomeAssistant,
        quiet_entry: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        outcomes: list[Event],
    ) -> None:
        await send_to_alice(hass)
        assert await hass.config_entries.async_unload(quiet_entry.entry_id)
        freezer.move_to("2026-01-08 09:00:00+00:00")
        assert await hass.config_entries.async_setup(quiet_entry.entry_id)
        await later(hass, freezer, minutes=1)
        assert (sent(sandbox), ends(outcomes)) == ([], [("not_sent", "too_late")])

    async def test_fallback_expires_days_after_the_report_was_due(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        await send_to_alice(hass, priority="critical", fallback="notify.bob", report_within="00:02:00")
        assert await hass.config_entries.async_unload(entry.entry_id)
        freezer.tick(timedelta(days=2))
        assert await hass.config_entries.async_setup(entry.entry_id)
        await later(hass, freezer, minutes=1)
        assert sent(sandbox) == [(ALICE, "门开了")]
        assert in_store(hass) == []


class _Held:
    """A client whose send blocks until it is released, or is cancelled: then it delivers receipts, as the core does.

    waits_for_turn: no request may leave yet.
    """

    def __init__(self, entry: MockConfigEntry, receipts: list[Receipt], *, waits_for_turn: bool = False) -> None:
        self.waits_for_turn = waits_for_turn
        self.client = entry.runtime_data.client
        self.real = self.client.failover
        self.receipts = receipts
        self.begun = asyncio.Event()
        self.release = asyncio.Event()
        self.failing = False
        self.client.failover = self

    async def send(self, message: OutgoingMessage, options: SendOptions, **_: object) -> tuple[Receipt, ...]:
        if not self.waits_for_turn:
            await options["request_hook"].before([0])
        self.begun.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            for receipt in self.receipts:
                self.client.on_receipt(replace(receipt, context=options["context"]), "http")
            raise
        if self.failing:
            for receipt in self.receipts:
                self.client.on_receipt(replace(receipt, context=options["context"]), "http")
            return tuple(self.receipts)
        return await self.real.send(message, options)

    async def aclose(self) -> None:
        await self.real.aclose()


class TestInterruptedAttempt:
    """The program ends during an attempt."""

    @pytest.mark.parametrize(
        ("receipts", "messages", "end"),
        [
            ([Receipt(ALICE, Outcome.NOT_SENT, reason=Reason.CANCELLED)], 1, ("accepted", None)),
            ([], 0, ("unknown", "lost")),
            ([Receipt(ALICE, Outcome.UNKNOWN, reason=Reason.LOST)], 0, ("unknown", "lost")),
            ([Receipt(ALICE, Outcome.ACCEPTED, message_id="1", message_ids=("1",))], 0, ("accepted", None)),
            ([Receipt(ALICE, Outcome.HELD, reason=Reason.REVIEW)], 0, ("held", None)),
            ([Receipt(ALICE, Outcome.REFUSED, reason=Reason.BALANCE)], 0, ("refused", None)),
        ],
    )
    async def test_attempt_is_repeated_only_if_nothing_left(
        self,
        hass: HomeAssistant,
        quiet_entry: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        outcomes: list[Event],
        receipts: list[Receipt],
        messages: int,
        end: tuple[str, str | None],
    ) -> None:
        await send_to_alice(hass)
        await send_to_alice(hass, message="窗开了")
        held = _Held(quiet_entry, receipts)
        freezer.tick(timedelta(hours=8))
        async_fire_time_changed(hass, dt_util.utcnow())
        await asyncio.wait_for(held.begun.wait(), 10)
        assert sorted(going for _, going in in_store(hass)) == [0, 1]
        for task in quiet_entry.runtime_data.deferred._tasks:
            task.cancel()  # as Home Assistant does when it stops
        assert await hass.config_entries.async_unload(quiet_entry.entry_id)
        assert await hass.config_entries.async_setup(quiet_entry.entry_id)
        await hass.async_block_till_done(wait_background_tasks=True)  # time must not jump during a request
        await later(hass, freezer, minutes=1)
        assert sent(sandbox) == [(ALICE, "门开了")] * messages + [(ALICE, "窗开了")]
        assert ends(outcomes) == [end, ("accepted", None)]
        assert in_store(hass) == []

    async def test_message_that_waited_for_its_turn_is_sent_after_a_restart(
        self,
        hass: HomeAssistant,
        quiet_entry: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        outcomes: list[Event],
    ) -> None:
        await send_to_alice(hass)
        held = _Held(quiet_entry, [], waits_for_turn=True)
        freezer.tick(timedelta(hours=8))
        async_fire_time_changed(hass, dt_util.utcnow())
        await asyncio.wait_for(held.begun.wait(), 10)
        assert [going for _, going in in_store(hass)] == [0]
        for task in quiet_entry.runtime_data.deferred._tasks:
            task.cancel()
        assert await hass.config_entries.async_unload(quiet_entry.entry_id)
        assert await hass.config_entries.async_setup(quiet_entry.entry_id)
        await hass.async_block_till_done(wait_background_tasks=True)  # time must not jump during a request
        await later(hass, freezer, minutes=1)
        assert (sent(sandbox), ends(outcomes)) == ([(ALICE, "门开了")], [("accepted", None)])

    async def test_interrupted_fallback_is_not_run_twice(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        outcomes: list[Event],
        until: Callable[[Callable[[], object]], Awaitable[None]],
        hass_client_no_auth: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Unloading does not wait for actions that never end."""
        monkeypatch.setattr(later_module, "_STOP_TIMEOUT", 0.05)
        sirens = async_capture_events(hass, "siren")
        actions = [{"event": "siren"}, {"wait_template": "{{ states('sensor.never') == 'on' }}"}]
        alice = await send_to_alice(hass, priority="critical", report_within="00:02:00", fallback_actions=actions)
        pushed = {"mobile": ALICE, "msgid": alice["message_id"], "status": "UNDELIV"}
        client = await hass_client_no_auth()
        assert (await client.get("/api/webhook/webhook-id-of-the-tests", params=pushed)).status == 200
        await until(lambda: sirens)
        assert await hass.config_entries.async_reload(entry.entry_id)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert (len(sirens), ends(outcomes)) == (1, [("unknown", "lost")])
        assert len(sent(sandbox)) == 1
        assert in_store(hass) == []


class TestIndependentMessages:
    """A problem with one message does not affect the others."""

    async def test_internal_error_is_reported_as_unknown_and_the_next_message_is_sent(
        self,
        hass: HomeAssistant,
        quiet_entry: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        outcomes: list[Event],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await send_to_alice(hass)
        await send_to_alice(hass, message="窗开了")
        real, faults = delivering.send_with_safe_text, iter([True])

        async def fail_once(*args: Any, **more: Any) -> Any:
            if next(faults, False):
                raise RuntimeError
            return await real(*args, **more)

        monkeypatch.setattr(delivering, "send_with_safe_text", fail_once)
        await later(hass, freezer, hours=8)
        assert sent(sandbox) == [(ALICE, "窗开了")]
        assert ends(outcomes) == [("unknown", "lost"), ("accepted", None)]
        assert quiet_entry.runtime_data.deferred.waiting == 0

    async def test_purged_message_is_not_put_off(
        self, hass: HomeAssistant, quiet_entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        await send_to_alice(hass, keep_trying="06:00:00")
        (row,) = (row for row, _ in in_store(hass))
        held = _Held(quiet_entry, [Receipt(ALICE, Outcome.NOT_SENT, reason=Reason.NO_CONNECTION)])
        freezer.tick(timedelta(hours=8))
        async_fire_time_changed(hass, dt_util.utcnow())
        await asyncio.wait_for(held.begun.wait(), 10)
        quiet_entry.runtime_data.deferred._remove_rows([row])
        held.failing = True
        held.release.set()
        await hass.async_block_till_done(wait_background_tasks=True)
        assert (sent(sandbox), in_store(hass)) == ([], [])

    async def test_no_fallback_for_a_removed_recipient(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        await send_to_alice(hass, priority="critical", fallback="notify.bob", report_within="00:02:00")
        hass.config_entries.async_remove_subentry(entry, "alice")
        await hass.async_block_till_done()
        await later(hass, freezer, minutes=3)
        assert sent(sandbox) == [(ALICE, "门开了")]
        assert in_store(hass) == []


class TestSpendingLimits:
    """Messages over a spending limit are put off, not dropped."""

    async def test_messages_of_a_night_over_the_limit_follow_as_one(
        self,
        hass: HomeAssistant,
        make_entry: MakeEntry,
        set_up: SetUp,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
    ) -> None:
        freezer.move_to(EVENING)
        quiet_entry = make_entry(options={const.CONF_NUMBER_LIMIT: 10}, recipients=[recipient("Alice", ALICE, **QUIET)])
        await set_up(quiet_entry)
        texts = [f"第{place}" for place in range(13)]
        for text in texts:
            await send_to_alice(hass, message=text)
        await later(hass, freezer, hours=8)
        assert sent(sandbox) == [(ALICE, text) for text in texts[:10]]
        await later(hass, freezer, minutes=11)
        [(number, digest)] = sent(sandbox)[10:]
        assert (number, digest[:8]) == (ALICE, "3 more: ")
        assert quiet_entry.runtime_data.deferred.waiting == 0

    async def test_message_is_reported_after_a_day(
        self,
        hass: HomeAssistant,
        make_entry: MakeEntry,
        set_up: SetUp,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        outcomes: list[Event],
    ) -> None:
        freezer.move_to(EVENING)
        made = make_entry(
            options={const.CONF_HOURLY_LIMIT: 1}, recipients=[recipient("Alice", ALICE, **QUIET), recipient("Bob", BOB)]
        )
        await set_up(made)
        await send_to_alice(hass, message="长" * 100)
        for _ in range(68):
            await later(hass, freezer, minutes=29)
            await send(hass, number=BOB, message="占用", priority="critical")
            await later(hass, freezer, minutes=1)
        assert {number for number, _ in sent(sandbox)} == {BOB}
        assert ends(outcomes) == [("refused", "hourly_limit")]


class TestDeletion:
    """Deleting an account or a number leaves nothing behind."""

    @pytest.mark.usefixtures("gateway_off")
    async def test_removing_the_account_deletes_its_messages(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        await send_to_alice(hass, keep_trying="01:00:00")
        assert await hass.config_entries.async_remove(entry.entry_id)
        assert in_store(hass) == []

    async def test_message_received_while_the_account_is_removed(
        self, hass: HomeAssistant, entry: MockConfigEntry
    ) -> None:
        receiver = async_get_registry(hass).async_get(entry)
        held = threading.Event()
        store_of(hass)._writer.submit(lambda _: held.wait(10))
        coming = []
        for text in ("一", "二"):  # the store's thread has the first, the second is still queued
            coming.append(hass.async_create_task(receiver.async_receive(Reply(ALICE, text), InboundSource.WEBHOOK, 0)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        removal = hass.async_create_task(hass.config_entries.async_remove(entry.entry_id))
        await poll(lambda: receiver._closed)
        held.set()
        await removal
        await asyncio.gather(*coming)
        with pytest.raises(NotAcceptedError):
            await receiver.async_receive(Reply(ALICE, "三"), InboundSource.WEBHOOK, 0)
        assert in_store(hass, "SELECT row FROM uplink") == []

    @pytest.mark.parametrize("selected", [{}, {"number": ALICE}, {"recipient": "Alice"}])
    async def test_purge_deletes_queued_messages(
        self,
        hass: HomeAssistant,
        quiet_entry: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        selected: dict[str, str],
    ) -> None:
        await send_to_alice(hass)
        answer = await act(hass, "purge_messages", **selected)
        assert answer == {"purged": 1}
        assert in_store(hass) == []
        await later(hass, freezer, hours=8)
        assert sent(sandbox) == []
        assert quiet_entry.runtime_data.deferred.waiting == 0

    @pytest.mark.parametrize("selected", [{"number": BOB}, {"recipient": "Bob"}, {"until": "2026-01-05 23:00:00"}])
    async def test_purge_of_others_keeps_the_message(
        self,
        hass: HomeAssistant,
        quiet_entry: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        selected: dict[str, str],
    ) -> None:
        await hass.config.async_set_time_zone("UTC")
        await send_to_alice(hass)
        await hass.services.async_call("sms1680", "purge_messages", selected, blocking=True)
        await later(hass, freezer, hours=8)
        assert sent(sandbox) == [(ALICE, "门开了")]
        assert quiet_entry.runtime_data.deferred.waiting == 0

    async def test_purge_during_an_attempt(
        self, hass: HomeAssistant, quiet_entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        """A running attempt ends normally; messages that wait for their turn are not sent."""
        await send_to_alice(hass)
        await send_to_alice(hass, message="窗开了")
        held = _Held(quiet_entry, [])
        freezer.tick(timedelta(hours=8))
        async_fire_time_changed(hass, dt_util.utcnow())
        await asyncio.wait_for(held.begun.wait(), 10)
        await hass.services.async_call("sms1680", "purge_messages", {}, blocking=True)
        assert [going for _, going in in_store(hass)] == [1]
        held.release.set()
        await hass.async_block_till_done(wait_background_tasks=True)
        assert sent(sandbox) == [(ALICE, "门开了")]
        assert in_store(hass) == []

    async def test_purge_of_a_message_that_waits_for_its_turn(
        self,
        hass: HomeAssistant,
        quiet_entry: MockConfigEntry,
        sandbox: Sandbox,
        freezer: FrozenDateTimeFactory,
        outcomes: list[Event],
    ) -> None:
        await send_to_alice(hass)
        held = _Held(quiet_entry, [], waits_for_turn=True)
        freezer.tick(timedelta(hours=8))
        async_fire_time_changed(hass, dt_util.utcnow())
        await asyncio.wait_for(held.begun.wait(), 10)
        await hass.services.async_call("sms1680", "purge_messages", {}, blocking=True)
        assert in_store(hass) == []
        held.release.set()
        await hass.async_block_till_done(wait_background_tasks=True)
        assert (sent(sandbox), in_store(hass), ends(outcomes)) == ([], [], [])


class TestEnqueue:
    async def test_message_enqueued_during_a_reload_waits_in_the_new_queue(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        before = entry.runtime_data.deferred
        assert await hass.config_entries.async_reload(entry.entry_id)
        assert await before.async_enqueue(queued_message(), dt_util.utcnow() + timedelta(hours=1))
        assert (before.waiting, entry.runtime_data.deferred.waiting) == (0, 1)
        await later(hass, freezer, hours=1)
        assert sent(sandbox) == [(ALICE, "门开了")]

    async def test_message_that_cannot_be_queued_is_logged(
        self, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        failed: Future[int] = Future()
        failed.set_exception(StoreError("SQLITE_FULL"))
        monkeypatch.setattr(MessageStore, "save_deferred", lambda *_, **__: failed)
        waiting = entry.runtime_data.deferred
        assert not await waiting.async_enqueue(queued_message(), dt_util.utcnow() + timedelta(hours=1))
        assert waiting.waiting == 0
        assert "A message could not be queued (SQLITE_FULL)" in caplog.text


def queued_message() -> QueuedMessage:
    return QueuedMessage(ALICE, "门开了", "Alice", "alice", since=dt_util.utcnow().timestamp())
