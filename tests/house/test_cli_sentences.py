"""The help and the errors of the command line are whole in the language of the environment."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.sentences import CHINESE, foreign_words

from sms1680.apprise.dropin import DropInError, make
from sms1680.cli import main
from sms1680.outcomes import Language

BOTH = pytest.mark.parametrize("language", ["en", "zh"])
# Names of programs, commands and variables, and placeholders for values, which are the same in both languages.
SAME = re.compile(
    r"`[^`]*`|(?:sms1680|SMS1680)\S*|\S*://\S*|\{[^}]*\}|\[[^]]*\]|-{1,2}[a-z][a-z-]*(?: [A-Z_]+)?|\b[A-Z_]{3,}\b"
)
PROGRAMS = (
    "send",
    "template",
    "batch",
    "balance",
    "estimate",
    "apprise",
    "apprise url",
    "sandbox",
    "listen",
    "completion",
)
COMMANDS = {
    *PROGRAMS,
    *("url", "shell", "bash", "zsh", "fish", "text", "template", "file", "number", "refused", "unknown"),
}
ERRORS = (
    ["send", "x"],
    ["send", "--to"],
    ["send", "--to", "1", "--rate", "x", "x"],
    ["send", "--to", "1", "--priority", "x", "x"],
    ["send", "--to", "1", "--p", "x", "x"],
    ["send", "--to", "1", "--plain=x", "x"],
    ["estimate", "x", "--what"],
    ["nothing"],
    [],
)


@pytest.fixture(autouse=True)
def _spoken(language: Language, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8" if language == "zh" else "C.UTF-8")
    monkeypatch.setenv("COLUMNS", "1000")


def check(said: str, language: Language) -> None:
    words = set(foreign_words(SAME.sub("", said), language))
    assert not words - COMMANDS, said
    assert (CHINESE.search(said) is not None) is (language == "zh"), said
    assert language == "en" or not re.search(r"[\u4e00-\u9fff]:", said), said


@BOTH
@pytest.mark.parametrize("command", [[], *(name.split() for name in PROGRAMS)], ids=" ".join)
def test_help_is_whole(command: list[str], language: Language, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    for line in capsys.readouterr().out.splitlines():
        if not line.startswith(("usage: ", "用法：")) and (CHINESE.search(line) or language == "en"):
            check(line, language)
        elif language == "zh":
            assert not re.search(r"[a-z] [a-z]+ [a-z]", SAME.sub("", line)), line


@BOTH
@pytest.mark.parametrize("arguments", ERRORS, ids=" ".join)
def test_error_is_whole(arguments: list[str], language: Language, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    check(said, language)
    if arguments:
        assert "`--help`" not in said, "this error has a sentence of its own"


LISTEN = (
    ["--port", "99999"],
    ["--network", "x"],
    ["--secret", "a b"],
    ["--host", "192.0.2.1"],
    ["--cmpp", "x"],
    ["--cmpp", "h:1", "--password-file", "missing"],
)


@BOTH
@pytest.mark.parametrize("arguments", LISTEN, ids=" ".join)
def test_error_of_the_receiver_is_whole(
    arguments: list[str], language: Language, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["listen", *arguments]) == 2
    check(capsys.readouterr().err.splitlines()[-1], language)


RESULT = '{"row": 1, "number": "13800000000", "outcome": "accepted"}\n'
INPUTS = {
    "nothing": "",
    "cells": "number\n1,2\n",
    "column twice": "number,number\n1,2\n",
    "column of results": "number,outcome\n1,2\n",
    "no object": '{"number": 1}\n[]\n',
    "no result": RESULT + '{"row": 0, "outcome": "x"}\n',
    "row of another line": RESULT + RESULT.replace("138", "139"),
    "number": "number,text\nx,a\n",
    "no text": "number,text\n13800000000,\n",
}


@pytest.fixture
def batch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Return a function that runs `batch` with an input and these arguments."""
    monkeypatch.chdir(tmp_path)
    for name in ("USERNAME", "PASSWORD", "PRODUCT_ID"):
        monkeypatch.setenv(f"SMS1680_{name}", "61341")

    def run(text: str, *arguments: str) -> int:
        (tmp_path / "rows").write_text(text, "utf-8")
        return main(["batch", *(arguments or ("rows", "--results", "results"))])

    return run


@BOTH
@pytest.mark.parametrize("name", INPUTS)
def test_error_of_an_input_is_whole(
    name: str, language: Language, batch: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch(INPUTS[name]) == 2
    check(capsys.readouterr().err.splitlines()[-1], language)


@BOTH
@pytest.mark.parametrize(
    "arguments",
    [
        ("missing", "--results", "results"),
        ("rows", "--results", "missing/results"),
        ("rows", "--results", "rows"),
        ("rows", "--results", "other"),
        ("rows", "--results", "results", "--at", "x"),
    ],
    ids=" ".join,
)
def test_error_of_a_result_file_is_whole(
    arguments: tuple[str, ...],
    language: Language,
    batch: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "other").touch()
    assert batch("number,text\n13800000000,a\n", *arguments) == 2
    check(capsys.readouterr().err.splitlines()[-1], language)


@BOTH
def test_drop_in_is_explained(language: Language, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["apprise", "--into", str(tmp_path / "plugins")]) == 0
    for line in capsys.readouterr().out.replace(str(tmp_path), "").splitlines():
        check(line.replace("AppriseAsset", "").replace("plugin_paths", ""), language)


@BOTH
@pytest.mark.parametrize(
    "spoil", [lambda path: (path / "__init__.py").touch(), lambda path: (path / "sms1680").mkdir()]
)
def test_drop_in_that_cannot_be_created_is_explained(
    language: Language, tmp_path: Path, spoil: Callable[[Path], Any]
) -> None:
    spoil(tmp_path)
    with pytest.raises(DropInError) as raised:
        make(tmp_path)
    check(str(raised.value).replace(str(tmp_path), ""), language)
