"""The command line in a process of its own, as scripts call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sms1680.sandbox import Account as PlatformAccount, Config, SandboxThread

TEXT = "后门打开"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(box: SandboxThread) -> Run:
    def started(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        account = {
            "SMS1680_USERNAME": "demo",
            "SMS1680_PASSWORD": "demo1680",
            "SMS1680_PRODUCT_ID": "61341",
            "SMS1680_GATEWAY": box.url,
            "LANG": "C.UTF-8",
        }
        done = subprocess.run(
            [sys.executable, "-m", "sms1680", *arguments],
            env={**os.environ, **account, **environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for secret in ("demo1680", TEXT, "Traceback"):
            assert secret not in done.stdout + done.stderr
        return done

    return started


def test_a_text_is_sent_and_the_receipt_is_printed_masked(run: Run, box: SandboxThread) -> None:
    done = run(
        "send", "--to", "13911000000", "--to", "+8613688888888", "--signature", "某某", "--extension", "07", TEXT
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("accepted by the platform") == 2
    assert "139****0000" in done.stdout
    assert "13911000000" not in done.stdout
    assert [(message.text, message.extension) for message in box.platform.messages] == [(f"【某某】{TEXT}", "07")] * 2


def test_json_output_and_text_from_standard_input(run: Run, box: SandboxThread) -> None:
    done = run("send", "--json", "--to", "13911000000", "--at", "2099-01-01T08:00:00+08:00", "-", stdin=f"{TEXT}\n")
    [receipt] = json.loads(done.stdout)["receipts"]
    [message] = box.platform.messages
    assert receipt["number"] == "13911000000"
    assert receipt["outcome"] == "accepted"
    assert receipt["message_id"] == message.message_id
    assert message.text == TEXT
    assert message.due_at == 4070908800.0


@pytest.mark.parametrize(
    ("fault", "text", "code", "outcome"),
    [
        (None, "贷款到期", 3, "held"),
        (None, "开发票吗", 4, "refused"),
        ("half", "x", 6, "unknown"),
    ],
)
def test_each_outcome_has_its_exit_code(
    run: Run, box: SandboxThread, fault: str | None, text: str, code: int, outcome: str
) -> None:
    if fault:
        box.platform.faults.next(fault)
    done = run("send", "--json", "--to", "13911000000", text)
    assert done.returncode == code
    told = json.loads(done.stdout)
    assert told["receipts"][0]["outcome"] == outcome
    assert ("error" in told) == (outcome != "held")


def test_not_sent_has_its_exit_code_and_allows_repeating(run: Run) -> None:
    done = run("send", "--to", "13911000000", "--patience", "0", TEXT, SMS1680_GATEWAY="http://127.0.0.1:9")
    assert done.returncode == 5
    assert "safe to send again" in done.stdout
    assert "Could not connect" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["send", "--to", "555", "x"], "number 1 is not"),
        (["send", "--to", "13911000000", "--at", "tomorrow", "x"], "--at must be a time"),
        (["send", "--to", "13911000000", "--at", "2020-01-01", "x"], "must be in the future"),
        (["send", "--to", "13911000000", "--password-file", "/no/such/file", "x"], "password file"),
        (["balance", "--gateway", "nonsense"], "gateway"),
    ],
)
def test_invalid_arguments_exit_with_2_and_a_reason(run: Run, arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert says in done.stderr


def test_output_uses_the_language_of_the_locale(run: Run) -> None:
    done = run("send", "--to", "13911000000", "开发票吗", LANG="zh_CN.UTF-8")
    assert "短信含有禁用词语" in done.stderr
    assert "被平台拒绝" in done.stdout


def test_the_balance_and_a_password_from_a_file(run: Run, tmp_path: Path) -> None:
    assert run("balance").stdout == "1000\n"
    secret = tmp_path / "password"
    secret.write_text("demo1680\n")
    done = run("balance", "--json", "--password-file", str(secret), SMS1680_PASSWORD="wrong")
    assert json.loads(done.stdout) == {"balance": 1000}
    wrong = run("balance", SMS1680_PASSWORD="wrong")
    assert wrong.returncode == 1
    assert "password is wrong" in wrong.stderr


def test_plain_password_is_sent_on_request(run: Run, make_box: Callable[..., SandboxThread]) -> None:
    other = make_box(Config(accounts=(PlatformAccount(balance_takes_md5=False),)))
    assert run("balance", "--gateway", other.url).returncode == 1
    assert run("balance", "--gateway", other.url, "--plain").stdout == "1000\n"


def test_an_estimate_needs_no_account(run: Run) -> None:
    done = run("estimate", "--json", "--signature", "某某", "水" * 67, SMS1680_USERNAME="")
    assert json.loads(done.stdout) == {"parts": 2, "characters": 71, "flow": 2, "warnings": []}
    assert "warning: the signature 【…】 is missing" in run("estimate", "x").stdout


def test_help_names_every_command(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("send", "balance", "estimate", "sandbox", "apprise"):
        assert f"\n    {command}" in done.stdout


def test_command_with_a_missing_package_names_it(tmp_path: Path) -> None:
    (tmp_path / "aiohttp.py").write_text("raise ModuleNotFoundError(name='aiohttp')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "sms1680", "sandbox", "--port", "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "sandbox needs aiohttp: pip install aiohttp" in done.stderr


def test_low_balance_has_its_exit_code(run: Run) -> None:
    done = run("balance", "--below", "1001")
    assert (done.returncode, done.stdout) == (7, "1000\n")
    assert "below 1001" in done.stderr
    assert run("balance", "--below", "1000").returncode == 0
    assert run("balance", "--watch", "0").returncode == 2


def test_balance_is_watched_until_it_is_low(box: SandboxThread) -> None:
    account = {"SMS1680_USERNAME": "demo", "SMS1680_PASSWORD": "demo1680", "SMS1680_PRODUCT_ID": "61341"}
    environment = {**os.environ, **account, "SMS1680_GATEWAY": box.url, "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "sms1680", "balance", "--watch", "0.05", "--below", "900"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert watching.stdout.readline() == "1000\n"
        box.platform.faults.next("error")
        assert "not understood" in watching.stderr.readline()
        box.call(lambda platform: platform.accounts["demo"].balances.update({"61341": 950}))
        assert watching.stdout.readline() == "950\n"
        box.call(lambda platform: platform.accounts["demo"].balances.update({"61341": 899}))
        out, err = watching.communicate(timeout=60)
    assert (watching.returncode, out, err) == (7, "899\n", "sms1680: the balance is below 900\n")


def test_watching_ends_at_a_signal(box: SandboxThread) -> None:
    account = {"SMS1680_USERNAME": "demo", "SMS1680_PASSWORD": "demo1680", "SMS1680_PRODUCT_ID": "61341"}
    environment = {**os.environ, **account, "SMS1680_GATEWAY": box.url, "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "sms1680", "balance", "--json", "--watch", "600"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline()) == {"balance": 1000}
        watching.terminate()
        assert watching.communicate(timeout=60) == ("", "")
    assert watching.returncode == 0
