"""What the settings of a recipient and of its account ask for, read from their entry."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any, Final

from homeassistant.util import dt as dt_util

from ..const import (
    CONF_FALLBACK,
    CONF_FALLBACK_ACCOUNT,
    CONF_FALLBACK_ACTIONS,
    CONF_KEEP_TRYING,
    CONF_QUIET_FROM,
    CONF_QUIET_TO,
    CONF_REPORT_WITHIN,
    CONF_SAFE_TEXT,
    CONF_TIME_ZONE,
)
from ..deferred.policy import DeliveryPolicy, Fallback, to_seconds
from ..recipients import Addressee, find_recipient, recipients
from .quiet_hours import QuietHours

_NOTHING: Final[dict[str, Any]] = {}


def policy_for(addressee: Addressee) -> DeliveryPolicy:
    """Return what a recipient's own settings ask for, and its account's; of a number that is nobody's, the latter."""
    data = _settings(addressee)
    fallback = Fallback(
        data.get(CONF_FALLBACK_ACCOUNT),
        tuple(data.get(CONF_FALLBACK, ())),
        tuple(data.get(CONF_FALLBACK_ACTIONS, ())),
        to_seconds(data.get(CONF_REPORT_WITHIN)),
    )
    return DeliveryPolicy(
        to_seconds(data.get(CONF_KEEP_TRYING)), addressee.entry.options.get(CONF_SAFE_TEXT), fallback or None
    )


async def async_quiet_until(addressee: Addressee, moment: datetime) -> datetime | None:
    """Return when the quiet hours end that a recipient has at this moment; None where it has none."""
    data = _settings(addressee)
    name = data.get(CONF_TIME_ZONE)
    zone = await dt_util.async_get_time_zone(name) if name else None
    hours = QuietHours.of(
        _time(data.get(CONF_QUIET_FROM)), _time(data.get(CONF_QUIET_TO)), zone or dt_util.get_default_time_zone()
    )
    return hours.end_of(moment) if hours else None


def _time(value: str | None) -> time | None:
    return dt_util.parse_time(value) if value else None


def _settings(addressee: Addressee) -> Any:  # noqa: ANN401 - a subentry's data
    recipient = find_recipient(addressee.number, recipients(addressee.entry))
    return recipient.data if recipient else _NOTHING
