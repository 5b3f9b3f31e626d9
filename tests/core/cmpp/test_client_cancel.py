"""Cancelling scheduled messages with the CMPP client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sms1680 import DeliveryReport, InvalidMessageError, InvalidSettingError, NoAnswerError, Reason
from sms1680.cmpp import CancelOutcome, CMPPClient
from sms1680.cmpp.wire.codec import encode
from sms1680.cmpp.wire.pdus import ActiveTest, Cancel, CancelResp, Submit, SubmitResp, Terminate
from sms1680.sandbox import Account, Config, Sandbox

Make = Callable[..., CMPPClient]
NUMBER, OTHER = "13800138000", "13900139000"
GOLDEN_ID = "13483237699126034433"


def answer(line: Any, pdu: Cancel, success_id: int = 0) -> None:
    line.say(CancelResp(sequence_id=pdu.sequence_id, success_id=success_id))


async def test_cancel_sends_and_understands_the_golden_pdus(
    gateway: Any, connect: Make, golden: dict[str, bytes]
) -> None:
    def answer_golden(line: Any, pdu: Cancel) -> None:
        octets = golden["cancel_resp_0"]
        line.transport.write(octets[:8] + pdu.sequence_id.to_bytes(4, "big") + octets[12:])

    gateway.on[Cancel] = answer_golden
    assert await connect().cancel(GOLDEN_ID) is CancelOutcome.CANCELLED
    [heard] = gateway.all(Cancel)
    assert encode(replace(heard, sequence_id=602)) == golden["cancel"]


async def test_the_gateway_refuses_to_cancel(gateway: Any, connect: Make) -> None:
    gateway.on[Cancel] = lambda line, pdu: answer(line, pdu, 1)
    assert await connect().cancel(GOLDEN_ID) is CancelOutcome.NOT_POSSIBLE


@pytest.mark.parametrize("message_id", ["", "-1", "12a", "１２", str(2**64), "bb1e154006900001"])
async def test_an_id_of_another_kind_is_refused(gateway: Any, connect: Make, message_id: str) -> None:
    with pytest.raises(InvalidMessageError):
        await connect().cancel(message_id)
    with pytest.raises(InvalidSettingError):
        await connect().cancel(GOLDEN_ID, patience=-1)
    assert gateway.lines == []


async def test_a_lost_answer_is_unknown_and_a_late_one_is_ignored(gateway: Any, connect: Make) -> None:
    gateway.on[Cancel] = lambda _line, _pdu: None
    client = connect(answer_timeout=0.5)
    assert await client.cancel(GOLDEN_ID) is CancelOutcome.UNKNOWN
    answer(gateway.lines[0], gateway.all(Cancel)[0])
    gateway.on[Cancel] = answer
    assert await client.cancel(GOLDEN_ID) is CancelOutcome.CANCELLED
    first, second = gateway.all(Cancel)
    assert first.sequence_id != second.sequence_id


async def test_a_gateway_that_closes_instead_of_answering_leaves_it_unknown(gateway: Any, connect: Make) -> None:
    gateway.on[Cancel] = lambda line, _pdu: line.transport.close()
    client = connect(sleep=lambda seconds: asyncio.sleep(min(seconds, 0.01)))
    assert await client.cancel(GOLDEN_ID) is CancelOutcome.UNKNOWN
    gateway.on[Cancel] = answer
    assert await client.cancel(GOLDEN_ID) is CancelOutcome.CANCELLED
    assert len(gateway.lines) == 2
    assert len(gateway.all(Cancel)) == 2


async def test_an_answer_of_another_command_is_unknown(gateway: Any, connect: Make) -> None:
    gateway.on[Cancel] = lambda line, pdu: line.say(SubmitResp(sequence_id=pdu.sequence_id))
    assert await connect().cancel(GOLDEN_ID) is CancelOutcome.UNKNOWN


async def test_without_a_connection_nothing_is_cancelled(gateway: Any, connect: Make) -> None:
    gateway.status = 5
    client = connect(patience=60)
    with pytest.raises(NoAnswerError) as caught:
        await client.cancel(GOLDEN_ID, patience=0.05)
    assert caught.value.reason is Reason.NO_CONNECTION
    waiting = asyncio.create_task(client.cancel(GOLDEN_ID))
    await asyncio.sleep(0)
    await client.aclose()
    with pytest.raises(NoAnswerError):
        await waiting
    with pytest.raises(NoAnswerError):
        await client.cancel(GOLDEN_ID)
    assert gateway.all(Cancel) == []


async def test_an_abandoned_cancel_is_not_sent(gateway: Any, connect: Make) -> None:
    gateway.status = 5
    client = connect(sleep=lambda seconds: asyncio.sleep(min(seconds, 0.01)))
    gateway.on[Cancel] = answer
    abandoned = asyncio.create_task(client.cancel("1"))
    await asyncio.sleep(0)
    abandoned.cancel()
    gateway.status = 0
    assert await client.cancel("2") is CancelOutcome.CANCELLED
    assert [pdu.msg_id for pdu in gateway.all(Cancel)] == [2]


async def test_cancels_share_the_window_with_messages(gateway: Any, connect: Make) -> None:
    held: list[tuple[Any, Cancel]] = []
    gateway.on[Cancel] = lambda line, pdu: held.append((line, pdu))
    client = connect(window=2)
    cancels = [asyncio.create_task(client.cancel(str(number))) for number in (1, 2, 3)]
    await gateway.until(Cancel, 2)
    send = asyncio.create_task(client.send(NUMBER, "hello"))
    await asyncio.sleep(0.05)
    assert (len(gateway.all(Cancel)), gateway.all(Submit)) == (2, [])
    gateway.on[Cancel] = answer
    for line, pdu in held:
        answer(line, pdu)
    assert [await cancel for cancel in cancels] == [CancelOutcome.CANCELLED] * 3
    await send
    assert [type(pdu) for pdu in gateway.heard if isinstance(pdu, Cancel | Submit)].index(Submit) <= 3


async def test_a_silent_gateway_is_tested_before_a_cancel(gateway: Any, connect: Make) -> None:
    ahead = [0.0]
    loop = asyncio.get_running_loop()
    client = connect(clock=lambda: loop.time() + ahead[0], idle=1000.0)
    gateway.on[Cancel] = answer
    await client.send(NUMBER, "hello")
    ahead[0] = 11.0
    assert await client.cancel(GOLDEN_ID) is CancelOutcome.CANCELLED
    kinds = [type(pdu) for pdu in gateway.heard if isinstance(pdu, ActiveTest | Cancel | Terminate)]
    assert kinds == [ActiveTest, Cancel]


# --- against the sandbox ---------------------------------------------------------------------------------------------


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    config = Config(accounts=(Account(products={"61341": 1000}),), report_delay=0.0, cmpp_port=0)
    async with Sandbox(config) as sandbox:
        yield sandbox


async def test_a_scheduled_message_is_cancelled_at_the_platform(box: Sandbox) -> None:
    account = box.config.accounts[0]
    balances = box.platform.accounts[account.username].balances
    at = datetime.now(UTC) + timedelta(hours=1)
    settings = {"sp_id": account.sp_id, "secret": account.password, "source_number": account.source_number}
    async with CMPPClient("127.0.0.1", box.cmpp.port, **settings) as client, asyncio.timeout(20):
        [later] = await client.send(NUMBER, "【某某科技】" + "门" * 150, at=at)
        [kept] = await client.send(OTHER, "【某某科技】hello", at=at)
        assert balances["61341"] == 1000 - 3 - 1
        outcomes = await asyncio.gather(*map(client.cancel, later.message_ids))
        assert outcomes == [CancelOutcome.CANCELLED] * 3
        assert await anext(client) == DeliveryReport(str(later.message_id), NUMBER, "DELETED")
        assert await client.cancel(str(later.message_id)) is CancelOutcome.NOT_POSSIBLE
        assert await client.cancel("1") is CancelOutcome.NOT_POSSIBLE
        assert balances["61341"] == 1000 - 1
        [sent] = await client.send(NUMBER, "【某某科技】now")
        assert await client.cancel(str(sent.message_id)) is CancelOutcome.NOT_POSSIBLE
    box.platform.clock = lambda: at.timestamp() + 1
    box.platform.run_due()
    assert box.platform.phone(NUMBER).texts == ["【某某科技】now"]
    assert box.platform.phone(OTHER).texts == ["【某某科技】hello"]
    assert kept.message_id is not None
