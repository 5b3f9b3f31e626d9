"""Virtual environments of the scripts, in `.venv/NAME`: made when first asked for, kept while nothing has changed.

    with environments().open(Recipe("lint", ...)) as environment:
        environment.run(["-m", "mypy"])

An environment is ready once its file `ready.json` is there, which is written last: one that was half made (Ctrl-C) is
made anew. The file holds a hash of everything that the environment was made from; while that is the same, opening it
asks neither uv nor the network. Whoever has it open holds a lock, so that nobody makes it anew under a running test.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Iterator, Mapping, Sequence

import _interpreters
import _package_index

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv"
UV = "uv>=0.13,<1"
LAYOUT = 1  # counted up when environments made by an older version of this file must be made anew

# What would turn uv or an interpreter away from the environment that it is told to use.
MISLEADING = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSAFEPATH",
    "UV_PROJECT",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_WORKING_DIR",
    "VIRTUAL_ENV",
)


class UnavailableError(Exception):
    """Something that a script needs can't be had; the text says what, why and what to do."""


@dataclass(frozen=True)
class Step:
    """One call of `uv pip install`; `constraints` is a file below the environment's site-packages."""

    requirements: tuple[str, ...]
    constraints: str = ""
    options: tuple[str, ...] = ()


PROJECT = Step(("--editable", "."), options=("--no-deps", "--no-build-isolation"))


@dataclass(frozen=True)
class Recipe:
    """What an environment is made of."""

    name: str
    pythons: tuple[str, ...]  # the wanted one first, then what will do where it can't be had
    steps: tuple[Step, ...]
    least: tuple[int, int, int] = (3, 11, 0)

    def key(self) -> str:
        """Returns a hash of all that the environment depends on."""
        parts = [LAYOUT, str(ROOT), asdict(self), project_definition()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Environment:
    """A virtual environment that is ready."""

    name: str
    folder: Path
    python_version: str
    packages: Mapping[str, str]

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        """The folder that packages are installed into."""
        return self.folder / "lib" / "python{}.{}".format(*self.python_version.split(".")[:2]) / "site-packages"

    def run(self, arguments: Sequence[str | Path], extra: Mapping[str, str] | None = None) -> int:
        """Runs the interpreter in the checkout, never with the checkout itself on its path; returns the exit code."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        variables = {**clean_environment(), "PATH": path, "VIRTUAL_ENV": str(self.folder), **(extra or {})}
        return subprocess.call([str(self.python), "-P", *map(str, arguments)], cwd=str(ROOT), env=variables)


def say(text: str) -> None:
    """Tells the person who started the script, in order with what other programs print."""
    print(text, file=sys.stderr, flush=True)


def clean_environment() -> dict[str, str]:
    """Returns this process's variables without those that would lead another interpreter astray."""
    return {name: value for name, value in os.environ.items() if name not in MISLEADING}


def project_definition() -> str:
    """Returns the parts of pyproject.toml that decide what is installed (tomllib is newer than what may run this)."""
    tables = re.split(r"^(?=\[)", (ROOT / "pyproject.toml").read_text("utf-8"), flags=re.MULTILINE)
    return "".join(table for table in tables if re.match(r"\[(build-system|project|tool\.setuptools)\b", table))


class Environments:
    """All environments of this checkout."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self._variables: dict[str, str] | None = None

    @contextmanager
    def open(self, recipe: Recipe, *, alone: bool = False) -> Iterator[Environment]:
        """Hands out the environment, made or made anew where needed. Raises UnavailableError where it can't be.

        `alone` is for who changes it while it is open.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{recipe.name}.lock").open("w") as lock:
            while True:
                self._lock(lock.fileno(), fcntl.LOCK_EX if alone else fcntl.LOCK_SH, recipe.name)
                environment = self._ready(recipe)
                if environment:
                    yield environment
                    return
                self._lock(lock.fileno(), fcntl.LOCK_EX, recipe.name)
                if not self._ready(recipe):  # nobody made it while we waited
                    self._make(recipe)

    def uv(self) -> Path:
        """Returns uv, installed into an environment of its own with the user's own pip settings."""
        folder = self.folder / "tools"
        uv, ready = folder / "bin" / "uv", folder / "ready.json"
        with (self.folder / "tools.lock").open("w") as lock:
            self._lock(lock.fileno(), fcntl.LOCK_EX, "tools")
            wanted = json.dumps({"uv": UV, "root": str(self.folder)})
            runs = os.access(str(uv), os.X_OK) and os.access(str(uv.with_name("python")), os.X_OK)
            if not (runs and ready.is_file() and ready.read_text() == wanted):
                say("Installing uv into .venv/tools ...")
                shutil.rmtree(str(folder), ignore_errors=True)
                made = subprocess.run(
                    [sys.executable, "-m", "venv", str(folder)],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=clean_environment(),
                    check=False,
                )
                if made.returncode != 0:
                    raise UnavailableError(
                        f"{sys.executable} can't make a virtual environment (Debian and Ubuntu: apt install "
                        f"python3-venv):\n{made.stdout.decode('utf-8', 'replace')}"
                    )
                pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
                variables = {**self._inside(), "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
                if subprocess.call([*pip, UV], env=variables) != 0:
                    raise UnavailableError("pip could not install uv; its message stands above.")
                ready.write_text(wanted)
        return uv

    def variables(self) -> dict[str, str]:
        """Returns the variables that uv runs with: the user's own, and pip's settings where uv has none."""
        if self._variables is None:
            self.uv()
            config = _package_index.read_pip_config(self.folder / "tools" / "bin" / "python")
            mine = self._inside()
            self._variables = {**mine, **_package_index.uv_settings(config, mine)}
        return self._variables

    def _inside(self) -> dict[str, str]:
        """Returns the user's variables, with what keeps pip and uv from writing outside the checkout.

        uv leaves locks in the folder for temporary files.
        """
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        caches = {"UV_CACHE_DIR": str(self.folder / "cache"), "PIP_CACHE_DIR": str(self.folder / "cache" / "pip")}
        mine = clean_environment()
        return {**caches, **{name: value for name, value in mine.items() if value}, "TMPDIR": str(temporary)}

    def interpreter(self, recipe: Recipe) -> _interpreters.Interpreter | None:
        """Returns the first interpreter of the recipe that can be had; the wanted one may be installed by uv."""
        for minor in recipe.pythons:
            found = _interpreters.find(
                minor,
                recipe.least,
                uv=self.uv(),
                folder=self.folder / "pythons",
                environment=self.variables(),
                say=say,
            )
            if found:
                return found
        return None

    def can_make(self, recipe: Recipe) -> bool:
        """Tells whether the environment is there, or its Python is or can be had."""
        return self.is_ready(recipe) or self.interpreter(recipe) is not None

    def is_ready(self, recipe: Recipe) -> bool:
        """Tells whether the environment is there, as the recipe has it."""
        return self._ready(recipe) is not None

    def _ready(self, recipe: Recipe) -> Environment | None:
        folder = self.folder / recipe.name
        try:
            state = json.loads((folder / "ready.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        environment = Environment(recipe.name, folder, state["python"], state["packages"])
        if state["key"] != recipe.key() or not os.access(str(environment.python), os.X_OK):
            return None
        return environment

    def _make(self, recipe: Recipe) -> None:
        started = time.monotonic()
        interpreter = self.interpreter(recipe)
        if interpreter is None:
            wanted = " or ".join(recipe.pythons)
            raise UnavailableError(
                f"{recipe.name} needs Python {wanted} ({'.'.join(map(str, recipe.least))} or later). Put it on PATH, "
                f"install it with pyenv or uv, or name it in SMS1680_PYTHON_{recipe.pythons[0].replace('.', '_')}."
            )
        say(f"Setting up .venv/{recipe.name} with Python {interpreter} ...")
        folder = self.folder / recipe.name
        shutil.rmtree(str(folder), ignore_errors=True)
        self._uv("venv", "--no-project", "--python", interpreter.path, folder)
        environment = Environment(recipe.name, folder, str(interpreter), {})
        for step in recipe.steps:
            self.install(environment, step)
        listed = self._uv("pip", "list", "--python", environment.python, "--format", "json")
        state = {
            "key": recipe.key(),
            "python": str(interpreter),
            "packages": {package["name"]: package["version"] for package in json.loads(listed)},
        }
        (folder / "ready.new").write_text(json.dumps(state, indent=1), "utf-8")
        (folder / "ready.new").rename(folder / "ready.json")
        say(f"  ready after {time.monotonic() - started:.0f} s")

    def install(self, environment: Environment, step: Step) -> None:
        """Installs into an environment."""
        pins = environment.site_packages / step.constraints
        constraints: tuple[str | Path, ...] = ("--constraint", pins) if step.constraints else ()
        self._uv("pip", "install", "--python", environment.python, *constraints, *step.options, *step.requirements)

    def _uv(self, *arguments: str | Path) -> str:
        command = [str(self.uv()), *map(str, arguments)]
        watched = sys.stderr.isatty()  # a person sees uv's progress; elsewhere it speaks only when it fails
        done = subprocess.run(
            command,
            cwd=str(ROOT),
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if watched else subprocess.PIPE,
            check=False,
        )
        if done.returncode != 0:
            message = (done.stderr or b"").decode("utf-8", "replace").strip()
            raise UnavailableError(f"uv failed: {' '.join(command[1:])}\n{message}".rstrip())
        return done.stdout.decode("utf-8")

    def _lock(self, descriptor: int, kind: int, name: str) -> None:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except OSError:
            say(f"Waiting for another run that uses .venv/{name} ...")
            fcntl.flock(descriptor, kind)
