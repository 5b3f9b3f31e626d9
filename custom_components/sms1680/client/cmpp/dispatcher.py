"""Lets segments go when they may: a place in the window, the account's pace, and the caller's patience.

While nothing bounds the pace, the window alone does, and as many PDUs as it has room for are written at once. With a
rate known, or after "too fast", each SUBMIT waits for the account's turn, which it shares with the HTTP way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from ..http.responses import Again, Verdict
from ..limits.rate import Clock, DeadlineError, Pace, Place
from ..options import Priority
from ..outcomes import Outcome, Reason
from .compose import Sender
from .events import ResponseReceived
from .outgoing import Call, Outbox, Segment
from .protocol import CMPPProtocol
from .wire.messages import submit_maker, write_submit
from .wire.pdus import SubmitResp

__all__ = ["Dispatcher", "Sleep"]

Sleep = Callable[[float], Awaitable[object]]
Ticket = tuple[Segment, "asyncio.Future[Verdict] | None"]
"""What the session hands back with an answer: the segment, and who waits for the verdict."""

_LOGGER: Final = logging.getLogger(__name__)
_LOST: Final = Verdict(Outcome.UNKNOWN, Reason.LOST)
_TOO_LATE: Final = Verdict(Outcome.NOT_SENT, Reason.DEADLINE, goes_on=False)
_CANCELLED: Final = Verdict(Outcome.NOT_SENT, Reason.CANCELLED, goes_on=False)
_FOR_CORRECTION: Final = frozenset({Reason.AUTHENTICATION, Reason.IP, Reason.VERSION, Reason.MALFORMED})


class Dispatcher:
    """The way from the outbox to the link that is up, if one is."""

    def __init__(
        self,
        outbox: Outbox,
        pace: Pace,
        sender: Sender,
        *,
        clock: Clock,
        sleep: Sleep,
        flushed: Callable[[], object],
    ) -> None:
        """Begin without a link. flushed: told after each flush, since `deadline` may be another."""
        self._outbox = outbox
        self._pace = pace
        self._make_submit = submit_maker(sender.sp_id, sender.service_id)
        self._clock = clock
        self._sleep = sleep
        self._link: CMPPProtocol | None = None
        self._down_since = clock()
        self._down_reason: Reason | None = None
        self._sweep_due: float | None = None
        self._in_flight = 0
        self._flushed = flushed
        self._flush_soon = False
        self._changed = asyncio.Event()
        self._pacers: dict[Priority, asyncio.Task[None]] = {}

    @property
    def busy(self) -> bool:
        """Whether anything waits, or has no answer yet."""
        return bool(self._in_flight or self._pacers or self._outbox.waiting_lanes())

    # --- calls ---

    def add(self, call: Call) -> None:
        """Let a call go as soon as it may."""
        self._outbox.add(call)
        self._sweep_by(self._expires(call))
        if call.stopped is not None:
            self._sweep()
        elif not self._flush_soon:
            # Calls that are made at the same time go out in one piece.
            self._flush_soon = True
            asyncio.get_running_loop().call_soon(self.flush)

    def abandon(self, call: Call) -> None:
        """Let nothing more of a call go; what is in flight is answered in the background."""
        self._outbox.stop(call, _CANCELLED)
        self._sweep()

    async def drain(self) -> None:
        """Return when nothing waits and everything that went has its answer."""
        while self.busy:
            await self._change()

    def stop(self) -> None:
        """Settle all that waits: it surely did not go."""
        self._outbox.sweep(lambda _: _CANCELLED)
        for pacer in self._pacers.values():
            pacer.cancel()

    # --- the link ---

    def up(self, link: CMPPProtocol) -> None:
        """Take a link on which messages can go."""
        self._link = link
        self.flush()

    def down(self, reason: Reason | None) -> None:
        """Do without a link. reason: why, as far as it is known; each call waits as long as its patience lasts."""
        if self._link is not None:
            self._link, self._down_since = None, self._clock()
        self._down_reason = reason
        self._sweep()
        self._notify()

    def pump(self) -> None:
        """Let go what may go now. The caller flushes the link."""
        link, outbox = self._link, self._outbox
        if not outbox.waiting_lanes():
            return
        if not self._pace.is_free():
            self._start_pacers()
            return
        if link is None:
            return
        now = self._clock()
        while link.session.can_send(now) and (segment := outbox.next()) is not None:
            self._submit(link, segment, None, now)

    # --- answers ---

    def answered(self, event: ResponseReceived) -> None:
        """Take an answer to a SUBMIT."""
        ticket: Ticket = event.key
        segment, waiter = ticket
        pdu = event.pdu
        if not isinstance(pdu, SubmitResp):
            return
        if event.late:
            self._outbox.answered_late(segment, pdu)
            return
        self._in_flight -= 1
        verdict = self._outbox.answered(segment, pdu)
        if verdict.again is not Again.NO:
            if waiter is None and self._pace.is_free():
                self._slow_down(segment)  # once for all that were in flight together
            self._again(segment, verdict)
        if waiter is not None and not waiter.done():
            waiter.set_result(verdict)

    def unanswered(self, ticket: Ticket) -> None:
        """Take that no answer came, or will come: the message may have gone."""
        segment, waiter = ticket
        self._in_flight -= 1
        self._outbox.settle(segment, _LOST)
        if waiter is not None and not waiter.done():
            waiter.set_result(_LOST)

    def flush(self) -> None:
        """Let go what may go now, write it, and wake those who wait for a change."""
        self._flush_soon = False
        self.pump()
        if self._link is not None:
            self._link.flush()
        self._flushed()
        self._notify()

    # --- time ---

    @property
    def deadline(self) -> float | None:
        """When `tick` is due, None where nothing waits."""
        return self._sweep_due

    def tick(self, now: float) -> None:
        """Settle the calls whose patience or deadline is over."""
        if self._sweep_due is not None and now >= self._sweep_due:
            self._sweep()

    def _expires(self, call: Call) -> float | None:
        limits = call.limits
        until = limits.deadline
        if self._link is None:
            end = max(limits.began, self._down_since) + limits.patience
            until = end if until is None else min(until, end)
        return until

    def _expired(self, call: Call) -> Verdict | None:
        limits, now = call.limits, self._clock()
        if limits.deadline is not None and now >= limits.deadline:
            return _TOO_LATE
        if self._link is not None:
            return None
        reason = self._down_reason
        if reason in _FOR_CORRECTION:
            return Verdict(Outcome.REFUSED, reason, goes_on=False)
        if now >= max(limits.began, self._down_since) + limits.patience:
            return Verdict(Outcome.NOT_SENT, reason or Reason.NO_CONNECTION, goes_on=False)
        return None

    def _sweep(self) -> None:
        self._outbox.sweep(self._expired)
        self._sweep_due = None
        for call in self._outbox.waiting_calls():
            self._sweep_by(self._expires(call))
        self._notify()

    def _sweep_by(self, due: float | None) -> None:
        if due is not None and (self._sweep_due is None or due < self._sweep_due):
            self._sweep_due = due

    # --- one SUBMIT ---

    def _submit(self, link: CMPPProtocol, segment: Segment, waiter: asyncio.Future[Verdict] | None, now: float) -> None:
        message, number = segment
        call, letter = message.call, message.letter
        if call.limits.deadline is not None and now >= call.limits.deadline:
            self._outbox.settle(segment, _TOO_LATE)
            if waiter is not None:
                waiter.set_result(_TOO_LATE)
            return
        if message.tried_at is None:
            message.tried_at = now
        session, total = link.session, len(letter.contents)
        sequence = session.next_sequence_id()
        times = call.times
        pdu = self._make_submit(
            sequence,
            total,
            number + 1,
            letter.msg_fmt,
            times.valid_time,
            times.at_time,
            times.src_id,
            message.numbers,
            letter.contents[number],
        )
        session.send(write_submit(pdu), sequence, (segment, waiter), now)
        self._in_flight += 1

    def _again(self, segment: Segment, verdict: Verdict) -> None:
        """Try a segment again that was refused as too fast, while its patience lasts."""
        message = segment.message
        limits, now = message.call.limits, self._clock()
        began = limits.began if message.tried_at is None else message.tried_at
        late = limits.deadline is not None and now >= limits.deadline
        if late or now - began >= limits.patience or message.call.stopped is not None:
            self._outbox.settle(segment, verdict)
        else:
            self._outbox.put_back(segment)

    # --- the pace ---

    def _slow_down(self, segment: Segment) -> None:
        """Tell the account's pace of a "too fast" that came while nothing bounded it."""
        turn = self._pace.acquire(segment.items, "critical", None)
        try:
            next(turn)
        except StopIteration as taken:
            self._pace.settle(taken.value, too_fast=True)
        finally:
            turn.close()

    def _start_pacers(self) -> None:
        for lane in self._outbox.waiting_lanes():
            if lane not in self._pacers:
                self._pacers[lane] = asyncio.create_task(self._pace_lane(lane))

    async def _pace_lane(self, lane: Priority) -> None:
        """Let the segments of a lane go one by one, each at the account's turn."""
        try:
            while not self._pace.is_free() and (segment := await self._next(lane)) is not None:
                place = await self._turn(segment)
                if place is not None:
                    await self._exchange(segment, place)
        except Exception as error:  # noqa: BLE001 - the next segments may go well
            _LOGGER.error("CMPP: a message could not be submitted at its turn: %s", type(error).__name__)  # noqa: TRY400
        finally:
            del self._pacers[lane]
        self.flush()

    async def _next(self, lane: Priority) -> Segment | None:
        """Return the next segment once there is a link for it; it stays in the outbox until then."""
        while self._link is None and lane in self._outbox.waiting_lanes():
            await self._change()
        return self._outbox.next(lane)

    async def _turn(self, segment: Segment) -> Place | None:
        """Wait for the account's turn; None where the segment is settled without one."""
        limits = segment.message.call.limits
        turn = self._pace.acquire(segment.items, limits.priority, limits.deadline)
        try:
            while not self._outbox.drop_if_stopped(segment):
                await self._sleep(next(turn))
        except StopIteration as taken:
            place: Place = taken.value
            return place
        except DeadlineError:
            self._outbox.settle(segment, _TOO_LATE)
        except asyncio.CancelledError:
            self._outbox.settle(segment, _CANCELLED)
            raise
        except Exception:
            self._outbox.settle(segment, _LOST)
            raise
        finally:
            turn.close()
        return None

    async def _exchange(self, segment: Segment, place: Place) -> None:
        """Submit a segment and give its place back with the answer; without a link it waits in the outbox again."""
        waiter: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        verdict: Verdict | None = None
        gone = False
        try:
            while (link := self._link) is not None and not link.session.can_send(self._clock()):
                link.flush()
                await self._change()
            if link is None:
                self._outbox.put_back(segment)
                return
            if self._outbox.drop_if_stopped(segment):
                return
            self._submit(link, segment, waiter, self._clock())
            gone = True
            link.flush()
            verdict = await waiter
        except asyncio.CancelledError:
            if not gone:
                self._outbox.settle(segment, _CANCELLED)
            raise
        except Exception:
            if not gone:
                self._outbox.settle(segment, _LOST)
            raise
        finally:
            self._pace.settle(place, submitted=gone, too_fast=verdict is not None and verdict.again is Again.SLOWER)

    async def _change(self) -> None:
        """Wait until something changed: an answer, the link, what waits."""
        self._changed.clear()
        await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
