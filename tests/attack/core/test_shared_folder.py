"""A neighbour on the same machine takes the name of the state folder: the state is private and shared all the same."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sms1680.limits import shared_state
from sms1680.limits.shared_state import state_folders

NEIGHBOUR = 12345


def writable_for_all(usual: Path, _: Path) -> None:
    usual.mkdir()
    usual.chmod(0o777)


def somebody_elses(usual: Path, _: Path) -> None:
    usual.mkdir(0o755)
    os.chown(usual, NEIGHBOUR, NEIGHBOUR)


def link_to_a_folder_of_ours(usual: Path, ours: Path) -> None:
    ours.mkdir(0o700)
    usual.symlink_to(ours)
    os.chown(usual, NEIGHBOUR, NEIGHBOUR, follow_symlinks=False)


def link_to_nothing(usual: Path, ours: Path) -> None:
    usual.symlink_to(ours)
    os.chown(usual, NEIGHBOUR, NEIGHBOUR, follow_symlinks=False)


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a temporary folder that everybody can write to. No other folder is there."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    (tmp_path / "file").touch()
    monkeypatch.delenv("SMS1680_STATE_DIR", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    shared_state.warned.clear()
    return folder


@pytest.mark.parametrize(
    "take",
    [writable_for_all, somebody_elses, link_to_a_folder_of_ours, link_to_nothing],
    ids=lambda take: take.__name__,
)
def test_taken_name_is_not_used_and_the_state_is_still_shared(
    shared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, take: Callable[[Path, Path], None]
) -> None:
    usual = shared / f"sms1680-{os.getuid()}"
    try:
        take(usual, tmp_path / "ours")
    except PermissionError:
        pytest.skip("only root can give a folder away")
    decoy = shared / f"{usual.name}-0000"
    writable_for_all(decoy, decoy)
    found = [list(state_folders()) for _ in range(3)]
    assert found[0] == found[1] == found[2]
    (folder,) = found[0]
    assert folder.parent == shared
    assert folder not in {usual, decoy}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not list((tmp_path / "ours").glob("*"))
    assert len(caplog.messages) == 1
    assert "SMS1680_STATE_DIR" in caplog.text


def test_usual_name_is_used_if_it_is_free(shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert list(state_folders()) == [shared / f"sms1680-{os.getuid()}"]
    assert caplog.messages == []


def test_folder_that_anybody_could_replace_is_not_used(shared: Path) -> None:
    shared.chmod(0o777)
    assert list(state_folders()) == []
