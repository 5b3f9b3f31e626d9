"""What comes in: DELIVERs become replies and delivery reports, each handed on once, and are acknowledged when safe.

No socket and no clock of its own. `take` returns what is to be handed on; the application's word (`settle`) says
which DELIVERs may be acknowledged. What waits for something else (segments, a report before its SUBMIT_RESP) is
handed on or acknowledged by `tick`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ..push import DeliveryReport, Reply
from .longsms import Assembled, Assembler, split_header
from .pdus import Deliver
from .reports import ReportContent
from .texts import read_text_content
from .tracking import Tracker, plain_number

__all__ = ["Delivery", "Handed", "Inbox", "Incoming"]

Incoming: TypeAlias = Reply | DeliveryReport

_UDHI: Final = 0x41
_REMEMBERED: Final = 20_000
_GAP: Final = "…"


@dataclass(slots=True, eq=False)
class Delivery:
    """One DELIVER as it came over one connection. via: that connection, for the acknowledgement."""

    pdu: Deliver
    via: object
    acknowledged: bool = False


@dataclass(slots=True, eq=False)
class Handed:
    """One thing for the application, None where it already knows; and the DELIVERs that it came in."""

    value: Incoming | None
    keys: list[object] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    safe: bool = False


@dataclass(slots=True)
class _Early:
    """A report that came before the answer to its SUBMIT, or for nothing that is known."""

    report: ReportContent
    handed: Handed
    deadline: float


class Inbox:
    """Recognises what came twice, puts segments together, and matches reports with what was sent."""

    def __init__(self, tracker: Tracker, source_number: str, *, assembly_time: float, hold: float) -> None:
        """Take what was sent, and our own number, without which a reply's Dest_Id is its extension.

        assembly_time: seconds that an uplink may take from its first segment to its last. hold: seconds that a
        DELIVER's acknowledgement, or a report for something that is not known yet, may wait.
        """
        self._tracker = tracker
        self._source_number = source_number
        self._assembler = Assembler(assembly_time)
        self._hold = hold
        self._seen: dict[object, Handed] = {}
        self._early: dict[int, list[_Early]] = {}
        self._waiting: deque[tuple[float, Delivery]] = deque()

    def take(self, delivery: Delivery, now: float, *, in_flight: bool) -> list[Handed]:
        """Take a DELIVER; return what is to be handed on. in_flight: SUBMITs wait for their answer.

        Raises CodecError for a report that can't be read.
        """
        pdu = delivery.pdu
        report = ReportContent.of(pdu) if pdu.registered_delivery == 1 else None
        key = _key(pdu, report)
        known = self._seen.get(key)
        if known is not None:
            known.deliveries.append(delivery)
            return [Handed(None, [], [delivery], safe=True)] if known.safe else []
        handed = Handed(None, [key], [delivery])
        self._remember(key, handed)
        if report is not None:
            return self._take_report(report, handed, now, in_flight=in_flight)
        return self._take_message(pdu, handed, delivery, now)

    def settle(self, handed: Handed, *, safe: bool) -> list[Delivery]:
        """Take the application's word; return the DELIVERs to acknowledge now.

        What is not safe is forgotten: it is not acknowledged, will come again, and is handed on again then.
        """
        if not safe:
            for key in handed.keys:
                self._seen.pop(key, None)
            return []
        handed.safe, handed.value = True, None
        due = [delivery for delivery in handed.deliveries if not delivery.acknowledged]
        handed.deliveries.clear()
        return due

    def accepted(self, ids: tuple[int, ...], total: int, now: float) -> list[Handed]:
        """Remember what was accepted; return the results of reports that were waiting for it."""
        self._tracker.sent(ids, total, now)
        if not self._early:
            return []
        early = [one for msg_id in ids for one in self._early.pop(msg_id, ())]
        return [self._resolve(one) for one in early]

    @property
    def deadline(self) -> float | None:
        """When `tick` is due, None where nothing waits."""
        dues = [due for due in (self._assembler.deadline,) if due is not None]
        dues += [early[0].deadline for early in self._early.values()]
        dues += [due for due, _ in list(self._waiting)[:1]]
        return min(dues, default=None)

    def tick(self, now: float) -> tuple[list[Handed], list[Delivery]]:
        """Return what is handed on because its time is up, and what is acknowledged although it still waits."""
        handed = [self._put_together(assembled) for assembled in self._assembler.expire(now)]
        for msg_id in [msg_id for msg_id, early in self._early.items() if early[0].deadline <= now]:
            handed += [self._resolve(one) for one in self._early.pop(msg_id)]
        due = []
        while self._waiting and self._waiting[0][0] <= now:
            delivery = self._waiting.popleft()[1]
            if not delivery.acknowledged:
                due.append(delivery)
        return handed, due

    def finish(self) -> list[Handed]:
        """Return all that still waits, as it is: at the end nothing is kept back."""
        early = [one for waiting in self._early.values() for one in waiting]
        self._early.clear()
        return [self._put_together(one) for one in self._assembler.finish_all()] + [self._resolve(one) for one in early]

    def _remember(self, key: object, handed: Handed) -> None:
        self._seen[key] = handed
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def _take_report(self, report: ReportContent, handed: Handed, now: float, *, in_flight: bool) -> list[Handed]:
        early = _Early(report, handed, now + self._hold)
        if in_flight and not self._tracker.knows(report.msg_id):
            self._early.setdefault(report.msg_id, []).append(early)
            return []
        return [self._resolve(early)]

    def _resolve(self, early: _Early) -> Handed:
        early.handed.value = self._tracker.result(early.report)
        return early.handed

    def _take_message(self, pdu: Deliver, handed: Handed, delivery: Delivery, now: float) -> list[Handed]:
        segment, body = split_header(pdu.msg_content) if pdu.tp_udhi & _UDHI else (None, pdu.msg_content)
        if segment is None or segment.total == 1:
            handed.value = self._reply(pdu, read_text_content(body, pdu.msg_fmt))
            return [handed]
        self._waiting.append((now + self._hold, delivery))
        key = (plain_number(pdu.src_terminal_id), pdu.dest_id, pdu.msg_fmt)
        return [self._put_together(one) for one in self._assembler.add(key, segment, body, handed, now)]

    def _put_together(self, assembled: Assembled) -> Handed:
        """Return an uplink of several segments; what is missing is marked in its text, too."""
        tokens = [token for token in assembled.tokens if isinstance(token, Handed)]
        pdu = tokens[0].deliveries[0].pdu
        pieces: list[str] = []
        run = b""
        for number in range(1, assembled.total + 1):
            part = assembled.parts.get(number)
            if part is not None:
                run += part
                continue
            pieces.append(read_text_content(run, pdu.msg_fmt) if run else "")
            run = b""
        pieces.append(read_text_content(run, pdu.msg_fmt) if run else "")
        text = _GAP.join(pieces)
        whole = Handed(self._reply(pdu, text, incomplete=assembled.incomplete))
        for token in tokens:
            whole.keys += token.keys
            whole.deliveries += token.deliveries
        for key in whole.keys:
            self._seen[key] = whole
        return whole

    def _reply(self, pdu: Deliver, text: str, *, incomplete: bool = False) -> Reply:
        return Reply(
            plain_number(pdu.src_terminal_id),
            text,
            pdu.dest_id.removeprefix(self._source_number),
            str(pdu.msg_id),
            incomplete=incomplete,
        )


def _key(pdu: Deliver, report: ReportContent | None) -> object:
    """Return by what a DELIVER that comes again is known: it may have a new Sequence_Id (trap 3)."""
    if report is not None:
        return (report.msg_id, report.dest_terminal_id, report.stat)
    sequence = pdu.sequence_id if not pdu.msg_id else 0
    return (pdu.msg_id, sequence, pdu.src_terminal_id, hash(pdu.msg_content))
