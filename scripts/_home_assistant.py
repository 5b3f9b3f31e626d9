"""The two ends of the range of Home Assistant: what each needs, to be tested against and to be run as a program."""

from __future__ import annotations

from dataclasses import dataclass

from _environments import PROJECT, Environments, Recipe, Step, say

# Home Assistant's own list of the versions that it works with, below site-packages.
PINS = "homeassistant/package_constraints.txt"
BUILD_TOOLS = "setuptools"  # in the version that Home Assistant pins; builds the editable install without a download


@dataclass(frozen=True)
class Release:
    """A version of Home Assistant and the Python that it needs."""

    version: str
    python: str
    least: tuple[int, int, int]
    test_helper: str  # the version of pytest-homeassistant-custom-component that was made from it
    program: tuple[str, ...]  # what its frontend, log-in and default integrations need, since it runs with --skip-pip
    unpinned: tuple[str, ...] = ()  # the same, in other versions than it pins: these come as wheels

    def test_recipe(self, name: str, *tools: str) -> Recipe:
        """Returns the environment that tests run in, inside Home Assistant and against it as a program."""
        helper = Step((f"pytest-homeassistant-custom-component=={self.test_helper}", BUILD_TOOLS))
        return self._recipe(name, helper, *tools)

    def demo_recipe(self, name: str) -> Recipe:
        """Returns the environment that Home Assistant runs in as a program, without what only tests need."""
        return self._recipe(name, Step((f"homeassistant=={self.version}", BUILD_TOOLS)))

    def _recipe(self, name: str, first: Step, *tools: str) -> Recipe:
        program = (Step((*self.program, *tools), PINS), *(Step((wheel,)) for wheel in self.unpinned))
        return Recipe(name, (self.python,), (first, *program, PROJECT), self.least)


OLDEST = Release(
    version="2025.4.4",
    python="3.13",
    least=(3, 13, 0),
    test_helper="0.13.236",
    program=("home-assistant-frontend==20250411.0", "pyotp==2.8.0", "PyQRCode==1.2.1", "apprise==1.9.1"),
)
NEWEST = Release(
    version="2026.10.4",
    python="3.14",
    least=(3, 14, 2),
    test_helper="0.13.375",
    program=(
        "home-assistant-frontend==20260930.5",
        "pyotp==2.10.0",
        "PyQRCode==1.2.1",
        "apprise==1.11.0",
        # It sets up every base platform by default; without these its log is full of failed imports.
        "aiohasupervisor==0.6.0",
        "gazetteer-matcher==1.1.0",
        "ha-ffmpeg==3.2.2",
        "hassil==3.12.1",
        "home-assistant-intents==2026.10.6",
        "infrared-protocols==10.1.0",
        "mutagen==1.48.1",
        "numpy==2.3.2",
        "PyTurboJPEG==1.8.3",
        "rf-protocols==4.3.0",
        "unicode-rbnf==2.4.1",
    ),
    # Without these the frontend never gets past "Loading": it asks for the actions of all base platforms at once.
    unpinned=("pymicro-vad==2.1.0", "pyspeex-noise==2.0.1"),
)


def newest_to_be_had(environments: Environments) -> Release:
    """Returns the newest release whose Python this machine has or can get, and says so if that is not the newest."""
    if environments.can_make(NEWEST.demo_recipe("demo")):
        return NEWEST
    say(
        f"Home Assistant {NEWEST.version} needs Python {'.'.join(map(str, NEWEST.least))} or a later {NEWEST.python}, "
        f"which can't be had here; taking {OLDEST.version}."
    )
    return OLDEST
