"""Find Python interpreters and run each candidate once: a pyenv shim on PATH may refuse to start."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Iterator, Mapping

# The modules that a test environment needs; a build without TLS or SQLite fails here.
PROBE = "import ctypes, sqlite3, ssl, sys, venv, zlib; print('%d.%d.%d' % sys.version_info[:3])"


def find_python(wanted: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the path of a Python of this minor version, or None. `3.14.2` also sets the oldest patch level."""
    least = numbers(wanted)
    minor = ".".join(map(str, least[:2]))
    for path in candidates(minor, environment):
        version = probe(path)
        if version[:2] == least[:2] and version >= least:
            return str(path)
    return None


def candidates(minor: str, environment: Mapping[str, str]) -> Iterator[Path]:
    """Yield possible paths: the one that the user named, those on PATH, pyenv's versions from newest to oldest."""
    named = environment.get("SMS1680_PYTHON_" + minor.replace(".", "_"))
    if named:
        yield Path(named)
    for folder in environment.get("PATH", "").split(os.pathsep):
        if folder:
            yield Path(folder) / f"python{minor}"
    pyenv = Path(environment.get("PYENV_ROOT") or Path(environment.get("HOME") or "~").expanduser() / ".pyenv")
    for version in sorted((pyenv / "versions").glob(minor + ".*"), key=lambda path: numbers(path.name), reverse=True):
        yield version / "bin" / f"python{minor}"


def probe(path: Path) -> tuple[int, ...]:
    """Run an interpreter and return its version; return an empty tuple if it does not run or lacks a module."""
    try:
        done = subprocess.run(
            [str(path), "-I", "-c", PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return numbers(done.stdout.decode("ascii", "replace").strip())


def numbers(version: str) -> tuple[int, ...]:
    """Return the parts of a version as numbers, so that 3.13.10 sorts after 3.13.9; empty if it is not a version."""
    parts = version.split(".")
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else ()
