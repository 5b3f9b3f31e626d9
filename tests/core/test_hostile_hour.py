"""A hostile hour in small: whatever goes wrong, nothing is lost without a word, and nothing is sent twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from sms1680 import Account, AsyncClient, Client, Receipt, SendError
from sms1680.sandbox import Account as PlatformAccount, Config, Fault, Sandbox, SandboxThread
from sms1680.sandbox.faults import PRESETS, Call

ACCOUNT = Account("demo", "demo1680", product_id="61341")
pytestmark = pytest.mark.timeout(900)  # long on a busy machine

CONFIG = Config(accounts=(PlatformAccount(products={"61341": 10**6}, concurrency=100),), repeat_limit=10**6)
ANSWER_TIMEOUT = 0.15

HARMLESS = ("padded", "nul", "no_length")
FAULTS = [
    *("drop_before", "drop_after", "no_body", "half", "html", "html_accepted", "error", "error_accepted"),
    *("empty", "empty_accepted", "redirect", "too_fast", "failed", *HARMLESS),
]


class Hostility:
    """Draws a fault for about every second call."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __call__(self, _: Call) -> Fault | None:
        drawn = self._random.random()
        if drawn < 0.5:
            return None
        if drawn < 0.52:
            return Fault(stall_before=2 * ANSWER_TIMEOUT)
        if drawn < 0.54:
            return Fault(stall_after=2 * ANSWER_TIMEOUT)
        return PRESETS[self._random.choice(FAULTS)]


class Hurry:
    """Simulated time: sleeping advances the clock."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._lock = threading.Lock()

    def clock(self) -> float:
        return time.monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._ahead += seconds

    async def sleep_in_loop(self, seconds: float) -> None:
        self.sleep(seconds)
        await asyncio.sleep(0)


def check(told: Iterable[tuple[str, Receipt]], ledger: Counter[tuple[str, str]], sends: int) -> Counter[str]:
    """Holds what the receipts said against what the platform really took on."""
    seen: set[tuple[str, str]] = set()
    outcomes: Counter[str] = Counter()
    for text, receipt in told:
        key = (receipt.number, text)
        outcomes[receipt.outcome.value] += 1
        seen.add(key)
        if receipt.outcome in ("accepted", "held"):
            assert ledger[key] == 1, "accepted, and the platform never heard of it"
        elif receipt.outcome in ("not_sent", "refused"):
            assert ledger[key] == 0, "told as not sent, and the platform has it"
    assert len(seen) == outcomes.total() == sends, "a number without a word"
    assert max(ledger.values()) == 1, "sent twice"
    assert {"accepted", "refused", "unknown"} <= set(outcomes)
    return outcomes


async def test_two_thousand_sends_with_faults_and_cancellations() -> None:
    chance = random.Random(1680)
    heard: list[Receipt] = []
    hurry = Hurry()
    lanes = asyncio.Semaphore(20)

    async with contextlib.AsyncExitStack() as stack:
        box = await stack.enter_async_context(Sandbox(CONFIG))
        box.platform.faults.choose = Hostility(1)
        up, down = [
            await stack.enter_async_context(
                AsyncClient(
                    ACCOUNT,
                    gateway=gateway,
                    timeout=ANSWER_TIMEOUT,
                    patience=5,
                    on_receipt=heard.append,
                    clock=hurry.clock,
                    sleep=hurry.sleep_in_loop,
                )
            )
            for gateway in (box.url, "http://127.0.0.1:9")
        ]

        async def send(turn: int) -> None:
            async with lanes:
                sms = up if turn % 50 else down
                call = asyncio.create_task(sms.send(f"139{turn:08d}", f"第{turn}次"))
                if turn % 10 == 0:
                    asyncio.get_running_loop().call_later(chance.random() * 0.05, call.cancel)
                with contextlib.suppress(SendError, asyncio.CancelledError):
                    await call

        await asyncio.gather(*(send(turn) for turn in range(2000)))
        await up.close()  # waits for requests in the background
        told = [(f"第{int(receipt.number[3:])}次", receipt) for receipt in heard]
        assert check(told, box.platform.ledger, 2000)["not_sent"]


def test_five_hundred_calls_of_several_numbers_from_five_threads() -> None:
    told: list[tuple[str, Receipt]] = []
    hurry = Hurry()
    with SandboxThread(CONFIG) as box:
        box.platform.faults.choose = Hostility(2)
        with Client(
            ACCOUNT,
            gateway=box.url,
            timeout=ANSWER_TIMEOUT,
            patience=5,
            packet_size=2,
            clock=hurry.clock,
            sleep=hurry.sleep,
        ) as sms:

            def send(turn: int) -> None:
                text = f"第{turn}次"
                try:
                    receipts = sms.send([f"139{turn:04d}{place:04d}" for place in range(5)], text)
                except SendError as error:
                    receipts = error.receipts
                told.extend((text, receipt) for receipt in receipts)

            with ThreadPoolExecutor(5) as pool:
                list(pool.map(send, range(500)))
        check(told, box.call(lambda platform: platform.ledger), 2500)


def test_batch_and_template_lose_and_double_nothing() -> None:
    told: list[tuple[str, Receipt]] = []
    hurry = Hurry()
    with SandboxThread(CONFIG) as box:
        box.platform.faults.choose = Hostility(3)
        with Client(
            ACCOUNT, gateway=box.url, timeout=ANSWER_TIMEOUT, patience=0, clock=hurry.clock, sleep=hurry.sleep
        ) as sms:
            for turn in range(150):
                rows = [(f"139{turn:04d}{place:04d}", f"第{turn}次之{place}") for place in range(2)]
                try:
                    receipts = sms.send_batch(rows) if turn % 2 else sms.send_template("{A}", rows)
                except SendError as error:
                    receipts = error.receipts
                told.extend((text, receipt) for (_, text), receipt in zip(rows, receipts, strict=True))
        check(told, box.call(lambda platform: platform.ledger), 300)
