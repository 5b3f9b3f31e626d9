"""The rules of this repository find violations and nothing else."""

import subprocess
from pathlib import Path

import pytest
from support import ROOT
from support.repo_rules import LONGEST, findings


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("/made/\n")
    return tmp_path


def test_this_repository_follows_its_rules() -> None:
    assert findings(ROOT) == []


@pytest.mark.parametrize("mark", ["TO" + "DO", "FIX" + "ME", "XX" + "X"])
@pytest.mark.parametrize("name", ["a.py", "notes.md", "scripts/run", "page/x.js"])
def test_mark_of_unfinished_work_is_found(repository: Path, mark: str, name: str) -> None:
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text(f"fine\n# {mark}: later\n")
    assert findings(repository) == [f"{name}:2: {mark}"]


def test_similar_words_and_ignored_files_are_not_marks(repository: Path) -> None:
    (repository / "a.py").write_text("MASTODON = 'XX" + "XX'\n")
    (repository / "made").mkdir()
    (repository / "made" / "b.py").write_text("# TO" + "DO\n")
    assert findings(repository) == []


def test_too_long_file_is_found(repository: Path) -> None:
    (repository / "a.py").write_text("pass\n" * (LONGEST + 1))
    (repository / "b.py").write_text("pass\n" * LONGEST)
    assert findings(repository) == [f"a.py: {LONGEST + 1} lines, {LONGEST} at most"]
