"""The matrix of outcomes, continued: each response of the platform over HTTP and over CMPP, at each door.

The codes are those of the core, so that a new one needs a row. The tables are on the page docs/outcomes-matrix.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from support.matrix import UNKNOWN_RESULT, Cell, NotApplicable, check_table, result_labels

from custom_components.sms1680.account import clients
from custom_components.sms1680.client import AsyncClient
from custom_components.sms1680.client.cmpp import CMPPClient
from custom_components.sms1680.client.cmpp.wire.results import CONNECT, SUBMIT
from custom_components.sms1680.client.http.responses import DYNAMIC, SEND
from custom_components.sms1680.trigger import SUPPORTS_TRIGGERS
from sms1680.sandbox import Account, Config, Fault, Sandbox
from sms1680.sandbox.cmpp.rules import Rules, SubmitDecision
from sms1680.sandbox.verdicts import Verdict
from tests.home_assistant.helpers import (
    ALICE,
    PASSWORD,
    PRODUCT,
    SOURCE_NUMBER,
    SP_ID,
    USERNAME,
    MakeEntry,
    SetUp,
    Until,
)
from tests.home_assistant.matrix_house import ACTION, DOORS, NO_LIMITS, House, set_up_alert

Cells = dict[tuple[str, int], Cell | NotApplicable]
ONLY_PERSONAL = NotApplicable(("only the calls with variables answer so", "只有带变量的接口会这样应答"))
HELD_IS_ACCEPTED = NotApplicable(
    (
        "CMPP does not say so; it ends as “accepted, and no delivery report comes”",
        "CMPP 不会说明；结局同“已接收，没有状态报告”",
    )
)
VARIABLE = "variable"
HTTP_CODES = [code for code, reason in SEND.items() if reason]
HTTP_LABELS = {
    **{code: (f"response `{code}`", f"应答 `{code}`") for code in HTTP_CODES},
    VARIABLE: ("response `-4` to a template", "模板的应答 `-4`"),
}
# Faults of the connection, and what the platform does with the message.
CMPP_FAULTS = {
    "lost_submit": ("the SUBMIT is lost", "SUBMIT 丢失"),
    "lost_answer": ("accepted, and the response is lost", "已接收，应答丢失"),
    "late_answer": ("accepted, and the response is late", "已接收，应答迟到"),
    "drop_before": ("the connection breaks before acceptance", "接收之前连接中断"),
    "drop_after": ("the connection breaks after acceptance", "接收之后连接中断"),
    "terminate": ("accepted, and the platform ends the session", "已接收，平台结束会话"),
    "restart": ("accepted, and the platform restarts", "已接收，平台重新启动"),
}
UNKNOWN_STATUS = 9  # in no table: a login without a useful reason
LOST = ("lost_submit", "lost_answer")  # an answer that never comes is waited for
CMPP_LABELS = {
    **result_labels((*SUBMIT["1680"], UNKNOWN_RESULT)),
    **{
        f"connect {code}": (f"Status `{code}` of the login", f"登录的 Status `{code}`")
        for code in (*CONNECT, UNKNOWN_STATUS)
    },
    **CMPP_FAULTS,
    "off": ("no connection", "没有连接"),
    "held": ("held for the platform's staff", "待人工审核"),
    "partly": ("the second segment of a long message is refused", "长短信的第二段被拒绝"),
}


@pytest.fixture
def sandbox_config() -> Config:
    home = Account(
        USERNAME, PASSWORD, products={PRODUCT: 10_000}, sp_id=SP_ID, source_number=SOURCE_NUMBER, cmpp_connections=100
    )
    return Config(accounts=(home,), report_delay=0.0, cmpp_port=0)


async def hurry(delay: float) -> None:
    """Shorten the pauses between connection attempts."""
    await asyncio.sleep(min(delay, 0.02))


@pytest.fixture
async def house(
    hass: HomeAssistant,
    sandbox: Sandbox,
    make_entry: MakeEntry,
    fired: dict[str, list[Event]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> House:
    """Prepare an account that is not set up yet, its YAML platform and an alert."""
    monkeypatch.setattr(clients, "AsyncClient", functools.partial(AsyncClient, patience=0))
    await set_up_alert(hass)
    caplog.set_level("WARNING")
    return House(hass, make_entry(), sandbox, fired, caplog)


async def run_row(house: House, row: str, cells: Cells, *, text: str = "") -> None:
    """Send through each door, and note what was observed."""
    for door in range(len(DOORS)):
        if (row, door) not in cells:
            house.clean(keep=door > 0)
            raised = await house.send(door, text or f"门开了{row}{door}")
            await house.hass.async_block_till_done(wait_background_tasks=True)
            deferred = house.entry.runtime_data.deferred
            waited = bool(deferred.waiting)
            cells[row, door] = house.observe(raised=raised, waited=waited)
            for stored in deferred.messages:
                await deferred.async_cancel(stored.row)


@pytest.mark.skipif(not SUPPORTS_TRIGGERS, reason="The page shows what a recent Home Assistant does")
async def test_http(house: House, set_up: SetUp, sandbox: Sandbox) -> None:
    house.hass.config_entries.async_update_entry(house.entry, options=NO_LIMITS)
    await set_up(house.entry)
    cells: Cells = {(VARIABLE, door): ONLY_PERSONAL for door in range(len(DOORS)) if door != ACTION}
    for code in HTTP_CODES:
        sandbox.platform.faults.always(Fault(accept=False, body=code))
        await run_row(house, code, cells)
    assert DYNAMIC["-4"] == VARIABLE
    sandbox.platform.faults.always(Fault(verdict=Verdict.VARIABLE))
    house.clean(keep=False)
    row = {"number": ALICE, "values": ["a"]}
    with pytest.raises(HomeAssistantError):
        await house.hass.services.async_call(
            "sms1680", "send_template", {"template": "{A}", "rows": [row]}, blocking=True
        )
    await house.hass.async_block_till_done(wait_background_tasks=True)
    cells[VARIABLE, ACTION] = house.observe(raised=True, waited=False)
    check_table("outcomes-http", DOORS, cells, HTTP_LABELS)


@asynccontextmanager
async def refused_login(house: House, until: Until, status: int) -> AsyncIterator[None]:
    """Let the platform refuse the login with this Status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rules, "login", lambda *_: (status, None))
        for connection in list(house.sandbox.cmpp.connections):
            connection.abort()
        reason = CONNECT.get(status, "login")
        await until(lambda: attribute(house.hass, "reason") == reason)
        yield
    await until(lambda: is_connected(house.hass))


def is_connected(hass: HomeAssistant) -> bool:
    state = hass.states.get("binary_sensor.home_connected")
    return state is not None and state.state == "on"


def attribute(hass: HomeAssistant, name: str) -> object:
    state = hass.states.get("binary_sensor.home_connected")
    return state.attributes.get(name) if state else None


@pytest.mark.skipif(not SUPPORTS_TRIGGERS, reason="The page shows what a recent Home Assistant does")
async def test_cmpp(
    house: House,
    make_entry: MakeEntry,
    set_up: SetUp,
    sandbox: Sandbox,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hass = house.hass

    async def wait_for_connections(patience: float, answer_timeout: float = 60.0) -> None:
        quick = functools.partial(CMPPClient, answer_timeout=answer_timeout, sleep=hurry, patience=patience)
        monkeypatch.setattr(clients, "CMPPClient", quick)
        await hass.config_entries.async_reload(house.entry.entry_id)
        await until(lambda: is_connected(hass))

    await hass.config_entries.async_remove(house.entry.entry_id)
    house.entry = make_entry(ways=("cmpp",), options=NO_LIMITS)
    house.own_ids = False
    await set_up(house.entry)
    await wait_for_connections(0)
    rules, cells = sandbox.cmpp.rules, Cells()
    submit = rules.submit

    async def run(row: str, decide: Callable[..., SubmitDecision], text: str = "") -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Rules, "submit", lambda _, account, pdu: decide(account, pdu))
            await run_row(house, row, cells, text=text)

    for code in (*SUBMIT["1680"], UNKNOWN_RESULT):
        await run(f"submit {code}", lambda *_, code=code: SubmitDecision(code))
    for code in (*CONNECT, UNKNOWN_STATUS):
        async with refused_login(house, until, code):
            await run_row(house, f"connect {code}", cells)
    for fault in CMPP_FAULTS:  # a repetition waits for the next connection
        await wait_for_connections(10, 1.0 if fault in LOST else 60.0)
        for door in range(len(DOORS)):
            await until(lambda: is_connected(hass))
            others = {(fault, other): cell for (row, other), cell in cells.items() if row == fault}
            sandbox.cmpp.faults.next(fault)
            only: Cells = {(fault, other): ONLY_PERSONAL for other in range(len(DOORS)) if other != door}
            await run_row(house, fault, only)
            cells.update(others | {(fault, door): only[fault, door]})
    await until(lambda: is_connected(hass))
    await wait_for_connections(0)
    cells.update((("held", door), HELD_IS_ACCEPTED) for door in range(len(DOORS)))
    segments = iter(range(1000))
    await run(
        "partly",
        lambda account, pdu: SubmitDecision(1) if next(segments) % 2 else submit(account, pdu),
        "门开了" * 30,
    )
    await sandbox.cmpp.close()
    await until(lambda: not is_connected(hass))
    await run_row(house, "off", cells)
    check_table("outcomes-cmpp", DOORS, cells, CMPP_LABELS)
