"""Submits queued segments as the window, the account's rate and the caller's patience allow.

As long as the rate is unlimited, only the window counts, and all PDUs that fit are written at once. With a known
rate, or after "too fast", each SUBMIT waits for a slot of the account, which HTTP shares.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final

from ..limits.rate import Clock, DeadlineError, RateLimiter, Slot
from ..options import Priority
from ..outcomes import Outcome, Reason
from ..verdict import RetryMode, Verdict
from .announcer import Announcer
from .compose import SubmitSettings
from .events import ResponseReceived
from .outgoing import Call, Outbox, Segment
from .protocol import CMPPProtocol
from .session import Session
from .timer import Sleep
from .wire.messages import submit_writer
from .wire.pdus import SubmitResp

_LOGGER: Final = logging.getLogger(__name__)
_LOST: Final = Verdict(Outcome.UNKNOWN, Reason.LOST)
_TOO_LATE: Final = Verdict(Outcome.NOT_SENT, Reason.DEADLINE, goes_on=False)
_CANCELLED: Final = Verdict(Outcome.NOT_SENT, Reason.CANCELLED, goes_on=False)
_SWEEP_EVERY: Final = 0.05  # seconds between two checks of all waiting calls, of which there can be thousands
_NEEDS_CORRECTION: Final = frozenset({Reason.AUTHENTICATION, Reason.IP, Reason.VERSION, Reason.MALFORMED})


class Dispatcher:
    """Moves segments from the outbox to the current connection. on_flushed: called after each flush."""

    def __init__(
        self,
        outbox: Outbox,
        limiter: RateLimiter,
        settings: SubmitSettings,
        *,
        clock: Clock,
        sleep: Sleep,
        on_flushed: Callable[[], object],
    ) -> None:
        self._outbox = outbox
        self._limiter = limiter
        self._write_submit = submit_writer(settings.sp_id, settings.service_id)
        self._clock = clock
        self._sleep = sleep
        self._link: CMPPProtocol | None = None
        self._down_since = clock()
        self._down_reason: Reason | None = None
        self._sweep_due: float | None = None
        self._swept_at = -_SWEEP_EVERY
        self._in_flight = 0
        self._taken = 0  # segments on their way from the outbox to the window
        self._on_flushed = on_flushed
        self._flush_scheduled = False
        self._stopped = False
        self._changed = asyncio.Event()
        self._pacers: dict[Priority, asyncio.Task[None]] = {}
        self._waiters: dict[Segment, asyncio.Future[Verdict]] = {}  # of the verdicts that pacers wait for
        self._announcer = Announcer(self._on_announced)

    @property
    def is_waiting(self) -> bool:
        """Whether segments are queued."""
        return bool(self._outbox.waiting_lanes())

    @property
    def busy(self) -> bool:
        """Whether segments are queued or in flight."""
        return bool(self._in_flight or self._reserved or self._pacers or self._outbox.waiting_lanes())

    # --- calls ---

    def add(self, call: Call) -> None:
        """Queue a call."""
        self._outbox.add(call)
        self._sweep_by(self._expires(call))
        if call.stopped is not None:
            self._outbox.drop(call)
        else:
            self.flush_soon()  # concurrent calls are written in one piece

    def abandon(self, call: Call) -> None:
        """Stop a call; segments in flight are answered in the background."""
        call.stopped = call.stopped or _CANCELLED
        self._outbox.drop(call)
        self._changed.set()

    async def drain(self) -> None:
        """Return when nothing is queued and every SUBMIT has its answer."""
        while self.busy:
            await self._change()

    def stop(self) -> None:
        """Settle all queued segments as not sent, also those that are queued again from now on."""
        self._stopped = True
        self._outbox.sweep(lambda _: _CANCELLED)
        self._announcer.stop()
        for pacer in self._pacers.values():
            pacer.cancel()

    # --- the connection ---

    def on_connected(self, link: CMPPProtocol) -> None:
        """Start to submit over a new connection."""
        self._link = link
        self.flush()

    def on_disconnected(self, reason: Reason | None) -> None:
        """Queue segments without a connection, each call as long as its patience lasts. reason: None if unknown."""
        if self._link is not None:
            self._link, self._down_since = None, self._clock()
        self._down_reason = reason
        self._sweep()
        self._changed.set()

    # --- answers ---

    def on_response(self, event: ResponseReceived) -> None:
        """Handle the answer to a SUBMIT."""
        segment: Segment = event.key
        pdu = event.pdu
        if not isinstance(pdu, SubmitResp):
            return
        if event.late:
            self._outbox.on_late_response(segment, pdu)
            return
        self._in_flight -= 1
        segment.message.in_flight -= 1
        verdict = self._outbox.on_response(segment, pdu)
        if verdict.retry is not RetryMode.NO:
            if segment not in self._waiters and self._limiter.is_unlimited():
                self._slow_down(segment)  # once for all segments that were in flight together
            self._retry(segment, verdict)
        if self._waiters:
            self._tell_pacer(segment, verdict)

    def on_no_response(self, segment: Segment) -> None:
        """Handle a lost answer to a SUBMIT. The gateway may have sent the message."""
        self._in_flight -= 1
        segment.message.in_flight -= 1
        self._settle(segment, _LOST)

    def flush_soon(self) -> None:
        """Flush after everything that the event loop runs before: also what answered callers send next is included."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Submit all segments that can be sent now, write them, and wake the waiting tasks."""
        self._flush_scheduled = False
        if self._stopped:  # a SUBMIT in flight can be refused, so that its message waits again
            self._outbox.sweep(lambda _: _CANCELLED)
        link, lanes = self._link, self._outbox.waiting_lanes()
        if lanes and not self._limiter.is_unlimited():
            for lane in lanes:
                if lane not in self._pacers:
                    # Not `create_task`: with an eager task factory, a pacer could end before it is noted here.
                    self._pacers[lane] = asyncio.Task(self._pace_lane(lane), loop=asyncio.get_running_loop())
        elif lanes and link is not None:
            now, session, announcer = self._clock(), link.session, self._announcer
            while (room := session.room(now, self._reserved)) and (segments := self._outbox.take(room)):
                self._taken += len(segments)  # a hook can flush or close before the loop ends
                for segment in segments:
                    self._taken -= 1
                    if segment.message.announced:
                        self._try_submit(session, segment, now)
                    else:
                        announcer.add(segment)
        if link is not None:
            link.flush()
        self._on_flushed()
        self._changed.set()

    @property
    def _reserved(self) -> int:
        """The places in the window for segments that have left the outbox and are not in flight."""
        return self._announcer.reserved + self._taken

    # --- time ---

    @property
    def deadline(self) -> float | None:
        """When `tick` is due, None if nothing is queued."""
        return None if self._sweep_due is None else max(self._sweep_due, self._swept_at + _SWEEP_EVERY)

    def tick(self, now: float) -> None:
        """Settle the calls whose patience or deadline has ended."""
        due = self.deadline
        if due is not None and now >= due:
            self._sweep()

    def _expires(self, call: Call) -> float | None:
        until = call.deadline
        if self._link is None:
            end = max(call.began, self._down_since) + call.options.patience
            until = end if until is None else min(until, end)
        return until

    def _expired(self, call: Call) -> Verdict | None:
        now = self._clock()
        if call.deadline is not None and now >= call.deadline:
            return _TOO_LATE
        if self._link is not None:
            return None
        reason = self._down_reason
        if reason in _NEEDS_CORRECTION:
            return Verdict(Outcome.REFUSED, reason, goes_on=False)
        if now >= max(call.began, self._down_since) + call.options.patience:
            return Verdict(Outcome.NOT_SENT, reason or Reason.NO_CONNECTION, goes_on=False)
        return None

    def _sweep(self) -> None:
        self._outbox.sweep(self._expired)
        self._sweep_due, self._swept_at = None, self._clock()
        for call in self._outbox.waiting_calls():
            self._sweep_by(self._expires(call))
        self._changed.set()

    def _sweep_by(self, due: float | None) -> None:
        if due is not None and (self._sweep_due is None or due < self._sweep_due):
            self._sweep_due = due

    # --- one SUBMIT ---

    def _try_submit(self, session: Session, segment: Segment, now: float) -> None:
        """Submit a segment. After an error, the next segments are still submitted."""
        try:
            self._submit(session, segment, now)
        except Exception as error:  # noqa: BLE001 - the next segments can succeed
            _LOGGER.error("CMPP: a message could not be submitted: %s", type(error).__name__)  # noqa: TRY400
            self._outbox.settle(segment, _LOST)

    def _submit(self, session: Session, segment: Segment, now: float) -> None:
        message, number = segment
        call, encoded = message.call, message.encoded
        if call.deadline is not None and now >= call.deadline:
            self._settle(segment, _TOO_LATE)
            return
        if message.tried_at is None:
            message.tried_at = now
        sequence = session.next_sequence_id()
        fields = call.fields
        octets = self._write_submit(
            sequence,
            len(encoded.contents),
            number + 1,
            encoded.msg_fmt,
            fields.valid_time,
            fields.at_time,
            fields.src_id,
            message.numbers,
            encoded.contents[number],
        )
        session.send(octets, sequence, segment, now)
        self._in_flight += 1
        message.in_flight += 1

    def _settle(self, segment: Segment, verdict: Verdict) -> None:
        self._outbox.settle(segment, verdict)
        self._tell_pacer(segment, verdict)

    def _tell_pacer(self, segment: Segment, verdict: Verdict) -> None:
        waiter = self._waiters.pop(segment, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(verdict)

    def _retry(self, segment: Segment, verdict: Verdict) -> None:
        """Queue a segment again that was refused as too fast, or settle it if its patience has ended."""
        message = segment.message
        call, now = message.call, self._clock()
        began = call.began if message.tried_at is None else message.tried_at
        late = call.deadline is not None and now >= call.deadline
        if late or now - began >= call.options.patience or call.stopped is not None:
            self._outbox.settle(segment, verdict)
        else:
            self._outbox.put_back(segment)
            message.undo_announcement()

    def _on_announced(self, segments: list[Segment], verdict: Verdict | None) -> None:
        """Submit announced segments in the places that were reserved for them, or settle them."""
        for segment in reversed(segments):
            if verdict is not None:
                self._outbox.settle(segment, verdict)
            elif not self._outbox.drop_if_stopped(segment):
                self._outbox.put_back(segment)
                self._sweep_by(self._expires(segment.message.call))
        self.flush()
        if (message := segments[0].message).open:
            message.undo_announcement()  # if none could be submitted, for example without a connection

    # --- the rate ---

    def _slow_down(self, segment: Segment) -> None:
        """Report a "too fast" to the account's rate limiter while the rate was unlimited."""
        with closing(self._limiter.acquire(segment.flow, "critical", None)) as turn:
            try:
                next(turn)
            except StopIteration as stop:
                self._limiter.release(stop.value, too_fast=True)

    async def _pace_lane(self, lane: Priority) -> None:
        try:
            while not self._limiter.is_unlimited() and (segment := await self._next(lane)) is not None:
                slot = await self._acquire(segment)
                if slot is not None:
                    await self._exchange(segment, slot)
        except Exception as error:  # noqa: BLE001 - the next segments can succeed
            _LOGGER.error("CMPP: a message could not be submitted in its slot: %s", type(error).__name__)  # noqa: TRY400
        finally:
            del self._pacers[lane]
        self.flush()

    async def _next(self, lane: Priority) -> Segment | None:
        """Return the next segment once there is a connection; it stays in the outbox until then."""
        while self._link is None and lane in self._outbox.waiting_lanes():
            await self._change()
        return next(iter(self._outbox.take(1, lane)), None)

    async def _acquire(self, segment: Segment) -> Slot | None:
        """Wait for a slot of the account; return None if the segment was settled without one."""
        call = segment.message.call
        turn = self._limiter.acquire(segment.flow, call.options.priority, call.deadline)
        with self._settled_on_error(segment), closing(turn):
            try:
                while not self._outbox.drop_if_stopped(segment):
                    await self._sleep(next(turn))
            except StopIteration as stop:
                slot: Slot = stop.value
                return slot
            except DeadlineError:
                self._outbox.settle(segment, _TOO_LATE)
        return None

    async def _exchange(self, segment: Segment, slot: Slot) -> None:
        """Submit a segment and release its slot with the answer. Without a connection, queue the segment again."""
        waiter: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        submitted = too_fast = False
        try:
            with self._settled_on_error(segment):
                while (link := await self._place()) is not None and not segment.message.announced:
                    if self._outbox.drop_if_stopped(segment):
                        return
                    if (verdict := await self._announcer.announce(segment.message)) is not None:
                        self._outbox.settle(segment, verdict)
                        return
                if link is None:
                    self._outbox.put_back(segment)
                    self._sweep_by(self._expires(segment.message.call))
                    segment.message.undo_announcement()
                    return
                if self._outbox.drop_if_stopped(segment):
                    return
                self._waiters[segment] = waiter
                self._submit(link.session, segment, self._clock())
            submitted = True
            link.flush()
            too_fast = (await waiter).retry is RetryMode.SLOWER
        finally:
            self._waiters.pop(segment, None)
            self._limiter.release(slot, submitted=submitted, too_fast=too_fast)

    async def _place(self) -> CMPPProtocol | None:
        """Wait for a place in the window; return the connection, None if it is lost."""
        while (link := self._link) is not None and not link.session.room(self._clock(), self._reserved):
            link.flush()
            await self._change()
        return link

    @contextmanager
    def _settled_on_error(self, segment: Segment) -> Iterator[None]:
        try:
            yield
        except (Exception, asyncio.CancelledError) as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            self._outbox.settle(segment, _CANCELLED if cancelled else _LOST)
            raise

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
