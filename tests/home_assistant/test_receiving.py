"""From what came in to the two bus events: the right person, the right extension, once, and never before its time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
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
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.sms1680 import const
from custom_components.sms1680.client import DeliveryReport, Reply
from custom_components.sms1680.inbound import receiver as receiving
from custom_components.sms1680.inbound.events import resolve_extension
from custom_components.sms1680.inbound.models import InboundSource, NotAcceptedError
from custom_components.sms1680.inbound.receiver import InboundProcessor
from custom_components.sms1680.inbound.registry import async_get_registry
from custom_components.sms1680.store.db import MessageStore, StoreError, comparable_number

ALICE, STRANGER = "13800000001", "13900000009"
MakeEntry = Callable[..., MockConfigEntry]


@pytest.fixture
def receiver(hass: HomeAssistant, entry: MockConfigEntry) -> InboundProcessor:
    return async_get_registry(hass).async_get(entry)


@pytest.fixture
def messages(hass: HomeAssistant) -> list[Event[dict[str, Any]]]:
    return async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)


@pytest.fixture
def reports(hass: HomeAssistant) -> list[Event[dict[str, Any]]]:
    return async_capture_events(hass, const.EVENT_DELIVERY_REPORT)


@contextlib.contextmanager
def store_fails(*methods: str) -> Iterator[None]:
    """Let the store fail at once in all that is asked of it by these methods."""

    def fail(*_: object) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(StoreError("busy"))
        return future

    with contextlib.ExitStack() as stack:
        for method in methods:
            stack.enter_context(patch.object(MessageStore, method, fail))
        yield


async def come(receiver: InboundProcessor, item: Reply | DeliveryReport, *, answered: bool = True) -> None:
    incoming = await receiver.async_receive(item, InboundSource.WEBHOOK, 0)
    if answered:
        incoming.mark_acknowledged()


@pytest.mark.parametrize(
    "written",
    ["13800000001", "+8613800000001", "8613800000001", "008613800000001", "138 0000 0001", "１３８０００００００１"],
)
async def test_a_sender_is_known_however_the_number_is_written(
    receiver: InboundProcessor, messages: list[Event], written: str
) -> None:
    await come(receiver, Reply(written, "1"))
    data = messages[0].data
    assert (data["number"], data["recipient"], data["subentry_id"]) == (ALICE, "Alice", "alice")


@pytest.mark.parametrize("sender", ["10086", "106900001680", "+4915112345678", "380000000", "1380000000", "Bank"])
async def test_other_senders_are_kept_as_they_came(
    receiver: InboundProcessor, messages: list[Event], sender: str
) -> None:
    await come(receiver, Reply(sender, "1"))
    data = messages[0].data
    assert (data["number"], data["recipient"], data["subentry_id"]) == (sender, None, None)


@pytest.mark.parametrize(
    ("came", "known", "source", "extension"),
    [
        ("12", {"12"}, "", "12"),
        ("10690000168012", {"2", "12"}, "", "12"),
        ("10690000168012", {"2", "12", "168012", "99"}, "", "168012"),
        ("10690000168012", {""}, "", "10690000168012"),
        ("10690000168012", set(), "106900001680", "12"),
        ("10690000168012", {"2"}, "106900001680", "12"),  # another house's
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
def test_which_extension_a_reply_came_to(came: str, known: set[str], source: str, extension: str) -> None:
    assert resolve_extension(came, known, [source]) == extension


_DIGITS = st.text("0123456789")


@given(_DIGITS, st.sets(_DIGITS), st.lists(st.text("0123456789", min_size=1)))
def test_an_extension_is_never_found_in_the_middle_of_another(came: str, known: set[str], sources: list[str]) -> None:
    found = resolve_extension(came, known, sources)
    assert came.endswith(found)
    behind = [came.removeprefix(source) for source in sources if came.startswith(source)]
    if behind:
        assert found == min(behind, key=len)
    elif len(came) < 10 or came in known:
        assert found == came
    else:
        assert found == came or (found in known and found)


async def test_the_extensions_of_recipients_are_known(
    hass: HomeAssistant, make_entry: MakeEntry, messages: list[Event]
) -> None:
    entry = make_entry(options={const.CONF_SOURCE_NUMBER: "106900001680"})
    await set_up(hass, entry)
    alice = entry.subentries["alice"]
    hass.config_entries.async_update_subentry(entry, alice, data={**alice.data, const.CONF_EXTENSION: "012"})
    await hass.async_block_till_done(wait_background_tasks=True)
    receiver = async_get_registry(hass).async_get(entry)
    for extension in ("106900001680012", "10690000168099"):
        await come(receiver, Reply(ALICE, extension, extension))
    assert [event.data["extension"] for event in messages] == ["012", "99"]


@pytest.mark.parametrize(
    ("status", "state", "settled", "reason"),
    [
        ("0", "delivered", True, None),
        ("ACCEPTD", "pending", False, "In transit; not final."),
        ("MA:0001", "failed", True, "Not delivered; the platform reported MA:0001."),
    ],
)
async def test_what_a_report_says(
    receiver: InboundProcessor, reports: list[Event], *, status: str, state: str, settled: bool, reason: str | None
) -> None:
    await come(receiver, DeliveryReport("007", "+86 138 0000 0001", status))
    data = reports[0].data
    assert (data["message_id"], data["number"], data["status"]) == ("007", ALICE, status)
    assert (data["state"], data["settled"], data["reason"]) == (state, settled, reason)


async def test_a_reason_is_told_in_home_assistants_language(
    hass: HomeAssistant, receiver: InboundProcessor, reports: list[Event]
) -> None:
    await hass.config.async_update(language="zh-Hans")
    await come(receiver, DeliveryReport("7", ALICE, "KX:4000"))
    assert reports[0].data["reason"].startswith("同样内容")


async def test_a_repeat_is_told_again_and_marked_under_the_same_id(
    receiver: InboundProcessor, messages: list[Event]
) -> None:
    await come(receiver, Reply(ALICE, "1"))
    await come(receiver, Reply("+86" + ALICE, "1"))
    assert [event.data["redelivered"] for event in messages] == [False, True]
    assert messages[0].data["id"] == messages[1].data["id"]


async def test_the_platforms_own_id_is_the_events(receiver: InboundProcessor, messages: list[Event]) -> None:
    await come(receiver, Reply(ALICE, "1", "", "0042"))
    assert messages[0].data["id"] == "0042"


async def test_the_window_is_a_setting(hass: HomeAssistant, make_entry: MakeEntry, messages: list[Event]) -> None:
    entry = make_entry(options={const.CONF_REPEAT_WINDOW: 0})
    await set_up(hass, entry)
    receiver = async_get_registry(hass).async_get(entry)
    await come(receiver, Reply(ALICE, "1"))
    await come(receiver, Reply(ALICE, "1"), answered=False)
    await come(receiver, Reply(ALICE, "1"))
    assert [event.data["redelivered"] for event in messages] == [False, False, True]


async def test_the_last_push_is_noted(
    entry: MockConfigEntry, receiver: InboundProcessor, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to("2026-05-01 12:00:00+00:00")
    await come(receiver, DeliveryReport("7", ALICE, "0"))
    assert entry.runtime_data.statistics.last_push == dt_util.utcnow()
    assert receiver.counts == {"delivery_report": 1}


async def test_what_comes_in_during_a_reload_is_safe_and_fired_in_order(
    hass: HomeAssistant, entry: MockConfigEntry, receiver: InboundProcessor, messages: list[Event]
) -> None:
    assert await hass.config_entries.async_unload(entry.entry_id)
    for text in "123":
        await come(receiver, Reply(ALICE, text))
    assert (receiver.waiting, messages) == (3, [])
    await set_up(hass, entry)
    assert [(event.data["content"], event.data["redelivered"]) for event in messages] == [
        (text, False) for text in "123"
    ]
    assert receiver.waiting == 0


async def test_what_comes_again_before_it_could_be_fired_is_marked(
    hass: HomeAssistant, entry: MockConfigEntry, receiver: InboundProcessor, messages: list[Event]
) -> None:
    assert await hass.config_entries.async_unload(entry.entry_id)
    for _ in range(3):
        await come(receiver, Reply(ALICE, "1"), answered=False)
    await set_up(hass, entry)
    assert [event.data["redelivered"] for event in messages] == [False, True, True]
    assert len({event.data["id"] for event in messages}) == 1


async def test_what_waited_for_long_is_marked(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    receiver: InboundProcessor,
    *,
    messages: list[Event],
    freezer: FrozenDateTimeFactory,
) -> None:
    assert await hass.config_entries.async_unload(entry.entry_id)
    came = dt_util.utcnow()
    await come(receiver, Reply(ALICE, "1"))
    freezer.tick(timedelta(hours=3))
    await set_up(hass, entry)
    (event,) = messages
    assert event.data["redelivered"] is True
    assert dt_util.parse_datetime(event.data["received_at"]) == came


async def test_nothing_is_fired_before_automations_listen(
    hass: HomeAssistant, make_entry: MakeEntry, messages: list[Event]
) -> None:
    hass.set_state(CoreState.starting)
    entry = make_entry()
    await set_up(hass, entry)
    receiver = async_get_registry(hass).async_get(entry)
    await come(receiver, Reply(ALICE, "1"))
    hass.set_state(CoreState.running)
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STARTED)
    await asyncio.sleep(0)
    assert (receiver.waiting, messages) == (1, [])
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=2))
    await hass.async_block_till_done()
    assert [event.data["redelivered"] for event in messages] == [False]


async def test_what_was_neither_stored_nor_fired_is_no_repeat_when_it_comes_again(
    hass: HomeAssistant, entry: MockConfigEntry, receiver: InboundProcessor, messages: list[Event]
) -> None:
    assert await hass.config_entries.async_unload(entry.entry_id)
    with store_fails("receive_all", "receive"), pytest.raises(NotAcceptedError):
        await come(receiver, Reply(ALICE, "1"))
    await set_up(hass, entry)
    assert not messages
    await come(receiver, Reply(ALICE, "1"))
    assert [event.data["redelivered"] for event in messages] == [False]


async def test_what_was_fired_without_being_stored_is_a_repeat_when_it_comes_again(
    receiver: InboundProcessor, messages: list[Event]
) -> None:
    with store_fails("receive_all", "receive"), pytest.raises(NotAcceptedError):
        await come(receiver, Reply(ALICE, "1"))
    await come(receiver, Reply(ALICE, "1"))
    assert [event.data["redelivered"] for event in messages] == [False, True]


async def test_what_waits_is_handed_on_after_a_pause_where_the_store_could_not_be_read(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    receiver: InboundProcessor,
    *,
    messages: list[Event],
    freezer: FrozenDateTimeFactory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await hass.config_entries.async_unload(entry.entry_id)
    await come(receiver, Reply(ALICE, "1"))
    with store_fails("pending"):
        await set_up(hass, entry)
    assert not messages
    assert "Could not read pending messages from the store (busy)" in caplog.text
    freezer.tick(61)
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert [(event.data["content"], event.data["redelivered"]) for event in messages] == [("1", False)]


async def test_what_comes_in_while_home_assistant_stops_is_safe(
    hass: HomeAssistant, receiver: InboundProcessor, messages: list[Event]
) -> None:
    hass.set_state(CoreState.stopping)
    await come(receiver, Reply(ALICE, "1"))
    assert not messages
    hass.set_state(CoreState.running)
    receiver.async_dispatch_pending()
    await hass.async_block_till_done()
    assert [event.data["content"] for event in messages] == ["1"]


class TestWithoutADisk:
    """Where nothing is kept on the disk, what can't be fired yet is not answered."""

    @pytest.fixture
    async def entry(self, hass: HomeAssistant, make_entry: MakeEntry) -> MockConfigEntry:
        made = make_entry(options={const.CONF_KEEP_DAYS: 0})
        await set_up(hass, made)
        return made

    async def test_it_is_fired_all_the_same_and_again_when_it_comes_again(
        self, hass: HomeAssistant, entry: MockConfigEntry, receiver: InboundProcessor, messages: list[Event]
    ) -> None:
        assert await hass.config_entries.async_unload(entry.entry_id)
        with pytest.raises(NotAcceptedError):
            await come(receiver, Reply(ALICE, "1"))
        assert receiver.waiting == 1
        await set_up(hass, entry)
        assert [event.data["redelivered"] for event in messages] == [False]
        # The platform was never told that it was taken, so it comes again.
        await come(receiver, Reply(ALICE, "1"))
        assert [event.data["redelivered"] for event in messages] == [False, True]

    async def test_it_is_answered_once_it_is_fired(
        self, hass: HomeAssistant, entry: MockConfigEntry, receiver: InboundProcessor, messages: list[Event]
    ) -> None:
        assert await hass.config_entries.async_unload(entry.entry_id)
        waiting = asyncio.create_task(receiver.async_receive(Reply(ALICE, "1"), InboundSource.WEBHOOK, 60))
        await set_up(hass, entry)
        await waiting
        assert len(messages) == 1

    async def test_only_so_much_is_kept_and_the_rest_is_not_taken(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        receiver: InboundProcessor,
        *,
        messages: list[Event],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(receiving, "_MAX_PENDING", 2)
        assert await hass.config_entries.async_unload(entry.entry_id)
        for text in "1234":
            with pytest.raises(NotAcceptedError):
                await come(receiver, Reply(ALICE, text))
        assert receiver.counts["not_kept"] == 2
        told = [
            record for record in caplog.records if record.levelno == logging.WARNING and "buffer full" in record.message
        ]
        assert len(told) == 1
        await set_up(hass, entry)
        assert [event.data["content"] for event in messages] == ["1", "2"]
        # What was not kept is no repeat when it comes again.
        await come(receiver, Reply(ALICE, "3"))
        assert messages[-1].data["redelivered"] is False


async def test_a_listener_that_fails_does_not_stop_the_answer(
    hass: HomeAssistant, receiver: InboundProcessor, messages: list[Event]
) -> None:
    @callback
    def fail(_: Event) -> None:
        raise ValueError

    hass.bus.async_listen(const.EVENT_MESSAGE_RECEIVED, fail)
    await come(receiver, Reply(ALICE, "1"))
    assert len(messages) == 1


async def test_signals_are_scoped_by_entry(
    hass: HomeAssistant, make_entry: MakeEntry, receiver: InboundProcessor
) -> None:
    other = make_entry(
        title="Other", http={const.CONF_PRODUCT_ID: "2"}, webhook_id="another-webhook", push_secret="another-secret"
    )
    await set_up(hass, other)
    await come(receiver, Reply(ALICE, "1"))
    inbox, others = (hass.states.get(f"event.{name}_inbox") for name in ("home", "other"))
    assert inbox is not None
    assert others is not None
    assert inbox.attributes["content"] == "1"
    assert others.state == "unknown"


def test_warnings_are_counted(receiver: InboundProcessor, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(150):
        receiver.warn("malformed", "Refused")
    assert [record.message for record in caplog.records if record.message.startswith("Refused")] == [
        "Refused (1 so far)",
        "Refused (10 so far)",
        "Refused (100 so far)",
    ]
    assert receiver.counts["malformed"] == 150


def test_a_number_of_another_country_is_no_mobile_of_here() -> None:
    assert comparable_number("+85213800000") == "+85213800000"


async def set_up(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    assert await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
