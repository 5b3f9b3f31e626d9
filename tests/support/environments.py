"""Further Python environments for tests of other programs, in `.venv/host-NAME`; uv makes each once."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

from support import ROOT

VENV = ROOT / ".venv"
TOOLS = VENV / "tools" / "bin"


class UnavailableError(Exception):
    """An environment can't be made, for example because no package index is within reach."""


def make(name: str, *steps: Sequence[str], wheel: Path | None = None) -> Path:
    """Make an environment unless it is there, and return its interpreter.

    steps: the arguments of each install. wheel: is installed last, without its dependencies.
    """
    folder = VENV / f"host-{name}"
    python, stamp = folder / "bin" / "python", folder / "stamp"
    contents = [(file.filename, file.CRC) for file in zipfile.ZipFile(wheel).infolist()] if wheel else []
    key = hashlib.sha256(json.dumps([str(folder), sys.version, steps, contents]).encode()).hexdigest()
    with (VENV / f"host-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests in other processes wait
        if not (stamp.is_file() and stamp.read_text() == key):
            uv("venv", "--clear", "--no-project", "--python", sys.executable, str(folder))
            for step in (*steps, ("--no-deps", str(wheel))) if wheel else steps:
                uv("pip", "install", "--python", str(python), *step)
            stamp.write_text(key)
    return python


def uv(*arguments: str) -> None:
    """Run the uv that scripts/test has installed. Raise UnavailableError if it fails."""
    variables = {**os.environ, "VIRTUAL_ENV": "", "UV_PYTHON": ""}
    done = subprocess.run([str(TOOLS / "uv"), *arguments], capture_output=True, text=True, env=variables, check=False)
    if done.returncode != 0:
        raise UnavailableError(done.stderr.strip())
