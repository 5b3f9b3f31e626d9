"""Alarms of a duty group: raised, escalated, acknowledged by SMS and by action, and continued after a restart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import ServiceValidationError, Unauthorized
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    MockUser,
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.sms1680.client import Reply
from custom_components.sms1680.duty.engine import AlarmState, AlarmText, DutyAlarm
from custom_components.sms1680.duty.manager import alarm_manager
from custom_components.sms1680.duty.sending import AlarmSender
from custom_components.sms1680.store.cached_store import _STORES
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    CAROL,
    QUIET,
    SIGNED,
    STRANGER,
    MakeEntry,
    SetUp,
    act,
    duty_group,
    later,
    notify,
    poll,
    receive,
    recipient,
    start_question,
)

DAY = "2026-01-05 12:00:00+00:00"


class Watch:
    """An account with a duty group, its events and what was sent."""

    def __init__(self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox) -> None:
        self.hass = hass
        self.entry = entry
        self.sandbox = sandbox
        self.events = async_capture_events(hass, "sms1680_alarm")
        self._seen = 0

    def sent(self) -> list[tuple[str, str]]:
        """Return the number and the first line of each message since the last call, sorted."""
        messages = self.sandbox.platform.messages[self._seen :]
        self._seen = len(self.sandbox.platform.messages)
        return sorted((one.number, one.text.removeprefix(SIGNED).split("\n")[0]) for one in messages)

    def steps(self) -> list[str]:
        """Return the steps since the last call."""
        steps = [event.data["step"] for event in self.events]
        self.events.clear()
        return steps

    def alarm(self, place: int = -1) -> DutyAlarm:
        """Return one of the alarms."""
        return alarm_manager(self.hass, self.entry).alarms[place]

    async def unload(self) -> None:
        """Unload the account as at a restart: the next setup reads the files again."""
        await self.hass.config_entries.async_unload(self.entry.entry_id)
        del self.hass.data[_STORES]

    async def settle(self) -> None:
        await self.hass.async_block_till_done(wait_background_tasks=True)

    async def raise_alarm(self, message: str = "Smoke", **data: Any) -> dict[str, Any]:
        response = await act(self.hass, "raise_alarm", **{"group": "Watch", "message": message, **data})
        await self.settle()
        return response

    async def reply(self, number: str, text: str, extension: str = "", **more: Any) -> None:
        await receive(self.hass, self.entry, Reply(number, text, extension, **more))
        await self.settle()


MakeWatch = Callable[..., Any]


@pytest.fixture
def watch(hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox) -> MakeWatch:
    """A function that sets up an account with a duty group of Alice, Bob and Carol; Alice is on duty first."""

    async def make(options: dict[str, Any] | None = None, **group: Any) -> Watch:
        people = [recipient("Alice", ALICE), recipient("Bob", BOB), recipient("Carol", CAROL, **QUIET)]
        given = {"members": ("alice", "bob", "carol"), "rota": "schedule", "schedules": ["schedule.alice"], **group}
        hass.states.async_set("schedule.alice", "on", {"friendly_name": "Alice"})
        entry = make_entry(recipients=[*people, duty_group(**given)], options=options)
        await set_up(entry)
        return Watch(hass, entry, sandbox)

    return make


async def test_alarm_goes_from_those_on_duty_to_the_next_and_to_all_until_its_time_is_over(
    hass: HomeAssistant, watch: MakeWatch, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to("2026-01-05 23:00:00+00:00")  # Carol's quiet hours, which alarms pass
    home = await watch()
    response = await home.raise_alarm()
    assert response == {"alarm": home.alarm().id, "number": 1, "key": None, "state": "open", "count": 1, "by": None}
    assert home.sent() == [(ALICE, "Smoke")]
    assert home.sandbox.platform.messages[0].text == (
        f"{SIGNED}Smoke\nAlarm 1. Reply 1 1: I take it, 2 30 1: in 30 minutes, 3 1: next person"
    )
    await later(hass, freezer, minutes=5)
    assert home.sent() == [(BOB, "Smoke")]
    await later(hass, freezer, minutes=5)
    everybody = [(ALICE, "Smoke"), (BOB, "Smoke"), (CAROL, "Smoke")]
    assert home.sent() == everybody
    await later(hass, freezer, minutes=10)
    assert home.sent() == everybody
    for _ in range(4):
        await later(hass, freezer, minutes=10)
    assert home.steps() == [
        "raised",
        "escalated",
        "escalated_to_all",
        *["repeated"] * 4,
        "unanswered",
    ]
    home.sent()
    await later(hass, freezer, minutes=60)
    assert home.sent() == []
    state = hass.states.get("binary_sensor.watch_open_alarms")
    assert state is not None
    assert (state.state, state.attributes["alarms"][0]["state"]) == ("on", "unanswered")


async def test_member_who_cannot_be_texted_does_not_hold_the_alarm_back(hass: HomeAssistant, watch: MakeWatch) -> None:
    home = await watch()
    failures = async_capture_events(hass, "sms1680_message_failed")
    alice = home.entry.subentries["alice"]
    hass.config_entries.async_update_subentry(home.entry, alice, data={"number": ALICE, "extension": "1" * 30})
    await home.settle()
    await home.raise_alarm()
    assert home.sent() == [(BOB, "Smoke")]
    assert [event.data["recipient"] for event in failures] == ["Alice"]


async def test_text_that_takes_long_does_not_hold_the_repetitions_to_others_back(
    hass: HomeAssistant, watch: MakeWatch, freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    freezer.move_to(DAY)
    go_on, sent_to = asyncio.Event(), []

    async def send(_: AlarmSender, __: DutyAlarm, text: AlarmText, ___: bool) -> bool:
        sent_to.append(text.member)
        return text.member == "bob" or await go_on.wait()

    monkeypatch.setattr(AlarmSender, "_async_send_one", send)
    home = await watch(members=("alice", "bob"), rota="always")
    await act(hass, "raise_alarm", group="Watch", message="Smoke")
    alarm = home.alarm()

    def has_made_its_step() -> bool:
        return alarm.due is not None and alarm.due > time.time() and [one.member for one in alarm.outbox] == ["alice"]

    for _ in range(6):
        await poll(has_made_its_step)
        freezer.tick(timedelta(minutes=5))
        async_fire_time_changed(hass, dt_util.utcnow())
    await poll(has_made_its_step)
    go_on.set()
    assert (sent_to.count("alice"), sent_to.count("bob")) == (1, 4)


async def test_reply_1_takes_the_alarm_and_everyone_who_was_texted_gets_to_know(
    hass: HomeAssistant, watch: MakeWatch, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(DAY)
    home = await watch()
    received = async_capture_events(hass, "sms1680_message_received")
    await home.raise_alarm(key="smoke")
    await later(hass, freezer, minutes=5)
    home.sent()
    await home.reply(CAROL, "1")
    assert home.alarm().state is AlarmState.OPEN, "Carol was not texted"
    await home.reply(STRANGER, "1")
    assert home.alarm().state is AlarmState.OPEN, "a stranger takes nothing"
    await home.reply(BOB, "1")
    assert home.sent() == [(ALICE, "Bob takes the alarm: Smoke"), (BOB, "Bob takes the alarm: Smoke")]
    assert received[-1].data["alarm"] == home.alarm().id
    assert received[-1].data["question"] is None
    await home.reply(ALICE, "1")
    assert received[-1].data["already_answered"]
    await later(hass, freezer, minutes=60)
    assert home.sent() == []
    *_, event = home.events
    assert event.data == {
        "config_entry_id": home.entry.entry_id,
        "subentry_id": "watch",
        "group": "Watch",
        "alarm": home.alarm().id,
        "number": 1,
        "key": "smoke",
        "message": "Smoke",
        "count": 1,
        "raised_at": DAY.replace(" ", "T"),
        "state": "acknowledged",
        "step": "acknowledged",
        "time": "2026-01-05T12:05:00+00:00",
        "members": ["Alice", "Bob"],
        "by": "Bob",
        "until": None,
    }
    state = hass.states.get("event.watch_alarms")
    assert state is not None
    assert (state.attributes["event_type"], state.attributes["by"]) == ("acknowledged", "Bob")
    await act(hass, "resolve_alarm", key="smoke")
    await home.settle()
    assert home.steps()[-1] == "resolved"
    state = hass.states.get("binary_sensor.watch_open_alarms")
    assert state is not None
    assert state.state == "off"


async def test_replies_2_and_3_snooze_and_pass_on(
    hass: HomeAssistant, watch: MakeWatch, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(DAY)
    home = await watch()
    await home.raise_alarm()
    await home.reply(ALICE, "2 30分")
    home.sent()
    await later(hass, freezer, minutes=29)
    assert home.sent() == []
    await later(hass, freezer, minutes=1)
    assert home.sent() == [(ALICE, "Smoke")]
    await home.reply(ALICE, "3")
    assert home.sent() == [(BOB, "Smoke")]
    await home.reply(BOB, "3 1")
    assert home.sent() == [(CAROL, "Smoke")]
    assert home.steps() == ["raised", "snoozed", "repeated", "passed_on", "passed_on"]


async def test_two_open_alarms_are_told_apart_by_the_number_in_the_reply(
    hass: HomeAssistant, watch: MakeWatch, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(DAY)
    home = await watch()
    await home.raise_alarm("Smoke")
    await home.raise_alarm("Water")
    home.sent()
    await home.reply(ALICE, "1")
    assert home.sent() == [(ALICE, "Which alarm? 1 Smoke; 2 Water. Reply for example: 1 2")]
    await home.reply(ALICE, "ok")
    assert home.sent() == [], "the question is not repeated at once"
    await home.reply(ALICE, "1 2")
    assert [home.alarm(place).state for place in (0, 1)] == [AlarmState.OPEN, AlarmState.ACKNOWLEDGED]
    await later(hass, freezer, minutes=2)
    await home.reply(ALICE, "1 7")
    assert home.sent()[-1] == (ALICE, "Which alarm? 1 Smoke. Reply for example: 1 1")
    await home.reply(ALICE, "1")
    assert home.alarm(0).state is AlarmState.ACKNOWLEDGED, "only one was left"


async def test_reply_finds_its_alarm_by_the_extension(watch: MakeWatch, freezer: FrozenDateTimeFactory) -> None:
    freezer.move_to(DAY)
    home = await watch({"question_extensions": "100-109"})
    await home.raise_alarm("Smoke")
    await home.raise_alarm("Water")
    first, second = home.sandbox.platform.messages
    assert first.extension != second.extension
    assert second.text == f"{SIGNED}Water\nReply 1: I take it, 2 30: in 30 minutes, 3: next person"
    await home.reply(ALICE, "1", second.extension)
    assert [home.alarm(place).state for place in (0, 1)] == [AlarmState.OPEN, AlarmState.ACKNOWLEDGED]
    questions = home.entry.runtime_data.conversation.questions
    assert questions.reserved == {first.extension}, "the extension of a closed alarm is free again"
    await home.reply(ALICE, "1")
    assert home.alarm(0).state is AlarmState.ACKNOWLEDGED, "the carrier dropped the extension"


async def test_extension_of_an_alarm_is_not_used_for_questions_and_their_replies_are_no_alarms(
    hass: HomeAssistant, watch: MakeWatch
) -> None:
    home = await watch({"question_extensions": "100-101"})
    await home.raise_alarm("Smoke")
    question = start_question(hass, "notify.alice")
    await home.sandbox.wait_for(lambda platform: len(platform.messages) == 2)
    alarm, asked = home.sandbox.platform.messages
    assert alarm.extension != asked.extension
    await home.reply(ALICE, "1", asked.extension)
    assert (await question)["id"] == "yes"
    assert home.alarm().state is AlarmState.OPEN
    await home.raise_alarm("Water")
    await home.raise_alarm("Gas")
    assert home.alarm().extension is None, "the range is used up"
    assert home.sandbox.platform.messages[-1].text.startswith(f"{SIGNED}Gas\nAlarm 3. Reply 1 3")


async def test_reply_without_a_number_answers_an_open_question_first(hass: HomeAssistant, watch: MakeWatch) -> None:
    home = await watch()
    await home.raise_alarm("Smoke")
    question = start_question(hass, "notify.alice")
    await home.sandbox.wait_for(lambda platform: len(platform.messages) == 2)
    await home.reply(ALICE, "1")
    assert (await question)["id"] == "yes"
    assert home.alarm().state is AlarmState.OPEN
    question = start_question(hass, "notify.alice", timeout={"seconds": 5})
    await home.sandbox.wait_for(lambda platform: len(platform.messages) == 3)
    await home.reply(ALICE, "1 1")
    assert home.alarm().state is AlarmState.ACKNOWLEDGED
    question.cancel()


async def test_same_key_adds_to_the_open_alarm(
    hass: HomeAssistant, watch: MakeWatch, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(DAY)
    home = await watch()
    first = await home.raise_alarm(key="smoke")
    again = await home.raise_alarm("Smoke in the hall", key="smoke")
    other = await home.raise_alarm("Smoke", key="other")
    assert (again["alarm"], again["count"]) == (first["alarm"], 2)
    assert other["alarm"] != first["alarm"]
    assert home.sent() == [(ALICE, "Smoke"), (ALICE, "Smoke")]
    await later(hass, freezer, minutes=5)
    assert (BOB, "Smoke in the hall (×2)") in home.sent()


async def test_notify_entity_raises_an_alarm_and_the_same_text_adds_to_it(
    hass: HomeAssistant, watch: MakeWatch
) -> None:
    home = await watch()
    await notify(hass, "notify.watch", message="Leak", title="Cellar")
    await notify(hass, "notify.watch", message="Leak", title="Cellar")
    await home.settle()
    assert home.steps() == ["raised", "added"]
    assert home.sent() == [(ALICE, "Cellar")]
    with pytest.raises(ServiceValidationError, match="not a recipient"):
        await act(hass, "send_message", entity_id="notify.watch", message="x")


async def test_alarm_survives_a_restart_at_any_moment(
    hass: HomeAssistant, watch: MakeWatch, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(DAY)
    home = await watch({"question_extensions": "100-109"})
    await home.raise_alarm()
    extension = home.sandbox.platform.messages[0].extension
    await hass.config_entries.async_unload(home.entry.entry_id)
    await later(hass, freezer, minutes=7)
    assert home.sent() == [(ALICE, "Smoke")]
    await hass.config_entries.async_setup(home.entry.entry_id)
    await later(hass, freezer, seconds=1)
    assert home.sent() == [(BOB, "Smoke")], "the level that was missed"
    assert home.entry.runtime_data.conversation.questions.reserved == {extension}
    await home.reply(BOB, "1", extension)
    assert home.alarm().by == "Bob"
    await hass.config_entries.async_reload(home.entry.entry_id)
    await home.settle()
    assert home.alarm().state is AlarmState.ACKNOWLEDGED
    assert home.steps() == ["raised", "escalated", "acknowledged"]


async def test_text_that_was_not_sent_before_the_restart_is_sent_and_one_that_was_is_not(
    hass: HomeAssistant, watch: MakeWatch, hass_storage: dict[str, Any], freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(DAY)
    home = await watch()
    await home.raise_alarm()
    home.sent()
    await home.unload()
    stored = hass_storage[f"sms1680.alarms.{home.entry.entry_id}"]["data"]["alarms"][0]
    texts = [(f"{stored['id']}.1.alice", "alice"), ("another.bob", "bob"), ("another.gone", "gone")]
    stored["outbox"] = [{"id": id_, "member": member, "kind": "alarm"} for id_, member in texts]
    await hass.config_entries.async_setup(home.entry.entry_id)
    await home.settle()
    assert home.sent() == [(BOB, "Smoke")]
    assert home.alarm().outbox == []


async def test_text_whose_sending_was_interrupted_is_repeated_once_and_marked(
    hass: HomeAssistant, watch: MakeWatch, hass_storage: dict[str, Any]
) -> None:
    home = await watch({"keep_days": 0})  # no journal on the disk says whether it was sent
    await home.raise_alarm()
    await home.unload()
    home.sent()
    stored = hass_storage[f"sms1680.alarms.{home.entry.entry_id}"]["data"]["alarms"][0]
    kinds = (("another.alice", "alice", "alarm"), ("another.bob", "bob", "taken"))
    stored["outbox"] = [{"id": id_, "member": member, "kind": kind} for id_, member, kind in kinds]
    await hass.config_entries.async_setup(home.entry.entry_id)
    await home.settle()
    assert home.sent() == [(ALICE, "（重发）Smoke")]


async def test_stored_alarm_of_another_version_is_left_out(
    hass: HomeAssistant, watch: MakeWatch, hass_storage: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    home = await watch()
    await home.raise_alarm()
    await home.unload()
    hass_storage[f"sms1680.alarms.{home.entry.entry_id}"]["data"]["alarms"][0]["state"] = "new"
    await hass.config_entries.async_setup(home.entry.entry_id)
    assert alarm_manager(hass, home.entry).alarms == []
    assert "this version cannot read" in caplog.text


async def test_reply_that_was_stored_before_the_restart_counts_once(watch: MakeWatch) -> None:
    home = await watch()
    await home.raise_alarm()
    message = {
        "id": "r1",
        "number": ALICE,
        "subentry_id": "alice",
        "recipient": "Alice",
        "content": "3",
        "plain": "3",
        "extension": "",
        "received_at": dt_util.utcnow().isoformat(),
        "redelivered": True,
        "incomplete": False,
    }
    conversation = home.entry.runtime_data.conversation
    for _ in range(2):
        conversation.process_uplink(dict(message), None, None, foreign=False)
        await home.settle()
    assert home.steps() == ["raised", "passed_on"]
    incomplete = {**message, "id": "r2", "content": "1", "plain": "1", "incomplete": True}
    conversation.process_uplink(incomplete, None, None, foreign=False)
    assert home.alarm().state is AlarmState.OPEN


async def test_level_that_reaches_nobody_is_followed_by_the_next_at_once(
    hass: HomeAssistant, watch: MakeWatch, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(DAY)
    home = await watch()
    balances = sandbox.platform.accounts["homeuser"].balances
    balances["61341"] = 0
    await home.raise_alarm()
    await later(hass, freezer, seconds=1)
    await later(hass, freezer, seconds=1)
    assert home.steps() == ["raised", "escalated", "escalated_to_all"]
    balances["61341"] = 100
    await later(hass, freezer, minutes=10)
    assert len(home.sent()) == 3


async def test_actions_reject_what_cannot_be_an_alarm(hass: HomeAssistant, watch: MakeWatch) -> None:
    home = await watch()
    with pytest.raises(ServiceValidationError, match="does not exist"):
        await act(hass, "raise_alarm", group="Nobody", message="x")
    with pytest.raises(ServiceValidationError, match="name a duty group"):
        await act(hass, "acknowledge", by="x")
    hass.config_entries.async_remove_subentry(home.entry, "alice")
    hass.config_entries.async_remove_subentry(home.entry, "bob")
    await home.settle()
    await home.raise_alarm()
    assert home.sent() == [(CAROL, "Smoke")], "nobody who is left is on duty"
    hass.config_entries.async_remove_subentry(home.entry, "carol")
    await home.settle()
    with pytest.raises(ServiceValidationError, match="has no members"):
        await act(hass, "raise_alarm", group="Watch", message="x")
    await hass.config_entries.async_unload(home.entry.entry_id)
    with pytest.raises(ServiceValidationError, match="not loaded"):
        await act(hass, "raise_alarm", group="Watch", message="x")


async def test_too_many_open_alarms_are_refused(watch: MakeWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("custom_components.sms1680.duty.manager._MAX_OPEN", 1)
    home = await watch()
    await home.raise_alarm()
    with pytest.raises(ServiceValidationError, match="alarms are open"):
        await home.raise_alarm("Water")


async def test_removed_group_closes_its_alarms_and_two_groups_of_one_name_need_the_device(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
) -> None:
    people = [recipient("Alice", ALICE)]
    groups = [duty_group(members=("alice",)), {**duty_group(members=("alice",)), "subentry_id": "second"}]
    entry = make_entry(recipients=[*people, *groups])
    await set_up(entry)
    home = Watch(hass, entry, sandbox)
    with pytest.raises(ServiceValidationError, match="Several duty groups"):
        await home.raise_alarm()
    await home.raise_alarm(group="notify.watch")
    hass.config_entries.async_remove_subentry(entry, home.alarm().group)
    await home.settle()
    assert home.steps() == ["raised", "resolved"]


async def test_users_need_the_permission_for_the_group_and_their_name_is_shown(
    hass: HomeAssistant, watch: MakeWatch
) -> None:
    home = await watch()
    await home.raise_alarm()
    MockUser(is_owner=True).add_to_hass(hass)
    user = MockUser(name="Guest").add_to_hass(hass)
    context = Context(user_id=user.id)
    for action, data in (("raise_alarm", {"message": "x"}), ("acknowledge", {}), ("resolve_alarm", {})):
        with pytest.raises(Unauthorized):
            await hass.services.async_call("sms1680", action, {"group": "Watch", **data}, True, context)
    home.sent()
    user.mock_policy({"entities": {"entity_ids": {"notify.watch": True}}})
    response = await hass.services.async_call(
        "sms1680", "acknowledge", {"alarm": home.alarm().id}, True, context, return_response=True
    )
    await home.settle()
    assert response is not None
    assert response["alarms"][0]["by"] == "Guest"  # type: ignore[index,call-overload]
    assert home.sent() == [(ALICE, "Guest takes the alarm: Smoke")]
    assert (await act(hass, "acknowledge", group="Watch"))["alarms"] == []


async def test_acknowledgement_by_an_automation_names_nobody(hass: HomeAssistant, watch: MakeWatch) -> None:
    home = await watch()
    await home.raise_alarm()
    await act(hass, "acknowledge", group="Watch")
    await home.settle()
    assert home.sent()[-1] == (ALICE, "Somebody at Home Assistant takes the alarm: Smoke")


async def test_texts_are_chinese_in_a_chinese_house(hass: HomeAssistant, watch: MakeWatch) -> None:
    home = await watch()
    hass.config.language = "zh-Hans"
    await home.raise_alarm("烟雾" * 300)
    text = home.sandbox.platform.messages[-1].text
    assert text.endswith("报警1：回复“1 1”接手，“2 30 1”30分钟后再提醒，“3 1”转给下一位")
    assert "…" in text


async def test_clock_that_is_set_does_not_shorten_an_alarm(
    hass: HomeAssistant, watch: MakeWatch, freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    freezer.move_to("2026-01-01 00:00:00+00:00")
    home = await watch()
    now = dt_util.utcnow().timestamp()
    monkeypatch.setattr("custom_components.sms1680.duty.manager.monotonic", lambda: 0.0)
    alarm_manager(hass, home.entry)._offset = now
    await home.raise_alarm()
    home.sent()
    await later(hass, freezer, hours=5)
    assert home.sent() == []
    monkeypatch.setattr("custom_components.sms1680.duty.manager.monotonic", lambda: 300.0)
    await later(hass, freezer, minutes=5)
    assert home.sent() == [(BOB, "Smoke")]


async def test_closed_alarms_are_forgotten_with_the_messages(
    hass: HomeAssistant, watch: MakeWatch, hass_storage: dict[str, Any], freezer: FrozenDateTimeFactory
) -> None:
    freezer.move_to(DAY)
    home = await watch({"keep_days": 3, "keep_texts": False})
    key = f"sms1680.alarms.{home.entry.entry_id}"
    await home.raise_alarm()
    assert hass_storage[key]["data"]["alarms"][0]["text"] == "Smoke", "it may have to be sent again"
    await act(hass, "resolve_alarm", group="Watch")
    await home.settle()
    assert hass_storage[key]["data"]["alarms"][0]["text"] == ""
    await later(hass, freezer, days=4)
    await home.raise_alarm("Water")
    assert len(alarm_manager(hass, home.entry).alarms) == 1
    await hass.config_entries.async_remove(home.entry.entry_id)
    assert key not in hass_storage


async def test_texts_that_cannot_be_sent_do_not_stop_the_alarm(
    hass: HomeAssistant, watch: MakeWatch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home = await watch()

    async def refuse(*_: Any, **__: Any) -> Any:
        raise ServiceValidationError

    async def break_down(*_: Any, **__: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr("custom_components.sms1680.duty.sending.async_deliver", refuse)
    await home.raise_alarm()
    monkeypatch.setattr("custom_components.sms1680.duty.sending.async_deliver", break_down)
    await home.raise_alarm("Water")
    assert "A text about an alarm failed with RuntimeError" in caplog.text
    monkeypatch.setattr("custom_components.sms1680.duty.sending.send_with_safe_text", refuse)
    await act(hass, "acknowledge", group="Watch")
    await home.settle()
    assert "A member could not be informed about an alarm" in caplog.text
    assert home.sent() == []
