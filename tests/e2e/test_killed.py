"""Kill Home Assistant at random moments while uplinks arrive: none is missing, none fires twice unmarked.

Home Assistant runs as a program and is ended by SIGKILL, while it boots too; the sandbox pushes, and pushes again what
was not answered. Each push that was answered must be found in the store, as a row of its own, and each row among the
events, which a witness inside Home Assistant writes down at once. The whole run, of 1,000 uplinks:

    SMS1680_UPLINKS=1000 SMS1680_KILLS=12 scripts/test ha-newest tests/e2e/test_killed.py
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from homeassistant.const import __version__ as version
from support.ha_log_check import complaints

from custom_components.sms1680.store.db import HistoryQuery, MessageStore, StoredIn
from demo.home_assistant import HomeAssistant, configure, push_addresses
from demo.platform import Account as GivenAccount
from demo.processes import Processes, free_port, signal_group, until
from sms1680.sandbox import Account, Config, PushRules, Sandbox
from sms1680.sandbox.push_queue import Push, PushQueue

UPLINKS = int(os.environ.get("SMS1680_UPLINKS", "150"))
KILLS = int(os.environ.get("SMS1680_KILLS", "3"))
NUMBERS = [f"1380000{serial:04}" for serial in range(10)]
LONGEST_BOOT = 120.0
A_LIFE = 12.0  # seconds: some are killed before they fire an event, some while they fire
SLACK = timedelta(seconds=0.05)  # clock tolerance, well below the pause before a push is repeated
ACCOUNT = Account("demo", "demo1680", products={"61341": 10_000})
# Longer than any boot: the platform repeats unanswered pushes, as the README requires.
PUSHES = PushRules(attempts=100_000, first_pause=0.3, growth=1.0, longest_pause=0.3, timeout=5.0)

WITNESS = """
import os

async def async_setup(hass, config):
    witness = os.open(hass.config.path("witness.jsonl"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def wrote(event):
        line = [event.data[name] for name in ("number", "content", "received_at", "redelivered")]
        os.write(witness, hass.data["witness_json"](line).encode() + b"\\n")

    import json
    from homeassistant.core import callback
    hass.data["witness_json"] = json.dumps
    hass.bus.async_listen("sms1680_message_received", callback(wrote))
    return True
"""


class Row(NamedTuple):
    """A stored uplink, or the uplink of an event."""

    number: str
    text: str | None
    received_at: datetime


class Answered(NamedTuple):
    """An acknowledged attempt of a push, and its time."""

    number: str
    text: str
    begun: datetime
    ended: datetime


class NotedPushes(PushQueue):
    """Record the acknowledged attempts."""

    def __init__(self, rules: PushRules, clock: Callable[[], float]) -> None:
        super().__init__(rules, clock)
        self.answered: list[Answered] = []
        self._begun: dict[int, datetime] = {}

    def pop_due(self) -> Push | None:
        if (push := super().pop_due()) is not None:
            self._begun[push.serial] = datetime.now(UTC)
        return push

    def record_attempt(self, push: Push, status: int | None, body: bytes) -> None:
        before = self.delivered
        super().record_attempt(push, status, body)
        if self.delivered > before:
            fields = parse_qs(urlsplit(push.url).query)
            begun, ended = self._begun[push.serial], datetime.now(UTC)
            self.answered.append(Answered(fields["mobile"][0], fields["content"][0], begun, ended))


class House:
    """A Home Assistant in its own folder, restarted after each kill."""

    def __init__(self, folder: Path, processes: Processes, session: aiohttp.ClientSession) -> None:
        self.folder = folder / "home"
        self.log = folder / "home-assistant.log"
        self.port = free_port()
        self.home = HomeAssistant(session, f"http://127.0.0.1:{self.port}")
        self._processes = processes
        self._state = folder / "state"
        configure(self.folder, version, self.port)
        witness = self.folder / "custom_components" / "witness"
        witness.mkdir()
        (witness / "__init__.py").write_text(WITNESS)
        manifest = {"domain": "witness", "name": "Witness", "version": "1.0.0"}
        (witness / "manifest.json").write_text(json.dumps(manifest))
        with (self.folder / "configuration.yaml").open("a") as configuration:
            configuration.write("witness:\n")

    async def start(self) -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "homeassistant", "--config", str(self.folder), "--skip-pip", "--log-no-color"]
        variables = {**os.environ, "SMS1680_STATE_DIR": str(self._state), "PYTHONUTF8": "1"}
        return await self._processes.start(command, variables, self.folder, log=self.log)

    async def is_up(self) -> None:
        await until(self.home.answers, "Home Assistant that answers", LONGEST_BOOT)

    async def kill(self, process: asyncio.subprocess.Process) -> None:
        signal_group(process, signal.SIGKILL)
        await process.wait()

    def fired(self) -> list[tuple[Row, bool]]:
        """Return each event, and whether it was marked as redelivered."""
        lines = map(json.loads, (self.folder / "witness.jsonl").read_text().splitlines())
        return [(Row(number, text, datetime.fromisoformat(at)), redelivered) for number, text, at, redelivered in lines]

    def stored(self) -> list[StoredIn]:
        store = MessageStore(self.folder / "sms1680.db")
        store.open()
        found = store.messages(HistoryQuery(limit=10**6)).result(60)
        store.close()
        return [message for message in found if isinstance(message, StoredIn)]


async def run(folder: Path, text_of: Callable[[int], str], chance: random.Random) -> tuple[House, NotedPushes, int]:
    """Push uplinks while Home Assistant is killed repeatedly, and stop it normally once all are acknowledged."""
    async with (
        Processes() as processes,
        aiohttp.ClientSession() as session,
        Sandbox(Config((ACCOUNT,), pushes=PUSHES)) as box,
    ):
        pushes = box.platform.pushes = NotedPushes(PUSHES, box.platform.clock)
        house = House(folder, processes, session)
        process = await house.start()
        await house.is_up()
        await house.home.sign_up("owner", "a password of the test")
        await until(house.home.running, "Home Assistant that is fully up", LONGEST_BOOT)  # else it ends without saving
        given = GivenAccount(box.url, ACCOUNT.username, ACCOUNT.password, "61341", {})
        addresses = push_addresses(await house.home.add_account(given, "某某科技"))
        await processes.end(process)
        account = box.platform.accounts[ACCOUNT.username]
        account.uplink_address = addresses["uplink_address"].replace("localhost", "127.0.0.1")

        async def write() -> None:
            for serial in range(UPLINKS):
                box.platform.reply(chance.choice(NUMBERS), text_of(serial))
                if serial % 10 == 9:
                    await asyncio.sleep(chance.uniform(0, 20 * KILLS * A_LIFE / UPLINKS))

        kills = 0
        writing = asyncio.create_task(write())
        while kills < KILLS:
            process = await house.start()
            await wait_for_the_moment(house, box, chance)
            await house.kill(process)
            kills += 1
        await writing
        process = await house.start()
        await box.wait_for(lambda _: pushes.waiting == 0, LONGEST_BOOT + UPLINKS / 10)

        async def all_fired() -> bool | None:
            with closing(sqlite3.connect(f"file:{house.folder / 'sms1680.db'}?mode=ro", uri=True)) as database:
                return None if database.execute("SELECT 1 FROM uplink WHERE NOT fired").fetchone() else True

        await until(all_fired, "event of each uplink", LONGEST_BOOT)
        await processes.end(process)
        return house, pushes, kills


async def wait_for_the_moment(house: House, box: Sandbox, chance: random.Random) -> None:
    """Wait for a random moment: while it boots, while it runs, or after so many acknowledgements."""
    kind = chance.choice(("boot", "life", "answers", "answers"))
    if kind != "boot":
        await house.is_up()
    if kind == "answers":
        enough = box.platform.pushes.delivered + chance.randint(1, 40)
        with suppress(TimeoutError):
            await box.wait_for(lambda platform: platform.pushes.delivered >= enough, A_LIFE)
    else:
        await asyncio.sleep(chance.uniform(0, A_LIFE))


def without_a_row(answered: list[Answered], rows: list[Row]) -> list[Answered]:
    """Return the attempts without a row of their own: same number and text, received during the attempt.

    In the order of their ends, each attempt gets its earliest remaining row. This matches as many as possible.
    """
    left = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.received_at):
        left[row.number, row.text].append(row.received_at)
    found_none = []
    for attempt in sorted(answered, key=lambda attempt: attempt.ended):
        times = left[attempt.number, attempt.text]
        own = next((at for at in times if attempt.begun - SLACK <= at <= attempt.ended + SLACK), None)
        if own is None:
            found_none.append(attempt)
        else:
            times.remove(own)
    return found_none


def check(folder: Path, text_of: Callable[[int], str], capsys: pytest.CaptureFixture[str]) -> House:
    """Run it, compare the acknowledged, stored and fired uplinks, and print the figures."""
    started = time.monotonic()
    house, pushes, kills = asyncio.run(run(folder, text_of, random.Random()))
    stored, fired = house.stored(), house.fired()
    rows = [Row(message.number, message.content, message.at) for message in stored]
    assert len(pushes.answered) == UPLINKS
    assert without_a_row(pushes.answered, rows) == []
    assert all(message.fired for message in stored)
    assert not Counter(rows) - Counter(row for row, _ in fired), "stored, and never fired"
    assert not Counter(row for row, redelivered in fired if not redelivered) - Counter(rows), "fired twice, unmarked"
    figures = {
        "uplinks": UPLINKS,
        "kills": kills,
        "pushes": pushes.attempts,
        "answered": len(pushes.answered),
        "rows": len(rows),
        "of these repeats": sum(message.repeat for message in stored),
        "fired": len(fired),
        "of these redelivered": sum(redelivered for _, redelivered in fired),
        "seconds": round(time.monotonic() - started),
    }
    with capsys.disabled():
        sys.stdout.write(f"\n{version}: {', '.join(f'{name} {value}' for name, value in figures.items())}\n")
    return house


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("socket_enabled")
def test_killed_process_loses_no_uplink_and_marks_repeats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [f"第{serial}条" for serial in range(UPLINKS)]
    house = check(tmp_path, texts.__getitem__, capsys)
    fired = house.fired()
    assert {message.content for message in house.stored()} == set(texts)
    assert {row.text for row, _ in fired} == set(texts)
    unmarked = Counter(row.text for row, redelivered in fired if not redelivered)
    assert not [text for text, count in unmarked.items() if count > 1]
    log = house.log.read_text("utf-8", "replace")
    assert complaints(log, texts) == []
    shutil.rmtree(tmp_path)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("socket_enabled")
def test_identical_uplinks_are_not_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(tmp_path, lambda _: "1", capsys)
    shutil.rmtree(tmp_path)
