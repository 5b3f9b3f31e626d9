"""Interpreters are believed only after they have run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from _interpreters import Interpreter, find, find_here, probe

ANY = (3, 0, 0)
MINE = "{}.{}".format(*sys.version_info[:2])


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def pretend(path: Path, version: str) -> Path:
    """Makes a program that answers like that version of Python."""
    return program(path, f"echo {version}")


def test_a_shim_that_refuses_is_passed_over_for_a_later_one_on_path(tmp_path: Path) -> None:
    shim = program(tmp_path / "shims" / "python3.14", "echo 'pyenv: python3.14: command not found' >&2; exit 127")
    real = pretend(tmp_path / "bin" / "python3.14", "3.14.2")
    path = os.pathsep.join([str(shim.parent), str(real.parent)])
    assert find_here("3.14", ANY, None, {"PATH": path, "HOME": str(tmp_path)}) == Interpreter(real, (3, 14, 2))


def test_a_shim_that_refuses_alone_is_no_interpreter(tmp_path: Path) -> None:
    shim = program(tmp_path / "python3.14", "exit 127")
    assert find_here("3.14", ANY, None, {"PATH": str(shim.parent), "HOME": str(tmp_path)}) is None


@pytest.mark.parametrize("answer", ["echo nonsense", "echo 3.14", "true", "exit 1"])
def test_an_odd_answer_is_no_interpreter(tmp_path: Path, answer: str) -> None:
    assert probe(program(tmp_path / "python3.14", answer)) is None


def test_a_file_that_is_no_program_is_no_interpreter(tmp_path: Path) -> None:
    (tmp_path / "python3.14").write_text("text")
    assert probe(tmp_path / "python3.14") is None


def test_a_name_that_lies_about_its_version_is_passed_over(tmp_path: Path) -> None:
    liar = pretend(tmp_path / "bin" / "python3.14", "3.12.1")
    assert find_here("3.14", ANY, None, {"PATH": str(liar.parent), "HOME": str(tmp_path)}) is None


def test_one_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    old = pretend(tmp_path / "bin" / "python3.14", "3.14.1")
    assert find_here("3.14", (3, 14, 2), None, {"PATH": str(old.parent), "HOME": str(tmp_path)}) is None


@pytest.mark.parametrize("root", ["PYENV_ROOT", "HOME"])
def test_pyenvs_newest_version_that_runs_is_taken(tmp_path: Path, root: str) -> None:
    pyenv = tmp_path if root == "PYENV_ROOT" else tmp_path / ".pyenv"
    pretend(pyenv / "versions" / "3.14.9" / "bin" / "python3.14", "3.14.9")
    newest = pretend(pyenv / "versions" / "3.14.10" / "bin" / "python3.14", "3.14.10")
    program(pyenv / "versions" / "3.14.11" / "bin" / "python3.14", "exit 127")
    assert find_here("3.14", ANY, None, {root: str(tmp_path)}) == Interpreter(newest, (3, 14, 10))


def test_the_one_that_the_user_names_comes_first(tmp_path: Path) -> None:
    on_path = pretend(tmp_path / "bin" / "python3.14", "3.14.2")
    named = pretend(tmp_path / "elsewhere" / "python", "3.14.4")
    environment = {"PATH": str(on_path.parent), "SMS1680_PYTHON_3_14": str(named), "HOME": str(tmp_path)}
    assert find_here("3.14", ANY, None, environment) == Interpreter(named, (3, 14, 4))


def test_the_running_interpreter_is_one() -> None:
    assert find_here(MINE, ANY, None, {}) == Interpreter(Path(sys.executable), sys.version_info[:3])


def test_uv_is_asked_last_and_what_it_finds_is_tried(tmp_path: Path) -> None:
    uvs = pretend(tmp_path / "managed" / "python3.14", "3.14.3")
    uv = program(tmp_path / "uv", f"echo {uvs}")
    assert find_here("3.14", ANY, uv, {"HOME": str(tmp_path)}) == Interpreter(uvs, (3, 14, 3))


def test_uv_installs_what_is_missing_into_the_checkout(tmp_path: Path) -> None:
    folder = tmp_path / "pythons"
    uv = program(
        tmp_path / "uv",
        'case "$2" in\n'
        '  install) mkdir -p "$UV_PYTHON_INSTALL_DIR"; cp "$0.python" "$UV_PYTHON_INSTALL_DIR/python3.14";;\n'
        '  find) echo "$UV_PYTHON_INSTALL_DIR/python3.14";;\n'
        "esac",
    )
    pretend(tmp_path / "uv.python", "3.14.5")
    said: list[str] = []
    environment = {"HOME": str(tmp_path), "PATH": os.defpath, "UV_PYTHON_INSTALL_DIR": str(tmp_path / "users-own")}
    found = find("3.14", ANY, uv=uv, folder=folder, environment=environment, say=said.append)
    assert found == Interpreter(folder / "python3.14", (3, 14, 5))
    assert said == ["Python 3.14 is not here: asking uv to install it ..."]


def test_an_install_that_failed_is_told_once_and_not_tried_again_the_same_day(tmp_path: Path) -> None:
    uv = program(tmp_path / "uv", f'echo "$2" >> {tmp_path}/asked; echo "cause: no network" >&2; exit 2')
    said: list[str] = []

    def again() -> None:
        environment = {"HOME": str(tmp_path), "PATH": os.defpath}
        assert find("3.14", ANY, uv=uv, folder=tmp_path / "pythons", environment=environment, say=said.append) is None

    again()
    again()
    assert (tmp_path / "asked").read_text().split().count("install") == 1
    assert "no network" in said[1]
    assert len(said) == 2


def test_a_real_interpreter_answers_the_probe() -> None:
    answer = subprocess.run([sys.executable, "-c", "import sys; print(sys.version_info[:3])"], stdout=-1, check=True)
    found = probe(Path(sys.executable))
    assert found is not None
    assert str(found.version) == answer.stdout.decode().strip()
