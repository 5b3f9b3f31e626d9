"""Another program deletes, replaces or cuts the message store's files while the store uses them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from custom_components.sms1680.store.db import (
    Direction,
    HistoryQuery,
    Marks,
    MessageStore,
    StoredIn,
    StoreError,
    StoreObserver,
    Uplink,
    history,
    writer,
)
from tests.home_assistant.helpers import ALICE, done

Attack = Callable[[Path], None]


@pytest.fixture(autouse=True)
def _integrations() -> None:
    """Disable the fixture: these tests use no Home Assistant."""


@pytest.fixture(autouse=True)
def _loopback() -> None: ...


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sms1680.db"


class Observed:
    """A store, with what it reported."""

    def __init__(self, path: Path) -> None:
        self.reports: list[str] = []
        note = self.reports.append
        self.store = MessageStore(
            path,
            StoreObserver(
                damaged=lambda _: note("damaged"),
                restored=lambda: note("restored"),
                cut=lambda: note("cut"),
                failed=note,
                large=lambda: note("large"),
            ),
        )
        self.store.open()

    def receive(self, *texts: str) -> None:
        for text in texts:
            done(self.store.receive(uplink(text)))


def uplink(text: str, recipient: str | None = None) -> Uplink:
    return Uplink(
        "home", "id", ALICE, text, "", "", incomplete=False, via="webhook", received_at=datetime.now(UTC), digest=b"",
        recipient=recipient,
    )  # fmt: skip


def texts_in(path: Path) -> list[str]:
    """Return the stored texts, read from the files by another program as after a restart."""
    code = (
        "import sqlite3, sys\n"
        "print(*[x for (x,) in sqlite3.connect(sys.argv[1]).execute('SELECT content FROM uplink ORDER BY row')])"
    )
    return subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True).stdout.split()


def delete(path: Path) -> None:
    path.unlink()


def delete_all(path: Path) -> None:
    for file in path.parent.glob("sms1680.db*"):
        file.unlink()


def delete_log(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def replace(path: Path) -> None:
    other = path.with_name("other.db")
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE other (x)")
    other.replace(path)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def cut_log(path: Path) -> None:
    log = Path(f"{path}-wal")
    os.truncate(log, log.stat().st_size // 2)


ATTACKS = [delete, delete_all, delete_log, replace, empty, cut_log]


@pytest.mark.parametrize("attack", ATTACKS)
def test_changed_files_lose_no_uplink(path: Path, attack: Attack) -> None:
    """The content of a small store is in SQLite's cache, even if the files were cut."""
    observed = Observed(path)
    observed.receive("1", "2")
    attack(path)
    observed.receive("3")
    assert texts_in(path) == ["1", "2", "3"]
    observed.receive("4")
    observed.store.close()
    assert texts_in(path) == ["1", "2", "3", "4"]
    assert observed.reports == ["restored"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(list(path.parent.glob("*.replaced-*"))) == (attack is replace)


@pytest.mark.parametrize("attack", ATTACKS)
def test_idle_store_notices_changed_files(path: Path, attack: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_CHECK_INTERVAL", 0.01)
    observed = Observed(path)
    observed.receive("1")
    attack(path)
    while not observed.reports:
        assert observed.store._writer._thread is not None
        observed.store._writer._thread.join(0.01)
    assert texts_in(path) == ["1"]
    observed.store.close()


@pytest.mark.parametrize("attack", ATTACKS)
def test_closing_store_notices_changed_files(path: Path, attack: Attack) -> None:
    observed = Observed(path)
    observed.receive("1")
    attack(path)
    observed.store.close()
    assert texts_in(path) == ["1"]
    assert observed.reports == ["restored"]


def without_cache(store: MessageStore) -> None:
    """Make SQLite read each page from the files."""
    for pragma in ("cache_size = 0", "shrink_memory"):
        done(store._writer.submit(lambda database, p=pragma: database.execute(f"PRAGMA {p}"), alone=True))


def test_cut_log_continues_with_what_remains(path: Path) -> None:
    observed = Observed(path)
    observed.receive(*map(str, range(50)))
    without_cache(observed.store)
    cut_log(path)
    observed.receive("new")
    observed.store.close()
    *before, last = texts_in(path)
    assert last == "new"
    assert before == [str(number) for number in range(len(before))]
    assert 0 < len(before) < 50
    assert observed.reports == ["cut"]


def test_emptied_file_is_replaced_and_reported(path: Path) -> None:
    observed = Observed(path)
    observed.receive(*("x" * 500 for _ in range(300)))
    done(observed.store.begin_backup())  # the file contains everything now, and the -wal file nothing
    without_cache(observed.store)
    empty(path)
    observed.receive("new")
    observed.store.close()
    assert texts_in(path) == ["new"]
    assert observed.reports == ["damaged"]


def test_empty_file_at_rest_is_reported(path: Path) -> None:
    path.touch()
    observed = Observed(path)
    observed.receive("1")
    observed.store.close()
    assert observed.reports == ["damaged"]
    assert texts_in(path) == ["1"]


def test_other_program_may_use_the_file(path: Path) -> None:
    """A reader, a writer and a VACUUM of another program are not reported, though the file becomes shorter."""
    observed = Observed(path)
    observed.receive(*("x" * 3000 for _ in range(300)))
    done(observed.store.begin_backup())
    done(observed.store.end_backup())
    before = path.stat().st_size
    code = (
        "import sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('DELETE FROM uplink')\n"
        "database.execute('VACUUM')\n"
        "database.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchall()"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True)
    assert path.stat().st_size < before
    observed.receive("1")
    observed.store.close()
    assert observed.reports == []
    assert texts_in(path) == ["1"]


def test_full_disk_is_reported_and_ends(path: Path) -> None:
    observed = Observed(path)
    observed.receive("1")
    limit = done(observed.store._writer.submit(lambda d: d.execute("PRAGMA max_page_count").fetchone()[0], alone=True))
    done(observed.store._writer.submit(lambda d: d.execute("PRAGMA max_page_count = 1").fetchall(), alone=True))
    with pytest.raises(StoreError, match="SQLITE_FULL"):
        done(observed.store.receive(uplink("x" * 10_000)))
    assert observed.reports == ["SQLITE_FULL"]
    done(observed.store._writer.submit(lambda d: d.execute(f"PRAGMA max_page_count = {limit}").fetchall(), alone=True))
    observed.receive("2")
    observed.store.close()
    assert texts_in(path) == ["1", "2"]


def test_rescue_on_a_full_disk_waits_for_space(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observed = Observed(path)
    observed.receive("1")
    rescue = observed.store._writer._guard.rescue

    def full(_: sqlite3.Connection) -> Path:
        error = sqlite3.OperationalError("full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        error.sqlite_errorname = "SQLITE_FULL"
        raise error

    monkeypatch.setattr(observed.store._writer._guard, "rescue", full)
    delete(path)
    with pytest.raises(StoreError, match="SQLITE_FULL"):
        done(observed.store.receive(uplink("2")))
    monkeypatch.setattr(observed.store._writer._guard, "rescue", rescue)
    observed.receive("3")
    observed.store.close()
    assert texts_in(path) == ["1", "3"]
    assert observed.reports == ["SQLITE_FULL", "restored"]


class TestSize:
    """The store is bounded by bytes."""

    @pytest.fixture
    def observed(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> Observed:
        monkeypatch.setattr(writer, "LARGE", 2**20)
        monkeypatch.setattr("custom_components.sms1680.store.db.store.TOO_LARGE", 2**22)
        limits = {table: (limit // 64, *rest) for table, (limit, *rest) in history._MAX_BYTES.items()}
        monkeypatch.setattr(history, "_MAX_BYTES", limits)
        return Observed(path)

    def test_large_store_is_pruned_to_its_bytes(self, observed: Observed, path: Path) -> None:
        observed.store.receive(uplink("of a recipient", "alice"))
        for _ in range(40):
            done(observed.store.receive(uplink("长" * 10_000)))
        assert "large" in observed.reports
        rows = [one.row for one in done(observed.store.pending("home", 100))]
        done(observed.store.prune({}))
        assert len(done(observed.store.messages(HistoryQuery(limit=100)))) == 41  # no event has fired yet
        done(observed.store.mark_received(Marks(fired=set(rows)), Marks()))
        done(observed.store.prune({}))
        left = done(observed.store.messages(HistoryQuery(direction=Direction.IN, limit=100)))
        contents = [one.content for one in left if isinstance(one, StoredIn)]
        assert sum(len((content or "").encode()) for content in contents) <= 24 * 2**20 // 64
        assert len(contents) > 5
        assert "of a recipient" in contents
        observed.store.close()
        assert path.stat().st_size < 2**20

    def test_flood_at_full_size_is_bounded(self, path: Path) -> None:
        """5,000 pushes of 16 KB, pruned whenever the store asks for it."""
        store = MessageStore(path, StoreObserver(large=lambda: pruned.append(store.prune({}))))
        pruned: list[object] = []
        store.open()
        largest = 0
        for _ in range(100):
            received = done(store.receive_all([uplink("x" * 15_900)] * 50))
            done(store.mark_received(Marks(fired={one.row for one in received}), Marks()))
            largest = max(largest, sum(file.stat().st_size for file in path.parent.iterdir()))
        store.close()
        assert 1 <= len(pruned) < 10
        assert largest < 80 * 2**20
        assert path.stat().st_size < writer.LARGE

    def test_too_large_store_refuses_uplinks(self, observed: Observed) -> None:
        for _ in range(220):
            observed.store.receive(uplink("x" * 20_000))
        done(observed.store.counts("home"))
        with pytest.raises(StoreError, match="too_large"):
            done(observed.store.receive(uplink("x")))
        assert observed.reports[-2:] == ["large", "too_large"]
        observed.store.close()
