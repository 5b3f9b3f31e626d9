"""The layout of the integration keeps its limits, and the measures find what they are for."""

import sys
from pathlib import Path

import pytest

if sys.version_info < (3, 13):
    pytest.skip(
        "the integration's syntax needs Python 3.13; the lanes of Home Assistant run this", allow_module_level=True
    )

from support import layout


@pytest.fixture(scope="module")
def measures() -> dict[str, tuple[int, list[str]]]:
    return layout.measure()


@pytest.mark.parametrize("name", [name for name in layout.LIMITS if name not in layout.PENDING])
def test_measure_is_within_its_limit(name: str, measures: dict[str, tuple[int, list[str]]]) -> None:
    value, places = measures[name]
    assert value <= layout.LIMITS[name], places


def test_every_measure_has_a_limit(measures: dict[str, tuple[int, list[str]]]) -> None:
    assert measures.keys() == layout.LIMITS.keys()
    assert layout.LIMITS.keys() >= layout.PENDING


def test_wire_format_of_cmpp_imports_nothing_else_of_cmpp() -> None:
    cmpp = layout.INTEGRATION / "client" / "cmpp"
    graph = layout.import_graph(cmpp)
    wire = {path for path in graph if cmpp / "wire" in path.parents}
    assert wire
    assert {target for path in wire for target in graph[path]} <= wire


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with two rooms, a module above them, and a cycle between two modules of one room."""
    sources = {
        "__init__.py": "from . import top",
        "top.py": "from .upper.a import A\nfrom .lower import *",
        "upper/__init__.py": "",
        "upper/a.py": "from . import b",
        "upper/b.py": "def f() -> None:\n    from .a import A\nfrom ..lower.c import C",
        "lower/__init__.py": "import os",
        "lower/c.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import d",
        "lower/d.py": "",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    return tmp_path


def test_imports_inside_functions_and_for_types_count(package: Path) -> None:
    graph = {
        str(path.relative_to(package)): {str(target.relative_to(package)) for target in targets}
        for path, targets in layout.import_graph(package).items()
    }
    assert graph["top.py"] == {"upper/a.py", "lower/__init__.py"}
    assert graph["upper/b.py"] == {"upper/a.py", "lower/c.py"}
    assert graph["lower/c.py"] == {"lower/__init__.py", "lower/d.py"}


def test_cycle_is_found_once(package: Path) -> None:
    (cycle,) = layout.cycles(layout.import_graph(package))
    assert {path.name for path in cycle} == {"a.py", "b.py"}


def test_rooms_are_counted_in_levels(package: Path) -> None:
    rooms = layout.room_graph(layout.import_graph(package), package)
    assert rooms == {"__init__.py": {"top.py"}, "top.py": {"upper", "lower"}, "upper": {"lower"}, "lower": set()}
    assert layout.cycles(rooms) == []
    assert layout.levels(rooms) == 4


@pytest.mark.parametrize(
    "sentence",
    ["Hand on what came in.", "It is told of each message.", "Give it where there is one.", "Note what became of it."],
)
def test_inverted_sentence_is_marked(sentence: str) -> None:
    assert layout.MARKERS.search(sentence)


@pytest.mark.parametrize(
    "sentence", ["Return the recipients of a message.", "Raise ValueError if the number is invalid."]
)
def test_plain_sentence_is_not_marked(sentence: str) -> None:
    assert not layout.MARKERS.search(sentence)


def test_sentences_come_from_docstrings_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text('"""One two three four. Short one."""\n# five six seven eight\nx = 1  # noqa: this is for a tool\n')
    assert [text for _, text in layout.sentences(path)] == ["One two three four.", "five six seven eight"]


def test_limits_are_printed_with_their_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    layout.main([])
    lines = capsys.readouterr().out.splitlines()
    assert f"ok        cycles of modules: 0 (at most {layout.LIMITS['cycles of modules']})" in lines
    layout.main(["--english", "scripts"])
    assert all(line.startswith("scripts/") for line in capsys.readouterr().out.split("\n") if line)
