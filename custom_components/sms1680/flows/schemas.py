"""The fields of a recipient's dialog by which a person says when not to disturb it, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import voluptuous as vol
from homeassistant.helpers.selector import (
    ActionSelector,
    ConfigEntrySelector,
    ConfigEntrySelectorConfig,
    DurationSelector,
    EntitySelector,
    EntitySelectorConfig,
    TextSelector,
    TimeSelector,
)
from homeassistant.helpers.typing import VolDictType
from homeassistant.util import dt as dt_util

from ..const import (
    CONF_FALLBACK,
    CONF_FALLBACK_ACCOUNT,
    CONF_FALLBACK_ACTIONS,
    CONF_KEEP_TRYING,
    CONF_QUIET_FROM,
    CONF_QUIET_TO,
    CONF_REPORT_WITHIN,
    CONF_TIME_ZONE,
    DOMAIN,
)
from ..deferred.policy import to_seconds

RECIPIENT_FIELDS: Final[VolDictType] = {
    vol.Optional(CONF_QUIET_FROM): TimeSelector(),
    vol.Optional(CONF_QUIET_TO): TimeSelector(),
    vol.Optional(CONF_TIME_ZONE): TextSelector(),
    vol.Optional(CONF_KEEP_TRYING): DurationSelector(),
    vol.Optional(CONF_FALLBACK_ACCOUNT): ConfigEntrySelector(ConfigEntrySelectorConfig(integration=DOMAIN)),
    vol.Optional(CONF_FALLBACK): EntitySelector(EntitySelectorConfig(domain="notify", multiple=True)),
    vol.Optional(CONF_FALLBACK_ACTIONS): ActionSelector(),
    vol.Optional(CONF_REPORT_WITHIN): DurationSelector(),
}
_DURATIONS: Final = (CONF_KEEP_TRYING, CONF_REPORT_WITHIN)


def recipient_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given as a recipient keeps it; what was left empty is not there."""
    settings = {str(name): given[str(name)] for name in RECIPIENT_FIELDS if given.get(str(name))}
    if zone := settings.pop(CONF_TIME_ZONE, "").strip():
        settings[CONF_TIME_ZONE] = zone
    for name in _DURATIONS:
        if to_seconds(settings.get(name)) is None:
            settings.pop(name, None)
    return settings


async def async_recipient_errors(given: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with what was given."""
    settings = recipient_settings(given)
    errors: dict[str, str] = {}
    begin, end = settings.get(CONF_QUIET_FROM), settings.get(CONF_QUIET_TO)
    if (begin is None) != (end is None):
        errors[CONF_QUIET_TO if end is None else CONF_QUIET_FROM] = "both_times"
    elif begin is not None and dt_util.parse_time(begin) == dt_util.parse_time(end or ""):
        errors[CONF_QUIET_TO] = "same_time"
    zone = settings.get(CONF_TIME_ZONE)
    if zone is not None and await dt_util.async_get_time_zone(zone) is None:
        errors[CONF_TIME_ZONE] = "invalid_time_zone"
    return errors
