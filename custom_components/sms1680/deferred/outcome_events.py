"""Reports the final outcome of queued messages: an event, and a repair for a lost message."""

import hashlib
from datetime import datetime
from typing import Any

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback

from ..client import Outcome, mask_number
from ..const import ATTR_CONFIG_ENTRY_ID, EVENT_DELAYED_MESSAGE
from ..context import async_fire
from ..errors import language, reason_and_advice
from ..issues import DELAYED_LOST, DELAYED_UNCERTAIN
from .models import DeliveryResult


@callback
def async_report_outcome(hass: HomeAssistant, entry: ConfigEntry[Any], result: DeliveryResult, since: datetime) -> None:
    """Report the outcome of a message. since: when it was queued."""
    addressee = result.addressee
    response = result.as_response()
    data = {
        ATTR_CONFIG_ENTRY_ID: entry.entry_id,
        "subentry_id": addressee.subentry_id,
        "since": since.isoformat(),
        **{name: value for name, value in response.items() if name not in ("delayed_until", "trying_until")},
    }
    async_fire(hass, EVENT_DELAYED_MESSAGE, data)
    if result.receipt.outcome.is_success or result.is_handled:
        return
    spoken = language(hass)
    who = addressee.name or mask_number(addressee.number)
    receipt = result.final_receipt
    problem = result.drop_reason.sentence(spoken) if result.drop_reason else reason_and_advice(receipt, spoken)
    repair = DELAYED_UNCERTAIN if receipt.outcome is Outcome.UNKNOWN else DELAYED_LOST
    # The id of one person's repair, which does not show the number.
    digest = hashlib.sha256((addressee.subentry_id or addressee.number).encode()).hexdigest()[:12]
    repair.async_create(hass, entry, digest, who=who, problem=problem)
