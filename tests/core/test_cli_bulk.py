"""`sms1680 template` and `sms1680 batch` in a process of their own, against the sandbox."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sms1680.sandbox import SandboxThread
from sms1680.sandbox.faults import Fault

A, B, C = "13911000000", "13688888888", "13800210000"
ROWS = f"number,text,name\n{A},一号门打开,李\n{B},二号门打开,王\n"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def variables(box: SandboxThread) -> dict[str, str]:
    account = {
        "SMS1680_USERNAME": "demo",
        "SMS1680_PASSWORD": "demo1680",
        "SMS1680_PRODUCT_ID": "61341",
        "SMS1680_GATEWAY": box.url,
        "LANG": "C.UTF-8",
    }
    return {**os.environ, **account}


@pytest.fixture
def run(variables: dict[str, str], tmp_path: Path) -> Run:
    def started(*arguments: str, stdin: str | bytes = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "sms1680", *arguments],
            env=variables,
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
            check=False,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        for secret in ("demo1680", "门打开", A, B, "Traceback"):
            assert secret not in out + err
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    return started


def results(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def sent(box: SandboxThread) -> list[tuple[str, str]]:
    return [(message.number, message.text) for message in box.platform.messages]


def test_csv_rows_are_sent_and_their_results_keep_the_columns(run: Run, box: SandboxThread, tmp_path: Path) -> None:
    done = run("batch", "--results", "r.jsonl", "--signature", "某某", stdin=ROWS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 rows: accepted 2\n", "")
    assert sent(box) == [(A, "【某某】一号门打开"), (B, "【某某】二号门打开")]
    told = {"reason": None, "detail": None, "message_id": None, "parts": 1, "repeatable": False}
    assert results(tmp_path / "r.jsonl") == [
        {"row": 1, "number": A, "text": "一号门打开", "name": "李", "outcome": "accepted", **told},
        {"row": 2, "number": B, "text": "二号门打开", "name": "王", "outcome": "accepted", **told},
    ]
    assert (tmp_path / "r.jsonl").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.glob("*r.jsonl*")] == ["r.jsonl"]


@pytest.mark.parametrize(
    "octets",
    [
        ROWS.encode("utf-8-sig").replace(b"\n", b"\r\n"),
        ROWS.replace("number", "号码").replace("text", "内容").encode("gb18030"),
        f'\n{{"number": {A}, "text": "一号门打开"}}\n{{"number": "+86 {B}", "text": "二号门打开"}}'.encode(),
    ],
    ids=["excel", "gb18030", "json"],
)
def test_every_notation_is_read(run: Run, box: SandboxThread, octets: bytes) -> None:
    done = run("batch", "--results", "r.jsonl", "--json", stdin=octets)
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"rows": 2, "sent": 2, "outcomes": {"accepted": 2}, "results": "r.jsonl"}
    assert sent(box) == [(A, "一号门打开"), (B, "二号门打开")]


def test_template_is_filled_from_the_columns(run: Run, box: SandboxThread, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(f"number,A,B\n{A},李先生,后门\n{B},王先生,车库\n", "utf-8")
    done = run("template", "--results", "r.jsonl", "{A}，{B} 打开", "rows.csv")
    assert done.returncode == 0
    assert sent(box) == [(A, "李先生，后门 打开"), (B, "王先生，车库 打开")]


INVALID = {
    "nothing": ("", "no row to send"),
    "header only": ("number,text\n", "no row to send"),
    "number": (f"{ROWS}555,三号门打开\n", "the number of row 3 is not"),
    "no column": (f"number,words\n{A},x\n", "row 1 has no column text"),
    "empty text": (f"number,text\n{A},\n", "the text of row 1 is empty"),
    "too many cells": (f"number,text\n{A},x,y\n", "line 2 has more cells"),
    "quotes": (f'number,text\n{A},"x"y\n', "line 2 is not CSV"),
    "columns twice": (f"number,text,text\n{A},x,y\n", "two columns with one name"),
    "a column of ours": (f"number,text,reason\n{A},x,y\n", "line 1 has a column reason"),
    "not JSON": (f'{{"number": "{A}", "text": "x"}}\n{{"number"', "line 2 is not a JSON object"),
    "list": (f'{{"number": "{A}", "text": ["x"]}}\n', "row 1 has a text that is not text"),
    "float": ('{"number": 1.3911e10, "text": "x"}\n', "the number of row 1 is not"),
    "two files": (
        "".join(f'{{"row": 1, "number": "{number}", "text": "x", "outcome": "accepted"}}\n' for number in (A, B)),
        "line 2 has the row of another line",
    ),
    "half a result file": (
        f'{{"row": 1, "number": "{A}", "text": "x", "outcome": "accepted"}}\n{{"number": "{B}", "text": "x"}}\n',
        "line 2 is not a line of a result file",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_everything_is_checked_before_the_first_request(
    run: Run, box: SandboxThread, tmp_path: Path, case: str
) -> None:
    given, says = INVALID[case]
    done = run("batch", "--results", "r.jsonl", stdin=given)
    assert done.returncode == 2
    assert says in done.stderr
    assert sent(box) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--at", "2020-01-01"], "must be in the future"),
        (["--extension", "x"], "1 to 20 digits"),
        (["--gateway", "nonsense"], "gateway"),
        (["no-such-file"], "the input cannot be read"),
    ],
)
def test_invalid_options_leave_no_result_file(run: Run, tmp_path: Path, arguments: list[str], says: str) -> None:
    done = run("batch", "--results", "r.jsonl", *arguments, stdin=ROWS)
    assert (done.returncode, says in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_result_file_is_never_overwritten(run: Run, box: SandboxThread, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text("mine")
    done = run("batch", "--results", "r.jsonl", stdin=ROWS)
    assert (done.returncode, "the result file exists" in done.stderr) == (2, True)
    (tmp_path / "rows.csv").write_text(ROWS, "utf-8")
    done = run("batch", "--results", "rows.csv", "rows.csv")
    assert (done.returncode, "must not be the input" in done.stderr) == (2, True)
    assert (tmp_path / "rows.csv").read_text("utf-8") == ROWS
    assert sent(box) == []


def lines(**outcomes: dict[str, Any]) -> str:
    """A result file with a row for each given outcome."""
    rows = enumerate(outcomes.values(), 1)
    return "".join(
        json.dumps({"row": row, "number": f"1391100{row:04}", "text": f"{row} 号门打开", **result}) + "\n"
        for row, result in rows
    )


MIXED = {
    "accepted": {"outcome": "accepted", "repeatable": True},  # whatever else the line claims
    "held": {"outcome": "held"},
    "unknown": {"outcome": "unknown", "repeatable": True},
    "running": {"outcome": "running", "repeatable": True},
    "not_sent": {"outcome": "not_sent"},
    "too_fast": {"outcome": "refused", "reason": "too_fast", "repeatable": True},
    "words": {"outcome": "refused", "reason": "forbidden_words", "repeatable": False},
}


@pytest.mark.parametrize(
    ("again", "rows"),
    [
        ([], {5: "", 6: ""}),
        (["--repeat", "refused"], {5: "", 6: "", 7: ""}),
        (["--repeat", "unknown"], {5: "", 6: "", 3: "（重发）", 4: "（重发）"}),
    ],
    ids=["safe", "refused", "unknown"],
)
@pytest.mark.parametrize("kind", ["batch", "template"])
def test_only_what_is_safe_is_sent_again(
    run: Run, box: SandboxThread, tmp_path: Path, kind: str, again: list[str], rows: dict[int, str]
) -> None:
    given = lines(**MIXED)
    if kind == "template":
        given = given.replace('"text"', '"A"')
    done = run(kind, "--results", "r.jsonl", *again, *(["{A}"] if kind == "template" else []), stdin=given)
    assert sent(box) == [(f"1391100{row:04}", f"{mark}{row} 号门打开") for row, mark in rows.items()]
    told = {row["row"]: row for row in results(tmp_path / "r.jsonl")}
    assert list(told) == [1, 2, 3, 4, 5, 6, 7]
    assert {row for row in told if told[row]["outcome"] == "accepted"} == {1, *rows}
    assert {row for row in told if told[row].get("repeated")} == {row for row, mark in rows.items() if mark}
    assert done.returncode == (4 if again == ["--repeat", "unknown"] else 6)


def test_row_that_may_have_been_sent_stays_unknown_if_its_repetition_fails(run: Run, tmp_path: Path) -> None:
    given = lines(one=MIXED["unknown"], two=MIXED["not_sent"])
    options = ["--gateway", "http://127.0.0.1:9", "--patience", "0", "--repeat", "unknown"]
    done = run("batch", "--results", "r.jsonl", *options, stdin=given)
    assert done.returncode == 6
    assert [row["outcome"] for row in results(tmp_path / "r.jsonl")] == ["unknown", "not_sent"]


def test_a_file_is_finished_in_place_after_a_lost_answer(run: Run, box: SandboxThread, tmp_path: Path) -> None:
    rows = "number,text\n" + "".join(f"1391100{row:04},{row} 号门打开\n" for row in range(250))
    box.platform.faults.next(Fault())
    box.platform.faults.next("half")
    first = run("batch", "--results", "r.jsonl", stdin=rows)
    assert first.returncode == 6
    states = [row["outcome"] for row in results(tmp_path / "r.jsonl")]
    assert states.count("unknown") == 100
    again = run("batch", "--results", "r.jsonl", "r.jsonl")
    assert again.returncode == 6
    assert [row["outcome"] for row in results(tmp_path / "r.jsonl")].count("accepted") == 150
    texts = [text for _, text in sent(box)]
    assert len(texts) == len(set(texts))


def test_unreadable_rest_of_a_killed_run_is_ignored(run: Run, box: SandboxThread, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(lines(one=MIXED["not_sent"], two=MIXED["running"]) + '{"row": 1, "numb', "utf-8")
    assert run("batch", "--results", "r.jsonl", "r.jsonl").returncode == 6
    assert [row["outcome"] for row in results(path)] == ["accepted", "running"]
    assert sent(box) == [("13911000001", "1 号门打开")]


def test_one_wrong_row_is_found_with_smaller_packets(run: Run, box: SandboxThread, tmp_path: Path) -> None:
    """The platform has one answer to a packet."""
    assert run("batch", "--results", "r.jsonl", stdin=f"{ROWS}{C},开发票\n").returncode == 4
    assert sent(box) == []
    again = run("batch", "--results", "r.jsonl", "--repeat", "refused", "--packet-size", "1", "r.jsonl")
    assert again.returncode == 4
    assert [row["outcome"] for row in results(tmp_path / "r.jsonl")] == ["accepted", "accepted", "refused"]
    assert len(sent(box)) == 2


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_run_never_sends_twice(
    run: Run, box: SandboxThread, variables: dict[str, str], tmp_path: Path, kill: signal.Signals
) -> None:
    """The platform has the second request when the program is killed; the answer never arrives."""
    rows = "number,text\n" + "".join(f"1391100{row:04},{row} 号门打开\n" for row in range(300))
    (tmp_path / "rows.csv").write_text(rows, "utf-8")
    box.platform.faults.next(Fault())
    box.platform.faults.next(Fault(stall_after=600))
    command = [sys.executable, "-m", "sms1680", "batch", "--results", "r.jsonl", "rows.csv"]
    running = subprocess.Popen(command, cwd=tmp_path, env=variables, stderr=subprocess.PIPE)
    box.wait_for(lambda now: len(now.messages) >= 200, timeout=60)
    running.send_signal(kill)
    _, errors = running.communicate(timeout=60)
    assert b"Traceback" not in errors
    assert running.returncode == (-9 if kill is signal.SIGKILL else 6)
    done = run("batch", "--results", "again.jsonl", "r.jsonl")
    assert done.returncode == 6
    outcomes = [row["outcome"] for row in results(tmp_path / "again.jsonl")]
    assert len(outcomes) == 300
    assert outcomes.count("accepted") == 200
    texts = [text for _, text in sent(box)]
    assert len(texts) == len(set(texts)) == 300


def test_result_file_belongs_to_one_program_at_a_time(
    run: Run, box: SandboxThread, variables: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "r.jsonl").write_text(lines(one=MIXED["not_sent"]), "utf-8")
    box.platform.faults.next(Fault(stall_after=600))
    command = [sys.executable, "-m", "sms1680", "batch", "--results", "r.jsonl", "r.jsonl"]
    running = subprocess.Popen(command, cwd=tmp_path, env=variables, stderr=subprocess.DEVNULL)
    try:
        box.wait_for(lambda now: now.messages, timeout=60)
        done = run("batch", "--results", "r.jsonl", "r.jsonl")
        assert (done.returncode, "another program writes" in done.stderr) == (2, True)
    finally:
        running.kill()
        running.wait()
    assert len(sent(box)) == 1


def test_progress_is_shown_on_a_terminal_only(variables: dict[str, str], tmp_path: Path) -> None:
    mine, theirs = pty.openpty()
    command = [sys.executable, "-m", "sms1680", "batch", "--results", "r.jsonl"]
    with subprocess.Popen(command, cwd=tmp_path, env=variables, stdin=subprocess.PIPE, stderr=theirs) as running:
        os.close(theirs)
        running.communicate(ROWS.encode(), timeout=60)
    shown = b""
    while not shown.endswith(b"2/2\r\n"):
        shown += os.read(mine, 1000)
    os.close(mine)
    assert shown.startswith(b"\r[")
    assert A.encode() not in shown
