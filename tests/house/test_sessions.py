"""What scripts/test prepares, runs and reports."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import bootstrap
import nox
import pytest
from bootstrap import LANES, Result, is_test_path, read_result, summarise
from support import ROOT
from support.coverage_floor import DIALOGS, INTEGRATION, check


@pytest.fixture(scope="module")
def noxfile() -> ModuleType:
    """The sessions as nox loads them."""
    spec = importlib.util.spec_from_file_location("sms1680_noxfile", ROOT / "noxfile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Session:
    """Stands in for a session of nox: records the commands and creates the files that they would."""

    def __init__(self, folder: Path, name: str = "core-newest", posargs: tuple[str, ...] = ()) -> None:
        self.name, self.posargs = name, list(posargs)
        self.location = str(folder / name)
        self.virtualenv, self.python, self.reuse_existing = self, "3.11", True
        self.commands: list[tuple[str, ...]] = []
        self.failing = ""
        self.coverage = 96.0

    def create(self) -> None:
        Path(self.location).mkdir(parents=True, exist_ok=True)
        self.commands.append(("create",))

    def install(self, *arguments: str) -> None:
        self._do("install", *arguments)

    def run_install(self, *command: str, **_: object) -> str:
        return self._do(*command)

    def run(self, *command: str, **_: object) -> str:
        return self._do(*command)

    def log(self, _text: str) -> None: ...

    def error(self, text: str) -> None:
        raise AssertionError(text)

    def _do(self, *command: str) -> str:
        self.commands.append(command)
        if self.failing and self.failing in command:
            raise nox.command.CommandFailed
        if "pytest" in command:
            write_coverage(Path(self.location) / "coverage.json", sensor=self.coverage)
        if "tests/support/wheel.py" in command:
            (Path(self.location) / "wheel").mkdir()
            (Path(self.location) / "wheel" / "sms1680-0.whl").touch()
        return "3.11.7, apprise 1.9.0"

    def ran(self, word: str) -> list[tuple[str, ...]]:
        """The commands that contain a word."""
        return [command for command in self.commands if word in command]


@pytest.fixture
def venv(tmp_path: Path, noxfile: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of environments of a checkout of its own."""
    monkeypatch.setattr(noxfile, "ROOT", tmp_path)
    folder = tmp_path / ".venv"
    folder.mkdir()
    return folder


def write_coverage(report: Path, **files: float) -> None:
    """Write a report of pytest-cov in which the files are covered this well."""
    measured = {
        f"{INTEGRATION}/{name}.py": {"summary": {"percent_covered": covered}, "missing_lines": [7, 9]}
        for name, covered in files.items()
    }
    report.parent.mkdir(exist_ok=True)
    report.write_text(json.dumps({"files": measured, "totals": {"percent_covered": 97.25}}))


STEPS = [("something==1",)]


def test_environment_that_is_up_to_date_is_left_alone(noxfile: ModuleType, venv: Path) -> None:
    first, second = Session(venv), Session(venv)
    noxfile.prepare(first, STEPS)
    noxfile.prepare(second, STEPS)
    assert first.commands == [("create",), ("install", "something==1")]
    assert second.commands == []


def test_another_path_to_the_interpreter_changes_nothing(noxfile: ModuleType, venv: Path) -> None:
    """The demo must not replace the environment of the lane whose tests start it."""
    noxfile.prepare(Session(venv), STEPS)
    session = Session(venv)
    session.python = "/another/python3.11"
    noxfile.prepare(session, STEPS)
    assert session.commands == []


@pytest.mark.parametrize("changed", [[("something==2",)], [("something==1",), ("more",)]])
def test_changed_requirements_are_installed_from_scratch(
    noxfile: ModuleType, venv: Path, changed: list[tuple[str, ...]]
) -> None:
    noxfile.prepare(Session(venv), STEPS)
    session = Session(venv)
    noxfile.prepare(session, changed)
    assert session.commands == [("create",), *(("install", *step) for step in changed)]
    assert not session.reuse_existing


def test_changed_project_definition_counts_and_changed_tool_settings_do_not(
    noxfile: ModuleType, venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_project(**project: Any) -> dict[str, Any]:
        tool = {**noxfile.PYPROJECT["tool"], **project.pop("tool", {})}
        return {**noxfile.PYPROJECT, "project": {**noxfile.PYPROJECT["project"], **project}, "tool": tool}

    noxfile.prepare(Session(venv), STEPS)
    monkeypatch.setattr(noxfile, "PYPROJECT", with_project(tool={"ruff": {"line-length": 7}}))
    noxfile.prepare(session := Session(venv), STEPS)
    assert session.commands == []
    monkeypatch.setattr(noxfile, "PYPROJECT", with_project(name="another"))
    noxfile.prepare(session := Session(venv), STEPS)
    assert session.ran("create")


def test_interrupted_installation_is_repeated(noxfile: ModuleType, venv: Path) -> None:
    noxfile.prepare(Session(venv), STEPS)
    broken = Session(venv)
    broken.failing = "something==2"
    with pytest.raises(nox.command.CommandFailed):
        noxfile.prepare(broken, [("something==2",)])
    noxfile.prepare(session := Session(venv), STEPS)
    assert session.ran("install")


def test_wheel_is_built_again_when_a_source_changes(noxfile: ModuleType, venv: Path) -> None:
    source = venv.parent / "sandbox" / "a.py"
    source.parent.mkdir()
    for text, built in (("a", True), ("a", False), ("b", True)):
        source.write_text(text)
        session = Session(venv / text)
        session.location = str(venv / "wheel-lane")
        if built:
            (Path(session.location) / "wheel" / "sms1680-0.whl").unlink(missing_ok=True)
            (Path(session.location) / "wheel").rmdir() if (Path(session.location) / "wheel").exists() else None
        session.name = "wheel"
        noxfile.prepare(session, STEPS, wheel=True)
        assert bool(session.ran("tests/support/wheel.py")) is built


@pytest.mark.parametrize(
    ("covered", "arguments", "fails"), [(96.0, (), False), (94.0, (), True), (94.0, ("-x",), False)]
)
def test_newest_home_assistant_enforces_the_coverage_of_a_whole_run(
    noxfile: ModuleType, venv: Path, covered: float, arguments: tuple[str, ...], *, fails: bool
) -> None:
    session = Session(venv, "ha-newest", arguments)
    (venv / "ha-newest/lib/python3.14/site-packages/homeassistant").mkdir(parents=True)
    (venv / "ha-newest/lib/python3.14/site-packages/homeassistant/package_constraints.txt").touch()
    session.coverage = covered
    noxfile.run_lane(session)
    (pytest_command,) = session.ran("pytest")
    whole = not arguments
    assert any(option.startswith("--cov") for option in pytest_command) is whole
    assert ("--dist=worksteal" in pytest_command) is whole
    assert bool(session.ran("tests/support/coverage_floor.py")) is whole
    if whole:
        _, below = check(Path(session.location) / "coverage.json")
        assert bool(below) is fails


@pytest.mark.parametrize(
    ("files", "below"),
    [
        ({"config_flow": 100.0, "sensor": 95.0}, []),
        ({"config_flow": 99.9, "sensor": 94.9, "notify": 100.0}, ["config_flow.py: 99.9 %", "sensor.py: 94.9 %"]),
    ],
)
def test_dialogs_need_full_coverage_and_other_files_nearly(
    tmp_path: Path, files: dict[str, float], below: list[str]
) -> None:
    write_coverage(tmp_path / "coverage.json", **files)
    summary, found = check(tmp_path / "coverage.json")
    assert summary.startswith("97.2 % of the integration covered")
    assert found == [f"{each}, lines not covered: 7, 9" for each in below]


def test_every_dialog_with_a_floor_exists() -> None:
    assert [name for name in DIALOGS if not (ROOT / INTEGRATION / name).is_file()] == []


def test_the_starter_and_nox_know_the_same_sessions(noxfile: ModuleType) -> None:
    assert tuple(noxfile.LANES) == LANES
    assert {*LANES, "lint", "types", "demo"} <= nox.registry.get().keys()


def test_python_that_is_missing_is_left_to_uv(noxfile: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noxfile, "find_python", lambda wanted: "/there/python" if wanted == "3.12" else None)
    assert noxfile.python("3.11", "3.12") == "/there/python"
    assert noxfile.python("3.14.2") == "3.14"


def test_the_summary_ends_with_the_total_alone_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    results = [
        Result("core-oldest", "Python 3.11.7, apprise 1.9.0", passed=7, failed=2, seconds=1.0),
        Result("wheel", passed=5, skipped=1, seconds=1.0, status="success"),
        Result("ha-oldest", note="it did not end well; see above"),
        Result("ha-newest", note="Python interpreter 3.14 not found", status="skipped"),
    ]
    assert summarise(results) == 1
    lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("  ")] == [
        ["FAILED", "core-oldest"],
        ["ok", "wheel"],
        ["FAILED", "ha-oldest"],
        ["-", "ha-newest"],
    ]
    assert "Python 3.11.7, apprise 1.9.0; 7 passed, 2 failed in 1.0 s" in lines[1]
    assert lines[-1] == "12 passed, 3 failed, 1 skipped"


@pytest.mark.parametrize(("statuses", "code"), [("success skipped", 0), ("skipped skipped", 1), ("success aborted", 1)])
def test_exit_code_is_0_only_if_a_lane_ran_and_none_failed(statuses: str, code: int) -> None:
    assert summarise([Result("lane", passed=1, status=status) for status in statuses.split()]) == code


def test_errors_of_collection_and_setup_count_as_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    (tmp_path / "wheel").mkdir()
    counts = '<testsuites><testsuite tests="9" failures="1" errors="2" skipped="3" time="1.5"/></testsuites>'
    (tmp_path / "wheel" / "results.xml").write_text(counts)
    (tmp_path / "wheel" / "versions.txt").write_text("Python 3.11.7")
    result = read_result("wheel", {"result": "failed"})
    assert (result.passed, result.failed, result.skipped, result.seconds) == (3, 3, 3, 1.5)
    assert (result.versions, result.good) == ("Python 3.11.7", False)


def test_session_that_nox_never_reported_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    assert not read_result("wheel", {}).good


@pytest.mark.parametrize(
    ("argument", "is_path"),
    [("tests/house", True), ("tests/conftest.py::test_x", True), ("-x", False), ("uv_", False), ("sandbox", False)],
)
def test_arguments_that_select_tests_by_path(argument: str, *, is_path: bool) -> None:
    assert is_test_path(argument) is is_path


def test_unknown_lane_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.test(["core-newst"]) == 2
    assert "no lane 'core-newst'" in capsys.readouterr().err


@pytest.fixture
def nox_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Runs lanes with a nox that only records its command line."""
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    commands: list[list[str]] = []
    monkeypatch.setattr(bootstrap.subprocess, "call", lambda command, **_: commands.append(command) or 0)
    return lambda: commands[-1]


@pytest.mark.parametrize(("setting", "option"), [("", "--error-on"), ("skip", "--no-error-on")])
def test_missing_interpreter_is_an_error_unless_it_may_be_skipped(
    nox_command: Callable[[], list[str]], setting: str, option: str
) -> None:
    (result,) = bootstrap.run_nox(["wheel"], ["-x"], {"SMS1680_MISSING_PYTHON": setting})
    assert f"{option}-missing-interpreters" in nox_command()
    assert nox_command()[-4:] == ["-s", "wheel", "--", "-x"]
    assert not result.good


def test_variables_that_mislead_an_interpreter_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "UV_PYTHON", "NOXSESSION"):
        monkeypatch.setenv(name, str(ROOT))
    monkeypatch.setenv("UV_CACHE_DIR", "/my/cache")
    variables = bootstrap.environment()
    assert not {"PYTHONPATH", "VIRTUAL_ENV", "UV_PYTHON", "NOXSESSION"} & variables.keys()
    assert variables["UV_CACHE_DIR"] == "/my/cache"
    assert variables["XDG_CACHE_HOME"].startswith(str(bootstrap.VENV))
    assert variables["SMS1680_PYTHON_{}_{}".format(*sys.version_info[:2])] in {
        sys.executable,
        variables.get("SMS1680_PYTHON_{}_{}".format(*sys.version_info[:2])),
    }
