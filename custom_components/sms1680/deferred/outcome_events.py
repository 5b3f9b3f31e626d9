"""Reports the final outcome of queued messages: an event, and a repair for a lost message."""

import hashlib
from datetime import datetime
from typing import Any

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import Context, HomeAssistant, callback
from homeassistant.util import dt as dt_util

from ..client import Outcome, mask_number
from ..const import ATTR_CONFIG_ENTRY_ID, EVENT_DELAYED_MESSAGE
from ..errors import language, reason_and_advice
from ..events.context import async_fire
from ..issues import DELAYED_LOST, DELAYED_UNCERTAIN
from .models import DeliveryResult, QueuedMessage


@callback
def async_report_outcome(
    hass: HomeAssistant, entry: ConfigEntry[Any], result: DeliveryResult, message: QueuedMessage
) -> None:
    """Report the outcome of a message. A failed critical message has a repair of its own."""
    since = dt_util.utc_from_timestamp(message.queued_at(dt_util.utcnow().timestamp()))
    async_fire_outcome(hass, entry, result, since, late=message.is_late)
    if result.receipt.outcome.is_success or result.is_handled or message.priority == "critical":
        return
    spoken = language(hass)
    addressee = result.addressee
    who = addressee.name or mask_number(addressee.number)
    receipt = result.final_receipt
    problem = result.drop_reason.sentence(spoken) if result.drop_reason else reason_and_advice(receipt, spoken)
    repair = DELAYED_UNCERTAIN if receipt.outcome is Outcome.UNKNOWN else DELAYED_LOST
    # The id of one person's repair, which does not show the number.
    digest = hashlib.sha256((addressee.subentry_id or addressee.number).encode()).hexdigest()[:12]
    repair.async_create(hass, entry, digest, who=who, problem=problem)


@callback
def async_fire_outcome(
    hass: HomeAssistant,
    entry: ConfigEntry[Any],
    result: DeliveryResult,
    since: datetime,
    caller: Context | None = None,
    *,
    late: bool = False,
) -> None:
    """Fire the event of a message that no longer waits. since: when it was queued. caller: who ended it.

    late: its times were moved by a guess, see `QueuedMessage.is_late`.
    """
    data = {
        ATTR_CONFIG_ENTRY_ID: entry.entry_id,
        "subentry_id": result.addressee.subentry_id,
        "since": since.isoformat(),
        **{
            name: value for name, value in result.as_response().items() if name not in ("delayed_until", "trying_until")
        },
        "digest": result.digest,
        "late": late,
    }
    async_fire(hass, EVENT_DELAYED_MESSAGE, data, caller)
