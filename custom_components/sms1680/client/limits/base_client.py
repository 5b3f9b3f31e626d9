"""The parts that all clients share: settings, checks of a call, estimate and spending."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypedDict

from ..checks import positive, seconds, whole
from ..errors import InvalidMessageError, error_of
from ..numbers import Number, normalise_number
from ..options import CallOptions, Priority, RequestHook
from ..plan import SendPlan, check_extension, check_time
from ..receipts import OnReceipt, Receipt
from ..text import MAX_LENGTH, Estimate, Signature, SignaturePlace, estimate
from .rate import Clock, RateLimiter
from .settings import Spending, SpendingLimits
from .shared_state import find_state

if TYPE_CHECKING:
    from .budget import SpendingGuard

PATIENCE = 30.0


def _now() -> datetime:
    return datetime.now(UTC)


class ClientOptions(TypedDict, total=False):
    """The keyword arguments of every client.

    signature, signature_place: the 【…】 (one registered name or several: see `Signature`), in "front" (default),
    "behind", or added by the "platform".
    rate: items per second that the platform allows the account, None if unknown. max_length: UTF-16 units of a text
    with its signature (500). patience: seconds for retries while certainly nothing was sent (30). deadline: seconds
    from the call after which no request begins, None for no limit.
    on_receipt: called with each receipt as soon as it is known, also for cancelled calls.
    spending: spending limits, shared by all clients of the account on this machine; None for no guard.
    state_dir: the folder in which the processes of the machine share the rate and the spending, None for the default.
    state: the address of a Valkey or Redis server on which several machines share them (`redis://user:password@host/0`
    or `rediss://…`; needs the package redis), None for the one in SMS1680_STATE. Without it, or while it cannot be
    used, the folder is used.
    clock: monotonic seconds, the same in all processes. now: the current time, aware.
    """

    signature: str | Sequence[str] | None
    signature_place: SignaturePlace
    rate: float | None
    max_length: int
    patience: float
    deadline: float | None
    on_receipt: OnReceipt | None
    spending: SpendingLimits | None
    state_dir: str | None
    state: str | None
    clock: Clock
    now: Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """The checked settings of every client: see `ClientOptions`."""

    signature: str | Sequence[str] | None = None
    signature_place: SignaturePlace = "front"
    rate: float | None = None
    max_length: int = MAX_LENGTH
    patience: float = PATIENCE
    deadline: float | None = None
    on_receipt: OnReceipt | None = None
    spending: SpendingLimits | None = None
    state_dir: str | None = None
    state: str | None = field(default=None, repr=False)
    clock: Clock = time.monotonic
    now: Callable[[], datetime] = _now

    def __post_init__(self) -> None:
        whole("max_length", self.max_length, 10_000)
        seconds("patience", self.patience)
        if self.deadline is not None:
            seconds("deadline", self.deadline)
        if self.rate is not None:
            positive("rate", self.rate)


class BaseClient:
    """The base of all clients. key: see `account_key`."""

    def __init__(self, key: str, settings: ClientSettings) -> None:
        self._signature = Signature.read(settings.signature, settings.signature_place)
        self._max_length = settings.max_length
        self._patience = settings.patience
        self._deadline = settings.deadline
        self._on_receipt = settings.on_receipt
        self._clock = settings.clock
        self._now = settings.now
        state_dir, server = find_state(settings.state, settings.state_dir)
        self._limiter = RateLimiter(key, settings.rate, settings.clock, state_dir, server)
        self._guard: SpendingGuard | None = None
        if settings.spending is not None:
            from .budget import SpendingGuard  # noqa: PLC0415 - only a guard needs the database

            self._guard = SpendingGuard(key, settings.spending, lambda: settings.now().timestamp(), state_dir, server)

    def estimate(self, text: str, *, refused_words: Iterable[str] = ()) -> Estimate:
        """Return the cost of a text for one number with this client's signature, and warnings about its content.

        Nothing is sent. Raises InvalidMessageError.
        """
        signature = self._signature
        return estimate(
            text,
            signature=signature.setting if signature else None,
            signature_place=signature.place if signature else "front",
            refused_words=refused_words,
            max_length=self._max_length,
        )

    def spending(self) -> Spending | None:
        """Return the parts that all guarded clients of this account on this machine spent in the last hour and day.

        Without a guard, nothing is counted. None if the count cannot be read.
        """
        return Spending(0, 0) if self._guard is None else self._guard.spending()

    def room_at(self, number: Number, parts: int, *, messages: int = 1, automatic: bool = False) -> datetime:
        """Return when the spending limits allow a normal message to a number, if nothing else is sent until then.

        parts: of all `messages` to it. The result is now if there is room already. Raises InvalidMessageError.
        """
        now = self._now()
        if self._guard is None:
            return now
        room = self._guard.room_at(normalise_number(number), parts, messages=messages, automatic=automatic)
        return max(now, datetime.fromtimestamp(room, UTC))

    def most_parts(self, *, automatic: bool = False) -> int | None:
        """Return the parts of the longest normal message that the spending limits ever allow, None for no limit."""
        return None if self._guard is None else self._guard.most_parts(automatic=automatic)

    def _prepare(
        self,
        make_plan: Callable[..., SendPlan],
        *,
        at: datetime | None = None,
        extension: str | None = None,
        priority: Priority = "normal",
        patience: float | None = None,
        deadline: float | None = None,
        automatic: bool = False,
        context: object = None,
        request_hook: RequestHook | None = None,
    ) -> tuple[SendPlan, CallOptions]:
        """Check a call and its options. make_plan: takes the keyword arguments that all plans share."""
        if priority not in ("normal", "critical"):
            raise InvalidMessageError("the priority must be normal or critical", "优先级只能是 `normal` 或 `critical`")
        began = self._clock()
        until = self._deadline if deadline is None else seconds("deadline", deadline)
        options = CallOptions(
            began,
            self._patience if patience is None else seconds("patience", patience),
            None if until is None else began + until,
            priority,
            automatic,
            context,
            request_hook,
        )
        if at is not None:
            check_time(at, self._now())
        plan = make_plan(
            signature=self._signature, max_length=self._max_length, at=at, extension=check_extension(extension)
        )
        return plan, options


def successful(receipts: Sequence[Receipt]) -> tuple[Receipt, ...]:
    """Return the receipts of a call. Raise SendError if a number was neither accepted nor held."""
    error = error_of(receipts)
    if error is not None:
        raise error
    return tuple(receipts)
