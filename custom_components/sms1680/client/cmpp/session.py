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
from .events import Answered, Cause, Closed, Damaged, Delivered, Event, Key, Ready, Unanswered, Unproven
from .transitions import TABLE, State, Trigger
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
_REMEMBERED: Final = 1000
_STRUCTURE_ERROR: Final = 1
_LIVE: Final = frozenset({State.OPEN, State.DOUBTFUL, State.ENDING, State.ENDED})


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a session is told. Seconds are floats above 0.

    sp_id: six digits. secret: shared with the gateway. window: requests without an answer at a time, 1 and more.
    idle: without anything heard before an ACTIVE_TEST goes. answer_timeout: T, until a request counts as unanswered.
    attempts: N, how many ACTIVE_TESTs go unanswered before the connection is given up. silence: after so long without
    anything heard an ACTIVE_TEST must be answered before a SUBMIT goes, and within the same time; and so while a
    request waits for its answer. login_timeout: for CONNECT_RESP. linger: how long the end may take. proof: whether a
    login needs the gateway's authenticator, too. padded: how a short SP_Id is hashed. first_sequence: of the first
    request.
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
    proof: bool = False
    padded: bool = False
    first_sequence: int = 1


class Session:
    """One connection from CONNECT to its end. It is made for one transport and not used again."""

    def __init__(self, settings: SessionSettings, now: float) -> None:
        """Begin with a transport that has just been connected."""
        self.state = State.CONNECTED
        self._settings = settings
        self._decoder = Decoder()
        self._out: list[bytes] = []
        self._events: list[Event] = []
        self._in_flight: dict[int, tuple[Key, float]] = {}
        self._expired: BoundedDict[int, Key] = BoundedDict(_REMEMBERED)
        self._sequence = settings.first_sequence % _SEQUENCES
        self._heard_at = now
        self._tests = 0
        self._tested_at = now
        self._limit = now + settings.login_timeout
        self._timestamp = ""
        self._authenticator = b""
        self._version: int | None = None
        self._terminated = 0
        self._closed = Closed(Cause.ASKED, ())

    def __repr__(self) -> str:
        return f"Session({self._settings.sp_id[:1]}{MASK}, {self.state}, {len(self._in_flight)} in flight)"

    # --- what the client asks for ---

    def start(self, timestamp: str) -> None:
        """Log in. timestamp: ten digits `MMDDHHMMSS`, China time."""
        self._timestamp = timestamp
        self._move(Trigger.START)

    def admits(self, now: float) -> bool:
        """Tell whether a request may go now: logged in, room in the window, and a sign of life not too long ago.

        Where the last is missing, an ACTIVE_TEST goes instead, and `Ready` follows when something was heard.
        """
        if self.state is not State.OPEN or len(self._in_flight) >= self._settings.window:
            return False
        if now - self._heard_at > self._settings.silence:
            self._doubt(now)
            return False
        return True

    def take_sequence(self) -> int:
        """Return the Sequence_Id for the next request: up by one, round at 2^32, none that still waits (trap 6)."""
        sequence = self._sequence
        while sequence in self._in_flight or sequence in self._expired:
            sequence = (sequence + 1) % _SEQUENCES
        self._sequence = (sequence + 1) % _SEQUENCES
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

    def close(self, now: float) -> list[Event]:
        """End the session from our side."""
        if self.state not in (State.ENDING, State.ENDED):
            self._limit = now + self._settings.linger
            self._closed = Closed(Cause.ASKED, ())
        self._move(Trigger.CLOSE)
        return self._drain()

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

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take octets as they came."""
        found = self._decoder.receive(data)
        if found:
            self._heard_at, self._tests = now, 0
        for item in found:
            if self.state is State.CLOSED:
                break
            if item.__class__ is SubmitResp:
                self._take_answer(item)
            elif isinstance(item, CodecError):
                self._take_damage(item)
            else:
                self._take(item, now)
        if found and self.state is State.DOUBTFUL:
            self._move(Trigger.HEARD)
        return self._drain()

    def hung_up(self) -> list[Event]:
        """Take the end of the transport: after a TERMINATE that is normal (trap 11)."""
        if self.state not in (State.ENDING, State.ENDED):
            self._closed = Closed(Cause.LOST, ())
        self._move(Trigger.HUNG_UP)
        return self._drain()

    # --- time ---

    @property
    def deadline(self) -> float | None:
        """When `tick` is due, None where there is nothing to wait for."""
        match self.state:
            case State.OPEN:
                due = self._test_due()
                if self._in_flight:
                    due = min(due, self._silent_at())
            case State.LOGGING_IN | State.DOUBTFUL | State.ENDING | State.ENDED:
                due = self._limit
            case _:
                return None
        for _, expires in islice(self._in_flight.values(), 1):
            due = min(due, expires)
        return due

    def tick(self, now: float) -> list[Event]:
        """Do what is due: tell what had no answer, test a connection that is idle, give up one that is dead."""
        while self._in_flight:
            sequence, (key, expires) = next(iter(self._in_flight.items()))
            if expires > now:
                break
            self._expire(sequence, key)
        if self.state is State.OPEN:
            if self._in_flight and now >= self._silent_at():
                self._doubt(now)
            else:
                self._test(now)
        elif self.state not in (State.CONNECTED, State.CLOSED) and now >= self._limit:
            if self.state in (State.LOGGING_IN, State.DOUBTFUL):
                self._closed = Closed(Cause.SILENT, ())
            self._move(Trigger.TIME_UP)
        return self._drain()

    def _silent_at(self) -> float:
        """Return when nothing was heard for too long while a request waits for its answer."""
        _, expires = next(iter(self._in_flight.values()))
        return max(self._heard_at, expires - self._settings.answer_timeout) + self._settings.silence

    def _doubt(self, now: float) -> None:
        self._limit = now + self._settings.silence
        self._move(Trigger.SILENCE)

    def _test_due(self) -> float:
        if self._tests:
            return self._tested_at + self._settings.answer_timeout
        return self._heard_at + self._settings.idle

    def _test(self, now: float) -> None:
        if now < self._test_due():
            return
        if self._tests >= self._settings.attempts:
            self._closed = Closed(Cause.SILENT, ())
            self._move(Trigger.TIME_UP)
            return
        self._tests += 1
        self._tested_at = now
        self._send_test()

    def _expire(self, sequence: int, key: Key) -> None:
        del self._in_flight[sequence]
        self._expired[sequence] = key
        self._events.append(Unanswered(key))

    # --- what came ---

    def _take_answer(self, pdu: SubmitResp | QueryResp | CancelResp) -> None:
        """Match an answer by its Sequence_Id, in any order; one that nobody waits for changes nothing."""
        waiting = self._in_flight.pop(pdu.sequence_id, None)
        if waiting is not None:
            self._events.append(Answered(waiting[0], pdu, late=False))
        elif pdu.sequence_id in self._expired:
            self._events.append(Answered(self._expired.pop(pdu.sequence_id), pdu, late=True))

    def _take(self, pdu: object, now: float) -> None:
        match pdu:
            case Deliver() if self.state in _LIVE:
                self._events.append(Delivered(pdu))
            case QueryResp() | CancelResp():
                self._take_answer(pdu)
            case ActiveTest():
                self._out.append(encode(ActiveTestResp(sequence_id=pdu.sequence_id)))
            case ConnectResp() if self.state is State.LOGGING_IN:
                self._take_login(pdu)
            case Terminate():
                self._take_terminate(pdu, now)
            case TerminateResp() if self.state is State.ENDING:
                self._move(Trigger.TERMINATE_RESP)
            case _:
                pass  # an ACTIVE_TEST_RESP has done its work by being heard; the rest is not meant for an SP

    def _take_login(self, pdu: ConnectResp) -> None:
        settings = self._settings
        if pdu.status:
            reason = CONNECT.get(pdu.status, Reason.LOGIN)
            self._closed = Closed(Cause.REFUSED, (), pdu.status, reason)
            self._move(Trigger.REFUSED)
            return
        if not is_authentic(pdu.authenticator_ismg, pdu.status, self._authenticator, settings.secret):
            self._events.append(Unproven())
            if settings.proof:
                self._closed = Closed(Cause.BROKEN, (), detail="the gateway did not prove that it knows the secret")
                self._move(Trigger.BROKEN)
                return
        self._version = pdu.version
        self._move(Trigger.ACCEPTED)

    def _take_terminate(self, pdu: Terminate, now: float) -> None:
        if self.state is State.DOUBTFUL:
            self._move(Trigger.HEARD)
        self._terminated = pdu.sequence_id
        if self.state in (State.CONNECTED, State.LOGGING_IN, State.OPEN):
            self._closed = Closed(Cause.GATEWAY, ())
            self._limit = now + self._settings.linger
        self._move(Trigger.TERMINATE)

    def _take_damage(self, error: CodecError) -> None:
        self._events.append(Damaged(error))
        login_broken = self.state is State.LOGGING_IN and error.command_id == ConnectResp.COMMAND_ID
        if error.fatal or login_broken:
            self._closed = Closed(Cause.BROKEN, (), detail=error.problem)
            self._move(Trigger.BROKEN)
        elif error.command_id == Deliver.COMMAND_ID:
            # Unanswered it would come again and again, and hold a place of the gateway's window.
            self._out.append(encode(DeliverResp(sequence_id=error.sequence_id, msg_id=0, result=_STRUCTURE_ERROR)))

    # --- the table ---

    def _move(self, trigger: Trigger) -> None:
        if self.state is State.CLOSED:
            return
        step = TABLE[self.state, trigger]
        self.state = step.to
        getattr(self, f"_{step.action.name.lower()}")()  # SEND_TEST is done by _send_test, and so on

    def _drain(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _send_connect(self) -> None:
        settings = self._settings
        sequence = self.take_sequence()
        request = connect_request(sequence, settings.sp_id, settings.secret, self._timestamp, padded=settings.padded)
        self._authenticator = request.authenticator_source
        self._out.append(encode(request))

    def _announce(self) -> None:
        self._events.append(Ready(self._version))
        self._version = None

    def _send_test(self) -> None:
        self._out.append(encode(ActiveTest(sequence_id=self.take_sequence())))

    def _send_terminate(self) -> None:
        self._out.append(encode(Terminate(sequence_id=self.take_sequence())))

    def _answer_terminate(self) -> None:
        self._out.append(encode(TerminateResp(sequence_id=self._terminated)))

    def _finish(self) -> None:
        unanswered = tuple([key for key, _ in self._in_flight.values()])
        self._in_flight.clear()
        self._events.append(self._closed._replace(unanswered=unanswered))

    def _answer_and_finish(self) -> None:
        self._answer_terminate()
        self._finish()

    def _nothing(self) -> None:
        """Stay as it is."""
