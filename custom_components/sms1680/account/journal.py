"""Keeps what an account sends: each message before it goes out, and what the platform answered as soon as it has.

So a message that was under way when the power went is known as `unknown` afterwards, and a call that was cancelled
leaves no gap: the core tells its receipts all the same.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, Unpack

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.util import dt as dt_util

from ..client import Estimate, InvalidMessageError, Outcome, Reason, Receipt
from ..client.numbers import Number
from ..client.options import SendOptions
from ..client.plan import fill
from ..const import CONF_NUMBER, SUBENTRY_RECIPIENT
from ..context import is_automatic
from ..store.db import DeliveryUpdate, Dispatch, Outgoing, RecordedOutcome, comparable_number
from ..store.intake import StoreIntake
from ..store.manager import StoreManager, async_wait_done, stores_texts

# The way that a message is noted with until its receipt names the one that it went by.
WAY_HTTP: Final = "http"
# A disk that hangs must not keep an alarm from going out.
_PATIENCE: Final = 2.0


class Sender(Protocol):
    """What sends for an account, by whatever way; see the core's `AsyncClient`."""

    async def send(
        self, numbers: Number | Iterable[Number], text: str, **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send one text to one or more numbers."""

    async def send_template(
        self, template: str, rows: Iterable[Sequence[Number]], **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send a template filled in for each number."""

    async def send_batch(
        self, pairs: Iterable[tuple[Number, str]], **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send each number its own text."""

    async def balance(self) -> int:
        """Return the messages left of the product."""

    def estimate(self, text: str, *, refused_words: Iterable[str] = ()) -> Estimate:
        """Return what a text costs."""

    async def aclose(self) -> None:
        """Wait for what still ends in the background."""


@dataclass
class Recording:
    """Messages that go out in one call.

    waiting: the places of each number that have no receipt yet. unknown: those whose receipt says that the outcome is:
    the platform's answer may come late. answers: what is yet to be noted. begun: whether a request may have begun.
    outcomes: the last of each number. told: set once all have one.
    """

    shelf: StoreIntake
    dispatch: Dispatch
    waiting: dict[str, deque[int]] = field(default_factory=dict)
    unknown: dict[str, deque[int]] = field(default_factory=dict)
    answers: list[tuple[int, RecordedOutcome]] = field(default_factory=list)
    noted: list[Future[list[DeliveryUpdate]]] = field(default_factory=list)
    begun: bool = False
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        for place, message in enumerate(self.dispatch.messages):
            self.waiting.setdefault(message.number, deque()).append(place)

    def take_place(self, receipt: Receipt) -> int | None:
        """Return which message a receipt is of, None where it is of none of these."""
        places = self.waiting.get(receipt.number) or self.unknown.get(receipt.number)
        if not places:
            return None
        place = places.popleft()
        if receipt.outcome is Outcome.UNKNOWN:
            self.unknown.setdefault(receipt.number, deque()).append(place)
        return place


_CURRENT: ContextVar[Recording | None] = ContextVar("sms1680_recording", default=None)
_ATTEMPT: ContextVar[str | None] = ContextVar("sms1680_attempt", default=None)
_COLLECTED: ContextVar[list[Recording] | None] = ContextVar("sms1680_recordings", default=None)


@contextmanager
def collecting() -> Iterator[list[Recording]]:
    """Collect the recordings of what is sent inside; who collects around it gets them too."""
    recordings: list[Recording] = []
    outer = _COLLECTED.get()
    token = _COLLECTED.set(recordings)
    try:
        yield recordings
    finally:
        _COLLECTED.reset(token)
        if outer is not None:
            outer += recordings


@contextmanager
def attempting(attempt: str) -> Iterator[None]:
    """Note with what is sent inside by which try of a kept message it goes out."""
    token = _ATTEMPT.set(attempt)
    try:
        yield
    finally:
        _ATTEMPT.reset(token)


class RecordedSender:
    """A sender whose messages are kept.

    sender: it, to be set once it is made. `record` is to be called with each receipt as soon as it is known, from the
    task that sends (`on_receipt`).
    """

    sender: Sender

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry, storage: StoreManager) -> None:
        self._hass = hass
        self._entry = entry
        self._storage = storage
        self._under_way: set[asyncio.Future[None]] = set()

    async def async_drain(self, patience: float) -> None:
        """Wait until nothing is under way, for so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._under_way:
                    await asyncio.wait(self._under_way)

    async def send(
        self, numbers: Number | Iterable[Number], text: str, **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send one text to one or more numbers."""
        listed = [numbers] if isinstance(numbers, str | int) else list(numbers)
        pairs = [(number, text) for number in listed]
        return await self._kept(pairs, options, lambda: self.sender.send(listed, text, **options))

    async def send_template(
        self, template: str, rows: Iterable[Sequence[Number]], **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send a template filled in for each number."""
        listed = [list(row) for row in rows]
        pairs = [(row[0], fill(template, str(row[0]), [str(value) for value in row[1:]])) for row in listed if row]
        return await self._kept(pairs, options, lambda: self.sender.send_template(template, listed, **options))

    async def send_batch(
        self, pairs: Iterable[tuple[Number, str]], **options: Unpack[SendOptions]
    ) -> tuple[Receipt, ...]:
        """Send each number its own text."""
        listed = list(pairs)
        return await self._kept(listed, options, lambda: self.sender.send_batch(listed, **options))

    async def balance(self) -> int:
        """Return the messages left of the product."""
        return await self.sender.balance()

    def estimate(self, text: str, *, refused_words: Iterable[str] = ()) -> Estimate:
        """Return what a text costs."""
        return self.sender.estimate(text, refused_words=refused_words)

    async def aclose(self) -> None:
        """Wait for what still ends in the background."""
        await self.sender.aclose()

    @callback
    def record(self, receipt: Receipt, way: str = WAY_HTTP) -> None:
        """Note what became of one number, and by which way."""
        recording = _CURRENT.get()
        place = recording.take_place(receipt) if recording else None
        if recording is None or place is None:
            recording, place = self._recording([(receipt.number, None)], {}), 0
        answer = RecordedOutcome(
            receipt.outcome,
            dt_util.utcnow(),
            receipt.reason,
            receipt.message_ids,
            receipt.parts,
            receipt.segments,
            way,
        )
        self._answer(recording, place, answer)

    async def _kept(
        self,
        pairs: Iterable[tuple[Number, str | None]],
        options: SendOptions,
        send: Callable[[], Awaitable[tuple[Receipt, ...]]],
    ) -> tuple[Receipt, ...]:
        ended: asyncio.Future[None] = self._hass.loop.create_future()
        self._under_way.add(ended)
        try:
            return await self._recorded(self._recording(pairs, options), send)
        finally:
            self._under_way.discard(ended)
            ended.set_result(None)

    async def _recorded(
        self, recording: Recording, send: Callable[[], Awaitable[tuple[Receipt, ...]]]
    ) -> tuple[Receipt, ...]:
        store, dispatch = recording.shelf.store, recording.dispatch
        if (collected := _COLLECTED.get()) is not None:
            collected.append(recording)
        try:
            await async_wait_done(store.begin(dispatch), _PATIENCE)
        except asyncio.CancelledError:
            store.discard(dispatch)
            raise
        token = _CURRENT.set(recording)
        recording.begun = True
        try:
            receipts = await send()
        except InvalidMessageError:
            store.discard(dispatch)
            raise
        except asyncio.CancelledError:
            raise  # the core still tells what became of each
        except BaseException:
            await self._end(recording)
            raise
        finally:
            _CURRENT.reset(token)
        await self._end(recording)
        return receipts

    async def _end(self, recording: Recording) -> None:
        """Wait until all is noted; what no receipt told of, after an error that nobody foresaw, may have gone out."""
        for places in recording.waiting.values():
            while places:
                self._answer(
                    recording, places.popleft(), RecordedOutcome(Outcome.UNKNOWN, dt_util.utcnow(), Reason.LOST)
                )
        self._settle(recording)
        for future in recording.noted:
            await async_wait_done(future, _PATIENCE)

    def _recording(self, pairs: Iterable[tuple[Number, str | None]], options: SendOptions) -> Recording:
        """Return the recording of a call: each number once with each of its texts, as the core sends it."""
        now = dt_util.utcnow()
        due: datetime | None = options.get("at")
        known = {
            subentry.data[CONF_NUMBER]: subentry.subentry_id
            for subentry in self._entry.subentries.values()
            if subentry.subentry_type == SUBENTRY_RECIPIENT
        }
        texts = stores_texts(self._entry)
        once = dict.fromkeys((comparable_number(str(number)), text) for number, text in pairs)
        messages = tuple(
            Outgoing(
                self._entry.entry_id,
                number,
                WAY_HTTP,
                now,
                text if texts else None,
                known.get(number),
                due,
                is_automatic(),
                _ATTEMPT.get(),
            )
            for number, text in once
        )
        return Recording(self._storage.for_entry(self._entry), Dispatch(messages))

    def _answer(self, recording: Recording, place: int, answer: RecordedOutcome) -> None:
        """Take up what the platform answered to one message; those of a packet, which come together, are noted so."""
        if not recording.answers:
            self._hass.loop.call_soon(self._settle, recording)
        recording.answers.append((place, answer))
        recording.outcomes[recording.dispatch.messages[place].number] = answer.outcome
        if not any(recording.waiting.values()):
            recording.told.set()

    def _settle(self, recording: Recording) -> None:
        answers, recording.answers = recording.answers, []
        if not answers:
            return
        future = recording.shelf.store.settle(recording.dispatch, answers)
        recording.noted.append(future)

        def tell(done: asyncio.Future[list[DeliveryUpdate]]) -> None:
            if not done.cancelled() and done.exception() is None:
                self._storage.publish(done.result())

        asyncio.wrap_future(future, loop=self._hass.loop).add_done_callback(tell)
