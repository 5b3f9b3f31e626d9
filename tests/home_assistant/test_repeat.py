"""Critical messages whose arrival is uncertain are sent once more, marked; normal ones never."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680 import const
from custom_components.sms1680.deferred.models import QueuedMessage
from custom_components.sms1680.outbound import repeat
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    BOTH,
    MakeEntry,
    SetUp,
    critical_repairs,
    fail_next,
    in_store,
    later,
    push_report,
    send_to_number,
    sent,
)


@pytest.fixture(autouse=True)
def _no_patience(no_patience: None) -> None:
    """Make messages that were not sent fail at once."""


class TestRepeat:
    """A critical message whose arrival is uncertain is sent once more, marked; a normal one never."""

    async def test_unknown_outcome_of_a_critical_message_is_repeated(
        self, hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]], sandbox: Sandbox
    ) -> None:
        fail_next(sandbox, "drop_after")
        answer = await hass.services.async_call(
            "sms1680",
            "send_message",
            {"number": ALICE, "message": "门开了", "priority": "critical"},
            blocking=True,
            return_response=True,
        )
        (message,) = (answer or {})["messages"]  # type: ignore[misc, attr-defined, union-attr]
        assert (message["outcome"], message["repeated"]) == ("accepted", True)
        assert sent(sandbox) == [(ALICE, "门开了"), (ALICE, "（重发）门开了")]
        assert [one.data["outcome"] for one in fired["sent"]] == ["unknown", "accepted"]
        await hass.config_entries.async_reload(entry.entry_id)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert fired["failed"] == []

    @pytest.mark.usefixtures("entry")
    async def test_second_unknown_outcome_is_a_failure(
        self, hass: HomeAssistant, fired: dict[str, list[Event]], sandbox: Sandbox
    ) -> None:
        sandbox.platform.faults.next("drop_after", 2)
        await send_to_number(hass, priority="critical")
        assert [one.data["cause"] for one in fired["failed"]] == ["unknown"]
        assert len(sent(sandbox)) == 2
        assert len(critical_repairs(hass)) == 1

    @pytest.mark.usefixtures("entry")
    @pytest.mark.parametrize("data", [{}, {"priority": "critical", "repeat": False}])
    async def test_normal_message_or_a_policy_against_it(
        self, hass: HomeAssistant, fired: dict[str, list[Event]], sandbox: Sandbox, data: dict[str, Any]
    ) -> None:
        fail_next(sandbox, "drop_after")
        await send_to_number(hass, **data)
        assert len(sent(sandbox)) == 1
        assert [one.data["cause"] for one in fired["failed"]] == ["unknown"]

    async def test_missing_report_repeats_once_and_is_then_a_failure(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        fired: dict[str, list[Event]],
        freezer: FrozenDateTimeFactory,
        sandbox: Sandbox,
    ) -> None:
        await send_to_number(hass, BOB, message="x")
        await push_report(hass, entry, fired["sent"][0].data["message_id"], "DELIVRD", BOB)
        await send_to_number(hass, priority="critical")
        await later(hass, freezer, seconds=80)
        assert len(sent(sandbox)) == 2
        await later(hass, freezer, seconds=11)
        assert sent(sandbox)[2:] == [(ALICE, "（重发）门开了")]
        assert fired["failed"] == []
        await later(hass, freezer, seconds=91)
        assert [one.data["cause"] for one in fired["failed"]] == ["no_report"]
        await later(hass, freezer, seconds=91)
        assert len(sent(sandbox)) == 3

    async def test_missing_report_repeats_nothing_where_no_reports_arrive(
        self, hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory, sandbox: Sandbox
    ) -> None:
        await send_to_number(hass, priority="critical")
        await later(hass, freezer, seconds=91)
        assert len(sent(sandbox)) == 1
        await send_to_number(hass, priority="critical", report_within="00:01:00")  # asked for
        await later(hass, freezer, seconds=61)
        assert len(sent(sandbox)) == 3
        assert entry.runtime_data.deferred.failures.reports_arrive is False

    @pytest.mark.parametrize(("status", "messages"), [("KX:1000", 3), ("KX:3000", 2), ("DELIVRD", 2)])
    async def test_failed_report_repeats_if_it_allows_that(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        fired: dict[str, list[Event]],
        sandbox: Sandbox,
        status: str,
        messages: int,
    ) -> None:
        await send_to_number(hass, BOB, message="x")
        await push_report(hass, entry, fired["sent"][0].data["message_id"], "DELIVRD", BOB)
        await send_to_number(hass, priority="critical")
        await push_report(hass, entry, fired["sent"][1].data["message_id"], status)
        assert len(sent(sandbox)) == messages
        assert [one.data["cause"] for one in fired["failed"]] == (["failed"] if status == "KX:3000" else [])
        if messages == 3:
            await push_report(hass, entry, fired["sent"][2].data["message_id"], "KX:1000")
            assert len(sent(sandbox)) == 3
            assert [one.data["cause"] for one in fired["failed"]] == ["failed"]

    async def test_other_transport_repeats(
        self,
        hass: HomeAssistant,
        make_entry: MakeEntry,
        set_up: SetUp,
        fired: dict[str, list[Event]],
        sandbox: Sandbox,
    ) -> None:
        entry = make_entry(ways=BOTH)
        await set_up(entry)
        cmpp = entry.runtime_data.client.failover.cmpp
        async with asyncio.timeout(10):
            while not cmpp.status.connected:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
        entry.runtime_data.client.failover._by_preference = lambda: [entry.runtime_data.client.failover.http, cmpp]
        fail_next(sandbox, "drop_after")
        await send_to_number(hass, priority="critical")
        assert [one.data["outcome"] for one in fired["sent"]] == ["unknown", "accepted"]
        assert in_store(hass, "SELECT way FROM outgoing ORDER BY row") == [("http",), ("cmpp",)]

    async def test_critical_notify_entity(
        self, hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]]
    ) -> None:
        registry = er.async_get(hass)
        entity_id = registry.async_get_entity_id("notify", const.DOMAIN, f"{entry.entry_id}_alice_notify_critical")
        assert entity_id == "notify.alice_critical"
        assert registry.async_get(entity_id).disabled  # type: ignore[union-attr]
        registry.async_update_entity(entity_id, disabled_by=None)
        await hass.config_entries.async_reload(entry.entry_id)
        await hass.async_block_till_done(wait_background_tasks=True)
        data = {"entity_id": entity_id, "message": "门开了"}
        await hass.services.async_call("notify", "send_message", data, blocking=True)
        assert [one.data["priority"] for one in fired["sent"]] == ["critical"]

    async def test_missing_report_of_a_message_without_a_journal_row_is_a_failure(
        self, hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]], freezer: FrozenDateTimeFactory
    ) -> None:
        message = QueuedMessage(ALICE, "门开了", priority="critical", since=1.0, watched=True, repeated=True)
        await entry.runtime_data.deferred.async_await_report(message, dt_util.utcnow() + timedelta(seconds=90))
        await later(hass, freezer, seconds=91)
        failed = [(one.data["cause"], one.data["outcome"], one.data["recipient"]) for one in fired["failed"]]
        assert failed == [("no_report", "accepted", "Alice")]
        assert len(critical_repairs(hass)) == 1
        assert in_store(hass) == []

    @pytest.mark.usefixtures("entry")
    async def test_refused_scheduled_message_fails_once_its_fallback_failed(
        self, hass: HomeAssistant, fired: dict[str, list[Event]], freezer: FrozenDateTimeFactory, sandbox: Sandbox
    ) -> None:
        hass.states.async_set("notify.phone", "unavailable")
        fail_next(sandbox, "no_balance")
        at = dt_util.utcnow() + timedelta(hours=1)
        await send_to_number(hass, at=at.isoformat(), fallback="notify.phone", priority="critical")
        assert fired["failed"] == []
        await later(hass, freezer, seconds=3601)
        (event,) = fired["failed"]
        assert (event.data["cause"], event.data["priority"]) == ("refused", "critical")
        assert event.data["fallback"] == [{"to": "notify.phone", "outcome": "unavailable"}]

    async def test_fallback_with_a_fault_is_a_failure(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        fired: dict[str, list[Event]],
        freezer: FrozenDateTimeFactory,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def run(*_: object, **__: object) -> None:
            raise RuntimeError(ALICE)

        await send_to_number(hass, priority="critical", report_within="00:01:00")
        monkeypatch.setattr(entry.runtime_data.deferred._reports, "run_fallback", run)
        await later(hass, freezer, seconds=61)
        assert [one.data["cause"] for one in fired["failed"]] == ["no_report"]

    @pytest.mark.usefixtures("entry")
    async def test_copy_that_cannot_be_sent_leaves_the_first_outcome(
        self, hass: HomeAssistant, fired: dict[str, list[Event]], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(repeat, "mark_repeat", lambda *_: "")  # no longer a valid text
        fail_next(sandbox, "drop_after")
        await send_to_number(hass, priority="critical")
        assert [one.data["cause"] for one in fired["failed"]] == ["unknown"]
        assert len(sent(sandbox)) == 1
