"""The sensors of an account: balance, statistics, and problems that prevent sending."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.const import STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er, issue_registry as ir
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
)

from sms1680.sandbox import Call, Fault, Sandbox
from sms1680.sandbox.verdicts import Verdict
from tests.home_assistant.helpers import ALICE, MakeEntry, SetUp, Until, notify, send


def state(hass: HomeAssistant, entity_id: str) -> str:
    found = hass.states.get(entity_id)
    assert found is not None
    return found.state


async def send_one(hass: HomeAssistant, message: str = "门开了", number: str = ALICE) -> None:
    await send(hass, message=message, number=number)
    await hass.async_block_till_done()


async def an_hour_later(hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
    freezer.tick(timedelta(minutes=61))
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)


@pytest.mark.usefixtures("entry")
async def test_balance_is_polled(hass: HomeAssistant, sandbox: Sandbox, freezer: FrozenDateTimeFactory) -> None:
    assert state(hass, "sensor.home_balance") == "1000"
    sandbox.platform.accounts["homeuser"].balances["61341"] = 400
    await an_hour_later(hass, freezer)
    assert state(hass, "sensor.home_balance") == "400"


async def test_setup_succeeds_without_the_network(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    sandbox.platform.faults.always("drop_before")
    await set_up(make_entry())
    assert state(hass, "sensor.home_balance") == STATE_UNAVAILABLE
    assert state(hass, "binary_sensor.home_low_balance") == STATE_UNAVAILABLE
    for entity_id in ("notify.alice", "notify.bob", "sensor.home_messages_sent", "binary_sensor.home_can_send"):
        assert state(hass, entity_id) != STATE_UNAVAILABLE
    sandbox.platform.faults.clear()
    await send_one(hass)
    assert len(sandbox.platform.messages) == 1
    await an_hour_later(hass, freezer)
    assert state(hass, "sensor.home_balance") == "999"


async def test_forbidden_balance_is_unknown(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.platform.faults.choose = lambda call: Fault(verdict=Verdict.PERMISSION) if call is Call.BALANCE else None
    await set_up(make_entry())
    assert state(hass, "sensor.home_balance") == STATE_UNKNOWN
    assert state(hass, "binary_sensor.home_low_balance") == STATE_UNKNOWN
    assert state(hass, "binary_sensor.home_can_send") == "on"
    assert not ir.async_get(hass).issues
    assert "Error" not in caplog.text


async def test_counters_survive_a_reload(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
) -> None:
    entry = make_entry(options={"price": 0.05})
    await set_up(entry)
    await send_one(hass, "长" * 100)
    await send_one(hass, "贷款")
    await send_one(hass, "发票")
    sandbox.platform.faults.next("drop_after")
    await send_one(hass)
    counted = {"sensor.home_messages_sent": "2", "sensor.home_parts_sent": "3", "sensor.home_spent": "0.15"}
    assert {entity_id: state(hass, entity_id) for entity_id in counted} == counted
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert {entity_id: state(hass, entity_id) for entity_id in counted} == counted
    await send_one(hass)
    assert state(hass, "sensor.home_messages_sent") == "3"


@pytest.mark.usefixtures("all_entities_enabled")
async def test_counters_survive_a_restart(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, hass_storage: dict[str, Any]
) -> None:
    entry = make_entry()
    key = f"sms1680.totals.{entry.entry_id}"
    hass_storage[key] = {
        "version": 1,
        "key": key,
        "data": {"messages": 41, "parts": 50, "spent": 2.5, "last_push": "2026-01-02T03:04:05+00:00"},
    }
    await set_up(entry)
    assert state(hass, "sensor.home_last_push") == "2026-01-02T03:04:05+00:00"
    await send_one(hass)
    assert state(hass, "sensor.home_messages_sent") == "42"
    async_fire_time_changed(hass, fire_all=True)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert hass_storage[key]["data"]["messages"] == 42
    await hass.config_entries.async_remove(entry.entry_id)
    assert key not in hass_storage


@pytest.mark.usefixtures("entry")
async def test_spent_sensor_is_disabled_without_a_price(hass: HomeAssistant) -> None:
    spent = er.async_get(hass).async_get("sensor.home_spent")
    assert spent is not None
    assert spent.disabled


async def test_low_balance_raises_and_deletes_one_repair(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    *,
    sandbox: Sandbox,
    freezer: FrozenDateTimeFactory,
    until: Until,
) -> None:
    entry = make_entry(options={"low_balance": 900})
    await set_up(entry)
    raised = async_capture_events(hass, ir.EVENT_REPAIRS_ISSUE_REGISTRY_UPDATED)
    assert state(hass, "binary_sensor.home_low_balance") == "off"
    sandbox.platform.accounts["homeuser"].balances["61341"] = 899
    for _ in range(3):
        await an_hour_later(hass, freezer)
        await until(lambda: state(hass, "binary_sensor.home_low_balance") == "on")
    issue = ir.async_get(hass).async_get_issue("sms1680", f"low_balance_{entry.entry_id}")
    assert issue is not None
    assert issue.translation_placeholders == {"account": "Home", "threshold": "900"}
    assert [event.data["action"] for event in raised] == ["create"]
    sandbox.platform.accounts["homeuser"].balances["61341"] = 900
    await an_hour_later(hass, freezer)
    await until(lambda: state(hass, "binary_sensor.home_low_balance") == "off")
    assert not ir.async_get(hass).issues


@pytest.mark.usefixtures("entry")
async def test_empty_balance_turns_can_send_off(
    hass: HomeAssistant, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    assert can_send(hass) == ("on", None)
    sandbox.platform.accounts["homeuser"].balances["61341"] = 0
    await an_hour_later(hass, freezer)
    assert can_send(hass) == ("off", "balance")


def can_send(hass: HomeAssistant) -> tuple[str, str | None]:
    found = hass.states.get("binary_sensor.home_can_send")
    assert found is not None
    return found.state, found.attributes["reason"]


@pytest.mark.parametrize(
    "verdict", [Verdict.IP, Verdict.SIGNATURE, Verdict.PRODUCT, Verdict.PERMISSION], ids=lambda verdict: verdict.value
)
async def test_account_problem_raises_a_repair_until_a_message_is_accepted(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, verdict: Verdict
) -> None:
    sandbox.platform.faults.next(Fault(verdict=verdict))
    await send_one(hass)
    assert can_send(hass) == ("off", verdict.value)
    (issue,) = ir.async_get(hass).issues.values()
    assert issue.issue_id == f"{verdict.value}_{entry.entry_id}"
    assert issue.translation_key == f"problem_{verdict.value}"
    assert issue.severity is ir.IssueSeverity.ERROR
    await send_one(hass, "发票")
    assert len(ir.async_get(hass).issues) == 1, "a refusal of the text says nothing about the account"
    await send_one(hass)
    assert can_send(hass) == ("on", None)
    assert not ir.async_get(hass).issues


@pytest.mark.parametrize("verdict", [Verdict.SIGNATURE, Verdict.PERMISSION], ids=lambda verdict: verdict.value)
async def test_repair_survives_a_reload_until_a_message_is_accepted(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, verdict: Verdict
) -> None:
    sandbox.platform.faults.next(Fault(verdict=verdict))
    await send_one(hass)
    await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert ir.async_get(hass).async_get_issue("sms1680", f"{verdict.value}_{entry.entry_id}")
    assert can_send(hass) == ("off", verdict.value)
    await send_one(hass)
    assert not ir.async_get(hass).issues
    assert can_send(hass) == ("on", None)


async def test_changed_settings_delete_the_repair(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    sandbox.platform.faults.next(Fault(verdict=Verdict.SIGNATURE))
    await send_one(hass)
    hass.config_entries.async_update_entry(entry, options={"signature": "另一科技"})
    await hass.async_block_till_done(wait_background_tasks=True)
    assert not ir.async_get(hass).issues
    assert can_send(hass) == ("on", None)


async def test_successful_balance_request_deletes_the_address_repair(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    sandbox.platform.faults.next(Fault(verdict=Verdict.IP))
    await an_hour_later(hass, freezer)
    assert ir.async_get(hass).async_get_issue("sms1680", f"ip_{entry.entry_id}")
    assert can_send(hass) == ("off", "ip")
    await an_hour_later(hass, freezer)
    assert can_send(hass) == ("on", None)
    assert not ir.async_get(hass).issues


async def test_removed_account_deletes_its_repairs(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    sandbox.platform.faults.next(Fault(verdict=Verdict.IP))
    await send_one(hass)
    await hass.config_entries.async_remove(entry.entry_id)
    assert not ir.async_get(hass).issues


async def test_message_with_refused_credentials_starts_reauthentication(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    sandbox.platform.faults.next(Fault(verdict=Verdict.AUTHENTICATION))
    with pytest.raises(HomeAssistantError, match="user name or the password is wrong"):
        await notify(hass, "notify.alice", message="x")
    await hass.async_block_till_done()
    (flow,) = hass.config_entries.flow.async_progress_by_handler("sms1680")
    assert flow["context"]["entry_id"] == entry.entry_id
    assert can_send(hass) == ("off", "authentication")
    assert state(hass, "notify.alice") != STATE_UNAVAILABLE


@pytest.mark.usefixtures("no_patience")
async def test_unreachable_gateway_turns_can_send_off(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp
) -> None:
    await set_up(make_entry(http={"gateway": "http://127.0.0.1:1"}))
    assert can_send(hass) == ("off", "no_connection")


@pytest.mark.parametrize(("number", "name"), [("13800000001", "Alice"), ("13900000009", None)])
async def test_held_message_fires_a_pending_report(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, number: str, name: str | None
) -> None:
    reports: list[Event[dict[str, Any]]] = async_capture_events(hass, "sms1680_delivery_report")
    await send_one(hass, "贷款", number)
    (message,) = sandbox.platform.messages
    (report,) = reports
    assert report.data == {
        "config_entry_id": entry.entry_id,
        "message_id": None,
        "number": number,
        "recipient": name,
        "subentry_id": "alice" if name else None,
        "status": "held",
        "state": "pending",
        "settled": False,
        "reason": "The text contains words that need a review.",
        "automatic": False,
        "redelivered": False,
    }
    assert message.state.value == "held"


async def test_failed_balance_request_is_logged_once(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    sandbox: Sandbox,
    freezer: FrozenDateTimeFactory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox.platform.faults.always("drop_before")
    await set_up(make_entry())
    await an_hour_later(hass, freezer)
    lines = [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    (line,) = [text for text in lines if "sms1680 balance" in text]
    assert "The platform did not return the balance: The platform did not answer in time. Try again." in line
