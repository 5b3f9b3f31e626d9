"""The session with a controlled clock: every transition of the table, and the session rules."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.session_page import STATES, TRIGGERS, draw

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
from sms1680.cmpp.transitions import TRANSITIONS, Action, SessionState, Trigger
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
    """A session, the gateway's end of its connection, and a controlled clock."""

    def __init__(self, **settings: object) -> None:
        self.now = START
        self.session = Session(SessionSettings("901234", SECRET, **settings), self.now)  # type: ignore[arg-type]
        self.decoder = Decoder()

    def sent(self) -> list[PDU | CodecError]:
        return self.decoder.receive(self.session.data_to_send())

    def feed(self, *pdus: PDU) -> list[SessionEvent]:
        return self.session.receive(b"".join(map(encode, pdus)), self.now)

    def tick(self, seconds: float = 0.0) -> list[SessionEvent]:
        self.now += seconds
        return self.session.tick(self.now)

    def login(self, status: int = 0, *, secret: str = SECRET) -> list[SessionEvent]:
        self.session.start("1122200000")
        [connect] = self.sent()
        assert isinstance(connect, Connect)
        proof = authenticator_ismg(status, connect.authenticator_source, secret)
        return self.feed(
            ConnectResp(sequence_id=connect.sequence_id, status=status, authenticator_ismg=proof, version=0x20)
        )

    def submit(self, key: str = "key") -> int:
        assert self.session.room(self.now)
        sequence = self.session.next_sequence_id()
        submit = Submit(
            sequence_id=sequence, msg_src="901234", src_id="1069", dest_terminal_id=("13800138000",), msg_content=b"x"
        )
        self.session.send(encode(submit), sequence, key, self.now)
        return sequence


def wire_in(state: SessionState) -> Wire:
    wire = Wire()
    if state is SessionState.CONNECTED:
        return wire
    if state is SessionState.LOGGING_IN:
        wire.session.start("1122200000")
    else:
        wire.login()
    if state is SessionState.PROBING:
        wire.now += 11
        assert not wire.session.room(wire.now)
    elif state is SessionState.TERMINATING:
        wire.session.close(wire.now)
    elif state is SessionState.TERMINATED:
        wire.submit()
        wire.feed(Terminate(sequence_id=77))
    elif state is SessionState.CLOSED:
        wire.session.connection_lost()
    wire.sent()
    assert wire.session.state is state
    return wire


def let_time_out(wire: Wire) -> list[SessionEvent]:
    return [event for _ in range(4) for event in wire.tick(61)]


def fall_silent(wire: Wire) -> list[SessionEvent]:
    wire.now += 11
    assert not wire.session.room(wire.now)
    return []


def terminate(wire: Wire) -> list[SessionEvent]:
    if wire.session.state is SessionState.OPEN:
        wire.submit()
        wire.sent()
    return wire.feed(Terminate(sequence_id=78))


FIRE: dict[Trigger, Callable[[Wire], object]] = {
    Trigger.START: lambda wire: wire.session.start("1122200000"),
    Trigger.LOGIN_ACCEPTED: lambda wire: wire.feed(ConnectResp(sequence_id=1)),
    Trigger.LOGIN_REFUSED: lambda wire: wire.feed(ConnectResp(sequence_id=1, status=3)),
    Trigger.SILENCE: fall_silent,
    Trigger.PDU_RECEIVED: lambda wire: wire.feed(ActiveTestResp(sequence_id=2)),
    Trigger.TIMEOUT: let_time_out,
    Trigger.CLOSE: lambda wire: wire.session.close(wire.now),
    Trigger.TERMINATE: terminate,
    Trigger.TERMINATE_RESP: lambda wire: wire.feed(TerminateResp(sequence_id=2)),
    Trigger.SETTLED: lambda wire: wire.feed(SubmitResp(sequence_id=2)),
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
def test_each_transition_leads_to_its_state_and_does_its_action(state: SessionState, trigger: Trigger) -> None:
    wire = wire_in(state)
    to, action = TRANSITIONS[state, trigger]
    emitted: list[SessionEvent] = []
    original = wire.session._pop_events

    def pop_events() -> list[SessionEvent]:
        events = original()
        emitted.extend(events)
        return events

    wire.session._pop_events = pop_events  # type: ignore[method-assign]
    FIRE[trigger](wire)
    assert wire.session.state is to
    kinds = [type(pdu) for pdu in wire.sent() if not (trigger is Trigger.TIMEOUT and isinstance(pdu, ActiveTest))]
    assert kinds == SENT.get(action, [])
    finished = action in (Action.EMIT_CLOSED, Action.RESPOND_AND_CLOSE)
    assert [type(event) for event in emitted if isinstance(event, SessionClosed)] == [SessionClosed] * finished
    assert any(isinstance(event, Ready) for event in emitted) is (action is Action.EMIT_READY)


@pytest.mark.parametrize("trigger", Trigger, ids=str)
def test_closed_session_ignores_every_trigger(trigger: Trigger) -> None:
    wire = wire_in(SessionState.CLOSED)
    if trigger is Trigger.SILENCE:
        assert not wire.session.room(wire.now + 11)
    else:
        assert not FIRE[trigger](wire)
    assert wire.session.state is SessionState.CLOSED
    assert wire.sent() == []
    assert wire.session.deadline is None


def test_documentation_page_is_generated_from_the_table() -> None:
    page = Path(__file__).parents[3] / "docs" / "cmpp-session.md"
    assert page.read_text(encoding="utf-8") == draw(), (
        "run: python tests/support/session_page.py > docs/cmpp-session.md"
    )


def test_the_table_is_complete() -> None:
    """Every state has a description, a way out, and a transition for a close and a lost connection."""
    assert set(STATES) == set(SessionState)
    assert set(TRIGGERS) == set(Trigger)
    for state in set(SessionState) - {SessionState.CLOSED}:
        assert {Trigger.CLOSE, Trigger.CONNECTION_LOST} <= {trigger for other, trigger in TRANSITIONS if other is state}
    assert {step.to for step in TRANSITIONS.values()} == set(SessionState) - {SessionState.CONNECTED}
    assert {step.action for step in TRANSITIONS.values()} == set(Action)


# --- login -----------------------------------------------------------------------------------------------------------


def test_login_reports_the_gateways_version() -> None:
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
def test_refused_login_reports_status_and_reason(status: int, reason: Reason) -> None:
    assert Wire().login(status) == [SessionClosed(CloseCause.LOGIN_REFUSED, (), status, reason)]


def test_trap_12_unauthenticated_gateway_is_accepted_unless_authentication_is_required() -> None:
    assert Wire().login(secret="other") == [UnauthenticatedGateway(), Ready(0x20)]
    unproven, closed = Wire(require_gateway_auth=True).login(secret="other")
    assert unproven == UnauthenticatedGateway()
    assert isinstance(closed, SessionClosed)
    assert (closed.cause, "secret" in str(closed.detail)) == (CloseCause.PROTOCOL_ERROR, True)


def test_cmpp_3_0_gateway_is_named_in_the_detail() -> None:
    wire = wire_in(SessionState.LOGGING_IN)
    octets = bytes.fromhex("00000021800000010000000100000000") + bytes(16) + b"\x30"
    damaged, closed = wire.session.receive(octets, wire.now)
    assert isinstance(damaged, DecodeFailed)
    assert isinstance(closed, SessionClosed)
    assert "CMPP 3.0" in str(closed.detail)


def test_nothing_is_received_or_sent_before_the_login() -> None:
    wire = wire_in(SessionState.LOGGING_IN)
    assert not wire.session.room(wire.now)
    delivery = decode(encode(Deliver(sequence_id=1, msg_id=1, dest_id="1", src_terminal_id="1", msg_content=b"")))
    assert isinstance(delivery, Deliver)
    assert wire.feed(delivery) == []
    assert not wire.session.acknowledge(delivery)
    assert wire.session.deadline == START + 30


# --- the window ------------------------------------------------------------------------------------------------------


def test_window_holds_sixteen_requests_and_responses_match_in_any_order() -> None:
    wire = Wire()
    wire.login()
    sequences = [wire.submit(f"key {number}") for number in range(16)]
    assert not wire.session.room(wire.now)
    assert wire.session.in_flight == 16
    events = wire.feed(*[SubmitResp(sequence_id=sequence, msg_id=sequence) for sequence in reversed(sequences)])
    assert [event.key for event in events if isinstance(event, ResponseReceived)] == [
        f"key {n}" for n in reversed(range(16))
    ]
    assert wire.session.room(wire.now)


def test_each_response_releases_one_slot_even_a_late_one() -> None:
    wire = Wire(window=1)
    wire.login()
    sequence = wire.submit()
    assert wire.feed(ActiveTest(sequence_id=1)) == []
    assert wire.tick(60) == [RequestTimedOut("key")]
    wire.feed(ActiveTest(sequence_id=2))
    again = wire.submit("second")
    late = SubmitResp(sequence_id=sequence, msg_id=5)
    assert wire.feed(late) == [ResponseReceived("key", late, late=True)]
    assert wire.feed(late) == []
    assert not wire.session.room(wire.now)
    assert again != sequence
    answer = SubmitResp(sequence_id=again, msg_id=6)
    assert wire.feed(answer, answer) == [ResponseReceived("second", answer, late=False)]


def test_responses_to_query_and_cancel_are_matched() -> None:
    wire = Wire()
    wire.login()
    first, second = wire.submit("query"), wire.submit("cancel")
    events = wire.feed(QueryResp(sequence_id=first, time="20261122"), CancelResp(sequence_id=second))
    assert [event.key for event in events if isinstance(event, ResponseReceived)] == ["query", "cancel"]


def test_trap_6_sequence_ids_wrap_and_skip_those_in_flight() -> None:
    wire = Wire(first_sequence=2**32 - 2)
    wire.login()
    assert [wire.submit() for _ in range(3)] == [2**32 - 1, 0, 1]
    wire.session._next_sequence = 2**32 - 1
    assert wire.submit() == 2


def test_unmatched_responses_and_unknown_commands_are_ignored() -> None:
    wire = Wire()
    wire.login()
    wire.submit()
    stranger = Unknown(sequence_id=1, command_id=9, body=b"")
    assert wire.feed(SubmitResp(sequence_id=999), TerminateResp(sequence_id=1), stranger) == []
    assert wire.session.in_flight == 1


def test_number_of_awaited_late_responses_is_bounded() -> None:
    wire = Wire(window=2000, answer_timeout=1.0, idle=100.0)
    wire.login()
    for number in range(1001):
        wire.submit(str(number))
    assert len(wire.tick(1)) == 1001
    assert len(wire.session._timed_out) == 1000


# --- keep-alive -------------------------------------------------------------------------------------------------------


def test_idle_session_sends_active_test_after_30_s_and_closes_after_three_unanswered_ones() -> None:
    wire = Wire()
    wire.login()
    assert wire.session.deadline == START + 30
    assert wire.tick(29.9) == []
    assert wire.sent() == []
    times = []
    events: list[SessionEvent] = []
    while not events:
        deadline = wire.session.deadline
        assert deadline is not None
        wire.now = deadline
        events = wire.tick()
        times += [wire.now - START] * len(wire.sent())
    assert times == [30, 90, 150]
    assert wire.now == START + 210
    assert events == [SessionClosed(CloseCause.TIMED_OUT, ())]


def test_any_pdu_counts_as_a_sign_of_life() -> None:
    wire = Wire()
    wire.login()
    wire.tick(30)
    wire.tick(60)
    assert len(wire.sent()) == 2
    wire.feed(ActiveTest(sequence_id=9))  # trap 10: a test instead of a response
    [answer] = wire.sent()
    assert answer == ActiveTestResp(sequence_id=9)
    assert wire.session.deadline == wire.now + 30


def test_after_10_s_of_silence_submit_waits_for_an_answered_active_test() -> None:
    wire = Wire()
    wire.login()
    wire.now += 10
    assert wire.session.room(wire.now)
    wire.now += 0.1
    assert not wire.session.room(wire.now)
    [test] = wire.sent()
    assert isinstance(test, ActiveTest)
    assert not wire.session.room(wire.now)
    assert wire.sent() == []
    assert wire.feed(ActiveTestResp(sequence_id=test.sequence_id)) == [Ready(None)]
    wire.submit()


def test_half_open_connection_is_detected_10_s_after_a_message_is_queued() -> None:
    wire = Wire()
    wire.login()
    wire.now += 25
    assert not wire.session.room(wire.now)
    assert wire.session.deadline == wire.now + 10
    assert wire.tick(9.9) == []
    assert wire.tick(0.1) == [SessionClosed(CloseCause.TIMED_OUT, ())]


def test_half_open_connection_is_detected_while_a_request_waits_for_its_response() -> None:
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


def test_slow_gateway_that_answers_active_tests_is_not_closed() -> None:
    wire = Wire()
    wire.login()
    sequence = wire.submit("first")
    wire.sent()
    for _ in range(5):
        wire.tick(10)
        [test] = wire.sent()
        assert isinstance(test, ActiveTest)
        assert wire.feed(ActiveTestResp(sequence_id=test.sequence_id)) == [Ready(None)]
    answer = SubmitResp(sequence_id=sequence, msg_id=1)
    assert wire.feed(answer) == [ResponseReceived("first", answer, late=False)]


def test_request_times_out_while_probing() -> None:
    wire = Wire(answer_timeout=15.0)
    wire.login()
    wire.submit("first")
    wire.now += 11
    assert not wire.session.room(wire.now)
    assert wire.session.deadline == START + 15
    assert wire.tick(4) == [RequestTimedOut("first")]


# --- received DELIVERs ------------------------------------------------------------------------------------------------

DELIVERY = Deliver(sequence_id=5, msg_id=6, dest_id="1069", src_terminal_id="13800138000", msg_content=b"TD")


def test_deliver_is_reported_and_acknowledged_on_request() -> None:
    wire = Wire()
    wire.login()
    assert wire.feed(DELIVERY) == [DeliverReceived(DELIVERY)]
    assert wire.sent() == []
    assert wire.session.acknowledge(DELIVERY)
    assert wire.sent() == [DeliverResp(sequence_id=5, msg_id=6, result=0)]


def test_a_deliver_knows_whether_a_request_waited_when_it_arrived() -> None:
    for cut in range(1, len(encode(DELIVERY)) + 1):
        for before in (True, False):
            wire = Wire()
            wire.login()
            answer = SubmitResp(sequence_id=wire.submit(), msg_id=1)
            octets = b"".join(map(encode, [DELIVERY, answer] if before else [answer, DELIVERY]))
            events = wire.session.receive(octets[:cut], wire.now) + wire.session.receive(octets[cut:], wire.now)
            answered = ResponseReceived("key", answer, late=False)
            delivered = DeliverReceived(DELIVERY, in_flight=before)
            assert events == ([delivered, answered] if before else [answered, delivered])


def test_invalid_deliver_is_refused_and_the_next_pdu_is_received() -> None:
    wire = Wire()
    wire.login()
    bad = bytearray(encode(DELIVERY))[:76]
    bad[3] = len(bad)
    damaged, delivered = wire.session.receive(bytes(bad) + encode(DELIVERY), wire.now)
    assert isinstance(damaged, DecodeFailed)
    assert delivered == DeliverReceived(DELIVERY)
    assert wire.sent() == [DeliverResp(sequence_id=5, msg_id=0, result=1)]


# --- termination ------------------------------------------------------------------------------------------------------


def test_client_close_accepts_responses_and_reports_unanswered_requests() -> None:
    wire = Wire()
    wire.login()
    first, _ = wire.submit("first"), wire.submit("second")
    wire.session.close(wire.now)
    answer = SubmitResp(sequence_id=first, msg_id=1)
    assert wire.feed(answer, DELIVERY) == [
        ResponseReceived("first", answer, late=False),
        DeliverReceived(DELIVERY, in_flight=True),
    ]
    assert wire.feed(TerminateResp(sequence_id=4)) == [SessionClosed(CloseCause.CLIENT_CLOSED, ("second",))]


def test_trap_11_responses_are_accepted_after_the_gateways_terminate() -> None:
    wire = Wire()
    wire.login()
    sequence = wire.submit("first")
    wire.submit("second")
    assert wire.feed(Terminate(sequence_id=0)) == []
    assert wire.sent()[-1] == TerminateResp(sequence_id=0)
    assert not wire.session.room(wire.now)
    answer = SubmitResp(sequence_id=sequence, msg_id=1)
    assert wire.feed(answer) == [ResponseReceived("first", answer, late=False)]
    assert wire.session.connection_lost() == [SessionClosed(CloseCause.GATEWAY_CLOSED, ("second",))]


def test_the_gateways_terminate_ends_the_session_when_no_request_waits() -> None:
    wire = Wire()
    wire.login()
    assert wire.feed(Terminate(sequence_id=7)) == [SessionClosed(CloseCause.GATEWAY_CLOSED, ())]
    assert wire.sent() == [TerminateResp(sequence_id=7)]
    wire = Wire()
    wire.login()
    sequence = wire.submit("first")
    assert wire.feed(Terminate(sequence_id=7), DELIVERY) == [DeliverReceived(DELIVERY, in_flight=True)]
    answer = SubmitResp(sequence_id=sequence, msg_id=1)
    assert wire.feed(answer) == [
        ResponseReceived("first", answer, late=False),
        SessionClosed(CloseCause.GATEWAY_CLOSED, ()),
    ]


def test_both_kinds_of_termination_are_limited_by_linger() -> None:
    for state, cause in (
        (SessionState.TERMINATING, CloseCause.CLIENT_CLOSED),
        (SessionState.TERMINATED, CloseCause.GATEWAY_CLOSED),
    ):
        wire = wire_in(state)
        waiting = ("key",) if state is SessionState.TERMINATED else ()
        assert wire.tick(4.9) == []
        assert wire.tick(0.1) == [SessionClosed(cause, waiting)]


def test_gateways_terminate_ends_a_probe() -> None:
    wire = wire_in(SessionState.PROBING)
    assert wire.feed(Terminate(sequence_id=1)) == [Ready(None), SessionClosed(CloseCause.GATEWAY_CLOSED, ())]
    assert wire.session.state is SessionState.CLOSED


def test_lost_connection_reports_unanswered_requests() -> None:
    wire = Wire()
    wire.login()
    wire.submit("first")
    wire.submit("second")
    assert wire.session.connection_lost() == [SessionClosed(CloseCause.CONNECTION_LOST, ("first", "second"))]


def test_foreign_octets_close_the_session_and_are_not_quoted() -> None:
    wire = Wire()
    wire.login()
    wire.submit()
    damaged, closed = wire.session.receive(NOISE + encode(DELIVERY), wire.now)
    assert isinstance(damaged, DecodeFailed)
    assert isinstance(closed, SessionClosed)
    assert (closed.cause, closed.unanswered) == (CloseCause.PROTOCOL_ERROR, ("key",))
    assert "GET" not in str(closed)
