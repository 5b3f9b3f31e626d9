"""Each receipt over HTTP carries the context of its call and the index of its item."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sms1680 import Account, AsyncClient, Outcome, Receipt, SendError, SpendingLimits
from sms1680.sandbox import Fault, Sandbox, SandboxThread

Make = Callable[..., Any]
NUMBERS = [f"1391100000{digit}" for digit in range(6)]
TEXT = "后门打开"


def items(receipts: list[Receipt], context: object) -> list[tuple[str, int]]:
    """Returns number and index of each receipt, in the order of the indexes."""
    assert all(receipt.context is context for receipt in receipts)
    return sorted(((receipt.number, receipt.index) for receipt in receipts), key=lambda item: item[1])


def test_receipts_of_each_kind_of_call_carry_context_and_index(make: Make, box: SandboxThread) -> None:
    recorded: list[Receipt] = []
    sms = make(box.url, on_receipt=recorded.append)
    one, two = NUMBERS[:2]
    contexts = [object() for _ in range(3)]
    returned = [
        sms.send([one, two, one], TEXT, context=contexts[0]),
        sms.send_template("{A}", [(one, "a"), (one, "b"), (one, "a"), (two, "a")], context=contexts[1]),
        sms.send_batch([(one, "a"), (one, "b"), (one, "a"), (two, "b")], context=contexts[2]),
    ]
    for context, receipts in zip(contexts, returned, strict=True):
        assert all(receipt.context is context for receipt in receipts)
    assert [[receipt.index for receipt in receipts] for receipts in returned] == [[0, 1, 0], [0, 1, 0, 2], [0, 1, 0, 2]]
    assert items(recorded[:2], contexts[0]) == [(one, 0), (two, 1)]
    assert items(recorded[2:5], contexts[1]) == [(one, 0), (one, 1), (two, 2)]
    assert items(recorded[5:], contexts[2]) == [(one, 0), (one, 1), (two, 2)]


def test_context_and_index_are_neither_compared_nor_printed() -> None:
    plain, other = Receipt(NUMBERS[0], Outcome.ACCEPTED), Receipt(NUMBERS[0], Outcome.ACCEPTED, context="me", index=7)
    assert plain == other
    assert hash(plain) == hash(other)
    assert repr(plain) == repr(other) == str(other)
    assert (plain.context, plain.index) == (None, 0)


def test_numbers_held_back_by_the_guard_keep_their_index(make: Make, box: SandboxThread, tmp_path: Path) -> None:
    recorded: list[Receipt] = []
    limits = SpendingLimits(hour=3, number=1)
    sms = make(box.url, on_receipt=recorded.append, spending=limits, state_dir=str(tmp_path), packet_size=1)
    pairs = [(NUMBERS[0], "a"), (NUMBERS[0], "b"), (NUMBERS[1], "c"), (NUMBERS[2], "d"), (NUMBERS[3], "e")]
    context = object()
    with pytest.raises(SendError) as raised:
        sms.send_batch(pairs, context=context)
    assert [receipt.index for receipt in raised.value.receipts] == [0, 1, 2, 3, 4]
    assert items(recorded, context) == [(number, index) for index, (number, _) in enumerate(pairs)]
    assert {receipt.index for receipt in recorded if receipt.outcome is Outcome.REFUSED} == {1, 4}


def test_numbers_behind_a_failed_packet_keep_their_index(make: Make, box: SandboxThread) -> None:
    recorded: list[Receipt] = []
    box.platform.faults.next("drop_after")
    sms = make(box.url, on_receipt=recorded.append, packet_size=2, signature="某某科技")
    context = object()
    with pytest.raises(SendError) as raised:
        sms.send(NUMBERS, TEXT, context=context)
    assert [receipt.index for receipt in raised.value.receipts] == list(range(6))
    assert items(recorded, context) == list(zip(NUMBERS, range(6), strict=True))


def test_an_error_survives_pickling_without_the_context(make: Make, box: SandboxThread) -> None:
    box.platform.faults.next("drop_after")
    sms = make(box.url)
    with pytest.raises(SendError) as raised:
        sms.send(NUMBERS[0], TEXT, context=lambda: None)
    error = pickle.loads(pickle.dumps(raised.value))
    assert error.receipts == raised.value.receipts
    assert error.receipts[0].context is None


async def test_receipts_of_a_cancelled_call_carry_context_and_index() -> None:
    recorded: list[Receipt] = []
    context = object()
    account = Account("demo", "demo1680", product_id="61341")
    async with Sandbox() as box:
        box.platform.faults.next(Fault(stall_after=0.2))
        sms = AsyncClient(account, gateway=box.url, packet_size=1, on_receipt=recorded.append)
        call = asyncio.create_task(sms.send(NUMBERS, TEXT, context=context))
        await box.wait_for(lambda platform: platform.messages)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await sms.close()
    assert items(recorded, context) == list(zip(NUMBERS, range(6), strict=True))
    assert [receipt.outcome for receipt in recorded] == [Outcome.ACCEPTED] + [Outcome.NOT_SENT] * 5


@pytest.mark.parametrize(
    ("outcome", "is_success", "is_failure", "may_arrive"),
    [
        (Outcome.ACCEPTED, True, False, True),
        (Outcome.HELD, True, False, True),
        (Outcome.REFUSED, False, True, False),
        (Outcome.NOT_SENT, False, True, False),
        (Outcome.UNKNOWN, False, False, True),
    ],
)
def test_outcome_properties(outcome: Outcome, is_success: bool, is_failure: bool, may_arrive: bool) -> None:
    assert (outcome.is_success, outcome.is_failure, outcome.may_arrive) == (is_success, is_failure, may_arrive)
