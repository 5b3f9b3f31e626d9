"""The journal of an account: each message before it is sent, and the platform's answer as soon as it is known.

A message is marked right before its request may leave. So after a power failure, a message with this mark is `unknown`,
and one that waited for its turn is `not_sent`. A call that is cancelled leaves no gap, because the core still delivers
its receipts.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self
from weakref import WeakSet

from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.util import dt as dt_util

from ..client import InvalidMessageError, Outcome, Reason, Receipt
from ..client.options import RequestHook, SendOptions
from ..client.outcomes import OWN_LIMITS
from ..client.text import Signature
from ..const import CONF_HTTP, CONF_SIGNATURE, CONF_SIGNATURE_PLACE
from ..events.causes import cause_of
from ..events.context import is_automatic
from ..recipients import find_recipient
from ..store.db import DeliveryUpdate, Dispatch, Outgoing, RecordedOutcome, comparable_number
from ..store.intake import StoreIntake
from ..store.lazy import Lazy
from ..store.manager import StoreManager, async_wait_done, stores_texts
from ..store.turns import in_turns
from .failover import FailoverClient
from .messages import OutgoingMessage

# Seconds. A disk that hangs must not keep an alarm from being sent.
_STORE_TIMEOUT: Final = 2.0

type OnRow = Callable[[str, int], object]


@dataclass(frozen=True, slots=True)
class SendContext:
    """The origin of a send.

    automatic: one of our own events led to it. attempt_id: the attempt of a deferred message. caller: Home Assistant's
    context of the call, the parent of the events about it. cause: of the call, as `cause_of` returns it. avoid: the
    transport to use last.
    batches: a list that collects the batches of everything that is sent with this context. request_hook: is called
    with each request, after the journal; if it raises, the request does not leave. on_row: called with the number and
    the row of each message before its request may leave.
    """

    automatic: bool = False
    attempt_id: str | None = None
    caller: Context | None = field(default=None, repr=False, compare=False)
    cause: str | None = None
    avoid: str | None = None
    batches: "list[JournalBatch] | None" = field(default=None, repr=False, compare=False)
    request_hook: RequestHook | None = field(default=None, repr=False, compare=False)
    on_row: OnRow | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of_call(cls, hass: HomeAssistant, caller: Context | None) -> Self:
        """Return the origin of a send that Home Assistant's context of a call describes."""
        return cls(is_automatic(hass, caller), caller=caller, cause=cause_of(hass, caller))


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of one item of a message. row: in the journal, None if it could not be written.

    transport: that answered, None if none did.
    """

    receipt: Receipt
    row: int | None
    transport: str | None = None


@dataclass(eq=False, slots=True, weakref_slot=True)
class JournalBatch:
    """The items of one send, in the journal; the core returns it as the context of each receipt.

    pending: answers that are not written yet. writes: unfinished writes of others. started: a request has possibly been
    sent. outcomes, transports: the latest of each item, by its index. complete: set once each item has one.
    """

    intake: StoreIntake
    dispatch: Dispatch
    context: SendContext
    pending: list[tuple[int, RecordedOutcome]] = field(default_factory=list)
    writes: set[Future[list[DeliveryUpdate]]] = field(default_factory=set)
    started: bool = False
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    transports: dict[int, str] = field(default_factory=dict)
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    async def before(self, indexes: Sequence[int], /) -> None:
        """Mark items whose request may leave now, as the request hook of the send."""
        marking = self.intake.store.mark(self.dispatch, indexes)
        hook = self.context.request_hook
        if hook is not None and (result := hook.before(indexes)) is not None:
            await result
        await async_wait_done(marking, _STORE_TIMEOUT)
        self.started = True  # a call that was cancelled before sends nothing
        self.report_rows(indexes)

    def undo(self, indexes: Sequence[int], /) -> None:
        """Mark items as waiting that another request will carry."""
        self.intake.store.mark(self.dispatch, indexes, leaves=False)
        if self.context.request_hook is not None:
            self.context.request_hook.undo(indexes)

    def report_rows(self, indexes: Iterable[int]) -> None:
        """Call `on_row` with the rows of some items, as far as they are known."""
        if self.context.on_row is not None:
            for index in indexes:
                if (row := self.dispatch.rows[index]) is not None:
                    self.context.on_row(self.dispatch.messages[index].number, row)


DEFAULT_CONTEXT: Final = SendContext()


def context_of(receipt: Receipt) -> SendContext:
    """Return the context of the send that a receipt belongs to."""
    batch = receipt.context
    return batch.context if isinstance(batch, JournalBatch) else DEFAULT_CONTEXT


def signature_of(entry: ConfigEntry[Any]) -> Signature | None:
    """Return the signature that an account adds to its texts."""
    name = entry.options.get(CONF_SIGNATURE)
    return Signature(name, entry.options.get(CONF_SIGNATURE_PLACE, "front")) if name else None


class JournaledClient:
    """The client of an account. It writes each message to the journal.

    `on_receipt` is to be called with each receipt as soon as it is known.
    """

    def __init__(
        self, hass: HomeAssistant, entry: ConfigEntry[Any], failover: FailoverClient, store: StoreManager
    ) -> None:
        self.failover = failover
        self._hass = hass
        self._entry = entry
        self._store = store
        self._running: set[asyncio.Future[None]] = set()
        self._batches: WeakSet[JournalBatch] = WeakSet()

    async def async_drain(self, seconds: float) -> None:
        """Wait until no send is running, at most this long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._running:
                    await asyncio.wait(self._running)

    async def send(
        self, message: OutgoingMessage, options: SendOptions | None = None, context: SendContext = DEFAULT_CONTEXT
    ) -> Sequence[SendResult]:
        """Send a message; return a result for each item, in order, whatever the outcome. Raises InvalidMessageError."""
        with self.busy():
            return await self._send(message, options or {}, context)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Let `async_drain` wait until the context ends: a call is about to send."""
        running: asyncio.Future[None] = self._hass.loop.create_future()
        self._running.add(running)
        try:
            yield
        finally:
            self._running.discard(running)
            running.set_result(None)

    @callback
    def sends_automatically_to(self, number: str) -> bool:
        """Return whether an automatic message to a number in comparable form is being sent.

        Its delivery report can arrive before the platform's answer, and then no row of the journal has its id.
        """
        return any(
            batch.context.automatic
            and batch.started
            and (batch.pending or not batch.complete.is_set())
            and any(message.number == number for message in batch.dispatch.messages)
            for batch in self._batches
        )

    @callback
    def on_receipt(self, receipt: Receipt, transport: str) -> None:
        """Write the platform's answer to one item, and the transport that it was sent by."""
        batch, index = receipt.context, receipt.index
        if not isinstance(batch, JournalBatch):
            number = comparable_number(receipt.number)
            batch, index = self._open([number], [None], [find_recipient(self._entry, number)], {}, DEFAULT_CONTEXT), 0
        outcome = receipt.outcome
        if receipt.reason in OWN_LIMITS and batch.dispatch.messages[index].priority != "critical":
            outcome = Outcome.NOT_SENT  # it waits for room in the limit, or another message replaces it
        answer = RecordedOutcome(
            outcome,
            dt_util.utcnow(),
            receipt.reason,
            receipt.message_ids,
            receipt.parts,
            receipt.segments,
            transport,
        )
        batch.transports[index] = transport
        self._add_answer(batch, index, answer)

    async def _send(self, message: OutgoingMessage, options: SendOptions, context: SendContext) -> Sequence[SendResult]:
        # Only distinct items are sent, as by the core itself, so that the index of a receipt is that of a row.
        items = message.items(signature_of(self._entry))
        first: dict[Hashable, int] = {}
        for place, item in enumerate(items):
            first.setdefault(item, place)
        indexes: Sequence[int] = range(len(items))
        if len(first) < len(items):
            index = {item: index for index, item in enumerate(first)}
            indexes = [index[item] for item in items]
            message = message.select(list(first.values()))
        numbers: list[str] = []
        recipients: list[ConfigSubentry | None] = []
        async for given in in_turns(message.numbers):
            numbers.append(comparable_number(given))
            recipients.append(find_recipient(self._entry, numbers[-1]))
        batch = self._open(numbers, message.texts, recipients, options, context)
        self._batches.add(batch)
        store, dispatch = batch.intake.store, batch.dispatch
        if context.batches is not None:
            context.batches.append(batch)
        store.begin(dispatch)  # `JournalBatch.before` waits for it
        try:
            options = {**options, "automatic": context.automatic, "context": batch, "request_hook": batch}
            receipts = await self.failover.send(message, options, avoid=context.avoid)
        except InvalidMessageError:
            store.discard(dispatch)
            raise
        except asyncio.CancelledError:
            raise  # the core still delivers the receipts
        except BaseException:
            await self._close(batch)
            raise
        await self._close(batch)

        def result(place: int) -> SendResult:
            index = indexes[place]
            return SendResult(receipts[index], dispatch.rows[index], batch.transports.get(index))

        return Lazy(len(indexes), result)

    async def _close(self, batch: JournalBatch) -> None:
        """Wait until all is written. An item without a receipt, after an unexpected error, has an unknown outcome."""
        for index in range(len(batch.dispatch.messages)):
            if index not in batch.outcomes:
                self._add_answer(batch, index, RecordedOutcome(Outcome.UNKNOWN, dt_util.utcnow(), Reason.LOST))
        self._write(batch)
        for write in tuple(batch.writes):
            await async_wait_done(write, _STORE_TIMEOUT)

    def _open(
        self,
        numbers: Sequence[str],
        texts: Sequence[str | None],
        recipients: Sequence[ConfigSubentry | None],
        options: SendOptions,
        context: SendContext,
    ) -> JournalBatch:
        """Return the batch of a send. The transport is noted as HTTP until a receipt names it.

        numbers: in comparable form. recipients: that have them.
        """
        entry, now = self._entry, dt_util.utcnow()
        has_texts = stores_texts(entry)
        due, priority = options.get("at"), options.get("priority", "normal")

        def message(place: int) -> Outgoing:
            recipient = recipients[place]
            return Outgoing(
                entry.entry_id,
                numbers[place],
                CONF_HTTP,
                now,
                texts[place] if has_texts else None,
                recipient.subentry_id if recipient else None,
                due,
                context.automatic,
                context.attempt_id,
                priority,
                context.cause,
            )

        return JournalBatch(self._store.for_entry(entry), Dispatch(Lazy(len(numbers), message)), context)

    def _add_answer(self, batch: JournalBatch, index: int, answer: RecordedOutcome) -> None:
        """Add the answer to one item; the answers of a packet arrive together and are written together."""
        if not batch.pending:
            self._hass.loop.call_soon(self._write, batch)
        batch.pending.append((index, answer))
        batch.outcomes[index] = answer.outcome
        if len(batch.outcomes) == len(batch.dispatch.messages):
            batch.complete.set()

    def _write(self, batch: JournalBatch) -> None:
        answers, batch.pending = batch.pending, []
        if not answers:
            return
        write = batch.intake.store.settle(batch.dispatch, answers)
        batch.writes.add(write)
        indexes = [index for index, _ in answers]

        def publish(done: Future[list[DeliveryUpdate]]) -> None:
            batch.writes.discard(done)  # otherwise, a large call would hold the states of all its messages to its end
            if not done.cancelled() and done.exception() is None:
                batch.report_rows(indexes)
                self._store.publish(done.result())

        def call_publish(done: Future[list[DeliveryUpdate]]) -> None:
            if not self._hass.loop.is_closed():
                self._hass.loop.call_soon_threadsafe(publish, done)

        write.add_done_callback(call_publish)  # `wrap_future` would leave a cycle with the result
