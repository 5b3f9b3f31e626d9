"""The wheel has every file of the tree; a package forgotten in pyproject.toml is missing only there."""

import importlib.metadata
import importlib.util
import os
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
from support import ROOT
from support.wheel import build

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FOLDERS: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of the lane, or a new one."""
    given = os.environ.get("SMS1680_WHEEL")
    path = Path(given) if given else build(tmp_path_factory.mktemp("wheel"))
    return zipfile.ZipFile(path)


def shipped() -> dict[str, Path]:
    """Every file of the mapped folders by its path in the wheel; the innermost mapped folder counts."""
    deepest_first = sorted(FOLDERS.items(), key=lambda item: -len(item[1]))
    places: dict[Path, str] = {}
    for package, folder in deepest_first:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                within = path.relative_to(ROOT / folder).as_posix()
                places.setdefault(path, f"{package.replace('.', '/')}/{within}")
    return {place: path for path, place in places.items()}


def test_wheel_has_exactly_the_files_of_the_mapped_folders(wheel: zipfile.ZipFile) -> None:
    in_wheel = {name for name in wheel.namelist() if ".dist-info/" not in name and not name.endswith("/")}
    assert in_wheel == set(shipped())


def test_files_in_the_wheel_equal_those_of_the_tree(wheel: zipfile.ZipFile) -> None:
    different = [place for place, path in shipped().items() if wheel.read(place) != path.read_bytes()]
    assert different == []


def test_every_mapped_package_is_listed_and_every_listed_one_mapped() -> None:
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(FOLDERS)


def test_wheel_adds_only_the_loader_to_apprise(wheel: zipfile.ZipFile) -> None:
    assert [name for name in wheel.namelist() if name.startswith("apprise/")] == ["apprise/plugins/sms1680.py"]


def test_metadata_of_the_wheel(wheel: zipfile.ZipFile) -> None:
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    told = HeaderParser().parsestr(wheel.read(metadata).decode("utf-8"))
    assert told["Name"] == "sms1680"
    assert told["Version"] == PROJECT["project"]["version"]
    assert told["License-Expression"] == "Apache-2.0"
    assert "sms1680/py.typed" in wheel.namelist()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())


@pytest.mark.parametrize("package", [name for name in FOLDERS if name != "apprise.plugins"])
def test_lane_imports_the_tree_or_the_wheel(package: str) -> None:
    """Editable lanes import the tree. The lane `wheel` imports the installed wheel and can't import the tree."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    from_the_tree = Path(spec.origin).resolve().parent == (ROOT / FOLDERS[package]).resolve()
    assert from_the_tree == ("SMS1680_WHEEL" not in os.environ)
    assert str(ROOT) not in sys.path


@pytest.mark.parametrize(
    "entry_point",
    [
        *importlib.metadata.entry_points(group="sms1680.commands"),
        *importlib.metadata.entry_points(group="console_scripts", name="sms1680"),
    ],
    ids=lambda entry_point: entry_point.name,
)
def test_every_entry_point_is_callable(entry_point: importlib.metadata.EntryPoint) -> None:
    assert callable(entry_point.load())
