"""Kill Home Assistant by SIGKILL between the levels of two alarms: no text is lost, and none is doubled unmarked.

Home Assistant runs as a program, with a duty group whose levels take seconds, and is killed right after each level.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from support.ha_log_check import complaints

from demo.platform import Account as GivenAccount
from demo.processes import Processes, until
from sms1680.sandbox import Config, Sandbox
from sms1680.sandbox.platform import Platform
from tests.e2e.test_killed import ACCOUNT, LONGEST_BOOT, PUSHES, House

ALICE, BOB, CAROL = "13800000001", "13800000002", "13800000003"
LEVEL = 20.0  # seconds
MARK = "（重发）"


def add_group(folder: Path) -> None:
    """Add the recipients and the duty group to the stored account, with times below a minute."""
    path = folder / ".storage" / "core.config_entries"
    stored = json.loads(path.read_text("utf-8"))
    entry = next(one for one in stored["data"]["entries"] if one["domain"] == "sms1680")
    people = {"alice": ("Alice", ALICE), "bob": ("Bob", BOB), "carol": ("Carol", CAROL)}
    entry["subentries"] = [
        {
            "subentry_id": key,
            "subentry_type": "recipient",
            "title": name,
            "unique_id": number,
            "data": {"number": number},
        }
        for key, (name, number) in people.items()
    ]
    times = {"next_after": LEVEL / 60, "all_after": LEVEL / 60, "repeat_every": 0, "repeat_for": 60}
    data = {"members": list(people), "rota": "schedule", "schedules": ["schedule.alice"], **times}
    group = {"subentry_id": "watch", "subentry_type": "group", "title": "Watch", "unique_id": None, "data": data}
    entry["subentries"].append(group)
    path.write_text(json.dumps(stored), "utf-8")


def texts(platform: Platform, *, marked: bool = False) -> Counter[tuple[str, str]]:
    """Return how often each number got each alarm, by the last word of its first line; marked: as a repetition."""
    found = ((one.number, one.text.split("\n")[0]) for one in platform.messages if "\n" in one.text)
    return Counter((number, line[-5:]) for number, line in found if (MARK in line) == marked)


async def run(folder: Path) -> House:
    async with (
        Processes() as processes,
        aiohttp.ClientSession() as session,
        Sandbox(Config((ACCOUNT,), pushes=PUSHES)) as box,
    ):
        house = House(folder, processes, session)
        process = await house.start()
        await house.is_up()
        await house.home.sign_up("owner", "a password of the test")
        await until(house.home.running, "Home Assistant that is fully up", LONGEST_BOOT)
        given = GivenAccount(box.url, ACCOUNT.username, ACCOUNT.password, "61341", {})
        await house.home.add_account(given, "某某科技")
        await processes.end(process)
        add_group(house.folder)
        days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
        always = [{"from": "00:00:00", "to": "24:00:00"}]
        schedule = {"alice": {"name": "Alice", **dict.fromkeys(days, always)}}
        with (house.folder / "configuration.yaml").open("a") as configuration:
            configuration.write(f"schedule: {json.dumps(schedule)}\n")
        process = await house.start()
        await house.is_up()
        await until(house.home.running, "Home Assistant that is fully up", LONGEST_BOOT)
        for text in ("Smoke", "Water"):
            call = {"group": "Watch", "message": text}
            await house.home.request("POST", "/api/services/sms1680/raise_alarm", json=call)
        for number in (ALICE, BOB, CAROL):
            wanted = {(number, text) for text in ("Smoke", "Water")}
            await box.wait_for(lambda platform, wanted=wanted: wanted <= texts(platform).keys(), LONGEST_BOOT)
            await house.kill(process)
            process = await house.start()
            await house.is_up()
        await until(house.home.running, "Home Assistant that is fully up", LONGEST_BOOT)
        wanted_counts = {ALICE: 2, BOB: 2, CAROL: 1}
        await asyncio.sleep(1)
        unmarked, marked = texts(box.platform), texts(box.platform, marked=True)
        for number, count in wanted_counts.items():
            for text in ("Smoke", "Water"):
                assert unmarked[number, text] <= count, "doubled without a mark"
                assert unmarked[number, text] + marked[number, text] >= count, "lost"
        await house.home.request("POST", "/api/services/sms1680/acknowledge", json={"group": "Watch"})
        taken = "takes the alarm"
        await box.wait_for(lambda platform: sum(taken in one.text for one in platform.messages) == 6, LONGEST_BOOT)
        await processes.end(process)
        return house


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("socket_enabled")
def test_alarms_go_on_after_each_kill_without_a_doubled_text(tmp_path: Path) -> None:
    house = asyncio.run(run(tmp_path))
    assert complaints(house.log.read_text("utf-8")) == []
