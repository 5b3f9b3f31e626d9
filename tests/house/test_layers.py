"""The contracts of import-linter in pyproject.toml hold, and fail on an arrow upwards or a cycle."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

PACKAGES = ("custom_components", "apprise_plugin", "sandbox")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_arrows_point_downwards() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the packages that the contracts are about."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    ("path", "statement", "contract"),
    [
        ("custom_components/sms1680/const.py", "from . import services", "Arrows inside the integration"),
        (
            "custom_components/sms1680/account/__init__.py",
            "from ..outbound import send",
            "Arrows inside the integration",
        ),
        ("custom_components/sms1680/client/limits/__init__.py", "from ..http import client", "Arrows inside the core"),
        ("custom_components/sms1680/client/errors.py", "import apprise", "The core stands alone"),
        ("sandbox/platform.py", "import homeassistant.core", "The sandbox uses only the core"),
        ("apprise_plugin/plugin.py", "import sandbox", "The Apprise plugin uses only the core"),
        ("sandbox/config.py", "from . import server", "There is no cycle"),
    ],
)
def test_arrow_upwards_breaks_a_contract(copy: Path, path: str, statement: str, contract: str) -> None:
    with (copy / path).open("a") as module:
        module.write(f"\n{statement}\n")
    done = lint(copy)
    assert done.returncode == 1
    assert any(line.startswith(contract) and line.endswith("BROKEN") for line in done.stdout.splitlines())


def test_new_module_needs_a_place_among_the_layers(copy: Path) -> None:
    (copy / "custom_components" / "sms1680" / "homeless.py").touch()
    done = lint(copy)
    assert done.returncode == 1
    assert "homeless" in done.stdout
