"""Build the wheel from a copy of its sources: `wheel.py FOLDER`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# pyproject.toml, the files that it reads and the folders of its packages.
SOURCES = ("pyproject.toml", "LICENSE", "README.md", "custom_components", "apprise_plugin", "sandbox")
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


def build(folder: Path) -> Path:
    """Build the wheel into an empty folder with the setuptools of this environment, without the network.

    The sources are copied first: setuptools leaves folders behind that would get into the next wheel.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        for name in SOURCES:
            source, copy = ROOT / name, Path(temporary) / name
            if source.is_dir():
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
            else:
                shutil.copy(source, copy)
        command = [sys.executable, "-c", BUILD, str(folder)]
        done = subprocess.run(command, cwd=temporary, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"The wheel can't be built:\n{done.stdout}{done.stderr}")
    (wheel,) = folder.glob("*.whl")
    return wheel


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
