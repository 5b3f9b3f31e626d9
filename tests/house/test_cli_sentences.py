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
