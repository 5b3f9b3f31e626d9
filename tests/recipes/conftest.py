"""The fixtures of the integration's tests, and the programs of docs/fixed-address.md."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.recipes import Programs

from tests.home_assistant import conftest

globals().update({name: value for name, value in vars(conftest).items() if not name.startswith("__")})


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Return the programs of the test, and end them after it."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for parent in (folder, tmp_path, *tmp_path.parents[:2]):  # for programs that become another user
        parent.chmod(0o755)
    programs = Programs(folder)
    yield programs
    programs.stop()
