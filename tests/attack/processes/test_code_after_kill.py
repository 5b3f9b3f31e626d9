"""A code of a command works once, also if SIGKILL ends Home Assistant at the moment when it was used.

The first kill comes from inside, in the callback of the command's event. The others come after random times.
Afterwards, the number and the texts are only in the files that the page about security names.

    SMS1680_KILLS=10 scripts/test attack tests/attack/processes/test_code_after_kill.py -s --timeout=3600
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import sys
import time
from collections import Counter
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import aiohttp
import pyotp
import pytest
from support.ha_log_check import complaints
from yarl import URL

from demo import ROOT
from demo.home_assistant import push_addresses
from demo.platform import Account as GivenAccount
from demo.processes import Processes, until
from sms1680.sandbox import Account, Config, Sandbox
from tests.e2e.test_killed import LONGEST_BOOT, House

KILLS = int(os.environ.get("SMS1680_KILLS", "2"))
ACCOUNT = Account("demo", "demo1680", products={"61341": 10_000})
NUMBER = "13800000001"
TOTP = pyotp.TOTP(pyotp.random_base32())
STEP = TOTP.interval
OLDEST_STEP = 3  # a code is valid for so many steps afterwards
MOMENTS = (0.0, 0.4)  # seconds from the push to the kill

WITNESS = """
import json
import os
import signal

from homeassistant.core import callback

async def async_setup(hass, config):
    witness = os.open(hass.config.path("witness.jsonl"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def wrote(event):
        line = {name: event.data.get(name) for name in ("text", "content", "command")}
        line["event"] = event.event_type
        os.write(witness, json.dumps(line).encode() + b"\\n")
        if event.event_type == "sms1680_command" and os.path.exists(hass.config.path("kill")):
            os.remove(hass.config.path("kill"))
            os.kill(os.getpid(), signal.SIGKILL)

    for event in ("sms1680_message_received", "sms1680_command"):
        hass.bus.async_listen(event, callback(wrote))
    return True
"""


class Owner:
    """The house, and its owner, who sends commands through the platform."""

    def __init__(self, house: House, session: aiohttp.ClientSession, address: str) -> None:
        self.house = house
        self._session = session
        self._address = address
        self._last_step = 0

    async def next_code(self) -> tuple[int, str]:
        """Return the newest code that is valid, once it is a new one."""
        step = max(int(time.time() // STEP) + 1, self._last_step + 1)
        await asyncio.sleep(max(0.0, (step - 1) * STEP - time.time()))
        self._last_step = step
        return step, TOTP.at(step * STEP)

    async def push(self, text: str) -> None:
        """Push an uplink. Home Assistant may die meanwhile."""
        url = URL(self._address).with_query(mobile=NUMBER, content=text)
        with suppress(aiohttp.ClientError):
            await (await self._session.get(url)).read()

    def witnessed(self) -> list[dict[str, Any]]:
        path = self.house.folder / "witness.jsonl"
        return list(map(json.loads, path.read_text().splitlines())) if path.exists() else []


def allow_commands(folder: Path) -> None:
    """Let the recipient send commands with the codes of an app."""
    path = folder / ".storage" / "core.config_entries"
    stored = json.loads(path.read_text("utf-8"))
    (entry,) = [entry for entry in stored["data"]["entries"] if entry["domain"] == "sms1680"]
    entry["options"]["command_words"] = ["撤防"]
    entry["subentries"][0]["data"] |= {"commands": "totp", "totp_secret": TOTP.secret}
    path.write_text(json.dumps(stored), "utf-8")


def forgive(folder: Path) -> None:
    """Delete the count of the codes that were tried again, which would lock the owner out. Used codes remain used."""
    for path in (folder / ".storage").glob("sms1680.commands.*"):
        stored = json.loads(path.read_text("utf-8"))
        for state in stored["data"].values():
            state |= {"failures": [], "wrong": 0, "lock_outs": 0, "locked_until": 0.0}
        path.write_text(json.dumps(stored), "utf-8")


async def restart(house: House) -> asyncio.subprocess.Process:
    """Start Home Assistant, and wait until it is up."""
    process = await house.start()
    await house.is_up()
    await until(house.home.running, "Home Assistant that is fully up", LONGEST_BOOT)
    return process


def unnamed_places(folder: Path, *contents: str) -> list[str]:
    """Return the files that contain any of these, but that the page about security does not name."""
    page = (ROOT / "docs" / "security.md").read_text("utf-8").partition("## Where numbers and texts are stored")[2]
    named = re.findall(r"`([^`]+)`", page.partition("\n## ")[0])
    patterns = [name.replace("…", "*") for name in [*named, "witness.jsonl"]]
    found = [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and any(content.encode() in path.read_bytes() for content in contents)
    ]
    assert ".storage/core.config_entries" in found
    return [path for path in found if not any(fnmatch(path, pattern) for pattern in patterns)]


async def run(folder: Path, chance: random.Random) -> Counter[str]:
    counts = Counter[str]()
    async with Processes() as processes, aiohttp.ClientSession() as session, Sandbox(Config((ACCOUNT,))) as box:
        house = House(folder, processes, session)
        (house.folder / "custom_components" / "witness" / "__init__.py").write_text(WITNESS)
        process = await house.start()
        await house.is_up()
        await house.home.sign_up("owner", "a password of the test")
        await until(house.home.running, "Home Assistant that is fully up", LONGEST_BOOT)
        account = await house.home.add_account(GivenAccount(box.url, "demo", "demo1680", "61341", {}), "某某科技")
        await house.home.add_recipient(account, "Owner", NUMBER)
        await processes.end(process)
        allow_commands(house.folder)
        owner = Owner(house, session, push_addresses(account)["uplink_address"].replace("localhost", "127.0.0.1"))
        process = await restart(house)
        for number in range(KILLS):
            step, code = await owner.next_code()
            first, again = f"车库 {number}", f"前门 {number}"
            if number == 0:
                (house.folder / "kill").touch()
                await owner.push(f"撤防 {first} {code}")
            else:
                pushing = asyncio.create_task(owner.push(f"撤防 {first} {code}"))
                await asyncio.sleep(chance.uniform(*MOMENTS))
                await house.kill(process)
                await pushing
            await process.wait()
            forgive(house.folder)
            process = await restart(house)
            await owner.push(f"撤防 {again} {code}")

            async def was_read(place: str = again) -> bool | None:
                return any(place in (one["content"] or "") for one in owner.witnessed()) or None

            await until(was_read, "event of the second push", LONGEST_BOOT)
            assert time.time() // STEP - step <= OLDEST_STEP, "the code expired before it could be tried again"
            assert not [one for one in owner.witnessed() if one["command"] == "locked_out"]
            used = [one["text"] for one in owner.witnessed() if one["event"] == "sms1680_command"]
            counts["kills"] += 1
            counts["used before the kill"] += first in used
            counts["used after it"] += again in used
            counts["used twice"] += first in used and again in used
        await processes.end(process)
        log = house.log.read_text("utf-8", "replace")
        assert complaints(log) == []
        assert "车库" not in log
        assert unnamed_places(house.folder, NUMBER, "车库", "前门") == []
    return counts


@pytest.mark.timeout(900)
def test_code_works_once_although_the_process_is_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = asyncio.run(run(tmp_path, random.Random()))
    with capsys.disabled():
        sys.stdout.write(f"\n{', '.join(f'{count} {name}' for name, count in counts.items())}\n")
    assert counts["used twice"] == 0
    assert counts["used before the kill"] >= 1
