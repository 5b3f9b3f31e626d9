"""The spending guard over CMPP: the limits and the count are the same as over HTTP."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sms1680 import Account, AsyncClient, BalanceError, NotSentError, Outcome, Reason, Receipt, RefusedError
from sms1680.cmpp import CMPPClient
from sms1680.cmpp.wire.pdus import Submit
from sms1680.limits.ledger import Ledger, LedgerBusyError
from sms1680.limits.settings import Spending, SpendingLimits
from sms1680.sandbox import Account as SandboxAccount, Config, Sandbox

ONE, TWO, THREE = "13800138000", "13800138001", "13800138002"
Connect = Callable[..., CMPPClient]


async def outcomes(sending: Any) -> list[tuple[Outcome, Reason | None]]:
    try:
        receipts = await sending
    except (RefusedError, NotSentError) as error:
        receipts = error.receipts
    return [(receipt.outcome, receipt.reason) for receipt in receipts]


HELD = (Outcome.REFUSED, Reason.HOURLY_LIMIT)
WENT = (Outcome.ACCEPTED, None)


async def test_excess_is_refused_and_the_rest_is_sent(connect: Connect, gateway: Any, tmp_path: Path) -> None:
    told: list[Receipt] = []
    client = connect(spending=SpendingLimits(hour=2), state_dir=str(tmp_path), on_receipt=told.append)
    numbers = [ONE, TWO, THREE, ONE]
    assert await outcomes(client.send(numbers, "后门打开")) == [WENT, WENT, HELD, WENT]
    (submit,) = gateway.all(Submit)
    assert submit.dest_terminal_id == (ONE, TWO)
    assert sorted((receipt.number, receipt.outcome) for receipt in told) == [
        (ONE, Outcome.ACCEPTED),
        (TWO, Outcome.ACCEPTED),
        (THREE, Outcome.REFUSED),
    ]
    assert await outcomes(client.send(ONE, "后门打开")) == [HELD]
    assert await outcomes(client.send(ONE, "后门打开", priority="critical")) == [WENT]
    assert client.spending() == Spending(3, 3)
    assert len(gateway.all(Submit)) == 2


async def test_the_parts_of_long_messages_count(connect: Connect, tmp_path: Path) -> None:
    client = connect(spending=SpendingLimits(hour=5), state_dir=str(tmp_path))
    texts = [(ONE, "门" * 100), (TWO, "门" * 200), (THREE, "短")]
    assert await outcomes(client.send_batch(texts)) == [WENT, WENT, HELD]
    assert client.spending() == Spending(5, 5)


async def test_automatic_messages_have_their_own_limit(connect: Connect, tmp_path: Path) -> None:
    client = connect(spending=SpendingLimits(automatic=1), state_dir=str(tmp_path))
    assert await outcomes(client.send(ONE, "1", automatic=True)) == [WENT]
    automatic = (Outcome.REFUSED, Reason.AUTOMATIC_LIMIT)
    assert await outcomes(client.send_template("{A}", [(TWO, "2")], automatic=True)) == [automatic]
    assert await outcomes(client.send(TWO, "2")) == [WENT]


async def test_refused_and_unsent_messages_cost_nothing(connect: Connect, gateway: Any, tmp_path: Path) -> None:
    client = connect(spending=SpendingLimits(), state_dir=str(tmp_path))
    gateway.on[Submit] = gateway.refuse(13)
    with pytest.raises(BalanceError):
        await client.send(ONE, "后门打开")
    assert client.spending() == Spending(0, 0)
    gateway.status = 3
    stranger = connect(spending=SpendingLimits(), state_dir=str(tmp_path))
    assert await outcomes(stranger.send(ONE, "后门打开")) == [(Outcome.REFUSED, Reason.AUTHENTICATION)]
    assert client.spending() == Spending(0, 0)


async def test_cancelled_call_refunds_unsent_messages(connect: Connect, gateway: Any, tmp_path: Path) -> None:
    told: list[Receipt] = []
    client = connect(spending=SpendingLimits(), state_dir=str(tmp_path), on_receipt=told.append, window=1)
    gateway.on.pop(Submit)
    sending = asyncio.create_task(client.send_batch([(ONE, "一"), (TWO, "二")]))
    (submit,) = await gateway.until(Submit)
    assert client.spending() == Spending(2, 2)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    gateway.accept(gateway.lines[-1], submit)
    async with asyncio.timeout(20):
        await client.aclose()
    assert [(receipt.number, receipt.outcome) for receipt in told] == [
        (TWO, Outcome.NOT_SENT),
        (ONE, Outcome.ACCEPTED),
    ]
    assert client.spending() == Spending(1, 1)


async def test_call_cancelled_at_the_guard_has_receipts(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Receipt] = []
    waits = asyncio.Event()

    def busy(_: Ledger, **_options: object) -> None:
        waits.set()
        raise LedgerBusyError

    client = connect(spending=SpendingLimits(), state_dir=str(tmp_path), on_receipt=told.append)
    monkeypatch.setattr(Ledger, "writing", busy)
    sending = asyncio.create_task(client.send(ONE, "一"))
    await waits.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert [(receipt.number, receipt.reason) for receipt in told] == [(ONE, Reason.CANCELLED)]


async def test_http_and_cmpp_share_one_count(tmp_path: Path) -> None:
    own = SandboxAccount()
    async with Sandbox(Config(accounts=(own,), cmpp_port=0)) as box:
        shared: dict[str, Any] = {"spending": SpendingLimits(hour=2), "state_dir": str(tmp_path)}
        http = AsyncClient(Account(own.username, own.password, product_id="61341"), gateway=box.url, **shared)
        cmpp = CMPPClient(
            "127.0.0.1",
            box.cmpp.port,
            sp_id=own.sp_id,
            secret=own.password,
            source_number=own.source_number,
            http_account=(box.url, own.username),
            **shared,
        )
        async with http, cmpp:
            assert await outcomes(cmpp.send(ONE, "一")) == [WENT]
            assert await outcomes(http.send(ONE, "二")) == [WENT]
            assert await outcomes(cmpp.send(ONE, "三")) == [HELD]
            assert await outcomes(http.send(ONE, "四")) == [HELD]
            assert cmpp.spending() == http.spending() == Spending(2, 2)
        assert len(box.platform.messages) == 2
