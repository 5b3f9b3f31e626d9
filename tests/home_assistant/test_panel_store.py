"""The conversations of the message store: lists, pages, search and unread marks, also with 100,000 messages."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from custom_components.sms1680.store.db import (
    ConversationQuery,
    Cursor,
    Dispatch,
    MessageStore,
    Outgoing,
    Party,
    StoredIn,
    StoredOut,
    Uplink,
    schema,
)
from custom_components.sms1680.store.db.conversations import conversation_page, list_conversations
from custom_components.sms1680.store.db.records import to_micros
from tests.home_assistant.helpers import ALICE, BOB, CAROL, done

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _integrations() -> None:
    """Disable the fixture: these tests use no Home Assistant."""


@pytest.fixture(autouse=True)
def _loopback() -> None: ...


@pytest.fixture
def store() -> Iterator[MessageStore]:
    made = MessageStore(None)
    made.open()
    yield made
    made.close()


def reply(store: MessageStore, number: str, text: str, minute: int, entry: str = "home") -> None:
    at = NOON + timedelta(minutes=minute)
    done(store.receive(Uplink(entry, f"id{minute}", number, text, "", "", False, "webhook", at, b"x")))


def send(store: MessageStore, number: str, text: str, minute: int, entry: str = "home", **more: Any) -> None:
    at = NOON + timedelta(minutes=minute)
    done(store.begin(Dispatch((Outgoing(entry, number, "http", at, text, **more),))))


def text(message: StoredIn | StoredOut) -> str | None:
    return message.content if isinstance(message, StoredIn) else message.text


def listed(store: MessageStore, **query: Any) -> list[tuple[str, str | None]]:
    found = done(store.conversations(ConversationQuery(**query)))
    return [(one.party.number, text(one.newest)) for one in found]


@pytest.fixture
def talked(store: MessageStore) -> MessageStore:
    send(store, ALICE, "门开了 100%", 0)
    reply(store, ALICE, "好的", 1)
    send(store, BOB, "门关了", 2)
    reply(store, CAROL, "1", 3, entry="office")
    return store


def test_conversations_are_listed_newest_first(talked: MessageStore) -> None:
    assert listed(talked) == [(CAROL, "1"), (BOB, "门关了"), (ALICE, "好的")]
    assert listed(talked, limit=1) == [(CAROL, "1")]


def test_list_is_limited_to_the_given_parties(talked: MessageStore) -> None:
    assert listed(talked, parties=[Party(ALICE), Party(BOB, ("office",))]) == [(ALICE, "好的")]
    assert listed(talked, parties=[]) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"search": "门"}, [(BOB, "门关了"), (ALICE, "门开了 100%")]),
        ({"search": "0%"}, [(ALICE, "门开了 100%")]),
        ({"search": "_"}, []),
        ({"search": BOB[-4:]}, [(BOB, "门关了")]),
        ({"search": BOB[-4:], "numbers": False}, []),
        ({"search": "alice", "named": [ALICE]}, [(ALICE, "好的")]),
        (
            {"search": "1", "parties": [Party(ALICE), Party(CAROL)], "numbers": False},
            [(CAROL, "1"), (ALICE, "门开了 100%")],
        ),
    ],
)
def test_search_finds_texts_numbers_and_names(
    talked: MessageStore, query: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    assert listed(talked, **query) == found


def test_pages_of_a_conversation_neither_skip_nor_repeat(store: MessageStore) -> None:
    for minute in range(7):  # two messages each minute, at the same time
        send(store, ALICE, f"out {minute}", minute, priority="critical" if minute == 6 else "normal")
        reply(store, ALICE, f"in {minute}", minute)
    seen: list[str | None] = []
    cursor: Cursor | None = None
    while page := done(store.conversation_page(Party(ALICE), cursor, 3)):
        seen += map(text, page)
        cursor = Cursor.of(page[-1])
    assert seen == [f"{kind} {minute}" for minute in reversed(range(7)) for kind in ("out", "in")]
    [newest] = done(store.conversation_page(Party(ALICE), None, 1))
    assert isinstance(newest, StoredOut)
    assert newest.priority == "critical"
    assert done(store.conversation_page(Party(ALICE, ("office",)), None, 3)) == []


def test_unread_messages_are_counted(talked: MessageStore) -> None:
    before, after = to_micros(NOON), to_micros(NOON + timedelta(minutes=1))
    marks = [(Party(ALICE), before), (Party(ALICE), after), (Party(CAROL, ("home",)), before), (Party(BOB), before)]
    assert done(talked.count_unread(marks)) == [1, 0, 0, 0]


def fill(database: sqlite3.Connection, count: int, number: Callable[[int], str]) -> None:
    """Fill a database with so many messages, half of them replies."""
    for step in schema.MIGRATIONS:
        for statement in step.split(";"):
            database.execute(statement)
    rows = [(number(place), "后门 22:41 打开" * 4, place * 1000) for place in range(count // 2)]
    database.executemany(
        "INSERT INTO outgoing (entry, number, text, way, at, automatic, state, state_at)"
        " VALUES ('home', ?, ?, 'http', ?, 0, 'delivered', 0)",
        rows,
    )
    database.executemany(
        "INSERT INTO uplink (entry, id, number, content, extension, message_id, incomplete, via, at, repeat)"
        " VALUES ('home', 'x', ?, ?, '', '', 0, 'webhook', ?, 0)",
        rows,
    )


NUMBERS: dict[str, Callable[[random.Random, int], str]] = {
    "ten": lambda source, _: f"138{source.randrange(10):08}",
    "a thousand": lambda source, _: f"138{source.randrange(1000):08}",
    "all different": lambda _, place: f"138{place:08}",
}


@pytest.mark.parametrize("numbers", NUMBERS)
def test_first_pages_of_100000_messages_are_found_without_reading_them_all(
    numbers: str, record_property: Callable[[str, object], None]
) -> None:
    """Count SQLite's own steps, which are the same on each machine. The time is only reported."""
    source = random.Random(1680)
    with closing(sqlite3.connect(":memory:")) as database:
        fill(database, 100_000, lambda place: NUMBERS[numbers](source, place))

        def measure(query: Callable[[], object]) -> int:
            steps = 0

            def step() -> None:
                nonlocal steps
                steps += 1

            database.set_progress_handler(step, 1000)
            started = time.perf_counter()
            query()
            record_property("milliseconds", round((time.perf_counter() - started) * 1000, 1))
            database.set_progress_handler(None, 0)
            return steps

        everything = measure(lambda: database.execute("SELECT count(text || number) FROM outgoing").fetchone())
        conversations = measure(lambda: list_conversations(database, ConversationQuery()))
        [first, *_] = list_conversations(database, ConversationQuery(limit=1))
        messages = measure(lambda: conversation_page(database, first.party, None, 50))
    assert conversations < everything / 2
    assert messages < everything / 20
