"""Kill Home Assistant in the middle of critical messages, and of their repetitions: each is sent once more, marked."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from pathlib import Path

import pytest

from sms1680.sandbox import Call, Config, Fault, Sandbox
from tests.attack.home_assistant import deferred_sender
from tests.attack.home_assistant.test_killed_while_sending import A_LIFE, ACCOUNT, Life, account_of

ALARMS = 2


def stall(call: Call) -> Fault | None:
    """Let the answer to a send come too late."""
    return Fault(stall_after=60.0) if call is Call.SEND else None


async def run(folder: Path) -> Sandbox:
    """Kill the program while it sends, and while it repeats what it sent; return the platform."""
    async with Sandbox(Config((ACCOUNT,), report_delay=3600.0, cmpp_port=0)) as box:
        life = Life(folder, {**account_of(box, "http", None), "messages": ALARMS, "priority": "critical"})
        try:
            box.platform.faults.choose = stall
            for turn in (1, 2):
                await life.start()
                await box.wait_for(lambda platform, turn=turn: len(platform.messages) >= turn * ALARMS, A_LIFE)
                assert await life.kill() == ALARMS
            box.platform.faults.choose = None
            await life.start()
            await life.printed("done")
        finally:
            await life.kill()
    return box


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("socket_enabled")
def test_alarm_is_sent_once_more_and_then_only_reported(tmp_path: Path) -> None:
    box = asyncio.run(run(tmp_path))
    texts: dict[str, list[str]] = defaultdict(list)
    for message in box.platform.messages:
        texts[message.number].append(message.text.removeprefix("【某某科技】"))
    assert texts == {
        deferred_sender.number_of(place): [deferred_sender.text_of(place), f"（重发）{deferred_sender.text_of(place)}"]
        for place in range(ALARMS)
    }
    lines = list(map(json.loads, (tmp_path / "outcomes").read_text().splitlines()))
    failed = sorted((number, outcome) for event, number, outcome in lines if event == "sms1680_message_failed")
    assert failed == [(deferred_sender.number_of(place), "unknown") for place in range(ALARMS)]
