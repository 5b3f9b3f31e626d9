"""Run the examples of the pages unchanged, against a sandbox.

The sandbox is the HTTP proxy of every program, so requests to the platform's address reach it.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apprise
import pytest
import yaml
from support.pages import Example, all_examples

import sms1680.apprise
from sms1680.sandbox import Account, Config, Message, Sandbox, SandboxThread

SIGNED = "【某某科技】"
ALARM = f"{SIGNED}后门 22:41 打开"
A, B = "13911000000", "13688888888"
CLOCK = re.compile(r" \d\d:\d\d:\d\d")

# For each example: the messages (number and text) that the platform receives, and the expected output.
OUTCOMES: dict[str, tuple[list[tuple[str, str]], tuple[str, ...]]] = {
    "send": ([(A, ALARM), (B, ALARM)], ("139****0000：平台已接收", "136****8888：平台已接收")),
    "asyncio": ([(A, ALARM)], ("999",)),
    "command-line": ([(A, ALARM), (B, ALARM)], ("1 parts", "139****0000", "136****8888", "\n998\n")),
    "apprise": ([(A, ALARM), (B, ALARM)], ()),
    "calls": (
        [
            (A, ALARM),
            (B, ALARM),
            (A, f"{SIGNED}明天 8 点检修"),
            ("13800210000", f"{SIGNED}李先生，后门 打开"),
            ("13500210000", f"{SIGNED}王先生，车库 打开"),
            ("13011001111", f"{SIGNED}一号门打开"),
            ("13011001112", f"{SIGNED}二号门打开"),
        ],
        ("accepted", "993 messages left", "links are often blocked"),
    ),
    "guard": ([(A, f"{SIGNED}后门打开"), (A, f"{SIGNED}火警")], ("number_limit", "2 parts today")),
    "errors": ([], ("refused", "forbidden_words", "发票", "other_text", "请更换内容后再发")),
    "pushes": ([], ("a reply: 1 to 12", "a report on 171029000012 failed", "请更改内容后再发")),
    "options": (
        [(A, f"{SIGNED}后门打开"), (A, f"{SIGNED}长一点的内容")],
        ('"outcome": "accepted"', '{"balance": 998}'),
    ),
    "rows": (
        [(A, f"{SIGNED}一号门打开"), (B, f"{SIGNED}二号门打开"), (A, f"{SIGNED}李先生，后门 打开")],
        ("2 rows: accepted 2\n" * 2, "1 rows: accepted 1\n"),
    ),
    "completion": ([], ()),
    "urls": (
        [(A, f"{SIGNED}报警\n后门 22:41 打开 HH:MM:SS"), (A, ALARM), (B, ALARM)],
        ("sms1680://",),
    ),
    "apprise-python": ([(A, f"{SIGNED}报警\n后门 22:41 打开")], ()),
    "register": ([], ()),
}  # fmt: skip


@pytest.fixture
def box() -> Iterator[SandboxThread]:
    with SandboxThread(Config(accounts=(Account("user", "password"),))) as running:
        yield running


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a PYTHONPATH with Apprise and our plugin file, which an editable install lacks."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(Path(apprise.__file__).parent, folder / "apprise", ignore=shutil.ignore_patterns("__pycache__"))
    loader = Path(sms1680.apprise.__file__).parent / "loader" / "sms1680.py"
    if loader.is_file():
        shutil.copy(loader, folder / "apprise" / "plugins")
    return folder


@pytest.fixture
def variables(box: SandboxThread, tmp_path: Path, installed: Path) -> dict[str, str]:
    """Return a new user's environment whose HTTP proxy is the sandbox."""
    mine = {name: value for name, value in os.environ.items() if not re.match(r"(?i)sms1680_|.*_proxy$", name)}
    return {
        **mine,
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "PYTHONUTF8": "1",
        "PYTHONPATH": str(installed),
        "SMS1680_STATE_DIR": str(tmp_path / "state"),
        "http_proxy": box.url,
    }


def run(command: list[str], folder: Path, variables: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def held(message: Message) -> tuple[str, str]:
    return message.number, CLOCK.sub(" HH:MM:SS", message.text)


def identified(example: Example) -> str:
    return f"{example.page}-{example.name}"


def test_every_example_has_an_expected_result() -> None:
    assert sorted(example.name for example in all_examples("python", "shell")) == sorted(OUTCOMES)


@pytest.mark.parametrize("example", all_examples("python", "shell"), ids=identified)
def test_example_does_what_the_page_says(
    example: Example, box: SandboxThread, tmp_path: Path, variables: dict[str, str]
) -> None:
    program = [sys.executable, "-P", "-c"] if example.kind == "python" else ["bash", "-eo", "pipefail", "-c"]
    printed = run([*program, example.text], tmp_path, variables)
    messages, fragments = OUTCOMES[example.name]
    assert sorted(map(held, box.platform.messages)) == sorted(messages)
    assert [fragment for fragment in fragments if fragment not in printed] == [], printed


@pytest.mark.parametrize("example", all_examples("cmpp"), ids=identified)
async def test_cmpp_example_sends_and_receives(example: Example, tmp_path: Path, variables: dict[str, str]) -> None:
    home = Account("user", "password", sp_id="901234")
    config = Config(accounts=(home,), report_delay=0.0, cmpp_port=0)
    async with Sandbox(config) as platform, asyncio.timeout(60):
        variables |= {"CMPP_HOST": "127.0.0.1", "CMPP_PORT": str(platform.cmpp.port), "CMPP_PASSWORD": "password"}
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", example.text),
            cwd=tmp_path,
            env=variables,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            await platform.wait_for(lambda now: now.messages)
            platform.platform.reply(A, "1")
            printed, errors = await running.communicate()
        finally:
            if running.returncode is None:
                running.kill()
    assert (running.returncode, errors) == (0, b"")
    report, reply = printed.decode().splitlines()
    assert re.fullmatch(r"DeliveryReport\(139\*{4}0000, .*status='DELIVRD'\)", report)
    assert reply == "Reply(139****0000, 1 characters, extension='12')"


def urls_of(entries: object) -> Iterator[str]:
    """Yield the URLs of a YAML configuration of Apprise, in both forms."""
    for entry in entries if isinstance(entries, list) else []:
        yield entry if isinstance(entry, str) else next(iter(entry))


@pytest.mark.parametrize("example", all_examples("apprise-config"), ids=identified)
def test_apprise_configuration_reaches_its_recipients(
    example: Example, box: SandboxThread, tmp_path: Path, variables: dict[str, str]
) -> None:
    (tmp_path / "apprise.yml").write_text(example.text, "utf-8")
    for tag, numbers in (("night", {A}), ("family", {A, "13688888888"})):
        before = len(box.platform.messages)
        run(["apprise", "-c", "apprise.yml", "-g", tag, "-b", "报警"], tmp_path, variables)
        sent = box.platform.messages[before:]
        assert {message.number for message in sent} == numbers
        assert {message.text for message in sent} == {f"{SIGNED}报警"}


@pytest.mark.parametrize("example", all_examples("dropin"), ids=identified)
def test_drop_in_is_created_where_apprise_finds_it(
    example: Example, box: SandboxThread, tmp_path: Path, variables: dict[str, str]
) -> None:
    run(["bash", "-e", "-c", example.text], tmp_path, variables)
    alone = {**variables, "PYTHONPATH": ""}
    run(["apprise", "-b", "报警", f"sms1680://user:password@61341/{A}?signature=某某科技"], tmp_path, alone)
    assert [message.text for message in box.platform.messages] == [f"{SIGNED}报警"]


@pytest.mark.parametrize("example", all_examples("mailrise"), ids=identified)
def test_url_in_a_host_configuration_reaches_its_recipients(
    example: Example, box: SandboxThread, tmp_path: Path, variables: dict[str, str]
) -> None:
    (sender,) = yaml.safe_load(example.text)["configs"].values()
    run(["apprise", "-b", "报警", *sender["urls"]], tmp_path, variables)
    assert [held(message) for message in box.platform.messages] == [(A, f"{SIGNED}报警")]
