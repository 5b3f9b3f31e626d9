"""The message store alone: a finished job survives a killed process and a damaged file."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from custom_components.sms1680.client import Outcome, Reason
from custom_components.sms1680.store.db import (
    DeliveryState,
    Direction,
    Dispatch,
    HistoryQuery,
    Marks,
    MessageStore,
    Outgoing,
    RecordedOutcome,
    Report,
    Retention,
    Selection,
    StoredIn,
    StoredOut,
    StoreError,
    StoreObserver,
    Uplink,
    schema,
    writer,
)
from tests.home_assistant.helpers import ALICE, BOB, done

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
Make = Callable[..., MessageStore]


@pytest.fixture(autouse=True)
def _integrations() -> None:
    """Disable the fixture: these tests use no Home Assistant."""


@pytest.fixture(autouse=True)
def _loopback() -> None: ...


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sms1680.db"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    """Return a function that opens stores. Close them after the test."""
    made = []

    def open_store(*args: Any, **kwargs: Any) -> MessageStore:
        store = MessageStore(path, *args, **kwargs)
        store.open()
        made.append(store)
        return store

    yield open_store
    for store in made:
        store.close()


@pytest.fixture
def store(make: Make) -> MessageStore:
    return make(now=lambda: NOON)


def uplink(content: str = "1", number: str = ALICE, at: datetime = NOON, **more: Any) -> Uplink:
    given = {"entry": "home", "id": f"id of {content}", "extension": "12", "message_id": "", "incomplete": False}
    return Uplink(number=number, content=content, received_at=at, **{**given, "via": "webhook", "digest": b"d", **more})


def report(message_id: str, number: str = ALICE, at: datetime = NOON, status: str = "0", **more: Any) -> Report:
    given = {"entry": "home", "id": "report", "via": "webhook", "digest": b"d"}
    return Report(number=number, message_id=message_id, status=status, received_at=at, **{**given, **more})


def outgoing(number: str = ALICE, at: datetime = NOON, **more: Any) -> Outgoing:
    return Outgoing(number=number, at=at, **{"entry": "home", "transport": "http", "text": "门开了", **more})


def send(store: MessageStore, message: Outgoing, outcome: Outcome = Outcome.ACCEPTED, *ids: str) -> int:
    dispatch = begin(store, message)
    (update, *_) = done(store.settle(dispatch, [(0, RecordedOutcome(outcome, message.at, None, ids))]))
    assert [update.row] == dispatch.rows
    return int(update.row)


def begin(store: MessageStore, message: Outgoing) -> Dispatch:
    dispatch = Dispatch((message,))
    done(store.begin(dispatch))
    return dispatch


def contents(store: MessageStore, **query: Any) -> list[str | None]:
    found = done(store.messages(HistoryQuery(limit=1000, **query)))
    return [one.content if isinstance(one, StoredIn) else one.text for one in found]


def integrity(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        return str(database.execute("PRAGMA integrity_check").fetchone()[0])


def test_messages_survive_a_restart(make: Make) -> None:
    first = make()
    send(first, outgoing(recipient="alice", due=NOON + timedelta(hours=1), automatic=True), Outcome.ACCEPTED, "007")
    later = NOON + timedelta(microseconds=1)
    row = done(first.receive(uplink("好的 🙂", at=later, recipient="alice", incomplete=True, repeat=True))).row
    done(first.mark_received(Marks(fired={row}), Marks()))
    first.close()
    received, sent = done(make().messages(HistoryQuery(until=NOON + timedelta(days=1))))
    assert isinstance(received, StoredIn)
    assert isinstance(sent, StoredOut)
    assert (received.content, received.number, received.at, received.recipient) == ("好的 🙂", ALICE, later, "alice")
    assert (received.incomplete, received.repeat, received.fired, received.via) == (True, True, True, "webhook")
    assert (sent.text, sent.number, sent.at, sent.recipient, sent.transport) == ("门开了", ALICE, NOON, "alice", "http")
    assert (sent.message_ids, sent.due, sent.automatic) == (("007",), NOON + timedelta(hours=1), True)
    assert (sent.outcome, sent.state, sent.settled, sent.matched) == (
        Outcome.ACCEPTED,
        DeliveryState.ACCEPTED,
        False,
        None,
    )


@pytest.mark.parametrize("first", [1, 2])
def test_killed_process_loses_no_stored_uplink(path: Path, first: int) -> None:
    """The process prints each number after its uplink is stored. It is killed twice at random moments."""
    program = Path(__file__).with_name("store_writer.py")
    chance = random.Random(first)
    printed: set[int] = set()
    for start in (0, 1_000_000):
        with subprocess.Popen(
            [sys.executable, str(program), str(path), str(start)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(chance.randint(1, 400)):
                printed.add(int(process.stdout.readline()))
            process.send_signal(signal.SIGKILL)
            printed.update(int(line) for line in process.stdout.read().split("\n")[:-1])
    assert integrity(path) == "ok"
    with closing(sqlite3.connect(path)) as database:
        stored = {int(content) for (content,) in database.execute("SELECT content FROM uplink")}
    assert printed
    assert printed <= stored


def test_concurrent_jobs_share_a_commit_and_finish_after_it(store: MessageStore) -> None:
    done_before: list[int] = []
    blocked = threading.Event()
    futures: list[Future[Any]] = []

    def trace(statement: str) -> None:
        if statement == "COMMIT":
            done_before.append(sum(future.done() for future in futures))

    store._writer.submit(lambda database: database.set_trace_callback(trace))
    store._writer.submit(lambda _: blocked.wait(10))
    futures += [store.receive(uplink(str(number))) for number in range(500)]
    blocked.set()
    assert not wait(futures, 10).not_done
    assert len(done_before) <= 3
    assert done_before[0] == 0
    assert max(done_before) < 500  # jobs of a commit finish after it, the last one too


def test_failing_job_does_not_affect_others(store: MessageStore) -> None:
    blocked = threading.Event()
    store._writer.submit(lambda _: blocked.wait(10))
    good = store.receive(uplink("1"))
    bad = store._writer.submit(lambda database: database.execute("INSERT INTO nowhere VALUES ('secret')"))
    wrong: Future[Any] = store._writer.submit(lambda _: 1 // 0)
    late = store.receive(uplink("2"))
    blocked.set()
    assert done(good).row < done(late).row
    with pytest.raises(StoreError) as caught:
        done(bad)
    assert "secret" not in str(caught.value)
    with pytest.raises(ZeroDivisionError):
        done(wrong)
    assert contents(store) == ["2", "1"]


def test_full_or_closed_store_rejects_jobs(store: MessageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = threading.Event()
    started = threading.Event()
    store._writer.submit(lambda _: (started.set(), blocked.wait(10)))
    assert started.wait(10)
    monkeypatch.setattr(writer, "_MAX_WAITING", 2)
    waiting = [store.receive(uplink(str(number))) for number in range(3)]
    with pytest.raises(StoreError, match="busy"):
        done(waiting[2])
    blocked.set()
    wait(waiting, 10)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        done(store.receive(uplink()))


def test_discarded_dispatch_is_deleted(store: MessageStore) -> None:
    dispatch = begin(store, outgoing())
    done(store.discard(dispatch))
    assert contents(store) == []


def test_close_finishes_waiting_jobs(make: Make) -> None:
    store = make()
    futures = [store.receive(uplink(str(number))) for number in range(50)]
    backup = store.begin_backup()
    store.close()
    assert all(future.done() and future.exception() is None for future in [*futures, backup])


class TestDamage:
    """A file that cannot be read is renamed and replaced."""

    def test_damaged_file_is_replaced_at_open(self, path: Path, make: Make) -> None:
        path.write_bytes(b"this is no database, and never was one" * 200)
        aside: list[Path] = []
        store = make(StoreObserver(damaged=aside.append))
        assert done(store.receive(uplink())).row
        (stored,) = aside
        assert stored.read_bytes().startswith(b"this is no database")
        assert integrity(path) == "ok"

    def test_damaged_file_is_replaced_at_runtime(self, path: Path, make: Make) -> None:
        aside: list[Path] = []
        store = make(StoreObserver(damaged=aside.append))
        for number in range(300):
            store.receive(uplink(str(number) * 50))
        done(store.begin_backup())  # the file contains everything now, and the -wal file nothing
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xa5" * (path.stat().st_size - 4096))
        done(store._writer.submit(lambda database: database.execute("PRAGMA cache_size = 0").fetchall(), alone=True))
        done(store._writer.submit(lambda database: database.execute("PRAGMA shrink_memory").fetchall(), alone=True))
        done(store.settle(begin(store, outgoing()), [(0, RecordedOutcome(Outcome.ACCEPTED, NOON, None, ("7",)))]))
        assert len(aside) == 1
        assert contents(store) == ["门开了"]

    def test_file_of_a_later_version_is_replaced(self, path: Path, make: Make) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA user_version = 1000")
        aside: list[Path] = []
        make(StoreObserver(damaged=aside.append))
        assert len(aside) == 1

    def test_dispatch_in_progress_is_stored_completely_in_the_new_file(self, path: Path, make: Make) -> None:
        """Its row number does not match a row of the new file."""
        first = make()
        dispatch = begin(first, outgoing(BOB))
        first.close()
        path.write_bytes(b"damaged" * 1000)
        second = make()
        send(second, outgoing(ALICE), Outcome.ACCEPTED, "1")
        (update,) = done(second.settle(dispatch, [(0, RecordedOutcome(Outcome.ACCEPTED, NOON, None, ("2",)))]))
        assert update.number == BOB
        assert len(contents(second)) == 2

    def test_three_damaged_files_remain(self, path: Path, make: Make) -> None:
        for _ in range(5):
            make().close()
            path.write_bytes(b"damaged" * 1000)
        make()
        assert len(list(path.parent.glob("*.damaged-*"))) == 3

    def test_file_that_cannot_be_opened_raises_store_error(self, path: Path) -> None:
        path.mkdir()
        with pytest.raises(StoreError, match="SQLITE_CANTOPEN"):
            MessageStore(path).open()


class TestMigrations:
    """A database of any version is migrated with its content."""

    def test_database_of_version_1_is_migrated(self, path: Path, make: Make) -> None:
        """The database is created with the SQL of version 1, which never updates."""
        with closing(sqlite3.connect(path)) as database:
            database.executescript((Path(__file__).parent / "store_version_1.sql").read_text())
        store = make()
        received, sent = done(store.messages(HistoryQuery()))
        assert isinstance(received, StoredIn)
        assert isinstance(sent, StoredOut)
        assert (received.content, received.number) == ("收到", ALICE)
        assert (sent.text, sent.state, sent.message_ids) == ("门开了", DeliveryState.ACCEPTED, ("007",))
        assert [one.item.number for one in done(store.pending("home", 9))] == [ALICE]

    def test_failing_migration_leaves_the_database_unchanged(
        self, path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make().close()
        before = schema.VERSION
        broken = (*schema.MIGRATIONS, "CREATE TABLE more (x); CREATE TABLE uplink (x)")
        monkeypatch.setattr(schema, "MIGRATIONS", broken)
        monkeypatch.setattr(schema, "VERSION", len(broken))
        with pytest.raises(StoreError):
            MessageStore(path).open()
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA user_version").fetchone() == (before,)
            assert not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'more'").fetchall()

    def test_migrations_run_once(self, path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        make().close()
        before = schema.VERSION
        longer = (*schema.MIGRATIONS, "CREATE TABLE more (x)")
        monkeypatch.setattr(schema, "MIGRATIONS", longer)
        monkeypatch.setattr(schema, "VERSION", len(longer))
        make().close()
        make().close()
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA user_version").fetchone() == (before + 1,)


class TestQueries:
    @pytest.fixture(autouse=True)
    def _filled(self, store: MessageStore) -> None:
        for hour in range(3):
            at = NOON - timedelta(hours=hour)
            send(store, outgoing(ALICE, at, text=f"out {hour}", recipient="alice"), Outcome.ACCEPTED, f"{hour}")
            done(store.receive(uplink(f"in {hour}", BOB, at - timedelta(minutes=1), recipient="bob")))
        send(store, outgoing(BOB, NOON - timedelta(days=9), text="old", entry="office"), Outcome.UNKNOWN)

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({}, ["out 0", "in 0", "out 1", "in 1", "out 2", "in 2", "old"]),
            ({"direction": Direction.IN}, ["in 0", "in 1", "in 2"]),
            ({"direction": Direction.OUT}, ["out 0", "out 1", "out 2", "old"]),
            ({"recipients": ["alice"]}, ["out 0", "out 1", "out 2"]),
            ({"recipients": []}, []),
            ({"numbers": [f"+86 {BOB[:3]} {BOB[3:]}"]}, ["in 0", "in 1", "in 2", "old"]),
            ({"entries": ["office"]}, ["old"]),
            ({"states": [DeliveryState.UNKNOWN]}, ["old"]),
            ({"states": [DeliveryState.ACCEPTED], "numbers": [BOB]}, []),
            ({"since": NOON}, ["out 0"]),
            ({"since": NOON - timedelta(hours=1), "until": NOON}, ["in 0", "out 1"]),
        ],
    )
    def test_query_returns_newest_first(self, store: MessageStore, query: dict[str, Any], found: list[str]) -> None:
        assert contents(store, **query) == found

    def test_query_respects_the_limit(self, store: MessageStore) -> None:
        assert [one.at for one in done(store.messages(HistoryQuery(limit=2)))] == [NOON, NOON - timedelta(minutes=1)]

    @pytest.mark.parametrize(
        ("selection", "left"),
        [
            (Selection(), []),
            (Selection(numbers=[f"86{BOB}"]), ["out 0", "out 1", "out 2"]),
            (Selection(entries=["home"]), ["old"]),
            (Selection(recipients=["alice"]), ["in 0", "in 1", "in 2", "old"]),
            (Selection(until=NOON - timedelta(hours=1)), ["out 0", "in 0", "out 1"]),
        ],
    )
    def test_purge_deletes_the_selection(self, store: MessageStore, selection: Selection, left: list[str]) -> None:
        assert done(store.purge(selection)) == 7 - len(left)
        assert contents(store) == left

    def test_purged_text_is_not_in_the_file(self, store: MessageStore, path: Path) -> None:
        done(store.receive(uplink("a text to be forgotten")))
        done(store.purge(Selection()))
        store.close()
        files = [file.read_bytes() for file in path.parent.glob("sms1680.db*")]
        assert files
        assert not any(b"a text to be forgotten" in octets or ALICE.encode() in octets for octets in files)

    def test_purge_includes_messages_in_progress_only_on_request(self, store: MessageStore) -> None:
        begin(store, outgoing(text="under way"))
        done(store.purge(Selection()))
        assert contents(store) == ["under way"]
        done(store.purge(Selection(entries=["home"]), open_too=True))
        assert contents(store) == []

    def test_counts_of_an_account(self, store: MessageStore) -> None:
        done(store.receive(report("0")))
        counts = done(store.counts("home"))
        assert counts.outgoing == {"accepted": 2, "delivered": 1}
        assert (counts.uplinks, counts.reports, counts.unfired) == (3, 1, 4)
        assert counts.size > 4096


class TestRetention:
    KEEP = Retention(timedelta(days=30), 1000, texts=True)

    def test_old_messages_are_pruned(self, store: MessageStore) -> None:
        for days in (0, 29, 31):
            at = NOON - timedelta(days=days)
            send(store, outgoing(at=at, text=f"out {days}"))
            fire(store, uplink(f"in {days}", at=at))
            fire(store, report("foreign", at=at))
            fire(store, uplink(f"other {days}", at=at, entry="office"))
        done(store.prune({"home": self.KEEP}))
        assert sorted(map(str, contents(store, entries=["home"]))) == ["in 0", "in 29", "out 0", "out 29"]
        assert len(contents(store, entries=["office"])) == 3
        assert done(store.counts("home")).reports == 2

    def test_prune_keeps_the_newest_messages(self, store: MessageStore) -> None:
        for minute in range(9):
            fire(store, uplink(str(minute), at=NOON - timedelta(minutes=minute)))
        done(store.prune({"home": Retention(timedelta(days=30), 4, texts=True)}))
        assert contents(store) == ["0", "1", "2", "3"]

    def test_maximum_applies_to_each_kind_separately(self, store: MessageStore) -> None:
        row = send(store, outgoing(at=NOON - timedelta(hours=1)), Outcome.ACCEPTED, "1")
        rows = [done(store.receive(uplink(str(place), at=NOON - timedelta(minutes=place)))).row for place in range(20)]
        done(store.mark_received(Marks(fired=set(rows)), Marks()))
        done(store.prune({"home": Retention(timedelta(days=30), 10, texts=True)}))
        assert [update.row for update in done(store.current([row]))] == [row]
        assert len(contents(store)) == 11

    def test_pending_uplinks_are_pruned_only_on_request(self, store: MessageStore) -> None:
        for place in range(4):
            done(store.receive(uplink(str(place), at=NOON - timedelta(minutes=place))))
        for include_pending, left in ((False, 4), (True, 2)):
            done(store.prune({"home": Retention(timedelta(days=30), 2, texts=True, include_pending=include_pending)}))
            assert len(contents(store)) == left

    def test_pending_uplinks_and_messages_in_progress_are_not_pruned(self, store: MessageStore) -> None:
        old = NOON - timedelta(days=99)
        done(store.receive(uplink("not fired", at=old)))
        begin(store, outgoing(at=old, text="under way"))
        done(store.prune({"home": self.KEEP}))
        assert sorted(map(str, contents(store))) == ["not fired", "under way"]

    def test_file_shrinks_after_pruning(self, store: MessageStore, path: Path) -> None:
        wait([store.receive(uplink("长" * 500, at=NOON - timedelta(days=40))) for _ in range(2000)], 30)
        rows = [one.row for one in done(store.pending("home", 5000))]
        done(store.mark_received(Marks(fired=set(rows)), Marks()))
        done(store.begin_backup())
        full = path.stat().st_size
        done(store.end_backup())
        done(store.prune({"home": self.KEEP}))
        done(store.counts("home"))
        store.close()
        assert path.stat().st_size < full / 4

    def test_text_is_deleted_after_its_event(self, store: MessageStore) -> None:
        row = done(store.receive(uplink("a secret word"))).row
        (waiting,) = done(store.pending("home", 9))
        assert isinstance(waiting.item, Uplink)
        assert waiting.item.content == "a secret word"
        done(store.mark_received(Marks(fired={row}, textless={row}), Marks()))
        assert contents(store) == [None]

    def test_prune_deletes_texts_if_the_option_is_off(self, store: MessageStore) -> None:
        send(store, outgoing())
        fire(store, uplink())
        done(store.receive(uplink("not fired")))
        done(store.prune({"home": Retention(timedelta(days=30), 1000, texts=False)}))
        assert [text for text in contents(store) if text] == ["not fired"]


def fire(store: MessageStore, item: Uplink | Report) -> None:
    row = done(store.receive(item)).row
    marks = [Marks(fired={row}), Marks()]
    done(store.mark_received(*(marks if isinstance(item, Uplink) else reversed(marks))))


class TestPending:
    def test_pending_items_are_complete_and_in_order(self, make: Make) -> None:
        first = make()
        send(first, outgoing(), Outcome.ACCEPTED, "7")
        done(first.receive(uplink("1", at=NOON)))
        done(first.receive(report("7", at=NOON + timedelta(seconds=1))))
        fire(first, uplink("2"))
        done(first.receive(uplink("3", at=NOON + timedelta(seconds=2), entry="office")))
        first.close()
        second = make()
        done(second.receive(uplink("4", at=NOON + timedelta(seconds=3), message_id="00", extension="34")))
        early, middle, late = done(second.pending("home", 9))
        assert (early.item, early.earlier, early.update) == (uplink("1"), True, None)
        assert middle.update is not None
        assert (middle.item.number, middle.earlier, middle.update.state) == (ALICE, True, DeliveryState.DELIVERED)
        assert late.item == uplink("4", at=NOON + timedelta(seconds=3), message_id="00", extension="34")
        assert late.earlier is False
        assert [one.item for one in done(second.pending("home", 1))] == [early.item]

    def test_recent_items_are_returned(self, make: Make) -> None:
        first = make(now=lambda: NOON)
        old = done(first.receive(uplink("1", at=NOON - timedelta(days=2), digest=b"old"))).row
        row = done(first.receive(uplink("2", at=NOON, digest=b"two"))).row
        done(first.receive(uplink("2", at=NOON + timedelta(minutes=1), digest=b"two", repeat=True)))
        done(first.receive(report("7", at=NOON + timedelta(minutes=2), digest=b"rep")))
        done(first.mark_received(Marks(acknowledged={old, row}), Marks()))
        first.close()
        recent = done(make(now=lambda: NOON).recent("home", NOON - timedelta(hours=1)))
        assert [(one.digest, one.id, one.received_at, one.acknowledged) for one in recent] == [
            (b"two", "id of 2", NOON, True),
            (b"rep", "report", NOON + timedelta(minutes=2), False),
        ]

    def test_digests_are_deleted_after_a_day(self, store: MessageStore) -> None:
        done(store.receive(uplink("1", at=NOON - timedelta(days=2))))
        done(store.prune({}))
        assert done(store.recent("home", NOON - timedelta(days=9))) == []


class TestBackup:
    def test_copy_during_a_backup_is_consistent(self, store: MessageStore, path: Path, tmp_path: Path) -> None:
        wait([store.receive(uplink(f"before {number}")) for number in range(200)], 10)
        done(store.begin_backup())
        main = tmp_path / "copy.db"
        shutil.copy(path, main)
        # Enough data for a checkpoint, which a backup prevents.
        wait([store.receive(uplink(f"meanwhile {number} " + "长" * 400)) for number in range(4000)], 30)
        shutil.copy(f"{path}-wal", f"{main}-wal")
        # Copying takes time, so the end of the copy can be incomplete.
        with Path(f"{main}-wal").open("r+b") as log:
            log.truncate(Path(f"{main}-wal").stat().st_size - 1000)
        done(store.end_backup())
        assert integrity(main) == "ok"
        with closing(sqlite3.connect(main)) as database:
            stored = [content for (content,) in database.execute("SELECT content FROM uplink")]
        assert {f"before {number}" for number in range(200)} <= set(stored)
        assert len(contents(store)) == 1000

    def test_purge_during_a_backup_leaves_the_file_unchanged(self, store: MessageStore, path: Path) -> None:
        done(store.receive(uplink()))
        done(store.begin_backup())
        before = path.read_bytes()
        done(store.purge(Selection()))
        done(store.counts("home"))
        assert path.read_bytes() == before
        done(store.end_backup())
        assert path.read_bytes() != before


def test_store_in_memory_creates_no_file(tmp_path: Path) -> None:
    store = MessageStore(None)
    store.open()
    assert store.durable is False
    done(store.receive(uplink("1")))
    send(store, outgoing(), Outcome.REFUSED)
    done(store.begin_backup())
    done(store.end_backup())
    done(store.prune({}))
    assert contents(store, direction=Direction.IN) == ["1"]
    store.close()
    assert list(tmp_path.glob("*.db*")) == []


def test_repr_contains_no_number_and_no_text(store: MessageStore) -> None:
    message, received, reported = outgoing(), uplink("收到", id="1"), report("7")
    send(store, message)
    done(store.receive(received))
    done(store.receive(reported))
    stored = done(store.messages(HistoryQuery()))
    pending = done(store.pending("home", 9))
    updates = done(store.settle(Dispatch((message,)), [(0, RecordedOutcome(Outcome.REFUSED, NOON, Reason.NUMBER))]))
    shown = repr([message, received, reported, stored, pending, updates])
    assert ALICE not in shown
    assert "门开了" not in shown
    assert "收到" not in shown


def test_file_is_readable_by_its_owner_only(store: MessageStore, path: Path) -> None:
    done(store.receive(uplink()))
    assert {file.stat().st_mode & 0o777 for file in path.parent.glob("sms1680.db*")} == {0o600}


def test_locked_file_fails_after_the_busy_timeout(make: Make, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_BUSY_TIMEOUT", 0.05)
    store = make()
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="SQLITE_BUSY"):
        done(store.receive(uplink("1")))
    other.execute("ROLLBACK")
    other.close()
    done(store.receive(uplink("2")))
    assert contents(store) == ["2"]
