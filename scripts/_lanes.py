"""The lanes of `scripts/test`: each end of the range of versions, each in an environment of its own."""

from __future__ import annotations

import os
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

import _wheel
from _coverage import Coverage, judge
from _environments import PROJECT, ROOT, Environment, Environments, Recipe, Step, UnavailableError, say
from _home_assistant import NEWEST as NEWEST_HOME_ASSISTANT, OLDEST as OLDEST_HOME_ASSISTANT

CORE_TESTS = ("tests/core", "tests/apprise_plugin", "tests/sandbox", "tests/house")
HOME_ASSISTANT_TESTS = ("tests/home_assistant", "tests/hassfest", "tests/e2e")
CORE_PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PYTEST_NO_TESTS = 5

HYPOTHESIS = "hypothesis==6.170.15"
TEST_TOOLS = ("pytest==9.2.0", "pytest-asyncio==1.5.0", "pytest-timeout==2.4.0", HYPOTHESIS, "setuptools==84.2.1")

# The lower ends of the ranges in pyproject.toml; tests/house compares the two.
OLDEST = ("apprise==1.9.0", "httpx==0.27.0", "aiohttp==3.11.0")
NEWEST = ("apprise", "httpx", "aiohttp")

# For scripts/lint: it must run on the Python whose syntax Home Assistant is written in.
MYPY = "mypy==2.4.1"
HA_OLDEST = OLDEST_HOME_ASSISTANT.test_recipe("ha-oldest", HYPOTHESIS)
HA_NEWEST = NEWEST_HOME_ASSISTANT.test_recipe("ha-newest", HYPOTHESIS, MYPY)


@dataclass(frozen=True)
class Lane:
    """One environment and the tests that run in it."""

    recipe: Recipe
    tests: tuple[str, ...]
    shown: tuple[str, ...]  # the packages whose versions the summary names
    from_wheel: bool = False
    measured: bool = False  # whether it must reach enough of the integration
    fallback: str = ""  # the lane that is the newest that can be had where this one's Python can't be

    @property
    def name(self) -> str:
        """The lane's name on the command line, and its environment's."""
        return self.recipe.name


def core(name: str, packages: tuple[str, ...], *, from_wheel: bool = False) -> Lane:
    """Returns a lane of the core, the Apprise plugin and the sandbox."""
    steps = (Step((*TEST_TOOLS, *packages)),) + (() if from_wheel else (PROJECT,))
    return Lane(Recipe(name, CORE_PYTHONS, steps), CORE_TESTS, ("apprise", "httpx"), from_wheel=from_wheel)


LANES = (
    core("core-oldest", OLDEST),
    core("core-newest", NEWEST),
    core("wheel", NEWEST, from_wheel=True),
    Lane(HA_OLDEST, HOME_ASSISTANT_TESTS, ("homeassistant", "apprise")),
    Lane(HA_NEWEST, HOME_ASSISTANT_TESTS, ("homeassistant", "apprise"), measured=True, fallback="ha-oldest"),
)


@dataclass
class Result:
    """What came of one lane."""

    lane: str
    versions: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    note: str = ""
    seconds: float = 0.0
    broken: bool = False  # ended badly, whatever the tests counted
    ran: bool = True

    @property
    def good(self) -> bool:
        """Whether nothing failed."""
        return not self.failed and not self.broken


def run_lane(lane: Lane, arguments: Sequence[str], environments: Environments) -> Result:
    """Runs one lane and returns what came of it. Raises UnavailableError where its environment can't be had."""
    with environments.open(lane.recipe, alone=lane.from_wheel) as environment:
        result = Result(lane.name, describe(lane, environment))
        extra: dict[str, str] = {}
        if lane.from_wheel:
            extra["SMS1680_WHEEL"] = str(_wheel.installed(environments, environment))
        options = ["-o", f"cache_dir={environment.folder / 'pytest-cache'}"]
        if lane.tests == HOME_ASSISTANT_TESTS:
            # Home Assistant's own code warns a good deal; only our part of it is held to none.
            options += ["-o", "filterwarnings=default\nerror:::custom_components\\.sms1680"]
        if not any(is_test_path(argument) for argument in arguments):
            tests = [folder for folder in lane.tests if any((ROOT / folder).rglob("test_*.py"))]
            if not tests:
                result.note = "no tests yet"
                return result
            options += tests
        # Of chosen tests nobody wants to know what they don't reach.
        coverage = Coverage(environment.folder) if lane.measured and not arguments else None
        if coverage:
            options += coverage.options
            extra.update(coverage.variables)
        report = environment.folder / "results.xml"
        report.unlink() if report.exists() else None
        say(f"\n=== {lane.name}: {result.versions}")
        started = time.monotonic()
        code = environment.run(["-m", "pytest", f"--junit-xml={report}", *options, *arguments], extra)
        result.seconds = time.monotonic() - started
        count(report, result)
        result.broken = code not in (0, 1, PYTEST_NO_TESTS) or (code == 1 and not result.failed)
        if result.broken:
            result.note = f"pytest ended with exit code {code}"
        elif coverage and result.good:
            tell_coverage(coverage, result)
        return result


def tell_coverage(coverage: Coverage, result: Result) -> None:
    """Says how much of the integration was reached; where that is too little, the lane has failed."""
    result.note, lacking = judge(coverage.report)
    for line in lacking:
        say(f"Too little is covered of {line}")
    if lacking:
        result.broken = True
        result.note += f", too little of {len(lacking)} files"


def describe(lane: Lane, environment: Environment) -> str:
    """Returns the versions that the lane runs with, and says where they are not the wanted ones."""
    python = environment.python_version
    wanted = lane.recipe.pythons[0]
    instead = "" if python.startswith(wanted + ".") else f" (instead of {wanted}, which is not here)"
    packages = [f"{name} {environment.packages[name]}" for name in lane.shown]
    return ", ".join([f"Python {python}{instead}", *packages])


def is_test_path(argument: str) -> bool:
    """Tells whether an argument for pytest chooses tests by file or folder (and is not a word such as `-k sandbox`)."""
    path = (ROOT / argument.split("::", maxsplit=1)[0]).resolve()
    tests = ROOT / "tests"
    return not argument.startswith("-") and path.exists() and (path == tests or tests in path.parents)


def count(report: Path, result: Result) -> None:
    """Adds up pytest's own report."""
    if not report.is_file():
        return
    for suite in ET.parse(str(report)).getroot().iter("testsuite"):  # noqa: S314 - pytest's own
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        result.failed += bad
        result.skipped += skipped
        result.passed += int(suite.get("tests", 0)) - bad - skipped


def run(lanes: Sequence[Lane], arguments: Sequence[str]) -> int:
    """Runs the lanes one after the other, prints the summary, and returns the exit code."""
    environments = Environments()
    results = [result for lane in lanes for result in outcome(lane, lanes, arguments, environments)]
    summarise(results)
    return 0 if all(result.good for result in results) else 1


def outcome(lane: Lane, lanes: Sequence[Lane], arguments: Sequence[str], environments: Environments) -> list[Result]:
    """Runs one lane, or where its Python can't be had the one that is its fallback, and returns what came of it."""
    try:
        return [run_lane(lane, arguments, environments)]
    except UnavailableError as error:
        fallback = next((other for other in LANES if other.name == lane.fallback), None)
        if fallback is None or environments.can_make(lane.recipe):
            say(f"\n{lane.name}: {error}")
            return [Result(lane.name, note="its environment can't be had", broken=True)]
        say(f"\n{error}\nThe newest Home Assistant that can be had here is the one of {fallback.name}.")
    not_run = Result(lane.name, note=f"not run: no Python {lane.recipe.pythons[0]}; see {fallback.name}", ran=False)
    return [not_run] if fallback in lanes else [not_run, *outcome(fallback, lanes, arguments, environments)]


def summarise(results: Sequence[Result]) -> None:
    """Prints which lanes ran, with which versions, and what came of them."""
    print("\nLanes:")
    for result in results:
        counts = f"{result.passed} passed, {result.failed} failed"
        skipped = f", {result.skipped} skipped" if result.skipped else ""
        outcome = f"{counts}{skipped} in {result.seconds:.1f} s" if result.seconds else ""
        told = "; ".join(part for part in (result.versions, outcome, result.note) if part)
        word = "FAILED" if not result.good else "ok" if result.ran else "-"
        print(f"  {word:<6} {result.lane:<12} {told}")
    passed, failed, skipped_in_all = (
        sum(result.passed for result in results),
        sum(result.failed or result.broken for result in results),
        sum(result.skipped for result in results),
    )
    print(f"\n{passed} passed, {failed} failed" + (f", {skipped_in_all} skipped" if skipped_in_all else ""), flush=True)


def main(arguments: Sequence[str]) -> int:
    """Runs what the command line asks for."""
    names = [lane.name for lane in LANES]
    if arguments and arguments[0] in ("-h", "--help"):
        print(__doc__)
        print(
            f"\nusage: scripts/test [LANE ...] [pytest's arguments]\nLanes (all, if none is named): {', '.join(names)}"
        )
        return 0
    rest = list(arguments)
    chosen: list[Lane] = []
    while rest and rest[0] in names:
        chosen.append(LANES[names.index(rest.pop(0))])
    if rest and not rest[0].startswith("-") and not is_test_path(rest[0]):
        say(f"There is no lane {rest[0]!r}. Lanes: {', '.join(names)}")
        return 2
    os.chdir(str(ROOT))
    try:
        return run(chosen or LANES, rest)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
