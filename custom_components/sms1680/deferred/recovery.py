"""The result of an attempt that the end of the program interrupted."""

import asyncio
import contextlib
from typing import Final

from ..client import Outcome, Reason, Receipt
from ..store.db import DeliveryState, MessageStore, StoreError
from .models import StoredMessage
from .retry_policy import outcome_of_attempt

# The states of an attempt that certainly sent nothing.
_UNSENT: Final = frozenset({DeliveryState.NOT_SENT, DeliveryState.REFUSED})


def attempt_id(stored: StoredMessage) -> str:
    """Return the name of the interrupted attempt in the journal."""
    message = stored.message
    return message.attempt or f"{stored.row}.{message.tries}"


async def async_interrupted(journal: MessageStore, stored: StoredMessage) -> Receipt | None:
    """Return the result of an interrupted attempt; None if the message is to be sent again."""
    message, outcome = stored.message, Outcome.UNKNOWN
    if not message.watched:
        with contextlib.suppress(StoreError):
            found = await asyncio.wrap_future(journal.states_of_attempt(attempt_id(stored)))
            states = set(found)
            # The safe text can have waited for its turn. The messages of a refused digest still wait for room.
            waits = DeliveryState.NOT_SENT in states or message.limit is not None
            if states and states <= _UNSENT and waits:
                return None
            outcome = outcome_of_attempt(states)
    return Receipt(message.number, outcome, reason=Reason.LOST if outcome is Outcome.UNKNOWN else None)
