"""Waiting messages are visible and can be cancelled: in quiet hours, retried, or scheduled at the platform."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest
import voluptuous as vol
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Context, Event, HomeAssistant, ServiceCall
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    MockUser,
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.sms1680 import const
from custom_components.sms1680.actions import cancel as cancelling
from custom_components.sms1680.client import NoAnswerError, Reason
from custom_components.sms1680.client.cmpp import CancelOutcome, CMPPClient
from custom_components.sms1680.store.db import StoreError
from sms1680.cmpp.wire.reports import ReportContent
from sms1680.sandbox import Sandbox
from sms1680.sandbox.records import State
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    STRANGER,
    MakeEntry,
    SetUp,
    Until,
    act,
    ends,
    get_messages,
    in_store,
    later,
    poll,
    repairs,
    send,
    send_to_alice,
    sent,
    store_of,
    use_gateway,
)

SENSOR = "sensor.home_waiting_messages"


async def waiting(hass: HomeAssistant, **data: Any) -> list[dict[str, Any]]:
    """Return the waiting messages in the response of `get_messages`."""
    found: list[dict[str, Any]] = (await act(hass, "get_messages", **data))["waiting"]
    return found


async def cancel(hass: HomeAssistant, **data: Any) -> list[str]:
    """Cancel a message and return the result for each number."""
    return [message["result"] for message in (await act(hass, "cancel_message", **data))["messages"]]


async def cancel_without_response(hass: HomeAssistant, **data: Any) -> None:
    await hass.services.async_call(const.DOMAIN, "cancel_message", data, blocking=True)


def counted(hass: HomeAssistant) -> tuple[str, ...]:
    """Return the sensor's state, and its counts of quiet hours, retries and scheduled messages."""
    state = hass.states.get(SENSOR)
    assert state is not None
    return (state.state, *(str(state.attributes[name]) for name in ("quiet_hours", "keep_trying", "scheduled")))


@pytest.fixture
async def cmpp_entry(make_entry: MakeEntry, set_up: SetUp, until: Until) -> MockConfigEntry:
    """Set up an account over CMPP."""
    made = make_entry(ways=(const.CONF_CMPP,))
    await set_up(made)
    await until(lambda: made.runtime_data.client.failover.cmpp.status.connected)
    return made


@pytest.fixture(autouse=True)
def failures(hass: HomeAssistant) -> list[Event]:
    """Return the events of messages that were not delivered."""
    return async_capture_events(hass, const.EVENT_MESSAGE_FAILED)


def tomorrow() -> str:
    return (dt_util.utcnow() + timedelta(days=1)).isoformat()


# --- the queue -------------------------------------------------------------------------------------------------------


async def test_a_message_in_quiet_hours_is_listed_counted_and_cancelled(
    hass: HomeAssistant,
    quiet_entry: MockConfigEntry,
    outcomes: list[Event],
    failures: list[Event],
    sandbox: Sandbox,
    freezer: FrozenDateTimeFactory,
) -> None:
    assert counted(hass) == ("0", "0", "0", "0")
    await send_to_alice(hass, message="早")
    await hass.async_block_till_done()
    assert counted(hass) == ("1", "1", "0", "0")
    [message] = await waiting(hass)
    id_ = message.pop("id")
    assert message == {
        "config_entry_id": quiet_entry.entry_id,
        "number": ALICE,
        "recipient": "Alice",
        "subentry_id": "alice",
        "waits_for": "quiet_hours",
        "since": "2026-01-05T23:30:00+00:00",
        "due": "2026-01-06T07:00:00+00:00",
        "message_ids": [],
        "message": "早",
    }
    answer = await act(hass, "cancel_message", id=id_)
    del message["message"]
    assert answer == {"messages": [{"id": id_, **message, "result": "cancelled"}]}
    await hass.async_block_till_done()
    assert counted(hass) == ("0", "0", "0", "0")
    assert ends(outcomes) == [("not_sent", "cancelled")]
    assert outcomes[0].data["since"] == "2026-01-05T23:30:00+00:00"
    assert in_store(hass) == []
    await hass.config_entries.async_reload(quiet_entry.entry_id)
    await later(hass, freezer, hours=8)
    assert sent(sandbox) == []
    assert (failures, repairs(hass)) == ([], [])
    with pytest.raises(ServiceValidationError) as caught:
        await cancel(hass, id=id_)
    assert caught.value.translation_key == "cancel_not_found"


@pytest.mark.usefixtures("fails_at_once", "gateway_off")
async def test_a_retried_message_is_listed_counted_and_cancelled(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    outcomes: list[Event],
    failures: list[Event],
    sandbox: Sandbox,
    freezer: FrozenDateTimeFactory,
) -> None:
    await send_to_alice(hass, keep_trying="01:00:00")
    await hass.async_block_till_done()
    assert counted(hass) == ("1", "0", "1", "0")
    await later(hass, freezer, seconds=31)
    assert counted(hass) == ("1", "0", "1", "0")
    [message] = await waiting(hass)
    assert message["waits_for"] == "keep_trying"
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert counted(hass) == ("1", "0", "1", "0")
    await cancel_without_response(hass, id=message["id"])
    assert ends(outcomes) == [("not_sent", "cancelled")]
    await use_gateway(hass, entry, sandbox.url)
    await later(hass, freezer, minutes=10)
    assert (sent(sandbox), counted(hass)) == ([], ("0", "0", "0", "0"))
    assert failures == []


async def test_a_message_is_not_cancelled_while_it_is_being_sent(
    hass: HomeAssistant,
    quiet_entry: MockConfigEntry,
    outcomes: list[Event],
    sandbox: Sandbox,
    freezer: FrozenDateTimeFactory,
) -> None:
    await send_to_alice(hass, message="早")
    [message] = await waiting(hass)
    queue = quiet_entry.runtime_data.deferred
    attempt, go_on, begun = queue.send, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await attempt(*args)

    queue.send = slow
    freezer.tick(timedelta(hours=8))
    async_fire_time_changed(hass, dt_util.utcnow())
    await begun.wait()
    assert await cancel(hass, id=message["id"]) == ["being_sent"]
    with pytest.raises(HomeAssistantError, match="Not cancelled: the message to Alice is being sent right now"):
        await cancel_without_response(hass, id=message["id"])
    go_on.set()
    await poll(lambda: ends(outcomes) and counted(hass) == ("0", "0", "0", "0"))
    assert ends(outcomes) == [("accepted", None)]
    assert sent(sandbox) == [(ALICE, "早")]


async def test_a_message_that_cannot_be_deleted_still_waits(
    hass: HomeAssistant,
    quiet_entry: MockConfigEntry,  # noqa: ARG001 - set up
    outcomes: list[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await send_to_alice(hass)
    [message] = await waiting(hass)
    broken: Future[None] = Future()
    broken.set_exception(StoreError("disk full"))
    with monkeypatch.context() as patched:
        patched.setattr(store_of(hass), "delete_deferred_row", lambda _: broken)
        with pytest.raises(HomeAssistantError) as caught:
            await cancel(hass, id=message["id"])
    assert caught.value.translation_key == "store_failed"
    await hass.async_block_till_done()
    assert (outcomes, counted(hass)) == ([], ("1", "1", "0", "0"))
    assert await cancel(hass, id=message["id"]) == ["cancelled"]


async def test_waiting_messages_are_selected_like_the_others(
    hass: HomeAssistant,
    quiet_entry: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    await send_to_alice(hass, message="一")
    freezer.tick(60)
    at = dt_util.utcnow() + timedelta(hours=12)
    await send(hass, number=STRANGER, message="二", at=at.isoformat())
    await hass.async_block_till_done()
    assert counted(hass) == ("2", "1", "0", "1")
    for selection, texts in (
        ({}, ["一", "二"]),
        ({"recipient": "Alice"}, ["一"]),
        ({"number": STRANGER}, ["二"]),
        ({"until": "2026-01-05 23:31:00+00:00"}, ["一"]),
        ({"since": "2026-01-05 23:31:00+00:00"}, ["二"]),
        ({"direction": "out", "limit": 1}, ["一"]),
        ({"direction": "in"}, []),
        ({"state": "accepted"}, []),
        ({"config_entry_id": quiet_entry.entry_id}, ["一", "二"]),
    ):
        assert [message["message"] for message in await waiting(hass, **selection)] == texts, selection
    options = {**quiet_entry.options, const.CONF_KEEP_TEXTS: False}
    hass.config_entries.async_update_entry(quiet_entry, options=options)
    await hass.async_block_till_done()
    assert [message["message"] for message in await waiting(hass, recipient="Alice")] == [None]


# --- scheduled at the platform ---------------------------------------------------------------------------------------


async def test_a_scheduled_message_is_cancelled_over_cmpp(
    hass: HomeAssistant,
    cmpp_entry: MockConfigEntry,
    outcomes: list[Event],
    failures: list[Event],
    reports: list[Event],
    sandbox: Sandbox,
    until: Until,
) -> None:
    await send_to_alice(hass, message="水位过高，" * 40, at=tomorrow())
    await hass.async_block_till_done()
    assert counted(hass) == ("1", "0", "0", "1")
    [message] = await waiting(hass)
    assert (message["waits_for"], message["recipient"], len(message["message_ids"])) == ("scheduled", "Alice", 4)
    assert await cancel(hass, id=message["id"]) == ["cancelled"]
    await until(lambda: sandbox.cmpp.acknowledged == sandbox.cmpp.queued == 4)  # the reports with DELETED
    assert [one.state for one in sandbox.platform.messages] == [State.REJECTED]
    assert counted(hass) == ("0", "0", "0", "0")
    assert ends(outcomes) == [("not_sent", "cancelled")]
    assert outcomes[0].data["message_id"] == message["message_ids"][0]
    assert outcomes[0].data["config_entry_id"] == cmpp_entry.entry_id
    assert reports == []
    [stored] = await get_messages(hass)
    assert (stored["outcome"], stored["state"], stored["settled"]) == ("accepted", "not_sent", True)
    assert stored["reason"] == "It was cancelled before it was sent."
    assert hass.states.get("sensor.alice_last_delivery_state").state == "not_sent"
    assert await hass.config_entries.async_reload(cmpp_entry.entry_id)
    await hass.async_block_till_done()
    assert (failures, dict(ir.async_get(hass).issues)) == ([], {})
    with pytest.raises(ServiceValidationError):
        await cancel(hass, message_id=message["message_ids"][0])


async def test_a_cancelled_message_runs_no_fallback(
    hass: HomeAssistant,
    cmpp_entry: MockConfigEntry,  # noqa: ARG001 - set up
    acted: list[ServiceCall],
    outcomes: list[Event],
    failures: list[Event],
    sandbox: Sandbox,
    until: Until,
    freezer: FrozenDateTimeFactory,
) -> None:
    sandbox.platform.clock = lambda: dt_util.utcnow().timestamp()  # follows the frozen time
    await send_to_alice(
        hass,
        at=tomorrow(),
        priority="critical",
        fallback_actions=[{"action": "test.acted"}],
        report_within="00:05:00",
    )
    [message] = await waiting(hass)
    assert await cancel(hass, message_id=message["message_ids"][0]) == ["cancelled"]
    await until(lambda: sandbox.cmpp.acknowledged == sandbox.cmpp.queued == 1)
    await poll(lambda: in_store(hass) == [])
    await later(hass, freezer, days=2)
    assert (acted, ends(outcomes), failures) == ([], [("not_sent", "cancelled")], [])


async def test_a_message_to_several_numbers_is_cancelled_for_all_of_them_only(
    hass: HomeAssistant,
    cmpp_entry: MockConfigEntry,  # noqa: ARG001 - set up
    outcomes: list[Event],
    sandbox: Sandbox,
) -> None:
    await send(hass, entity_id=["notify.alice", "notify.bob"], at=tomorrow())
    alice, bob = await waiting(hass)
    assert alice["message_ids"] == bob["message_ids"]
    with pytest.raises(ServiceValidationError) as caught:
        await cancel(hass, id=bob["id"])
    assert caught.value.translation_key == "cancel_together"
    [message_id] = bob["message_ids"]
    assert caught.value.translation_placeholders == {"count": "2", "message_id": message_id}
    assert {one.state for one in sandbox.platform.messages} == {State.SCHEDULED}
    assert await cancel(hass, message_id=message_id) == ["cancelled"] * 2
    assert {event.data["recipient"] for event in outcomes} == {"Alice", "Bob"}
    assert await waiting(hass) == []


async def test_over_http_the_platform_offers_no_way(
    hass: HomeAssistant,
    entry: MockConfigEntry,  # noqa: ARG001 - set up
    outcomes: list[Event],
    sandbox: Sandbox,
) -> None:
    await send_to_alice(hass, at=tomorrow())
    await hass.async_block_till_done()
    assert counted(hass) == ("1", "0", "0", "1")
    [message] = await waiting(hass)
    for chosen in ({"id": message["id"]}, {"message_id": message["message_ids"][0]}):
        with pytest.raises(ServiceValidationError, match="offers no way to cancel it") as caught:
            await cancel(hass, **chosen)
        assert caught.value.translation_key == "cancel_over_http"
    assert [one.state for one in sandbox.platform.messages] == [State.SCHEDULED]
    assert outcomes == []


async def test_a_scheduled_message_ceases_to_wait_at_its_time(
    hass: HomeAssistant,
    entry: MockConfigEntry,  # noqa: ARG001 - set up
    freezer: FrozenDateTimeFactory,
) -> None:
    await send_to_alice(hass, at=tomorrow())
    await send(hass, number=BOB, at=(dt_util.utcnow() + timedelta(hours=1)).isoformat())
    await hass.async_block_till_done()
    assert counted(hass) == ("2", "0", "0", "2")
    await later(hass, freezer, hours=2)
    assert counted(hass) == ("1", "0", "0", "1")
    await send(hass, number=BOB, at=tomorrow())
    assert await act(hass, "purge_messages", number=BOB) == {"purged": 2}
    await hass.async_block_till_done()
    assert counted(hass) == ("1", "0", "0", "1")
    await later(hass, freezer, hours=23)
    assert counted(hass) == ("0", "0", "0", "0")


@pytest.mark.parametrize(
    ("outcomes_of_segments", "result", "state"),
    [
        ([CancelOutcome.NOT_POSSIBLE] * 2, "not_possible", "accepted"),
        ([CancelOutcome.CANCELLED, CancelOutcome.NOT_POSSIBLE], "partly", "accepted"),
        ([CancelOutcome.UNKNOWN, CancelOutcome.NOT_POSSIBLE], "unknown", "accepted"),
        ([NoAnswerError(Reason.NO_CONNECTION)] * 2, "no_connection", "accepted"),
    ],
)
async def test_a_message_that_was_not_cancelled_still_waits(
    hass: HomeAssistant,
    cmpp_entry: MockConfigEntry,  # noqa: ARG001 - set up
    outcomes: list[Event],
    monkeypatch: pytest.MonkeyPatch,
    *,
    outcomes_of_segments: list[CancelOutcome | NoAnswerError],
    result: str,
    state: str,
) -> None:
    await send_to_alice(hass, message="水位过高，" * 20, at=tomorrow())
    [message] = await waiting(hass)
    left = outcomes_of_segments * 2

    async def answer(*_: object, **__: object) -> CancelOutcome:
        outcome = left.pop(0)
        if isinstance(outcome, NoAnswerError):
            raise outcome
        return outcome

    monkeypatch.setattr(CMPPClient, "cancel", answer)
    assert await cancel(hass, id=message["id"]) == [result]
    with pytest.raises(HomeAssistantError) as caught:
        await cancel_without_response(hass, id=message["id"])
    assert caught.value.translation_key == f"cancel_{result}"
    assert caught.value.translation_placeholders == {"who": "Alice"}
    [stored] = await get_messages(hass)
    assert stored["state"] == state
    assert outcomes == []
    assert len(await waiting(hass)) == 1


@pytest.mark.parametrize(("stat", "state", "fired"), [("DELETED", "not_sent", []), ("UNDELIV", "failed", ["failed"])])
async def test_a_report_settles_what_the_platform_did_not_answer(
    hass: HomeAssistant,
    cmpp_entry: MockConfigEntry,
    reports: list[Event],
    failures: list[Event],
    sandbox: Sandbox,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
    *,
    stat: str,
    state: str,
    fired: list[str],
) -> None:
    await send_to_alice(hass, at=tomorrow())
    [message] = await waiting(hass)

    async def unanswered(*_: object, **__: object) -> CancelOutcome:
        return CancelOutcome.UNKNOWN

    async def refused(*_: object, **__: object) -> CancelOutcome:
        return CancelOutcome.NOT_POSSIBLE  # perhaps because the first one cancelled it

    monkeypatch.setattr(CMPPClient, "cancel", unanswered)
    assert await cancel(hass, id=message["id"]) == ["unknown"]
    [stored] = await get_messages(hass)
    assert stored["state"] == "accepted"
    assert stored["reason"] == "The platform did not answer whether it cancelled the message."
    monkeypatch.setattr(CMPPClient, "cancel", refused)
    assert await cancel(hass, id=message["id"]) == ["not_possible"]
    content = ReportContent(msg_id=int(message["message_ids"][0]), stat=stat, dest_terminal_id=ALICE)
    sandbox.cmpp.reports.deliver("homeuser", content)
    await until(lambda: sandbox.cmpp.acknowledged == 1)
    [stored] = await get_messages(hass)
    assert stored["state"] == state
    assert [event.data["state"] for event in reports] == fired
    assert await hass.config_entries.async_reload(cmpp_entry.entry_id)
    await hass.async_block_till_done()
    assert [event.data["cause"] for event in failures] == fired


async def test_a_report_of_delivery_overrides_a_cancel(
    hass: HomeAssistant,
    cmpp_entry: MockConfigEntry,  # noqa: ARG001 - set up
    reports: list[Event],
    sandbox: Sandbox,
    until: Until,
) -> None:
    sandbox.platform.phone(ALICE).report_status = None
    await send_to_alice(hass, at=tomorrow())
    [message] = await waiting(hass)
    assert await cancel(hass, id=message["id"]) == ["cancelled"]
    content = ReportContent(msg_id=int(message["message_ids"][0]), stat="DELIVRD", dest_terminal_id=ALICE)
    sandbox.cmpp.reports.deliver("homeuser", content)
    await until(lambda: reports)
    [stored] = await get_messages(hass)
    assert (stored["state"], stored["reason"]) == ("delivered", None)


async def test_without_cmpp_nothing_is_cancelled(
    hass: HomeAssistant,
    cmpp_entry: MockConfigEntry,
    make_entry: MakeEntry,
    monkeypatch: pytest.MonkeyPatch,
    sandbox: Sandbox,
) -> None:
    await send_to_alice(hass, at=tomorrow())
    [message] = await waiting(hass)
    monkeypatch.setattr(cancelling, "_PATIENCE", 0.0)
    sandbox.cmpp.down = 60
    sandbox.cmpp.restart_soon()
    await poll(lambda: not cmpp_entry.runtime_data.client.failover.cmpp.status.connected)
    assert await cancel(hass, id=message["id"]) == ["no_connection"]
    hass.config_entries.async_update_entry(cmpp_entry, data=make_entry(title="Other").data)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert await cancel(hass, id=message["id"]) == ["no_connection"]


async def test_a_result_that_cannot_be_stored_is_still_returned(
    hass: HomeAssistant,
    cmpp_entry: MockConfigEntry,  # noqa: ARG001 - set up
    outcomes: list[Event],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await send_to_alice(hass, at=tomorrow())
    [message] = await waiting(hass)
    broken: Future[None] = Future()
    broken.set_exception(StoreError("disk full"))
    monkeypatch.setattr(store_of(hass), "settle_cancel", lambda *_, **__: broken)
    assert await cancel(hass, id=message["id"]) == ["cancelled"]
    assert ends(outcomes) == [("not_sent", "cancelled")]
    assert "could not be stored (disk full)" in caplog.text


# --- the call --------------------------------------------------------------------------------------------------------


async def test_wrong_calls_are_refused(
    hass: HomeAssistant, entry: MockConfigEntry, hass_read_only_user: MockUser
) -> None:
    for data in ({}, {"id": "1", "message_id": "1"}):
        with pytest.raises(vol.Invalid):
            await cancel(hass, **data)
    for id_ in ("1", f"queued_{entry.entry_id}_1", f"scheduled_{entry.entry_id}_1"):
        with pytest.raises(ServiceValidationError) as caught:
            await cancel(hass, id=id_)
        assert caught.value.translation_key == "cancel_not_found"
    with pytest.raises(ServiceValidationError) as caught:
        await cancel(hass, message_id="1", config_entry_id="none")
    assert caught.value.translation_key == "no_such_account"
    with pytest.raises(Unauthorized):
        await hass.services.async_call(
            const.DOMAIN,
            "cancel_message",
            {"id": "1"},
            blocking=True,
            context=Context(user_id=hass_read_only_user.id),
        )


async def test_the_count_survives_a_broken_store(
    hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send_to_alice(hass, at=tomorrow())
    await hass.async_block_till_done()
    broken: Future[None] = Future()
    broken.set_exception(StoreError("disk full"))
    monkeypatch.setattr(entry.runtime_data.deferred.journal, "scheduled_times", lambda *_: broken)
    await send_to_alice(hass)
    await hass.async_block_till_done()
    assert counted(hass) == ("1", "0", "0", "1")
