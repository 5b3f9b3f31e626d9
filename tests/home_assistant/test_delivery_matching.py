"""The delivery state of messages: each rule alone, and all rules with a random platform."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    PARTIAL_WINDOW,
    SETTLED,
    Candidate,
    UnmatchedReport,
    find_owner,
    micros,
    outranks,
    state_of,
)
from tests.home_assistant.helpers import ALICE, BOB, done

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ACCEPTED, UNKNOWN, HELD = Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.HELD
NOTATIONS = ("{}", "+86{}", "86{}", "0086 {}", "+86 {}")


@pytest.fixture(autouse=True)
def _integrations() -> None:
    """Disable the fixture: these tests use no Home Assistant."""


@pytest.fixture(autouse=True)
def _loopback() -> None: ...


def row_of(dispatch: Dispatch) -> int:
    (row,) = dispatch.rows
    assert row is not None
    return row


class ClockedStore:
    """A store with a settable clock."""

    def __init__(self) -> None:
        self.now = NOON
        self.store = MessageStore(None, now=lambda: self.now)
        self.store.open()

    def begin(self, number: str = ALICE, **more: Any) -> Dispatch:
        dispatch = Dispatch((Outgoing("home", number, at=self.now, **{"transport": "http", "text": None, **more}),))
        done(self.store.begin(dispatch))
        done(self.store.mark(dispatch, [0]))
        return dispatch

    def answer(
        self, dispatch: Dispatch, outcome: Outcome, *ids: str, reason: Reason | None = None, segments: int = 1
    ) -> list[DeliveryUpdate]:
        answer = RecordedOutcome(outcome, self.now, reason, ids, segments, segments)
        return list(done(self.store.settle(dispatch, [(0, answer)])))

    def send(self, outcome: Outcome, *ids: str, number: str = ALICE, **more: Any) -> int:
        segments = more.pop("segments", 1)
        dispatch = self.begin(number, **more)
        self.answer(dispatch, outcome, *ids, segments=segments)
        return row_of(dispatch)

    def report(self, message_id: str, status: str = "0", number: str = ALICE, entry: str = "home") -> Received:
        return done(self.store.receive(Report(entry, "", number, message_id, status, "webhook", self.now, b"")))

    def states(self) -> dict[int, tuple[DeliveryState, MatchedBy | None]]:
        found = done(self.store.messages(HistoryQuery(limit=10_000)))
        return {one.row: (one.state, one.matched) for one in found if isinstance(one, StoredOut)}

    def state(self, row: int) -> DeliveryState:
        return self.states()[row][0]


@pytest.fixture
def clocked() -> Iterator[ClockedStore]:
    made = ClockedStore()
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
def test_reports_determine_the_state(clocked: ClockedStore, statuses: Sequence[str], state: str) -> None:
    row = clocked.send(ACCEPTED, "007")
    updates = [clocked.report("007", status).update for status in statuses]
    assert clocked.state(row) == state
    assert all(update is not None and update.matched is MatchedBy.ID for update in updates)
    if updates:
        assert updates[-1] is not None
        assert updates[-1].settled is (state != "pending")


def test_reports_of_segments_fire_once_with_the_first_id(clocked: ClockedStore) -> None:
    clocked.send(ACCEPTED, "20", "7", "100", segments=3)
    received = [clocked.report(message_id) for message_id in ("7", "7", "100", "20", "20")]
    assert [one.news for one in received] == [False, False, False, True, False]
    assert [one.update and (one.update.state, one.update.message_id) for one in received[2:4]] == [
        (DeliveryState.PENDING, "20"),
        (DeliveryState.DELIVERED, "20"),
    ]
    (waiting,) = done(clocked.store.pending("home", 9))
    assert waiting.row == received[3].row
    assert waiting.update.message_id == "20"
    late = clocked.report("7", "KX:1000")
    assert (late.news, late.update and late.update.state) == (True, DeliveryState.FAILED)
    (stored,) = done(clocked.store.messages(HistoryQuery()))
    assert stored.message_ids == ("20", "7", "100")


def test_update_has_the_status_word_of_the_report(clocked: ClockedStore) -> None:
    clocked.send(ACCEPTED, "7")
    delivered, failed, again = (clocked.report("7", status).update for status in ("DELIVRD", "MB:1042", "0"))
    assert delivered is not None
    assert (delivered.status, delivered.number, delivered.entry) == ("DELIVRD", ALICE, "home")
    assert failed is not None
    assert again is not None
    assert (failed.status, again.status, again.state) == ("MB:1042", "MB:1042", DeliveryState.FAILED)


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.NOT_SENT, Outcome.HELD, Outcome.UNKNOWN])
def test_other_outcomes_are_the_state(clocked: ClockedStore, outcome: Outcome) -> None:
    (update,) = clocked.answer(clocked.begin(recipient="alice"), outcome, reason=Reason.LOST)
    assert (update.state, update.reason, update.recipient) == (outcome.value, Reason.LOST, "alice")
    assert update.settled is (outcome in (Outcome.REFUSED, Outcome.NOT_SENT))


@pytest.mark.parametrize("notation", NOTATIONS)
def test_report_matches_every_notation_of_the_number(clocked: ClockedStore, notation: str) -> None:
    row = clocked.send(ACCEPTED, "7", number=ALICE)
    clocked.report("7", number=notation.format(ALICE))
    assert clocked.state(row) is DeliveryState.DELIVERED


def test_leading_zeros_of_an_id_count(clocked: ClockedStore) -> None:
    row, other = clocked.send(ACCEPTED, "007"), clocked.send(ACCEPTED, "7")
    clocked.report("007")
    assert (clocked.state(row), clocked.state(other)) == (DeliveryState.DELIVERED, DeliveryState.ACCEPTED)


def test_same_id_with_another_number_is_another_message(clocked: ClockedStore) -> None:
    alice, bob = (clocked.send(ACCEPTED, "7", number=number) for number in (ALICE, BOB))
    clocked.report("7", "KX:1000", BOB)
    assert (clocked.state(alice), clocked.state(bob)) == (DeliveryState.ACCEPTED, DeliveryState.FAILED)


class TestReportBeforeAnswer:
    """A report that arrives before the answer to the send."""

    def test_report_is_joined_after_the_answer(self, clocked: ClockedStore) -> None:
        dispatch = clocked.begin()
        assert clocked.report("7").update is None
        (update,) = clocked.answer(dispatch, ACCEPTED, "7")
        assert (update.state, update.matched, update.status) == (DeliveryState.DELIVERED, MatchedBy.ID, "0")

    def test_report_is_not_matched_while_a_message_is_being_sent(self, clocked: ClockedStore) -> None:
        old = clocked.send(UNKNOWN)
        dispatch = clocked.begin()
        clocked.report("7")
        assert clocked.state(old) is DeliveryState.UNKNOWN
        clocked.answer(dispatch, ACCEPTED, "7")
        assert (clocked.state(old), clocked.state(row_of(dispatch))) == (DeliveryState.UNKNOWN, DeliveryState.DELIVERED)

    def test_report_belongs_to_an_older_message_if_the_answer_has_another_id(self, clocked: ClockedStore) -> None:
        old = clocked.send(UNKNOWN)
        dispatch = clocked.begin()
        clocked.report("7", "KX:1000")
        own, other = clocked.answer(dispatch, ACCEPTED, "8")
        assert (own.row, own.state) == (row_of(dispatch), DeliveryState.ACCEPTED)
        assert (other.row, other.state, other.matched) == (old, DeliveryState.FAILED, MatchedBy.NUMBER)

    def test_report_of_a_reused_id_is_not_joined(self, clocked: ClockedStore) -> None:
        clocked.report("7", "KX:1000")
        clocked.now += timedelta(days=20)
        assert clocked.state(clocked.send(ACCEPTED, "7")) is DeliveryState.ACCEPTED

    def test_all_early_reports_count(self, clocked: ClockedStore) -> None:
        dispatch = clocked.begin()
        for status in ("ACCEPTD", "0", "MA:0001"):
            clocked.report("7", status)
        (update,) = clocked.answer(dispatch, ACCEPTED, "7")
        assert (update.state, update.status) == (DeliveryState.FAILED, "MA:0001")


class TestSegments:
    """A message of several segments, each with its own id."""

    def test_delivered_after_all_segments(self, clocked: ClockedStore) -> None:
        row = clocked.send(ACCEPTED, "1", "2", "3", segments=3, transport="cmpp")
        for message_id, state in (("2", "pending"), ("2", "pending"), ("1", "pending"), ("3", "delivered")):
            update = clocked.report(message_id, "DELIVRD").update
            assert update is not None
            assert (update.state, update.settled) == (state, state == "delivered")
        assert clocked.state(row) is DeliveryState.DELIVERED

    def test_failed_after_one_segment(self, clocked: ClockedStore) -> None:
        row = clocked.send(ACCEPTED, "1", "2", "3", segments=3)
        clocked.report("1", "DELIVRD")
        update = clocked.report("2", "UNDELIV").update
        assert update is not None
        assert (update.state, update.settled) == (DeliveryState.FAILED, True)
        clocked.report("3", "DELIVRD")
        assert clocked.state(row) is DeliveryState.FAILED

    def test_counts_as_delivered_with_a_missing_report(self, clocked: ClockedStore) -> None:
        row = clocked.send(ACCEPTED, "1", "2", segments=2)
        clocked.report("1", "DELIVRD")
        clocked.now += timedelta(hours=49)
        done(clocked.store.prune({}))
        assert clocked.state(row) is DeliveryState.DELIVERED
        clocked.report("2", "DELIVRD")
        assert clocked.state(row) is DeliveryState.DELIVERED

    def test_partly_accepted_message_is_delivered_after_all_segments(self, clocked: ClockedStore) -> None:
        row = clocked.send(UNKNOWN, "1", segments=2)
        clocked.report("1", "DELIVRD")
        assert clocked.state(row) is DeliveryState.PENDING
        clocked.report("the other", "DELIVRD")
        assert clocked.states()[row] == (DeliveryState.DELIVERED, MatchedBy.ID)


class TestExpiry:
    @pytest.mark.parametrize(("hours", "state"), [(47.9, "accepted"), (48.1, "expired")])
    def test_message_without_a_report_expires_after_48_hours(
        self, clocked: ClockedStore, hours: float, state: str
    ) -> None:
        row = clocked.send(ACCEPTED, "7", recipient="alice")
        clocked.now += timedelta(hours=hours)
        updates = done(clocked.store.prune({}))
        assert clocked.state(row) == state
        assert [(update.row, update.settled, update.at) for update in updates] == (
            [(row, True, clocked.now)] if state == "expired" else []
        )

    @pytest.mark.parametrize(("status", "state"), [("0", "delivered"), ("EXPIRED", "failed"), ("ACCEPTD", "expired")])
    def test_report_after_expiry_changes_the_state(self, clocked: ClockedStore, status: str, state: str) -> None:
        row = clocked.send(ACCEPTED, "7")
        clocked.now += timedelta(days=5)
        done(clocked.store.prune({}))
        clocked.report("7", status)
        assert clocked.state(row) == state

    def test_old_message_with_a_delivered_segment_does_not_expire_while_the_other_one_is_awaited(
        self, clocked: ClockedStore
    ) -> None:
        row = clocked.send(ACCEPTED, "7", "8", segments=2)
        clocked.now += timedelta(hours=60)
        clocked.report("7", "DELIVRD")
        for state in (DeliveryState.PENDING, DeliveryState.DELIVERED):
            done(clocked.store.prune({}))
            assert clocked.state(row) is state
            clocked.now += PARTIAL_WINDOW

    def test_expiry_of_a_scheduled_message_starts_when_it_is_due(self, clocked: ClockedStore) -> None:
        row = clocked.send(ACCEPTED, "7", due=NOON + timedelta(days=3))
        clocked.now += timedelta(days=4)
        done(clocked.store.prune({}))
        assert clocked.state(row) is DeliveryState.ACCEPTED
        clocked.now += timedelta(days=2)
        done(clocked.store.prune({}))
        assert clocked.state(row) is DeliveryState.EXPIRED

    @pytest.mark.parametrize("outcome", [HELD, UNKNOWN, Outcome.REFUSED])
    def test_only_accepted_messages_expire(self, clocked: ClockedStore, outcome: Outcome) -> None:
        row = clocked.send(outcome)
        clocked.now += timedelta(days=9)
        done(clocked.store.prune({}))
        assert clocked.state(row) == outcome.value


class TestMatchByNumber:
    """Messages without a known id."""

    @pytest.mark.parametrize("outcome", [ACCEPTED, HELD, UNKNOWN])
    def test_report_settles_the_only_candidate(self, clocked: ClockedStore, outcome: Outcome) -> None:
        row = clocked.send(outcome)
        clocked.now += timedelta(minutes=5)
        update = clocked.report("7", "0", f"+86{ALICE}").update
        assert update is not None
        assert (update.row, update.state, update.matched) == (row, DeliveryState.DELIVERED, MatchedBy.NUMBER)
        assert clocked.report("7", "MA:0001").update is not None
        assert clocked.states()[row] == (DeliveryState.FAILED, MatchedBy.NUMBER)

    def test_two_candidates_are_ambiguous(self, clocked: ClockedStore) -> None:
        rows = [clocked.send(ACCEPTED), clocked.send(UNKNOWN)]
        assert clocked.report("7").update is None
        assert [clocked.state(row) for row in rows] == [DeliveryState.ACCEPTED, DeliveryState.UNKNOWN]

    def test_message_with_known_id_is_no_candidate(self, clocked: ClockedStore) -> None:
        known, row = clocked.send(ACCEPTED, "8"), clocked.send(ACCEPTED)
        clocked.report("7")
        assert (clocked.state(known), clocked.state(row)) == (DeliveryState.ACCEPTED, DeliveryState.DELIVERED)

    def test_message_that_was_not_sent_is_no_candidate(self, clocked: ClockedStore) -> None:
        clocked.send(Outcome.REFUSED)
        clocked.send(Outcome.NOT_SENT)
        row = clocked.send(ACCEPTED)
        clocked.report("7")
        assert clocked.state(row) is DeliveryState.DELIVERED

    def test_second_unknown_id_is_not_matched(self, clocked: ClockedStore) -> None:
        row = clocked.send(ACCEPTED)
        clocked.report("7")
        assert clocked.report("8", "KX:1000").update is None
        assert clocked.state(row) is DeliveryState.DELIVERED

    def test_two_unknown_ids_before_the_answer_are_ambiguous(self, clocked: ClockedStore) -> None:
        dispatch = clocked.begin()
        clocked.report("7")
        clocked.report("8")
        clocked.answer(dispatch, UNKNOWN)
        assert clocked.state(row_of(dispatch)) is DeliveryState.UNKNOWN

    @pytest.mark.parametrize(
        ("outcome", "later", "state"),
        [
            (UNKNOWN, timedelta(minutes=59), "delivered"),
            (UNKNOWN, timedelta(minutes=61), "unknown"),
            (ACCEPTED, timedelta(hours=47), "delivered"),
            (ACCEPTED, timedelta(hours=49), "accepted"),
        ],
    )
    def test_matching_by_number_has_a_time_window(
        self, clocked: ClockedStore, outcome: Outcome, later: timedelta, state: str
    ) -> None:
        row = clocked.send(outcome)
        clocked.now += later
        clocked.report("7")
        assert clocked.state(row) == state

    def test_report_before_the_message_is_not_matched(self, clocked: ClockedStore) -> None:
        clocked.report("7")
        clocked.now += timedelta(seconds=1)
        assert clocked.state(clocked.send(ACCEPTED)) is DeliveryState.ACCEPTED

    def test_report_before_a_scheduled_message_is_due_is_not_matched(self, clocked: ClockedStore) -> None:
        row = clocked.send(ACCEPTED, due=NOON + timedelta(days=1))
        clocked.report("7")
        assert clocked.state(row) is DeliveryState.ACCEPTED

    def test_report_of_another_account_is_not_matched(self, clocked: ClockedStore) -> None:
        row, known = clocked.send(UNKNOWN), clocked.send(ACCEPTED, "8", number=BOB)
        assert clocked.report("7", entry="office").update is None
        assert clocked.report("8", number=BOB, entry="office").update is None
        assert (clocked.state(row), clocked.state(known)) == (DeliveryState.UNKNOWN, DeliveryState.ACCEPTED)

    def test_interrupted_message_is_unknown_and_can_be_settled(self, tmp_path: Any) -> None:
        first = MessageStore(tmp_path / "sms1680.db", now=lambda: NOON)
        first.open()
        dispatch = Dispatch((Outgoing("home", ALICE, "http", NOON),))
        done(first.begin(dispatch))
        done(first.mark(dispatch, [0]))
        done(first.receive(Report("home", "", ALICE, "7", "0", "webhook", NOON, b"")))
        first.close()
        second = MessageStore(tmp_path / "sms1680.db", now=lambda: NOON)
        second.open()
        (update,) = done(second.current([row_of(dispatch)]))
        second.close()
        assert (update.state, update.matched) == (DeliveryState.DELIVERED, MatchedBy.NUMBER)

    @pytest.mark.parametrize("marks", [[], [True, False]])
    def test_interrupted_message_before_its_turn_is_not_sent(self, tmp_path: Any, marks: list[bool]) -> None:
        first = MessageStore(tmp_path / "sms1680.db", now=lambda: NOON)
        first.open()
        dispatch = Dispatch((Outgoing("home", ALICE, "http", NOON),))
        done(first.begin(dispatch))
        for leaves in marks:
            done(first.mark(dispatch, [0], leaves=leaves))
        done(first.receive(Report("home", "", ALICE, "7", "0", "webhook", NOON, b"")))
        first.close()
        second = MessageStore(tmp_path / "sms1680.db", now=lambda: NOON)
        second.open()
        [update] = done(second.unconcluded("home"))
        second.close()
        assert (update.row, update.state, update.reason) == (row_of(dispatch), DeliveryState.NOT_SENT, Reason.CANCELLED)


def test_settle_stores_a_message_that_begin_could_not_store(clocked: ClockedStore) -> None:
    message = Outgoing("home", ALICE, "http", NOON, "门开了", "alice")
    dispatch = Dispatch((message,))
    (update,) = done(clocked.store.settle(dispatch, [(0, RecordedOutcome(ACCEPTED, NOON, None, ("7",)))]))
    assert row_of(dispatch) == update.row
    assert clocked.state(update.row) is DeliveryState.ACCEPTED


def test_latest_message_of_each_recipient(clocked: ClockedStore) -> None:
    clocked.send(ACCEPTED, "1", recipient="alice")
    clocked.now += timedelta(seconds=1)
    newest = clocked.send(ACCEPTED, "2", recipient="alice")
    clocked.report("2")
    found = done(clocked.store.latest("home", ["alice", "bob"]))
    assert [(update.row, update.state, update.at) for update in found] == [
        (newest, DeliveryState.DELIVERED, clocked.now)
    ]
    assert done(clocked.store.latest("office", ["alice"])) == []


STATES = st.lists(st.sampled_from([None, *ReportState]), max_size=4)


@given(STATES, st.randoms())
def test_order_of_reports_does_not_matter(states: list[ReportState | None], chance: Any) -> None:
    mixed = list(states)
    chance.shuffle(mixed)
    assert state_of(ACCEPTED, 3, states) is state_of(ACCEPTED, 3, mixed)


@given(st.lists(st.sampled_from(list(ReportState))), st.randoms())
def test_highest_report_state_wins_in_any_order(states: list[ReportState], chance: Any) -> None:
    def last(reported: Sequence[ReportState]) -> ReportState | None:
        state = None
        for new in reported:
            state = new if outranks(new, state) else state
        return state

    mixed = states * 2
    chance.shuffle(mixed)
    assert last(states) is last(mixed)


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
def test_owner_is_found_only_if_unambiguous(given_: list[tuple[Any, int, int]], hours: list[int]) -> None:
    candidates = [Candidate(row, *values) for row, values in enumerate(given_)]
    unmatched = [UnmatchedReport(str(place), hour * 3_600_000_000) for place, hour in enumerate(hours)]
    owned = find_owner(candidates, unmatched)
    if owned is None:
        return
    owner, own = owned
    assert own
    assert len(own) <= owner.missing
    for one in unmatched:
        able = [candidate for candidate in candidates if candidate.outcome is None or candidate.can_own(one.at)]
        assert able in ([], [owner])
        assert (one in own) is (able == [owner])


@dataclass
class Sent:
    """A message at the random platform, with its ids. The answer does not always contain them."""

    dispatch: Dispatch
    since: datetime
    ids: list[str]
    outcome: Outcome | None = None
    reports: list[tuple[str, str, datetime]] = field(default_factory=list)
    expired: bool = False
    decided: bool = False

    def expected(self) -> DeliveryState:
        """Return the expected state, derived from the message's history."""
        if self.outcome in (None, Outcome.REFUSED, Outcome.NOT_SENT):
            return DeliveryState(self.outcome or "sending")
        if self.outcome is UNKNOWN and self.reports and self.reports[0][2] - self.since > timedelta(hours=1):
            return DeliveryState.UNKNOWN
        statuses = {id_: {status for message_id, status, _ in self.reports if message_id == id_} for id_ in self.ids}
        if any("UNDELIV" in some for some in statuses.values()):
            return DeliveryState.FAILED
        enough = any if self.expired or self.decided else all
        if enough("DELIVRD" in some for some in statuses.values()):
            return DeliveryState.DELIVERED
        if self.expired:
            return DeliveryState.EXPIRED
        return DeliveryState.PENDING if self.reports else DeliveryState(self.outcome)


class DrawnPlatform(RuleBasedStateMachine):
    """Messages, answers and reports in any order: late, early, lost, repeated, by segment, and of other programs."""

    def __init__(self) -> None:
        super().__init__()
        self.clocked = ClockedStore()
        self.sent: list[Sent] = []
        self.serial = count(1)

    def teardown(self) -> None:
        self.clocked.store.close()

    @rule(segments=st.integers(1, 3), shared=st.booleans())
    def send(self, segments: int, *, shared: bool) -> None:
        # A unique number if the answer can get lost, so that reports are unambiguous.
        number = ALICE if shared else f"139{next(self.serial):08}"
        ids = [f"{next(self.serial):04}" for _ in range(segments)]
        self.sent.append(Sent(self.clocked.begin(number), self.clocked.now, ids))

    @precondition(lambda self: any(sent.outcome is None for sent in self.sent))
    @rule(data=st.data(), outcome=st.sampled_from([ACCEPTED, ACCEPTED, Outcome.REFUSED, Outcome.NOT_SENT, UNKNOWN]))
    def answer(self, data: st.DataObject, outcome: Outcome) -> None:
        sent = data.draw(st.sampled_from([sent for sent in self.sent if sent.outcome is None]))
        if outcome is UNKNOWN and (
            sent.dispatch.messages[0].number == ALICE or len({message_id for message_id, _, _ in sent.reports}) > 1
        ):
            outcome = ACCEPTED
        if sent.reports and outcome in (Outcome.REFUSED, Outcome.NOT_SENT):
            outcome = ACCEPTED  # a message with a report was accepted
        if outcome is UNKNOWN:
            sent.ids = [sent.reports[0][0] if sent.reports else sent.ids[0]]
        sent.outcome = outcome
        ids = sent.ids if outcome is ACCEPTED else []
        self.clocked.answer(sent.dispatch, outcome, *ids, segments=len(sent.ids))

    @precondition(lambda self: self.sent)
    @rule(
        data=st.data(),
        status=st.sampled_from(["ACCEPTD", "DELIVRD", "DELIVRD", "UNDELIV"]),
        notation=st.sampled_from(NOTATIONS),
        times=st.integers(1, 2),
    )
    def report(self, data: st.DataObject, status: str, notation: str, times: int) -> None:
        able = [sent for sent in self.sent if sent.outcome not in (Outcome.REFUSED, Outcome.NOT_SENT)]
        if not able:
            return
        sent = data.draw(st.sampled_from(able))
        message_id = data.draw(st.sampled_from(sent.ids))
        for _ in range(times):
            sent.reports.append((message_id, status, self.clocked.now))
            self.clocked.report(message_id, status, notation.format(sent.dispatch.messages[0].number))

    @rule(status=st.sampled_from(["0", "UNDELIV"]), number=st.sampled_from([ALICE, BOB]))
    def report_of_another_program(self, status: str, number: str) -> None:
        assert self.clocked.report(f"foreign {next(self.serial)}", status, number).update is None

    @rule(later=st.sampled_from([timedelta(seconds=1), timedelta(minutes=50), timedelta(hours=30)]))
    def wait(self, later: timedelta) -> None:
        self.clocked.now += later

    @rule()
    def expire(self) -> None:
        done(self.clocked.store.prune({}))
        for sent in self.sent:
            partial = len(sent.ids) > 1 and any(status == "DELIVRD" for _, status, _ in sent.reports)
            if partial and self.clocked.now - sent.reports[-1][2] >= PARTIAL_WINDOW:
                sent.decided = sent.decided or sent.expected() is DeliveryState.PENDING
            old = self.clocked.now - sent.since > timedelta(hours=48)
            if old and not partial and sent.expected() in (DeliveryState.ACCEPTED, DeliveryState.PENDING):
                sent.expired = True

    @invariant()
    def every_message_has_its_expected_state(self) -> None:
        states = self.clocked.states()
        assert {row_of(sent.dispatch): states[row_of(sent.dispatch)][0] for sent in self.sent} == {
            row_of(sent.dispatch): sent.expected() for sent in self.sent
        }


TestDrawnPlatform = DrawnPlatform.TestCase
TestDrawnPlatform.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_settled_states() -> None:
    assert {state.value for state in SETTLED} == {"delivered", "failed", "expired", "refused", "not_sent"}
    assert micros(timedelta(seconds=1)) == 1_000_000
