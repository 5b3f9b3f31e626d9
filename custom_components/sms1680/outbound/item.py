"""A message to one addressee on its way through the stages of a delivery."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from homeassistant.core import Context
from homeassistant.util import dt as dt_util

from ..client import Outcome
from ..deferred.models import DeliveryResult, QueuedMessage
from ..deferred.policy import DeliveryPolicy
from ..deferred.queue import DeferredQueue
from ..recipients import Addressee
from ..store.lazy import Lazy
from .fallback import allows_duplicates
from .message import MessageOptions

# With these outcomes the message certainly does not arrive now, so that the fallback cannot duplicate it.
FALLS_BACK: Final = (Outcome.REFUSED, Outcome.NOT_SENT, Outcome.HELD)


@dataclass(frozen=True, slots=True, repr=False)
class OutboundItem:
    """A message to one addressee on its way through the stages.

    context: for the permissions of the fallback. queue: of the account when the delivery started, even if the account
    was unloaded since.
    """

    addressee: Addressee
    text: str
    policy: DeliveryPolicy
    options: MessageOptions
    context: Context
    queue: DeferredQueue

    def queued(self, **fields: Any) -> QueuedMessage:
        """Return the message as it is queued."""
        addressee, options = self.addressee, self.options
        return QueuedMessage(
            addressee.number,
            self.text,
            addressee.name,
            addressee.subentry_id,
            options.extension_for(addressee),
            options.priority,
            self.policy,
            options.context.automatic,
            self.context.user_id,
            dt_util.utcnow().timestamp(),
            at=options.at.timestamp() if options.at else None,
            cause=options.context.cause,
            **fields,
        )

    @property
    def is_stored(self) -> bool:
        """Whether the queue stores the message while it is being sent: an alarm that has no other store."""
        return self.options.is_critical and self.options.context.attempt_id is None

    @property
    def allows_duplicates(self) -> bool:
        """Whether the fallback may send a possible duplicate."""
        return allows_duplicates(self.policy.fallback, self.options)

    def falls_back(self, result: DeliveryResult) -> bool:
        """Return whether this result makes the fallback run."""
        outcome = result.receipt.outcome
        return bool(self.policy.fallback and not result.is_pending) and (
            outcome in FALLS_BACK or (outcome is Outcome.UNKNOWN and self.allows_duplicates)
        )


class OutboundItems(Lazy[OutboundItem]):
    """The items of a call, each made when it is read.

    addressees, texts, policies: of each. queues: of the accounts, by their entry ids.
    """

    def __init__(  # noqa: PLR0917 - the parts of one call
        self,
        addressees: Sequence[Addressee],
        texts: Sequence[str],
        policies: Sequence[DeliveryPolicy],
        options: MessageOptions,
        context: Context,
        queues: Mapping[str, DeferredQueue],
    ) -> None:
        self.addressees = addressees
        self.policies = policies
        self._texts = texts
        self._shared = (options, context, queues)

        def make(place: int) -> OutboundItem:
            addressee = addressees[place]
            queue = queues[addressee.entry.entry_id]
            return OutboundItem(addressee, texts[place], policies[place], options, context, queue)

        super().__init__(len(addressees), make)

    def select(self, places: Sequence[int]) -> Self:
        """Return the items at these places."""
        return type(self)(
            [self.addressees[place] for place in places],
            [self._texts[place] for place in places],
            [self.policies[place] for place in places],
            *self._shared,
        )
