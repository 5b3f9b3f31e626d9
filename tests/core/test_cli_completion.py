"""`sms1680 completion` in the shells themselves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sms1680.cli.program import make_parser

SHELLS = ("bash", "zsh", "fish")


def script(shell: str) -> str:
    command = [sys.executable, "-m", "sms1680", "completion", shell]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def completed(words: list[str], folder: Path) -> list[str]:
    """Return what bash offers for the last word."""
    program = f"""
{script("bash")}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sms1680; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    command = ["bash", "--norc", "-uc", program, "bash", "sms1680", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


def test_bash_offers_the_commands(tmp_path: Path) -> None:
    assert completed(["ba"], tmp_path) == ["batch", "balance"]
    assert completed(["send", "--pri"], tmp_path) == ["--priority"]
    assert completed(["send", "--priority", ""], tmp_path) == ["normal", "critical"]
    assert completed(["apprise", "u"], tmp_path) == ["url"]
    assert completed(["apprise", "url", "--ch"], tmp_path) == ["--check"]
    assert completed(["completion", "f"], tmp_path) == ["fish"]
    assert completed(["send", "--to", ""], tmp_path) == [""]  # only the user knows the number


def test_bash_offers_files(tmp_path: Path) -> None:
    (tmp_path / "my rows.csv").touch()
    assert completed(["batch", "--results", "my"], tmp_path) == ["my rows.csv"]
    assert completed(["batch", "m"], tmp_path) == ["my rows.csv"]
    assert completed(["send", "--password-file", "m"], tmp_path) == ["my rows.csv"]


@pytest.mark.parametrize("shell", SHELLS)
def test_script_has_every_command_and_option(shell: str) -> None:
    made = script(shell)
    for action in make_parser([])._actions:
        for name, command in (action.choices or {}).items():
            assert name in made
            flags = [flag for one in command._actions for flag in one.option_strings if flag.startswith("--")]
            assert [flag for flag in flags if flag[2:] not in made] == []


@pytest.mark.parametrize("shell", SHELLS)
def test_shell_reads_the_script(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"there is no {shell} on this machine")
    (tmp_path / "script").write_text(script(shell), "utf-8")
    done = subprocess.run(
        [program, "--no-execute" if shell == "fish" else "-n", "script"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_fish_offers_the_commands(tmp_path: Path) -> None:
    program = shutil.which("fish")
    if program is None:
        pytest.skip("there is no fish on this machine")
    (tmp_path / "script").write_text(script("fish"), "utf-8")
    for line, offered in (("sms1680 ba", ["balance", "batch"]), ("sms1680 apprise url --ch", ["--check"])):
        done = subprocess.run(
            [program, "--no-config", "-c", f"source script; complete -C '{line}'"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert sorted(word.split("\t")[0] for word in done.stdout.splitlines()) == offered


def test_script_as_json() -> None:
    command = [sys.executable, "-m", "sms1680", "completion", "zsh", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == {"shell": "zsh", "script": script("zsh").removesuffix("\n")}
