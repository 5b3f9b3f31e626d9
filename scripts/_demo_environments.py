"""The environments of `scripts/demo`: one for the platform and Apprise, one for Home Assistant.

The first has the wheel, as users install it: an editable install does not put the loader among Apprise's services. For
the second a lane of `scripts/test` has all that is needed: where it is there it is used, else a smaller one is made.

As a program (`_demo_environments.py newest`) this makes Home Assistant's, and prints which as one line of JSON: so it
can be made while the platform is up already, and be stopped.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Sequence

import _wheel
from _environments import Environment, Environments, Recipe, Step, UnavailableError, say
from _home_assistant import NEWEST, OLDEST, Release, newest_to_be_had
from _lanes import CORE_PYTHONS, HA_NEWEST, HA_OLDEST, NEWEST as NEWEST_PACKAGES

RUNNING = "{}.{}".format(*sys.version_info[:2])
PLATFORMS = tuple(
    Recipe("demo-platform", (first, *CORE_PYTHONS), (Step((*NEWEST_PACKAGES, "setuptools>=77")),))
    # The Python that runs this is here already.
    for first in sorted(CORE_PYTHONS, key=lambda minor: minor != RUNNING)
)

HOMES = {
    recipe.name: (release, recipe)
    for release, recipe in (
        (NEWEST, HA_NEWEST),
        (NEWEST, NEWEST.demo_recipe("demo")),
        (OLDEST, HA_OLDEST),
        (OLDEST, OLDEST.demo_recipe("demo-oldest")),
    )
}


def platform(environments: Environments) -> Recipe:
    """Returns what the platform and Apprise run in: what is there, else what is made soonest."""
    return next(filter(environments.is_ready, PLATFORMS), PLATFORMS[0])


def make_platform(environments: Environments) -> Environment:
    """Makes the platform's environment with the tree as it is, where it is not there. Raises UnavailableError."""
    recipe = platform(environments)
    with environments.open(recipe) as environment:
        if _wheel.is_installed(environment):
            return environment
    with environments.open(recipe, alone=True) as environment:
        _wheel.installed(environments, environment)
        return environment


def home(release: Release, environments: Environments) -> Recipe:
    """Returns what a release of Home Assistant runs in: the first that is ready, else the one of the demo's own."""
    recipes = [recipe for its_release, recipe in HOMES.values() if its_release == release]
    return next((recipe for recipe in recipes if environments.is_ready(recipe)), recipes[-1])


def make_home(wanted: str, environments: Environments) -> Recipe:
    """Makes the environment of the `newest` or `oldest` release and returns its recipe; says so where it is another.

    Raises UnavailableError where none can be had.
    """
    release = OLDEST
    if wanted == "newest":
        release = NEWEST if environments.is_ready(HA_NEWEST) else newest_to_be_had(environments)
    try:
        return made(home(release, environments), environments)
    except UnavailableError as error:
        if release == OLDEST:
            raise
        say(f"{error}\nHome Assistant {release.version} can't be had here; taking {OLDEST.version}.")
    return made(home(OLDEST, environments), environments)


def made(recipe: Recipe, environments: Environments) -> Recipe:
    """Makes an environment where it is not there, and returns its recipe."""
    with environments.open(recipe):
        return recipe


def main(arguments: Sequence[str]) -> int:
    """Makes Home Assistant's environment."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        recipe = make_home(arguments[0], Environments())
    except UnavailableError as error:
        say(str(error))
        return 1
    print(json.dumps({"environment": recipe.name}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
