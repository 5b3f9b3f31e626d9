"""The matrix of outcomes at the doors in Home Assistant: no message ends without a word to somebody.

Each cell is run: a real Home Assistant sends to the sandbox over a socket, and the cell is what was observed. The table
is on the page docs/outcomes-matrix; SMS1680_WRITE_TABLES=1 writes it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory, freeze_time, real_monotonic, real_time
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.core import Event, HomeAssistant
from homeassistant.util import dt as dt_util
from support.matrix import NOT_OF_A_MESSAGE, REASONS, ROWS, Cell, NotApplicable, check_table

from custom_components.sms1680.account import clients
from custom_components.sms1680.client import AsyncClient, Reason
from custom_components.sms1680.client.cmpp.wire.results import CONNECT, SUBMIT
from custom_components.sms1680.client.http.responses import DYNAMIC, SEND
from custom_components.sms1680.events.context import async_fire
from custom_components.sms1680.store.db import StoreError
from custom_components.sms1680.store.manager import DATA_STORE
from custom_components.sms1680.trigger import SUPPORTS_TRIGGERS
from sms1680.sandbox import Account, Config, Fault, Sandbox
from sms1680.sandbox.faults import PRESETS
from sms1680.sandbox.records import DELIVERED
from tests.home_assistant.helpers import (
    ALICE,
    PASSWORD,
    PRODUCT,
    QUIET,
    UNREACHABLE,
    USERNAME,
    Connect,
    MakeEntry,
    SetUp,
    poll,
    use_gateway,
)
from tests.home_assistant.matrix_house import ACTION, ALERT, DOORS, NO_LIMITS, NOTIFY, House, set_up_alert

FAULTS: dict[str, Fault | str] = {
    "failed": "failed",
    "too_fast": "too_fast",
    "drop_before": "drop_before",
    "drop_after": "drop_after",
    "timeout": "stall_after",
    "half": "half",
    "html": "html",
    "garbage": "html_accepted",
    "error": "error",
    "empty": "empty_accepted",
    "wrong_address": Fault(status=404, body="", accept=False),
}
# A report without a known id is matched to the message or to its repetition, whichever comes first: none comes here.
UNCERTAIN = ("drop_after", "timeout", "half", "garbage", "empty")
LIMITS = {
    "limit": "hourly_limit",
    "daily_limit": "daily_limit",
    "number_limit": "number_limit",
    "automatic_limit": "automatic_limit",
}
NOT_APPLICABLE = {
    ("automatic_limit", ALERT): NotApplicable(("no event of ours leads to an alert", "提醒不是由本集成的事件引起的")),
    ("cancelled", ALERT): NotApplicable(("an alert does not wait for the send", "提醒不等待发送")),
}
IN_THE_MIDDLE = ("reload", "clock_forward", "clock_back", "cancelled")


@pytest.fixture
def freezer(hass: HomeAssistant, monkeypatch: pytest.MonkeyPatch) -> Iterator[FrozenDateTimeFactory]:
    """Return a clock that runs and can be moved. That of the event loop is the real one."""
    monkeypatch.setattr(hass.loop, "time", real_monotonic)
    with freeze_time("2026-01-05 12:00:00+00:00", tick=True) as frozen:
        yield frozen


@pytest.fixture
def sandbox_config() -> Config:
    """Return the configuration of a platform whose reports come after its answers."""
    return Config(accounts=(Account(USERNAME, PASSWORD, products={PRODUCT: 1000}),), report_delay=0.1)


@pytest.fixture
async def sandbox(sandbox_config: Config) -> AsyncIterator[Sandbox]:
    """Run a sandbox platform whose clock is the real one: this test moves that of Home Assistant."""
    async with Sandbox(sandbox_config, clock=real_time) as box:
        yield box


@pytest.fixture
async def house(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    connect: Connect,
    sandbox: Sandbox,
    fired: dict[str, list[Event]],
    freezer: FrozenDateTimeFactory,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> House:
    """Set up an account, its YAML platform and an alert."""
    monkeypatch.setattr(clients, "AsyncClient", functools.partial(AsyncClient, patience=0, timeout=0.5))
    await set_up_alert(hass)
    await connect()
    entry = make_entry(options=NO_LIMITS)
    await set_up(entry)
    caplog.set_level("WARNING")
    return House(hass, entry, sandbox, fired, caplog, freezer)


@asynccontextmanager
async def no_trouble(_: House) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def fault(house: House, *, preset: Fault | str) -> AsyncIterator[None]:
    house.sandbox.platform.faults.always(preset)
    yield
    house.sandbox.platform.faults.clear()


@asynccontextmanager
async def slow_answer(house: House) -> AsyncIterator[None]:
    house.sandbox.platform.faults.next(Fault(stall_after=0.3))
    yield


@asynccontextmanager
async def no_balance(house: House) -> AsyncIterator[None]:
    balances = house.sandbox.platform.accounts[USERNAME].balances
    before, balances[PRODUCT] = balances[PRODUCT], 0
    yield
    balances[PRODUCT] = before


@asynccontextmanager
async def review(house: House) -> AsyncIterator[None]:
    house.sandbox.platform.review_words = ["门开了"]
    yield
    house.sandbox.platform.review_words = []


@asynccontextmanager
async def reports(house: House, *, status: str | None) -> AsyncIterator[None]:
    phone = house.sandbox.platform.phone(ALICE)
    await house.send(NOTIFY, "报告")  # the account receives reports
    await house.idle()
    phone.report_status = status
    yield
    house.sandbox.platform.messages.clear()
    phone.report_status = DELIVERED


@asynccontextmanager
async def gateway_off(house: House) -> AsyncIterator[None]:
    await use_gateway(house.hass, house.entry, UNREACHABLE)
    yield
    await use_gateway(house.hass, house.entry, house.sandbox.url)


@asynccontextmanager
async def limit(house: House, *, option: str) -> AsyncIterator[None]:
    if option == "automatic_limit":
        house.caller = async_fire(house.hass, "sms1680_test", {})
    await house.send(ACTION, "一条")
    await house.options(critical_reserve=10_000, **{option: 1})
    yield
    house.caller = None
    await house.options(critical_reserve=0, **{option: 0})


@asynccontextmanager
async def slow_pace(house: House) -> AsyncIterator[None]:
    await house.options(rate=0.1)
    await house.send(ACTION, "一条")
    yield
    await house.options(rate=100)


@asynccontextmanager
async def quiet(house: House) -> AsyncIterator[None]:
    day = dt_util.utcnow() + timedelta(days=1)
    assert house.freezer is not None
    house.freezer.move_to(day.replace(hour=12, minute=0))
    await house.alice(**{**QUIET, "quiet_from": "11:00:00", "quiet_to": "13:00:00"})
    yield
    await house.alice()


@asynccontextmanager
async def not_loaded(house: House) -> AsyncIterator[None]:
    await house.hass.config_entries.async_unload(house.entry.entry_id)
    yield
    await house.hass.config_entries.async_setup(house.entry.entry_id)


@asynccontextmanager
async def disabled(house: House) -> AsyncIterator[None]:
    await house.hass.config_entries.async_set_disabled_by(house.entry.entry_id, ConfigEntryDisabler.USER)
    yield
    await house.hass.config_entries.async_set_disabled_by(house.entry.entry_id, None)


@asynccontextmanager
async def full_disk(house: House) -> AsyncIterator[None]:
    """Let SQLite run out of pages, as on a full disk: each write fails with its own error."""
    submit = house.hass.data[DATA_STORE].durable.store._writer.submit

    def run(sql: str, *, alone: bool = False) -> list[Any]:
        return list(submit(lambda database: database.execute(sql).fetchall(), alone=alone).result(10))

    run("CREATE TABLE filler (octets BLOB)")
    ((pages,),) = run("PRAGMA page_count")
    run(f"PRAGMA max_page_count = {pages}")
    for size in (2000, 200, 20, 2):
        with suppress(StoreError):
            for _ in range(200):
                run(f"INSERT INTO filler VALUES (zeroblob({size}))", alone=True)
    yield
    run("PRAGMA max_page_count = 1073741823")
    run("DROP TABLE filler")
    house.sandbox.platform.pushes.clear()


Trouble = Callable[[House], AbstractAsyncContextManager[None]]
# Troubles that end before the time goes on, and those that last.
PASSING: dict[str, Trouble] = {
    **{case: functools.partial(fault, preset=preset) for case, preset in FAULTS.items()},
    **dict.fromkeys(IN_THE_MIDDLE[:3], slow_answer),
    "refused": no_balance,
    "held": review,
    "off": gateway_off,
    **{case: functools.partial(limit, option=option) for case, option in LIMITS.items()},
    "cancelled": slow_pace,
    "disk": full_disk,
}
LASTING: dict[str, Trouble] = {
    "no_report": functools.partial(reports, status=None),
    "report_failed": functools.partial(reports, status="UNDELIV"),
    "quiet": quiet,
    "not_loaded": not_loaded,
    "disabled": disabled,
}
CASES = ["accepted", *LASTING, *PASSING, "invalid"]


async def send_and_interrupt(house: House, case: str, door: int, text: str) -> bool:
    """Send a text; while its answer is on the way, reload the account or move the clock, or cancel the call before."""
    running = house.hass.async_create_task(house.send(door, text))
    if case == "cancelled":
        batches = house.entry.runtime_data.client._batches
        await poll(lambda: any(not batch.started for batch in batches))
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return False
    await house.sandbox.wait_for(lambda platform: platform.messages)
    if case == "reload":
        await house.options(packet_size=10 + door)
    else:
        assert house.freezer is not None
        house.freezer.tick(timedelta(days=1 if case == "clock_forward" else -1))
    return await running


async def run_cell(house: House, case: str, door: int) -> Cell:
    """Bring the case about, send by the door, and return what was observed."""
    text = "长" * 700 if case == "invalid" else f"门开了{CASES.index(case)}{door}"
    house.sandbox.platform.messages.clear()
    house.sandbox.platform.phone(ALICE).report_status = None if case in UNCERTAIN else DELIVERED
    async with LASTING.get(case, no_trouble)(house):
        async with PASSING.get(case, no_trouble)(house):
            await house.idle()
            house.clean(keep=case == "disk")
            if case in IN_THE_MIDDLE:
                raised = await send_and_interrupt(house, case, door, text)
            else:
                raised = await house.send(door, text)
            await house.hass.async_block_till_done(wait_background_tasks=True)
            if case != "disk":  # a push is not acknowledged while nothing can be stored
                await house.idle()
            waiting = house.hass.states.get("sensor.home_waiting_messages")
            waited = waiting is not None and waiting.state not in {"0", "unavailable", "unknown"}
        await house.later(minutes=3)
        await house.later(hours=2)
        if case == "no_report":
            await house.later(days=4)
        cell = house.observe(raised=raised, waited=waited)
    # A critical message whose report is uncertain is repeated: that depends on which of them comes first.
    return replace(cell, at_least=case in {*IN_THE_MIDDLE, "disk"} and door == ALERT)


@pytest.mark.skipif(not SUPPORTS_TRIGGERS, reason="The page shows what a recent Home Assistant does")
async def test_matrix(house: House) -> None:
    cells: dict[tuple[str, int], Cell | NotApplicable] = dict(NOT_APPLICABLE)
    for case in CASES:
        for door in range(len(DOORS)):
            if (case, door) not in NOT_APPLICABLE:
                cells[case, door] = await run_cell(house, case, door)
    check_table("outcomes-home-assistant", DOORS, cells)


def test_rows_exist() -> None:
    assert len(CASES) == len(set(CASES))
    assert set(ROWS) - set(CASES) == {"killed", "restart", "apprise_timeout", "deadline"}
    assert {preset for preset in FAULTS.values() if isinstance(preset, str)} < set(PRESETS)


def test_each_reason_has_a_row() -> None:
    assert frozenset().union(*REASONS.values()) == set(Reason) - NOT_OF_A_MESSAGE
    assert {str(reason) for reason in SEND.values() if reason} <= REASONS["outcomes-http"]
    assert {str(reason) for reason in DYNAMIC.values() if reason} <= REASONS["outcomes-http"]
    assert {*map(str, CONNECT.values()), *map(str, SUBMIT["1680"].values())} <= REASONS["outcomes-cmpp"]
    results = {str(reason) for table in SUBMIT.values() for reason in table.values()}
    assert results | {Reason.NOT_UNDERSTOOD} == REASONS["outcomes-cmpp-python"]
