"""The rules of one CMPP session, without a socket and without a clock (CMPP 2.0, chapters 5, 6 and 7).

The client passes octets and times in and gets events and octets back. Times are seconds of the client's monotonic
clock; each method takes the current time as `now`. `deadline` returns the time of the next `tick`.
"""

from dataclasses import dataclass, field
from typing import Final

from ..bounded import BoundedDict
from ..masking import MASK
from ..outcomes import Reason
from .events import (
    CloseCause,
    DecodeFailed,
    DeliverReceived,
    Key,
    Ready,
    RequestTimedOut,
    ResponseReceived,
    SessionClosed,
    SessionEvent,
    UnauthenticatedGateway,
)
from .transitions import TRANSITIONS, Action, SessionState, Trigger
from .wire.auth import connect_request, is_authentic
from .wire.codec import Decoder, encode
from .wire.errors import CodecError
from .wire.pdus import (
    PDU,
    ActiveTest,
    ActiveTestResp,
    CancelResp,
    ConnectResp,
    Deliver,
    DeliverResp,
    QueryResp,
    SubmitResp,
    Terminate,
    TerminateResp,
)
from .wire.results import CONNECT

_SEQUENCES: Final = 2**32
_MAX_LATE_RESPONSES: Final = 1000
_STRUCTURE_ERROR: Final = 1
_ENDING: Final = frozenset({SessionState.TERMINATING, SessionState.TERMINATED})
_LOGGED_IN: Final = _ENDING | {SessionState.OPEN, SessionState.PROBING}
_TIMED: Final = _ENDING | {SessionState.LOGGING_IN, SessionState.PROBING}
"""The states with a deadline of their own."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The settings of a session. Times are seconds above 0.

    sp_id: up to six digits. secret: shared with the gateway. window: maximum requests without a response, from 1.
    idle: send an ACTIVE_TEST after this time without an inbound PDU. answer_timeout: T, until a request times out.
    attempts: N, the unanswered ACTIVE_TESTs after which the session closes. silence: after this time without an
    inbound PDU the gateway must answer an ACTIVE_TEST, within the same time, before the next SUBMIT and while a
    request waits for its response. login_timeout: for CONNECT_RESP. linger: maximum time between TERMINATE and the
    end. require_gateway_auth: refuse a gateway without a valid authenticator. padded: how to hash a short SP_Id.
    first_sequence: the Sequence_Id of the first request.
    """

    sp_id: str
    secret: str = field(repr=False)
    window: int = 16
    idle: float = 30.0
    answer_timeout: float = 60.0
    attempts: int = 3
    silence: float = 10.0
    login_timeout: float = 30.0
    linger: float = 5.0
    require_gateway_auth: bool = False
    padded: bool = False
    first_sequence: int = 1


class Session:
    """One session from CONNECT to its end. Each transport needs a new one."""

    def __init__(self, settings: SessionSettings, now: float) -> None:
        """Begin with a transport that has just connected."""
        self.state = SessionState.CONNECTED
        self._settings = settings
        self._decoder = Decoder()
        self._out: list[bytes] = []
        self._events: list[SessionEvent] = []
        self._in_flight: dict[int, tuple[Key, float]] = {}
        self._timed_out: BoundedDict[int, Key] = BoundedDict(_MAX_LATE_RESPONSES)
        self._next_sequence = settings.first_sequence % _SEQUENCES
        self._last_received_at = now
        self._unanswered_tests = 0
        self._last_test_at = now
        self._state_deadline = now + settings.login_timeout
        self._timestamp = ""
        self._authenticator = b""
        self._version: int | None = None
        self._terminate_sequence_id = 0
        self._close_event = SessionClosed(CloseCause.CLIENT_CLOSED)

    def __repr__(self) -> str:
        return f"Session({self._settings.sp_id[:1]}{MASK}, {self.state}, {len(self._in_flight)} in flight)"

    # --- called by the client ---

    def start(self, timestamp: str) -> None:
        """Log in. timestamp: ten digits `MMDDHHMMSS`, China time."""
        self._timestamp = timestamp
        self._move(Trigger.START)

    def room(self, now: float, reserved: int = 0) -> int:
        """Return how many requests can be sent: places in the window, 0 without a login or a recent PDU.

        reserved: the places in the window for requests that follow soon.
        If only the recent PDU is missing, send an ACTIVE_TEST; `Ready` follows once the gateway has answered.
        """
        room = self._settings.window - len(self._in_flight) - reserved
        if self.state is not SessionState.OPEN or room <= 0:
            return 0
        if now - self._last_received_at > self._settings.silence:
            self._probe(now)
            return 0
        return room

    def next_sequence_id(self) -> int:
        """Return the Sequence_Id of the next request (docs/cmpp.md, trap 6).

        It increases by 1, wraps at 2^32, and skips the requests that still wait for a response.
        """
        sequence = self._next_sequence
        while sequence in self._in_flight or sequence in self._timed_out:
            sequence = (sequence + 1) % _SEQUENCES
        self._next_sequence = (sequence + 1) % _SEQUENCES
        return sequence

    def send(self, octets: bytes, sequence: int, key: Key, now: float) -> None:
        """Send an encoded request if there is `room`; the events for it carry `key`."""
        self._in_flight[sequence] = (key, now)
        self._out.append(octets)

    def acknowledge(self, pdu: Deliver, result: int = 0) -> bool:
        """Answer a DELIVER. Return False if the session can no longer send."""
        if self.state not in _LOGGED_IN:
            return False
        self._out.append(encode(DeliverResp(sequence_id=pdu.sequence_id, msg_id=pdu.msg_id, result=result)))
        return True

    def close(self, now: float) -> list[SessionEvent]:
        """End the session from the client's side."""
        if self.state not in _ENDING:
            self._state_deadline = now + self._settings.linger
        self._move(Trigger.CLOSE)
        return self._pop_events()

    # --- called by the transport ---

    @property
    def in_flight(self) -> int:
        """Number of requests that wait for their response."""
        return len(self._in_flight)

    def data_to_send(self) -> bytes:
        """Return the octets to write, and forget them."""
        octets = b"".join(self._out)
        self._out.clear()
        return octets

    def receive(self, data: bytes, now: float) -> list[SessionEvent]:
        """Process received octets, cut anywhere."""
        found = self._decoder.receive(data)
        if found:
            self._last_received_at, self._unanswered_tests = now, 0
        for item in found:
            if self.state is SessionState.CLOSED:
                break
            if item.__class__ is SubmitResp:  # by far the most frequent one
                self._on_response(item)
            elif isinstance(item, CodecError):
                self._on_decode_error(item)
            else:
                self._on_pdu(item, now)
        if found and self.state is SessionState.PROBING:
            self._move(Trigger.PDU_RECEIVED)
        self._close_if_settled()
        return self._pop_events()

    def connection_lost(self) -> list[SessionEvent]:
        """Process the end of the transport, which is normal after a TERMINATE (docs/cmpp.md, trap 11)."""
        if self.state not in _ENDING:
            self._close_event = SessionClosed(CloseCause.CONNECTION_LOST)
        self._move(Trigger.CONNECTION_LOST)
        return self._pop_events()

    # --- time ---

    @property
    def deadline(self) -> float | None:
        """The time of the next `tick`, or None."""
        is_open = self.state is SessionState.OPEN
        if not is_open and self.state not in _TIMED:
            return None
        due = self._next_test_at() if is_open else self._state_deadline
        if not self._in_flight:
            return due
        answered_by = self._oldest_sent_at() + self._settings.answer_timeout
        return min(due, answered_by, self._silence_deadline()) if is_open else min(due, answered_by)

    def tick(self, now: float) -> list[SessionEvent]:
        """Do what is due: time out requests, send an ACTIVE_TEST, or close an unresponsive session."""
        while self._in_flight and self._oldest_sent_at() + self._settings.answer_timeout <= now:
            sequence = next(iter(self._in_flight))
            key, _ = self._in_flight.pop(sequence)
            self._timed_out[sequence] = key
            self._events.append(RequestTimedOut(key))
        self._close_if_settled()
        if self.state is SessionState.OPEN:
            if self._in_flight and now >= self._silence_deadline():
                self._probe(now)
            elif now >= self._next_test_at():
                self._test(now)
        elif self.state in _TIMED and now >= self._state_deadline:
            if self.state not in _ENDING:
                self._close_event = SessionClosed(CloseCause.TIMED_OUT)
            self._move(Trigger.TIMEOUT)
        return self._pop_events()

    def _oldest_sent_at(self) -> float:
        return next(iter(self._in_flight.values()))[1]

    def _silence_deadline(self) -> float:
        """Return until when the gateway can be silent while a request waits for its response."""
        return max(self._last_received_at, self._oldest_sent_at()) + self._settings.silence

    def _probe(self, now: float) -> None:
        self._state_deadline = now + self._settings.silence
        self._move(Trigger.SILENCE)

    def _next_test_at(self) -> float:
        if self._unanswered_tests:
            return self._last_test_at + self._settings.answer_timeout
        return self._last_received_at + self._settings.idle

    def _test(self, now: float) -> None:
        if self._unanswered_tests >= self._settings.attempts:
            self._fail(Trigger.TIMEOUT, SessionClosed(CloseCause.TIMED_OUT))
        else:
            self._unanswered_tests += 1
            self._last_test_at = now
            self._out.append(encode(ActiveTest(sequence_id=self.next_sequence_id())))

    # --- received PDUs ---

    def _on_response(self, pdu: SubmitResp | QueryResp | CancelResp) -> None:
        """Match a response by its Sequence_Id, in any order; ignore one without a request."""
        waiting = self._in_flight.pop(pdu.sequence_id, None)
        if waiting is not None:
            self._events.append(ResponseReceived(waiting[0], pdu))
        elif pdu.sequence_id in self._timed_out:
            self._events.append(ResponseReceived(self._timed_out.pop(pdu.sequence_id), pdu, late=True))

    def _on_pdu(self, pdu: PDU, now: float) -> None:
        match pdu:
            case Deliver() if self.state in _LOGGED_IN:
                self._events.append(DeliverReceived(pdu, in_flight=bool(self._in_flight)))
            case QueryResp() | CancelResp():
                self._on_response(pdu)
            case ActiveTest():
                self._out.append(encode(ActiveTestResp(sequence_id=pdu.sequence_id)))
            case ConnectResp() if self.state is SessionState.LOGGING_IN:
                self._on_connect_resp(pdu)
            case Terminate():
                self._on_terminate(pdu, now)
            case TerminateResp() if self.state is SessionState.TERMINATING:
                self._move(Trigger.TERMINATE_RESP)
            case _:
                pass  # ACTIVE_TEST_RESP needs no action, and the other commands are not for an SP

    def _on_connect_resp(self, pdu: ConnectResp) -> None:
        settings = self._settings
        if pdu.status:
            reason = CONNECT.get(pdu.status, Reason.LOGIN)
            self._fail(Trigger.LOGIN_REFUSED, SessionClosed(CloseCause.LOGIN_REFUSED, status=pdu.status, reason=reason))
            return
        if not is_authentic(pdu.authenticator_ismg, pdu.status, self._authenticator, settings.secret):
            self._events.append(UnauthenticatedGateway())
            if settings.require_gateway_auth:
                detail = "the gateway did not prove that it knows the secret"
                self._fail(Trigger.PROTOCOL_ERROR, SessionClosed(CloseCause.PROTOCOL_ERROR, detail=detail))
                return
        self._version = pdu.version
        self._move(Trigger.LOGIN_ACCEPTED)

    def _on_terminate(self, pdu: Terminate, now: float) -> None:
        if self.state is SessionState.PROBING:
            self._move(Trigger.PDU_RECEIVED)
        self._terminate_sequence_id = pdu.sequence_id
        if self.state not in _ENDING:
            self._close_event = SessionClosed(CloseCause.GATEWAY_CLOSED)
            self._state_deadline = now + self._settings.linger
        self._move(Trigger.TERMINATE)

    def _on_decode_error(self, error: CodecError) -> None:
        self._events.append(DecodeFailed(error))
        login_failed = self.state is SessionState.LOGGING_IN and error.command_id == ConnectResp.COMMAND_ID
        if error.fatal or login_failed:
            self._fail(Trigger.PROTOCOL_ERROR, SessionClosed(CloseCause.PROTOCOL_ERROR, detail=error.problem))
        elif error.command_id == Deliver.COMMAND_ID:
            # Without a response the gateway would repeat it and lose a slot of its window.
            self._out.append(encode(DeliverResp(sequence_id=error.sequence_id, msg_id=0, result=_STRUCTURE_ERROR)))

    # --- transitions ---

    def _close_if_settled(self) -> None:
        """Close a terminated session as soon as no request waits, so that the client can connect again at once."""
        if self.state is SessionState.TERMINATED and not self._in_flight:
            self._move(Trigger.SETTLED)

    def _fail(self, trigger: Trigger, closed: SessionClosed) -> None:
        self._close_event = closed
        self._move(trigger)

    def _move(self, trigger: Trigger) -> None:
        if self.state is SessionState.CLOSED:
            return
        self.state, action = TRANSITIONS[self.state, trigger]
        match action:
            case Action.SEND_CONNECT:
                self._send_connect()
            case Action.EMIT_READY:
                self._events.append(Ready(self._version))
                self._version = None
            case Action.SEND_ACTIVE_TEST:
                self._out.append(encode(ActiveTest(sequence_id=self.next_sequence_id())))
            case Action.SEND_TERMINATE:
                self._out.append(encode(Terminate(sequence_id=self.next_sequence_id())))
            case Action.SEND_TERMINATE_RESP | Action.RESPOND_AND_CLOSE:
                self._out.append(encode(TerminateResp(sequence_id=self._terminate_sequence_id)))
        if action in (Action.EMIT_CLOSED, Action.RESPOND_AND_CLOSE):
            unanswered = tuple([key for key, _ in self._in_flight.values()])
            self._in_flight.clear()
            self._events.append(self._close_event._replace(unanswered=unanswered))

    def _send_connect(self) -> None:
        settings = self._settings
        sequence = self.next_sequence_id()
        request = connect_request(sequence, settings.sp_id, settings.secret, self._timestamp, padded=settings.padded)
        self._authenticator = request.authenticator_source
        self._out.append(encode(request))

    def _pop_events(self) -> list[SessionEvent]:
        events, self._events = self._events, []
        return events
