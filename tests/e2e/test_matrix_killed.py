"""The matrix of outcomes, continued: Home Assistant is killed, or stopped, while the answers are on their way.

One Home Assistant, a program of its own, sends through all doors at once. The table is on docs/outcomes-matrix.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.matrix import ROWS, Cell, check_table

from custom_components.sms1680.trigger import SUPPORTS_TRIGGERS
from demo.home_assistant import HomeAssistant
from demo.platform import Account as GivenAccount
from demo.processes import Processes, until
from sms1680.sandbox import Account, Call, Config, Fault, Sandbox
from sms1680.sandbox.records import State
from tests.e2e.test_killed import LONGEST_BOOT, House
from tests.home_assistant.matrix_house import DOORS

ACCOUNT = Account("demo", "demo1680", products={"61341": 1000}, concurrency=100)
ALICE, STRANGER, CAROL, DAVID = NUMBERS = [f"1380000000{place}" for place in range(len(DOORS))]
WITNESS = """
import json, os
from homeassistant.core import callback

async def async_setup(hass, config):
    witness = os.open(hass.config.path("witness.jsonl"), os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def write(*line):
        os.write(witness, json.dumps(line).encode() + b"\\n")

    def failed(event):
        write("failed", *(event.data[name] for name in ("number", "cause", "reason")))

    def repair(event):
        if event.data["action"] != "remove":
            write("repair", event.data["issue_id"])

    hass.bus.async_listen("sms1680_message_failed", callback(failed))
    hass.bus.async_listen("repairs_issue_registry_updated", callback(repair))
    return True
"""
YAML = """
witness:
notify:
  - platform: sms1680
    name: line
    account: {title}
    recipients: [Carol]
alert:
  door:
    name: Door
    entity_id: input_boolean.siren
    repeat: 600
    notifiers: [line]
    message: 门开了
    data:
      priority: critical
"""


def stall(call: Call) -> Fault | None:
    """Let the answer to a send come too late."""
    return Fault(stall_after=60.0) if call is Call.SEND else None


async def ring(home: HomeAssistant) -> None:
    """Send through each door."""
    await asyncio.gather(
        home.act("notify.send_message", {"message": "门开了"}, entity="notify.alice"),
        home.act("sms1680.send_message", {"message": "门开了", "number": STRANGER}),
        home.act("input_boolean.turn_on", {}, entity="input_boolean.siren"),
        home.act("sms1680.send_message", {"message": "门开了", "number": DAVID, "keep_trying": {"minutes": 5}}),
        return_exceptions=True,
    )


def observe(house: House, box: Sandbox, begin: int) -> list[Cell]:
    """Return the cell of each door from what the witness wrote after its first lines."""
    lines: list[list[Any]] = [json.loads(line) for line in witness(house)[begin:]]
    repaired = any(line[0] == "repair" and "critical_failed" in line[1] for line in lines)
    cells = []
    for number in NUMBERS:
        told = [
            f"{cause}: {reason}"
            for kind, to, *why in lines
            if kind == "failed" and to == number
            for cause, reason in [why]
        ]
        phone = sum(
            one.number == number and one.state in {State.SENT, State.DELIVERED} for one in box.platform.messages
        )
        cells.append(Cell(phone, tuple(told), ("critical_failed",) if repaired and number == CAROL else ()))
    return cells


def witness(house: House) -> list[str]:
    """Return the lines of the witness."""
    path = house.folder / "witness.jsonl"
    return path.read_text().splitlines() if path.exists() else []


async def run(folder: Path) -> dict[tuple[str, int], Cell]:
    """Interrupt Home Assistant in both ways, and return the cells."""
    cells: dict[tuple[str, int], Cell] = {}
    async with Processes() as processes, aiohttp.ClientSession() as session, Sandbox(Config((ACCOUNT,))) as box:
        house = House(folder, processes, session)
        (house.folder / "custom_components" / "witness" / "__init__.py").write_text(WITNESS)
        process = await house.start()
        await house.is_up()
        await house.home.sign_up("owner", "a password of the test")
        await until(house.home.running, "Home Assistant that is fully up", LONGEST_BOOT)
        given = GivenAccount(box.url, ACCOUNT.username, ACCOUNT.password, "61341", {})
        account = await house.home.add_account(given, "某某科技")
        await house.home.add_recipient(account, "Alice", ALICE)
        await house.home.add_recipient(account, "Carol", CAROL)
        await processes.end(process)
        configuration = house.folder / "configuration.yaml"
        own = YAML.format(title=account["result"]["title"])
        configuration.write_text(configuration.read_text().replace("witness:\n", "") + own, "utf-8")
        process = await house.start()
        for row in ("killed", "restart"):
            await house.is_up()
            await until(house.home.running, "Home Assistant that is fully up", LONGEST_BOOT)
            await house.home.connect()
            box.platform.messages.clear()
            box.platform.faults.choose = stall
            ringing = asyncio.create_task(ring(house.home))
            await box.wait_for(lambda platform: len(platform.messages) >= len(DOORS), 60)
            begin = len(witness(house))
            await (house.kill(process) if row == "killed" else processes.end(process))
            ringing.cancel()
            box.platform.faults.choose = None
            process = await house.start()
            await house.is_up()
            await until(house.home.running, "Home Assistant that is fully up", LONGEST_BOOT)

            async def told(begin: int = begin) -> bool | None:
                found = [json.loads(line) for line in witness(house)[begin:]]
                failed = {line[1] for line in found if line[0] == "failed"}
                repeated = {one.number for one in box.platform.messages if "（重发）" in one.text}
                return failed | repeated == set(NUMBERS) or None

            await until(told, "event or a repetition of each message", LONGEST_BOOT)
            cells.update({(row, door): cell for door, cell in enumerate(observe(house, box, begin))})
            await house.home.connect()
            await house.home.act("input_boolean.turn_off", {}, entity="input_boolean.siren")
        await processes.end(process)
    return cells


@pytest.mark.timeout(900)
@pytest.mark.skipif(not SUPPORTS_TRIGGERS, reason="The page shows what a recent Home Assistant does")
@pytest.mark.usefixtures("socket_enabled")
def test_killed_and_stopped_in_the_middle(tmp_path: Path) -> None:
    cells = asyncio.run(run(tmp_path))
    check_table("outcomes-killed", DOORS, cells, {row: ROWS[row] for row in ("killed", "restart")})
    shutil.rmtree(tmp_path)
