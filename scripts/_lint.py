"""What `scripts/lint` checks: ruff's rules and format, types, and the house's own rules."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Callable, Sequence

from _environments import ROOT, Environment, Environments, Recipe, Step, UnavailableError, say
from _lanes import CORE_PYTHONS, HA_NEWEST, MYPY

# Pinned like the tools, so that nobody's change turns red for what somebody else released.
TYPES = ("apprise==2.2.0", "httpx==0.28.1", "aiohttp==3.14.5", "types-requests==2.33.0.20261030")
TOOLS = Recipe(
    "lint",
    CORE_PYTHONS,
    (Step(("ruff==0.17.6", MYPY, *TYPES)),),
)
INTEGRATION = "custom_components/sms1680"
# The core by the name under which it is installed (typings/sms1680 is a link to it), then the rooms around it.
TYPED = ("typings/sms1680", "apprise_plugin", "sandbox", "scripts")


def typed_files(paths: Sequence[str]) -> list[str]:
    """Returns what mypy looks at on the oldest Python; the scripts have no package to name."""
    chosen = []
    for name in TYPED:
        where = "custom_components/sms1680/client" if name.startswith("typings/") else name
        if not touches(where, paths):
            continue
        if name == "scripts":
            chosen += [str(path.relative_to(ROOT)) for path in sorted((ROOT / name).glob("*.py"))]
        elif any((ROOT / name).glob("**/*.py")):
            chosen.append(name)
    return chosen


def touches(folder: str, paths: Sequence[str]) -> bool:
    """Tells whether the paths that were asked for (none: all) have anything to do with a folder."""
    room = ROOT / folder
    asked = [ROOT / path for path in paths]
    return not asked or any(room == path or room in path.parents or path in room.parents for path in asked)


def main(arguments: Sequence[str]) -> int:
    """Runs every check, says what each found, and returns 1 if any found anything."""
    parser = argparse.ArgumentParser(prog="scripts/lint", description=__doc__)
    parser.add_argument("--fix", action="store_true", help="let ruff mend what it can, and format")
    parser.add_argument("paths", nargs="*", help="only these files and folders (default: all)")
    options = parser.parse_args(arguments)
    environments = Environments()
    try:
        with environments.open(TOOLS) as tools:
            failed = check(options.paths, tools, environments, fix=options.fix)
    except UnavailableError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\nlint: {', '.join(failed)} found something" if failed else "\nlint: clean")
    return 1 if failed else 0


def check(paths: Sequence[str], tools: Environment, environments: Environments, *, fix: bool) -> list[str]:
    """Runs the checks and returns the names of those that found something."""
    where = list(paths) or ["."]
    core = typed_files(paths)
    rules = ["-m", "ruff", "check", "--quiet", "--output-format", "concise", *(["--fix"] if fix else []), *where]
    form = ["-m", "ruff", "format", "--quiet", *([] if fix else ["--diff"]), *where]
    checks: list[tuple[str, Callable[[], int]]] = [
        ("ruff check", lambda: tools.run(rules)),
        ("ruff format", lambda: tools.run(form)),
        ("house rules", lambda: tools.run([ROOT / "scripts" / "_house.py"])),
    ]
    if core:
        checks.append(("mypy", lambda: tools.run(["-m", "mypy", "--no-error-summary", *core])))
    if (ROOT / INTEGRATION / "__init__.py").is_file() and touches(INTEGRATION, paths):
        checks.append(("mypy on Home Assistant", lambda: check_integration(environments)))
    failed = []
    for name, call in checks:
        started = time.monotonic()
        bad = call() != 0
        print(f"{'FAILED' if bad else 'ok    '} {name} ({time.monotonic() - started:.1f} s)", flush=True)
        if bad:
            failed.append(name)
    return failed


def check_integration(environments: Environments) -> int:
    """Runs mypy over the integration with the newest Home Assistant's own types."""
    try:
        with environments.open(HA_NEWEST) as newest:
            cache = newest.folder / "mypy-cache"
            return newest.run(
                ["-m", "mypy", "--no-error-summary", "--cache-dir", cache, "--python-version", "3.14", INTEGRATION]
            )
    except UnavailableError as error:
        if environments.can_make(HA_NEWEST):
            raise
        say(f"{error}\nThe integration's types are not checked: they are those of the newest Home Assistant.")
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
