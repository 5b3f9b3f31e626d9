"""When a queued message is tried again, and when it is too late for it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from homeassistant.util import dt as dt_util

from ..client import Outcome, Reason
from ..client.limits.budget import NUMBER_WINDOW
from ..client.limits.ledger import HOUR
from ..client.outcomes import OWN_LIMITS
from ..store.db import DeliveryState
from .models import DeliveryResult, QueuedMessage, StoredMessage

TOO_LATE: Final = timedelta(days=1)
_FIRST_PAUSE: Final = 30.0
_LONGEST_PAUSE: Final = 300.0
# The last attempt is due exactly at the end of the time to keep trying, and starts a little later.
_GRACE: Final = timedelta(minutes=1)
# A message that is due within this time is sent at once.
_IMMEDIATELY: Final = timedelta(seconds=1)


def pause_after(tries: int) -> timedelta:
    """Return the pause after this many attempts: 30 s, doubled each time, at most five minutes."""
    return timedelta(seconds=min(_FIRST_PAUSE * 2 ** min(max(0, tries - 1), 10), _LONGEST_PAUSE))


def retry_pause(message: QueuedMessage, result: DeliveryResult) -> timedelta | None:
    """Return the pause before the next attempt, None for no further attempt."""
    receipt = result.receipt
    if receipt.outcome is Outcome.REFUSED and receipt.reason in OWN_LIMITS:
        window = NUMBER_WINDOW if receipt.reason is Reason.NUMBER_LIMIT else HOUR
        return None if result.is_handled else timedelta(seconds=window)
    unsent = receipt.outcome is Outcome.NOT_SENT and not result.may_have_arrived(message.policy)
    return pause_after(message.tries) if unsent else None


def is_too_late(stored: StoredMessage, now: datetime) -> bool:
    """Return whether the time for a message has passed, for example while Home Assistant was not running."""
    until = stored.message.until
    if until is not None and now > dt_util.utc_from_timestamp(until) + _GRACE:
        return True
    return now - stored.due > TOO_LATE


def at_present(message: QueuedMessage, number: str, name: str | None, now: datetime) -> QueuedMessage:
    """Return the message as it is to be sent now: to the current number, and without a time that has come."""
    until, keep_trying = message.until, message.policy.keep_trying
    at = message.at if message.at is not None and message.at > (now + _IMMEDIATELY).timestamp() else None
    if until is None and keep_trying is not None:
        until = (at or now.timestamp()) + keep_trying
    return replace(message, number=number, name=name, at=at, until=until)


def outcome_of_attempt(states: Iterable[DeliveryState]) -> Outcome:
    """Return the outcome of an interrupted attempt from the states of its messages, at least one of them sent."""
    found = set(states) - {DeliveryState.NOT_SENT}
    if not found or found & {DeliveryState.SENDING, DeliveryState.UNKNOWN}:
        return Outcome.UNKNOWN
    if found == {DeliveryState.REFUSED}:
        return Outcome.REFUSED
    return Outcome.HELD if found <= {DeliveryState.REFUSED, DeliveryState.HELD} else Outcome.ACCEPTED
