"""Uplinks and reports become bus events: with the right recipient and extension, once, and when automations listen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.const import EVENT_HOMEASSISTANT_STARTED
from homeassistant.core import CoreState, Event, HomeAssistant, callback
from homeassistant.util import dt as dt_util
from hypothesis import given, strategies as st
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_time_changed,
)

from custom_components.sms1680 import const
from custom_components.sms1680.client import DeliveryReport, Reply
from custom_components.sms1680.inbound import receiver
from custom_components.sms1680.inbound.events import resolve_extension
from custom_components.sms1680.inbound.models import InboundSource, NotAcceptedError
from custom_components.sms1680.inbound.receiver import InboundProcessor
from custom_components.sms1680.inbound.registry import async_get_registry
from custom_components.sms1680.store.db import MessageStore, StoreError, comparable_number
from tests.home_assistant.helpers import ALICE, MakeEntry, set_up_entry


@contextlib.contextmanager
def store_fails(*methods: str) -> Iterator[None]:
    """Make these methods of the store fail."""

    def fail(*_: object) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(StoreError("busy"))
        return future

    with contextlib.ExitStack() as stack:
        for method in methods:
            stack.enter_context(patch.object(MessageStore, method, fail))
        yield


async def receive(processor: InboundProcessor, item: Reply | DeliveryReport, *, acknowledged: bool = True) -> None:
    incoming = await processor.async_receive(item, InboundSource.WEBHOOK, 0)
    if acknowledged:
        incoming.mark_acknowledged()


@pytest.mark.parametrize(
    "notation",
    ["13800000001", "+8613800000001", "8613800000001", "008613800000001", "138 0000 0001", "１３８０００００００１"],
)
async def test_recipient_is_found_for_every_notation_of_the_number(
    processor: InboundProcessor, messages: list[Event], notation: str
) -> None:
    await receive(processor, Reply(notation, "1"))
    data = messages[0].data
    assert (data["number"], data["recipient"], data["subentry_id"]) == (ALICE, "Alice", "alice")


@pytest.mark.parametrize("sender", ["10086", "106900001680", "+4915112345678", "380000000", "1380000000", "Bank"])
async def test_other_senders_stay_unchanged(processor: InboundProcessor, messages: list[Event], sender: str) -> None:
    await receive(processor, Reply(sender, "1"))
    data = messages[0].data
    assert (data["number"], data["recipient"], data["subentry_id"]) == (sender, None, None)


@pytest.mark.parametrize(
    ("address", "known", "source", "extension"),
    [
        ("12", {"12"}, "", "12"),
        ("10690000168012", {"2", "12"}, "", "12"),
        ("10690000168012", {"2", "12", "168012", "99"}, "", "168012"),
        ("10690000168012", {""}, "", "10690000168012"),
        ("10690000168012", set(), "106900001680", "12"),
        ("10690000168012", {"2"}, "106900001680", "12"),  # belongs to another installation
        ("106900001680", {"", "12"}, "106900001680", ""),
        ("106900001680", {"80"}, "106900001680", ""),  # a reply to a message without an extension
        ("10658888812", {"2", "12"}, "106900001680", "12"),  # another of our access numbers
        ("34", {"12"}, "106900001680", "34"),
        ("", {"12", ""}, "106900001680", ""),
        ("12", {"012"}, "", "12"),
        ("12", {"2"}, "", "12"),
        ("112", {"12", "2"}, "106900001680", "112"),
    ],
)
def test_resolve_extension(address: str, known: set[str], source: str, extension: str) -> None:
    assert resolve_extension(address, known, [source]) == extension


_DIGITS = st.text("0123456789")


@given(_DIGITS, st.sets(_DIGITS), st.lists(st.text("0123456789", min_size=1)))
def test_resolved_extension_is_always_a_suffix(address: str, known: set[str], sources: list[str]) -> None:
    found = resolve_extension(address, known, sources)
    assert address.endswith(found)
    remainders = [address.removeprefix(source) for source in sources if address.startswith(source)]
    if remainders:
        assert found == min(remainders, key=len)
    elif len(address) < 10 or address in known:
        assert found == address
    else:
        assert found == address or (found in known and found)


async def test_extensions_of_recipients_are_resolved(
    hass: HomeAssistant, make_entry: MakeEntry, messages: list[Event]
) -> None:
    entry = make_entry(options={const.CONF_SOURCE_NUMBER: "106900001680"})
    await set_up_entry(hass, entry)
    alice = entry.subentries["alice"]
    hass.config_entries.async_update_subentry(entry, alice, data={**alice.data, const.CONF_EXTENSION: "012"})
    await hass.async_block_till_done(wait_background_tasks=True)
    processor = async_get_registry(hass).async_get(entry)
    for extension in ("106900001680012", "10690000168099"):
        await receive(processor, Reply(ALICE, extension, extension))
    assert [event.data["extension"] for event in messages] == ["012", "99"]


@pytest.mark.parametrize(
    ("status", "state", "settled", "reason"),
    [
        ("0", "delivered", True, None),
        ("ACCEPTD", "pending", False, "In transit; not final."),
        ("XY:0001", "failed", True, "Not delivered; the platform reported XY:0001."),
        ("MK:0001", "failed", True, "The number does not exist (MK:0001). Check it."),
        (
            "MA:0001",
            "failed",
            True,
            "A part of the carrier's network did not respond (MA:0001). The message may have been delivered.",
        ),
    ],
)
async def test_report_event_has_state_and_reason(
    processor: InboundProcessor, reports: list[Event], *, status: str, state: str, settled: bool, reason: str | None
) -> None:
    await receive(processor, DeliveryReport("007", "+86 138 0000 0001", status))
    data = reports[0].data
    assert (data["message_id"], data["number"], data["status"]) == ("007", ALICE, status)
    assert (data["state"], data["settled"], data["reason"]) == (state, settled, reason)


async def test_reason_is_in_home_assistants_language(
    hass: HomeAssistant, processor: InboundProcessor, reports: list[Event]
) -> None:
    await hass.config.async_update(language="zh-Hans")
    await receive(processor, DeliveryReport("7", ALICE, "KX:4000"))
    assert reports[0].data["reason"].startswith("同样内容")


async def test_repeat_fires_again_as_redelivered_with_the_same_id(
    processor: InboundProcessor, messages: list[Event]
) -> None:
    await receive(processor, Reply(ALICE, "1"))
    await receive(processor, Reply("+86" + ALICE, "1"))
    assert [event.data["redelivered"] for event in messages] == [False, True]
    assert messages[0].data["id"] == messages[1].data["id"]


async def test_event_has_the_platforms_message_id(processor: InboundProcessor, messages: list[Event]) -> None:
    await receive(processor, Reply(ALICE, "1", "", "0042"))
    assert messages[0].data["id"] == "0042"


async def test_repeat_window_is_configurable(hass: HomeAssistant, make_entry: MakeEntry, messages: list[Event]) -> None:
    entry = make_entry(options={const.CONF_REPEAT_WINDOW: 0})
    await set_up_entry(hass, entry)
    processor = async_get_registry(hass).async_get(entry)
    await receive(processor, Reply(ALICE, "1"))
    await receive(processor, Reply(ALICE, "1"), acknowledged=False)
    await receive(processor, Reply(ALICE, "1"))
    assert [event.data["redelivered"] for event in messages] == [False, False, True]


async def test_statistics_record_the_last_push(
    entry: MockConfigEntry, processor: InboundProcessor, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to("2026-05-01 12:00:00+00:00")
    await receive(processor, DeliveryReport("7", ALICE, "0"))
    assert entry.runtime_data.statistics.last_push == dt_util.utcnow()
    assert processor.counts == {"delivery_report": 1}


async def test_uplinks_during_reload_fire_afterwards_in_order(
    hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor, messages: list[Event]
) -> None:
    assert await hass.config_entries.async_unload(entry.entry_id)
    for text in "123":
        await receive(processor, Reply(ALICE, text))
    assert (processor.waiting, messages) == (3, [])
    await set_up_entry(hass, entry)
    assert [(event.data["content"], event.data["redelivered"]) for event in messages] == [
        (text, False) for text in "123"
    ]
    assert processor.waiting == 0


async def test_repeats_of_a_pending_uplink_are_redelivered(
    hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor, messages: list[Event]
) -> None:
    assert await hass.config_entries.async_unload(entry.entry_id)
    for _ in range(3):
        await receive(processor, Reply(ALICE, "1"), acknowledged=False)
    await set_up_entry(hass, entry)
    assert [event.data["redelivered"] for event in messages] == [False, True, True]
    assert len({event.data["id"] for event in messages}) == 1


async def test_stale_uplink_fires_as_redelivered(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    processor: InboundProcessor,
    *,
    messages: list[Event],
    freezer: FrozenDateTimeFactory,
) -> None:
    assert await hass.config_entries.async_unload(entry.entry_id)
    received_at = dt_util.utcnow()
    await receive(processor, Reply(ALICE, "1"))
    freezer.tick(timedelta(hours=3))
    await set_up_entry(hass, entry)
    (event,) = messages
    assert event.data["redelivered"] is True
    assert dt_util.parse_datetime(event.data["received_at"]) == received_at


async def test_no_event_fires_before_automations_listen(
    hass: HomeAssistant, make_entry: MakeEntry, messages: list[Event]
) -> None:
    hass.set_state(CoreState.starting)
    entry = make_entry()
    await set_up_entry(hass, entry)
    processor = async_get_registry(hass).async_get(entry)
    await receive(processor, Reply(ALICE, "1"))
    hass.set_state(CoreState.running)
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STARTED)
    await asyncio.sleep(0)
    assert (processor.waiting, messages) == (1, [])
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=2))
    await hass.async_block_till_done()
    assert [event.data["redelivered"] for event in messages] == [False]


async def test_uplink_that_was_neither_stored_nor_fired_is_no_repeat(
    hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor, messages: list[Event]
) -> None:
    assert await hass.config_entries.async_unload(entry.entry_id)
    with store_fails("receive_all", "receive"), pytest.raises(NotAcceptedError):
        await receive(processor, Reply(ALICE, "1"))
    await set_up_entry(hass, entry)
    assert not messages
    await receive(processor, Reply(ALICE, "1"))
    assert [event.data["redelivered"] for event in messages] == [False]


async def test_uplink_that_fired_without_being_stored_is_a_repeat(
    processor: InboundProcessor, messages: list[Event]
) -> None:
    with store_fails("receive_all", "receive"), pytest.raises(NotAcceptedError):
        await receive(processor, Reply(ALICE, "1"))
    await receive(processor, Reply(ALICE, "1"))
    assert [event.data["redelivered"] for event in messages] == [False, True]


async def test_pending_events_are_retried_after_a_store_error(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    processor: InboundProcessor,
    *,
    messages: list[Event],
    freezer: FrozenDateTimeFactory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await hass.config_entries.async_unload(entry.entry_id)
    await receive(processor, Reply(ALICE, "1"))
    with store_fails("pending"):
        await set_up_entry(hass, entry)
    assert not messages
    assert "Could not read pending messages from the store (busy)" in caplog.text
    freezer.tick(61)
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert [(event.data["content"], event.data["redelivered"]) for event in messages] == [("1", False)]


async def test_uplink_during_shutdown_is_stored(
    hass: HomeAssistant, processor: InboundProcessor, messages: list[Event]
) -> None:
    hass.set_state(CoreState.stopping)
    await receive(processor, Reply(ALICE, "1"))
    assert not messages
    hass.set_state(CoreState.running)
    processor.async_dispatch_pending()
    await hass.async_block_till_done()
    assert [event.data["content"] for event in messages] == ["1"]


class TestInMemory:
    """An account that stores nothing on disk acknowledges an uplink only after its event."""

    @pytest.fixture
    async def entry(self, hass: HomeAssistant, make_entry: MakeEntry) -> MockConfigEntry:
        made = make_entry(options={const.CONF_KEEP_DAYS: 0})
        await set_up_entry(hass, made)
        return made

    async def test_unacknowledged_uplink_fires_and_its_repeat_too(
        self, hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor, messages: list[Event]
    ) -> None:
        assert await hass.config_entries.async_unload(entry.entry_id)
        with pytest.raises(NotAcceptedError):
            await receive(processor, Reply(ALICE, "1"))
        assert processor.waiting == 1
        await set_up_entry(hass, entry)
        assert [event.data["redelivered"] for event in messages] == [False]
        # The platform saw no acknowledgement, so it sends the uplink again.
        await receive(processor, Reply(ALICE, "1"))
        assert [event.data["redelivered"] for event in messages] == [False, True]

    async def test_uplink_is_acknowledged_after_its_event(
        self, hass: HomeAssistant, entry: MockConfigEntry, processor: InboundProcessor, messages: list[Event]
    ) -> None:
        assert await hass.config_entries.async_unload(entry.entry_id)
        waiting = asyncio.create_task(processor.async_receive(Reply(ALICE, "1"), InboundSource.WEBHOOK, 60))
        await set_up_entry(hass, entry)
        await waiting
        assert len(messages) == 1

    async def test_full_buffer_rejects_uplinks(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        processor: InboundProcessor,
        *,
        messages: list[Event],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(receiver, "_MAX_PENDING", 2)
        assert await hass.config_entries.async_unload(entry.entry_id)
        for text in "1234":
            with pytest.raises(NotAcceptedError):
                await receive(processor, Reply(ALICE, text))
        assert processor.counts["not_kept"] == 2
        warnings = [
            record for record in caplog.records if record.levelno == logging.WARNING and "buffer full" in record.message
        ]
        assert len(warnings) == 1
        await set_up_entry(hass, entry)
        assert [event.data["content"] for event in messages] == ["1", "2"]
        # The rejected uplink counts as new when it arrives again.
        await receive(processor, Reply(ALICE, "3"))
        assert messages[-1].data["redelivered"] is False


async def test_failing_event_listener_does_not_prevent_acknowledgement(
    hass: HomeAssistant, processor: InboundProcessor, messages: list[Event]
) -> None:
    @callback
    def fail(_: Event) -> None:
        raise ValueError

    hass.bus.async_listen(const.EVENT_MESSAGE_RECEIVED, fail)
    await receive(processor, Reply(ALICE, "1"))
    assert len(messages) == 1


async def test_signals_are_scoped_by_entry(
    hass: HomeAssistant, make_entry: MakeEntry, processor: InboundProcessor
) -> None:
    other = make_entry(
        title="Other", http={const.CONF_PRODUCT_ID: "2"}, webhook_id="another-webhook", push_secret="another-secret"
    )
    await set_up_entry(hass, other)
    await receive(processor, Reply(ALICE, "1"))
    inbox, others = (hass.states.get(f"event.{name}_inbox") for name in ("home", "other"))
    assert inbox is not None
    assert others is not None
    assert inbox.attributes["content"] == "1"
    assert others.state == "unknown"


def test_warnings_are_logged_at_powers_of_ten(processor: InboundProcessor, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(150):
        processor.warn("malformed", "Refused")
    assert [record.message for record in caplog.records if record.message.startswith("Refused")] == [
        "Refused (1 so far)",
        "Refused (10 so far)",
        "Refused (100 so far)",
    ]
    assert processor.counts["malformed"] == 150


def test_foreign_number_is_no_mainland_number() -> None:
    assert comparable_number("+85213800000") == "+85213800000"
