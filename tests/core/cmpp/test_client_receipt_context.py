"""Each receipt over CMPP carries the context of its call and the index of its item."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sms1680 import Outcome, Receipt, SendError, SpendingLimits, UnknownOutcomeError
from sms1680.cmpp import CMPPClient
from sms1680.cmpp.wire.pdus import Submit
from sms1680.limits.ledger import Ledger, LedgerBusyError

Make = Callable[..., CMPPClient]
NUMBERS = [f"1380013800{digit}" for digit in range(6)]
ONE, TWO = NUMBERS[:2]


def indexes(receipts: list[Receipt] | tuple[Receipt, ...], context: object) -> list[int]:
    assert all(receipt.context is context for receipt in receipts)
    return [receipt.index for receipt in receipts]


async def test_receipts_of_each_kind_of_call_carry_context_and_index(connect: Make) -> None:
    recorded: list[Receipt] = []
    client = connect(on_receipt=recorded.append)
    first, second, third = object(), object(), object()
    assert indexes(await client.send([ONE, TWO, ONE], "hello", context=first), first) == [0, 1, 0]
    rows = [(ONE, "a"), (ONE, "b"), (ONE, "a"), (TWO, "a")]
    assert indexes(await client.send_template("{A}", rows, context=second), second) == [0, 1, 0, 2]
    assert indexes(await client.send_batch(rows, context=third), third) == [0, 1, 0, 2]
    assert indexes(recorded[:2], first) == [0, 1]
    assert indexes(recorded[2:5], second) == [0, 1, 2]
    assert indexes(recorded[5:], third) == [0, 1, 2]
    assert [receipt.number for receipt in recorded] == [ONE, TWO, ONE, ONE, TWO, ONE, ONE, TWO]
    [plain] = await client.send(ONE, "hello")
    assert (plain.context, plain.index) == (None, 0)


async def test_numbers_held_back_by_the_guard_keep_their_index(connect: Make, tmp_path: Path) -> None:
    recorded: list[Receipt] = []
    limits = SpendingLimits(hour=3, number=1)
    client = connect(on_receipt=recorded.append, spending=limits, state_dir=str(tmp_path))
    pairs = [(ONE, "a"), (ONE, "b"), (TWO, "c"), (NUMBERS[2], "d"), (NUMBERS[3], "e")]
    context = object()
    with pytest.raises(SendError) as raised:
        await client.send_batch(pairs, context=context)
    assert indexes(raised.value.receipts, context) == [0, 1, 2, 3, 4]
    by_index = sorted(recorded, key=lambda receipt: receipt.index)
    assert indexes(by_index, context) == [0, 1, 2, 3, 4]
    assert [receipt.number for receipt in by_index] == [number for number, _ in pairs]
    assert {receipt.index for receipt in recorded if receipt.outcome is Outcome.REFUSED} == {1, 4}


async def test_halves_of_a_refused_message_keep_their_indexes(gateway: Any, connect: Make, refused_with: Any) -> None:
    recorded: list[Receipt] = []
    gateway.on[Submit] = lambda line, pdu: gateway.accept(line, pdu, 11 if NUMBERS[3] in pdu.dest_terminal_id else 0)
    context = object()
    client = connect(on_receipt=recorded.append)
    error = await refused_with(client, SendError, NUMBERS, "hello", context=context)
    assert indexes(error.receipts, context) == list(range(6))
    assert {receipt.number: receipt.index for receipt in recorded} == dict(zip(NUMBERS, range(6), strict=True))


async def test_a_late_answer_carries_context_and_index(gateway: Any, connect: Make, refused_with: Any) -> None:
    waiting: list[Any] = []
    recorded: asyncio.Queue[Receipt] = asyncio.Queue()
    gateway.on[Submit] = lambda line, pdu: waiting.append((line, pdu))
    client = connect(answer_timeout=0.5, idle=1000.0, on_receipt=recorded.put_nowait)
    context = object()
    await refused_with(client, UnknownOutcomeError, [ONE, TWO], "hello", context=context)
    for one in waiting:
        gateway.accept(*one)
    async with asyncio.timeout(20):
        receipts = [await recorded.get() for _ in range(4)]
    assert indexes(receipts, context) == [0, 1, 0, 1]
    assert [receipt.outcome for receipt in receipts] == [Outcome.UNKNOWN] * 2 + [Outcome.ACCEPTED] * 2


async def test_receipts_of_a_cancelled_call_carry_context_and_index(gateway: Any, connect: Make) -> None:
    recorded: list[Receipt] = []
    gateway.on.pop(Submit)
    client = connect(on_receipt=recorded.append, window=1)
    context = object()
    sending = asyncio.create_task(client.send_batch([(ONE, "a"), (TWO, "b")], context=context))
    (submit,) = await gateway.until(Submit)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    gateway.accept(gateway.lines[-1], submit)
    async with asyncio.timeout(20):
        await client.aclose()
    assert {(receipt.number, receipt.outcome, receipt.index) for receipt in recorded} == {
        (ONE, Outcome.ACCEPTED, 0),
        (TWO, Outcome.NOT_SENT, 1),
    }
    assert all(receipt.context is context for receipt in recorded)


async def test_a_call_cancelled_at_the_guard_carries_context_and_index(
    connect: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[Receipt] = []
    waits = asyncio.Event()

    def busy(_: Ledger, **_options: object) -> None:
        waits.set()
        raise LedgerBusyError

    client = connect(spending=SpendingLimits(), state_dir=str(tmp_path), on_receipt=recorded.append)
    monkeypatch.setattr(Ledger, "writing", busy)
    context = object()
    sending = asyncio.create_task(client.send([ONE, TWO], "hello", context=context))
    await waits.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert indexes(recorded, context) == [0, 1]


async def test_a_closed_client_gives_context_and_index(connect: Make, refused_with: Any) -> None:
    client = connect()
    await client.aclose()
    context = object()
    error = await refused_with(client, SendError, [ONE, TWO], "hello", context=context)
    assert indexes(error.receipts, context) == [0, 1]
