"""A question beyond a spending limit waits for room within its time, or fails with an event and a line in the log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Event, HomeAssistant
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import async_fire_time_changed

from custom_components.sms1680.client import Reply
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    MakeEntry,
    SetUp,
    numbers,
    poll,
    receive,
    send_to_number,
    start_question,
    wait_for_messages,
)


@pytest.fixture
async def entry(make_entry: MakeEntry, set_up: SetUp, freezer: FrozenDateTimeFactory) -> Any:
    """Set up an account that may send one message to a number within ten minutes, and send it to Alice."""
    freezer.move_to("2026-01-05 12:00:00+00:00")
    made = make_entry(options={"number_limit": 1})
    await set_up(made)
    return made


def outcomes(events: list[Event]) -> list[tuple[str, str | None]]:
    return [(event.data["outcome"], event.data["reason"]) for event in events]


@pytest.mark.usefixtures("entry")
async def test_question_without_room_in_its_time_is_refused(
    hass: HomeAssistant, fired: dict[str, list[Event]], caplog: pytest.LogCaptureFixture
) -> None:
    await send_to_number(hass)
    answer = await start_question(hass, "notify.alice", timeout=60)
    assert (answer["id"], answer["reason"]) == (None, "refused")
    assert outcomes(fired["sent"])[1:] == outcomes(fired["failed"]) == [("refused", "number_limit")]
    assert "A question was not sent: Your own limit for one number is reached" in caplog.text


async def test_question_waits_for_room_in_its_time(
    hass: HomeAssistant, entry: Any, fired: dict[str, list[Event]], sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    await send_to_number(hass)
    asking = start_question(hass, "notify.alice", timeout=1200)
    await poll(lambda: len(fired["sent"]) == 2)
    assert outcomes(fired["sent"])[1] == ("not_sent", "number_limit")
    assert fired["sent"][1].data["delayed_until"] == "2026-01-05T12:10:00+00:00"
    freezer.tick(timedelta(minutes=11))
    async_fire_time_changed(hass, dt_util.utcnow())
    await wait_for_messages(sandbox, 2)
    await poll(lambda: len(fired["sent"]) == 3)
    await receive(hass, entry, Reply(ALICE, "是", ""))
    answer = await asking
    assert answer["id"] == "yes"
    assert fired["failed"] == []


async def test_critical_question_never_waits(hass: HomeAssistant, entry: Any, sandbox: Sandbox) -> None:
    await send_to_number(hass)
    asking = start_question(hass, "notify.alice", timeout=1200, priority="critical")
    await wait_for_messages(sandbox, 2)
    await receive(hass, entry, Reply(ALICE, "是", ""))
    assert (await asking)["id"] == "yes"


@pytest.mark.usefixtures("entry")
async def test_wait_that_the_end_of_the_time_interrupts_is_a_failure(
    hass: HomeAssistant,
    fired: dict[str, list[Event]],
    monkeypatch: pytest.MonkeyPatch,
    freezer: FrozenDateTimeFactory,
) -> None:
    """The clock is set forward when the question begins, so that its time ends before the room comes."""
    await send_to_number(hass)
    monkeypatch.setattr("custom_components.sms1680.actions.question_run.now", lambda: 2e9)
    asking = start_question(hass, "notify.alice", timeout=1)
    await poll(lambda: len(fired["sent"]) == 2)
    freezer.tick(2)
    answer = await asking
    assert (answer["id"], answer["reason"]) == (None, "not_sent")
    assert outcomes(fired["failed"]) == [("not_sent", "number_limit")]


async def test_wait_ends_when_another_person_answers(
    hass: HomeAssistant, entry: Any, fired: dict[str, list[Event]], sandbox: Sandbox
) -> None:
    await send_to_number(hass)
    asking = start_question(hass, "notify.alice", "notify.bob", timeout=1200)
    await wait_for_messages(sandbox, 2)
    await poll(lambda: len(fired["sent"]) == 3)
    await receive(hass, entry, Reply(BOB, "是", ""))
    answer = await asking
    assert (answer["id"], answer["recipient"]) == ("yes", "Bob")
    assert numbers(sandbox) == [ALICE, BOB]
    assert fired["failed"] == []
