"""Cancelling a call does not stop a request in flight: it ends, and its outcome is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from sms1680 import Account, AsyncClient, Client, Outcome, Reason, Receipt
from sms1680.http.transport import Request, Response
from sms1680.sandbox import Fault, Sandbox

NUMBERS = [f"1391100000{digit}" for digit in range(4)]
ACCOUNT = Account("demo", "demo1680", product_id="61341")
TEXT = "后门打开"


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        yield running


def told(receipts: list[Receipt]) -> list[tuple[str, str | None]]:
    return [(receipt.outcome.value, receipt.reason.value if receipt.reason else None) for receipt in receipts]


async def test_request_in_flight_ends_in_the_background_and_is_recorded(box: Sandbox) -> None:
    heard: list[Receipt] = []
    box.platform.faults.next(Fault(stall_after=0.3))
    sms = AsyncClient(ACCOUNT, gateway=box.url, packet_size=1, on_receipt=heard.append)
    call = asyncio.create_task(sms.send(NUMBERS, TEXT))
    await box.wait_for(lambda platform: platform.messages)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert heard == []
    await sms.close()
    assert told(heard) == [("accepted", None)] + [("not_sent", "cancelled")] * 3
    assert heard[0].message_id == box.platform.messages[0].message_id
    assert dict(box.platform.ledger) == {(NUMBERS[0], TEXT): 1}


async def send_until(box: Sandbox, sms: AsyncClient) -> None:
    """Send, in a time limit that ends as soon as the platform has accepted the message."""
    async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as group:

        async def end() -> None:
            await box.wait_for(lambda platform: platform.messages)
            limit.reschedule(0)

        group.create_task(end())
        await sms.send(NUMBERS[0], TEXT)


async def test_timeout_around_a_send_cancels_it(box: Sandbox) -> None:
    heard: list[Receipt] = []
    box.platform.faults.next(Fault(stall_after=2.0))
    async with AsyncClient(ACCOUNT, gateway=box.url, on_receipt=heard.append) as sms:
        with pytest.raises(TimeoutError):
            await send_until(box, sms)
    assert told(heard) == [("accepted", None)]


async def test_cancelled_call_in_the_queue_sends_nothing(box: Sandbox) -> None:
    heard: list[Receipt] = []
    async with AsyncClient(ACCOUNT, gateway=box.url, rate=0.001, on_receipt=heard.append) as sms:
        await sms.send(NUMBERS[0], TEXT)
        call = asyncio.create_task(sms.send(NUMBERS[1:], TEXT))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert told(heard[1:]) == [("not_sent", "cancelled")] * 3
    assert len(box.platform.messages) == 1


async def test_cancelled_call_releases_its_slot(box: Sandbox) -> None:
    async with AsyncClient(ACCOUNT, gateway=box.url, rate=1000) as sms:
        box.platform.faults.next(Fault(stall_after=0.2))
        call = asyncio.create_task(sms.send(NUMBERS[0], TEXT))
        await box.wait_for(lambda platform: platform.messages)
        call.cancel()
        [receipt] = await sms.send(NUMBERS[1], TEXT)
        assert receipt.outcome is Outcome.ACCEPTED


async def test_concurrent_calls_are_independent(box: Sandbox) -> None:
    async with AsyncClient(ACCOUNT, gateway=box.url) as sms:
        results = await asyncio.gather(*(sms.send(number, f"{TEXT}{turn}") for turn in range(10) for number in NUMBERS))
    assert {receipt.outcome for [receipt] in results} == {Outcome.ACCEPTED}
    assert set(box.platform.ledger.values()) == {1}
    assert len(box.platform.messages) == 40


async def test_callers_http_client_is_not_closed(box: Sandbox) -> None:
    import httpx

    async with httpx.AsyncClient() as shared:
        async with AsyncClient(ACCOUNT, gateway=box.url, http_client=shared) as sms:
            await sms.send(NUMBERS[0], TEXT)
        assert not shared.is_closed


class Interrupted:
    """A transport that is interrupted by Ctrl-C."""

    def exchange(self, _: Request) -> Response:
        raise KeyboardInterrupt

    def close(self) -> None:
        """Nothing to give back."""


def test_ctrl_c_during_a_request_is_recorded_as_unknown(make_sms: Callable[..., Client]) -> None:
    heard: list[Receipt] = []
    sms = make_sms(carrier=Interrupted(), on_receipt=heard.append, rate=1000)
    for _ in range(2):  # and the account's one place is free again
        with pytest.raises(KeyboardInterrupt):
            sms.send(NUMBERS[:2], TEXT)
    assert told(heard) == [("unknown", Reason.LOST.value)] * 4


@pytest.fixture
def make_sms() -> Callable[..., Client]:
    return lambda **settings: Client(ACCOUNT, gateway="http://127.0.0.1:9", **settings)
