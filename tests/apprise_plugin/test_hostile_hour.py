"""Many random faults: no message is sent twice, and the reported outcomes match the platform."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from sms1680.apprise.sender import NotificationSender
from sms1680.sandbox import PRESETS, Account, Call, Config, Fault, SandboxThread

CONFIG = Config(accounts=(Account(products={"61341": 10**6}, concurrency=100),), repeat_limit=10**6, report_delay=0.0)
ANSWER_TIMEOUT = 0.15
SENDS = 2000
RETRIED = 150
REPEATED = 2000 if "SMS1680_LONG_STORM" in os.environ else 120
CUT = ("drop_before", "drop_after", "no_body", "half")
STRANGE = ("html", "html_accepted", "error", "error_accepted", "empty", "empty_accepted", "redirect", "failed")
HARMLESS = ("padded", "nul", "no_length")


class Hostility:
    """Draws a fault for about half of the calls."""

    def __init__(self, seed: int, *more: str) -> None:
        self._random = random.Random(seed)
        self._faults = (*CUT, *STRANGE, *HARMLESS, *more)

    def __call__(self, _: Call) -> Fault | None:
        drawn = self._random.random()
        if drawn < 0.5:
            return None
        if drawn < 0.52:
            return Fault(stall_before=2 * ANSWER_TIMEOUT)
        if drawn < 0.54:
            return Fault(stall_after=2 * ANSWER_TIMEOUT)
        return PRESETS[self._random.choice(self._faults)]


class SkippingClock:
    """A clock that jumps ahead instead of sleeping."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._lock = threading.Lock()

    def clock(self) -> float:
        return time.monotonic() + self._ahead

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._ahead += seconds


@pytest.fixture
def box() -> Iterator[SandboxThread]:
    with SandboxThread(CONFIG) as running:
        yield running


def held_by(box: SandboxThread) -> Counter[tuple[str, str]]:
    return Counter((message.number, message.text) for message in box.platform.messages)


def test_reported_outcomes_match_the_platform(box: SandboxThread, service: Callable[..., Any], free_port: int) -> None:
    box.platform.faults.choose = Hostility(1680, "too_fast")
    clock = SkippingClock()

    def make_sender(**options: str) -> NotificationSender:
        made: NotificationSender = service("13800000000", cap="0", rto=str(ANSWER_TIMEOUT), **options)._make_sender()
        return replace(made, clock=clock.clock, sleep=clock.sleep)

    up, down = make_sender(), make_sender(gateway=f"http://127.0.0.1:{free_port}")

    def send(turn: int) -> list[tuple[tuple[str, str], str]]:
        sender = up if turn % 50 else down
        receipts = sender.send([f"139{turn:08d}"], f"第{turn}次", clock.clock())
        return [((receipt.number, f"第{turn}次"), receipt.outcome.value) for receipt in receipts]

    with ThreadPoolExecutor(8) as threads:
        outcomes = dict(pair for pairs in threads.map(send, range(SENDS)) for pair in pairs)
    ledger = held_by(box)
    assert len(outcomes) == SENDS, "a number without an outcome"
    assert max(ledger.values()) == 1, "sent twice"
    for message, outcome in outcomes.items():
        if outcome in ("accepted", "held"):
            assert ledger[message] == 1, "reported as accepted, but not at the platform"
        elif outcome in ("not_sent", "refused"):
            assert ledger[message] == 0, "reported as not sent, but at the platform"
    assert set(outcomes.values()) == {"accepted", "refused", "unknown", "not_sent"}


def test_retries_send_no_message_twice(box: SandboxThread, service: Callable[..., Any]) -> None:
    """Apprise itself retries failed services, in the versions that support it."""
    import apprise

    box.platform.faults.choose = Hostility(2017)
    numbers = [f"138{place:08d}" for place in range(4)]
    results: dict[str, bool] = {}

    def notify(turn: int) -> None:
        sender = apprise.Apprise()
        sender.add(service(*numbers, batch="no", retry="2", wait="0", cap="0", rto=str(ANSWER_TIMEOUT), rate="100000"))
        results[f"第{turn}次"] = bool(sender.notify(f"第{turn}次"))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(notify, range(RETRIED)))
    ledger = held_by(box)
    assert max(ledger.values()) == 1, "sent twice"
    for text, succeeded in results.items():
        if succeeded:
            assert all(ledger[number, text] == 1 for number in numbers), (
                "reported as a success, but not at the platform"
            )
    assert set(results.values()) == {True, False}


def test_repeated_alarms_are_marked_and_doubled_only_after_an_unknown_outcome(
    box: SandboxThread, service: Callable[..., Any]
) -> None:
    """Alarms with `critical=yes&repeat=unknown`, and ordinary messages in the same run. No fault happens twice."""
    faults = iter([*CUT, "html", "html_accepted", "error", "error_accepted", "empty", "empty_accepted"] * SENDS)
    clock = SkippingClock()

    def make_sender(**options: str) -> NotificationSender:
        made: NotificationSender = service("13800000000", cap="0", **options)._make_sender()
        return replace(made, clock=clock.clock, sleep=clock.sleep)

    critical, ordinary = make_sender(critical="yes", repeat="unknown"), make_sender()
    outcomes: dict[str, str] = {}
    drawn = random.Random(7)
    unknown = 0
    for turn in range(REPEATED):
        number, text = f"139{turn:08d}", f"第{turn}次"
        if drawn.random() < 0.5:
            box.call(lambda platform: platform.faults.next(next(faults)))
            unknown += 1
        (receipt,) = (critical if turn % 2 else ordinary).send([number], text, clock.clock())
        outcomes[text] = receipt.outcome.value
    ledger = Counter(message.text for message in box.platform.messages)
    assert max(ledger.values()) == 1, "an equal text was sent twice"
    doubles = 0
    for turn in range(REPEATED):
        text = f"第{turn}次"
        copies = ledger[text], ledger[f"（重发）{text}"]
        if turn % 2:
            assert sum(copies) >= 1, "an alarm was lost"
            assert outcomes[text] == "accepted"
            doubles += copies == (1, 1)
        else:
            assert copies[1] == 0, "an ordinary message was repeated"
            assert copies[0] == 1 or outcomes[text] == "unknown"
    assert 0 < doubles <= unknown
