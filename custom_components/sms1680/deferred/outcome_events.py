"""Tells what became in the end of messages that were kept for later: an event, and a repair where nobody has it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback

from ..client import Outcome, mask_number
from ..const import ATTR_CONFIG_ENTRY_ID, EVENT_DELAYED_MESSAGE
from ..context import async_fire
from ..errors import language
from ..issues import DELAYED_LOST
from ..outbound.send import Delivered

_GOOD: Final = (Outcome.ACCEPTED, Outcome.HELD)


@callback
def async_tell(hass: HomeAssistant, entry: ConfigEntry[Any], delivered: Delivered, since: datetime) -> None:
    """Tell what became of a message. since: when it was kept."""
    receiver = delivered.receiver
    response = delivered.as_response()
    data = {
        ATTR_CONFIG_ENTRY_ID: entry.entry_id,
        "subentry_id": receiver.subentry_id,
        "since": since.isoformat(),
        **{name: value for name, value in response.items() if name not in ("delayed_until", "trying_until")},
    }
    async_fire(hass, EVENT_DELAYED_MESSAGE, data)
    if delivered.receipt.outcome in _GOOD or delivered.is_taken_care_of:
        return
    spoken = language(hass)
    who = receiver.name or mask_number(receiver.number)
    problem = delivered.own_reason.sentence(spoken) if delivered.own_reason else delivered.final.sentence(spoken)
    DELAYED_LOST.async_create(hass, entry, _digest(receiver.subentry_id or receiver.number), who=who, problem=problem)


def _digest(who: str) -> str:
    """Return what tells one person's repair from another's without a number."""
    return hashlib.sha256(who.encode()).hexdigest()[:12]
