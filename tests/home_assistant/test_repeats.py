"""What is a repeat of a push, and what an honest second one."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, strategies as st

from custom_components.sms1680.client import DeliveryReport, Reply
from custom_components.sms1680.inbound.dedupe import Deduplicator

ALICE, BOB = "13800000001", "13800000002"
HOUR, DAY = 3600, 24 * 3600


class Desk:
    """Deduplicator with a clock to be set, and a window of five seconds."""

    def __init__(self, max_size: int = 100, window: float = 5.0) -> None:
        self.now = 0.0
        self.window = window
        self.repeats = Deduplicator(lambda: self.now, max_size)
        self._ids = count(1)

    def note(self, item: Reply | DeliveryReport, *, answered: bool = True, number: str = ALICE) -> tuple[str, bool]:
        seen, repeat = self.repeats.note(item, number, self.window, lambda: str(next(self._ids)))
        seen.acknowledged = answered
        return seen.id, repeat


@pytest.mark.parametrize(
    ("window", "answered", "later", "repeat"),
    [
        (5, True, 4.9, True),
        (5, True, 5.1, False),  # an honest second "1"
        (0, True, 0.0, False),
        (0, False, 0.0, True),
        (5, False, 600, True),  # the platform never saw our answer
        (5, False, HOUR - 1, True),
        (5, False, HOUR + 1, False),
    ],
)
def test_a_reply_without_an_id(window: float, *, answered: bool, later: float, repeat: bool) -> None:
    desk = Desk(window=window)
    first, _ = desk.note(Reply(ALICE, "1", "12"), answered=answered)
    desk.now = later
    second, again = desk.note(Reply(ALICE, "1", "12"))
    assert again is repeat
    assert (first == second) is repeat


def test_the_window_is_counted_from_the_first_one() -> None:
    desk = Desk()
    told = []
    for desk.now in (0, 4, 8, 12, 16):
        told.append(desk.note(Reply(ALICE, "1")))
    assert told == [("1", False), ("1", True), ("2", False), ("2", True), ("3", False)]


@pytest.mark.parametrize(
    ("other", "number"),
    [
        (Reply(ALICE, "2", "12"), ALICE),
        (Reply(ALICE, "1", "13"), ALICE),
        (Reply(BOB, "1", "12"), BOB),
        (Reply(ALICE, "1", "12", "id"), ALICE),
        (Reply(ALICE, "1", "12", "", incomplete=True), ALICE),
        (DeliveryReport("1", ALICE, "12"), ALICE),
    ],
)
def test_what_differs_is_none(other: Reply | DeliveryReport, number: str) -> None:
    desk = Desk()
    desk.note(Reply(ALICE, "1", "12"), answered=False)
    assert not desk.note(other, number=number)[1]


@pytest.mark.parametrize("item", [Reply(ALICE, "1", "", "id"), DeliveryReport("id", ALICE, "0")])
def test_with_an_id_it_is_one_within_a_day(item: Reply | DeliveryReport) -> None:
    desk = Desk(window=0)
    desk.note(item)
    desk.now = DAY - 1
    assert desk.note(item) == ("1", True)
    desk.now = DAY + 1
    assert desk.note(item) == ("2", False)


def test_the_same_text_under_two_ids_is_two() -> None:
    desk = Desk()
    assert not desk.note(Reply(ALICE, "1", "", "id-1"))[1]
    assert not desk.note(Reply(ALICE, "1", "", "id-2"))[1]


def test_two_texts_under_one_id_are_two() -> None:
    desk = Desk()
    assert not desk.note(Reply(ALICE, "1", "", "id"))[1]
    assert not desk.note(Reply(ALICE, "2", "", "id"))[1]


def test_a_report_that_says_more_is_none() -> None:
    desk = Desk()
    assert not desk.note(DeliveryReport("id", ALICE, "ACCEPTD"))[1]
    assert not desk.note(DeliveryReport("id", ALICE, "DELIVRD"))[1]
    assert not desk.note(DeliveryReport("id", BOB, "DELIVRD"), number=BOB)[1]
    assert desk.note(DeliveryReport("id", ALICE, "DELIVRD"))[1]


def test_only_so_many_are_remembered() -> None:
    desk = Desk(max_size=2)
    for text in "123":
        desk.note(Reply(ALICE, text))
    assert desk.note(Reply(ALICE, "3"))[1]
    assert not desk.note(Reply(ALICE, "1"))[1]


@given(st.text(), st.text(), st.text(), st.text())
def test_fields_never_run_into_one_another(one: str, two: str, three: str, four: str) -> None:
    desk = Desk()
    desk.note(Reply(ALICE, one, two))
    assert desk.note(Reply(ALICE, three, four))[1] is ((one, two) == (three, four))


class TestTwoSources:
    """An account that is pushed to and connected as well: a reply may come by both, in two shapes."""

    def note(self, desk: Desk, item: Reply, source: str) -> tuple[str, bool]:
        seen, repeat = desk.repeats.note(item, ALICE, desk.window, lambda: str(next(desk._ids)), source)
        seen.acknowledged = True
        return seen.id, repeat

    def test_the_same_words_by_the_other_are_the_same_reply(self) -> None:
        desk = Desk()
        assert self.note(desk, Reply(ALICE, "1", "10690012"), "push") == ("1", False)
        assert self.note(desk, Reply(ALICE, "1", "12", "901"), "cmpp") == ("1", True)
        assert self.note(desk, Reply(ALICE, "1", "12", "901"), "cmpp") == ("1", True)
        assert self.note(desk, Reply(ALICE, "2", "12", "902"), "cmpp") == ("2", False)

    def test_they_are_paired_one_for_one(self) -> None:
        desk = Desk(window=0)
        told = [self.note(desk, Reply(ALICE, "1", "", serial), "cmpp") for serial in ("901", "902", "903")]
        told += [self.note(desk, Reply(ALICE, "1"), "push") for _ in range(4)]
        assert told == [
            ("1", False),
            ("2", False),
            ("3", False),
            ("1", True),
            ("2", True),
            ("3", True),
            ("4", False),
        ]

    @pytest.mark.parametrize(("later", "repeat"), [(299, True), (301, False)])
    def test_what_comes_much_later_is_another_reply(self, later: float, *, repeat: bool) -> None:
        desk = Desk()
        self.note(desk, Reply(ALICE, "1"), "push")
        self.note(desk, Reply(ALICE, "3"), "push")
        desk.now = later
        assert self.note(desk, Reply(ALICE, "1", "", "901"), "cmpp")[1] is repeat
        assert len(desk.repeats._unmatched) == 1, "what is old takes no room"

    def test_without_a_second_source_nothing_is_paired(self) -> None:
        desk = Desk()
        desk.note(Reply(ALICE, "1"))
        assert self.note(desk, Reply(ALICE, "1", "", "901"), "cmpp")[1] is False


def test_a_report_is_known_by_what_it_says_in_either_ways_words() -> None:
    desk = Desk()
    assert desk.note(DeliveryReport("7", ALICE, "0")) == ("1", False)
    assert desk.note(DeliveryReport("7", ALICE, "DELIVRD")) == ("1", True)
    assert desk.note(DeliveryReport("7", ALICE, "KX:1000")) == ("2", False)
    assert desk.note(DeliveryReport("7", ALICE, "UNDELIV")) == ("3", False)


def test_what_came_to_nothing_is_forgotten_by_both_sources() -> None:
    repeats = Deduplicator(lambda: 0.0)
    ids = count(1)
    bob, _ = repeats.note(Reply(BOB, "1"), BOB, 5, lambda: str(next(ids)), "cmpp")
    alice, _ = repeats.note(Reply(ALICE, "1"), ALICE, 5, lambda: str(next(ids)), "cmpp")
    repeats.forget(alice)
    for number, other, repeat in ((ALICE, alice, False), (BOB, bob, True)):
        seen, again = repeats.note(Reply(number, "1", "12"), number, 5, lambda: str(next(ids)), "webhook")
        assert again is repeat
        assert (seen.id == other.id) is repeat
