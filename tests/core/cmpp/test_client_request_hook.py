"""Over CMPP, the request hook is called with a connection and a place in the window, before the SUBMIT."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sms1680 import NotSentError, Outcome, SendError, UnknownOutcomeError
from sms1680.cmpp import CMPPClient
from sms1680.cmpp.wire.pdus import Submit

Make = Callable[..., CMPPClient]
NUMBERS = [f"1380013800{digit}" for digit in range(4)]
LONG = "长" * 150  # three segments


class Hook:
    """Records its calls, with the number of SUBMITs that the gateway has received by then."""

    def __init__(self, gateway: Any) -> None:
        self.gateway = gateway
        self.calls: list[tuple[str, tuple[int, ...], int]] = []
        self.release = asyncio.Event()
        self.release.set()
        self.error: Exception | None = None

    async def before(self, indexes: Sequence[int], /) -> None:
        self.calls.append(("before", tuple(indexes), len(self.gateway.all(Submit))))
        await self.release.wait()
        if self.error is not None:
            raise self.error

    def undo(self, indexes: Sequence[int], /) -> None:
        self.calls.append(("undo", tuple(indexes), len(self.gateway.all(Submit))))

    @property
    def names(self) -> list[tuple[str, tuple[int, ...]]]:
        return [(name, indexes) for name, indexes, _ in self.calls]


async def until(look: Callable[[], object]) -> None:
    """Wait until something is so."""
    for _ in range(1000):
        if look():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not happen in ten seconds")


@pytest.mark.parametrize("rate", [None, 1000])
async def test_hook_is_called_before_the_submit_once_for_all_segments(gateway: Any, connect: Make, rate: Any) -> None:
    hook = Hook(gateway)
    hook.release.clear()
    client = connect(rate=rate)
    call = asyncio.create_task(client.send(NUMBERS[0], LONG, request_hook=hook))
    await until(lambda: hook.calls)
    await asyncio.sleep(0.05)
    assert gateway.lines
    assert gateway.all(Submit) == []
    hook.release.set()
    [receipt] = await call
    assert receipt.segments == 3
    assert hook.calls == [("before", (0,), 0)]
    assert [pdu.pk_number for pdu in gateway.all(Submit)] == [1, 2, 3]


async def test_messages_without_a_place_in_the_window_are_not_announced(gateway: Any, connect: Make) -> None:
    held: list[tuple[Any, Submit]] = []
    gateway.on[Submit] = lambda line, pdu: held.append((line, pdu))
    hook = Hook(gateway)
    hook.release.clear()
    client = connect(window=2)
    calls = [asyncio.create_task(client.send(number, "x", request_hook=hook)) for number in NUMBERS]
    await until(lambda: len(hook.calls) == 2)
    await asyncio.sleep(0.05)
    assert hook.names == [("before", (0,))] * 2  # the places are reserved while the hook runs
    hook.release.set()
    await gateway.until(Submit, 2)
    await asyncio.sleep(0.05)
    assert len(hook.calls) == 2
    gateway.on[Submit] = gateway.accept
    for line, pdu in held:
        gateway.accept(line, pdu)
    receipts = [receipt for call in calls for receipt in await call]
    assert [receipt.outcome for receipt in receipts] == [Outcome.ACCEPTED] * 4
    assert hook.names == [("before", (0,))] * 4


@pytest.mark.parametrize("rate", [None, 1000])
async def test_without_a_connection_nothing_is_announced(gateway: Any, connect: Make, rate: Any) -> None:
    gateway.status = 5
    hook = Hook(gateway)
    with pytest.raises(NotSentError):
        await connect(rate=rate).send(NUMBERS[0], "x", patience=0.05, request_hook=hook)
    assert hook.calls == []


async def test_a_message_refused_as_too_fast_is_taken_back_until_its_next_turn(gateway: Any, connect: Make) -> None:
    gateway.on[Submit] = gateway.refuse(8)
    hook = Hook(gateway)
    [receipt] = await connect().send(NUMBERS[0], "x", request_hook=hook)
    assert receipt.outcome is Outcome.ACCEPTED
    assert hook.calls == [("before", (0,), 0), ("undo", (0,), 1), ("before", (0,), 1)]


async def test_a_message_with_a_wrong_number_is_taken_back_until_its_halves_are_sent(
    gateway: Any, connect: Make, refused_with: Any
) -> None:
    gateway.on[Submit] = lambda line, pdu: gateway.accept(line, pdu, 11 if NUMBERS[0] in pdu.dest_terminal_id else 0)
    hook = Hook(gateway)
    await refused_with(connect(window=1), SendError, NUMBERS[:2], "x", request_hook=hook)
    assert hook.calls == [("before", (0, 1), 0), ("undo", (0, 1), 1), ("before", (0,), 1), ("before", (1,), 2)]


async def test_a_long_message_with_an_accepted_segment_is_never_taken_back(gateway: Any, connect: Make) -> None:
    gateway.on[Submit] = gateway.refuse(0, 8)
    hook = Hook(gateway)
    [receipt] = await connect().send(NUMBERS[0], LONG, request_hook=hook)
    assert (receipt.outcome, len(receipt.message_ids)) == (Outcome.ACCEPTED, 3)
    assert hook.names == [("before", (0,))]


async def test_a_connection_lost_during_the_hook_takes_the_message_back(gateway: Any, connect: Make) -> None:
    hook = Hook(gateway)
    hook.release.clear()
    client = connect(sleep=lambda seconds: asyncio.sleep(min(seconds, 0.01)))
    call = asyncio.create_task(client.send(NUMBERS[0], LONG, request_hook=hook))
    await until(lambda: hook.calls)
    gateway.lines[0].transport.close()
    await until(lambda: not client.status.connected)
    gateway.status = 5
    hook.release.set()
    await until(lambda: len(hook.calls) == 2)
    gateway.status = 0
    [receipt] = await call
    assert receipt.outcome is Outcome.ACCEPTED
    assert hook.names == [("before", (0,)), ("undo", (0,)), ("before", (0,))]
    assert len(gateway.all(Submit)) == 3


async def test_a_hook_that_waits_is_not_called_again_when_the_pace_changes(gateway: Any, connect: Make) -> None:
    held: list[tuple[Any, Submit]] = []
    gateway.on[Submit] = lambda line, pdu: held.append((line, pdu))
    hook = Hook(gateway)
    hook.release.clear()
    client = connect(window=3)
    fast = asyncio.create_task(client.send(NUMBERS[0], "x"))
    await gateway.until(Submit)
    call = asyncio.create_task(client.send(NUMBERS[1], LONG, request_hook=hook))
    await until(lambda: hook.calls)  # two of its segments have a place, the third one waits
    gateway.on[Submit] = gateway.accept
    gateway.accept(*held[0], 8)
    await fast
    await asyncio.sleep(0.6)
    assert hook.names == [("before", (0,))]  # also for the third segment, which has its turn now
    hook.release.set()
    [receipt] = await call
    assert receipt.segments == 3
    assert hook.names in ([("before", (0,))], [("before", (0,)), ("undo", (0,)), ("before", (0,))])


@pytest.mark.parametrize("rate", [None, 1000])
async def test_a_hook_that_fails_sends_nothing(gateway: Any, connect: Make, rate: Any) -> None:
    hook = Hook(gateway)
    hook.error = OSError("disk full")
    client = connect(rate=rate)
    with pytest.raises(NotSentError) as raised:
        await client.send(NUMBERS[0], LONG, request_hook=hook)
    assert raised.value.receipts[0].detail == "OSError"
    assert gateway.all(Submit) == []
    hook.error = None
    assert await client.send(NUMBERS[1], LONG, request_hook=hook)


@pytest.mark.parametrize("rate", [None, 1000])
async def test_a_call_cancelled_during_the_hook_submits_nothing(gateway: Any, connect: Make, rate: Any) -> None:
    hook = Hook(gateway)
    hook.release.clear()
    recorded: list[Any] = []
    client = connect(rate=rate, on_receipt=recorded.append)
    call = asyncio.create_task(client.send(NUMBERS[0], LONG, request_hook=hook))
    await until(lambda: hook.calls)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    hook.release.set()
    await until(lambda: recorded)
    await client.send(NUMBERS[1], "x")
    assert recorded[0].outcome is Outcome.NOT_SENT
    assert len(gateway.all(Submit)) == 1


async def test_closing_during_the_hook_settles_the_message(gateway: Any, connect: Make) -> None:
    hook = Hook(gateway)
    hook.release.clear()
    client = connect()
    call = asyncio.create_task(client.send(NUMBERS[0], "x", request_hook=hook))
    await until(lambda: hook.calls)
    await client.aclose(timeout=0.05)
    with pytest.raises(NotSentError):
        await call
    assert gateway.all(Submit) == []


async def test_a_message_with_a_lost_answer_stays_announced(gateway: Any, connect: Make) -> None:
    gateway.on[Submit] = lambda line, _pdu: line.transport.close()
    hook = Hook(gateway)
    with pytest.raises(UnknownOutcomeError):
        await connect().send(NUMBERS[0], "x", request_hook=hook)
    assert hook.names == [("before", (0,))]


async def test_messages_with_and_without_a_hook_keep_going_together(gateway: Any, connect: Make) -> None:
    hook = Hook(gateway)
    client = connect(window=4)
    calls = [
        client.send(number, LONG, request_hook=hook if place % 2 else None) for place, number in enumerate(NUMBERS * 5)
    ]
    receipts = [receipt for receipts in await asyncio.gather(*calls) for receipt in receipts]
    assert {receipt.outcome for receipt in receipts} == {Outcome.ACCEPTED}
    assert len(hook.calls) == 10
    assert len(gateway.all(Submit)) == 60
