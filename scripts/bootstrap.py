"""Start nox for scripts/test, scripts/lint and scripts/demo, on any Python from 3.8.

nox and uv are installed into `.venv/tools` by pip, with the user's own settings. The sessions are in noxfile.py. Every
cache is below `.venv`, so that nothing is written outside the checkout.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Sequence

from package_index import read_pip_config, uv_settings

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = VENV / "tools"
# nox still supports Python 3.8, so pip takes the newest release that runs on the Python of the starter.
TOOL_REQUIREMENTS = ("nox>=2025.2.9", "uv>=0.13,<1")
LANES = ("core-oldest", "core-newest", "wheel", "ha-oldest", "ha-newest", "attack", "recipes")

# Variables that would make uv, nox or an interpreter use another environment or other sessions.
MISLEADING = (
    "NOXEXTRAPYTHON NOXFORCEPYTHON NOXPYTHON NOXSESSION PYTHONHOME PYTHONPATH PYTHONSAFEPATH UV_PROJECT "
    "UV_PROJECT_ENVIRONMENT UV_PYTHON UV_SYSTEM_PYTHON UV_WORKING_DIR VIRTUAL_ENV"
)


@dataclass
class Result:
    """The outcome of one lane."""

    lane: str
    versions: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    note: str = ""
    status: str = "failed"  # as nox reports it: success, failed, aborted, skipped

    @property
    def good(self) -> bool:
        """Whether the lane did not fail."""
        return self.status in ("success", "skipped")


def say(text: str) -> None:
    """Print a line for the person who started the script, in order with the output of other programs."""
    print(text, file=sys.stderr, flush=True)


def environment() -> dict[str, str]:
    """Return the user's variables, without the misleading ones and with every cache below `.venv`."""
    user = {name: value for name, value in os.environ.items() if value and name not in MISLEADING.split()}
    cache = VENV / "cache"
    caches = {"UV_CACHE_DIR": str(cache / "uv"), "PIP_CACHE_DIR": str(cache / "pip")}
    own_python = "SMS1680_PYTHON_{}_{}".format(*sys.version_info[:2])
    return {
        own_python: sys.executable,
        **caches,
        **user,
        "XDG_CACHE_HOME": str(cache),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(cache / "hypothesis"),
        "UV_PYTHON_INSTALL_DIR": str(VENV / "pythons"),
    }


def install_tools(variables: dict[str, str]) -> None:
    """Install nox and uv into `.venv/tools` unless they are there. Exit with an explanation if pip can't."""
    stamp = TOOLS / "stamp.json"
    wanted = json.dumps([TOOL_REQUIREMENTS, str(TOOLS)])
    python = TOOLS / "bin" / "python"
    if stamp.is_file() and stamp.read_text() == wanted and os.access(str(python), os.X_OK):
        return
    say("Installing nox and uv into .venv/tools ...")
    shutil.rmtree(str(TOOLS), ignore_errors=True)
    if subprocess.call([sys.executable, "-m", "venv", str(TOOLS)], env=variables) != 0:
        sys.exit(f"{sys.executable} can't create a virtual environment (Debian, Ubuntu: apt install python3-venv).")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *TOOL_REQUIREMENTS]
    if subprocess.call(pip, env={**variables, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}) != 0:
        sys.exit("pip could not install nox and uv; its message is above.")
    stamp.write_text(wanted)


def prepared() -> dict[str, str]:
    """Install nox and uv, and return the variables that they run with."""
    variables = environment()
    VENV.mkdir(exist_ok=True)
    install_tools(variables)
    variables.update(uv_settings(read_pip_config(TOOLS / "bin" / "python"), variables))
    return variables


def run_nox(sessions: Sequence[str], arguments: Sequence[str], variables: dict[str, str]) -> list[Result]:
    """Run sessions with nox and return their results."""
    report = VENV / f"report-{os.getpid()}.json"
    # CI sets this on a machine that can't have the Python of the newest Home Assistant.
    missing = "no-" if variables.get("SMS1680_MISSING_PYTHON") == "skip" else ""
    command = [str(TOOLS / "bin" / "python"), "-m", "nox", "-f", str(ROOT / "noxfile.py"), "--report", str(report)]
    command += [f"--{missing}error-on-missing-interpreters", "-s", *sessions, "--", *arguments]
    for left in (VENV / name / file for name in sessions for file in ("results.xml", "note.txt")):
        left.unlink() if left.exists() else None
    subprocess.call(command, cwd=str(ROOT), env=variables)
    try:
        reported = {session["name"]: session for session in json.loads(report.read_text("utf-8"))["sessions"]}
        report.unlink()
    except OSError:
        reported = {}
    return [read_result(name, reported.get(name, {})) for name in sessions]


def read_result(name: str, reported: dict[str, str]) -> Result:
    """Return the result of a session from the report of nox and the files that the session left."""
    result = Result(name, status=reported.get("result", "aborted"), note=reported.get("reason") or "")
    folder = VENV / name
    junit = folder / "results.xml"
    for counts in ET.parse(str(junit)).getroot().iter("testsuite") if junit.is_file() else ():  # noqa: S314
        failed = int(counts.get("failures", 0)) + int(counts.get("errors", 0))
        skipped = int(counts.get("skipped", 0))
        result.failed += failed
        result.skipped += skipped
        result.passed += int(counts.get("tests", 0)) - failed - skipped
        result.seconds += float(counts.get("time", 0.0))
    if junit.is_file():
        for attribute, file in (("versions", "versions.txt"), ("note", "note.txt")):
            if (folder / file).is_file():
                setattr(result, attribute, (folder / file).read_text("utf-8"))
    if not result.good and not result.failed and not result.note:
        result.note = "it did not end well; see above"
    return result


def summarise(results: Sequence[Result]) -> int:
    """Print each lane with its versions and counts, then the total alone on a line; return the exit code."""
    print("\nLanes:")
    for result in results:
        counts = f"{result.passed} passed, {result.failed} failed"
        counts += f", {result.skipped} skipped" if result.skipped else ""
        outcome = f"{counts} in {result.seconds:.1f} s" if result.seconds else ""
        word = {"success": "ok", "skipped": "-"}.get(result.status, "FAILED")
        print(f"  {word:<6} {result.lane:<12} {'; '.join(filter(None, (result.versions, outcome, result.note)))}")
    passed = sum(result.passed for result in results)
    failed = sum(result.failed or not result.good for result in results)
    skipped = sum(result.skipped for result in results)
    print(f"\n{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    return int(failed > 0 or all(result.status == "skipped" for result in results))


def is_test_path(argument: str) -> bool:
    """Return whether a pytest argument selects tests by file or folder (unlike a word such as `-k sandbox`)."""
    path = (ROOT / argument.split("::", maxsplit=1)[0]).resolve()
    tests = ROOT / "tests"
    return not argument.startswith("-") and path.exists() and (path == tests or tests in path.parents)


def test(arguments: Sequence[str]) -> int:
    """Run the lanes that the command line names, or all."""
    if arguments[:1] and arguments[0] in ("-h", "--help"):
        print("usage: scripts/test [LANE ...] [pytest arguments]\nLanes (all, if none is named):", ", ".join(LANES))
        return 0
    rest = list(arguments)
    chosen = []
    while rest and rest[0] in LANES:
        chosen.append(rest.pop(0))
    if rest and not rest[0].startswith("-") and not is_test_path(rest[0]):
        say(f"There is no lane {rest[0]!r}. Lanes: {', '.join(LANES)}")
        return 2
    try:
        return summarise(run_nox(chosen or LANES, rest, prepared()))
    except KeyboardInterrupt:
        return 130


def lint(arguments: Sequence[str]) -> int:
    """Run every check on these files and folders, or on all."""
    try:
        results = run_nox(("lint", "types"), arguments, prepared())
    except KeyboardInterrupt:
        return 130
    failed = [result.lane for result in results if not result.good]
    print(f"\nlint: {', '.join(failed)} found something" if failed else "\nlint: clean")
    return int(bool(failed))


def demo(arguments: Sequence[str]) -> NoReturn:
    """Prepare the environment of the demo and become the demo, so that signals and the exit code are its own."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    variables = prepared()
    (result,) = run_nox(("demo",), (), variables)
    if not result.good:
        sys.exit(1)
    os.chdir(str(ROOT))
    python = str(VENV / "demo" / "bin" / "python")
    os.execve(python, [python, "-m", "demo", *arguments], variables)  # noqa: S606 - no shell is needed
