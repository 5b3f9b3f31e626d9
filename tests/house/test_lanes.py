"""What `scripts/test` and `scripts/demo` do where a part is missing, and what they say at the end."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import _home_assistant
import _lanes
import pytest
from _coverage import DIALOGS, INTEGRATION, Coverage, judge
from _environments import ROOT, Environment, Environments, Recipe, UnavailableError
from _lanes import LANES, Lane, Result, count, is_test_path, run_lane, summarise

NEWEST = next(lane for lane in LANES if lane.name == "ha-newest")


class Without(Environments):
    """A machine on which the Pythons that are named can't be had."""

    def __init__(self, *pythons: str) -> None:
        super().__init__(Path("/nonexistent"))
        self.missing = pythons

    def can_make(self, recipe: Recipe) -> bool:
        return any(python not in self.missing for python in recipe.pythons)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lanes that ran, on a machine where a lane's tests pass if its environment can be had."""
    names: list[str] = []

    def run_lane(lane: Lane, _arguments: object, environments: Environments) -> Result:
        if not environments.can_make(lane.recipe):
            raise UnavailableError(f"{lane.name} needs another Python")
        names.append(lane.name)
        return Result(lane.name, passed=1)

    monkeypatch.setattr(_lanes, "run_lane", run_lane)
    return names


def test_the_older_home_assistant_stands_in_where_the_newest_cannot_be_had(ran: list[str]) -> None:
    results = _lanes.outcome(NEWEST, [NEWEST], [], Without("3.14"))
    assert ran == ["ha-oldest"]
    assert [(result.lane, result.good, result.ran) for result in results] == [
        ("ha-newest", True, False),
        ("ha-oldest", True, True),
    ]
    assert "no Python 3.14" in results[0].note


def test_it_does_not_run_twice_where_it_was_asked_for_anyway(ran: list[str]) -> None:
    results = _lanes.outcome(NEWEST, LANES, [], Without("3.14"))
    assert ran == []
    assert [result.ran for result in results] == [False]


def test_a_lane_without_a_stand_in_fails_where_it_cannot_run(ran: list[str]) -> None:
    results = _lanes.outcome(NEWEST, [NEWEST], [], Without("3.13", "3.14"))
    assert ran == []
    assert [(result.lane, result.good) for result in results] == [("ha-newest", True), ("ha-oldest", False)]


def test_an_environment_that_cannot_be_made_for_another_reason_fails_the_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_index(_lane: Lane, _arguments: object, _environments: Environments) -> Result:
        raise UnavailableError("uv failed")

    monkeypatch.setattr(_lanes, "run_lane", no_index)
    assert [result.good for result in _lanes.outcome(NEWEST, LANES, [], Without())] == [False]


def test_the_demo_takes_the_newest_home_assistant_that_can_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    assert _home_assistant.newest_to_be_had(Without()) is _home_assistant.NEWEST
    assert capsys.readouterr().err == ""
    assert _home_assistant.newest_to_be_had(Without("3.14")) is _home_assistant.OLDEST
    assert "taking 2025.4.4" in capsys.readouterr().err


def test_the_summary_ends_with_the_sum_alone_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    summarise(
        [
            Result("core-oldest", "Python 3.11.7, apprise 1.9.0", passed=7, failed=2, seconds=1.0),
            Result("wheel", passed=5, skipped=1, seconds=1.0),
            Result("ha-oldest", note="pytest ended with exit code 4", broken=True),
            Result("ha-newest", note="not run", ran=False),
        ]
    )
    lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("  ")] == [
        ["FAILED", "core-oldest"],
        ["ok", "wheel"],
        ["FAILED", "ha-oldest"],
        ["-", "ha-newest"],
    ]
    assert "Python 3.11.7, apprise 1.9.0; 7 passed, 2 failed in 1.0 s" in lines[1]
    assert lines[-1] == "12 passed, 3 failed, 1 skipped"


def test_errors_of_collection_and_setup_count_as_failures(tmp_path: Path) -> None:
    report = tmp_path / "results.xml"
    report.write_text('<testsuites><testsuite tests="9" failures="1" errors="2" skipped="3"/></testsuites>')
    result = Result("lane")
    count(report, result)
    assert (result.passed, result.failed, result.skipped) == (3, 3, 3)


@pytest.mark.parametrize(
    ("argument", "is_path"),
    [("tests/house", True), ("tests/conftest.py::test_x", True), ("-x", False), ("uv_", False), ("sandbox", False)],
)
def test_what_chooses_tests_by_place(argument: str, *, is_path: bool) -> None:
    assert is_test_path(argument) is is_path


def test_an_unknown_lane_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert _lanes.main(["core-newst"]) == 2
    assert "no lane 'core-newst'" in capsys.readouterr().err


def write_coverage(report: Path, **files: float) -> None:
    """Write what pytest-cov tells of files that are so well covered."""
    told = {
        f"{INTEGRATION}/{name}.py": {"summary": {"percent_covered": covered}, "missing_lines": [7, 9]}
        for name, covered in files.items()
    }
    report.write_text(json.dumps({"files": told, "totals": {"percent_covered": 97.25}}))


@pytest.mark.parametrize(
    ("files", "lacking"),
    [
        ({"config_flow": 100.0, "sensor": 95.0}, []),
        ({"config_flow": 99.9, "sensor": 94.9, "notify": 100.0}, ["config_flow.py: 99.9 %", "sensor.py: 94.9 %"]),
    ],
)
def test_all_of_the_dialogs_and_nearly_all_of_the_rest_is_to_be_covered(
    tmp_path: Path, files: dict[str, float], lacking: list[str]
) -> None:
    write_coverage(tmp_path / "coverage.json", **files)
    told, found = judge(tmp_path / "coverage.json")
    assert told == "97.2 % of the integration covered"
    assert found == [f"{each}, not reached: 7, 9" for each in lacking]


def test_the_dialogs_that_are_to_be_covered_are_there() -> None:
    assert [name for name in DIALOGS if not (ROOT / INTEGRATION / name).is_file()] == []


class Pytest(Environments):
    """One environment, in which pytest passes and has reached so much of one file."""

    def __init__(self, folder: Path, covered: float) -> None:
        super().__init__(folder)
        self.covered = covered
        self.told: list[str] = []

    @contextmanager
    def open(self, recipe: Recipe, *, alone: bool = False) -> Iterator[Environment]:
        owner = self
        assert not alone

        class Ready(Environment):
            def run(self, arguments: object, extra: object = None) -> int:
                assert isinstance(arguments, list)
                assert isinstance(extra, dict)
                owner.told = [str(argument) for argument in arguments]
                (self.folder / "results.xml").write_text('<testsuites><testsuite tests="1"/></testsuites>')
                write_coverage(self.folder / "coverage.json", sensor=owner.covered)
                return 0

        yield Ready(recipe.name, self.folder, "3.14.2", dict.fromkeys(("homeassistant", "apprise"), "1"))


@pytest.mark.parametrize(("covered", "good"), [(96.0, True), (94.0, False)])
def test_the_lane_of_the_newest_home_assistant_fails_where_too_little_is_covered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], covered: float, *, good: bool
) -> None:
    environments = Pytest(tmp_path, covered)
    result = run_lane(NEWEST, [], environments)
    assert set(Coverage(tmp_path).options) < set(environments.told)
    assert result.good is good
    assert result.note.startswith("97.2 % of the integration covered")
    assert ("sensor.py: 94.0 %" in capsys.readouterr().err) is not good


@pytest.mark.parametrize("argument", ["-k", "tests/home_assistant/test_push.py"])
def test_nothing_is_measured_where_tests_are_chosen(tmp_path: Path, argument: str) -> None:
    environments = Pytest(tmp_path, 0.0)
    assert run_lane(NEWEST, [argument], environments).good
    assert not [option for option in environments.told if option.startswith("--cov")]
