"""Finds Python interpreters: on PATH, in pyenv's versions folder, or through uv. Each is tried by running it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, Mapping

# What an environment needs of its interpreter; a shim that refuses and a build without TLS fail here.
PROBE = "import ctypes, sqlite3, ssl, sys, venv, zlib; print('%d.%d.%d' % sys.version_info[:3])"
INSTALL_AGAIN_AFTER = 24 * 3600.0


@dataclass(frozen=True)
class Interpreter:
    """An interpreter that runs."""

    path: Path
    version: tuple[int, int, int]

    def __str__(self) -> str:
        """Returns the version as people write it."""
        return ".".join(map(str, self.version))


def probe(path: Path) -> Interpreter | None:
    """Runs the interpreter; None where it does not run (a pyenv shim refuses with 127) or lacks a part."""
    try:
        done = subprocess.run(
            [str(path), "-I", "-c", PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=60,
        )
        if done.returncode != 0:
            return None
        major, minor, micro = (int(number) for number in done.stdout.split(b"."))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return Interpreter(path, (major, minor, micro))


def candidates(minor: str, environment: Mapping[str, str]) -> Iterator[Path]:
    """Yields where a Python such as `3.14` may be: named by the user, running this, on PATH, in pyenv's folder."""
    named = environment.get("SMS1680_PYTHON_" + minor.replace(".", "_"))
    if named:
        yield Path(named)
    if sys.version_info[:2] == tuple(map(int, minor.split("."))):
        yield Path(sys.executable)
    for folder in environment.get("PATH", "").split(os.pathsep):
        if folder:
            yield Path(folder) / f"python{minor}"
    pyenv = Path(environment.get("PYENV_ROOT") or Path(environment.get("HOME") or "~").expanduser() / ".pyenv")
    versions = [path for path in (pyenv / "versions").glob(minor + ".*") if path.name.count(".") == 2]
    for folder_of_version in sorted(versions, key=by_number, reverse=True):
        yield folder_of_version / "bin" / f"python{minor}"


def by_number(path: Path) -> tuple[int, ...]:
    """Sorts `3.13.10` behind `3.13.9`."""
    return tuple(int(part) if part.isdigit() else -1 for part in path.name.split("."))


def find_here(
    minor: str, least: tuple[int, int, int], uv: Path | None, environment: Mapping[str, str]
) -> Interpreter | None:
    """Returns a Python `minor` of this machine that runs and is at least `least`, or None. Needs no network."""
    for path in candidates(minor, environment):
        found = probe(path) if path.exists() else None
        if found and suits(found, minor, least):
            return found
    if uv is None:
        return None
    done = subprocess.run(
        [str(uv), "python", "find", "--no-python-downloads", "--no-project", "--system", minor],
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    found = probe(Path(os.fsdecode(done.stdout.strip()))) if done.returncode == 0 else None
    return found if found and suits(found, minor, least) else None


def suits(found: Interpreter, minor: str, least: tuple[int, int, int]) -> bool:
    """Tells whether it is the wanted one: a `python3.14` on PATH may be anything."""
    return "{}.{}".format(*found.version[:2]) == minor and found.version >= least


def find(
    minor: str,
    least: tuple[int, int, int],
    *,
    uv: Path,
    folder: Path,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> Interpreter | None:
    """As `find_here`; what this machine lacks, uv installs into `folder`.

    Where that fails it is not tried again for a day, so that the next start is quick.
    """
    inside = {**environment, "UV_PYTHON_INSTALL_DIR": str(folder)}
    found = find_here(minor, least, uv, environment) or (
        find_here(minor, least, uv, inside) if folder.is_dir() else None
    )
    if found:
        return found
    refused = folder.parent / f"no-python-{minor}"
    if refused.exists() and time.time() - refused.stat().st_mtime < INSTALL_AGAIN_AFTER:
        return None
    say(f"Python {minor} is not here: asking uv to install it ...")
    done = subprocess.run(
        [str(uv), "python", "install", "--no-bin", "--no-progress", minor],
        env=inside,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    found = find_here(minor, least, uv, inside) if done.returncode == 0 else None
    if found is None:  # "Failed to install …" first, its causes below, the last of them the deepest
        refused.parent.mkdir(parents=True, exist_ok=True)
        refused.write_bytes(done.stderr)
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it is too old"]
        say(f"  it can't be had: {reason[-1].strip()} (tried again tomorrow, or once {refused} is deleted)")
    return found
