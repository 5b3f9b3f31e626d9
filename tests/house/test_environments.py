"""Environments are kept while nothing has changed, and made anew when half made, changed or moved."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import _environments
import _interpreters
import pytest
from _environments import Environment, Environments, Recipe, Step, UnavailableError

MINE = "{}.{}".format(*sys.version_info[:2])
RECIPE = Recipe("room", (MINE,), (Step(("something==1",)),))


class Recorded(Environments):
    """Environments whose uv is one of ours that writes down what it was asked."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.calls: list[list[str]] = []
        self.during_install: Callable[[], None] = lambda: None

    def uv(self) -> Path:
        return Path("uv")

    def variables(self) -> dict[str, str]:
        return {}

    def interpreter(self, recipe: Recipe) -> _interpreters.Interpreter | None:
        del recipe
        return _interpreters.Interpreter(Path(sys.executable), sys.version_info[:3])

    def _uv(self, *arguments: str | Path) -> str:
        self.calls.append([str(argument) for argument in arguments])
        if arguments[0] == "venv":
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(arguments[-1])], check=True)
        if arguments[:2] == ("pip", "install"):
            self.during_install()
        return json.dumps([{"name": "something", "version": "1"}])


@pytest.fixture
def environments(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path)


def opened(environments: Environments, recipe: Recipe = RECIPE) -> Environment:
    with environments.open(recipe) as environment:
        return environment


def test_the_second_opening_asks_nobody(environments: Recorded) -> None:
    first = opened(environments)
    asked = len(environments.calls)
    assert asked > 0
    assert opened(environments) == first
    assert len(environments.calls) == asked
    assert first.packages == {"something": "1"}


@pytest.mark.parametrize(
    "changed",
    [
        replace(RECIPE, steps=(Step(("something==2",)),)),
        replace(RECIPE, steps=(*RECIPE.steps, Step(("more",)))),
        replace(RECIPE, pythons=(MINE, "3.99")),
    ],
)
def test_what_changed_is_made_anew(environments: Recorded, changed: Recipe) -> None:
    opened(environments)
    asked = len(environments.calls)
    opened(environments, changed)
    assert len(environments.calls) > asked


def test_a_change_of_the_projects_packages_counts_and_one_of_a_tools_settings_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_environments, "ROOT", tmp_path)
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\nname = "a"\n[tool.ruff]\nline-length = 1\n')
    before = RECIPE.key()
    file.write_text('[project]\nname = "a"\n[tool.ruff]\nline-length = 2\n')
    assert RECIPE.key() == before
    file.write_text('[project]\nname = "b"\n[tool.ruff]\nline-length = 2\n')
    assert RECIPE.key() != before


def test_one_that_was_half_made_is_made_anew(environments: Recorded) -> None:
    def interrupt() -> None:
        (environments.folder / "room" / "rubbish").touch()
        raise KeyboardInterrupt

    environments.during_install = interrupt
    with pytest.raises(KeyboardInterrupt):
        opened(environments)
    environments.during_install = lambda: None
    environment = opened(environments)
    assert not (environment.folder / "rubbish").exists()


def test_one_whose_interpreter_has_gone_is_made_anew(environments: Recorded) -> None:
    environment = opened(environments)
    environment.python.unlink()
    environment.python.symlink_to("/nonexistent/python")
    assert opened(environments).run(["-c", "pass"]) == 0


def test_nobody_makes_it_anew_under_a_running_test(environments: Recorded) -> None:
    """A run with other requirements waits until the one that has it open is done."""
    waiting = threading.Event()
    rebuilt = threading.Event()

    class Second(Recorded):
        def _lock(self, descriptor: int, kind: int, name: str) -> None:
            waiting.set()
            super()._lock(descriptor, kind, name)

    second = Second(environments.folder)
    second.during_install = rebuilt.set
    with environments.open(RECIPE):
        other = threading.Thread(target=opened, args=(second, replace(RECIPE, steps=(Step(("something==2",)),))))
        other.start()
        assert waiting.wait(10)
        assert not rebuilt.is_set()
    other.join(30)
    assert rebuilt.is_set()


def test_without_an_interpreter_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environments = Recorded(tmp_path)
    monkeypatch.setattr(environments, "interpreter", lambda _recipe: None)
    with pytest.raises(UnavailableError, match=r"needs Python 3\.99 .* SMS1680_PYTHON_3_99"):
        opened(environments, replace(RECIPE, pythons=("3.99",)))


def test_what_would_lead_an_interpreter_astray_is_kept_from_it(
    environments: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(_environments.ROOT))
    environment = opened(environments)
    code = f"import sys; sys.exit({str(_environments.ROOT)!r} in sys.path or '' in sys.path)"
    assert environment.run(["-c", code]) == 0
