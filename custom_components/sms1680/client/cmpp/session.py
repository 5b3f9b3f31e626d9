"""The rules of one CMPP connection, without a socket and without a clock (CMPP 2.0, chapters 5, 6 and 7).

Octets and the time go in, events and octets come out. Seconds are on the caller's monotonic clock; every method takes
the present as `now`. `deadline` says when `tick` is due.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
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
from .transitions import TRANSITIONS, SessionState, Trigger
from .wire.auth import connect_request, is_authentic
from .wire.codec import Decoder, encode
from .wire.errors import CodecError
from .wire.pdus import (
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

__all__ = ["Session", "SessionSettings"]

_SEQUENCES: Final = 2**32
_MAX_LATE_RESPONSES: Final = 1000
_STRUCTURE_ERROR: Final = 1
_LIVE: Final = frozenset({SessionState.OPEN, SessionState.PROBING, SessionState.TERMINATING, SessionState.TERMINATED})


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a session is told. Seconds are floats above 0.

    sp_id: six digits. secret: shared with the gateway. window: requests without an answer at a time, 1 and more.
    idle: without anything heard before an ACTIVE_TEST goes. answer_timeout: T, until a request counts as unanswered.
    attempts: N, how many ACTIVE_TESTs go unanswered before the connection is given up. silence: after so long without
    anything heard an ACTIVE_TEST must be answered before a SUBMIT goes, and within the same time; and so while a
    request waits for its answer. login_timeout: for CONNECT_RESP. linger: how long the end may take.
    require_gateway_auth: whether a login needs the gateway's authenticator, too. padded: how a short SP_Id is hashed.
    first_sequence: of the first request.
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
    """One connection from CONNECT to its end. It is made for one transport and not used again."""

    def __init__(self, settings: SessionSettings, now: float) -> None:
        """Begin with a transport that has just been connected."""
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
        self._close_event = SessionClosed(CloseCause.CLIENT_CLOSED, ())

    def __repr__(self) -> str:
        return f"Session({self._settings.sp_id[:1]}{MASK}, {self.state}, {len(self._in_flight)} in flight)"

    # --- what the client asks for ---

    def start(self, timestamp: str) -> None:
        """Log in. timestamp: ten digits `MMDDHHMMSS`, China time."""
        self._timestamp = timestamp
        self._move(Trigger.START)

    def can_send(self, now: float) -> bool:
        """Tell whether a request may go now: logged in, room in the window, and a sign of life not too long ago.

        Where the last is missing, an ACTIVE_TEST goes instead, and `Ready` follows when something was heard.
        """
        if self.state is not SessionState.OPEN or len(self._in_flight) >= self._settings.window:
            return False
        if now - self._last_received_at > self._settings.silence:
            self._probe(now)
            return False
        return True

    def next_sequence_id(self) -> int:
        """Return the Sequence_Id for the next request: up by one, round at 2^32, none that still waits (trap 6)."""
        sequence = self._next_sequence
        while sequence in self._in_flight or sequence in self._timed_out:
            sequence = (sequence + 1) % _SEQUENCES
        self._next_sequence = (sequence + 1) % _SEQUENCES
        return sequence

    def send(self, octets: bytes, sequence: int, key: Key, now: float) -> None:
        """Send an encoded request that `admits` has let in; `key` comes back with its answer."""
        self._in_flight[sequence] = (key, now + self._settings.answer_timeout)
        self._out.append(octets)

    def acknowledge(self, pdu: Deliver, result: int = 0) -> bool:
        """Answer a DELIVER; returns whether that was still possible."""
        if self.state not in _LIVE:
            return False
        self._out.append(encode(DeliverResp(sequence_id=pdu.sequence_id, msg_id=pdu.msg_id, result=result)))
        return True

    def close(self, now: float) -> list[SessionEvent]:
        """End the session from our side."""
        if self.state not in (SessionState.TERMINATING, SessionState.TERMINATED):
            self._state_deadline = now + self._settings.linger
            self._close_event = SessionClosed(CloseCause.CLIENT_CLOSED, ())
        self._move(Trigger.CLOSE)
        return self._pop_events()

    # --- what the transport brings ---

    @property
    def in_flight(self) -> int:
        """Requests that wait for their answer."""
        return len(self._in_flight)

    def data_to_send(self) -> bytes:
        """Return what is to be written, once."""
        octets = b"".join(self._out)
        self._out.clear()
        return octets

    def receive(self, data: bytes, now: float) -> list[SessionEvent]:
        """Take octets as they came."""
        found = self._decoder.receive(data)
        if found:
            self._last_received_at, self._unanswered_tests = now, 0
        for item in found:
            if self.state is SessionState.CLOSED:
                break
            if item.__class__ is SubmitResp:
                self._on_response(item)
            elif isinstance(item, CodecError):
                self._on_decode_error(item)
            else:
                self._on_pdu(item, now)
        if found and self.state is SessionState.PROBING:
            self._move(Trigger.PDU_RECEIVED)
        return self._pop_events()

    def connection_lost(self) -> list[SessionEvent]:
        """Take the end of the transport: after a TERMINATE that is normal (trap 11)."""
        if self.state not in (SessionState.TERMINATING, SessionState.TERMINATED):
            self._close_event = SessionClosed(CloseCause.CONNECTION_LOST, ())
        self._move(Trigger.CONNECTION_LOST)
        return self._pop_events()

    # --- time ---

    @property
    def deadline(self) -> float | None:
        """When `tick` is due, None where there is nothing to wait for."""
        match self.state:
            case SessionState.OPEN:
                due = self._next_test_at()
                if self._in_flight:
                    due = min(due, self._silence_deadline())
            case SessionState.LOGGING_IN | SessionState.PROBING | SessionState.TERMINATING | SessionState.TERMINATED:
                due = self._state_deadline
            case _:
                return None
        for _, expires in islice(self._in_flight.values(), 1):
            due = min(due, expires)
        return due

    def tick(self, now: float) -> list[SessionEvent]:
        """Do what is due: tell what had no answer, test a connection that is idle, give up one that is dead."""
        while self._in_flight:
            sequence, (key, expires) = next(iter(self._in_flight.items()))
            if expires > now:
                break
            self._time_out(sequence, key)
        if self.state is SessionState.OPEN:
            if self._in_flight and now >= self._silence_deadline():
                self._probe(now)
            else:
                self._test_if_due(now)
        elif self.state not in (SessionState.CONNECTED, SessionState.CLOSED) and now >= self._state_deadline:
            if self.state in (SessionState.LOGGING_IN, SessionState.PROBING):
                self._close_event = SessionClosed(CloseCause.TIMED_OUT, ())
            self._move(Trigger.TIMEOUT)
        return self._pop_events()

    def _silence_deadline(self) -> float:
        """Return when nothing was heard for too long while a request waits for its answer."""
        _, expires = next(iter(self._in_flight.values()))
        return max(self._last_received_at, expires - self._settings.answer_timeout) + self._settings.silence

    def _probe(self, now: float) -> None:
        self._state_deadline = now + self._settings.silence
        self._move(Trigger.SILENCE)

    def _next_test_at(self) -> float:
        if self._unanswered_tests:
            return self._last_test_at + self._settings.answer_timeout
        return self._last_received_at + self._settings.idle

    def _test_if_due(self, now: float) -> None:
        if now < self._next_test_at():
            return
        if self._unanswered_tests >= self._settings.attempts:
            self._close_event = SessionClosed(CloseCause.TIMED_OUT, ())
            self._move(Trigger.TIMEOUT)
            return
        self._unanswered_tests += 1
        self._last_test_at = now
        self._send_active_test()

    def _time_out(self, sequence: int, key: Key) -> None:
        del self._in_flight[sequence]
        self._timed_out[sequence] = key
        self._events.append(RequestTimedOut(key))

    # --- what came ---

    def _on_response(self, pdu: SubmitResp | QueryResp | CancelResp) -> None:
        """Match an answer by its Sequence_Id, in any order; one that nobody waits for changes nothing."""
        waiting = self._in_flight.pop(pdu.sequence_id, None)
        if waiting is not None:
            self._events.append(ResponseReceived(waiting[0], pdu, late=False))
        elif pdu.sequence_id in self._timed_out:
            self._events.append(ResponseReceived(self._timed_out.pop(pdu.sequence_id), pdu, late=True))

    def _on_pdu(self, pdu: object, now: float) -> None:
        match pdu:
            case Deliver() if self.state in _LIVE:
                self._events.append(DeliverReceived(pdu))
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
                pass  # an ACTIVE_TEST_RESP has done its work by being heard; the rest is not meant for an SP

    def _on_connect_resp(self, pdu: ConnectResp) -> None:
        settings = self._settings
        if pdu.status:
            reason = CONNECT.get(pdu.status, Reason.LOGIN)
            self._close_event = SessionClosed(CloseCause.LOGIN_REFUSED, (), pdu.status, reason)
            self._move(Trigger.LOGIN_REFUSED)
            return
        if not is_authentic(pdu.authenticator_ismg, pdu.status, self._authenticator, settings.secret):
            self._events.append(UnauthenticatedGateway())
            if settings.require_gateway_auth:
                self._close_event = SessionClosed(
                    CloseCause.PROTOCOL_ERROR, (), detail="the gateway did not prove that it knows the secret"
                )
                self._move(Trigger.PROTOCOL_ERROR)
                return
        self._version = pdu.version
        self._move(Trigger.LOGIN_ACCEPTED)

    def _on_terminate(self, pdu: Terminate, now: float) -> None:
        if self.state is SessionState.PROBING:
            self._move(Trigger.PDU_RECEIVED)
        self._terminate_sequence_id = pdu.sequence_id
        if self.state in (SessionState.CONNECTED, SessionState.LOGGING_IN, SessionState.OPEN):
            self._close_event = SessionClosed(CloseCause.GATEWAY_CLOSED, ())
            self._state_deadline = now + self._settings.linger
        self._move(Trigger.TERMINATE)

    def _on_decode_error(self, error: CodecError) -> None:
        self._events.append(DecodeFailed(error))
        login_broken = self.state is SessionState.LOGGING_IN and error.command_id == ConnectResp.COMMAND_ID
        if error.fatal or login_broken:
            self._close_event = SessionClosed(CloseCause.PROTOCOL_ERROR, (), detail=error.problem)
            self._move(Trigger.PROTOCOL_ERROR)
        elif error.command_id == Deliver.COMMAND_ID:
            # Unanswered it would come again and again, and hold a place of the gateway's window.
            self._out.append(encode(DeliverResp(sequence_id=error.sequence_id, msg_id=0, result=_STRUCTURE_ERROR)))

    # --- the table ---

    def _move(self, trigger: Trigger) -> None:
        if self.state is SessionState.CLOSED:
            return
        step = TRANSITIONS[self.state, trigger]
        self.state = step.to
        getattr(self, f"_{step.action.name.lower()}")()  # SEND_TEST is done by _send_active_test, and so on

    def _pop_events(self) -> list[SessionEvent]:
        events, self._events = self._events, []
        return events

    def _send_connect(self) -> None:
        settings = self._settings
        sequence = self.next_sequence_id()
        request = connect_request(sequence, settings.sp_id, settings.secret, self._timestamp, padded=settings.padded)
        self._authenticator = request.authenticator_source
        self._out.append(encode(request))

    def _emit_ready(self) -> None:
        self._events.append(Ready(self._version))
        self._version = None

    def _send_active_test(self) -> None:
        self._out.append(encode(ActiveTest(sequence_id=self.next_sequence_id())))

    def _send_terminate(self) -> None:
        self._out.append(encode(Terminate(sequence_id=self.next_sequence_id())))

    def _send_terminate_resp(self) -> None:
        self._out.append(encode(TerminateResp(sequence_id=self._terminate_sequence_id)))

    def _emit_closed(self) -> None:
        unanswered = tuple([key for key, _ in self._in_flight.values()])
        self._in_flight.clear()
        self._events.append(self._close_event._replace(unanswered=unanswered))

    def _respond_and_close(self) -> None:
        self._send_terminate_resp()
        self._emit_closed()

    def _none(self) -> None:
        """Stay as it is."""
