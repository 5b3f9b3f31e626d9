"""What `scripts/test` and `scripts/demo` do where a part is missing, and what they say at the end."""

from pathlib import Path

import _home_assistant
import _lanes
import pytest
from _environments import Environments, Recipe, UnavailableError
from _lanes import LANES, Lane, Result, count, is_test_path, summarise

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
