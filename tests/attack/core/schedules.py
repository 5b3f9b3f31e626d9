"""Random schedules of a CMPP client in virtual time: callers, cancellations, hooks, and an often hostile gateway.

Each text names its call and its item, so that what the gateway received can be compared with the receipts.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import selectors
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, override

from sms1680 import Outcome, Reason, Receipt, SMS1680Error
from sms1680.cmpp import CMPPClient
from sms1680.cmpp.wire.auth import authenticator_ismg
from sms1680.cmpp.wire.codec import Decoder, encode
from sms1680.cmpp.wire.pdus import (
    PDU,
    ActiveTest,
    ActiveTestResp,
    Cancel,
    CancelResp,
    Connect,
    ConnectResp,
    Submit,
    SubmitResp,
    Terminate,
    TerminateResp,
)

SECRET = "known to both"
TOO_FAST, WRONG_NUMBER, NOT_UNDERSTOOD = 8, 11, 77
FATAL = (13, 3, 12, NOT_UNDERSTOOD)
LONGEST = 4000.0  # seconds of virtual time until every call must have ended
_MARK = re.compile(r"<(\d+)-(\d+)>")
_PART = 67  # characters of a segment
_SOON = 0.06  # seconds: the client looks at its deadlines every 0.05


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while it waits, and then at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        loop = self

        class Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
            @override
            def select(self, timeout: float | None = None) -> Any:
                found = super().select(0)
                if not found and timeout is None:
                    raise RuntimeError("everything waits for ever")
                if not found and timeout:
                    loop.now += timeout + 1e-9
                return found

        super().__init__(Selector())

    @override
    def time(self) -> float:
        return self.now


@dataclass(eq=False)
class Received:
    """A SUBMIT as the gateway received it. answered, read_at: its result, and when the client has read it."""

    at: float
    item: tuple[int, int]
    numbers: tuple[str, ...]
    segment: int
    total: int
    answered: int | None = None
    read_at: float = float("inf")

    @property
    def is_certain(self) -> bool:
        """Whether the client knows that it was refused."""
        return self.answered not in {None, 0, NOT_UNDERSTOOD}

    @property
    def may_be_repeated(self) -> bool:
        """Whether the client knows that nothing was submitted, and may try again."""
        return self.answered == TOO_FAST or (self.answered == WRONG_NUMBER and len(self.numbers) > 1)


class MemoryTransport(asyncio.Transport):
    """The connection of a client to a gateway in the same process. Answers arrive in random pieces."""

    def __init__(self, gateway: RandomGateway, protocol: Any) -> None:
        super().__init__()
        self.waiting: dict[int, float] = {}
        self._gateway, self._protocol, self._loop = gateway, protocol, asyncio.get_running_loop()
        self._decoder, self._written = Decoder(), Decoder()
        self._closing = self._lost = False
        self._unread, self._said, self._read = b"", 0, 0
        self._on_read: list[tuple[int, Callable[[], object]]] = []

    @override
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    @override
    def get_write_buffer_size(self) -> int:
        return 0

    @override
    def is_closing(self) -> bool:
        return self._closing

    @override
    def write(self, data: Any) -> None:
        self._gateway.written += sum(isinstance(pdu, Submit) for pdu in self._written.receive(data))
        self._loop.call_soon(self._arrive, bytes(data))

    @override
    def close(self) -> None:
        self._closing = True
        self._loop.call_soon(self.lose)

    abort = close

    def lose(self) -> None:
        """End the connection without a warning."""
        if not self._lost:
            self._lost = self._closing = True
            self._protocol.connection_lost(None)

    def say(self, pdu: PDU, on_read: Callable[[], object] = lambda: None) -> None:
        """Send a PDU to the client. on_read: called when it reads the last octet."""
        octets = encode(pdu)
        self._unread, self._said = self._unread + octets, self._said + len(octets)
        self._on_read.append((self._said, on_read))
        self._loop.call_soon(self._deliver)

    def _arrive(self, data: bytes) -> None:
        if not self._lost:
            for pdu in self._decoder.receive(data):
                self._gateway.on_pdu(self, pdu)

    def _deliver(self) -> None:
        if not self._unread or self._closing:
            return
        chance = self._gateway.chance
        size = len(self._unread)
        size = chance.randrange(1, size + 1) if chance.random() < self._gateway.cuts else size
        data, self._unread, self._read = self._unread[:size], self._unread[size:], self._read + size
        while self._on_read and self._on_read[0][0] <= self._read:
            self._on_read.pop(0)[1]()
        self._protocol.data_received(data)
        if self._unread:
            self._loop.call_later(chance.choice([0, 0.001]), self._deliver)


class RandomGateway:
    """Answers, refuses, forgets, terminates and hangs up at random. written: the SUBMITs that the client wrote."""

    def __init__(self, chance: random.Random, faults: list[str]) -> None:
        self.chance, self.faults = chance, faults
        pick = chance.choice
        self.cuts = pick([0, 0.3, 0.9])
        self.too_fast, self.wrong, self.fatal = pick([0, 0, 0.01, 0.1]), pick([0, 0, 0.05]), pick([0, 0, 0.02])
        self.silent, self.hangs_up, self.terminates = pick([0, 0, 0.01, 0.05]), pick([0, 0, 0.02]), pick([0, 0, 0.005])
        self.unreachable = pick([0, 0, 0.2])
        self.is_friendly = chance.random() < 0.3
        if self.is_friendly:
            self.too_fast = self.wrong = self.fatal = self.silent = self.hangs_up = self.terminates = 0
            self.unreachable = 0
        self.delay = pick([0, 0, 0.01, 0.2])
        self.window, self.answer_timeout = pick([1, 2, 4, 8, 16]), pick([2.0, 60.0])
        self.received: list[Received] = []
        self.connected_at = float("inf")
        self.written = 0
        self._next_id = 10**15

    async def connect(self, make: Callable[[], Any]) -> None:
        """Connect a client, as its setting `connect`."""
        await asyncio.sleep(self.chance.choice([0, 0.01, 0.5]))
        if self.chance.random() < self.unreachable:
            raise OSError("unreachable")
        protocol = make()
        protocol.connection_made(MemoryTransport(self, protocol))

    def on_pdu(self, line: MemoryTransport, pdu: Any) -> None:
        """Handle what the client sends."""
        sequence = pdu.sequence_id
        match pdu:
            case Connect():
                self.connected_at = min(self.connected_at, asyncio.get_running_loop().time())
                proof = authenticator_ismg(0, pdu.authenticator_source, SECRET)
                line.say(ConnectResp(sequence_id=sequence, authenticator_ismg=proof))
            case ActiveTest():
                if self.chance.random() >= self.silent:
                    line.say(ActiveTestResp(sequence_id=sequence))
            case Terminate():
                line.say(TerminateResp(sequence_id=sequence))
                self._later(0.01, line.lose)
            case Submit() | Cancel():
                now = asyncio.get_running_loop().time()
                line.waiting[sequence] = now
                waiting = sum(now - since < self.answer_timeout - 1e-6 for since in line.waiting.values())
                if waiting > self.window:
                    self.faults.append(f"{waiting} requests wait in a window of {self.window}")
                if isinstance(pdu, Submit):
                    self._on_submit(line, pdu, now)
                else:
                    self._answer(line, sequence, CancelResp(sequence_id=sequence), lambda: None)

    def _on_submit(self, line: MemoryTransport, pdu: Submit, now: float) -> None:
        content = pdu.msg_content[6:] if pdu.tp_udhi else pdu.msg_content
        text = content.decode("utf-16-be" if pdu.msg_fmt else "ascii")
        [(call, item)] = set(_MARK.findall(text))
        received = Received(now, (int(call), int(item)), pdu.dest_terminal_id, pdu.pk_number, pdu.pk_total)
        self.received.append(received)
        if self._happens(self.hangs_up):
            self._later(self.delay * self.chance.random(), line.lose)
            return
        if self._happens(self.terminates):
            line.say(Terminate(sequence_id=7))
            self._later(3.0, line.lose)
        if self._happens(self.silent):
            return
        result = 0
        if self._happens(self.too_fast):
            result = TOO_FAST
        elif self._happens(self.wrong):
            result = WRONG_NUMBER
        elif self._happens(self.fatal):
            result = self.chance.choice(FATAL)
        self._next_id += 1
        answer = SubmitResp(sequence_id=pdu.sequence_id, msg_id=0 if result else self._next_id, result=result)

        def on_read() -> None:
            received.answered, received.read_at = result, asyncio.get_running_loop().time()

        self._answer(line, pdu.sequence_id, answer, on_read)

    def _answer(self, line: MemoryTransport, sequence: int, pdu: PDU, on_read: Callable[[], object]) -> None:
        def answer() -> None:
            line.waiting.pop(sequence, None)
            line.say(pdu, on_read)

        self._later(self.delay * self.chance.random(), answer) if self.delay else answer()

    def _happens(self, share: float) -> bool:
        return self.chance.random() < share

    @staticmethod
    def _later(seconds: float, action: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_later(seconds, action)


@dataclass
class Began:
    """A call. hooked: it has a request hook. receipts: of each item. result: what it returned or raised with.

    deadline: in seconds. settled_at: when its last receipt came.
    """

    at: float
    is_batch: bool
    numbers: Sequence[str]
    urgent: bool
    hooked: bool
    deadline: float | None
    settled_at: float = 0.0
    receipts: dict[int, list[Receipt]] = field(default_factory=lambda: defaultdict(list))
    result: Sequence[Receipt] | None = None


class RandomHook:
    """A request hook that waits, fails, or does nothing, and that checks the order of its own calls."""

    def __init__(self, chance: random.Random, faults: list[str]) -> None:
        self._chance, self._faults = chance, faults
        self._begun: set[int] = set()

    def before(self, indexes: Sequence[int], /) -> Any:
        if self._begun.intersection(indexes):
            self._faults.append("a request hook was called twice for an item")
        self._begun.update(indexes)
        kind = self._chance.random()
        if kind < 0.03:
            raise OSError
        return None if kind < 0.4 else self._wait(kind > 0.97)

    async def _wait(self, fails: bool) -> None:
        await asyncio.sleep(self._chance.choice([0, 0.01, 0.3]))
        if fails:
            raise OSError

    def undo(self, indexes: Sequence[int], /) -> None:
        if not self._begun.issuperset(indexes):
            self._faults.append("a request was undone that was not announced")
        self._begun.difference_update(indexes)


class Schedule:
    """One random run. faults: what went wrong, which is nothing."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.faults: list[str] = []
        self._chance = random.Random(seed)
        self._gateway = RandomGateway(self._chance, self.faults)
        self._calls: list[Began] = []
        self._plain: dict[str, Began] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._closing: list[asyncio.Task[None]] = []
        is_plain = self._gateway.is_friendly  # times are certain then
        self._hooked = 0 if is_plain else self._chance.choice([0, 0.25])
        self._rate = None if is_plain else self._chance.choice([None, None, None, 50.0])
        self._deadline = self._chance.choice([None, None, None, 1.0])
        self._acts = (
            0 if is_plain else self._chance.choice([0, 0, 0.1])
        )  # share of the receipts on which the application acts
        pick = self._chance.choice
        self._client = CMPPClient(
            "gateway",
            sp_id="901234",
            secret=SECRET,
            source_number="10690001",
            connect=self._gateway.connect,
            clock=asyncio.get_running_loop().time,
            sleep=asyncio.sleep,
            random=self._chance.random,
            window=self._gateway.window,
            answer_timeout=self._gateway.answer_timeout,
            rate=self._rate,
            patience=pick([30.0, 3.0]),
            deadline=self._deadline,
            silence=pick([1.0, 10.0]),
            idle=pick([2.0, 30.0]),
            on_receipt=self._on_receipt,
            state_dir=str(folder),
        )

    async def run(self) -> int:
        """Run it, and return how many SUBMITs the gateway has received."""
        loop, chance = asyncio.get_running_loop(), self._chance
        loop.set_exception_handler(lambda _, context: self.faults.append(f"{context}"))
        for _ in range(chance.choice([1, 3, 20])):
            self._start(self._call(chance.choice([1, 3, 6])))
        for _ in range(chance.choice([0, 0, 5])):
            await asyncio.sleep(chance.choice([0, 0.005, 0.1]))
            self._cancel_one()
        if chance.random() < 0.3:
            await asyncio.sleep(chance.choice([0, 0.02, 1]))
        else:
            await self._until_all_end()
        await self._client.aclose(timeout=chance.choice([0.0, 1.0, 30.0]))
        if self._closing:
            await asyncio.wait(self._closing)
        await self._until_all_end()
        await asyncio.sleep(5)  # for what ends in the background
        if any(one is not asyncio.current_task() for one in asyncio.all_tasks()):
            self.faults.append("the client has left tasks")
        self._check()
        return len(self._gateway.received)

    async def _until_all_end(self) -> None:
        until = asyncio.get_running_loop().time() + LONGEST
        while self._tasks and (left := until - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(list(self._tasks), timeout=left)
        if self._tasks:
            self.faults.append(f"{len(self._tasks)} calls hang")
            for task in list(self._tasks):
                task.cancel()
            await asyncio.sleep(1)

    def _start(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(doing)
        self._tasks[task] = None
        task.add_done_callback(self._on_end)

    def _on_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            self.faults.append(f"a call raised {task.exception()!r}")

    def _cancel_one(self) -> None:
        if self._tasks:
            self._chance.choice(list(self._tasks)).cancel()

    def _on_receipt(self, receipt: Receipt) -> None:
        call: Any = receipt.context or self._plain[receipt.number]
        call.receipts[receipt.index].append(receipt)
        call.settled_at = asyncio.get_running_loop().time()
        if self._chance.random() >= self._acts:
            return
        kind = self._chance.random()
        if kind < 0.4 and len(self._calls) < 400:
            self._start(self._call(1))
        elif kind < 0.6:
            self._cancel_one()
        elif kind < 0.8 and receipt.message_id:
            self._start(self._cancel_message(receipt.message_id))
        elif kind < 0.82:
            self._closing.append(asyncio.ensure_future(self._client.aclose(timeout=self._chance.choice([0.0, 5.0]))))
        elif kind > 0.9:
            raise ValueError

    async def _cancel_message(self, message_id: str) -> None:
        with contextlib.suppress(SMS1680Error):
            await self._client.cancel(message_id)

    async def _call(self, count: int) -> None:
        chance = self._chance
        for _ in range(count):
            kind, number = chance.choice(["plain", "one", "many", "batch"]), len(self._calls)
            size = {"many": chance.choice([2, 3, 120]), "batch": chance.choice([1, 2, 5, 30])}.get(kind, 1)
            numbers = [f"138{one:08}" for one in chance.sample(range(10**8), size)]
            options: dict[str, Any] = {}
            if chance.random() < 0.3:
                options["priority"] = "critical"
            if chance.random() < 0.1:
                options["deadline"] = chance.choice([0.001, 0.05, 1.0])
            if chance.random() < self._hooked:
                options["request_hook"] = RandomHook(chance, self.faults)
            if kind == "plain":  # without options
                numbers, options = [f"139{number:08}"], {}
            now = asyncio.get_running_loop().time()
            deadline = options.get("deadline", self._deadline)
            call = Began(now, kind == "batch", numbers, "priority" in options, "request_hook" in options, deadline)
            self._calls.append(call)
            try:
                if kind == "plain":
                    self._plain[numbers[0]] = call
                    call.result = await self._client.send(numbers[0], self._text(number, 0))
                    continue
                options["context"] = call
                if call.is_batch:
                    pairs = [(one, self._text(number, item)) for item, one in enumerate(numbers)]
                    call.result = await self._client.send_batch(pairs, **options)
                else:
                    call.result = await self._client.send(numbers, self._text(number, 0), **options)
            except SMS1680Error as error:
                call.result = error.receipts
            await asyncio.sleep(chance.choice([0, 0, 0, 0.01, 0.5]))

    def _text(self, call: int, item: int) -> str:
        mark = f"<{call}-{item}>"
        segments = self._chance.choice([0, 0, 0, 2, 3])
        return mark.ljust(_PART, "长") * segments or mark

    def _check(self) -> None:
        received: dict[tuple[int, int, str], list[Received]] = defaultdict(list)
        for one in self._gateway.received:
            for number in one.numbers:
                received[*one.item, number].append(one)
        for place, call in enumerate(self._calls):
            if call.result is not None and [one.number for one in call.result] != list(call.numbers):
                self.faults.append(f"call {place} returned the receipts of others")
            for index, number in enumerate(call.numbers):
                submits = received.pop((place, index if call.is_batch else 0, number), [])
                fault = self._fault(call.receipts[index], number, submits)
                if fault:
                    self.faults.append(f"call {place}, item {index}: {fault}")
        if received:
            self.faults.append(f"messages to wrong numbers: {list(received)}")
        self._check_times()

    def _check_times(self) -> None:
        """Check the order and the times, as far as this schedule makes them certain."""
        gateway = self._gateway
        is_fast = not gateway.too_fast and self._rate is None
        is_kind = not (gateway.hangs_up or gateway.terminates or gateway.unreachable or gateway.silent)
        if not (gateway.too_fast or gateway.wrong):
            self._check_order(urgent_first=is_fast and is_kind)
        if is_fast and is_kind and not (gateway.wrong or self._hooked or self._acts):
            self._check_window()
        if is_fast and not self._hooked and not self._acts:
            self._check_deadlines()

    def _fault(self, receipts: Sequence[Receipt], number: str, submits: Sequence[Received]) -> str | None:
        """Return what is wrong with the receipts of an item, compared with its SUBMITs."""
        if not receipts:
            return "no receipt"
        first, *later = receipts
        if first.number != number or len(later) > 1 or (later and first.outcome is not Outcome.UNKNOWN):
            return f"wrong receipts {receipts}"
        segments: dict[int, list[Received]] = defaultdict(list)
        for one in submits:
            segments[one.segment].append(one)
        if not all(one.may_be_repeated for tries in segments.values() for one in tries[:-1]):
            return "sent twice"
        accepted = {segment for segment, tries in segments.items() if tries[-1].answered == 0}
        is_certain = all(one.is_certain for one in submits)
        match first.outcome:
            case Outcome.ACCEPTED:
                is_right = bool(submits) and accepted == set(range(1, submits[0].total + 1))
            case Outcome.NOT_SENT | Outcome.REFUSED:
                is_right = is_certain
            case _:
                is_right = not is_certain or self._gateway.written > len(self._gateway.received)
        return None if is_right else f"{first} after {submits}"

    def _check_window(self) -> None:
        """Check that no message waited while there was a place in the window."""
        gateway = self._gateway
        for one in gateway.received:
            moment = one.at - _SOON
            if moment > max(self._calls[one.item[0]].at, gateway.connected_at) + _SOON:
                waiting = sum(other.at <= moment < other.read_at + 1e-6 for other in gateway.received)
                if waiting < gateway.window:
                    self.faults.append(f"call {one.item[0]} waited until {one.at} behind {waiting} requests")

    def _check_deadlines(self) -> None:
        """Check that deadlines, and the lost answers of calls with one SUBMIT, were noticed in time."""
        submits: dict[int, list[Received]] = defaultdict(list)
        for one in self._gateway.received:
            submits[one.item[0]].append(one)
        for place, call in enumerate(self._calls):
            reasons = {receipt.reason for receipts in call.receipts.values() for receipt in receipts[:1]}
            end = float("inf")
            if reasons == {Reason.DEADLINE} and call.deadline is not None:
                end = call.at + call.deadline
            elif reasons == {Reason.LOST} and [one.total for one in submits[place]] == [1]:
                end = submits[place][0].at + self._gateway.answer_timeout
            if call.settled_at > end + 2 * _SOON:
                self.faults.append(f"call {place} ended at {call.settled_at}, not at {end}: {reasons}")

    def _check_order(self, *, urgent_first: bool) -> None:
        """Check that calls without hooks send their items and segments in order, and urgent ones first."""
        last: dict[int, tuple[int, int]] = {}
        since: dict[int, int] = {}
        unhooked = [one for one in self._gateway.received if not self._calls[one.item[0]].hooked]
        for place, one in enumerate(unhooked):
            call, item = one.item
            if self._calls[call].is_batch or len(self._calls[call].numbers) == 1:
                if (item, one.segment) < last.get(call, (0, 0)):
                    self.faults.append(f"call {call} was sent in another order")
                last[call] = item, one.segment
            since[call] = place
        for call, end in since.items():
            if (
                urgent_first
                and self._calls[call].urgent
                and any(
                    one.at > self._calls[call].at + 1e-6
                    for one in unhooked[:end]
                    if not self._calls[one.item[0]].urgent
                )
            ):
                self.faults.append(f"the urgent call {call} waited for a normal one")
