"""Test lanes and checks, one nox session each. scripts/test and scripts/lint start them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Sequence

import nox

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "scripts"))

from bootstrap import is_test_path  # noqa: E402
from interpreters import find_python  # noqa: E402

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv"
nox.options.envdir = ".venv"
nox.options.error_on_missing_interpreters = True
nox.options.reuse_venv = "yes"

PYPROJECT: dict[str, Any] = nox.project.load_toml(ROOT / "pyproject.toml")
INTEGRATION = "custom_components/sms1680"
CORE_TESTS = ("tests/core", "tests/apprise_plugin", "tests/field/core", "tests/sandbox", "tests/house")
# The tests of the pages and of the kill take longest, so they start first.
HOME_ASSISTANT_TESTS = (
    *("tests/e2e", "tests/hassfest", "tests/home_assistant", "tests/field/home_assistant"),
    "tests/house/test_layout.py",
)
# What a forgotten package or entry point can break, and nothing else.
WHEEL_TESTS = (
    "tests/house/test_wheel.py",
    "tests/apprise_plugin/test_loaders.py",
    "tests/core/test_import.py",
    "tests/core/test_cli.py",
    "tests/sandbox/test_command.py",
)
TYPED = ("apprise_plugin", "demo", "sandbox", "scripts", "tests/support", "noxfile.py")
# Home Assistant's list of the versions that it works with, in the folder of its environment.
PINS = "lib/python*/site-packages/homeassistant/package_constraints.txt"
EDITABLE = ("--no-deps", "--no-build-isolation", "--editable", ".")
WHEEL_SOURCES = ("pyproject.toml", "LICENSE", "README.md", "custom_components", "apprise_plugin", "sandbox")
NO_TESTS_COLLECTED = 5
PROGRAMS = ("homeassistant", "apprise")

Step = Sequence[str]  # the arguments of one `uv pip install`


def group(*names: str) -> tuple[str, ...]:
    """Return the requirements of dependency groups in pyproject.toml."""
    return tuple(nox.project.dependency_groups(PYPROJECT, *names))


def home_assistant_steps(end: str) -> tuple[Step, ...]:
    """Return the packages of Home Assistant's `oldest` or `newest` release, with what it needs to run as a program."""
    steps: list[Step] = [
        group(f"home-assistant-{end}"),
        ("--constraint", PINS, *group(f"home-assistant-{end}-program")),
    ]
    if end == "newest":  # in other versions than it pins, because only these have wheels
        steps.append(group("home-assistant-newest-unpinned"))
    return (*steps, EDITABLE)


class Lane(NamedTuple):
    """One environment and the tests that run in it."""

    python: str
    tests: Sequence[str]
    shown: Sequence[str]  # the packages whose versions the summary names
    steps: Sequence[Step]
    from_wheel: bool = False
    measured: bool = False  # whether the lane enforces the coverage of each file of the integration


LANES = {
    "core-oldest": Lane("3.11", CORE_TESTS[:-1], ("apprise", "httpx"), (group("test", "oldest"), EDITABLE)),
    "core-newest": Lane("3.11", CORE_TESTS, ("apprise", "httpx"), (group("test", "newest"), EDITABLE)),
    "wheel": Lane("3.11", WHEEL_TESTS, ("apprise", "httpx"), (group("test", "newest"),), from_wheel=True),
    "ha-oldest": Lane("3.13", HOME_ASSISTANT_TESTS[:-1], PROGRAMS, home_assistant_steps("oldest")),
    "ha-newest": Lane("3.14.2", HOME_ASSISTANT_TESTS, PROGRAMS, home_assistant_steps("newest"), measured=True),
    "attack": Lane("3.14.2", ["tests/attack"], PROGRAMS, home_assistant_steps("newest")),
    "recipes": Lane("3.14.2", ["tests/recipes"], PROGRAMS, home_assistant_steps("newest")),
}


def python(*wanted: str) -> str:
    """Return the first of these Pythons on this machine. If none is there, uv installs the first version."""
    found = next(filter(None, map(find_python, wanted)), None)
    return found or ".".join(wanted[0].split(".")[:2])


def prepare(session: nox.Session, steps: Sequence[Step], *, wheel: bool = False) -> None:
    """Install the packages, unless the environment has them from an earlier run."""
    folder = Path(session.virtualenv.location)
    stamp = folder / "stamp"
    definition = [PYPROJECT["build-system"], PYPROJECT["project"], PYPROJECT["tool"]["setuptools"]]
    # Not the path of the interpreter: the demo, started by a lane's tests, finds another path to the same one.
    wanted = LANES[session.name].python if session.name in LANES else ""
    parts = [str(ROOT), wanted, steps, definition, wheel_contents() if wheel else ""]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    with (ROOT / ".venv" / f"{session.name}.lock").open("w") as lock:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)  # released with the file; a second run waits until this is done
        if stamp.is_file() and stamp.read_text("utf-8") == key:
            return
        stamp.unlink() if stamp.exists() else None
        session.virtualenv.reuse_existing = False  # type: ignore[attr-defined]  # remove an older or a broken one
        session.virtualenv.create()
        for step in steps:
            session.install(*(str(next(folder.glob(PINS))) if argument == PINS else argument for argument in step))
        if wheel:
            session.run_install("python", "-P", "tests/support/wheel.py", str(folder / "wheel"), silent=True)
            session.install("--no-deps", *map(str, (folder / "wheel").glob("*.whl")))
        stamp.write_text(key, "utf-8")


def wheel_contents() -> str:
    """Return a hash of every file that the wheel is built from."""
    contents = hashlib.sha256()
    for name in WHEEL_SOURCES:
        for path in sorted((ROOT / name).rglob("*")) if (ROOT / name).is_dir() else [ROOT / name]:
            if path.is_file() and "__pycache__" not in path.parts:
                contents.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return contents.hexdigest()


def versions(session: nox.Session, lane: Lane) -> str:
    """Return the versions that the lane runs with."""
    code = "import platform, sys; from importlib.metadata import version; print(platform.python_version(), "
    code += "*(f'{name} {version(name)}' for name in sys.argv[1:]), sep=', ')"
    shown = session.run_install("python", "-c", code, *lane.shown, silent=True, log=False)
    return f"Python {str(shown).strip()}"


def run_lane(session: nox.Session) -> None:
    """Run the tests of a lane with pytest."""
    lane = LANES[session.name]
    folder = Path(session.virtualenv.location)
    prepare(session, lane.steps, wheel=lane.from_wheel)
    shown = versions(session, lane)
    (folder / "versions.txt").write_text(shown, "utf-8")
    session.log(f"=== {session.name}: {shown}")
    options = [f"--junit-xml={folder / 'results.xml'}", "-o", f"cache_dir={folder / 'pytest-cache'}"]
    variables = {"COVERAGE_FILE": str(folder / "coverage")}
    if lane.from_wheel:
        variables["SMS1680_WHEEL"] = str(next((folder / "wheel").glob("*.whl")))
    if "homeassistant" in lane.shown:
        # Home Assistant's own code warns often. A warning in our code is an error.
        options += ["-o", "filterwarnings=default\nerror:::custom_components\\.sms1680"]
    if not any(map(is_test_path, session.posargs)):
        options += lane.tests
    whole = not session.posargs
    if whole:
        options += ["-n", "auto", "--maxprocesses=4", "--dist=worksteal"]
    report = folder / "coverage.json"
    if whole and lane.measured:
        options += [f"--cov={INTEGRATION}", f"--cov-report=json:{report}"]
    pytest = ["python", "-P", "-m", "pytest", *options, *session.posargs]
    session.run(*pytest, env=variables, success_codes=[0, NO_TESTS_COLLECTED])
    if whole and lane.measured:
        session.run("python", "-P", "tests/support/coverage_floor.py", str(report), str(folder / "note.txt"))


for lane_name, each in LANES.items():
    nox.session(name=lane_name, python=python(each.python))(run_lane)


@nox.session(python=python("3.11", "3.12", "3.13", "3.14"))
def lint(session: nox.Session) -> None:
    """Check style, types of the core, spelling, layers and the rules of this repository: [--fix] [PATH ...]."""
    prepare(session, [group("lint")])
    fix = ["--fix"] if "--fix" in session.posargs else []
    where = [argument for argument in session.posargs if not argument.startswith("-")] or ["."]
    checks = {
        "ruff check": ["ruff", "check", "--quiet", "--output-format=concise", *fix, *where],
        "ruff format": ["ruff", "format", "--quiet", *([] if fix else ["--diff"]), *where],
        "repository rules": ["python", "-P", "tests/support/repo_rules.py"],
        "spelling": ["codespell", *where],
        "layers": ["lint-imports", "--no-logo", "--cache-dir=.venv/cache/import-linter"],
        # The core is checked under its installed name, which is a link.
        "mypy": ["mypy", "--no-error-summary", "typings/sms1680", *TYPED],
    }
    run_checks(session, checks)


@nox.session(python=python(LANES["ha-newest"].python))
def types(session: nox.Session) -> None:
    """Check the types of the integration with those of the newest Home Assistant: [PATH ...]."""
    paths = [argument for argument in session.posargs if not argument.startswith("-")]
    if paths and not any(str(Path(path).resolve()).startswith(str(ROOT / INTEGRATION)) for path in paths):
        session.skip("no path in the integration")
    prepare(session, (*home_assistant_steps("newest")[:-1], group("mypy")))
    run_checks(session, {"mypy": ["mypy", "--no-error-summary", "--python-version=3.14", INTEGRATION]})


@nox.session(python=python("3.13", "3.14"))
def house(session: nox.Session) -> None:
    """Print the measures of the layout, the size of the code and its English: [--english FOLDER ...]."""
    session.run("python", "-P", "tests/support/layout.py", *session.posargs)


@nox.session(python=python("3.11", "3.12", "3.13", "3.14"))
def demo(session: nox.Session) -> None:
    """Prepare the environment of scripts/demo: the wheel, as users install it, because it has Apprise's plugin file."""
    prepare(session, [(*group("newest"), "setuptools>=77")], wheel=True)


def run_checks(session: nox.Session, checks: Mapping[str, Sequence[str]]) -> None:
    """Run every check, so that one run shows all that there is to mend, then fail if any of them failed."""
    caches = {f"{tool}_CACHE_DIR": str(ROOT / ".venv" / "cache" / tool.lower()) for tool in ("MYPY", "RUFF")}
    failed = []
    for name, command in checks.items():
        try:
            session.run(*command, env=caches)
        except nox.command.CommandFailed:
            failed.append(name)
    if failed:
        session.error(f"{', '.join(failed)} found something")
