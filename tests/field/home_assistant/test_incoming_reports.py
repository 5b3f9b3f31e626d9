"""Delivery reports as platforms and gateways really send them, against the journal of a real Home Assistant."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Event, HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events

from custom_components.sms1680.client import DeliveryReport, Outcome
from custom_components.sms1680.const import EVENT_MESSAGE_FAILED
from custom_components.sms1680.store.db import Dispatch, Outgoing, RecordedOutcome
from custom_components.sms1680.store.db.matching import same_id, same_number
from custom_components.sms1680.store.manager import DATA_STORE
from sms1680.cmpp.wire.reports import ReportContent
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    MakeEntry,
    SetUp,
    Until,
    later,
    receive,
    send_to_alice,
    sent,
)


async def journal(
    hass: HomeAssistant, entry: MockConfigEntry, numbers: list[str], ids: tuple[str, ...], segments: int = 1
) -> list[int | None]:
    """Store messages that the platform accepted under these ids; return their rows."""
    store = hass.data[DATA_STORE].for_entry(entry).store
    now = datetime.now(UTC)
    dispatch = Dispatch(tuple(Outgoing(entry.entry_id, number, "http", now) for number in numbers))
    await asyncio.wrap_future(store.begin(dispatch))
    outcome = RecordedOutcome(Outcome.ACCEPTED, now, message_ids=ids, segments=segments, parts=segments)
    await asyncio.wrap_future(store.settle(dispatch, [(place, outcome) for place in range(len(numbers))]))
    return dispatch.rows


async def states(hass: HomeAssistant, entry: MockConfigEntry, rows: list[int | None]) -> list[str]:
    store = hass.data[DATA_STORE].for_entry(entry).store
    return [update.state.value for update in await asyncio.wrap_future(store.current([row for row in rows if row]))]


@pytest.mark.parametrize(
    ("answered", "reported", "written"),
    [
        ("0012", "12", ALICE),
        ("12", "000012", ALICE),
        ("13483237699126034433", "bb1e154006900001", ALICE),
        ("0xBB1E154006900001", "13483237699126034433", ALICE),
        ("bb1e154006900001", "BB1E154006900001", ALICE),
        ("4711", "4711", f"0{ALICE}"),
        ("4711", "4711", f"12520{ALICE}"),
        ("4711", "4711", f"{ALICE[:3]}****{ALICE[7:]}"),
    ],
)
async def test_id_and_number_in_another_notation_are_matched(
    hass: HomeAssistant, entry: MockConfigEntry, reports: list[Event], *, answered: str, reported: str, written: str
) -> None:
    rows = await journal(hass, entry, [ALICE], (answered,))
    await receive(hass, entry, DeliveryReport(reported, written, "0"))
    assert [report.data["state"] for report in reports] == ["delivered"]
    assert reports[0].data["message_id"] == answered
    assert await states(hass, entry, rows) == ["delivered"]


async def test_id_per_number_for_one_answered_id_is_matched(
    hass: HomeAssistant, entry: MockConfigEntry, reports: list[Event]
) -> None:
    rows = await journal(hass, entry, [ALICE, BOB], ("9001",))
    await receive(hass, entry, DeliveryReport("5550001", ALICE, "0"), DeliveryReport("5550002", BOB, "UNDELIV"))
    assert [report.data["state"] for report in reports] == ["delivered", "failed"]
    assert await states(hass, entry, rows) == ["delivered", "failed"]


async def test_report_of_somebody_elses_message_is_not_matched(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    rows = await journal(hass, entry, [ALICE], ("9001",))
    await receive(hass, entry, DeliveryReport("5550001", ALICE, "0"), DeliveryReport("36865", ALICE, "0"))
    assert await states(hass, entry, rows) == ["accepted"]


async def test_report_of_the_first_segment_alone_decides_after_a_time(
    hass: HomeAssistant, entry: MockConfigEntry, reports: list[Event], freezer: FrozenDateTimeFactory
) -> None:
    rows = await journal(hass, entry, [ALICE], ("1", "2", "3"), segments=3)
    await receive(hass, entry, DeliveryReport("1", ALICE, "DELIVRD"))
    assert (await states(hass, entry, rows), reports) == (["pending"], [])
    await later(hass, freezer, seconds=95)
    assert await states(hass, entry, rows) == ["delivered"]
    [report] = reports
    assert (report.data["state"], report.data["settled"], report.data["redelivered"]) == ("delivered", True, False)
    # A report that comes later still counts, and none of them undoes the decision.
    await receive(hass, entry, DeliveryReport("2", ALICE, "DELIVRD"))
    assert await states(hass, entry, rows) == ["delivered"]
    await receive(hass, entry, DeliveryReport("3", ALICE, "UNDELIV"))
    assert await states(hass, entry, rows) == ["failed"]


async def test_message_with_a_delivered_segment_never_expires(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    rows = await journal(hass, entry, [ALICE], ("1", "2"), segments=2)
    await receive(hass, entry, DeliveryReport("2", ALICE, "DELIVRD"))
    store = hass.data[DATA_STORE].for_entry(entry).store
    store._now = lambda: datetime.now(UTC) + timedelta(hours=49)  # type: ignore[method-assign]
    await hass.data[DATA_STORE].async_prune()
    assert await states(hass, entry, rows) == ["delivered"]


def test_ids_and_numbers_are_told_apart() -> None:
    assert not same_id("10", "16")
    assert not same_id("9001", "36865")
    assert not same_id("abc-1", "abc-2")
    assert not same_number("13900000001", ALICE)
    assert not same_number("138****0002", ALICE)
    assert not same_number("1**********", ALICE)


async def test_critical_message_with_a_report_of_its_first_segment_gets_no_second_copy(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    sandbox: Sandbox,
    until: Until,
    *,
    freezer: FrozenDateTimeFactory,
) -> None:
    await set_up(make_entry(ways=("cmpp",)))
    await until(lambda: hass.states.get("binary_sensor.home_connected").state == "on")  # type: ignore[union-attr]
    sandbox.platform.phone(ALICE).report_status = None
    failed = async_capture_events(hass, EVENT_MESSAGE_FAILED)
    message = await send_to_alice(hass, message="水位过高，" * 30, priority="critical")
    content = ReportContent(msg_id=int(message["message_id"]), stat="DELIVRD", dest_terminal_id=ALICE)
    sandbox.cmpp.reports.deliver("homeuser", content)
    await until(lambda: sandbox.cmpp.acknowledged == 1)
    for _ in range(3):
        await later(hass, freezer, seconds=91)
    assert len(sent(sandbox)) == 1
    assert failed == []
