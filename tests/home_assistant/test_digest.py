"""What a spending limit holds back goes out as one digest for each phone: nothing is lost, and no limit is exceeded."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Event, HomeAssistant, ServiceCall
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680 import const
from custom_components.sms1680.outbound import queued
from custom_components.sms1680.store.db import StoreError
from sms1680 import estimate
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    CAROL,
    QUIET,
    UNREACHABLE,
    MakeEntry,
    SetUp,
    act,
    cut_off,
    ends,
    get_messages,
    in_store,
    later,
    named_in_digest,
    notify,
    push_report,
    recipient,
    send,
    sent,
    store_of,
    use_gateway,
)

EVERYBODY = (ALICE, BOB, CAROL)
OFF = dict.fromkeys(("hourly_limit", "daily_limit", "number_limit", "automatic_limit", "critical_reserve"), 0)
SENSOR = "sensor.home_waiting_messages"


@pytest.fixture(autouse=True)
async def _chinese(hass: HomeAssistant) -> None:
    hass.config.language = "zh-Hans"
    await hass.config.async_set_time_zone("UTC")


@pytest.fixture
def limited(make_entry: MakeEntry, set_up: SetUp, freezer: FrozenDateTimeFactory) -> Any:
    """Set up an account with these limits and all others disabled."""

    async def make(*, settings: dict[str, Any] | None = None, **limits: int) -> MockConfigEntry:
        freezer.move_to("2026-01-05 22:41:00+00:00")
        people = [recipient("Alice", ALICE, **(settings or {})), recipient("Bob", BOB), recipient("Carol", CAROL)]
        made = make_entry(options={**OFF, **limits}, recipients=people)
        await set_up(made)
        return made

    return make


async def alarm(hass: HomeAssistant, text: str, number: str = ALICE, **data: Any) -> dict[str, Any]:
    """Send one alarm and return its message of the response."""
    [message] = await send(hass, number=number, message=text, **data)
    await hass.async_block_till_done(wait_background_tasks=True)
    assert isinstance(message, dict)
    return message


def texts(sandbox: Sandbox, number: str = ALICE) -> list[str]:
    """Return the texts that a phone received."""
    return [text for to, text in sent(sandbox) if to == number]


def stands_for(text: str) -> int:
    """Return the number of messages that a text stands for."""
    found = re.match(r"另有 (\d+) 条", text)
    return int(found.group(1)) if found else 1


async def clear(hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory) -> None:
    """Advance the time until no message waits."""
    for _ in range(200):
        if not entry.runtime_data.deferred.waiting:
            return
        await later(hass, freezer, minutes=1)
    raise AssertionError("messages still wait")


def waits(hass: HomeAssistant) -> tuple[str, int]:
    state = hass.states.get(SENSOR)
    assert state is not None
    return state.state, state.attributes["limit"]


async def waiting(hass: HomeAssistant) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await act(hass, "get_messages"))["waiting"]
    return found


async def test_two_hundred_alarms_in_a_minute_are_all_named_or_counted(
    hass: HomeAssistant,
    limited: Any,
    fired: dict[str, list[Event]],
    sandbox: Sandbox,
    freezer: FrozenDateTimeFactory,
) -> None:
    entry = await limited(number_limit=5, hourly_limit=24, daily_limit=150, critical_reserve=60)
    kinds = ("水浸", "门磁", "烟感", "断电")
    critical = []
    for place in range(200):
        freezer.tick(timedelta(seconds=0.3))
        more = {"priority": "critical"} if place % 20 == 10 else {}
        text = f"{kinds[place % 4]}，第{place}号"
        if more:
            text = f"火警{place}"
            critical.append(text)
        messages = await send(hass, number=list(EVERYBODY), message=text, **more)
        assert all(message["outcome"] == "accepted" or message["delayed_until"] for message in messages)
        assert not more or {message["outcome"] for message in messages} == {"accepted"}
    await hass.async_block_till_done(wait_background_tasks=True)
    at_once = {number: texts(sandbox, number) for number in EVERYBODY}
    if entry.runtime_data.deferred.waiting:  # a restart in the middle
        await hass.config_entries.async_reload(entry.entry_id)
        await hass.async_block_till_done(wait_background_tasks=True)
    await clear(hass, entry, freezer)
    for number in EVERYBODY:
        received = texts(sandbox, number)
        assert (
            [text for text in received if text in critical]
            == critical
            == [text for text in at_once[number] if text in critical]
        )
        assert sum(map(stands_for, received)) == 200
        digests = [text for text in received if stands_for(text) > 1]
        assert digests
        counted: Counter[str] = sum((named_in_digest(text) for text in digests), Counter())
        for text in received:
            if stands_for(text) == 1:
                counted[text[:2]] += 1
        assert counted == {**dict.fromkeys(("水浸", "门磁", "断电"), 50), "烟感": 40, "火警": 10}
        assert all(estimate(text, signature="某某科技").parts <= 3 for text in digests)
    normal = [text for _, text in sent(sandbox) if text not in critical]
    assert sum(estimate(text, signature="某某科技").parts for text in normal) <= 24 * 2
    assert fired["failed"] == []
    digest_counts = [event.data["digest"] for event in fired["sent"] if event.data["outcome"] == "accepted"]
    assert sum(count or 1 for count in digest_counts) == 600
    assert in_store(hass) == []


async def test_messages_over_a_limit_wait_and_go_out_as_one(
    hass: HomeAssistant,
    limited: Any,
    fired: dict[str, list[Event]],
    outcomes: list[Event],
    sandbox: Sandbox,
    freezer: FrozenDateTimeFactory,
) -> None:
    entry = await limited(number_limit=1)
    await alarm(hass, "开始")
    freezer.tick(timedelta(minutes=1))
    first = await alarm(hass, "水浸：厨房 22:42")
    assert (first["outcome"], first["reason"]) == ("not_sent", "number_limit")
    assert first["delayed_until"] == "2026-01-05T22:51:00+00:00"
    freezer.tick(timedelta(minutes=1))
    await notify(hass, "notify.alice", message="门磁，第 1 号")
    freezer.tick(timedelta(minutes=1))
    await notify(hass, "notify.alice", message="门磁，第 2 号")
    await hass.async_block_till_done(wait_background_tasks=True)
    assert waits(hass) == ("3", 3)
    assert [one["waits_for"] for one in await waiting(hass)] == ["limit"] * 3
    pending = [event.data for event in fired["sent"]][1:]
    assert [(one["outcome"], one["reason"], one["digest"]) for one in pending] == [
        ("not_sent", "number_limit", None)
    ] * 3
    assert {one["delayed_until"] for one in pending} == {"2026-01-05T22:51:00+00:00"}
    assert texts(sandbox, BOB) == []
    assert (await alarm(hass, "其他", BOB))["outcome"] == "accepted"
    await later(hass, freezer, minutes=6, seconds=59)
    assert len(texts(sandbox)) == 1
    await later(hass, freezer, seconds=2)
    assert texts(sandbox)[1:] == ["另有 3 条：门磁×2、水浸（22:42–22:44）"]
    done = fired["sent"][-1].data
    assert (done["outcome"], done["digest"], done["delayed_until"]) == ("accepted", 3, None)
    assert fired["failed"] == []
    assert [(one.data["outcome"], one.data["digest"]) for one in outcomes] == [("accepted", 3)]
    assert outcomes[0].data["since"] == "2026-01-05T22:42:00+00:00"
    assert (waits(hass), in_store(hass)) == (("0", 0), [])
    assert entry.runtime_data.deferred.waiting == 0


async def test_a_single_message_goes_out_as_itself_with_its_time(
    hass: HomeAssistant, limited: Any, fired: dict[str, list[Event]], sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    await limited(number_limit=1)
    await alarm(hass, "开始")
    await alarm(hass, "水浸")
    await later(hass, freezer, minutes=10, seconds=1)
    assert texts(sandbox)[1:] == ["水浸（22:41 的短信）"]
    assert fired["sent"][-1].data["digest"] is None


async def test_critical_messages_neither_wait_nor_are_summed_up(
    hass: HomeAssistant, limited: Any, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    await limited(number_limit=1)
    for text in ("开始", "水浸", "门磁"):
        await alarm(hass, text)
    assert (await alarm(hass, "火警", priority="critical"))["outcome"] == "accepted"
    assert texts(sandbox) == ["开始", "火警"]
    await later(hass, freezer, minutes=11)
    assert [sorted(named_in_digest(text)) for text in texts(sandbox)[2:]] == [["水浸", "门磁"]]


async def test_a_critical_message_beyond_the_reserve_fails_with_a_repair(
    hass: HomeAssistant, limited: Any, fired: dict[str, list[Event]], sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    await limited(daily_limit=1, critical_reserve=1)
    results = [await alarm(hass, f"火警{place}", priority="critical") for place in range(3)]
    assert [one["outcome"] for one in results] == ["accepted", "accepted", "refused"]
    assert [event.data["reason"] for event in fired["failed"]] == ["daily_limit"]
    assert any(issue.translation_key == "critical_failed" for issue in ir.async_get(hass).issues.values())
    await later(hass, freezer, minutes=11)
    assert (await alarm(hass, "火警四", priority="critical"))["outcome"] == "accepted"
    assert len(texts(sandbox)) == 3


async def test_a_new_message_joins_those_that_wait(
    hass: HomeAssistant, limited: Any, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    """It joins them without a request. With room for both, it is sent directly and they are sent too."""
    entry = await limited(number_limit=2)
    for text in ("一", "二", "水浸"):
        await alarm(hass, text)
    asked = len(await get_messages(hass))
    assert (await alarm(hass, "门磁"))["reason"] == "number_limit"
    assert len(await get_messages(hass)) == asked
    client = entry.runtime_data.client.failover.http
    client._guard._ledger._database.execute("DELETE FROM spent")
    assert (await alarm(hass, "烟感"))["outcome"] == "accepted"
    await later(hass, freezer, seconds=1)
    assert sorted(map(stands_for, texts(sandbox)[2:])) == [1, 2]
    assert entry.runtime_data.deferred.waiting == 0


async def test_room_after_a_refund_is_used(
    hass: HomeAssistant, limited: Any, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    entry = await limited(number_limit=1)
    await alarm(hass, "开始")
    await alarm(hass, "水浸")
    entry.runtime_data.client.failover.http._guard._ledger._database.execute("DELETE FROM spent")
    sandbox.platform.forbidden_words = ["违禁"]
    await alarm(hass, "违禁", BOB)
    await later(hass, freezer, seconds=1)
    assert texts(sandbox) == ["开始", "水浸（22:41 的短信）"]


async def test_a_refused_digest_waits_on(
    hass: HomeAssistant, limited: Any, fired: dict[str, list[Event]], sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    entry = await limited(hourly_limit=2)
    await alarm(hass, "一")
    await alarm(hass, "二")
    for text in ("水浸", "门磁"):
        await alarm(hass, text)
    freezer.tick(timedelta(minutes=59))
    for _ in range(2):  # they pass the limit, and use it
        await alarm(hass, "火警", BOB, priority="critical")
    await later(hass, freezer, minutes=1, seconds=1)
    assert texts(sandbox) == ["一", "二"]
    refused = fired["sent"][-1].data
    assert (refused["outcome"], refused["reason"], refused["digest"]) == ("not_sent", "hourly_limit", 2)
    assert refused["delayed_until"] == "2026-01-06T00:40:00+00:00"
    assert len(await waiting(hass)) == 2
    await clear(hass, entry, freezer)
    assert [stands_for(text) for text in texts(sandbox)[2:]] == [2]
    assert fired["failed"] == []


async def test_a_digest_has_no_more_parts_than_the_limit(
    hass: HomeAssistant, limited: Any, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    entry = await limited(hourly_limit=1)
    await alarm(hass, "开始")
    for place in range(30):
        await alarm(hass, f"{chr(0x4E00 + place * 50) * 5}，报警")
    await clear(hass, entry, freezer)
    assert [stands_for(text) for text in texts(sandbox)] == [1, 30]
    assert estimate(texts(sandbox)[1], signature="某某科技").parts == 1
    assert sum(named_in_digest(texts(sandbox)[1]).values()) == 30


async def test_a_single_message_that_is_too_long_for_the_limit_is_cut(
    hass: HomeAssistant, limited: Any, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    entry = await limited(hourly_limit=1)
    assert (await alarm(hass, "长" * 100))["reason"] == "hourly_limit"
    await later(hass, freezer, seconds=1)
    [text] = texts(sandbox)
    assert text == "长" * (len(text) - 1) + "…"
    assert len(text) > 50
    assert entry.runtime_data.deferred.waiting == 0


async def test_quiet_hours_beat_the_digest(
    hass: HomeAssistant, limited: Any, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    settings = {**QUIET, "quiet_from": "22:45:00"}
    await limited(number_limit=1, settings=settings)
    for text in ("开始", "水浸", "门磁"):
        await alarm(hass, text)
    await later(hass, freezer, minutes=11)
    assert texts(sandbox) == ["开始"]
    assert [one["due"] for one in await waiting(hass)] == ["2026-01-06T07:00:00+00:00"] * 2
    await later(hass, freezer, hours=9)
    assert [stands_for(text) for text in texts(sandbox)] == [1, 2]


async def test_the_messages_of_a_night_over_the_limit_follow_as_a_digest(
    hass: HomeAssistant, limited: Any, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    entry = await limited(number_limit=2, settings=QUIET)
    for text in ("一", "二", "水浸", "门磁"):
        await alarm(hass, text)
    await later(hass, freezer, hours=9)
    assert texts(sandbox) == ["一", "二"]
    assert waits(hass) == ("2", 2)
    await clear(hass, entry, freezer)
    assert [stands_for(text) for text in texts(sandbox)] == [1, 1, 2]


async def test_a_fallback_is_used_at_once_instead(
    hass: HomeAssistant, limited: Any, fired: dict[str, list[Event]], acted: list[ServiceCall], sandbox: Sandbox
) -> None:
    await limited(number_limit=1)
    await alarm(hass, "开始")
    await alarm(hass, "其他")  # waits
    steps = {"fallback_actions": [{"action": "test.acted"}]}
    message = await alarm(hass, "水浸", **steps)
    assert (message["outcome"], message["reason"], message["delayed_until"]) == ("refused", "number_limit", None)
    assert message["fallback"] == [{"to": "actions", "outcome": "done"}]
    assert len(acted) == 1
    assert (waits(hass), texts(sandbox), fired["failed"]) == (("1", 1), ["开始"], [])


async def test_a_message_whose_fallback_fails_waits(
    hass: HomeAssistant, limited: Any, fired: dict[str, list[Event]], sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    await limited(number_limit=1)
    await alarm(hass, "开始")
    message = await alarm(hass, "水浸", fallback_actions=[{"action": "test.missing"}])
    assert (message["outcome"], message["fallback"]) == ("not_sent", [{"to": "actions", "outcome": "failed"}])
    assert message["delayed_until"]
    await later(hass, freezer, minutes=11)
    assert texts(sandbox) == ["开始", "水浸（22:41 的短信）"]
    assert fired["failed"] == []


async def test_a_scheduled_message_over_the_limit_is_scheduled_later(
    hass: HomeAssistant, limited: Any, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    await limited(number_limit=1)
    await alarm(hass, "开始")
    at = (dt_util.utcnow() + timedelta(hours=2)).isoformat()
    assert (await alarm(hass, "水浸", at=at))["delayed_until"] == "2026-01-05T22:51:00+00:00"
    await alarm(hass, "门磁")
    await later(hass, freezer, minutes=10, seconds=1)
    await later(hass, freezer, minutes=10, seconds=1)
    assert sorted(texts(sandbox)) == sorted(["开始", "水浸", "门磁（22:41 的短信）"])


async def test_an_uncertain_digest_is_not_repeated(
    hass: HomeAssistant, limited: Any, fired: dict[str, list[Event]], sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    await limited(number_limit=1)
    for text in ("开始", "水浸", "门磁"):
        await alarm(hass, text)
    cut_off(sandbox)
    await later(hass, freezer, minutes=11)
    await later(hass, freezer, hours=2)
    assert len(texts(sandbox)) == 2
    [failed] = fired["failed"]
    assert (failed.data["cause"], failed.data["digest"]) == ("unknown", 2)
    assert in_store(hass) == []


async def test_a_digest_that_the_platform_refuses_for_its_words_still_counts(
    hass: HomeAssistant, limited: Any, fired: dict[str, list[Event]], sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    await limited(number_limit=1)
    for text in ("开始", "赌博", "门磁"):
        await alarm(hass, text)
    sandbox.platform.forbidden_words = ["赌博"]
    await later(hass, freezer, minutes=11)
    await later(hass, freezer, minutes=11)
    assert texts(sandbox)[1:] == ["另有 2 条短信未单独发送（22:41）"]
    assert fired["failed"] == []


async def test_a_failed_report_of_a_digest_is_told_once_with_the_count(
    hass: HomeAssistant, limited: Any, fired: dict[str, list[Event]], freezer: FrozenDateTimeFactory
) -> None:
    entry = await limited(number_limit=1)
    for text in ("开始", "水浸", "门磁"):
        await alarm(hass, text)
    await later(hass, freezer, minutes=11)
    await push_report(hass, entry, fired["sent"][-1].data["message_id"], "UNDELIV")
    [failed] = fired["failed"]
    assert (failed.data["cause"], failed.data["digest"]) == ("failed", 2)


@pytest.mark.usefixtures("fails_at_once")
async def test_a_digest_is_tried_again_without_a_network_and_reported_after_a_day(
    hass: HomeAssistant, limited: Any, fired: dict[str, list[Event]], sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    entry = await limited(number_limit=1)
    for text in ("开始", "水浸", "门磁"):
        await alarm(hass, text)
    await use_gateway(hass, entry, UNREACHABLE)
    await later(hass, freezer, minutes=11)
    assert (waits(hass), fired["failed"]) == (("2", 2), [])
    await later(hass, freezer, hours=23)
    await later(hass, freezer, minutes=49)
    [failed] = fired["failed"]
    assert (failed.data["cause"], failed.data["digest"]) == ("not_sent", 2)
    assert (in_store(hass), texts(sandbox)) == ([], ["开始"])


async def test_a_message_without_room_is_reported_after_a_day(
    hass: HomeAssistant, limited: Any, fired: dict[str, list[Event]], freezer: FrozenDateTimeFactory
) -> None:
    entry = await limited(hourly_limit=1)
    await alarm(hass, "开始")
    await alarm(hass, "水浸")
    await alarm(hass, "门磁")
    for _ in range(50):
        freezer.tick(timedelta(minutes=29))
        await alarm(hass, "火警", BOB, priority="critical")
        await later(hass, freezer, minutes=1)
    [failed] = fired["failed"]
    assert (failed.data["cause"], failed.data["reason"], failed.data["digest"]) == ("refused", "hourly_limit", 2)
    assert entry.runtime_data.deferred.waiting == 0


@pytest.mark.parametrize(("minutes", "reason"), [(72 * 60, "too_late"), (24 * 60 + 5, "number_limit")])
async def test_messages_are_too_late_after_a_day_without_home_assistant(
    hass: HomeAssistant,
    limited: Any,
    fired: dict[str, list[Event]],
    sandbox: Sandbox,
    freezer: FrozenDateTimeFactory,
    minutes: int,
    reason: str,
) -> None:
    entry = await limited(number_limit=1)
    for text in ("开始", "水浸", "门磁"):
        await alarm(hass, text)
    await hass.config_entries.async_unload(entry.entry_id)
    freezer.tick(timedelta(minutes=minutes))
    await hass.config_entries.async_setup(entry.entry_id)
    await later(hass, freezer, seconds=1)
    [failed] = fired["failed"]
    assert (failed.data["reason"], failed.data["digest"]) == (reason, 2)
    assert texts(sandbox) == ["开始"]


async def test_a_restart_loses_nothing(
    hass: HomeAssistant, limited: Any, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    entry = await limited(number_limit=1)
    for text in ("开始", "水浸", "门磁"):
        await alarm(hass, text)
    await hass.config_entries.async_unload(entry.entry_id)
    freezer.tick(timedelta(hours=1))
    await hass.config_entries.async_setup(entry.entry_id)
    await later(hass, freezer, seconds=1)
    assert [stands_for(text) for text in texts(sandbox)] == [1, 2]
    assert in_store(hass) == []


async def test_raised_limits_send_the_digest(
    hass: HomeAssistant, limited: Any, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    entry = await limited(number_limit=1)
    for text in ("开始", "水浸", "门磁"):
        await alarm(hass, text)
    hass.config_entries.async_update_entry(entry, options={**entry.options, const.CONF_NUMBER_LIMIT: 50})
    await hass.async_block_till_done(wait_background_tasks=True)
    await later(hass, freezer, seconds=1)
    assert [stands_for(text) for text in texts(sandbox)] == [1, 2]


@pytest.mark.parametrize("state", ["not_sent", "refused", "accepted", "unknown"])
async def test_a_digest_that_a_kill_interrupted_is_sent_again_only_if_it_was_not_sent(
    hass: HomeAssistant,
    limited: Any,
    fired: dict[str, list[Event]],
    outcomes: list[Event],
    sandbox: Sandbox,
    freezer: FrozenDateTimeFactory,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
) -> None:
    entry = await limited(number_limit=1)
    for text in ("开始", "水浸", "门磁"):
        await alarm(hass, text)
    real = queued.send_with_safe_text
    marked: list[Any] = []

    async def killed(*args: Any, **kwargs: Any) -> Any:
        """Record the rows during the attempt; the program ends before its result is processed."""
        monkeypatch.setattr(queued, "send_with_safe_text", real)
        results = await real(*args, **kwargs)
        marked.extend(in_store(hass))
        rows = store_of(hass)._writer.submit(lambda database: list(database.iterdump())).result(10)
        marked.append([line for line in rows if 'INSERT INTO "later"' in line])
        return results

    monkeypatch.setattr(queued, "send_with_safe_text", killed)
    await later(hass, freezer, minutes=11)
    *rows, dump = marked
    assert [going for _, going in rows] == [1, 1]
    assert len(texts(sandbox)) == 2
    await hass.config_entries.async_unload(entry.entry_id)

    def restore(database: Any) -> None:
        for line in dump:
            database.execute(line)
        database.execute("UPDATE outgoing SET state = ? WHERE attempt IS NOT NULL", (state,))

    store_of(hass)._writer.submit(restore).result(10)
    outcomes.clear()
    freezer.tick(timedelta(hours=1))
    await hass.config_entries.async_setup(entry.entry_id)
    await later(hass, freezer, seconds=1)
    again = state in ("not_sent", "refused")
    assert len(texts(sandbox)) == (3 if again else 2)
    assert ends(outcomes) == [("accepted" if again else state, "lost" if state == "unknown" else None)]
    assert [event.data["digest"] for event in outcomes] == [2]
    assert [event.data["digest"] for event in fired["failed"]] == ([2] if state == "unknown" else [])
    assert in_store(hass) == []


async def test_rows_that_cannot_be_marked_are_not_sent_yet(
    hass: HomeAssistant, limited: Any, sandbox: Sandbox, freezer: FrozenDateTimeFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = await limited(number_limit=1)
    for text in ("开始", "水浸", "门磁"):
        await alarm(hass, text)
    storage = entry.runtime_data.deferred.digests.storage

    async def fail(*_: Any, **__: Any) -> None:
        raise StoreError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "async_update_together", fail)
        await later(hass, freezer, minutes=11)
    assert texts(sandbox) == ["开始"]
    await later(hass, freezer, minutes=1)
    assert [stands_for(text) for text in texts(sandbox)] == [1, 2]


async def test_a_waiting_message_is_cancelled_and_the_others_go_out(
    hass: HomeAssistant, limited: Any, sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    await limited(number_limit=1)
    for text in ("开始", "水浸", "门磁", "烟感"):
        await alarm(hass, text)
    id_ = next(one["id"] for one in await waiting(hass) if one["message"] == "门磁")
    answer = await act(hass, "cancel_message", id=id_)
    assert [one["result"] for one in answer["messages"]] == ["cancelled"]
    await later(hass, freezer, minutes=11)
    [digest] = texts(sandbox)[1:]
    assert (stands_for(digest), "门磁" in digest) == (2, False)


async def test_a_removed_recipient_gets_no_digest(
    hass: HomeAssistant, limited: Any, fired: dict[str, list[Event]], sandbox: Sandbox, freezer: FrozenDateTimeFactory
) -> None:
    entry = await limited(number_limit=1)
    for text in ("开始", "水浸", "门磁"):
        await send(hass, entity_id="notify.alice", message=text)
    hass.config_entries.async_remove_subentry(entry, "alice")
    await hass.async_block_till_done(wait_background_tasks=True)
    await later(hass, freezer, minutes=11)
    assert texts(sandbox) == ["开始"]
    assert {event.data["reason"] for event in fired["failed"]} == {"recipient_removed"}
