"""When messages are encoded and written: what answered callers send leaves at once, and no message waits for others."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from sms1680 import NotSentError, Outcome, Reason, Receipt, UnknownOutcomeError
from sms1680.cmpp import CMPPClient, compose
from sms1680.cmpp.wire.pdus import Cancel, Submit, SubmitResp, Terminate

Make = Callable[..., CMPPClient]
NUMBERS = [f"138{place:08d}" for place in range(40)]


async def test_answered_callers_send_in_the_same_turn_of_the_event_loop(gateway: Any, connect: Make) -> None:
    written: list[str] = []
    written_when_all_had_run: list[int] = []

    def on_receipt(_: object) -> None:
        if not written_when_all_had_run:
            written_when_all_had_run.append(-1)
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, lambda: written_when_all_had_run.append(len(submits())))

    def submits() -> list[str]:
        return [line for line in written if line.startswith("→") and "SUBMIT" in line]

    client = connect(window=8, on_receipt=on_receipt, wire_log=written.append)
    held: list[tuple[Any, Submit]] = []
    gateway.on[Submit] = lambda line, pdu: held.append((line, pdu))

    async def send_two(number: str) -> None:
        await client.send(number, "one")
        await client.send(number, "two")

    tasks = [asyncio.create_task(send_two(number)) for number in NUMBERS[:8]]
    await gateway.until(Submit, 8)
    gateway.on[Submit] = gateway.accept
    for line, pdu in held:
        gateway.accept(line, pdu)
    await asyncio.gather(*tasks)
    assert written_when_all_had_run == [-1, 16]


async def test_a_batch_is_encoded_as_it_leaves(gateway: Any, connect: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    write = compose.write_text_content
    monkeypatch.setattr(compose, "write_text_content", lambda text, *_: encoded.append(text) or write(text, *_))
    client = connect(window=4)
    gateway.on[Submit] = lambda line, pdu: held.append((line, pdu))
    held: list[tuple[Any, Submit]] = []
    texts = [f"text {place}" for place in range(39)] + ["长" * 100]
    sending = asyncio.create_task(client.send_batch(zip(NUMBERS, texts, strict=True)))
    await gateway.until(Submit, 4)
    assert encoded == texts[:4]
    gateway.on[Submit] = gateway.accept
    for line, pdu in held:
        gateway.accept(line, pdu)
    receipts = await sending
    assert encoded == texts
    assert [receipt.number for receipt in receipts] == NUMBERS
    assert [receipt.segments for receipt in receipts] == [1] * 39 + [2]


async def test_a_message_that_cannot_be_written_takes_no_other_along(
    gateway: Any, connect: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(window=8)
    write = client._dispatcher._write_submit

    def write_most(*values: Any) -> bytes:
        if values[-2] == (NUMBERS[1],):
            raise ValueError(f"not {NUMBERS[1]}")
        return write(*values)

    monkeypatch.setattr(client._dispatcher, "_write_submit", write_most)
    with caplog.at_level(logging.ERROR), pytest.raises(UnknownOutcomeError) as caught:
        await client.send_batch([(number, "hello") for number in NUMBERS[:3]])
    outcomes = [receipt.outcome for receipt in caught.value.receipts]
    assert outcomes == [Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.ACCEPTED]
    assert caught.value.receipts[1].reason is Reason.LOST
    assert [record.getMessage() for record in caplog.records] == ["CMPP: a message could not be submitted: ValueError"]
    assert len(gateway.all(Submit)) == 2


async def test_a_text_that_cannot_be_encoded_takes_no_other_along(
    gateway: Any, connect: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write = compose.write_text_content

    def write_most(text: str, *values: Any) -> Any:
        if text == "secret":
            raise ValueError(text)
        return write(text, *values)

    monkeypatch.setattr(compose, "write_text_content", write_most)
    client = connect(window=8)
    other = asyncio.create_task(client.send(NUMBERS[3], "other"))
    texts = ["first", "secret", "last"]
    with caplog.at_level(logging.ERROR), pytest.raises(NotSentError) as caught:
        async with asyncio.timeout(20):
            await client.send_batch(zip(NUMBERS, texts, strict=False))
    receipts = caught.value.receipts
    assert [receipt.outcome for receipt in receipts] == [Outcome.ACCEPTED, Outcome.NOT_SENT, Outcome.ACCEPTED]
    assert (receipts[1].detail, receipts[1].message_ids) == ("ValueError", ())
    assert [receipt.outcome for receipt in await other] == [Outcome.ACCEPTED]
    assert [record.getMessage() for record in caplog.records] == ["CMPP: a text could not be encoded: ValueError"]
    assert len(gateway.all(Submit)) == 3


async def test_a_text_that_cannot_be_encoded_is_settled_with_its_cancelled_call(
    connect: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts: list[Receipt] = []
    client = connect(on_receipt=receipts.append, connect=lambda _: asyncio.Event().wait())
    sending = asyncio.create_task(client.send_batch([(number, "hello") for number in NUMBERS[:3]]))
    await asyncio.sleep(0)
    monkeypatch.setattr(compose, "write_text_content", None)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert [receipt.outcome for receipt in receipts] == [Outcome.NOT_SENT] * 3


async def test_segments_on_their_way_into_the_window_count_as_busy(gateway: Any, connect: Make) -> None:
    now, busy = [1000.0], list[bool]()
    client = connect(window=2, clock=lambda: now[0], on_receipt=lambda _: busy.append(client._dispatcher.busy))
    held: list[tuple[Any, Submit]] = []
    gateway.on[Submit] = lambda line, pdu: held.append((line, pdu))
    first = [asyncio.create_task(client.send(number, "hello")) for number in NUMBERS[:2]]
    await gateway.until(Submit, 2)
    late = asyncio.create_task(client.send(NUMBERS[2], "late", deadline=1.0))
    last = asyncio.create_task(client.send(NUMBERS[3], "last"))
    await asyncio.sleep(0)
    now[0] += 2.0
    gateway.on[Submit] = gateway.accept
    answers = [SubmitResp(sequence_id=pdu.sequence_id, msg_id=place) for place, (_, pdu) in enumerate(held, 1)]
    held[0][0].say(*answers)
    await asyncio.gather(*first, last)
    with pytest.raises(NotSentError):
        await late
    assert busy == [True] * 3 + [False]  # a client that is closed by a hook sends the rest first


@pytest.mark.parametrize("result", [8, 11])
async def test_messages_refused_while_the_client_closes_get_their_receipts(
    gateway: Any, connect: Make, result: int
) -> None:
    held: list[tuple[Any, Submit]] = []
    gateway.on[Submit] = lambda line, pdu: held.append((line, pdu))
    client = connect()
    sending = asyncio.create_task(client.send(NUMBERS[:2], "hello"))
    await gateway.until(Submit)

    def refuse(line: Any, pdu: Terminate) -> None:
        gateway.accept(*held[0], result)  # too fast, or a wrong number: both would be sent again
        gateway.terminate(line, pdu)

    gateway.on[Terminate] = refuse
    await client.aclose(timeout=0.05)
    with pytest.raises(NotSentError) as caught:
        async with asyncio.timeout(20):
            await sending
    assert [receipt.outcome for receipt in caught.value.receipts] == [Outcome.NOT_SENT] * 2
    assert len(gateway.all(Submit)) == 1


async def test_a_hook_that_cancels_a_message_keeps_to_the_window(gateway: Any, connect: Make) -> None:
    now, begun = [1000.0], list[Any]()

    def on_receipt(receipt: Receipt) -> None:
        if receipt.reason is Reason.PARTLY and receipt.message_id:
            begun.append(client.cancel(receipt.message_id))
            begun[0].send(None)  # as an eager task does it

    client = connect(window=1, clock=lambda: now[0], on_receipt=on_receipt)
    held: list[tuple[Any, Submit]] = []
    gateway.on[Submit] = lambda line, pdu: held.append((line, pdu))
    tasks = [asyncio.create_task(client.send(NUMBERS[0], "长" * 150, deadline=1.0))]
    await gateway.until(Submit)
    tasks.append(asyncio.create_task(client.send(NUMBERS[1], "other")))
    await asyncio.sleep(0)
    now[0] += 2.0
    gateway.accept(*held[0])
    await gateway.until(Submit, 2)
    await asyncio.sleep(0.1)
    assert begun
    begun[0].close()
    assert gateway.all(Cancel) == []  # the other message has the only place
    gateway.accept(*held[1])
    await gateway.until(Cancel)
    await asyncio.wait(tasks)
