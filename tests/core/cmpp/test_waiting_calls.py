"""Thousands of calls, reports and CANCELs wait together: the work for one of them is the same as if it were alone."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.work import counted

from sms1680 import Outcome, Reason, Receipt
from sms1680.cmpp import CMPPClient
from sms1680.cmpp.wire.pdus import Cancel, Submit

Make = Callable[..., CMPPClient]
FEW, MANY = 50, 400


async def work_for_each(do: Callable[[int], Awaitable[object]]) -> tuple[float, float]:
    """Returns the work for each of a few and of many."""
    found = []
    for count in (FEW, MANY):
        with counted() as work:
            await do(count)
        found.append(work.total() / count)
    return found[0], found[1]


def grows_no_faster(work: tuple[float, float]) -> bool:
    return work[1] < work[0] * 1.5


async def begin(client: CMPPClient, count: int, **options: Any) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.create_task(client.send(f"138{place:08d}", "hello", **options)) for place in range(count)]
    await asyncio.sleep(0)
    return tasks


async def fill_window(gateway: Any, client: CMPPClient) -> Callable[[], Awaitable[object]]:
    """Submits a message that gets no answer; returns what answers it."""
    held: list[tuple[Any, Submit]] = []
    gateway.on[Submit] = lambda line, pdu: held.append((line, pdu))
    [waiting] = await begin(client, 1)
    await gateway.until(Submit)
    gateway.on[Submit] = gateway.accept

    async def answer() -> None:
        gateway.accept(*held[0])
        await waiting

    return answer


@pytest.mark.parametrize("one_by_one", [False, True])
async def test_cancelling_a_call_leaves_the_others_alone(gateway: Any, connect: Make, one_by_one: bool) -> None:
    receipts: list[Receipt] = []
    client = connect(window=1, on_receipt=receipts.append)
    answer = await fill_window(gateway, client)

    async def cancel(count: int) -> None:
        tasks = await begin(client, count)
        for task in tasks:
            task.cancel()
            if one_by_one:
                await asyncio.wait([task])
                assert receipts[-1].reason is Reason.CANCELLED
        await asyncio.wait(tasks)

    assert grows_no_faster(await work_for_each(cancel))
    assert [receipt.outcome for receipt in receipts] == [Outcome.NOT_SENT] * (FEW + MANY)
    await answer()
    assert len(gateway.all(Submit)) == 1


async def test_calls_whose_patience_ends_one_after_the_other(connect: Make) -> None:
    now, receipts = [1000.0], list[Receipt]()
    client = connect(clock=lambda: now[0], on_receipt=receipts.append, connect=lambda _: asyncio.Event().wait())

    async def wait(count: int) -> None:
        tasks = []
        for _ in range(count):
            now[0] += 0.2 / count
            tasks += await begin(client, 1, patience=100.0)
        now[0] += 99.75
        while not tasks[-1].done():
            now[0] += 0.2 / count
            client._dispatcher.tick(now[0])
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)

    assert grows_no_faster(await work_for_each(wait))
    assert [receipt.reason for receipt in receipts] == [Reason.NO_CONNECTION] * (FEW + MANY)


async def test_early_reports_of_unknown_messages_do_not_slow_later_messages(gateway: Any, connect: Make) -> None:
    client = connect(window=64)
    answer = await fill_window(gateway, client)

    async def work_behind(first: int, last: int) -> float:
        for msg_id in range(first, last):
            gateway.report(10_000 + msg_id, "DELIVRD")
        await client.send("13800138000", "hello")  # its answer comes behind the reports
        with counted() as work:
            for place in range(FEW):
                await client.send("13800138000", f"hello {place}")
        return work.total()

    assert grows_no_faster((await work_behind(0, FEW), await work_behind(FEW, MANY)))
    await answer()


async def test_waiting_cancels_do_not_slow_messages(gateway: Any, connect: Make) -> None:
    client = connect(window=1)
    answer = await fill_window(gateway, client)

    async def cancel(count: int) -> None:
        tasks = [asyncio.create_task(client.cancel(str(place))) for place in range(count)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    assert grows_no_faster(await work_for_each(cancel))
    await answer()
    assert gateway.all(Cancel) == []


async def test_a_call_that_its_own_receipt_cancels_is_recorded_once(connect: Make) -> None:
    receipts: list[Receipt] = []

    def cancel(receipt: Receipt) -> None:
        receipts.append(receipt)
        tasks[0].cancel()

    client = connect(on_receipt=cancel)
    tasks = await begin(client, 1)
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    assert [receipt.outcome for receipt in receipts] == [Outcome.ACCEPTED]
    assert client.status.connected
