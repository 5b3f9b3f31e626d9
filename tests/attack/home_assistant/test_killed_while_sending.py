"""Kill Home Assistant at random moments while it sends deferred messages: none is lost, and none is sent twice.

After a restart only what was in a request at the moment of a kill may be reported as unknown. The whole run, with 1,000
messages over each transport, with and without a rate:

    SMS1680_DEFERRED=1000 SMS1680_KILLS=10 scripts/test attack tests/attack/home_assistant/test_killed_while_sending.py
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from custom_components.sms1680 import const
from sms1680.sandbox import Account, Config, Sandbox
from sms1680.sandbox.cmpp.connection import CMPPConnection
from tests.attack.home_assistant import deferred_sender

MESSAGES = int(os.environ.get("SMS1680_DEFERRED", "60"))
KILLS = int(os.environ.get("SMS1680_KILLS", "2"))
ACCOUNT = Account(products={"61341": 10**6})
NO_LIMITS = dict.fromkeys(("hourly_limit", "daily_limit", "number_limit", "automatic_limit"), 0)
A_LIFE = 120.0  # seconds


def account_of(box: Sandbox, transport: str, rate: float | None) -> dict[str, Any]:
    """Return the data and the options of the account."""
    http = {
        "username": ACCOUNT.username,
        const.CONF_PASSWORD_MD5: md5(ACCOUNT.password.encode()).hexdigest(),
        const.CONF_PRODUCT_ID: "61341",
        const.CONF_GATEWAY: box.url,
    }
    cmpp = {
        "host": "127.0.0.1",
        "port": box.cmpp.port,
        const.CONF_SP_ID: ACCOUNT.sp_id,
        "password": ACCOUNT.password,
        const.CONF_SOURCE_NUMBER: ACCOUNT.source_number,
        const.CONF_SERVICE_ID: "",
    }
    own = {const.CONF_HTTP: http} if transport == "http" else {const.CONF_CMPP: cmpp}
    options = {const.CONF_SIGNATURE: "某某科技", **NO_LIMITS, **({const.CONF_RATE: rate} if rate else {})}
    return {
        "data": {**own, "webhook_id": "webhook", const.CONF_PUSH_SECRET: "secret"},
        "options": options,
        "messages": MESSAGES,
    }


class Life:
    """One run of the program."""

    def __init__(self, folder: Path, given: dict[str, Any]) -> None:
        self.folder = folder
        self.given = given
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        """Start the program, and wait until it sends."""
        variables = {**os.environ, "SMS1680_STATE_DIR": str(self.folder / "state"), "PYTHONUTF8": "1"}
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(deferred_sender.__file__)),
            str(self.folder),
            json.dumps(self.given),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=variables,
        )
        await self.printed("ready")

    async def printed(self, word: str) -> None:
        """Wait until the program prints a word."""
        assert self.process.stdout is not None
        async with asyncio.timeout(A_LIFE + MESSAGES):
            assert (await self.process.stdout.readline()).decode().strip() == word

    async def kill(self) -> int:
        """Kill the program, and return how many messages had the mark that a request with them may have left."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        with closing(sqlite3.connect(self.folder / "sms1680.db")) as database:
            (marked,) = database.execute("SELECT count(*) FROM later WHERE going").fetchone()
        return int(marked)


async def run(folder: Path, transport: str, rate: float | None) -> tuple[Sandbox, list[int]]:
    """Send all messages in several lives; return the platform, and how many messages were marked at each kill."""
    chance = random.Random()
    config = Config((ACCOUNT,), report_delay=3600.0, cmpp_port=0)
    async with Sandbox(config) as box:
        life = Life(folder, account_of(box, transport, rate))
        marked = []
        try:
            for turn in range(KILLS):
                await life.start()
                left = MESSAGES - len(box.platform.messages)
                enough = len(box.platform.messages) + chance.randint(0, max(1, left // (KILLS - turn + 1)))
                await box.wait_for(lambda platform, enough=enough: len(platform.messages) >= enough, A_LIFE + MESSAGES)
                await asyncio.sleep(chance.uniform(0, 0.05))
                marked.append(await life.kill())
            await life.start()
            await life.printed("done")
        finally:
            await life.kill()
    return box, marked


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("rate", [None, 60.0], ids=["no rate", "rate"])
@pytest.mark.parametrize("transport", ["http", "cmpp"])
def test_killed_while_sending(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    transport: str,
    rate: float | None,
) -> None:
    """Half of the messages have three segments over CMPP."""
    submits: Counter[tuple[str, int]] = Counter()
    on_submit = CMPPConnection._on_submit

    def count(connection: CMPPConnection, account: Any, pdu: Any) -> None:
        submits.update((number[-11:], pdu.pk_number) for number in pdu.dest_terminal_id)
        on_submit(connection, account, pdu)

    monkeypatch.setattr(CMPPConnection, "_on_submit", count)
    started = time.monotonic()
    box, marked = asyncio.run(run(tmp_path, transport, rate))
    sent = Counter(message.number for message in box.platform.messages)
    lines = list(map(json.loads, (tmp_path / "outcomes").read_text().splitlines()))
    unknown = {number for _, number, outcome in lines if outcome == "unknown"}
    begun = {number for number, _ in submits}
    numbers = {deferred_sender.number_of(place) for place in range(MESSAGES)}
    false = unknown - sent.keys() - begun
    figures = {
        "messages": MESSAGES,
        "kills": len(marked),
        "sent": len(sent),
        "doubled": sum(times > 1 for times in (*sent.values(), *submits.values())),
        "lost": len(numbers - sent.keys() - unknown),
        "unknown": len(unknown),
        "never at the platform": len(false),
        "marked at the kills": sum(marked),
        "seconds": round(time.monotonic() - started),
    }
    with capsys.disabled():
        words = ", ".join(f"{name} {value}" for name, value in figures.items())
        sys.stdout.write(f"\n{transport}, rate {rate}: {words}\n")
    in_flight = 1 if rate else (5 if transport == "http" else 16)
    assert figures["doubled"] == figures["lost"] == 0
    assert {outcome for _, _, outcome in lines} <= {"accepted", "unknown"}
    assert len(unknown) <= sum(marked)
    assert len(false) <= in_flight * len(marked)
    assert not unknown & {number for number, times in sent.items() if times > 1}
