"""What is proven of a message: each rule by itself, and all of them against a platform that is drawn at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from custom_components.sms1680.client import Outcome, Reason, ReportState
from custom_components.sms1680.store.db import (
    DeliveryState,
    DeliveryUpdate,
    Dispatch,
    HistoryQuery,
    MatchedBy,
    MessageStore,
    Outgoing,
    Received,
    RecordedOutcome,
    Report,
    StoredOut,
)
from custom_components.sms1680.store.db.matching import (
    SETTLED,
    Candidate,
    UnmatchedReport,
    find_owner,
    micros,
    outranks,
    state_of,
)

ALICE, BOB = "13800000001", "13800000002"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ACCEPTED, UNKNOWN, HELD = Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.HELD
WAYS_TO_WRITE = ("{}", "+86{}", "86{}", "0086 {}", "+86 {}")


@pytest.fixture(autouse=True)
def _integrations() -> None:
    """Nothing here needs Home Assistant."""


@pytest.fixture(autouse=True)
def _loopback() -> None: ...


def done(future: Future[Any]) -> Any:
    return future.result(10)


def row_of(dispatch: Dispatch) -> int:
    (row,) = dispatch.rows
    assert row is not None
    return row


class Desk:
    """A store whose time stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = NOON
        self.store = MessageStore(None, now=lambda: self.now)
        self.store.open()

    def begin(self, number: str = ALICE, **more: Any) -> Dispatch:
        dispatch = Dispatch((Outgoing("home", number, at=self.now, **{"transport": "http", "text": None, **more}),))
        done(self.store.begin(dispatch))
        return dispatch

    def answer(
        self, begun: Dispatch, outcome: Outcome, *ids: str, reason: Reason | None = None, segments: int = 1
    ) -> list[DeliveryUpdate]:
        answer = RecordedOutcome(outcome, self.now, reason, ids, segments, segments)
        return list(done(self.store.settle(begun, [(0, answer)])))

    def send(self, outcome: Outcome, *ids: str, number: str = ALICE, **more: Any) -> int:
        segments = more.pop("segments", 1)
        begun = self.begin(number, **more)
        self.answer(begun, outcome, *ids, segments=segments)
        return row_of(begun)

    def hear(self, message_id: str, status: str = "0", number: str = ALICE, entry: str = "home") -> Received:
        return done(self.store.receive(Report(entry, "", number, message_id, status, "webhook", self.now, b"")))

    def states(self) -> dict[int, tuple[DeliveryState, MatchedBy | None]]:
        found = done(self.store.messages(HistoryQuery(limit=10_000)))
        return {one.row: (one.state, one.matched) for one in found if isinstance(one, StoredOut)}

    def state(self, row: int) -> DeliveryState:
        return self.states()[row][0]


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.store.close()


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ([], "accepted"),
        (["ACCEPTD"], "pending"),
        (["0"], "delivered"),
        (["KX:2000"], "failed"),
        (["0", "0"], "delivered"),
        (["0", "KX:1000"], "failed"),
        (["KX:1000", "0"], "failed"),
        (["0", "ACCEPTD"], "delivered"),
        (["ACCEPTD", "0"], "delivered"),
        (["ACCEPTD", "MA:0001", "ACCEPTD"], "failed"),
    ],
)
def test_what_reports_make_of_a_message(desk: Desk, statuses: Sequence[str], state: str) -> None:
    row = desk.send(ACCEPTED, "007")
    changes = [desk.hear("007", status).update for status in statuses]
    assert desk.state(row) == state
    assert all(change is not None and change.matched is MatchedBy.ID for change in changes)
    if changes:
        assert changes[-1] is not None
        assert changes[-1].settled is (state != "pending")


def test_what_is_told_of_several_segments_is_told_once_under_the_first_one_s_id(desk: Desk) -> None:
    desk.send(ACCEPTED, "20", "7", "100", segments=3)
    heard = [desk.hear(message_id) for message_id in ("7", "7", "100", "20", "20")]
    assert [one.news for one in heard] == [False, False, False, True, False]
    assert [one.update and (one.update.state, one.update.message_id) for one in heard[2:4]] == [
        (DeliveryState.PENDING, "20"),
        (DeliveryState.DELIVERED, "20"),
    ]
    (waiting,) = done(desk.store.pending("home", 9))
    assert waiting.row == heard[3].row
    assert waiting.update.message_id == "20"
    late = desk.hear("7", "KX:1000")
    assert (late.news, late.update and late.update.state) == (True, DeliveryState.FAILED)
    (kept,) = done(desk.store.messages(HistoryQuery()))
    assert kept.message_ids == ("20", "7", "100")


def test_a_report_tells_its_status_as_it_came(desk: Desk) -> None:
    desk.send(ACCEPTED, "7")
    delivered, failed, again = (desk.hear("7", status).update for status in ("DELIVRD", "MB:1042", "0"))
    assert delivered is not None
    assert (delivered.status, delivered.number, delivered.entry) == ("DELIVRD", ALICE, "home")
    assert failed is not None
    assert again is not None
    assert (failed.status, again.status, again.state) == ("MB:1042", "MB:1042", DeliveryState.FAILED)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.NOT_SENT, Outcome.HELD, Outcome.UNKNOWN])
def test_what_was_not_accepted_stands_as_its_outcome(desk: Desk, outcome: Outcome) -> None:
    (change,) = desk.answer(desk.begin(recipient="alice"), outcome, reason=Reason.LOST)
    assert (change.state, change.reason, change.recipient) == (outcome.value, Reason.LOST, "alice")
    assert change.settled is (outcome in (Outcome.REFUSED, Outcome.NOT_SENT))


@pytest.mark.parametrize("written", WAYS_TO_WRITE)
def test_a_number_is_the_same_however_it_is_written(desk: Desk, written: str) -> None:
    row = desk.send(ACCEPTED, "7", number=ALICE)
    desk.hear("7", number=written.format(ALICE))
    assert desk.state(row) is DeliveryState.DELIVERED


def test_an_id_is_text(desk: Desk) -> None:
    row, other = desk.send(ACCEPTED, "007"), desk.send(ACCEPTED, "7")
    desk.hear("007")
    assert (desk.state(row), desk.state(other)) == (DeliveryState.DELIVERED, DeliveryState.ACCEPTED)


def test_numbers_of_one_id_are_told_apart(desk: Desk) -> None:
    alice, bob = (desk.send(ACCEPTED, "7", number=number) for number in (ALICE, BOB))
    desk.hear("7", "KX:1000", BOB)
    assert (desk.state(alice), desk.state(bob)) == (DeliveryState.ACCEPTED, DeliveryState.FAILED)


class TestEarly:
    """A report that comes before the answer to the send."""

    def test_waits_for_the_answer(self, desk: Desk) -> None:
        begun = desk.begin()
        assert desk.hear("7").update is None
        (change,) = desk.answer(begun, ACCEPTED, "7")
        assert (change.state, change.matched, change.status) == (DeliveryState.DELIVERED, MatchedBy.ID, "0")

    def test_is_not_taken_for_an_older_unknown_message_s(self, desk: Desk) -> None:
        old = desk.send(UNKNOWN)
        begun = desk.begin()
        desk.hear("7")
        assert desk.state(old) is DeliveryState.UNKNOWN
        desk.answer(begun, ACCEPTED, "7")
        assert (desk.state(old), desk.state(row_of(begun))) == (DeliveryState.UNKNOWN, DeliveryState.DELIVERED)

    def test_is_an_older_message_s_once_the_answer_names_another_id(self, desk: Desk) -> None:
        old = desk.send(UNKNOWN)
        begun = desk.begin()
        desk.hear("7", "KX:1000")
        own, other = desk.answer(begun, ACCEPTED, "8")
        assert (own.row, own.state) == (row_of(begun), DeliveryState.ACCEPTED)
        assert (other.row, other.state, other.matched) == (old, DeliveryState.FAILED, MatchedBy.NUMBER)

    def test_of_an_id_that_was_used_before(self, desk: Desk) -> None:
        desk.hear("7", "KX:1000")
        desk.now += timedelta(days=20)
        assert desk.state(desk.send(ACCEPTED, "7")) is DeliveryState.ACCEPTED

    def test_all_of_them_count(self, desk: Desk) -> None:
        begun = desk.begin()
        for status in ("ACCEPTD", "0", "MA:0001"):
            desk.hear("7", status)
        (change,) = desk.answer(begun, ACCEPTED, "7")
        assert (change.state, change.status) == (DeliveryState.FAILED, "MA:0001")


class TestLong:
    """A message of several segments, each with its own id."""

    def test_is_delivered_when_all_of_them_are(self, desk: Desk) -> None:
        row = desk.send(ACCEPTED, "1", "2", "3", segments=3, transport="cmpp")
        for message_id, state in (("2", "pending"), ("2", "pending"), ("1", "pending"), ("3", "delivered")):
            change = desk.hear(message_id, "DELIVRD").update
            assert change is not None
            assert (change.state, change.settled) == (state, state == "delivered")
        assert desk.state(row) is DeliveryState.DELIVERED

    def test_has_failed_when_one_of_them_has(self, desk: Desk) -> None:
        row = desk.send(ACCEPTED, "1", "2", "3", segments=3)
        desk.hear("1", "DELIVRD")
        change = desk.hear("2", "UNDELIV").update
        assert change is not None
        assert (change.state, change.settled) == (DeliveryState.FAILED, True)
        desk.hear("3", "DELIVRD")
        assert desk.state(row) is DeliveryState.FAILED

    def test_expires_where_one_of_them_is_never_heard_of(self, desk: Desk) -> None:
        row = desk.send(ACCEPTED, "1", "2", segments=2)
        desk.hear("1", "DELIVRD")
        desk.now += timedelta(hours=49)
        done(desk.store.prune({}))
        assert desk.state(row) is DeliveryState.EXPIRED
        desk.hear("2", "DELIVRD")
        assert desk.state(row) is DeliveryState.DELIVERED

    def test_is_not_delivered_by_the_half_that_was_accepted(self, desk: Desk) -> None:
        row = desk.send(UNKNOWN, "1", segments=2)
        desk.hear("1", "DELIVRD")
        assert desk.state(row) is DeliveryState.PENDING
        desk.hear("the other", "DELIVRD")
        assert desk.states()[row] == (DeliveryState.DELIVERED, MatchedBy.ID)


class TestExpiry:
    @pytest.mark.parametrize(("hours", "state"), [(47.9, "accepted"), (48.1, "expired")])
    def test_without_a_report_for_48_hours(self, desk: Desk, hours: float, state: str) -> None:
        row = desk.send(ACCEPTED, "7", recipient="alice")
        desk.now += timedelta(hours=hours)
        changes = done(desk.store.prune({}))
        assert desk.state(row) == state
        assert [(change.row, change.settled, change.at) for change in changes] == (
            [(row, True, desk.now)] if state == "expired" else []
        )

    @pytest.mark.parametrize(("status", "state"), [("0", "delivered"), ("EXPIRED", "failed"), ("ACCEPTD", "expired")])
    def test_a_report_that_comes_days_later(self, desk: Desk, status: str, state: str) -> None:
        row = desk.send(ACCEPTED, "7")
        desk.now += timedelta(days=5)
        done(desk.store.prune({}))
        desk.hear("7", status)
        assert desk.state(row) == state

    def test_a_scheduled_message_has_its_time_from_then_on(self, desk: Desk) -> None:
        row = desk.send(ACCEPTED, "7", due=NOON + timedelta(days=3))
        desk.now += timedelta(days=4)
        done(desk.store.prune({}))
        assert desk.state(row) is DeliveryState.ACCEPTED
        desk.now += timedelta(days=2)
        done(desk.store.prune({}))
        assert desk.state(row) is DeliveryState.EXPIRED

    @pytest.mark.parametrize("outcome", [HELD, UNKNOWN, Outcome.REFUSED])
    def test_only_what_was_accepted_expires(self, desk: Desk, outcome: Outcome) -> None:
        row = desk.send(outcome)
        desk.now += timedelta(days=9)
        done(desk.store.prune({}))
        assert desk.state(row) == outcome.value


class TestByNumber:
    """Messages of which no id is known."""

    @pytest.mark.parametrize("outcome", [ACCEPTED, HELD, UNKNOWN])
    def test_a_report_settles_the_only_one(self, desk: Desk, outcome: Outcome) -> None:
        row = desk.send(outcome)
        desk.now += timedelta(minutes=5)
        change = desk.hear("7", "0", f"+86{ALICE}").update
        assert change is not None
        assert (change.row, change.state, change.matched) == (row, DeliveryState.DELIVERED, MatchedBy.NUMBER)
        assert desk.hear("7", "MA:0001").update is not None
        assert desk.states()[row] == (DeliveryState.FAILED, MatchedBy.NUMBER)

    def test_two_of_them_are_doubt(self, desk: Desk) -> None:
        rows = [desk.send(ACCEPTED), desk.send(UNKNOWN)]
        assert desk.hear("7").update is None
        assert [desk.state(row) for row in rows] == [DeliveryState.ACCEPTED, DeliveryState.UNKNOWN]

    def test_one_whose_id_is_known_is_no_doubt(self, desk: Desk) -> None:
        known, row = desk.send(ACCEPTED, "8"), desk.send(ACCEPTED)
        desk.hear("7")
        assert (desk.state(known), desk.state(row)) == (DeliveryState.ACCEPTED, DeliveryState.DELIVERED)

    def test_one_that_never_went_out_is_no_doubt(self, desk: Desk) -> None:
        desk.send(Outcome.REFUSED)
        desk.send(Outcome.NOT_SENT)
        row = desk.send(ACCEPTED)
        desk.hear("7")
        assert desk.state(row) is DeliveryState.DELIVERED

    def test_a_second_id_is_not_taken_in(self, desk: Desk) -> None:
        row = desk.send(ACCEPTED)
        desk.hear("7")
        assert desk.hear("8", "KX:1000").update is None
        assert desk.state(row) is DeliveryState.DELIVERED

    def test_two_ids_that_came_before_the_answer_are_doubt(self, desk: Desk) -> None:
        begun = desk.begin()
        desk.hear("7")
        desk.hear("8")
        desk.answer(begun, UNKNOWN)
        assert desk.state(row_of(begun)) is DeliveryState.UNKNOWN

    @pytest.mark.parametrize(
        ("outcome", "later", "state"),
        [
            (UNKNOWN, timedelta(minutes=59), "delivered"),
            (UNKNOWN, timedelta(minutes=61), "unknown"),
            (ACCEPTED, timedelta(hours=47), "delivered"),
            (ACCEPTED, timedelta(hours=49), "accepted"),
        ],
    )
    def test_only_for_so_long(self, desk: Desk, outcome: Outcome, later: timedelta, state: str) -> None:
        row = desk.send(outcome)
        desk.now += later
        desk.hear("7")
        assert desk.state(row) == state

    def test_what_came_before_it_went_out_is_another_s(self, desk: Desk) -> None:
        desk.hear("7")
        desk.now += timedelta(seconds=1)
        assert desk.state(desk.send(ACCEPTED)) is DeliveryState.ACCEPTED

    def test_a_report_before_a_scheduled_message_is_due_is_another_s(self, desk: Desk) -> None:
        row = desk.send(ACCEPTED, due=NOON + timedelta(days=1))
        desk.hear("7")
        assert desk.state(row) is DeliveryState.ACCEPTED

    def test_another_account_s_report_is_not_ours(self, desk: Desk) -> None:
        row, known = desk.send(UNKNOWN), desk.send(ACCEPTED, "8", number=BOB)
        assert desk.hear("7", entry="office").update is None
        assert desk.hear("8", number=BOB, entry="office").update is None
        assert (desk.state(row), desk.state(known)) == (DeliveryState.UNKNOWN, DeliveryState.ACCEPTED)

    def test_what_was_under_way_when_the_power_went_is_unknown_and_may_be_settled(self, tmp_path: Any) -> None:
        first = MessageStore(tmp_path / "sms1680.db", now=lambda: NOON)
        first.open()
        dispatch = Dispatch((Outgoing("home", ALICE, "http", NOON),))
        done(first.begin(dispatch))
        done(first.receive(Report("home", "", ALICE, "7", "0", "webhook", NOON, b"")))
        first.close()
        second = MessageStore(tmp_path / "sms1680.db", now=lambda: NOON)
        second.open()
        (change,) = done(second.current([row_of(dispatch)]))
        second.close()
        assert (change.state, change.matched) == (DeliveryState.DELIVERED, MatchedBy.NUMBER)


def test_a_message_whose_beginning_could_not_be_noted_is_noted_with_its_answer(desk: Desk) -> None:
    message = Outgoing("home", ALICE, "http", NOON, "门开了", "alice")
    dispatch = Dispatch((message,))
    (change,) = done(desk.store.settle(dispatch, [(0, RecordedOutcome(ACCEPTED, NOON, None, ("7",)))]))
    assert row_of(dispatch) == change.row
    assert desk.state(change.row) is DeliveryState.ACCEPTED


def test_the_last_of_each_recipient(desk: Desk) -> None:
    desk.send(ACCEPTED, "1", recipient="alice")
    desk.now += timedelta(seconds=1)
    newest = desk.send(ACCEPTED, "2", recipient="alice")
    desk.hear("2")
    found = done(desk.store.latest("home", ["alice", "bob"]))
    assert [(change.row, change.state, change.at) for change in found] == [(newest, DeliveryState.DELIVERED, desk.now)]
    assert done(desk.store.latest("office", ["alice"])) == []


WORDS = st.lists(st.sampled_from([None, *ReportState]), max_size=4)


@given(WORDS, st.randoms())
def test_the_order_of_reports_makes_no_difference(words: list[ReportState | None], chance: Any) -> None:
    mixed = list(words)
    chance.shuffle(mixed)
    assert state_of(ACCEPTED, 3, words) is state_of(ACCEPTED, 3, mixed)


@given(st.lists(st.sampled_from(list(ReportState))), st.randoms())
def test_the_strongest_word_stands_in_whatever_order(words: list[ReportState], chance: Any) -> None:
    def last(said: Sequence[ReportState]) -> ReportState | None:
        stands = None
        for word in said:
            stands = word if outranks(word, stands) else stands
        return stands

    mixed = words * 2
    chance.shuffle(mixed)
    assert last(words) is last(mixed)


CANDIDATES = st.lists(
    st.builds(
        lambda outcome, missing, hour: (outcome, missing, hour * 3_600_000_000),
        st.sampled_from([None, ACCEPTED, UNKNOWN, HELD]),
        st.integers(1, 2),
        st.integers(0, 60),
    ),
    max_size=4,
)


@given(CANDIDATES, st.lists(st.integers(0, 110), max_size=4))
def test_an_owner_is_found_only_where_no_other_could_be(given_: list[tuple[Any, int, int]], hours: list[int]) -> None:
    candidates = [Candidate(row, *values) for row, values in enumerate(given_)]
    foreign = [UnmatchedReport(str(place), hour * 3_600_000_000) for place, hour in enumerate(hours)]
    owned = find_owner(candidates, foreign)
    if owned is None:
        return
    owner, own = owned
    assert own
    assert len(own) <= owner.missing
    for one in foreign:
        able = [candidate for candidate in candidates if candidate.outcome is None or candidate.can_own(one.at)]
        assert able in ([], [owner])
        assert (one in own) is (able == [owner])


@dataclass
class Sent:
    """A message at the drawn platform, with the ids that the platform gave it, whether we learn them or not."""

    begun: Dispatch
    since: datetime
    ids: list[str]
    outcome: Outcome | None = None
    said: list[tuple[str, str, datetime]] = field(default_factory=list)
    expired: bool = False

    def expected(self) -> DeliveryState:
        """Where it must stand, worked out from all that happened to it."""
        if self.outcome in (None, Outcome.REFUSED, Outcome.NOT_SENT):
            return DeliveryState(self.outcome or "sending")
        if self.outcome is UNKNOWN and self.said and self.said[0][2] - self.since > timedelta(hours=1):
            return DeliveryState.UNKNOWN
        statuses = {id_: {status for said, status, _ in self.said if said == id_} for id_ in self.ids}
        if any("UNDELIV" in some for some in statuses.values()):
            return DeliveryState.FAILED
        if all("DELIVRD" in some for some in statuses.values()):
            return DeliveryState.DELIVERED
        if self.expired:
            return DeliveryState.EXPIRED
        return DeliveryState.PENDING if self.said else DeliveryState(self.outcome)


class DrawnPlatform(RuleBasedStateMachine):
    """Messages, answers and reports in any order: late, early, lost, doubled, in pieces, from others."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.sent: list[Sent] = []
        self.serial = count(1)

    def teardown(self) -> None:
        self.desk.store.close()

    @rule(segments=st.integers(1, 3), shared=st.booleans())
    def send(self, segments: int, *, shared: bool) -> None:
        # A number of its own where the answer may get lost, so that there is no doubt whose a report is.
        number = ALICE if shared else f"139{next(self.serial):08}"
        ids = [f"{next(self.serial):04}" for _ in range(segments)]
        self.sent.append(Sent(self.desk.begin(number), self.desk.now, ids))

    @precondition(lambda self: any(sent.outcome is None for sent in self.sent))
    @rule(data=st.data(), outcome=st.sampled_from([ACCEPTED, ACCEPTED, Outcome.REFUSED, Outcome.NOT_SENT, UNKNOWN]))
    def answer(self, data: st.DataObject, outcome: Outcome) -> None:
        sent = data.draw(st.sampled_from([sent for sent in self.sent if sent.outcome is None]))
        if outcome is UNKNOWN and (
            sent.begun.messages[0].number == ALICE or len({said for said, _, _ in sent.said}) > 1
        ):
            outcome = ACCEPTED
        if sent.said and outcome in (Outcome.REFUSED, Outcome.NOT_SENT):
            outcome = ACCEPTED  # what was reported on was accepted
        if outcome is UNKNOWN:
            sent.ids = [sent.said[0][0] if sent.said else sent.ids[0]]
        sent.outcome = outcome
        ids = sent.ids if outcome is ACCEPTED else []
        self.desk.answer(sent.begun, outcome, *ids, segments=len(sent.ids))

    @precondition(lambda self: self.sent)
    @rule(
        data=st.data(),
        status=st.sampled_from(["ACCEPTD", "DELIVRD", "DELIVRD", "UNDELIV"]),
        written=st.sampled_from(WAYS_TO_WRITE),
        times=st.integers(1, 2),
    )
    def report(self, data: st.DataObject, status: str, written: str, times: int) -> None:
        able = [sent for sent in self.sent if sent.outcome not in (Outcome.REFUSED, Outcome.NOT_SENT)]
        if not able:
            return
        sent = data.draw(st.sampled_from(able))
        message_id = data.draw(st.sampled_from(sent.ids))
        for _ in range(times):
            sent.said.append((message_id, status, self.desk.now))
            self.desk.hear(message_id, status, written.format(sent.begun.messages[0].number))

    @rule(status=st.sampled_from(["0", "UNDELIV"]), number=st.sampled_from([ALICE, BOB]))
    def report_of_another_program(self, status: str, number: str) -> None:
        assert self.desk.hear(f"foreign {next(self.serial)}", status, number).update is None

    @rule(later=st.sampled_from([timedelta(seconds=1), timedelta(minutes=50), timedelta(hours=30)]))
    def wait(self, later: timedelta) -> None:
        self.desk.now += later

    @rule()
    def expire(self) -> None:
        done(self.desk.store.prune({}))
        for sent in self.sent:
            old = self.desk.now - sent.since > timedelta(hours=48)
            if old and sent.expected() in (DeliveryState.ACCEPTED, DeliveryState.PENDING):
                sent.expired = True

    @invariant()
    def each_stands_where_it_must(self) -> None:
        states = self.desk.states()
        assert {row_of(sent.begun): states[row_of(sent.begun)][0] for sent in self.sent} == {
            row_of(sent.begun): sent.expected() for sent in self.sent
        }


TestDrawnPlatform = DrawnPlatform.TestCase
TestDrawnPlatform.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_what_is_settled_is_what_needs_no_waiting() -> None:
    assert {state.value for state in SETTLED} == {"delivered", "failed", "expired", "refused", "not_sent"}
    assert micros(timedelta(seconds=1)) == 1_000_000
