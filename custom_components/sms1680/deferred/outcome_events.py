"""Tells what became in the end of messages that were kept for later: an event, and a repair where nobody has it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir

from ..client import Outcome, mask_number
from ..const import ATTR_CONFIG_ENTRY_ID, DOMAIN, EVENT_DELAYED_MESSAGE
from ..context import async_fire
from ..errors import language
from ..outbound.send import Delivered

_LOST: Final = "delayed_lost"
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
    ir.async_create_issue(
        hass,
        DOMAIN,
        f"{_of(entry)}{_digest(receiver.subentry_id or receiver.number)}",
        is_fixable=True,
        is_persistent=True,
        severity=ir.IssueSeverity.ERROR,
        translation_key=_LOST,
        translation_placeholders={"account": entry.title, "who": who, "problem": problem},
    )


@callback
def async_remove_later_issues(hass: HomeAssistant, entry: ConfigEntry[Any]) -> None:
    """Take back the repairs of an account that is no more."""
    for domain, issue in list(ir.async_get(hass).issues):
        if domain == DOMAIN and issue.startswith(_of(entry)):
            ir.async_delete_issue(hass, DOMAIN, issue)


def _of(entry: ConfigEntry[Any]) -> str:
    return f"{_LOST}_{entry.entry_id}_"


def _digest(who: str) -> str:
    """Return what tells one person's repair from another's without a number."""
    return hashlib.sha256(who.encode()).hexdigest()[:12]
