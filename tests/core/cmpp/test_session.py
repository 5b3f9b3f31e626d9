"""The session under a clock that the tests turn: every transition of the table, and the rules that the table serves."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sms1680 import Reason
from sms1680.cmpp.events import (
    CloseCause,
    DecodeFailed,
    DeliverReceived,
    Ready,
    RequestTimedOut,
    ResponseReceived,
    SessionClosed,
    SessionEvent,
    UnauthenticatedGateway,
)
from sms1680.cmpp.session import Session, SessionSettings
from sms1680.cmpp.transitions import STATES, TRANSITIONS, TRIGGERS, Action, SessionState, Transition, Trigger, draw
from sms1680.cmpp.wire.auth import authenticator_ismg
from sms1680.cmpp.wire.codec import Decoder, decode, encode
from sms1680.cmpp.wire.errors import CodecError
from sms1680.cmpp.wire.pdus import (
    PDU,
    ActiveTest,
    ActiveTestResp,
    CancelResp,
    Connect,
    ConnectResp,
    Deliver,
    DeliverResp,
    QueryResp,
    Submit,
    SubmitResp,
    Terminate,
    TerminateResp,
    Unknown,
)

SECRET = "known to both"
START = 1000.0
NOISE = b"GET / HTTP/1.1\r\n"


class Wire:
    """A session and the other end of its wire, at a time that the test sets."""

    def __init__(self, **settings: object) -> None:
        self.now = START
        self.session = Session(SessionSettings("901234", SECRET, **settings), self.now)  # type: ignore[arg-type]
        self.decoder = Decoder()

    def sent(self) -> list[PDU | CodecError]:
        return self.decoder.receive(self.session.data_to_send())

    def give(self, *pdus: PDU) -> list[SessionEvent]:
        return self.session.receive(b"".join(map(encode, pdus)), self.now)

    def tick(self, seconds: float = 0.0) -> list[SessionEvent]:
        self.now += seconds
        return self.session.tick(self.now)

    def login(self, status: int = 0, *, secret: str = SECRET) -> list[SessionEvent]:
        self.session.start("1122200000")
        [connect] = self.sent()
        assert isinstance(connect, Connect)
        proof = authenticator_ismg(status, connect.authenticator_source, secret)
        return self.give(
            ConnectResp(sequence_id=connect.sequence_id, status=status, authenticator_ismg=proof, version=0x20)
        )

    def submit(self, key: str = "key") -> int:
        assert self.session.can_send(self.now)
        sequence = self.session.next_sequence_id()
        submit = Submit(
            sequence_id=sequence, msg_src="901234", src_id="1069", dest_terminal_id=("13800138000",), msg_content=b"x"
        )
        self.session.send(encode(submit), sequence, key, self.now)
        return sequence


def in_state(state: SessionState) -> Wire:
    wire = Wire()
    if state is SessionState.CONNECTED:
        return wire
    if state is SessionState.LOGGING_IN:
        wire.session.start("1122200000")
    else:
        wire.login()
    if state is SessionState.PROBING:
        wire.now += 11
        assert not wire.session.can_send(wire.now)
    elif state is SessionState.TERMINATING:
        wire.session.close(wire.now)
    elif state is SessionState.TERMINATED:
        wire.give(Terminate(sequence_id=77))
    elif state is SessionState.CLOSED:
        wire.session.connection_lost()
    wire.sent()
    assert wire.session.state is state
    return wire


def time_up(wire: Wire) -> list[SessionEvent]:
    return [event for _ in range(4) for event in wire.tick(61)]


def silence(wire: Wire) -> list[SessionEvent]:
    wire.now += 11
    assert not wire.session.can_send(wire.now)
    return []


PULL: dict[Trigger, Callable[[Wire], object]] = {
    Trigger.START: lambda wire: wire.session.start("1122200000"),
    Trigger.LOGIN_ACCEPTED: lambda wire: wire.give(ConnectResp(sequence_id=1)),
    Trigger.LOGIN_REFUSED: lambda wire: wire.give(ConnectResp(sequence_id=1, status=3)),
    Trigger.SILENCE: silence,
    Trigger.PDU_RECEIVED: lambda wire: wire.give(ActiveTestResp(sequence_id=2)),
    Trigger.TIMEOUT: time_up,
    Trigger.CLOSE: lambda wire: wire.session.close(wire.now),
    Trigger.TERMINATE: lambda wire: wire.give(Terminate(sequence_id=78)),
    Trigger.TERMINATE_RESP: lambda wire: wire.give(TerminateResp(sequence_id=2)),
    Trigger.CONNECTION_LOST: lambda wire: wire.session.connection_lost(),
    Trigger.PROTOCOL_ERROR: lambda wire: wire.session.receive(NOISE, wire.now),
}
SENT: dict[Action, list[type]] = {
    Action.SEND_CONNECT: [Connect],
    Action.SEND_ACTIVE_TEST: [ActiveTest],
    Action.SEND_TERMINATE: [Terminate],
    Action.SEND_TERMINATE_RESP: [TerminateResp],
    Action.RESPOND_AND_CLOSE: [TerminateResp],
}


@pytest.mark.parametrize(("state", "trigger"), TRANSITIONS, ids=str)
def test_every_transition(state: SessionState, trigger: Trigger) -> None:
    wire = in_state(state)
    step: Transition = TRANSITIONS[state, trigger]
    told: list[SessionEvent] = []
    original = wire.session._pop_events

    def drain() -> list[SessionEvent]:
        events = original()
        told.extend(events)
        return events

    wire.session._pop_events = drain  # type: ignore[method-assign]
    PULL[trigger](wire)
    assert wire.session.state is step.to
    kinds = [type(pdu) for pdu in wire.sent() if not (trigger is Trigger.TIMEOUT and isinstance(pdu, ActiveTest))]
    assert kinds == SENT.get(step.action, [])
    finished = step.action in (Action.EMIT_CLOSED, Action.RESPOND_AND_CLOSE)
    assert [type(event) for event in told if isinstance(event, SessionClosed)] == [SessionClosed] * finished
    assert any(isinstance(event, Ready) for event in told) is (step.action is Action.EMIT_READY)


@pytest.mark.parametrize("trigger", Trigger, ids=str)
def test_nothing_happens_any_more_once_closed(trigger: Trigger) -> None:
    wire = in_state(SessionState.CLOSED)
    if trigger is Trigger.SILENCE:
        assert not wire.session.can_send(wire.now + 11)
    else:
        assert not PULL[trigger](wire)
    assert wire.session.state is SessionState.CLOSED
    assert wire.sent() == []
    assert wire.session.deadline is None


def test_the_page_of_documentation_is_drawn_from_the_table() -> None:
    page = Path(__file__).parents[3] / "docs" / "cmpp-session.md"
    assert page.read_text(encoding="utf-8") == draw(), "run: python -m sms1680.cmpp.transitions > docs/cmpp-session.md"


def test_the_table_is_complete() -> None:
    """Every state is described and left, and answers to time, hanging up and closing wherever these can come."""
    assert set(STATES) == set(SessionState)
    assert set(TRIGGERS) == set(Trigger)
    for state in set(SessionState) - {SessionState.CLOSED}:
        assert {Trigger.CLOSE, Trigger.CONNECTION_LOST} <= {trigger for other, trigger in TRANSITIONS if other is state}
    assert {step.to for step in TRANSITIONS.values()} == set(SessionState) - {SessionState.CONNECTED}


# --- login -----------------------------------------------------------------------------------------------------------


def test_login_is_told_with_the_gateways_version() -> None:
    wire = Wire()
    assert wire.login() == [Ready(0x20)]
    assert SECRET not in repr(wire.session)
    assert SECRET not in repr(wire.session._settings)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (1, Reason.MALFORMED),
        (2, Reason.IP),
        (3, Reason.AUTHENTICATION),
        (4, Reason.VERSION),
        (5, Reason.SUSPENDED),
        (99, Reason.LOGIN),
    ],
)
def test_a_refused_login_says_why(status: int, reason: Reason) -> None:
    assert Wire().login(status) == [SessionClosed(CloseCause.LOGIN_REFUSED, (), status, reason)]


def test_trap_12_a_gateway_without_proof_is_told_and_taken_unless_proof_is_asked_for() -> None:
    assert Wire().login(secret="other") == [UnauthenticatedGateway(), Ready(0x20)]
    unproven, closed = Wire(require_gateway_auth=True).login(secret="other")
    assert unproven == UnauthenticatedGateway()
    assert isinstance(closed, SessionClosed)
    assert (closed.cause, "secret" in str(closed.detail)) == (CloseCause.PROTOCOL_ERROR, True)


def test_a_gateway_that_speaks_3_0_is_called_so() -> None:
    wire = in_state(SessionState.LOGGING_IN)
    octets = bytes.fromhex("00000021800000010000000100000000") + bytes(16) + b"\x30"
    damaged, closed = wire.session.receive(octets, wire.now)
    assert isinstance(damaged, DecodeFailed)
    assert isinstance(closed, SessionClosed)
    assert "CMPP 3.0" in str(closed.detail)


def test_nothing_else_is_taken_or_let_out_before_the_login() -> None:
    wire = in_state(SessionState.LOGGING_IN)
    assert not wire.session.can_send(wire.now)
    delivery = decode(encode(Deliver(sequence_id=1, msg_id=1, dest_id="1", src_terminal_id="1", msg_content=b"")))
    assert isinstance(delivery, Deliver)
    assert wire.give(delivery) == []
    assert not wire.session.acknowledge(delivery)
    assert wire.session.deadline == START + 30


# --- the window ------------------------------------------------------------------------------------------------------


def test_the_window_holds_sixteen_and_answers_come_in_any_order() -> None:
    wire = Wire()
    wire.login()
    sequences = [wire.submit(f"key {number}") for number in range(16)]
    assert not wire.session.can_send(wire.now)
    assert wire.session.in_flight == 16
    told = wire.give(*[SubmitResp(sequence_id=sequence, msg_id=sequence) for sequence in reversed(sequences)])
    assert [event.key for event in told if isinstance(event, ResponseReceived)] == [
        f"key {n}" for n in reversed(range(16))
    ]
    assert wire.session.can_send(wire.now)


def test_one_answer_frees_one_place_also_a_late_one() -> None:
    wire = Wire(window=1)
    wire.login()
    sequence = wire.submit()
    assert wire.give(ActiveTest(sequence_id=1)) == []
    assert wire.tick(60) == [RequestTimedOut("key")]
    wire.give(ActiveTest(sequence_id=2))
    again = wire.submit("second")
    late = SubmitResp(sequence_id=sequence, msg_id=5)
    assert wire.give(late) == [ResponseReceived("key", late, late=True)]
    assert wire.give(late) == []
    assert not wire.session.can_send(wire.now)
    assert again != sequence
    answer = SubmitResp(sequence_id=again, msg_id=6)
    assert wire.give(answer, answer) == [ResponseReceived("second", answer, late=False)]


def test_answers_to_queries_and_cancels_are_matched_too() -> None:
    wire = Wire()
    wire.login()
    first, second = wire.submit("query"), wire.submit("cancel")
    told = wire.give(QueryResp(sequence_id=first, time="20261122"), CancelResp(sequence_id=second))
    assert [event.key for event in told if isinstance(event, ResponseReceived)] == ["query", "cancel"]


def test_trap_6_sequences_wrap_and_skip_what_is_in_flight() -> None:
    wire = Wire(first_sequence=2**32 - 2)
    wire.login()
    assert [wire.submit() for _ in range(3)] == [2**32 - 1, 0, 1]
    wire.session._next_sequence = 2**32 - 1
    assert wire.submit() == 2


def test_unmatched_answers_and_unknown_commands_change_nothing() -> None:
    wire = Wire()
    wire.login()
    wire.submit()
    stranger = Unknown(sequence_id=1, command_id=9, body=b"")
    assert wire.give(SubmitResp(sequence_id=999), TerminateResp(sequence_id=1), stranger) == []
    assert wire.session.in_flight == 1


def test_only_so_many_late_answers_are_waited_for() -> None:
    wire = Wire(window=2000, answer_timeout=1.0, idle=100.0)
    wire.login()
    for number in range(1001):
        wire.submit(str(number))
    assert len(wire.tick(1)) == 1001
    assert len(wire.session._timed_out) == 1000


# --- signs of life ---------------------------------------------------------------------------------------------------


def test_an_idle_connection_is_tested_after_30_seconds_and_given_up_after_three_silent_minutes() -> None:
    wire = Wire()
    wire.login()
    assert wire.session.deadline == START + 30
    assert wire.tick(29.9) == []
    assert wire.sent() == []
    times = []
    told: list[SessionEvent] = []
    while not told:
        deadline = wire.session.deadline
        assert deadline is not None
        wire.now = deadline
        told = wire.tick()
        times += [wire.now - START] * len(wire.sent())
    assert times == [30, 90, 150]
    assert wire.now == START + 210
    assert told == [SessionClosed(CloseCause.TIMED_OUT, ())]


def test_any_pdu_is_a_sign_of_life() -> None:
    wire = Wire()
    wire.login()
    wire.tick(30)
    wire.tick(60)
    assert len(wire.sent()) == 2
    wire.give(ActiveTest(sequence_id=9))  # trap 10: a test in place of the answer
    [answer] = wire.sent()
    assert answer == ActiveTestResp(sequence_id=9)
    assert wire.session.deadline == wire.now + 30


def test_after_ten_silent_seconds_a_test_must_be_answered_before_a_submit_goes() -> None:
    wire = Wire()
    wire.login()
    wire.now += 10
    assert wire.session.can_send(wire.now)
    wire.now += 0.1
    assert not wire.session.can_send(wire.now)
    [test] = wire.sent()
    assert isinstance(test, ActiveTest)
    assert not wire.session.can_send(wire.now)
    assert wire.sent() == []
    assert wire.give(ActiveTestResp(sequence_id=test.sequence_id)) == [Ready(None)]
    wire.submit()


def test_a_half_open_connection_is_found_within_ten_seconds_of_an_alarm() -> None:
    wire = Wire()
    wire.login()
    wire.now += 25
    assert not wire.session.can_send(wire.now)
    assert wire.session.deadline == wire.now + 10
    assert wire.tick(9.9) == []
    assert wire.tick(0.1) == [SessionClosed(CloseCause.TIMED_OUT, ())]


def test_a_half_open_connection_is_found_while_a_message_waits_for_its_answer() -> None:
    wire = Wire()
    wire.login()
    wire.now += 9
    wire.submit("first")
    assert wire.session.deadline == START + 19
    assert wire.tick(9.9) == []
    assert wire.sent()[1:] == []
    assert wire.tick(0.1) == []
    [test] = wire.sent()
    assert isinstance(test, ActiveTest)
    assert wire.session.deadline == START + 29
    assert wire.tick(10) == [SessionClosed(CloseCause.TIMED_OUT, ("first",))]


def test_a_gateway_that_takes_its_time_for_an_answer_is_not_given_up() -> None:
    wire = Wire()
    wire.login()
    sequence = wire.submit("first")
    wire.sent()
    for _ in range(5):
        wire.tick(10)
        [test] = wire.sent()
        assert isinstance(test, ActiveTest)
        assert wire.give(ActiveTestResp(sequence_id=test.sequence_id)) == [Ready(None)]
    answer = SubmitResp(sequence_id=sequence, msg_id=1)
    assert wire.give(answer) == [ResponseReceived("first", answer, late=False)]


def test_what_is_overdue_while_in_doubt_is_told() -> None:
    wire = Wire(answer_timeout=15.0)
    wire.login()
    wire.submit("first")
    wire.now += 11
    assert not wire.session.can_send(wire.now)
    assert wire.session.deadline == START + 15
    assert wire.tick(4) == [RequestTimedOut("first")]


# --- what comes in ---------------------------------------------------------------------------------------------------

DELIVERY = Deliver(sequence_id=5, msg_id=6, dest_id="1069", src_terminal_id="13800138000", msg_content=b"TD")


def test_a_delivery_is_handed_out_and_acknowledged_when_told_to() -> None:
    wire = Wire()
    wire.login()
    assert wire.give(DELIVERY) == [DeliverReceived(DELIVERY)]
    assert wire.sent() == []
    assert wire.session.acknowledge(DELIVERY)
    assert wire.sent() == [DeliverResp(sequence_id=5, msg_id=6, result=0)]


def test_a_delivery_that_can_not_be_read_is_refused_and_the_rest_goes_on() -> None:
    wire = Wire()
    wire.login()
    bad = bytearray(encode(DELIVERY))[:80]
    bad[3] = len(bad)
    damaged, delivered = wire.session.receive(bytes(bad) + encode(DELIVERY), wire.now)
    assert isinstance(damaged, DecodeFailed)
    assert delivered == DeliverReceived(DELIVERY)
    assert wire.sent() == [DeliverResp(sequence_id=5, msg_id=0, result=1)]


# --- the end ---------------------------------------------------------------------------------------------------------


def test_our_end_still_takes_answers_and_tells_what_had_none() -> None:
    wire = Wire()
    wire.login()
    first, _ = wire.submit("first"), wire.submit("second")
    wire.session.close(wire.now)
    answer = SubmitResp(sequence_id=first, msg_id=1)
    assert wire.give(answer, DELIVERY) == [ResponseReceived("first", answer, late=False), DeliverReceived(DELIVERY)]
    assert wire.give(TerminateResp(sequence_id=4)) == [SessionClosed(CloseCause.CLIENT_CLOSED, ("second",))]


def test_trap_11_after_their_terminate_answers_are_taken_until_they_hang_up() -> None:
    wire = Wire()
    wire.login()
    sequence = wire.submit("first")
    wire.submit("second")
    assert wire.give(Terminate(sequence_id=0)) == []
    assert wire.sent()[-1] == TerminateResp(sequence_id=0)
    assert not wire.session.can_send(wire.now)
    answer = SubmitResp(sequence_id=sequence, msg_id=1)
    assert wire.give(answer) == [ResponseReceived("first", answer, late=False)]
    assert wire.session.connection_lost() == [SessionClosed(CloseCause.GATEWAY_CLOSED, ("second",))]


def test_neither_end_takes_longer_than_it_may() -> None:
    for state, cause in (
        (SessionState.TERMINATING, CloseCause.CLIENT_CLOSED),
        (SessionState.TERMINATED, CloseCause.GATEWAY_CLOSED),
    ):
        wire = in_state(state)
        assert wire.tick(4.9) == []
        assert wire.tick(0.1) == [SessionClosed(cause, ())]


def test_their_terminate_ends_a_doubt() -> None:
    wire = in_state(SessionState.PROBING)
    assert wire.give(Terminate(sequence_id=1)) == [Ready(None)]
    assert wire.session.state is SessionState.TERMINATED


def test_a_lost_connection_tells_what_had_no_answer() -> None:
    wire = Wire()
    wire.login()
    wire.submit("first")
    wire.submit("second")
    assert wire.session.connection_lost() == [SessionClosed(CloseCause.CONNECTION_LOST, ("first", "second"))]


def test_noise_ends_the_session_and_is_not_quoted() -> None:
    wire = Wire()
    wire.login()
    wire.submit()
    damaged, closed = wire.session.receive(NOISE + encode(DELIVERY), wire.now)
    assert isinstance(damaged, DecodeFailed)
    assert isinstance(closed, SessionClosed)
    assert (closed.cause, closed.unanswered) == (CloseCause.PROTOCOL_ERROR, ("key",))
    assert "GET" not in str(closed)
