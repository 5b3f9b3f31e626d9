"""What grows with the numbers, the recipients and the waiting messages grows no faster than they do."""

from __future__ import annotations

import gc
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry
from support.work import counted

from custom_components.sms1680.client import DeliveryReport, Reply
from custom_components.sms1680.const import CONF_HOURLY_LIMIT, CONF_NUMBER, DOMAIN
from custom_components.sms1680.recipients import find_recipient, recipients
from custom_components.sms1680.store.db import MessageStore
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, ALICE_NOW, STRANGER, MakeEntry, SetUp, receive, recipient

OFF = dict.fromkeys(("hourly_limit", "daily_limit", "number_limit", "automatic_limit", "critical_reserve"), 0)


async def send_to_many(hass: HomeAssistant, start: int, count: int, **more: str) -> Counter[str]:
    """Send a message to many numbers; return the work."""
    numbers = [f"139{start + place:08d}" for place in range(count)]
    data = {CONF_NUMBER: numbers, "message": "水浸", **more}
    with counted() as work:
        await hass.services.async_call(DOMAIN, "send_message", data, blocking=True, return_response=True)
        await hass.async_block_till_done()
    return work


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("over_limit", [False, True])
async def test_message_to_many_numbers(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, over_limit: bool
) -> None:
    await set_up(make_entry(options={**OFF, CONF_HOURLY_LIMIT: 1 if over_limit else 0}))
    small, large = [await send_to_many(hass, start, count) for start, count in ((0, 200), (1000, 800))]
    assert large.total() < small.total() * 4 * 1.25


def _our_objects() -> Counter[str]:
    """Return how many objects of our classes Python's garbage collector knows."""
    ours = (type(one) for one in gc.get_objects() if str(type(one).__module__).startswith("custom_components.sms1680"))
    return Counter(one.__name__ for one in ours)


@pytest.mark.usefixtures("sandbox")
async def test_call_keeps_two_objects_for_each_number_until_its_end(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp
) -> None:
    """Python's garbage collector goes through everything once enough new objects have lasted for a while."""
    await set_up(make_entry(options=OFF))
    gc.collect()
    before, found = _our_objects(), list[Counter[str]]()
    events = 0

    @callback
    def count(_: Event) -> None:
        nonlocal events
        events += 1
        if events == 390:
            found.append(_our_objects() - before)

    hass.bus.async_listen("sms1680_message_sent", count)
    data = {CONF_NUMBER: [f"139{place:08d}" for place in range(400)], "message": "水浸"}
    answer = await hass.services.async_call(DOMAIN, "send_message", data, blocking=True, return_response=True)
    # Of other objects, there are those of a few packets.
    assert {name for name, number in found[0].items() if number > 300} == {"Addressee", "Receipt"}
    assert max(found[0].values()) < 410
    await hass.async_block_till_done()
    assert (_our_objects() - before)["Receipt"] < 10, "a cycle would keep all until the next full collection"
    assert len({id(one["fallback"]) for one in answer["messages"]}) == 1


@pytest.mark.usefixtures("sandbox")
async def test_more_recipients_add_no_work(hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp) -> None:
    works = []
    for count in (2, 200):
        known = [recipient(f"R{place}", f"137{place:08d}", extension=f"{place}") for place in range(count)]
        webhook = {"webhook_id": f"webhook-{count}", "push_secret": f"secret-{count}"}
        entry = make_entry(
            title=f"{count}", http={"username": f"user{count}"}, options=OFF, recipients=known, **webhook
        )
        await set_up(entry)
        senders = ("13700000000", "13700000001", STRANGER)
        replies = [Reply(number, f"水浸 {place}", "1") for number in senders for place in range(10)]
        reports = [DeliveryReport(f"{place}", number, "DELIVRD") for number in senders for place in range(10)]
        with counted() as work:
            await receive(hass, entry, *replies, *reports)
        works.append(work + await send_to_many(hass, 0, 50, config_entry_id=entry.entry_id))
    few, many = works
    assert many.total() < few.total() * 1.1, (many - few).most_common(5)


async def test_what_the_platform_sends_at_once_counts_no_scheduled_messages(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, count = [], MessageStore.scheduled_times

    def counted_times(store: MessageStore, *args: Any) -> Any:
        counts.append(args)
        return count(store, *args)

    monkeypatch.setattr(MessageStore, "scheduled_times", counted_times)
    await send_to_many(hass, 0, 300)
    await receive(
        hass, entry, *(DeliveryReport(one.message_id, one.number, "DELIVRD") for one in sandbox.platform.messages)
    )
    assert not counts
    await send_to_many(hass, 300, 1, at=(dt_util.utcnow() + timedelta(days=1)).isoformat())
    assert len(counts) == 1


async def test_changed_recipients_are_found(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    alice = entry.subentries["alice"]
    assert (find_recipient(entry, ALICE), len(recipients(entry))) == (alice, 2)
    hass.config_entries.async_update_subentry(entry, alice, data={CONF_NUMBER: ALICE_NOW})
    assert (find_recipient(entry, ALICE), find_recipient(entry, ALICE_NOW)) == (None, alice)
    hass.config_entries.async_remove_subentry(entry, "alice")
    assert (find_recipient(entry, ALICE_NOW), len(recipients(entry))) == (None, 1)
