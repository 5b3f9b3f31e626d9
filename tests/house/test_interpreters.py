"""The search for Python interpreters trusts only one that has run."""

import os
import sys
from pathlib import Path

import pytest
from interpreters import find_python, numbers, probe

MINE = "{}.{}".format(*sys.version_info[:2])


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def pretend(path: Path, version: str) -> Path:
    """Make a program that answers like this version of Python."""
    return program(path, f"echo {version}")


def test_shim_that_refuses_is_skipped(tmp_path: Path) -> None:
    shim = program(tmp_path / "shims" / "python3.14", "echo 'pyenv: python3.14: command not found' >&2; exit 127")
    real = pretend(tmp_path / "bin" / "python3.14", "3.14.2")
    path = os.pathsep.join([str(shim.parent), str(real.parent)])
    assert find_python("3.14", {"PATH": path, "HOME": str(tmp_path)}) == str(real)
    assert find_python("3.14", {"PATH": str(shim.parent), "HOME": str(tmp_path)}) is None


@pytest.mark.parametrize("answer", ["echo nonsense", "true", "exit 1", "echo 3.14.1; exit 3"])
def test_program_with_an_odd_answer_is_not_an_interpreter(tmp_path: Path, answer: str) -> None:
    assert probe(program(tmp_path / "python3.14", answer)) == ()


def test_file_that_is_no_program_is_not_an_interpreter(tmp_path: Path) -> None:
    (tmp_path / "python3.14").write_text("text")
    assert probe(tmp_path / "python3.14") == ()


@pytest.mark.parametrize(("version", "wanted"), [("3.12.1", "3.14"), ("3.14.1", "3.14.2")])
def test_other_or_older_version_behind_the_name_is_skipped(tmp_path: Path, version: str, wanted: str) -> None:
    found = pretend(tmp_path / "bin" / "python3.14", version)
    assert find_python(wanted, {"PATH": str(found.parent), "HOME": str(tmp_path)}) is None


@pytest.mark.parametrize("root", ["PYENV_ROOT", "HOME"])
def test_newest_version_of_pyenv_that_runs_is_taken(tmp_path: Path, root: str) -> None:
    pyenv = tmp_path if root == "PYENV_ROOT" else tmp_path / ".pyenv"
    pretend(pyenv / "versions" / "3.14.9" / "bin" / "python3.14", "3.14.9")
    newest = pretend(pyenv / "versions" / "3.14.10" / "bin" / "python3.14", "3.14.10")
    program(pyenv / "versions" / "3.14.11" / "bin" / "python3.14", "exit 127")
    assert find_python("3.14", {root: str(tmp_path)}) == str(newest)


def test_interpreter_that_the_user_names_comes_first(tmp_path: Path) -> None:
    on_path = pretend(tmp_path / "bin" / "python3.14", "3.14.2")
    named = pretend(tmp_path / "elsewhere" / "python", "3.14.4")
    environment = {"PATH": str(on_path.parent), "SMS1680_PYTHON_3_14": str(named), "HOME": str(tmp_path)}
    assert find_python("3.14", environment) == str(named)


def test_real_interpreter_is_found() -> None:
    environment = {"SMS1680_PYTHON_" + MINE.replace(".", "_"): sys.executable}
    assert find_python(MINE, environment) == sys.executable
    assert probe(Path(sys.executable)) == sys.version_info[:3]


def test_versions_compare_as_numbers() -> None:
    assert numbers("3.13.10") > numbers("3.13.9") > numbers("system") == ()
