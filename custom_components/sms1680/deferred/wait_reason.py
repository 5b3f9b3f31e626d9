"""Why a message waits."""

from enum import StrEnum

from .models import QueuedMessage


class WaitReason(StrEnum):
    """Why a message waits.

    QUIET_HOURS: their end. KEEP_TRYING: the next attempt. LIMIT: room in a spending limit. SCHEDULED: its time; the
    platform has it already.
    """

    QUIET_HOURS = "quiet_hours"
    KEEP_TRYING = "keep_trying"
    LIMIT = "limit"
    SCHEDULED = "scheduled"


def wait_reason(message: QueuedMessage) -> WaitReason:
    """Return what a message of the queue waits for. The time to keep trying begins with its first attempt."""
    if message.limit is not None:
        return WaitReason.LIMIT
    return WaitReason.QUIET_HOURS if message.until is None or not message.tries else WaitReason.KEEP_TRYING
