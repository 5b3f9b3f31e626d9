"""Tests of the deduplication of pushes."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given, strategies as st

from custom_components.sms1680.client import DeliveryReport, Reply
from custom_components.sms1680.client.dedupe import Deduplicator
from tests.home_assistant.helpers import ALICE, BOB

HOUR, DAY = 3600, 24 * 3600


class ClockedDeduplicator:
    """A deduplicator with a settable clock and a window of five seconds."""

    def __init__(self, max_size: int = 100, window: float = 5.0) -> None:
        self.now = 0.0
        self.window = window
        self.deduplicator = Deduplicator(lambda: self.now, max_size)
        self._ids = count(1)

    def note(self, item: Reply | DeliveryReport, *, acknowledged: bool = True, number: str = ALICE) -> tuple[str, bool]:
        seen, repeat = self.deduplicator.note(item, number, self.window, lambda: str(next(self._ids)))
        seen.acknowledged = acknowledged
        return seen.id, repeat


@pytest.mark.parametrize(
    ("window", "acknowledged", "later", "repeat"),
    [
        (5, True, 4.9, True),
        (5, True, 5.1, False),  # a genuine second "1"
        (0, True, 0.0, False),
        (0, False, 0.0, True),
        (5, False, 600, True),  # the platform saw no acknowledgement
        (5, False, HOUR - 1, True),
        (5, False, HOUR + 1, False),
    ],
)
def test_reply_without_id_is_a_repeat_within_its_window(
    window: float, *, acknowledged: bool, later: float, repeat: bool
) -> None:
    dedupe = ClockedDeduplicator(window=window)
    first, _ = dedupe.note(Reply(ALICE, "1", "12"), acknowledged=acknowledged)
    dedupe.now = later
    second, is_repeat = dedupe.note(Reply(ALICE, "1", "12"))
    assert is_repeat is repeat
    assert (first == second) is repeat


def test_window_starts_with_the_first_arrival() -> None:
    dedupe = ClockedDeduplicator()
    results = []
    for dedupe.now in (0, 4, 8, 12, 16):
        results.append(dedupe.note(Reply(ALICE, "1")))
    assert results == [("1", False), ("1", True), ("2", False), ("2", True), ("3", False)]


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
def test_item_with_a_different_field_is_no_repeat(other: Reply | DeliveryReport, number: str) -> None:
    dedupe = ClockedDeduplicator()
    dedupe.note(Reply(ALICE, "1", "12"), acknowledged=False)
    assert not dedupe.note(other, number=number)[1]


@pytest.mark.parametrize("item", [Reply(ALICE, "1", "", "id"), DeliveryReport("id", ALICE, "0")])
def test_item_with_id_is_a_repeat_within_a_day(item: Reply | DeliveryReport) -> None:
    dedupe = ClockedDeduplicator(window=0)
    dedupe.note(item)
    dedupe.now = DAY - 1
    assert dedupe.note(item) == ("1", True)
    dedupe.now = DAY + 1
    assert dedupe.note(item) == ("2", False)


def test_same_text_with_another_id_is_no_repeat() -> None:
    dedupe = ClockedDeduplicator()
    assert not dedupe.note(Reply(ALICE, "1", "", "id-1"))[1]
    assert not dedupe.note(Reply(ALICE, "1", "", "id-2"))[1]


def test_same_id_with_another_text_is_no_repeat() -> None:
    dedupe = ClockedDeduplicator()
    assert not dedupe.note(Reply(ALICE, "1", "", "id"))[1]
    assert not dedupe.note(Reply(ALICE, "2", "", "id"))[1]


def test_report_with_another_state_is_no_repeat() -> None:
    dedupe = ClockedDeduplicator()
    assert not dedupe.note(DeliveryReport("id", ALICE, "ACCEPTD"))[1]
    assert not dedupe.note(DeliveryReport("id", ALICE, "DELIVRD"))[1]
    assert not dedupe.note(DeliveryReport("id", BOB, "DELIVRD"), number=BOB)[1]
    assert dedupe.note(DeliveryReport("id", ALICE, "DELIVRD"))[1]


def test_oldest_items_are_forgotten() -> None:
    dedupe = ClockedDeduplicator(max_size=2)
    for text in "123":
        dedupe.note(Reply(ALICE, text))
    assert dedupe.note(Reply(ALICE, "3"))[1]
    assert not dedupe.note(Reply(ALICE, "1"))[1]


@given(st.text(), st.text(), st.text(), st.text())
def test_digest_separates_fields(one: str, two: str, three: str, four: str) -> None:
    dedupe = ClockedDeduplicator()
    dedupe.note(Reply(ALICE, one, two))
    assert dedupe.note(Reply(ALICE, three, four))[1] is ((one, two) == (three, four))


class TestTwoSources:
    """An account with pushes and a connection can get a reply through both, in two forms."""

    def note(self, dedupe: ClockedDeduplicator, item: Reply, source: str) -> tuple[str, bool]:
        seen, repeat = dedupe.deduplicator.note(item, ALICE, dedupe.window, lambda: str(next(dedupe._ids)), source)
        seen.acknowledged = True
        return seen.id, repeat

    def test_same_text_from_the_other_source_is_a_repeat(self) -> None:
        dedupe = ClockedDeduplicator()
        assert self.note(dedupe, Reply(ALICE, "1", "10690012"), "push") == ("1", False)
        assert self.note(dedupe, Reply(ALICE, "1", "12", "901"), "cmpp") == ("1", True)
        assert self.note(dedupe, Reply(ALICE, "1", "12", "901"), "cmpp") == ("1", True)
        assert self.note(dedupe, Reply(ALICE, "2", "12", "902"), "cmpp") == ("2", False)

    def test_copies_are_matched_one_to_one(self) -> None:
        dedupe = ClockedDeduplicator(window=0)
        results = [self.note(dedupe, Reply(ALICE, "1", "", serial), "cmpp") for serial in ("901", "902", "903")]
        results += [self.note(dedupe, Reply(ALICE, "1"), "push") for _ in range(4)]
        assert results == [
            ("1", False),
            ("2", False),
            ("3", False),
            ("1", True),
            ("2", True),
            ("3", True),
            ("4", False),
        ]

    @pytest.mark.parametrize(("later", "repeat"), [(299, True), (301, False)])
    def test_copies_match_within_five_minutes(self, later: float, *, repeat: bool) -> None:
        dedupe = ClockedDeduplicator()
        self.note(dedupe, Reply(ALICE, "1"), "push")
        self.note(dedupe, Reply(ALICE, "3"), "push")
        dedupe.now = later
        assert self.note(dedupe, Reply(ALICE, "1", "", "901"), "cmpp")[1] is repeat
        assert len(dedupe.deduplicator._unmatched) == 1, "old copies are removed"

    def test_account_with_one_source_matches_no_copies(self) -> None:
        dedupe = ClockedDeduplicator()
        dedupe.note(Reply(ALICE, "1"))
        assert self.note(dedupe, Reply(ALICE, "1", "", "901"), "cmpp")[1] is False


def test_status_words_of_http_and_cmpp_are_equivalent() -> None:
    dedupe = ClockedDeduplicator()
    assert dedupe.note(DeliveryReport("7", ALICE, "0")) == ("1", False)
    assert dedupe.note(DeliveryReport("7", ALICE, "DELIVRD")) == ("1", True)
    assert dedupe.note(DeliveryReport("7", ALICE, "KX:1000")) == ("2", False)
    assert dedupe.note(DeliveryReport("7", ALICE, "UNDELIV")) == ("3", False)


def test_forgotten_reply_is_forgotten_for_both_sources() -> None:
    deduplicator = Deduplicator(lambda: 0.0)
    ids = count(1)
    bob, _ = deduplicator.note(Reply(BOB, "1"), BOB, 5, lambda: str(next(ids)), "cmpp")
    alice, _ = deduplicator.note(Reply(ALICE, "1"), ALICE, 5, lambda: str(next(ids)), "cmpp")
    deduplicator.forget(alice)
    for number, other, repeat in ((ALICE, alice, False), (BOB, bob, True)):
        seen, is_repeat = deduplicator.note(Reply(number, "1", "12"), number, 5, lambda: str(next(ids)), "webhook")
        assert is_repeat is repeat
        assert (seen.id == other.id) is repeat
