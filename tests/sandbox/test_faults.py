"""HTTP faults on demand: the answer, and the messages that the platform accepted."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import aiohttp
import pytest

from sms1680.sandbox import PRESETS, Call, Cut, Fault

if TYPE_CHECKING:
    from tests.sandbox.conftest import Caller, MakeCaller

NUMBER = "13800000000"


async def ask(desk: Caller, text: str) -> tuple[int, bytes] | str:
    """Send and return status and body, or the type of the error."""
    form = desk.base | {"mobile": NUMBER, "content": text}
    try:
        async with desk.session.post(
            f"{desk.box.url}/sendXSms.do", data=form, allow_redirects=False, timeout=aiohttp.ClientTimeout(5)
        ) as answer:
            return answer.status, await answer.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("padded", b"\xef\xbb\xbf \r\n\x00 1,", b" \x00\x00\r\n \r\n"),
        ("blank", b"  1,", b"   "),
        ("nul", b"1,", b"\x00\x00\x00\x00"),
        ("bom", b"\xef\xbb\xbf1,", b""),
        ("crlf", b"\r\n1,", b"\r\n"),
    ],
)
async def test_padded_answers(call: MakeCaller, name: str, before: bytes, after: bytes) -> None:
    desk = await call()
    desk.box.platform.faults.next(name)
    status, body = await ask(desk, "x")
    assert status == 200
    assert body.startswith(before)
    assert body.endswith(after)
    assert len(body) == len(before) + 18 + len(after)


@pytest.mark.parametrize(
    ("name", "seen", "held"),
    [
        ("drop_before", "ServerDisconnectedError", 0),
        ("drop_after", "ServerDisconnectedError", 1),
        ("no_body", "ClientPayloadError", 1),
        ("half", "ClientPayloadError", 1),
        ("error", 502, 0),
        ("error_accepted", 504, 1),
        ("html", 200, 0),
        ("html_accepted", 200, 1),
        ("empty", 200, 0),
        ("empty_accepted", 200, 1),
        ("redirect", 302, 0),
        ("no_length", 200, 1),
        ("too_fast", 200, 0),
        ("address", 200, 0),
        ("failed", 200, 0),
    ],
)
async def test_ledger_is_correct_for_every_fault(call: MakeCaller, name: str, seen: int | str, held: int) -> None:
    desk = await call()
    desk.box.platform.faults.next(name)
    answer = await ask(desk, "x")
    assert (answer if isinstance(answer, str) else answer[0]) == seen
    assert desk.box.platform.ledger[NUMBER, "x"] == held
    status, body = await ask(desk, "y")
    assert (status, body[:2]) == (200, b"1,"), "the next call goes well"


@pytest.mark.parametrize(("name", "held"), [("stall_before", 0), ("stall_after", 1)])
async def test_stalls(call: MakeCaller, name: str, held: int) -> None:
    desk = await call()
    desk.box.platform.faults.next(name)
    stalled = asyncio.create_task(ask(desk, "x"))
    await desk.box.wait_for(lambda platform: platform.faults.happened == 1 and len(platform.messages) == held)
    assert not stalled.done()
    stalled.cancel()
    await asyncio.gather(stalled, return_exceptions=True)


async def test_message_stays_accepted_if_the_caller_disconnects(call: MakeCaller) -> None:
    desk = await call()
    desk.box.platform.faults.next(Fault(stall_before=0.05))
    cancelled = asyncio.create_task(ask(desk, "x"))
    await desk.box.wait_for(lambda platform: platform.faults.happened == 1)
    cancelled.cancel()
    await desk.box.wait_for(lambda platform: platform.ledger[NUMBER, "x"] == 1)


async def test_answer_without_length_can_be_cut_unnoticed(call: MakeCaller) -> None:
    desk = await call()
    desk.box.platform.faults.next(Fault(length=False, cut=Cut.IN_BODY))
    status, body = await ask(desk, "x")
    assert status == 200
    assert body == desk.box.platform.messages[0].message_id.join(["1,", ""]).encode()[:10]


async def test_single_byte_can_be_half_an_answer(call: MakeCaller) -> None:
    desk = await call()
    desk.box.platform.faults.next("half")
    form = desk.base | {"content": f"{NUMBER}|x"}
    async with desk.session.post(f"{desk.box.url}/sendPackSms.do", data=form) as answer:
        assert answer.content_length == 2
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_fault_order_is_choose_queue_standing(call: MakeCaller) -> None:
    desk = await call()
    faults = desk.box.platform.faults
    faults.choose = lambda which: Fault(body="chosen") if which is Call.BALANCE else None
    faults.next("empty", times=2)
    faults.always("failed")
    assert await desk.get("balance") == "chosen"
    assert [await desk.send("x") for _ in range(4)] == ["", "", "0", "0"]
    assert faults.happened == 5
    faults.clear()
    assert await desk.get("balance") == "1000"
    with pytest.raises(ValueError, match="no fault"):
        faults.next("unknown")


async def test_many_random_faults(call: MakeCaller) -> None:
    """Each text is sent once, and the ledger matches the definition of each fault."""
    desk = await call()
    expected: Counter[tuple[str, str]] = Counter()
    calm = {name: fault for name, fault in PRESETS.items() if not (fault.stall_before or fault.stall_after)}
    for name, fault in calm.items():
        desk.box.platform.faults.next(name)
        await ask(desk, name)
        expected[NUMBER, name] += fault.accept and fault.verdict is None
    assert desk.box.platform.ledger == +expected
    assert desk.box.platform.phone(NUMBER).texts == [text for _, text in +expected]
