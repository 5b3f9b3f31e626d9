"""The message store in Home Assistant: its lifetime, the messages in it, and the sensors of the last delivery."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import CoreState, Event, HomeAssistant
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.sms1680 import backup, const
from custom_components.sms1680.account import journal as recording
from custom_components.sms1680.account.messages import BatchMessage, TemplateMessage
from custom_components.sms1680.client import DeliveryReport, Outcome, Reason, Receipt, Reply
from custom_components.sms1680.diagnostics import async_get_config_entry_diagnostics
from custom_components.sms1680.inbound.models import InboundSource, NotAcceptedError
from custom_components.sms1680.inbound.receiver import InboundProcessor
from custom_components.sms1680.inbound.registry import InboundRegistry, async_get_registry
from custom_components.sms1680.store.db import (
    DeliveryState,
    DeliveryUpdate,
    Dispatch,
    HistoryQuery,
    MessageStore,
    Outgoing,
    RecordedOutcome,
    Report,
    StoredIn,
    StoredOut,
    StoreError,
    Uplink,
    writer,
)
from custom_components.sms1680.store.intake import StoreIntake
from custom_components.sms1680.store.manager import DATA_STORE
from sms1680.sandbox import Sandbox
from sms1680.sandbox.faults import Fault
from tests.home_assistant.helpers import ALICE, BOB, STRANGER, MakeEntry, SetUp, Until, cut_off, send_text


@pytest.fixture
def path(hass: HomeAssistant) -> Path:
    return Path(hass.config.path("sms1680.db"))


def intake_of(hass: HomeAssistant, entry: MockConfigEntry) -> StoreIntake:
    return hass.data[DATA_STORE].for_entry(entry)


async def stored(hass: HomeAssistant, entry: MockConfigEntry, **query: Any) -> list[Any]:
    intake = intake_of(hass, entry)
    await intake.async_flush()
    return list(await asyncio.wrap_future(intake.store.messages(HistoryQuery(**query))))


async def receive(processor: InboundProcessor, item: Reply | DeliveryReport) -> None:
    (await processor.async_receive(item, InboundSource.LISTENER, 0)).mark_acknowledged()


def fail(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Simulate a full disk."""

    def full(*_: Any, **__: Any) -> Any:
        error = OSError(28, "No space left on device: 13800000001")
        raise error

    from custom_components.sms1680.store.db import store

    if name == "receive":
        monkeypatch.setattr(store, "insert_received", full)
    else:
        monkeypatch.setattr(store.MessageStore, name, store._method(full))


class TestIncoming:
    async def test_uplink_is_stored(
        self, hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor
    ) -> None:
        await receive(processor, Reply("+86" + ALICE, "收到", "12", "0042"))
        (message,) = await stored(hass, entry)
        assert isinstance(message, StoredIn)
        assert (message.number, message.content, message.extension) == (ALICE, "收到", "12")
        assert (message.recipient, message.via, message.fired, message.repeat) == ("alice", "listener", True, False)

    async def test_pending_events_of_an_earlier_run_fire_as_redelivered(
        self, hass: HomeAssistant, path: Path, make_entry: MakeEntry, set_up: SetUp, messages: list[Event]
    ) -> None:
        reports = async_capture_events(hass, const.EVENT_DELIVERY_REPORT)
        entry = make_entry()
        received_at = dt_util.utcnow() - timedelta(seconds=5)
        await hass.async_add_executor_job(self.fill, path, entry.entry_id, received_at)
        await set_up(entry)
        (message,) = messages
        assert (message.data["content"], message.data["id"], message.data["via"]) == ("1", "the id", "webhook")
        assert (message.data["redelivered"], message.data["received_at"]) == (True, received_at.isoformat())
        assert (message.data["recipient"], message.data["subentry_id"]) == ("Alice", "alice")
        (report,) = reports
        assert (report.data["message_id"], report.data["redelivered"]) == ("7", True)
        inbox = hass.states.get("event.home_inbox")
        assert inbox is not None
        assert inbox.state == "unknown"
        assert [message.fired for message in await stored(hass, entry)] == [True]

    @staticmethod
    def fill(path: Path, entry_id: str, received_at: Any) -> None:
        store = MessageStore(path)
        store.open()
        store.receive(
            Uplink(
                entry_id,
                "the id",
                ALICE,
                "1",
                "",
                "",
                incomplete=False,
                via="webhook",
                received_at=received_at,
                digest=b"",
            )
        )
        store.receive(Report(entry_id, "", ALICE, "7", "0", "webhook", received_at, b""))
        store.close()

    async def test_repeats_are_recognised_after_a_restart(
        self, hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor
    ) -> None:
        await processor.async_receive(Reply(ALICE, "not answered"), InboundSource.WEBHOOK, 0)
        await receive(processor, Reply(ALICE, "answered"))
        await intake_of(hass, entry).async_flush()
        restarted = InboundRegistry(hass).async_get(entry)
        restarted._store = hass.data[DATA_STORE]
        hass.config_entries.async_update_entry(entry, options={**entry.options, const.CONF_REPEAT_WINDOW: 0})
        await hass.async_block_till_done(wait_background_tasks=True)
        await restarted.async_restore_seen()
        for text, is_repeat in (("not answered", True), ("answered", False)):
            incoming, _ = restarted._prepare(Reply(ALICE, text), InboundSource.WEBHOOK)
            assert incoming.repeat is is_repeat

    async def test_full_disk_fires_but_does_not_acknowledge(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        processor: InboundProcessor,
        *,
        messages: list[Event],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        fail(monkeypatch, "receive")
        for _ in range(2):
            with pytest.raises(NotAcceptedError):
                await processor.async_receive(Reply(ALICE, "1"), InboundSource.WEBHOOK, 0)
        assert [event.data["redelivered"] for event in messages] == [False, True]
        assert processor.counts["not_stored"] == 2
        monkeypatch.undo()
        await receive(processor, Reply(ALICE, "1"))
        assert [message.repeat for message in await stored(hass, entry)] == [True]

    async def test_cancelled_receive_still_fires(
        self, hass: HomeAssistant, processor: InboundProcessor, messages: list[Event]
    ) -> None:
        task = hass.async_create_task(processor.async_receive(Reply(ALICE, "1"), InboundSource.WEBHOOK, 0))
        await asyncio.sleep(0)
        task.cancel()
        await hass.async_block_till_done()
        assert task.cancelled()
        for _ in range(100):
            if messages:
                break
            await asyncio.sleep(0.01)
            await hass.async_block_till_done()
        assert [event.data["content"] for event in messages] == ["1"]

    async def test_lone_surrogate_is_stored_as_escape(
        self, hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor
    ) -> None:
        await receive(processor, Reply(ALICE, "好 \ud83d"))
        assert [message.content for message in await stored(hass, entry)] == ["好 \\ud83d"]

    async def test_error_while_firing_does_not_block_later_items(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        processor: InboundProcessor,
        *,
        messages: list[Event],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        assert await hass.config_entries.async_unload(entry.entry_id)
        for text in "12":
            await receive(processor, Reply(ALICE, text))
        fire = processor._fire

        def faulty(incoming: Any) -> None:
            if incoming.item.content == "1":
                raise ValueError(ALICE)
            fire(incoming)

        monkeypatch.setattr(processor, "_fire", faulty)
        assert await hass.config_entries.async_setup(entry.entry_id)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert [event.data["content"] for event in messages] == ["2"]
        assert "Could not fire the event of a stored message: ValueError" in caplog.text

    async def test_texts_are_deleted_after_their_event_if_the_option_is_off(
        self, hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, messages: list[Event]
    ) -> None:
        entry = make_entry(options={const.CONF_KEEP_TEXTS: False})
        await set_up(entry)
        await receive(async_get_registry(hass).async_get(entry), Reply(ALICE, "收到"))
        await send_text(entry.runtime_data.client, ALICE, "门开了")
        assert messages[0].data["content"] == "收到"
        assert sorted(type(message).__name__ for message in await stored(hass, entry)) == ["StoredIn", "StoredOut"]
        assert [one.content if isinstance(one, StoredIn) else one.text for one in await stored(hass, entry)] == [
            None,
            None,
        ]

    async def test_pending_event_fires_after_the_store_changed(
        self, hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor, messages: list[Event]
    ) -> None:
        assert await hass.config_entries.async_unload(entry.entry_id)
        await receive(processor, Reply(ALICE, "1"))
        hass.config_entries.async_update_entry(entry, options={**entry.options, const.CONF_KEEP_DAYS: 0})
        assert await hass.config_entries.async_setup(entry.entry_id)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert [event.data["content"] for event in messages] == ["1"]


class TestOutgoing:
    async def test_message_is_stored_before_it_is_sent(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        sandbox.platform.faults.always(Fault(stall_after=0.3))
        sending = hass.async_create_task(send_text(entry.runtime_data.client, [ALICE, STRANGER], "门开了"))
        await asyncio.sleep(0)
        alice, stranger = sorted(await self.when(hass, entry, 2), key=lambda one: one.number)
        assert (alice.state, alice.recipient, alice.text) == (DeliveryState.SENDING, "alice", "门开了")
        assert (stranger.recipient, stranger.outcome) == (None, None)
        await sandbox.wait_for(lambda platform: len(platform.messages) == 2)
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        await entry.runtime_data.client.failover.aclose()
        await hass.async_block_till_done()
        # The outcome is stored although the caller was cancelled.
        assert {one.state for one in await stored(hass, entry)} == {DeliveryState.ACCEPTED}

    async def test_call_cancelled_before_sending_is_not_sent(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        blocked = threading.Event()
        intake_of(hass, entry).store._writer.submit(lambda _: blocked.wait(10))
        sending = hass.async_create_task(send_text(entry.runtime_data.client, ALICE, "门开了"))
        await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        blocked.set()
        for _ in range(1000):  # the receipt comes in the background
            [message] = await stored(hass, entry)
            if message.outcome is not None:
                break
        assert message.outcome is Outcome.NOT_SENT
        assert not sandbox.platform.messages

    @staticmethod
    async def when(hass: HomeAssistant, entry: MockConfigEntry, count: int) -> list[StoredOut]:
        for _ in range(1000):
            found = await stored(hass, entry)
            if len(found) == count:
                return found
        raise AssertionError

    async def test_template_and_batch_texts_are_stored(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        client = entry.runtime_data.client
        await client.send(TemplateMessage([ALICE, BOB], "{A}：{PHONE}", [["一"], ["二"]]))
        await client.send(BatchMessage([ALICE, ALICE], ["甲", "乙"]))
        found = [(one.number, one.text, one.message_ids, one.state) for one in await stored(hass, entry)]
        accepted = ((), DeliveryState.ACCEPTED)
        assert sorted(found) == sorted(
            [
                (ALICE, f"一：{ALICE}", *accepted),
                (BOB, f"二：{BOB}", *accepted),
                (ALICE, "甲", *accepted),
                (ALICE, "乙", *accepted),
            ]
        )

    async def test_report_of_a_template_message_is_matched_by_number(
        self, hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor
    ) -> None:
        await entry.runtime_data.client.send(TemplateMessage([ALICE], "{A}", [["一"]]))
        await receive(processor, DeliveryReport("7", ALICE, "0"))
        (message,) = await stored(hass, entry)
        assert (message.state, message.matched) == (DeliveryState.DELIVERED, "number")

    async def test_invalid_message_stores_nothing(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        with pytest.raises(ValueError, match="empty"):
            await send_text(entry.runtime_data.client, ALICE, " ")
        assert await stored(hass, entry) == []

    async def test_unexpected_error_leaves_the_message_unknown(
        self, hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError

        monkeypatch.setattr(entry.runtime_data.client.failover, "send", broken)
        with pytest.raises(ZeroDivisionError):
            await send_text(entry.runtime_data.client, ALICE, "门开了")
        (message,) = await stored(hass, entry)
        assert (message.state, message.reason) == (DeliveryState.UNKNOWN, Reason.LOST)

    @pytest.mark.parametrize("step", ["begin", "settle"])
    async def test_full_disk_does_not_prevent_sending(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        *,
        monkeypatch: pytest.MonkeyPatch,
        step: str,
    ) -> None:
        fail(monkeypatch, step)
        (receipt,) = await send_text(entry.runtime_data.client, ALICE, "门开了")
        assert receipt.outcome is Outcome.ACCEPTED
        assert len(sandbox.platform.messages) == 1
        states = [one.state for one in await stored(hass, entry)]
        assert states == ([DeliveryState.ACCEPTED] if step == "begin" else [DeliveryState.SENDING])

    async def test_hanging_disk_does_not_prevent_sending(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recording, "_STORE_TIMEOUT", 0.05)
        blocked = threading.Event()
        intake_of(hass, entry).store._writer.submit(lambda _: blocked.wait(10))
        (receipt,) = await send_text(entry.runtime_data.client, ALICE, "门开了")
        assert receipt.outcome is Outcome.ACCEPTED
        assert len(sandbox.platform.messages) == 1
        blocked.set()
        (message,) = await stored(hass, entry)
        assert (message.state, message.message_ids) == (DeliveryState.ACCEPTED, (receipt.message_id,))

    async def test_receipt_without_a_call_is_stored(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        entry.runtime_data.client.on_receipt(Receipt(ALICE, Outcome.ACCEPTED, "7", message_ids=("7",)), "http")
        await hass.async_block_till_done()
        (message,) = await stored(hass, entry)
        assert (message.number, message.recipient, message.text, message.message_ids) == (ALICE, "alice", None, ("7",))


class TestStoreManager:
    async def test_damaged_file_raises_a_repair(
        self, hass: HomeAssistant, path: Path, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
    ) -> None:
        path.write_bytes(b"no database" * 1000)  # noqa: ASYNC240 - nothing runs yet
        entry = make_entry()
        await set_up(entry)
        issue = ir.async_get(hass).async_get_issue(const.DOMAIN, "store_damaged")
        assert issue is not None
        assert issue.is_persistent
        assert issue.translation_placeholders is not None
        aside = Path(hass.config.path(issue.translation_placeholders["aside"]))
        assert (await hass.async_add_executor_job(aside.read_bytes)).startswith(b"no database")
        await send_text(entry.runtime_data.client, ALICE, "门开了")
        assert len(sandbox.platform.messages) == len(await stored(hass, entry)) == 1

    async def test_unavailable_file_raises_a_repair_and_uses_memory(
        self, hass: HomeAssistant, path: Path, make_entry: MakeEntry, set_up: SetUp, messages: list[Event]
    ) -> None:
        path.mkdir()  # noqa: ASYNC240 - nothing runs yet
        entry = make_entry()
        await set_up(entry)
        assert ir.async_get(hass).async_get_issue(const.DOMAIN, "store_unavailable") is not None
        await receive(async_get_registry(hass).async_get(entry), Reply(ALICE, "1"))
        await send_text(entry.runtime_data.client, ALICE, "门开了")
        assert len(messages) == 1
        assert len(await stored(hass, entry)) == 2
        assert intake_of(hass, entry).store.durable is False
        await backup.async_pre_backup(hass)

    async def test_removed_account_deletes_its_messages(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        processor: InboundProcessor,
        make_entry: MakeEntry,
        set_up: SetUp,
    ) -> None:
        other = make_entry(title="Other", http={"product_id": "2"}, webhook_id="other", push_secret="other")
        await set_up(other)
        await receive(processor, Reply(ALICE, "1"))
        await receive(async_get_registry(hass).async_get(other), Reply(ALICE, "2"))
        await send_text(entry.runtime_data.client, ALICE, "门开了")
        assert await hass.config_entries.async_remove(entry.entry_id)
        assert [one.content for one in await stored(hass, other)] == ["2"]

    async def test_store_is_pruned_every_hour(
        self, hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory, until: Until
    ) -> None:
        await send_text(entry.runtime_data.client, ALICE, "门开了")
        await until(lambda: hass.states.is_state("sensor.alice_last_delivery_state", "accepted"))
        freezer.tick(timedelta(hours=49))
        async_fire_time_changed(hass)
        await until(lambda: hass.states.is_state("sensor.alice_last_delivery_state", "no_report"))
        freezer.tick(timedelta(days=30))
        async_fire_time_changed(hass)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert await stored(hass, entry) == []

    async def test_store_closes_with_home_assistant(
        self, hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor
    ) -> None:
        store = intake_of(hass, entry).store
        await receive(processor, Reply(ALICE, "1"))
        await hass.async_stop(force=True)
        assert hass.state is CoreState.stopped
        with pytest.raises(StoreError, match="closed"):
            await asyncio.wrap_future(store.counts(entry.entry_id))
        assert await hass.async_add_executor_job(self.fired, store.path) == [True]

    @staticmethod
    def fired(path: Path) -> list[bool]:
        store = MessageStore(path)
        store.open()
        found = store.messages(HistoryQuery()).result(10)
        store.close()
        return [one.fired for one in found if isinstance(one, StoredIn)]

    async def test_backup_contains_everything_and_blocks_nothing(
        self, hass: HomeAssistant, path: Path, processor: InboundProcessor, messages: list[Event]
    ) -> None:
        await receive(processor, Reply(ALICE, "before"))
        await backup.async_pre_backup(hass)
        copy = path.with_name("copy.db")
        copy.write_bytes(await hass.async_add_executor_job(path.read_bytes))
        await receive(processor, Reply(ALICE, "meanwhile"))
        await backup.async_post_backup(hass)
        assert len(messages) == 2
        assert await hass.async_add_executor_job(self.fired, copy) == [True]

    async def test_backup_continues_without_a_store(
        self, hass: HomeAssistant, entry: MockConfigEntry, caplog: pytest.LogCaptureFixture
    ) -> None:
        await hass.async_add_executor_job(intake_of(hass, entry).store.close)
        await backup.async_pre_backup(hass)
        assert "Could not prepare the message store for the backup (closed)" in caplog.text

    @pytest.mark.usefixtures("entry")
    async def test_backup_platform_is_registered(self, hass: HomeAssistant) -> None:
        with contextlib.suppress(ImportError):  # needed by older versions
            from homeassistant.helpers.backup import async_initialize_backup

            async_initialize_backup(hass)
        assert await async_setup_component(hass, "backup", {})
        await hass.async_block_till_done(wait_background_tasks=True)
        from homeassistant.components.backup import DATA_MANAGER

        assert const.DOMAIN in hass.data[DATA_MANAGER].platforms

    async def test_diagnostics_contain_counts_but_no_content(
        self, hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor
    ) -> None:
        await receive(processor, Reply(ALICE, "收到"))
        await send_text(entry.runtime_data.client, ALICE, "门开了")
        diagnostics = await async_get_config_entry_diagnostics(hass, entry)
        assert diagnostics["store"]["on_disk"] is True
        assert diagnostics["store"]["outgoing"] == {"accepted": 1}
        assert diagnostics["store"]["uplinks"] == 1
        assert ALICE not in str(diagnostics)
        assert "收到" not in str(diagnostics)
        assert "门开了" not in str(diagnostics)
        await hass.async_add_executor_job(intake_of(hass, entry).store.close)
        diagnostics = await async_get_config_entry_diagnostics(hass, entry)
        assert diagnostics["store"] == {"on_disk": True, "problem": "closed"}


@pytest.mark.usefixtures("all_entities_enabled")
class TestLastDelivery:
    @staticmethod
    def last_delivery(hass: HomeAssistant, name: str) -> tuple[str, str]:
        state, since = (hass.states.get(f"sensor.{name}_last_delivery{what}") for what in ("_state", ""))
        assert state is not None
        assert since is not None
        return state.state, since.state

    async def test_each_recipient_has_a_last_delivery(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        processor: InboundProcessor,
        *,
        freezer: FrozenDateTimeFactory,
        until: Until,
    ) -> None:
        assert self.last_delivery(hass, "alice") == ("unknown", "unknown")
        freezer.move_to("2026-05-01 12:00:00+00:00")
        (receipt,) = await send_text(entry.runtime_data.client, ALICE, "门开了")
        await until(lambda: self.last_delivery(hass, "alice")[0] == "accepted")
        assert self.last_delivery(hass, "alice") == ("accepted", "unknown")
        freezer.tick(60)
        await receive(processor, DeliveryReport(str(receipt.message_id), ALICE, "0"))
        assert self.last_delivery(hass, "alice") == ("delivered", "2026-05-01T12:01:00+00:00")
        freezer.tick(60)
        (later,) = await send_text(entry.runtime_data.client, ALICE, "门关了")
        await until(lambda: self.last_delivery(hass, "alice")[0] == "accepted")
        await receive(processor, DeliveryReport(str(later.message_id), ALICE, "X"))
        assert self.last_delivery(hass, "alice") == ("failed", "2026-05-01T12:01:00+00:00")
        await hass.config_entries.async_reload(entry.entry_id)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert self.last_delivery(hass, "alice") == ("failed", "2026-05-01T12:01:00+00:00")
        assert self.last_delivery(hass, "bob") == ("unknown", "unknown")

    async def test_failure_after_the_delivery_takes_its_time_back(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        processor: InboundProcessor,
        *,
        freezer: FrozenDateTimeFactory,
        until: Until,
    ) -> None:
        freezer.move_to("2026-05-01 12:00:00+00:00")
        for text in ("门开了", "门关了"):
            (receipt,) = await send_text(entry.runtime_data.client, ALICE, text)
            freezer.tick(60)
            await receive(processor, DeliveryReport(str(receipt.message_id), ALICE, "0"))
        assert self.last_delivery(hass, "alice") == ("delivered", "2026-05-01T12:02:00+00:00")
        await receive(processor, DeliveryReport(str(receipt.message_id), ALICE, "X"))
        await until(lambda: self.last_delivery(hass, "alice") == ("failed", "2026-05-01T12:01:00+00:00"))

    async def test_unknown_outcome_is_a_state_of_its_own(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, until: Until
    ) -> None:
        cut_off(sandbox)
        (receipt,) = await send_text(entry.runtime_data.client, ALICE, "门开了")
        assert receipt.outcome is Outcome.UNKNOWN
        await until(lambda: self.last_delivery(hass, "alice")[0] == "uncertain")
        assert self.last_delivery(hass, "alice") == ("uncertain", "unknown")

    async def test_last_delivery_survives_a_reload(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        await send_text(entry.runtime_data.client, ALICE, "门开了")
        await hass.config_entries.async_reload(entry.entry_id)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert self.last_delivery(hass, "alice")[0] == "accepted"

    async def test_report_of_an_older_message_is_ignored(
        self, hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor
    ) -> None:
        (older,) = await send_text(entry.runtime_data.client, ALICE, "一")
        (newer,) = await send_text(entry.runtime_data.client, ALICE, "二")
        await receive(processor, DeliveryReport(str(newer.message_id), ALICE, "0"))
        await receive(processor, DeliveryReport(str(older.message_id), ALICE, "X"))
        assert self.last_delivery(hass, "alice")[0] == "delivered"

    async def test_outdated_update_is_ignored(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        older, newer = await self.updates(entry)
        manager = hass.data[DATA_STORE]
        manager.publish([newer])
        manager.publish([older])
        assert self.last_delivery(hass, "alice")[0] == "delivered"

    @staticmethod
    async def updates(entry: MockConfigEntry) -> tuple[DeliveryUpdate, DeliveryUpdate]:
        store = MessageStore(None)
        store.open()
        (alice,) = [one for one in entry.subentries.values() if one.title == "Alice"]
        at = dt_util.utcnow()
        dispatch = Dispatch((Outgoing(entry.entry_id, ALICE, "http", at, "门开了", alice.subentry_id),))
        store.begin(dispatch)
        (accepted,) = await asyncio.wrap_future(
            store.settle(dispatch, [(0, RecordedOutcome(Outcome.ACCEPTED, at, None, ("1",)))])
        )
        report = Report(entry.entry_id, "r", ALICE, "1", "0", "webhook", at, b"")
        delivered = (await asyncio.wrap_future(store.receive(report))).update
        store.close()
        assert delivered is not None
        return accepted, delivered


def test_repr_of_an_outgoing_message_masks_the_number() -> None:
    assert "138****0001" in repr(Outgoing("home", ALICE, "http", dt_util.utcnow(), "门开了"))
    assert writer.error_kind(OSError(28, ALICE)) == "OSError"
