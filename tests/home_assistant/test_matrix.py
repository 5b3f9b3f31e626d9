"""The matrix of outcomes at the doors in Home Assistant: no message ends without a word to somebody.

Each cell is run: a real Home Assistant sends to the sandbox over a socket, and the cell is what was observed. The table
is on the page docs/outcomes-matrix; SMS1680_WRITE_TABLES=1 writes it.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory, freeze_time, real_monotonic, real_time
from homeassistant.components import persistent_notification
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed
from support.matrix import ROWS, Cell, check_table

from custom_components.sms1680 import const
from custom_components.sms1680.account import clients
from custom_components.sms1680.client import AsyncClient
from custom_components.sms1680.store.db import StoreError
from custom_components.sms1680.store.manager import DATA_STORE
from custom_components.sms1680.trigger import SUPPORTS_TRIGGERS
from sms1680.sandbox import Account, Config, Fault, Sandbox
from sms1680.sandbox.faults import PRESETS
from sms1680.sandbox.records import DELIVERED, State
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
    use_gateway,
)

DOORS = (
    ("notify entity", "通知实体"),
    ("`sms1680.send_message`", "`sms1680.send_message`"),
    ("`alert:` through `notify:` in YAML, critical", "`alert:` 经 YAML 的 `notify:`，紧急"),
    ("deferred (`keep_trying`)", "持续重试（`keep_trying`）"),
)
NOTIFY, ACTION, ALERT, DEFERRED = range(4)
NO_LIMITS = dict.fromkeys(("hourly_limit", "daily_limit", "number_limit", "automatic_limit", "critical_reserve"), 0)
FAULTS = {
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
}
IN_THE_MIDDLE = ("reload", "clock_forward", "clock_back")


@dataclass
class House:
    """A Home Assistant with one account, and what it fires."""

    hass: HomeAssistant
    entry: MockConfigEntry
    sandbox: Sandbox
    fired: dict[str, list[Event]]
    freezer: FrozenDateTimeFactory
    caplog: pytest.LogCaptureFixture

    async def idle(self) -> None:
        """Wait until the reports are pushed and all is handled, those of a message sent once more too."""
        known = -1
        while known != len(self.sandbox.platform.messages):
            await self.hass.async_block_till_done(wait_background_tasks=True)
            known = len(self.sandbox.platform.messages)
            await self.sandbox.wait_for(
                lambda platform: (
                    platform.pushes.waiting == 0
                    and (
                        platform.phone(ALICE).report_status is None
                        or all(message.state is not State.SENT for message in platform.messages)
                    )
                )
            )
            await self.hass.async_block_till_done(wait_background_tasks=True)

    async def later(self, **how_much: float) -> None:
        """Advance the time and run what is due."""
        passed = timedelta(**how_much)
        self.freezer.tick(passed)
        async_fire_time_changed(self.hass, dt_util.utcnow() + passed)
        await self.idle()

    async def options(self, **options: Any) -> None:
        """Change options of the account."""
        self.hass.config_entries.async_update_entry(self.entry, options={**self.entry.options, **options})
        await self.idle()

    async def alice(self, **settings: Any) -> None:
        """Change the settings of the recipient."""
        subentry = self.entry.subentries["alice"]
        self.hass.config_entries.async_update_subentry(self.entry, subentry, data={"number": ALICE, **settings})
        await self.idle()

    def clean(self, *, keep: bool) -> None:
        """Forget what happened. keep: the repair of the store, which comes once for all faults of the disk."""
        self.sandbox.platform.messages.clear()
        for events in self.fired.values():
            events.clear()
        self.caplog.clear()
        for domain, issue_id in list(ir.async_get(self.hass).issues):
            if domain == const.DOMAIN and not (keep and issue_id.startswith("store_")):
                ir.async_delete_issue(self.hass, domain, issue_id)
        persistent_notification.async_dismiss_all(self.hass)

    async def send(self, door: int, text: str) -> bool:
        """Send a text; return whether an error was raised."""
        services = self.hass.services
        if door == ALERT:
            self.hass.states.async_set("binary_sensor.door", "on", {"text": text})
            await self.hass.async_block_till_done(wait_background_tasks=True)
            self.hass.states.async_set("binary_sensor.door", "off")
            await self.hass.async_block_till_done(wait_background_tasks=True)
            return False
        domain, name, data = {
            NOTIFY: ("notify", "send_message", {"entity_id": "notify.alice"}),
            ACTION: ("sms1680", "send_message", {"number": ALICE}),
            DEFERRED: ("sms1680", "send_message", {"number": ALICE, "keep_trying": {"hours": 1}}),
        }[door]
        try:
            await services.async_call(domain, name, {**data, "message": text}, blocking=True)
        except HomeAssistantError:
            return True
        return False

    def observe(self, *, raised: bool, waited: bool) -> Cell:
        """Return what the phone got, what was fired and what a person sees."""
        issues = [
            issue.translation_key
            for issue in ir.async_get(self.hass).issues.values()
            if issue.domain == const.DOMAIN and issue.active
        ]
        notices = persistent_notification._async_get_or_create_notifications(self.hass)
        logged = [
            record
            for record in self.caplog.records
            if record.levelname in {"WARNING", "ERROR"}
            and record.name.split(".")[0] != "asyncio"
            and ".store" not in record.name  # it logs a fault of the disk once, and has a repair
        ]
        seen = [
            *(["error"] if raised else []),
            *sorted({str(key) for key in issues}),
            *(["notification"] if notices else []),
            *(["log"] if logged and not raised else []),
        ]
        messages = self.sandbox.platform.messages
        ids = {None, *(message.message_id for message in messages)}  # not those of an earlier cell
        told = [
            f"{one.data['cause']}: {one.data['reason']}" if one.data["reason"] else one.data["cause"]
            for one in self.fired["failed"]
            if one.data["message_id"] in ids
        ]
        phone = sum(message.state in {State.SENT, State.DELIVERED} for message in messages)
        held = any(message.state is State.HELD for message in messages)
        told = [*(["waiting"] if waited else []), *dict.fromkeys(told)]
        return Cell(phone, tuple(told), tuple(seen), held)


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
    line = {"platform": "sms1680", "name": "line", "account": "Home", "recipients": ["Alice"]}
    assert await async_setup_component(hass, "notify", {"notify": [line]})
    alert = {
        "name": "Door",
        "message": "{{ state_attr('binary_sensor.door', 'text') }}",
        "entity_id": "binary_sensor.door",
        "repeat": 600,
        "notifiers": ["line"],
        "data": {"priority": "critical"},
    }
    assert await async_setup_component(hass, "alert", {"alert": {"door": alert}})
    await hass.async_block_till_done()
    await connect()
    entry = make_entry(options=NO_LIMITS)
    await set_up(entry)
    caplog.set_level("WARNING")
    return House(hass, entry, sandbox, fired, freezer, caplog)


@asynccontextmanager
async def no_trouble(_: House) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def fault(house: House, *, preset: str) -> AsyncIterator[None]:
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
async def limit(house: House) -> AsyncIterator[None]:
    await house.send(NOTIFY, "一条")
    await house.options(hourly_limit=1)
    yield
    await house.options(hourly_limit=0)


@asynccontextmanager
async def quiet(house: House) -> AsyncIterator[None]:
    day = dt_util.utcnow() + timedelta(days=1)
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
    **dict.fromkeys(IN_THE_MIDDLE, slow_answer),
    "refused": no_balance,
    "held": review,
    "off": gateway_off,
    "limit": limit,
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
    """Send a text; while its answer is on the way, reload the account or move the clock."""
    running = house.hass.async_create_task(house.send(door, text))
    await house.sandbox.wait_for(lambda platform: platform.messages)
    if case == "reload":
        await house.options(packet_size=10 + door)
    else:
        house.freezer.tick(timedelta(days=1 if case == "clock_forward" else -1))
    return await running


async def run_cell(house: House, case: str, door: int) -> Cell:
    """Bring the case about, send by the door, and return what was observed."""
    text = "长" * 700 if case == "invalid" else f"门开了{CASES.index(case)}{door}"
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
    cells: dict[tuple[str, int], Cell] = {}
    for case in CASES:
        for door in range(len(DOORS)):
            cells[case, door] = await run_cell(house, case, door)
    check_table("outcomes-home-assistant", DOORS, cells)


def test_rows_exist() -> None:
    assert len(CASES) == len(set(CASES))
    assert set(ROWS) == set(CASES)
    assert set(FAULTS.values()) < set(PRESETS)
