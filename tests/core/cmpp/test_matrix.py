"""The matrix of outcomes, continued: each Result of a SUBMIT in Python, by the table that `dialect` selects.

The codes are those of the core, so that a new one needs a row. The table is on the page docs/outcomes-matrix.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from support.matrix import UNKNOWN_RESULT, Cell, check_table, result_labels

from sms1680 import SendError
from sms1680.cmpp import CMPPClient
from sms1680.cmpp.wire.results import SUBMIT, ResultTable
from sms1680.sandbox import Account, Config, Sandbox
from sms1680.sandbox.cmpp.rules import Rules, SubmitDecision
from sms1680.sandbox.records import State

NUMBER = "13800138000"
TABLES: tuple[ResultTable, ...] = ("1680", "standard")
DOORS = tuple((f'`dialect="{table}"`', f'`dialect="{table}"`') for table in TABLES)
CODES = (*sorted({code for table in SUBMIT.values() for code in table}), UNKNOWN_RESULT)


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(Config(accounts=(Account(),), report_delay=0.0, cmpp_port=0)) as sandbox:
        yield sandbox


async def observe(box: Sandbox, client: CMPPClient) -> Cell:
    """Send, and return what the phone got and what the caller learned."""
    told: tuple[str, ...] = ()
    try:
        await client.send(NUMBER, "门开了")
    except SendError as error:
        (receipt,) = error.receipts
        told = (f"{receipt.outcome}: {receipt.reason}",)
    phone = sum(message.state in {State.SENT, State.DELIVERED} for message in box.platform.messages)
    return Cell(phone, told, ("error",) if told else ())


async def test_each_result(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(TABLES) == set(SUBMIT)
    account, cells = box.config.accounts[0], dict[tuple[str, int], Cell]()
    for door, table in enumerate(TABLES):
        connected = asyncio.Event()
        client = CMPPClient(
            "127.0.0.1",
            box.cmpp.port,
            sp_id=account.sp_id,
            secret=account.password,
            source_number=account.source_number,
            dialect=table,
            patience=0,
            on_status=lambda status, connected=connected: connected.set() if status.connected else None,
        )
        async with client:
            await connected.wait()
            for code in CODES:
                monkeypatch.setattr(Rules, "submit", answer(code))
                cells[f"submit {code}", door] = await observe(box, client)
    check_table("outcomes-cmpp-python", DOORS, cells, result_labels(CODES))


def answer(code: int) -> Callable[..., SubmitDecision]:
    """Return a rule that answers each SUBMIT with this Result."""

    def submit(*_: Any) -> SubmitDecision:
        return SubmitDecision(code)

    return submit
