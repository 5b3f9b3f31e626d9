"""What happens to a message whose attempt the end of the program interrupted."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from homeassistant.util import dt as dt_util

from ..client import Outcome, Reason, Receipt
from ..store.db import DeliveryState, MessageStore, StoreError
from .models import DeliveryResult, QueuedMessage, StoredMessage
from .retry_policy import TOO_LATE, outcome_of_attempt
from .storage import WOULD_BE_LOST, QueueStorage

_LOGGER = logging.getLogger(__name__)

# The states of an attempt that certainly sent nothing.
_UNSENT: Final = frozenset({DeliveryState.NOT_SENT, DeliveryState.REFUSED})
# How long an interrupted alarm is tried again: after a power failure, the network can take minutes to come back.
_ALARM_PATIENCE: Final = timedelta(minutes=10)


def attempt_id(stored: StoredMessage) -> str:
    """Return the name of the interrupted attempt in the journal."""
    message = stored.message
    return message.attempt or f"{stored.row}.{message.tries}"


def by_attempt(interrupted: Sequence[StoredMessage]) -> list[list[StoredMessage]]:
    """Return interrupted messages by their attempts. Each alarm is on its own: no digest has one."""
    groups: dict[tuple[str, int | None], list[StoredMessage]] = {}
    for stored in interrupted:
        own = stored.row if stored.message.priority == "critical" else None
        groups.setdefault((attempt_id(stored), own), []).append(stored)
    return list(groups.values())


async def async_interrupted(journal: MessageStore, stored: StoredMessage) -> Receipt | None:
    """Return the result of an interrupted attempt; None if the message is to be sent again."""
    message, outcome = stored.message, Outcome.UNKNOWN
    if not message.watched:
        number = message.number if message.priority == "critical" else None
        with contextlib.suppress(StoreError):
            found = await asyncio.wrap_future(journal.states_of_attempt(attempt_id(stored), number))
            states = set(found)
            # The safe text can have waited for its turn. The messages of a refused digest still wait for room.
            waits = DeliveryState.NOT_SENT in states or message.limit is not None
            if states and states <= _UNSENT and waits:
                return None
            outcome = outcome_of_attempt(states)
    return Receipt(message.number, outcome, reason=Reason.LOST if outcome is Outcome.UNKNOWN else None)


async def async_recover(
    journal: MessageStore, storage: QueueStorage, group: Sequence[StoredMessage]
) -> tuple[Receipt | None, list[StoredMessage]]:
    """Return the result of an attempt; None if its messages are to be sent, which are returned as they are queued.

    They are sent again if nothing was submitted. An alarm with an unknown outcome is sent once more.
    """
    receipt = await async_interrupted(journal, group[0])
    now = dt_util.utcnow()
    attempt, number = attempt_id(group[0]), group[0].message.number
    if receipt is not None:
        if receipt.outcome is not Outcome.ACCEPTED:
            journal.conclude_attempt(attempt, number)
        if not _is_repeated(group[0], receipt, now):
            return receipt, []
    queued = [_waiting(stored, now, repeated=receipt is not None) for stored in group]
    try:
        await storage.async_update_together(queued)
    except StoreError as error:
        _LOGGER.warning(WOULD_BE_LOST, error)
    else:
        journal.forget_attempt(attempt, number)
    return None, queued


def _is_repeated(stored: StoredMessage, receipt: Receipt, now: datetime) -> bool:
    """Return whether an interrupted message is sent once more: an alarm that may not have arrived."""
    message = stored.message
    uncertain = receipt.outcome is Outcome.UNKNOWN and not message.watched and not message.repeated
    wanted = message.priority == "critical" and message.policy.repeat is not False
    return uncertain and wanted and now - stored.due <= TOO_LATE


def _waiting(stored: StoredMessage, now: datetime, *, repeated: bool) -> StoredMessage:
    """Return a message as it waits for its next attempt. An alarm is tried for some minutes."""
    message = replace(stored.message, attempt=None)
    if message.priority != "critical":
        return replace(stored, message=message)
    least = (now + _ALARM_PATIENCE).timestamp()
    until = message.until
    if until is not None or message.policy.keep_trying is None:
        until = max(until or 0.0, least)
    message = replace(message, until=until, tries=max(1, message.tries), repeated=message.repeated or repeated)
    return StoredMessage(stored.row, now if repeated else stored.due, message)


def final_result(message: QueuedMessage, result: DeliveryResult) -> DeliveryResult:
    """Return the result that counts: that of the first attempt, which is unknown, unless its repetition is accepted."""
    outcome = result.receipt.outcome
    if not message.repeated or message.watched or outcome is Outcome.ACCEPTED:
        return result
    receipt = Receipt(message.number, Outcome.UNKNOWN, reason=Reason.LOST)
    return replace(result, receipt=receipt, drop_reason=None, repeated=outcome.may_arrive)
