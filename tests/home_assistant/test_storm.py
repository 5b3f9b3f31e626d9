"""Many sends under random faults: no alarm is lost, and only one whose outcome is unknown can arrive twice, marked."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections import Counter, defaultdict
from typing import Any

import pytest
from homeassistant.core import Event, HomeAssistant

from sms1680.sandbox import PRESETS, Account, Call, Config, Fault, Sandbox
from tests.home_assistant.helpers import PASSWORD, PRODUCT, USERNAME, MakeEntry, SetUp, act, sent

_LOGGER = logging.getLogger(__name__)
# The long form: SMS1680_LONG_STORM=1.
ALARMS = 2000 if "SMS1680_LONG_STORM" in os.environ else 100
BEFORE = ("drop_before", "html", "error", "empty")
AFTER = ("drop_after", "half", "no_body", "html_accepted", "error_accepted", "empty_accepted")
MARK = "（重发）"
NO_LIMITS = {"hourly_limit": 0, "daily_limit": 0, "number_limit": 0}


@pytest.fixture
def sandbox_config() -> Config:
    home = Account(USERNAME, PASSWORD, products={PRODUCT: 10**6}, concurrency=100)
    return Config(accounts=(home,), report_delay=0.0, repeat_limit=10**6)


@pytest.fixture(autouse=True)
async def _account(make_entry: MakeEntry, set_up: SetUp) -> None:
    await set_up(make_entry(options={"signature": "某某科技", **NO_LIMITS}))


def number_of(turn: int) -> str:
    return f"139{turn:08d}"


def is_alarm(turn: int) -> bool:
    return turn % 3 != 2


async def send(hass: HomeAssistant, turn: int) -> dict[str, Any]:
    """Send an alarm, or an ordinary message in each third turn; return its result."""
    priority = "critical" if is_alarm(turn) else "normal"
    answer = await act(hass, "send_message", number=number_of(turn), message=f"第{turn}次", priority=priority)
    (message,) = answer["messages"]
    assert isinstance(message, dict)
    return message


def check(
    turns: range, sandbox: Sandbox, fired: dict[str, list[Event]], results: dict[int, dict[str, Any]]
) -> dict[str, int]:
    """Compare the phones with the events; return the counts."""
    phones: dict[str, list[str]] = defaultdict(list)
    for number, text in sent(sandbox):
        phones[number].append(text)
    unknown = Counter(event.data["number"] for event in fired["sent"] if event.data["outcome"] == "unknown")
    failed = Counter(event.data["number"] for event in fired["failed"])
    counts: Counter[str] = Counter()
    for turn in turns:
        number, texts = number_of(turn), phones[number_of(turn)]
        counts["alarms" if is_alarm(turn) else "ordinary"] += 1
        counts["unknown"] += unknown[number] if is_alarm(turn) else 0
        if is_alarm(turn):
            assert len(texts) <= 2
            if len(texts) == 2:
                counts["doubles"] += 1
                assert texts == [f"第{turn}次", f"{MARK}第{turn}次"]
                assert unknown[number], "only an unknown outcome can be repeated"
                assert results[turn]["repeated"]
        else:
            assert len(texts) <= 1, "an ordinary message is never repeated"
            assert not any(MARK in text for text in texts)
        if not texts:
            counts["not on the phone"] += is_alarm(turn)
            assert failed[number] == 1, "lost without a word"
        if results[turn]["outcome"] == "accepted":
            assert texts
            assert not failed[number]
    assert counts["doubles"] <= counts["unknown"]
    assert max(failed.values(), default=0) <= 1
    return counts


@pytest.mark.timeout(3000)
async def test_alarm_with_one_fault_reaches_the_phone(
    hass: HomeAssistant, sandbox: Sandbox, fired: dict[str, list[Event]]
) -> None:
    """At most one request of each message meets a fault, before or after the platform accepted it."""
    draw = random.Random(1680)
    turns = range(ALARMS * 3 // 2)
    results = {}
    for turn in turns:
        sandbox.platform.faults.clear()
        if draw.random() < 0.6:
            sandbox.platform.faults.next(draw.choice(BEFORE + AFTER))
        results[turn] = await send(hass, turn)
    counts = check(turns, sandbox, fired, results)
    _LOGGER.warning("One fault each: %s", dict(counts))
    assert counts["alarms"] == ALARMS
    assert counts["not on the phone"] == 0
    assert counts["doubles"] > 0


@pytest.mark.timeout(3000)
async def test_storm_under_faults_loses_no_alarm_without_a_word(
    hass: HomeAssistant, sandbox: Sandbox, fired: dict[str, list[Event]]
) -> None:
    """Half of all requests meet a fault, also those that repeat an alarm, ten at once."""
    draw = random.Random(2017)

    def choose(_: Call) -> Fault | None:
        return PRESETS[draw.choice((*BEFORE, *AFTER, "failed", "padded"))] if draw.random() < 0.5 else None

    sandbox.platform.faults.choose = choose
    turns = range(ALARMS * 3 // 2)
    results = {}
    for start in range(0, len(turns), 10):
        some = turns[start : start + 10]
        results |= dict(zip(some, await asyncio.gather(*(send(hass, turn) for turn in some)), strict=True))
    await hass.async_block_till_done(wait_background_tasks=True)
    counts = check(turns, sandbox, fired, results)
    _LOGGER.warning("Storm: %s, %d failures", dict(counts), len(fired["failed"]))
    assert counts["alarms"] == ALARMS
    assert counts["doubles"] > 0
