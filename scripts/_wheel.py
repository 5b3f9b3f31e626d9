"""Builds the wheel from a copy of what belongs to it, and installs it into an environment."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from _environments import ROOT, Environment, Environments, Step, UnavailableError

# pyproject.toml names the packages; these are the folders that they lie in.
SOURCES = ("pyproject.toml", "LICENSE", "README.md", "custom_components", "apprise_plugin", "sandbox")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info")
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


def build(python: Path, folder: Path) -> Path:
    """Builds the wheel into `folder` with the setuptools of `python`; needs no network.

    It is built from a copy, because setuptools leaves folders behind that would get into the next wheel.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary)
        for name in SOURCES:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(str(source), str(copy / name), ignore=LEFT_OUT)
            elif source.is_file():
                shutil.copy(str(source), str(copy / name))
        done = subprocess.run(
            [str(python), "-c", BUILD, str(folder)],
            cwd=temporary,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        raise UnavailableError(f"The wheel can't be built:\n{done.stdout.decode('utf-8', 'replace')}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def contents_hash() -> str:
    """Returns a hash of everything that the wheel is built from."""
    whole = hashlib.sha256()
    for name in SOURCES:
        source = ROOT / name
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_file() and "__pycache__" not in path.parts:
                whole.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return whole.hexdigest()


def is_installed(environment: Environment) -> bool:
    """Tells whether the environment has the wheel of the tree as it is."""
    mark = environment.folder / "wheel" / "contents"
    return mark.is_file() and mark.read_text() == contents_hash()


def installed(environments: Environments, environment: Environment) -> Path:
    """Returns the wheel of the tree as it is, built and installed into the environment if it is not already."""
    folder = environment.folder / "wheel"
    if not is_installed(environment):
        now = contents_hash()
        shutil.rmtree(str(folder), ignore_errors=True)
        wheel = build(environment.python, folder)
        environments.install(environment, Step((str(wheel),), options=("--no-deps", "--reinstall")))
        (folder / "contents").write_text(now)
    return next(folder.glob("*.whl"))
