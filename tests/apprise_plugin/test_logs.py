"""The debug output of the whole program contains no password, full number or text."""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sms1680 import Outcome, Reason, Receipt
from sms1680.apprise.log_messages import failure_message
from sms1680.http.responses import DYNAMIC, SEND
from sms1680.sandbox import Fault, SandboxThread

A, B = "13800000000", "13900000001"
TITLE, TEXT = "后门报警", "后门在夜里打开"
PASSWORD = "demo1680"
MD5 = hashlib.md5(PASSWORD.encode()).hexdigest()

# A platform or a proxy that quotes the request.
QUOTING = Fault(body=f"<html>username=demo&password={MD5}&mobile={A}&content={TEXT}</html>", accept=False)


@pytest.mark.parametrize("language", ["C.UTF-8", "zh_CN.UTF-8"])
def test_no_answer_of_the_platform_makes_the_plugin_speak_of_cmpp(
    monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("LC_ALL", language)
    reasons = {*SEND.values(), *DYNAMIC.values()}
    reasons |= {Reason.LOST, Reason.NOT_UNDERSTOOD, Reason.NO_CONNECTION, Reason.WRONG_ADDRESS, Reason.DEADLINE}
    assert {Reason.AUTHENTICATION, Reason.PERMISSION} <= reasons
    receipts = [Receipt(A, Outcome.REFUSED, reason=reason) for reason in reasons if reason]
    assert [line for receipt in receipts if "CMPP" in (line := failure_message([receipt]))] == []


@pytest.mark.parametrize(
    "fault", [None, "drop_after", "failed", "error", QUOTING, Fault(body=f"8,{TEXT}", accept=False)]
)
def test_debug_output_contains_no_secrets(
    program: Callable[..., subprocess.CompletedProcess[str]],
    url: Callable[..., str],
    box: SandboxThread,
    dropin: Path,
    fault: Fault | str | None,
) -> None:
    if fault is not None:
        box.call(lambda platform: platform.faults.next(fault))
    done = program("-vvv", "-P", str(dropin), "-t", TITLE, "-b", TEXT, url(A, B, dedupe="60", user=f"demo:{PASSWORD}"))
    printed = done.stdout + done.stderr
    assert done.returncode == (0 if fault is None else 1)
    assert "DEBUG" in printed
    assert "138****0000" in printed
    assert [secret for secret in (PASSWORD, MD5, A, B, TITLE, TEXT) if secret in printed] == []
