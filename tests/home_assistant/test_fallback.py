"""A fallback step that fails is reported, and the next step runs."""

from __future__ import annotations

from typing import Any

import pytest
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680 import const
from custom_components.sms1680.outbound.fallback import FailedMessage
from custom_components.sms1680.recipients import Addressee
from sms1680.sandbox import Account, Config, Sandbox
from tests.home_assistant.helpers import MakeEntry, SetUp, act, recipient, refuse_long_texts, send, sent

ALICE, CAROL, DAVE = "13800000001", "13800000003", "13800000004"


@pytest.fixture
def sandbox_config() -> Config:
    home = Account("homeuser", "s3cret-Passw0rd", products={"61341": 0})  # each message is refused
    second = Account("second", "s3cret-Passw0rd", products={"61341": 1000})
    return Config(accounts=(home, second), report_delay=0.0)


@pytest.fixture
async def second(entry: MockConfigEntry, make_entry: MakeEntry, set_up: SetUp) -> MockConfigEntry:  # noqa: ARG001 - first
    """Return a second account that works; its recipient Carol always has quiet hours."""
    quiet = {const.CONF_QUIET_FROM: "00:00:00", const.CONF_QUIET_TO: "23:59:59"}
    made = make_entry(
        title="Second",
        http={"username": "second"},
        recipients=[recipient("Carol", CAROL, **quiet), recipient("Dave", DAVE)],
        webhook_id="second",
        push_secret="second",
    )
    await set_up(made)
    return made


async def send_steps(hass: HomeAssistant, **data: Any) -> list[list[tuple[str, str]]]:
    """Send to Alice, and return the fallback steps of each message."""
    messages = await send(hass, entity_id="notify.alice", **data)
    return [[(step["to"], step["outcome"]) for step in message["fallback"]] for message in messages]


@pytest.mark.usefixtures("second")
async def test_failing_entity_is_followed_by_the_next_step(
    hass: HomeAssistant, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(call: ServiceCall) -> None:
        raise ValueError(call.data["message"])

    hass.states.async_set("notify.phone", "unknown")
    hass.services.async_remove("notify", "send_message")
    hass.services.async_register("notify", "send_message", fail)
    steps = await send_steps(hass, fallback=["notify.phone", "notify.dave"])
    assert steps == [[("notify.phone", "failed"), ("notify.dave", "accepted")]]
    assert [number for number, _ in sent(sandbox)] == [DAVE]
    assert "The fallback notify.phone failed with ValueError" in caplog.text
    assert "门开了" not in [record.getMessage() for record in caplog.records]


@pytest.mark.usefixtures("second")
async def test_recipient_in_quiet_hours_is_skipped(hass: HomeAssistant, sandbox: Sandbox, freezer: Any) -> None:
    freezer.move_to("2026-05-01 12:00:00+00:00")
    steps = await send_steps(hass, fallback=["notify.carol", "notify.dave"])
    assert steps == [[("notify.carol", "quiet_hours"), ("notify.dave", "accepted")]]
    assert [number for number, _ in sent(sandbox)] == [DAVE]
    assert await send_steps(hass, fallback=["notify.carol"], priority="critical") == [[("notify.carol", "accepted")]]


async def test_recipient_of_an_unloaded_account_is_skipped(
    hass: HomeAssistant, second: MockConfigEntry, sandbox: Sandbox
) -> None:
    assert await hass.config_entries.async_unload(second.entry_id)
    assert await send_steps(hass, fallback=["notify.dave"]) == [[("notify.dave", "unavailable")]]
    assert [number for number, _ in sent(sandbox)] == []


@pytest.mark.usefixtures("second")
async def test_combined_text_that_is_too_long_fails(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"number": ALICE, "values": ["一" * 400]}, {"number": "13800000002", "values": ["二" * 400]}]
    for subentry in list(entry.subentries.values()):
        data = {**subentry.data, const.CONF_FALLBACK: ["notify.dave"]}
        hass.config_entries.async_update_subentry(entry, subentry, data=data)
    await refuse_long_texts(hass)
    given = {"template": "{A}", "rows": rows, "config_entry_id": entry.entry_id}
    messages = (await act(hass, "send_template", **given))["messages"]
    assert [message["fallback"] for message in messages] == [[{"to": "notify.dave", "outcome": "failed"}]] * 2
    assert "The fallback of a message could not send it" in caplog.text
    assert [number for number, _ in sent(sandbox)] == []


def test_failed_message_shows_neither_number_nor_text(entry: MockConfigEntry) -> None:
    missed = FailedMessage(Addressee(entry, ALICE, "Alice", "alice", None), "门开了", "refused")
    assert repr(missed) == "FailedMessage(refused)"


@pytest.mark.usefixtures("second")
@pytest.mark.parametrize("own", ["entity", "critical", "account", "both"])
async def test_fallback_that_is_the_recipient_is_refused(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, own: str
) -> None:
    entities = er.async_get(hass)
    critical = entities.async_get_entity_id("notify", "sms1680", f"{entry.entry_id}_alice_notify_critical")
    assert critical
    entities.async_update_entity(critical, disabled_by=None)
    await hass.async_block_till_done(wait_background_tasks=True)
    data: dict[str, Any] = {"entity": {"fallback": ["notify.alice"]}, "critical": {"fallback": [critical]}}.get(own, {})
    if own in {"account", "both"}:
        data["fallback_account"] = entry.entry_id
    if own == "both":
        data["fallback"] = ["notify.alice"]
    with pytest.raises(ServiceValidationError) as caught:
        await send(hass, entity_id="notify.alice", **data)
    assert caught.value.translation_key == "fallback_is_self"
    assert ("Home" if own == "account" else "notify.alice") in (caught.value.translation_placeholders or {})["fallback"]
    assert not sandbox.platform.messages


@pytest.mark.parametrize("fallback", [["notify.alice", "notify.dave"], ["notify.dave"]])
async def test_fallback_that_is_not_only_the_recipient_is_used(
    hass: HomeAssistant, second: MockConfigEntry, sandbox: Sandbox, fallback: list[str]
) -> None:
    steps = await send_steps(hass, fallback=fallback)
    assert steps[0][-1] == ("notify.dave", "accepted")
    messages = await send(hass, entity_id=["notify.alice", "notify.dave"], fallback=["notify.alice"])
    assert len(messages) == 2, "each can be the fallback of the other"
    assert await hass.config_entries.async_unload(second.entry_id)
    assert await send_steps(hass, fallback=["notify.dave"]) == [[("notify.dave", "unavailable")]]
    assert {number for number, _ in sent(sandbox)} == {DAVE}
