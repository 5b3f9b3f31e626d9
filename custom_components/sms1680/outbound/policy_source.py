"""The delivery policy and the quiet hours in the settings of a recipient and of its account."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from homeassistant.util import dt as dt_util

from ..const import CONF_QUIET_FROM, CONF_QUIET_TO, CONF_SAFE_TEXT, CONF_TIME_ZONE
from ..deferred.policy import DeliveryPolicy
from ..recipients import Addressee, find_recipient
from .quiet_hours import QuietHours


def policy_for(addressee: Addressee) -> DeliveryPolicy:
    """Return the policy in the settings of the recipient and its account; for other numbers, of the account only."""
    return DeliveryPolicy.from_settings(_settings(addressee), addressee.entry.options.get(CONF_SAFE_TEXT))


def completed(policy: DeliveryPolicy, addressee: Addressee, of_numbers: dict[str, DeliveryPolicy]) -> DeliveryPolicy:
    """Return the policy of a call, completed with the settings.

    of_numbers: by account, one object for all numbers that no recipient has.
    """
    entry = addressee.entry
    if find_recipient(entry, addressee.number) is not None:
        return policy.with_defaults(policy_for(addressee))
    if entry.entry_id not in of_numbers:
        of_numbers[entry.entry_id] = policy.with_defaults(policy_for(addressee))
    return of_numbers[entry.entry_id]


async def async_quiet_until(addressee: Addressee, moment: datetime) -> datetime | None:
    """Return the end of the addressee's quiet hours at this moment, None outside of them."""
    settings = _settings(addressee)
    if not settings:
        return None
    name = settings.get(CONF_TIME_ZONE)
    zone = await dt_util.async_get_time_zone(name) if name else None
    hours = QuietHours.create(
        dt_util.parse_time(settings.get(CONF_QUIET_FROM) or ""),
        dt_util.parse_time(settings.get(CONF_QUIET_TO) or ""),
        zone or dt_util.get_default_time_zone(),
    )
    return hours.end_of(moment) if hours else None


def _settings(addressee: Addressee) -> Mapping[str, Any]:
    recipient = find_recipient(addressee.entry, addressee.number)
    return recipient.data if recipient else {}
