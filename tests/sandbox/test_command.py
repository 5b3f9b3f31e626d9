"""The command, in another process."""

import argparse
import json
import re
import signal
import socket
import subprocess
import sys
import unicodedata
import urllib.request

import pytest

from sms1680.sandbox.command import add

PROGRAM = (
    "import argparse, sys; from sms1680.sandbox.command import add;"
    "parser = argparse.ArgumentParser(); add(parser.add_subparsers()); args = parser.parse_args();"
    "sys.exit(args.run(args))"
)


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    import os

    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def ask(gateway: str, password: str) -> str:
    url = f"{gateway}/balance.do?username=demo&password={password}&productid=61341"
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
        return answer.read().decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_json_output_and_end_by_signal(number: int) -> None:
    with start("--port", "0", "--balance", "5", "--json", SMS1680_SANDBOX_PASSWORD="own") as process:
        addresses = json.loads(process.stdout.readline())
        assert addresses["page"] == f"{addresses['gateway']}/"
        assert (addresses["username"], addresses["product_id"]) == ("demo", "61341")
        assert ask(addresses["gateway"], "own") == "5"
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stdout.read() == process.stderr.read() == ""


def test_cmpp_port_is_printed() -> None:
    with start("--port", "0", "--cmpp-port", "0", "--json") as process:
        cmpp = json.loads(process.stdout.readline())["cmpp"]
        assert (cmpp["host"], cmpp["sp_id"], cmpp["source_number"]) == ("127.0.0.1", "901680", "106900001680")
        with socket.create_connection((cmpp["host"], cmpp["port"]), timeout=10):
            process.terminate()


def test_demo_password_is_printed() -> None:
    with start("--port", "0") as process:
        lines = [process.stdout.readline() for _ in range(4)]
        assert ask(lines[0].split()[-1], lines[3].split()[-1]) == "1000"
        process.terminate()


@pytest.mark.parametrize(
    ("spoken", "labels"),
    [
        ("C.UTF-8", ["platform (gateway)", "phone page", "account", "CMPP", "password"]),
        ("zh_CN.UTF-8", ["平台地址", "手机页面", "账户", "CMPP", "密码"]),
    ],
)
def test_output_is_in_the_language_of_the_environment(spoken: str, labels: list[str]) -> None:
    with start("--port", "0", "--cmpp-port", "0", LC_ALL=spoken, PYTHONUTF8="1") as process:
        lines = [process.stdout.readline().rstrip("\n") for _ in labels]
        process.terminate()
    assert [line.split("  ")[0] for line in lines] == labels
    columns = {_width(line[: len(line) - len(line.split("  ")[-1].lstrip())]) for line in lines}
    assert len(columns) == 1, "the values stand below each other"
    assert ("demo, product 61341" if spoken == "C.UTF-8" else "demo，产品 ID 61341") in lines[2]
    assert ("source number" if spoken == "C.UTF-8" else "接入号") in lines[3]


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) == "W" else 1 for character in text)


@pytest.mark.parametrize("spoken", ["C.UTF-8", "zh_CN.UTF-8"])
@pytest.mark.parametrize("arguments", [("--rate", "0"), ("--rate", "nan"), ("--port", "99999"), ("--cmpp-port", "-1")])
def test_wrong_numbers_are_explained(arguments: tuple[str, ...], spoken: str) -> None:
    with start(*arguments, LC_ALL=spoken, PYTHONUTF8="1") as process:
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 2
    assert bool(re.search("[\u4e00-\u9fff]", errors)) is (spoken != "C.UTF-8")


@pytest.mark.parametrize("arguments", [("--rate", "0"), ("--host", "203.0.113.1")])
def test_invalid_settings_are_reported_in_one_line(arguments: tuple[str, ...]) -> None:
    with start("--port", "0", *arguments) as process:
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 2
        assert errors.startswith("sms1680 sandbox: ")
        assert errors.count("\n") == 1


def test_help_of_the_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser(prog="sms1680")
    add(parser.add_subparsers())
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["sandbox", "--help"])
    assert ended.value.code == 0
    assert "--report-delay" in capsys.readouterr().out
