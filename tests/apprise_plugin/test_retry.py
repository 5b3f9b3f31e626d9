"""Apprise's `?retry=`: final outcomes are never sent again, and the result is correct."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from sms1680.apprise.retry import RetryMemory, RetryState
from sms1680.outcomes import Outcome, Reason
from sms1680.receipts import Receipt
from sms1680.sandbox import Config, SandboxThread

A, B, C = "13800000000", "13900000001", "13700000002"
TEXT = "后门打开"
ACCEPTED, LOST, OFFLINE = ["accepted", None], ["unknown", "lost"], ["not_sent", "no_connection"]
FINAL_FAILURES = {
    "unknown": LOST,
    "refused": ["refused", "forbidden_words"],
    "held": ["held", "review"],
    "after a refusal": ["not_sent", "authentication"],
}
FAULTS = ("drop_after", "half", "html_accepted")

# Runs notifications one after the other. A script defines the receipts of each attempt instead of the platform.
NOTIFY = """
import asyncio, importlib, json, logging, sys
import apprise
from apprise.manager_plugins import NotificationManager
from sms1680.apprise import register
NotificationManager().unload_modules(disable_native=True)  # they take a second to load
assert register()
lines = []
class Handler(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith("sms1680"):
            lines.append([record.levelname, record.getMessage()])
logging.getLogger("apprise").addHandler(Handler())
logging.getLogger("apprise").setLevel(logging.INFO)
core = importlib.import_module("sms1680.apprise.core")
delivery = importlib.import_module("sms1680.apprise.sender").NotificationSender
true_send = delivery.send
results = {}
for name, (url, text, script, mode) in json.load(sys.stdin).items():
    lines.clear()
    attempts = []
    def send(self, numbers, text, started_at):
        attempts.append([numbers, text, started_at])
        if not script:
            return true_send(self, numbers, text, started_at)
        return [
            core.Receipt(number, core.Outcome(outcome), None, core.Reason(reason) if reason else None)
            for number in numbers
            for outcome, reason in [script[min(len(attempts), len(script)) - 1][number]]
        ]
    delivery.send = send
    sender = apprise.Apprise()
    assert sender.add(url)
    result = asyncio.run(sender.async_notify(text)) if mode == "async" else sender.notify(text)
    results[name] = {"result": bool(result), "attempts": list(attempts), "lines": list(lines)}
assert "httpx" not in sys.modules
print(json.dumps(results))
"""


def scenarios(gateway: str) -> dict[str, tuple[str, str, object, str]]:
    def url(targets: str, **options: object) -> str:
        return f"sms1680://demo:demo1680@61341/{targets}?{urlencode({'gateway': gateway, **options})}"

    first = {A: ACCEPTED, B: OFFLINE, C: ["refused", "too_fast"]}
    then = {B: ACCEPTED, C: ACCEPTED}
    found = {mode: (url(f"{A}/{B}/{C}", retry=2, wait=0), TEXT, [first, then], mode) for mode in ("sync", "async")}
    for name, failure in FINAL_FAILURES.items():
        script = [{A: ACCEPTED, B: failure, C: OFFLINE}, {C: ACCEPTED}]
        found[name] = (url(f"{A}/{B}/{C}", retry=3, wait=0), TEXT, script, "sync")
    found["time"] = (url(A, retry=2, wait=1.1, stamp="yes"), TEXT, [{A: OFFLINE}], "sync")
    found |= {fault: (url(A, retry=3, wait=0), f"{TEXT}{fault}", None, "sync") for fault in FAULTS}
    return found | {"good": (url(f"{A}/{B}", retry=3, wait=0), TEXT, None, "sync")}


@dataclass
class Story:
    """The results of each scenario, and the platform's messages at the end."""

    results: dict[str, Any]
    texts: list[tuple[str, str]]

    def numbers(self, scenario: str) -> list[list[str]]:
        return [numbers for numbers, _, _ in self.results[scenario]["attempts"]]

    def lines(self, scenario: str, level: str) -> list[str]:
        return [line for of_line, line in self.results[scenario]["lines"] if of_line == level]


@pytest.fixture(scope="module")
def story(dropin: Path, alone: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folders = {"SMS1680_STATE_DIR": str(tmp_path_factory.mktemp("state")), "no_proxy": "127.0.0.1"}
    with SandboxThread(Config()) as box:
        for fault in FAULTS:
            box.call(lambda platform, fault=fault: platform.faults.next(fault))
        done = subprocess.run(
            [str(alone), "-P", "-c", NOTIFY],
            input=json.dumps(scenarios(box.url)),
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(dropin / "sms1680" / "_vendor"), **folders},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return Story(json.loads(done.stdout), [(message.number, message.text) for message in box.platform.messages])


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_retry_sends_only_to_numbers_that_certainly_got_nothing(story: Story, mode: str) -> None:
    assert story.numbers(mode) == [[A, B, C], [B, C]]
    assert story.results[mode]["result"] is True
    first, second = story.lines(mode, "INFO")
    assert first == "sms1680: accepted: 138****0000"
    assert "138****0000" not in second


@pytest.mark.parametrize("scenario", FINAL_FAILURES)
def test_final_failure_stays_a_failure(story: Story, scenario: str) -> None:
    assert story.numbers(scenario) == [[A, B, C], [C]]
    assert story.results[scenario]["result"] is False
    assert "139****0001" in story.lines(scenario, "ERROR")[-1]


def test_attempts_share_start_time_and_text(story: Story) -> None:
    assert story.numbers("time") == [[A]] * 3
    assert len({(text, began) for _, text, began in story.results["time"]["attempts"]}) == 1
    assert story.results["time"]["result"] is False


@pytest.mark.parametrize("fault", FAULTS)
def test_unknown_outcome_is_not_retried(story: Story, fault: str) -> None:
    assert story.numbers(fault) == [[A]]
    assert story.results[fault]["result"] is False
    assert "It may have arrived" in story.lines(fault, "ERROR")[0]
    assert story.texts.count((A, f"{TEXT}{fault}")) == 1


def test_success_is_sent_once(story: Story) -> None:
    assert story.results["good"]["result"] is True
    assert story.numbers("good") == [[A, B]]
    assert [story.texts.count((number, TEXT)) for number in (A, B)] == [1, 1]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_same_text_later_is_a_new_notification() -> None:
    clock = Clock()
    memory = RetryMemory(clock)
    attempts = RetryState(clock(), TEXT)
    memory.remember(TEXT, attempts)
    assert memory.recall(TEXT, 2.0) is None  # still in progress, so this is another notification
    memory.finish(TEXT, attempts, succeeded=False)
    clock.now += 6.9
    assert memory.recall(TEXT, 2.0) is attempts
    memory.finish(TEXT, attempts, succeeded=False)
    clock.now += 7.1
    assert memory.recall(TEXT, 2.0) is None


def test_success_is_not_remembered() -> None:
    memory = RetryMemory(Clock())
    attempts = RetryState(100.0, TEXT)
    memory.remember(TEXT, attempts)
    memory.finish(TEXT, attempts, succeeded=True)
    assert memory.recall(TEXT, 2.0) is None


def test_memory_is_bounded() -> None:
    memory = RetryMemory(Clock())
    for place in range(1000):
        memory.remember(f"{TEXT}{place}", RetryState(100.0, TEXT))
    assert len(memory._states) == 64


def test_missing_time_does_not_replace_an_earlier_reason() -> None:
    attempts = RetryState(100.0, TEXT)
    refused = Receipt(A, Outcome.NOT_SENT, reason=Reason.NO_CONNECTION)
    attempts.record(refused)
    attempts.record(Receipt(A, Outcome.NOT_SENT, reason=Reason.DEADLINE))
    assert attempts.receipts[A] is refused
    attempts.record(Receipt(A, Outcome.ACCEPTED))
    assert attempts.remaining([A, B]) == [B]
